#include "h2.h"

#include "h2_guard.h"
#include "h2_state.h"
#include "h2_write.h"
#include "piece.h"
#include "refusal.h"
#include "response_fields.h"
#include "trailer.h"

#include "fields.h"

#include <string.h>

enum {
    OWN_FIELDS = 4,      /* :status, content-length, date, server */
    FRAME_HEAD = 9
};

static fs_h2_stream *owner(fs_stream *stream)
{
    return (fs_h2_stream *)stream; /* its first member */
}

int fs_h2_queue(fs_h2 *h2, const void *p, size_t n)
{
    h2->framed += n;
    return fs_queue_bytes(h2->sink, p, n);
}

/* ---- field sections ------------------------------------------------------------ */

/* A field section that is being assembled: in the worker's scratch memory, since nghttp2 copies it. */
typedef struct section {
    nghttp2_nv *nva;
    size_t n;
    char *names;         /* unknown names in lower case */
    char number[24];     /* content-length */
    char status[4];
} section;

static size_t count_lines(const fs_head_common *common)
{
    size_t lines = 0;

    for (size_t i = 0; i < common->extra_len; i++)
        lines += common->extra[i] == '\n';
    return lines;
}

/* Room for n fields and the server's own, and for the names. */
static int open_section(section *section, fs_h2_shared *shared, const fs_field *fields, uint32_t n)
{
    size_t names = 0, places = n + OWN_FIELDS + count_lines(shared->common), size;

    for (uint32_t i = 0; i < n; i++)
        names += fields[i].name_len;
    size = places * sizeof(nghttp2_nv) + names;
    if (size > shared->nva_size) {
        void *grown = shared->allocator->resize(shared->allocator->ctx, shared->nva, size);

        if (!grown)
            return FS_E_NOMEM;
        shared->nva = grown;
        shared->nva_size = size;
    }
    section->nva = shared->nva;
    section->n = 0;
    section->names = (char *)(section->nva + places);
    return FS_OK;
}

static void add(section *section, const char *name, size_t name_len, const char *value, size_t value_len, int is_static)
{
    /* nghttp2 writes to neither, although its type is not const. */
    section->nva[section->n++] = (nghttp2_nv){
        (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, name_len, value_len,
        is_static ? NGHTTP2_NV_FLAG_NO_COPY_NAME : NGHTTP2_NV_FLAG_NONE};
}

static int add_field(section *section, const fs_field *field, uint32_t id, fs_slice value)
{
    const char *name = section->names;
    size_t n = field->name_len;

    if (!fs_is_field_value(value.p, value.n))
        return FS_E_APP_FIELD_VALUE;
    if (id) {
        name = fs_field_name(id, &n);
    } else {
        char *end = fs_put_name(section->names, field, id);

        if (!end)
            return FS_E_APP_FIELD_NAME;
        section->names = end;
    }
    add(section, name, n, value.p, value.n, id != 0);
    return FS_OK;
}

static void add_status(section *section, int status)
{
    section->status[0] = (char)('0' + status / 100);
    section->status[1] = (char)('0' + status / 10 % 10);
    section->status[2] = (char)('0' + status % 10);
    add(section, ":status", 7, section->status, 3, 1);
}

static int add_fields(section *section, const fs_field *fields, uint32_t n, fs_said *said)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t id = fs_field_id(&fields[i]);
        const fs_slice value = fs_value_of(&fields[i]);
        int result = fs_intercept(said, id, value);

        if (result == 0)
            result = add_field(section, &fields[i], id, value);
        if (result < 0)
            return result;
    }
    return FS_OK;
}

static void add_line(section *section, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    const size_t name = (size_t)(colon - line);

    add(section, line, name, colon + 2, n - name - 4, 1); /* ": " and CRLF; the lines live as long as the worker */
}

static void add_common(section *section, const fs_head_common *common, const fs_said *said)
{
    if (!said->date && common->date_len)
        add_line(section, common->date, common->date_len);
    if (!said->server && common->server_len)
        add_line(section, common->server, common->server_len);
    for (size_t at = said->date ? common->own_date_len : 0; at < common->extra_len;) {
        const char *end = memchr(common->extra + at, '\n', common->extra_len - at);
        const size_t n = (size_t)(end - common->extra) + 1 - at;

        add_line(section, common->extra + at, n);
        at += n;
    }
}

