/* ext/proto/proxy_header.c: the headers of both versions, cut at every place, and those that are none. */

#include "harness.h"

#include "proto/error.h"
#include "proto/proxy_header.h"

#define BYTES(literal) (literal), sizeof(literal) - 1

#define START2 "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\xc0\x00\x02\x01" "\xc6\x33\x64\x02" "\xdc\x04" "\x01\xbb"
#define V6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02" "\xdc\x04" "\x01\xbb"
#define ZEROS12 "\0\0\0\0\0\0\0\0\0\0\0\0"
#define ZEROS108 ZEROS12 ZEROS12 ZEROS12 ZEROS12 ZEROS12 ZEROS12 ZEROS12 ZEROS12 ZEROS12

/* Parsed at the end of readable memory: whole, with more behind it, and every prefix, which asks for more. */
static int parse(const char *bytes, size_t n, fs_proxy_header *header)
{
    guarded input = guarded_copy(bytes, n);
    const int result = fs_proxy_header_parse(input.p, n, header);

    if (header->path.n) /* borrowed from what is released here */
        header->path.p = bytes + (header->path.p - input.p);
    guarded_release(&input);
    return result;
}

static void check_good(const char *bytes, size_t n, fs_proxy_header *header)
{
    char longer[FS_PROXY_V2_MAX + 32];

    for (size_t i = 0; i < n; i++) {
        harness_note("the first %zu of %zu bytes", i, n);
        CHECK_INT(parse(bytes, i, header), 0);
        CHECK_INT(header->family, FS_PROXY_NONE);
    }
    harness_note("all %zu bytes and more", n);
    memcpy(longer, bytes, n);
    memcpy(longer + n, "GET / HTTP/1.1\r\n", 16);
    CHECK_INT(parse(longer, n + 16, header), (int)n);
    harness_note("all %zu bytes", n);
    CHECK_INT(parse(bytes, n, header), (int)n);
}

/* None that is refused is refused later than here; it may be earlier. */
static void check_bad(const char *bytes, size_t n)
{
    fs_proxy_header header;
    int result = 0;

    harness_note("%zu bytes: %.*s", n, (int)n, bytes);
    CHECK_INT(parse(bytes, n, &header), FS_E_PROXY_HEADER);
    for (size_t i = 0; i < n && result == 0; i++) {
        result = parse(bytes, i, &header);
        CHECK(result == 0 || result == FS_E_PROXY_HEADER);
    }
}

#define GOOD(literal, header) check_good(BYTES(literal), (header))
#define BAD(literal) check_bad(BYTES(literal))

static void check_ends(const fs_proxy_header *header, int family, const char *source, const char *destination,
                       size_t ip_size, int source_port, int destination_port)
{
    CHECK_INT(header->family, family);
    CHECK(memcmp(header->source.ip, source, ip_size) == 0);
    CHECK(memcmp(header->destination.ip, destination, ip_size) == 0);
    CHECK_INT(header->source.port, source_port);
    CHECK_INT(header->destination.port, destination_port);
}

/* ---- version 1 ---------------------------------------------------------------- */

static void lines(void)
{
    fs_proxy_header header;

    GOOD("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", &header);
    check_ends(&header, FS_PROXY_INET, "\xc0\x00\x02\x01", "\xc6\x33\x64\x02", 4, 56324, 443);
    GOOD("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", &header);
    check_ends(&header, FS_PROXY_INET, "\xff\xff\xff\xff", "\0\0\0\0", 4, 65535, 0);
    GOOD("PROXY TCP6 2001:db8::1 2001:DB8::2 56324 443\r\n", &header);
    check_ends(&header, FS_PROXY_INET6, V6, &V6[16], 16, 56324, 443);
    GOOD("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         &header);
    CHECK_INT(header.family, FS_PROXY_INET6);
    GOOD("PROXY TCP6 ::ffff:192.0.2.1 :: 1 2\r\n", &header);
    check_ends(&header, FS_PROXY_INET6, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16,
               1, 2);
}

static void lines_that_say_nothing(void)
{
    fs_proxy_header header;

    GOOD("PROXY UNKNOWN\r\n", &header);
    CHECK_INT(header.family, FS_PROXY_NONE);
    GOOD("PROXY UNKNOWN ffff::1 what ever \x01\xff\r\n", &header);
    CHECK_INT(header.family, FS_PROXY_NONE);
}

static void a_line_has_a_longest_length(void)
{
    fs_proxy_header header;
    char line[FS_PROXY_V1_MAX + 1];

    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + FS_PROXY_V1_MAX - 2, "\r\n", 2);
    check_good(line, FS_PROXY_V1_MAX, &header);
    memcpy(line + FS_PROXY_V1_MAX - 2, "x\r\n", 3);
    check_bad(line, FS_PROXY_V1_MAX + 1);
    memset(line + 14, 'x', sizeof line - 14);
    CHECK_INT(parse(line, FS_PROXY_V1_MAX - 1, &header), 0);
    CHECK_INT(parse(line, FS_PROXY_V1_MAX, &header), FS_E_PROXY_HEADER);
}

