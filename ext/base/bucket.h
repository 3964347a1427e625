#ifndef FS_BASE_BUCKET_H
#define FS_BASE_BUCKET_H

#include <stdint.h>

/*
 * A token bucket: what costs the server something and clients may request at
 * will takes a token; tokens come back over time. Times are milliseconds of any clock.
 */
typedef struct fs_bucket {
    uint64_t tokens;      /* thousandths */
    uint64_t burst;       /* most tokens, in thousandths */
    uint32_t rate;        /* tokens a second: thousandths a millisecond */
    uint64_t since;       /* when `tokens` was right */
} fs_bucket;

static inline void fs_bucket_init(fs_bucket *bucket, uint32_t burst, uint32_t rate, uint64_t now)
{
    *bucket = (fs_bucket){.tokens = burst * UINT64_C(1000), .burst = burst * UINT64_C(1000), .rate = rate, .since = now};
}

static inline void fs_bucket_give(fs_bucket *bucket, uint64_t thousandths)
{
    const uint64_t room = bucket->burst - bucket->tokens;

    bucket->tokens += thousandths < room ? thousandths : room;
}

/* Whether there was a token. */
static inline int fs_bucket_take(fs_bucket *bucket, uint64_t now)
{
    if (now > bucket->since) {
        fs_bucket_give(bucket, (now - bucket->since) * bucket->rate);
        bucket->since = now;
    }
    if (bucket->tokens < 1000)
        return 0;
    bucket->tokens -= 1000;
    return 1;
}

#endif
