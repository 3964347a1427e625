#include "h1_write.h"

#include "fields.h"
#include "h1_head.h"
#include "h1_state.h"
#include "piece.h"
#include "refusal.h"

#include <string.h>

static fs_h1 *owner(fs_stream *stream)
{
    return (fs_h1 *)stream; /* its first member */
}

/* ---- interim responses -------------------------------------------------------- */

static int op_proceed(fs_stream *stream)
{
    fs_h1 *h1 = owner(stream);

    if (!(h1->flags & FS_H1_EXPECTS) || h1->writing != FS_H1_WRITE_HEAD || h1->reading != FS_H1_READ_BODY)
        return FS_OK;
    /* Once body bytes have come, 100 may be left out: RFC 9110 section 10.1.1. */
    if (!h1->body_read && !fs_h1_unread(h1) && fs_queue_bytes(h1->sink, FS_H1_LINE("HTTP/1.1 100 Continue\r\n\r\n")) < 0)
        return FS_E_NOMEM;
    h1->flags &= ~(uint32_t)FS_H1_EXPECTS;
    return FS_OK;
}

static int op_informational(fs_stream *stream, int status, const fs_field *fields, uint32_t n)
{
    fs_h1 *h1 = owner(stream);
    fs_h1_draft draft;
    int result;

    if (h1->writing != FS_H1_WRITE_HEAD)
        return FS_E_APP_ORDER;
    if (status < 100 || status > 199 || status == 101)
        return FS_E_APP_STATUS;
    if (h1->flags & FS_H1_HTTP_1_0)
        return FS_OK;
    result = fs_h1_draft_begin(&draft, h1, status, (fs_slice){"", 0}, fields, n);
    if (result < 0 || (result = fs_h1_draft_fields(&draft, fields, n)) < 0)
        return result;
    fs_h1_draft_commit(&draft, h1);
    return FS_OK;
}

/* ---- the final head ------------------------------------------------------------- */

static int has_no_body(const fs_h1 *h1, int status)
{
    return h1->flags & FS_H1_IS_HEAD || status == 204 || status == 205 || status == 304;
}

static int wants_trailers(const fs_h1 *h1, const fs_response_head *head)
{
    return head->flags & FS_RESPONSE_TRAILERS && h1->flags & FS_H1_TE_TRAILERS && !(h1->flags & FS_H1_HTTP_1_0);
}

/* How the body is framed (RFC 9112 section 6.3); *length: the length to announce, -1: none. */
static fs_h1_writing_input choose_framing(const fs_h1 *h1, const fs_response_head *head, int64_t said, int64_t *length)
{
    const int whole = head->flags & FS_RESPONSE_END && head->length <= INT64_MAX;

    *length = said;
    if (has_no_body(h1, head->status)) {
        if (head->status == 204)
            *length = -1; /* RFC 9110 section 8.6 */
        else if (head->status == 205)
            *length = 0; /* RFC 9110 section 15.3.6, whatever the application says */
        else if (said < 0 && whole && head->status != 304)
            *length = (int64_t)head->length;
        return FS_H1_ON_NO_BODY;
    }
    if (said >= 0)
        return FS_H1_ON_LENGTH;
    if (whole && !wants_trailers(h1, head)) {
        *length = (int64_t)head->length;
        return FS_H1_ON_LENGTH;
    }
    return h1->flags & FS_H1_HTTP_1_0 ? FS_H1_ON_CLOSE : FS_H1_ON_CHUNKED;
}

/* Whether this answer is complete before a body that is too large to discard, or that waits for its 100. */
static int leaves_body_unread(const fs_h1 *h1, const fs_response_head *head)
{
    if (h1->reading != FS_H1_READ_BODY)
        return 0;
    if (h1->flags & FS_H1_EXPECTS)
        return 1;
    return head->flags & FS_RESPONSE_END && h1->body_wanted > h1->shared->limits->max_skip;
}

/* A worker that stops still answers what had arrived: the last of the pipelined answers says close. */
static int is_last(const fs_h1 *h1)
{
    return h1->shared->draining && fs_h1_unread(h1) == 0;
}

