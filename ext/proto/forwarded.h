#ifndef FS_PROTO_FORWARDED_H
#define FS_PROTO_FORWARDED_H

#include "base/ip.h"
#include "base/slice.h"
#include "field.h"
#include "trusted.h"

#include <stdint.h>

/*
 * What a trusted proxy says about a request: X-Forwarded-For, -Proto and -Host.
 * Each is a list to which every proxy may append what it saw, over all lines of
 * its name. The caller has to know whom to trust.
 */

typedef enum fs_forwarded_scheme {
    FS_FORWARDED_NO_SCHEME = 0,
    FS_FORWARDED_HTTP,
    FS_FORWARDED_HTTPS
} fs_forwarded_scheme;

/* A malformed value counts as absent. */
typedef struct fs_forwarded {
    fs_ip client;
    uint16_t port;                /* 0: unknown */
    uint8_t has_client;
    fs_forwarded_scheme scheme;
    fs_slice host;                /* with its port, if it has one; n == 0: nothing was said; borrowed from the fields */
} fs_forwarded;

/*
 * The client is the rightmost untrusted hop, or the leftmost if all are trusted;
 * what is left of the first untrusted hop is hearsay, and so is what is left of a
 * hop that cannot be read. Scheme and host are what the proxy of the chosen hop
 * appended; not every proxy appends to a list with fewer elements, so its leftmost
 * element counts.
 */
void fs_forwarded_read(const fs_trusted *trusted, const fs_field *fields, uint32_t n, fs_forwarded *said);

#endif
