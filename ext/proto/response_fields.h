#ifndef FS_PROTO_RESPONSE_FIELDS_H
#define FS_PROTO_RESPONSE_FIELDS_H

#include "base/slice.h"
#include "error.h"
#include "field.h"

/* The fields of an application's response, the same for all protocols. */

/* What the fields say about the message itself. */
typedef struct fs_said {
    int64_t length;       /* Content-Length, -1: not given */
    int close;            /* Connection: close */
    int date, server;     /* the application gave its own */
} fs_said;

/* The id of the field's name, looked up if the field does not have it. */
uint32_t fs_field_id(const fs_field *field);

/* The value without the blanks around it, which do not belong to it (RFC 9110 section 5.5). */
fs_slice fs_value_of(const fs_field *field);

/*
 * Checks a field before its head is written, and looks up the id of its name.
 * FS_OK, FS_E_APP_FIELD_NAME or FS_E_APP_FIELD_VALUE.
 */
int fs_check_field(const fs_field *field, uint32_t *id);

/* Writes the name in lower case. Returns its end, or NULL if it is not a token. A name with an id is in the table. */
char *fs_put_name(char *p, const fs_field *field, uint32_t id);

/*
 * 1 for a field that is not passed on, since it is about the framing or the
 * connection. FS_OK: it is passed on. FS_E_APP_LENGTH.
 */
int fs_intercept(fs_said *said, uint32_t id, fs_slice value);

#endif
