/*
 * Invariant: whatever the peer sends and the application does, in whatever
 * order and with any one allocation failing, the machine stays inside its
 * tables, gives back all memory, and what it sends reads as whole responses,
 * one for each request, broken off only at the end of a connection that closes.
 */

#define _GNU_SOURCE

#include "harness.h"

#include "proto/h1.h"

enum { MOST_REQUESTS = 256, MOST_STEPS = 2000, OUTPUT = 1 << 20 };

/* ---- the script: bytes that say what happens -------------------------------- */

typedef struct script {
    const uint8_t *p, *end;
} script;

static uint8_t take(script *s)
{
    return s->p < s->end ? *s->p++ : 0;
}

static fs_slice take_bytes(script *s, size_t n)
{
    const size_t left = (size_t)(s->end - s->p);
    const fs_slice slice = {(const char *)s->p, n < left ? n : left};

    s->p += slice.n;
    return slice;
}

/* ---- the connection ----------------------------------------------------------- */

typedef struct machine {
    fs_sink sink;           /* first */
    size_t sent, reserved;
    fs_limits limits;
    fs_head_common common;
    fs_h1_shared shared;
    fs_h1 h1;
    guarded input;          /* what was fed since the last settle */
    int eof, dead;          /* dead: out of memory, only good for closing */
    unsigned heads;
    uint8_t is_head[MOST_REQUESTS + 1]; /* by request: HEAD, so that its response has no body */
} machine;

static char output[OUTPUT];

/* Memory of the sink may fail, too. */
static char *reserve(fs_sink *sink, size_t n)
{
    machine *m = (machine *)sink;
    void *room = harness_allocator.resize(NULL, NULL, n ? n : 1);

    if (!room || m->sent + n > OUTPUT)
        m->reserved = 0;
    else
        m->reserved = n;
    harness_allocator.release(NULL, room);
    return m->reserved == n && room ? output + m->sent : NULL;
}

static void commit(fs_sink *sink, size_t n)
{
    machine *m = (machine *)sink;

    CHECK(n <= m->reserved);
    m->sent += n;
    m->reserved = 0;
}

static int share(fs_sink *sink, const char *p, size_t n, void *owner)
{
    char *room = reserve(sink, n);

    CHECK(owner != NULL);
    if (!room)
        return FS_E_NOMEM;
    memcpy(room, p, n);
    commit(sink, n);
    return FS_OK;
}

static int file(fs_sink *sink, int fd, int64_t offset, uint64_t n, void *owner)
{
    char *room = n < OUTPUT ? reserve(sink, n) : NULL;

    (void)fd, (void)offset, (void)owner;
    if (!room)
        return FS_E_NOMEM;
    memset(room, 'f', n);
    commit(sink, n);
    return FS_OK;
}

static void check_state(const machine *m)
{
    CHECK(m->h1.reading <= FS_H1_READ_DISCARD);
    CHECK(m->h1.writing <= FS_H1_WRITE_BROKEN);
    CHECK(m->h1.keep <= FS_H1_KEEP_CLOSED);
    CHECK(!fs_h1_must_reset(&m->h1) || fs_h1_must_close(&m->h1));
    CHECK(m->h1.error == 0 || m->h1.reading == FS_H1_READ_DISCARD);
    CHECK(fs_h1_body_wanted(&m->h1) == 0 || m->h1.reading == FS_H1_READ_BODY || m->h1.reading == FS_H1_READ_SKIP);
}

static int result_of(machine *m, int result)
{
    CHECK(result <= 0);
    if (result == FS_E_NOMEM) {
        CHECK(harness_has_failed() || m->sent > OUTPUT / 2);
        m->dead = 1;
    }
    return result;
}

/* ---- what the peer does --------------------------------------------------------- */

static void settle(machine *m)
{
    result_of(m, fs_h1_settle(&m->h1));
    if (m->input.map)
        guarded_release(&m->input);
}

static void feed(machine *m, fs_slice bytes)
{
    settle(m);
    if (m->dead || m->eof)
        return;
    m->input = guarded_copy(bytes.p, bytes.n);
    result_of(m, fs_h1_feed(&m->h1, m->input.p, bytes.n));
}

static void fail_reading(machine *m, int error)
{
    CHECK(error == FS_E_NOMEM || fs_error_is_message(error));
    if (result_of(m, error) != FS_E_NOMEM)
        result_of(m, fs_h1_refuse(&m->h1, error));
}

