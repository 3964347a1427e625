#include "harness.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

static unsigned long checks, tests;
static const char *current = "";
static char note[256];

/* ---- checks -------------------------------------------------------------- */

void harness_note(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(note, sizeof note, format, arguments);
    va_end(arguments);
}

static void print_place(const char *file, int line)
{
    fprintf(stderr, "%s:%d: in %s%s%s: ", file, line, current, note[0] ? ": " : "", note);
}

/* No exit handlers: the leak check would only bury the message. A fuzzer keeps the input of a crash only. */
static _Noreturn void stop(void)
{
    fflush(NULL);
#ifdef FS_FUZZ
    abort();
#endif
    _exit(1);
}

void harness_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;

    print_place(file, line);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    stop();
}

void harness_check(const char *file, int line, int holds, const char *text)
{
    checks++;
    if (!holds)
        harness_fail(file, line, "does not hold: %s", text);
}

void harness_check_int(const char *file, int line, long long actual, long long expected, const char *text)
{
    checks++;
    if (actual != expected)
        harness_fail(file, line, "%s is %lld, not %lld", text, actual, expected);
}

void harness_print_bytes(const char *label, const char *p, size_t n)
{
    fprintf(stderr, "  %s: ", label);
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)p[i];

        if (c == '\r')
            fputs("\\r", stderr);
        else if (c == '\n')
            fputs(i + 1 < n ? "\\n\n    " : "\\n", stderr);
        else if (c == '\t')
            fputs("\\t", stderr);
        else if (c < 0x20 || c >= 0x7f)
            fprintf(stderr, "\\x%02x", c);
        else
            fputc(c, stderr);
    }
    fputc('\n', stderr);
}

void harness_check_bytes(const char *file, int line, const char *actual, size_t length,
                         const char *expected, size_t expected_length, const char *text)
{
    checks++;
    if (length == expected_length && (length == 0 || memcmp(actual, expected, length) == 0))
        return;
    print_place(file, line);
    fprintf(stderr, "%s differs\n", text);
    harness_print_bytes("actual", actual, length);
    harness_print_bytes("expected", expected, expected_length);
    stop();
}

void harness_run(const char *name, void (*test)(void))
{
    current = name;
    note[0] = '\0';
    tests++;
    harness_fail_nth(0);
    test();
    note[0] = '\0';
    if (harness_live() != 0)
        FAIL("%zu allocations were never released", harness_live());
}

int harness_end(void)
{
    if (checks == 0)
        FAIL("no check was made");
    printf("ok  %lu tests, %lu checks\n", tests, checks);
    return 0;
}

/* ---- guarded copies ------------------------------------------------------- */

/* Released ones stay unreadable and mapped until they are needed again, the older first. */
static guarded spare[2];

static char *map_unreadable(size_t size)
{
    char *map = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED)
        FAIL("mmap of %zu bytes failed", size);
    return map;
}

guarded guarded_copy(const char *bytes, size_t n)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t room = (n + page - 1) / page * page;
    guarded copy = {.n = n, .map_size = room + page};
    char *end;

    if (spare[0].map && spare[0].map_size >= copy.map_size) {
        copy.map = spare[0].map;
        copy.map_size = spare[0].map_size;
        spare[0] = (guarded){0};
    } else {
        copy.map = map_unreadable(copy.map_size);
    }
    end = copy.map + copy.map_size - page;
    if (room > 0 && mprotect(end - room, room, PROT_READ | PROT_WRITE) != 0)
        FAIL("mprotect of %zu bytes failed", room);
    copy.p = end - n;
    if (n > 0)
        memcpy(copy.p, bytes, n);
    return copy;
}

void guarded_release(guarded *copy)
{
    if (mprotect(copy->map, copy->map_size, PROT_NONE) != 0)
        FAIL("mprotect failed");
    if (spare[0].map && munmap(spare[0].map, spare[0].map_size) != 0)
        FAIL("munmap failed");
    spare[0] = spare[1];
    spare[1] = *copy;
    *copy = (guarded){0};
}

/* ---- allocations ---------------------------------------------------------- */

/* In front of each block; its size keeps the block aligned for anything. */
typedef union block_head {
    size_t size;
    max_align_t align;
} block_head;

static size_t live;
static unsigned long fail_in;
static int failed;

void harness_fail_nth(unsigned long n)
{
    fail_in = n;
    failed = 0;
}

int harness_has_failed(void)
{
    return failed;
}

size_t harness_live(void)
{
    return live;
}

static void counting_release(void *ctx, void *p)
{
    (void)ctx;
    if (!p)
        return;
    live--;
    free((block_head *)p - 1);
}

static void *counting_resize(void *ctx, void *p, size_t n)
{
    block_head *block;

    if (n == 0)
        FAIL("zero bytes were asked for");
    if (fail_in > 0 && --fail_in == 0) {
        failed = 1;
        return NULL;
    }
    block = malloc(sizeof *block + n);
    if (!block)
        FAIL("the test itself is out of memory");
    block->size = n;
    live++;
    if (p) {
        const size_t before = ((block_head *)p - 1)->size;

        memcpy(block + 1, p, before < n ? before : n);
        counting_release(ctx, p);
    }
    return block + 1;
}

const fs_allocator harness_allocator = {counting_resize, counting_release, NULL};
