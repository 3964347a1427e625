/*
 * The request side of the HTTP/1 machine: RFC 9112 sections 2, 3, 5 to 7 and 9. Each row is played whole, byte by
 * byte and cut in two at every place, with a settle between; the input lies flush against an unreadable page.
 */

#include "h1_fixture.h"

#include "proto/h1_state.h"

/* ---- what a connection says, as text ------------------------------------------ */

static struct {
    char p[SINK_ROOM];
    size_t n;
    int in_body;
} record;

static void put_bytes(const char *p, size_t n)
{
    CHECK(record.n + n <= sizeof record.p);
    memcpy(record.p + record.n, p, n);
    record.n += n;
}

static void put_text(const char *text)
{
    put_bytes(text, strlen(text));
}

/* Pieces of a body depend on the cuts, their sum does not. */
static void end_body(void)
{
    if (record.in_body)
        put_text("]\n");
    record.in_body = 0;
}

static void put_fields(const fs_field *fields, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        CHECK_INT(fields[i].id, fs_field_find(fields[i].name, fields[i].name_len));
        put_bytes(fields[i].name, fields[i].name_len);
        put_text("=");
        put_bytes(fields[i].value, fields[i].value_len);
        put_text(";");
    }
    put_text("\n");
}

static void put_head(const fs_request_head *head)
{
    char numbers[64];

    put_bytes(head->method.p, head->method.n);
    put_text(" ");
    put_bytes(head->path.p, head->path.n);
    put_text(" ?");
    put_bytes(head->query.p, head->query.n);
    snprintf(numbers, sizeof numbers, " %d flags %u length %lld ", head->version, head->flags,
             (long long)head->content_length);
    put_text(numbers);
    put_fields(head->fields, head->nfields);
}

static void put_body(const fs_event *event)
{
    CHECK(event->data.n > 0);
    if (!record.in_body)
        put_text("[");
    record.in_body = 1;
    put_bytes(event->data.p, event->data.n);
}

static void put_end(fs_stream *stream)
{
    end_body();
    put_text("end\n");
    answer(stream, "ok");
}

static void put_event(const fs_event *event)
{
    switch (event->kind) {
    case FS_EVENT_HEAD:
        put_head(&event->head);
        if (event->head.flags & FS_HEAD_END)
            put_end(event->stream);
        break;
    case FS_EVENT_BODY:
        put_body(event);
        if (event->end)
            put_end(event->stream);
        break;
    case FS_EVENT_END:
        end_body();
        put_text("trailers ");
        put_fields(event->trailers, event->ntrailers);
        put_end(event->stream);
        break;
    default:
        FAIL("event %d was not asked for", event->kind);
    }
}

static void put_error(int error)
{
    end_body();
    put_text(fs_error_describe(error)->name);
    put_text("\n");
    CHECK_INT(fs_h1_refuse(&m.h1, error), FS_OK);
}

static void take_events(void)
{
    for (;;) {
        fs_event event;
        const int error = fs_h1_next(&m.h1, &event);

        if (error < 0)
            put_error(error);
        if (error < 0 || event.kind == FS_EVENT_NONE)
            return;
        put_event(&event);
    }
}

/* Pieces of `step` bytes, the first one of `first`; then the end, where that is wanted. */
static void play(const fs_limits *limits, const char *p, size_t n, size_t first, size_t step, int eof)
{
    int error;

    record.n = 0;
    record.in_body = 0;
    open_with(limits);
    for (size_t at = 0, end = first; at < n; at = end, end += step) {
        feed_bytes(p + at, (end < n ? end : n) - at);
        take_events();
        settle();
        CHECK(m.h1.store || fs_h1_unread(&m.h1) == 0);
        if (m.h1.reading == FS_H1_READ_IDLE || m.h1.reading == FS_H1_READ_DISCARD)
            CHECK(m.h1.store == NULL);
    }
    if (eof && (error = fs_h1_eof(&m.h1)) < 0)
        put_error(error);
    take_events();
    end_body();
}

typedef struct row {
    const char *input;
    size_t n;
    const char *events;
    int eof;
} row;

static int matches(const row *one)
{
    return record.n == strlen(one->events) && memcmp(record.p, one->events, record.n) == 0;
}

static void check_play(const fs_limits *limits, const row *one, size_t first, size_t step)
{
    harness_note("%.60s..., %zu then %zu", one->input, first, step);
    play(limits, one->input, one->n, first, step, one->eof);
    if (!matches(one)) {
        harness_print_bytes("input", one->input, one->n);
        harness_print_bytes("events", record.p, record.n);
        harness_print_bytes("expected", one->events, strlen(one->events));
        FAIL("the events differ");
    }
    close_machine();
}

