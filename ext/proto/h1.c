#include "h1.h"

#include "h1_check.h"
#include "h1_input.h"
#include "h1_parse.h"
#include "h1_state.h"
#include "h1_write.h"

enum { BLANK_MAX = 64 }; /* bytes of empty lines before a request line: RFC 9112 section 2.2 asks for one line */

/* ---- life ------------------------------------------------------------------ */

int fs_h1_shared_init(fs_h1_shared *shared, const fs_limits *limits,
                      const fs_allocator *allocator, fs_head_common *common)
{
    const size_t fields = (size_t)limits->max_fields + 1;

    *shared = (fs_h1_shared){.limits = limits, .allocator = allocator, .common = common};
    shared->scratch = allocator->resize(allocator->ctx, NULL, fields * sizeof *shared->scratch);
    return shared->scratch ? FS_OK : FS_E_NOMEM;
}

void fs_h1_shared_free(fs_h1_shared *shared)
{
    if (shared->scratch)
        shared->allocator->release(shared->allocator->ctx, shared->scratch);
    shared->scratch = NULL;
}

void fs_h1_init(fs_h1 *h1, fs_h1_shared *shared, fs_sink *sink)
{
    *h1 = (fs_h1){.stream = {.ops = &fs_h1_ops}, .shared = shared, .sink = sink, .fields = shared->scratch};
    fs_h1_start(h1);
}

void fs_h1_free(fs_h1 *h1)
{
    fs_h1_store_free(h1);
}

/* ---- one reader for each state ---------------------------------------------
 * 1: go on, with the event if there is one. 0: nothing more for now. */

typedef int (*reader)(fs_h1 *h1, fs_event *event);

static int is_line_end(char c)
{
    return c == '\r' || c == '\n';
}

static int read_idle(fs_h1 *h1, fs_event *event)
{
    const int pulled = h1->input_len ? 1 : fs_h1_pull(h1);

    (void)event;
    if (pulled <= 0)
        return pulled;
    while (h1->input_len && is_line_end(*h1->input)) {
        fs_h1_advance(h1, 1);
        if (++h1->blank > BLANK_MAX)
            return FS_E_BAD_REQUEST_LINE;
    }
    if (h1->input_len) {
        h1->blank = 0;
        fs_h1_parse_begin(h1);
        fs_h1_reading_on(h1, FS_H1_ON_FIRST_BYTE);
    }
    return 1;
}

static int read_head(fs_h1 *h1, fs_event *event)
{
    int result = fs_h1_parse_head(h1);

    if (result <= 0)
        return result;
    h1->requests++;
    result = fs_h1_check_head(h1, &event->head);
    if (result < 0)
        return result;
    h1->mark = NULL;
    h1->fields = h1->shared->scratch;
    h1->nfields = 0;
    h1->body_read = h1->skipped = 0;
    fs_chunked_begin(&h1->chunked);
    fs_h1_reading_on(h1, event->head.flags & FS_HEAD_END ? FS_H1_ON_MESSAGE : FS_H1_ON_BODY);
    fs_h1_open_stream(h1);
    event->kind = FS_EVENT_HEAD;
    return 1;
}

static int read_counted(fs_h1 *h1, fs_event *event)
{
    const int pulled = h1->input_len ? 1 : fs_h1_pull(h1);
    size_t n = h1->input_len;

    if (pulled <= 0)
        return pulled;
    if (n > h1->body_wanted)
        n = (size_t)h1->body_wanted;
    event->kind = FS_EVENT_BODY;
    event->data = (fs_slice){h1->input, n};
    fs_h1_advance(h1, n);
    h1->body_read += n;
    h1->body_wanted -= n;
    event->end = !h1->body_wanted;
    return 1;
}

static int read_chunked(fs_h1 *h1, fs_event *event)
{
    const int result = fs_h1_parse_chunked(h1);

    if (result <= 0)
        return result;
    if (h1->piece.n) {
        event->kind = FS_EVENT_BODY;
        event->data = h1->piece;
        event->end = 0;
        return 1;
    }
    fs_h1_check_trailers(h1);
    h1->mark = NULL;
    event->kind = FS_EVENT_END;
    event->trailers = h1->fields;
    event->ntrailers = h1->nfields;
    return 1;
}

static int ends_message(const fs_event *event)
{
    return event->kind == FS_EVENT_END || (event->kind == FS_EVENT_BODY && event->end);
}

static int read_body(fs_h1 *h1, fs_event *event)
{
    const int result = h1->flags & FS_H1_CHUNKED_BODY ? read_chunked(h1, event) : read_counted(h1, event);

    if (result > 0 && ends_message(event))
        fs_h1_reading_on(h1, FS_H1_ON_MESSAGE);
    return result;
}

