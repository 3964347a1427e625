/*
 * What a load program of our own counts, and the line it prints at its end: JSON after the word REPORT, as
 * bench/loads/wrk/report.lua prints it. Latencies are in microseconds, errors by kind.
 */
#ifndef BENCH_COUNTED_H
#define BENCH_COUNTED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SLOWEST_US = 2 * 1000 * 1000 };

typedef struct {
    uint64_t answers, bytes, slowest;
    uint64_t connect_errors, read_errors, write_errors, status_errors;
    uint32_t *histogram; /* by microseconds; what is slower than the slowest is in the last one */
} counted;

static inline uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* False where there is no memory for it. */
static inline int begin_counting(counted *c)
{
    *c = (counted){.histogram = calloc(SLOWEST_US + 1, sizeof *c->histogram)};
    return c->histogram != NULL;
}

static inline void count_answer(counted *c, uint64_t bytes, uint64_t took)
{
    c->answers++;
    c->bytes += bytes;
    c->histogram[took < SLOWEST_US ? took : SLOWEST_US]++;
    if (took > c->slowest)
        c->slowest = took;
}

static inline uint64_t percentile(const counted *c, double percent)
{
    const double wanted = percent / 100 * (double)c->answers;
    uint64_t seen = 0;

    for (uint64_t us = 0; us < SLOWEST_US; us++) {
        seen += c->histogram[us];
        if (seen && (double)seen >= wanted)
            return us ? us : 1;
    }
    return c->slowest;
}

/* `others` were answered too, and have no latencies. */
static inline void print_counted_among(const counted *c, uint64_t others, uint64_t duration)
{
    static const struct {
        const char *name;
        double percent;
    } points[] = {{"50", 50}, {"75", 75}, {"90", 90}, {"95", 95}, {"99", 99}, {"99.5", 99.5}, {"99.9", 99.9}, {"99.99", 99.99}};

    printf("REPORT {\"requests\": %llu, \"duration_us\": %llu, \"bytes\": %llu, \"curve\": {", (unsigned long long)(c->answers + others),
           (unsigned long long)duration, (unsigned long long)c->bytes);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        printf("\"%s\": %llu, ", points[i].name, (unsigned long long)percentile(c, points[i].percent));
    printf("\"100\": %llu}, \"connect\": %llu, \"read\": %llu, \"write\": %llu, \"status\": %llu, \"timeout\": 0}\n",
           (unsigned long long)c->slowest, (unsigned long long)c->connect_errors, (unsigned long long)c->read_errors,
           (unsigned long long)c->write_errors, (unsigned long long)c->status_errors);
}

static inline void print_counted(const counted *c, uint64_t duration)
{
    print_counted_among(c, 0, duration);
}

#endif
