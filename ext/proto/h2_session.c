#include "h2.h"

#include "h2_guard.h"
#include "h2_head.h"
#include "h2_session.h"
#include "h2_state.h"
#include "h2_write.h"

#include <string.h>

/* nghttp2's own limit of resets is below ours and reports an internal error; its limit of CONTINUATION frames counts
 * how often it is fed, while h2_guard.c counts the frames. Older versions have neither. */
void nghttp2_option_set_stream_reset_rate_limit(nghttp2_option *option, uint64_t burst, uint64_t rate)
    __attribute__((weak));
void nghttp2_option_set_max_continuations(nghttp2_option *option, size_t count) __attribute__((weak));

enum {
    NO_LIMIT = 1 << 30,
    LARGEST_ANSWER_HEAD = 16 << 20 /* nghttp2's 64 KiB are less than applications send; memory is taken as needed */
};

static fs_h2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* ---- field sections ------------------------------------------------------------ */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    fs_h2 *h2 = user_data;
    fs_h2_stream *stream;

    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    if (fs_h2_head_begin(h2) < 0)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    h2->in_section = 1;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    stream = fs_h2_open_stream(h2, frame->hd.stream_id);
    if (!stream)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    stream->stream.ops = &fs_h2_ops;
    if (nghttp2_session_set_stream_user_data(session, stream->id, stream) < 0) {
        fs_h2_free_stream(stream);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *user_data)
{
    fs_h2 *h2 = user_data;

    (void)session, (void)frame, (void)flags;
    if (fs_h2_head_add(h2, (const char *)name, name_len, (const char *)value, value_len) < 0)
        h2->error = FS_E_H2_FLOOD;
    return 0;
}

/* nghttp2 would drop the field; by RFC 9113 section 8.2.1 the message is refused. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                             size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user_data)
{
    (void)session, (void)frame, (void)name, (void)name_len, (void)value, (void)value_len, (void)flags, (void)user_data;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* ---- frames ------------------------------------------------------------------------ */

static void end_of_stream(fs_h2_stream *stream, uint32_t trailers)
{
    if (stream->reading == FS_H2_READ_BODY || stream->reading == FS_H2_READ_TUNNEL)
        fs_h2_tell(stream, FS_H2_HAS_END | trailers);
    if (stream->reading != FS_H2_READ_HEAD)
        fs_h2_reading_on(stream, FS_H2_ON_LAST);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    fs_h2 *h2 = user_data;
    fs_h2_stream *stream = frame->hd.stream_id ? stream_of(session, frame->hd.stream_id) : NULL;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        h2->in_section = 0;
        if (stream && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            fs_h2_tell(stream, FS_H2_HAS_HEAD | (frame->hd.flags & NGHTTP2_FLAG_END_STREAM ? FS_H2_HAS_END : 0));
        else if (stream && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
            end_of_stream(stream, FS_H2_HAS_TRAILERS);
        break;
    case NGHTTP2_DATA:
        if (stream && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
            end_of_stream(stream, 0);
        break;
    case NGHTTP2_RST_STREAM:
        if (stream)
            stream->flags |= FS_H2_PEER_RESET;
        break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            h2->pinged = 0;
        break;
    default:
        break;
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t n, void *user_data)
{
    fs_h2 *h2 = user_data;
    fs_h2_stream *stream = stream_of(session, id);
    const int taken = stream && (stream->reading == FS_H2_READ_BODY || stream->reading == FS_H2_READ_TUNNEL);

    (void)flags;
    if (taken && !h2->carries) /* the first of this frame */
        fs_h2_guard_carried(h2);
    h2->carries = 1;
    /* The connection's window only limits what is in transit: the streams' windows bound what is kept, so that a
     * stream whose application is slow does not hold up the others. */
    if (nghttp2_session_consume_connection(session, n) < 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (!stream)
        return 0;
    stream->received += n;
    stream->progress = h2->now;
    if (taken) {
        h2->piece = (fs_slice){(const char *)data, n};
        h2->piece_of = stream;
        return 0;
    }
    stream->discarded += n;
    /* RFC 9113 section 8.1: once the answer is complete, and has left, the client may be told to stop. */
    if (stream->discarded > h2->shared->limits->max_skip && nghttp2_session_get_stream_local_close(session, id) == 1)
        return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR) < 0 ? NGHTTP2_ERR_NOMEM : 0;
    return nghttp2_session_consume_stream(session, id, n) < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user_data)
{
    fs_h2 *h2 = user_data;
    fs_h2_stream *stream;

    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        stream = stream_of(session, frame->hd.stream_id);
        if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR && !(stream && stream->flags & FS_H2_ABORTED) &&
            fs_h2_guard_reset(h2) < 0 && !h2->error)
            h2->error = FS_E_H2_FLOOD;
    } else if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR && !h2->error) {
        h2->error = FS_E_H2_CONNECTION;
    }
    return 0;
}

