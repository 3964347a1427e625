/* ext/proto/ws.c: RFC 6455, section by section; every stream of frames whole, byte by byte and cut in two at each place. */

#include "ws_fixture.h"

enum { MASK = 0x5aa5c33c, TEXT = FS_WS_OP_TEXT | FS_WS_FIN, BINARY = FS_WS_OP_BINARY | FS_WS_FIN,
       PING = FS_WS_OP_PING | FS_WS_FIN, PONG = FS_WS_OP_PONG | FS_WS_FIN, CLOSE = FS_WS_OP_CLOSE | FS_WS_FIN,
       LAST = FS_WS_FIN };

/* ---- streams of frames --------------------------------------------------------------------- */

static struct script {
    char bytes[300000];
    size_t n;
    fs_limits limits;
} script;

static void begin(void)
{
    script.n = 0;
    fs_limits_default(&script.limits);
}

static void frame_of(unsigned first, const char *payload, size_t n)
{
    script.n += put_client_frame(script.bytes + script.n, first, payload, n, MASK);
}

#define FRAME(first, literal) frame_of((first), (literal), sizeof(literal) - 1)

static void raw_of(const char *p, size_t n)
{
    memcpy(script.bytes + script.n, p, n);
    script.n += n;
}

#define RAW(literal) raw_of((literal), sizeof(literal) - 1)

typedef struct outcome {
    const char *events, *sent;
    size_t nevents, nsent;
    int error;
} outcome;

static void check_outcome(socket_ *s, const outcome *expected)
{
    harness_check_bytes(__FILE__, __LINE__, s->events.p ? s->events.p : "", s->events.n, expected->events,
                        expected->nevents, "events");
    harness_check_bytes(__FILE__, __LINE__, s->out.p ? s->out.p : "", s->out.n, expected->sent, expected->nsent, "sent");
    CHECK_INT(s->error, expected->error);
}

static socket_ *open_script(void)
{
    socket_ *s = socket_new();

    s->limits = script.limits;
    CHECK_INT(socket_open(s, NULL), FS_OK);
    return s;
}

static void run_cut(size_t cut, const outcome *expected)
{
    socket_ *s = open_script();

    harness_note("cut after %zu of %zu bytes", cut, script.n);
    socket_take(s, script.bytes, cut, SIZE_MAX);
    socket_take(s, script.bytes + cut, script.n - cut, SIZE_MAX);
    check_outcome(s, expected);
    socket_free(s);
}

/* One event at a time: what is left stands in the machine's own store. */
static void run_slowly(const outcome *expected)
{
    socket_ *s = open_script();

    harness_note("an event at a time");
    socket_take(s, script.bytes, script.n, 1);
    for (size_t i = 0; i < script.n; i++)
        socket_take(s, "", 0, 1);
    check_outcome(s, expected);
    socket_free(s);
}

static void run_bytewise(const outcome *expected)
{
    socket_ *s = open_script();

    harness_note("byte by byte");
    for (size_t i = 0; i < script.n; i++)
        socket_take(s, script.bytes + i, 1, SIZE_MAX);
    check_outcome(s, expected);
    socket_free(s);
}

/* With the first, second, ... allocation failing: the error is told, and nothing is left behind. */
static void run_without_memory(const outcome *expected)
{
    for (unsigned long nth = 1;; nth++) {
        socket_ *s = open_script();
        const size_t live = harness_live();
        int failed;

        harness_note("allocation %lu fails", nth);
        harness_fail_nth(nth);
        socket_take(s, script.bytes, script.n / 2, SIZE_MAX);
        socket_take(s, script.bytes + script.n / 2, script.n - script.n / 2, SIZE_MAX);
        failed = harness_has_failed();
        harness_fail_nth(0);
        if (!failed) {
            check_outcome(s, expected);
            socket_free(s);
            return;
        }
        CHECK_INT(s->error, FS_E_NOMEM);
        socket_free(s);
        CHECK_INT(harness_live(), live);
    }
}

