/*
 * The load of the scenarios with a mix: requests of several kinds, one every so often whatever the answers take.
 *
 *     load PORT CONNECTIONS SECONDS STATUS BODY RATE PATH:SHARE...
 *
 * RATE requests become due in each second, at even distances, and SHARE of a thousand ask for PATH; which one it is comes from a
 * sequence that is the same in each run. A request goes out on a connection that has none under way, or waits for one. A latency is
 * that from the moment at which the request was due, and those of the first PATH alone are counted: what a client waits for an answer
 * that is quick by itself. What is printed is in bench/loads/counted.h; its requests are those of all paths. An answer that does not
 * begin with "HTTP/1.1 STATUS " or end with BODY is a `status` error, a connection that ends within one a `read` error.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../counted.h"

enum { EVENTS = 256, ANSWER_MAX = 16 * 1024, REQUEST_MAX = 512, KINDS_MAX = 8, THOUSAND = 1000 };

typedef struct {
    char text[REQUEST_MAX];
    size_t length;
    unsigned below; /* of a thousand: the kind is the first whose number is above the one that was drawn */
} kind;

typedef struct connection {
    struct connection *next; /* among those that are free */
    int fd;
    bool fast; /* the request under way is of the first kind */
    bool busy;
    uint64_t due_at; /* microseconds: when that request was due */
    size_t got;      /* bytes of the answer */
    char answer[ANSWER_MAX];
} connection;

static struct {
    int poller, port;
    size_t count, kinds_count;
    uint64_t begun_at, sent, random;
    double apart; /* microseconds between two requests */
    char status[32];
    const char *body;
    kind kinds[KINDS_MAX];
    connection *connections, *free;
    counted counted; /* the fast ones */
    uint64_t others;
} load;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- one connection ------------------------------------------------------------------------------ */

static void set_free(connection *c)
{
    c->busy = false;
    c->next = load.free;
    load.free = c;
}

static void open_connection(connection *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)load.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
    const int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 || epoll_ctl(load.poller, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
}

/* The request under way is lost and counted; a connection that rests may be closed by the server. */
static void open_anew(connection *c, uint64_t *counter)
{
    close(c->fd);
    open_connection(c);
    if (c->busy) {
        ++*counter;
        set_free(c);
    }
}

static void answered(connection *c)
{
    const uint64_t took = now_us() - c->due_at;

    if (c->fast)
        count_answer(&load.counted, c->got, took);
    else
        load.others++;
    set_free(c);
}

static void ready(connection *c)
{
    const size_t begin = strlen(load.status), end = strlen(load.body);
    const ssize_t n = recv(c->fd, c->answer + c->got, sizeof c->answer - c->got, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || !c->busy) {
        open_anew(c, &load.counted.read_errors);
        return;
    }
    c->got += (size_t)n;
    if (c->got >= begin && memcmp(c->answer, load.status, begin) != 0)
        open_anew(c, &load.counted.status_errors);
    else if (c->got >= begin + end && memcmp(c->answer + c->got - end, load.body, end) == 0)
        answered(c);
    else if (c->got == sizeof c->answer)
        open_anew(c, &load.counted.status_errors);
}

/* ---- the run -------------------------------------------------------------------------------------- */

/* Knuth's linear congruential generator; the upper bits are the good ones. */
static const kind *drawn_kind(void)
{
    const kind *kind = load.kinds;
    unsigned drawn;

    load.random = load.random * 6364136223846793005ULL + 1442695040888963407ULL;
    drawn = (unsigned)((load.random >> 33) % THOUSAND);
    while (kind->below <= drawn)
        kind++;
    return kind;
}

static void send_due(uint64_t now)
{
    connection *c;

    while ((c = load.free) != NULL) {
        const uint64_t due_at = load.begun_at + (uint64_t)((double)load.sent * load.apart);
        const kind *kind;

        if (due_at > now)
            return;
        kind = drawn_kind();
        load.free = c->next;
        c->busy = true;
        c->fast = kind == load.kinds;
        c->due_at = due_at;
        c->got = 0;
        load.sent++;
        if (send(c->fd, kind->text, kind->length, MSG_NOSIGNAL) != (ssize_t)kind->length)
            open_anew(c, &load.counted.write_errors);
    }
}

static void turn(uint64_t now)
{
    struct epoll_event events[EVENTS];
    const uint64_t next = load.begun_at + (uint64_t)((double)load.sent * load.apart);
    const bool waits = load.free == NULL || next > now + 1000;
    const int n = epoll_wait(load.poller, events, EVENTS, waits ? 1 : 0);

    if (n < 0 && errno != EINTR)
        die("epoll_wait");
    for (int i = 0; i < n; i++)
        ready(events[i].data.ptr);
}

static void add_kind(const char *text)
{
    const char *colon = strrchr(text, ':');
    const unsigned before = load.kinds_count ? load.kinds[load.kinds_count - 1].below : 0;
    kind *kind = &load.kinds[load.kinds_count++];

    if (colon == NULL || load.kinds_count > KINDS_MAX) {
        fprintf(stderr, "load: %s is no PATH:SHARE\n", text);
        exit(2);
    }
    kind->length = (size_t)snprintf(kind->text, sizeof kind->text, "GET %.*s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", (int)(colon - text), text);
    kind->below = before + (unsigned)strtoul(colon + 1, NULL, 10);
    if (kind->length >= sizeof kind->text) {
        fprintf(stderr, "load: %s is too long\n", text);
        exit(2);
    }
}

static void set_up(void)
{
    load.poller = epoll_create1(EPOLL_CLOEXEC);
    load.connections = calloc(load.count, sizeof *load.connections);
    if (load.poller < 0 || !load.connections || !begin_counting(&load.counted))
        die("setup");
    for (size_t i = 0; i < load.count; i++) {
        open_connection(&load.connections[i]);
        set_free(&load.connections[i]);
    }
}

int main(int argc, char **argv)
{
    uint64_t now;
    double seconds;

    if (argc < 8) {
        fprintf(stderr, "load PORT CONNECTIONS SECONDS STATUS BODY RATE PATH:SHARE...\n");
        return 2;
    }
    load.port = atoi(argv[1]);
    load.count = strtoul(argv[2], NULL, 10);
    seconds = atof(argv[3]);
    snprintf(load.status, sizeof load.status, "HTTP/1.1 %s ", argv[4]);
    load.body = argv[5];
    load.apart = 1e6 / atof(argv[6]);
    for (int i = 7; i < argc; i++)
        add_kind(argv[i]);
    if (load.kinds[load.kinds_count - 1].below != THOUSAND) {
        fprintf(stderr, "load: the shares are not a thousand\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    set_up();
    load.begun_at = now_us();
    while ((now = now_us()) < load.begun_at + (uint64_t)(seconds * 1e6)) {
        send_due(now);
        turn(now);
    }
    print_counted_among(&load.counted, load.others, now - load.begun_at);
    return 0;
}
