#include "ws.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Every version below takes whole blocks from the front and leaves the rest to the next one: the mask repeats every
 * four bytes, so it need not be turned. This version is the reference. */
static void unmask_words(char *dst, const char *src, size_t n, uint32_t mask)
{
    const uint64_t wide = (uint64_t)mask << 32 | mask;
    uint64_t word;
    uint8_t bytes[sizeof mask];

    for (; n >= sizeof word; n -= sizeof word, src += sizeof word, dst += sizeof word) {
        memcpy(&word, src, sizeof word);
        word ^= wide;
        memcpy(dst, &word, sizeof word);
    }
    memcpy(bytes, &mask, sizeof bytes);
    for (size_t i = 0; i < n; i++)
        dst[i] = (char)((uint8_t)src[i] ^ bytes[i % sizeof bytes]);
}

#if defined(__x86_64__)

enum { WIDE_MIN = 128 }; /* bytes from which it pays to ask whether the processor has wider registers */

static size_t unmask_sse2(char *dst, const char *src, size_t n, uint32_t mask)
{
    const __m128i wide = _mm_set1_epi32((int)mask);
    size_t at = 0;

    for (; n - at >= 16; at += 16)
        _mm_storeu_si128((__m128i *)(dst + at), _mm_xor_si128(_mm_loadu_si128((const __m128i *)(src + at)), wide));
    return at;
}

__attribute__((target("avx2"))) static size_t unmask_avx2(char *dst, const char *src, size_t n, uint32_t mask)
{
    const __m256i wide = _mm256_set1_epi32((int)mask);
    size_t at = 0;

    for (; n - at >= 32; at += 32)
        _mm256_storeu_si256((__m256i *)(dst + at),
                            _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(src + at)), wide));
    return at;
}

void fs_ws_unmask(char *dst, const char *src, size_t n, uint32_t mask)
{
    const size_t at = n >= WIDE_MIN && __builtin_cpu_supports("avx2") ? unmask_avx2(dst, src, n, mask)
                                                                      : unmask_sse2(dst, src, n, mask);

    unmask_words(dst + at, src + at, n - at, mask);
}

#else

void fs_ws_unmask(char *dst, const char *src, size_t n, uint32_t mask)
{
    unmask_words(dst, src, n, mask);
}

#endif
