#include "h1_head.h"

#include "trailer.h"

#include <string.h>

/* ---- one field -------------------------------------------------------------- */

enum {
    FIELD_EXTRA = sizeof ": \r\n" - 1,
    FIXED = 256 /* the status line with a registered phrase, Date, and the lines that the machine adds */
};

static char *put(char *p, const char *text, size_t n)
{
    memcpy(p, text, n);
    return p + n;
}

static int put_field(char **out, const fs_field *field, uint32_t id, fs_slice value)
{
    char *p = fs_put_name(*out, field, id);

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

    draft->said = (fs_said){.length = -1};
    draft->start = h1->sink->reserve(h1->sink, FIXED + reason.n + fields_size(fields, n) + common->server_len +
                                                   common->extra_len);
    draft->p = draft->start;
    return draft->start ? put_status_line(draft, status, reason) : FS_E_NOMEM;
}

int fs_h1_draft_fields(fs_h1_draft *draft, const fs_field *fields, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t id = fs_field_id(&fields[i]);
        const fs_slice value = fs_value_of(&fields[i]);
        int result = fs_intercept(&draft->said, id, value);

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
    if (common->extra_len) {
        const size_t skipped = draft->said.date ? common->own_date_len : 0;

        draft->p = put(draft->p, common->extra + skipped, common->extra_len - skipped);
    }
}

void fs_h1_draft_commit(fs_h1_draft *draft, fs_h1 *h1)
{
    draft->p = put(draft->p, FS_H1_LINE("\r\n"));
    h1->sink->commit(h1->sink, (size_t)(draft->p - draft->start));
}

/* ---- trailers ------------------------------------------------------------------ */

static int put_trailer(char **p, const fs_field *field)
{
    const uint32_t id = fs_field_id(field);

    if (fs_is_forbidden_trailer(id, field->name, field->name_len))
        return FS_E_APP_TRAILER;
    return put_field(p, field, id, fs_value_of(field));
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