static int closes_after(const fs_h1 *h1, const fs_response_head *head, const fs_said *said,
                        fs_h1_writing_input framing)
{
    return h1->keep != FS_H1_KEEP_OPEN || said->close || is_last(h1) || framing == FS_H1_ON_CLOSE ||
           leaves_body_unread(h1, head);
}

static void finish_head(fs_h1_draft *draft, fs_h1 *h1, fs_h1_writing_input framing, int64_t length, int closes)
{
    if (length >= 0)
        fs_h1_draft_length(draft, (uint64_t)length);
    else if (framing == FS_H1_ON_CHUNKED)
        fs_h1_draft_line(draft, FS_H1_LINE("transfer-encoding: chunked\r\n"));
    if (closes)
        fs_h1_draft_line(draft, FS_H1_LINE("connection: close\r\n"));
    else if (h1->flags & FS_H1_HTTP_1_0)
        fs_h1_draft_line(draft, FS_H1_LINE("connection: keep-alive\r\n"));
    fs_h1_draft_common(draft, h1->shared->common);
    fs_h1_draft_commit(draft, h1);
}

static void head_has_gone(fs_h1 *h1, int status, fs_h1_writing_input framing, int64_t length)
{
    h1->stream.head_sent = 1;
    h1->stream.status = (uint16_t)status;
    h1->stream.bodiless = framing == FS_H1_ON_NO_BODY;
    h1->body_left = framing == FS_H1_ON_LENGTH ? (uint64_t)length : 0;
    fs_h1_writing_on(h1, framing);
}

static int op_head(fs_stream *stream, const fs_response_head *head)
{
    fs_h1 *h1 = owner(stream);
    fs_h1_writing_input framing;
    fs_h1_draft draft;
    int64_t length;
    int result, closes;

    if (h1->writing != FS_H1_WRITE_HEAD)
        return FS_E_APP_ORDER;
    if (head->status < 200 || head->status > 999)
        return FS_E_APP_STATUS;
    result = fs_h1_draft_begin(&draft, h1, head->status, head->reason, head->fields, head->nfields);
    if (result < 0 || (result = fs_h1_draft_fields(&draft, head->fields, head->nfields)) < 0)
        return result;
    if (head->status == 426 && h1->flags & FS_H1_WEBSOCKET) /* RFC 9110 section 15.5.22 */
        fs_h1_draft_line(&draft, FS_H1_LINE("upgrade: websocket\r\n"));
    framing = choose_framing(h1, head, draft.said.length, &length);
    closes = closes_after(h1, head, &draft.said, framing);
    finish_head(&draft, h1, framing, length, closes);
    if (closes)
        fs_h1_keep_on(h1, FS_H1_ON_LAST);
    if (framing == FS_H1_ON_CHUNKED && wants_trailers(h1, head))
        h1->flags |= FS_H1_TRAILERS_DUE;
    head_has_gone(h1, head->status, framing, length);
    return FS_OK;
}

/* ---- the body --------------------------------------------------------------------- */

/* Queued bytes cannot be taken back: the response is broken. */
static int no_memory(fs_h1 *h1)
{
    fs_h1_break_response(h1);
    return FS_E_NOMEM;
}

static int write_what_fits(fs_h1 *h1, const fs_piece *given)
{
    fs_piece piece = *given;

    piece.n = h1->body_left;
    if (fs_queue_piece(h1->sink, &piece) < 0)
        return no_memory(h1);
    h1->stream.body_sent += piece.n;
    h1->body_left = 0;
    fs_h1_keep_on(h1, FS_H1_ON_LAST);
    fs_h1_end_response(h1);
    return FS_E_APP_BODY_TOO_LONG;
}

static int write_counted(fs_h1 *h1, const fs_piece *piece, int end)
{
    if (piece->n > h1->body_left)
        return write_what_fits(h1, piece);
    if (fs_queue_piece(h1->sink, piece) < 0)
        return no_memory(h1);
    h1->body_left -= piece->n;
    h1->stream.body_sent += piece->n;
    if (!end)
        return FS_OK;
    if (h1->body_left) {
        fs_h1_break_response(h1);
        return FS_E_APP_BODY_TOO_SHORT;
    }
    fs_h1_end_response(h1);
    return FS_OK;
}

