/* ext/base/ip.c: addresses read and written, held against inet_pton(3) and inet_ntop(3). */

#include "harness.h"

#include "base/ip.h"

#include <arpa/inet.h>

static int read_guarded(const char *p, size_t n, fs_ip *ip)
{
    guarded copy = guarded_copy(p, n);
    const int read = fs_ip_read(copy.p, n, ip);

    guarded_release(&copy);
    return read;
}

/* What inet_pton makes of it; a text that is too long for it is no address. */
static int expected(const char *p, size_t n, fs_ip *ip)
{
    uint8_t v4[4];
    char text[64];

    if (n >= sizeof text || memchr(p, '\0', n))
        return 0;
    memcpy(text, p, n);
    text[n] = '\0';
    if (inet_pton(AF_INET, text, v4) == 1) {
        *ip = fs_ip_from_v4(v4);
        return 1;
    }
    return inet_pton(AF_INET6, text, ip->bytes) == 1;
}

static void check_reading(const char *p, size_t n)
{
    fs_ip ours, theirs;

    harness_note("%.*s", (int)n, p);
    CHECK_INT(read_guarded(p, n, &ours), expected(p, n, &theirs));
    if (expected(p, n, &theirs))
        CHECK(fs_ip_equal(&ours, &theirs));
}

static const char *const texts[] = {
    "0.0.0.0", "255.255.255.255", "192.0.2.1", "1.2.3.4", "10.20.30.40", "256.1.1.1", "1.2.3", "1.2.3.4.5", "01.2.3.4",
    "1.2.3.04", "00.0.0.0", "1..2.3", ".1.2.3.4", "1.2.3.4.", "1.2.3.4 ", " 1.2.3.4", "1,2,3,4", "1.2.3.-4", "1.2.3.+4",
    "0x1.2.3.4",
    "1234.1.1.1", "1.2.3.1000", "", "1", "12", ".", ":", "::", ":::", "::1", "1::", "::1:", ":1::", "1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8::",
    "::1:2:3:4:5:6:7:8",
    "1::8", "1::2::3", "1:::2", "2001:db8::1", "2001:DB8::aBcD", "2001:db8:0:0:1:0:0:1", "12345::", "::12345", "g::",
    "::g", "::1.2.3.4",
    "::ffff:1.2.3.4", "::FFFF:192.0.2.1", "64:ff9b::192.0.2.33", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4",
    "1:2:3:4:5:1.2.3.4",
    "1::2:3:4:5:6:1.2.3.4", "1::3:4:5:6:1.2.3.4", "::1.2.3.4:5", "::1.2.3.256", "::01.2.3.4", "::1.2.3", "1.2.3.4::",
    "::1234.2.3.4", "fe80::1%eth0",
    "::1%", "[::1]", "::1/128", "::1 ", "1.2.3.4:80", "::ffff:", "::ffff:0:0", "0:0:0:0:0:0:0:0",
    "0:0:0:0:0:ffff:c000:0201", "abcd",
    "a.b.c.d", "1:2.3.4.5", "1.a.2.3", "12.", "123.", "123.4", "1.2:3.4",
};

static void texts_are_read_as_inet_pton_reads_them(void)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t n = 0; n <= strlen(texts[i]); n++) {
            check_reading(texts[i], n);
            check_reading(texts[i] + n, strlen(texts[i]) - n);
        }
}

static uint32_t next_random(void)
{
    static uint32_t state = 2463534242u;

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* Each text with up to three bytes replaced, dropped or doubled. */
static void changed_texts_likewise(void)
{
    static const char alphabet[] = "0123456789abfFgx.:% []/-\xff";

    for (int round = 0; round < 400; round++) {
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            char text[64];
            size_t n = strlen(texts[i]);

            memcpy(text, texts[i], n);
            for (uint32_t changes = 1 + next_random() % 3; n > 0 && n < 50 && changes > 0; changes--) {
                const size_t at = next_random() % n;

                switch (next_random() % 3) {
                case 0: text[at] = alphabet[next_random() % (sizeof alphabet - 1)]; break;
                case 1: memmove(text + at, text + at + 1, --n - at); break;
                default: memmove(text + at + 1, text + at, n++ - at); break;
                }
            }
            check_reading(text, n);
        }
    }
}

/* RFC 5952; inet_ntop writes ::/96 with dots, which only ::ffff:0:0/96 has here. */
static void check_writing(const fs_ip *ip)
{
    char ours[FS_IP_TEXT], theirs[INET6_ADDRSTRLEN];
    fs_ip again;
    const size_t n = fs_ip_write(ip, ours);

    CHECK(n == strlen(ours) && n < FS_IP_TEXT);
    if (fs_ip_is_v4(ip))
        CHECK(inet_ntop(AF_INET, ip->bytes + 12, theirs, sizeof theirs) != NULL);
    else
        CHECK(inet_ntop(AF_INET6, ip->bytes, theirs, sizeof theirs) != NULL);
    harness_note("%s, %s", ours, theirs);
    CHECK(fs_ip_is_v4(ip) || strchr(theirs, '.') || strcmp(ours, theirs) == 0);
    CHECK(!fs_ip_is_v4(ip) || strcmp(ours, theirs) == 0);
    CHECK(read_guarded(ours, n, &again) && fs_ip_equal(&again, ip));
}

static void what_is_written_is_canonical_and_read_again(void)
{
    fs_ip ip;

    for (int zeros = 0; zeros < 256; zeros++) { /* each choice of groups that are 0 */
        for (int round = 0; round < 40; round++) {
            for (int at = 0; at < 8; at++) {
                const uint32_t value = zeros >> at & 1 ? 0 : next_random() >> next_random() % 32;

                ip.bytes[2 * at] = (uint8_t)(value >> 8);
                ip.bytes[2 * at + 1] = (uint8_t)value;
            }
            check_writing(&ip);
        }
    }
    for (int round = 0; round < 2000; round++) {
        const uint32_t value = next_random() >> next_random() % 32;

        memcpy(&ip, fs_ip_v4_prefix, sizeof fs_ip_v4_prefix);
        memcpy(ip.bytes + 12, &value, sizeof value);
        check_writing(&ip);
    }
}

static void check_written(const char *given, const char *text)
{
    char written[FS_IP_TEXT];
    fs_ip ip;

    harness_note("%s", given);
    CHECK(fs_ip_read(given, strlen(given), &ip));
    CHECK_INT(fs_ip_write(&ip, written), strlen(text));
    CHECK(strcmp(written, text) == 0);
}

static void both_versions_are_one_form(void)
{
    check_written("::ffff:192.0.2.1", "192.0.2.1");
    check_written("::ffff:c000:201", "192.0.2.1");
    check_written("::192.0.2.1", "::c000:201");
    check_written("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1");
    check_written("1:0:0:2:3:0:0:4", "1::2:3:0:0:4");
    check_written("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7");
    check_written("0:0:0:0:0:0:0:0", "::");
    check_written("0:0:0:0:0:0:0:1", "::1");
    check_written("1:0:0:0:0:0:0:0", "1::");
    check_written("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    check_written("255.255.255.255", "255.255.255.255");
}

int main(void)
{
    RUN(texts_are_read_as_inet_pton_reads_them);
    RUN(changed_texts_likewise);
    RUN(what_is_written_is_canonical_and_read_again);
    RUN(both_versions_are_one_form);
    return harness_end();
}