static void expect_of(outcome expected)
{
    const size_t step = script.n > 2000 ? script.n / 50 : 1;

    for (size_t cut = 0; cut <= script.n; cut += step)
        run_cut(cut, &expected);
    if (script.n <= 2000) {
        run_bytewise(&expected);
        run_slowly(&expected);
    }
    run_without_memory(&expected);
}

#define EXPECT(events, sent, error) \
    expect_of((outcome){(events), (sent), sizeof(events) - 1, sizeof(sent) - 1, (error)})

/* ---- section 5: framing ----------------------------------------------------------------------- */

static void s5_1_a_client_masks(void)
{
    begin();
    RAW("\x81\x02hi");
    EXPECT("", "\x88\x02\x03\xea", FS_E_WS_FRAME);
}

static void s5_2_reserved_bits_are_zero(void)
{
    for (unsigned bit = 0x10; bit <= FS_WS_RSV1; bit <<= 1) {
        begin();
        FRAME(TEXT, "a");
        FRAME(TEXT | bit, "b");
        EXPECT("T a\n", "\x88\x02\x03\xea", FS_E_WS_FRAME);
        begin();
        FRAME(PING | bit, "");
        EXPECT("", "\x88\x02\x03\xea", FS_E_WS_FRAME);
    }
}

static void s5_2_opcodes_that_nobody_has_defined(void)
{
    static const unsigned unknown[] = {3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf};

    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        begin();
        FRAME(unknown[i] | FS_WS_FIN, "x");
        EXPECT("", "\x88\x02\x03\xea", FS_E_WS_FRAME);
    }
}

static void s5_2_lengths_are_minimal(void)
{
    begin();
    RAW("\x82\xfe\x00\x7d\0\0\0\0");
    EXPECT("", "\x88\x02\x03\xea", FS_E_WS_FRAME);
    begin();
    RAW("\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0");
    EXPECT("", "\x88\x02\x03\xea", FS_E_WS_FRAME);
    begin();
    RAW("\x82\xff\x80\0\0\0\0\x01\0\0\0\0\0\0");
    EXPECT("", "\x88\x02\x03\xea", FS_E_WS_FRAME);
}

static void s5_4_fragments_make_one_message(void)
{
    begin();
    FRAME(FS_WS_OP_TEXT, "one ");
    FRAME(PING, "!");
    FRAME(0, "");
    FRAME(0, "two ");
    FRAME(PONG, "?");
    FRAME(LAST, "three");
    FRAME(BINARY, "\0\xff");
    FRAME(TEXT, "");
    FRAME(FS_WS_OP_BINARY, "");
    FRAME(LAST, "");
    EXPECT("O ?\nT one two three\nB \0\xff\nT \nB \n", "\x8a\x01!", FS_OK);
}

static void s5_4_fragments_of_two_messages_never_mix(void)
{
    begin();
    FRAME(FS_WS_OP_TEXT, "one");
    FRAME(TEXT, "two");
    EXPECT("", "\x88\x02\x03\xea", FS_E_WS_FRAME);
    begin();
    FRAME(LAST, "nothing to continue");
    EXPECT("", "\x88\x02\x03\xea", FS_E_WS_FRAME);
    begin();
    FRAME(FS_WS_OP_TEXT, "a");
    FRAME(LAST, "b");
    FRAME(0, "c");
    EXPECT("T ab\n", "\x88\x02\x03\xea", FS_E_WS_FRAME);
}

static void s5_5_control_frames_are_short_and_whole(void)
{
    char longest[FS_WS_CONTROL_MAX + 1];

    memset(longest, 'p', sizeof longest);
    begin();
    frame_of(PING, longest, FS_WS_CONTROL_MAX + 1);
    EXPECT("", "\x88\x02\x03\xea", FS_E_WS_FRAME);
    begin();
    FRAME(FS_WS_OP_PING, "cut");
    EXPECT("", "\x88\x02\x03\xea", FS_E_WS_FRAME);
}

static void s5_5_2_a_ping_is_answered_with_its_payload(void)
{
    char longest[FS_WS_CONTROL_MAX], answer[2 + FS_WS_CONTROL_MAX] = "\x8a\x7d";

    memset(longest, 'p', sizeof longest);
    memcpy(answer + 2, longest, sizeof longest);
    begin();
    frame_of(PING, longest, sizeof longest);
    expect_of((outcome){"", answer, 0, sizeof answer, FS_OK});
    begin();
    FRAME(PING, "");
    FRAME(PONG, "nobody asked");
    EXPECT("O nobody asked\n", "\x8a\0", FS_OK);
}

