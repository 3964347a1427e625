#ifndef FS_PROTO_H1_WRITE_H
#define FS_PROTO_H1_WRITE_H

#include "h1.h"

/* The response side of an HTTP/1 stream. */
extern const fs_stream_ops fs_h1_ops;

#endif
