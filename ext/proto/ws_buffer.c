#include "ws_buffer.h"

#include "error.h"

int fs_ws_buffer_grow(fs_ws_buffer *buffer, size_t room, const fs_allocator *allocator, fs_budget *memory)
{
    const size_t more = room - buffer->room;
    char *grown;

    if (fs_budget_take(memory, more) < 0)
        return FS_E_NO_ROOM;
    grown = allocator->resize(allocator->ctx, buffer->p, room);
    if (!grown) {
        fs_budget_give(memory, more);
        return FS_E_NOMEM;
    }
    buffer->p = grown;
    buffer->room = room;
    return FS_OK;
}
