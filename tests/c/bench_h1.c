/*
 * What the HTTP/1 machine costs a request: feed, next until there is none, a
 * head and a body, settle. The sink is a plain buffer.
 *
 *     cc -O3 -std=gnu11 -iquote ext -Ibuild/llhttp/include tests/c/bench_h1.c \
 *         ext/proto/?*.c build/llhttp/src/?*.c -o build/bench_h1 && build/bench_h1
 */

#include "proto/fields.h"
#include "proto/h1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 20000, REPEATS = 100 };

static char output[1 << 16];
static size_t queued;

static char *sink_reserve(fs_sink *sink, size_t n)
{
    (void)sink;
    if (queued + n > sizeof output)
        queued = 0;
    return output + queued;
}

static void sink_commit(fs_sink *sink, size_t n)
{
    (void)sink;
    queued += n;
}

static int no_share(fs_sink *sink, const char *p, size_t n, void *owner)
{
    (void)sink, (void)p, (void)n, (void)owner;
    abort();
}

static int no_file(fs_sink *sink, int fd, int64_t offset, uint64_t n, void *owner)
{
    (void)sink, (void)fd, (void)offset, (void)n, (void)owner;
    abort();
}

typedef struct scenario {
    const char *name;
    const char *request;
    unsigned pipelined;
    const fs_field *fields;
    uint32_t nfields;
} scenario;

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

static const scenario SCENARIOS[] = {
    {"GET, 1 field", GET, 1, PLAIN, 1},
    {"GET, 1 field, 16 pipelined", GET, 16, PLAIN, 1},
    {"GET, 12 fields; 6 in the answer", BROWSER, 1, JSON, 6},
};

static void answer(fs_stream *stream, const scenario *one)
{
    static const char body[] = "Hello, world!";
    const fs_response_head head = {.status = 200, .reason = {"", 0}, .fields = one->fields, .nfields = one->nfields,
                                   .flags = FS_RESPONSE_END, .length = sizeof body - 1};

    if (stream->ops->head(stream, &head) < 0 || stream->ops->body(stream, body, sizeof body - 1, NULL, 1) < 0)
        abort();
}

static void turn(fs_h1 *h1, char *buffer, size_t n, const scenario *one)
{
    fs_event event;

    if (fs_h1_feed(h1, buffer, n) < 0)
        abort();
    for (;;) {
        if (fs_h1_next(h1, &event) < 0)
            abort();
        if (event.kind != FS_EVENT_HEAD)
            break;
        answer(event.stream, one);
    }
    if (fs_h1_settle(h1) < 0)
        abort();
}

static double nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double measure(fs_h1 *h1, const scenario *one)
{
    static char fresh[1 << 16], buffer[1 << 16];
    const size_t length = strlen(one->request), n = length * one->pipelined;
    const uint64_t before = h1->requests;
    double start;

    for (unsigned i = 0; i < one->pipelined; i++)
        memcpy(fresh + i * length, one->request, length);
    start = nanoseconds();
    for (unsigned i = 0; i < ROUNDS / one->pipelined; i++) {
        memcpy(buffer, fresh, n); /* names are turned to lower case in place */
        turn(h1, buffer, n, one);
    }
    return (nanoseconds() - start) / (double)(h1->requests - before);
}

int main(void)
{
    fs_sink sink = {sink_reserve, sink_commit, no_share, no_file};
    fs_limits limits;
    fs_head_common common;
    fs_h1_shared shared;
    fs_h1 h1;

    fs_limits_default(&limits);
    fs_head_common_init(&common, 1);
    fs_head_set_time(&common, 1700000000);
    common.server = "server: fastserve\r\n";
    common.server_len = strlen(common.server);
    if (fs_h1_shared_init(&shared, &limits, &fs_system_allocator, &common) < 0)
        return 1;
    fs_h1_init(&h1, &shared, &sink);
    printf("%zu bytes a connection\n", sizeof h1);
    for (size_t i = 0; i < sizeof SCENARIOS / sizeof *SCENARIOS; i++) {
        double best = 1e9;

        for (int k = 0; k < REPEATS; k++) {
            const double ns = measure(&h1, &SCENARIOS[i]);

            best = ns < best ? ns : best;
        }
        printf("%-34s %6.1f ns a request\n", SCENARIOS[i].name, best);
    }
    fs_h1_free(&h1);
    fs_h1_shared_free(&shared);
    return 0;
}
