/*
 * The HTTP/1 machine, one connection a seat: its two halves alone, and both
 * together. The sink is a plain buffer.
 */

#include "cases.h"
#include "sink.h"

#include "proto/fields.h"
#include "proto/h1.h"

#include <stdlib.h>
#include <string.h>

/* Not a power of two: the seats' inputs would share the same few sets of the cache. */
enum { ROOM = 8192 + 320, CHUNKS = 16, CHUNK = 256 };

static char inputs[SEATS][ROOM];
static fs_stream *streams[SEATS];
static fs_h1 machines[SEATS];

/* ---- what is asked and answered --------------------------------------------- */

typedef struct exchange {
    const char *request;
    unsigned pipelined;
    const fs_field *fields;
    uint32_t nfields;
} exchange;

#define FIELD(id, name, value) {name, value, sizeof(name) - 1, sizeof(value) - 1, id}

static const fs_field PLAIN[] = {FIELD(FS_FIELD_CONTENT_TYPE, "content-type", "text/plain")};

static const fs_field JSON[] = {
    FIELD(FS_FIELD_CONTENT_TYPE, "content-type", "application/json"),
    FIELD(0, "cache-control", "no-cache, no-store"),
    FIELD(0, "x-request-id", "0f9c2c1e-7f0b-4c66-9a30-1a2b3c4d5e6f"),
    FIELD(0, "vary", "Accept-Encoding, Origin"),
    FIELD(0, "access-control-allow-origin", "*"),
    FIELD(FS_FIELD_CONTENT_LENGTH, "content-length", "13"),
};

static const char GET[] = "GET / HTTP/1.1\r\nHost: localhost:8000\r\n\r\n";

static const char POST[] = "POST / HTTP/1.1\r\nHost: localhost:8000\r\nTransfer-Encoding: chunked\r\n\r\n";

static const char BROWSER[] =
    "GET /articles/2026/index.html?page=2 HTTP/1.1\r\n"
    "Host: www.example.org\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Referer: https://www.example.org/articles/2026/\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: session=5f2b8c1d9e7a4f60; theme=dark; consent=1\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: same-origin\r\n\r\n";

static const char body[] = "Hello, world!";

static const exchange small = {GET, 1, PLAIN, 1}, browser = {BROWSER, 1, JSON, 6}, pipelined = {GET, 16, PLAIN, 1},
                      upload = {POST, 1, PLAIN, 1};

/* ---- steps ------------------------------------------------------------------ */

static fs_event next(unsigned seat)
{
    fs_event event;

    if (fs_h1_next(&machines[seat], &event) < 0)
        abort();
    return event;
}

static void feed(unsigned seat, char *p, size_t n)
{
    if (fs_h1_feed(&machines[seat], p, n) < 0)
        abort();
}

static void settle(unsigned seat)
{
    if (fs_h1_settle(&machines[seat]) < 0)
        abort();
}

static void expect_head(unsigned seat)
{
    const fs_event event = next(seat);

    if (event.kind != FS_EVENT_HEAD)
        abort();
    streams[seat] = event.stream;
}

static void write_head(const exchange *given, unsigned seat)
{
    const fs_response_head head = {.status = 200, .reason = {"", 0}, .fields = given->fields,
                                   .nfields = given->nfields, .flags = FS_RESPONSE_END, .length = sizeof body - 1};

    if (streams[seat]->ops->head(streams[seat], &head) < 0)
        abort();
}

static void write_body(unsigned seat)
{
    if (streams[seat]->ops->body(streams[seat], body, sizeof body - 1, NULL, 1) < 0)
        abort();
}

/* ---- before: names are turned to lower case in place, so that each input is written anew -- */

static void open_machines(void)
{
    static fs_limits limits;
    static fs_head_common common;
    static fs_h1_shared shared;

    if (!shared.scratch) {
        fs_limits_default(&limits);
        fs_head_common_init(&common, 1);
        fs_head_set_time(&common, 1700000000);
        common.server = "server: fastserve\r\n";
        common.server_len = strlen(common.server);
        if (fs_h1_shared_init(&shared, &limits, &fs_system_allocator, &common) < 0)
            abort();
    }
    for (unsigned seat = 0; seat < SEATS; seat++) {
        if (machines[seat].shared)
            fs_h1_free(&machines[seat]);
        fs_h1_init(&machines[seat], &shared, &plain_sink);
    }
}

