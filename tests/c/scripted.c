#include "scripted.h"

#include <stdarg.h>

/* ---- text ------------------------------------------------------------------ */

void text_add(text *t, const char *p, size_t n)
{
    if (t->n + n > t->room) {
        t->room = 2 * (t->n + n) + 64;
        t->p = realloc(t->p, t->room);
        if (!t->p)
            FAIL("the test itself is out of memory");
    }
    if (n > 0)
        memcpy(t->p + t->n, p, n);
    t->n += n;
}

void text_format(text *t, const char *format, ...)
{
    char line[512];
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    CHECK(n >= 0 && (size_t)n < sizeof line);
    text_add(t, line, (size_t)n);
}

void text_escape(text *t, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)p[i];

        switch (c) {
        case '\r': text_add(t, "\\r", 2); break;
        case '\n': text_add(t, "\\n", 2); break;
        case '\t': text_add(t, "\\t", 2); break;
        case '\\': text_add(t, "\\\\", 2); break;
        default:
            if (c < 0x20 || c >= 0x7f)
                text_format(t, "\\x%02x", c);
            else
                text_add(t, p + i, 1);
        }
    }
}

void text_free(text *t)
{
    free(t->p);
    *t = (text){0};
}

/* ---- the sink ---------------------------------------------------------------- */

static char *sink_reserve(fs_sink *base, size_t n)
{
    struct scripted_sink *sink = (struct scripted_sink *)base;
    const fs_allocator *allocator = sink->owner->allocator;

    if (sink->n + n > sink->room) {
        const size_t room = 2 * (sink->n + n);
        char *p = allocator->resize(allocator->ctx, sink->p, room);

        if (!p)
            return NULL;
        sink->p = p;
        sink->room = room;
    }
    sink->reserved = n;
    return sink->p + sink->n;
}

static void sink_commit(fs_sink *base, size_t n)
{
    struct scripted_sink *sink = (struct scripted_sink *)base;

    CHECK(n <= sink->reserved);
    sink->n += n;
    sink->reserved = 0;
}

static int sink_share(fs_sink *base, const char *p, size_t n, void *owner)
{
    char *room = sink_reserve(base, n);

    CHECK(owner != NULL);
    if (!room)
        return FS_E_NOMEM;
    if (n > 0)
        memcpy(room, p, n);
    sink_commit(base, n);
    return FS_OK;
}

static int sink_file(fs_sink *base, int fd, int64_t offset, uint64_t n, void *owner)
{
    (void)base, (void)fd, (void)offset, (void)n, (void)owner;
    FAIL("no file was given");
}

/* ---- the application ------------------------------------------------------------ */

#define PLAIN {"content-type", "text/plain", 12, 10, 0}

static fs_field field(const char *name, const char *value)
{
    return (fs_field){name, value, (uint32_t)strlen(name), (uint32_t)strlen(value), 0};
}

static int note_result(scripted *s, int result)
{
    if (result == FS_E_NOMEM)
        s->nomem = 1;
    return result;
}

/* A head with `extra` after the content type, and a body that is complete. */
static int answer(scripted *s, int status, const fs_field *extra, uint32_t nextra, const char *p, size_t n)
{
    fs_field fields[8] = {PLAIN};
    fs_response_head head = {.status = status, .fields = fields, .nfields = 1 + nextra,
                             .flags = FS_RESPONSE_END, .length = n};
    int result;

    for (uint32_t i = 0; i < nextra; i++)
        fields[1 + i] = extra[i];
    result = s->stream->ops->head(s->stream, &head);
    if (result < 0)
        return result;
    return s->stream->ops->body(s->stream, p, n, n >= FS_SHARE_MIN ? s : NULL, 1);
}

static int answer_text(scripted *s, int status, const char *p)
{
    return answer(s, status, NULL, 0, p, strlen(p));
}

