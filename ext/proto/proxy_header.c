#include "proxy_header.h"

#include "base/ip.h"
#include "error.h"

#include <string.h>

/* ---- version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443" CRLF ----------- */

#define V1_START "PROXY "
#define V1_START_LEN 6

/* Takes the next word off the line, with the space behind it; the last word ends with the line. */
static fs_slice next_word(fs_slice *line)
{
    const char *space = memchr(line->p, ' ', line->n);
    fs_slice word = {line->p, space ? (size_t)(space - line->p) : line->n};
    const size_t taken = word.n + (space != NULL);

    line->p += taken;
    line->n -= taken;
    return word;
}

static int is_word(fs_slice word, const char *expected)
{
    return word.n == strlen(expected) && memcmp(word.p, expected, word.n) == 0;
}

static int read_address(fs_slice word, int family, uint8_t bytes[16])
{
    const int is_v6 = memchr(word.p, ':', word.n) != NULL;
    fs_ip ip;

    if (is_v6 != (family == FS_PROXY_INET6) || !fs_ip_read(word.p, word.n, &ip))
        return FS_E_PROXY_HEADER;
    memcpy(bytes, is_v6 ? ip.bytes : ip.bytes + sizeof fs_ip_v4_prefix, is_v6 ? 16 : 4);
    return FS_OK;
}

/* 0 to 65535 in decimal, without leading zeros. */
static int read_port(fs_slice word, uint16_t *port)
{
    uint32_t number = 0;

    if (word.n == 0 || word.n > 5 || (word.n > 1 && word.p[0] == '0'))
        return FS_E_PROXY_HEADER;
    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] < '0' || word.p[i] > '9')
            return FS_E_PROXY_HEADER;
        number = number * 10 + (uint32_t)(word.p[i] - '0');
    }
    *port = (uint16_t)number;
    return number <= UINT16_MAX ? FS_OK : FS_E_PROXY_HEADER;
}

static int read_line(fs_slice line, fs_proxy_header *header)
{
    const fs_slice protocol = next_word(&line);

    if (is_word(protocol, "UNKNOWN"))
        return FS_OK; /* the rest of the line is ignored */
    if (is_word(protocol, "TCP4"))
        header->family = FS_PROXY_INET;
    else if (is_word(protocol, "TCP6"))
        header->family = FS_PROXY_INET6;
    else
        return FS_E_PROXY_HEADER;
    if (read_address(next_word(&line), header->family, header->source.ip) < 0 ||
        read_address(next_word(&line), header->family, header->destination.ip) < 0 ||
        read_port(next_word(&line), &header->source.port) < 0)
        return FS_E_PROXY_HEADER;
    return read_port(line, &header->destination.port);
}

static int parse_v1(const char *p, size_t n, fs_proxy_header *header)
{
    const size_t known = n < V1_START_LEN ? n : V1_START_LEN, seen = n < FS_PROXY_V1_MAX ? n : FS_PROXY_V1_MAX;
    const char *end;
    fs_slice line;

    if (memcmp(p, V1_START, known) != 0)
        return FS_E_PROXY_HEADER;
    end = memchr(p, '\n', seen);
    if (!end)
        return n < FS_PROXY_V1_MAX ? 0 : FS_E_PROXY_HEADER;
    if (end - p < V1_START_LEN + 1 || end[-1] != '\r')
        return FS_E_PROXY_HEADER;
    line = (fs_slice){p + V1_START_LEN, (size_t)(end - p) - V1_START_LEN - 1};
    if (memchr(line.p, '\r', line.n) || read_line(line, header) < 0)
        return FS_E_PROXY_HEADER;
    return (int)(end - p) + 1;
}

/* ---- version 2: a fixed part, addresses, then type-length-value triples ---- */

