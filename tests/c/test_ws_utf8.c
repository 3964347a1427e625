/* ext/proto/ws_utf8.c against the definition of UTF-8: every code point, every short sequence that is none. */

#include "harness.h"

#include "proto/ws_utf8.h"

static size_t encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static int feed_each(const char *p, size_t n)
{
    uint32_t state = 0;

    for (size_t i = 0; i < n; i++)
        if (!fs_utf8_feed(&state, p + i, 1))
            return 0;
    return state == 0;
}

static int feed_whole(const char *p, size_t n)
{
    guarded input = guarded_copy(p, n);
    uint32_t state = 0;
    const int good = fs_utf8_feed(&state, input.p, n);

    guarded_release(&input);
    return good && state == 0;
}

static void every_code_point_is_right_and_no_surrogate_is(void)
{
    char bytes[4];

    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        const size_t n = encode(c, bytes);
        uint32_t state = 0;

        if (feed_each(bytes, n) != (c < 0xd800 || c > 0xdfff))
            FAIL("U+%X byte by byte", c);
        if ((fs_utf8_feed(&state, bytes, n) && !state) != (c < 0xd800 || c > 0xdfff))
            FAIL("U+%X whole", c);
    }
}

/* What a table of allowed sequences says (RFC 3629 section 4), worked out in another way. */
static int is_character(const uint8_t *p, size_t n)
{
    char again[4];
    uint32_t c;

    if (n == 1)
        return p[0] < 0x80;
    for (size_t i = 1; i < n; i++)
        if (p[i] >> 6 != 2)
            return 0;
    if (n == 2 && p[0] >> 5 == 6)
        c = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    else if (n == 3 && p[0] >> 4 == 14)
        c = (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    else
        return 0;
    return (c < 0xd800 || c > 0xdfff) && encode(c, again) == n;
}

static void every_sequence_of_two_and_three_bytes(void)
{
    for (unsigned a = 0x80; a < 0x100; a++)
        for (unsigned b = 0; b < 0x100; b++) {
            const uint8_t two[2] = {(uint8_t)a, (uint8_t)b};
            const int good = is_character(two, 2);

            if (feed_each((const char *)two, 2) != good)
                FAIL("%02x %02x", a, b);
            for (unsigned c = 0; !good && c < 0x100; c++) {
                const uint8_t three[3] = {(uint8_t)a, (uint8_t)b, (uint8_t)c};

                if (feed_each((const char *)three, 3) != is_character(three, 3))
                    FAIL("%02x %02x %02x", a, b, c);
            }
        }
}

static void beyond_the_last_plane_and_overlong_forms_of_four_bytes(void)
{
    CHECK(feed_whole("\xf4\x8f\xbf\xbf", 4));
    CHECK(!feed_whole("\xf4\x90\x80\x80", 4));
    CHECK(!feed_whole("\xf5\x80\x80\x80", 4));
    CHECK(feed_whole("\xf0\x90\x80\x80", 4));
    CHECK(!feed_whole("\xf0\x8f\xbf\xbf", 4));
}

/* The wrong byte at every place of runs of ASCII of every length: none is passed over. */
static void nothing_hides_in_a_run_of_ascii(void)
{
    char bytes[80];

    for (size_t n = 0; n < sizeof bytes; n++) {
        memset(bytes, 'a', n);
        CHECK(feed_whole(bytes, n));
        for (size_t at = 0; at < n; at++) {
            bytes[at] = (char)0x80;
            if (feed_whole(bytes, n))
                FAIL("byte %zu of %zu", at, n);
            bytes[at] = 'a';
        }
    }
}

int main(void)
{
    RUN(every_code_point_is_right_and_no_surrogate_is);
    RUN(every_sequence_of_two_and_three_bytes);
    RUN(beyond_the_last_plane_and_overlong_forms_of_four_bytes);
    RUN(nothing_hides_in_a_run_of_ascii);
    return harness_end();
}
