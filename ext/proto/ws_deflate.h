#ifndef FS_PROTO_WS_DEFLATE_H
#define FS_PROTO_WS_DEFLATE_H

#include "base/allocator.h"
#include "base/slice.h"
#include "budget.h"
#include "ws_buffer.h"

#include <stdint.h>

/*
 * permessage-deflate (RFC 7692) over zlib. A build without zlib, where
 * ws_deflate_absent.c replaces ws_deflate.c, negotiates nothing. A connection's
 * streams are made with its first compressed message each way, so that a
 * connection which never compresses costs nothing.
 */

/* Whether this build has zlib; without it no fs_ws_deflate can be made. */
extern const int fs_ws_deflate_available;

/*
 * What a connection costs at most, besides zlib's own state of about 6 and 7 KiB:
 * 1 << (window_bits + 2) and 1 << (FS_WS_DEFLATE_MEM_LEVEL + 9) bytes to compress,
 * 1 << window_bits to inflate; 12 bits give 16 + 16 + 4 KiB. With a client that
 * does not let us choose its window (no client_max_window_bits) the last is 32 KiB.
 */
enum { FS_WS_WINDOW_BITS = 12, FS_WS_DEFLATE_MEM_LEVEL = 5 };

typedef struct fs_ws_deflate_params {
    uint8_t server_bits;           /* 9..15: the window with which we compress */
    uint8_t client_bits;           /* 8..15: the window with which the peer compresses */
    uint8_t server_no_takeover;    /* our window is emptied after each message */
    uint8_t client_no_takeover;    /* the peer's is */
} fs_ws_deflate_params;

/* Longest text of fs_ws_negotiate, with its NUL. */
#define FS_WS_EXTENSION_TEXT 160

/*
 * Chooses from one Sec-WebSocket-Extensions value the first acceptable offer of
 * permessage-deflate (RFC 7692 section 5). 1 with *params and the answer's value in
 * `text`, 0 if there is none; FS_E_WS_HANDSHAKE for a malformed value. Called for
 * each field of the request in turn until it returns 1.
 */
int fs_ws_negotiate(fs_slice offers, fs_ws_deflate_params *params, char text[FS_WS_EXTENSION_TEXT]);

typedef struct fs_ws_deflate fs_ws_deflate;

/* NULL if out of memory. `allocator` is borrowed, and serves zlib too; `memory` is charged with the streams' cost. */
fs_ws_deflate *fs_ws_deflate_new(const fs_ws_deflate_params *params, const fs_allocator *allocator, fs_budget *memory);
void fs_ws_deflate_free(fs_ws_deflate *deflate);

/*
 * Inflates a piece of a message's payload to the end of `into`, which never
 * holds more than `most` bytes: a bomb is stopped while it is inflated. `last`:
 * the message's last piece; the tail of RFC 7692 section 7.2.2 is added here.
 * FS_OK, FS_E_WS_TOO_BIG, FS_E_WS_DEFLATE, FS_E_NOMEM, FS_E_NO_ROOM or
 * FS_E_INTERNAL. After an error the stream must not be used again.
 */
int fs_ws_inflate(fs_ws_deflate *deflate, const char *p, size_t n, int last, fs_ws_buffer *into,
                  const fs_allocator *allocator, size_t most);

/*
 * Compresses one message, and passes it to `put` in pieces of at most
 * FS_WS_DEFLATE_PIECE bytes, in order, with `last` set for the last one, which may
 * be empty. A negative result of `put` ends it and is returned; otherwise FS_OK,
 * FS_E_NOMEM or FS_E_INTERNAL. After an error the stream must not be used again,
 * except after FS_E_NO_ROOM: memory is scarce, and the message has to go
 * uncompressed.
 */
enum { FS_WS_DEFLATE_PIECE = 16384 };
int fs_ws_compress(fs_ws_deflate *deflate, const char *p, size_t n,
                   int (*put)(void *ctx, const char *p, size_t n, int last), void *ctx);

#endif
