#include "wheel.h"

#include <stddef.h>

/*
 * A timer is in the slot of the first tick that begins at or after its time, so
 * that a sweep of that tick is never early. Lists are circular around their heads.
 * `occupied` has a bit for each slot whose list is not empty.
 */

#define SLOT_MASK (FS_WHEEL_SLOTS - 1)
#define WORD_BITS 64

_Static_assert((FS_WHEEL_SLOTS & SLOT_MASK) == 0, "slots are picked by a mask");
_Static_assert(FS_WHEEL_SLOTS % WORD_BITS == 0, "the bitmap has whole words");

static void list_init(fs_timer *head)
{
    head->prev = head->next = head;
}

static int list_empty(const fs_timer *head)
{
    return head->next == head;
}

static void list_append(fs_timer *head, fs_timer *timer)
{
    timer->prev = head->prev;
    timer->next = head;
    head->prev->next = timer;
    head->prev = timer;
}

static void list_unlink(fs_timer *timer)
{
    timer->prev->next = timer->next;
    timer->next->prev = timer->prev;
    timer->prev = timer->next = NULL;
}

/* Rounded up, without the overflow of due + 31 for an infinite time. */
static uint64_t tick_of(uint64_t due_ms)
{
    return due_ms / FS_WHEEL_TICK_MS + (due_ms % FS_WHEEL_TICK_MS != 0);
}

static uint64_t slot_bit(uint64_t slot)
{
    return UINT64_C(1) << (slot % WORD_BITS);
}

static void note_if_empty(fs_wheel *wheel, uint64_t slot)
{
    if (list_empty(&wheel->slot[slot]))
        wheel->occupied[slot / WORD_BITS] &= ~slot_bit(slot);
}

void fs_wheel_init(fs_wheel *wheel, uint64_t now_ms)
{
    for (int i = 0; i < FS_WHEEL_SLOTS; i++)
        list_init(&wheel->slot[i]);
    for (int i = 0; i < FS_WHEEL_SLOTS / WORD_BITS; i++)
        wheel->occupied[i] = 0;
    list_init(&wheel->expired);
    wheel->tick = now_ms / FS_WHEEL_TICK_MS;
    wheel->armed = 0;
}

void fs_wheel_arm(fs_wheel *wheel, fs_timer *timer, uint64_t due_ms)
{
    uint64_t tick = tick_of(due_ms);
    uint64_t slot = tick & SLOT_MASK;

    fs_wheel_disarm(wheel, timer);
    timer->due = due_ms;
    wheel->armed++;
    if (tick <= wheel->tick) { /* its slot has been swept: the timer would wait a whole round */
        list_append(&wheel->expired, timer);
        return;
    }
    list_append(&wheel->slot[slot], timer);
    wheel->occupied[slot / WORD_BITS] |= slot_bit(slot);
}

void fs_wheel_disarm(fs_wheel *wheel, fs_timer *timer)
{
    if (!timer->next)
        return;
    list_unlink(timer);
    wheel->armed--;
    /* An expired timer is in no slot any more; looking at its old one is harmless. */
    note_if_empty(wheel, tick_of(timer->due) & SLOT_MASK);
}

static void sweep(fs_wheel *wheel, uint64_t slot, uint64_t now_ms)
{
    fs_timer *head = &wheel->slot[slot];

    for (fs_timer *timer = head->next, *next; timer != head; timer = next) {
        next = timer->next;
        if (timer->due <= now_ms) { /* else it belongs to a later round */
            list_unlink(timer);
            list_append(&wheel->expired, timer);
        }
    }
    note_if_empty(wheel, slot);
}

static void sweep_until(fs_wheel *wheel, uint64_t now_ms)
{
    uint64_t tick = now_ms / FS_WHEEL_TICK_MS;

    if (tick > wheel->tick + FS_WHEEL_SLOTS)
        wheel->tick = tick - FS_WHEEL_SLOTS; /* one round sees every slot */
    while (wheel->tick < tick) {
        wheel->tick++;
        sweep(wheel, wheel->tick & SLOT_MASK, now_ms);
    }
}

fs_timer *fs_wheel_expire(fs_wheel *wheel, uint64_t now_ms)
{
    fs_timer *timer;

    if (list_empty(&wheel->expired))
        sweep_until(wheel, now_ms);
    if (list_empty(&wheel->expired))
        return NULL;
    timer = wheel->expired.next;
    list_unlink(timer);
    wheel->armed--;
    return timer;
}

/* Slots from the one after the last swept tick to the next occupied one, which exists. */
static uint64_t slots_to_next(const fs_wheel *wheel)
{
    uint64_t first = (wheel->tick + 1) & SLOT_MASK;
    uint64_t word = first / WORD_BITS;
    uint64_t bits = wheel->occupied[word] & ~(slot_bit(first) - 1);

    /* The first word is read again at the end, for the bits below `first`. */
    for (int i = 0; !bits && i < FS_WHEEL_SLOTS / WORD_BITS; i++) {
        word = (word + 1) % (FS_WHEEL_SLOTS / WORD_BITS);
        bits = wheel->occupied[word];
    }
    if (!bits)
        return 0;
    return (word * WORD_BITS + (uint64_t)__builtin_ctzll(bits) - first) & SLOT_MASK;
}

uint64_t fs_wheel_next(const fs_wheel *wheel)
{
    uint64_t tick = wheel->tick;

    if (!wheel->armed)
        return 0;
    if (list_empty(&wheel->expired))
        tick += 1 + slots_to_next(wheel);
    return tick ? tick * FS_WHEEL_TICK_MS : 1; /* 0 would mean that nothing is armed */
}
