/* ext/net/wheel.c: never early, at most two ticks late, whatever the time and the order. */

#include "harness.h"
#include "net/wheel.h"

#include <string.h>

#define TICK FS_WHEEL_TICK_MS
#define SPAN ((uint64_t)FS_WHEEL_TICK_MS * FS_WHEEL_SLOTS)

static unsigned count_expired(fs_wheel *wheel, uint64_t now)
{
    unsigned count = 0;

    while (count < 100000 && fs_wheel_expire(wheel, now))
        count++;
    return count;
}

/* The first millisecond, in steps of `step`, at which the timer is handed over. */
static uint64_t fires_at(fs_wheel *wheel, const fs_timer *timer, uint64_t now, uint64_t step)
{
    for (int i = 0; i < 200000; i++, now += step) {
        const fs_timer *fired = fs_wheel_expire(wheel, now);
        if (fired == timer)
            return now;
        CHECK(fired == NULL);
    }
    return 0;
}

static void fires_at_its_time(void)
{
    static const uint64_t delays[] = {1, TICK - 1, TICK, TICK + 1, 1000, SPAN - 1, SPAN, SPAN + 1, 75000};
    static const uint64_t starts[] = {0, 1, TICK - 1, TICK, 123456789};

    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        for (size_t j = 0; j < sizeof delays / sizeof *delays; j++) {
            fs_wheel wheel;
            fs_timer timer = {0};
            uint64_t due = starts[i] + delays[j];
            fs_wheel_init(&wheel, starts[i]);
            fs_wheel_arm(&wheel, &timer, due);
            uint64_t at = fires_at(&wheel, &timer, starts[i], 1);
            CHECK(at >= due);
            CHECK(at <= due + 2 * TICK);
            CHECK(wheel.armed == 0);
            CHECK(timer.next == NULL);
            CHECK(fs_wheel_next(&wheel) == 0);
        }
}

static void next_leads_to_the_timer(void)
{
    for (uint64_t delay = 1; delay < 3 * SPAN; delay += 61) {
        fs_wheel wheel;
        fs_timer timer = {0};
        uint64_t start = delay * 7919, now = start;
        const fs_timer *fired = NULL;
        fs_wheel_init(&wheel, start);
        fs_wheel_arm(&wheel, &timer, start + delay);
        for (int rounds = 0; !fired && rounds < 5; rounds++) {
            uint64_t next = fs_wheel_next(&wheel);
            CHECK(next > now); /* a wake-up that brings nothing must not come again at once */
            now = next;
            fired = fs_wheel_expire(&wheel, now);
        }
        CHECK(fired == &timer);
        CHECK(now >= start + delay);
        CHECK(now <= start + delay + 2 * TICK);
    }
}

static void next_is_the_earliest(void)
{
    fs_wheel wheel;
    fs_timer near = {0}, far = {0};

    fs_wheel_init(&wheel, 5000);
    CHECK(fs_wheel_next(&wheel) == 0);
    fs_wheel_arm(&wheel, &far, 15000);
    uint64_t of_far = fs_wheel_next(&wheel);
    fs_wheel_arm(&wheel, &near, 6000);
    uint64_t of_near = fs_wheel_next(&wheel);
    CHECK(of_near >= 6000);
    CHECK(of_near <= 6000 + 2 * TICK);
    fs_wheel_disarm(&wheel, &near);
    CHECK(fs_wheel_next(&wheel) == of_far); /* an emptied slot is not woken for */
    fs_wheel_disarm(&wheel, &far);
    CHECK(fs_wheel_next(&wheel) == 0);
}

static void past_fires_at_the_next_expire(void)
{
    fs_wheel wheel;
    fs_timer past = {0}, now = {0}, zero = {0};

    fs_wheel_init(&wheel, 10 * TICK);
    fs_wheel_arm(&wheel, &past, 3 * TICK);
    fs_wheel_arm(&wheel, &now, 10 * TICK);
    fs_wheel_arm(&wheel, &zero, 0);
    CHECK(fs_wheel_next(&wheel) <= 10 * TICK);
    CHECK(fs_wheel_next(&wheel) != 0);
    CHECK(count_expired(&wheel, 10 * TICK) == 3);
    CHECK(wheel.armed == 0);
}

static void past_at_time_zero_is_still_announced(void)
{
    fs_wheel wheel;
    fs_timer timer = {0};

    fs_wheel_init(&wheel, 0);
    fs_wheel_arm(&wheel, &timer, 0);
    CHECK(fs_wheel_next(&wheel) != 0);
    CHECK(fs_wheel_expire(&wheel, 0) == &timer);
}

