/*
 * The floor of the benchmark: an HTTP server that parses nothing.
 *
 *     limit PORT RESPONSE_FILE [--close | --upload]
 *
 * It answers every request on 127.0.0.1:PORT with the bytes of RESPONSE_FILE. The end of a request is the end of its
 * head, found by searching for CRLFCRLF; `--upload` also counts Content-Length bytes of body down; `--close` closes
 * the connection after the first answer. What is left is what any server on epoll must pay: one epoll_ctl a
 * connection (edge-triggered), one recv and one send a turn, with TCP_NODELAY and a receive buffer of 256 KiB.
 *
 * It trusts its client, which is the benchmark itself: an upload's head must arrive in one piece.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECV_BUFFER = 256 * 1024, EVENTS = 256, BACKLOG = 2048, COPIES = 64, COPIES_LIMIT = 64 * 1024 };

static const char HEAD_END[] = "\r\n\r\n";
enum { HEAD_END_LENGTH = 4 };

typedef enum { MODE_KEEP_ALIVE, MODE_CLOSE, MODE_UPLOAD } mode;

/* Owned by the table below, one for each descriptor number; the descriptor is closed in connection_close only. */
typedef struct {
    size_t owed;    /* bytes of the answers that are not written yet */
    size_t body;    /* bytes of the upload that are still to come */
    int matched;    /* how much of CRLFCRLF the last piece ended with */
    bool peer_done; /* the peer has sent its FIN: close once nothing is owed */
} connection;

static struct {
    mode mode;
    int poller;
    int listener;
    char *response;  /* `copies` answers one after another, so that a batch of pipelined ones leaves in one send */
    size_t length;   /* bytes of one answer */
    size_t copies;
    connection *connections; /* indexed by descriptor */
    size_t capacity;
} server;

static char buffer[RECV_BUFFER];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void read_response(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0 || status.st_size == 0)
        die(path);
    server.length = (size_t)status.st_size;
    server.copies = server.length * COPIES <= COPIES_LIMIT ? COPIES : 1;
    server.response = malloc(server.length * server.copies);
    if (server.response == NULL)
        die("malloc");
    size_t got = 0;
    while (got < server.length) {
        ssize_t n = read(fd, server.response + got, server.length - got);
        if (n <= 0)
            die(path);
        got += (size_t)n;
    }
    close(fd);
    for (size_t i = 1; i < server.copies; i++)
        memcpy(server.response + i * server.length, server.response, server.length);
}

static void make_table(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("setrlimit");
    server.capacity = (size_t)limit.rlim_cur;
    server.connections = calloc(server.capacity, sizeof *server.connections);
    if (server.connections == NULL)
        die("calloc");
}

