#ifndef FS_NET_ALLOCATOR_H
#define FS_NET_ALLOCATOR_H

#include <stddef.h>

/* As in ext/proto, which this room does not know: resize as realloc(3), NULL
 * on failure with `p` left as it was. */
typedef struct fs_net_allocator {
    void *(*resize)(void *ctx, void *p, size_t n);
    void (*release)(void *ctx, void *p);
    void *ctx;
} fs_net_allocator;

extern const fs_net_allocator fs_net_system_allocator;

#endif
