#include "h2_head.h"

#include "fields.h"
#include "list.h"
#include "match.h"
#include "method.h"
#include "target.h"
#include "trailer.h"

#include <string.h>

enum { OVERHEAD = 32 }; /* counted for each field in its section's size (RFC 9113 section 6.5.2) */

struct fs_h2_arena {
    fs_slice method, scheme, authority, path, protocol;
    char *bytes;               /* names and values */
    char *crumbs;              /* the cookies, joined into one field (RFC 9113 section 8.2.3) */
    size_t used, eaten;        /* bytes used of each; both have room for all that the limit admits */
    uint64_t total;            /* as SETTINGS_MAX_HEADER_LIST_SIZE counts */
    uint32_t nfields;          /* including the place of Host, which is the first */
    uint32_t cookie;           /* the place of the joined field, or 0 */
    int underscores;           /* a name has one */
    int error;                 /* of its size */
    fs_field fields[];
};

/* ---- life ------------------------------------------------------------------- */

/* The joined cookies are no longer than the crumbs with the overhead of each. */
static fs_h2_arena *new_arena(fs_h2_shared *shared)
{
    const size_t fields = (size_t)shared->limits->max_fields + 1;
    const size_t bytes = shared->limits->h2_max_header_list;
    const size_t before = sizeof(fs_h2_arena) + fields * sizeof(fs_field);
    fs_h2_arena *arena = shared->allocator->resize(shared->allocator->ctx, NULL, before + 2 * bytes);

    if (arena) {
        arena->bytes = (char *)arena + before;
        arena->crumbs = arena->bytes + bytes;
    }
    return arena;
}

int fs_h2_head_begin(fs_h2 *h2)
{
    fs_h2_shared *shared = h2->shared;
    fs_h2_arena *arena = h2->arena ? h2->arena : shared->arena ? shared->arena : new_arena(shared);

    if (!arena)
        return FS_E_NOMEM;
    if (arena == shared->arena)
        shared->arena = NULL;
    h2->arena = arena;
    arena->method = arena->scheme = arena->authority = arena->path = arena->protocol = (fs_slice){NULL, 0};
    arena->used = arena->eaten = 0;
    arena->total = 0;
    arena->nfields = 1;
    arena->cookie = 0;
    arena->underscores = 0;
    arena->error = FS_OK;
    return FS_OK;
}

void fs_h2_head_done(fs_h2 *h2)
{
    fs_h2_shared *shared = h2->shared;

    if (!h2->arena)
        return;
    if (shared->arena)
        shared->allocator->release(shared->allocator->ctx, h2->arena);
    else
        shared->arena = h2->arena;
    h2->arena = NULL;
}

void fs_h2_arena_free(fs_h2_shared *shared)
{
    if (shared->arena)
        shared->allocator->release(shared->allocator->ctx, shared->arena);
    shared->arena = NULL;
}

/* ---- collecting ---------------------------------------------------------------- */

static const char *keep(fs_h2_arena *arena, const char *p, size_t n)
{
    char *kept = arena->bytes + arena->used;

    memcpy(kept, p, n);
    arena->used += n;
    return kept;
}

static fs_slice *pseudo(fs_h2_arena *arena, const char *name, size_t n)
{
    return fs_same(name, n, ":method")      ? &arena->method
           : fs_same(name, n, ":path")      ? &arena->path
           : fs_same(name, n, ":scheme")    ? &arena->scheme
           : fs_same(name, n, ":authority") ? &arena->authority
                                            : &arena->protocol;
}

/* Browsers send a field for each cookie: all of them count as one, also for the limit of fields. */
static void add_crumb(fs_h2_arena *arena, const char *value, size_t n)
{
    fs_field *field = &arena->fields[arena->cookie];

    if (arena->eaten) {
        memcpy(arena->crumbs + arena->eaten, "; ", 2);
        arena->eaten += 2;
    }
    memcpy(arena->crumbs + arena->eaten, value, n);
    arena->eaten += n;
    field->value = arena->crumbs;
    field->value_len = (uint32_t)arena->eaten;
}