/* ---- section 7: the end -------------------------------------------------------------------------- */

static void s5_5_1_a_close_frame_is_answered_once_and_is_the_last(void)
{
    begin();
    FRAME(TEXT, "before");
    FRAME(CLOSE, "\x03\xe8" "so long");
    FRAME(TEXT, "after");
    RAW("\xff\xff\xff");
    EXPECT("T before\nC 1000 so long\n", "\x88\x02\x03\xe8", FS_OK);
    begin();
    FRAME(CLOSE, "");
    EXPECT("C 1005 \n", "\x88\0", FS_OK);
    begin();
    FRAME(CLOSE, "x");
    EXPECT("", "\x88\x02\x03\xea", FS_E_WS_FRAME);
    begin();
    FRAME(CLOSE, "\x03\xe8\xc3");
    EXPECT("", "\x88\x02\x03\xef", FS_E_WS_UTF8);
}

static void s7_4_only_some_codes_are_sent(void)
{
    static const int good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999};
    static const int bad[] = {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const char payload[2] = {(char)(good[i] >> 8), (char)good[i]};
        char sent[4] = "\x88\x02", event[16];

        memcpy(sent + 2, payload, 2);
        begin();
        frame_of(CLOSE, payload, 2);
        snprintf(event, sizeof event, "C %d \n", good[i]);
        run_bytewise(&(outcome){event, sent, strlen(event), 4, FS_OK});
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char payload[2] = {(char)(bad[i] >> 8), (char)bad[i]};

        CHECK(!fs_ws_code_is_valid(bad[i]));
        begin();
        frame_of(CLOSE, payload, 2);
        EXPECT("", "\x88\x02\x03\xea", FS_E_WS_FRAME);
    }
}

static void s7_1_2_after_our_close_frame_only_the_peers_counts(void)
{
    socket_ *s = socket_new();

    CHECK_INT(socket_open(s, NULL), FS_OK);
    CHECK_INT(fs_ws_close(&s->ws, 1001, "bye", 3), FS_OK);
    CHECK_INT(fs_ws_close(&s->ws, 1000, "", 0), FS_OK);
    CHECK_INT(fs_ws_send(&s->ws, 1, "x", 1, NULL), FS_E_APP_ORDER);
    CHECK_INT(fs_ws_ping(&s->ws, "x", 1), FS_OK);
    CHECK_INT(s->ws.state, FS_WS_CLOSING);
    begin();
    FRAME(FS_WS_OP_TEXT, "thrown");
    FRAME(PING, "unanswered");
    FRAME(LAST, " away");
    FRAME(BINARY, "as is this");
    FRAME(CLOSE, "\x0f\xa0");
    CHECK_INT(socket_take(s, script.bytes, script.n, SIZE_MAX), FS_OK);
    CHECK_BYTES(s->events.p, s->events.n, "C 4000 \n");
    CHECK_BYTES(s->out.p, s->out.n, "\x88\x05\x03\xe9" "bye");
    CHECK_INT(s->ws.state, FS_WS_CLOSED);
    socket_free(s);
}

static void a_close_frame_that_may_not_be_sent_is_refused(void)
{
    char reason[FS_WS_CONTROL_MAX] = "";
    socket_ *s = socket_new();

    CHECK_INT(socket_open(s, NULL), FS_OK);
    CHECK_INT(fs_ws_close(&s->ws, 1005, "", 0), FS_E_APP_CLOSE);
    CHECK_INT(fs_ws_close(&s->ws, 1000, reason, 124), FS_E_APP_CLOSE);
    CHECK_INT(fs_ws_close(&s->ws, 0, reason, 1), FS_E_APP_CLOSE);
    CHECK_INT(s->out.n, 0);
    CHECK_INT(fs_ws_close(&s->ws, 0, "", 0), FS_OK);
    CHECK_BYTES(s->out.p, s->out.n, "\x88\0");
    socket_free(s);
}

