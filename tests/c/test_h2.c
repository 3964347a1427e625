#include "h2_fixture.h"


#define PREFACE FS_H2_PREFACE "\0\0\0\4\0\0\0\0\0"
#define GET "\x82\x86\x84\x41\x04test"             /* GET http / test */
#define POST "\x83\x86\x84\x41\x04test"
#define HEADERS(length, flags, stream, block) "\0\0" length "\x01" flags "\0\0\0" stream block
#define FRAME(length, kind, flags, stream, payload) "\0\0" length kind flags "\0\0\0" stream payload

#define A_PING FRAME("\x08", "\6", "\0", "\0", "12345678")
#define SOME_SETTINGS FRAME("\0", "\4", "\0", "\0", "")
#define AN_UNKNOWN_FRAME FRAME("\0", "\x77", "\0", "\0", "")
#define A_PRIORITY FRAME("\5", "\2", "\0", "\x63", "\0\0\0\0\1")
#define A_LATE_RESET FRAME("\4", "\3", "\0", "\3", "\0\0\0\x08")
#define A_BYTE FRAME("\1", "\0", "\0", "\1", "x")
#define WIDER(stream, by) FRAME("\4", "\x08", "\0", stream, "\0\0\0" by)
#define AN_UPLOAD HEADERS("\x09", "\4", "\1", POST)
#define A_TUNNEL HEADERS("\x26", "\4", "\1", "\x02\7CONNECT\x86\x84\x41\x04test" "\x00\x09:protocol\x09websocket")

typedef struct scenario {
    const char *name, *bytes;
    size_t n;
    const char *events;
} scenario;

#define SCENARIO(name, bytes, events) {name, PREFACE bytes, sizeof(PREFACE bytes) - 1, events}

static const scenario SCENARIOS[] = {
    SCENARIO("a request", HEADERS("\x09", "\5", "\1", GET), "H GET / ? host=test 0 9\n"),
    SCENARIO("two requests, a ping, settings",
             HEADERS("\x09", "\5", "\1", GET) FRAME("\x08", "\6", "\0", "\0", "12345678")
                 HEADERS("\x09", "\5", "\3", GET) FRAME("\0", "\4", "\1", "\0", ""),
             "H GET / ? host=test 0 9\nH GET / ? host=test 0 9\n"),
    SCENARIO("a head in parts",
             FRAME("\3", "\1", "\1", "\1", "\x82\x86\x84") FRAME("\6", "\x09", "\4", "\1", "\x41\4test"),
             "H GET / ? host=test 0 9\n"),
    SCENARIO("cookies", HEADERS("\x20", "\5", "\1", GET "\x0f\x11\3a=1" "\x0f\x11\3b=2" "\x00\3x-a\x05" "crumb"),
             "H GET / ? host=test cookie=a=1; b=2 x-a=crumb 0 9\n"),
    SCENARIO("a body with trailers",
             HEADERS("\x09", "\4", "\1", POST) FRAME("\4", "\0", "\0", "\1", "body")
                 HEADERS("\x07", "\5", "\1", "\x00\3x-a\1b"),
             "H POST / ? host=test -1 8\nB1 body\nE1 1\n"),
    SCENARIO("a reset", HEADERS("\x09", "\4", "\1", POST) FRAME("\4", "\3", "\0", "\1", "\0\0\0\x08"),
             "H POST / ? host=test -1 8\nR1 -200\n"),
    SCENARIO("a malformed one", HEADERS("\x15", "\5", "\1", GET "\x00\4" "conn" "\5" "close") "",
             "H GET / ? host=test conn=close 0 9\n"),
    SCENARIO("a refused one", HEADERS("\x13", "\4", "\1", "\x83\x86\x84\x41\x04test" "\x0f\x14\7bad-one"),
             "R1 -112\n"),
    SCENARIO("a path that is answered broken",
             HEADERS("\x10", "\5", "\1", "\x82\x86\x04\6/raise\x41\x04test"), "H GET /raise ? host=test 0 9\n"),
    SCENARIO("a tunnel",
             HEADERS("\x26", "\4", "\1", "\x02\7CONNECT\x86\x84\x41\x04test" "\x00\x09:protocol\x09websocket")
                 FRAME("\3", "\0", "\0", "\1", "abc") FRAME("\0", "\0", "\1", "\1", ""),
             "H CONNECT / ? host=test -1 d\nU\nE1 0\n"),
};

enum { COUNT = sizeof SCENARIOS / sizeof *SCENARIOS };