static void lines_that_are_none(void)
{
    BAD("GET / HTTP/1.1\r\n");
    BAD("\x16\x03\x01\x02\x00");
    BAD("PROXX");
    BAD("proxy TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
    BAD("PROXY\r\n");
    BAD("PROXY \r\n");
    BAD("PROXY\tTCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
    BAD("PROXY  TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\r\n");
    BAD("PROXY UNKNOWN\r x\r\n");
    BAD("PROXY UNKNOWNS\r\n");
    BAD("PROXY UDP4 192.0.2.1 198.51.100.2 56324 443\r\n");
    BAD("PROXY tcp4 192.0.2.1 198.51.100.2 56324 443\r\n");
    BAD("PROXY TCP4\r\n");
    BAD("PROXY TCP4 192.0.2.1\r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2\r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 56324 \r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 1\r\n");
    BAD("PROXY TCP4 192.0.2.1  198.51.100.2 56324 443\r\n");
}

static void lines_with_addresses_that_are_none(void)
{
    BAD("PROXY TCP4 192.0.2.256 198.51.100.2 56324 443\r\n");
    BAD("PROXY TCP4 192.0.2.01 198.51.100.2 56324 443\r\n");
    BAD("PROXY TCP4 192.0.2 198.51.100.2 56324 443\r\n");
    BAD("PROXY TCP4 192.0.2.1.1 198.51.100.2 56324 443\r\n");
    BAD("PROXY TCP4 0xc0.0.2.1 198.51.100.2 56324 443\r\n");
    BAD("PROXY TCP4 192.0.2.1\0 198.51.100.2 56324 443\r\n");
    BAD("PROXY TCP4 localhost 198.51.100.2 56324 443\r\n");
    BAD("PROXY TCP4 2001:db8::1 2001:db8::2 56324 443\r\n");
    BAD("PROXY TCP6 192.0.2.1 198.51.100.2 56324 443\r\n");
    BAD("PROXY TCP6 2001:db8::1::2 2001:db8::2 56324 443\r\n");
    BAD("PROXY TCP6 [2001:db8::1] 2001:db8::2 56324 443\r\n");
    BAD("PROXY TCP6 fe80::1%eth0 2001:db8::2 56324 443\r\n");
    BAD("PROXY TCP6 1:2:3:4:5:6:7 2001:db8::2 56324 443\r\n");
    BAD("PROXY TCP6 00000:ffff:ffff:ffff:ffff:ffff:ffff:ffff:0 :: 1 2\r\n");
}

static void lines_with_ports_that_are_none(void)
{
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 99999 443\r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 100000 443\r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 056 443\r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 00 443\r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 -1 443\r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 1a 443\r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 1 443a\r\n");
    BAD("PROXY TCP4 192.0.2.1 198.51.100.2 1 4294967297\r\n");
}

/* ---- version 2 ---------------------------------------------------------------- */

static void blocks(void)
{
    fs_proxy_header header;

    GOOD(START2 "\x21\x11\x00\x0c" V4, &header);
    check_ends(&header, FS_PROXY_INET, V4, &V4[4], 4, 56324, 443);
    GOOD(START2 "\x21\x21\x00\x24" V6, &header);
    check_ends(&header, FS_PROXY_INET6, V6, &V6[16], 16, 56324, 443);
    GOOD(START2 "\x21\x31\x00\xd8" ZEROS108 "/run/web.sock" "\0\0\0\0\0\0\0\0\0\0\0" ZEROS12 ZEROS12 ZEROS12 ZEROS12 ZEROS12
         ZEROS12 ZEROS12, &header);
    CHECK_INT(header.family, FS_PROXY_UNIX);
    CHECK_BYTES(header.path.p, header.path.n, "/run/web.sock");
    GOOD(START2 "\x21\x31\x00\xd8" ZEROS108 ZEROS108, &header);
    CHECK_INT(header.family, FS_PROXY_UNIX);
    CHECK_INT(header.path.n, 0);
    /* What a proxy took as datagrams (HTTP/3) and passes on as a stream still came from somewhere. */
    GOOD(START2 "\x21\x12\x00\x0c" V4, &header);
    check_ends(&header, FS_PROXY_INET, V4, &V4[4], 4, 56324, 443);
}

static void a_path_that_fills_its_place(void)
{
    fs_proxy_header header;
    char block[16 + 216];

    memcpy(block, START2 "\x21\x31\x00\xd8", 16);
    memset(block + 16, 'a', 216);
    check_good(block, sizeof block, &header);
    CHECK_INT(header.path.n, 108);
}

static void blocks_that_say_nothing(void)
{
    fs_proxy_header header;

    GOOD(START2 "\x20\x00\x00\x00", &header);
    CHECK_INT(header.family, FS_PROXY_NONE);
    GOOD(START2 "\x20\x11\x00\x0c" V4, &header); /* LOCAL: whatever stands there is not read */
    CHECK_INT(header.family, FS_PROXY_NONE);
    GOOD(START2 "\x20\xff\x00\x03" "\x01\x00\xff", &header);
    CHECK_INT(header.family, FS_PROXY_NONE);
    GOOD(START2 "\x21\x00\x00\x00", &header);
    CHECK_INT(header.family, FS_PROXY_NONE);
    GOOD(START2 "\x21\x10\x00\x0c" V4, &header);
    CHECK_INT(header.family, FS_PROXY_NONE);
}

static void triples_are_passed_over(void)
{
    fs_proxy_header header;

    GOOD(START2 "\x21\x11\x00\x16" V4 "\x04\x00\x00" "\x01\x00\x04" "http", &header);
    check_ends(&header, FS_PROXY_INET, V4, &V4[4], 4, 56324, 443);
    GOOD(START2 "\x21\x00\x00\x03" "\x04\x00\x00", &header);
}

static void the_checksum_is_checked(void)
{
    fs_proxy_header header;
    /* CRC-32C of the header with zeros in its place, by another implementation. */
    static const char good[] = START2 "\x21\x11\x00\x16" V4 "\x03\x00\x04" "\x34\xe2\xf8\x12" "\x04\x00\x00";
    char bytes[sizeof good - 1];

    memcpy(bytes, good, sizeof bytes);
    check_good(bytes, sizeof bytes, &header);
    check_ends(&header, FS_PROXY_INET, V4, &V4[4], 4, 56324, 443);
    for (size_t i = 16; i < sizeof bytes; i++) {
        harness_note("byte %zu", i);
        bytes[i] ^= 1;
        if (i != 16 + 12) /* its type: of another one nobody knows that it is a checksum */
            CHECK_INT(parse(bytes, sizeof bytes, &header), FS_E_PROXY_HEADER);
        bytes[i] ^= 1;
    }
    BAD(START2 "\x21\x11\x00\x12" V4 "\x03\x00\x03" "abc");
    BAD(START2 "\x21\x11\x00\x0f" V4 "\x03\x00\x00");
}

static void blocks_that_are_none(void)
{
    BAD("\r\n\r\nGET");
    BAD("\r\n\r\n\0\r\nQUIT\r");
    BAD(START2 "\x11\x11\x00\x0c" V4);
    BAD(START2 "\x31\x11\x00\x0c" V4);
    BAD(START2 "\x22\x11\x00\x0c" V4);
    BAD(START2 "\x2f\x11\x00\x0c" V4);
    BAD(START2 "\x21\x41\x00\x0c" V4);
    BAD(START2 "\x21\x13\x00\x0c" V4);
    BAD(START2 "\x21\x11\x00\x0b" "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01");
    BAD(START2 "\x21\x21\x00\x0c" V4);
    BAD(START2 "\x21\x31\x00\x0c" V4);
    BAD(START2 "\x21\x11\x00\x00");
    BAD(START2 "\x21\x11\x00\x0d" V4 "\x04");
    BAD(START2 "\x21\x11\x00\x0e" V4 "\x04\x00");
    BAD(START2 "\x21\x11\x00\x0f" V4 "\x04\x00\x01");
    BAD(START2 "\x21\x11\x00\x10" V4 "\x04\x00\x02" "x");
    BAD(START2 "\x21\x11\x00\x10" V4 "\x04\xff\xff" "x");
}

static void a_block_has_a_longest_length(void)
{
    fs_proxy_header header;
    static char block[FS_PROXY_V2_MAX];

    memcpy(block, START2 "\x21\x11\x10\x00" V4 "\x04", 29);
    block[29] = (char)((FS_PROXY_V2_MAX - 31) >> 8);
    block[30] = (char)((FS_PROXY_V2_MAX - 31) & 0xff);
    check_good(block, sizeof block, &header);
    check_ends(&header, FS_PROXY_INET, V4, &V4[4], 4, 56324, 443);
    BAD(START2 "\x21\x11\x10\x01"); /* refused as soon as it is announced, LOCAL too */
    BAD(START2 "\x20\x00\xff\xff");
}

int main(void)
{
    RUN(lines);
    RUN(lines_that_say_nothing);
    RUN(a_line_has_a_longest_length);
    RUN(lines_that_are_none);
    RUN(lines_with_addresses_that_are_none);
    RUN(lines_with_ports_that_are_none);
    RUN(blocks);
    RUN(a_path_that_fills_its_place);
    RUN(blocks_that_say_nothing);
    RUN(triples_are_passed_over);
    RUN(the_checksum_is_checked);
    RUN(blocks_that_are_none);
    RUN(a_block_has_a_longest_length);
    return harness_end();
}