/* ---- the body on its way ---------------------------------------------------------- */

static int submit_trailers(fs_h2_stream *stream);

ssize_t fs_h2_read_body(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t length, uint32_t *flags,
                        nghttp2_data_source *source, void *user_data)
{
    fs_h2_stream *stream = source->ptr;
    const uint64_t waiting = stream->body->size(stream->body);

    (void)session, (void)id, (void)buffer, (void)user_data;
    if (!waiting && !(stream->flags & FS_H2_ALL_GIVEN)) {
        stream->flags |= FS_H2_DEFERRED;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (waiting > length)
        return (ssize_t)length;
    if (!(stream->flags & FS_H2_ALL_GIVEN))
        return (ssize_t)waiting;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    stream->flags |= FS_H2_BODY_GONE;
    if (stream->flags & FS_H2_TRAILERS_DUE && (stream->trailers || stream->writing != FS_H2_WRITE_DONE)) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (stream->writing == FS_H2_WRITE_DONE && submit_trailers(stream) < 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)waiting;
}

int fs_h2_send_body(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
                    nghttp2_data_source *source, void *user_data)
{
    fs_h2_stream *stream = source->ptr;
    fs_h2 *h2 = stream->h2;

    (void)session, (void)frame, (void)user_data;
    if (fs_h2_queue(h2, head, FRAME_HEAD) < 0 || (length && stream->body->move(stream->body, h2->sink, length) < 0))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    h2->framed += length;
    stream->sent_at = h2->now;
    fs_h2_guard_sent(h2, length, stream->body->size(stream->body));
    return 0;
}

static void wake(fs_h2_stream *stream)
{
    if (stream->flags & FS_H2_DEFERRED) {
        stream->flags &= ~(uint32_t)FS_H2_DEFERRED;
        (void)nghttp2_session_resume_data(stream->h2->session, stream->id); /* fails only where the stream is gone */
    }
}

void fs_h2_resume_tunnels(fs_h2 *h2)
{
    if (!h2->tunnels)
        return;
    for (fs_h2_stream *stream = h2->streams; stream; stream = stream->next)
        if (stream->stream.head_sent && stream->flags & FS_H2_WEBSOCKET && stream->body->size(stream->body))
            wake(stream);
}

/* ---- interim responses -------------------------------------------------------------- */

static int submit_interim(fs_h2_stream *stream, int status, const fs_field *fields, uint32_t n)
{
    fs_said said = {.length = -1};
    section section;
    int result = open_section(&section, stream->h2->shared, fields, n);

    if (result < 0)
        return result;
    add_status(&section, status);
    if ((result = add_fields(&section, fields, n, &said)) < 0)
        return result;
    return nghttp2_submit_headers(stream->h2->session, NGHTTP2_FLAG_NONE, stream->id, NULL, section.nva, section.n,
                                  NULL) < 0
               ? FS_E_NOMEM
               : FS_OK;
}

static int op_proceed(fs_stream *s)
{
    fs_h2_stream *stream = owner(s);

    if (!(stream->flags & FS_H2_EXPECTS) || stream->writing != FS_H2_WRITE_HEAD || stream->flags & FS_H2_CLOSED)
        return FS_OK;
    stream->flags &= ~(uint32_t)FS_H2_EXPECTS;
    /* Once body bytes have come, 100 may be left out: RFC 9110 section 10.1.1. */
    return stream->received ? FS_OK : submit_interim(stream, 100, NULL, 0);
}

static int op_informational(fs_stream *s, int status, const fs_field *fields, uint32_t n)
{
    fs_h2_stream *stream = owner(s);

    if (stream->writing != FS_H2_WRITE_HEAD)
        return FS_E_APP_ORDER;
    if (status < 100 || status > 199 || status == 101)
        return FS_E_APP_STATUS;
    return stream->flags & FS_H2_CLOSED ? FS_OK : submit_interim(stream, status, fields, n);
}

/* ---- the final head -------------------------------------------------------------------- */

static int has_no_body(const fs_h2_stream *stream, int status)
{
    return stream->flags & FS_H2_IS_HEAD || status == 204 || status == 205 || status == 304;
}

/* The length that Content-Length announces, -1: none (RFC 9110 section 8.6). */
static int64_t length_of(const fs_h2_stream *stream, const fs_response_head *head, int64_t said)
{
    const int whole = head->flags & FS_RESPONSE_END && head->length <= INT64_MAX;

    if (head->status == 204)
        return -1;
    if (head->status == 205) /* RFC 9110 section 15.3.6 */
        return 0;
    if (said >= 0 || !whole || (head->status == 304 && has_no_body(stream, 304)))
        return said;
    return (int64_t)head->length;
}

static int submit(fs_h2_stream *stream, const section *section, int body)
{
    const nghttp2_data_provider provider = {.source = {.ptr = stream}, .read_callback = fs_h2_read_body};

    /* Fails only without memory: never called for a stream that is gone. */
    return nghttp2_submit_response(stream->h2->session, stream->id, section->nva, section->n, body ? &provider : NULL) < 0
               ? FS_E_NOMEM
               : FS_OK;
}

/* Nothing follows: the head itself carries END_STREAM, so no window is needed. */
static int is_empty(const fs_response_head *head, int64_t length)
{
    return head->flags & FS_RESPONSE_END && !(head->flags & FS_RESPONSE_TRAILERS) && !head->length && length <= 0;
}

static int op_head(fs_stream *s, const fs_response_head *head)
{
    fs_h2_stream *stream = owner(s);
    fs_h2_shared *shared = stream->h2->shared;
    fs_said said = {.length = -1};
    section section;
    int64_t length;
    int result, bodiless;

    if (stream->writing != FS_H2_WRITE_HEAD)
        return FS_E_APP_ORDER;
    if (head->status < 200 || head->status > 999)
        return FS_E_APP_STATUS;
    if ((result = open_section(&section, shared, head->fields, head->nfields)) < 0)
        return result;
    add_status(&section, head->status);
    if ((result = add_fields(&section, head->fields, head->nfields, &said)) < 0)
        return result;
    bodiless = has_no_body(stream, head->status);
    length = length_of(stream, head, said.length);
    if (length >= 0)
        add(&section, "content-length", 14, section.number, fs_decimal(section.number, (uint64_t)length), 1);
    add_common(&section, shared->common, &said);
    if (!(stream->flags & FS_H2_CLOSED) && submit(stream, &section, !bodiless && !is_empty(head, length)) < 0)
        return FS_E_NOMEM;
    s->head_sent = 1;
    s->status = (uint16_t)head->status;
    s->bodiless = (uint8_t)bodiless;
    stream->body_left = bodiless ? -1 : length;
    if (head->flags & FS_RESPONSE_TRAILERS && !bodiless)
        stream->flags |= FS_H2_TRAILERS_DUE;
    fs_h2_writing_on(stream, bodiless ? FS_H2_ON_BODILESS : FS_H2_ON_ANSWER);
    return FS_OK;
}

/* ---- the body ----------------------------------------------------------------------------- */

static int queue_piece(fs_h2_stream *stream, const fs_piece *piece)
{
    return stream->flags & FS_H2_CLOSED ? FS_OK : fs_queue_piece(&stream->body->sink, piece);
}

static void end_body(fs_h2_stream *stream)
{
    stream->flags |= FS_H2_ALL_GIVEN;
    if (stream->flags & FS_H2_TRAILERS_DUE) {
        fs_h2_writing_on(stream, FS_H2_ON_TRAILERS);
        stream->stream.trailers_pending = 1;
    } else {
        fs_h2_end_response(stream);
    }
}

/* Ends a body that contradicts its Content-Length, after the part that fits. */
static int wrong_length(fs_h2_stream *stream, int error)
{
    if (error == FS_E_APP_BODY_TOO_LONG) {
        stream->flags |= FS_H2_ALL_GIVEN;
        stream->flags &= ~(uint32_t)FS_H2_TRAILERS_DUE;
        fs_h2_end_response(stream);
    } else {
        fs_h2_reset(stream, error);
    }
    return error;
}

static int write_piece(fs_h2_stream *stream, const fs_piece *given, int end)
{
    fs_piece piece = *given;
    const int too_long = stream->body_left >= 0 && piece.n > (uint64_t)stream->body_left;

    if (too_long)
        piece.n = (uint64_t)stream->body_left;
    if (queue_piece(stream, &piece) < 0) {
        fs_h2_reset(stream, FS_E_NOMEM);
        return FS_E_NOMEM;
    }
    stream->stream.body_sent += piece.n;
    if (stream->body_left >= 0)
        stream->body_left -= (int64_t)piece.n;
    if (piece.n || end)
        wake(stream);
    if (too_long)
        return wrong_length(stream, FS_E_APP_BODY_TOO_LONG);
    if (!end)
        return FS_OK;
    if (stream->body_left > 0)
        return wrong_length(stream, FS_E_APP_BODY_TOO_SHORT);
    end_body(stream);
    return FS_OK;
}

static int write_body(fs_h2_stream *stream, const fs_piece *piece, int end)
{
    if (stream->writing == FS_H2_WRITE_BODY)
        return write_piece(stream, piece, end);
    if (stream->writing != FS_H2_WRITE_NO_BODY)
        return FS_E_APP_ORDER;
    if (end)
        fs_h2_end_response(stream);
    return FS_OK;
}

static int op_body(fs_stream *s, const char *p, size_t n, void *keeper, int end)
{
    const fs_piece piece = {.p = p ? p : "", .n = n, .owner = keeper};

    return write_body(owner(s), &piece, end);
}

static int op_file(fs_stream *s, int fd, int64_t offset, uint64_t n, void *keeper, int end)
{
    const fs_piece piece = {.fd = fd, .offset = offset, .n = n, .owner = keeper};

    return write_body(owner(s), &piece, end);
}

/* ---- trailers ------------------------------------------------------------------------------- */

/* Fields that wait for the body to leave, in one allocation: the head, the fields, their bytes. */
typedef struct kept_trailers {
    size_t size;
    uint32_t n;
    fs_field fields[];
} kept_trailers;

static int submit_trailers(fs_h2_stream *stream)
{
    const kept_trailers *kept = stream->trailers;
    fs_said said = {.length = -1};
    section section;
    int result = open_section(&section, stream->h2->shared, kept ? kept->fields : NULL, kept ? kept->n : 0);

    if (result < 0)
        return result;
    if (kept && (result = add_fields(&section, kept->fields, kept->n, &said)) < 0)
        return result;
    if (!section.n) { /* RFC 9113 section 8.1: END_STREAM can also be an empty DATA frame */
        const nghttp2_data_provider provider = {.source = {.ptr = stream}, .read_callback = fs_h2_read_body};

        stream->flags &= ~(uint32_t)FS_H2_TRAILERS_DUE;
        return nghttp2_submit_data(stream->h2->session, NGHTTP2_FLAG_END_STREAM, stream->id, &provider) < 0 ? FS_E_NOMEM
                                                                                                           : FS_OK;
    }
    return nghttp2_submit_trailer(stream->h2->session, stream->id, section.nva, section.n) < 0 ? FS_E_NOMEM : FS_OK;
}

static int check_trailers(const fs_field *fields, uint32_t n, size_t *bytes)
{
    *bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        const fs_slice value = fs_value_of(&fields[i]);

        if (!fs_is_token(fields[i].name, fields[i].name_len))
            return FS_E_APP_FIELD_NAME;
        if (fs_is_forbidden_trailer(fs_field_id(&fields[i]), fields[i].name, fields[i].name_len))
            return FS_E_APP_TRAILER;
        if (!fs_is_field_value(value.p, value.n))
            return FS_E_APP_FIELD_VALUE;
        *bytes += fields[i].name_len + (size_t)fields[i].value_len;
    }
    return FS_OK;
}

