#include "h2_guard.h"

#include "h2_head.h"

#include <string.h>

enum {
    FRAME_HEAD = 9,           /* bytes: RFC 9113 section 4.1 */
    RESET_BURST = 1000,       /* a page that is left while all its requests are under way */
    CONTROL_BURST = 2000,
    CONTROL_RATE = 500,       /* a second; a client that measures the bandwidth with PING sends about ten */
    EARNED = 2000,            /* thousandths: two control frames for a request */
    CREDIT = 3,               /* for DATA: the windows of a stream and of the connection, and a PING that measures */
    MOST_CREDIT = 16384,      /* as many as a window of 64 KiB earns by the smallest messages of gRPC */
    FULL_FRAME = 1024,        /* bytes from which it does not matter why a frame is no larger */
    FRAME = 16384,            /* bytes of the largest frame, unless the client was told of more */
    MIN_CONTINUATIONS = 8     /* of a field section, however low the limit is */
};

/* RFC 9113 section 6. */
enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION };
enum { ACK = 0x1 };

void fs_h2_guard_init(fs_h2 *h2, uint64_t now)
{
    const uint32_t rate = h2->shared->limits->h2_reset_rate;

    h2->preface_left = FS_H2_PREFACE_LEN;
    fs_bucket_init(&h2->resets, RESET_BURST > 5 * rate ? RESET_BURST : 5 * rate, rate, now);
    fs_bucket_init(&h2->control, CONTROL_BURST, CONTROL_RATE, now);
    h2->begun_at = h2->framed_at = now;
    h2->carries = 1;
}

void fs_h2_guard_earned(fs_h2 *h2)
{
    fs_bucket_give(&h2->control, EARNED);
}

void fs_h2_guard_carried(fs_h2 *h2)
{
    h2->credit = h2->credit < MOST_CREDIT - CREDIT ? h2->credit + CREDIT : MOST_CREDIT;
}

void fs_h2_guard_sent(fs_h2 *h2, size_t n, uint64_t left)
{
    if (n >= FULL_FRAME || (n && !left))
        fs_h2_guard_carried(h2);
}

int fs_h2_guard_reset(fs_h2 *h2)
{
    return fs_bucket_take(&h2->resets, h2->now) ? FS_OK : FS_E_H2_FLOOD;
}

static int control(fs_h2 *h2)
{
    return fs_bucket_take(&h2->control, h2->now) ? FS_OK : FS_E_H2_FLOOD;
}

/* A frame that answers DATA, or measures how fast it comes. */
static int attendant(fs_h2 *h2)
{
    if (!h2->credit)
        return control(h2);
    h2->credit--;
    return FS_OK;
}

/* A stream below the newest that was never opened is closed (RFC 9113 section 5.1.1). nghttp2 takes its HEADERS for
 * late trailers; at least for the newest gap we know that they are not. */
static int judge_number(fs_h2 *h2)
{
    const uint8_t *p = h2->frame + 5;
    const int32_t id = (p[0] & 0x7f) << 24 | p[1] << 16 | p[2] << 8 | p[3];

    if (id > h2->skipped && id < h2->newest)
        return FS_E_H2_CONNECTION;
    if (id <= h2->newest)
        return control(h2); /* trailers, or what nghttp2 ignores */
    h2->skipped = h2->newest;
    h2->newest = id;
    return FS_OK;
}

/* As many full frames as fill the limit, and the excess that is still answered: h2_head.c counts the bytes. A frame
 * that is not small pays with its bytes. */
static int judge_continuation(fs_h2 *h2)
{
    const uint32_t full = FS_H2_FAR_ABOVE * (h2->shared->limits->h2_max_header_list / FRAME);

    if (++h2->continuations > (full > MIN_CONTINUATIONS ? full : MIN_CONTINUATIONS))
        return FS_E_H2_FLOOD;
    return h2->frame_left < FULL_FRAME ? control(h2) : FS_OK;
}

static int judge(fs_h2 *h2)
{
    const uint8_t flags = h2->frame[4];

    switch (h2->frame[3]) {
    case DATA:
        h2->carries = 0; /* it may be empty, only padding, or for a stream that is gone: known at its end */
        return FS_OK;
    case HEADERS:
        h2->continuations = 0;
        return judge_number(h2);
    case RST_STREAM:
        return fs_h2_guard_reset(h2);
    case CONTINUATION:
        return judge_continuation(h2);
    case SETTINGS:
        return flags & ACK ? FS_OK : control(h2);
    case PING:
        return flags & ACK ? FS_OK : attendant(h2);
    case WINDOW_UPDATE:
        return attendant(h2);
    default: /* PRIORITY, and what only a faulty client sends, or one with an extension */
        return control(h2);
    }
}

int64_t fs_h2_guard_run(fs_h2 *h2, const char *p, size_t n)
{
    size_t head = 0;
    int result;

    if (h2->preface_left) {
        n = n < h2->preface_left ? n : h2->preface_left;
        h2->preface_left -= (uint8_t)n;
        return (int64_t)n;
    }
    if (!h2->frame_len && !h2->carries) { /* the last frame carried nothing; the request that it ends has paid for it */
        h2->carries = 1;
        if (control(h2) < 0)
            return FS_E_H2_FLOOD;
    }
    if (!h2->frame_len && !h2->in_section)
        h2->begun_at = h2->now;
    if (h2->frame_len < FRAME_HEAD) {
        head = FRAME_HEAD - h2->frame_len;
        head = n < head ? n : head;
        memcpy(h2->frame + h2->frame_len, p, head);
        h2->frame_len += (uint8_t)head;
        if (h2->frame_len < FRAME_HEAD)
            return (int64_t)head;
        h2->frame_left = (uint32_t)h2->frame[0] << 16 | (uint32_t)h2->frame[1] << 8 | h2->frame[2];
        result = judge(h2);
        if (result < 0)
            return result;
    }
    n -= head;
    n = n < h2->frame_left ? n : h2->frame_left;
    h2->frame_left -= (uint32_t)n;
    if (!h2->frame_left) {
        h2->frame_len = 0;
        h2->framed_at = h2->now;
    }
    return (int64_t)(head + n);
}

uint64_t fs_h2_incomplete_since(const fs_h2 *h2)
{
    const int of_body = h2->frame_len == FRAME_HEAD && h2->frame[3] == DATA;

    return h2->preface_left || h2->in_section || (h2->frame_len && !of_body) ? h2->begun_at : 0;
}