static int echo(scripted *s, const fs_field *extra, uint32_t nextra)
{
    char body[512];
    const int n = snprintf(body, sizeof body, "%s %s %llu", s->method, s->target, (unsigned long long)s->length);

    return answer(s, 200, extra, nextra, body, (size_t)n);
}

/* A head without FS_RESPONSE_END; `length` may be NULL. */
static int begin(scripted *s, const char *length, uint32_t flags)
{
    fs_field fields[2] = {PLAIN};
    fs_response_head head = {.status = 200, .fields = fields, .nfields = 1, .flags = flags};

    if (length)
        fields[head.nfields++] = field("content-length", length);
    return s->stream->ops->head(s->stream, &head);
}

static int piece(scripted *s, const char *p, int end)
{
    return s->stream->ops->body(s->stream, p, strlen(p), NULL, end);
}

static int pieces(scripted *s, const char *length)
{
    int result = begin(s, length, 0);

    if (result == FS_OK)
        result = piece(s, "one", 0);
    if (result == FS_OK)
        result = piece(s, "two", 0);
    return result == FS_OK ? piece(s, "", 1) : result;
}

static int one_piece(scripted *s, const char *length, const char *p, int end)
{
    const int result = begin(s, length, 0);

    return result == FS_OK ? piece(s, p, end) : result;
}

static int trailers(scripted *s)
{
    const fs_field sum = field("x-sum", "1");
    int result = begin(s, NULL, FS_RESPONSE_TRAILERS);

    if (result == FS_OK)
        result = piece(s, "one", 1);
    if (result == FS_OK && s->stream->trailers_pending)
        result = s->stream->ops->trailers(s->stream, &sum, 1, 1);
    return result;
}

static int hints(scripted *s)
{
    const fs_field link = field("link", "</style.css>; rel=preload");
    const int result = s->stream->ops->informational(s->stream, 103, &link, 1);

    return result == FS_OK ? echo(s, NULL, 0) : result;
}

static int hop_by_hop(scripted *s)
{
    const fs_field fields[] = {field("connection", "x-secret"), field("keep-alive", "timeout=5"),
                               field("Transfer-Encoding", "chunked"), field("X-Kept", "yes")};

    return echo(s, fields, 4);
}

static int raise_late(scripted *s)
{
    const int result = one_piece(s, NULL, "one", 0);

    return result == FS_OK ? FS_E_APP_RAISED : result;
}

static int with_field(scripted *s, const char *name, const char *value)
{
    const fs_field extra = field(name, value);

    return echo(s, &extra, 1);
}

static int is_path(const scripted *s, const char *path)
{
    return strcmp(s->target, path) == 0;
}

static int respond(scripted *s)
{
    if (is_path(s, "/stream"))
        return pieces(s, NULL);
    if (is_path(s, "/length"))
        return pieces(s, "6");
    if (is_path(s, "/long"))
        return one_piece(s, "3", "hello", 1);
    if (is_path(s, "/short"))
        return one_piece(s, "10", "hello", 1);
    if (is_path(s, "/raise"))
        return FS_E_APP_RAISED;
    if (is_path(s, "/raise-late"))
        return raise_late(s);
    if (is_path(s, "/trailers"))
        return trailers(s);
    if (is_path(s, "/hints"))
        return hints(s);
    if (is_path(s, "/hop"))
        return hop_by_hop(s);
    if (is_path(s, "/close"))
        return with_field(s, "connection", "close");
    if (is_path(s, "/bad-value"))
        return with_field(s, "x-bad", "a\r\nx-injected: b");
    if (is_path(s, "/bad-name"))
        return with_field(s, "x bad", "a");
    if (strncmp(s->target, "/status/", 8) == 0)
        return answer_text(s, atoi(s->target + 8), "");
    return echo(s, NULL, 0);
}

