#ifndef FS_PROTO_WS_FRAME_H
#define FS_PROTO_WS_FRAME_H

#include <stddef.h>
#include <stdint.h>

/* The head of a frame (RFC 6455 section 5.2). */

typedef enum fs_ws_opcode {
    FS_WS_OP_CONTINUATION = 0x0,
    FS_WS_OP_TEXT = 0x1,
    FS_WS_OP_BINARY = 0x2,
    FS_WS_OP_CLOSE = 0x8,
    FS_WS_OP_PING = 0x9,
    FS_WS_OP_PONG = 0xa
} fs_ws_opcode;

enum {
    FS_WS_FIN = 0x80,
    FS_WS_RSV1 = 0x40,           /* compressed: RFC 7692 section 7.2 */
    FS_WS_RSV = 0x70,
    FS_WS_MASKED = 0x80,
    FS_WS_CONTROL_MAX = 125,
    FS_WS_HEAD_MAX = 14,         /* a client's; ours have no mask */
    FS_WS_OWN_HEAD_MAX = 10
};

/* Bytes of the head that begins with these two. */
static inline size_t fs_ws_head_size(const uint8_t head[2])
{
    const unsigned length = head[1] & 0x7f;

    return 2 + (length == 127 ? 8 : length == 126 ? 2 : 0) + (head[1] & FS_WS_MASKED ? 4 : 0);
}

/* The length in a whole head. -1 if its encoding could have been shorter, or has its first bit set. */
int64_t fs_ws_head_length(const uint8_t *head);

/* The mask of a whole masked head, in memory order. */
uint32_t fs_ws_head_mask(const uint8_t *head);

/* Writes a head without a mask; returns its size, FS_WS_OWN_HEAD_MAX at most. */
size_t fs_ws_put_head(char *out, unsigned first, uint64_t length);

#endif
