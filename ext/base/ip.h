#ifndef FS_BASE_IP_H
#define FS_BASE_IP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * IP addresses of both versions in one form: an IPv4 address is its mapped IPv6
 * address (::ffff:0:0/96, RFC 4291 section 2.5.5.2), since a socket for both
 * versions and a proxy may write the same peer either way.
 */
typedef struct fs_ip {
    uint8_t bytes[16];            /* network order */
} fs_ip;

/* The largest text that fs_ip_write writes, with its NUL. */
#define FS_IP_TEXT 40

extern const uint8_t fs_ip_v4_prefix[12];

static inline int fs_ip_is_v4(const fs_ip *ip)
{
    return memcmp(ip->bytes, fs_ip_v4_prefix, sizeof fs_ip_v4_prefix) == 0;
}

static inline int fs_ip_equal(const fs_ip *a, const fs_ip *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* From the 4 bytes of an IPv4 address, in network order. */
fs_ip fs_ip_from_v4(const uint8_t bytes[4]);

/*
 * Reads an address that takes exactly the n bytes: 1, or 0 if they are not one.
 * Decimal parts have no leading zero, which others take for octal; neither a zone
 * (%eth0) nor a port is allowed.
 */
int fs_ip_read(const char *p, size_t n, fs_ip *ip);

/* The canonical text (RFC 5952 section 4), of IPv4 with dots; returns its length. */
size_t fs_ip_write(const fs_ip *ip, char text[FS_IP_TEXT]);

#endif
