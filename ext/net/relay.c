#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "relay.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_US 1000L

/* ---- the lock ------------------------------------------------------------- */

int fs_relay_init(fs_relay *relay)
{
    int error;

    *relay = (fs_relay){.depth = 0};
    error = pthread_mutex_init(&relay->mutex, NULL);
    if (error)
        return -error;
    error = pthread_cond_init(&relay->rest, NULL);
    if (error) {
        (void)pthread_mutex_destroy(&relay->mutex);
        return -error;
    }
    error = pthread_cond_init(&relay->parking, NULL);
    if (error) {
        (void)pthread_cond_destroy(&relay->rest);
        (void)pthread_mutex_destroy(&relay->mutex);
        return -error;
    }
    return 0;
}

/* Destroying fails only while somebody waits, which the contract rules out. */
void fs_relay_free(fs_relay *relay)
{
    (void)pthread_cond_destroy(&relay->parking);
    (void)pthread_cond_destroy(&relay->rest);
    (void)pthread_mutex_destroy(&relay->mutex);
}

/*
 * `depth` and `owner` are written under the mutex and read without it here. A
 * depth that another thread has written comes with that thread's owner, so that
 * this thread does not see its own id from an earlier time.
 */
static int is_mine(const fs_relay *relay)
{
    return __atomic_load_n(&relay->depth, __ATOMIC_ACQUIRE) &&
           pthread_equal(__atomic_load_n(&relay->owner, __ATOMIC_RELAXED), pthread_self());
}

static void take(fs_relay *relay)
{
    __atomic_store_n(&relay->owner, pthread_self(), __ATOMIC_RELAXED);
    __atomic_store_n(&relay->depth, 1, __ATOMIC_RELEASE);
}

static void nest(fs_relay *relay, int by)
{
    __atomic_store_n(&relay->depth, relay->depth + (unsigned)by, __ATOMIC_RELEASE);
}

void fs_relay_forget(fs_relay *relay)
{
    if (is_mine(relay))
        return;
    (void)fs_relay_init(relay);
    (void)pthread_mutex_lock(&relay->mutex);
}

int fs_relay_try(fs_relay *relay)
{
    if (is_mine(relay)) {
        nest(relay, 1);
        return 1;
    }
    if (pthread_mutex_trylock(&relay->mutex))
        return 0;
    take(relay);
    return 1;
}

/* pthread_mutex_lock fails only if the thread already holds the mutex, which is_mine rules out. */
void fs_relay_lock(fs_relay *relay)
{
    if (is_mine(relay)) {
        nest(relay, 1);
        return;
    }
    (void)pthread_mutex_lock(&relay->mutex);
    take(relay);
}

void fs_relay_unlock(fs_relay *relay)
{
    assert(is_mine(relay));
    nest(relay, -1);
    if (!relay->depth)
        (void)pthread_mutex_unlock(&relay->mutex);
}

/* ---- resting -------------------------------------------------------------- */

static void wait_for(fs_relay *relay, pthread_cond_t *condition)
{
    assert(relay->depth == 1);
    nest(relay, -1);
    (void)pthread_cond_wait(condition, &relay->mutex);
    take(relay);
}

void fs_relay_rest(fs_relay *relay)
{
    relay->resting++;
    do
        wait_for(relay, &relay->rest);
    while (!relay->woken);
    relay->woken--;
    relay->resting--;
}

void fs_relay_wake(fs_relay *relay)
{
    if (!fs_relay_can_wake(relay))
        return;
    relay->woken++;
    (void)pthread_cond_signal(&relay->rest);
}

void fs_relay_wake_all(fs_relay *relay)
{
    relay->woken = relay->resting;
    (void)pthread_cond_broadcast(&relay->rest);
}

/* ---- steps and their watch ------------------------------------------------- */

static int is_within(uint64_t step)
{
    return step & 1;
}

static uint64_t current_step(fs_relay *relay)
{
    return atomic_load_explicit(&relay->step, memory_order_relaxed);
}

static void next_step(fs_relay *relay)
{
    atomic_store_explicit(&relay->step, current_step(relay) + 1, memory_order_relaxed);
}

void fs_relay_begin_step(fs_relay *relay)
{
    next_step(relay);
    if (relay->parked) {
        relay->parked = 0;
        (void)pthread_cond_signal(&relay->parking);
    }
}

