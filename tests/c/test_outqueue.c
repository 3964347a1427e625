/* ext/net/outqueue.c: what is queued leaves in order and once, however the socket cuts it. */

#include "outqueue_fixture.h"

/* ---- one piece ------------------------------------------------------------ */

static void a_small_response_is_one_send(void)
{
    wire w;

    set_up_unix(&w);
    copy(&w, "HTTP/1.1 200 OK\r\n", 17);
    CHECK(w.queue.size == 17);
    CHECK(flush(&w, ALL) == 0);
    CHECK(kernel.sends == 1);
    CHECK(kernel.sendmsgs == 0);
    CHECK(kernel.flags == MSG_NOSIGNAL);
    CHECK(w.pool.nchunks == 1);
    drain(&w);
    check_got(&w, "HTTP/1.1 200 OK\r\n", 17);
    tear_down(&w);
}

static void a_chunk_is_used_again(void)
{
    wire w;

    set_up_unix(&w);
    for (int i = 0; i < 100; i++) {
        copy(&w, "x", 1);
        CHECK(flush(&w, ALL) == 0);
    }
    CHECK(harness_live() == 1);
    tear_down(&w);
}

static void small_commits_share_a_chunk(void)
{
    wire w;
    char expected[3000];

    set_up_unix(&w);
    for (size_t i = 0; i < sizeof expected; i += 3) {
        memcpy(expected + i, "abc", 3);
        copy(&w, "abc", 3);
    }
    CHECK(w.pool.live == 1);
    CHECK(flush(&w, ALL) == 0);
    CHECK(kernel.calls == 1);
    drain(&w);
    check_got(&w, expected, sizeof expected);
    tear_down(&w);
}

static void commit_of_less_than_reserved(void)
{
    wire w;

    set_up_unix(&w);
    memcpy(fs_outqueue_reserve(&w.queue, 1000), "abc", 3);
    fs_outqueue_commit(&w.queue, 3);
    copy(&w, "def", 3);
    CHECK(w.pool.live == 1);
    CHECK(flush(&w, ALL) == 0);
    drain(&w);
    check_got(&w, "abcdef", 6);
    tear_down(&w);
}

static void a_reserve_alone_changes_nothing(void)
{
    wire w;
    owner o = {0};

    set_up_unix(&w);
    CHECK(fs_outqueue_reserve(&w.queue, 10) != NULL);
    CHECK(w.queue.size == 0);
    CHECK(flush(&w, ALL) == 0);
    CHECK(kernel.calls == 0);
    CHECK(fs_outqueue_share(&w.queue, "abc", 3, &o) == 0);
    CHECK(fs_outqueue_reserve(&w.queue, 20000) != NULL);
    CHECK(flush(&w, ALL) == 0);
    CHECK(!(kernel.flags & MSG_MORE)); /* nothing comes after it */
    drain(&w);
    check_got(&w, "abc", 3);
    tear_down(&w);
}

static void reserves_of_every_size(void)
{
    static char expected[300000];
    static const size_t sizes[] = {1, FS_CHUNK_SIZE - 200, FS_CHUNK_SIZE - 1, FS_CHUNK_SIZE, FS_CHUNK_SIZE + 1,
                                   70000, 2, 100000};
    size_t total = 0;
    wire w;

    set_up_tcp(&w);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(expected + total, 'A' + (int)i, sizes[i]);
        copy(&w, expected + total, sizes[i]);
        total += sizes[i];
        CHECK(w.queue.size == total);
    }
    pump(&w, ALL, total);
    check_got(&w, expected, total);
    CHECK(harness_live() == w.pool.nchunks); /* what was made to measure is not kept */
    tear_down(&w);
}

static void a_reserve_that_cannot_be(void)
{
    wire w;

    set_up_unix(&w);
    CHECK(fs_outqueue_reserve(&w.queue, SIZE_MAX) == NULL);
    CHECK(fs_outqueue_reserve(&w.queue, SIZE_MAX - 10) == NULL);
    CHECK(w.queue.size == 0);
    CHECK(w.queue.head == NULL);
    tear_down(&w);
}

