#include "allocator.h"

#include <stdlib.h>

static void *system_resize(void *ctx, void *p, size_t n)
{
    (void)ctx;
    return realloc(p, n);
}

static void system_release(void *ctx, void *p)
{
    (void)ctx;
    free(p);
}

const fs_allocator fs_system_allocator = {system_resize, system_release, NULL};
