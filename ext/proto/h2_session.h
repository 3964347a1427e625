#ifndef FS_PROTO_H2_SESSION_H
#define FS_PROTO_H2_SESSION_H

#include "h2.h"

/* What nghttp2 is told at the start, and what it calls. */

int fs_h2_session_options(fs_h2_shared *shared);
int fs_h2_session_open(fs_h2 *h2);

#endif
