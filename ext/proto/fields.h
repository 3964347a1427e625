#ifndef FS_PROTO_FIELDS_H
#define FS_PROTO_FIELDS_H

#include <stddef.h>
#include <stdint.h>

/*
 * The table of known field names. ext/core keeps one Python object for each; the
 * protocols decide by id. The names that the server itself uses come first and
 * have constants; the others only save an allocation.
 */
enum {
    FS_FIELD_UNKNOWN = 0,
    FS_FIELD_HOST,
    FS_FIELD_CONTENT_LENGTH,
    FS_FIELD_TRANSFER_ENCODING,
    FS_FIELD_CONNECTION,
    FS_FIELD_EXPECT,
    FS_FIELD_UPGRADE,
    FS_FIELD_TE,
    FS_FIELD_TRAILER,
    FS_FIELD_KEEP_ALIVE,
    FS_FIELD_PROXY_CONNECTION,
    FS_FIELD_HTTP2_SETTINGS,
    FS_FIELD_DATE,
    FS_FIELD_SERVER,
    FS_FIELD_CONTENT_TYPE,
    FS_FIELD_COOKIE,
    FS_FIELD_AUTHORIZATION,
    FS_FIELD_PROXY_AUTHORIZATION,
    FS_FIELD_X_FORWARDED_FOR,
    FS_FIELD_X_FORWARDED_PROTO,
    FS_FIELD_X_FORWARDED_HOST,
    FS_FIELD_FORWARDED,
    FS_FIELD_NAMED                      /* the first id without a constant */
};

/* Number of ids, including the unknown one. */
unsigned fs_field_count(void);

/* The lower-case name of an id below fs_field_count(); "" for 0. Static. */
const char *fs_field_name(uint32_t id, size_t *length);

/*
 * The id of a name in any case, FS_FIELD_UNKNOWN if it is not in the table.
 * One hash, one comparison; no allocation.
 */
uint32_t fs_field_find(const char *name, size_t length);

#endif
