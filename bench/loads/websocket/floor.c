/*
 * The floor of the WebSocket scenarios: recv, unmask, send.
 *
 *     floor PORT
 *
 * It takes the handshake of bench/loads/websocket/load.c for granted, whose key is always the same, and sends each frame back
 * without its mask as its bytes come: a message need not be whole, nothing is checked, no ping is answered. What is left
 * is what any server on epoll must pay: one recv and one send a turn, and one pass over the payload.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECV_BUFFER = 256 * 1024, EVENTS = 256, BACKLOG = 2048, CONNECTIONS = 65536, HEAD_MAX = 14 };

static const char ANSWER[] = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
                             "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/* Indexed by descriptor. */
typedef struct {
    int open;                     /* the handshake is over */
    unsigned char head[HEAD_MAX]; /* of the frame being read */
    size_t head_len;
    uint64_t payload_left;
    unsigned turned;              /* bytes of the mask that are used up */
    size_t owed;                  /* bytes of `rest` */
    char *rest;                   /* what the socket has not taken */
} connection;

static connection connections[CONNECTIONS];
static char in[RECV_BUFFER], out[RECV_BUFFER + HEAD_MAX];
static int poller;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void drop(int fd)
{
    free(connections[fd].rest);
    memset(&connections[fd], 0, sizeof connections[fd]);
    close(fd);
}

/* 0 when the connection is gone. */
static int send_out(int fd, const char *p, size_t n)
{
    connection *c = &connections[fd];
    ssize_t sent = c->owed ? 0 : send(fd, p, n, MSG_NOSIGNAL);

    if (sent < 0 && errno != EAGAIN) {
        drop(fd);
        return 0;
    }
    sent = sent < 0 ? 0 : sent;
    if ((size_t)sent == n)
        return 1;
    c->rest = realloc(c->rest, c->owed + n - (size_t)sent);
    if (!c->rest)
        die("realloc");
    memcpy(c->rest + c->owed, p + sent, n - (size_t)sent);
    c->owed += n - (size_t)sent;
    return 1;
}

static int send_rest(int fd)
{
    connection *c = &connections[fd];
    ssize_t sent;

    if (!c->owed)
        return 1;
    sent = send(fd, c->rest, c->owed, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN ? 1 : (drop(fd), 0);
    c->owed -= (size_t)sent;
    memmove(c->rest, c->rest + sent, c->owed);
    return 1;
}

static size_t head_size(const connection *c)
{
    const unsigned length = c->head[1] & 0x7f;

    return c->head_len < 2 ? 2 : 6 + (length == 127 ? 8 : length == 126 ? 2 : 0);
}

static size_t begin_frame(connection *c, char *to)
{
    const size_t n = head_size(c) - 4;

    c->payload_left = c->head[1] & 0x7f;
    if (n > 2)
        c->payload_left = 0;
    for (size_t i = 2; i < n; i++)
        c->payload_left = c->payload_left << 8 | c->head[i];
    memcpy(to, c->head, n);
    to[1] &= 0x7f;
    memcpy(c->head, c->head + n, 4); /* the mask */
    c->turned = 0;
    return n;
}

/* Eight bytes at a time, by the compiler's own vectors. */
static void unmask(char *to, const char *from, size_t n, const unsigned char *key, unsigned turned)
{
    unsigned char turned_key[8];
    uint64_t wide, word;
    size_t i = 0;

    for (unsigned k = 0; k < 8; k++)
        turned_key[k] = key[(turned + k) % 4];
    memcpy(&wide, turned_key, 8);
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, from + i, 8);
        word ^= wide;
        memcpy(to + i, &word, 8);
    }
    for (; i < n; i++)
        to[i] = (char)((unsigned char)from[i] ^ turned_key[i % 8]);
}

static size_t echo(connection *c, const char *p, size_t n)
{
    size_t made = 0, run;

    while (n) {
        if (!c->payload_left) {
            c->head[c->head_len++] = (unsigned char)*p++;
            n--;
            if (c->head_len < 2 || c->head_len < head_size(c))
                continue;
            made += begin_frame(c, out + made);
            c->head_len = 0;
        }
        run = c->payload_left < n ? (size_t)c->payload_left : n;
        unmask(out + made, p, run, c->head, c->turned);
        c->turned = (c->turned + (unsigned)(run % 4)) % 4;
        made += run;
        p += run;
        n -= run;
        c->payload_left -= run;
    }
    return made;
}

static void ready(int fd, uint32_t events)
{
    connection *c = &connections[fd];
    ssize_t n;

    if (events & EPOLLOUT && !send_rest(fd))
        return;
    if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)))
        return;
    do {
        n = recv(fd, in, sizeof in, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            drop(fd);
            return;
        }
        if (c->open) {
            if (!send_out(fd, out, echo(c, in, (size_t)n)))
                return;
        } else if (memmem(in, (size_t)n, "\r\n\r\n", 4)) {
            c->open = 1;
            if (!send_out(fd, ANSWER, sizeof ANSWER - 1))
                return;
        } else {
            drop(fd);
            return;
        }
    } while ((size_t)n == sizeof in);
}

static void take_connections(int listener)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    const int one = 1;
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (fd >= CONNECTIONS) {
            close(fd);
            continue;
        }
        event.data.fd = fd;
        if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl");
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN};
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    if (argc < 2) { /* what else is given is for the floor of HTTP */
        fprintf(stderr, "floor PORT\n");
        return 2;
    }
    at.sin_port = htons((uint16_t)atoi(argv[1]));
    poller = epoll_create1(EPOLL_CLOEXEC);
    event.data.fd = listener;
    if (listener < 0 || poller < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, BACKLOG) < 0 ||
        epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) < 0)
        die("listen");
    for (;;) {
        const int n = epoll_wait(poller, events, EVENTS, -1);

        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                take_connections(listener);
            else
                ready(events[i].data.fd, events[i].events);
        }
    }
}