static size_t length(const exchange *given)
{
    return strlen(given->request) * given->pipelined;
}

static void write_inputs(const bench_case *one)
{
    const exchange *given = one->data;
    const size_t n = strlen(given->request);

    open_machines();
    for (unsigned seat = 0; seat < SEATS; seat++)
        for (unsigned i = 0; i < given->pipelined; i++)
            memcpy(inputs[seat] + i * n, given->request, n);
}

static void read_heads(const bench_case *one)
{
    write_inputs(one);
    for (unsigned seat = 0; seat < SEATS; seat++) {
        feed(seat, inputs[seat], length(one->data));
        expect_head(seat);
    }
}

static void feed_chunks(const bench_case *one)
{
    static char text[CHUNKS * (CHUNK + 8) + 8];
    size_t n = 0;

    for (unsigned i = 0; i < CHUNKS; i++) {
        n += fs_chunk_prefix(text + n, CHUNK);
        memset(text + n, 'x', CHUNK);
        memcpy(text + n + CHUNK, "\r\n", 2);
        n += CHUNK + 2;
    }
    memcpy(text + n, "0\r\n\r\n", 5);
    n += 5;
    read_heads(one);
    for (unsigned seat = 0; seat < SEATS; seat++) {
        settle(seat);
        memcpy(inputs[seat], text, n);
        feed(seat, inputs[seat], n);
    }
}

/* ---- what is measured ---------------------------------------------------------- */

static void parse_head(const bench_case *one, unsigned seat)
{
    feed(seat, inputs[seat], length(one->data));
    expect_head(seat);
    settle(seat);
}

static void parse_head_by_bytes(const bench_case *one, unsigned seat)
{
    const size_t n = length(one->data);
    char buffer;

    for (size_t i = 0; i + 1 < n; i++) {
        buffer = inputs[seat][i];
        feed(seat, &buffer, 1);
        if (next(seat).kind != FS_EVENT_NONE)
            abort();
        settle(seat);
    }
    buffer = inputs[seat][n - 1];
    feed(seat, &buffer, 1);
    expect_head(seat);
    settle(seat);
}

static void parse_chunks(const bench_case *one, unsigned seat)
{
    fs_event event;

    (void)one;
    do
        event = next(seat);
    while (event.kind == FS_EVENT_BODY && !event.end);
    if (event.kind != FS_EVENT_END && event.kind != FS_EVENT_BODY)
        abort();
    settle(seat);
}

static void build_head(const bench_case *one, unsigned seat)
{
    write_head(one->data, seat);
}

static void whole_turn(const bench_case *one, unsigned seat)
{
    const exchange *given = one->data;

    feed(seat, inputs[seat], length(given));
    for (unsigned i = 0; i < given->pipelined; i++) {
        expect_head(seat);
        write_head(given, seat);
        write_body(seat);
    }
    if (next(seat).kind != FS_EVENT_NONE)
        abort();
    settle(seat);
}

const bench_case h1_cases[] = {
    {"request head, 1 field", write_inputs, parse_head, &small},
    {"request head, 12 fields", write_inputs, parse_head, &browser},
    {"request head, 1 field, byte by byte", write_inputs, parse_head_by_bytes, &small},
    {"request head, 12 fields, byte by byte", write_inputs, parse_head_by_bytes, &browser},
    {"request body, 16 chunks", feed_chunks, parse_chunks, &upload},
    {"response head, 1 field", read_heads, build_head, &small},
    {"response head, 6 fields", read_heads, build_head, &browser},
    {"turn, 1 field", write_inputs, whole_turn, &small},
    {"turn, 12 fields, 6 in the answer", write_inputs, whole_turn, &browser},
    {"turn, 16 pipelined requests", write_inputs, whole_turn, &pipelined},
    {NULL, NULL, NULL, NULL},
};
