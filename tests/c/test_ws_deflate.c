/* ext/proto/ws_deflate.c: RFC 7692 section 7.2, its examples, every pair of parameters, bombs, and no memory. */

#include "ws_fixture.h"

#include <zlib.h>

static const fs_ws_deflate_params PLAIN = {.server_bits = 15, .client_bits = 15};

enum { TEXT = FS_WS_OP_TEXT | FS_WS_FIN, BINARY = FS_WS_OP_BINARY | FS_WS_FIN };

static socket_ *open_deflating(const fs_ws_deflate_params *params)
{
    socket_ *s = socket_new();

    s->limits.ws_deflate_min_size = 0;
    CHECK_INT(socket_open(s, params), FS_OK);
    return s;
}

static int take_frame(socket_ *s, unsigned first, const char *payload, size_t n)
{
    char *frame = malloc(n + FS_WS_HEAD_MAX);
    int result;

    CHECK(frame != NULL);
    result = socket_take(s, frame, put_client_frame(frame, first, payload, n, 0x01020304), SIZE_MAX);
    free(frame);
    return result;
}

#define TAKE(s, first, literal) take_frame((s), (first), (literal), sizeof(literal) - 1)

static void s7_2_3_the_examples(void)
{
    socket_ *s = open_deflating(&PLAIN);

    CHECK_INT(TAKE(s, TEXT | FS_WS_RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), FS_OK);
    CHECK_INT(TAKE(s, FS_WS_OP_TEXT | FS_WS_RSV1, "\xf2\x48\xcd"), FS_OK);
    CHECK_INT(TAKE(s, FS_WS_FIN, "\xc9\xc9\x07\x00"), FS_OK);
    CHECK_INT(TAKE(s, TEXT | FS_WS_RSV1, "\xf2\x00\x11\x00\x00"), FS_OK);                     /* sharing the window */
    CHECK_INT(TAKE(s, TEXT | FS_WS_RSV1, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), FS_OK); /* no compression */
    CHECK_INT(TAKE(s, TEXT | FS_WS_RSV1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), FS_OK);         /* BFINAL */
    CHECK_INT(TAKE(s, TEXT | FS_WS_RSV1, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), FS_OK); /* two blocks */
    CHECK_INT(TAKE(s, TEXT | FS_WS_RSV1, "\x00"), FS_OK);
    CHECK_INT(TAKE(s, TEXT, "Hello"), FS_OK);
    CHECK_BYTES(s->events.p, s->events.n, "T Hello\nT Hello\nT Hello\nT Hello\nT Hello\nT Hello\nT \nT Hello\n");
    CHECK_INT(fs_ws_send(&s->ws, 1, "Hello", 5, NULL), FS_OK);
    CHECK_INT(fs_ws_send(&s->ws, 1, "Hello", 5, NULL), FS_OK);
    CHECK_INT(fs_ws_send(&s->ws, 1, "", 0, NULL), FS_OK);
    CHECK_BYTES(s->out.p, s->out.n, "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00\xc1\x01\x00");
    socket_free(s);
}

static void s6_rsv1_is_of_the_first_frame_only(void)
{
    socket_ *s = open_deflating(&PLAIN);

    CHECK_INT(TAKE(s, FS_WS_OP_TEXT | FS_WS_RSV1, "\xf2\x48\xcd"), FS_OK);
    CHECK_INT(TAKE(s, FS_WS_FIN | FS_WS_RSV1, "\xc9\xc9\x07\x00"), FS_E_WS_FRAME);
    socket_free(s);
}

static void garbage_fails_and_so_does_text_that_is_not_utf8(void)
{
    socket_ *s = open_deflating(&PLAIN);

    CHECK_INT(TAKE(s, BINARY | FS_WS_RSV1, "\xff\xff\xff\xff"), FS_E_WS_DEFLATE);
    CHECK_BYTES(s->out.p, s->out.n, "\x88\x02\x03\xef");
    socket_free(s);
    s = open_deflating(&PLAIN);
    CHECK_INT(TAKE(s, TEXT | FS_WS_RSV1, "\x00\x01\x00\xfe\xff\xff\x00"), FS_E_WS_UTF8);
    socket_free(s);
}