static int write_until_close(fs_h1 *h1, const fs_piece *piece, int end)
{
    if (fs_queue_piece(h1->sink, piece) < 0)
        return no_memory(h1);
    h1->stream.body_sent += piece->n;
    if (end)
        fs_h1_end_response(h1);
    return FS_OK;
}

static int write_nowhere(fs_h1 *h1, const fs_piece *piece, int end)
{
    (void)piece;
    if (end)
        fs_h1_end_response(h1);
    return FS_OK;
}

enum { PREFIX_MAX = 18 };

/* A whole chunk in one run of memory, and the last chunk if it follows. */
static int queue_small_chunk(fs_h1 *h1, const fs_piece *piece, fs_slice after)
{
    char *start = h1->sink->reserve(h1->sink, PREFIX_MAX + (size_t)piece->n + after.n);
    char *p = start;

    if (!start)
        return FS_E_NOMEM;
    p += fs_chunk_prefix(p, piece->n);
    memcpy(p, piece->p, (size_t)piece->n);
    p += piece->n;
    memcpy(p, after.p, after.n);
    h1->sink->commit(h1->sink, (size_t)(p - start) + after.n);
    return FS_OK;
}

static int queue_chunk(fs_h1 *h1, const fs_piece *piece, fs_slice after)
{
    char prefix[PREFIX_MAX];

    if (fs_piece_is_copied(piece))
        return queue_small_chunk(h1, piece, after);
    if (fs_queue_bytes(h1->sink, prefix, fs_chunk_prefix(prefix, piece->n)) < 0 || fs_queue_piece(h1->sink, piece) < 0)
        return FS_E_NOMEM;
    return fs_queue_bytes(h1->sink, after.p, after.n);
}

static int write_chunk(fs_h1 *h1, const fs_piece *piece, int end)
{
    const int last = end && !(h1->flags & FS_H1_TRAILERS_DUE);
    const fs_slice tail = last ? FS_H1_SLICE("\r\n0\r\n\r\n") : FS_H1_SLICE("\r\n");
    int result = FS_OK;

    if (piece->n)
        result = queue_chunk(h1, piece, tail);
    else if (last)
        result = fs_queue_bytes(h1->sink, FS_H1_LINE("0\r\n\r\n"));
    if (result < 0)
        return no_memory(h1);
    h1->stream.body_sent += piece->n;
    if (last) {
        fs_h1_end_response(h1);
    } else if (end) {
        fs_h1_writing_on(h1, FS_H1_ON_TRAILERS);
        h1->stream.trailers_pending = 1;
    }
    return FS_OK;
}

static int write_out_of_order(fs_h1 *h1, const fs_piece *piece, int end)
{
    (void)h1;
    (void)piece;
    (void)end;
    return FS_E_APP_ORDER;
}

typedef int (*writer)(fs_h1 *h1, const fs_piece *piece, int end);

static const writer WRITERS[] = {
    [FS_H1_WRITE_IDLE] = write_out_of_order,
    [FS_H1_WRITE_HEAD] = write_out_of_order,
    [FS_H1_WRITE_LENGTH] = write_counted,
    [FS_H1_WRITE_CHUNKED] = write_chunk,
    [FS_H1_WRITE_CLOSE] = write_until_close,
    [FS_H1_WRITE_NO_BODY] = write_nowhere,
    [FS_H1_WRITE_TRAILERS] = write_out_of_order,
    [FS_H1_WRITE_BROKEN] = write_out_of_order,
};

static int op_body(fs_stream *stream, const char *p, size_t n, void *keeper, int end)
{
    fs_h1 *h1 = owner(stream);
    const fs_piece piece = {.p = p ? p : "", .n = n, .owner = keeper};

    return WRITERS[h1->writing](h1, &piece, end);
}

