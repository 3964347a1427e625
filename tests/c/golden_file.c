#define _GNU_SOURCE

#include "golden_file.h"

#include <ctype.h>

/* ---- values ------------------------------------------------------------------ */

static int hex(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

    return at ? (int)(at - digits) : -1;
}

static const char *decode_one(text *out, const char *p, const char *end);

static void decode(text *out, const char *p, const char *end)
{
    while (p < end)
        p = decode_one(out, p, end);
}

/* \{N*bytes}: the bytes N times. */
static const char *decode_repeated(text *out, const char *p, const char *end)
{
    char *after;
    const unsigned long count = strtoul(p, &after, 10);
    const char *stop = memchr(p, '}', (size_t)(end - p));
    text once = {0};

    if (after == p || *after != '*' || !stop || count > 1000000)
        FAIL("bad repetition: %s", p);
    decode(&once, after + 1, stop);
    for (unsigned long i = 0; i < count; i++)
        text_add(out, once.p, once.n);
    text_free(&once);
    return stop + 1;
}

/* Events are compared as they are written, but for repetitions. */
static void expand(text *out, const char *value)
{
    const char *end = value + strlen(value);

    while (value < end) {
        if (value[0] == '\\' && value[1] == '{') {
            value = decode_repeated(out, value + 2, end);
            continue;
        }
        text_add(out, value++, 1);
    }
    text_add(out, "\n", 1);
}

static const char *decode_one(text *out, const char *p, const char *end)
{
    static const char letters[] = "rnt\\", bytes[] = "\r\n\t\\";
    const char *letter;
    char byte;

    if (*p != '\\') {
        text_add(out, p, 1);
        return p + 1;
    }
    if (end - p >= 4 && p[1] == 'x' && hex(p[2]) >= 0 && hex(p[3]) >= 0) {
        byte = (char)(hex(p[2]) << 4 | hex(p[3]));
        text_add(out, &byte, 1);
        return p + 4;
    }
    if (end - p >= 2 && p[1] == '{')
        return decode_repeated(out, p + 2, end);
    letter = end - p >= 2 ? strchr(letters, p[1]) : NULL;
    if (!letter || !*letter)
        FAIL("unknown escape: %s", p);
    text_add(out, bytes + (letter - letters), 1);
    return p + 2;
}

#define LIMIT(name) {#name, offsetof(fs_limits, name), sizeof(((fs_limits *)0)->name)}

static void set_limit(fs_limits *limits, const char *value)
{
    static const struct { const char *name; size_t offset, size; } known[] = {
        LIMIT(max_request_line), LIMIT(max_head), LIMIT(max_fields), LIMIT(methods), LIMIT(max_body),
        LIMIT(max_chunk_extension), LIMIT(max_requests), LIMIT(max_skip),
    };
    char name[64];
    unsigned long long n;

    if (sscanf(value, "%63s %llu", name, &n) != 2)
        FAIL("a limit has a name and a number: %s", value);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char *at = (char *)limits + known[i].offset;

        if (strcmp(name, known[i].name) != 0)
            continue;
        if (known[i].size == sizeof(uint64_t))
            memcpy(at, &(uint64_t){n}, sizeof(uint64_t));
        else
            memcpy(at, &(uint32_t){(uint32_t)n}, sizeof(uint32_t));
        return;
    }
    FAIL("unknown limit: %s", name);
}

/* ---- the reply ---------------------------------------------------------------- */

static reply_part *add_part(golden_case *one, reply_kind kind)
{
    if (one->nreply == REPLY_PARTS)
        FAIL("more than %d parts in a reply", REPLY_PARTS);
    one->reply[one->nreply] = (reply_part){.kind = kind};
    return &one->reply[one->nreply++];
}

static void add_bytes(golden_case *one, reply_kind kind, const char *value)
{
    decode(&add_part(one, kind)->bytes, value, value + strlen(value));
}

/* The application's usual answer, whole. */
static void add_echo(golden_case *one, const char *value, int close)
{
    text *bytes = &add_part(one, REPLY_BYTES)->bytes;
    text body = {0};

    decode(&body, value, value + strlen(value));
    text_format(bytes, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %zu\r\n%s\r\n",
                body.n, close ? "connection: close\r\n" : "");
    text_add(bytes, body.p, body.n);
    text_free(&body);
}

static void add_answer(golden_case *one, const char *value)
{
    reply_part *part = add_part(one, REPLY_ANSWER);

    part->status = atoi(value);
    part->bodiless = strstr(value, "bodiless") != NULL;
}