int fs_relay_end_step(fs_relay *relay, int me)
{
    if (relay->leader != me)
        return 0;
    next_step(relay);
    return 1;
}

void fs_relay_lead(fs_relay *relay, int me)
{
    relay->leader = me;
    __atomic_store_n(&relay->leader_tid, gettid(), __ATOMIC_RELAXED);
}

static void doze(long us)
{
    const struct timespec time = {0, us * NS_PER_US};

    (void)nanosleep(&time, NULL); /* if a signal cuts it short, the watch looks a little early, which does no harm */
}

/* Whether a thread of this process waits for something (proc_pid_stat(5)); if unknown, it counts as waiting. */
static int sleeps(int tid)
{
    char path[64], text[512];
    const char *state;
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 1;
    n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (n <= 0)
        return 1;
    text[n] = 0;
    state = strrchr(text, ')'); /* the name before it may contain anything */
    return !state || strlen(state) < 3 || state[2] != 'R';
}

/* Takes the lead from a leader that is still in this step, and gives it away. */
static void take_lead(fs_relay *relay, uint64_t step)
{
    fs_relay_lock(relay);
    if (current_step(relay) == step) {
        next_step(relay);
        relay->leader = 0;
        relay->taken++;
        if (relay->held_up)
            relay->held_up(relay->ctx);
        else
            fs_relay_wake(relay);
    }
    fs_relay_unlock(relay);
}

/* Stays with a step that was running at a tick; 1 if it has lasted too long. */
static int follow(fs_relay *relay, uint64_t step)
{
    /* Doubles the time: a computation is not worth many looks. */
    for (long us = FS_RELAY_MOMENT_US; us <= FS_RELAY_COMPUTES_US; us *= 2) {
        doze(us);
        if (current_step(relay) != step || atomic_load_explicit(&relay->ended, memory_order_relaxed))
            return 0;
        if (relay->held_up || sleeps(__atomic_load_n(&relay->leader_tid, __ATOMIC_RELAXED)))
            break;
    }
    take_lead(relay, step);
    return 1;
}

/* Sleeps until the next step begins, unless one has begun since `step`. */
static void park(fs_relay *relay, uint64_t step)
{
    fs_relay_lock(relay);
    relay->parked = current_step(relay) == step;
    while (relay->parked && !atomic_load_explicit(&relay->ended, memory_order_relaxed))
        wait_for(relay, &relay->parking);
    relay->parked = 0;
    fs_relay_unlock(relay);
}

void fs_relay_watch(fs_relay *relay)
{
    uint64_t seen = 0;
    unsigned quiet = 0, calm = 0;

    while (!atomic_load_explicit(&relay->ended, memory_order_relaxed)) {
        const uint64_t step = current_step(relay);

        quiet = step == seen ? quiet + 1 : 0;
        seen = step;
        if (is_within(step) && follow(relay, step))
            calm = 0;
        if (quiet > FS_RELAY_PARK_TICKS && !is_within(step))
            park(relay, step);
        calm += calm < FS_RELAY_CALM_TICKS;
        doze(calm < FS_RELAY_CALM_TICKS ? FS_RELAY_TICK_US : FS_RELAY_CALM_US);
    }
}

void fs_relay_end_watch(fs_relay *relay)
{
    atomic_store_explicit(&relay->ended, 1, memory_order_relaxed);
    (void)pthread_cond_signal(&relay->parking);
}

/* ---- a guard ---------------------------------------------------------------- */

static void *guard(void *relay)
{
    fs_relay_watch(relay);
    return NULL;
}

int fs_relay_start_guard(fs_relay *relay, void (*held_up)(void *ctx), void *ctx)
{
    sigset_t all, before;
    int error;

    relay->held_up = held_up;
    relay->ctx = ctx;
    atomic_store_explicit(&relay->ended, 0, memory_order_relaxed);
    sigfillset(&all);
    error = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!error) {
        error = pthread_create(&relay->guard, NULL, guard, relay);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL); /* it was right when it was read */
    }
    if (error)
        relay->held_up = NULL;
    return -error;
}

void fs_relay_end_guard(fs_relay *relay)
{
    if (!relay->held_up)
        return;
    fs_relay_lock(relay);
    fs_relay_end_watch(relay);
    fs_relay_unlock(relay);
    (void)pthread_join(relay->guard, NULL); /* it is joinable, another thread, and joined once */
    relay->held_up = NULL;
}