static void check_row(const fs_limits *limits, const row *one)
{
    check_play(limits, one, one->n, 1);
    check_play(limits, one, 1, 1);
    for (size_t at = 1; at < one->n; at += one->n > 4000 ? 61 : 1)
        check_play(limits, one, at, one->n);
}

static void check_rows(const row *rows, size_t n)
{
    fs_limits limits;

    fs_limits_default(&limits);
    for (size_t i = 0; i < n; i++)
        check_row(&limits, &rows[i]);
}

#define ROWS(...)                                               \
    do {                                                        \
        static const row rows_[] = {__VA_ARGS__};               \
        check_rows(rows_, sizeof rows_ / sizeof *rows_);        \
    } while (0)

#define GIVES(input, events) {(input), sizeof(input) - 1, (events), 0}
#define IS(input, events) {(input), sizeof(input) - 1, (events), 1}
/* An error in what follows a good request. */
#define ERROR(input, name) {GET input, sizeof(GET input) - 1, GET_EVENTS name "\n", 0}

#define GET_EVENTS "GET / ? 11 flags 1 length -1 host=a;\nend\n"
#define HOST "Host: a\r\n"

/* ---- requests --------------------------------------------------------------------- */

static void whole_messages(void)
{
    ROWS(GIVES(GET, GET_EVENTS),
         GIVES("\r\n\r\n" GET "\r\n" GET, GET_EVENTS GET_EVENTS),
         GIVES("GET /a%20b/c?d=%20?e HTTP/1.1\r\nHOST:\ta:80 \t\r\nX-Long-Name:\r\n\r\n",
               "GET /a%20b/c ?d=%20?e 11 flags 17 length -1 host=a:80;x-long-name=;\nend\n"),
         GIVES(POST("Content-Length: 5\r\n") "hello" GET,
               "POST / ? 11 flags 0 length 5 host=a;content-length=5;\n[hello]\nend\n" GET_EVENTS),
         GIVES(POST("Content-Length: 0\r\n"), "POST / ? 11 flags 1 length 0 host=a;content-length=0;\nend\n"),
         GIVES(POST("Transfer-Encoding:  Chunked \r\n") "5;a=\"b;\\\"c\"\r\nhello\r\n001\r\n!\r\n0\r\n\r\n" GET,
               "POST / ? 11 flags 0 length -1 host=a;transfer-encoding=Chunked;\n[hello!]\ntrailers \nend\n"
               GET_EVENTS),
         GIVES("OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS * ? 11 flags 1 length -1 host=a;\nend\n"),
         GIVES("GET HTTP://[::1]:8/x?y HTTP/1.1\r\n" HOST "\r\n",
               "GET /x ?y 11 flags 1 length -1 host=[::1]:8;\nend\n"),
         GIVES("GET https://a?b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
               "GET / ?b 10 flags 1 length -1 connection=keep-alive;host=a;\nend\n"),
         GIVES("GET / HTTP/1.1\r\n" HOST "X-Forwarded-For: b\r\nTE: x, trailers\r\n\r\n",
               "GET / ? 11 flags 41 length -1 host=a;x-forwarded-for=b;te=x, trailers;\nend\n"));
}

static void persistence(void)
{
    ROWS(GIVES("GET / HTTP/1.1\r\n" HOST "Connection: x, close\r\n\r\n" GET,
               "GET / ? 11 flags 1 length -1 host=a;connection=x, close;\nend\n"),
         GIVES(GET_1_0 GET, "GET / ? 10 flags 1 length -1 \nend\n"),
         GIVES("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" GET_1_0,
               "GET / ? 10 flags 1 length -1 connection=keep-alive;\nend\nGET / ? 10 flags 1 length -1 \nend\n"));
}

