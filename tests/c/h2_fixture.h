#ifndef FS_TEST_H2_FIXTURE_H
#define FS_TEST_H2_FIXTURE_H

#include "harness.h"

#include "proto/error.h"
#include "proto/h2.h"

#include <stdarg.h>

/*
 * One HTTP/2 machine with an application that answers, and a record of what
 * came out of both: events as lines, and what the frames say for each stream.
 */

typedef struct record {
    fs_sink base;           /* first */
    char *p;                /* of plain malloc: what is under test is the machine's memory */
    size_t n, room;
} record;

/* A body queue over a record; what was moved is at its front. */
typedef struct stored {
    fs_body_queue base;     /* first */
    char *p;
    size_t at, n, room;
} stored;

typedef struct peer {
    fs_limits limits;
    fs_head_common common;
    fs_h2_shared shared;
    fs_budget memory;
    fs_h2 h2;
    record out, events;
    uint64_t now;
    int error;              /* that ended it */
    int opened;
} peer;

static char *grow(char **p, size_t *room, size_t used, size_t n)
{
    if (used + n > *room) {
        *room = 2 * (used + n);
        *p = realloc(*p, *room);
        CHECK(*p != NULL);
    }
    return *p + used;
}

static char *record_reserve(fs_sink *sink, size_t n)
{
    record *to = (record *)sink;

    return grow(&to->p, &to->room, to->n, n);
}

static void record_commit(fs_sink *sink, size_t n) { ((record *)sink)->n += n; }

static void record_add(record *to, const char *p, size_t n)
{
    memcpy(record_reserve(&to->base, n), p, n);
    to->n += n;
}

static uint64_t stored_size(const fs_body_queue *body)
{
    const stored *from = (const stored *)body;

    return from->n - from->at;
}

static int stored_move(fs_body_queue *body, fs_sink *to, size_t n)
{
    stored *from = (stored *)body;

    CHECK(n <= stored_size(body));
    record_add((record *)to, from->p + from->at, n);
    from->at += n;
    return FS_OK;
}

static void stored_clear(fs_body_queue *body)
{
    stored *from = (stored *)body;

    free(from->p);
    from->p = NULL;
    from->at = from->n = from->room = 0;
}

static char *stored_reserve(fs_sink *sink, size_t n)
{
    stored *to = (stored *)sink;

    return grow(&to->p, &to->room, to->n, n);
}

static void stored_commit(fs_sink *sink, size_t n) { ((stored *)sink)->n += n; }

static int stored_share(fs_sink *sink, const char *p, size_t n, void *owner)
{
    CHECK(owner != NULL);
    memcpy(stored_reserve(sink, n), p, n);
    stored_commit(sink, n);
    return FS_OK;
}

static void stored_open(void *ctx, fs_body_queue *body)
{
    (void)ctx;
    *(stored *)body = (stored){.base = {.sink = {stored_reserve, stored_commit, stored_share, NULL},
                                        .size = stored_size, .move = stored_move, .clear = stored_clear}};
}

