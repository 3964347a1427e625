#include "h1_check.h"

#include "fields.h"
#include "h1_input.h"
#include "h1_state.h"
#include "list.h"
#include "match.h"
#include "target.h"
#include "trailer.h"

/* ---- request line ------------------------------------------------------------ */

/* Method SP target SP "HTTP/" version, each once: llhttp also accepts more spaces, and other protocols. */
static int check_request_line(const fs_h1 *h1, fs_request_head *head)
{
    static const char between[] = " HTTP/";
    const size_t gap = sizeof between - 1;
    const char *method_end;

    if (!h1->target || !h1->target_len || !h1->version)
        return FS_E_BAD_REQUEST_LINE;
    method_end = h1->target - 1;
    if (method_end - h1->mark < 1 || method_end[0] != ' ' || method_end[-1] == ' ')
        return FS_E_BAD_REQUEST_LINE;
    if (h1->target + h1->target_len + gap != h1->version || memcmp(h1->version - gap, between, gap) != 0)
        return FS_E_BAD_REQUEST_LINE;
    head->method = (fs_slice){h1->mark, (size_t)(method_end - h1->mark)};
    head->target = (fs_slice){h1->target, h1->target_len};
    return FS_OK;
}

/* ---- fields ---------------------------------------------------------------- */

/* Returns whether the name has an underscore. */
static int lower_name(fs_field *field)
{
    char *name = (char *)(uintptr_t)field->name; /* in the receive buffer or the store, both ours to write */
    int underscore = 0;

    for (uint32_t i = 0; i < field->name_len; i++) {
        underscore |= name[i] == '_';
        name[i] = fs_lower(name[i]);
    }
    return underscore;
}

/* Trims the value's end (llhttp trims its start), lowers the name, sets the id. Whether the name has an underscore. */
static int normalize(fs_field *field)
{
    size_t n;

    while (field->value_len && fs_is_blank(field->value[field->value_len - 1]))
        field->value_len--;
    field->id = fs_field_find(field->name, field->name_len);
    if (!field->id)
        return lower_name(field);
    field->name = fs_field_name(field->id, &n);
    return 0;
}

/* What is left to decide after a look at all fields. */
typedef struct findings {
    fs_field *host;
    unsigned hosts;
    unsigned codings;       /* of Transfer-Encoding, over all fields and lists */
    int chunked;            /* one of them is chunked */
    int bad_coding;         /* one is malformed, or comes after chunked */
    int websocket;
    int error;
} findings;

static int is_coding(fs_slice member)
{
    const char *parameters = memchr(member.p, ';', member.n);
    size_t n = parameters ? (size_t)(parameters - member.p) : member.n;

    while (n && fs_is_blank(member.p[n - 1]))
        n--;
    return fs_is_token(member.p, n);
}

/* RFC 9112 section 6.1: a list of codings, each a token with parameters, with chunked as the last. */
static void look_at_codings(const fs_field *field, findings *found)
{
    fs_slice rest = {field->value, field->value_len};

    found->bad_coding |= !rest.n || rest.p[rest.n - 1] == ',';
    do {
        const fs_slice coding = fs_next_member(&rest);

        found->bad_coding |= found->chunked || !is_coding(coding);
        found->chunked |= fs_same(coding.p, coding.n, "chunked");
        found->codings++;
    } while (rest.n);
}

static void look_at(fs_h1 *h1, fs_request_head *head, fs_field *field, findings *found)
{
    switch (field->id) {
    case FS_FIELD_HOST:
        found->hosts++;
        found->host = field;
        break;
    case FS_FIELD_TRANSFER_ENCODING:
        look_at_codings(field, found);
        break;
    case FS_FIELD_EXPECT: /* ignored in HTTP/1.0: RFC 9110 section 10.1.1 */
        if (fs_same(field->value, field->value_len, "100-continue"))
            h1->flags |= FS_H1_EXPECTS;
        else if (head->version != FS_HTTP_1_0)
            found->error = FS_E_EXPECTATION;
        break;
    case FS_FIELD_UPGRADE:
        found->websocket |= fs_list_has(field->value, field->value_len, "websocket");
        break;
    case FS_FIELD_TE:
        if (fs_list_has(field->value, field->value_len, "trailers"))
            head->flags |= FS_HEAD_TE_TRAILERS;
        break;
    case FS_FIELD_X_FORWARDED_FOR:
    case FS_FIELD_X_FORWARDED_PROTO:
    case FS_FIELD_X_FORWARDED_HOST:
    case FS_FIELD_FORWARDED:
        head->flags |= FS_HEAD_FORWARDED;
        break;
    default:
        break;
    }
}