/* Adds copies to the fields that already wait. */
static int keep_trailers(fs_h2_stream *stream, const fs_field *fields, uint32_t n, size_t bytes)
{
    const fs_allocator *allocator = stream->h2->shared->allocator;
    const kept_trailers *old = stream->trailers;
    const uint32_t before = old ? old->n : 0;
    const size_t size = sizeof(kept_trailers) + (before + n) * sizeof *fields + (old ? old->size : 0) + bytes;
    kept_trailers *kept = allocator->resize(allocator->ctx, NULL, size);
    char *p;

    if (!kept)
        return FS_E_NOMEM;
    kept->n = before + n;
    p = (char *)(kept->fields + kept->n);
    for (uint32_t i = 0; i < kept->n; i++) {
        fs_field field = i < before ? old->fields[i] : fields[i - before];

        memcpy(p, field.name, field.name_len);
        field.name = p;
        p += field.name_len;
        memcpy(p, field.value, field.value_len);
        field.value = p;
        p += field.value_len;
        kept->fields[i] = field;
    }
    kept->size = (size_t)(p - (char *)(kept->fields + kept->n));
    if (stream->trailers)
        allocator->release(allocator->ctx, stream->trailers);
    stream->trailers = kept;
    return FS_OK;
}

static int op_trailers(fs_stream *s, const fs_field *fields, uint32_t n, int end)
{
    fs_h2_stream *stream = owner(s);
    size_t bytes;
    int result;

    if (stream->writing != FS_H2_WRITE_TRAILERS)
        return FS_E_APP_ORDER;
    if ((result = check_trailers(fields, n, &bytes)) < 0 || (n && (result = keep_trailers(stream, fields, n, bytes)) < 0))
        return result;
    if (!end)
        return FS_OK;
    fs_h2_end_response(stream);
    if (stream->flags & FS_H2_BODY_GONE && !(stream->flags & FS_H2_CLOSED))
        return submit_trailers(stream);
    wake(stream);
    return FS_OK;
}

