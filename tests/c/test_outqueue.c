/*
 * ext/net/outqueue.c: what is queued leaves in order and once, however the
 * socket cuts it; every reference and every node comes back.
 *
 * The system calls that send are replaced by the ones below, which cut, refuse
 * and count as a test asks them to, and then go to the kernel.
 */

#define _GNU_SOURCE

#include "harness.h"
#include "outqueue.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALL UINT64_MAX

/* ---- system calls -------------------------------------------------------- */

static struct {
    size_t cut;             /* at most so many bytes a call; 0: no cut */
    unsigned interrupt;     /* every so many calls fail with EINTR; 0: none */
    int sendfile_errno;     /* what sendfile fails with; 0: it works */
    unsigned sends, sendmsgs, sendfiles, calls;
    size_t iovecs;          /* of the last sendmsg */
    int flags;              /* of the last send or sendmsg */
} kernel;

static int interrupted(void)
{
    kernel.calls++;
    if (!kernel.interrupt || kernel.calls % kernel.interrupt)
        return 0;
    errno = EINTR;
    return 1;
}

static size_t cut(size_t n)
{
    return kernel.cut && n > kernel.cut ? kernel.cut : n;
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
    kernel.sends++;
    kernel.flags = flags;
    if (interrupted())
        return -1;
    return syscall(SYS_sendto, fd, p, cut(n), flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct iovec iov[64];
    struct msghdr shorter = {.msg_iov = iov};
    size_t left = kernel.cut ? kernel.cut : SIZE_MAX;

    kernel.sendmsgs++;
    kernel.flags = flags;
    kernel.iovecs = message->msg_iovlen;
    if (interrupted())
        return -1;
    for (size_t i = 0; i < message->msg_iovlen && left; i++) {
        iov[i] = message->msg_iov[i];
        if (iov[i].iov_len > left)
            iov[i].iov_len = left;
        left -= iov[i].iov_len;
        shorter.msg_iovlen++;
    }
    return syscall(SYS_sendmsg, fd, &shorter, flags);
}

ssize_t sendfile(int fd, int file, off_t *offset, size_t n)
{
    kernel.sendfiles++;
    if (interrupted())
        return -1;
    if (kernel.sendfile_errno) {
        errno = kernel.sendfile_errno;
        return -1;
    }
    return syscall(SYS_sendfile, fd, file, offset, cut(n));
}

/* ---- a queue between two sockets ------------------------------------------ */

typedef struct owner {
    int held; /* references that queues hold */
    int retained, released;
    fs_outqueue *fills, *clears; /* what its release does, for the re-entrant cases */
} owner;

static void retain(void *p)
{
    owner *o = p;

    o->held++;
    o->retained++;
}

static void release(void *p)
{
    owner *o = p;

    o->held--;
    o->released++;
    CHECK(o->held >= 0);
    if (o->clears)
        fs_outqueue_clear(o->clears);
    if (o->fills) {
        char *room = fs_outqueue_reserve(o->fills, 5);
        CHECK(room != NULL);
        memcpy(room, "again", 5);
        fs_outqueue_commit(o->fills, 5);
    }
}

typedef struct heap {
    long live;      /* blocks that are not released yet */
    long until;     /* allocations that still succeed; negative: all of them */
} heap;

static void *heap_resize(void *ctx, void *p, size_t n)
{
    heap *h = ctx;

    if (h->until == 0)
        return NULL;
    if (h->until > 0)
        h->until--;
    h->live += p == NULL;
    return realloc(p, n);
}

static void heap_release(void *ctx, void *p)
{
    heap *h = ctx;

    h->live -= p != NULL;
    free(p);
}

typedef struct bench {
    heap heap;
    fs_net_allocator allocator;
    fs_outpool pool;
    fs_outqueue queue;
    int out, in;            /* the queue's socket, the peer's */
    int file;               /* FILE_SIZE bytes of file_byte() */
    char *got;              /* what the peer has read */
    size_t ngot;
} bench;

#define GOT_MAX (4u << 20)
#define FILE_SIZE 100000

static char file_byte(size_t i)
{
    return (char)('a' + (i * 7 + i / 251) % 26);
}

static void set_up(bench *b, int pair[2])
{
    static char content[FILE_SIZE];

    memset(&kernel, 0, sizeof kernel);
    memset(b, 0, sizeof *b);
    b->heap.until = -1;
    b->allocator = (fs_net_allocator){heap_resize, heap_release, &b->heap};
    fs_outpool_init(&b->pool, &b->allocator, retain, release);
    fs_outqueue_init(&b->queue, &b->pool);
    b->out = pair[0];
    b->in = pair[1];
    b->got = malloc(GOT_MAX);
    CHECK(b->got != NULL);
    for (size_t i = 0; i < FILE_SIZE; i++)
        content[i] = file_byte(i);
    b->file = memfd_create("range", MFD_CLOEXEC);
    CHECK(b->file >= 0);
    CHECK(write(b->file, content, FILE_SIZE) == FILE_SIZE);
}

static void set_up_unix(bench *b)
{
    int pair[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    set_up(b, pair);
}

/* Loopback TCP with send and receive buffers as small as the kernel makes them. */
static void set_up_tcp(bench *b)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), least = 1, pair[2];

    CHECK(listener >= 0);
    CHECK(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &least, sizeof least) == 0);
    CHECK(bind(listener, (struct sockaddr *)&name, size) == 0);
    CHECK(listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&name, &size) == 0);
    pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(pair[0] >= 0);
    CHECK(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least) == 0);
    CHECK(connect(pair[0], (struct sockaddr *)&name, size) == 0);
    CHECK(fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0);
    pair[1] = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(pair[1] >= 0);
    CHECK(close(listener) == 0);
    set_up(b, pair);
}

