#include "limits.h"

#include <assert.h>
#include <string.h>

typedef struct limit_row {
    const char *name;
    size_t offset;
    size_t size;
} limit_row;

static const limit_row ROWS[FS_LIMIT_COUNT] = {
#define ROW(type, name, normal) {#name, offsetof(fs_limits, name), sizeof(type)},
    FS_LIMITS(ROW)
#undef ROW
};

void fs_limits_default(fs_limits *limits)
{
    *limits = (fs_limits){
#define DEFAULT(type, name, normal) .name = (normal),
        FS_LIMITS(DEFAULT)
#undef DEFAULT
    };
}

const char *fs_limits_name(unsigned number)
{
    assert(number < FS_LIMIT_COUNT);
    return ROWS[number].name;
}

uint64_t fs_limits_get(const fs_limits *limits, unsigned number)
{
    const char *at;
    uint64_t wide;
    uint32_t narrow;

    assert(number < FS_LIMIT_COUNT);
    at = (const char *)limits + ROWS[number].offset;
    if (ROWS[number].size == sizeof wide) {
        memcpy(&wide, at, sizeof wide);
        return wide;
    }
    memcpy(&narrow, at, sizeof narrow);
    return narrow;
}

static int store(char *at, size_t size, uint64_t value)
{
    const uint32_t narrow = (uint32_t)value;

    if (size == sizeof value) {
        memcpy(at, &value, sizeof value);
        return FS_LIMIT_SET;
    }
    if (narrow != value)
        return FS_LIMIT_TOO_LARGE;
    memcpy(at, &narrow, sizeof narrow);
    return FS_LIMIT_SET;
}

int fs_limits_set(fs_limits *limits, const char *name, size_t n, uint64_t value)
{
    for (unsigned i = 0; i < FS_LIMIT_COUNT; i++)
        if (strlen(ROWS[i].name) == n && !memcmp(ROWS[i].name, name, n))
            return store((char *)limits + ROWS[i].offset, ROWS[i].size, value);
    return FS_LIMIT_UNKNOWN;
}
