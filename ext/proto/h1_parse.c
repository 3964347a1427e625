#include "h1_parse.h"

#include "h1_input.h"
#include "h1_state.h"
#include "method.h"

#include <string.h>

enum { VERSION_LEN = 3 }; /* "1.1", after "HTTP/" */

static fs_h1 *owner(llhttp_t *parser)
{
    return (fs_h1 *)((char *)parser - offsetof(fs_h1, parser));
}

/* Spans are not const to us: the buffer is (h1.h, feed). */
static char *writable(const char *at)
{
    return (char *)(uintptr_t)at;
}

static int stop(fs_h1 *h1, int error)
{
    h1->error = error;
    return HPE_USER;
}

/* ---- what llhttp calls ----------------------------------------------------
 * A span comes in pieces when the input does. The pieces lie in one run, so
 * each only makes the slice longer. */

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
    fs_h1 *h1 = owner(parser);

    if (!h1->target)
        h1->target = writable(at);
    h1->target_len += (uint32_t)n;
    return HPE_OK;
}

static int on_version(llhttp_t *parser, const char *at, size_t n)
{
    fs_h1 *h1 = owner(parser);

    if (!h1->version)
        h1->version = writable(at);
    h1->version_len = (uint8_t)(h1->version_len + n);
    return HPE_OK;
}

/* HTTP/1.2 and later count as the newest version that we know (RFC 9110 section 2.5). */
static int is_version_known(const llhttp_t *parser)
{
    return parser->http_major == 1;
}

/* The method at the beginning of the head, up to its space or to the longest method. */
static fs_slice method_of(const fs_h1 *h1, size_t have)
{
    const size_t n = have <= FS_METHOD_MAX ? have : FS_METHOD_MAX + 1;
    const char *space = memchr(h1->mark, ' ', n);

    return (fs_slice){h1->mark, space ? (size_t)(space - h1->mark) : n};
}

static int on_version_complete(llhttp_t *parser)
{
    fs_h1 *h1 = owner(parser);
    int result;

    if (!is_version_known(parser))
        return stop(h1, FS_E_VERSION);
    if (parser->method <= HTTP_PUT) /* DELETE, GET, HEAD, POST */
        return HPE_OK;
    result = fs_check_method(method_of(h1, (size_t)(h1->target - h1->mark)), h1->shared->limits);
    return result < 0 ? stop(h1, result) : HPE_OK;
}

static int begin_field(fs_h1 *h1, const char *at, size_t n)
{
    fs_field *field;

    if (h1->nfields >= h1->shared->limits->max_fields)
        return stop(h1, FS_E_TOO_MANY_FIELDS);
    field = fs_h1_new_field(h1);
    if (!field)
        return stop(h1, FS_E_NOMEM);
    field->name = at;
    field->name_len = (uint32_t)n;
    field->value = NULL;
    field->value_len = 0;
    return HPE_OK;
}

/* Whatever its name, a trailer field frames nothing (RFC 9110 section 6.5.1): llhttp must not see it. */
static void disarm_trailer(fs_h1 *h1, const char *at)
{
    h1->parser.flags = F_TRAILING;
    h1->parser.header_state = 0;
    if (!h1->mark)
        h1->mark = writable(at);
}

static int on_header_field(llhttp_t *parser, const char *at, size_t n)
{
    fs_h1 *h1 = owner(parser);

    if (__builtin_expect(parser->flags & F_TRAILING, 0))
        disarm_trailer(h1, at);
    if (h1->nfields && !(h1->flags & FS_H1_IN_VALUE)) {
        h1->fields[h1->nfields - 1].name_len += (uint32_t)n;
        return HPE_OK;
    }
    h1->flags &= ~(uint32_t)FS_H1_IN_VALUE;
    return begin_field(h1, at, n);
}

static int on_header_value(llhttp_t *parser, const char *at, size_t n)
{
    fs_h1 *h1 = owner(parser);
    fs_field *field = &h1->fields[h1->nfields - 1];

    if (!(h1->flags & FS_H1_IN_VALUE)) {
        h1->flags |= FS_H1_IN_VALUE;
        field->value = at;
    }
    field->value_len += (uint32_t)n;
    return HPE_OK;
}

