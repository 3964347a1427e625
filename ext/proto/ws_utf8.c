#include "ws_utf8.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/*
 * The state of a cut character: how many bytes are missing, and the bounds of the
 * next one. Only the second byte has other bounds than 80..BF: they exclude
 * overlong forms, surrogates and values beyond U+10FFFF (RFC 3629 section 4).
 */
#define CUT(missing, low, high) ((uint32_t)(missing) | (uint32_t)(low) << 8 | (uint32_t)(high) << 16)

enum { BAD = 0xff };

static uint32_t after_lead(uint8_t c)
{
    if (c < 0xc2)
        return BAD;
    if (c < 0xe0)
        return CUT(1, 0x80, 0xbf);
    if (c < 0xf0)
        return CUT(2, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf);
    if (c < 0xf5)
        return CUT(3, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf);
    return BAD;
}

static uint32_t after_next(uint32_t state, uint8_t c)
{
    const uint32_t missing = (state & 0xff) - 1;

    if (c < (state >> 8 & 0xff) || c > state >> 16)
        return BAD;
    return missing ? CUT(missing, 0x80, 0xbf) : 0;
}

/* The end of the run of ASCII that begins at p, or a place shortly before it. */
static const char *skip_ascii(const char *p, const char *end)
{
    uint64_t word;

#if defined(__SSE2__)
    while (end - p >= 16 && !_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)p)))
        p += 16;
#endif
    while (end - p >= 8) {
        memcpy(&word, p, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            break;
        p += 8;
    }
    return p;
}

int fs_utf8_feed(uint32_t *state, const char *p, size_t n)
{
    const char *const end = p + n;
    uint32_t at = *state;

    while (p < end) {
        const uint8_t c = (uint8_t)*p;

        if (at) {
            at = after_next(at, c);
        } else if (c < 0x80) {
            p = skip_ascii(p, end);
            while (p < end && (uint8_t)*p < 0x80)
                p++;
            continue;
        } else {
            at = after_lead(c);
        }
        if (at == BAD)
            return 0;
        p++;
    }
    *state = at;
    return 1;
}
