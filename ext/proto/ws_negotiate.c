#include "ws_deflate.h"

#include "error.h"
#include "match.h"
#include "head.h"

#include <stdio.h>

/* ---- the list (RFC 6455 section 9.1) ------------------------------------------- */

typedef struct cursor {
    const char *p, *end;
} cursor;

static void skip_blanks(cursor *at)
{
    while (at->p < at->end && fs_is_blank(*at->p))
        at->p++;
}

static int take(cursor *at, char c)
{
    skip_blanks(at);
    if (at->p == at->end || *at->p != c)
        return 0;
    at->p++;
    skip_blanks(at);
    return 1;
}

static int ends_token(char c)
{
    return fs_is_blank(c) || c == ',' || c == ';' || c == '=' || c == '"';
}

static int take_token(cursor *at, fs_slice *token)
{
    token->p = at->p;
    while (at->p < at->end && !ends_token(*at->p))
        at->p++;
    token->n = (size_t)(at->p - token->p);
    return token->n && fs_is_token(token->p, token->n) ? FS_OK : FS_E_WS_HANDSHAKE;
}

/* A token, which may be quoted. The unquoted value has to be a token too, so no escape is allowed. */
static int take_value(cursor *at, fs_slice *value)
{
    int result;

    if (!take(at, '"'))
        return take_token(at, value);
    result = take_token(at, value);
    return result == FS_OK && at->p < at->end && *at->p++ == '"' ? FS_OK : FS_E_WS_HANDSHAKE;
}

/* ---- an offer of permessage-deflate (RFC 7692 section 7.1) ---------------------- */

enum {
    SERVER_NO_TAKEOVER = 1 << 0,
    CLIENT_NO_TAKEOVER = 1 << 1,
    SERVER_BITS = 1 << 2,
    CLIENT_BITS = 1 << 3,
    DECLINED = 1 << 4      /* something in it is unknown, given twice or out of range */
};

typedef struct offer {
    unsigned said;
    unsigned server_bits, client_bits;
} offer;

/* 8 to 15, without a leading zero; 0 for anything else. */
static unsigned window_bits(fs_slice value)
{
    if (value.n == 1 && (value.p[0] == '8' || value.p[0] == '9'))
        return (unsigned)(value.p[0] - '0');
    if (value.n == 2 && value.p[0] == '1' && value.p[1] >= '0' && value.p[1] <= '5')
        return 10u + (unsigned)(value.p[1] - '0');
    return 0;
}

static unsigned say(offer *offer, fs_slice name, int has_value, fs_slice value)
{
    if (fs_same(name.p, name.n, "server_no_context_takeover"))
        return has_value ? DECLINED : SERVER_NO_TAKEOVER;
    if (fs_same(name.p, name.n, "client_no_context_takeover"))
        return has_value ? DECLINED : CLIENT_NO_TAKEOVER;
    if (fs_same(name.p, name.n, "server_max_window_bits")) {
        offer->server_bits = has_value ? window_bits(value) : 0;
        return offer->server_bits > 8 ? SERVER_BITS : DECLINED; /* zlib compresses with 9 and more */
    }
    if (fs_same(name.p, name.n, "client_max_window_bits")) {
        offer->client_bits = has_value ? window_bits(value) : 15;
        return offer->client_bits ? CLIENT_BITS : DECLINED;
    }
    return DECLINED;
}

static int read_parameters(cursor *at, offer *offer)
{
    fs_slice name, value = {NULL, 0};

    while (take(at, ';')) {
        int has_value, result = take_token(at, &name);
        unsigned said;

        if (result < 0)
            return result;
        has_value = take(at, '=');
        if (has_value && (result = take_value(at, &value)) < 0)
            return result;
        said = say(offer, name, has_value, value);
        offer->said |= said & offer->said ? DECLINED : said;
    }
    return FS_OK;
}

/* ---- the answer ------------------------------------------------------------------- */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Our window is small in any case; we say so, so that the client needs no larger one (section 7.1.2.1). We can choose
 * the client's window only if it says that it can choose (section 7.1.2.2). */
static void agree(const offer *offer, fs_ws_deflate_params *params, char text[FS_WS_EXTENSION_TEXT])
{
    const int client = (offer->said & CLIENT_BITS) != 0;
    char client_bits[sizeof "; client_max_window_bits=15"] = "";

    params->server_bits = (uint8_t)least(offer->said & SERVER_BITS ? offer->server_bits : 15, FS_WS_WINDOW_BITS);
    params->client_bits = (uint8_t)(client ? least(offer->client_bits, FS_WS_WINDOW_BITS) : 15);
    params->server_no_takeover = (offer->said & SERVER_NO_TAKEOVER) != 0;
    params->client_no_takeover = (offer->said & CLIENT_NO_TAKEOVER) != 0;
    if (client)
        snprintf(client_bits, sizeof client_bits, "; client_max_window_bits=%u", params->client_bits % 100u);
    snprintf(text, FS_WS_EXTENSION_TEXT, "permessage-deflate%s%s; server_max_window_bits=%u%s",
             params->server_no_takeover ? "; server_no_context_takeover" : "",
             params->client_no_takeover ? "; client_no_context_takeover" : "", params->server_bits % 100u, client_bits);
}

int fs_ws_negotiate(fs_slice offers, fs_ws_deflate_params *params, char text[FS_WS_EXTENSION_TEXT])
{
    cursor at = {offers.p, offers.p + offers.n};
    int agreed = 0;
    fs_slice name;

    do {
        offer offer = {.said = 0};
        int result;

        skip_blanks(&at);
        if (at.p == at.end || *at.p == ',')
            continue; /* an empty element: RFC 9110 section 5.6.1.2 */
        if ((result = take_token(&at, &name)) < 0 || (result = read_parameters(&at, &offer)) < 0)
            return result;
        if (agreed || !fs_ws_deflate_available || offer.said & DECLINED || !fs_same(name.p, name.n, "permessage-deflate"))
            continue;
        agree(&offer, params, text);
        agreed = 1;
    } while (take(&at, ','));
    return at.p == at.end ? agreed : FS_E_WS_HANDSHAKE;
}
