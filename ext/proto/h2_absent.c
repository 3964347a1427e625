#include "h2.h"

/* Replaces h2.c and h2_*.c in a build without nghttp2: fs_h2_init fails, so that no other function here is called
 * with a connection. */

const int fs_h2_available = 0;

int fs_h2_shared_init(fs_h2_shared *shared, const fs_limits *limits, const fs_allocator *allocator,
                      fs_head_common *common)
{
    *shared = (fs_h2_shared){.limits = limits, .allocator = allocator, .common = common};
    return FS_OK;
}

void fs_h2_shared_free(fs_h2_shared *shared) { (void)shared; }

int fs_h2_init(fs_h2 *h2, fs_h2_shared *shared, fs_sink *sink, uint64_t now)
{
    (void)h2, (void)shared, (void)sink, (void)now;
    return FS_E_INTERNAL;
}

void fs_h2_free(fs_h2 *h2) { (void)h2; }

int fs_h2_feed(fs_h2 *h2, char *p, size_t n, uint64_t now)
{
    (void)h2, (void)p, (void)n, (void)now;
    return FS_E_INTERNAL;
}

int fs_h2_next(fs_h2 *h2, fs_event *event)
{
    (void)h2, (void)event;
    return FS_E_INTERNAL;
}

int fs_h2_pump(fs_h2 *h2, uint64_t room, uint64_t now)
{
    (void)h2, (void)room, (void)now;
    return FS_E_INTERNAL;
}

int fs_h2_wants_pump(const fs_h2 *h2) { return (void)h2, 0; }
uint64_t fs_h2_incomplete_since(const fs_h2 *h2) { return (void)h2, 0; }
int fs_h2_settle(fs_h2 *h2) { return (void)h2, FS_OK; }
void fs_h2_refuse(fs_h2_stream *stream, int error) { (void)stream, (void)error; }
void fs_h2_reset(fs_h2_stream *stream, int error) { (void)stream, (void)error; }
void fs_h2_fail(fs_h2 *h2, int error) { (void)h2, (void)error; }
int fs_h2_drain(fs_h2 *h2, int final) { return (void)h2, (void)final, FS_OK; }
int fs_h2_ping(fs_h2 *h2) { return (void)h2, FS_OK; }
int fs_h2_must_close(const fs_h2 *h2) { return (void)h2, 1; }
