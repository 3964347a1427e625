#include "h2.h"

#include "h2_guard.h"
#include "h2_head.h"
#include "h2_session.h"
#include "h2_state.h"
#include "h2_write.h"

#include <string.h>

const int fs_h2_available = 1;

/* ---- life -------------------------------------------------------------------- */

int fs_h2_shared_init(fs_h2_shared *shared, const fs_limits *limits, const fs_allocator *allocator,
                      fs_head_common *common)
{
    *shared = (fs_h2_shared){.limits = limits, .allocator = allocator, .common = common};
    return fs_h2_session_options(shared);
}

void fs_h2_shared_free(fs_h2_shared *shared)
{
    fs_h2_arena_free(shared);
    while (shared->streams) {
        fs_h2_stream *next = shared->streams->next;

        shared->allocator->release(shared->allocator->ctx, shared->streams);
        shared->streams = next;
    }
    if (shared->nva)
        shared->allocator->release(shared->allocator->ctx, shared->nva);
    nghttp2_session_callbacks_del(shared->callbacks);
    nghttp2_option_del(shared->option);
    shared->nva = NULL;
    shared->callbacks = NULL;
    shared->option = NULL;
}

int fs_h2_init(fs_h2 *h2, fs_h2_shared *shared, fs_sink *sink, uint64_t now)
{
    *h2 = (fs_h2){.shared = shared, .sink = sink, .now = now, .received_at = now};
    h2->ready_end = &h2->ready;
    fs_h2_guard_init(h2, now);
    return fs_h2_session_open(h2);
}

static void drop_store(fs_h2 *h2)
{
    if (h2->store)
        h2->shared->allocator->release(h2->shared->allocator->ctx, h2->store);
    fs_budget_give(h2->shared->memory, h2->store_size);
    h2->store = NULL;
    h2->store_size = 0;
}

void fs_h2_free(fs_h2 *h2)
{
    while (h2->streams)
        fs_h2_free_stream(h2->streams);
    fs_h2_head_done(h2);
    nghttp2_session_del(h2->session);
    drop_store(h2);
    h2->session = NULL;
    h2->input = NULL;
    h2->input_len = 0;
}

/* ---- bytes in ------------------------------------------------------------------ */

/* Room for n bytes in the store, with the unread bytes at its beginning. */
static int keep_input(fs_h2 *h2, size_t n)
{
    const fs_allocator *allocator = h2->shared->allocator;
    fs_budget *memory = h2->shared->memory;

    if (n > h2->store_size) {
        char *store;

        if (fs_budget_take(memory, n - h2->store_size) < 0)
            return FS_E_NO_ROOM;
        store = allocator->resize(allocator->ctx, NULL, n);
        if (!store) {
            fs_budget_give(memory, n - h2->store_size);
            return FS_E_NOMEM;
        }
        if (h2->input_len)
            memcpy(store, h2->input, h2->input_len);
        if (h2->store)
            allocator->release(allocator->ctx, h2->store);
        h2->store = store;
        h2->store_size = n;
    } else if (h2->input_len && h2->input != h2->store) {
        memmove(h2->store, h2->input, h2->input_len);
    }
    h2->input = h2->store;
    return FS_OK;
}

int fs_h2_feed(fs_h2 *h2, char *p, size_t n, uint64_t now)
{
    int result;

    h2->now = h2->received_at = now;
    if (!h2->input_len) {
        h2->input = p;
        h2->input_len = n;
        return FS_OK;
    }
    result = keep_input(h2, h2->input_len + n);
    if (result < 0)
        return result;
    memcpy(h2->input + h2->input_len, p, n);
    h2->input_len += n;
    return FS_OK;
}

static void free_closed(fs_h2 *h2)
{
    fs_h2_stream *stream = h2->streams;

    while (stream && h2->closed) {
        fs_h2_stream *next = stream->next;

        if (stream->flags & FS_H2_CLOSED && !(stream->flags & FS_H2_READY) && !stream->stream.exchange &&
            !stream->receipt) {
            h2->closed--;
            h2->tunnels -= stream->flags & FS_H2_WEBSOCKET && stream->stream.head_sent && stream->stream.status == 200;
            fs_h2_free_stream(stream);
        }
        stream = next;
    }
}

int fs_h2_settle(fs_h2 *h2)
{
    if (h2->closed)
        free_closed(h2);
    if (h2->input_len && h2->input != h2->store)
        return keep_input(h2, h2->input_len);
    if (!h2->input_len && h2->store) {
        drop_store(h2);
    }
    return FS_OK;
}

