/*
 * The load of the scenarios that shake hands: a new connection of TLS 1.3 for each request.
 *
 *     load PORT CONNECTIONS SECONDS STATUS BODY
 *
 * So many connections at a time open, shake hands, ask for `/` with `Connection: close` and read to the end; then each begins anew.
 * No session is ever resumed, which is what wrk and h2load do where a server lets them: every handshake has the server's signature.
 * What is printed is in bench/loads/counted.h; a latency is that from the socket's opening to the answer's end. An answer that does not
 * begin with "HTTP/1.1 STATUS " or end with BODY is a `status` error, a handshake that fails a `connect` error.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../counted.h"

enum { EVENTS = 256, ANSWER_MAX = 16 * 1024 };

static const char REQUEST[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";

typedef enum { SHAKING, ASKING, READING } phase;

typedef struct {
    int fd;
    SSL *tls;
    phase phase;
    uint64_t begun_at; /* microseconds */
    size_t got;        /* bytes of the answer */
    char answer[ANSWER_MAX];
} connection;

static struct {
    int poller, port;
    size_t count;
    SSL_CTX *context;
    char status[32];
    const char *body;
    connection *connections;
    counted counted;
} load;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- one connection ------------------------------------------------------------------------------ */

static void open_connection(connection *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)load.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    const int one = 1;

    c->begun_at = now_us();
    c->phase = SHAKING;
    c->got = 0;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    c->tls = SSL_new(load.context);
    if (c->fd < 0 || !c->tls || !SSL_set_fd(c->tls, c->fd))
        die("socket");
    SSL_set_connect_state(c->tls);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        die("connect"); /* a refusal comes later */
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 || epoll_ctl(load.poller, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
}

/* Our close_notify goes out, for a server that waits for it before it closes the socket. */
static void open_anew(connection *c)
{
    SSL_shutdown(c->tls);
    ERR_clear_error();
    SSL_free(c->tls);
    close(c->fd);
    open_connection(c);
}

static void failed(connection *c, uint64_t *counter)
{
    ++*counter;
    SSL_set_quiet_shutdown(c->tls, 1);
    open_anew(c);
}

/* `counter` counts what is no answer. */
static void ended(connection *c, uint64_t *counter)
{
    const size_t begin = strlen(load.status), end = strlen(load.body);

    if (c->got < begin + end || memcmp(c->answer, load.status, begin) != 0 || memcmp(c->answer + c->got - end, load.body, end) != 0) {
        failed(c, counter);
        return;
    }
    count_answer(&load.counted, c->got, now_us() - c->begun_at);
    open_anew(c);
}

static bool waits(const connection *c, int result)
{
    const int error = SSL_get_error(c->tls, result);

    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void read_answer(connection *c)
{
    int n;

    while ((n = SSL_read(c->tls, c->answer + c->got, (int)(sizeof c->answer - c->got))) > 0) {
        c->got += (size_t)n;
        if (c->got == sizeof c->answer) {
            failed(c, &load.counted.status_errors);
            return;
        }
    }
    if (SSL_get_error(c->tls, n) == SSL_ERROR_ZERO_RETURN)
        ended(c, &load.counted.status_errors);
    else if (!waits(c, n))
        ended(c, &load.counted.read_errors); /* without a close_notify: the answer may be whole all the same */
}

static void ready(connection *c)
{
    int result = 1;

    ERR_clear_error();
    if (c->phase == SHAKING && (result = SSL_do_handshake(c->tls)) == 1)
        c->phase = ASKING;
    if (c->phase == ASKING && (result = SSL_write(c->tls, REQUEST, sizeof REQUEST - 1)) > 0)
        c->phase = READING;
    if (c->phase == READING)
        read_answer(c);
    else if (!waits(c, result))
        failed(c, c->phase == SHAKING ? &load.counted.connect_errors : &load.counted.write_errors);
}

/* ---- the run -------------------------------------------------------------------------------------- */

static void set_up(void)
{
    load.poller = epoll_create1(EPOLL_CLOEXEC);
    load.connections = calloc(load.count, sizeof *load.connections);
    load.context = SSL_CTX_new(TLS_client_method());
    if (load.poller < 0 || !load.connections || !load.context || !begin_counting(&load.counted))
        die("setup");
    SSL_CTX_set_session_cache_mode(load.context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_min_proto_version(load.context, TLS1_3_VERSION);
    SSL_CTX_set_verify(load.context, SSL_VERIFY_NONE, NULL); /* the certificate was made a moment ago, by nobody */
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    const int n = epoll_wait(load.poller, events, EVENTS, 10);

    if (n < 0 && errno != EINTR)
        die("epoll_wait");
    for (int i = 0; i < n; i++)
        ready(events[i].data.ptr);
}

int main(int argc, char **argv)
{
    uint64_t begun, now;
    double seconds;

    if (argc != 6) {
        fprintf(stderr, "load PORT CONNECTIONS SECONDS STATUS BODY\n");
        return 2;
    }
    load.port = atoi(argv[1]);
    load.count = strtoul(argv[2], NULL, 10);
    seconds = atof(argv[3]);
    snprintf(load.status, sizeof load.status, "HTTP/1.1 %s ", argv[4]);
    load.body = argv[5];
    signal(SIGPIPE, SIG_IGN);
    set_up();
    begun = now_us();
    for (size_t i = 0; i < load.count; i++)
        open_connection(&load.connections[i]);
    while ((now = now_us()) < begun + (uint64_t)(seconds * 1e6))
        turn();
    print_counted(&load.counted, now - begun);
    return 0;
}
