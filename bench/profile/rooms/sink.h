#ifndef FS_BENCH_SINK_H
#define FS_BENCH_SINK_H

#include "proto/stream.h"

#include <stdlib.h>

/* Where a case's machine writes to: a plain buffer that begins anew when it is full. Nothing looks at what is in it. */

static char sink_bytes[1 << 18];
static size_t sink_used;

static char *sink_reserve(fs_sink *sink, size_t n)
{
    (void)sink;
    if (sink_used + n > sizeof sink_bytes)
        sink_used = 0;
    return sink_bytes + sink_used;
}

static void sink_commit(fs_sink *sink, size_t n)
{
    (void)sink;
    sink_used += n;
}

/* No case shares a piece but those of WebSocket, whose owner is nobody. */
static int sink_share(fs_sink *sink, const char *p, size_t n, void *owner)
{
    (void)sink, (void)p, (void)n, (void)owner;
    return 0;
}

static int sink_file(fs_sink *sink, int fd, int64_t offset, uint64_t n, void *owner)
{
    (void)sink, (void)fd, (void)offset, (void)n, (void)owner;
    abort();
}

static fs_sink plain_sink = {sink_reserve, sink_commit, sink_share, sink_file};

#endif