static void tear_down(bench *b)
{
    fs_outqueue_clear(&b->queue);
    CHECK(b->queue.size == 0);
    CHECK(b->queue.head == NULL);
    CHECK(b->pool.live == 0);
    CHECK(b->pool.nchunks <= FS_POOL_KEEP);
    fs_outpool_free(&b->pool);
    CHECK(b->heap.live == 0);
    CHECK(close(b->file) == 0);
    CHECK(b->out < 0 || close(b->out) == 0);
    CHECK(b->in < 0 || close(b->in) == 0);
    free(b->got);
}

static void copy(bench *b, const char *p, size_t n)
{
    char *room = fs_outqueue_reserve(&b->queue, n);

    CHECK(room != NULL);
    memcpy(room, p, n);
    fs_outqueue_commit(&b->queue, n);
}

/* What has arrived by now. */
static void drain(bench *b)
{
    for (;;) {
        ssize_t n = recv(b->in, b->got + b->ngot, GOT_MAX - b->ngot, 0);
        if (n < 0)
            CHECK(errno == EAGAIN);
        if (n <= 0)
            return;
        b->ngot += (size_t)n;
    }
}

static int flush(bench *b, uint64_t budget)
{
    uint64_t sent = 99, before = b->queue.size;
    int result = fs_outqueue_flush(&b->queue, b->out, budget, &sent);

    CHECK(sent <= budget);
    CHECK(before - b->queue.size == sent);
    CHECK((result == 0) == (b->queue.head == NULL));
    if (result == 0)
        CHECK(b->pool.live == 0); /* an idle connection holds nothing */
    return result;
}

/* Flushes and reads by turns until `total` bytes have come over. */
static void pump(bench *b, uint64_t budget, size_t total)
{
    for (int turn = 0; turn < 1000000 && b->ngot < total; turn++) {
        struct pollfd readable = {.fd = b->in, .events = POLLIN};
        int result = flush(b, budget);
        CHECK(result == 0 || result == FS_AGAIN);
        CHECK(poll(&readable, 1, 5000) == 1);
        drain(b);
    }
    CHECK(b->ngot == total);
    CHECK(flush(b, ALL) == 0);
}