static void next(machine *m)
{
    fs_event event;
    const int result = fs_h1_next(&m->h1, &event);

    if (result < 0) {
        fail_reading(m, result);
    } else if (event.kind == FS_EVENT_HEAD) {
        CHECK(m->heads < MOST_REQUESTS);
        m->is_head[m->heads++] = event.head.method.n == 4 && memcmp(event.head.method.p, "HEAD", 4) == 0;
        CHECK(event.stream == &m->h1.stream && !event.stream->ended && !event.stream->head_sent);
    } else if (event.kind == FS_EVENT_BODY || event.kind == FS_EVENT_DATA) {
        CHECK(event.data.n > 0);
    }
}

static void eof(machine *m)
{
    const int result = m->eof ? FS_OK : fs_h1_eof(&m->h1);

    m->eof = 1;
    if (result < 0)
        fail_reading(m, result);
}

static void body_direct(machine *m, uint8_t n)
{
    const uint64_t wanted = fs_h1_body_wanted(&m->h1);
    int end = 0;

    if (wanted && !m->eof)
        result_of(m, fs_h1_body_direct(&m->h1, n < wanted ? n : wanted, &end));
}

/* ---- what the application does --------------------------------------------------- */

static const struct { const char *name, *value; } FIELDS[] = {
    {"content-type", "text/plain"}, {"Content-Length", "5"}, {"content-length", "0"}, {"content-length", "x"},
    {"connection", "close"}, {"Transfer-Encoding", "chunked"}, {"x-long", "0123456789abcdefghijklmnopqrstuvwxyz"},
    {"bad name", "x"}, {"x-bad", "a\r\nb: c"}, {"date", "never"}, {"server", "other"}, {"", "x"}, {"keep-alive", "1"},
};

static uint32_t take_fields(script *s, fs_field *fields, uint32_t most)
{
    const uint8_t choice = take(s);
    const uint32_t n = choice % (most + 1);

    for (uint32_t i = 0; i < n; i++) {
        const size_t at = take(s) % (sizeof FIELDS / sizeof FIELDS[0]);

        fields[i] = (fs_field){FIELDS[at].name, FIELDS[at].value, (uint32_t)strlen(FIELDS[at].name),
                               (uint32_t)strlen(FIELDS[at].value), 0};
    }
    return n;
}

/* Half of all heads are good ones: a script of chance would rarely get past them. */
static void head(machine *m, script *s)
{
    static const int statuses[] = {200, 200, 404, 204, 304, 205, 999, 99, 101, 1000, -1};
    fs_field fields[4];
    fs_response_head response = {.fields = fields};
    const uint8_t choice = take(s);

    response.status = choice & 1 ? 200 : statuses[take(s) % (sizeof statuses / sizeof statuses[0])];
    response.flags = choice >> 1 & (FS_RESPONSE_TRAILERS | FS_RESPONSE_END);
    response.length = choice >> 4;
    response.nfields = choice & 8 ? take_fields(s, fields, 4) : 0;
    if (response.nfields > 3)
        response.reason = (fs_slice){"Why\nnot", choice & 16 ? 3 : 7};
    result_of(m, m->h1.stream.ops->head(&m->h1.stream, &response));
}

static void body(machine *m, script *s)
{
    static char large[FS_SHARE_MIN + 10];
    const uint8_t choice = take(s);
    const size_t n = choice & 2 ? sizeof large : choice >> 3;

    memset(large, 'b', sizeof large);
    result_of(m, m->h1.stream.ops->body(&m->h1.stream, large, n, choice & 4 ? m : NULL, choice & 1));
}

static void respond(machine *m, script *s, uint8_t what)
{
    fs_stream *stream = &m->h1.stream;
    fs_field fields[3];
    uint32_t n;

    switch (what) {
    case 0:
        head(m, s);
        break;
    case 1:
        body(m, s);
        break;
    case 2:
        result_of(m, stream->ops->proceed(stream));
        break;
    case 3:
        n = take_fields(s, fields, 3);
        result_of(m, stream->ops->informational(stream, 103, fields, n));
        break;
    case 4:
        n = take_fields(s, fields, 3);
        result_of(m, stream->ops->trailers(stream, fields, n, take(s) & 1));
        break;
    case 5:
        n = take(s);
        result_of(m, stream->ops->file(stream, 0, 0, n >> 1, NULL, n & 1));
        break;
    case 6:
        stream->ops->abort(stream, FS_E_APP_RAISED);
        break;
    default:
        stream->ops->consumed(stream, take(s));
    }
}

/* Only while a request waits for it: ext/core lets go of a stream that has ended. */
static int has_stream(const machine *m)
{
    return m->heads > 0 && !m->h1.stream.ended && m->h1.reading != FS_H1_READ_TUNNEL;
}