static void check_events(const peer *p, const char *name, const char *expected)
{
    harness_note("%s: error %d, GOAWAY %u, events: %.*s", name, p->error, peer_said(p, 0).code, (int)p->events.n,
                 p->events.p ? p->events.p : "");
    CHECK(p->events.n == strlen(expected) && memcmp(p->events.p, expected, p->events.n) == 0);
}

static void whole_scenarios(void)
{
    for (unsigned i = 0; i < COUNT; i++) {
        peer *p = peer_new();

        harness_note("%s", SCENARIOS[i].name);
        CHECK_INT(peer_open(p), FS_OK);
        peer_take(p, SCENARIOS[i].bytes, SCENARIOS[i].n);
        check_events(p, SCENARIOS[i].name, SCENARIOS[i].events);
        CHECK_INT(p->error, FS_OK);
        CHECK_INT(peer_said(p, 0).goaways, 0);
        peer_free(p);
    }
}

/* Body pieces that a cut has parted are compared as the whole: their lines only differ in number. */
static int same_but_for_pieces(const peer *p, const char *expected)
{
    return strstr(expected, "\nB") != NULL || (p->events.n == strlen(expected) && !memcmp(p->events.p, expected, p->events.n));
}

static void at_every_cut(void)
{
    for (unsigned i = 0; i < COUNT; i++)
        for (size_t cut = 0; cut <= SCENARIOS[i].n; cut++) {
            peer *p = peer_new();

            harness_note("%s, cut at %zu", SCENARIOS[i].name, cut);
            CHECK_INT(peer_open(p), FS_OK);
            peer_take(p, SCENARIOS[i].bytes, cut);
            peer_take(p, SCENARIOS[i].bytes + cut, SCENARIOS[i].n - cut);
            CHECK(same_but_for_pieces(p, SCENARIOS[i].events));
            CHECK_INT(p->error, FS_OK);
            peer_free(p);
        }
}

static void byte_by_byte(void)
{
    for (unsigned i = 0; i < COUNT; i++) {
        peer *p = peer_new();

        harness_note("%s", SCENARIOS[i].name);
        CHECK_INT(peer_open(p), FS_OK);
        for (size_t at = 0; at < SCENARIOS[i].n; at++)
            peer_take(p, SCENARIOS[i].bytes + at, 1);
        harness_note("%s: error %d, GOAWAY %u, events: %.*s", SCENARIOS[i].name, p->error, peer_said(p, 0).code,
                     (int)p->events.n, p->events.p ? p->events.p : "");
        CHECK(same_but_for_pieces(p, SCENARIOS[i].events));
        CHECK_INT(p->error, FS_OK);
        peer_free(p);
    }
}

static void each_allocation_fails(void)
{
    for (unsigned i = 0; i < COUNT; i++)
        for (unsigned long nth = 1;; nth++) {
            peer *p = peer_new();
            int failed;

            harness_note("%s, allocation %lu", SCENARIOS[i].name, nth);
            harness_fail_nth(nth);
            if (peer_open(p) == FS_OK)
                peer_take(p, SCENARIOS[i].bytes, SCENARIOS[i].n);
            failed = harness_has_failed();
            harness_fail_nth(0);
            peer_free(p);
            if (!failed)
                break;
        }
}

/* ---- answers --------------------------------------------------------------------- */

static void answers_are_framed(void)
{
    peer *p = peer_new();
    said found;

    CHECK_INT(peer_open(p), FS_OK);
    peer_take(p, SCENARIOS[0].bytes, SCENARIOS[0].n);
    found = peer_said(p, 1);
    CHECK_INT(found.heads, 1);
    CHECK_INT(found.bytes, 5);
    CHECK_INT(found.ends, 1);
    CHECK_INT(p->h2.open, 0);
    peer_free(p);
}

static void a_body_waits_for_its_window(void)
{
    static const char request[] = PREFACE HEADERS("\x10", "\5", "\1", "\x82\x86\x04\6/large\x41\x04test");
    static const char stream[] = "\0\0\4\x08\0\0\0\0\1\0\1\0\0", connection[] = "\0\0\4\x08\0\0\0\0\0\0\1\0\0";
    peer *p = peer_new();

    CHECK_INT(peer_open(p), FS_OK);
    peer_take(p, request, sizeof request - 1);
    CHECK_INT(peer_said(p, 1).bytes, 65535);
    CHECK_INT(peer_said(p, 1).ends, 0);
    peer_take(p, stream, sizeof stream - 1);
    CHECK_INT(peer_said(p, 1).bytes, 65535); /* the connection's is closed as well */
    peer_take(p, connection, sizeof connection - 1);
    CHECK_INT(peer_said(p, 1).bytes, 100000);
    CHECK_INT(peer_said(p, 1).ends, 1);
    CHECK_INT(p->h2.open, 0);
    peer_free(p);
}