static void check_got(const bench *b, const char *expected, size_t n)
{
    CHECK(b->ngot == n);
    CHECK(memcmp(b->got, expected, n) == 0);
}

/* ---- one piece ------------------------------------------------------------ */

static void test_a_small_response_is_one_send(void)
{
    bench b;

    set_up_unix(&b);
    copy(&b, "HTTP/1.1 200 OK\r\n", 17);
    CHECK(b.queue.size == 17);
    CHECK(flush(&b, ALL) == 0);
    CHECK(kernel.sends == 1);
    CHECK(kernel.sendmsgs == 0);
    CHECK(kernel.flags == MSG_NOSIGNAL);
    CHECK(b.pool.nchunks == 1);
    drain(&b);
    check_got(&b, "HTTP/1.1 200 OK\r\n", 17);
    tear_down(&b);
}

static void test_a_chunk_is_used_again(void)
{
    bench b;

    set_up_unix(&b);
    for (int i = 0; i < 100; i++) {
        copy(&b, "x", 1);
        CHECK(flush(&b, ALL) == 0);
    }
    CHECK(b.heap.live == 1);
    tear_down(&b);
}

static void test_small_commits_share_a_chunk(void)
{
    bench b;
    char expected[3000];

    set_up_unix(&b);
    for (size_t i = 0; i < sizeof expected; i += 3) {
        memcpy(expected + i, "abc", 3);
        copy(&b, "abc", 3);
    }
    CHECK(b.pool.live == 1);
    CHECK(flush(&b, ALL) == 0);
    CHECK(kernel.calls == 1);
    drain(&b);
    check_got(&b, expected, sizeof expected);
    tear_down(&b);
}

static void test_commit_of_less_than_reserved(void)
{
    bench b;

    set_up_unix(&b);
    memcpy(fs_outqueue_reserve(&b.queue, 1000), "abc", 3);
    fs_outqueue_commit(&b.queue, 3);
    copy(&b, "def", 3);
    CHECK(b.pool.live == 1);
    CHECK(flush(&b, ALL) == 0);
    drain(&b);
    check_got(&b, "abcdef", 6);
    tear_down(&b);
}

static void test_a_reserve_alone_changes_nothing(void)
{
    bench b;
    owner o = {0};

    set_up_unix(&b);
    CHECK(fs_outqueue_reserve(&b.queue, 10) != NULL);
    CHECK(b.queue.size == 0);
    CHECK(flush(&b, ALL) == 0);
    CHECK(kernel.calls == 0);
    CHECK(fs_outqueue_share(&b.queue, "abc", 3, &o) == 0);
    CHECK(fs_outqueue_reserve(&b.queue, 20000) != NULL);
    CHECK(flush(&b, ALL) == 0);
    CHECK(!(kernel.flags & MSG_MORE)); /* nothing comes after it */
    drain(&b);
    check_got(&b, "abc", 3);
    tear_down(&b);
}

static void test_reserves_of_every_size(void)
{
    static char expected[300000];
    static const size_t sizes[] = {1, FS_CHUNK_SIZE - 200, FS_CHUNK_SIZE - 1, FS_CHUNK_SIZE, FS_CHUNK_SIZE + 1, 70000, 2, 100000};
    size_t total = 0;
    bench b;

    set_up_tcp(&b);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(expected + total, 'A' + (int)i, sizes[i]);
        copy(&b, expected + total, sizes[i]);
        total += sizes[i];
        CHECK(b.queue.size == total);
    }
    pump(&b, ALL, total);
    check_got(&b, expected, total);
    tear_down(&b);
}

static void test_a_reserve_that_cannot_be(void)
{
    bench b;

    set_up_unix(&b);
    CHECK(fs_outqueue_reserve(&b.queue, SIZE_MAX) == NULL);
    CHECK(fs_outqueue_reserve(&b.queue, SIZE_MAX - 10) == NULL);
    CHECK(b.queue.size == 0);
    CHECK(b.queue.head == NULL);
    tear_down(&b);
}