static void the_pool_keeps_a_bounded_number(void)
{
    enum { QUEUES = FS_POOL_KEEP + 30 };
    static fs_outqueue queues[QUEUES];
    owner o = {0};
    wire w;

    set_up_unix(&w);
    for (int i = 0; i < QUEUES; i++) {
        fs_outqueue_init(&queues[i], &w.pool);
        CHECK(fs_outqueue_share(&queues[i], "x", 1, &o) == 0);
        CHECK(fs_outqueue_reserve(&queues[i], 1) != NULL);
    }
    CHECK(w.pool.live == 2 * QUEUES);
    for (int i = 0; i < QUEUES; i++)
        fs_outqueue_clear(&queues[i]);
    CHECK(w.pool.live == 0);
    CHECK(w.pool.nchunks == FS_POOL_KEEP);
    CHECK(w.pool.nnodes <= FS_POOL_KEEP);
    CHECK(harness_live() == w.pool.nchunks + w.pool.nnodes);
    CHECK(o.retained == QUEUES && o.held == 0);
    tear_down(&w);
}

/* ---- many pieces ---------------------------------------------------------- */

static void head_and_body_are_one_sendmsg(void)
{
    owner o = {0};
    wire w;

    set_up_unix(&w);
    copy(&w, "head", 4);
    CHECK(fs_outqueue_share(&w.queue, "body", 4, &o) == 0);
    CHECK(o.held == 1);
    CHECK(flush(&w, ALL) == 0);
    CHECK(kernel.sendmsgs == 1);
    CHECK(kernel.calls == 1);
    CHECK(kernel.iovecs == 2);
    CHECK(kernel.flags == MSG_NOSIGNAL);
    CHECK(o.held == 0 && o.retained == 1);
    drain(&w);
    check_got(&w, "headbody", 8);
    tear_down(&w);
}

static void more_pieces_than_iovecs(void)
{
    enum { PIECES = 200 };
    char expected[PIECES];
    owner o = {0};
    wire w;

    set_up_unix(&w);
    for (int i = 0; i < PIECES; i++)
        expected[i] = (char)('0' + i % 70);
    for (int i = 0; i < PIECES; i++)
        CHECK(fs_outqueue_share(&w.queue, expected + i, 1, &o) == 0);
    CHECK(flush(&w, ALL) == 0);
    CHECK(kernel.calls == 4);
    CHECK(o.retained == PIECES && o.held == 0);
    drain(&w);
    check_got(&w, expected, PIECES);
    tear_down(&w);
}

/* MSG_MORE with nothing after it would hold the last segment back for 200 ms. */
static void a_reserve_after_the_last_iovec_is_nothing_to_wait_for(void)
{
    owner o = {0};
    wire w;

    set_up_unix(&w);
    for (int i = 0; i < 64; i++)
        CHECK(fs_outqueue_share(&w.queue, "x", 1, &o) == 0);
    CHECK(fs_outqueue_reserve(&w.queue, 1) != NULL);
    CHECK(flush(&w, ALL) == 0);
    CHECK(kernel.calls == 1);
    CHECK(kernel.iovecs == 64);
    CHECK(kernel.flags == MSG_NOSIGNAL);
    tear_down(&w);
}

static void nothing_is_queued_for_nothing(void)
{
    owner o = {0};
    wire w;

    set_up_unix(&w);
    CHECK(fs_outqueue_share(&w.queue, "", 0, &o) == 0);
    CHECK(fs_outqueue_file(&w.queue, w.file, 0, 0, &o) == 0);
    CHECK(o.retained == 0);
    CHECK(w.pool.live == 0);
    CHECK(flush(&w, ALL) == 0);
    CHECK(kernel.calls == 0);
    tear_down(&w);
}

/* Queues a bit of every kind; returns the bytes that must come over. */
static size_t queue_mixture(wire *w, char *expected, owner *o)
{
    static const char shared[] = "shared bytes, not copied";
    size_t n = 0;

    copy(w, "first ", 6), memcpy(expected, "first ", 6), n += 6;
    copy(w, "second ", 7), memcpy(expected + n, "second ", 7), n += 7;
    CHECK(fs_outqueue_share(&w->queue, shared, 24, o) == 0);
    memcpy(expected + n, shared, 24), n += 24;
    CHECK(fs_outqueue_file(&w->queue, w->file, 1000, 60, o) == 0);
    for (size_t i = 0; i < 60; i++)
        expected[n++] = file_byte(1000 + i);
    CHECK(fs_outqueue_file(&w->queue, w->file, 0, 10, NULL) == 0);
    for (size_t i = 0; i < 10; i++)
        expected[n++] = file_byte(i);
    copy(w, "third", 5), memcpy(expected + n, "third", 5), n += 5;
    CHECK(fs_outqueue_share(&w->queue, shared, 6, o) == 0);
    memcpy(expected + n, shared, 6), n += 6;
    CHECK(w->queue.size == n);
    return n;
}

