#include "target.h"

#include "match.h"
#include "method.h"

/* ---- classes of bytes ---------------------------------------------------- */

enum {
    TARGET = 1,        /* allowed in a target */
    PLAIN = 2,         /* likewise, and a path of only these needs no decoding */
    REG_NAME = 4,      /* RFC 3986 section 3.2.2, without percent */
    LITERAL = 8        /* inside the brackets of an IP literal */
};

#define ANY (TARGET | PLAIN | REG_NAME | LITERAL)

/* A target may hold characters such as "|", which no URI has but many clients send;
 * no bytes above 0x7f, which llhttp refuses too. '?' ends a path. */
static const uint8_t CLASS[256] = {
    ['!'] = ANY, ['"'] = TARGET | PLAIN, ['$'] = ANY, ['%'] = TARGET, ['&' ... ','] = ANY,
    ['-' ... '.'] = ANY, ['/'] = TARGET | PLAIN, ['0' ... '9'] = ANY, [':'] = TARGET | PLAIN | LITERAL,
    [';'] = ANY, ['<'] = TARGET | PLAIN, ['='] = ANY, ['>'] = TARGET | PLAIN, ['?'] = TARGET,
    ['@'] = TARGET | PLAIN, ['A' ... 'Z'] = ANY, ['['] = TARGET | PLAIN, ['\\'] = TARGET | PLAIN,
    [']'] = TARGET | PLAIN, ['^'] = TARGET | PLAIN, ['_'] = ANY, ['`'] = TARGET | PLAIN, ['a' ... 'z'] = ANY,
    ['{' ... '}'] = TARGET | PLAIN, ['~'] = ANY,
};

static size_t span_of(const char *p, size_t n, uint8_t class)
{
    const char *at = p, *end = p + n;

    while (at < end && CLASS[(uint8_t)*at] & class)
        at++;
    return (size_t)(at - p);
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- Host -------------------------------------------------------------------- */

static int is_port(const char *p, size_t n)
{
    unsigned port = 0;

    if (n > 5)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(p[i]))
            return 0;
        port = port * 10 + (unsigned)(p[i] - '0');
    }
    return port <= 65535;
}

static int is_hex(char c)
{
    return is_digit(c) || (fs_lower(c) >= 'a' && fs_lower(c) <= 'f');
}

/* Length of a reg-name or IPv4 address at p. */
static size_t reg_name(const char *p, size_t n)
{
    size_t i = 0;

    for (;;) {
        i += span_of(p + i, n - i, REG_NAME);
        if (n - i < 3 || p[i] != '%' || !is_hex(p[i + 1]) || !is_hex(p[i + 2]))
            return i;
        i += 3;
    }
}

/* Length of "[...]" at p, 0 if there is none. */
static size_t ip_literal(const char *p, size_t n)
{
    const size_t inside = span_of(p + 1, n - 1, LITERAL);

    return inside && inside + 1 < n && p[inside + 1] == ']' ? inside + 2 : 0;
}

int fs_is_host(const char *p, size_t n)
{
    size_t i;

    if (n && p[0] == '[') {
        i = ip_literal(p, n);
        if (!i)
            return 0;
    } else {
        i = reg_name(p, n);
    }
    return i == n || (p[i] == ':' && is_port(p + i + 1, n - i - 1));
}

static unsigned hex_of(char c)
{
    return is_digit(c) ? (unsigned)(c - '0') : (unsigned)(fs_lower(c) - 'a') + 10;
}

static int is_unreserved(char c)
{
    return is_digit(c) || (fs_lower(c) >= 'a' && fs_lower(c) <= 'z') || c == '-' || c == '.' || c == '_' || c == '~';
}

/* The next byte of a host, ignoring case; a byte that has to be escaped, and is, differs from the plain one. */
static unsigned next_byte(fs_slice *host)
{
    unsigned c = (uint8_t)fs_lower(host->p[0]);
    size_t taken = 1;

    if (c == '%') {
        c = hex_of(host->p[1]) << 4 | hex_of(host->p[2]);
        c = is_unreserved((char)c) ? (uint8_t)fs_lower((char)c) : c | 0x100;
        taken = 3;
    }
    host->p += taken;
    host->n -= taken;
    return c;
}

/* Takes the port off the host; returns the scheme's default if it is missing or empty. */
static unsigned take_port(fs_slice *host, fs_slice scheme)
{
    const char *bracket = memchr(host->p, ']', host->n);
    const char *from = bracket ? bracket : host->p;
    const char *colon = memchr(from, ':', host->n - (size_t)(from - host->p));
    const char *end = host->p + host->n;
    unsigned port = 0;

    if (colon)
        host->n = (size_t)(colon - host->p);
    if (!colon || colon + 1 == end)
        return fs_same(scheme.p, scheme.n, "https") ? 443 : fs_same(scheme.p, scheme.n, "http") ? 80 : 0;
    for (const char *p = colon + 1; p < end; p++)
        port = port * 10 + (unsigned)(*p - '0');
    return port;
}

int fs_is_same_host(fs_slice a, fs_slice b, fs_slice scheme)
{
    if (!fs_is_host(a.p, a.n) || !fs_is_host(b.p, b.n) || take_port(&a, scheme) != take_port(&b, scheme))
        return 0;
    while (a.n && b.n)
        if (next_byte(&a) != next_byte(&b))
            return 0;
    return !a.n && !b.n;
}

/* ---- target ------------------------------------------------------------------ */

/* Splits a path and query that begin with a slash or a question mark, or are empty. */
static int split_path(fs_request_head *head, const char *p, size_t n)
{
    size_t i = span_of(p, n, PLAIN);

    if (i < n && p[i] != '?') {
        head->flags |= FS_HEAD_ESCAPED;
        while (i < n && p[i] != '?' && CLASS[(uint8_t)p[i]] & TARGET)
            i++;
    }
    head->path = i ? (fs_slice){p, i} : (fs_slice){"/", 1};
    head->query = (fs_slice){p + i, 0};
    if (i == n)
        return FS_OK;
    if (p[i] != '?')
        return FS_E_BAD_TARGET;
    head->query = (fs_slice){p + i + 1, n - i - 1};
    return span_of(head->query.p, head->query.n, TARGET) == head->query.n ? FS_OK : FS_E_BAD_TARGET;
}

/* RFC 9112 section 3.2.2; *authority, and not Host, is where the request goes. */
static int absolute_form(fs_request_head *head, fs_slice *authority)
{
    const char *p = head->target.p;
    const size_t n = head->target.n;
    const size_t scheme = fs_starts(p, n, "http://") ? 7 : fs_starts(p, n, "https://") ? 8 : 0;
    size_t end = scheme;

    if (!scheme)
        return FS_E_BAD_TARGET;
    while (end < n && p[end] != '/' && p[end] != '?')
        end++;
    *authority = (fs_slice){p + scheme, end - scheme};
    if (!authority->n || authority->p[0] == ':' || !fs_is_host(authority->p, authority->n))
        return FS_E_BAD_TARGET;
    return split_path(head, p + end, n - end);
}

int fs_check_target(fs_request_head *head, fs_slice *authority)
{
    const fs_slice target = head->target;

    if (target.p[0] == '/')
        return split_path(head, target.p, target.n);
    if (target.n == 1 && target.p[0] == '*') {
        head->path = target;
        head->query = (fs_slice){target.p + 1, 0};
        return fs_is_method(head->method, "OPTIONS") ? FS_OK : FS_E_BAD_TARGET;
    }
    return absolute_form(head, authority);
}
