#include "h1_head.h"

#include "fields.h"
#include "h1_check.h"
#include "match.h"

#include <string.h>

/* ---- one field -------------------------------------------------------------- */

/* A tchar of RFC 9110 section 5.6.2 in lower case, 0 for every other byte. */
static const char NAME[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
    ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|', ['~'] = '~',
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7',
    ['8'] = '8', ['9'] = '9',
    ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h',
    ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p',
    ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w', ['x'] = 'x',
    ['y'] = 'y', ['z'] = 'z',
    ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h',
    ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p',
    ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x',
    ['Y'] = 'y', ['Z'] = 'z',
};

enum {
    FIELD_EXTRA = sizeof ": \r\n" - 1,
    FIXED = 256 /* the status line with a registered phrase, Date, and the lines that the machine adds */
};

static char *put(char *p, const char *text, size_t n)
{
    memcpy(p, text, n);
    return p + n;
}

/* The name in lower case, or NULL when it is no token. A name with an id is in the table, which is lower-case. */
static char *put_name(char *p, const fs_field *field, uint32_t id)
{
    unsigned bad = field->name_len == 0;

    if (id) {
        size_t n;
        const char *name = fs_field_name(id, &n);

        return put(p, name, n);
    }
    for (uint32_t i = 0; i < field->name_len; i++) {
        const char c = NAME[(uint8_t)field->name[i]];

        bad |= !c;
        p[i] = c;
    }
    return bad ? NULL : p + field->name_len;
}

/* Blanks around a value are not part of it (RFC 9110 section 5.5). */
static fs_slice value_of(const fs_field *field)
{
    fs_slice value = {field->value, field->value_len};

    while (value.n && fs_is_blank(value.p[value.n - 1]))
        value.n--;
    while (value.n && fs_is_blank(value.p[0]))
        value.p++, value.n--;
    return value;
}

static int put_field(char **out, const fs_field *field, uint32_t id, fs_slice value)
{
    char *p = put_name(*out, field, id);

    if (!p)
        return FS_E_APP_FIELD_NAME;
    if (!fs_is_field_value(value.p, value.n))
        return FS_E_APP_FIELD_VALUE;
    *p++ = ':';
    *p++ = ' ';
    if (value.n)
        p = put(p, value.p, value.n);
    *p++ = '\r';
    *p++ = '\n';
    *out = p;
    return FS_OK;
}

static uint32_t id_of(const fs_field *field)
{
    if (field->id || !field->name_len)
        return field->id;
    return fs_field_find(field->name, field->name_len);
}

/* RFC 9110 section 8.6; a second one must agree with the first. */
static int say_length(fs_h1_said *said, fs_slice value)
{
    int64_t length = 0;

    if (!value.n || value.n > 18)
        return FS_E_APP_LENGTH;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return FS_E_APP_LENGTH;
        length = length * 10 + (value.p[i] - '0');
    }
    if (said->length >= 0 && said->length != length)
        return FS_E_APP_LENGTH;
    said->length = length;
    return FS_OK;
}

/* A field that is not passed on as it is: 1. FS_OK: it is. */
static int intercept(fs_h1_said *said, uint32_t id, fs_slice value)
{
    switch (id) {
    case FS_FIELD_CONTENT_LENGTH:
        return say_length(said, value) < 0 ? FS_E_APP_LENGTH : 1;
    case FS_FIELD_CONNECTION:
        said->close |= fs_h1_list_has(value.p, value.n, "close");
        return 1;
    case FS_FIELD_TRANSFER_ENCODING:
    case FS_FIELD_KEEP_ALIVE:
    case FS_FIELD_PROXY_CONNECTION:
    case FS_FIELD_UPGRADE:
    case FS_FIELD_TE:
        return 1;
    case FS_FIELD_DATE:
        said->date = 1;
        return 0;
    case FS_FIELD_SERVER:
        said->server = 1;
        return 0;
    default:
        return 0;
    }
}

/* ---- a head ------------------------------------------------------------------ */

static size_t fields_size(const fs_field *fields, uint32_t n)
{
    size_t size = 0;

    for (uint32_t i = 0; i < n; i++)
        size += (size_t)fields[i].name_len + fields[i].value_len + FIELD_EXTRA;
    return size;
}