static void request_lines(void)
{
    ROWS(ERROR("CONNECT a:1 HTTP/1.1\r\n", "method-unknown"), ERROR("PRI * HTTP/1.1\r\n", "method-unknown"),
         ERROR("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQ", "method-unknown"),
         ERROR("G@T / HTTP/1.1\r\n", "bad-method"), ERROR("GET\x01/ HTTP/1.1\r\n", "bad-method"),
         ERROR(" / HTTP/1.1\r\n", "bad-method"), ERROR("\x16\x03\x01", "bad-method"),
         ERROR("GET/ HTTP/1.1\r\n", "bad-method"), ERROR("FOO\r\n", "bad-method"),
         ERROR("GET / HTTP/2.0\r\n", "version"), ERROR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "version"),
         ERROR("GET / HTTP/3.7\r\n", "version"), ERROR("BLARGH / HTTP/3.7\r\n", "version"),
         ERROR("GET / HTTP/0.9\r\n", "version"), ERROR("GET / HTTP/11.1\r\n", "bad-request-line"),
         ERROR("GET / HTTP/1\r\n", "bad-request-line"), ERROR("GET / HTTP/1.1 \r\n", "bad-request-line"),
         ERROR("GET / HTTP/1.10\r\n", "bad-request-line"), ERROR("GET / http/1.1\r\n", "bad-request-line"),
         ERROR("GET / XTTP/1.1\r\n", "bad-request-line"), ERROR("GET / HTTP/1.1\n" HOST "\n", "bad-request-line"),
         ERROR("GET  / HTTP/1.1\r\n" HOST "\r\n", "bad-request-line"),
         ERROR("GET /  HTTP/1.1\r\n" HOST "\r\n", "bad-request-line"),
         ERROR("GET / RTSP/1.0\r\n" HOST "\r\n", "bad-request-line"),
         ERROR("SOURCE / ICE/1.0\r\n" HOST "\r\n", "bad-request-line"));
}