static void add_field(fs_h2 *h2, const char *name, size_t name_len, const char *value, size_t value_len)
{
    fs_h2_arena *arena = h2->arena;
    fs_field *field = &arena->fields[arena->nfields];
    const uint32_t id = fs_field_find(name, name_len);
    size_t n;

    if (id == FS_FIELD_COOKIE && arena->cookie) {
        add_crumb(arena, value, value_len);
        return;
    }
    /* Host is one of the fields, as in HTTP/1; if it comes as :authority, it has its place already. */
    if (arena->nfields >= h2->shared->limits->max_fields + (id == FS_FIELD_HOST)) {
        arena->error = FS_E_TOO_MANY_FIELDS;
        return;
    }
    field->id = id;
    if (field->id) {
        field->name = fs_field_name(field->id, &n);
    } else {
        field->name = keep(arena, name, name_len);
        arena->underscores |= memchr(name, '_', name_len) != NULL;
    }
    field->name_len = (uint32_t)name_len;
    if (id == FS_FIELD_COOKIE) {
        arena->cookie = arena->nfields;
        add_crumb(arena, value, value_len);
    } else {
        field->value = keep(arena, value, value_len);
        field->value_len = (uint32_t)value_len;
    }
    arena->nfields++;
}

int fs_h2_head_add(fs_h2 *h2, const char *name, size_t name_len, const char *value, size_t value_len)
{
    fs_h2_arena *arena = h2->arena;
    const uint64_t most = h2->shared->limits->h2_max_header_list;

    if (!arena)
        return FS_OK;
    arena->total += (uint64_t)name_len + value_len + OVERHEAD;
    if (arena->total > most) {
        arena->error = FS_E_HEAD_TOO_LARGE;
        return arena->total > FS_H2_FAR_ABOVE * most ? FS_E_H2_FLOOD : FS_OK;
    }
    if (arena->error)
        return FS_OK;
    if (name[0] == ':')
        *pseudo(arena, name, name_len) = (fs_slice){keep(arena, value, value_len), value_len};
    else
        add_field(h2, name, name_len, value, value_len);
    return FS_OK;
}

/* ---- the whole ------------------------------------------------------------------- */

typedef struct findings {
    const fs_field *host;
    unsigned hosts;
    int64_t length;
    int expects, bad_expectation;
} findings;

/* nghttp2 has checked that it is a number, and given once. */
static int64_t read_length(const fs_field *field)
{
    int64_t length = 0;

    for (uint32_t i = 0; i < field->value_len && length < INT64_MAX / 10 - 10; i++)
        length = length * 10 + (field->value[i] - '0');
    return length;
}

