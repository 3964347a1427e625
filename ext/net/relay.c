#include "relay.h"

#include <assert.h>
#include <time.h>

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
 * `depth` and `owner` are written under the mutex and read without it here. Only
 * this thread can have written its own id there, and it reads its own writes: what
 * another thread writes meanwhile never compares equal.
 */
static int is_mine(const fs_relay *relay)
{
    return __atomic_load_n(&relay->depth, __ATOMIC_RELAXED) &&
           pthread_equal(__atomic_load_n(&relay->owner, __ATOMIC_RELAXED), pthread_self());
}

static void take(fs_relay *relay)
{
    __atomic_store_n(&relay->owner, pthread_self(), __ATOMIC_RELAXED);
    __atomic_store_n(&relay->depth, 1, __ATOMIC_RELAXED);
}

static void nest(fs_relay *relay, int by)
{
    __atomic_store_n(&relay->depth, relay->depth + (unsigned)by, __ATOMIC_RELAXED);
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

/* pthread_mutex_lock fails only for a mutex that its thread holds already, which is_mine rules out. */
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

static void doze(void)
{
    const struct timespec tick = {0, FS_RELAY_TICK_US * NS_PER_US};

    (void)nanosleep(&tick, NULL); /* cut short by a signal it looks a little early, which does no harm */
}

/* From a leader that is still in this step. */
static void take_lead(fs_relay *relay, uint64_t step)
{
    fs_relay_lock(relay);
    if (current_step(relay) == step) {
        next_step(relay);
        relay->leader = 0;
        relay->taken++;
        fs_relay_wake(relay);
    }
    fs_relay_unlock(relay);
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
    unsigned quiet = 0;

    while (!atomic_load_explicit(&relay->ended, memory_order_relaxed)) {
        const uint64_t step = current_step(relay);

        quiet = step == seen && !is_within(step) ? quiet + 1 : 0;
        if (step == seen && is_within(step))
            take_lead(relay, step);
        if (quiet > FS_RELAY_PARK_TICKS)
            park(relay, step);
        seen = step;
        doze();
    }
}

void fs_relay_end_watch(fs_relay *relay)
{
    atomic_store_explicit(&relay->ended, 1, memory_order_relaxed);
    (void)pthread_cond_signal(&relay->parking);
}