static const char OK_LINE[] = "HTTP/1.1 200 OK\r\n";

static int put_status_line(fs_h1_draft *draft, int status, fs_slice reason)
{
    char *p = draft->p;

    if (status == 200 && !reason.n) {
        draft->p = put(p, OK_LINE, sizeof OK_LINE - 1);
        return FS_OK;
    }
    if (!reason.n)
        reason = fs_reason_phrase(status);
    else if (!fs_is_field_value(reason.p, reason.n))
        return FS_E_APP_STATUS;
    p = put(p, FS_H1_LINE("HTTP/1.1 "));
    *p++ = (char)('0' + status / 100);
    *p++ = (char)('0' + status / 10 % 10);
    *p++ = (char)('0' + status % 10);
    *p++ = ' ';
    p = put(p, reason.p, reason.n);
    draft->p = put(p, FS_H1_LINE("\r\n"));
    return FS_OK;
}

int fs_h1_draft_begin(fs_h1_draft *draft, fs_h1 *h1, int status, fs_slice reason, const fs_field *fields, uint32_t n)
{
    const fs_head_common *common = h1->shared->common;

    draft->said = (fs_h1_said){.length = -1};
    draft->start = h1->sink->reserve(h1->sink, FIXED + reason.n + fields_size(fields, n) + common->server_len +
                                                   common->extra_len);
    draft->p = draft->start;
    return draft->start ? put_status_line(draft, status, reason) : FS_E_NOMEM;
}

int fs_h1_draft_fields(fs_h1_draft *draft, const fs_field *fields, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t id = id_of(&fields[i]);
        const fs_slice value = value_of(&fields[i]);
        int result = intercept(&draft->said, id, value);

        if (result == 0)
            result = put_field(&draft->p, &fields[i], id, value);
        if (result < 0)
            return result;
    }
    return FS_OK;
}

void fs_h1_draft_line(fs_h1_draft *draft, const char *line, size_t n)
{
    draft->p = put(draft->p, line, n);
}

void fs_h1_draft_length(fs_h1_draft *draft, uint64_t length)
{
    draft->p = put(draft->p, FS_H1_LINE("content-length: "));
    draft->p += fs_decimal(draft->p, length);
    draft->p = put(draft->p, FS_H1_LINE("\r\n"));
}

void fs_h1_draft_common(fs_h1_draft *draft, const fs_head_common *common)
{
    if (!draft->said.date) {
        memcpy(draft->p, common->date, sizeof common->date); /* a fixed size is faster; FIXED leaves the room */
        draft->p += common->date_len;
    }
    if (!draft->said.server && common->server_len)
        draft->p = put(draft->p, common->server, common->server_len);
    if (common->extra_len)
        draft->p = put(draft->p, common->extra, common->extra_len);
}

void fs_h1_draft_commit(fs_h1_draft *draft, fs_h1 *h1)
{
    draft->p = put(draft->p, FS_H1_LINE("\r\n"));
    h1->sink->commit(h1->sink, (size_t)(draft->p - draft->start));
}

/* ---- trailers ------------------------------------------------------------------ */

static int put_trailer(char **p, const fs_field *field)
{
    const uint32_t id = id_of(field);

    if (fs_h1_forbidden_trailer(id, field->name, field->name_len))
        return FS_E_APP_TRAILER;
    return put_field(p, field, id, value_of(field));
}

int fs_h1_put_trailers(fs_h1 *h1, fs_slice before, const fs_field *fields, uint32_t n, fs_slice after)
{
    const size_t size = before.n + fields_size(fields, n) + after.n;
    char *start, *p;

    if (!size)
        return FS_OK;
    start = h1->sink->reserve(h1->sink, size);
    if (!start)
        return FS_E_NOMEM;
    p = put(start, before.p, before.n);
    for (uint32_t i = 0; i < n; i++) {
        const int result = put_trailer(&p, &fields[i]);

        if (result < 0)
            return result;
    }
    p = put(p, after.p, after.n);
    h1->sink->commit(h1->sink, (size_t)(p - start));
    return FS_OK;
}
