/* ext/proto/ws_handshake.c and ws_negotiate.c: what a client asks for, and what it is given. */

#include "harness.h"

#include "proto/error.h"
#include "proto/ws_handshake.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

enum { FIELDS_MAX = 8 };

typedef struct request {
    fs_field fields[FIELDS_MAX];
    fs_request_head head;
} request;

static void add(request *r, const char *name, const char *value)
{
    r->fields[r->head.nfields++] = (fs_field){name, value, (uint32_t)strlen(name), (uint32_t)strlen(value), 0};
    r->head.fields = r->fields;
}

static int read_with(const char *key, const char *version, fs_ws_handshake *found)
{
    request r = {.head = {.version = FS_HTTP_1_1}};

    add(&r, "host", "example.org");
    if (key)
        add(&r, "sec-websocket-key", key);
    if (version)
        add(&r, "sec-websocket-version", version);
    return fs_ws_handshake_read(&r.head, 1, found);
}

static void s4_2_1_the_key_is_sixteen_bytes(void)
{
    fs_ws_handshake found;

    CHECK_INT(read_with(KEY, "13", &found), FS_OK);
    CHECK_BYTES(found.key.p, found.key.n, KEY);
    CHECK_INT(found.has_deflate, 0);
    CHECK_INT(read_with(NULL, "13", &found), FS_E_WS_HANDSHAKE);
    CHECK_INT(read_with("", "13", &found), FS_E_WS_HANDSHAKE);
    CHECK_INT(read_with("dGhlIHNhbXBsZSBub25jZ!==", "13", &found), FS_E_WS_HANDSHAKE);
    CHECK_INT(read_with("dGhlIHNhbXBsZSBub25jZQ=A", "13", &found), FS_E_WS_HANDSHAKE);
    CHECK_INT(read_with("dGhlIHNhbXBsZSBub25jZQ", "13", &found), FS_E_WS_HANDSHAKE);
    CHECK_INT(read_with("dGhlIHNhbXBsZSBub25jZSEh", "13", &found), FS_E_WS_HANDSHAKE);
}

static void s4_4_other_versions(void)
{
    fs_ws_handshake found;

    CHECK_INT(read_with(KEY, NULL, &found), FS_E_WS_VERSION);
    CHECK_INT(read_with(KEY, "8", &found), FS_E_WS_VERSION);
    CHECK_INT(read_with(KEY, "13, 8", &found), FS_E_WS_VERSION);
    CHECK_INT(read_with(KEY, "130", &found), FS_E_WS_VERSION);
}

static void each_is_given_once(void)
{
    fs_ws_handshake found;
    request r = {.head = {.version = FS_HTTP_1_1}};

    add(&r, "sec-websocket-key", KEY);
    add(&r, "sec-websocket-version", "13");
    add(&r, "sec-websocket-key", KEY);
    CHECK_INT(fs_ws_handshake_read(&r.head, 1, &found), FS_E_WS_HANDSHAKE);
    r.head.nfields = 2;
    add(&r, "sec-websocket-version", "13");
    CHECK_INT(fs_ws_handshake_read(&r.head, 1, &found), FS_E_WS_VERSION);
}

static void rfc_8441_has_no_key(void)
{
    fs_ws_handshake found;
    request r = {.head = {.version = FS_HTTP_2}};

    add(&r, "sec-websocket-version", "13");
    CHECK_INT(fs_ws_handshake_read(&r.head, 1, &found), FS_OK);
    CHECK_INT(found.key.n, 0);
}

static void offers_of_several_fields_are_one_list(void)
{
    fs_ws_handshake found;
    request r = {.head = {.version = FS_HTTP_1_1}};

    add(&r, "sec-websocket-key", KEY);
    add(&r, "sec-websocket-version", "13");
    add(&r, "sec-websocket-extensions", "x-webkit-deflate-frame");
    add(&r, "sec-websocket-extensions", "permessage-deflate; client_max_window_bits");
    CHECK_INT(fs_ws_handshake_read(&r.head, 1, &found), FS_OK);
    CHECK_INT(found.has_deflate, fs_ws_deflate_available);
    CHECK_INT(fs_ws_handshake_read(&r.head, 0, &found), FS_OK);
    CHECK_INT(found.has_deflate, 0);
    CHECK_INT(found.extensions[0], 0);
    add(&r, "sec-websocket-extensions", "a b");
    CHECK_INT(fs_ws_handshake_read(&r.head, 0, &found), FS_E_WS_HANDSHAKE);
}