static void note(peer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline void note(peer *p, const char *format, ...)
{
    char line[512];
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    record_add(&p->events, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static inline peer *peer_new(void)
{
    peer *p = calloc(1, sizeof *p);

    CHECK(p != NULL);
    fs_limits_default(&p->limits);
    fs_head_common_init(&p->common, 0);
    p->out.base = (fs_sink){record_reserve, record_commit, NULL, NULL};
    p->events.base = p->out.base;
    p->now = 1;
    return p;
}

static inline int peer_open(peer *p)
{
    int result = fs_h2_shared_init(&p->shared, &p->limits, &harness_allocator, &p->common);

    if (result == FS_OK) {
        p->shared.body_size = sizeof(stored);
        p->shared.open_body = stored_open;
        p->shared.tunnels = 1;
        p->shared.memory = &p->memory;
        result = fs_h2_init(&p->h2, &p->shared, &p->out.base, p->now);
        p->opened = 1;
    }
    return result;
}

static inline void peer_free(peer *p)
{
    if (p->opened)
        fs_h2_free(&p->h2);
    if (p->shared.allocator)
        fs_h2_shared_free(&p->shared);
    CHECK_INT(p->memory.used, 0);
    free(p->out.p);
    free(p->events.p);
    free(p);
}

/* ---- the application ---------------------------------------------------------- */

/* Attached to every stream, so that events come; what it is does not matter. */
static inline void attach(fs_stream *stream) { stream->exchange = stream; }

static inline int answer(fs_stream *stream, const char *body, size_t n)
{
    const fs_response_head head = {.status = 200, .reason = {"", 0}, .flags = FS_RESPONSE_END, .length = n};
    int result = stream->ops->head(stream, &head);

    if (result == FS_OK)
        result = stream->ops->body(stream, body, n, NULL, 1);
    if (stream->ended)
        stream->exchange = NULL;
    return result;
}

static inline void on_head(peer *p, const fs_event *event)
{
    const fs_request_head *head = &event->head;

    note(p, "H %.*s %.*s ?%.*s", (int)head->method.n, head->method.p, (int)head->path.n, head->path.p,
         (int)head->query.n, head->query.p);
    for (uint32_t i = 0; i < head->nfields; i++)
        note(p, " %.*s=%.*s", (int)head->fields[i].name_len, head->fields[i].name, (int)head->fields[i].value_len,
             head->fields[i].value);
    note(p, " %lld %x\n", (long long)head->content_length, head->flags);
    attach(event->stream);
}

/* What the path asks for: /raise breaks off, /large answers a lot, /slow never, all else at once. */
static inline void respond(peer *p, const fs_event *event)
{
    static char large[100000];
    fs_stream *stream = event->stream;
    const fs_slice path = event->head.path;

    if (path.n == 6 && memcmp(path.p, "/large", 6) == 0) {
        answer(stream, large, sizeof large);
    } else if (path.n == 6 && memcmp(path.p, "/raise", 6) == 0) {
        const fs_response_head head = {.status = 200, .reason = {"", 0}, .flags = 0};

        stream->ops->head(stream, &head);
        stream->ops->body(stream, "half", 4, NULL, 0);
        stream->ops->abort(stream, FS_E_APP_RAISED);
        stream->exchange = NULL;
    } else if (event->head.flags & FS_HEAD_UPGRADE_WEBSOCKET) {
        fs_sink *tunnel;

        if (stream->ops->upgrade(stream, NULL, 0, &tunnel) == FS_OK)
            note(p, "U\n");
    } else if (!(path.n == 5 && memcmp(path.p, "/slow", 5) == 0)) {
        answer(stream, "hello", 5);
    }
}

static inline void on_event(peer *p, fs_event *event)
{
    fs_h2_stream *stream = (fs_h2_stream *)event->stream;

    switch (event->kind) {
    case FS_EVENT_HEAD:
        on_head(p, event);
        if (event->head.flags & FS_HEAD_END)
            respond(p, event);
        break;
    case FS_EVENT_BODY:
        note(p, "B%d ", stream->id);
        record_add(&p->events, event->data.p, event->data.n);
        note(p, "\n");
        event->stream->ops->consumed(event->stream, event->data.n);
        if (event->end)
            answer(event->stream, "taken", 5);
        break;
    case FS_EVENT_END:
        note(p, "E%d %u\n", stream->id, event->ntrailers);
        if (stream->writing == FS_H2_WRITE_TUNNEL)
            event->stream->ops->abort(event->stream, FS_OK);
        else if (event->stream->exchange)
            answer(event->stream, "taken", 5);
        event->stream->exchange = NULL;
        break;
    case FS_EVENT_DATA: { /* an echo */
        char *room = stream->body->sink.reserve(&stream->body->sink, event->data.n);

        memcpy(room, event->data.p, event->data.n);
        stream->body->sink.commit(&stream->body->sink, event->data.n);
        event->stream->ops->consumed(event->stream, event->data.n);
        break;
    }
    case FS_EVENT_RESET:
        note(p, "R%d %d\n", stream->id, event->error);
        if (fs_error_is_message(event->error) && event->error != FS_E_H2_MALFORMED)
            fs_h2_refuse(stream, event->error);
        event->stream->exchange = NULL;
        break;
    default:
        break;
    }
}

/* Bytes of a request's body and tunnel pieces depend on the cut: they are joined where they follow one another. */
static inline void peer_take(peer *p, const char *bytes, size_t n)
{
    guarded copy = guarded_copy(bytes, n);
    fs_event event;
    int result = n ? fs_h2_feed(&p->h2, copy.p, n, p->now) : FS_OK;

    while (result == FS_OK) {
        result = fs_h2_next(&p->h2, &event);
        if (result < 0 || event.kind == FS_EVENT_NONE)
            break;
        on_event(p, &event);
    }
    if (result == FS_OK && (result = fs_h2_pump(&p->h2, UINT64_MAX, p->now)) == FS_OK)
        while (fs_h2_has_events(&p->h2) && fs_h2_next(&p->h2, &event) == FS_OK && event.kind != FS_EVENT_NONE)
            on_event(p, &event);
    else if (result != FS_E_NOMEM)
        (void)fs_h2_pump(&p->h2, UINT64_MAX, p->now);
    if (result < 0 && !p->error)
        p->error = result;
    if (fs_h2_settle(&p->h2) < 0 && !p->error)
        p->error = FS_E_NOMEM;
    guarded_release(&copy);
}

/* ---- what the frames say --------------------------------------------------------- */

typedef struct said {
    unsigned heads, data, ends, resets, goaways, pings;
    uint64_t bytes;
    uint32_t code;          /* of the last GOAWAY or RST_STREAM */
} said;

static inline said peer_said(const peer *p, int32_t stream)
{
    said found = {0};
    const uint8_t *at = (const uint8_t *)p->out.p, *end = p->out.n ? at + p->out.n : at;

    while (end - at >= 9) {
        const size_t length = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        const int32_t id = (at[5] & 0x7f) << 24 | at[6] << 16 | at[7] << 8 | at[8];
        const uint8_t *payload = at + 9;

        CHECK((size_t)(end - payload) >= length);
        if (id == stream) {
            const uint8_t *code = payload + (at[3] == 7 ? 4 : 0);

            found.heads += at[3] == 1;
            found.data += at[3] == 0;
            found.bytes += at[3] == 0 ? length : 0;
            found.ends += at[3] <= 1 && at[4] & 1;
            found.resets += at[3] == 3;
            found.goaways += at[3] == 7;
            found.pings += at[3] == 6;
            if (at[3] == 3 || at[3] == 7)
                found.code = (uint32_t)code[0] << 24 | (uint32_t)code[1] << 16 | (uint32_t)code[2] << 8 | code[3];
        }
        at = payload + length;
    }
    CHECK(at == end);
    return found;
}

#endif
