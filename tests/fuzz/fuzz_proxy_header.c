/*
 * Invariant: a header that is accepted is accepted whatever stands behind it,
 * with the same length, and everything shorter asks for more; bytes that are
 * refused are refused whatever stands behind them; and nothing asks for more
 * beyond the longest header.
 */

#include "harness.h"

#include "proto/error.h"
#include "proto/proxy_header.h"

static int parse(const uint8_t *data, size_t size, fs_proxy_header *header)
{
    guarded input = guarded_copy((const char *)data, size);
    const int result = fs_proxy_header_parse(input.p, size, header);

    if (result > 0 && header->path.n) { /* it lies within the header */
        CHECK(header->path.p >= input.p && header->path.p + header->path.n <= input.p + result);
        CHECK(memchr(header->path.p, 0, header->path.n) == NULL);
    }
    guarded_release(&input);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fs_proxy_header whole, part;
    const int result = parse(data, size, &whole);
    /* Of long inputs some cuts, others each time that the input changes its length. */
    const size_t step = size < 64 ? 1 : size / 32;

    CHECK(result > 0 ? (size_t)result <= size && result <= FS_PROXY_V2_MAX
                     : result == FS_E_PROXY_HEADER || (result == 0 && size < FS_PROXY_V2_MAX));
    CHECK(result > 0 || whole.family == FS_PROXY_NONE || result == FS_E_PROXY_HEADER);
    for (size_t i = 0; i < size; i += step) {
        const int cut = parse(data, i, &part);

        if (result == 0)
            CHECK_INT(cut, 0);
        else if (result > 0)
            CHECK_INT(cut, i < (size_t)result ? 0 : result);
        else
            CHECK(cut == 0 || cut == FS_E_PROXY_HEADER);
        if (cut > 0)
            CHECK(part.family == whole.family && memcmp(&part.source, &whole.source, sizeof part.source) == 0 &&
                  memcmp(&part.destination, &whole.destination, sizeof part.destination) == 0);
    }
    return 0;
}