static void moving_an_armed_timer(void)
{
    fs_wheel wheel;
    fs_timer timer = {0};

    fs_wheel_init(&wheel, 1000);
    fs_wheel_arm(&wheel, &timer, 2000);
    fs_wheel_arm(&wheel, &timer, 9000);
    CHECK(wheel.armed == 1);
    CHECK(fs_wheel_expire(&wheel, 8999) == NULL);
    CHECK(fires_at(&wheel, &timer, 9000, 1) <= 9000 + 2 * TICK);
    fs_wheel_arm(&wheel, &timer, 20000);
    fs_wheel_arm(&wheel, &timer, 10000); /* and back */
    CHECK(fires_at(&wheel, &timer, 9064, 1) <= 10000 + 2 * TICK);
}

static void disarm_between_two_expires(void)
{
    fs_wheel wheel;
    fs_timer timers[3];
    fs_timer *first, *second;

    memset(timers, 0, sizeof timers);
    fs_wheel_init(&wheel, 0);
    for (int i = 0; i < 3; i++)
        fs_wheel_arm(&wheel, &timers[i], 100);
    first = fs_wheel_expire(&wheel, 500);
    CHECK(first != NULL);
    second = first == &timers[0] ? &timers[1] : &timers[0];
    fs_wheel_disarm(&wheel, second); /* it has expired, but was not handed over */
    fs_wheel_disarm(&wheel, second); /* and twice is once */
    fs_wheel_arm(&wheel, first, 1000);
    CHECK(count_expired(&wheel, 500) == 1);
    CHECK(wheel.armed == 1);
    CHECK(fires_at(&wheel, first, 500, 1) >= 1000);
}

static void a_long_sleep_loses_nothing(void)
{
    enum { COUNT = 1000 };
    static fs_timer timers[COUNT];
    fs_wheel wheel;

    memset(timers, 0, sizeof timers);
    fs_wheel_init(&wheel, 7);
    for (uint64_t i = 0; i < COUNT; i++)
        fs_wheel_arm(&wheel, &timers[i], 7 + i * 97); /* six rounds */
    CHECK(count_expired(&wheel, 7 + 500 * 97 + TICK) == 501); /* all that are due, none of the others */
    CHECK(wheel.armed == COUNT - 501);
    CHECK(count_expired(&wheel, UINT64_C(1) << 40) == COUNT - 501);
    CHECK(wheel.armed == 0);
}

static void a_time_without_end_never_fires(void)
{
    fs_wheel wheel;
    fs_timer timer = {0};

    fs_wheel_init(&wheel, 0);
    fs_wheel_arm(&wheel, &timer, UINT64_MAX);
    for (uint64_t now = 0; now < 3 * SPAN; now += TICK)
        CHECK(fs_wheel_expire(&wheel, now) == NULL);
    fs_wheel_disarm(&wheel, &timer);
    CHECK(fs_wheel_next(&wheel) == 0);
}

/* What fs_wheel_next has to say, by looking at every timer; none of them is past. */
static uint64_t next_of(const fs_wheel *wheel, const fs_timer *timers, int count)
{
    uint64_t nearest = FS_WHEEL_SLOTS;

    for (int i = 0; i < count; i++) {
        uint64_t tick = (timers[i].due + TICK - 1) / TICK;
        uint64_t distance = (tick - wheel->tick - 1) % FS_WHEEL_SLOTS;
        if (timers[i].next && distance < nearest)
            nearest = distance;
    }
    return nearest == FS_WHEEL_SLOTS ? 0 : (wheel->tick + 1 + nearest) * TICK;
}

/* Against the plain rule, with a fixed sequence of pseudo-random steps. */
static void against_a_model(void)
{
    enum { COUNT = 12 };
    static fs_timer timers[COUNT];
    uint64_t state = 88172645463325252u, now = 40000;
    fs_wheel wheel;

    memset(timers, 0, sizeof timers);
    fs_wheel_init(&wheel, now);
    for (int step = 0; step < 100000; step++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        fs_timer *timer = &timers[state % COUNT];
        if (state >> 8 & 1)
            fs_wheel_arm(&wheel, timer, now + (state >> 16) % 20000);
        else
            fs_wheel_disarm(&wheel, timer);
        now += (state >> 40) % 20;
        for (fs_timer *fired; (fired = fs_wheel_expire(&wheel, now));)
            CHECK(fired->due <= now && fired->next == NULL);
        unsigned armed = 0;
        for (int i = 0; i < COUNT; i++) {
            armed += timers[i].next != NULL;
            CHECK(!timers[i].next || timers[i].due + 2 * TICK > now);
        }
        CHECK(wheel.armed == armed);
        CHECK(fs_wheel_next(&wheel) == next_of(&wheel, timers, COUNT));
    }
}

int main(void)
{
    RUN(fires_at_its_time);
    RUN(next_leads_to_the_timer);
    RUN(next_is_the_earliest);
    RUN(past_fires_at_the_next_expire);
    RUN(past_at_time_zero_is_still_announced);
    RUN(moving_an_armed_timer);
    RUN(disarm_between_two_expires);
    RUN(a_long_sleep_loses_nothing);
    RUN(a_time_without_end_never_fires);
    RUN(against_a_model);
    return harness_end();
}
