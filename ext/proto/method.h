#ifndef FS_PROTO_METHOD_H
#define FS_PROTO_METHOD_H

#include "base/slice.h"
#include "limits.h"

/* Methods, as every protocol takes them (RFC 9110 section 9.1): what one means, an application decides. */

enum { FS_METHOD_MAX = 32 };   /* bytes; the longest that is registered has 17 */

/*
 * FS_OK, FS_E_BAD_METHOD, or FS_E_METHOD_UNKNOWN: too long, a proxy's CONNECT,
 * HTTP/2's PRI, or one that is not registered where limits->methods says so.
 */
int fs_check_method(fs_slice method, const fs_limits *limits);

/* Whether it is this one. Methods have a case. */
int fs_is_method(fs_slice method, const char *name);

#endif