/* As the server does it: 500 while there is no head, a visibly broken answer after it. */
static void finish(scripted *s, int result)
{
    fs_stream *stream = s->stream;

    s->stream = NULL;
    if (note_result(s, result) >= 0 || s->nomem) {
        CHECK(s->nomem || stream->ended);
        return;
    }
    if (stream->ended)
        return;
    if (stream->head_sent) {
        stream->ops->abort(stream, result);
        return;
    }
    s->stream = stream;
    if (note_result(s, answer_text(s, 500, "Internal Server Error")) < 0)
        stream->ops->abort(stream, result);
    s->stream = NULL;
}

/* ---- events ---------------------------------------------------------------------- */

static void line(scripted *s, const char *label, const char *p, size_t n)
{
    text_format(&s->events, "%s ", label);
    text_escape(&s->events, p, n);
    text_add(&s->events, "\n", 1);
}

static void record_fields(scripted *s, const char *label, const fs_field *fields, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        text_format(&s->events, "%s ", label);
        text_escape(&s->events, fields[i].name, fields[i].name_len);
        text_format(&s->events, ": ");
        text_escape(&s->events, fields[i].value, fields[i].value_len);
        text_add(&s->events, "\n", 1);
    }
}

/* Pieces depend on how the input was cut, their sum does not. */
static void record_body(scripted *s)
{
    if (s->body.n > 0)
        line(s, "body", s->body.p, s->body.n);
    s->body.n = 0;
}

static void record_head(scripted *s, const fs_request_head *head)
{
    static const char *const flags[] = {NULL, "expect-continue", "websocket", "te-trailers", "escaped", "forwarded",
                                       "underscores"};

    text_format(&s->events, "head ");
    text_escape(&s->events, head->method.p, head->method.n);
    text_format(&s->events, " ");
    text_escape(&s->events, head->target.p, head->target.n);
    text_format(&s->events, " HTTP/%d.%d\n", head->version / 10, head->version % 10);
    if (head->path.n != head->target.n || memcmp(head->path.p, head->target.p, head->path.n) != 0)
        line(s, "path", head->path.p, head->path.n);
    if (head->query.n > 0)
        line(s, "query", head->query.p, head->query.n);
    if (head->content_length >= 0)
        text_format(&s->events, "length %lld\n", (long long)head->content_length);
    for (unsigned i = 1; i < sizeof flags / sizeof flags[0]; i++)
        if (head->flags & 1u << i)
            text_format(&s->events, "flag %s\n", flags[i]);
    record_fields(s, "field", head->fields, head->nfields);
}

static void copy_cut(char *out, size_t room, fs_slice slice)
{
    const size_t n = slice.n < room - 1 ? slice.n : room - 1;

    memcpy(out, slice.p, n);
    out[n] = '\0';
}

static void check_fields(const scripted *s, const fs_request_head *head)
{
    CHECK(head->nfields <= s->limits.max_fields + 1);
    for (uint32_t i = 0; i < head->nfields; i++) {
        const fs_field *f = &head->fields[i];

        CHECK(fs_is_token(f->name, f->name_len));
        CHECK(fs_is_field_value(f->value, f->value_len));
        for (uint32_t k = 0; k < f->name_len; k++)
            CHECK(f->name[k] < 'A' || f->name[k] > 'Z');
    }
}

static void on_complete(scripted *s)
{
    record_body(s);
    text_format(&s->events, "end\n");
    s->requests++;
    if (s->stream)
        finish(s, respond(s));
}

static void on_head(scripted *s, const fs_event *event)
{
    record_head(s, &event->head);
    check_fields(s, &event->head);
    s->stream = event->stream;
    s->length = 0;
    copy_cut(s->method, sizeof s->method, event->head.method);
    copy_cut(s->target, sizeof s->target, event->head.target);
    if (is_path(s, "/early"))
        finish(s, answer_text(s, 200, "early"));
    else if (event->head.flags & FS_HEAD_EXPECT_CONTINUE)
        note_result(s, s->stream->ops->proceed(s->stream));
    if (event->head.flags & FS_HEAD_END)
        on_complete(s);
}

