#ifndef FS_BENCH_CASES_H
#define FS_BENCH_CASES_H

#include <stddef.h>

/*
 * One thing that the C rooms do, to be measured by itself. It is done in
 * batches of SEATS independent ones (bench/profile/c_rooms.py gives that to the
 * compiler): what has to be there before is prepared for all of them, and then
 * each is done once.
 */

typedef struct bench_case {
    const char *name;
    void (*prepare)(const struct bench_case *one);
    void (*work)(const struct bench_case *one, unsigned seat);
    const void *data;              /* the file's own */
} bench_case;

extern const bench_case h1_cases[], outqueue_cases[], ws_cases[]; /* the last one's name is NULL */

#endif
