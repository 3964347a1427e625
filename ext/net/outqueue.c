#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "outqueue.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAX_IOVECS 64
#define MAX_SENDFILE 0x40000000u /* sendfile(2) moves at most 0x7ffff000 bytes a call */

typedef enum node_kind {
    NODE_CHUNK,    /* copied bytes, FS_CHUNK_SIZE with this header: back to pool->chunks */
    NODE_LARGE,    /* copied bytes, made to measure: freed */
    NODE_SHARED,   /* the owner's bytes; back to pool->nodes, as the two below */
    NODE_FILE,     /* a range of a file */
    NODE_FILE_READ /* likewise, of a file that sendfile(2) refuses */
} node_kind;

_Static_assert(sizeof(off_t) == sizeof(int64_t), "files above 2 GiB");

struct fs_outnode {
    fs_outnode *next;
    uint64_t size;     /* bytes that wait; 0 only in a chunk that was reserved and not committed */
    const char *p;     /* the first of them, of all kinds but files */
    size_t room;       /* free bytes after them, in chunks */
    void *owner;       /* a reference that this node holds, or NULL */
    int64_t offset;    /* of files */
    int fd;            /* of files, borrowed: the owner's */
    node_kind kind;
    char data[];       /* of chunks */
};

#define CHUNK_ROOM (FS_CHUNK_SIZE - sizeof(fs_outnode))

static int is_file(const fs_outnode *node)
{
    return node->kind >= NODE_FILE;
}

