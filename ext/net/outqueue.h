#ifndef FS_NET_OUTQUEUE_H
#define FS_NET_OUTQUEUE_H

#include "base/allocator.h"
#include "result.h"

#include <stddef.h>
#include <stdint.h>

/*
 * What waits to be sent on one socket, in order: copied bytes in chunks, shared
 * bytes that somebody else owns, and ranges of files. Chunks come from a pool that
 * all queues of a worker share, so that an idle connection holds none and a busy
 * one pays two pointer moves.
 */

#define FS_CHUNK_SIZE 16384       /* with its header: one allocation */
#define FS_POOL_KEEP 64           /* chunks kept for reuse, 1 MiB */

typedef struct fs_outnode fs_outnode; /* outqueue.c's */

/* One a worker. */
typedef struct fs_outpool {
    const fs_allocator *allocator; /* borrowed */
    void (*retain)(void *owner);       /* references of shared pieces; called by push only */
    void (*release)(void *owner);      /* called by flush, peek, consume and clear, with the queue consistent:
                                          it may fill or clear the queue, but not free it */
    fs_outnode *chunks;                /* free ones */
    fs_outnode *nodes;                 /* free small nodes (shared pieces, file ranges) */
    unsigned nchunks, nnodes;
    uint64_t live;                     /* nodes in queues, for the ledger */
} fs_outpool;

void fs_outpool_init(fs_outpool *pool, const fs_allocator *allocator,
                     void (*retain)(void *owner), void (*release)(void *owner));
void fs_outpool_free(fs_outpool *pool);

typedef struct fs_outqueue {
    fs_outnode *head, *tail;
    fs_outpool *pool;
    uint64_t size;                /* bytes that wait, file ranges included */
} fs_outqueue;

void fs_outqueue_init(fs_outqueue *queue, fs_outpool *pool);

/*
 * Room for n bytes at the tail, NULL when out of memory; valid until the next
 * call on this queue. n may exceed a chunk: the node is then made to measure.
 * A reserve without commit is undone by the next flush, peek or clear.
 */
char *fs_outqueue_reserve(fs_outqueue *queue, size_t n);
void fs_outqueue_commit(fs_outqueue *queue, size_t n);

/*
 * 0, or -ENOMEM with nothing queued and nothing retained; n == 0 queues and
 * retains nothing. `owner` may be NULL for file ranges. A range is read by
 * sendfile(2), or by pread(2) where the file does not support that.
 */
int fs_outqueue_share(fs_outqueue *queue, const char *p, size_t n, void *owner);
int fs_outqueue_file(fs_outqueue *queue, int fd, int64_t offset, uint64_t n, void *owner);

/*
 * Sends as much as the socket takes: one send(2) when one run of memory waits,
 * one sendmsg(2) with many iovecs, sendfile(2) for files (MSG_MORE on the head
 * before it); at most `budget` bytes.
 * 0: the queue is empty. FS_AGAIN: the socket is full, or the budget is spent
 * (tell them apart by *sent >= budget). Otherwise -errno (the peer is gone) or
 * -ENODATA: a file was shorter than its range; what could not be sent stays
 * queued until clear. *sent: bytes that left in this call. SIGPIPE is never raised.
 */
int fs_outqueue_flush(fs_outqueue *queue, int fd, uint64_t budget, uint64_t *sent);

/*
 * The bytes at the front, for a filter (TLS) that takes them instead of a
 * socket; file ranges are read into a chunk of the pool first. *n is 0 when the queue is empty.
 * 0 or -errno.
 */
int fs_outqueue_peek(fs_outqueue *queue, const char **p, size_t *n);
void fs_outqueue_consume(fs_outqueue *queue, size_t n);

/*
 * The first n <= size bytes go to the tail of another queue of the same pool;
 * shared bytes and files are not copied. 0, or -ENOMEM: some of them may have
 * gone, and none is lost or doubled.
 */
int fs_outqueue_move(fs_outqueue *queue, fs_outqueue *to, uint64_t n);

/* Drops everything and every reference. */
void fs_outqueue_clear(fs_outqueue *queue);

#endif
