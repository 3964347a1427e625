#ifndef FS_PROTO_WS_BUFFER_H
#define FS_PROTO_WS_BUFFER_H

#include "base/allocator.h"
#include "budget.h"

#include <stddef.h>

/* A message that grows: p of `allocator`, NULL while n and room are 0. */
typedef struct fs_ws_buffer {
    char *p;
    size_t n, room;
} fs_ws_buffer;

/* Makes room for `room` bytes in total, more than now, charged to the budget. FS_OK, FS_E_NOMEM or FS_E_NO_ROOM. */
int fs_ws_buffer_grow(fs_ws_buffer *buffer, size_t room, const fs_allocator *allocator, fs_budget *memory);

#endif
