#ifndef FS_BASE_SLICE_H
#define FS_BASE_SLICE_H

#include <stddef.h>

/*
 * A borrowed run of bytes. It owns nothing; each function that returns one says
 * how long its bytes stay valid.
 */
typedef struct fs_slice {
    const char *p;
    size_t n;
} fs_slice;

#endif
