#ifndef FS_BASE_SLICE_H
#define FS_BASE_SLICE_H

#include <stddef.h>

/*
 * A borrowed run of bytes. It owns nothing; each function that hands one out
 * says until when the bytes behind it stay.
 */
typedef struct fs_slice {
    const char *p;
    size_t n;
} fs_slice;

#endif
