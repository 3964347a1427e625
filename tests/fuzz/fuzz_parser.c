/*
 * Invariant: any bytes give events or one error of the peer, and events, reply
 * and end of the connection are the same however the bytes were cut, but that
 * of two faults in one place, one of them a limit, either may be found first.
 */

#define _GNU_SOURCE

#include "scripted.h"

enum { MANY_PIECES = 600 };

/* Small limits, so that short inputs reach them. */
static fs_limits pick_limits(uint8_t options)
{
    fs_limits limits;

    fs_limits_default(&limits);
    if (options & 1) {
        limits.max_request_line = 96;
        limits.max_head = 192;
        limits.max_fields = 6;
    }
    if (options & 2) {
        limits.max_body = 24;
        limits.max_chunk_extension = 16;
        limits.max_skip = 16;
    }
    if (options & 4)
        limits.max_requests = 3;
    return limits;
}

/* Pieces of 1..16 bytes from the seed; 0: the whole. */
static void feed_cut(scripted *s, const char *p, size_t n, uint32_t seed)
{
    size_t at = 0;

    while (at < n) {
        size_t length = n - at;

        if (seed) {
            seed = seed * 1664525u + 1013904223u;
            length = n > MANY_PIECES ? n / 32 + (seed >> 28) : 1 + (seed >> 28);
            length = length < n - at ? length : n - at;
        }
        CHECK_INT(scripted_feed(s, p + at, length), FS_OK);
        at += length;
    }
}

/* Whether 100 is said may depend on how much of the body is there already. */
static void drop_continue(struct scripted_sink *sink)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char *found;

    while (sink->n && (found = memmem(sink->p, sink->n, interim, sizeof interim - 1))) {
        sink->n -= sizeof interim - 1;
        memmove(found, found + sizeof interim - 1, sink->n - (size_t)(found - sink->p));
    }
}

static void play(scripted *s, const fs_limits *limits, const char *p, size_t n, uint32_t seed, int eof)
{
    CHECK_INT(scripted_open(s, limits, &harness_allocator), FS_OK);
    feed_cut(s, p, n, seed);
    if (eof)
        CHECK_INT(scripted_eof(s), FS_OK);
}

static int same(const char *a, size_t n, const char *b, size_t m)
{
    return n == m && (n == 0 || memcmp(a, b, n) == 0);
}

static int is_limit(int error)
{
    return error == FS_E_HEAD_TOO_LARGE || error == FS_E_TOO_MANY_FIELDS || error == FS_E_TARGET_TOO_LONG ||
           error == FS_E_BODY_TOO_LARGE;
}

/* Leaves what was said before the error. */
static void drop_error(scripted *s)
{
    s->events.n = s->events_before_error;
    s->sink.n = s->sent_before_error;
    drop_continue(&s->sink);
}

static void compare(scripted *whole, scripted *cut)
{
    const int a = whole->failed_reading, b = cut->failed_reading;

    if (a != b && a && b && (is_limit(a) || is_limit(b))) {
        drop_error(whole);
        drop_error(cut);
    } else {
        CHECK_INT(a, b);
        drop_continue(&whole->sink);
        drop_continue(&cut->sink);
    }
    if (!same(whole->events.p, whole->events.n, cut->events.p, cut->events.n)) {
        harness_print_bytes("whole", whole->events.p, whole->events.n);
        harness_print_bytes("cut", cut->events.p, cut->events.n);
        FAIL("the events depend on the cut");
    }
    if (!same(whole->sink.p, whole->sink.n, cut->sink.p, cut->sink.n)) {
        harness_print_bytes("whole", whole->sink.p, whole->sink.n);
        harness_print_bytes("cut", cut->sink.p, cut->sink.n);
        FAIL("the reply depends on the cut");
    }
    CHECK_INT(fs_h1_must_close(&whole->h1), fs_h1_must_close(&cut->h1));
    CHECK_INT(fs_h1_must_reset(&whole->h1), fs_h1_must_reset(&cut->h1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scripted whole, cut;
    fs_limits limits;

    if (size < 2)
        return 0;
    limits = pick_limits(data[0]);
    play(&whole, &limits, (const char *)data + 2, size - 2, 0, data[0] & 8);
    play(&cut, &limits, (const char *)data + 2, size - 2, 1u + data[1], data[0] & 8);
    compare(&whole, &cut);
    scripted_close(&whole);
    scripted_close(&cut);
    CHECK_INT(harness_live(), 0);
    return 0;
}
