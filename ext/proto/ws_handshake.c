#include "ws_handshake.h"

#include "error.h"
#include "match.h"

enum { KEY_LENGTH = 24 }; /* 16 bytes in base64 */

typedef struct findings {
    unsigned keys, versions;
    int good_version;
} findings;

static int named(const fs_field *field, const char *name)
{
    return fs_same(field->name, field->name_len, name);
}

static int is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

/* Sixteen bytes end after two digits, the last of which leaves four bits unused; nobody checks those. */
static int is_key(fs_slice key)
{
    if (key.n != KEY_LENGTH || key.p[KEY_LENGTH - 1] != '=' || key.p[KEY_LENGTH - 2] != '=')
        return 0;
    for (size_t i = 0; i < KEY_LENGTH - 2; i++)
        if (!is_base64(key.p[i]))
            return 0;
    return 1;
}

static int look_at(const fs_field *field, int deflate, findings *findings, fs_ws_handshake *found)
{
    const fs_slice value = {field->value, field->value_len};
    int result;

    if (named(field, "sec-websocket-key")) {
        findings->keys++;
        found->key = value;
    } else if (named(field, "sec-websocket-version")) {
        findings->versions++;
        findings->good_version = value.n == 2 && value.p[0] == '1' && value.p[1] == '3';
    } else if (named(field, "sec-websocket-extensions") && !found->has_deflate) {
        result = fs_ws_negotiate(value, &found->deflate, found->extensions);
        if (result < 0)
            return result;
        found->has_deflate = result && deflate;
    }
    return FS_OK;
}

int fs_ws_handshake_read(const fs_request_head *head, int deflate, fs_ws_handshake *found)
{
    findings findings = {.keys = 0};
    int result;

    *found = (fs_ws_handshake){.has_deflate = 0};
    for (uint32_t i = 0; i < head->nfields; i++)
        if ((result = look_at(&head->fields[i], deflate, &findings, found)) < 0)
            return result;
    if (!found->has_deflate)
        found->extensions[0] = '\0';
    if (findings.versions != 1 || !findings.good_version)
        return FS_E_WS_VERSION;
    if (head->version == FS_HTTP_2) {
        found->key = (fs_slice){"", 0};
        return FS_OK;
    }
    return findings.keys == 1 && is_key(found->key) ? FS_OK : FS_E_WS_HANDSHAKE;
}