/* ---- section 8.1: text ------------------------------------------------------------------------------ */

static void s8_1_a_text_is_utf8_across_fragments(void)
{
    begin();
    FRAME(FS_WS_OP_TEXT, "\xce\xba\xe1");
    FRAME(0, "\xbd");
    FRAME(LAST, "\xb9");
    FRAME(TEXT, "\xf0\x9f\x98\x80 plain text that is longer than a register of the processor");
    EXPECT("T \xce\xba\xe1\xbd\xb9\nT \xf0\x9f\x98\x80 plain text that is longer than a register of the processor\n", "",
           FS_OK);
}

static void s8_1_a_text_that_is_not_fails_with_its_first_wrong_byte(void)
{
    begin();
    FRAME(TEXT, "\xce\xba\xed\xa0\x80");
    EXPECT("", "\x88\x02\x03\xef", FS_E_WS_UTF8);
    begin();
    FRAME(TEXT, "cut \xe1\xbd");
    EXPECT("", "\x88\x02\x03\xef", FS_E_WS_UTF8);
    begin(); /* before the frame is complete */
    RAW("\x01\xff\0\0\0\0\0\x01\0\0\0\0\0\0" "abc\xff");
    EXPECT("", "\x88\x02\x03\xef", FS_E_WS_UTF8);
}

/* ---- limits ------------------------------------------------------------------------------------------ */

static void a_message_has_a_largest_size(void)
{
    begin();
    script.limits.ws_max_size = 8;
    FRAME(BINARY, "12345678");
    FRAME(FS_WS_OP_BINARY, "1234");
    FRAME(LAST, "5678");
    FRAME(FS_WS_OP_BINARY, "1234");
    FRAME(LAST, "56789");
    EXPECT("B 12345678\nB 12345678\n", "\x88\x02\x03\xf1", FS_E_WS_TOO_BIG);
    begin(); /* it is refused when it is announced */
    RAW("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0");
    EXPECT("", "\x88\x02\x03\xf1", FS_E_WS_TOO_BIG);
}

static void memory_follows_what_has_come(void)
{
    socket_ *s = socket_new();

    CHECK_INT(socket_open(s, NULL), FS_OK);
    socket_take(s, "\x82\xff\0\0\0\0\0\xff\0\0\0\0\0\0" "0123456789", 24, SIZE_MAX);
    CHECK_INT(s->error, FS_OK);
    CHECK_INT(s->ws.message.n, 10);
    CHECK(s->ws.message.room <= 64 * 1024);
    socket_free(s);
}

static void a_long_message_is_put_together(void)
{
    static char payload[200000], events[200003];

    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (char)(i * 7 + i / 251);
    begin();
    frame_of(BINARY, payload, sizeof payload);
    memcpy(events, "B ", 2);
    memcpy(events + 2, payload, sizeof payload);
    events[sizeof events - 1] = '\n';
    expect_of((outcome){events, "", sizeof events, 0, FS_OK});
}

/* ---- what carries nothing, and what does not come to its end --------------------------------------------- */

static int take_frames(socket_ *s, unsigned first, const char *payload, size_t n, unsigned count)
{
    char frame[64];
    const size_t size = put_client_frame(frame, first, payload, n, MASK);

    for (unsigned i = 0; i < count; i++)
        if (socket_take(s, frame, size, SIZE_MAX) < 0)
            break;
    return s->error;
}

