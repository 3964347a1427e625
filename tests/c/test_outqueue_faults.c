/* ext/net/outqueue.c: files that are short, peers that reset, memory that runs out, owners that interfere. */

#include "outqueue_fixture.h"

#include <signal.h>

/* ---- files ---------------------------------------------------------------- */

static void a_large_file(int sendfile_errno)
{
    owner o = {0};
    wire w;

    set_up_tcp(&w);
    kernel.sendfile_errno = sendfile_errno;
    CHECK(fs_outqueue_file(&w.queue, w.file, 1, FILE_SIZE - 1, &o) == 0);
    pump(&w, ALL, FILE_SIZE - 1);
    for (size_t i = 0; i < w.ngot; i++)
        CHECK(w.got[i] == file_byte(i + 1));
    CHECK(!sendfile_errno || kernel.sendfiles == 1); /* asked once a range, not once a chunk */
    CHECK(o.held == 0 && o.retained == 1);
    CHECK(lseek(w.file, 0, SEEK_CUR) == FILE_SIZE); /* the descriptor's own position is the owner's */
    tear_down(&w);
}

static void a_file_shorter_than_its_range(int sendfile_errno)
{
    owner o = {0};
    uint64_t sent;
    wire w;

    set_up_unix(&w);
    kernel.sendfile_errno = sendfile_errno;
    CHECK(fs_outqueue_file(&w.queue, w.file, FILE_SIZE - 10, 11, &o) == 0);
    CHECK(fs_outqueue_flush(&w.queue, w.out, ALL, &sent) == -ENODATA);
    CHECK(sent == 10);
    CHECK(w.queue.size == 1);
    CHECK(o.held == 1);
    fs_outqueue_clear(&w.queue);
    CHECK(o.held == 0 && o.released == 1);
    tear_down(&w);
}

static void a_file_that_cannot_be_read(int sendfile_errno)
{
    owner o = {0};
    wire w;

    set_up_unix(&w);
    kernel.sendfile_errno = sendfile_errno;
    CHECK(fs_outqueue_file(&w.queue, -1, 0, 10, &o) == 0);
    CHECK(flush(&w, ALL) == -EBADF);
    CHECK(w.queue.size == 10);
    tear_down(&w);
    CHECK(o.held == 0 && o.released == 1);
}

/* ---- faults --------------------------------------------------------------- */

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    (void)number;
    signals = signals + 1;
}