static void a_broken_answer_is_reset_after_what_was_given(void)
{
    static const char request[] = PREFACE HEADERS("\x10", "\5", "\1", "\x82\x86\x04\6/raise\x41\x04test");
    peer *p = peer_new();
    said found;

    CHECK_INT(peer_open(p), FS_OK);
    peer_take(p, request, sizeof request - 1);
    found = peer_said(p, 1);
    CHECK_INT(found.heads, 1);
    CHECK_INT(found.bytes, 4);
    CHECK_INT(found.ends, 0);
    CHECK_INT(found.resets, 1);
    CHECK_INT(found.code, 2); /* INTERNAL_ERROR */
    peer_free(p);
}

static void a_drain_in_two_steps(void)
{
    static const char slow[] = PREFACE HEADERS("\x0f", "\5", "\1", "\x82\x86\x04\5/slow\x41\x04test");
    peer *p = peer_new();

    CHECK_INT(peer_open(p), FS_OK);
    peer_take(p, slow, sizeof slow - 1);
    CHECK_INT(fs_h2_drain(&p->h2, 0), FS_OK);
    peer_take(p, "", 0);
    CHECK_INT(peer_said(p, 0).goaways, 1);
    CHECK(!fs_h2_must_close(&p->h2));
    CHECK_INT(fs_h2_drain(&p->h2, 1), FS_OK);
    peer_take(p, "", 0);
    CHECK_INT(peer_said(p, 0).goaways, 2);
    CHECK(!fs_h2_must_close(&p->h2));
    CHECK_INT(answer(&p->h2.streams->stream, "late", 4), FS_OK);
    peer_take(p, "", 0);
    CHECK(fs_h2_must_close(&p->h2));
    peer_free(p);
}

/* ---- floods ------------------------------------------------------------------------- */

enum { WITHOUT_END = 20000 }; /* pieces of a flood */

typedef struct flood {
    const char *opening;     /* after the preface */
    size_t opening_len;
    const char *bytes;       /* again and again */
    size_t n;
} flood;

#define FLOOD(opening, bytes) (flood){opening, sizeof(opening) - 1, bytes, sizeof(bytes) - 1}

/* How many pieces come until it is ended, one in ms_each. */
static unsigned taken_of(flood flood, uint64_t ms_each)
{
    peer *p = peer_new();
    unsigned taken = 0;

    CHECK_INT(peer_open(p), FS_OK);
    peer_take(p, PREFACE, sizeof PREFACE - 1);
    peer_take(p, flood.opening, flood.opening_len);
    CHECK_INT(p->error, FS_OK);
    while (!p->error && taken < WITHOUT_END) {
        p->out.n = p->events.n = 0;
        p->now += ms_each;
        peer_take(p, flood.bytes, flood.n);
        taken++;
    }
    if (p->error) {
        CHECK_INT(p->error, FS_E_H2_FLOOD);
        CHECK_INT(peer_said(p, 0).code, 0xb);
        CHECK(fs_h2_must_close(&p->h2));
    }
    peer_free(p);
    return taken;
}

static void floods_are_ended_at_once_and_a_steady_drip_is_not(void)
{
    CHECK_INT(taken_of(FLOOD("", A_PING), 0), 2000); /* of 2,000 the preface has had one */
    CHECK_INT(taken_of(FLOOD("", SOME_SETTINGS), 0), 2000);
    CHECK_INT(taken_of(FLOOD("", AN_UNKNOWN_FRAME), 0), 2000);
    CHECK_INT(taken_of(FLOOD("", A_PING), 2), WITHOUT_END);
}

/* A message of a byte each way, with what clients of gRPC send beside it: two windows, and a PING. */
static void small_messages_are_no_flood(void)
{
    CHECK_INT(taken_of(FLOOD(AN_UPLOAD, A_BYTE WIDER("\0", "\1") WIDER("\1", "\1") A_PING), 0), WITHOUT_END);
    CHECK_INT(taken_of(FLOOD(A_TUNNEL, A_BYTE WIDER("\0", "\1") WIDER("\1", "\1") A_PING
                             WIDER("\0", "\1") WIDER("\1", "\1") A_PING), 0), WITHOUT_END);
}