static void targets_and_hosts(void)
{
    ROWS(ERROR("GET * HTTP/1.1\r\n" HOST "\r\n", "bad-target"), ERROR("GET a HTTP/1.1\r\n" HOST "\r\n", "bad-target"),
         ERROR("GET /a#b HTTP/1.1\r\n" HOST "\r\n", "bad-target"),
         ERROR("GET /?a#b HTTP/1.1\r\n" HOST "\r\n", "bad-target"),
         ERROR("GET /a\x7f HTTP/1.1\r\n" HOST "\r\n", "bad-target"),
         ERROR("GET /a\x01 HTTP/1.1\r\n" HOST "\r\n", "bad-target"),
         ERROR("GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n", "bad-target"),
         ERROR("GET http:///a HTTP/1.1\r\n" HOST "\r\n", "bad-target"),
         ERROR("GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n", "bad-target"),
         ERROR("GET http://a:b/ HTTP/1.1\r\n" HOST "\r\n", "bad-target"),
         ERROR("GET http://a/ HTTP/1.1\r\n\r\n", "bad-host"), ERROR("GET / HTTP/1.1\r\n\r\n", "bad-host"),
         ERROR("GET / HTTP/1.1\r\n" HOST HOST "\r\n", "bad-host"),
         ERROR("GET / HTTP/1.0\r\n" HOST HOST "\r\n", "bad-host"),
         ERROR("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "bad-host"),
         ERROR("GET / HTTP/1.1\r\nHost: a/\r\n\r\n", "bad-host"),
         ERROR("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "bad-host"),
         ERROR("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "bad-host"),
         ERROR("GET / HTTP/1.1\r\nHost: []\r\n\r\n", "bad-host"),
         ERROR("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", "bad-host"),
         ERROR("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "bad-host"),
         ERROR("GET / HTTP/1.1\r\nHost: a%4\r\n\r\n", "bad-host"),
         ERROR("GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n", "bad-host"));
    ROWS(GIVES("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / ? 11 flags 1 length -1 host=;\nend\n"),
         GIVES("GET / HTTP/1.1\r\nHost: a%4f_b:65535\r\n\r\n",
               "GET / ? 11 flags 1 length -1 host=a%4f_b:65535;\nend\n"));
}

static void fields_of_a_head(void)
{
    ROWS(ERROR("GET / HTTP/1.1\r\n" HOST "\n", "bad-field"),
         ERROR("GET / HTTP/1.1\r\nHost: a\nA: b\r\n\r\n", "bad-field"),
         ERROR("GET / HTTP/1.1\r\n" HOST " b\r\n\r\n", "bad-field"),
         ERROR("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "bad-field"),
         ERROR("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "bad-field"),
         ERROR("GET / HTTP/1.1\r\n" HOST ": a\r\n\r\n", "bad-field"),
         ERROR("GET / HTTP/1.1\r\n" HOST "A\r\n\r\n", "bad-field"),
         ERROR("GET / HTTP/1.1\r\n" HOST "A(: b\r\n\r\n", "bad-field"),
         ERROR("GET / HTTP/1.1\r\n" HOST "A\xe9: b\r\n\r\n", "bad-field"),
         ERROR("GET / HTTP/1.1\r\n" HOST "A: b\0c\r\n\r\n", "bad-field"),
         ERROR("GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n", "bad-field"),
         ERROR("GET / HTTP/1.1\r\n" HOST "A: b\x7f\r\n\r\n", "bad-field"),
         ERROR("GET / HTTP/1.1\r\n" HOST "Connection: b\x01\r\n\r\n", "bad-field"),
         ERROR("GET / HTTP/1.1\r\n" HOST "Upgrade: \x02\r\n\r\n", "bad-field"),
         ERROR("GET / HTTP/1.1\r\n" HOST "Expect: 200\r\n\r\n", "expectation"));
}

static void framing(void)
{
    ROWS(ERROR(POST("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), "bad-framing"),
         ERROR(POST("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), "bad-framing"),
         ERROR(POST("Content-Length: 1\r\nContent-Length: 2\r\n"), "bad-length"),
         ERROR(POST("Content-Length: 1, 1\r\n"), "bad-length"), ERROR(POST("Content-Length: +1\r\n"), "bad-length"),
         ERROR(POST("Content-Length: -1\r\n"), "bad-length"), ERROR(POST("Content-Length: 0x1\r\n"), "bad-length"),
         ERROR(POST("Content-Length: 18446744073709551616\r\n"), "bad-length"),
         ERROR(POST("Content-Length: 9223372036854775808\r\n"), "bad-length"),
         ERROR(POST("Content-Length: 9223372036854775807\r\n"), "body-too-large"),
         ERROR(POST("Content-Length: \r\n"), "bad-length"), ERROR(POST("Content-Length: 1 1\r\n"), "bad-length"),
         ERROR(POST("Transfer-Encoding: gzip\r\n"), "coding-unknown"),
         ERROR(POST("Transfer-Encoding: gzip, chunked\r\n"), "coding-unknown"),
         ERROR(POST("Transfer-Encoding: chunked; a=b\r\n"), "coding-unknown"),
         ERROR(POST("Transfer-Encoding: xchunked\r\n"), "coding-unknown"),
         ERROR(POST("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), "coding-unknown"),
         ERROR(POST("Transfer-Encoding: \r\n"), "bad-framing"),
         ERROR(POST("Transfer-Encoding: chunked, chunked\r\n"), "bad-framing"),
         ERROR(POST("Transfer-Encoding: chunked, gzip\r\n"), "bad-framing"),
         ERROR(POST("Transfer-Encoding: ,\r\n"), "bad-framing"),
         ERROR(POST("Transfer-Encoding: a b\r\n"), "bad-framing"),
         ERROR("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "bad-framing"));
}

#define CHUNKED POST("Transfer-Encoding: chunked\r\n")
#define CHUNKED_EVENTS "POST / ? 11 flags 0 length -1 host=a;transfer-encoding=chunked;\n"
#define BAD(input, events) {CHUNKED input, sizeof(CHUNKED input) - 1, CHUNKED_EVENTS events "\n", 0}

static void chunks(void)
{
    ROWS(BAD("g\r\n", "bad-chunk"), BAD("\r\n", "bad-chunk"), BAD("-1\r\n", "bad-chunk"), BAD("+1\r\n", "bad-chunk"),
         BAD("0x1\r\n", "bad-chunk"), BAD("1 \r\n", "bad-chunk"), BAD(" 1\r\n", "bad-chunk"), BAD("1\na", "bad-chunk"),
         BAD("10000000000000000\r\n", "bad-chunk"), BAD("ffffffffffffffff\r\n", "body-too-large"),
         BAD("3\r\nabc0\r\n", "[abc]\nbad-chunk"), BAD("3\r\nabcd\r\n", "[abc]\nbad-chunk"),
         BAD("3\r\nabc\n0\r\n", "[abc]\nbad-chunk"), BAD("3;\x01\r\n", "bad-chunk"),
         BAD("3;a=\"b\n\"\r\n", "bad-chunk"),
         BAD("1\r\na\r\n0\r\nA b\r\n\r\n", "[a]\nbad-trailer"),
         BAD("1\r\na\r\n0\r\nA: b\r\n c\r\n\r\n", "[a]\nbad-trailer"),
         BAD("0\r\nA : b\r\n\r\n", "bad-trailer"), BAD("0\r\nA: b\0\r\n\r\n", "bad-trailer"),
         BAD("0\r\n\n", "bad-trailer"));
}

static void trailers(void)
{
    ROWS(GIVES(CHUNKED "1\r\na\r\n0\r\nX-A:  b \r\nContent-Length: 7\r\nTransfer-Encoding: gzip\r\nHost: b\r\n"
               "Connection: close\r\nAuthorization: x\r\nCookie: c\r\nContent-Type: d\r\nIf-Match: e\r\n"
               "Y: z\r\n\r\n" GET,
               CHUNKED_EVENTS "[a]\ntrailers x-a=b;y=z;\nend\n" GET_EVENTS));
}

static void the_end_of_input(void)
{
    ROWS(IS(GET, GET_EVENTS), IS("\r\n", ""), IS(GET "GET / HT", GET_EVENTS "bad-request-line\n"),
         IS(GET "FOO", GET_EVENTS "bad-request-line\n"),
         IS(POST("Content-Length: 5\r\n") "ab",
            "POST / ? 11 flags 0 length 5 host=a;content-length=5;\n[ab]\nbody-cut\n"),
         IS(CHUNKED "1\r\na\r\n", CHUNKED_EVENTS "[a]\nbody-cut\n"),
         IS(CHUNKED "0\r\nA: b\r\n", CHUNKED_EVENTS "body-cut\n"));
}

static void flags_of_an_upgrade(void)
{
    ROWS(GIVES("GET / HTTP/1.1\r\n" HOST "Connection: keep-alive, Upgrade\r\nUpgrade: x, WebSocket\r\n\r\n" GET,
               "GET / ? 11 flags 5 length -1 host=a;connection=keep-alive, Upgrade;upgrade=x, WebSocket;\nend\n"
               GET_EVENTS),
         GIVES("GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\n\r\n" GET,
               "GET / ? 11 flags 1 length -1 host=a;upgrade=websocket;\nend\n" GET_EVENTS),
         GIVES("POST / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx" GET,
               "POST / ? 11 flags 0 length 1 host=a;connection=upgrade;upgrade=websocket;content-length=1;\n[x]\nend\n"
               GET_EVENTS));
}

/* ---- limits, each at -1, 0 and +1 --------------------------------------------------- */

static void check_limited(const fs_limits *limits, const char *input, size_t n, const char *error)
{
    static const size_t cuts[] = {0, 1, 2, 3, 5, 8};

    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        const size_t first = cuts[i] == 0 ? n : cuts[i] == 1 ? 1 : n - cuts[i];
        const size_t step = cuts[i] == 1 ? 1 : n;
        const char *last = error ? error : "end\n";

        harness_note("%zu bytes, %zu then %zu", n, first, step);
        play(limits, input, n, first, step, 0);
        CHECK(record.n >= strlen(last));
        CHECK(memcmp(record.p + record.n - strlen(last), last, strlen(last)) == 0);
        close_machine();
    }
}

static void request_line_limit(void)
{
    char input[256];
    fs_limits limits;

    fs_limits_default(&limits);
    limits.max_request_line = 64;
    for (int n = 63; n <= 65; n++) {
        const int length = snprintf(input, sizeof input, "GET /%0*d HTTP/1.1\r\nHost: a\r\n\r\n", n - 14, 0);

        check_limited(&limits, input, (size_t)length, n > 64 ? "target-too-long\n" : NULL);
    }
}

static void head_limit(void)
{
    char input[256];
    fs_limits limits;

    fs_limits_default(&limits);
    limits.max_head = 128;
    for (int n = 127; n <= 129; n++) {
        const int length = snprintf(input, sizeof input, "GET / HTTP/1.1\r\nHost: a\r\nX: %0*d\r\n\r\n", n - 32, 0);

        CHECK_INT(length, n);
        check_limited(&limits, input, (size_t)length, n > 128 ? "head-too-large\n" : NULL);
    }
}

static void trailer_limit(void)
{
    char input[512];
    fs_limits limits;

    fs_limits_default(&limits);
    limits.max_head = 128;
    for (int n = 127; n <= 129; n++) {
        const int length = snprintf(input, sizeof input, CHUNKED "0\r\nX: %0*d\r\n\r\n", n - 7, 0);

        check_limited(&limits, input, (size_t)length, n > 128 ? "head-too-large\n" : NULL);
    }
}

static void field_limit(void)
{
    fs_limits limits;

    fs_limits_default(&limits);
    for (uint32_t most = 2; most <= 4; most++) {
        static const char input[] = "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\n\r\n";
        static const char absolute[] = "GET http://b/ HTTP/1.0\r\nA: b\r\nC: d\r\nE: f\r\n\r\n";

        limits.max_fields = most;
        check_limited(&limits, input, sizeof input - 1, most < 3 ? "too-many-fields\n" : NULL);
        check_limited(&limits, absolute, sizeof absolute - 1, most < 3 ? "too-many-fields\n" : NULL);
    }
}

static void body_limit(void)
{
    fs_limits limits;

    fs_limits_default(&limits);
    for (uint64_t most = 9; most <= 11; most++) {
        static const char counted[] = POST("Content-Length: 10\r\n") "0123456789";
        static const char chunked[] = CHUNKED "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n";

        limits.max_body = most;
        check_limited(&limits, counted, sizeof counted - 1, most < 10 ? "body-too-large\n" : NULL);
        check_limited(&limits, chunked, sizeof chunked - 1, most < 10 ? "body-too-large\n" : NULL);
    }
    limits.max_body = 0;
    check_limited(&limits, CHUNKED "1\r\na\r\n0\r\n\r\n", sizeof(CHUNKED "1\r\na\r\n0\r\n\r\n") - 1, NULL);
}

/* ";abc=de" counts seven: names, values and the marks before them. */
static void extension_limit(void)
{
    static const char input[] = CHUNKED "1;abc=de\r\nx\r\n1;abc=de\r\nx\r\n0\r\n\r\n";
    fs_limits limits;

    fs_limits_default(&limits);
    for (uint32_t most = 13; most <= 15; most++) {
        limits.max_chunk_extension = most;
        check_limited(&limits, input, sizeof input - 1, most < 14 ? "bad-chunk\n" : NULL);
    }
}

static void zeros_before_a_chunk_size_are_bounded(void)
{
    char zeros[4096];

    memset(zeros, '0', sizeof zeros);
    for (size_t step = 1; step <= sizeof zeros; step *= 64) {
        size_t fed = 0;
        int error = FS_OK;

        open_machine();
        request(CHUNKED "0005\r\nhello\r\n");
        expect(FS_EVENT_BODY);
        expect(FS_EVENT_NONE);
        while (error == FS_OK && fed < sizeof zeros) {
            fs_event event;

            feed_bytes(zeros, step);
            error = fs_h1_next(&m.h1, &event);
            fed += step;
        }
        CHECK_INT(error, FS_E_BAD_CHUNK);
        close_machine();
    }
}

static void empty_lines_are_bounded(void)
{
    char lines[256];

    memset(lines, '\n', sizeof lines);
    open_machine();
    feed_bytes(lines, sizeof lines);
    expect_error(FS_E_BAD_REQUEST_LINE);
    close_machine();
}

/* ---- the machine's life ---------------------------------------------------------------- */

static void the_next_head_waits_for_the_answer(void)
{
    fs_stream *stream;

    open_machine();
    stream = request(GET GET);
    expect(FS_EVENT_NONE);
    CHECK_INT(fs_h1_unread(&m.h1), strlen(GET));
    settle();
    feed(GET);
    expect(FS_EVENT_NONE);
    CHECK_INT(fs_h1_unread(&m.h1), 2 * strlen(GET));
    answer(stream, "one");
    answer(expect(FS_EVENT_HEAD).stream, "two");
    settle();
    answer(expect(FS_EVENT_HEAD).stream, "three");
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none"
              "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo"
              "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nthree");
    settle();
    CHECK(!m.h1.store && !fs_h1_busy(&m.h1));
    CHECK_INT(m.h1.requests, 3);
    close_machine();
}

static void a_whole_request_allocates_nothing(void)
{
    open_machine();
    harness_fail_nth(1);
    answer(request(POST("Content-Length: 5\r\nX: y\r\n") "hello"), "early");
    expect(FS_EVENT_NONE);
    settle();
    CHECK(!harness_has_failed());
    CHECK_INT(m.h1.reading, FS_H1_READ_IDLE);
    harness_fail_nth(0);
    close_machine();
}

static void a_failed_allocation_leaves_the_machine_whole(void)
{
    for (unsigned long nth = 1; nth <= 2; nth++) {
        open_machine();
        feed("GET / HTTP/1.1\r\nHost: a\r\n");
        expect(FS_EVENT_NONE);
        harness_fail_nth(nth);
        CHECK_INT(fs_h1_settle(&m.h1), FS_E_NOMEM);
        CHECK(harness_has_failed());
        harness_fail_nth(0);
        close_machine();
    }
}

static void early_answers_drain_within_bounds(void)
{
    fs_limits limits;

    fs_limits_default(&limits);
    limits.max_skip = 8;
    open_with(&limits);
    answer(request(POST("Content-Length: 8\r\n")), "a");
    CHECK(!fs_h1_must_close(&m.h1));
    feed("01234567" GET);
    answer(expect(FS_EVENT_HEAD).stream, "b");
    m.out.n = 0;
    answer(request(POST("Content-Length: 9\r\n")), "c");
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nc");
    CHECK(fs_h1_must_close(&m.h1) && fs_h1_must_linger(&m.h1));
    close_machine();
}

static void a_chunked_body_is_drained_within_bounds(void)
{
    fs_limits limits;

    fs_limits_default(&limits);
    limits.max_skip = 8;
    open_with(&limits);
    answer(request(CHUNKED), "a");
    feed("8\r\n01234567\r\n0\r\nX: y\r\n\r\n" GET);
    answer(expect(FS_EVENT_HEAD).stream, "b");
    answer(request(CHUNKED), "c");
    feed("9\r\n012345678\r\n0\r\n\r\n" GET);
    expect(FS_EVENT_NONE);
    CHECK_INT(m.h1.reading, FS_H1_READ_DISCARD);
    CHECK(fs_h1_must_close(&m.h1) && fs_h1_must_linger(&m.h1));
    expect(FS_EVENT_NONE);
    close_machine();
}

static void a_cut_body_may_still_be_answered(void)
{
    fs_stream *stream;

    open_machine();
    stream = request(POST("Content-Length: 5\r\n") "ab");
    expect(FS_EVENT_BODY);
    CHECK_INT(fs_h1_eof(&m.h1), FS_E_BODY_CUT);
    expect(FS_EVENT_NONE);
    CHECK(!fs_h1_must_close(&m.h1));
    answer(stream, "half");
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nhalf");
    CHECK(fs_h1_must_close(&m.h1) && !fs_h1_must_linger(&m.h1));
    close_machine();
}

static void a_half_closed_peer_gets_all_its_answers(void)
{
    fs_stream *stream;

    open_machine();
    stream = request(GET GET);
    CHECK_INT(fs_h1_eof(&m.h1), FS_OK);
    answer(stream, "one");
    CHECK(!fs_h1_must_close(&m.h1));
    stream = expect(FS_EVENT_HEAD).stream;
    expect(FS_EVENT_NONE);
    answer(stream, "two");
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none"
              "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\ntwo");
    CHECK(fs_h1_must_close(&m.h1));
    expect(FS_EVENT_NONE);
    close_machine();
    open_machine();
    CHECK_INT(fs_h1_eof(&m.h1), FS_OK);
    CHECK(fs_h1_must_close(&m.h1));
    close_machine();
}

static void a_body_may_be_received_elsewhere(void)
{
    fs_stream *stream;
    int end;

    open_machine();
    CHECK_INT(fs_h1_body_wanted(&m.h1), 0);
    stream = request(POST("Content-Length: 10\r\n") "012");
    CHECK_INT(fs_h1_body_wanted(&m.h1), 0);
    CHECK_INT(expect(FS_EVENT_BODY).data.n, 3);
    CHECK_INT(fs_h1_body_wanted(&m.h1), 7);
    CHECK_INT(fs_h1_body_direct(&m.h1, 8, &end), FS_E_INTERNAL);
    CHECK_INT(fs_h1_body_direct(&m.h1, 3, &end), FS_OK);
    CHECK_INT(end, 0);
    expect(FS_EVENT_NONE);
    CHECK_INT(fs_h1_body_direct(&m.h1, 4, &end), FS_OK);
    CHECK_INT(end, 1);
    CHECK_INT(fs_h1_body_wanted(&m.h1), 0);
    answer(stream, "ok");
    request(CHUNKED);
    CHECK_INT(fs_h1_body_wanted(&m.h1), 0);
    close_machine();
}

static void an_upgrade_makes_a_tunnel(void)
{
    const fs_field accept = field("Sec-WebSocket-Accept", "x"), bad = field("a b", "c");

    open_machine();
    CHECK_INT(fs_h1_upgrade(&m.h1, NULL, 0), FS_E_APP_ORDER);
    answer(request(GET), "");
    m.out.n = 0;
    request("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nglued");
    CHECK_INT(fs_h1_upgrade(&m.h1, &bad, 1), FS_E_APP_FIELD_NAME);
    CHECK_INT(m.out.n, 0);
    CHECK_INT(fs_h1_upgrade(&m.h1, &accept, 1), FS_OK);
    CHECK_OUT("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
              "sec-websocket-accept: x\r\n\r\n");
    CHECK_INT(m.h1.reading, FS_H1_READ_TUNNEL);
    CHECK_BYTES(expect(FS_EVENT_DATA).data.p, 5, "glued");
    expect(FS_EVENT_NONE);
    feed("GET / HTTP/1.1\r\n");
    CHECK_INT(expect(FS_EVENT_DATA).data.n, 16);
    CHECK_INT(fs_h1_eof(&m.h1), FS_OK);
    expect(FS_EVENT_NONE);
    CHECK_INT(fs_h1_upgrade(&m.h1, NULL, 0), FS_E_APP_ORDER);
    CHECK_INT(fs_h1_refuse(&m.h1, FS_E_TIMEOUT), FS_OK);
    CHECK_INT(m.out.n, 0);
    CHECK(fs_h1_must_close(&m.h1));
    close_machine();
}

/* A large body behind half a head is not copied into the store with it. */
static void only_the_head_is_copied(void)
{
    static char large[100000];
    const char *p;
    size_t seen = 0;

    open_machine();
    feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Le");
    expect(FS_EVENT_NONE);
    settle();
    memset(large, 'x', sizeof large);
    memcpy(large, "ngth: 50000\r\n\r\n", 15);
    m.input = guarded_copy(large, 50015);
    CHECK_INT(fs_h1_feed(&m.h1, m.input.p, m.input.n), FS_OK);
    expect(FS_EVENT_HEAD);
    while (seen < 50000) {
        const fs_event event = expect(FS_EVENT_BODY);

        p = event.data.p;
        seen += event.data.n;
    }
    CHECK(p >= m.input.p && p < m.input.p + m.input.n);
    settle();
    CHECK(m.h1.store == NULL);
    close_machine();
}

static void feeding_twice_in_a_turn_loses_nothing(void)
{
    char first[] = "GET / HTTP/1.1\r\nHo", second[] = "st: a\r\n", third[] = "\r\n";

    open_machine();
    CHECK_INT(fs_h1_feed(&m.h1, first, strlen(first)), FS_OK);
    CHECK_INT(fs_h1_feed(&m.h1, second, strlen(second)), FS_OK);
    CHECK_INT(fs_h1_feed(&m.h1, third, strlen(third)), FS_OK);
    CHECK_INT(expect(FS_EVENT_HEAD).head.nfields, 1);
    close_machine();
}

/* ---- the tables --------------------------------------------------------------------------- */

static void the_tables_lead_only_to_states_and_ends_are_final(void)
{
    for (unsigned input = 0; input < FS_H1_READING_INPUTS; input++) {
        for (unsigned state = 0; state <= FS_H1_READ_DISCARD; state++)
            CHECK(fs_h1_reading_table[state][input] <= FS_H1_READ_DISCARD);
        CHECK_INT(fs_h1_reading_table[FS_H1_READ_DISCARD][input], FS_H1_READ_DISCARD);
    }
    for (unsigned input = 0; input < FS_H1_WRITING_INPUTS; input++) {
        for (unsigned state = 0; state <= FS_H1_WRITE_BROKEN; state++)
            CHECK(fs_h1_writing_table[state][input] <= FS_H1_WRITE_BROKEN);
        CHECK_INT(fs_h1_writing_table[FS_H1_WRITE_BROKEN][input], FS_H1_WRITE_BROKEN);
    }
    for (unsigned input = 0; input < FS_H1_KEEP_INPUTS; input++) {
        CHECK(fs_h1_keep_table[FS_H1_KEEP_OPEN][input] <= FS_H1_KEEP_CLOSED);
        CHECK(fs_h1_keep_table[FS_H1_KEEP_CLOSE_AFTER][input] >= FS_H1_KEEP_CLOSE_AFTER);
        CHECK_INT(fs_h1_keep_table[FS_H1_KEEP_CLOSED][input], FS_H1_KEEP_CLOSED);
    }
}

int main(void)
{
    RUN(whole_messages);
    RUN(persistence);
    RUN(request_lines);
    RUN(targets_and_hosts);
    RUN(fields_of_a_head);
    RUN(framing);
    RUN(chunks);
    RUN(trailers);
    RUN(the_end_of_input);
    RUN(flags_of_an_upgrade);
    RUN(request_line_limit);
    RUN(head_limit);
    RUN(trailer_limit);
    RUN(field_limit);
    RUN(body_limit);
    RUN(extension_limit);
    RUN(zeros_before_a_chunk_size_are_bounded);
    RUN(empty_lines_are_bounded);
    RUN(the_next_head_waits_for_the_answer);
    RUN(a_whole_request_allocates_nothing);
    RUN(a_failed_allocation_leaves_the_machine_whole);
    RUN(early_answers_drain_within_bounds);
    RUN(a_chunked_body_is_drained_within_bounds);
    RUN(a_cut_body_may_still_be_answered);
    RUN(a_half_closed_peer_gets_all_its_answers);
    RUN(a_body_may_be_received_elsewhere);
    RUN(an_upgrade_makes_a_tunnel);
    RUN(only_the_head_is_copied);
    RUN(feeding_twice_in_a_turn_loses_nothing);
    RUN(the_tables_lead_only_to_states_and_ends_are_final);
    return harness_end();
}