static void test_the_pool_keeps_a_bounded_number(void)
{
    enum { QUEUES = FS_POOL_KEEP + 30 };
    static fs_outqueue queues[QUEUES];
    owner o = {0};
    bench b;

    set_up_unix(&b);
    for (int i = 0; i < QUEUES; i++) {
        fs_outqueue_init(&queues[i], &b.pool);
        CHECK(fs_outqueue_share(&queues[i], "x", 1, &o) == 0);
        CHECK(fs_outqueue_reserve(&queues[i], 1) != NULL);
    }
    CHECK(b.pool.live == 2 * QUEUES);
    for (int i = 0; i < QUEUES; i++)
        fs_outqueue_clear(&queues[i]);
    CHECK(b.pool.live == 0);
    CHECK(b.pool.nchunks == FS_POOL_KEEP);
    CHECK(b.pool.nnodes <= FS_POOL_KEEP);
    CHECK(b.heap.live == (long)(b.pool.nchunks + b.pool.nnodes));
    CHECK(o.retained == QUEUES && o.held == 0);
    tear_down(&b);
}

/* ---- many pieces ---------------------------------------------------------- */

static void test_head_and_body_are_one_sendmsg(void)
{
    owner o = {0};
    bench b;

    set_up_unix(&b);
    copy(&b, "head", 4);
    CHECK(fs_outqueue_share(&b.queue, "body", 4, &o) == 0);
    CHECK(o.held == 1);
    CHECK(flush(&b, ALL) == 0);
    CHECK(kernel.sendmsgs == 1);
    CHECK(kernel.calls == 1);
    CHECK(kernel.iovecs == 2);
    CHECK(kernel.flags == MSG_NOSIGNAL);
    CHECK(o.held == 0 && o.retained == 1);
    drain(&b);
    check_got(&b, "headbody", 8);
    tear_down(&b);
}

static void test_more_pieces_than_iovecs(void)
{
    enum { PIECES = 200 };
    char expected[PIECES];
    owner o = {0};
    bench b;

    set_up_unix(&b);
    for (int i = 0; i < PIECES; i++)
        expected[i] = (char)('0' + i % 70);
    for (int i = 0; i < PIECES; i++)
        CHECK(fs_outqueue_share(&b.queue, expected + i, 1, &o) == 0);
    CHECK(flush(&b, ALL) == 0);
    CHECK(kernel.calls == 4);
    CHECK(o.retained == PIECES && o.held == 0);
    drain(&b);
    check_got(&b, expected, PIECES);
    tear_down(&b);
}

static void test_nothing_is_queued_for_nothing(void)
{
    owner o = {0};
    bench b;

    set_up_unix(&b);
    CHECK(fs_outqueue_share(&b.queue, "", 0, &o) == 0);
    CHECK(fs_outqueue_file(&b.queue, b.file, 0, 0, &o) == 0);
    CHECK(o.retained == 0);
    CHECK(b.pool.live == 0);
    CHECK(flush(&b, ALL) == 0);
    CHECK(kernel.calls == 0);
    tear_down(&b);
}

/* Queues a bit of every kind; returns the bytes that must come over. */
static size_t queue_mixture(bench *b, char *expected, owner *o)
{
    static const char shared[] = "shared bytes, not copied";
    size_t n = 0;

    copy(b, "first ", 6), memcpy(expected, "first ", 6), n += 6;
    copy(b, "second ", 7), memcpy(expected + n, "second ", 7), n += 7;
    CHECK(fs_outqueue_share(&b->queue, shared, 24, o) == 0);
    memcpy(expected + n, shared, 24), n += 24;
    CHECK(fs_outqueue_file(&b->queue, b->file, 1000, 60, o) == 0);
    for (size_t i = 0; i < 60; i++)
        expected[n++] = file_byte(1000 + i);
    CHECK(fs_outqueue_file(&b->queue, b->file, 0, 10, NULL) == 0);
    for (size_t i = 0; i < 10; i++)
        expected[n++] = file_byte(i);
    copy(b, "third", 5), memcpy(expected + n, "third", 5), n += 5;
    CHECK(fs_outqueue_share(&b->queue, shared, 6, o) == 0);
    memcpy(expected + n, shared, 6), n += 6;
    CHECK(b->queue.size == n);
    return n;
}