/* The peer resets; what is sent after that fails twice over (the error, then EPIPE), and never by a signal. */
static void a_peer_that_resets(int with_file)
{
    const struct linger reset = {1, 0};
    owner o = {0};
    wire w;

    set_up_tcp(&w);
    CHECK(setsockopt(w.in, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    CHECK(close(w.in) == 0);
    w.in = -1;
    if (with_file)
        CHECK(fs_outqueue_file(&w.queue, w.file, 0, 1000, &o) == 0);
    else
        CHECK(fs_outqueue_share(&w.queue, "abc", 3, &o) == 0);
    int first = flush(&w, ALL), second = flush(&w, ALL);
    CHECK(first == -ECONNRESET || first == -EPIPE);
    CHECK(second == -EPIPE);
    CHECK(signals == 0);
    CHECK(o.held == 1);
    tear_down(&w);
    CHECK(o.held == 0 && o.released == 1);
}

static void a_sigpipe_of_others_stays_pending(void)
{
    sigset_t sigpipe, old, pending;

    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    CHECK(sigprocmask(SIG_BLOCK, &sigpipe, &old) == 0);
    CHECK(raise(SIGPIPE) == 0);
    a_peer_that_resets(1);
    CHECK(sigpending(&pending) == 0);
    CHECK(sigismember(&pending, SIGPIPE) == 1);
    CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0); /* now it is delivered */
    CHECK(signals == 1);
    signals = 0;
}

static void no_peer_at_all(void)
{
    wire w;

    set_up_unix(&w);
    copy(&w, "abc", 3);
    CHECK(close(w.in) == 0);
    w.in = -1;
    CHECK(flush(&w, ALL) == -EPIPE);
    CHECK(signals == 0);
    CHECK(w.queue.size == 3);
    tear_down(&w);
}

/* A release that fills or clears the queue it comes from must find it in order. */
static void a_release_that_uses_the_queue(void)
{
    owner filler = {0}, clearer = {0}, plain = {0};
    uint64_t sent;
    wire w;

    set_up_unix(&w);
    filler.fills = clearer.clears = &w.queue;
    CHECK(fs_outqueue_share(&w.queue, "abc", 3, &filler) == 0);
    CHECK(fs_outqueue_file(&w.queue, w.file, 0, 2, &plain) == 0);
    kernel.sendfile_errno = EINVAL;
    CHECK(fs_outqueue_flush(&w.queue, w.out, 3, &sent) == FS_AGAIN && sent == 3);
    CHECK(w.queue.size == 7);
    plain.fills = &w.queue;
    CHECK(fs_outqueue_flush(&w.queue, w.out, ALL, &sent) == 0 && sent == 12);
    drain(&w);
    CHECK(w.ngot == 15);
    CHECK(memcmp(w.got + 5, "againagain", 10) == 0);
    CHECK(fs_outqueue_share(&w.queue, "abc", 3, &clearer) == 0);
    CHECK(fs_outqueue_share(&w.queue, "def", 3, &plain) == 0);
    plain.fills = NULL;
    kernel.cut = 4;
    CHECK(fs_outqueue_flush(&w.queue, w.out, ALL, &sent) == 0 && sent == 4);
    CHECK(plain.held == 0 && clearer.held == 0 && filler.held == 0);
    tear_down(&w);
}

/* One pass over every call that allocates. Number of those that failed. */
static int allocate_everything(wire *w, owner *o)
{
    const char *p;
    size_t n;
    int failed = 0;

    failed += fs_outqueue_reserve(&w->queue, 10) == NULL;
    failed += fs_outqueue_reserve(&w->queue, 100000) == NULL;
    failed += fs_outqueue_share(&w->queue, "abc", 3, o) == -ENOMEM;
    failed += fs_outqueue_file(&w->queue, w->file, 0, 20000, o) == -ENOMEM;
    CHECK(o->held + failed >= 2);
    CHECK(w->queue.size <= 20003);
    for (int turn = 0; turn < 10 && w->queue.size; turn++) {
        int result = fs_outqueue_peek(&w->queue, &p, &n);
        CHECK(result == 0 || result == -ENOMEM);
        CHECK((result == 0) == (n > 0));
        failed += result < 0;
        fs_outqueue_consume(&w->queue, n);
    }
    return failed;
}

static void each_allocation_failing(void)
{
    int refused = 1;

    for (unsigned long nth = 1; refused && nth < 100; nth++) {
        owner o = {0};
        wire w;
        set_up_unix(&w);
        harness_fail_nth(nth);
        int failed = allocate_everything(&w, &o);
        refused = harness_has_failed();
        harness_fail_nth(0);
        CHECK_INT(failed, refused);
        CHECK(refused || nth > 4);
        tear_down(&w);
        CHECK(o.held == 0 && o.retained == o.released);
    }
    CHECK(!refused);
}

static void no_memory_for_the_fallback(void)
{
    owner o = {0};
    wire w;

    set_up_unix(&w);
    kernel.sendfile_errno = EINVAL;
    CHECK(fs_outqueue_file(&w.queue, w.file, 0, 5, &o) == 0);
    harness_fail_nth(1);
    CHECK(flush(&w, ALL) == -ENOMEM);
    CHECK(flush(&w, ALL) == 0); /* the queue is as it was: it goes on where it stood */
    drain(&w);
    CHECK(w.ngot == 5);
    CHECK(o.held == 0);
    tear_down(&w);
}

static void a_large_file_by_sendfile(void)
{
    a_large_file(0);
}

static void a_large_file_by_reading(void)
{
    a_large_file(EINVAL);
}

static void a_short_file_by_sendfile(void)
{
    a_file_shorter_than_its_range(0);
}

static void a_short_file_by_reading(void)
{
    a_file_shorter_than_its_range(EINVAL);
}

static void a_bad_file_by_sendfile(void)
{
    a_file_that_cannot_be_read(0);
}

static void a_bad_file_by_reading(void)
{
    a_file_that_cannot_be_read(EINVAL);
}

static void a_reset_under_memory(void)
{
    a_peer_that_resets(0);
}

static void a_reset_under_a_file(void)
{
    a_peer_that_resets(1);
}

int main(void)
{
    CHECK(signal(SIGPIPE, count_signal) != SIG_ERR);
    RUN(a_large_file_by_sendfile);
    RUN(a_large_file_by_reading);
    RUN(a_short_file_by_sendfile);
    RUN(a_short_file_by_reading);
    RUN(a_bad_file_by_sendfile);
    RUN(a_bad_file_by_reading);
    RUN(a_reset_under_memory);
    RUN(a_reset_under_a_file);
    RUN(a_sigpipe_of_others_stays_pending);
    RUN(no_peer_at_all);
    RUN(a_release_that_uses_the_queue);
    RUN(each_allocation_failing);
    RUN(no_memory_for_the_fallback);
    return harness_end();
}
