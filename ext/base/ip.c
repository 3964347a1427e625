#include "ip.h"

enum { GROUPS = 8 }; /* of 16 bits, in an IPv6 address */

const uint8_t fs_ip_v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

fs_ip fs_ip_from_v4(const uint8_t bytes[4])
{
    fs_ip ip;

    memcpy(ip.bytes, fs_ip_v4_prefix, sizeof fs_ip_v4_prefix);
    memcpy(ip.bytes + sizeof fs_ip_v4_prefix, bytes, 4);
    return ip;
}

/* ---- reading ---------------------------------------------------------------- */

static int read_v4(const char *p, size_t n, uint8_t bytes[4])
{
    size_t i = 0;

    for (int part = 0; part < 4; part++) {
        size_t start;
        unsigned value = 0;

        if (part > 0 && (i == n || p[i++] != '.'))
            return 0;
        for (start = i; i < n && i - start < 3 && (uint8_t)(p[i] - '0') < 10; i++)
            value = value * 10 + (uint8_t)(p[i] - '0');
        if (i == start || value > 255 || (p[start] == '0' && i - start > 1))
            return 0;
        bytes[part] = (uint8_t)value;
    }
    return i == n;
}

static int hex_value(char c)
{
    const char lower = (char)(c | 0x20);

    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Up to four hexadecimal digits; returns how many there are. */
static size_t read_group(const char *p, size_t n, uint8_t bytes[2])
{
    unsigned value = 0;
    size_t i = 0;

    for (int digit; i < n && i < 4 && (digit = hex_value(p[i])) >= 0; i++)
        value = value << 4 | (unsigned)digit;
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
    return i;
}

/* Puts zeros where `::` stood, before the groups that came after it. */
static void open_gap(uint8_t bytes[16], size_t gap, size_t count)
{
    const size_t after = 2 * (count - gap), zeros = 2 * (GROUPS - count);

    memmove(bytes + 2 * gap + zeros, bytes + 2 * gap, after);
    memset(bytes + 2 * gap, 0, zeros);
}

static int read_v6(const char *p, size_t n, uint8_t bytes[16])
{
    size_t count = 0, gap = GROUPS + 1, i = 0; /* a gap beyond all groups: no gap */

    if (n >= 2 && p[0] == ':' && p[1] == ':')
        gap = 0, i = 2;
    while (i < n) {
        size_t digits;

        if (count == GROUPS)
            return 0;
        digits = read_group(p + i, n - i, bytes + 2 * count);
        if (i + digits < n && p[i + digits] == '.') { /* RFC 4291 section 2.2: the last two as an IPv4 address */
            if (count > GROUPS - 2 || !read_v4(p + i, n - i, bytes + 2 * count))
                return 0;
            count += 2;
            break;
        }
        if (digits == 0)
            return 0;
        count++;
        i += digits;
        if (i == n)
            break;
        if (p[i++] != ':' || i == n)
            return 0;
        if (p[i] == ':') {
            if (gap <= GROUPS)
                return 0;
            gap = count;
            i++;
        }
    }
    if (gap > GROUPS)
        return count == GROUPS;
    if (count == GROUPS)
        return 0;
    open_gap(bytes, gap, count);
    return 1;
}

int fs_ip_read(const char *p, size_t n, fs_ip *ip)
{
    if (n > 1 && n < 16 && p[0] != ':' && (p[1] == '.' || (n > 3 && (p[2] == '.' || p[3] == '.')))) {
        memcpy(ip->bytes, fs_ip_v4_prefix, sizeof fs_ip_v4_prefix);
        return read_v4(p, n, ip->bytes + sizeof fs_ip_v4_prefix);
    }
    return n > 1 && read_v6(p, n, ip->bytes);
}

/* ---- writing ---------------------------------------------------------------- */

static char *write_decimal(char *q, unsigned value)
{
    if (value >= 100)
        *q++ = (char)('0' + value / 100);
    if (value >= 10)
        *q++ = (char)('0' + value / 10 % 10);
    *q++ = (char)('0' + value % 10);
    return q;
}

static char *write_v4(char *q, const uint8_t bytes[4])
{
    for (int part = 0; part < 4; part++) {
        if (part > 0)
            *q++ = '.';
        q = write_decimal(q, bytes[part]);
    }
    return q;
}

static char *write_group(char *q, unsigned value)
{
    static const char digits[] = "0123456789abcdef";
    int shift = 12;

    while (shift > 0 && value >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        *q++ = digits[value >> shift & 0xf];
    return q;
}

static unsigned group(const fs_ip *ip, int at)
{
    return (unsigned)ip->bytes[2 * at] << 8 | ip->bytes[2 * at + 1];
}

/* The first of the longest runs of zeros, for which `::` stands, if longer than one. */
static int longest_run(const fs_ip *ip, int *length)
{
    int best = -1;

    *length = 1;
    for (int at = 0; at < GROUPS; at++) {
        int end = at;

        while (end < GROUPS && group(ip, end) == 0)
            end++;
        if (end - at > *length)
            best = at, *length = end - at;
        at = end > at ? end : at;
    }
    return best;
}

static char *write_v6(char *q, const fs_ip *ip)
{
    int length;
    const int run = longest_run(ip, &length);

    for (int at = 0; at < GROUPS; at++) {
        if (at == run) {
            *q++ = ':';
            *q++ = ':';
            at += length - 1;
            continue;
        }
        if (at > 0 && q[-1] != ':')
            *q++ = ':';
        q = write_group(q, group(ip, at));
    }
    return q;
}

size_t fs_ip_write(const fs_ip *ip, char text[FS_IP_TEXT])
{
    char *end = fs_ip_is_v4(ip) ? write_v4(text, ip->bytes + sizeof fs_ip_v4_prefix) : write_v6(text, ip);

    *end = '\0';
    return (size_t)(end - text);
}
