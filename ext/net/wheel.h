#ifndef FS_NET_WHEEL_H
#define FS_NET_WHEEL_H

#include <stdint.h>

/*
 * One coarse timer wheel a worker. A timer is intrusive: it allocates nothing,
 * arming and disarming are O(1), and it fires at its time or up to two ticks
 * later, never early. A time beyond the wheel's span waits in its slot for the
 * next round.
 */

#define FS_WHEEL_TICK_MS 32
#define FS_WHEEL_SLOTS 512 /* a span of 16 s */

typedef struct fs_timer {
    struct fs_timer *prev, *next; /* NULL when not armed */
    uint64_t due;                 /* monotonic ms */
} fs_timer;

typedef struct fs_wheel {
    fs_timer slot[FS_WHEEL_SLOTS]; /* list heads */
    fs_timer expired;              /* taken out of their slots, not yet handed over */
    uint64_t occupied[FS_WHEEL_SLOTS / 64]; /* a bit for each slot that is not empty */
    uint64_t tick;                 /* the last tick that was swept */
    uint64_t armed;                /* timers in the wheel */
} fs_wheel;

void fs_wheel_init(fs_wheel *wheel, uint64_t now_ms);

/*
 * Arms a timer, or moves an armed one. `prev` and `next` of a timer that was never
 * armed must be NULL. A past time fires at the next expire: an owner that arms for
 * the past whenever its timer fires would get it for ever.
 */
void fs_wheel_arm(fs_wheel *wheel, fs_timer *timer, uint64_t due_ms);
void fs_wheel_disarm(fs_wheel *wheel, fs_timer *timer);

/*
 * The next timer that is due, disarmed, or NULL. Arming and disarming any
 * timer between two calls is allowed. An expired timer whose owner has a later
 * deadline by now is simply armed again.
 */
fs_timer *fs_wheel_expire(fs_wheel *wheel, uint64_t now_ms);

/* Monotonic ms at which the next non-empty slot has to be swept, 0 if the wheel is empty. */
uint64_t fs_wheel_next(const fs_wheel *wheel);

#endif