static void a_flood_of_what_carries_nothing_is_ended(void)
{
    static const struct { unsigned first; const char *payload; size_t n; } FLOODS[] = {
        {PING, "", 0}, {PING, "1234", 4}, {PONG, "", 0}, {FS_WS_OP_BINARY, "", 0},
    };

    for (size_t i = 0; i < sizeof FLOODS / sizeof *FLOODS; i++) {
        socket_ *s = socket_new();
        const unsigned first = FLOODS[i].first;
        const unsigned others = first == FS_WS_OP_BINARY ? 0 : first; /* the fragments after it */

        harness_note("flood %zu", i);
        CHECK_INT(socket_open(s, NULL), FS_OK);
        s->now = 1;
        CHECK_INT(take_frames(s, first, FLOODS[i].payload, FLOODS[i].n, 1), FS_OK);
        CHECK_INT(take_frames(s, others, FLOODS[i].payload, FLOODS[i].n, 1999), FS_OK);
        s->now += 1000; /* five hundred a second come back */
        CHECK_INT(take_frames(s, others, FLOODS[i].payload, FLOODS[i].n, 500), FS_OK);
        s->out.n = 0;
        CHECK_INT(take_frames(s, others, FLOODS[i].payload, FLOODS[i].n, 1), FS_E_WS_FLOOD);
        CHECK_BYTES(s->out.p, s->out.n, "\x88\x02\x03\xf0");
        socket_free(s);
    }
}

static void messages_pay_for_the_frames_between_them(void)
{
    socket_ *s = socket_new();

    CHECK_INT(socket_open(s, NULL), FS_OK);
    for (unsigned i = 0; i < 10000; i++) {
        CHECK_INT(take_frames(s, PING, "", 0, 1), FS_OK);
        CHECK_INT(take_frames(s, BINARY, "", 0, 1), FS_OK);
    }
    CHECK_INT(take_frames(s, BINARY, "", 0, 5000), FS_OK); /* a message without a byte is one */
    CHECK_INT(take_frames(s, FS_WS_OP_TEXT, "a", 1, 1), FS_OK);
    CHECK_INT(take_frames(s, 0, "a", 1, 10000), FS_OK);    /* and so is each byte that comes */
    CHECK_INT(take_frames(s, LAST, "", 0, 1), FS_OK);
    socket_free(s);
}

static void it_is_known_whether_a_message_is_complete(void)
{
    socket_ *s = socket_new();
    uint32_t progress;

    CHECK_INT(socket_open(s, NULL), FS_OK);
    CHECK(!fs_ws_unfinished(&s->ws));
    socket_take(s, "\x81", 1, SIZE_MAX);
    CHECK(fs_ws_unfinished(&s->ws));
    socket_take(s, "\x82\0\0\0\0ab", 7, SIZE_MAX);
    CHECK(!fs_ws_unfinished(&s->ws));
    take_frames(s, FS_WS_OP_TEXT, "a", 1, 1);
    CHECK(fs_ws_unfinished(&s->ws));
    CHECK_INT(s->ws.begun, 2);
    progress = s->ws.progress;
    take_frames(s, PING, "a", 1, 3);
    CHECK_INT(s->ws.progress, progress);
    socket_take(s, "\x80\x82\0\0\0\0a", 7, SIZE_MAX);
    CHECK(s->ws.progress != progress);
    socket_take(s, "b", 1, SIZE_MAX);
    CHECK(!fs_ws_unfinished(&s->ws));
    CHECK_INT(s->ws.begun, 2);
    socket_free(s);
}

/* ---- the worker's memory ---------------------------------------------------------------------------------- */

static void what_is_held_is_charged_and_given_back(void)
{
    static char payload[5000];
    socket_ *s = socket_new();

    CHECK_INT(socket_open(s, NULL), FS_OK);
    s->memory.most = 100000;
    socket_take(s, "\x02\xfe\x13\x88\0\0\0\0", 8, SIZE_MAX);
    socket_take(s, payload, 2000, SIZE_MAX);
    CHECK(s->memory.used >= 2000 && s->memory.used < 5000);
    socket_take(s, payload, 3000, SIZE_MAX);
    CHECK(s->memory.used >= 5000);
    socket_take(s, "\x80\x80\0\0\0\0", 6, SIZE_MAX);
    CHECK_INT(s->memory.used, 0); /* the receiver's now */
    socket_take(s, "\x82\x81\0\0\0\0x\x82\x81\0\0\0\0y", 14, 1);
    CHECK_INT(s->memory.used, 7); /* what was not read */
    socket_take(s, "\x82\x81\0\0\0\0z", 7, 1);
    CHECK_INT(s->memory.used, 14);
    socket_take(s, "", 0, SIZE_MAX);
    CHECK_INT(s->memory.used, 0);
    CHECK_INT(s->error, FS_OK);
    socket_free(s);
}

