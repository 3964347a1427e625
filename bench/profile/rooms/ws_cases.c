/*
 * The WebSocket machine, one connection a seat: a whole frame in and its
 * message out, a message framed, and both as an echo. The sink is a plain buffer.
 */

#include "cases.h"
#include "sink.h"

#include "proto/ws.h"
#include "proto/ws_frame.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST = 65536, ROOM = LARGEST + FS_WS_HEAD_MAX };

typedef struct message {
    unsigned opcode;
    size_t size;
} message;

static const message BINARY_32 = {FS_WS_OP_BINARY, 32}, TEXT_32 = {FS_WS_OP_TEXT, 32}, BINARY_64K = {FS_WS_OP_BINARY, LARGEST};

static fs_limits limits;
static fs_ws_shared shared = {&limits, &fs_system_allocator, &fs_system_allocator, NULL};
static fs_ws machines[SEATS];
static char frames[SEATS][ROOM], taken[LARGEST];
static size_t frame_size;
static const char payload[LARGEST];

/* ---- cases ----------------------------------------------------------------- */

/* A text is unmasked where it lies: each batch has its frames anew. */
static void prepare(const bench_case *one)
{
    const message *message = one->data;

    fs_limits_default(&limits);
    for (unsigned seat = 0; seat < SEATS; seat++) {
        char *p = frames[seat];

        if (!machines[seat].shared && fs_ws_init(&machines[seat], &shared, &plain_sink, NULL) < 0)
            abort();
        frame_size = fs_ws_put_head(p, FS_WS_FIN | message->opcode, message->size);
        p[1] = (char)(p[1] | FS_WS_MASKED);
        memcpy(p + frame_size, "\x11\x22\x33\x44", 4);
        for (size_t i = 0; i < message->size; i++)
            p[frame_size + 4 + i] = (char)('a' ^ p[frame_size + i % 4]);
        frame_size += 4 + message->size;
    }
}

static void take(unsigned seat, fs_ws_event *event)
{
    if (fs_ws_feed(&machines[seat], frames[seat], frame_size, 0) < 0 || fs_ws_next(&machines[seat], event) < 0 ||
        event->kind != FS_WS_MESSAGE || fs_ws_settle(&machines[seat]) < 0)
        abort();
    if (event->text)
        memcpy(taken, event->data.p, event->data.n);
    else
        fs_ws_unmask(taken, event->data.p, event->data.n, event->mask);
}

static void receive(const bench_case *one, unsigned seat)
{
    fs_ws_event event;

    (void)one;
    take(seat, &event);
}

static void put(const bench_case *one, unsigned seat)
{
    const message *message = one->data;

    if (fs_ws_send(&machines[seat], 0, payload, message->size, machines) < 0)
        abort();
}

static void echo(const bench_case *one, unsigned seat)
{
    fs_ws_event event;

    (void)one;
    take(seat, &event);
    if (fs_ws_send(&machines[seat], event.text, taken, event.data.n, machines) < 0)
        abort();
}

const bench_case ws_cases[] = {
    {"WebSocket: a frame of 32 bytes in", prepare, receive, &BINARY_32},
    {"WebSocket: a text of 32 bytes in", prepare, receive, &TEXT_32},
    {"WebSocket: a frame of 64 KiB in", prepare, receive, &BINARY_64K},
    {"WebSocket: a message of 32 bytes out", prepare, put, &BINARY_32},
    {"WebSocket: an echo of 32 bytes", prepare, echo, &BINARY_32},
    {NULL, NULL, NULL, NULL},
};
