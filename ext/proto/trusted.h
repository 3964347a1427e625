#ifndef FS_PROTO_TRUSTED_H
#define FS_PROTO_TRUSTED_H

#include "base/allocator.h"
#include "base/ip.h"

#include <stddef.h>
#include <stdint.h>

/* A network: the addresses that begin with the first `bits` bits of `high` and `low`, whose other bits are 0. */
typedef struct fs_network {
    uint64_t high, low;           /* host order */
    uint32_t bits;                /* 0..128; for an IPv4 network 96 more than written */
} fs_network;

/*
 * The trusted peers: networks, those of Unix sockets, everybody. Built once, by
 * fs_trusted_init, fs_trusted_add for each and fs_trusted_sort; asked at each
 * request.
 */
typedef struct fs_trusted {
    const fs_allocator *allocator;
    fs_network *networks;         /* owned; sorted, none within another, IPv4 before IPv6 */
    uint32_t n, n_v4;
    uint8_t everybody;
    uint8_t unix_peers;
} fs_trusted;

void fs_trusted_init(fs_trusted *trusted, const fs_allocator *allocator);
void fs_trusted_free(fs_trusted *trusted);

/*
 * Adds an address (10.0.0.1, 2001:db8::1), a network (10.0.0.0/8), `unix` or
 * `*`: FS_OK, FS_E_NOMEM, or > 0 if the text is none of these. A zone
 * (fe80::1%eth0) does not count here: peers are known by address alone.
 */
int fs_trusted_add(fs_trusted *trusted, const char *peer, size_t n);

/* After the last peer was added, before the first question. */
void fs_trusted_sort(fs_trusted *trusted);

/* Whether one of the networks has this address, or everybody is trusted. O(log n). */
int fs_trusted_has(const fs_trusted *trusted, const fs_ip *ip);

#endif
