/* ext/proto/ws_frame.c and ws_mask.c: heads there and back, and every width of unmasking against the plain loop. */

#include "harness.h"

#include "proto/ws.h"
#include "proto/ws_frame.h"

static void heads_are_the_shortest(void)
{
    static const struct {
        uint64_t length;
        size_t size;
    } cases[] = {{0, 2}, {125, 2}, {126, 4}, {65535, 4}, {65536, 10}, {INT64_MAX, 10}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char head[FS_WS_HEAD_MAX];

        CHECK_INT(fs_ws_put_head(head, FS_WS_FIN | FS_WS_OP_BINARY, cases[i].length), cases[i].size);
        CHECK_INT((uint8_t)head[0], 0x82);
        CHECK_INT(fs_ws_head_size((uint8_t *)head), cases[i].size);
        CHECK_INT(fs_ws_head_length((uint8_t *)head), cases[i].length);
    }
}

static void a_length_that_could_be_shorter_is_none(void)
{
    CHECK_INT(fs_ws_head_length((const uint8_t *)"\x82\x7e\x00\x7d"), -1);
    CHECK_INT(fs_ws_head_length((const uint8_t *)"\x82\x7e\x00\x7e"), 126);
    CHECK_INT(fs_ws_head_length((const uint8_t *)"\x82\x7f\0\0\0\0\0\0\xff\xff"), -1);
    CHECK_INT(fs_ws_head_length((const uint8_t *)"\x82\x7f\0\0\0\0\0\x01\0\0"), 65536);
    CHECK_INT(fs_ws_head_length((const uint8_t *)"\x82\x7f\x80\0\0\0\0\0\0\0"), -1);
}

static void the_mask_follows_the_length(void)
{
    uint32_t mask;

    memcpy(&mask, "abcd", 4);
    CHECK_INT(fs_ws_head_mask((const uint8_t *)"\x82\x85" "abcd"), mask);
    CHECK_INT(fs_ws_head_mask((const uint8_t *)"\x82\xfe\x01\0" "abcd"), mask);
    CHECK_INT(fs_ws_head_mask((const uint8_t *)"\x82\xff\0\0\0\0\0\x01\0\0" "abcd"), mask);
}

enum { MOST = 600, PLACES = 17 };

static void unmasking_is_the_plain_loop_at_every_length_and_place(void)
{
    char plain[MOST], got[MOST + PLACES + 1];
    const char key[4] = "\x9a\x01\xff\x5c";
    uint32_t mask;

    memcpy(&mask, key, sizeof mask);
    for (size_t n = 0; n <= MOST; n++)
        for (size_t place = 0; place < PLACES; place += n < 80 ? 1 : 5) {
            char source[MOST];
            guarded input;

            for (size_t i = 0; i < n; i++) {
                source[i] = (char)(i * 37 + place);
                plain[i] = (char)(source[i] ^ key[i % 4]);
            }
            input = guarded_copy(source, n);
            memset(got, '#', sizeof got);
            fs_ws_unmask(got + place, input.p, n, mask);
            CHECK(memcmp(got + place, plain, n) == 0 && got[place + n] == '#');
            fs_ws_unmask(input.p, input.p, n, mask); /* in place, to the last byte before unreadable memory */
            CHECK(memcmp(input.p, plain, n) == 0);
            guarded_release(&input);
        }
}

int main(void)
{
    RUN(heads_are_the_shortest);
    RUN(a_length_that_could_be_shorter_is_none);
    RUN(the_mask_follows_the_length);
    RUN(unmasking_is_the_plain_loop_at_every_length_and_place);
    return harness_end();
}
