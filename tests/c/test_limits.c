#include "harness.h"

#include "proto/limits.h"

static fs_limits defaults(void)
{
    fs_limits limits;

    memset(&limits, 0xa5, sizeof limits);
    fs_limits_default(&limits);
    return limits;
}

static int set(fs_limits *limits, const char *name, uint64_t value)
{
    return fs_limits_set(limits, name, strlen(name), value);
}

/* Each is set to a value of its own, and read back as a member and by its number. */
static void every_limit_is_set_by_its_name(void)
{
    fs_limits limits;

    memset(&limits, 0xa5, sizeof limits);
    for (unsigned i = 0; i < FS_LIMIT_COUNT; i++)
        CHECK_INT(set(&limits, fs_limits_name(i), 1000 + i), FS_LIMIT_SET);
    for (unsigned i = 0; i < FS_LIMIT_COUNT; i++)
        CHECK_INT(fs_limits_get(&limits, i), 1000 + i);
#define MEMBER(type, name, normal) CHECK_INT(limits.name, 1000 + FS_LIMIT_##name);
    FS_LIMITS(MEMBER)
#undef MEMBER
}

static void the_defaults_are_those_of_the_table(void)
{
    const fs_limits limits = defaults();

#define MEMBER(type, name, normal) CHECK_INT(fs_limits_get(&limits, FS_LIMIT_##name), normal);
    FS_LIMITS(MEMBER)
#undef MEMBER
}

static void a_value_is_within_its_type(void)
{
    fs_limits limits = defaults();

    CHECK_INT(set(&limits, "max_head", UINT32_MAX), FS_LIMIT_SET);
    CHECK_INT(limits.max_head, UINT32_MAX);
    CHECK_INT(set(&limits, "max_head", (uint64_t)UINT32_MAX + 1), FS_LIMIT_TOO_LARGE);
    CHECK_INT(limits.max_head, UINT32_MAX);
    CHECK_INT(set(&limits, "max_body", UINT64_MAX), FS_LIMIT_SET);
    CHECK(limits.max_body == UINT64_MAX);
}

static void a_name_is_the_whole_name(void)
{
    static const char *const NONE[] = {"", "max_hea", "max_head_", "MAX_HEAD", "max-head", "nothing"};
    const fs_limits before = defaults();
    fs_limits limits = before;

    for (size_t i = 0; i < sizeof NONE / sizeof *NONE; i++)
        CHECK_INT(set(&limits, NONE[i], 7), FS_LIMIT_UNKNOWN);
    for (unsigned i = 0; i < FS_LIMIT_COUNT; i++)
        CHECK_INT(fs_limits_get(&limits, i), fs_limits_get(&before, i));
    CHECK_INT(fs_limits_set(&limits, "max_head and more", 8, 7), FS_LIMIT_SET);
    CHECK_INT(limits.max_head, 7);
}

static void limits_fit_each_other(void)
{
    const fs_limits limits = defaults();

    CHECK(limits.low_water < limits.high_water);
    CHECK(limits.max_request_line < limits.max_head);
    CHECK(limits.max_fields <= FS_MAX_FIELDS_CEILING);
    CHECK(limits.max_skip < limits.max_body);
    CHECK(limits.body_buffer < limits.buffered);
    CHECK(limits.ws_max_size < limits.buffered);
    CHECK(limits.max_body < limits.body_files);
}

int main(void)
{
    RUN(every_limit_is_set_by_its_name);
    RUN(the_defaults_are_those_of_the_table);
    RUN(a_value_is_within_its_type);
    RUN(a_name_is_the_whole_name);
    RUN(limits_fit_each_other);
    return harness_end();
}
