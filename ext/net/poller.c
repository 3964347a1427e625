#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "poller.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MS_PER_SECOND 1000
#define NS_PER_MS 1000000

#if FS_DEBUG
static uint64_t clock_ahead_ms; /* this room's one mutable state, only for tests that let time pass without waiting */

static uint64_t ahead_ms(void) { return clock_ahead_ms; }

void fs_clock_advance(fs_poller *poller, uint64_t ms)
{
    const uint64_t due = poller->timer_due;

    clock_ahead_ms += ms;
    poller->timer_due = 0;
    (void)fs_poller_set_timer(poller, due);
}
#else
static uint64_t ahead_ms(void) { return 0; }
#endif

static int epoll_register(fs_poller *poller, int fd, uint32_t events, void *watch)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    return epoll_ctl(poller->fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_timer(fs_poller *poller)
{
    poller->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (poller->timer_fd < 0)
        return -errno;
    return epoll_register(poller, poller->timer_fd, EPOLLIN, poller);
}

int fs_poller_open(fs_poller *poller)
{
    int error;

    poller->timer_fd = poller->wake_read = poller->wake_write = -1;
    poller->timer_due = 0;
    poller->fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->fd < 0)
        return -errno;
    error = open_timer(poller);
    if (error < 0)
        fs_poller_close(poller);
    return error;
}

void fs_poller_close(fs_poller *poller)
{
    const int fds[] = {poller->timer_fd, poller->wake_read, poller->wake_write, poller->fd};

    /* close(2) of these has nothing to write back, so no failure to report. */
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
    poller->fd = poller->timer_fd = poller->wake_read = poller->wake_write = -1;
    poller->timer_due = 0;
}

int fs_poller_add(fs_poller *poller, int fd, void *watch)
{
    return epoll_register(poller, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, watch);
}

int fs_poller_add_reader(fs_poller *poller, int fd, void *watch)
{
    return epoll_register(poller, fd, EPOLLIN, watch);
}

int fs_poller_add_listener(fs_poller *poller, int fd, void *watch, int shared)
{
    return epoll_register(poller, fd, shared ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN, watch);
}

int fs_poller_remove(fs_poller *poller, int fd)
{
    return epoll_ctl(poller->fd, EPOLL_CTL_DEL, fd, NULL) < 0 ? -errno : 0;
}

static uint32_t ready_events(uint32_t events)
{
    return (events & EPOLLIN ? FS_READABLE : 0u) | (events & EPOLLOUT ? FS_WRITABLE : 0u) |
           (events & EPOLLRDHUP ? FS_PEER_CLOSED : 0u) | (events & (EPOLLHUP | EPOLLERR) ? FS_HANGUP : 0u);
}

/* 1 if the timer had expired, 0 if it was armed anew in the meantime. */
static int take_expiry(fs_poller *poller)
{
    uint64_t expirations;

    if (read(poller->timer_fd, &expirations, sizeof expirations) < 0)
        return 0;
    poller->timer_due = 0;
    return 1;
}

int fs_poller_collect(const fs_poller *poller, fs_ready *ready, int max, int timeout_ms)
{
    struct epoll_event events[FS_POLL_BATCH];
    int count;

    count = epoll_wait(poller->fd, events, max < FS_POLL_BATCH ? max : FS_POLL_BATCH, timeout_ms);
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++)
        ready[i] = (fs_ready){.watch = events[i].data.ptr, .events = ready_events(events[i].events)};
    return count;
}

static void take_wakes(const fs_poller *poller)
{
    char bytes[64];

    while (read(poller->wake_read, bytes, sizeof bytes) == (ssize_t)sizeof bytes)
        ;
}

int fs_poller_sort_out(fs_poller *poller, fs_ready *ready, int count)
{
    int kept = 0, expired = 0;

    for (int i = 0; i < count; i++) {
        if (ready[i].watch == &poller->wake_read)
            take_wakes(poller);
        else if (ready[i].watch == poller)
            expired = take_expiry(poller);
        else
            ready[kept++] = ready[i];
    }
    if (expired)
        ready[kept++] = (fs_ready){.watch = poller, .events = FS_READABLE};
    return kept;
}

int fs_poller_wait(fs_poller *poller, fs_ready *ready, int max, int timeout_ms)
{
    const int count = fs_poller_collect(poller, ready, max, timeout_ms);

    return count < 0 ? count : fs_poller_sort_out(poller, ready, count);
}

int fs_poller_open_wake(fs_poller *poller)
{
    int ends[2], error;

    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0)
        return -errno;
    error = epoll_register(poller, ends[0], EPOLLIN, &poller->wake_read);
    if (error < 0) {
        (void)close(ends[0]);
        (void)close(ends[1]);
        return error;
    }
    poller->wake_read = ends[0];
    poller->wake_write = ends[1];
    return 0;
}

void fs_poller_wake(const fs_poller *poller)
{
    const char byte = 0;

    /* A full pipe wakes as well. */
    while (write(poller->wake_write, &byte, 1) < 0 && errno == EINTR)
        ;
}

int fs_poller_set_timer(fs_poller *poller, uint64_t due_ms)
{
    struct itimerspec timer = {{0, 0}, {0, 0}};

    if (due_ms == poller->timer_due)
        return 0;
    if (due_ms) {
        const uint64_t at_ms = due_ms > ahead_ms() ? due_ms - ahead_ms() : 1;

        timer.it_value.tv_sec = (time_t)(at_ms / MS_PER_SECOND);
        timer.it_value.tv_nsec = (long)(at_ms % MS_PER_SECOND) * NS_PER_MS;
    }
    if (timerfd_settime(poller->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL) < 0)
        return -errno;
    poller->timer_due = due_ms;
    return 0;
}

/* clock_gettime(2) fails only for a clock that the kernel does not have; these exist since 2.6.32. */
static struct timespec clock_now(clockid_t clock)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(clock, &now);
    return now;
}

int64_t fs_unix_seconds(void)
{
    return clock_now(CLOCK_REALTIME_COARSE).tv_sec;
}

uint64_t fs_monotonic_us(void)
{
    struct timespec now = clock_now(CLOCK_MONOTONIC);

    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000 + ahead_ms() * 1000;
}

uint64_t fs_monotonic_ms(void)
{
    return fs_monotonic_us() / 1000;
}