/* RFC 9112 section 3.2. */
static int check_host(fs_h1 *h1, const fs_request_head *head, const findings *found, fs_slice authority)
{
    fs_field *host = found->host;

    if (found->hosts > 1 || (!host && head->version != FS_HTTP_1_0))
        return FS_E_BAD_HOST;
    if (host && !fs_is_host(host->value, host->value_len))
        return FS_E_BAD_HOST;
    if (!authority.p)
        return FS_OK;
    if (!host) {
        host = fs_h1_new_field(h1);
        if (!host)
            return FS_E_NOMEM;
        *host = (fs_field){.name = "host", .name_len = 4, .id = FS_FIELD_HOST};
    }
    host->value = authority.p;
    host->value_len = (uint32_t)authority.n;
    return FS_OK;
}

/* RFC 9112 section 6; Content-Length with Transfer-Encoding does not come here. */
static int check_framing(fs_h1 *h1, fs_request_head *head, const findings *found)
{
    const uint64_t most = h1->shared->limits->max_body;

    head->content_length = -1;
    if (found->codings) {
        if (head->version == FS_HTTP_1_0 || found->bad_coding)
            return FS_E_BAD_FRAMING;
        if (found->codings > 1 || !found->chunked)
            return FS_E_CODING_UNKNOWN;
        h1->flags |= FS_H1_CHUNKED_BODY;
        return FS_OK;
    }
    if (!(h1->parser.flags & F_CONTENT_LENGTH))
        return FS_OK;
    if (h1->parser.content_length > INT64_MAX)
        return FS_E_BAD_LENGTH;
    if (most && h1->parser.content_length > most)
        return FS_E_BODY_TOO_LARGE;
    head->content_length = (int64_t)h1->parser.content_length;
    h1->body_wanted = h1->parser.content_length;
    return FS_OK;
}

/* RFC 9112 section 9.3. */
static void check_persistence(fs_h1 *h1, const fs_request_head *head)
{
    const uint64_t most = h1->shared->limits->max_requests;
    const uint16_t flags = h1->parser.flags;

    if (flags & F_CONNECTION_CLOSE || (head->version == FS_HTTP_1_0 && !(flags & F_CONNECTION_KEEP_ALIVE))) {
        h1->flags |= FS_H1_PEER_CLOSES;
        fs_h1_keep_on(h1, FS_H1_ON_LAST);
    } else if (most && h1->requests >= most) {
        fs_h1_keep_on(h1, FS_H1_ON_LAST);
    }
}

static void set_flags(fs_h1 *h1, fs_request_head *head, const findings *found)
{
    const int bodiless = !(h1->flags & FS_H1_CHUNKED_BODY) && !h1->body_wanted;

    if (head->version == FS_HTTP_1_0)
        h1->flags |= FS_H1_HTTP_1_0;
    if (bodiless || head->version == FS_HTTP_1_0)
        h1->flags &= ~(uint32_t)FS_H1_EXPECTS;
    if (h1->parser.method == HTTP_HEAD)
        h1->flags |= FS_H1_IS_HEAD;
    if (head->flags & FS_HEAD_TE_TRAILERS)
        h1->flags |= FS_H1_TE_TRAILERS;
    if (found->websocket && bodiless && h1->parser.method == HTTP_GET && head->version == FS_HTTP_1_1 &&
        h1->parser.flags & F_CONNECTION_UPGRADE)
        h1->flags |= FS_H1_WEBSOCKET;
    head->flags |= bodiless ? FS_HEAD_END : 0;
    head->flags |= h1->flags & FS_H1_EXPECTS ? FS_HEAD_EXPECT_CONTINUE : 0;
    head->flags |= h1->flags & FS_H1_WEBSOCKET ? FS_HEAD_UPGRADE_WEBSOCKET : 0;
}

int fs_h1_check_head(fs_h1 *h1, fs_request_head *head)
{
    findings found = {.host = NULL};
    fs_slice authority = {NULL, 0};
    int result;

    head->flags = 0;
    head->version = h1->parser.http_minor ? FS_HTTP_1_1 : FS_HTTP_1_0;
    h1->body_wanted = 0;
    result = check_request_line(h1, head);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < h1->nfields; i++) {
        if (normalize(&h1->fields[i]))
            head->flags |= FS_HEAD_UNDERSCORES;
        if (h1->fields[i].id - 1 < FS_FIELD_NAMED - 1)
            look_at(h1, head, &h1->fields[i], &found);
    }
    if ((result = fs_check_target(head, &authority)) < 0 || (result = check_host(h1, head, &found, authority)) < 0 ||
        (result = check_framing(h1, head, &found)) < 0 || (result = found.error) < 0)
        return result;
    set_flags(h1, head, &found);
    check_persistence(h1, head);
    head->fields = h1->fields;
    head->nfields = h1->nfields;
    return FS_OK;
}

/* ---- trailers -------------------------------------------------------------- */

void fs_h1_check_trailers(fs_h1 *h1)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < h1->nfields; i++) {
        fs_field *field = &h1->fields[i];

        (void)normalize(field);
        if (!fs_is_forbidden_trailer(field->id, field->name, field->name_len))
            h1->fields[kept++] = *field;
    }
    h1->nfields = kept;
}