static void run_mixture(uint64_t budget, size_t cut_at, unsigned interrupt, int sendfile_errno)
{
    char expected[200];
    owner o = {0};
    bench b;

    set_up_unix(&b);
    kernel.cut = cut_at;
    kernel.interrupt = interrupt;
    kernel.sendfile_errno = sendfile_errno;
    size_t n = queue_mixture(&b, expected, &o);
    CHECK(o.held == 3);
    pump(&b, budget, n);
    check_got(&b, expected, n);
    CHECK(o.held == 0 && o.retained == 3);
    tear_down(&b);
}

static void test_partial_sends_at_every_byte(void)
{
    for (size_t at = 1; at <= 130; at++) {
        run_mixture(ALL, at, 0, 0);
        run_mixture(ALL, at, 0, EINVAL);
        run_mixture(at, 0, 0, 0);
        run_mixture(at, 0, 0, ENOSYS);
        run_mixture(at, 3, 2, 0);
    }
}

static void test_the_flags_say_that_a_file_follows(void)
{
    bench b;

    set_up_unix(&b);
    copy(&b, "head", 4);
    CHECK(fs_outqueue_file(&b.queue, b.file, 0, 100, NULL) == 0);
    CHECK(flush(&b, 4) == FS_AGAIN); /* the budget ends before the file: nothing may be held back */
    CHECK(kernel.flags == MSG_NOSIGNAL);
    CHECK(b.queue.size == 100);
    fs_outqueue_clear(&b.queue);
    copy(&b, "head", 4);
    CHECK(fs_outqueue_file(&b.queue, b.file, 0, 100, NULL) == 0);
    CHECK(flush(&b, ALL) == 0);
    CHECK(kernel.flags == (MSG_NOSIGNAL | MSG_MORE));
    CHECK(kernel.sendfiles == 1);
    tear_down(&b);
}

static void test_the_budget_and_a_full_socket(void)
{
    static const char block[8192];
    owner o = {0};
    uint64_t sent;
    bench b;

    set_up_tcp(&b);
    copy(&b, "0123456789", 10);
    CHECK(fs_outqueue_flush(&b.queue, b.out, 0, &sent) == FS_AGAIN && sent == 0);
    CHECK(fs_outqueue_flush(&b.queue, b.out, 4, &sent) == FS_AGAIN && sent == 4);
    CHECK(fs_outqueue_flush(&b.queue, b.out, 6, &sent) == 0 && sent == 6); /* just enough is enough */
    CHECK(fs_outqueue_flush(&b.queue, b.out, 0, &sent) == 0 && sent == 0); /* nothing waits */
    for (int i = 0; i < 1000; i++)
        CHECK(fs_outqueue_share(&b.queue, block, sizeof block, &o) == 0);
    CHECK(fs_outqueue_flush(&b.queue, b.out, ALL, &sent) == FS_AGAIN);
    CHECK(sent > 0 && sent < 1000 * sizeof block);
    CHECK(o.held > 0 && o.released == (int)(sent / sizeof block)); /* each as soon as its last byte has left */
    tear_down(&b);
    CHECK(o.held == 0 && o.retained == 1000);
}

/* Large pieces of all kinds through the smallest buffers, in many rounds. */
static void test_a_slow_reader_gets_everything_in_order(void)
{
    static char expected[GOT_MAX];
    uint64_t state = 2463534242u;
    owner o = {0};
    size_t n = 0;
    bench b;

    set_up_tcp(&b);
    for (int i = 0; i < 60; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        size_t size = 1 + (state >> 33) % 30000, from = (state >> 20) % (FILE_SIZE - size);
        for (size_t k = 0; k < size; k++)
            expected[n + k] = file_byte(from + k);
        if (state >> 60 < 5)
            CHECK(fs_outqueue_file(&b.queue, b.file, (int64_t)from, size, &o) == 0);
        else if (state >> 60 < 10)
            CHECK(fs_outqueue_share(&b.queue, expected + n, size, &o) == 0);
        else
            copy(&b, expected + n, size);
        n += size;
        if (i % 5 == 0)
            CHECK(flush(&b, 5000) <= 0);
        drain(&b);
    }
    pump(&b, 50000, n);
    check_got(&b, expected, n);
    CHECK(o.held == 0 && o.retained > 0);
    tear_down(&b);
}

