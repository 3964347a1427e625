#include "trailer.h"

#include "fields.h"
#include "match.h"

int fs_is_forbidden_trailer(uint32_t id, const char *name, size_t n)
{
    static const char *const more[] = {
        "age", "cache-control", "cookie", "expires", "location", "max-forwards", "pragma", "proxy-authenticate",
        "range", "retry-after", "set-cookie", "vary", "www-authenticate",
    };

    if (fs_starts(name, n, "content-") || fs_starts(name, n, "if-") || fs_starts(name, n, "x-forwarded-"))
        return 1;
    switch (id) {
    case FS_FIELD_HOST:
    case FS_FIELD_TRANSFER_ENCODING:
    case FS_FIELD_CONNECTION:
    case FS_FIELD_EXPECT:
    case FS_FIELD_UPGRADE:
    case FS_FIELD_TE:
    case FS_FIELD_TRAILER:
    case FS_FIELD_KEEP_ALIVE:
    case FS_FIELD_PROXY_CONNECTION:
    case FS_FIELD_HTTP2_SETTINGS:
    case FS_FIELD_DATE:
    case FS_FIELD_COOKIE:
    case FS_FIELD_AUTHORIZATION:
    case FS_FIELD_PROXY_AUTHORIZATION:
    case FS_FIELD_FORWARDED:
        return 1;
    default:
        break;
    }
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (fs_same(name, n, more[i]))
            return 1;
    return 0;
}
