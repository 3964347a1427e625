#ifndef FS_NET_RELAY_H
#define FS_NET_RELAY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/*
 * Several threads around one poller. One of them leads: it waits for events
 * and dispatches them. The others rest, or are inside the application. What
 * the threads share is touched under the relay's lock, which nobody holds
 * while the application runs or while the leader waits for events.
 *
 * The leader runs the application itself, in steps. The watch, a thread of its
 * own, takes the lead away when a step lasts, and wakes a resting thread to lead.
 * The watch looks only while there are steps; when none came for a while it
 * parks, and the next step wakes it.
 *
 * Where there is one thread alone, nobody can lead on, but what that thread has
 * put off until after the step can be done for it: fs_relay_start_guard.
 */

/*
 * A step lasts too long if the watch finds it at a tick and again a moment later,
 * and its thread sleeps: it waits for something that needs no processor. A step
 * that computes, or is kept from computing by other processes, gets more time:
 * while it has the interpreter, another thread could do little.
 */
#define FS_RELAY_TICK_US 1000   /* the watch looks this often */
#define FS_RELAY_CALM_US 4000   /* only this often after a while without a lead taken: a look interrupts the leader */
#define FS_RELAY_CALM_TICKS 100
#define FS_RELAY_MOMENT_US 300  /* and again after this time, if it found a step */
#define FS_RELAY_COMPUTES_US 5000 /* longest time between looks at a computing step; it keeps the lead for twice that */
#define FS_RELAY_PARK_TICKS 8   /* ticks without a step after which the watch parks */

typedef struct fs_relay {
    pthread_mutex_t mutex;
    pthread_cond_t rest;         /* where threads wait for the lead or for work */
    pthread_cond_t parking;      /* where the watch waits for a step */
    pthread_t owner;             /* of the mutex; only meaningful to itself, while depth is not 0 */
    unsigned depth;              /* locks may nest in one thread: a destructor or a log handler calls back */
    unsigned resting, woken;     /* threads in fs_relay_rest, and how many of them are on their way out */
    int leader;                  /* the id of the leader, 0: nobody */
    int leader_tid;              /* the kernel's number of its thread */
    uint64_t taken;              /* leads that the watch took away */
    _Atomic uint64_t step;       /* counts up where the leader's step begins and where it ends: odd within a step */
    int parked;                  /* the watch sleeps; under the lock */
    _Atomic int ended;           /* the watch has to return */
    void (*held_up)(void *ctx);  /* of a guard, else NULL */
    void *ctx;
    pthread_t guard;             /* only where there is `held_up` */
} fs_relay;

/* 0 or -errno. */
int fs_relay_init(fs_relay *relay);
/* No other call may be in progress. */
void fs_relay_free(fs_relay *relay);
/*
 * For a forked process, where only the calling thread is left. The threads that
 * held the lock or waited are gone: from now on `try` fails and `lock` does not
 * return, unless this thread itself holds the lock.
 */
void fs_relay_forget(fs_relay *relay);

/* 1 if the lock was taken, or this thread already held it; 0 if another one holds it. */
int fs_relay_try(fs_relay *relay);
void fs_relay_lock(fs_relay *relay);
void fs_relay_unlock(fs_relay *relay);

/* Sleeps until fs_relay_wake or fs_relay_wake_all; locked, once, before and after. */
void fs_relay_rest(fs_relay *relay);
/* Whether a thread could be woken. Locked, as the next two. */
static inline int fs_relay_can_wake(const fs_relay *relay) { return relay->resting > relay->woken; }
/* Wakes a resting thread, if there is one. */
void fs_relay_wake(fs_relay *relay);
void fs_relay_wake_all(fs_relay *relay);

/* The calling thread takes the lead under the id `me` (never 0). Locked. */
void fs_relay_lead(fs_relay *relay, int me);

/* Around a step of the leader; locked. `end` returns 1 if `me` has kept the lead, 0 if it has lost it. */
void fs_relay_begin_step(fs_relay *relay);
int fs_relay_end_step(fs_relay *relay, int me);

/* The watch: runs in a thread of its own until fs_relay_end_watch, which may be called first. Not locked. */
void fs_relay_watch(fs_relay *relay);
/* Locked. */
void fs_relay_end_watch(fs_relay *relay);

/*
 * A watch over one thread alone, in a thread that is made here and takes no
 * signals. It takes the lead like any watch, whatever the step does, calls
 * `held_up` in place of waking somebody, locked, and leaves the lead to nobody:
 * the step's end finds it lost, and takes it again. Locked. 0 or -errno.
 */
int fs_relay_start_guard(fs_relay *relay, void (*held_up)(void *ctx), void *ctx);
/* Ends the guard and waits until it has ended; does nothing without a guard. Not locked. */
void fs_relay_end_guard(fs_relay *relay);

#endif
