#ifndef FS_PROTO_PROXY_HEADER_H
#define FS_PROTO_PROXY_HEADER_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

/*
 * What a proxy says about its peer's addresses at the start of a connection: the
 * PROXY protocol of HAProxy, versions 1 (a line of text) and 2 (binary). Nothing in
 * it tells a proxy from anybody else: the caller has to know who may send it.
 */

enum { FS_PROXY_NONE = 0, FS_PROXY_INET, FS_PROXY_INET6, FS_PROXY_UNIX };

typedef struct fs_proxy_end {
    uint8_t ip[16];                /* network order; 4 bytes for INET */
    uint16_t port;                 /* host order */
} fs_proxy_end;

typedef struct fs_proxy_header {
    int family;                    /* FS_PROXY_*; NONE: the connection's own addresses hold (LOCAL, UNKNOWN) */
    fs_proxy_end source, destination;
    fs_slice path;                 /* UNIX: the destination, or ""; borrowed from the input */
} fs_proxy_header;

#define FS_PROXY_V1_MAX 107        /* bytes of the line, with its CRLF */
#define FS_PROXY_V2_MAX 4112       /* bytes; a sender may announce 65551 */

/*
 * Reads the header at the start of p. Returns its length in bytes (> 0); 0 if the
 * n bytes may be the beginning of one, and then n is below FS_PROXY_V2_MAX; or
 * FS_E_PROXY_HEADER. Keeps nothing: the caller gives all bytes again when there
 * are more.
 */
int fs_proxy_header_parse(const char *p, size_t n, fs_proxy_header *header);

#endif