/* A message without chunks ends here for llhttp: we answer "no body follows", and our own count takes over. */
static int on_headers_complete(llhttp_t *parser)
{
    return parser->flags & F_TRANSFER_ENCODING ? HPE_PAUSED : 1;
}

static int on_message_complete(llhttp_t *parser)
{
    owner(parser)->flags |= FS_H1_COMPLETE;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_version = on_version,
    .on_version_complete = on_version_complete,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_message_complete = on_message_complete,
};

/* ---- errors --------------------------------------------------------------- */

/* Restarts llhttp behind `method`, which is replaced by a method without meaning to it. */
static int begin_behind(fs_h1 *h1, fs_slice method)
{
    static const char plain[] = "POST ";
    const char *end = h1->input + h1->input_len;

    h1->input = h1->mark;
    fs_h1_parse_begin(h1);
    h1->input += method.n + 1;
    h1->input_len = (size_t)(end - h1->input);
    return llhttp_execute(&h1->parser, plain, sizeof plain - 1) == HPE_OK ? FS_OK : FS_E_INTERNAL;
}

/*
 * llhttp has a list of methods: it stops at the first byte that leads out of the
 * list, and at the version if the method is another protocol's (RTSP). Any token
 * is a method (RFC 9110 section 9.1), and may not be complete yet. FS_OK or FS_E_*.
 */
static int other_method(fs_h1 *h1)
{
    const size_t have = (size_t)(h1->input + h1->input_len - h1->mark);
    const fs_slice method = method_of(h1, have);
    int result;

    if (method.n < have || method.n > FS_METHOD_MAX) {
        result = fs_check_method(method, h1->shared->limits);
        return result < 0 ? result : begin_behind(h1, method);
    }
    if (!fs_is_token(method.p, method.n))
        return FS_E_BAD_METHOD;
    h1->flags |= FS_H1_METHOD_CUT;
    fs_h1_advance(h1, h1->input_len);
    return FS_OK;
}

static int after_request_line(const fs_h1 *h1)
{
    return h1->version_len == VERSION_LEN &&
           llhttp_get_error_pos(&h1->parser) - (h1->version + VERSION_LEN) > (ptrdiff_t)strlen("\r\n");
}

/* llhttp knows these methods, and refuses them once it sees "HTTP/". */
static int is_of_rtsp(const fs_h1 *h1)
{
    return h1->parser.method >= HTTP_DESCRIBE && h1->parser.method <= HTTP_FLUSH;
}

static int head_error(fs_h1 *h1, llhttp_errno_t error)
{
    if (h1->error)
        return h1->error; /* a callback's */
    switch (error) {
    case HPE_INVALID_METHOD:
        return other_method(h1);
    case HPE_INVALID_URL:
        return FS_E_BAD_TARGET;
    case HPE_INVALID_CONSTANT:
        return is_of_rtsp(h1) ? other_method(h1) : FS_E_BAD_REQUEST_LINE;
    case HPE_INVALID_VERSION:
        return h1->version_len == VERSION_LEN && !is_version_known(&h1->parser) ? FS_E_VERSION : FS_E_BAD_REQUEST_LINE;
    case HPE_INVALID_TRANSFER_ENCODING:
        return FS_E_BAD_FRAMING;
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return h1->parser.flags & F_TRANSFER_ENCODING ? FS_E_BAD_FRAMING : FS_E_BAD_LENGTH;
    default:
        return after_request_line(h1) ? FS_E_BAD_FIELD : FS_E_BAD_REQUEST_LINE;
    }
}

/* ---- driving it ------------------------------------------------------------ */

static llhttp_errno_t execute(fs_h1 *h1, size_t n)
{
    const llhttp_errno_t error = llhttp_execute(&h1->parser, h1->input, n);

    if (error == HPE_OK) {
        fs_h1_advance(h1, n);
    } else if (error == HPE_PAUSED) {
        fs_h1_advance(h1, (size_t)(llhttp_get_error_pos(&h1->parser) - h1->input));
        llhttp_resume(&h1->parser);
    }
    return error;
}

void fs_h1_parse_begin(fs_h1 *h1)
{
    llhttp_init(&h1->parser, HTTP_REQUEST, &settings);
    h1->parser.lenient_flags = LENIENT_VERSION; /* on_version_complete judges it */
    h1->flags &= FS_H1_OF_CONNECTION;
    h1->mark = h1->input;
    h1->target = h1->version = NULL;
    h1->target_len = 0;
    h1->version_len = 0;
    h1->fields = h1->shared->scratch;
    h1->nfields = 0;
}

