/*
 * The out-queue beside the system call: small responses through reserve,
 * commit and flush, with a send(2) that takes everything at once and does
 * nothing.
 */

#define _GNU_SOURCE

#include "cases.h"

#include "net/outqueue.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

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
static fs_outpool pool;
static fs_outqueue queues[SEATS];

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

static void open_queues(const bench_case *one)
{
    (void)one;
    if (pool.allocator)
        return;
    fs_outpool_init(&pool, &fs_system_allocator, retain, release);
    for (unsigned seat = 0; seat < SEATS; seat++)
        fs_outqueue_init(&queues[seat], &pool);
}

static void add_small(fs_outqueue *queue)
{
    char *room = fs_outqueue_reserve(queue, 1024);

    if (!room)
        abort();
    memcpy(room, response, sizeof response);
    fs_outqueue_commit(queue, sizeof response);
}

static void flush(fs_outqueue *queue)
{
    uint64_t sent;

    if (fs_outqueue_flush(queue, -1, UINT64_MAX, &sent) != 0 || references)
        abort();
}

static void one_response(const bench_case *one, unsigned seat)
{
    (void)one;
    add_small(&queues[seat]);
    flush(&queues[seat]);
}

static void sixteen_responses(const bench_case *one, unsigned seat)
{
    (void)one;
    for (int i = 0; i < 16; i++)
        add_small(&queues[seat]);
    flush(&queues[seat]);
}

static void head_and_shared_body(const bench_case *one, unsigned seat)
{
    (void)one;
    add_small(&queues[seat]);
    if (fs_outqueue_share(&queues[seat], response, sizeof response, (void *)response) < 0)
        abort();
    flush(&queues[seat]);
}

const bench_case outqueue_cases[] = {
    {"out-queue, one response", open_queues, one_response, NULL},
    {"out-queue, 16 responses", open_queues, sixteen_responses, NULL},
    {"out-queue, head and shared body", open_queues, head_and_shared_body, NULL},
    {NULL, NULL, NULL, NULL},
};