/* ---- files ---------------------------------------------------------------- */

static void test_a_large_file(int sendfile_errno)
{
    owner o = {0};
    bench b;

    set_up_tcp(&b);
    kernel.sendfile_errno = sendfile_errno;
    CHECK(fs_outqueue_file(&b.queue, b.file, 1, FILE_SIZE - 1, &o) == 0);
    pump(&b, ALL, FILE_SIZE - 1);
    for (size_t i = 0; i < b.ngot; i++)
        CHECK(b.got[i] == file_byte(i + 1));
    CHECK(!sendfile_errno || kernel.sendfiles == 1); /* asked once a range, not once a chunk */
    CHECK(o.held == 0 && o.retained == 1);
    CHECK(lseek(b.file, 0, SEEK_CUR) == FILE_SIZE); /* the descriptor's own position is the owner's */
    tear_down(&b);
}

static void test_a_file_shorter_than_its_range(int sendfile_errno)
{
    owner o = {0};
    uint64_t sent;
    bench b;

    set_up_unix(&b);
    kernel.sendfile_errno = sendfile_errno;
    CHECK(fs_outqueue_file(&b.queue, b.file, FILE_SIZE - 10, 11, &o) == 0);
    CHECK(fs_outqueue_flush(&b.queue, b.out, ALL, &sent) == -ENODATA);
    CHECK(sent == 10);
    CHECK(b.queue.size == 1);
    CHECK(o.held == 1);
    fs_outqueue_clear(&b.queue);
    CHECK(o.held == 0 && o.released == 1);
    tear_down(&b);
}

static void test_a_file_that_cannot_be_read(int sendfile_errno)
{
    owner o = {0};
    bench b;

    set_up_unix(&b);
    kernel.sendfile_errno = sendfile_errno;
    CHECK(fs_outqueue_file(&b.queue, -1, 0, 10, &o) == 0);
    CHECK(flush(&b, ALL) == -EBADF);
    CHECK(b.queue.size == 10);
    tear_down(&b);
    CHECK(o.held == 0 && o.released == 1);
}

/* ---- a filter instead of a socket ------------------------------------------ */

static void test_peek_and_consume(size_t step)
{
    char expected[200];
    owner o = {0};
    bench b;

    set_up_unix(&b);
    size_t n = queue_mixture(&b, expected, &o);
    for (int turn = 0; turn < 1000 && b.queue.size; turn++) {
        const char *p;
        size_t waits;
        CHECK(fs_outqueue_peek(&b.queue, &p, &waits) == 0);
        CHECK(waits > 0);
        waits = waits < step ? waits : step;
        memcpy(b.got + b.ngot, p, waits);
        b.ngot += waits;
        fs_outqueue_consume(&b.queue, waits);
        CHECK(b.queue.size == n - b.ngot);
    }
    check_got(&b, expected, n);
    CHECK(b.pool.live == 0);
    CHECK(o.held == 0 && o.retained == 3);
    tear_down(&b);
}

static void test_peek_at_nothing(void)
{
    const char *p;
    size_t n = 99;
    bench b;

    set_up_unix(&b);
    CHECK(fs_outqueue_peek(&b.queue, &p, &n) == 0 && n == 0);
    CHECK(fs_outqueue_reserve(&b.queue, 1) != NULL);
    CHECK(fs_outqueue_peek(&b.queue, &p, &n) == 0 && n == 0);
    CHECK(b.pool.live == 0);
    CHECK(fs_outqueue_file(&b.queue, b.file, FILE_SIZE, 1, NULL) == 0);
    CHECK(fs_outqueue_peek(&b.queue, &p, &n) == -ENODATA && n == 0);
    CHECK(b.pool.live == 1);
    tear_down(&b);
}

