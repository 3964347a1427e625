#ifndef FS_TEST_WS_FIXTURE_H
#define FS_TEST_WS_FIXTURE_H

#include "harness.h"

#include "proto/error.h"
#include "proto/ws.h"
#include "proto/ws_frame.h"

/* One WebSocket machine over a sink that records, and a record of what came out of it. */

typedef struct recording {
    fs_sink base;           /* first */
    char *p;                /* of plain malloc: what is under test is the machine's memory */
    size_t n, room, reserved;
    unsigned shares;
    int full;               /* out of memory from here on */
} recording;

typedef struct socket_ {
    fs_limits limits;
    fs_ws_shared shared;
    fs_budget memory;
    uint64_t now;
    fs_ws ws;
    recording out;
    recording events;       /* `T text`, `B bytes`, `O pong`, `C code reason`, a line each, escaped by nobody */
    int error;              /* the first that next gave */
} socket_;

static char *recording_reserve(fs_sink *sink, size_t n)
{
    recording *to = (recording *)sink;

    if (to->full)
        return NULL;
    if (to->n + n > to->room) {
        to->room = 2 * (to->n + n);
        to->p = realloc(to->p, to->room);
        CHECK(to->p != NULL);
    }
    to->reserved = n;
    return to->p + to->n;
}

static void recording_commit(fs_sink *sink, size_t n)
{
    recording *to = (recording *)sink;

    CHECK(n <= to->reserved);
    to->n += n;
    to->reserved = 0;
}

static int recording_share(fs_sink *sink, const char *p, size_t n, void *owner)
{
    char *room = recording_reserve(sink, n);

    CHECK(owner != NULL);
    if (!room)
        return FS_E_NOMEM;
    memcpy(room, p, n);
    recording_commit(sink, n);
    ((recording *)sink)->shares++;
    return FS_OK;
}

static void recording_add(recording *to, const char *p, size_t n)
{
    memcpy(recording_reserve(&to->base, n), p, n);
    recording_commit(&to->base, n);
}

static inline int socket_open(socket_ *s, const fs_ws_deflate_params *deflate)
{
    s->out.base = (fs_sink){recording_reserve, recording_commit, recording_share, NULL};
    s->shared = (fs_ws_shared){&s->limits, &harness_allocator, &harness_allocator, &s->memory};
    return fs_ws_init(&s->ws, &s->shared, &s->out.base, deflate);
}

static inline socket_ *socket_new(void)
{
    socket_ *s = calloc(1, sizeof *s);

    CHECK(s != NULL);
    fs_limits_default(&s->limits);
    return s;
}

static inline void socket_free(socket_ *s)
{
    fs_ws_free(&s->ws);
    CHECK_INT(s->memory.used, 0);
    free(s->out.p);
    free(s->events.p);
    free(s);
}

static inline void record_message(socket_ *s, fs_ws_event *event)
{
    char *clear = malloc(event->data.n + 1);

    CHECK(clear != NULL);
    fs_ws_unmask(clear, event->data.p, event->data.n, event->mask);
    CHECK(!event->text || !event->mask);
    recording_add(&s->events, event->text ? "T " : "B ", 2);
    recording_add(&s->events, clear, event->data.n);
    recording_add(&s->events, "\n", 1);
    free(clear);
    if (event->buffer) {
        CHECK(event->buffer == event->data.p);
        harness_allocator.release(harness_allocator.ctx, event->buffer);
    }
}

static inline void record(socket_ *s, fs_ws_event *event)
{
    char code[16];

    if (event->kind == FS_WS_MESSAGE) {
        record_message(s, event);
        return;
    }
    snprintf(code, sizeof code, event->kind == FS_WS_PONG ? "O " : "C %d ", event->code);
    recording_add(&s->events, code, strlen(code));
    recording_add(&s->events, event->data.p, event->data.n);
    recording_add(&s->events, "\n", 1);
}

/* Feeds a copy that ends at unreadable memory, takes `most` events at most, and settles. FS_OK or the first error. */
static inline int socket_take(socket_ *s, const char *p, size_t n, size_t most)
{
    guarded input = guarded_copy(p, n);
    int result = fs_ws_feed(&s->ws, input.p, n, s->now);
    fs_ws_event event = {.kind = FS_WS_NONE};

    while (result == FS_OK && most--) {
        result = fs_ws_next(&s->ws, &event);
        if (result < 0 || event.kind == FS_WS_NONE)
            break;
        record(s, &event);
    }
    if (result < 0 && !s->error)
        s->error = result;
    result = fs_ws_settle(&s->ws);
    if (result < 0 && !s->error)
        s->error = result;
    guarded_release(&input);
    return s->error;
}

/* A client's frame: `first` byte, mask and payload; returns its size. */
static inline size_t put_client_frame(char *out, unsigned first, const char *payload, size_t n, uint32_t mask)
{
    size_t at = fs_ws_put_head(out, first, n);

    out[1] = (char)(out[1] | FS_WS_MASKED);
    memcpy(out + at, &mask, sizeof mask);
    fs_ws_unmask(out + at + sizeof mask, payload, n, mask);
    return at + sizeof mask + n;
}

#endif
