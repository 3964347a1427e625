#ifndef FS_PROTO_RESPONSE_FIELDS_H
#define FS_PROTO_RESPONSE_FIELDS_H

#include "base/slice.h"
#include "error.h"
#include "field.h"

/* The fields of an application's response, as every protocol takes them. */

/* What they say about the message itself. */
typedef struct fs_said {
    int64_t length;       /* Content-Length, -1: not said */
    int close;            /* Connection: close */
    int date, server;     /* has its own */
} fs_said;

/* The id of its name, looked up where the field does not say it. */
uint32_t fs_field_id(const fs_field *field);

/* Blanks around a value are not part of it (RFC 9110 section 5.5). */
fs_slice fs_value_of(const fs_field *field);

/* Writes the name in lower case; where it ends, or NULL when it is no token. A name with an id is in the table. */
char *fs_put_name(char *p, const fs_field *field, uint32_t id);

/*
 * 1 for a field that is not passed on as it is: it speaks of the framing or of
 * the connection. FS_OK: it is passed on. FS_E_APP_LENGTH.
 */
int fs_intercept(fs_said *said, uint32_t id, fs_slice value);

#endif
