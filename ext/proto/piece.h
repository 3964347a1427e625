#ifndef FS_PROTO_PIECE_H
#define FS_PROTO_PIECE_H

#include "stream.h"

#include <string.h>

/* A run of a response's body from an exchange: memory, or a range of a file. */
typedef struct fs_piece {
    const char *p;       /* NULL for a file */
    uint64_t n;
    void *owner;         /* keeps p alive; NULL: the bytes must be copied */
    int64_t offset;      /* of files, as fd */
    int fd;
} fs_piece;

static inline int fs_piece_is_copied(const fs_piece *piece)
{
    return piece->p && (!piece->owner || piece->n < FS_SHARE_MIN);
}

static inline int fs_queue_bytes(fs_sink *sink, const char *p, size_t n)
{
    char *room = sink->reserve(sink, n);

    if (!room)
        return FS_E_NOMEM;
    memcpy(room, p, n);
    sink->commit(sink, n);
    return FS_OK;
}

/* FS_OK or FS_E_NOMEM. */
static inline int fs_queue_piece(fs_sink *sink, const fs_piece *piece)
{
    if (!piece->n)
        return FS_OK;
    if (fs_piece_is_copied(piece))
        return fs_queue_bytes(sink, piece->p, (size_t)piece->n);
    if (piece->p)
        return sink->share(sink, piece->p, (size_t)piece->n, piece->owner);
    return sink->file(sink, piece->fd, piece->offset, piece->n, piece->owner);
}

#endif
