#ifndef FS_PROTO_METHOD_H
#define FS_PROTO_METHOD_H

#include "base/slice.h"
#include "limits.h"

/* Methods, the same for all protocols (RFC 9110 section 9.1): the application decides what they mean. */

enum { FS_METHOD_MAX = 32 };   /* bytes; the longest registered one has 17 */

/*
 * FS_OK, FS_E_BAD_METHOD, or FS_E_METHOD_UNKNOWN: too long, a proxy's CONNECT,
 * HTTP/2's PRI, or not registered although limits->methods requires it.
 */
int fs_check_method(fs_slice method, const fs_limits *limits);

/* Whether it is this method. Case matters. */
int fs_is_method(fs_slice method, const char *name);

#endif