static const char V2_START[12] = {'\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

enum {
    V2_FIXED = 16,
    V2_LOCAL = 0,
    V2_PROXY = 1,
    V2_UNIX_PATH = 108,
    V2_TLV_HEAD = 3,
    V2_TLV_CRC32C = 3,
    V2_MOST_FAMILY = 3, /* unspecified, INET, INET6, UNIX */
    V2_MOST_TRANSPORT = 2, /* unspecified, stream, datagram: a proxy may have taken HTTP/3 */
};

static const uint8_t ADDRESSES_SIZE[] = {
    [FS_PROXY_NONE] = 0, [FS_PROXY_INET] = 12, [FS_PROXY_INET6] = 36, [FS_PROXY_UNIX] = 2 * V2_UNIX_PATH};

static uint32_t big_endian(const char *p, size_t n)
{
    uint32_t number = 0;

    for (size_t i = 0; i < n; i++)
        number = number << 8 | (uint8_t)p[i];
    return number;
}

/* CRC-32C (RFC 3720 appendix B.4), bit by bit: a header is short and comes once for each connection. */
static uint32_t crc32c(uint32_t crc, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        crc ^= (uint8_t)p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return crc;
}

/* Whether the checksum at `at` is right for the header with zeros in its place. */
static int checksum_holds(const char *p, size_t n, size_t at)
{
    static const char zeros[4];
    uint32_t crc = crc32c(UINT32_MAX, p, at);

    crc = crc32c(crc, zeros, sizeof zeros);
    crc = crc32c(crc, p + at + sizeof zeros, n - at - sizeof zeros);
    return ~crc == big_endian(p + at, sizeof zeros);
}

/* Checks the triples of a header of n bytes, from `at` on. Only the checksum matters here. */
static int check_triples(const char *p, size_t n, size_t at)
{
    size_t length;

    while (at < n) {
        if (n - at < V2_TLV_HEAD)
            return FS_E_PROXY_HEADER;
        length = big_endian(p + at + 1, 2);
        if (n - at - V2_TLV_HEAD < length)
            return FS_E_PROXY_HEADER;
        if (p[at] == V2_TLV_CRC32C && (length != 4 || !checksum_holds(p, n, at + V2_TLV_HEAD)))
            return FS_E_PROXY_HEADER;
        at += V2_TLV_HEAD + length;
    }
    return FS_OK;
}

static void read_ends(const char *p, size_t ip_size, fs_proxy_header *header)
{
    memcpy(header->source.ip, p, ip_size);
    memcpy(header->destination.ip, p + ip_size, ip_size);
    header->source.port = (uint16_t)big_endian(p + 2 * ip_size, 2);
    header->destination.port = (uint16_t)big_endian(p + 2 * ip_size + 2, 2);
}

/* Reads the addresses of a PROXY command, in a header of n bytes. */
static int read_block(const char *p, size_t n, fs_proxy_header *header)
{
    const unsigned family = (uint8_t)p[13] >> 4, transport = (uint8_t)p[13] & 0x0f;
    const char *addresses = p + V2_FIXED;

    if (family > V2_MOST_FAMILY || transport > V2_MOST_TRANSPORT || n - V2_FIXED < ADDRESSES_SIZE[family] ||
        check_triples(p, n, (size_t)V2_FIXED + ADDRESSES_SIZE[family]) < 0)
        return FS_E_PROXY_HEADER;
    if (transport == 0)
        return FS_OK; /* unspecified: addresses of such a kind are ignored */
    header->family = (int)family;
    if (family == FS_PROXY_INET || family == FS_PROXY_INET6) {
        read_ends(addresses, family == FS_PROXY_INET ? 4 : 16, header);
    } else if (family == FS_PROXY_UNIX) {
        header->path.p = addresses + V2_UNIX_PATH;
        header->path.n = strnlen(header->path.p, V2_UNIX_PATH);
    }
    return FS_OK;
}

static int parse_v2(const char *p, size_t n, fs_proxy_header *header)
{
    const size_t known = n < sizeof V2_START ? n : sizeof V2_START;
    size_t size;
    int command;

    if (memcmp(p, V2_START, known) != 0)
        return FS_E_PROXY_HEADER;
    if (n < V2_FIXED)
        return 0;
    command = (uint8_t)p[12] & 0x0f;
    size = V2_FIXED + big_endian(p + 14, 2);
    if ((uint8_t)p[12] >> 4 != 2 || command > V2_PROXY || size > FS_PROXY_V2_MAX)
        return FS_E_PROXY_HEADER;
    if (n < size)
        return 0;
    if (command == V2_PROXY && read_block(p, size, header) < 0)
        return FS_E_PROXY_HEADER;
    return (int)size; /* for LOCAL, a proxy's own connection, only the length counts */
}

int fs_proxy_header_parse(const char *p, size_t n, fs_proxy_header *header)
{
    memset(header, 0, sizeof *header);
    header->path.p = "";
    if (n == 0)
        return 0;
    return p[0] == V2_START[0] ? parse_v2(p, n, header) : parse_v1(p, n, header);
}
