/* The response side of the HTTP/1 machine, byte for byte: RFC 9112 sections 4, 6, 7 and 9. */

#include "h1_fixture.h"

#include "proto/response_fields.h"

/* ---- heads ------------------------------------------------------------------ */

static void a_whole_answer_gets_its_length(void)
{
    const fs_field fields[] = {field("Content-Type", "text/plain"), field("X-A", ""), field("x-a", "\t b c  ")};
    fs_stream *stream;

    open_machine();
    stream = request(GET);
    CHECK_INT(head(stream, 200, fields, 3, 5), FS_OK);
    CHECK_INT(stream->status, 200);
    CHECK(stream->head_sent && !stream->ended);
    CHECK_INT(body(stream, "hello", 1), FS_OK);
    CHECK(stream->ended);
    CHECK_INT(stream->body_sent, 5);
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-a: \r\nx-a: b c\r\ncontent-length: 5\r\n\r\nhello");
    CHECK(!fs_h1_must_close(&m.h1) && !fs_h1_busy(&m.h1));
    close_machine();
}

/* What fs_check_field says of a field is what a head with it says. */
static void a_field_is_checked_before_its_head_is_written(void)
{
    static const struct {
        const char *name, *value;
        int result;
        uint32_t id;
    } rows[] = {
        {"content-type", "text/plain", FS_OK, FS_FIELD_CONTENT_TYPE}, {"Content-TYPE",
        " \tx y\t ", FS_OK, FS_FIELD_CONTENT_TYPE},
        {"date", "", FS_OK, FS_FIELD_DATE}, {"X-Own", "a\tb", FS_OK, 0}, {"x", "\xff", FS_OK, 0},
        {"", "a", FS_E_APP_FIELD_NAME, 0}, {"x y", "a", FS_E_APP_FIELD_NAME, 0}, {"x:", "a", FS_E_APP_FIELD_NAME, 0},
        {"date ", "a", FS_E_APP_FIELD_NAME, 0}, {"x\r\ny", "a", FS_E_APP_FIELD_NAME, 0}, {"\xe9",
        "a", FS_E_APP_FIELD_NAME, 0},
        {"date", "a\r\nb: c", FS_E_APP_FIELD_VALUE, FS_FIELD_DATE}, {"x-own", "\x7f", FS_E_APP_FIELD_VALUE, 0},
        {"x-own", "a value that is longer than sixteen bytes\n", FS_E_APP_FIELD_VALUE, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const fs_field each = field(rows[i].name, rows[i].value);
        uint32_t id;

        harness_note("%s: %s", rows[i].name, rows[i].value);
        CHECK_INT(fs_check_field(&each, &id), rows[i].result);
        CHECK_INT(id, rows[i].id);
        open_machine();
        CHECK_INT(head(request(GET), 200, &each, 1, 0), rows[i].result);
        close_machine();
    }
}

static void date_server_and_configured_lines_are_added(void)
{
    const fs_field own[] = {field("Date", "now"), field("SERVER", "mine")};

    open_machine();
    fs_head_common_init(&m.common, 1);
    fs_head_set_time(&m.common, 0);
    m.common.server = "server: fastserve\r\n";
    m.common.server_len = strlen(m.common.server);
    m.common.extra = "x-extra: 1\r\n";
    m.common.extra_len = strlen(m.common.extra);
    answer(request(GET), "");
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 0\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\nserver: fastserve\r\n"
              "x-extra: 1\r\n\r\n");
    CHECK_INT(head(request(GET), 200, own, 2, 0), FS_OK);
    CHECK_OUT("HTTP/1.1 200 OK\r\ndate: now\r\nserver: mine\r\ncontent-length: 0\r\nx-extra: 1\r\n\r\n");
    close_machine();
}

static void check_rejected(int status, fs_field given, int error)
{
    fs_stream *stream;

    harness_note("%d, %.*s", status, (int)given.name_len, given.name);
    open_machine();
    stream = request(GET);
    CHECK_INT(head(stream, status, &given, 1, 2), error);
    CHECK_INT(m.out.n, 0);
    CHECK(!stream->head_sent);
    answer(stream, "ok");
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    close_machine();
}

