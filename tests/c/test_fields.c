#include "harness.h"

#include "proto/fields.h"

#include <ctype.h>

static void find_guarded(const char *name, size_t n, uint32_t expected)
{
    guarded copy = guarded_copy(name, n);

    CHECK_INT(fs_field_find(copy.p, n), expected);
    guarded_release(&copy);
}

static void every_name_finds_itself(void)
{
    for (uint32_t id = 1; id < fs_field_count(); id++) {
        size_t n;
        const char *name = fs_field_name(id, &n);

        harness_note("%.*s", (int)n, name);
        CHECK(n > 0);
        find_guarded(name, n, id);
    }
}

static void case_does_not_matter(void)
{
    char upper[64], mixed[64];

    for (uint32_t id = 1; id < fs_field_count(); id++) {
        size_t n;
        const char *name = fs_field_name(id, &n);

        for (size_t i = 0; i < n; i++) {
            upper[i] = (char)toupper(name[i]);
            mixed[i] = i % 2 ? upper[i] : name[i];
        }
        find_guarded(upper, n, id);
        find_guarded(mixed, n, id);
    }
}

/* Folding must not make `-` of a carriage return, nor a letter of a bracket. */
static void a_changed_byte_is_another_name(void)
{
    for (uint32_t id = 1; id < fs_field_count(); id++) {
        size_t n;
        const char *name = fs_field_name(id, &n);
        char changed[64];

        memcpy(changed, name, n);
        for (size_t i = 0; i < n; i++) {
            for (int byte = 0; byte < 256; byte++) {
                changed[i] = (char)byte;
                if (byte < 0x80 && tolower(byte) == name[i])
                    CHECK_INT(fs_field_find(changed, n), id);
                else
                    CHECK(fs_field_find(changed, n) != id);
            }
            changed[i] = name[i];
        }
    }
}

static void a_shorter_or_longer_name_is_another(void)
{
    for (uint32_t id = 1; id < fs_field_count(); id++) {
        size_t n;
        const char *name = fs_field_name(id, &n);
        char longer[64] = {0};

        memcpy(longer, name, n);
        CHECK(fs_field_find(longer, n - 1) != id);
        for (int byte = 0; byte < 256; byte++) {
            longer[n] = (char)byte;
            CHECK(fs_field_find(longer, n + 1) != id);
        }
    }
}

static void unknown_names_are_unknown(void)
{
    char name[300];

    find_guarded("", 0, FS_FIELD_UNKNOWN);
    for (size_t n = 1; n <= sizeof name; n++) {
        memset(name, 'x', n);
        find_guarded(name, n, FS_FIELD_UNKNOWN);
        memset(name, 0, n);
        find_guarded(name, n, FS_FIELD_UNKNOWN);
        memset(name, 0xff, n);
        find_guarded(name, n, FS_FIELD_UNKNOWN);
    }
}

#define CHECK_NAME(id, text)                           \
    do {                                               \
        size_t n_;                                     \
        const char *name_ = fs_field_name((id), &n_);  \
        CHECK_BYTES(name_, n_, text);                  \
    } while (0)

static void constants_stand_for_their_names(void)
{
    CHECK_NAME(FS_FIELD_UNKNOWN, "");
    CHECK_NAME(FS_FIELD_HOST, "host");
    CHECK_NAME(FS_FIELD_CONTENT_LENGTH, "content-length");
    CHECK_NAME(FS_FIELD_TRANSFER_ENCODING, "transfer-encoding");
    CHECK_NAME(FS_FIELD_CONNECTION, "connection");
    CHECK_NAME(FS_FIELD_EXPECT, "expect");
    CHECK_NAME(FS_FIELD_UPGRADE, "upgrade");
    CHECK_NAME(FS_FIELD_TE, "te");
    CHECK_NAME(FS_FIELD_TRAILER, "trailer");
    CHECK_NAME(FS_FIELD_KEEP_ALIVE, "keep-alive");
    CHECK_NAME(FS_FIELD_PROXY_CONNECTION, "proxy-connection");
    CHECK_NAME(FS_FIELD_HTTP2_SETTINGS, "http2-settings");
    CHECK_NAME(FS_FIELD_DATE, "date");
    CHECK_NAME(FS_FIELD_SERVER, "server");
    CHECK_NAME(FS_FIELD_CONTENT_TYPE, "content-type");
    CHECK_NAME(FS_FIELD_COOKIE, "cookie");
    CHECK_NAME(FS_FIELD_AUTHORIZATION, "authorization");
    CHECK_NAME(FS_FIELD_PROXY_AUTHORIZATION, "proxy-authorization");
    CHECK_NAME(FS_FIELD_X_FORWARDED_FOR, "x-forwarded-for");
    CHECK_NAME(FS_FIELD_X_FORWARDED_PROTO, "x-forwarded-proto");
    CHECK_NAME(FS_FIELD_X_FORWARDED_HOST, "x-forwarded-host");
    CHECK_NAME(FS_FIELD_FORWARDED, "forwarded");
}

int main(void)
{
    RUN(every_name_finds_itself);
    RUN(case_does_not_matter);
    RUN(a_changed_byte_is_another_name);
    RUN(a_shorter_or_longer_name_is_another);
    RUN(unknown_names_are_unknown);
    RUN(constants_stand_for_their_names);
    return harness_end();
}