static void on_body(scripted *s, const fs_event *event)
{
    CHECK(event->data.n > 0);
    text_add(&s->body, event->data.p, event->data.n);
    s->length += event->data.n;
    if (s->stream)
        s->stream->ops->consumed(s->stream, event->data.n);
    if (event->end)
        on_complete(s);
}

static void on_event(scripted *s, const fs_event *event)
{
    switch (event->kind) {
    case FS_EVENT_HEAD:
        on_head(s, event);
        break;
    case FS_EVENT_BODY:
        on_body(s, event);
        break;
    case FS_EVENT_END:
        record_body(s);
        record_fields(s, "trailer", event->trailers, event->ntrailers);
        on_complete(s);
        break;
    default:
        FAIL("event %d has no place in HTTP/1 without an upgrade", event->kind);
    }
}

/* The peer's fault, or no memory: answered where that can be, and nothing more is read. */
static void on_error(scripted *s, int error)
{
    CHECK(error == FS_E_NOMEM || fs_error_is_message(error));
    CHECK_INT(s->failed_reading, 0);
    s->failed_reading = error;
    record_body(s);
    s->events_before_error = s->events.n;
    s->sent_before_error = s->sink.n;
    text_format(&s->events, "error %s\n", fs_error_describe(error)->name);
    note_result(s, error);
    note_result(s, fs_h1_refuse(&s->h1, error));
    s->stream = NULL;
}

/* ---- turns -------------------------------------------------------------------------- */

static void start(scripted *s, fs_h1_shared *shared)
{
    s->shared = shared;
    s->sink.base = (fs_sink){sink_reserve, sink_commit, sink_share, sink_file};
    s->sink.owner = s;
    fs_h1_init(&s->h1, shared, &s->sink.base);
    s->opened = 1;
}

int scripted_open(scripted *s, const fs_limits *limits, const fs_allocator *allocator)
{
    *s = (scripted){.limits = *limits, .allocator = allocator};
    fs_head_common_init(&s->common, 0);
    if (fs_h1_shared_init(&s->own, &s->limits, allocator, &s->common) < 0) {
        s->nomem = 1;
        return FS_E_NOMEM;
    }
    start(s, &s->own);
    return FS_OK;
}

void scripted_open_beside(scripted *s, scripted *first)
{
    *s = (scripted){.limits = first->limits, .allocator = first->allocator};
    start(s, first->shared);
}

void scripted_close(scripted *s)
{
    if (s->opened)
        fs_h1_free(&s->h1);
    if (s->shared == &s->own || !s->shared)
        fs_h1_shared_free(&s->own);
    s->allocator->release(s->allocator->ctx, s->sink.p);
    text_free(&s->events);
    text_free(&s->body);
}

static void take_events(scripted *s)
{
    const size_t most = fs_h1_unread(&s->h1) + 16; /* an event that takes no byte is rare, and never follows another */
    fs_event event;

    for (size_t i = 0; !s->nomem; i++) {
        const int result = fs_h1_next(&s->h1, &event);

        CHECK(i < 4 * most);
        if (result < 0) {
            on_error(s, result);
            return;
        }
        if (event.kind == FS_EVENT_NONE)
            return;
        on_event(s, &event);
    }
}

int scripted_feed(scripted *s, const char *p, size_t n)
{
    guarded input = guarded_copy(p, n);

    note_result(s, fs_h1_feed(&s->h1, input.p, n));
    take_events(s);
    if (!s->nomem)
        note_result(s, fs_h1_settle(&s->h1));
    guarded_release(&input);
    return s->nomem ? FS_E_NOMEM : FS_OK;
}

int scripted_eof(scripted *s)
{
    const int result = fs_h1_eof(&s->h1);

    if (result < 0)
        on_error(s, result);
    take_events(s);
    if (!s->nomem)
        note_result(s, fs_h1_settle(&s->h1));
    return s->nomem ? FS_E_NOMEM : FS_OK;
}
