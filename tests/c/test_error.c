#include "harness.h"

#include "proto/error.h"
#include "proto/head.h"

/* Every code of error.h with the status that it must have (FEATURES: RFC 9110 section 15). */
static const struct { int code, status; } EXPECTED[] = {
    {FS_OK, 0},
    {FS_E_BAD_REQUEST_LINE, 400}, {FS_E_BAD_TARGET, 400}, {FS_E_BAD_FIELD, 400}, {FS_E_BAD_HOST, 400},
    {FS_E_BAD_LENGTH, 400}, {FS_E_BAD_FRAMING, 400}, {FS_E_BAD_CHUNK, 400}, {FS_E_BAD_TRAILER, 400},
    {FS_E_BODY_CUT, 400}, {FS_E_TIMEOUT, 408}, {FS_E_BODY_TOO_LARGE, 413}, {FS_E_TARGET_TOO_LONG, 414},
    {FS_E_EXPECTATION, 417}, {FS_E_HEAD_TOO_LARGE, 431}, {FS_E_TOO_MANY_FIELDS, 431},
    {FS_E_METHOD_UNKNOWN, 501}, {FS_E_CODING_UNKNOWN, 501}, {FS_E_OVERLOADED, 503}, {FS_E_VERSION, 505},
    {FS_E_BAD_METHOD, 400},
    {FS_E_WS_HANDSHAKE, 400}, {FS_E_WS_VERSION, 426}, {FS_E_PLAIN_HTTP, 400},
    {FS_E_H2_MALFORMED, 400}, {FS_E_NO_ROOM, 503}, {FS_E_NEVER_FITS, 413},
    {FS_E_QUEUE_TIMEOUT, 503},
    {FS_E_PEER_GONE, 0}, {FS_E_PEER_STALLED, 0}, {FS_E_PROXY_HEADER, 0},
    {FS_E_WS_FRAME, 0}, {FS_E_WS_UTF8, 0}, {FS_E_WS_DEFLATE, 0}, {FS_E_WS_TOO_BIG, 0}, {FS_E_WS_PING_TIMEOUT, 0}, {FS_E_TLS, 0}, {FS_E_H2_CONNECTION, 0}, {FS_E_H2_FLOOD, 0},
    {FS_E_H2_PING_TIMEOUT, 0}, {FS_E_WS_FLOOD, 0}, {FS_E_WS_MESSAGE_TIMEOUT, 0},
    {FS_E_APP_STATUS, 500}, {FS_E_APP_FIELD_NAME, 500}, {FS_E_APP_FIELD_VALUE, 500}, {FS_E_APP_LENGTH, 500},
    {FS_E_APP_BODY_TOO_LONG, 500}, {FS_E_APP_BODY_TOO_SHORT, 500}, {FS_E_APP_ORDER, 500}, {FS_E_APP_RAISED, 500},
    {FS_E_APP_NO_RESPONSE, 500}, {FS_E_APP_TRAILER, 500}, {FS_E_APP_FILE, 500},
    {FS_E_APP_TIMEOUT, 504}, {FS_E_APP_CLOSE, 500},
    {FS_E_NOMEM, 500}, {FS_E_INTERNAL, 500}, {FS_E_STORAGE, 507}, {FS_E_STOPPED, 503},
};

enum { CODES = sizeof EXPECTED / sizeof EXPECTED[0] };

static void every_code_has_exactly_one_row(void)
{
    unsigned count;
    const fs_error_info *table = fs_error_table(&count);

    CHECK_INT(count, CODES);
    for (unsigned i = 0; i < count; i++) {
        harness_note("row %u, %s", i, table[i].name);
        CHECK_INT(table[i].code, EXPECTED[i].code);
        CHECK_INT(table[i].status, EXPECTED[i].status);
        CHECK(fs_error_describe(table[i].code) == &table[i]);
    }
}