/* ---- events out ------------------------------------------------------------------ */

static void tell_head(fs_h2_stream *stream, fs_event *event)
{
    fs_h2 *h2 = stream->h2;
    const int end = (stream->flags & FS_H2_HAS_END) != 0;
    const int result = fs_h2_head_finish(stream, &event->head, end);

    stream->flags &= ~(uint32_t)(FS_H2_HAS_HEAD | FS_H2_HAS_END);
    h2->requests++;
    fs_h2_guard_earned(h2);
    if (h2->requests == h2->shared->limits->max_requests && fs_h2_drain(h2, 1) < 0)
        h2->error = FS_E_NOMEM;
    fs_h2_reading_on(stream, end ? FS_H2_ON_LAST : FS_H2_ON_HEAD);
    event->kind = result < 0 ? FS_EVENT_RESET : FS_EVENT_HEAD;
    event->error = result;
    if (result == FS_E_H2_MALFORMED) /* never answered: whoever sends that may itself have been misled */
        fs_h2_reset(stream, FS_E_H2_MALFORMED);
}

static void tell_body(fs_h2 *h2, fs_event *event)
{
    fs_h2_stream *stream = h2->piece_of;

    h2->piece_of = NULL;
    event->stream = &stream->stream;
    event->data = h2->piece;
    event->end = 0;
    if (stream->writing == FS_H2_WRITE_TUNNEL) {
        event->kind = FS_EVENT_DATA;
    } else if (stream->flags & FS_H2_WEBSOCKET) { /* before it was accepted: RFC 6455 section 4.1 */
        event->kind = FS_EVENT_RESET;
        event->error = FS_E_H2_MALFORMED;
        fs_h2_reset(stream, FS_E_H2_MALFORMED);
    } else if (h2->shared->limits->max_body && stream->received > h2->shared->limits->max_body) {
        event->kind = FS_EVENT_RESET;
        event->error = FS_E_BODY_TOO_LARGE;
    } else {
        event->kind = FS_EVENT_BODY;
        event->end = (stream->flags & (FS_H2_HAS_END | FS_H2_HAS_TRAILERS)) == FS_H2_HAS_END;
        if (event->end)
            stream->flags &= ~(uint32_t)FS_H2_HAS_END;
    }
}

static void tell_end(fs_h2_stream *stream, fs_event *event)
{
    stream->flags &= ~(uint32_t)FS_H2_HAS_END;
    event->kind = FS_EVENT_END;
    event->ntrailers = 0;
    event->trailers = NULL;
    if (stream->flags & FS_H2_HAS_TRAILERS)
        fs_h2_head_trailers(stream->h2, &event->trailers, &event->ntrailers);
}

/* The event at the front of the ready queue, if there is one. */
static int tell_ready(fs_h2 *h2, fs_event *event)
{
    fs_h2_stream *stream = h2->ready;
    const uint32_t all = FS_H2_HAS_HEAD | FS_H2_HAS_END | FS_H2_HAS_RESET;

    if (!stream)
        return 0;
    event->stream = &stream->stream;
    if (stream->flags & FS_H2_HAS_HEAD && stream->flags & FS_H2_HAS_RESET)
        stream->flags &= ~(uint32_t)(FS_H2_HAS_HEAD | FS_H2_HAS_END); /* reset before anybody was told of it */
    if (stream->flags & FS_H2_HAS_HEAD) {
        tell_head(stream, event);
    } else if (stream->flags & FS_H2_HAS_RESET) {
        stream->flags &= ~(uint32_t)(FS_H2_HAS_RESET | FS_H2_HAS_END);
        event->kind = FS_EVENT_RESET;
        event->error = stream->error;
    } else if (stream->flags & FS_H2_HAS_END) {
        tell_end(stream, event);
    }
    if (!(stream->flags & all)) {
        h2->ready = stream->ready;
        if (!h2->ready)
            h2->ready_end = &h2->ready;
        stream->flags &= ~(uint32_t)FS_H2_READY;
    }
    return event->kind != FS_EVENT_NONE;
}

/*
 * SETTINGS are answered with one frame. If more are queued, a stream's window has overflowed, which nghttp2 treats as
 * the stream's error; by RFC 9113 section 6.9.2 it is the connection's.
 */
static int overflows(fs_h2 *h2, size_t before)
{
    if (nghttp2_session_get_outbound_queue_size(h2->session) <= before + 1)
        return 0;
    return nghttp2_session_terminate_session(h2->session, NGHTTP2_FLOW_CONTROL_ERROR) == 0;
}

