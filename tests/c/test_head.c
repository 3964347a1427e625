#include "harness.h"

#include "proto/head.h"

#include <locale.h>
#include <stdio.h>
#include <time.h>

/* ---- Date: RFC 9110 section 5.6.7 ---------------------------------------- */

#define CHECK_DATE(seconds, expected)                       \
    do {                                                    \
        fs_head_common common_;                             \
        fs_head_common_init(&common_, 1);                   \
        fs_head_set_time(&common_, (seconds));              \
        CHECK_BYTES(common_.date, common_.date_len, "date: " expected "\r\n"); \
    } while (0)

static void known_dates(void)
{
    CHECK_DATE(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK_DATE(784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK_DATE(951782399, "Mon, 28 Feb 2000 23:59:59 GMT");
    CHECK_DATE(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    CHECK_DATE(4107542399, "Sun, 28 Feb 2100 23:59:59 GMT");
    CHECK_DATE(4107542400, "Mon, 01 Mar 2100 00:00:00 GMT");
}

static void dates_outside_of_four_digit_years_are_the_nearest(void)
{
    CHECK_DATE(-1, "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK_DATE(-5, "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK_DATE(INT64_MIN, "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK_DATE(INT64_C(253402300799), "Fri, 31 Dec 9999 23:59:59 GMT");
    CHECK_DATE(INT64_C(253402300800), "Fri, 31 Dec 9999 23:59:59 GMT");
    CHECK_DATE(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
}

/* Some time of every day for 500 years, against the C library. */
static void dates_agree_with_libc(void)
{
    fs_head_common common;
    char expected[64];

    setlocale(LC_ALL, "C");
    fs_head_common_init(&common, 1);
    for (int64_t day = 0; day < 182625; day++) {
        const time_t now = (time_t)(day * 86400 + day * 7919 % 86400);
        struct tm parts;

        gmtime_r(&now, &parts);
        strftime(expected, sizeof expected, "date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
        fs_head_set_time(&common, now);
        CHECK_INT(common.date_len, strlen(expected));
        CHECK(memcmp(common.date, expected, common.date_len) == 0);
    }
}

static void date_is_rendered_when_the_second_changes(void)
{
    fs_head_common common;

    fs_head_common_init(&common, 1);
    CHECK_INT(common.date_len, 0);
    fs_head_set_time(&common, 100);
    common.date[0] = '?';
    fs_head_set_time(&common, 100);
    CHECK_INT(common.date[0], '?');
    fs_head_set_time(&common, 101);
    CHECK_INT(common.date[0], 'd');
}

static void date_can_be_off(void)
{
    fs_head_common common;

    fs_head_common_init(&common, 0);
    fs_head_set_time(&common, 784111777);
    CHECK_INT(common.date_len, 0);
}

/* ---- grammar --------------------------------------------------------------- */

/* Spelled out from RFC 9110 section 5.6.2, not from the table under test. */
static int is_tchar(int byte)
{
    return byte != 0 && strchr("!#$%&'*+-.^_`|~0123456789"
                               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", byte) != NULL;
}

static int token_guarded(const char *p, size_t n)
{
    guarded copy = guarded_copy(p, n);
    const int result = fs_is_token(copy.p, n);

    guarded_release(&copy);
    return result;
}

static int value_guarded(const char *p, size_t n)
{
    guarded copy = guarded_copy(p, n);
    const int result = fs_is_field_value(copy.p, n);

    guarded_release(&copy);
    return result;
}

static void tokens(void)
{
    CHECK(!token_guarded("", 0));
    for (int byte = 0; byte < 256; byte++) {
        const char text[] = {'a', (char)byte, 'z'};

        harness_note("byte %d", byte);
        CHECK_INT(token_guarded(text + 1, 1), is_tchar(byte));
        CHECK_INT(token_guarded(text, 3), is_tchar(byte));
    }
}

/* Every byte at every place of values that are shorter and longer than a machine word. */
static void values(void)
{
    char text[40];

    CHECK(value_guarded("", 0));
    for (size_t n = 1; n <= sizeof text; n += 3)
        for (size_t at = 0; at < n; at++)
            for (int byte = 0; byte < 256; byte++) {
                const int blank = byte == ' ' || byte == '\t';
                const int inside = at > 0 && at + 1 < n;
                const int legal = blank ? inside : byte > 0x20 && byte != 0x7f;

                memset(text, 'v', n);
                text[at] = (char)byte;
                CHECK_INT(fs_is_field_value(text, n), legal);
            }
}

/* A tab is legal wherever it makes the table be asked, and hides nothing that stands elsewhere. */
static void a_tab_and_what_is_illegal(void)
{
    char text[50];

    for (size_t n = 3; n <= sizeof text; n++)
        for (size_t tab = 1; tab + 1 < n; tab++)
            for (size_t at = 0; at < n; at++) {
                memset(text, 'v', n);
                text[tab] = '\t';
                CHECK(fs_is_field_value(text, n));
                text[at] = at % 2 ? '\n' : '\x7f';
                CHECK(!fs_is_field_value(text, n));
            }
}

static void values_are_not_read_past_their_end(void)
{
    char text[40];

    memset(text, 'v', sizeof text);
    for (size_t n = 0; n <= sizeof text; n++)
        CHECK(value_guarded(text, n));
    CHECK(value_guarded("a\tb \xff \x80", 7));
    CHECK(!value_guarded("1234567\r\nx: y", 13));
    CHECK(!value_guarded(" a", 2));
    CHECK(!value_guarded("a ", 2));
    CHECK(!value_guarded("\t", 1));
}

/* ---- status and numbers ----------------------------------------------------- */

#define CHECK_PHRASE(status, expected)               \
    do {                                             \
        fs_slice phrase_ = fs_reason_phrase(status); \
        CHECK_BYTES(phrase_.p, phrase_.n, expected); \
    } while (0)

static void phrases(void)
{
    CHECK_PHRASE(100, "Continue");
    CHECK_PHRASE(200, "OK");
    CHECK_PHRASE(204, "No Content");
    CHECK_PHRASE(304, "Not Modified");
    CHECK_PHRASE(404, "Not Found");
    CHECK_PHRASE(413, "Content Too Large");
    CHECK_PHRASE(422, "Unprocessable Content");
    CHECK_PHRASE(431, "Request Header Fields Too Large");
    CHECK_PHRASE(505, "HTTP Version Not Supported");
    CHECK_PHRASE(511, "Network Authentication Required");
    CHECK_PHRASE(299, "");
    CHECK_PHRASE(418, "");
    CHECK_PHRASE(512, "");
    CHECK_PHRASE(99, "");
    CHECK_PHRASE(0, "");
    CHECK_PHRASE(-1, "");
    CHECK_PHRASE(1000, "");
}

static void every_phrase_is_a_reason_phrase(void)
{
    for (int status = -10; status < 1010; status++) {
        fs_slice phrase = fs_reason_phrase(status);

        CHECK(phrase.p != NULL);
        CHECK(fs_is_field_value(phrase.p, phrase.n));
    }
}

static const uint64_t NUMBERS[] = {
    0, 1, 9, 10, 15, 16, 99, 100, 255, 256, 4095, 65535, 65536, 1000000, UINT32_MAX,
    UINT64_C(0x100000000), UINT64_C(0x0fffffffffffffff), UINT64_C(0x1000000000000000), UINT64_MAX,
};

static void numbers(void)
{
    char out[24], expected[24];

    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++) {
        const unsigned long long n = NUMBERS[i];
        size_t length = fs_decimal(out, n);

        CHECK_INT(length, snprintf(expected, sizeof expected, "%llu", n));
        CHECK(memcmp(out, expected, length) == 0);
        length = fs_chunk_prefix(out, n);
        CHECK_INT(length, snprintf(expected, sizeof expected, "%llx\r\n", n));
        CHECK(memcmp(out, expected, length) == 0);
    }
}

static void numbers_fit_what_the_header_says(void)
{
    guarded room = guarded_copy("12345678901234567890", 20);

    CHECK_INT(fs_decimal(room.p, UINT64_MAX), 20);
    CHECK_INT(fs_chunk_prefix(room.p + 2, UINT64_MAX), 18);
    guarded_release(&room);
}

int main(void)
{
    RUN(known_dates);
    RUN(dates_outside_of_four_digit_years_are_the_nearest);
    RUN(dates_agree_with_libc);
    RUN(date_is_rendered_when_the_second_changes);
    RUN(date_can_be_off);
    RUN(tokens);
    RUN(values);
    RUN(a_tab_and_what_is_illegal);
    RUN(values_are_not_read_past_their_end);
    RUN(phrases);
    RUN(every_phrase_is_a_reason_phrase);
    RUN(numbers);
    RUN(numbers_fit_what_the_header_says);
    return harness_end();
}
