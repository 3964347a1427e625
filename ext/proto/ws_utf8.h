#ifndef FS_PROTO_WS_UTF8_H
#define FS_PROTO_WS_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * UTF-8 that comes in pieces (RFC 3629): strict, and false at the first byte that
 * cannot be right. `state` is 0 before the first piece and whenever no character is
 * cut; otherwise its value is ws_utf8.c's own.
 */
int fs_utf8_feed(uint32_t *state, const char *p, size_t n);

#endif