static int is_writable(const fs_outnode *node)
{
    return node->kind <= NODE_LARGE;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- the pool ----------------------------------------------------------- */

void fs_outpool_init(fs_outpool *pool, const fs_allocator *allocator,
                     void (*retain)(void *owner), void (*release)(void *owner))
{
    *pool = (fs_outpool){.allocator = allocator, .retain = retain, .release = release};
}

static void free_list(fs_outpool *pool, fs_outnode *node)
{
    while (node) {
        fs_outnode *next = node->next;
        pool->allocator->release(pool->allocator->ctx, node);
        node = next;
    }
}

void fs_outpool_free(fs_outpool *pool)
{
    free_list(pool, pool->chunks);
    free_list(pool, pool->nodes);
    pool->chunks = pool->nodes = NULL;
    pool->nchunks = pool->nnodes = 0;
}

static fs_outnode *allocate(fs_outpool *pool, size_t size)
{
    return pool->allocator->resize(pool->allocator->ctx, NULL, size);
}

/* Takes the first node of a free list, or makes one of `size` bytes. */
static fs_outnode *take(fs_outpool *pool, fs_outnode **list, unsigned *count, size_t size)
{
    fs_outnode *node = *list;

    if (!node)
        return allocate(pool, size);
    *list = node->next;
    --*count;
    return node;
}

static void keep(fs_outpool *pool, fs_outnode **list, unsigned *count, fs_outnode *node)
{
    if (*count >= FS_POOL_KEEP) {
        pool->allocator->release(pool->allocator->ctx, node);
        return;
    }
    node->next = *list;
    *list = node;
    ++*count;
}

/* An empty chunk with at least n bytes of room. */
static fs_outnode *new_chunk(fs_outpool *pool, size_t n)
{
    node_kind kind = n <= CHUNK_ROOM ? NODE_CHUNK : NODE_LARGE;
    fs_outnode *node;

    if (n > SIZE_MAX - sizeof *node)
        return NULL;
    if (kind == NODE_CHUNK)
        node = take(pool, &pool->chunks, &pool->nchunks, FS_CHUNK_SIZE);
    else
        node = allocate(pool, sizeof *node + n);
    if (!node)
        return NULL;
    node->size = 0;
    node->p = node->data;
    node->room = kind == NODE_CHUNK ? CHUNK_ROOM : n;
    node->owner = NULL;
    node->kind = kind;
    return node;
}

/* Returns a node to where it came from. Drops the owner last: that may run code that uses this pool again. */
static void recycle(fs_outpool *pool, fs_outnode *node)
{
    void *owner = node->owner;

    pool->live--;
    if (node->kind == NODE_CHUNK)
        keep(pool, &pool->chunks, &pool->nchunks, node);
    else if (node->kind == NODE_LARGE)
        pool->allocator->release(pool->allocator->ctx, node);
    else
        keep(pool, &pool->nodes, &pool->nnodes, node);
    if (owner)
        pool->release(owner);
}

/* Recycles a chain that is in no queue any more, up to but without `end`. */
static void recycle_chain(fs_outpool *pool, fs_outnode *node, const fs_outnode *end)
{
    while (node != end) {
        fs_outnode *next = node->next;
        recycle(pool, node);
        node = next;
    }
}

/* ---- filling ------------------------------------------------------------ */

void fs_outqueue_init(fs_outqueue *queue, fs_outpool *pool)
{
    *queue = (fs_outqueue){.pool = pool};
}

static void append(fs_outqueue *queue, fs_outnode *node)
{
    node->next = NULL;
    if (queue->tail)
        queue->tail->next = node;
    else
        queue->head = node;
    queue->tail = node;
    queue->size += node->size;
    queue->pool->live++;
}

char *fs_outqueue_reserve(fs_outqueue *queue, size_t n)
{
    fs_outnode *node = queue->tail;

    if (!node || !is_writable(node) || node->room < n) {
        node = new_chunk(queue->pool, n);
        if (!node)
            return NULL;
        append(queue, node);
    }
    return (char *)node->p + node->size;
}

void fs_outqueue_commit(fs_outqueue *queue, size_t n)
{
    fs_outnode *node = queue->tail;

    assert(node && is_writable(node) && n <= node->room);
    node->size += n;
    node->room -= n;
    queue->size += n;
}

/* A small node for n bytes that are not copied; takes the reference. */
static fs_outnode *new_node(fs_outpool *pool, node_kind kind, uint64_t n, void *owner)
{
    fs_outnode *node = take(pool, &pool->nodes, &pool->nnodes, sizeof *node);

    if (!node)
        return NULL;
    node->kind = kind;
    node->size = n;
    node->owner = owner;
    if (owner)
        pool->retain(owner);
    return node;
}

int fs_outqueue_share(fs_outqueue *queue, const char *p, size_t n, void *owner)
{
    fs_outnode *node;

    if (!n)
        return 0;
    node = new_node(queue->pool, NODE_SHARED, n, owner);
    if (!node)
        return -ENOMEM;
    node->p = p;
    append(queue, node);
    return 0;
}

int fs_outqueue_file(fs_outqueue *queue, int fd, int64_t offset, uint64_t n, void *owner)
{
    fs_outnode *node;

    if (!n)
        return 0;
    node = new_node(queue->pool, NODE_FILE, n, owner);
    if (!node)
        return -ENOMEM;
    node->fd = fd;
    node->offset = offset;
    append(queue, node);
    return 0;
}

/* ---- emptying ----------------------------------------------------------- */

static void advance(fs_outnode *node, uint64_t n)
{
    node->size -= n;
    if (is_file(node))
        node->offset += (int64_t)n;
    else
        node->p += n;
}

/*
 * The queue is consistent again before the first owner is dropped, since that may
 * run code which fills or clears this very queue. n == 0 removes chunks at the
 * front that were reserved and not committed.
 */
static void drop_front(fs_outqueue *queue, uint64_t n)
{
    fs_outnode *done = queue->head, *node = done;

    assert(n <= queue->size);
    queue->size -= n;
    while (node && n >= node->size) {
        n -= node->size;
        node = node->next;
    }
    if (n) {
        assert(node); /* the nodes' sizes add up to the queue's */
        advance(node, n);
    }
    queue->head = node;
    if (!node)
        queue->tail = NULL;
    recycle_chain(queue->pool, done, node);
}

/* Puts a chunk with the first bytes of the range at the front in their place. */
static void put_before(fs_outqueue *queue, fs_outnode *file, fs_outnode *chunk)
{
    fs_outnode *after = chunk->size < file->size ? file : file->next;

    chunk->next = after;
    queue->head = chunk;
    if (!after)
        queue->tail = chunk;
    queue->pool->live++;
    if (after == file)
        advance(file, chunk->size);
    else
        recycle(queue->pool, file);
}

/* Moves the next bytes of the file range at the front into a chunk before it.
 * 0, -ENOMEM, -errno of the read, or -ENODATA.
 */
static int read_ahead(fs_outqueue *queue)
{
    fs_outnode *file = queue->head;
    fs_outnode *chunk = new_chunk(queue->pool, CHUNK_ROOM);
    ssize_t n;

    if (!chunk)
        return -ENOMEM;
    do
        n = pread(file->fd, chunk->data, min_u64(file->size, CHUNK_ROOM), file->offset);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        int error = n < 0 ? -errno : -ENODATA;
        keep(queue->pool, &queue->pool->chunks, &queue->pool->nchunks, chunk);
        return error;
    }
    chunk->size = (uint64_t)n;
    chunk->room -= (size_t)n;
    put_before(queue, file, chunk);
    return 0;
}

/* Memory from the front, up to the first file and at most `budget` bytes. */
static size_t gather(const fs_outqueue *queue, struct iovec *iov, uint64_t budget, int *flags)
{
    const fs_outnode *node = queue->head;
    size_t count = 0;

    for (; node && !is_file(node) && budget && count < MAX_IOVECS; node = node->next) {
        uint64_t n = min_u64(node->size, budget);
        if (!n)
            continue;
        iov[count].iov_base = (char *)node->p;
        iov[count].iov_len = n;
        count++;
        budget -= n;
    }
    while (node && !node->size)
        node = node->next;
    /* What follows is sent by the next call of this flush: no half-filled segment in between. */
    if (node && budget)
        *flags |= MSG_MORE;
    return count;
}