/* A head that cannot be sent. If its stream is closing, that is known already. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user_data)
{
    fs_h2_stream *stream = frame->hd.type == NGHTTP2_HEADERS ? stream_of(session, frame->hd.stream_id) : NULL;

    (void)user_data;
    if (!stream || (error != NGHTTP2_ERR_FRAME_SIZE_ERROR && error != NGHTTP2_ERR_HEADER_COMP))
        return 0;
    stream->flags |= FS_H2_ABORTED;
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_INTERNAL_ERROR) < 0
               ? NGHTTP2_ERR_CALLBACK_FAILURE
               : 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user_data)
{
    fs_h2 *h2 = user_data;
    fs_h2_stream *stream = stream_of(session, id);

    (void)code;
    if (!stream)
        return 0;
    stream->flags |= FS_H2_CLOSED;
    stream->flags &= ~(uint32_t)FS_H2_DEFERRED;
    h2->closed++;
    if (h2->piece_of == stream && stream->flags & FS_H2_PEER_RESET)
        h2->piece_of = NULL;
    if (stream->writing != FS_H2_WRITE_DONE) {
        stream->error = stream->flags & FS_H2_PEER_RESET ? FS_E_PEER_GONE : FS_E_H2_MALFORMED;
        fs_h2_tell(stream, FS_H2_HAS_RESET);
    }
    stream->dropped += stream->body->size(stream->body);
    stream->body->clear(stream->body);
    return 0;
}

/* ---- the start ------------------------------------------------------------------------ */

int fs_h2_session_options(fs_h2_shared *shared)
{
    nghttp2_session_callbacks *callbacks;

    if (nghttp2_option_new(&shared->option) < 0 || nghttp2_session_callbacks_new(&shared->callbacks) < 0)
        return FS_E_NOMEM;
    nghttp2_option_set_no_auto_window_update(shared->option, 1);
    nghttp2_option_set_max_send_header_block_length(shared->option, LARGEST_ANSWER_HEAD);
    if (nghttp2_option_set_stream_reset_rate_limit)
        nghttp2_option_set_stream_reset_rate_limit(shared->option, NO_LIMIT, NO_LIMIT);
    if (nghttp2_option_set_max_continuations)
        nghttp2_option_set_max_continuations(shared->option, NO_LIMIT);
    callbacks = shared->callbacks;
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, fs_h2_send_body);
    return FS_OK;
}

static void *mem_malloc(size_t n, void *ctx)
{
    const fs_allocator *allocator = ctx;

    return allocator->resize(allocator->ctx, NULL, n ? n : 1);
}

static void mem_free(void *p, void *ctx)
{
    const fs_allocator *allocator = ctx;

    if (p)
        allocator->release(allocator->ctx, p);
}

static void *mem_calloc(size_t count, size_t n, void *ctx)
{
    void *p = n && count > SIZE_MAX / n ? NULL : mem_malloc(count * n, ctx);

    return p ? memset(p, 0, count * n) : NULL;
}

static void *mem_realloc(void *p, size_t n, void *ctx)
{
    const fs_allocator *allocator = ctx;

    return allocator->resize(allocator->ctx, p, n ? n : 1);
}

int fs_h2_session_open(fs_h2 *h2)
{
    const fs_h2_shared *shared = h2->shared;
    const fs_limits *limits = shared->limits;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->h2_max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->h2_stream_window},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, limits->h2_max_frame_size},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->h2_max_header_list},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
    };
    const size_t n = sizeof settings / sizeof *settings - (shared->tunnels ? 0 : 1);
    nghttp2_mem mem = {(void *)(uintptr_t)shared->allocator, mem_malloc, mem_free, mem_calloc, mem_realloc};

    if (nghttp2_session_server_new3(&h2->session, shared->callbacks, h2, shared->option, &mem) < 0)
        return FS_E_NOMEM;
    if (nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, n) < 0 ||
        nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                              (int32_t)limits->h2_connection_window) < 0)
        return FS_E_NOMEM;
    return FS_OK;
}