static void what_is_invalid_sends_nothing_and_another_head_may_follow(void)
{
    static const char *const values[] = {"a\rb", "a\nb", "a\r\nb: c", "a\x01", "a\x7f"};
    static const char *const names[] = {"", "a b", "a:", "a\r\n", "\xe9", "(", "a\t"};
    static const char *const lengths[] = {"", "x", "-1", "+1", "1,1", "1 1", "0x1", "9999999999999999999"};
    static const int statuses[] = {INT32_MIN, -1, 0, 99, 100, 101, 199, 1000, INT32_MAX};

    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        check_rejected(200, field("x", values[i]), FS_E_APP_FIELD_VALUE);
    check_rejected(200, (fs_field){"x", "a\0b", 1, 3, 0}, FS_E_APP_FIELD_VALUE);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_rejected(200, field(names[i], "x"), FS_E_APP_FIELD_NAME);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        check_rejected(200, field("Content-Length", lengths[i]), FS_E_APP_LENGTH);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        check_rejected(statuses[i], field("x", "y"), FS_E_APP_STATUS);
}

static void a_reason_is_taken_and_checked(void)
{
    fs_response_head given = {.status = 299, .reason = {"Quite\r\nfine", 11}};
    fs_stream *stream;

    open_machine();
    stream = request(GET);
    CHECK_INT(stream->ops->head(stream, &given), FS_E_APP_STATUS);
    given.reason = (fs_slice){"Quite fine", 10};
    given.flags = FS_RESPONSE_END;
    CHECK_INT(stream->ops->head(stream, &given), FS_OK);
    CHECK_OUT("HTTP/1.1 299 Quite fine\r\ncontent-length: 0\r\n\r\n");
    close_machine();
}

static void lengths_must_agree(void)
{
    const fs_field same[] = {field("content-length", "3"), field("Content-Length", "3")};
    const fs_field differ[] = {field("content-length", "3"), field("content-length", "4")};
    fs_stream *stream;

    open_machine();
    stream = request(GET);
    CHECK_INT(head(stream, 200, differ, 2, -1), FS_E_APP_LENGTH);
    CHECK_INT(head(stream, 200, same, 2, -1), FS_OK);
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n");
    close_machine();
}

static void hop_by_hop_fields_are_dropped_but_close_is_obeyed(void)
{
    const fs_field fields[] = {field("Transfer-Encoding", "gzip"), field("Keep-Alive", "x"),
                               field("Proxy-Connection", "x"), field("Upgrade", "x"), field("TE", "x"),
                               field("Trailer", "x-sum"), field("Connection", "x, Close")};

    open_machine();
    CHECK_INT(head(request(GET), 200, fields, 7, 0), FS_OK);
    CHECK_OUT("HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    CHECK_INT(body(&m.h1.stream, "", 1), FS_OK);
    CHECK(fs_h1_must_close(&m.h1) && fs_h1_must_linger(&m.h1) && !fs_h1_must_reset(&m.h1));
    close_machine();
}

/* ---- framing ------------------------------------------------------------------ */

static void pieces_are_chunked(void)
{
    fs_stream *stream;

    open_machine();
    stream = request(GET);
    CHECK_INT(head(stream, 200, NULL, 0, -1), FS_OK);
    CHECK_INT(body(stream, "", 0), FS_OK);
    CHECK_INT(body(stream, "hello", 0), FS_OK);
    CHECK_INT(stream->ops->body(stream, NULL, 0, NULL, 0), FS_OK);
    CHECK_INT(body(stream, "0123456789abcdefg", 1), FS_OK);
    CHECK_OUT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
              "5\r\nhello\r\n11\r\n0123456789abcdefg\r\n0\r\n\r\n");
    stream = request(GET);
    CHECK_INT(head(stream, 200, NULL, 0, -1), FS_OK);
    CHECK_INT(body(stream, "", 1), FS_OK);
    CHECK_OUT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
    CHECK(!fs_h1_busy(&m.h1));
    close_machine();
}

