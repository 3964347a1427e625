#ifndef FS_PROTO_WS_HANDSHAKE_H
#define FS_PROTO_WS_HANDSHAKE_H

#include "stream.h"
#include "ws_deflate.h"

/* What a request for a WebSocket asks for. Slices are borrowed as long as the head. */
typedef struct fs_ws_handshake {
    fs_slice key;                            /* Sec-WebSocket-Key; n == 0 over HTTP/2 (RFC 8441) */
    int has_deflate;                         /* permessage-deflate was agreed upon: */
    fs_ws_deflate_params deflate;
    char extensions[FS_WS_EXTENSION_TEXT];   /* the answer's Sec-WebSocket-Extensions; "" for none */
} fs_ws_handshake;

/*
 * Reads the client's half (RFC 6455 section 4.2.1). The protocol has checked
 * method, Upgrade and Connection. Requires exactly one Sec-WebSocket-Version, which
 * is 13, else FS_E_WS_VERSION; exactly one Sec-WebSocket-Key of 16 bytes in base64
 * (except over HTTP/2) and well-formed extensions, else FS_E_WS_HANDSHAKE.
 * `deflate`: permessage-deflate may be agreed upon. FS_OK.
 */
int fs_ws_handshake_read(const fs_request_head *head, int deflate, fs_ws_handshake *found);

#endif