static void test_a_file_is_peeked_by_chunks(void)
{
    owner o = {0};
    size_t n = 0;
    bench b;

    set_up_unix(&b);
    CHECK(fs_outqueue_file(&b.queue, b.file, 0, FILE_SIZE, &o) == 0);
    for (int turn = 0; turn < 100 && b.queue.size; turn++) {
        const char *p;
        size_t waits;
        CHECK(fs_outqueue_peek(&b.queue, &p, &waits) == 0);
        for (size_t i = 0; i < waits; i++)
            CHECK(p[i] == file_byte(n + i));
        n += waits;
        fs_outqueue_consume(&b.queue, waits);
        CHECK(b.pool.nchunks <= 1);
    }
    CHECK(n == FILE_SIZE);
    CHECK(o.held == 0);
    tear_down(&b);
}

/* ---- faults --------------------------------------------------------------- */

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    (void)number;
    signals = signals + 1;
}

/* The peer resets; what is sent after that fails twice over (the error, then EPIPE), and never by a signal. */
static void test_a_peer_that_resets(int with_file)
{
    const struct linger reset = {1, 0};
    owner o = {0};
    bench b;

    set_up_tcp(&b);
    CHECK(setsockopt(b.in, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    CHECK(close(b.in) == 0);
    b.in = -1;
    if (with_file)
        CHECK(fs_outqueue_file(&b.queue, b.file, 0, 1000, &o) == 0);
    else
        CHECK(fs_outqueue_share(&b.queue, "abc", 3, &o) == 0);
    int first = flush(&b, ALL), second = flush(&b, ALL);
    CHECK(first == -ECONNRESET || first == -EPIPE);
    CHECK(second == -EPIPE);
    CHECK(signals == 0);
    CHECK(o.held == 1);
    tear_down(&b);
    CHECK(o.held == 0 && o.released == 1);
}

static void test_a_sigpipe_of_others_stays_pending(void)
{
    sigset_t sigpipe, old, pending;

    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    CHECK(sigprocmask(SIG_BLOCK, &sigpipe, &old) == 0);
    CHECK(raise(SIGPIPE) == 0);
    test_a_peer_that_resets(1);
    CHECK(sigpending(&pending) == 0);
    CHECK(sigismember(&pending, SIGPIPE) == 1);
    CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0); /* now it is delivered */
    CHECK(signals == 1);
    signals = 0;
}

static void test_no_peer_at_all(void)
{
    bench b;

    set_up_unix(&b);
    copy(&b, "abc", 3);
    CHECK(close(b.in) == 0);
    b.in = -1;
    CHECK(flush(&b, ALL) == -EPIPE);
    CHECK(signals == 0);
    CHECK(b.queue.size == 3);
    tear_down(&b);
}

/* A release that fills or clears the queue it comes from must find it in order. */
static void test_a_release_that_uses_the_queue(void)
{
    owner filler = {0}, clearer = {0}, plain = {0};
    uint64_t sent;
    bench b;

    set_up_unix(&b);
    filler.fills = clearer.clears = &b.queue;
    CHECK(fs_outqueue_share(&b.queue, "abc", 3, &filler) == 0);
    CHECK(fs_outqueue_file(&b.queue, b.file, 0, 2, &plain) == 0);
    kernel.sendfile_errno = EINVAL;
    CHECK(fs_outqueue_flush(&b.queue, b.out, 3, &sent) == FS_AGAIN && sent == 3);
    CHECK(b.queue.size == 7);
    plain.fills = &b.queue;
    CHECK(fs_outqueue_flush(&b.queue, b.out, ALL, &sent) == 0 && sent == 12);
    drain(&b);
    CHECK(b.ngot == 15);
    CHECK(memcmp(b.got + 5, "againagain", 10) == 0);
    CHECK(fs_outqueue_share(&b.queue, "abc", 3, &clearer) == 0);
    CHECK(fs_outqueue_share(&b.queue, "def", 3, &plain) == 0);
    plain.fills = NULL;
    kernel.cut = 4;
    CHECK(fs_outqueue_flush(&b.queue, b.out, ALL, &sent) == 0 && sent == 4);
    CHECK(plain.held == 0 && clearer.held == 0 && filler.held == 0);
    tear_down(&b);
}

/* One pass over every call that allocates. Number of those that failed. */
static int allocate_everything(bench *b, owner *o)
{
    const char *p;
    size_t n;
    int failed = 0;

    failed += fs_outqueue_reserve(&b->queue, 10) == NULL;
    failed += fs_outqueue_reserve(&b->queue, 100000) == NULL;
    failed += fs_outqueue_share(&b->queue, "abc", 3, o) == -ENOMEM;
    failed += fs_outqueue_file(&b->queue, b->file, 0, 20000, o) == -ENOMEM;
    CHECK(o->held + failed >= 2);
    CHECK(b->queue.size <= 20003);
    for (int turn = 0; turn < 10 && b->queue.size; turn++) {
        int result = fs_outqueue_peek(&b->queue, &p, &n);
        CHECK(result == 0 || result == -ENOMEM);
        CHECK((result == 0) == (n > 0));
        failed += result < 0;
        fs_outqueue_consume(&b->queue, n);
    }
    return failed;
}

static void test_each_allocation_failing(void)
{
    int failed = 1;

    for (long until = 0; failed && until < 100; until++) {
        owner o = {0};
        bench b;
        set_up_unix(&b);
        b.heap.until = until;
        failed = allocate_everything(&b, &o);
        CHECK(until >= 4 || failed > 0);
        tear_down(&b);
        CHECK(o.held == 0 && o.retained == o.released);
    }
    CHECK(failed == 0);
}

static void test_no_memory_for_the_fallback(void)
{
    owner o = {0};
    bench b;

    set_up_unix(&b);
    kernel.sendfile_errno = EINVAL;
    CHECK(fs_outqueue_file(&b.queue, b.file, 0, 5, &o) == 0);
    b.heap.until = 0;
    CHECK(flush(&b, ALL) == -ENOMEM);
    b.heap.until = -1;
    CHECK(flush(&b, ALL) == 0); /* the queue is as it was: it goes on where it stood */
    drain(&b);
    CHECK(b.ngot == 5);
    CHECK(o.held == 0);
    tear_down(&b);
}

int main(void)
{
    CHECK(signal(SIGPIPE, count_signal) != SIG_ERR);
    test_a_small_response_is_one_send();
    test_a_chunk_is_used_again();
    test_small_commits_share_a_chunk();
    test_commit_of_less_than_reserved();
    test_a_reserve_alone_changes_nothing();
    test_reserves_of_every_size();
    test_a_reserve_that_cannot_be();
    test_the_pool_keeps_a_bounded_number();
    test_head_and_body_are_one_sendmsg();
    test_more_pieces_than_iovecs();
    test_nothing_is_queued_for_nothing();
    test_partial_sends_at_every_byte();
    test_the_flags_say_that_a_file_follows();
    test_the_budget_and_a_full_socket();
    test_a_slow_reader_gets_everything_in_order();
    test_a_large_file(0);
    test_a_large_file(EINVAL);
    test_a_file_shorter_than_its_range(0);
    test_a_file_shorter_than_its_range(EINVAL);
    test_a_file_that_cannot_be_read(0);
    test_a_file_that_cannot_be_read(EINVAL);
    test_peek_and_consume(1);
    test_peek_and_consume(7);
    test_peek_and_consume(SIZE_MAX);
    test_peek_at_nothing();
    test_a_file_is_peeked_by_chunks();
    test_a_peer_that_resets(0);
    test_a_peer_that_resets(1);
    test_a_sigpipe_of_others_stays_pending();
    test_no_peer_at_all();
    test_a_release_that_uses_the_queue();
    test_each_allocation_failing();
    test_no_memory_for_the_fallback();
    return 0;
}
