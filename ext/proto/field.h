#ifndef FS_PROTO_FIELD_H
#define FS_PROTO_FIELD_H

#include <stdint.h>

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