static void large_pieces_are_shared_and_files_are_ranges(void)
{
    static char large[FS_SHARE_MIN];
    int owner;
    fs_stream *stream;

    open_machine();
    memset(large, 'x', sizeof large);
    stream = request(GET);
    CHECK_INT(head(stream, 200, NULL, 0, -1), FS_OK);
    m.out.n = 0;
    CHECK_INT(stream->ops->body(stream, large, sizeof large - 1, &owner, 0), FS_OK);
    CHECK_INT(stream->ops->body(stream, large, sizeof large, NULL, 0), FS_OK);
    CHECK_INT(m.out.shares, 0);
    CHECK_INT(stream->ops->body(stream, large, sizeof large, &owner, 0), FS_OK);
    CHECK_INT(m.out.shares, 1);
    CHECK_INT(m.out.n, 3 * (4 + 2 + FS_SHARE_MIN + 2) - 1);
    CHECK(memcmp(m.out.bytes + m.out.n - FS_SHARE_MIN - 2 - 6, "2000\r\n", 6) == 0);
    m.out.n = 0;
    CHECK_INT(stream->ops->file(stream, 7, 100, 4096, NULL, 0), FS_OK);
    CHECK_INT(stream->ops->file(stream, 7, 0, 1, NULL, 1), FS_OK);
    CHECK_OUT("1000\r\n<100+4096>\r\n1\r\n<0+1>\r\n0\r\n\r\n");
    CHECK_INT(stream->body_sent, 3 * FS_SHARE_MIN - 1 + 4097);
    close_machine();
}

static void files_keep_to_the_length(void)
{
    const fs_field length = field("content-length", "10");
    fs_stream *stream;

    open_machine();
    stream = request(GET);
    CHECK_INT(head(stream, 200, &length, 1, -1), FS_OK);
    m.out.n = 0;
    CHECK_INT(stream->ops->file(stream, 7, 5, 4, NULL, 0), FS_OK);
    CHECK_INT(stream->ops->file(stream, 7, 9, 7, NULL, 1), FS_E_APP_BODY_TOO_LONG);
    CHECK_OUT("<5+4><9+6>");
    CHECK(fs_h1_must_close(&m.h1));
    close_machine();
}

static void a_body_that_is_too_long_is_cut(void)
{
    const fs_field length = field("content-length", "3");
    fs_stream *stream;

    open_machine();
    stream = request(GET GET);
    CHECK_INT(head(stream, 200, &length, 1, -1), FS_OK);
    CHECK_INT(body(stream, "ab", 0), FS_OK);
    CHECK_INT(body(stream, "cdef", 0), FS_E_APP_BODY_TOO_LONG);
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc");
    CHECK_INT(stream->body_sent, 3);
    CHECK(stream->ended);
    CHECK(fs_h1_must_close(&m.h1) && fs_h1_must_linger(&m.h1));
    CHECK_INT(body(stream, "x", 1), FS_E_APP_ORDER);
    expect(FS_EVENT_NONE);
    CHECK_INT(m.out.n, 0);
    close_machine();
}

static void a_body_that_is_too_short_breaks_the_connection(void)
{
    const fs_field length = field("content-length", "3");
    fs_stream *stream;

    open_machine();
    stream = request(GET);
    CHECK_INT(head(stream, 200, &length, 1, 2), FS_OK);
    CHECK_INT(body(stream, "ab", 1), FS_E_APP_BODY_TOO_SHORT);
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab");
    CHECK(stream->ended && fs_h1_must_close(&m.h1) && !fs_h1_must_reset(&m.h1));
    CHECK_INT(body(stream, "x", 1), FS_E_APP_ORDER);
    close_machine();
}

