#ifndef FS_BASE_ALLOCATOR_H
#define FS_BASE_ALLOCATOR_H

#include <stddef.h>

/*
 * Where the C rooms get their memory. Passed in, never global, so that a test
 * can fail the first, second, ... nth allocation of a scenario.
 *
 * resize(ctx, NULL, n) allocates, resize(ctx, p, n) grows or shrinks, and
 * returns NULL on failure, leaving `p` as it was. n is never 0.
 */
typedef struct fs_allocator {
    void *(*resize)(void *ctx, void *p, size_t n);
    void (*release)(void *ctx, void *p);
    void *ctx;
} fs_allocator;

/* realloc(3) and free(3). */
extern const fs_allocator fs_system_allocator;

#endif
