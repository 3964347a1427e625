/*
 * The golden cases against the C rooms alone: each whole, byte by byte, at
 * every single split, and with each allocation failing in turn.
 *
 *     run_golden FILE.txt ...
 */

#include "golden_file.h"

static const char *path;
static unsigned long runs;

static void wrong(const golden_case *one, const scripted *s, const char *what)
{
    text escaped = {0}, reply = {0};

    text_escape(&escaped, one->input.p, one->input.n);
    fprintf(stderr, "%s\n  input: %.*s\n", what, (int)(escaped.n < 2000 ? escaped.n : 2000), escaped.p);
    fprintf(stderr, "  expected events:\n%.*s  actual events:\n%.*s",
            (int)one->events.n, one->events.n ? one->events.p : "", (int)s->events.n, s->events.n ? s->events.p : "");
    for (unsigned i = 0; i < one->nreply; i++) {
        const reply_part *part = &one->reply[i];

        if (part->kind == REPLY_ANSWER)
            text_format(&reply, "<%d, %s>\n", part->status, part->bodiless ? "bodiless" : "with a body");
        else
            text_add(&reply, part->bytes.p, part->bytes.n);
    }
    harness_print_bytes("expected reply", reply.p, reply.n);
    harness_print_bytes("actual reply", s->sink.p, s->sink.n);
    FAIL("%s", what);
}

static void judge(const golden_case *one, scripted *s)
{
    if (s->events.n != one->events.n || (s->events.n && memcmp(s->events.p, one->events.p, s->events.n) != 0))
        wrong(one, s, "the events differ");
    if (!golden_reply_matches(one, s->sink.p, s->sink.n))
        wrong(one, s, "the reply differs");
    if (fs_h1_must_close(&s->h1) != one->closes)
        wrong(one, s, one->closes ? "the connection stays open" : "the connection closes");
    if (s->h1.reading == FS_H1_READ_IDLE && s->h1.store)
        wrong(one, s, "an idle connection holds a buffer");
}

/* Pieces of `step` bytes, the first one of `first`. The result is judged unless memory ran out. */
static void run(const golden_case *one, size_t first, size_t step)
{
    const size_t n = one->input.n;
    scripted s;
    int result = scripted_open(&s, &one->limits, &harness_allocator);

    for (size_t at = 0, end = first; result == FS_OK && at < n; at = end, end += step) {
        if (end > n)
            end = n;
        result = scripted_feed(&s, one->input.p + at, end - at);
    }
    if (result == FS_OK && one->eof)
        result = scripted_eof(&s);
    if (result == FS_OK)
        judge(one, &s);
    else
        CHECK(harness_has_failed());
    scripted_close(&s);
    CHECK_INT(harness_live(), 0);
    runs++;
}

/* A request on another connection of the worker, whole in one turn: what connections share is used by it. */
static void play_another(scripted *first)
{
    static const char request[] = "GET /other HTTP/1.1\r\nHost: b\r\nX: y\r\n\r\n";
    scripted other;

    scripted_open_beside(&other, first);
    CHECK_INT(scripted_feed(&other, request, sizeof request - 1), FS_OK);
    CHECK_INT(other.requests, 1);
    CHECK_INT(other.failed_reading, 0);
    scripted_close(&other);
}

/* Byte by byte, with another connection's turn before each of them. */
static void run_interleaved(const golden_case *one)
{
    const size_t n = one->input.n, step = n > 2000 ? n / 500 : 1;
    scripted s;

    CHECK_INT(scripted_open(&s, &one->limits, &harness_allocator), FS_OK);
    for (size_t at = 0; at < n; at += step) {
        play_another(&s);
        CHECK_INT(scripted_feed(&s, one->input.p + at, at + step < n ? step : n - at), FS_OK);
    }
    if (one->eof)
        CHECK_INT(scripted_eof(&s), FS_OK);
    judge(one, &s);
    scripted_close(&s);
    CHECK_INT(harness_live(), 0);
    runs++;
}

static void run_without_memory(const golden_case *one, size_t first, size_t step, const char *how)
{
    unsigned long nth = 1;

    for (; nth < 10000; nth++) {
        harness_note("%s:%d: %s, %s, allocation %lu fails", path, one->line, one->name, how, nth);
        harness_fail_nth(nth);
        run(one, first, step);
        if (!harness_has_failed())
            break;
    }
    harness_fail_nth(0);
    CHECK(nth > 1 && nth < 10000);
}

static void run_case(const golden_case *one)
{
    const size_t n = one->input.n;
    /* Long inputs are long because of a repetition: a sample of the places inside it will do. */
    const size_t stride = n > 2000 ? n / 500 : 1;

    harness_note("%s:%d: %s, whole", path, one->line, one->name);
    run(one, n, n);
    harness_note("%s:%d: %s, byte by byte", path, one->line, one->name);
    run(one, 1, 1);
    for (size_t at = 1; at < n; at += at < 200 || n - at < 200 ? 1 : stride) {
        harness_note("%s:%d: %s, split at %zu", path, one->line, one->name, at);
        run(one, at, n - at);
    }
    harness_note("%s:%d: %s, between another's turns", path, one->line, one->name);
    run_interleaved(one);
    run_without_memory(one, n, n, "whole");
    run_without_memory(one, n / 2, n - n / 2, "in halves");
    run_without_memory(one, 1, 1, "byte by byte");
}

int main(int argc, char **argv)
{
    unsigned cases = 0;

    for (int i = 1; i < argc; i++) {
        path = argv[i];
        cases += golden_read(path, run_case);
    }
    if (cases == 0)
        FAIL("no case was given");
    printf("ok  %u cases in %d files, %lu runs\n", cases, argc - 1, runs);
    return 0;
}