static ssize_t send_many(const fs_outqueue *queue, int fd, uint64_t budget)
{
    struct iovec iov[MAX_IOVECS];
    struct msghdr message = {.msg_iov = iov};
    int flags = MSG_NOSIGNAL;
    ssize_t n;

    message.msg_iovlen = gather(queue, iov, budget, &flags);
    n = sendmsg(fd, &message, flags);
    return n < 0 ? -errno : n;
}

static ssize_t send_one(const fs_outnode *node, int fd, uint64_t budget)
{
    ssize_t n = send(fd, node->p, min_u64(node->size, budget), MSG_NOSIGNAL);

    return n < 0 ? -errno : n;
}

/*
 * sendfile(2) has no MSG_NOSIGNAL: SIGPIPE, which the kernel raises for the
 * calling thread, is blocked around it and consumed if it came. One that was
 * already pending is not ours and stays.
 */
static ssize_t sendfile_nosignal(int fd, const fs_outnode *file, size_t n)
{
    static const struct timespec at_once = {0, 0};
    off_t offset = file->offset;
    sigset_t sigpipe, old, pending;
    ssize_t sent;

    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    int error = pthread_sigmask(SIG_BLOCK, &sigpipe, &old);
    if (error)
        return -error;
    sigemptyset(&pending);
    if (sigismember(&old, SIGPIPE) == 1 && sigpending(&pending) < 0)
        return -errno;
    sent = sendfile(fd, file->fd, &offset, n);
    if (sent < 0)
        sent = -errno;
    if (sent == -EPIPE && sigismember(&pending, SIGPIPE) == 0)
        while (sigtimedwait(&sigpipe, NULL, &at_once) < 0 && errno == EINTR)
            ;
    error = pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error ? -error : sent;
}

/* Bytes sent from the file at the front, 0 when the file was changed to NODE_FILE_READ, or -errno. */
static ssize_t send_file(fs_outnode *file, int fd, uint64_t budget)
{
    uint64_t n = min_u64(min_u64(file->size, budget), MAX_SENDFILE);
    ssize_t sent = sendfile_nosignal(fd, file, n);

    if (sent == 0)
        return -ENODATA;
    if (sent == -EINVAL || sent == -ENOSYS) {
        file->kind = NODE_FILE_READ;
        return 0;
    }
    return sent;
}

/* One system call's worth from the front. Bytes sent (0: look at the front again) or -errno. */
static ssize_t send_front(fs_outqueue *queue, int fd, uint64_t budget)
{
    fs_outnode *head = queue->head;

    if (head->kind == NODE_FILE)
        return send_file(head, fd, budget);
    if (head->kind == NODE_FILE_READ)
        return read_ahead(queue);
    return head->next ? send_many(queue, fd, budget) : send_one(head, fd, budget);
}

int fs_outqueue_flush(fs_outqueue *queue, int fd, uint64_t budget, uint64_t *sent)
{
    *sent = 0;
    for (;;) {
        if (queue->head && !queue->head->size)
            drop_front(queue, 0);
        if (!queue->head)
            return 0;
        if (*sent >= budget)
            return FS_AGAIN;
        ssize_t n = send_front(queue, fd, budget - *sent);
        if (n == -EINTR)
            continue;
        if (n < 0)
            return (int)n;
        *sent += (uint64_t)n;
        drop_front(queue, (uint64_t)n);
    }
}

int fs_outqueue_peek(fs_outqueue *queue, const char **p, size_t *n)
{
    *p = NULL;
    *n = 0;
    if (queue->head && !queue->head->size)
        drop_front(queue, 0);
    if (queue->head && is_file(queue->head)) {
        int error = read_ahead(queue);
        if (error < 0)
            return error;
    }
    if (queue->head) {
        *p = queue->head->p;
        *n = queue->head->size;
    }
    return 0;
}

void fs_outqueue_consume(fs_outqueue *queue, size_t n)
{
    drop_front(queue, n);
}

static int copy_run(fs_outqueue *to, const fs_outnode *node, uint64_t n)
{
    char *room = fs_outqueue_reserve(to, n);

    if (!room)
        return -ENOMEM;
    memcpy(room, node->p, n);
    fs_outqueue_commit(to, n);
    return 0;
}

int fs_outqueue_move(fs_outqueue *queue, fs_outqueue *to, uint64_t n)
{
    while (n) {
        const fs_outnode *node = queue->head;
        const uint64_t part = min_u64(node->size, n);
        const int result = is_file(node)       ? fs_outqueue_file(to, node->fd, node->offset, part, node->owner)
                           : is_writable(node) ? copy_run(to, node, part)
                                               : fs_outqueue_share(to, node->p, part, node->owner);

        if (result < 0)
            return result;
        drop_front(queue, part);
        n -= part;
    }
    return 0;
}

void fs_outqueue_clear(fs_outqueue *queue)
{
    fs_outnode *node = queue->head;

    queue->head = queue->tail = NULL;
    queue->size = 0;
    recycle_chain(queue->pool, node, NULL);
}