/* Gives nghttp2 what belongs to one frame. */
static int read_frame(fs_h2 *h2)
{
    const size_t queued = nghttp2_session_get_outbound_queue_size(h2->session);
    const int64_t n = fs_h2_guard_run(h2, h2->input, h2->input_len);
    ssize_t taken;

    if (n < 0)
        return (int)n;
    taken = nghttp2_session_mem_recv(h2->session, (const uint8_t *)h2->input, (size_t)n);
    if (taken < 0)
        return taken == NGHTTP2_ERR_NOMEM    ? FS_E_NOMEM
               : taken == NGHTTP2_ERR_FLOODED ? FS_E_H2_FLOOD
                                              : FS_E_H2_CONNECTION;
    h2->input += n;
    h2->input_len -= (size_t)n;
    if (!h2->frame_len && h2->frame[3] == NGHTTP2_SETTINGS && overflows(h2, queued))
        return FS_E_H2_CONNECTION;
    return h2->error;
}

int fs_h2_next(fs_h2 *h2, fs_event *event)
{
    int result;

    event->kind = FS_EVENT_NONE;
    event->stream = NULL;
    for (;;) {
        if (h2->piece_of && !(h2->ready && h2->ready->flags & FS_H2_HAS_HEAD)) {
            tell_body(h2, event);
            return FS_OK;
        }
        if (tell_ready(h2, event))
            return FS_OK;
        if (h2->ready)
            continue; /* the stream had nothing more to tell */
        if (!h2->in_section && h2->arena)
            fs_h2_head_done(h2);
        if (h2->over || !h2->input_len) {
            h2->input_len = h2->over ? 0 : h2->input_len;
            return FS_OK;
        }
        result = read_frame(h2);
        if (result < 0) {
            fs_h2_fail(h2, result);
            return result;
        }
    }
}

/* ---- bytes out --------------------------------------------------------------------- */

int fs_h2_make_frames(fs_h2 *h2, uint64_t room)
{
    const uint8_t *p;
    ssize_t n;

    h2->framed = 0;
    if (h2->pumping)
        return FS_OK;
    h2->pumping = 1;
    while (h2->framed < room) {
        const uint64_t before = h2->framed;

        n = nghttp2_session_mem_send(h2->session, &p);
        if (n < 0 || (n && fs_h2_queue(h2, p, (size_t)n) < 0)) {
            h2->error = FS_E_NOMEM;
            break;
        }
        if (!n && h2->framed == before)
            break;
    }
    h2->pumping = 0;
    return h2->error == FS_E_NOMEM ? FS_E_NOMEM : FS_OK;
}

int fs_h2_pump(fs_h2 *h2, uint64_t room, uint64_t now)
{
    h2->now = now;
    fs_h2_resume_tunnels(h2);
    if (fs_h2_make_frames(h2, room) < 0)
        return FS_E_NOMEM;
    if (h2->error && !h2->over)
        fs_h2_fail(h2, h2->error);
    return h2->error == FS_E_NOMEM ? FS_E_NOMEM : FS_OK;
}

int fs_h2_wants_pump(const fs_h2 *h2)
{
    return h2->tunnels || nghttp2_session_want_write(h2->session);
}

/* ---- the end ------------------------------------------------------------------------- */

void fs_h2_fail(fs_h2 *h2, int error)
{
    h2->error = error;
    h2->over = 1;
    h2->input_len = 0;
    /* nghttp2 may already have queued a GOAWAY. If memory ran out it has not; we close anyway. */
    (void)nghttp2_session_terminate_session(h2->session, (uint32_t)fs_error_describe(error)->h2_code);
}

int fs_h2_drain(fs_h2 *h2, int final)
{
    int result = 0;

    if (h2->draining <= final && !h2->over) {
        h2->draining = final ? 2 : 1;
        result = final ? nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE,
                                               nghttp2_session_get_last_proc_stream_id(h2->session), NGHTTP2_NO_ERROR,
                                               NULL, 0)
                       : nghttp2_submit_shutdown_notice(h2->session);
    }
    return result < 0 ? FS_E_NOMEM : FS_OK;
}

int fs_h2_ping(fs_h2 *h2)
{
    h2->pinged = 1;
    return nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL) < 0 ? FS_E_NOMEM : FS_OK;
}

int fs_h2_must_close(const fs_h2 *h2)
{
    if (nghttp2_session_want_write(h2->session))
        return 0;
    return h2->over || (h2->draining == 2 && !h2->open) || !nghttp2_session_want_read(h2->session);
}