static void step(machine *m, script *s)
{
    const uint8_t op = take(s);

    if (op < 64)
        feed(m, take_bytes(s, op == 63 ? take(s) : op));
    else if (op < 128)
        next(m);
    else if (op < 136)
        settle(m);
    else if (op < 138)
        eof(m);
    else if (op < 142)
        body_direct(m, take(s));
    else if (op == 142)
        result_of(m, fs_h1_refuse(&m->h1, FS_E_TIMEOUT));
    else if (op == 143)
        m->shared.draining = 1;
    else if (op < 146 && has_stream(m))
        result_of(m, fs_h1_upgrade(&m->h1, NULL, 0));
    else if (has_stream(m))
        respond(m, s, op & 7);
}

/* ---- what the peer reads ----------------------------------------------------------- */

static const char *find_field(const char *p, const char *end, const char *label)
{
    const char *found = memmem(p, (size_t)(end - p), label, strlen(label));

    return found ? found + strlen(label) : NULL;
}

/* The end of a chunked body, NULL where it is not all there. */
static const char *read_chunks(const char *p, const char *end)
{
    for (;;) {
        const char *line = memmem(p, (size_t)(end - p), "\r\n", 2);
        char *after;
        unsigned long n;

        if (!line)
            return NULL;
        n = strtoul(p, &after, 16);
        CHECK(after == line && after > p);
        p = line + 2;
        if (n == 0) { /* trailers and an empty line */
            const char *close = memmem(line, (size_t)(end - line), "\r\n\r\n", 4);

            return close ? close + 4 : NULL;
        }
        if ((size_t)(end - p) < n + 2)
            return NULL;
        CHECK(memcmp(p + n, "\r\n", 2) == 0);
        p += n + 2;
    }
}

/* The end of one response, NULL where it is not all there. *status is set. */
static const char *read_response(const char *p, const char *end, int is_head, int *status)
{
    const char *body = memmem(p, (size_t)(end - p), "\r\n\r\n", 4), *length;

    CHECK(end - p < 13 || (memcmp(p, "HTTP/1.1 ", 9) == 0 && p[12] == ' '));
    if (!body)
        return NULL;
    body += 4;
    *status = atoi(p + 9);
    CHECK(*status >= 100 && *status <= 999);
    CHECK(!find_field(p, body, "\r\nb: c"));
    length = find_field(p, body, "\r\ncontent-length: ");
    if (*status < 200 || *status == 204 || *status == 304 || is_head)
        return body;
    if (find_field(p, body, "\r\ntransfer-encoding: chunked\r\n")) {
        CHECK(!length);
        return read_chunks(body, end);
    }
    if (!length) { /* ends with the connection, and says so */
        CHECK(find_field(p, body, "\r\nconnection: close\r\n"));
        return NULL;
    }
    return strtoull(length, NULL, 10) <= (unsigned long long)(end - body) ? body + strtoull(length, NULL, 10) : NULL;
}

static void check_output(const machine *m)
{
    const char *p = output, *end = output + m->sent;
    unsigned answered = 0;
    int status = 0;

    while (p && p < end && status != 101) {
        const char *before = p;

        p = read_response(p, end, m->is_head[answered], &status);
        answered += p == NULL || status >= 200;
        CHECK(answered <= m->heads + 1); /* one more: a head that was refused */
        if (!p && !m->dead)
            CHECK(m->h1.writing != FS_H1_WRITE_IDLE || fs_h1_must_close(&m->h1) || before == output);
    }
}

/* ------------------------------------------------------------------------------------- */

static void open_machine(machine *m, uint8_t options, uint8_t failing)
{
    harness_fail_nth(0);
    *m = (machine){.sink = {reserve, commit, share, file}};
    fs_limits_default(&m->limits);
    if (options & 1) {
        m->limits.max_head = 160;
        m->limits.max_fields = 4;
        m->limits.max_body = m->limits.max_skip = 20;
        m->limits.max_requests = 5;
    }
    fs_head_common_init(&m->common, options & 2);
    fs_head_set_time(&m->common, 784111777);
    CHECK_INT(fs_h1_shared_init(&m->shared, &m->limits, &harness_allocator, &m->common), FS_OK);
    fs_h1_init(&m->h1, &m->shared, &m->sink);
    harness_fail_nth(failing);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    script s = {data, data + size};
    static machine m;

    open_machine(&m, take(&s), take(&s));
    for (int steps = 0; s.p < s.end && steps < MOST_STEPS && m.heads < MOST_REQUESTS && !m.dead; steps++) {
        step(&m, &s);
        check_state(&m);
    }
    if (!m.dead)
        settle(&m);
    check_output(&m);
    if (m.input.map)
        guarded_release(&m.input);
    fs_h1_free(&m.h1);
    fs_h1_shared_free(&m.shared);
    CHECK_INT(harness_live(), 0);
    return 0;
}