/* ---- the end ---------------------------------------------------------------------------------- */

void fs_h2_reset(fs_h2_stream *stream, int error)
{
    /* What was given leaves first, as far as the windows are open: nghttp2 would drop it. */
    if (stream->stream.head_sent && !fs_error_is_peer(error) && error != FS_E_NOMEM)
        (void)fs_h2_make_frames(stream->h2, UINT64_MAX);
    if (!(stream->flags & FS_H2_CLOSED)) {
        if (!fs_error_is_peer(error))
            stream->flags |= FS_H2_ABORTED;
        /* Without memory the connection ends at its next pump. */
        if (nghttp2_submit_rst_stream(stream->h2->session, NGHTTP2_FLAG_NONE, stream->id, (uint32_t)fs_error_describe(error)->h2_code) < 0)
            stream->h2->error = FS_E_NOMEM;
    }
    stream->dropped += stream->body->size(stream->body);
    stream->body->clear(stream->body);
    fs_h2_end_response(stream);
}

static void op_abort(fs_stream *s, int error)
{
    fs_h2_stream *stream = owner(s);

    if (stream->writing == FS_H2_WRITE_TUNNEL && error == FS_OK) {
        stream->flags |= FS_H2_ALL_GIVEN;
        fs_h2_end_response(stream);
        wake(stream);
    } else if (stream->writing != FS_H2_WRITE_DONE) {
        fs_h2_reset(stream, error);
    }
}

