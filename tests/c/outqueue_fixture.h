#ifndef OUTQUEUE_FIXTURE_H
#define OUTQUEUE_FIXTURE_H

/*
 * A queue that sends to a peer, with everything that a test wants to know of
 * it: the owners' references, what is allocated, what arrived.
 *
 * The system calls of the queue are replaced by the ones below, which cut,
 * refuse and count as a test asks them to, and then go to the kernel.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "harness.h"
#include "net/outqueue.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
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

ssize_t pread(int file, void *p, size_t n, off_t offset)
{
    if (interrupted())
        return -1;
    return syscall(SYS_pread64, file, p, n, offset);
}

/* ---- a queue between two sockets ------------------------------------------ */

typedef struct owner {
    int held; /* references that queues hold */
    int retained, released;
    fs_outqueue *fills, *clears; /* what its release does, for the re-entrant cases */
} owner;

static inline void retain(void *p)
{
    owner *o = p;

    o->held++;
    o->retained++;
}

static inline void release(void *p)
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

typedef struct wire {
    fs_outpool pool;
    fs_outqueue queue;
    int out, in;            /* the queue's socket, the peer's */
    int file;               /* FILE_SIZE bytes of file_byte() */
    char *got;              /* what the peer has read */
    size_t ngot;
} wire;

#define GOT_MAX (4u << 20)
#define FILE_SIZE 100000

static char file_byte(size_t i)
{
    return (char)('a' + (i * 7 + i / 251) % 26);
}

static inline void set_up(wire *w, int pair[2])
{
    static char content[FILE_SIZE];

    memset(&kernel, 0, sizeof kernel);
    memset(w, 0, sizeof *w);
    fs_outpool_init(&w->pool, &harness_allocator, retain, release);
    fs_outqueue_init(&w->queue, &w->pool);
    w->out = pair[0];
    w->in = pair[1];
    w->got = malloc(GOT_MAX);
    CHECK(w->got != NULL);
    for (size_t i = 0; i < FILE_SIZE; i++)
        content[i] = file_byte(i);
    w->file = memfd_create("range", MFD_CLOEXEC);
    CHECK(w->file >= 0);
    CHECK(write(w->file, content, FILE_SIZE) == FILE_SIZE);
}

static inline void set_up_unix(wire *w)
{
    int pair[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    set_up(w, pair);
}

/* Loopback TCP with send and receive buffers as small as the kernel makes them. */
static inline void set_up_tcp(wire *w)
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
    set_up(w, pair);
}

static inline void tear_down(wire *w)
{
    fs_outqueue_clear(&w->queue);
    CHECK(w->queue.size == 0);
    CHECK(w->queue.head == NULL);
    CHECK(w->pool.live == 0);
    CHECK(w->pool.nchunks <= FS_POOL_KEEP);
    fs_outpool_free(&w->pool);
    CHECK(harness_live() == 0);
    CHECK(close(w->file) == 0);
    CHECK(w->out < 0 || close(w->out) == 0);
    CHECK(w->in < 0 || close(w->in) == 0);
    free(w->got);
}

static inline void copy(wire *w, const char *p, size_t n)
{
    char *room = fs_outqueue_reserve(&w->queue, n);

    CHECK(room != NULL);
    memcpy(room, p, n);
    fs_outqueue_commit(&w->queue, n);
}

/* What has arrived by now. */
static inline void drain(wire *w)
{
    for (;;) {
        ssize_t n = recv(w->in, w->got + w->ngot, GOT_MAX - w->ngot, 0);
        if (n < 0)
            CHECK(errno == EAGAIN);
        if (n <= 0)
            return;
        w->ngot += (size_t)n;
    }
}

static inline int flush(wire *w, uint64_t budget)
{
    uint64_t sent = 99, before = w->queue.size;
    int result = fs_outqueue_flush(&w->queue, w->out, budget, &sent);

    CHECK(sent <= budget);
    CHECK(before - w->queue.size == sent);
    CHECK((result == 0) == (w->queue.head == NULL));
    if (result == 0)
        CHECK(w->pool.live == 0); /* an idle connection holds nothing */
    return result;
}

/* Flushes and reads by turns until `total` bytes have come over. */
static inline void pump(wire *w, uint64_t budget, size_t total)
{
    for (int turn = 0; turn < 1000000 && w->ngot < total; turn++) {
        struct pollfd readable = {.fd = w->in, .events = POLLIN};
        int result = flush(w, budget);
        CHECK(result == 0 || result == FS_AGAIN);
        CHECK(poll(&readable, 1, 5000) == 1);
        drain(w);
    }
    CHECK(w->ngot == total);
    CHECK(flush(w, ALL) == 0);
}

static inline void check_got(const wire *w, const char *expected, size_t n)
{
    CHECK(w->ngot == n);
    CHECK(memcmp(w->got, expected, n) == 0);
}

#endif