static void run_mixture(uint64_t budget, size_t cut_at, unsigned interrupt, int sendfile_errno)
{
    char expected[200];
    owner o = {0};
    wire w;

    set_up_unix(&w);
    kernel.cut = cut_at;
    kernel.interrupt = interrupt;
    kernel.sendfile_errno = sendfile_errno;
    size_t n = queue_mixture(&w, expected, &o);
    CHECK(o.held == 3);
    pump(&w, budget, n);
    check_got(&w, expected, n);
    CHECK(o.held == 0 && o.retained == 3);
    tear_down(&w);
}

static void partial_sends_at_every_byte(void)
{
    for (size_t at = 1; at <= 130; at++) {
        run_mixture(ALL, at, 0, 0);
        run_mixture(ALL, at, 0, EINVAL);
        run_mixture(at, 0, 0, 0);
        run_mixture(at, 0, 0, ENOSYS);
        run_mixture(at, 3, 2, 0);
        run_mixture(ALL, at, 2, EINVAL);
    }
}

static void the_flags_say_that_a_file_follows(void)
{
    wire w;

    set_up_unix(&w);
    copy(&w, "head", 4);
    CHECK(fs_outqueue_file(&w.queue, w.file, 0, 100, NULL) == 0);
    CHECK(flush(&w, 4) == FS_AGAIN); /* the budget ends before the file: nothing may be held back */
    CHECK(kernel.flags == MSG_NOSIGNAL);
    CHECK(w.queue.size == 100);
    fs_outqueue_clear(&w.queue);
    copy(&w, "head", 4);
    CHECK(fs_outqueue_file(&w.queue, w.file, 0, 100, NULL) == 0);
    CHECK(flush(&w, ALL) == 0);
    CHECK(kernel.flags == (MSG_NOSIGNAL | MSG_MORE));
    CHECK(kernel.sendfiles == 1);
    tear_down(&w);
}

static void the_budget_and_a_full_socket(void)
{
    static const char block[8192];
    owner o = {0};
    uint64_t sent;
    wire w;

    set_up_tcp(&w);
    copy(&w, "0123456789", 10);
    CHECK(fs_outqueue_flush(&w.queue, w.out, 0, &sent) == FS_AGAIN && sent == 0);
    CHECK(fs_outqueue_flush(&w.queue, w.out, 4, &sent) == FS_AGAIN && sent == 4);
    CHECK(fs_outqueue_flush(&w.queue, w.out, 6, &sent) == 0 && sent == 6); /* just enough is enough */
    CHECK(fs_outqueue_flush(&w.queue, w.out, 0, &sent) == 0 && sent == 0); /* nothing waits */
    for (int i = 0; i < 1000; i++)
        CHECK(fs_outqueue_share(&w.queue, block, sizeof block, &o) == 0);
    CHECK(fs_outqueue_flush(&w.queue, w.out, ALL, &sent) == FS_AGAIN);
    CHECK(sent > 0 && sent < 1000 * sizeof block);
    CHECK(o.held > 0 && o.released == (int)(sent / sizeof block)); /* each as soon as its last byte has left */
    tear_down(&w);
    CHECK(o.held == 0 && o.retained == 1000);
}

/* Large pieces of all kinds through the smallest buffers, in many rounds. */
static void a_slow_reader_gets_everything_in_order(void)
{
    static char expected[GOT_MAX];
    uint64_t state = 2463534242u;
    owner o = {0};
    size_t n = 0;
    wire w;

    set_up_tcp(&w);
    for (int i = 0; i < 60; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        size_t size = 1 + (state >> 33) % 30000, from = (state >> 20) % (FILE_SIZE - size);
        for (size_t k = 0; k < size; k++)
            expected[n + k] = file_byte(from + k);
        if (state >> 60 < 5)
            CHECK(fs_outqueue_file(&w.queue, w.file, (int64_t)from, size, &o) == 0);
        else if (state >> 60 < 10)
            CHECK(fs_outqueue_share(&w.queue, expected + n, size, &o) == 0);
        else
            copy(&w, expected + n, size);
        n += size;
        if (i % 5 == 0)
            CHECK(flush(&w, 5000) <= 0);
        drain(&w);
    }
    pump(&w, 50000, n);
    check_got(&w, expected, n);
    CHECK(o.held == 0 && o.retained > 0);
    tear_down(&w);
}

/* ---- a filter instead of a socket ------------------------------------------ */

