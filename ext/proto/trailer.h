#ifndef FS_PROTO_TRAILER_H
#define FS_PROTO_TRAILER_H

#include <stddef.h>
#include <stdint.h>

/* Whether a field is forbidden in a trailer section (RFC 9110 section 6.5.1). */
int fs_is_forbidden_trailer(uint32_t id, const char *name, size_t n);

#endif
