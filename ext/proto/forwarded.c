#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memrchr(3) */
#endif

#include "forwarded.h"

#include "fields.h"
#include "match.h"

/* ---- the lists -------------------------------------------------------------- */

/* The fields are found by their ids, which follow one another in the enum of fields.h. */
enum { FOR, PROTO, HOST, LISTS };

_Static_assert(FS_FIELD_X_FORWARDED_PROTO - FS_FIELD_X_FORWARDED_FOR == PROTO &&
               FS_FIELD_X_FORWARDED_HOST - FS_FIELD_X_FORWARDED_FOR == HOST, "a list is found by a subtraction");

/* A list that is read from its end: the rest of the present line, and the lines before it. */
typedef struct list {
    const fs_field *first;        /* NULL: no list */
    const fs_field *line;
    uint32_t left;                /* bytes of the line */
} list;

static void find(const fs_field *fields, uint32_t n, list lists[LISTS])
{
    for (uint32_t kind = 0; kind < LISTS; kind++)
        lists[kind].first = NULL;
    for (const fs_field *field = fields; field < fields + n; field++) {
        const uint32_t kind = field->id - FS_FIELD_X_FORWARDED_FOR;

        if (kind >= LISTS)
            continue;
        if (!lists[kind].first)
            lists[kind].first = field;
        lists[kind].line = field;
        lists[kind].left = field->value_len;
    }
}

/* Goes to the line before the present one; 0 if that is the first. */
static int line_before(list *lines)
{
    const uint32_t id = lines->line->id;

    while (lines->line > lines->first) {
        if ((--lines->line)->id == id) {
            lines->left = lines->line->value_len;
            return 1;
        }
    }
    return 0;
}

/* Takes the last element off, without the blanks around it; skips empty ones (RFC 9110 section 5.6.1). */
static int take_last(list *lines, fs_slice *element)
{
    if (!lines->first)
        return 0;
    while (lines->left || line_before(lines)) {
        const char *value = lines->line->value, *comma = memrchr(value, ',', lines->left);
        uint32_t end = lines->left, start = comma ? (uint32_t)(comma - value) + 1 : 0;

        lines->left = comma ? start - 1 : 0;
        while (start < end && fs_is_blank(value[end - 1]))
            end--;
        while (start < end && fs_is_blank(value[start]))
            start++;
        if (start < end) {
            *element = (fs_slice){value + start, end - start};
            return 1;
        }
    }
    return 0;
}

/* The element at this distance from the end, or the first of a shorter list; 0 if the list is empty. */
static int at_distance(list *lines, uint32_t distance, fs_slice *element)
{
    if (!take_last(lines, element))
        return 0;
    while (distance-- && take_last(lines, element))
        ;
    return 1;
}

/* ---- their elements --------------------------------------------------------- */

static int is_digit(char c)
{
    return (uint8_t)(c - '0') < 10;
}

/* Reads exactly one to five digits; not more than 65535. */
static int read_port(const char *p, size_t n, uint32_t *port)
{
    *port = 0;
    if (n == 0 || n > 5)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(p[i]))
            return 0;
        *port = *port * 10 + (uint32_t)(p[i] - '0');
    }
    return 1;
}

/* `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`. */
static int read_hop(fs_slice text, fs_ip *ip, uint16_t *port)
{
    const char *colon = memchr(text.p, ':', text.n), *end = text.p + text.n;
    fs_slice host = text;
    uint32_t number = 0;

    if (text.p[0] == '[') {
        const char *bracket = memchr(text.p, ']', text.n);

        if (!bracket)
            return 0;
        host = (fs_slice){text.p + 1, (size_t)(bracket - text.p) - 1};
        colon = bracket + 1 < end ? bracket + 1 : NULL;
        if (colon && *colon != ':')
            return 0;
    } else if (colon) {
        if (memchr(colon + 1, ':', (size_t)(end - colon) - 1))
            colon = NULL; /* an IPv6 address without a port */
        else
            host.n = (size_t)(colon - text.p);
    }
    if (colon && (!read_port(colon + 1, (size_t)(end - colon) - 1, &number) || number > UINT16_MAX))
        return 0;
    *port = (uint16_t)number;
    return fs_ip_read(host.p, host.n, ip);
}

static uint32_t read_client(const fs_trusted *trusted, list *hops, fs_forwarded *said)
{
    uint32_t distance = 0;
    fs_slice text;
    fs_ip ip;
    uint16_t port;

    for (uint32_t position = 0; take_last(hops, &text) && read_hop(text, &ip, &port); position++) {
        said->client = ip;
        said->port = port;
        said->has_client = 1;
        distance = position;
        if (!fs_trusted_has(trusted, &ip))
            break;
    }
    return distance;
}

/* ws and wss: as some proxies (Traefik) say it of a WebSocket's request. */
static fs_forwarded_scheme read_scheme(fs_slice text)
{
    if (fs_same(text.p, text.n, "https") || fs_same(text.p, text.n, "wss"))
        return FS_FORWARDED_HTTPS;
    if (fs_same(text.p, text.n, "http") || fs_same(text.p, text.n, "ws"))
        return FS_FORWARDED_HTTP;
    return FS_FORWARDED_NO_SCHEME;
}

enum { NAME = 1, IN_BRACKETS = 2, BOTH = NAME | IN_BRACKETS };

static const uint8_t CLASS[256] = {
    ['-'] = NAME, ['.'] = BOTH, ['0' ... '9'] = BOTH, [':'] = IN_BRACKETS, ['A' ... 'F'] = BOTH, ['G' ... 'Z'] = NAME,
    ['_'] = NAME, ['a' ... 'f'] = BOTH, ['g' ... 'z'] = NAME,
};

static const char *skip(const char *p, const char *end, uint8_t class)
{
    while (p < end && CLASS[(uint8_t)*p] & class)
        p++;
    return p;
}

/* A name, an IPv4 address or an IPv6 address in brackets; perhaps a port. */
static int is_host(fs_slice text)
{
    const int bracketed = text.p[0] == '[';
    const char *start = text.p + bracketed, *end = text.p + text.n;
    const char *p = skip(start, end, bracketed ? IN_BRACKETS : NAME);
    uint32_t port;

    if (p == start || (bracketed && (p == end || *p++ != ']')))
        return 0;
    return p == end || (*p == ':' && read_port(p + 1, (size_t)(end - p) - 1, &port));
}

void fs_forwarded_read(const fs_trusted *trusted, const fs_field *fields, uint32_t n, fs_forwarded *said)
{
    list lists[LISTS];
    uint32_t distance;
    fs_slice text;

    *said = (fs_forwarded){.host = {"", 0}};
    find(fields, n, lists);
    distance = read_client(trusted, &lists[FOR], said);
    if (at_distance(&lists[PROTO], distance, &text))
        said->scheme = read_scheme(text);
    if (at_distance(&lists[HOST], distance, &text) && is_host(text))
        said->host = text;
}
