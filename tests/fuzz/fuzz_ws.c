/*
 * Invariant: however the bytes are cut and whenever the caller stops taking
 * events for a while, the same messages, the same answers and the same error
 * come out; no message is longer than the limit, every text is UTF-8, what is
 * sent unasked is no more than the pings and one close frame, and no memory is left.
 *
 * The first byte chooses the limit, whether messages are compressed, and where the input is cut; what follows is
 * the stream, unmasked: each run becomes a frame of its own with the mask set, or is passed on as it is.
 */

#include "ws_fixture.h"

#include "proto/ws_utf8.h"

static const fs_ws_deflate_params PARAMETERS[] = {
    {.server_bits = 12, .client_bits = 12},
    {.server_bits = 9, .client_bits = 15, .client_no_takeover = 1, .server_no_takeover = 1},
};

static socket_ *open_as(uint8_t how)
{
    socket_ *s = socket_new();

    s->limits.ws_max_size = how & 1 ? 200 : 100000;
    CHECK_INT(socket_open(s, how & 2 ? &PARAMETERS[how >> 2 & 1] : NULL), FS_OK);
    return s;
}

static void run_whole(socket_ *s, const char *p, size_t n)
{
    socket_take(s, p, n, SIZE_MAX);
}

static void run_cut(socket_ *s, const char *p, size_t n, uint8_t seed)
{
    size_t step;

    for (; n; p += step, n -= step) {
        seed = (uint8_t)(seed * 5 + 1);
        step = 1 + seed % 40;
        step = step < n ? step : n;
        socket_take(s, p, step, seed & 1);
    }
    while (fs_ws_unread(&s->ws)) { /* whoever was slow comes round at last */
        const size_t unread = fs_ws_unread(&s->ws);

        socket_take(s, "", 0, 1);
        if (fs_ws_unread(&s->ws) == unread && s->error)
            break;
        if (fs_ws_unread(&s->ws) == unread)
            socket_take(s, "", 0, SIZE_MAX);
    }
}

static void check_messages(const socket_ *s)
{
    uint32_t state = 0;

    CHECK(s->ws.message.n <= s->limits.ws_max_size);
    if (s->events.n >= 2 && memcmp(s->events.p, "T ", 2) == 0 && memchr(s->events.p, '\n', s->events.n) == s->events.p + s->events.n - 1)
        CHECK(fs_utf8_feed(&state, s->events.p + 2, s->events.n - 3) && !state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t live = harness_live();
    const uint8_t how = size ? data[0] : 0;
    socket_ *whole = open_as(how), *cut = open_as(how);

    if (size) {
        run_whole(whole, (const char *)data + 1, size - 1);
        run_cut(cut, (const char *)data + 1, size - 1, how);
        CHECK_INT(cut->error, whole->error);
        CHECK(cut->events.n == whole->events.n && (!cut->events.n || memcmp(cut->events.p, whole->events.p, cut->events.n) == 0));
        CHECK(cut->out.n == whole->out.n && (!cut->out.n || memcmp(cut->out.p, whole->out.p, cut->out.n) == 0));
        CHECK_INT(cut->ws.state, whole->ws.state);
        CHECK(whole->out.n <= size + 4);
        check_messages(whole);
        check_messages(cut);
    }
    socket_free(whole);
    socket_free(cut);
    CHECK_INT(harness_live(), live);
    return 0;
}
