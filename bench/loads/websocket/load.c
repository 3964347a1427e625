/*
 * The load of the WebSocket scenarios: connections that echo in a closed loop.
 *
 *     load PORT CONNECTIONS SECONDS SIZE [--text] [--deflate]
 *
 * Each connection sends a message of SIZE bytes and the next one when its echo has come whole and is the same, byte by
 * byte. `--text` sends text; `--deflate` offers permessage-deflate, sends messages that are compressed, and inflates what
 * comes back. What is printed is in bench/loads/counted.h. An echo that is another message is a `status` error, an answer to the
 * handshake that is not 101 with the right Sec-WebSocket-Accept a `connect` error; either ends its connection.
 *
 * The key of the handshake and the mask of the frames are always the same: the load costs as little as it can.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "../counted.h"

enum { RECV_BUFFER = 256 * 1024, EVENTS = 256, HEAD_MAX = 4096 };

static const char HANDSHAKE[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n";
static const char OFFER[] = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
static const char ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; /* RFC 6455 section 1.3 */

typedef enum { OPENING, TALKING, GONE } phase;

typedef struct {
    int fd;
    phase phase;
    char head[HEAD_MAX];      /* of the handshake's answer */
    size_t head_len;
    unsigned char frame[10];  /* the head of the frame that is being read */
    size_t frame_len;
    uint64_t payload_left;    /* of that frame */
    bool compressed, started; /* the message */
    size_t got;               /* bytes of the echo, inflated */
    size_t unsent;            /* bytes of our message that the socket has not taken */
    uint64_t sent_at;         /* microseconds */
    z_stream inflater;
} connection;

static struct {
    int poller;
    int port;
    size_t count;
    bool text, deflate, over;
    char *message;    /* as it has to come back */
    size_t size;
    char *wire;       /* as it is sent: one masked frame */
    size_t wire_len;
    connection *connections;
    counted counted;
} load;

static char buffer[RECV_BUFFER], inflated[RECV_BUFFER];

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- what is sent ---------------------------------------------------------------------------- */

static void fill_message(void)
{
    static const char words[] = "{\"id\": 4711, \"name\": \"Ada Lovelace\", \"roles\": [\"admin\", \"author\"], \"at\": \"2026-01-01\"}, ";

    load.message = malloc(load.size + 1);
    if (!load.message)
        die("malloc");
    for (size_t i = 0; i < load.size; i++)
        load.message[i] = words[i % (sizeof words - 1)];
}

/* The message as a compressor without memory of others gives it (RFC 7692 section 7.2.1), in a window of 512 bytes. */
static size_t compress_message(unsigned char *out, size_t room)
{
    z_stream stream = {.next_in = (unsigned char *)load.message, .avail_in = (unsigned)load.size, .next_out = out,
                       .avail_out = (unsigned)room};

    if (deflateInit2(&stream, 6, Z_DEFLATED, -9, 8, Z_DEFAULT_STRATEGY) != Z_OK || deflate(&stream, Z_SYNC_FLUSH) != Z_OK)
        die("deflate");
    deflateEnd(&stream);
    return room - stream.avail_out - 4;
}

static void build_wire(void)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    const size_t room = load.size + load.size / 100 + 64;
    unsigned char *payload = malloc(room), *p;
    size_t n = load.size;

    load.wire = malloc(room + 14);
    if (!payload || !load.wire)
        die("malloc");
    if (load.deflate)
        n = compress_message(payload, room);
    else
        memcpy(payload, load.message, n);
    p = (unsigned char *)load.wire;
    *p++ = (unsigned char)(0x80 | (load.deflate ? 0x40 : 0) | (load.text ? 1 : 2));
    if (n < 126) {
        *p++ = (unsigned char)(0x80 | n);
    } else if (n < 65536) {
        *p++ = 0x80 | 126;
        *p++ = (unsigned char)(n >> 8);
        *p++ = (unsigned char)n;
    } else {
        *p++ = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            *p++ = (unsigned char)(n >> shift);
    }
    memcpy(p, mask, 4);
    p += 4;
    for (size_t i = 0; i < n; i++)
        *p++ = payload[i] ^ mask[i % 4];
    load.wire_len = (size_t)(p - (unsigned char *)load.wire);
    free(payload);
}