/* ---- RFC 7692 section 5 and 7.1 ------------------------------------------------------------- */

#define S12 "; server_max_window_bits=12"

static const struct {
    const char *offer, *answer; /* NULL: none is taken */
} OFFERS[] = {
    {"permessage-deflate", "permessage-deflate" S12},
    {"PerMessage-Deflate", "permessage-deflate" S12},
    {"permessage-deflate; client_max_window_bits", "permessage-deflate" S12 "; client_max_window_bits=12"},
    {"permessage-deflate; client_max_window_bits=15", "permessage-deflate" S12 "; client_max_window_bits=12"},
    {"permessage-deflate;client_max_window_bits=\"9\"", "permessage-deflate" S12 "; client_max_window_bits=9"},
    {"permessage-deflate; client_max_window_bits=8", "permessage-deflate" S12 "; client_max_window_bits=8"},
    {"permessage-deflate; server_max_window_bits=10", "permessage-deflate; server_max_window_bits=10"},
    {"permessage-deflate; server_max_window_bits=15", "permessage-deflate" S12},
    {"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
     "permessage-deflate; server_no_context_takeover; client_no_context_takeover" S12},
    {"permessage-deflate; server_max_window_bits=8", NULL},
    {"permessage-deflate; server_max_window_bits=8, permessage-deflate", "permessage-deflate" S12},
    {"permessage-deflate; server_max_window_bits", NULL},
    {"permessage-deflate; server_max_window_bits=16", NULL},
    {"permessage-deflate; server_max_window_bits=010", NULL},
    {"permessage-deflate; client_max_window_bits=7", NULL},
    {"permessage-deflate; client_no_context_takeover=1", NULL},
    {"permessage-deflate; client_no_context_takeover; client_no_context_takeover", NULL},
    {"permessage-deflate; mystery", NULL},
    {"permessage-bzip2, permessage-deflate; mystery, , permessage-deflate;\tclient_no_context_takeover",
     "permessage-deflate; client_no_context_takeover" S12},
    {"x; y=\"z\"", NULL},
    {"", NULL},
    {" , ,", NULL},
};

static const char *const MALFORMED[] = {
    "permessage-deflate;", "permessage-deflate; ;", "permessage-deflate x", "; a", "a=b", "a; b=", "a; b=\"c", "a; b=\"\"",
    "a; b=\"c d\"", "permessage-deflate, a; b==c", "a\x7f", "\"a\"",
};

static void offers_and_their_answers(void)
{
    for (size_t i = 0; i < sizeof OFFERS / sizeof *OFFERS; i++) {
        guarded input = guarded_copy(OFFERS[i].offer, strlen(OFFERS[i].offer));
        char text[FS_WS_EXTENSION_TEXT] = "";
        fs_ws_deflate_params params;
        const int agreed = fs_ws_negotiate((fs_slice){input.p, input.n}, &params, text);

        harness_note("%s", OFFERS[i].offer);
        CHECK_INT(agreed, fs_ws_deflate_available && OFFERS[i].answer);
        if (agreed)
            CHECK(strcmp(text, OFFERS[i].answer) == 0);
        guarded_release(&input);
    }
    for (size_t i = 0; i < sizeof MALFORMED / sizeof *MALFORMED; i++) {
        guarded input = guarded_copy(MALFORMED[i], strlen(MALFORMED[i]));
        char text[FS_WS_EXTENSION_TEXT];
        fs_ws_deflate_params params;

        harness_note("%s", MALFORMED[i]);
        CHECK_INT(fs_ws_negotiate((fs_slice){input.p, input.n}, &params, text), FS_E_WS_HANDSHAKE);
        guarded_release(&input);
    }
}

int main(void)
{
    RUN(s4_2_1_the_key_is_sixteen_bytes);
    RUN(s4_4_other_versions);
    RUN(each_is_given_once);
    RUN(rfc_8441_has_no_key);
    RUN(offers_of_several_fields_are_one_list);
    RUN(offers_and_their_answers);
    return harness_end();
}
