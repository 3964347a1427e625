/*
 * What the out-queue costs beside the system call: nanoseconds for one small
 * response through reserve, commit and flush, with a send(2) that takes
 * everything at once and does nothing.
 *
 *     cc -O2 -iquote ../../ext bench_outqueue.c ../../ext/net/outqueue.c ../../ext/net/allocator.c
 */

#define _GNU_SOURCE

#include "net/outqueue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define ROUNDS 20000000
#define BEST_OF 5

ssize_t send(int fd, const void *p, size_t n, int flags)
{
    (void)fd, (void)p, (void)flags;
    return (ssize_t)n;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    size_t n = 0;

    (void)fd, (void)flags;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        n += message->msg_iov[i].iov_len;
    return (ssize_t)n;
}

static const char response[128] = "HTTP/1.1 200 OK\r\n";
static unsigned long references;

static void retain(void *owner)
{
    (void)owner;
    references++;
}

static void release(void *owner)
{
    (void)owner;
    references--;
}

static void add_small(fs_outqueue *queue)
{
    char *room = fs_outqueue_reserve(queue, 1024);

    if (!room)
        abort();
    memcpy(room, response, sizeof response);
    fs_outqueue_commit(queue, sizeof response);
}

static void one_response(fs_outqueue *queue)
{
    add_small(queue);
}

static void sixteen_responses(fs_outqueue *queue)
{
    for (int i = 0; i < 16; i++)
        add_small(queue);
}

static void head_and_shared_body(fs_outqueue *queue)
{
    add_small(queue);
    if (fs_outqueue_share(queue, response, sizeof response, (void *)response) < 0)
        abort();
}

static double seconds(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
        abort();
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void measure(const char *name, void (*fill)(fs_outqueue *queue), int rounds)
{
    double best = 1e9;
    fs_outpool pool;
    fs_outqueue queue;
    uint64_t sent;

    fs_outpool_init(&pool, &fs_net_system_allocator, retain, release);
    fs_outqueue_init(&queue, &pool);
    for (int run = 0; run < BEST_OF; run++) {
        double start = seconds();
        for (int i = 0; i < rounds; i++) {
            fill(&queue);
            if (fs_outqueue_flush(&queue, -1, UINT64_MAX, &sent) != 0)
                abort();
        }
        double each = (seconds() - start) / rounds;
        best = each < best ? each : best;
    }
    printf("%-24s %6.1f ns a flush\n", name, best * 1e9);
    fs_outpool_free(&pool);
}

int main(void)
{
    measure("one response", one_response, ROUNDS);
    measure("sixteen responses", sixteen_responses, ROUNDS / 10);
    measure("head and shared body", head_and_shared_body, ROUNDS / 2);
    return references != 0;
}
