/*
 * Invariant: what is read from the end of the lists is what somebody finds who
 * takes them apart from the beginning and keeps every element; an address is
 * one for inet_pton(3) too, and comes back from its text.
 *
 * Input: the trusted peers in a line, separated by blanks, then fields, each
 * in a line: f, p or h for -For, -Proto or -Host (anything else for another
 * one), and the value.
 */

#include "harness.h"

#include "proto/error.h"
#include "proto/fields.h"
#include "proto/forwarded.h"

#include <arpa/inet.h>
#include <strings.h>

enum { FIELDS = 32, ELEMENTS = 4096 };

static const uint32_t IDS[] = {FS_FIELD_X_FORWARDED_FOR, FS_FIELD_X_FORWARDED_PROTO, FS_FIELD_X_FORWARDED_HOST};

static fs_field fields[FIELDS];
static guarded values[FIELDS];
static uint32_t nfields;

static void check_address(const char *p, size_t n)
{
    char text[64], written[FS_IP_TEXT];
    guarded input = guarded_copy(p, n);
    fs_ip ip, again;
    uint8_t theirs[16];
    const int read = fs_ip_read(input.p, n, &ip);

    if (n < sizeof text && !memchr(p, 0, n)) {
        memcpy(text, p, n);
        text[n] = '\0';
        CHECK_INT(read, inet_pton(AF_INET, text, theirs) == 1 || inet_pton(AF_INET6, text, theirs) == 1);
    } else {
        CHECK(!read);
    }
    if (read) {
        const size_t length = fs_ip_write(&ip, written);

        CHECK(length < FS_IP_TEXT && fs_ip_read(written, length, &again) && fs_ip_equal(&ip, &again));
    }
    guarded_release(&input);
}

static void trust(fs_trusted *trusted, const char *p, size_t n)
{
    fs_trusted_init(trusted, &fs_system_allocator);
    while (n > 0) {
        const char *blank = memchr(p, ' ', n);
        const size_t length = blank ? (size_t)(blank - p) : n;
        guarded peer = guarded_copy(p, length);

        CHECK(fs_trusted_add(trusted, peer.p, length) >= 0);
        guarded_release(&peer);
        n -= length + (blank != NULL);
        p += length + (blank != NULL);
    }
    fs_trusted_sort(trusted);
    for (uint32_t i = 1; i < trusted->n; i++)
        CHECK(i == trusted->n_v4 || trusted->networks[i - 1].high < trusted->networks[i].high ||
              (trusted->networks[i - 1].high == trusted->networks[i].high && trusted->networks[i - 1].low < trusted->networks[i].low));
}

static void add_field(const char *p, size_t n)
{
    const int kind = n == 0 ? -1 : p[0] == 'f' ? 0 : p[0] == 'p' ? 1 : p[0] == 'h' ? 2 : -1;

    if (nfields == FIELDS)
        return;
    values[nfields] = guarded_copy(p + (n > 0), n - (n > 0));
    fields[nfields] = (fs_field){"x", values[nfields].p, 1, (uint32_t)values[nfields].n, kind < 0 ? FS_FIELD_UNKNOWN : IDS[kind]};
    nfields++;
}

/* ---- from the beginning ------------------------------------------------------- */

static uint32_t elements_of(uint32_t id, fs_slice elements[ELEMENTS])
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < nfields; i++) {
        const char *p = fields[i].value, *end = p + fields[i].value_len;

        while (fields[i].id == id && p <= end) {
            const char *stop = p, *last;

            while (stop < end && *stop != ',')
                stop++;
            last = stop;
            while (p < last && (*p == ' ' || *p == '\t'))
                p++;
            while (p < last && (last[-1] == ' ' || last[-1] == '\t'))
                last--;
            if (p < last && count < ELEMENTS)
                elements[count++] = (fs_slice){p, (size_t)(last - p)};
            p = stop + 1;
        }
    }
    return count;
}

/* A port is what stands behind the last colon, if that is the only one or stands behind a bracket. */
static int hop(fs_slice text, fs_ip *ip, long *port)
{
    char copy[64], *host = copy, *colon, *bracket;

    if (text.n >= sizeof copy || memchr(text.p, 0, text.n))
        return 0;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    *port = 0;
    colon = strrchr(copy, ':');
    bracket = copy[0] == '[' ? strchr(copy, ']') : NULL;
    if (copy[0] == '[') {
        if (!bracket || (bracket[1] != '\0' && colon != bracket + 1))
            return 0;
        if (bracket[1] == '\0')
            colon = NULL;
        *bracket = '\0';
        host = copy + 1;
    } else if (colon && colon != strchr(copy, ':')) {
        colon = NULL;
    }
    if (colon) {
        const size_t digits = strspn(colon + 1, "0123456789");

        if (digits == 0 || digits > 5 || colon[1 + digits] != '\0' || (*port = atol(colon + 1)) > 65535)
            return 0;
        *colon = '\0';
    }
    return fs_ip_read(host, strlen(host), ip);
}

static fs_slice at(const fs_slice *elements, uint32_t count, uint32_t distance)
{
    return count == 0 ? (fs_slice){"", 0} : elements[distance < count ? count - 1 - distance : 0];
}

static void check_said(const fs_trusted *trusted, const fs_forwarded *said)
{
    static fs_slice elements[ELEMENTS];
    uint32_t count = elements_of(IDS[0], elements), distance = 0;
    int found = 0;
    fs_ip ip, client;
    long port, client_port = 0;
    fs_slice text;

    for (uint32_t i = count; i > 0 && hop(elements[i - 1], &ip, &port); i--) {
        found = 1, client = ip, client_port = port, distance = count - i;
        if (!fs_trusted_has(trusted, &ip))
            break;
    }
    CHECK_INT(said->has_client, found);
    if (found)
        CHECK(fs_ip_equal(&said->client, &client) && said->port == client_port);
    count = elements_of(IDS[1], elements);
    text = at(elements, count, distance);
    CHECK_INT(said->scheme != FS_FORWARDED_NO_SCHEME,
              (text.n == 5 && strncasecmp(text.p, "https", 5) == 0) || (text.n == 4 && strncasecmp(text.p, "http", 4) == 0) ||
                  (text.n == 3 && strncasecmp(text.p, "wss", 3) == 0) || (text.n == 2 && strncasecmp(text.p, "ws", 2) == 0));
    CHECK_INT(said->scheme == FS_FORWARDED_HTTPS, said->scheme && (text.p[text.n - 1] | 0x20) == 's' && text.n != 2);
    count = elements_of(IDS[2], elements);
    text = at(elements, count, distance);
    if (said->host.n)
        CHECK(said->host.p == text.p && said->host.n == text.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data, *end = p + size, *line = size ? memchr(p, '\n', size) : NULL;
    fs_trusted trusted;
    fs_forwarded said;

    check_address(p, line ? (size_t)(line - p) : size);
    trust(&trusted, p, line ? (size_t)(line - p) : size);
    for (nfields = 0; line; ) {
        const char *start = line + 1;

        line = start < end ? memchr(start, '\n', (size_t)(end - start)) : NULL;
        add_field(start, (size_t)((line ? line : end) - start));
    }
    fs_forwarded_read(&trusted, fields, nfields, &said);
    check_said(&trusted, &said);
    for (uint32_t i = 0; i < nfields; i++)
        guarded_release(&values[i]);
    fs_trusted_free(&trusted);
    return 0;
}