/* It pays for them alone, and for no more of them. */
static void a_byte_does_not_buy_what_it_does_not_need(void)
{
    CHECK_INT(taken_of(FLOOD(AN_UPLOAD, A_BYTE SOME_SETTINGS), 0), 2001);
    CHECK_INT(taken_of(FLOOD(AN_UPLOAD, A_BYTE A_PRIORITY), 0), 2001);
    CHECK_INT(taken_of(FLOOD(AN_UPLOAD, A_BYTE AN_UNKNOWN_FRAME), 0), 2001);
    CHECK_INT(taken_of(FLOOD(AN_UPLOAD HEADERS("\x09", "\5", "\3", GET), A_BYTE A_LATE_RESET), 0), 1001);
    CHECK_INT(taken_of(FLOOD(AN_UPLOAD, A_BYTE A_PING A_PING A_PING A_PING), 0), 2001);
    CHECK_INT(taken_of(FLOOD(AN_UPLOAD, FRAME("\0", "\0", "\0", "\1", "") A_PING), 0), 1001);
    CHECK_INT(taken_of(FLOOD(AN_UPLOAD, FRAME("\1", "\0", "\x08", "\1", "\0") A_PING), 0), 1001); /* padding alone */
}

/* One that nobody takes earns nothing: the stream was refused. */
static void a_byte_that_is_thrown_away_buys_nothing(void)
{
    CHECK_INT(taken_of(FLOOD(HEADERS("\x13", "\4", "\1", "\x83\x86\x84\x41\x04test" "\x0f\x14\7bad-one"),
                             A_BYTE A_PING), 0), 2001 + 3); /* by the answer's own DATA */
}

/* An answer that a client takes a byte at a time, by windows of a byte. */
static void what_the_window_has_cut_buys_nothing(void)
{
    CHECK_INT(taken_of(FLOOD(FRAME("\6", "\4", "\0", "\0", "\0\4\0\0\0\0")
                             HEADERS("\x10", "\5", "\1", "\x82\x86\x04\6/large\x41\x04test"),
                             WIDER("\1", "\1")), 0), 2001);
}

/* What was earned does not pile up without end. */
static void credit_is_bounded(void)
{
    peer *p = peer_new();

    CHECK_INT(peer_open(p), FS_OK);
    peer_take(p, PREFACE AN_UPLOAD, sizeof PREFACE AN_UPLOAD - 1);
    for (unsigned i = 0; i < 10000; i++)
        peer_take(p, A_BYTE, sizeof A_BYTE - 1);
    CHECK_INT(p->error, FS_OK);
    for (unsigned i = 0; i < 16384 + 2000; i++) /* the request has brought back what the preface had */
        peer_take(p, A_PING, sizeof A_PING - 1);
    CHECK_INT(p->error, FS_OK);
    peer_take(p, A_PING, sizeof A_PING - 1);
    CHECK_INT(p->error, FS_E_H2_FLOOD);
    peer_free(p);
}

static void a_bucket_fills_with_time(void)
{
    fs_bucket bucket;

    fs_bucket_init(&bucket, 2, 10, 1000);
    CHECK(fs_bucket_take(&bucket, 1000) && fs_bucket_take(&bucket, 1000) && !fs_bucket_take(&bucket, 1000));
    CHECK(!fs_bucket_take(&bucket, 1099) && fs_bucket_take(&bucket, 1100) && !fs_bucket_take(&bucket, 1100));
    CHECK(!fs_bucket_take(&bucket, 900));
    CHECK(fs_bucket_take(&bucket, 1000000) && fs_bucket_take(&bucket, 1000000) && !fs_bucket_take(&bucket, 1000000));
    fs_bucket_give(&bucket, UINT64_MAX);
    CHECK(fs_bucket_take(&bucket, 1000000) && fs_bucket_take(&bucket, 1000000) && !fs_bucket_take(&bucket, 1000000));
}

int main(void)
{
    RUN(whole_scenarios);
    RUN(at_every_cut);
    RUN(byte_by_byte);
    RUN(each_allocation_fails);
    RUN(answers_are_framed);
    RUN(a_body_waits_for_its_window);
    RUN(a_broken_answer_is_reset_after_what_was_given);
    RUN(a_drain_in_two_steps);
    RUN(floods_are_ended_at_once_and_a_steady_drip_is_not);
    RUN(small_messages_are_no_flood);
    RUN(a_byte_does_not_buy_what_it_does_not_need);
    RUN(a_byte_that_is_thrown_away_buys_nothing);
    RUN(what_the_window_has_cut_buys_nothing);
    RUN(credit_is_bounded);
    RUN(a_bucket_fills_with_time);
    return harness_end();
}