static void look_at(const fs_field *field, fs_request_head *head, findings *found)
{
    switch (field->id) {
    case FS_FIELD_HOST:
        found->hosts++;
        found->host = field;
        break;
    case FS_FIELD_CONTENT_LENGTH:
        found->length = read_length(field);
        break;
    case FS_FIELD_EXPECT:
        found->expects = fs_same(field->value, field->value_len, "100-continue");
        found->bad_expectation = !found->expects;
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

/* Host comes first, from :authority if there is one; both must name the same server (RFC 9113 section 8.3.1). */
static int check_host(fs_h2_arena *arena, fs_request_head *head, const findings *found)
{
    fs_slice host = arena->authority;
    uint32_t kept = 1;

    if (found->hosts > 1)
        return FS_E_H2_MALFORMED;
    if (found->host) {
        const fs_slice said = {found->host->value, found->host->value_len};

        if (host.p && !fs_is_same_host(host, said, arena->scheme))
            return FS_E_H2_MALFORMED;
        host = host.p ? host : said;
        for (uint32_t i = 1; i < arena->nfields; i++)
            if (arena->fields[i].id != FS_FIELD_HOST)
                arena->fields[kept++] = arena->fields[i];
        arena->nfields = kept;
    }
    if (!host.p || !fs_is_host(host.p, host.n))
        return FS_E_BAD_HOST;
    arena->fields[0] = (fs_field){.name = "host", .name_len = 4, .value = host.p, .value_len = (uint32_t)host.n,
                                  .id = FS_FIELD_HOST};
    head->fields = arena->fields;
    head->nfields = arena->nfields;
    return FS_OK;
}

static int check_target(const fs_h2 *h2, const fs_h2_arena *arena, fs_request_head *head)
{
    fs_slice authority;

    if (arena->method.n + arena->path.n > h2->shared->limits->max_request_line)
        return FS_E_TARGET_TOO_LONG;
    if (!arena->path.n || (arena->path.p[0] != '/' && arena->path.p[0] != '*'))
        return FS_E_BAD_TARGET; /* no absolute form: :scheme and :authority are for that */
    head->target = arena->path;
    return fs_check_target(head, &authority);
}

/* An extended CONNECT is a method of its own (RFC 8441 section 4); we speak no other protocol over it. */
static int check_method(fs_h2_stream *stream, const fs_h2_arena *arena, fs_request_head *head, int end)
{
    head->method = arena->method;
    if (!arena->protocol.p || !fs_is_method(arena->method, "CONNECT"))
        return fs_check_method(arena->method, stream->h2->shared->limits);
    if (!fs_same(arena->protocol.p, arena->protocol.n, "websocket"))
        return FS_E_METHOD_UNKNOWN;
    stream->flags |= FS_H2_WEBSOCKET;
    return end ? FS_E_H2_MALFORMED : FS_OK;
}

static void set_flags(fs_h2_stream *stream, fs_request_head *head, const findings *found, int end)
{
    head->content_length = end ? 0 : found->length;
    head->flags |= stream->h2->arena->underscores ? FS_HEAD_UNDERSCORES : 0;
    head->flags |= FS_HEAD_TE_TRAILERS; /* whoever speaks HTTP/2 knows trailers (RFC 9113 section 8.1) */
    if (fs_is_method(head->method, "HEAD"))
        stream->flags |= FS_H2_IS_HEAD;
    if (found->expects && !end) {
        stream->flags |= FS_H2_EXPECTS;
        head->flags |= FS_HEAD_EXPECT_CONTINUE;
    }
    if (stream->flags & FS_H2_WEBSOCKET)
        head->flags |= FS_HEAD_UPGRADE_WEBSOCKET | FS_HEAD_END; /* what follows is the tunnel's */
    else if (end)
        head->flags |= FS_HEAD_END;
}

int fs_h2_head_finish(fs_h2_stream *stream, fs_request_head *head, int end)
{
    fs_h2 *h2 = stream->h2;
    fs_h2_arena *arena = h2->arena;
    const uint64_t most = h2->shared->limits->max_body;
    findings found = {.length = -1};
    int result;

    *head = (fs_request_head){.version = FS_HTTP_2, .content_length = -1};
    if (arena->error)
        return arena->error;
    for (uint32_t i = 1; i < arena->nfields; i++)
        if (arena->fields[i].id - 1 < FS_FIELD_NAMED - 1)
            look_at(&arena->fields[i], head, &found);
    if ((result = check_method(stream, arena, head, end)) < 0 || (result = check_target(h2, arena, head)) < 0 ||
        (result = check_host(arena, head, &found)) < 0)
        return result;
    if (found.bad_expectation)
        return FS_E_EXPECTATION;
    if (most && found.length > 0 && (uint64_t)found.length > most)
        return FS_E_BODY_TOO_LARGE;
    set_flags(stream, head, &found, end);
    return FS_OK;
}

void fs_h2_head_trailers(fs_h2 *h2, const fs_field **fields, uint32_t *n)
{
    fs_h2_arena *arena = h2->arena;
    uint32_t kept = 0;

    *fields = arena->fields;
    for (uint32_t i = 1; i < arena->nfields && !arena->error; i++) {
        const fs_field field = arena->fields[i];

        if (!fs_is_forbidden_trailer(field.id, field.name, field.name_len))
            arena->fields[kept++] = field;
    }
    *n = kept;
}
