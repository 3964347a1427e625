#ifndef FS_TEST_HARNESS_H
#define FS_TEST_HARNESS_H

#include "base/allocator.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * What every C test stands on. A failed check prints where and what, and ends
 * the program with status 1; so does a test that leaves memory behind.
 *
 *     static void sums(void) { CHECK_INT(1 + 1, 2); }
 *     int main(void) { RUN(sums); return harness_end(); }
 */

#define CHECK(condition) harness_check(__FILE__, __LINE__, !!(condition), #condition)
#define CHECK_INT(actual, expected) \
    harness_check_int(__FILE__, __LINE__, (long long)(actual), (long long)(expected), #actual)
/* `expected` is a string literal; NUL bytes in it count. */
#define CHECK_BYTES(actual, length, expected) \
    harness_check_bytes(__FILE__, __LINE__, (actual), (length), (expected), sizeof(expected) - 1, #actual)
#define FAIL(...) harness_fail(__FILE__, __LINE__, __VA_ARGS__)
#define RUN(test) harness_run(#test, (test))

void harness_run(const char *name, void (*test)(void));

/* Prints one line about the whole program; what main returns. */
int harness_end(void);

void harness_check(const char *file, int line, int holds, const char *text);
void harness_check_int(const char *file, int line, long long actual, long long expected, const char *text);
void harness_check_bytes(const char *file, int line, const char *actual, size_t length,
                         const char *expected, size_t expected_length, const char *text);
_Noreturn void harness_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Words that are printed before the next failure: which case, which split. */
void harness_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints bytes with \r, \n, \t and \xNN escapes, on stderr. */
void harness_print_bytes(const char *label, const char *p, size_t n);

/*
 * A copy of n bytes whose end lies flush against an unreadable page: one byte
 * too many is a crash. After `release` the whole copy is unreadable.
 */
typedef struct guarded {
    char *p;
    size_t n;
    char *map;
    size_t map_size;
} guarded;

guarded guarded_copy(const char *bytes, size_t n);
void guarded_release(guarded *copy);

/*
 * Counts what is live, moves a block at each resize, and fails the n-th
 * allocation from the call of fail_nth on (0: none), and only that one.
 */
extern const fs_allocator harness_allocator;

void harness_fail_nth(unsigned long n);
int harness_has_failed(void);       /* the n-th was asked for and refused */
size_t harness_live(void);

#endif