static int op_file(fs_stream *stream, int fd, int64_t offset, uint64_t n, void *keeper, int end)
{
    fs_h1 *h1 = owner(stream);
    const fs_piece piece = {.fd = fd, .offset = offset, .n = n, .owner = keeper};

    return WRITERS[h1->writing](h1, &piece, end);
}

/* ---- the end ------------------------------------------------------------------------ */

static int op_trailers(fs_stream *stream, const fs_field *fields, uint32_t n, int end)
{
    fs_h1 *h1 = owner(stream);
    const fs_slice none = {"", 0};
    int result;

    if (h1->writing != FS_H1_WRITE_TRAILERS)
        return FS_E_APP_ORDER;
    result = fs_h1_put_trailers(h1, h1->flags & FS_H1_LAST_CHUNK ? none : FS_H1_SLICE("0\r\n"), fields, n,
                                end ? FS_H1_SLICE("\r\n") : none);
    if (result < 0)
        return result == FS_E_NOMEM ? no_memory(h1) : result;
    h1->flags |= FS_H1_LAST_CHUNK;
    if (end)
        fs_h1_end_response(h1);
    return FS_OK;
}

static void op_abort(fs_stream *stream, int error)
{
    fs_h1 *h1 = owner(stream);

    (void)error; /* HTTP/1 has no code to send */
    if (!stream->ended)
        fs_h1_break_response(h1);
    else if (h1->reading == FS_H1_READ_TUNNEL)
        fs_h1_end_tunnel(h1);
}

/* The kernel does the flow control here: whoever has too much does not receive. */
static void op_consumed(fs_stream *stream, size_t n)
{
    (void)stream;
    (void)n;
}

/* ---- upgrade and refusal --------------------------------------------------------------- */

int fs_h1_upgrade(fs_h1 *h1, const fs_field *fields, uint32_t n)
{
    fs_h1_draft draft;
    int result;

    if (!(h1->flags & FS_H1_WEBSOCKET) || h1->writing != FS_H1_WRITE_HEAD || h1->reading != FS_H1_READ_DONE)
        return FS_E_APP_ORDER;
    result = fs_h1_draft_begin(&draft, h1, 101, (fs_slice){"", 0}, fields, n);
    if (result < 0)
        return result;
    fs_h1_draft_line(&draft, FS_H1_LINE("upgrade: websocket\r\nconnection: Upgrade\r\n"));
    if ((result = fs_h1_draft_fields(&draft, fields, n)) < 0)
        return result;
    fs_h1_draft_common(&draft, h1->shared->common);
    fs_h1_draft_commit(&draft, h1);
    h1->stream.head_sent = h1->stream.ended = 1;
    h1->stream.status = 101;
    fs_h1_writing_on(h1, FS_H1_ON_END);
    fs_h1_reading_on(h1, FS_H1_ON_UPGRADE);
    return FS_OK;
}

static int op_upgrade(fs_stream *s, const fs_field *fields, uint32_t n, fs_sink **tunnel)
{
    fs_h1 *h1 = owner(s);

    *tunnel = h1->sink;
    return fs_h1_upgrade(h1, fields, n);
}

const fs_stream_ops fs_h1_ops = {
    .proceed = op_proceed,
    .informational = op_informational,
    .head = op_head,
    .body = op_body,
    .file = op_file,
    .trailers = op_trailers,
    .abort = op_abort,
    .consumed = op_consumed,
    .upgrade = op_upgrade,
};

int fs_h1_refuse(fs_h1 *h1, int error)
{
    const int status = fs_error_describe(error)->status;
    int result = FS_OK;

    if (h1->reading != FS_H1_READ_DISCARD)
        fs_h1_fail(h1, error);
    if (h1->writing == FS_H1_WRITE_IDLE && h1->keep != FS_H1_KEEP_CLOSED && !(h1->flags & FS_H1_ANSWERED))
        fs_h1_open_stream(h1);
    if (status && h1->writing == FS_H1_WRITE_HEAD)
        result = fs_answer_error(&h1->stream, error);
    if (h1->writing != FS_H1_WRITE_IDLE && h1->writing != FS_H1_WRITE_BROKEN)
        fs_h1_break_response(h1);
    fs_h1_close_now(h1);
    return result;
}
