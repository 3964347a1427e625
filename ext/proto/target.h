#ifndef FS_PROTO_TARGET_H
#define FS_PROTO_TARGET_H

#include "stream.h"

/* uri-host [ ":" port ], RFC 9110 section 7.2; an empty one is allowed. */
int fs_is_host(const char *p, size_t n);

/* Whether two hosts name the same server for a scheme: in any case, with or without its default port (RFC 3986 section
 * 6.2). Neither may be malformed. */
int fs_is_same_host(fs_slice a, fs_slice b, fs_slice scheme);

/*
 * Sets path, query and FS_HEAD_ESCAPED from head->target, which is not empty, in
 * the forms of RFC 9112 section 3.2 that a server gets. Sets *authority for an
 * absolute target: the request goes there, and not to Host.
 * FS_OK or FS_E_BAD_TARGET.
 */
int fs_check_target(fs_request_head *head, fs_slice *authority);

#endif