/* ---- one connection ------------------------------------------------------------------------------ */

static void give_up(connection *c, uint64_t *counter)
{
    if (!load.over)
        ++*counter;
    close(c->fd);
    c->phase = GONE;
    if (load.deflate)
        inflateEnd(&c->inflater);
}

static void send_rest(connection *c)
{
    ssize_t n;

    while (c->unsent) {
        n = send(c->fd, load.wire + load.wire_len - c->unsent, c->unsent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            give_up(c, &load.counted.write_errors);
            return;
        }
        c->unsent -= (size_t)n;
    }
}

static void next_message(connection *c)
{
    c->sent_at = now_us();
    c->unsent = load.wire_len;
    c->got = 0;
    c->started = false;
    send_rest(c);
}

static void echo_complete(connection *c)
{
    count_answer(&load.counted, load.size, now_us() - c->sent_at);
    next_message(c);
}

static bool compare(connection *c, const char *p, size_t n)
{
    if (n > load.size - c->got || memcmp(load.message + c->got, p, n) != 0) {
        give_up(c, &load.counted.status_errors);
        return false;
    }
    c->got += n;
    return true;
}

static bool inflate_run(connection *c, const void *p, size_t n)
{
    int result;

    c->inflater.next_in = (unsigned char *)(uintptr_t)p;
    c->inflater.avail_in = (unsigned)n;
    do {
        c->inflater.next_out = (unsigned char *)inflated;
        c->inflater.avail_out = sizeof inflated;
        result = inflate(&c->inflater, Z_SYNC_FLUSH);
        if (result != Z_OK && result != Z_BUF_ERROR) {
            give_up(c, &load.counted.status_errors);
            return false;
        }
        if (!compare(c, inflated, sizeof inflated - c->inflater.avail_out))
            return false;
    } while (c->inflater.avail_in || !c->inflater.avail_out);
    return true;
}

static size_t frame_head_size(const connection *c)
{
    const unsigned length = c->frame[1] & 0x7f;

    return c->frame_len < 2 || length < 126 ? 2 : length == 126 ? 4 : 10;
}

/* True when the frame's head is whole. */
static bool read_frame_head(connection *c, const char **p, size_t *n)
{
    while (c->frame_len < frame_head_size(c)) {
        if (!*n)
            return false;
        c->frame[c->frame_len++] = (unsigned char)*(*p)++;
        --*n;
    }
    return true;
}

static bool begin_frame(connection *c)
{
    const unsigned opcode = c->frame[0] & 0xf;
    uint64_t length = c->frame[1] & 0x7f;
    const size_t wide = length == 127 ? 8 : length == 126 ? 2 : 0;

    if (wide)
        length = 0;
    for (size_t i = 0; i < wide; i++)
        length = length << 8 | c->frame[2 + i];
    if (opcode >= 8 || c->frame[1] & 0x80 || (c->started ? opcode != 0 : opcode != (load.text ? 1u : 2u))) {
        give_up(c, &load.counted.status_errors); /* pings are switched off, or the run is too short for them */
        return false;
    }
    if (!c->started)
        c->compressed = c->frame[0] & 0x40;
    c->started = true;
    c->payload_left = length;
    return true;
}

static void read_frames(connection *c, const char *p, size_t n)
{
    while (c->phase == TALKING && n) {
        size_t run;

        if (!c->payload_left && (!read_frame_head(c, &p, &n) || !begin_frame(c)))
            return;
        run = c->payload_left < n ? (size_t)c->payload_left : n;
        if (c->compressed ? !inflate_run(c, p, run) : !compare(c, p, run))
            return;
        p += run;
        n -= run;
        c->payload_left -= run;
        if (c->payload_left)
            return;
        c->frame_len = 0;
        if (!(c->frame[0] & 0x80))
            continue;
        if (c->compressed && !inflate_run(c, "\0\0\xff\xff", 4))
            return;
        if (c->got != load.size) {
            give_up(c, &load.counted.status_errors);
            return;
        }
        echo_complete(c);
    }
}

