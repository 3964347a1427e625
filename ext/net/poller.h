#ifndef FS_NET_POLLER_H
#define FS_NET_POLLER_H

#include "result.h"

#include <stdint.h>

/*
 * Readiness over epoll(7), edge-triggered: a descriptor is registered once for
 * read, write and peer-close together, and never touched again until it is
 * closed. The epoll descriptor itself is readable when anything is ready, so
 * that an event loop can watch it.
 */

enum {
    FS_READABLE = 1 << 0,
    FS_WRITABLE = 1 << 1,
    FS_PEER_CLOSED = 1 << 2, /* EPOLLRDHUP: a FIN; it shows in the same event as the data before it */
    FS_HANGUP = 1 << 3       /* EPOLLHUP or EPOLLERR */
};

typedef struct fs_ready {
    void *watch;             /* what was given to fs_poller_add */
    uint32_t events;         /* FS_READABLE | ... */
} fs_ready;

typedef struct fs_poller {
    int fd;                  /* the epoll descriptor */
    int timer_fd;            /* a timerfd inside it */
    uint64_t timer_due;      /* monotonic ms it is armed for, 0 when it is not */
    int wake_read, wake_write; /* a pipe inside it, -1 until fs_poller_open_wake */
} fs_poller;

#define FS_POLL_BATCH 256    /* events taken in one call, so that the application's callbacks get their turn */

/* 0 or -errno. On error nothing is left open. */
int fs_poller_open(fs_poller *poller);
void fs_poller_close(fs_poller *poller);

/*
 * Watches fd: edge-triggered for read, write and peer-close. `watch` is
 * borrowed and comes back in fs_ready; it must outlive the descriptor and every
 * batch already taken.
 */
int fs_poller_add(fs_poller *poller, int fd, void *watch);

/* Watches fd for read alone, level-triggered: for a descriptor that others read at their own pace. */
int fs_poller_add_reader(fs_poller *poller, int fd, void *watch);

/*
 * Watches a listening socket: level-triggered for read, because accepts are
 * bounded a turn. `shared` adds EPOLLEXCLUSIVE, for a socket that several
 * processes watch.
 */
int fs_poller_add_listener(fs_poller *poller, int fd, void *watch, int shared);

/* Needed only for a descriptor that stays open; close(2) also removes it. */
int fs_poller_remove(fs_poller *poller, int fd);

/*
 * At most `max` (<= FS_POLL_BATCH) ready watches; waits up to timeout_ms (0: not
 * at all, -1: for ever). The timer's expiry comes as watch == poller, after all
 * others, because a deadline is judged by what has arrived before it; it is read
 * and disarmed here. Count or -errno; EINTR gives 0.
 */
int fs_poller_wait(fs_poller *poller, fs_ready *ready, int max, int timeout_ms);

/*
 * The two halves of wait, for threads that share a poller: collect changes
 * nothing and may run beside any other call; sort_out reads and disarms, and must
 * run alone. Between them the count is collect's.
 */
int fs_poller_collect(const fs_poller *poller, fs_ready *ready, int max, int timeout_ms);
int fs_poller_sort_out(fs_poller *poller, fs_ready *ready, int count);

/*
 * Makes a pipe whose writing end wakes a wait: a byte there, from any thread or
 * signal handler. The wait then returns, and nothing else shows the wake-up. 0 or -errno.
 */
int fs_poller_open_wake(fs_poller *poller);
void fs_poller_wake(const fs_poller *poller);

/* Arms the timer for a monotonic time in ms (0 disarms); no system call when it is armed for that already. */
int fs_poller_set_timer(fs_poller *poller, uint64_t due_ms);

/* CLOCK_MONOTONIC, by which the timer runs too, and CLOCK_REALTIME_COARSE in seconds: vDSO, no system call. */
uint64_t fs_monotonic_ms(void);
uint64_t fs_monotonic_us(void);
int64_t fs_unix_seconds(void);

/* Lets monotonic time pass for the whole process, and arms this poller's timer anew; only in a debug build. */
#if FS_DEBUG
void fs_clock_advance(fs_poller *poller, uint64_t ms);
#else
static inline void fs_clock_advance(fs_poller *poller, uint64_t ms) { (void)poller, (void)ms; }
#endif

#endif
