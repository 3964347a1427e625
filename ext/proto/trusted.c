#include "trusted.h"

#include "error.h"

#include <stdlib.h>
#include <string.h>

enum { V4_BITS = 8 * sizeof fs_ip_v4_prefix, ALL_BITS = 128, NOT_A_PEER = 1 };

void fs_trusted_init(fs_trusted *trusted, const fs_allocator *allocator)
{
    *trusted = (fs_trusted){.allocator = allocator};
}

void fs_trusted_free(fs_trusted *trusted)
{
    if (trusted->networks)
        trusted->allocator->release(trusted->allocator->ctx, trusted->networks);
    trusted->networks = NULL;
    trusted->n = trusted->n_v4 = 0;
}

/* ---- building --------------------------------------------------------------- */

static uint64_t big_endian(const uint8_t bytes[8])
{
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* The first bits of the two words of an address. */
static fs_network first_bits(uint64_t high, uint64_t low, uint32_t bits)
{
    const uint64_t all = UINT64_MAX;

    return (fs_network){
        .high = bits == 0 ? 0 : bits < 64 ? high & all << (64 - bits) : high,
        .low = bits <= 64 ? 0 : low & all << (ALL_BITS - bits),
        .bits = bits,
    };
}

static fs_network network_of(const fs_ip *ip, uint32_t bits)
{
    return first_bits(big_endian(ip->bytes), big_endian(ip->bytes + 8), bits);
}

/* Whether a network has at least the bits that IPv4 addresses have in common. */
static int is_v4(const fs_network *network)
{
    return network->bits >= V4_BITS && network->high == 0 && network->low >> 32 == 0xffff;
}

/* The number behind the slash, in decimal, without leading zeros; -1 if it is not a number. */
static int read_bits(const char *p, size_t n, int most)
{
    int bits = 0;

    if (n == 0 || n > 3 || (n > 1 && p[0] == '0'))
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        bits = bits * 10 + (p[i] - '0');
    }
    return bits <= most ? bits : -1;
}

static int read_network(const char *p, size_t n, fs_network *network)
{
    const char *slash = memchr(p, '/', n);
    size_t text = slash ? (size_t)(slash - p) : n;
    const char *zone = memchr(p, '%', text);
    const int v4 = memchr(p, ':', text) == NULL, most = v4 ? ALL_BITS - V4_BITS : ALL_BITS;
    int bits = ALL_BITS;
    fs_ip ip;

    if (zone && !v4)
        text = (size_t)(zone - p);
    if (!fs_ip_read(p, text, &ip))
        return 0;
    if (slash) {
        bits = read_bits(slash + 1, n - (size_t)(slash + 1 - p), most);
        if (bits < 0)
            return 0;
        bits += ALL_BITS - most;
    }
    *network = network_of(&ip, (uint32_t)bits);
    return 1;
}

static int is_word(const char *p, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(p, word, n) == 0;
}

int fs_trusted_add(fs_trusted *trusted, const char *peer, size_t n)
{
    const fs_allocator *allocator = trusted->allocator;
    fs_network network, *more;

    if (is_word(peer, n, "*")) {
        trusted->everybody = trusted->unix_peers = 1;
        return FS_OK;
    }
    if (is_word(peer, n, "unix")) {
        trusted->unix_peers = 1;
        return FS_OK;
    }
    if (!read_network(peer, n, &network))
        return NOT_A_PEER;
    more = allocator->resize(allocator->ctx, trusted->networks, (trusted->n + 1) * sizeof *more);
    if (!more)
        return FS_E_NOMEM;
    trusted->networks = more;
    trusted->networks[trusted->n++] = network;
    return FS_OK;
}

/* ---- the table -------------------------------------------------------------- */

static int is_before(uint64_t high, uint64_t low, const fs_network *network)
{
    return high < network->high || (high == network->high && low < network->low);
}

static int has(const fs_network *network, uint64_t high, uint64_t low)
{
    const fs_network same = first_bits(high, low, network->bits);

    return same.high == network->high && same.low == network->low;
}

/* IPv4 first; then by the first address, and of two that begin with the same one the larger first. */
static int compare(const void *one, const void *other)
{
    const fs_network *a = one, *b = other;

    if (is_v4(a) != is_v4(b))
        return is_v4(b) - is_v4(a);
    if (is_before(a->high, a->low, b))
        return -1;
    if (is_before(b->high, b->low, a))
        return 1;
    return (int)a->bits - (int)b->bits;
}

void fs_trusted_sort(fs_trusted *trusted)
{
    fs_network *networks = trusted->networks;
    uint32_t kept = 0;

    trusted->n_v4 = 0;
    if (trusted->n == 0)
        return;
    qsort(networks, trusted->n, sizeof *networks, compare);
    for (uint32_t i = 0; i < trusted->n; i++) {
        const fs_network each = networks[i];
        const int within = kept > 0 && is_v4(&networks[kept - 1]) == is_v4(&each) &&
                           has(&networks[kept - 1], each.high, each.low);

        if (within)
            continue;
        networks[kept++] = each;
        trusted->n_v4 += (uint32_t)is_v4(&each);
    }
    trusted->n = kept;
}

int fs_trusted_has(const fs_trusted *trusted, const fs_ip *ip)
{
    const uint64_t high = big_endian(ip->bytes), low = big_endian(ip->bytes + 8);
    const int v4 = fs_ip_is_v4(ip);
    /* An IPv4 address is in no IPv6 network, although ::/0 includes its mapped form. */
    uint32_t from = v4 ? 0 : trusted->n_v4, to = v4 ? trusted->n_v4 : trusted->n;
    const uint32_t first = from;

    if (trusted->everybody)
        return 1;
    while (from < to) { /* the first network that begins after the address */
        const uint32_t middle = from + (to - from) / 2;

        if (is_before(high, low, &trusted->networks[middle]))
            to = middle;
        else
            from = middle + 1;
    }
    return from > first && has(&trusted->networks[from - 1], high, low);
}
