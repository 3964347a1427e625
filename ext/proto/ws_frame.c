#include "ws_frame.h"

#include <string.h>

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++)
        value = value << 8 | p[i];
    return value;
}

int64_t fs_ws_head_length(const uint8_t *head)
{
    const unsigned length = head[1] & 0x7f;
    uint64_t value;

    if (length < 126)
        return length;
    value = length == 126 ? big_endian(head + 2, 2) : big_endian(head + 2, 8);
    if (value < (length == 126 ? 126 : 65536) || value > INT64_MAX)
        return -1;
    return (int64_t)value;
}

uint32_t fs_ws_head_mask(const uint8_t *head)
{
    uint32_t mask;

    memcpy(&mask, head + fs_ws_head_size(head) - sizeof mask, sizeof mask);
    return mask;
}

size_t fs_ws_put_head(char *out, unsigned first, uint64_t length)
{
    size_t wide = 0;

    out[0] = (char)first;
    if (length < 126) {
        out[1] = (char)length;
        return 2;
    }
    wide = length < 65536 ? 2 : 8;
    out[1] = (char)(wide == 2 ? 126 : 127);
    for (size_t i = 0; i < wide; i++)
        out[2 + i] = (char)(length >> 8 * (wide - 1 - i));
    return 2 + wide;
}