/* A code that error.h has and the list above has not would be found here as a stranger or as a gap in its band. */
static void bands_have_no_gaps(void)
{
    unsigned known = 0;

    for (int code = -1000; code <= 0; code++)
        known += fs_error_describe(code)->code == code;
    CHECK_INT(known, CODES);
    for (int code = FS_E_WS_VERSION; code <= FS_E_BAD_REQUEST_LINE; code++)
        CHECK_INT(fs_error_describe(code)->code, code);
    for (int code = FS_E_WS_PING_TIMEOUT; code <= FS_E_PEER_GONE; code++)
        CHECK_INT(fs_error_describe(code)->code, code);
    for (int code = FS_E_APP_CLOSE; code <= FS_E_APP_STATUS; code++)
        CHECK_INT(fs_error_describe(code)->code, code);
}

static void strangers_are_internal_errors(void)
{
    CHECK_INT(fs_error_describe(1)->code, FS_E_INTERNAL);
    CHECK_INT(fs_error_describe(-99)->code, FS_E_INTERNAL);
    CHECK_INT(fs_error_describe(-500)->code, FS_E_INTERNAL);
}

static void names_and_texts_are_given_once(void)
{
    unsigned count;
    const fs_error_info *table = fs_error_table(&count);

    for (unsigned i = 0; i < count; i++) {
        CHECK(fs_is_token(table[i].name, strlen(table[i].name)));
        CHECK(strlen(table[i].text) > 0);
        for (unsigned k = 0; k < i; k++) {
            CHECK(strcmp(table[i].name, table[k].name) != 0);
            CHECK(strcmp(table[i].text, table[k].text) != 0);
        }
    }
}

static void statuses_follow_the_bands(void)
{
    unsigned count;
    const fs_error_info *table = fs_error_table(&count);

    for (unsigned i = 1; i < count; i++) {
        const int code = table[i].code, status = table[i].status;

        harness_note("%s", table[i].name);
        CHECK_INT(fs_error_is_peer(code), code > -300);
        CHECK_INT(fs_error_is_message(code), code > -200);
        CHECK_INT(fs_error_is_application(code), code <= -300 && code > -400);
        if (fs_error_is_message(code))
            CHECK(status >= 400 && status < 600 && status != 500);
        else if (fs_error_is_peer(code))
            CHECK_INT(status, 0);
        else
            CHECK(status >= 500 && status < 600);
        CHECK(status == 0 || fs_reason_phrase(status).n > 0);
    }
    CHECK(!fs_error_is_peer(FS_OK) && !fs_error_is_message(FS_OK) && !fs_error_is_application(FS_OK));
}

/* RFC 6455 section 7.4 and RFC 9113 section 7. */
static void other_protocols_codes_are_registered(void)
{
    unsigned count;
    const fs_error_info *table = fs_error_table(&count);

    for (unsigned i = 0; i < count; i++) {
        CHECK(table[i].close_code >= 1000 && table[i].close_code <= 1014);
        CHECK(table[i].h2_code >= 0x0 && table[i].h2_code <= 0xd);
        CHECK((table[i].h2_code == 0) == (table[i].code == FS_OK));
    }
    CHECK_INT(fs_error_describe(FS_E_BODY_TOO_LARGE)->close_code, 1009);
    CHECK_INT(fs_error_describe(FS_E_APP_RAISED)->close_code, 1011);
    CHECK_INT(fs_error_describe(FS_E_APP_RAISED)->h2_code, 0x2);
    CHECK_INT(fs_error_describe(FS_E_OVERLOADED)->h2_code, 0x7);
}

int main(void)
{
    RUN(every_code_has_exactly_one_row);
    RUN(bands_have_no_gaps);
    RUN(strangers_are_internal_errors);
    RUN(names_and_texts_are_given_once);
    RUN(statuses_follow_the_bands);
    RUN(other_protocols_codes_are_registered);
    return harness_end();
}
