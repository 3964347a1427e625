#include "ws_deflate.h"

#include "error.h"

/* A build without zlib: nothing is negotiated, and none of these functions is called. */

const int fs_ws_deflate_available = 0;

fs_ws_deflate *fs_ws_deflate_new(const fs_ws_deflate_params *params, const fs_allocator *allocator, fs_budget *memory)
{
    (void)params, (void)allocator, (void)memory;
    return NULL;
}

void fs_ws_deflate_free(fs_ws_deflate *deflate)
{
    (void)deflate;
}

int fs_ws_inflate(fs_ws_deflate *deflate, const char *p, size_t n, int last, fs_ws_buffer *into,
                  const fs_allocator *allocator, size_t most)
{
    (void)deflate, (void)p, (void)n, (void)last, (void)into, (void)allocator, (void)most;
    return FS_E_INTERNAL;
}

int fs_ws_compress(fs_ws_deflate *deflate, const char *p, size_t n,
                   int (*put)(void *ctx, const char *p, size_t n, int last), void *ctx)
{
    (void)deflate, (void)p, (void)n, (void)put, (void)ctx;
    return FS_E_INTERNAL;
}