static void streams_are_charged_and_give_way(void)
{
    socket_ *s = open_deflating(&PLAIN);

    s->memory.most = 1000000;
    s->memory.used = 500001; /* bodies, say */
    CHECK_INT(fs_ws_send(&s->ws, 1, "Hello", 5, NULL), FS_OK);
    CHECK_BYTES(s->out.p, s->out.n, "\x81\x05Hello");
    CHECK_INT(TAKE(s, TEXT | FS_WS_RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), FS_OK);
    CHECK(s->memory.used > 500001 + 32768);
    s->memory.used -= 500001;
    CHECK_INT(fs_ws_send(&s->ws, 1, "Hello", 5, NULL), FS_OK);
    CHECK_BYTES(s->out.p, s->out.n, "\x81\x05Hello\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00");
    CHECK(s->memory.used > 32768 + 131072 + 16384);
    socket_free(s);
    s = open_deflating(&PLAIN);
    s->memory.most = 32768;
    CHECK_INT(TAKE(s, TEXT | FS_WS_RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), FS_E_NO_ROOM);
    CHECK_BYTES(s->out.p, s->out.n, "\x88\x02\x03\xf5");
    socket_free(s);
}

static void a_message_that_is_inflated_is_charged_with_what_it_pins(void)
{
    static char zeros[100000];
    socket_ *s = open_deflating(&PLAIN), *peer = open_deflating(&PLAIN);

    CHECK_INT(fs_ws_send(&peer->ws, 0, zeros, sizeof zeros, NULL), FS_OK);
    CHECK(peer->out.n < 200);
    CHECK_INT(take_frame(s, FS_WS_OP_BINARY | FS_WS_RSV1, peer->out.p + 2, peer->out.n - 2), FS_OK);
    CHECK(s->memory.used > sizeof zeros / 2);
    socket_free(s);
    socket_free(peer);
}

/* ---- there and back, with zlib itself on the other side ------------------------------------------- */

typedef struct peer {
    z_stream out, in;
    const fs_ws_deflate_params *params;
} peer;

static void peer_open(peer *peer, const fs_ws_deflate_params *params)
{
    memset(peer, 0, sizeof *peer);
    peer->params = params;
    CHECK_INT(deflateInit2(&peer->out, 9, Z_DEFLATED, -(params->client_bits > 8 ? params->client_bits : 9), 9, 0), Z_OK);
    CHECK_INT(inflateInit2(&peer->in, -params->server_bits), Z_OK);
}

static void peer_close(peer *peer)
{
    deflateEnd(&peer->out);
    inflateEnd(&peer->in);
}

static void peer_sends(peer *peer, socket_ *s, const char *p, size_t n)
{
    static char out[400000];

    peer->out.next_in = (unsigned char *)(uintptr_t)p;
    peer->out.avail_in = (unsigned)n;
    peer->out.next_out = (unsigned char *)out;
    peer->out.avail_out = sizeof out;
    CHECK_INT(deflate(&peer->out, Z_SYNC_FLUSH), Z_OK);
    CHECK_INT(take_frame(s, BINARY | FS_WS_RSV1, out, sizeof out - peer->out.avail_out - 4), FS_OK);
    if (peer->params->client_no_takeover)
        CHECK_INT(deflateReset(&peer->out), Z_OK);
}

/* Takes the frames apart, and inflates what they hold. */
static size_t peer_receives(peer *peer, const char *sent, size_t n, char *out, size_t room)
{
    static char joined[400000];
    size_t size = 0, at = 0;

    CHECK_INT((uint8_t)sent[0] & 0x7f, FS_WS_RSV1 | FS_WS_OP_BINARY);
    while (at < n) {
        const uint8_t *head = (const uint8_t *)sent + at;
        const size_t length = (size_t)fs_ws_head_length(head), skip = fs_ws_head_size(head);

        CHECK(length <= FS_WS_DEFLATE_PIECE);
        CHECK_INT(!!(head[0] & FS_WS_FIN), at + skip + length == n);
        CHECK(at == 0 || (head[0] & 0x7f) == 0);
        memcpy(joined + size, head + skip, length);
        size += length;
        at += skip + length;
    }
    memcpy(joined + size, "\0\0\xff\xff", 4);
    peer->in.next_in = (unsigned char *)joined;
    peer->in.avail_in = (unsigned)size + 4;
    peer->in.next_out = (unsigned char *)out;
    peer->in.avail_out = (unsigned)room;
    CHECK_INT(inflate(&peer->in, Z_SYNC_FLUSH), Z_OK);
    CHECK_INT(peer->in.avail_in, 0);
    if (peer->params->server_no_takeover)
        CHECK_INT(inflateReset(&peer->in), Z_OK);
    return room - peer->in.avail_out;
}

static void fill_with(char *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245 + 12345;
        p[i] = (char)(n % 2 ? 'a' + (seed >> 16) % 4 : seed >> 16);
    }
}