static void peek_and_consume(size_t step)
{
    char expected[200];
    owner o = {0};
    wire w;

    set_up_unix(&w);
    size_t n = queue_mixture(&w, expected, &o);
    for (int turn = 0; turn < 1000 && w.queue.size; turn++) {
        const char *p;
        size_t waits;
        CHECK(fs_outqueue_peek(&w.queue, &p, &waits) == 0);
        CHECK(waits > 0);
        waits = waits < step ? waits : step;
        memcpy(w.got + w.ngot, p, waits);
        w.ngot += waits;
        fs_outqueue_consume(&w.queue, waits);
        CHECK(w.queue.size == n - w.ngot);
    }
    check_got(&w, expected, n);
    CHECK(w.pool.live == 0);
    CHECK(o.held == 0 && o.retained == 3);
    tear_down(&w);
}

static void peek_at_nothing(void)
{
    const char *p;
    size_t n = 99;
    wire w;

    set_up_unix(&w);
    CHECK(fs_outqueue_peek(&w.queue, &p, &n) == 0 && n == 0);
    CHECK(fs_outqueue_reserve(&w.queue, 1) != NULL);
    CHECK(fs_outqueue_peek(&w.queue, &p, &n) == 0 && n == 0);
    CHECK(w.pool.live == 0);
    CHECK(fs_outqueue_file(&w.queue, w.file, FILE_SIZE, 1, NULL) == 0);
    CHECK(fs_outqueue_peek(&w.queue, &p, &n) == -ENODATA && n == 0);
    CHECK(w.pool.live == 1);
    tear_down(&w);
}

static void filling_goes_on_behind_a_peeked_file(void)
{
    static char expected[1000];
    const char *p;
    size_t n;
    wire w;

    set_up_unix(&w);
    CHECK(fs_outqueue_file(&w.queue, w.file, 0, 16000, NULL) == 0);
    CHECK(fs_outqueue_peek(&w.queue, &p, &n) == 0 && n == 16000);
    copy(&w, "after ", 6); /* beside what was read from the file */
    CHECK(w.pool.live == 1);
    memset(expected, 'x', sizeof expected);
    copy(&w, expected, sizeof expected); /* which does not fit there any more */
    CHECK(w.pool.live == 2);
    fs_outqueue_consume(&w.queue, 16000);
    CHECK(w.queue.size == 1006);
    CHECK(flush(&w, ALL) == 0);
    drain(&w);
    CHECK(w.ngot == 1006);
    CHECK(memcmp(w.got, "after ", 6) == 0);
    CHECK(memcmp(w.got + 6, expected, sizeof expected) == 0);
    tear_down(&w);
}

static void a_file_is_peeked_by_chunks(void)
{
    owner o = {0};
    size_t n = 0;
    wire w;

    set_up_unix(&w);
    kernel.interrupt = 2; /* pread too is made again */
    CHECK(fs_outqueue_file(&w.queue, w.file, 0, FILE_SIZE, &o) == 0);
    for (int turn = 0; turn < 100 && w.queue.size; turn++) {
        const char *p;
        size_t waits;
        CHECK(fs_outqueue_peek(&w.queue, &p, &waits) == 0);
        for (size_t i = 0; i < waits; i++)
            CHECK(p[i] == file_byte(n + i));
        n += waits;
        fs_outqueue_consume(&w.queue, waits);
        CHECK(w.pool.nchunks <= 1);
    }
    CHECK(n == FILE_SIZE);
    CHECK(o.held == 0);
    tear_down(&w);
}

static void consume_byte_by_byte(void)
{
    peek_and_consume(1);
}

static void consume_by_sevens(void)
{
    peek_and_consume(7);
}

static void consume_whole_pieces(void)
{
    peek_and_consume(SIZE_MAX);
}

int main(void)
{
    RUN(a_small_response_is_one_send);
    RUN(a_chunk_is_used_again);
    RUN(small_commits_share_a_chunk);
    RUN(commit_of_less_than_reserved);
    RUN(a_reserve_alone_changes_nothing);
    RUN(reserves_of_every_size);
    RUN(a_reserve_that_cannot_be);
    RUN(the_pool_keeps_a_bounded_number);
    RUN(head_and_body_are_one_sendmsg);
    RUN(more_pieces_than_iovecs);
    RUN(a_reserve_after_the_last_iovec_is_nothing_to_wait_for);
    RUN(nothing_is_queued_for_nothing);
    RUN(partial_sends_at_every_byte);
    RUN(the_flags_say_that_a_file_follows);
    RUN(the_budget_and_a_full_socket);
    RUN(a_slow_reader_gets_everything_in_order);
    RUN(consume_byte_by_byte);
    RUN(consume_by_sevens);
    RUN(consume_whole_pieces);
    RUN(peek_at_nothing);
    RUN(filling_goes_on_behind_a_peeked_file);
    RUN(a_file_is_peeked_by_chunks);
    return harness_end();
}