static void without_room_a_connection_is_told_to_come_later(void)
{
    static const struct { uint64_t most; size_t cut, events; } CASES[] = {{1000, SIZE_MAX, SIZE_MAX}, {5, SIZE_MAX, 0}, {10, 3, 0}};
    static char frames[3000], payload[2900];
    const size_t n = put_client_frame(frames, FS_WS_OP_BINARY, payload, sizeof payload, MASK);

    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        socket_ *s = socket_new();
        const size_t first = CASES[i].cut < n ? CASES[i].cut : n;

        harness_note("case %zu", i);
        CHECK_INT(socket_open(s, NULL), FS_OK);
        s->memory.most = CASES[i].most;
        socket_take(s, frames, first, CASES[i].events);
        socket_take(s, frames + first, n - first, CASES[i].events);
        CHECK_INT(s->error, FS_E_NO_ROOM);
        CHECK_BYTES(s->out.p, s->out.n, "\x88\x02\x03\xf5");
        CHECK_INT(s->memory.used, 0);
        socket_free(s);
    }
}

/* ---- what goes out ------------------------------------------------------------------------------------- */

static void messages_are_framed(void)
{
    static char payload[70000];
    socket_ *s = socket_new();
    int owner;

    CHECK_INT(socket_open(s, NULL), FS_OK);
    CHECK_INT(fs_ws_send(&s->ws, 1, "hello", 5, NULL), FS_OK);
    CHECK_INT(fs_ws_send(&s->ws, 0, "", 0, &owner), FS_OK);
    CHECK_INT(fs_ws_ping(&s->ws, "abc", 3), FS_OK);
    CHECK_BYTES(s->out.p, s->out.n, "\x81\x05hello\x82\0\x89\x03" "abc");
    s->out.n = 0;
    CHECK_INT(fs_ws_send(&s->ws, 0, payload, 300, &owner), FS_OK);
    CHECK_INT(s->out.n, 304);
    CHECK(memcmp(s->out.p, "\x82\x7e\x01\x2c", 4) == 0);
    CHECK_INT(s->out.shares, 0);
    s->out.n = 0;
    CHECK_INT(fs_ws_send(&s->ws, 0, payload, sizeof payload, &owner), FS_OK);
    CHECK_INT(s->out.n, 70010);
    CHECK(memcmp(s->out.p, "\x82\x7f\0\0\0\0\0\x01\x11\x70", 10) == 0);
    CHECK_INT(s->out.shares, 1);
    s->out.full = 1;
    CHECK_INT(fs_ws_send(&s->ws, 0, "x", 1, NULL), FS_E_NOMEM);
    socket_free(s);
}

int main(void)
{
    RUN(s5_1_a_client_masks);
    RUN(s5_2_reserved_bits_are_zero);
    RUN(s5_2_opcodes_that_nobody_has_defined);
    RUN(s5_2_lengths_are_minimal);
    RUN(s5_4_fragments_make_one_message);
    RUN(s5_4_fragments_of_two_messages_never_mix);
    RUN(s5_5_control_frames_are_short_and_whole);
    RUN(s5_5_2_a_ping_is_answered_with_its_payload);
    RUN(s5_5_1_a_close_frame_is_answered_once_and_is_the_last);
    RUN(s7_4_only_some_codes_are_sent);
    RUN(s7_1_2_after_our_close_frame_only_the_peers_counts);
    RUN(a_close_frame_that_may_not_be_sent_is_refused);
    RUN(s8_1_a_text_is_utf8_across_fragments);
    RUN(s8_1_a_text_that_is_not_fails_with_its_first_wrong_byte);
    RUN(a_message_has_a_largest_size);
    RUN(memory_follows_what_has_come);
    RUN(a_long_message_is_put_together);
    RUN(a_flood_of_what_carries_nothing_is_ended);
    RUN(messages_pay_for_the_frames_between_them);
    RUN(it_is_known_whether_a_message_is_complete);
    RUN(what_is_held_is_charged_and_given_back);
    RUN(without_room_a_connection_is_told_to_come_later);
    RUN(messages_are_framed);
    return harness_end();
}
