/*
 * Invariant: a token or a field value is accepted exactly when the grammar of
 * RFC 9110 accepts it, a field name is found exactly when the table has it in
 * some case, and numbers and dates read back as what they were.
 */

#define _GNU_SOURCE

#include "harness.h"

#include "proto/fields.h"
#include "proto/head.h"

#include <strings.h>
#include <time.h>

static int is_tchar(unsigned char c)
{
    return c != 0 && strchr("!#$%&'*+-.^_`|~0123456789"
                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", c) != NULL;
}

static int is_blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}

static void check_grammar(const char *p, size_t n)
{
    int token = n > 0, value = n == 0 || (!is_blank((unsigned char)p[0]) && !is_blank((unsigned char)p[n - 1]));

    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)p[i];

        token &= is_tchar(c);
        value &= is_blank(c) || (c > 0x20 && c != 0x7f);
    }
    CHECK_INT(fs_is_token(p, n), token);
    CHECK_INT(fs_is_field_value(p, n), value);
}

static void check_field(const char *p, size_t n)
{
    uint32_t expected = FS_FIELD_UNKNOWN;

    for (uint32_t id = 1; id < fs_field_count(); id++) {
        size_t length;
        const char *name = fs_field_name(id, &length);

        if (length == n && strncasecmp(name, p, n) == 0)
            expected = id;
    }
    CHECK_INT(fs_field_find(p, n), expected);
}

static void check_number(uint64_t number)
{
    char out[32] = {0};

    CHECK(fs_decimal(out, number) <= 20);
    CHECK(strtoull(out, NULL, 10) == number);
    memset(out, 0, sizeof out);
    CHECK(fs_chunk_prefix(out, number) <= 18);
    CHECK(strtoull(out, NULL, 16) == number);
}

static void check_date(int64_t seconds)
{
    fs_head_common common;
    struct tm parts = {0};

    seconds %= INT64_C(253402300800);
    fs_head_common_init(&common, 1);
    fs_head_set_time(&common, seconds);
    CHECK_INT(common.date_len, 37);
    common.date[common.date_len] = '\0';
    CHECK(strptime(common.date, "date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts) != NULL);
    CHECK_INT(timegm(&parts), seconds < 0 ? 0 : seconds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    guarded input = guarded_copy((const char *)data, size);

    check_grammar(input.p, size);
    check_field(input.p, size);
    if (size >= sizeof(uint64_t)) {
        uint64_t number;

        memcpy(&number, data, sizeof number);
        check_number(number);
        check_number(number >> (number & 63));
        check_date((int64_t)number);
    }
    guarded_release(&input);
    return 0;
}