static void listen_on(uint16_t port)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server.listener < 0)
        die("socket");
    if (setsockopt(server.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        die("SO_REUSEADDR");
    if (setsockopt(server.listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0) /* accepted sockets inherit it */
        die("TCP_NODELAY");
    if (bind(server.listener, (struct sockaddr *)&address, sizeof address) < 0)
        die("bind");
    if (listen(server.listener, BACKLOG) < 0)
        die("listen");
    server.poller = epoll_create1(EPOLL_CLOEXEC);
    if (server.poller < 0)
        die("epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = server.listener};
    if (epoll_ctl(server.poller, EPOLL_CTL_ADD, server.listener, &event) < 0)
        die("epoll_ctl");
}

static void accept_all(void)
{
    for (;;) {
        int fd = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN)
                return;
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            die("accept4");
        }
        if ((size_t)fd >= server.capacity) {
            close(fd);
            continue;
        }
        server.connections[fd] = (connection){0};
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
        if (epoll_ctl(server.poller, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl");
    }
}

/* Bytes that `piece` ends with and that begin CRLFCRLF. */
static int suffix_matched(const char *piece, size_t length)
{
    for (int n = HEAD_END_LENGTH - 1; n > 0; n--)
        if (length >= (size_t)n && memcmp(piece + length - n, HEAD_END, (size_t)n) == 0)
            return n;
    return 0;
}

static size_t count_heads(connection *c, const char *piece, size_t length)
{
    size_t heads = 0;
    const char *at = piece, *end = piece + length;
    while (c->matched > 0 && at < end) { /* a CRLFCRLF cut in two by the segment's border */
        if (*at != HEAD_END[c->matched]) {
            c->matched = *at == '\r' ? 1 : 0;
            at += c->matched;
            continue;
        }
        at++;
        if (++c->matched == HEAD_END_LENGTH) {
            c->matched = 0;
            heads++;
        }
    }
    const char *found;
    while ((found = memmem(at, (size_t)(end - at), HEAD_END, HEAD_END_LENGTH)) != NULL) {
        heads++;
        at = found + HEAD_END_LENGTH;
    }
    if (c->matched == 0)
        c->matched = suffix_matched(at, (size_t)(end - at));
    return heads;
}

/* Requests whose last body byte lies in `piece`, or -1 for a head that is not whole. */
static int count_uploads(connection *c, const char *piece, size_t length)
{
    static const char name[] = "Content-Length: ";
    int uploads = 0;
    while (length > 0) {
        if (c->body == 0) {
            const char *head_end = memmem(piece, length, HEAD_END, HEAD_END_LENGTH);
            const char *field = memmem(piece, length, name, sizeof name - 1);
            if (head_end == NULL || field == NULL || field > head_end)
                return -1;
            c->body = strtoull(field + sizeof name - 1, NULL, 10);
            length -= (size_t)(head_end + HEAD_END_LENGTH - piece);
            piece = head_end + HEAD_END_LENGTH;
        }
        size_t part = length < c->body ? length : c->body;
        c->body -= part;
        piece += part;
        length -= part;
        uploads += c->body == 0;
    }
    return uploads;
}

/* False when the connection must go. `owed` counts down from the end of the run of equal answers. */
static bool write_owed(int fd, connection *c)
{
    while (c->owed > 0) {
        size_t offset = (server.length - c->owed % server.length) % server.length;
        size_t room = server.length * server.copies - offset;
        ssize_t n = send(fd, server.response + offset, c->owed < room ? c->owed : room, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN;
        c->owed -= (size_t)n;
    }
    return server.mode != MODE_CLOSE;
}

/* False when the connection must go. */
static bool read_requests(int fd, connection *c)
{
    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        int requests = server.mode == MODE_UPLOAD ? count_uploads(c, buffer, (size_t)n)
                                                  : (int)count_heads(c, buffer, (size_t)n);
        if (requests < 0)
            return false;
        c->owed += (size_t)requests * server.length;
        if (requests > 0 && !write_owed(fd, c))
            return false;
        if ((size_t)n < sizeof buffer && !c->peer_done) /* a short read has drained the socket, epoll(7) */
            return true;
    }
}

static void serve(int fd, uint32_t events)
{
    connection *c = &server.connections[fd];
    bool alive = (events & (EPOLLERR | EPOLLHUP)) == 0;
    if (events & EPOLLRDHUP)
        c->peer_done = true;
    if (alive && c->owed > 0 && (events & EPOLLOUT))
        alive = write_owed(fd, c);
    if (alive && (events & EPOLLIN))
        alive = read_requests(fd, c);
    if (!alive || (c->peer_done && c->owed == 0))
        close(fd);
}

static void run(void)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(server.poller, events, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == server.listener)
                accept_all();
            else
                serve(events[i].data.fd, events[i].events);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: limit PORT RESPONSE_FILE [--close | --upload]\n");
        return 2;
    }
    if (argc == 4 && strcmp(argv[3], "--close") == 0)
        server.mode = MODE_CLOSE;
    else if (argc == 4 && strcmp(argv[3], "--upload") == 0)
        server.mode = MODE_UPLOAD;
    else if (argc == 4) {
        fprintf(stderr, "limit: unknown mode %s\n", argv[3]);
        return 2;
    }
    read_response(argv[2]);
    make_table();
    listen_on((uint16_t)atoi(argv[1]));
    run();
    return 0;
}