static void read_handshake(connection *c, const char *p, size_t n)
{
    size_t take = n < HEAD_MAX - 1 - c->head_len ? n : HEAD_MAX - 1 - c->head_len;
    char *end;

    memcpy(c->head + c->head_len, p, take);
    c->head_len += take;
    c->head[c->head_len] = '\0';
    end = strstr(c->head, "\r\n\r\n");
    if (!end) {
        if (c->head_len == HEAD_MAX - 1)
            give_up(c, &load.counted.connect_errors);
        return;
    }
    end[2] = '\0';
    if (strncmp(c->head, "HTTP/1.1 101", 12) != 0 || !strstr(c->head, ACCEPT) ||
        (load.deflate && !strcasestr(c->head, "permessage-deflate"))) {
        give_up(c, &load.counted.connect_errors);
        return;
    }
    c->phase = TALKING;
    next_message(c);
}

static void ready(connection *c, uint32_t events)
{
    ssize_t n;

    if (events & EPOLLOUT && c->phase == TALKING)
        send_rest(c);
    while (c->phase != GONE) {
        n = recv(c->fd, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            give_up(c, &load.counted.read_errors);
            return;
        }
        if (c->phase == OPENING)
            read_handshake(c, buffer, (size_t)n);
        else
            read_frames(c, buffer, (size_t)n);
        if ((size_t)n < sizeof buffer && !(events & (EPOLLRDHUP | EPOLLHUP)))
            return;
    }
}

static void open_connection(connection *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)load.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    char request[1024];
    const int one = 1, n = snprintf(request, sizeof request, HANDSHAKE, load.deflate ? OFFER : "");

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    if (load.deflate && inflateInit2(&c->inflater, -15) != Z_OK)
        die("inflate");
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 || send(c->fd, request, (size_t)n, MSG_NOSIGNAL) != n) {
        give_up(c, &load.counted.connect_errors);
        return;
    }
    if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0 || epoll_ctl(load.poller, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
}

/* ---- the run -------------------------------------------------------------------------------------- */

static void turn(int timeout_ms)
{
    struct epoll_event events[EVENTS];
    const int n = epoll_wait(load.poller, events, EVENTS, timeout_ms);

    if (n < 0 && errno != EINTR)
        die("epoll_wait");
    for (int i = 0; i < n; i++)
        if (((connection *)events[i].data.ptr)->phase != GONE)
            ready(events[i].data.ptr, events[i].events);
}

int main(int argc, char **argv)
{
    double seconds;
    uint64_t begun, now;

    if (argc < 5) {
        fprintf(stderr, "load PORT CONNECTIONS SECONDS SIZE [--text] [--deflate]\n");
        return 2;
    }
    load.port = atoi(argv[1]);
    load.count = strtoul(argv[2], NULL, 10);
    seconds = atof(argv[3]);
    load.size = strtoul(argv[4], NULL, 10);
    for (int i = 5; i < argc; i++) {
        load.text |= strcmp(argv[i], "--text") == 0;
        load.deflate |= strcmp(argv[i], "--deflate") == 0;
    }
    load.poller = epoll_create1(EPOLL_CLOEXEC);
    load.connections = calloc(load.count, sizeof *load.connections);
    if (load.poller < 0 || !load.connections || !begin_counting(&load.counted))
        die("setup");
    fill_message();
    build_wire();
    begun = now_us();
    for (size_t i = 0; i < load.count; i++)
        open_connection(&load.connections[i]);
    while ((now = now_us()) < begun + (uint64_t)(seconds * 1e6))
        turn(10);
    load.over = true;
    print_counted(&load.counted, now - begun);
    return 0;
}