/* The length of one response that is complete by its Content-Length; 0 when it is not that. */
static size_t match_answer(const reply_part *part, int closes, const char *p, size_t n)
{
    char start[32];
    const int start_n = snprintf(start, sizeof start, "HTTP/1.1 %d ", part->status);
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    const char *length;
    size_t head_n, body_n;

    if (!end || memcmp(p, start, (size_t)start_n) != 0)
        return 0;
    head_n = (size_t)(end - p) + 4;
    length = memmem(p, head_n, "\r\ncontent-length: ", 18);
    if (!length || closes != (memmem(p, head_n, "\r\nconnection: close\r\n", 21) != NULL))
        return 0;
    body_n = part->bodiless ? 0 : strtoul(length + 18, NULL, 10);
    return head_n + body_n <= n ? head_n + body_n : 0;
}

int golden_reply_matches(const golden_case *one, const char *p, size_t n)
{
    size_t at = 0;

    for (unsigned i = 0; i < one->nreply; i++) {
        const reply_part *part = &one->reply[i];
        const int same = part->bytes.n <= n - at && (part->bytes.n == 0 || memcmp(p + at, part->bytes.p, part->bytes.n) == 0);

        if (part->kind == REPLY_ANSWER) {
            const size_t length = n > at ? match_answer(part, one->closes && i + 1 == one->nreply, p + at, n - at) : 0;

            if (length == 0)
                return 0;
            at += length;
        } else if (same) {
            at += part->bytes.n;
        } else if (part->kind == REPLY_BYTES) {
            return 0;
        }
    }
    return at == n;
}

/* ---- lines ---------------------------------------------------------------------- */

static void set_then(golden_case *one, const char *value)
{
    if (strcmp(value, "open") != 0 && strcmp(value, "close") != 0)
        FAIL("a case ends open or close, not %s", value);
    one->closes = strcmp(value, "close") == 0;
}

static void add_line(golden_case *one, const char *key, const char *value)
{
    if (strcmp(key, "limit") == 0)
        set_limit(&one->limits, value);
    else if (strcmp(key, "in") == 0)
        decode(&one->input, value, value + strlen(value));
    else if (strcmp(key, "eof") == 0)
        one->eof = 1;
    else if (strcmp(key, "event") == 0)
        expand(&one->events, value);
    else if (strcmp(key, "out") == 0)
        add_bytes(one, REPLY_BYTES, value);
    else if (strcmp(key, "maybe") == 0)
        add_bytes(one, REPLY_MAYBE, value);
    else if (strcmp(key, "echo") == 0)
        add_echo(one, value, 0);
    else if (strcmp(key, "echo-close") == 0)
        add_echo(one, value, 1);
    else if (strcmp(key, "answer") == 0)
        add_answer(one, value);
    else if (strcmp(key, "then") == 0)
        set_then(one, value);
    else if (strcmp(key, "only") != 0) /* for other runners */
        FAIL("unknown key: %s", key);
}

static void case_free(golden_case *one)
{
    text_free(&one->input);
    text_free(&one->events);
    for (unsigned i = 0; i < one->nreply; i++)
        text_free(&one->reply[i].bytes);
    *one = (golden_case){0};
}

static void case_begin(golden_case *one, const char *name, int line)
{
    *one = (golden_case){.line = line, .closes = -1};
    snprintf(one->name, sizeof one->name, "%s", name);
    fs_limits_default(&one->limits);
}

static unsigned case_end(golden_case *one, void (*each)(const golden_case *one))
{
    if (one->line == 0)
        return 0;
    if (one->closes < 0 || one->input.n == 0)
        FAIL("%s: a case needs `in` and `then`", one->name);
    each(one);
    case_free(one);
    return 1;
}

/* `key: value`; the value keeps every byte after the first space. */
static char *split_line(char *line)
{
    char *colon = strchr(line, ':');

    if (!colon || (colon[1] && colon[1] != ' '))
        FAIL("neither a comment nor `key: value`: %s", line);
    *colon = '\0';
    return colon + (colon[1] ? 2 : 1);
}

unsigned golden_read(const char *path, void (*each)(const golden_case *one))
{
    FILE *file = fopen(path, "r");
    golden_case one = {0};
    unsigned count = 0;
    char *line = NULL;
    size_t room = 0;

    if (!file)
        FAIL("cannot open %s", path);
    for (int number = 1; getline(&line, &room, file) >= 0; number++) {
        char *value;

        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        harness_note("%s:%d", path, number);
        value = split_line(line);
        if (strcmp(line, "case") == 0) {
            count += case_end(&one, each);
            case_begin(&one, value, number);
        } else if (one.line == 0) {
            FAIL("a line before the first case: %s", line);
        } else {
            add_line(&one, line, value);
        }
    }
    count += case_end(&one, each);
    free(line);
    fclose(file);
    return count;
}