static void op_consumed(fs_stream *s, size_t n)
{
    fs_h2_stream *stream = owner(s);

    stream->progress = stream->h2->now;
    if (!(stream->flags & FS_H2_CLOSED))
        (void)nghttp2_session_consume_stream(stream->h2->session, stream->id, n); /* without memory: at the next pump */
}

static int op_upgrade(fs_stream *s, const fs_field *fields, uint32_t n, fs_sink **tunnel)
{
    fs_h2_stream *stream = owner(s);
    fs_said said = {.length = -1};
    section section;
    int result;

    if (!(stream->flags & FS_H2_WEBSOCKET) || stream->writing != FS_H2_WRITE_HEAD)
        return FS_E_APP_ORDER;
    if ((result = open_section(&section, stream->h2->shared, fields, n)) < 0)
        return result;
    add_status(&section, 200);
    if ((result = add_fields(&section, fields, n, &said)) < 0)
        return result;
    add_common(&section, stream->h2->shared->common, &said);
    if (!(stream->flags & FS_H2_CLOSED) && submit(stream, &section, 1) < 0)
        return FS_E_NOMEM;
    s->head_sent = s->ended = 1; /* as HTTP, it is answered */
    s->status = 200;
    stream->h2->tunnels++;
    fs_h2_writing_on(stream, FS_H2_ON_TUNNEL);
    fs_h2_reading_on(stream, FS_H2_ON_UPGRADE);
    *tunnel = &stream->body->sink;
    return FS_OK;
}

const fs_stream_ops fs_h2_ops = {
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

/* ---- refusal -------------------------------------------------------------------------------------- */

void fs_h2_refuse(fs_h2_stream *stream, int error)
{
    fs_h2_reading_on(stream, FS_H2_ON_IGNORE);
    if (fs_error_describe(error)->status && stream->writing == FS_H2_WRITE_HEAD &&
        fs_answer_error(&stream->stream, error) == FS_OK)
        return;
    if (stream->writing != FS_H2_WRITE_DONE)
        fs_h2_reset(stream, error);
}