/* What `request_text` gets for a status, with and without the application's own length. */
#define CHECK_BODILESS(request_text, status, whole, expected)               \
    do {                                                                    \
        fs_stream *stream_;                                                 \
        open_machine();                                                     \
        stream_ = request(request_text);                                    \
        CHECK_INT(head(stream_, (status), NULL, 0, (whole)), FS_OK);        \
        CHECK(stream_->bodiless);                                           \
        CHECK_INT(body(stream_, "swallowed", 1), FS_OK);                    \
        CHECK_INT(stream_->body_sent, 0);                                   \
        CHECK_OUT(expected);                                                \
        CHECK(!fs_h1_busy(&m.h1) && !fs_h1_must_close(&m.h1));              \
        close_machine();                                                    \
    } while (0)

#define HEAD "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"

static void head_204_and_304_have_no_body(void)
{
    CHECK_BODILESS(HEAD, 200, 9, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
    CHECK_BODILESS(HEAD, 200, -1, "HTTP/1.1 200 OK\r\n\r\n");
    CHECK_BODILESS(GET, 204, 9, "HTTP/1.1 204 No Content\r\n\r\n");
    CHECK_BODILESS(GET, 204, -1, "HTTP/1.1 204 No Content\r\n\r\n");
    CHECK_BODILESS(GET, 304, 9, "HTTP/1.1 304 Not Modified\r\n\r\n");
    CHECK_BODILESS(HEAD, 304, -1, "HTTP/1.1 304 Not Modified\r\n\r\n");
    CHECK_BODILESS(HEAD, 204, 9, "HTTP/1.1 204 No Content\r\n\r\n");
}

static void their_own_length_is_kept_but_for_204(void)
{
    const fs_field length = field("content-length", "1000");
    static const struct { const char *request; int status; } rows[] = {
        {HEAD, 200}, {GET, 304}, {HEAD, 304}, {GET, 204},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fs_stream *stream;

        open_machine();
        stream = request(rows[i].request);
        CHECK_INT(head(stream, rows[i].status, &length, 1, 0), FS_OK);
        m.out.bytes[m.out.n] = '\0';
        CHECK_INT(strstr(m.out.bytes, "content-length: 1000\r\n") != NULL, rows[i].status != 204);
        CHECK_INT(body(stream, "", 1), FS_OK);
        CHECK(!fs_h1_must_close(&m.h1));
        close_machine();
    }
}

/* ---- HTTP/1.0 ------------------------------------------------------------------- */

static void http_1_0_is_closed_and_never_chunked(void)
{
    fs_stream *stream;

    open_machine();
    answer(request(GET_1_0), "ok");
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    CHECK(fs_h1_must_close(&m.h1) && !fs_h1_must_linger(&m.h1) && !fs_h1_must_reset(&m.h1));
    close_machine();
    open_machine();
    stream = request("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK_INT(head(stream, 200, NULL, 0, -1), FS_OK);
    CHECK_INT(body(stream, "one", 0), FS_OK);
    CHECK_INT(body(stream, "two", 1), FS_OK);
    CHECK_OUT("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nonetwo");
    CHECK(fs_h1_must_close(&m.h1) && !fs_h1_must_reset(&m.h1));
    close_machine();
}

static void http_1_0_is_kept_when_asked(void)
{
    open_machine();
    for (int i = 0; i < 2; i++) {
        answer(request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), "ok");
        CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok");
        CHECK(!fs_h1_must_close(&m.h1));
    }
    close_machine();
}

/* ---- abort ---------------------------------------------------------------------- */

static void an_abort_after_the_head_is_visible(void)
{
    fs_stream *stream;

    open_machine();
    stream = request(GET GET);
    CHECK_INT(head(stream, 200, NULL, 0, -1), FS_OK);
    CHECK_INT(body(stream, "one", 0), FS_OK);
    stream->ops->abort(stream, FS_E_APP_RAISED);
    CHECK_OUT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    CHECK(stream->ended && fs_h1_must_close(&m.h1) && !fs_h1_must_reset(&m.h1));
    CHECK_INT(m.h1.writing, FS_H1_WRITE_BROKEN);
    CHECK_INT(body(stream, "two", 1), FS_E_APP_ORDER);
    CHECK_INT(head(stream, 200, NULL, 0, 0), FS_E_APP_ORDER);
    stream->ops->abort(stream, FS_E_APP_RAISED);
    expect(FS_EVENT_NONE);
    CHECK_INT(m.out.n, 0);
    close_machine();
}

static void an_aborted_body_that_the_close_ends_is_reset(void)
{
    fs_stream *stream;

    open_machine();
    stream = request(GET_1_0);
    CHECK_INT(head(stream, 200, NULL, 0, -1), FS_OK);
    CHECK_INT(body(stream, "one", 0), FS_OK);
    stream->ops->abort(stream, FS_E_APP_RAISED);
    CHECK(fs_h1_must_close(&m.h1) && fs_h1_must_reset(&m.h1) && !fs_h1_must_linger(&m.h1));
    close_machine();
}

static void an_abort_before_the_head_says_nothing(void)
{
    fs_stream *stream;

    open_machine();
    stream = request(GET);
    stream->ops->abort(stream, FS_E_PEER_GONE);
    CHECK_INT(m.out.n, 0);
    CHECK(fs_h1_must_close(&m.h1) && stream->ended && !stream->head_sent);
    close_machine();
}

/* ---- interim responses ------------------------------------------------------------ */

static void continue_is_said_once_and_only_before_the_body(void)
{
    fs_stream *stream;

    open_machine();
    stream = request(POST("Content-Length: 3\r\nExpect: 100-continue\r\n"));
    CHECK_INT(stream->ops->proceed(stream), FS_OK);
    CHECK_INT(stream->ops->proceed(stream), FS_OK);
    CHECK_OUT("HTTP/1.1 100 Continue\r\n\r\n");
    feed("abc");
    CHECK_INT(expect(FS_EVENT_BODY).end, 1);
    answer(stream, "ok");
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    stream = request(POST("Content-Length: 3\r\nExpect: 100-continue\r\n") "abc");
    CHECK_INT(stream->ops->proceed(stream), FS_OK);
    CHECK_INT(m.out.n, 0);
    CHECK_INT(expect(FS_EVENT_BODY).end, 1);
    answer(stream, "ok");
    m.out.n = 0;
    stream = request(GET);
    CHECK_INT(stream->ops->proceed(stream), FS_OK);
    CHECK_INT(m.out.n, 0);
    close_machine();
}

static void an_early_answer_to_an_expectation_closes(void)
{
    fs_stream *stream;

    open_machine();
    stream = request(POST("Content-Length: 3\r\nExpect: 100-continue\r\n"));
    answer(stream, "no");
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
    CHECK_INT(stream->ops->proceed(stream), FS_OK);
    CHECK_INT(m.out.n, 0);
    CHECK(fs_h1_must_close(&m.h1) && fs_h1_must_linger(&m.h1));
    close_machine();
}

static void early_hints(void)
{
    const fs_field link = field("Link", "</a.css>; rel=preload"), bad = field("link", "\r\n");
    fs_stream *stream;

    open_machine();
    stream = request(GET);
    CHECK_INT(stream->ops->informational(stream, 103, &bad, 1), FS_E_APP_FIELD_VALUE);
    CHECK_INT(stream->ops->informational(stream, 101, &link, 1), FS_E_APP_STATUS);
    CHECK_INT(stream->ops->informational(stream, 200, &link, 1), FS_E_APP_STATUS);
    CHECK_INT(stream->ops->informational(stream, 103, &link, 1), FS_OK);
    CHECK_OUT("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n");
    answer(stream, "");
    m.out.n = 0;
    CHECK_INT(stream->ops->informational(stream, 103, &link, 1), FS_E_APP_ORDER);
    stream = request(GET_1_0);
    CHECK_INT(stream->ops->informational(stream, 103, &link, 1), FS_OK);
    CHECK_INT(m.out.n, 0);
    close_machine();
}

/* ---- trailers ----------------------------------------------------------------------- */

static int trailer_head(fs_stream *stream, uint32_t flags)
{
    const fs_response_head given = {.status = 200, .reason = {"", 0}, .flags = FS_RESPONSE_TRAILERS | flags,
                                    .length = 3};

    return stream->ops->head(stream, &given);
}

#define GET_TE "GET / HTTP/1.1\r\nHost: a\r\nTE: deflate;q=0.5, Trailers\r\n\r\n"

static void trailers_follow_the_last_chunk(void)
{
    const fs_field sum = field("X-Sum", "1"), bad = field("x", "\n"), forbidden = field("Content-Length", "1");
    fs_stream *stream;

    open_machine();
    stream = request(GET_TE);
    CHECK_INT(trailer_head(stream, FS_RESPONSE_END), FS_OK);
    CHECK_INT(body(stream, "one", 1), FS_OK);
    CHECK(stream->trailers_pending && !stream->ended);
    CHECK_INT(body(stream, "two", 1), FS_E_APP_ORDER);
    CHECK_INT(stream->ops->trailers(stream, &bad, 1, 1), FS_E_APP_FIELD_VALUE);
    CHECK_INT(stream->ops->trailers(stream, &forbidden, 1, 1), FS_E_APP_TRAILER);
    CHECK_OUT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    CHECK_INT(stream->ops->trailers(stream, &sum, 1, 0), FS_OK);
    CHECK_INT(stream->ops->trailers(stream, &sum, 1, 1), FS_OK);
    CHECK_OUT("0\r\nx-sum: 1\r\nx-sum: 1\r\n\r\n");
    CHECK(stream->ended && !stream->trailers_pending && !fs_h1_busy(&m.h1));
    stream = request(GET_TE);
    CHECK_INT(trailer_head(stream, 0), FS_OK);
    m.out.n = 0;
    CHECK_INT(body(stream, "", 1), FS_OK);
    CHECK_INT(stream->ops->trailers(stream, NULL, 0, 1), FS_OK);
    CHECK_OUT("0\r\n\r\n");
    close_machine();
}

static void trailers_that_nobody_wants_are_dropped(void)
{
    const fs_field sum = field("x-sum", "1");
    fs_stream *stream;

    open_machine();
    stream = request(GET);
    CHECK_INT(trailer_head(stream, 0), FS_OK);
    CHECK_INT(body(stream, "one", 1), FS_OK);
    CHECK(stream->ended && !stream->trailers_pending);
    CHECK_OUT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n");
    CHECK_INT(stream->ops->trailers(stream, &sum, 1, 1), FS_E_APP_ORDER);
    CHECK_INT(m.out.n, 0);
    close_machine();
}

static void an_abort_before_the_trailers_is_visible(void)
{
    fs_stream *stream;

    open_machine();
    stream = request(GET_TE);
    CHECK_INT(trailer_head(stream, 0), FS_OK);
    CHECK_INT(body(stream, "one", 1), FS_OK);
    stream->ops->abort(stream, FS_E_APP_RAISED);
    CHECK_OUT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    CHECK(stream->ended && !stream->trailers_pending && fs_h1_must_close(&m.h1));
    close_machine();
}

/* ---- order, memory, closing ------------------------------------------------------------ */

static void order_is_kept(void)
{
    fs_stream *stream = &m.h1.stream;

    open_machine();
    CHECK_INT(head(stream, 200, NULL, 0, 0), FS_E_APP_ORDER);
    CHECK_INT(body(stream, "x", 1), FS_E_APP_ORDER);
    request(GET);
    CHECK_INT(body(stream, "x", 1), FS_E_APP_ORDER);
    CHECK_INT(stream->ops->file(stream, 7, 0, 1, NULL, 1), FS_E_APP_ORDER);
    CHECK_INT(head(stream, 200, NULL, 0, 0), FS_OK);
    CHECK_INT(head(stream, 200, NULL, 0, 0), FS_E_APP_ORDER);
    CHECK_INT(body(stream, "", 1), FS_OK);
    CHECK_INT(body(stream, "", 1), FS_E_APP_ORDER);
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    close_machine();
}

static void without_room_a_head_may_be_tried_again_and_a_body_is_broken_off(void)
{
    static const int64_t lengths[] = {-1, 5};

    for (size_t i = 0; i < 2; i++) {
        fs_stream *stream;

        open_machine();
        stream = request(GET);
        m.out.full = 1;
        CHECK_INT(head(stream, 200, NULL, 0, lengths[i]), FS_E_NOMEM);
        CHECK(!stream->head_sent);
        m.out.full = 0;
        CHECK_INT(head(stream, 200, NULL, 0, lengths[i]), FS_OK);
        m.out.full = 1;
        CHECK_INT(body(stream, "hello", 1), FS_E_NOMEM);
        CHECK(stream->ended && fs_h1_must_close(&m.h1));
        close_machine();
    }
}

static void a_draining_worker_and_the_last_request_say_close(void)
{
    fs_limits limits;

    open_machine();
    m.shared.draining = 1;
    answer(request(GET), "");
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    CHECK(fs_h1_must_close(&m.h1) && fs_h1_must_linger(&m.h1));
    close_machine();
    fs_limits_default(&limits);
    limits.max_requests = 2;
    open_with(&limits);
    answer(request(GET), "");
    CHECK(!fs_h1_must_close(&m.h1));
    m.out.n = 0;
    answer(request(GET), "");
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    CHECK(fs_h1_must_close(&m.h1));
    close_machine();
}

/* ---- refusing ------------------------------------------------------------------------- */

static void an_error_is_answered_once(void)
{
    open_machine();
    feed("GET / HTTP/1.1\r\n\r\n" GET);
    expect_error(FS_E_BAD_HOST);
    CHECK_INT(fs_h1_refuse(&m.h1, FS_E_BAD_HOST), FS_OK);
    CHECK_OUT("HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 11\r\n"
              "connection: close\r\n\r\nBad Request");
    CHECK(fs_h1_must_close(&m.h1) && fs_h1_must_linger(&m.h1));
    CHECK_INT(fs_h1_refuse(&m.h1, FS_E_TIMEOUT), FS_OK);
    CHECK_INT(m.out.n, 0);
    expect(FS_EVENT_NONE);
    feed(GET);
    expect(FS_EVENT_NONE);
    CHECK_INT(fs_h1_eof(&m.h1), FS_OK);
    expect(FS_EVENT_NONE);
    CHECK_INT(fs_h1_unread(&m.h1), 0);
    close_machine();
}

static void head_is_refused_without_a_body(void)
{
    open_machine();
    feed("HEAD / HTTP/1.1\r\n\r\n");
    expect_error(FS_E_BAD_HOST);
    CHECK_INT(fs_h1_refuse(&m.h1, FS_E_BAD_HOST), FS_OK);
    CHECK_OUT("HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 11\r\n"
              "connection: close\r\n\r\n");
    close_machine();
}

static void an_error_after_the_head_breaks_the_answer_off(void)
{
    fs_stream *stream;

    open_machine();
    stream = request(POST("Transfer-Encoding: chunked\r\n"));
    CHECK_INT(head(stream, 200, NULL, 0, -1), FS_OK);
    CHECK_INT(body(stream, "one", 0), FS_OK);
    feed("x\r\n");
    expect_error(FS_E_BAD_CHUNK);
    CHECK_INT(fs_h1_refuse(&m.h1, FS_E_BAD_CHUNK), FS_OK);
    CHECK_OUT("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    CHECK(stream->ended && fs_h1_must_close(&m.h1));
    close_machine();
}

static void an_error_after_the_answer_is_not_answered_again(void)
{
    open_machine();
    answer(request(POST("Transfer-Encoding: chunked\r\n")), "early");
    CHECK_OUT("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly");
    CHECK_INT(m.h1.reading, FS_H1_READ_SKIP);
    feed("x\r\n");
    expect_error(FS_E_BAD_CHUNK);
    CHECK_INT(fs_h1_refuse(&m.h1, FS_E_BAD_CHUNK), FS_OK);
    CHECK_INT(m.out.n, 0);
    CHECK(fs_h1_must_close(&m.h1));
    close_machine();
}

static void an_error_without_a_status_only_closes(void)
{
    open_machine();
    request(GET);
    CHECK_INT(fs_h1_refuse(&m.h1, FS_E_PEER_GONE), FS_OK);
    CHECK_INT(m.out.n, 0);
    CHECK(fs_h1_must_close(&m.h1));
    close_machine();
}

static void a_timeout_in_a_head_is_408_and_overload_says_when_to_retry(void)
{
    open_machine();
    feed("GET / HT");
    expect(FS_EVENT_NONE);
    CHECK_INT(fs_h1_refuse(&m.h1, FS_E_TIMEOUT), FS_OK);
    CHECK_OUT("HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 15\r\n"
              "connection: close\r\n\r\nRequest Timeout");
    close_machine();
    open_machine();
    request(GET);
    CHECK_INT(fs_h1_refuse(&m.h1, FS_E_OVERLOADED), FS_OK);
    CHECK_OUT("HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\nretry-after: 1\r\n"
              "content-length: 19\r\nconnection: close\r\n\r\nService Unavailable");
    close_machine();
}

static void a_refusal_without_room_still_closes(void)
{
    open_machine();
    feed("x\x01");
    expect_error(FS_E_BAD_METHOD);
    m.out.full = 1;
    CHECK_INT(fs_h1_refuse(&m.h1, FS_E_BAD_METHOD), FS_E_NOMEM);
    CHECK(fs_h1_must_close(&m.h1));
    close_machine();
}

int main(void)
{
    RUN(a_whole_answer_gets_its_length);
    RUN(a_field_is_checked_before_its_head_is_written);
    RUN(date_server_and_configured_lines_are_added);
    RUN(what_is_invalid_sends_nothing_and_another_head_may_follow);
    RUN(a_reason_is_taken_and_checked);
    RUN(lengths_must_agree);
    RUN(hop_by_hop_fields_are_dropped_but_close_is_obeyed);
    RUN(pieces_are_chunked);
    RUN(large_pieces_are_shared_and_files_are_ranges);
    RUN(files_keep_to_the_length);
    RUN(a_body_that_is_too_long_is_cut);
    RUN(a_body_that_is_too_short_breaks_the_connection);
    RUN(head_204_and_304_have_no_body);
    RUN(their_own_length_is_kept_but_for_204);
    RUN(http_1_0_is_closed_and_never_chunked);
    RUN(http_1_0_is_kept_when_asked);
    RUN(an_abort_after_the_head_is_visible);
    RUN(an_aborted_body_that_the_close_ends_is_reset);
    RUN(an_abort_before_the_head_says_nothing);
    RUN(continue_is_said_once_and_only_before_the_body);
    RUN(an_early_answer_to_an_expectation_closes);
    RUN(early_hints);
    RUN(trailers_follow_the_last_chunk);
    RUN(trailers_that_nobody_wants_are_dropped);
    RUN(an_abort_before_the_trailers_is_visible);
    RUN(order_is_kept);
    RUN(without_room_a_head_may_be_tried_again_and_a_body_is_broken_off);
    RUN(a_draining_worker_and_the_last_request_say_close);
    RUN(an_error_is_answered_once);
    RUN(head_is_refused_without_a_body);
    RUN(an_error_after_the_head_breaks_the_answer_off);
    RUN(an_error_after_the_answer_is_not_answered_again);
    RUN(an_error_without_a_status_only_closes);
    RUN(a_timeout_in_a_head_is_408_and_overload_says_when_to_retry);
    RUN(a_refusal_without_room_still_closes);
    return harness_end();
}
