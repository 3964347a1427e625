/*
 * Invariant: whatever the bytes are and however they are cut, no memory is left
 * or touched that is not the machine's; what it sends are whole frames, and no
 * more of them than what came can ask for; what an application is told of a
 * request comes in its order.
 *
 * The first byte says where the input is cut, and whether the preface and SETTINGS come before it.
 */

#include "h2_fixture.h"

enum {
    OWN = 4096,         /* what the machine sends unasked */
    ANSWER = 100400     /* of the largest answer, its frames' heads included */
};

static void run(peer *p, const char *bytes, size_t n, uint8_t seed)
{
    size_t step;

    for (; n && !p->error; bytes += step, n -= step) {
        seed = (uint8_t)(seed * 5 + 1);
        step = seed & 1 ? n : 1 + seed % 60;
        step = step < n ? step : n;
        p->now += seed & 2;
        peer_take(p, bytes, step);
    }
}

/* Each answer takes a head of at least one frame; the windows bound the rest. */
static void check_output(const peer *p, size_t n)
{
    const said whole = peer_said(p, 0);

    CHECK(whole.goaways <= 2);
    CHECK(p->out.n <= OWN + 64 * n + (size_t)p->h2.requests * ANSWER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char preface[] = FS_H2_PREFACE "\0\0\0\4\0\0\0\0\0";
    const size_t live = harness_live();
    peer *p = peer_new();

    p->limits.h2_max_streams = 8;
    p->limits.max_fields = 20;
    p->limits.h2_max_header_list = 2048;
    p->limits.max_skip = 64;
    CHECK_INT(peer_open(p), FS_OK);
    if (size) {
        if (data[0] & 1)
            peer_take(p, preface, sizeof preface - 1);
        run(p, (const char *)data + 1, size - 1, data[0]);
        check_output(p, size);
    }
    peer_free(p);
    CHECK_INT(harness_live(), live);
    return 0;
}
