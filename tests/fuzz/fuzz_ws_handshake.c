/*
 * Invariant: whatever a client offers, the answer is one of permessage-deflate
 * with parameters that zlib takes, ends with a NUL, and an offer that is refused
 * as malformed is refused whatever well-formed list stands before it.
 */

#include "harness.h"

#include "proto/error.h"
#include "proto/ws_deflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char BEFORE[] = "x; y=1, permessage-deflate, ";
    guarded input = guarded_copy((const char *)data, size);
    char text[FS_WS_EXTENSION_TEXT];
    fs_ws_deflate_params params = {.server_bits = 0};
    const int result = fs_ws_negotiate((fs_slice){input.p, size}, &params, text);
    fs_ws_deflate *deflate;
    char *longer;

    CHECK(result == 0 || result == 1 || result == FS_E_WS_HANDSHAKE);
    if (result == 1) {
        CHECK(memchr(text, 0, sizeof text) != NULL && strncmp(text, "permessage-deflate", 18) == 0);
        CHECK(params.server_bits >= 9 && params.server_bits <= FS_WS_WINDOW_BITS);
        CHECK(params.client_bits >= 8 && params.client_bits <= 15);
        deflate = fs_ws_deflate_new(&params, &harness_allocator, NULL);
        CHECK(deflate != NULL);
        fs_ws_deflate_free(deflate);
    }
    guarded_release(&input);
    longer = malloc(sizeof BEFORE + size);
    CHECK(longer != NULL);
    memcpy(longer, BEFORE, sizeof BEFORE - 1);
    memcpy(longer + sizeof BEFORE - 1, data, size);
    CHECK_INT(fs_ws_negotiate((fs_slice){longer, sizeof BEFORE - 1 + size}, &params, text), result < 0 ? result : 1);
    free(longer);
    return 0;
}