static void round_trip(const fs_ws_deflate_params *params)
{
    static const size_t sizes[] = {1, 5, 300, 16380, 16384, 16385, 40001, 40001, 100000, 100000};
    static char message[100000], back[100001];
    socket_ *s = open_deflating(params);
    peer peer;

    peer_open(&peer, params);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const size_t n = sizes[i];

        harness_note("%zu bytes; %d %d %d %d", n, params->server_bits, params->client_bits, params->server_no_takeover,
                     params->client_no_takeover);
        fill_with(message, n, (unsigned)n);
        s->out.n = s->events.n = 0;
        CHECK_INT(fs_ws_send(&s->ws, 0, message, n, NULL), FS_OK);
        CHECK_INT(peer_receives(&peer, s->out.p, s->out.n, back, sizeof back), n);
        CHECK(memcmp(back, message, n) == 0);
        peer_sends(&peer, s, message, n);
        CHECK_INT(s->events.n, n + 3);
        CHECK(memcmp(s->events.p + 2, message, n) == 0);
    }
    peer_close(&peer);
    socket_free(s);
}

static void every_pair_of_parameters(void)
{
    for (uint8_t bits = 9; bits <= 15; bits += 3)
        for (unsigned takeover = 0; takeover < 4; takeover++)
            round_trip(&(fs_ws_deflate_params){.server_bits = bits, .client_bits = (uint8_t)(24 - bits),
                                               .server_no_takeover = takeover & 1, .client_no_takeover = takeover >> 1});
}

/* ---- limits ------------------------------------------------------------------------------------------ */

static void a_bomb_is_stopped_while_it_is_inflated(void)
{
    static char zeros[1 << 20], bomb[8192];
    socket_ *s = open_deflating(&PLAIN);
    z_stream out = {.zalloc = NULL};

    s->limits.ws_max_size = 10000;
    CHECK_INT(deflateInit2(&out, 9, Z_DEFLATED, -15, 9, 0), Z_OK);
    out.next_in = (unsigned char *)zeros;
    out.avail_in = sizeof zeros;
    out.next_out = (unsigned char *)bomb;
    out.avail_out = sizeof bomb;
    CHECK_INT(deflate(&out, Z_SYNC_FLUSH), Z_OK);
    deflateEnd(&out);
    CHECK_INT(take_frame(s, BINARY | FS_WS_RSV1, bomb, sizeof bomb - out.avail_out), FS_E_WS_TOO_BIG);
    CHECK_BYTES(s->out.p, s->out.n, "\x88\x02\x03\xf1");
    socket_free(s);
}

static void exactly_the_largest_message_passes(void)
{
    socket_ *s = open_deflating(&PLAIN);

    s->limits.ws_max_size = 5;
    CHECK_INT(TAKE(s, TEXT | FS_WS_RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), FS_OK);
    CHECK_BYTES(s->events.p, s->events.n, "T Hello\n");
    s->limits.ws_max_size = 4;
    CHECK_INT(TAKE(s, TEXT | FS_WS_RSV1, "\xf2\x00\x11\x00\x00"), FS_E_WS_TOO_BIG);
    socket_free(s);
}

static void each_allocation_may_fail(void)
{
    static char message[20000];

    fill_with(message, sizeof message, 7);
    for (unsigned long nth = 1, failed = 1; failed; nth++) {
        socket_ *s = socket_new();
        const size_t live = harness_live();
        int result;

        s->limits.ws_deflate_min_size = 0;
        harness_note("allocation %lu fails", nth);
        harness_fail_nth(nth);
        result = socket_open(s, &PLAIN);
        if (result == FS_OK)
            result = fs_ws_send(&s->ws, 0, message, sizeof message, NULL);
        if (result == FS_OK)
            result = TAKE(s, TEXT | FS_WS_RSV1, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        failed = (unsigned long)harness_has_failed();
        harness_fail_nth(0);
        CHECK_INT(result, failed ? FS_E_NOMEM : FS_OK);
        socket_free(s);
        CHECK_INT(harness_live(), live);
    }
}

int main(void)
{
    RUN(s7_2_3_the_examples);
    RUN(s6_rsv1_is_of_the_first_frame_only);
    RUN(garbage_fails_and_so_does_text_that_is_not_utf8);
    RUN(every_pair_of_parameters);
    RUN(a_bomb_is_stopped_while_it_is_inflated);
    RUN(exactly_the_largest_message_passes);
    RUN(each_allocation_may_fail);
    RUN(streams_are_charged_and_give_way);
    RUN(a_message_that_is_inflated_is_charged_with_what_it_pins);
    return harness_end();
}