/*
 * How many bytes may be parsed before a limit is reached: llhttp never sees more,
 * so that a refusal does not depend on how the bytes came. 0: it is reached.
 */
static size_t allowance(const fs_h1 *h1)
{
    const fs_limits *limits = h1->shared->limits;
    const size_t used = (size_t)(h1->input - h1->mark);
    size_t most = limits->max_head;

    if (h1->version_len < VERSION_LEN && limits->max_request_line < most)
        most = limits->max_request_line;
    return used < most ? most - used : 0;
}

static int limit_error(const fs_h1 *h1)
{
    return h1->version_len < VERSION_LEN ? FS_E_TARGET_TOO_LONG : FS_E_HEAD_TOO_LARGE;
}

/* 1: the head is complete. 0: more bytes are needed. */
static int parse_run(fs_h1 *h1)
{
    const size_t n = allowance(h1);
    llhttp_errno_t error;

    if (!n)
        return limit_error(h1);
    error = execute(h1, n < h1->input_len ? n : h1->input_len);
    if (error == HPE_OK)
        return 0;
    return error == HPE_PAUSED ? 1 : head_error(h1, error);
}

int fs_h1_parse_head(fs_h1 *h1)
{
    for (;;) {
        int result = h1->input_len ? 1 : fs_h1_pull(h1);

        if (result <= 0)
            return result;
        result = h1->flags & FS_H1_METHOD_CUT ? other_method(h1) : parse_run(h1);
        if (result)
            return result;
    }
}

/* Trailers have the limits of a head. */
static int trailers_fit(const fs_h1 *h1)
{
    return !h1->mark || (size_t)(h1->input - h1->mark) <= h1->shared->limits->max_head;
}

/* llhttp reads the trailer section, as after a last chunk of its own. */
static int begin_trailers(fs_h1 *h1)
{
    static const char last_chunk[] = "0\r\n";

    h1->parser.flags |= F_CHUNKED; /* llhttp looks for "chunked" in its own way; check_framing has found it */
    return llhttp_execute(&h1->parser, last_chunk, sizeof last_chunk - 1) == HPE_OK ? FS_OK : FS_E_INTERNAL;
}

static int parse_trailers(fs_h1 *h1)
{
    const llhttp_errno_t error = execute(h1, h1->input_len);

    if (error != HPE_OK && error != HPE_PAUSED)
        return h1->error ? h1->error : FS_E_BAD_TRAILER; /* a callback's, or its own */
    if (!trailers_fit(h1))
        return FS_E_HEAD_TOO_LARGE;
    return error == HPE_PAUSED;
}

static int take_data(fs_h1 *h1)
{
    const size_t n = h1->input_len < h1->chunked.left ? h1->input_len : (size_t)h1->chunked.left;

    h1->piece = (fs_slice){h1->input, n};
    fs_h1_advance(h1, n);
    h1->chunked.left -= n;
    h1->body_read += n;
    return 1;
}

static int read_framing(fs_h1 *h1)
{
    const fs_limits *limits = h1->shared->limits;
    size_t taken;
    const int result = fs_chunked_read(&h1->chunked, h1->input, h1->input_len, limits->max_chunk_extension, &taken);

    fs_h1_advance(h1, taken);
    switch (result) {
    case FS_CHUNKED_DATA:
        return limits->max_body && h1->chunked.left > limits->max_body - h1->body_read ? FS_E_BODY_TOO_LARGE : 0;
    case FS_CHUNKED_LAST:
        h1->flags |= FS_H1_IN_TRAILERS;
        return begin_trailers(h1);
    default:
        return result;
    }
}

int fs_h1_parse_chunked(fs_h1 *h1)
{
    h1->piece = (fs_slice){NULL, 0};
    for (;;) {
        int result = h1->input_len ? 1 : fs_h1_pull(h1);

        if (result <= 0)
            return result;
        if (h1->flags & FS_H1_IN_TRAILERS)
            result = parse_trailers(h1);
        else
            result = h1->chunked.left ? take_data(h1) : read_framing(h1);
        if (result)
            return result;
    }
}
