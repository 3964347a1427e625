#ifndef FS_PROTO_SLICE_H
#define FS_PROTO_SLICE_H

#include <stddef.h>
#include <stdint.h>

/*
 * A borrowed run of bytes. It owns nothing; each function that hands one out
 * says until when the bytes behind it stay.
 */
typedef struct fs_slice {
    const char *p;
    size_t n;
} fs_slice;

/*
 * One field of a message (RFC 9110 section 5), borrowed. `id` is the field's
 * place in the table of known names (fields.h), 0 when the name is not in it;
 * names that come from a peer are lower-case by the time they are handed out.
 */
typedef struct fs_field {
    const char *name;
    const char *value;
    uint32_t name_len;
    uint32_t value_len;
    uint32_t id;
} fs_field;

#endif
