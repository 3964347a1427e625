/*
 * What single things cost in the C rooms.
 *
 *     rooms MILLISECONDS     nanoseconds of each case, measured for so long: a line each, time, tab, name
 *     rooms NAME BATCHES     does one case, for somebody else to count the instructions in `measured`
 *
 * bench/profile/c_rooms.py builds and runs it.
 */

#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCHES = 20 };

static void nothing(const bench_case *one, unsigned seat)
{
    (void)one, (void)seat;
}

static void nothing_before(const bench_case *one)
{
    (void)one;
}

/* What measuring costs by itself; taken off each time. */
static const bench_case own_cases[] = {{"nothing", nothing_before, nothing, NULL}, {NULL, NULL, NULL, NULL}};

static const bench_case *const tables[] = {own_cases, h1_cases, outqueue_cases, ws_cases};

/* By its name callgrind knows where to count: it stays a function of its own. */
__attribute__((noinline, noclone, noipa)) void measured(const bench_case *one)
{
    for (unsigned seat = 0; seat < SEATS; seat++)
        one->work(one, seat);
}

static double nanoseconds(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
        abort();
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double average(const bench_case *one, int batches)
{
    double spent = 0;

    for (int i = 0; i < batches; i++) {
        one->prepare(one);
        const double start = nanoseconds();
        measured(one);
        spent += nanoseconds() - start;
    }
    return spent / batches / SEATS;
}

/* The least of many averages: whatever else the machine does can only add to it. */
static double least(const bench_case *one, double duration)
{
    const double end = nanoseconds() + duration;
    double best = average(one, BATCHES);

    while (nanoseconds() < end) {
        const double next = average(one, BATCHES);

        best = next < best ? next : best;
    }
    return best;
}

static const bench_case *find(const char *name)
{
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const bench_case *one = tables[t]; one->name; one++)
            if (strcmp(one->name, name) == 0)
                return one;
    return NULL;
}

static void print_times(double duration)
{
    const double own = least(own_cases, duration);

    for (size_t t = 1; t < sizeof tables / sizeof *tables; t++)
        for (const bench_case *one = tables[t]; one->name; one++)
            printf("%.2f\t%s\n", least(one, duration) - own, one->name);
}

int main(int argc, char **argv)
{
    const bench_case *one = argc == 3 ? find(argv[1]) : NULL;

    if (argc == 2 && atoi(argv[1]) > 0)
        print_times(atoi(argv[1]) * 1e6);
    else if (one && atoi(argv[2]) > 0)
        average(one, atoi(argv[2]));
    else
        return fprintf(stderr, "usage: %s MILLISECONDS | NAME BATCHES, where NAME is that of a case\n", argv[0]), 2;
    return 0;
}
