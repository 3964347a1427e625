#ifndef FS_PROTO_LIST_H
#define FS_PROTO_LIST_H

#include "base/slice.h"

/* Field values that are lists (RFC 9110 section 5.6.1), without quoted strings. */

/* Takes the next member off *list, without blanks around it; it may be empty. */
fs_slice fs_next_member(fs_slice *list);

/* Whether the list has this member, in any case; `member` is lower-case. */
int fs_list_has(const char *list, size_t n, const char *member);

#endif
