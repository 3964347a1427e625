#ifndef FS_TEST_H1_FIXTURE_H
#define FS_TEST_H1_FIXTURE_H

#include "harness.h"

#include "proto/fields.h"
#include "proto/h1.h"

/* One connection machine over a sink that records, for tests that answer by hand. */

enum { SINK_ROOM = 1 << 17 };

static struct machine {
    fs_limits limits;
    fs_head_common common;
    fs_h1_shared shared;
    fs_budget memory;
    fs_h1 h1;
    struct {
        fs_sink base;      /* first */
        char bytes[SINK_ROOM];
        size_t n, reserved;
        unsigned shares;   /* pieces that were not copied */
        int full;          /* out of memory from here on */
    } out;
    guarded input;         /* of the last feed, until settled */
} m;

static char *fixture_reserve(fs_sink *sink, size_t n)
{
    (void)sink;
    if (m.out.full || m.out.n + n > SINK_ROOM)
        return NULL;
    m.out.reserved = n;
    return m.out.bytes + m.out.n;
}

static void fixture_commit(fs_sink *sink, size_t n)
{
    (void)sink;
    CHECK(n <= m.out.reserved);
    m.out.n += n;
    m.out.reserved = 0;
}

static int fixture_share(fs_sink *sink, const char *p, size_t n, void *owner)
{
    char *room = fixture_reserve(sink, n);

    CHECK(owner != NULL);
    if (!room)
        return FS_E_NOMEM;
    memcpy(room, p, n);
    fixture_commit(sink, n);
    m.out.shares++;
    return FS_OK;
}

/* A range shows as "<offset+n>". */
static int fixture_file(fs_sink *sink, int fd, int64_t offset, uint64_t n, void *owner)
{
    char *room = fixture_reserve(sink, 64);

    (void)owner;
    CHECK_INT(fd, 7);
    if (!room)
        return FS_E_NOMEM;
    fixture_commit(sink, (size_t)snprintf(room, 64, "<%lld+%llu>", (long long)offset, (unsigned long long)n));
    return FS_OK;
}

static inline void open_with(const fs_limits *limits)
{
    memset(&m, 0, sizeof m);
    m.limits = *limits;
    m.out.base = (fs_sink){fixture_reserve, fixture_commit, fixture_share, fixture_file};
    fs_head_common_init(&m.common, 0);
    CHECK_INT(fs_h1_shared_init(&m.shared, &m.limits, &harness_allocator, &m.common), FS_OK);
    m.memory = (fs_budget){0};
    m.shared.memory = &m.memory;
    fs_h1_init(&m.h1, &m.shared, &m.out.base);
}

static inline void open_machine(void)
{
    fs_limits limits;

    fs_limits_default(&limits);
    open_with(&limits);
}

static inline void settle(void)
{
    CHECK_INT(fs_h1_settle(&m.h1), FS_OK);
    if (m.input.map)
        guarded_release(&m.input);
}

static inline void close_machine(void)
{
    if (m.input.map)
        guarded_release(&m.input);
    fs_h1_free(&m.h1);
    fs_h1_shared_free(&m.shared);
    CHECK_INT(m.memory.used, 0);
}

static inline void feed_bytes(const char *p, size_t n)
{
    settle();
    m.input = guarded_copy(p, n);
    CHECK_INT(fs_h1_feed(&m.h1, m.input.p, n), FS_OK);
}

static inline void feed(const char *text)
{
    feed_bytes(text, strlen(text));
}

static inline fs_event expect(fs_event_kind kind)
{
    fs_event event;

    CHECK_INT(fs_h1_next(&m.h1, &event), FS_OK);
    CHECK_INT(event.kind, kind);
    return event;
}

static inline void expect_error(int error)
{
    fs_event event;

    CHECK_INT(fs_h1_next(&m.h1, &event), error);
    CHECK_INT(m.h1.reading, FS_H1_READ_DISCARD);
    CHECK_INT(m.h1.error, error);
}

/* A request whose head is complete. */
static inline fs_stream *request(const char *text)
{
    feed(text);
    return expect(FS_EVENT_HEAD).stream;
}

static inline fs_field field(const char *name, const char *value)
{
    return (fs_field){name, value, (uint32_t)strlen(name), (uint32_t)strlen(value), 0};
}

/* length < 0: it is not known yet. */
static inline int head(fs_stream *stream, int status, const fs_field *fields, uint32_t n, int64_t length)
{
    const fs_response_head given = {.status = status, .reason = {"", 0}, .fields = fields, .nfields = n,
                                    .flags = length < 0 ? 0 : FS_RESPONSE_END,
                                    .length = length < 0 ? 0 : (uint64_t)length};

    return stream->ops->head(stream, &given);
}

static inline int body(fs_stream *stream, const char *text, int end)
{
    return stream->ops->body(stream, text, strlen(text), NULL, end);
}

static inline void answer(fs_stream *stream, const char *text)
{
    CHECK_INT(head(stream, 200, NULL, 0, (int64_t)strlen(text)), FS_OK);
    CHECK_INT(body(stream, text, 1), FS_OK);
}

#define CHECK_OUT(expected)                               \
    do {                                                  \
        CHECK_BYTES(m.out.bytes, m.out.n, expected);      \
        m.out.n = 0;                                      \
    } while (0)

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_1_0 "GET / HTTP/1.0\r\n\r\n"
#define POST(fields) "POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"

#endif