/* The rest of a body whose answer is complete. */
static int read_skip(fs_h1 *h1, fs_event *event)
{
    const int result = read_body(h1, event);

    if (result <= 0)
        return result;
    if (event->kind == FS_EVENT_BODY)
        h1->skipped += event->data.n;
    event->kind = FS_EVENT_NONE;
    if (h1->skipped > h1->shared->limits->max_skip) {
        h1->flags |= FS_H1_LINGER;
        fs_h1_close_now(h1);
        return 0;
    }
    return 1;
}

static int read_tunnel(fs_h1 *h1, fs_event *event)
{
    const int pulled = h1->input_len ? 1 : fs_h1_pull(h1);

    if (pulled <= 0)
        return pulled;
    event->kind = FS_EVENT_DATA;
    event->data = (fs_slice){h1->input, h1->input_len};
    fs_h1_advance(h1, h1->input_len);
    return 1;
}

static int read_nothing(fs_h1 *h1, fs_event *event)
{
    (void)h1;
    (void)event;
    return 0;
}

static const reader READERS[] = {
    [FS_H1_READ_IDLE] = read_idle,
    [FS_H1_READ_HEAD] = read_head,
    [FS_H1_READ_BODY] = read_body,
    [FS_H1_READ_DONE] = read_nothing,
    [FS_H1_READ_SKIP] = read_skip,
    [FS_H1_READ_TUNNEL] = read_tunnel,
    [FS_H1_READ_DISCARD] = read_nothing,
};

/* ---- the peer's side ------------------------------------------------------- */

/* No bytes are left, and none will come. */
static int at_eof(fs_h1 *h1)
{
    switch (h1->reading) {
    case FS_H1_READ_HEAD:
        return fs_h1_fail(h1, FS_E_BAD_REQUEST_LINE);
    case FS_H1_READ_BODY:
        return fs_h1_fail(h1, FS_E_BODY_CUT);
    case FS_H1_READ_DONE:
        fs_h1_keep_on(h1, FS_H1_ON_LAST);
        return FS_OK;
    case FS_H1_READ_IDLE:
    case FS_H1_READ_SKIP:
        fs_h1_close_now(h1);
        return FS_OK;
    default: /* a tunnel's other half may still be written to */
        return FS_OK;
    }
}

int fs_h1_next(fs_h1 *h1, fs_event *event)
{
    int result;

    event->kind = FS_EVENT_NONE;
    event->stream = &h1->stream;
    do
        result = READERS[h1->reading](h1, event);
    while (result > 0 && event->kind == FS_EVENT_NONE);
    if (result < 0) {
        event->kind = FS_EVENT_NONE;
        return fs_h1_fail(h1, result);
    }
    if (result == 0 && h1->flags & FS_H1_EOF && !fs_h1_unread(h1))
        return at_eof(h1);
    return FS_OK;
}

int fs_h1_eof(fs_h1 *h1)
{
    h1->flags |= FS_H1_EOF;
    if (h1->reading == FS_H1_READ_DISCARD || fs_h1_unread(h1))
        return FS_OK;
    return at_eof(h1);
}

uint64_t fs_h1_body_wanted(const fs_h1 *h1)
{
    if (h1->reading != FS_H1_READ_BODY || h1->flags & FS_H1_CHUNKED_BODY || fs_h1_unread(h1))
        return 0;
    return h1->body_wanted;
}

int fs_h1_body_direct(fs_h1 *h1, size_t n, int *end)
{
    *end = 0;
    if (n > fs_h1_body_wanted(h1))
        return FS_E_INTERNAL;
    h1->body_read += n;
    h1->body_wanted -= n;
    *end = n && !h1->body_wanted;
    if (*end)
        fs_h1_reading_on(h1, FS_H1_ON_MESSAGE);
    return FS_OK;
}

/* ---- the end --------------------------------------------------------------- */

int fs_h1_must_close(const fs_h1 *h1)
{
    if (h1->keep == FS_H1_KEEP_CLOSED)
        return 1;
    return h1->reading == FS_H1_READ_DISCARD &&
           (h1->writing == FS_H1_WRITE_IDLE || h1->writing == FS_H1_WRITE_BROKEN);
}

int fs_h1_must_reset(const fs_h1 *h1)
{
    return (h1->flags & FS_H1_RESET) != 0;
}

int fs_h1_must_linger(const fs_h1 *h1)
{
    return (h1->flags & (FS_H1_LINGER | FS_H1_EOF)) == FS_H1_LINGER;
}
