/* ext/net/relay.c: its lock, those who rest, and the watch that takes the lead. Only the first thread makes checks. */

#define _GNU_SOURCE

#include "harness.h"
#include "net/poller.h"
#include "net/relay.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LONG_MS 5000 /* waited for only when something is wrong */
#define SHORT_US 250 /* the watch does not meet a step of this length twice */
#define NS_PER_SECOND 1000000000LL

enum { NOBODY, LEADER, SUCCESSOR };

/* What is touched by several threads is touched under the relay's lock. */
typedef struct scene {
    fs_relay relay;
    pthread_t watch;
    pthread_t others[3];
    int returned; /* from fs_relay_rest */
    int over;     /* those who rest again and again may go */
    int counted;
} scene;

static void open_scene(scene *s)
{
    *s = (scene){.returned = 0};
    CHECK_INT(fs_relay_init(&s->relay), 0);
}

static void close_scene(scene *s)
{
    CHECK_INT(s->relay.depth, 0);
    CHECK_INT(s->relay.resting, 0);
    CHECK_INT(s->relay.woken, 0);
    fs_relay_free(&s->relay);
}

static void start(pthread_t *thread, void *(*body)(void *), void *argument)
{
    CHECK_INT(pthread_create(thread, NULL, body, argument), 0);
}

static void finish(pthread_t thread)
{
    struct timespec until;

    CHECK(clock_gettime(CLOCK_REALTIME, &until) == 0);
    until.tv_sec += LONG_MS / 1000;
    CHECK_INT(pthread_timedjoin_np(thread, NULL, &until), 0);
}

static void nap(long us)
{
    const struct timespec span = {0, us * 1000};

    (void)nanosleep(&span, NULL);
}

/* Comes back when it holds, with the lock. */
static void lock_when(scene *s, int (*holds)(const scene *s, uint64_t n), uint64_t n)
{
    const uint64_t started = fs_monotonic_ms();

    for (;;) {
        fs_relay_lock(&s->relay);
        if (holds(s, n))
            return;
        fs_relay_unlock(&s->relay);
        CHECK(fs_monotonic_ms() - started < LONG_MS);
        nap(100);
    }
}

static int rest(const scene *s, uint64_t n)
{
    return s->relay.resting == n && s->relay.woken == 0;
}

static int have_returned(const scene *s, uint64_t n)
{
    return (uint64_t)s->returned >= n;
}

static int were_taken(const scene *s, uint64_t n)
{
    return s->relay.taken == n;
}

static int leads(const scene *s, uint64_t n)
{
    return (uint64_t)s->relay.leader == n;
}

static int is_parked(const scene *s, uint64_t n)
{
    return (uint64_t)s->relay.parked == n;
}

/* ---- the lock ------------------------------------------------------------- */

static void *try_once(void *argument)
{
    scene *s = argument;

    if (!fs_relay_try(&s->relay))
        return NULL;
    fs_relay_unlock(&s->relay);
    return s;
}

static int another_gets_it(scene *s)
{
    void *got;

    start(&s->others[0], try_once, s);
    CHECK_INT(pthread_join(s->others[0], &got), 0);
    return got != NULL;
}

static void the_lock_nests_in_one_thread(void)
{
    scene s;

    open_scene(&s);
    CHECK(another_gets_it(&s));
    fs_relay_lock(&s.relay);
    CHECK(!another_gets_it(&s));
    fs_relay_lock(&s.relay);
    CHECK_INT(fs_relay_try(&s.relay), 1);
    CHECK_INT(s.relay.depth, 3);
    for (int left = 3; left > 0; left--) {
        CHECK(!another_gets_it(&s));
        fs_relay_unlock(&s.relay);
    }
    CHECK(another_gets_it(&s));
    CHECK_INT(fs_relay_try(&s.relay), 1);
    CHECK(!another_gets_it(&s));
    fs_relay_lock(&s.relay);
    fs_relay_unlock(&s.relay);
    CHECK(!another_gets_it(&s)); /* what nested gave back its own only */
    fs_relay_unlock(&s.relay);
    CHECK(another_gets_it(&s));
    close_scene(&s);
}

enum { ROUNDS = 2000 };

/* Adds in two halves, so that two who are inside together lose one; every third nests, every third tries. */
static void *count(void *argument)
{
    scene *s = argument;

    for (int i = 0; i < ROUNDS; i++) {
        if (i % 3 != 0 || !fs_relay_try(&s->relay))
            fs_relay_lock(&s->relay);
        if (i % 3 == 1)
            fs_relay_lock(&s->relay);
        const int before = *(volatile int *)&s->counted;
        if (i % 3 == 1)
            fs_relay_unlock(&s->relay);
        *(volatile int *)&s->counted = before + 1;
        fs_relay_unlock(&s->relay);
    }
    return NULL;
}

static void the_lock_excludes(void)
{
    scene s;

    open_scene(&s);
    for (int i = 0; i < 3; i++)
        start(&s.others[i], count, &s);
    for (int i = 0; i < 3; i++)
        finish(s.others[i]);
    CHECK_INT(s.counted, 3 * ROUNDS);
    close_scene(&s);
}

/* ---- resting -------------------------------------------------------------- */

static void *rest_once(void *argument)
{
    scene *s = argument;

    fs_relay_lock(&s->relay);
    fs_relay_rest(&s->relay);
    s->returned++;
    fs_relay_unlock(&s->relay);
    return NULL;
}

static void start_resting(scene *s, int count)
{
    for (int i = 0; i < count; i++)
        start(&s->others[i], rest_once, s);
}

/* pthread_cond_wait may return for nothing; here it does, and the one who rests has looked when it owned the lock. */
static void rest_ends_only_for_a_wake(void)
{
    const uint64_t started = fs_monotonic_ms();
    scene s;
    int looked;

    open_scene(&s);
    start_resting(&s, 1);
    lock_when(&s, rest, 1);
    CHECK_INT(pthread_cond_broadcast(&s.relay.rest), 0);
    fs_relay_unlock(&s.relay);
    do {
        CHECK(fs_monotonic_ms() - started < LONG_MS);
        nap(100);
        CHECK_INT(pthread_mutex_lock(&s.relay.mutex), 0); /* fs_relay_lock would write another owner */
        looked = pthread_equal(s.relay.owner, s.others[0]);
        CHECK_INT(s.returned, 0);
        CHECK_INT(s.relay.resting, 1);
        CHECK_INT(pthread_mutex_unlock(&s.relay.mutex), 0);
    } while (!looked);
    fs_relay_lock(&s.relay);
    fs_relay_wake(&s.relay);
    fs_relay_unlock(&s.relay);
    finish(s.others[0]);
    CHECK_INT(s.returned, 1);
    close_scene(&s);
}

static void one_wake_wakes_one(void)
{
    scene s;

    open_scene(&s);
    start_resting(&s, 3);
    lock_when(&s, rest, 3);
    for (int gone = 1; gone <= 3; gone++) {
        fs_relay_wake(&s.relay);
        CHECK_INT(pthread_cond_broadcast(&s.relay.rest), 0); /* though all of them look */
        fs_relay_unlock(&s.relay);
        lock_when(&s, have_returned, (uint64_t)gone);
        CHECK_INT(s.returned, gone);
        CHECK_INT(s.relay.resting, 3 - gone);
        CHECK_INT(s.relay.woken, 0);
    }
    fs_relay_unlock(&s.relay);
    for (int i = 0; i < 3; i++)
        finish(s.others[i]);
    close_scene(&s);
}

static void wake_all_wakes_all(void)
{
    scene s;

    open_scene(&s);
    start_resting(&s, 3);
    lock_when(&s, rest, 3);
    fs_relay_wake(&s.relay); /* who is on the way out already is not woken twice */
    fs_relay_wake_all(&s.relay);
    CHECK_INT(s.relay.woken, 3);
    CHECK(!fs_relay_can_wake(&s.relay));
    fs_relay_unlock(&s.relay);
    for (int i = 0; i < 3; i++)
        finish(s.others[i]);
    CHECK_INT(s.returned, 3);
    close_scene(&s);
}

/* Nobody gets out while the lock is held here: the woken ones are still counted as resting. */
static void those_on_their_way_out_cannot_be_woken(void)
{
    scene s;

    open_scene(&s);
    fs_relay_lock(&s.relay);
    CHECK(!fs_relay_can_wake(&s.relay));
    fs_relay_unlock(&s.relay);
    start_resting(&s, 2);
    lock_when(&s, rest, 2);
    CHECK(fs_relay_can_wake(&s.relay));
    fs_relay_wake(&s.relay);
    CHECK(fs_relay_can_wake(&s.relay));
    fs_relay_wake(&s.relay);
    CHECK_INT(s.relay.resting, 2);
    CHECK(!fs_relay_can_wake(&s.relay));
    fs_relay_wake(&s.relay);
    CHECK_INT(s.relay.woken, 2);
    fs_relay_unlock(&s.relay);
    for (int i = 0; i < 2; i++)
        finish(s.others[i]);
    CHECK(!fs_relay_can_wake(&s.relay));
    close_scene(&s);
}

static void a_wake_for_nobody_is_forgotten(void)
{
    scene s;

    open_scene(&s);
    fs_relay_lock(&s.relay);
    fs_relay_wake(&s.relay);
    fs_relay_wake_all(&s.relay);
    CHECK_INT(s.relay.woken, 0);
    fs_relay_unlock(&s.relay);
    start_resting(&s, 1);
    lock_when(&s, rest, 1);
    CHECK_INT(s.returned, 0);
    fs_relay_wake(&s.relay);
    fs_relay_unlock(&s.relay);
    finish(s.others[0]);
    close_scene(&s);
}

static void *rest_until_over(void *argument)
{
    scene *s = argument;

    fs_relay_lock(&s->relay);
    while (!s->over) {
        fs_relay_rest(&s->relay);
        s->returned++;
    }
    fs_relay_unlock(&s->relay);
    return NULL;
}

/* Some come to rest while others are on their way out. */
static void as_many_return_as_were_woken(void)
{
    const uint64_t started = fs_monotonic_ms();
    int wakes = 0;
    scene s;

    open_scene(&s);
    for (int i = 0; i < 3; i++)
        start(&s.others[i], rest_until_over, &s);
    while (wakes < 300) {
        CHECK(fs_monotonic_ms() - started < LONG_MS);
        fs_relay_lock(&s.relay);
        wakes += fs_relay_can_wake(&s.relay);
        fs_relay_wake(&s.relay);
        CHECK(s.relay.woken <= s.relay.resting);
        CHECK_INT(s.returned + (int)s.relay.woken, wakes);
        fs_relay_unlock(&s.relay);
    }
    lock_when(&s, rest, 3);
    CHECK_INT(s.returned, wakes);
    s.over = 1;
    fs_relay_wake_all(&s.relay);
    fs_relay_unlock(&s.relay);
    for (int i = 0; i < 3; i++)
        finish(s.others[i]);
    CHECK_INT(s.returned, wakes + 3);
    close_scene(&s);
}

/* ---- steps and their watch ------------------------------------------------- */

static void *watch(void *argument)
{
    fs_relay_watch(&((scene *)argument)->relay);
    return NULL;
}

static void open_watched(scene *s)
{
    open_scene(s);
    s->relay.leader = LEADER;
    start(&s->watch, watch, s);
}

static void close_watched(scene *s)
{
    fs_relay_lock(&s->relay);
    fs_relay_end_watch(&s->relay);
    fs_relay_unlock(&s->relay);
    finish(s->watch);
    CHECK_INT(s->relay.parked, 0);
    close_scene(s);
}

static void begin_step(scene *s)
{
    fs_relay_lock(&s->relay);
    fs_relay_begin_step(&s->relay);
    fs_relay_unlock(&s->relay);
}

static int is_within_step(scene *s)
{
    return atomic_load(&s->relay.step) % 2 == 1;
}

static void a_step_without_a_watch_keeps_the_lead(void)
{
    scene s;

    open_scene(&s);
    fs_relay_lock(&s.relay);
    s.relay.leader = LEADER;
    for (int i = 0; i < 3; i++) {
        fs_relay_begin_step(&s.relay);
        CHECK(is_within_step(&s));
        CHECK_INT(fs_relay_end_step(&s.relay, LEADER), 1);
        CHECK(!is_within_step(&s));
    }
    CHECK_INT(s.relay.leader, LEADER);
    CHECK_INT(s.relay.taken, 0);
    fs_relay_unlock(&s.relay);
    close_scene(&s);
}

static void the_end_of_a_lost_step_is_not_the_end_of_anothers(void)
{
    scene s;

    open_scene(&s);
    fs_relay_lock(&s.relay);
    s.relay.leader = SUCCESSOR;
    fs_relay_begin_step(&s.relay);
    CHECK_INT(fs_relay_end_step(&s.relay, LEADER), 0);
    CHECK(is_within_step(&s));
    CHECK_INT(fs_relay_end_step(&s.relay, SUCCESSOR), 1);
    CHECK_INT(fs_relay_end_step(&s.relay, LEADER), 0);
    CHECK(!is_within_step(&s));
    fs_relay_unlock(&s.relay);
    close_scene(&s);
}

static void *rest_and_lead(void *argument)
{
    scene *s = argument;

    fs_relay_lock(&s->relay);
    fs_relay_rest(&s->relay);
    s->returned++;
    if (s->relay.leader == NOBODY)
        s->relay.leader = SUCCESSOR;
    fs_relay_unlock(&s->relay);
    return NULL;
}

static void a_step_that_lasts_loses_the_lead(void)
{
    scene s;

    open_watched(&s);
    begin_step(&s);
    lock_when(&s, were_taken, 1);
    CHECK_INT(s.relay.leader, NOBODY);
    CHECK_INT(s.relay.woken, 0);
    CHECK(!is_within_step(&s));
    CHECK_INT(fs_relay_end_step(&s.relay, LEADER), 0);
    CHECK_INT(s.relay.leader, NOBODY);
    fs_relay_unlock(&s.relay);
    lock_when(&s, is_parked, 1); /* by then it has looked many times: a lead is taken once */
    CHECK_INT(s.relay.taken, 1);
    fs_relay_unlock(&s.relay);
    close_watched(&s);
}

static void the_lead_that_was_taken_goes_to_one_that_rests(void)
{
    scene s;

    open_watched(&s);
    for (int i = 0; i < 2; i++)
        start(&s.others[i], rest_and_lead, &s);
    lock_when(&s, rest, 2);
    fs_relay_begin_step(&s.relay);
    fs_relay_unlock(&s.relay);
    lock_when(&s, leads, SUCCESSOR);
    CHECK_INT(s.relay.taken, 1);
    CHECK_INT(s.returned, 1);
    CHECK_INT(s.relay.resting, 1);
    CHECK_INT(fs_relay_end_step(&s.relay, LEADER), 0);
    CHECK_INT(s.relay.leader, SUCCESSOR);
    fs_relay_wake(&s.relay);
    fs_relay_unlock(&s.relay);
    for (int i = 0; i < 2; i++)
        finish(s.others[i]);
    close_watched(&s);
}

/*
 * The watch meets a step at nearly every look, and each is another one. The
 * machine may stop this thread at any place, so that what is short here lasts
 * all the same; then, and only then, is the lead lost, or the watch parked.
 */
static void a_row_of_short_steps_keeps_the_lead(void)
{
    const uint64_t started = fs_monotonic_us();
    uint64_t ended = started, begun, now, kept = 0, lost = 0;
    scene s;

    open_watched(&s);
    do {
        begun = fs_monotonic_us();
        fs_relay_lock(&s.relay);
        CHECK(!s.relay.parked || fs_monotonic_us() - ended >= FS_RELAY_PARK_TICKS * FS_RELAY_TICK_US);
        s.relay.leader = LEADER;
        fs_relay_begin_step(&s.relay);
        fs_relay_unlock(&s.relay);
        while (fs_monotonic_us() - begun < SHORT_US / 5)
            ;
        fs_relay_lock(&s.relay);
        ended = now = fs_monotonic_us();
        if (fs_relay_end_step(&s.relay, LEADER)) {
            kept++;
        } else {
            lost++;
            ended = begun; /* it ended when it was taken, which was no earlier */
            CHECK(now - begun > SHORT_US);
        }
        CHECK_INT(s.relay.taken, lost);
        fs_relay_unlock(&s.relay);
    } while (now - started < 100 * FS_RELAY_TICK_US);
    CHECK(kept > lost);
    close_watched(&s);
}

/* The watch has chosen a step and waits for the lock; when it gets it, that step is over and another is on. */
static void a_step_that_ended_in_the_last_moment_keeps_the_lead(void)
{
    uint64_t begun, now;
    scene s;

    open_watched(&s);
    for (int i = 0; i < 10; i++) {
        fs_relay_lock(&s.relay);
        s.relay.leader = LEADER;
        fs_relay_begin_step(&s.relay);
        nap(4 * FS_RELAY_TICK_US);
        CHECK_INT(fs_relay_end_step(&s.relay, LEADER), 1);
        begun = fs_monotonic_us();
        fs_relay_begin_step(&s.relay);
        fs_relay_unlock(&s.relay);
        while (fs_monotonic_us() - begun < SHORT_US * 4 / 5) /* it comes in now */
            ;
        fs_relay_lock(&s.relay);
        now = fs_monotonic_us();
        CHECK(fs_relay_end_step(&s.relay, LEADER) || now - begun > SHORT_US);
        fs_relay_unlock(&s.relay);
    }
    close_watched(&s);
}

static void a_pause_between_steps_does_not_park_the_watch(void)
{
    uint64_t ended = fs_monotonic_us();
    scene s;

    open_watched(&s);
    for (int i = 0; i < 20; i++) {
        nap(2 * FS_RELAY_TICK_US);
        fs_relay_lock(&s.relay);
        CHECK(!s.relay.parked || fs_monotonic_us() - ended >= FS_RELAY_PARK_TICKS * FS_RELAY_TICK_US);
        fs_relay_begin_step(&s.relay);
        ended = fs_monotonic_us();
        CHECK_INT(fs_relay_end_step(&s.relay, LEADER), 1);
        fs_relay_unlock(&s.relay);
    }
    CHECK_INT(s.relay.taken, 0);
    close_watched(&s);
}

static long long cpu_ns(pthread_t thread)
{
    struct timespec used;
    clockid_t clock;

    CHECK_INT(pthread_getcpuclockid(thread, &clock), 0);
    CHECK(clock_gettime(clock, &used) == 0);
    return used.tv_sec * NS_PER_SECOND + used.tv_nsec;
}

static int stands_still(pthread_t thread)
{
    const long long before = cpu_ns(thread);

    nap(20 * FS_RELAY_TICK_US);
    return cpu_ns(thread) == before;
}

static void without_steps_the_watch_parks(void)
{
    const uint64_t started = fs_monotonic_ms();
    scene s;

    open_watched(&s);
    for (uint64_t i = 1; i <= 3; i++) {
        lock_when(&s, is_parked, 1);
        fs_relay_unlock(&s.relay);
        while (!stands_still(s.watch)) /* it tells that it is parked a little before it sleeps */
            CHECK(fs_monotonic_ms() - started < LONG_MS);
        const long long asleep = cpu_ns(s.watch);
        fs_relay_lock(&s.relay);
        s.relay.leader = LEADER;
        CHECK_INT(s.relay.parked, 1);
        fs_relay_begin_step(&s.relay);
        CHECK_INT(s.relay.parked, 0);
        fs_relay_unlock(&s.relay);
        lock_when(&s, were_taken, i);
        CHECK_INT(s.relay.leader, NOBODY);
        fs_relay_unlock(&s.relay);
        CHECK(cpu_ns(s.watch) > asleep);
    }
    close_watched(&s);
}

/* ---- the end of the watch --------------------------------------------------- */

static void the_watch_ends_while_it_runs(void)
{
    scene s;

    open_watched(&s);
    begin_step(&s);
    lock_when(&s, were_taken, 1); /* so it has begun */
    s.relay.leader = LEADER;
    fs_relay_begin_step(&s.relay);
    CHECK_INT(fs_relay_end_step(&s.relay, LEADER), 1);
    CHECK_INT(s.relay.parked, 0);
    fs_relay_end_watch(&s.relay);
    fs_relay_begin_step(&s.relay);
    fs_relay_unlock(&s.relay);
    finish(s.watch);
    CHECK_INT(s.relay.parked, 0);
    fs_relay_lock(&s.relay);
    CHECK_INT(fs_relay_end_step(&s.relay, LEADER), 1); /* nobody looks any more */
    fs_relay_unlock(&s.relay);
    close_scene(&s);
}

static void the_watch_ends_while_it_is_parked(void)
{
    scene s;

    open_watched(&s);
    lock_when(&s, is_parked, 1);
    fs_relay_end_watch(&s.relay);
    fs_relay_unlock(&s.relay);
    finish(s.watch);
    CHECK_INT(s.relay.parked, 0);
    close_scene(&s);
}

static void the_watch_ends_before_it_begins(void)
{
    scene s;

    open_scene(&s);
    fs_relay_lock(&s.relay);
    s.relay.leader = LEADER;
    fs_relay_end_watch(&s.relay);
    fs_relay_begin_step(&s.relay);
    fs_relay_unlock(&s.relay);
    start(&s.watch, watch, &s);
    finish(s.watch);
    fs_relay_lock(&s.relay);
    CHECK_INT(fs_relay_end_step(&s.relay, LEADER), 1);
    CHECK_INT(s.relay.taken, 0);
    fs_relay_unlock(&s.relay);
    close_scene(&s);
}

/* ---- a guard ----------------------------------------------------------------- */

/* Within the guard, which has the lock and may nest it. */
static void note_held_up(void *ctx)
{
    scene *s = ctx;

    fs_relay_lock(&s->relay);
    s->counted += s->relay.leader == NOBODY;
    fs_relay_unlock(&s->relay);
}

static void open_guarded(scene *s)
{
    open_scene(s);
    fs_relay_lock(&s->relay);
    s->relay.leader = LEADER;
    CHECK_INT(fs_relay_start_guard(&s->relay, note_held_up, s), 0);
    fs_relay_unlock(&s->relay);
}

/* Also a step that computes: nobody is to lead on, so nothing speaks for more patience. */
static void a_guard_is_called_once_for_a_step_that_lasts(void)
{
    scene s;

    open_guarded(&s);
    for (uint64_t i = 1; i <= 3; i++) {
        fs_relay_lock(&s.relay);
        s.relay.leader = LEADER;
        fs_relay_begin_step(&s.relay);
        fs_relay_unlock(&s.relay);
        lock_when(&s, were_taken, i);
        CHECK_INT(s.counted, (int)i);
        CHECK_INT(fs_relay_end_step(&s.relay, LEADER), 0);
        fs_relay_unlock(&s.relay);
        lock_when(&s, is_parked, 1);
        CHECK_INT(s.counted, (int)i);
        fs_relay_unlock(&s.relay);
    }
    fs_relay_end_guard(&s.relay);
    fs_relay_end_guard(&s.relay); /* there is none any more */
    close_scene(&s);
}

static void a_guard_ends_before_it_looks(void)
{
    scene s;

    open_scene(&s);
    fs_relay_end_guard(&s.relay);
    for (int i = 0; i < 3; i++) {
        fs_relay_lock(&s.relay);
        CHECK_INT(fs_relay_start_guard(&s.relay, note_held_up, &s), 0);
        fs_relay_unlock(&s.relay);
        fs_relay_end_guard(&s.relay);
    }
    CHECK_INT(s.counted, 0);
    close_scene(&s);
}

static void *hold(void *argument)
{
    scene *s = argument;

    fs_relay_lock(&s->relay);
    __atomic_store_n(&s->counted, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&s->over, __ATOMIC_ACQUIRE))
        nap(100);
    fs_relay_unlock(&s->relay);
    return NULL;
}

/* What a child finds: 0 where the lock cannot be had, 1 where it can. */
static int in_a_child(scene *s)
{
    int status = -1;
    const pid_t child = fork();

    if (child == 0) {
        fs_relay_forget(&s->relay);
        _exit(fs_relay_try(&s->relay));
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_child_finds_no_lock(void)
{
    scene s;

    open_scene(&s);
    CHECK_INT(in_a_child(&s), 0);
    start(&s.others[0], hold, &s);
    while (!__atomic_load_n(&s.counted, __ATOMIC_ACQUIRE))
        nap(100);
    CHECK_INT(in_a_child(&s), 0);
    __atomic_store_n(&s.over, 1, __ATOMIC_RELEASE);
    finish(s.others[0]);
    close_scene(&s);
}

static void a_child_keeps_the_lock_that_its_thread_holds(void)
{
    scene s;

    open_scene(&s);
    fs_relay_lock(&s.relay);
    CHECK_INT(in_a_child(&s), 1);
    fs_relay_unlock(&s.relay);
    close_scene(&s);
}

int main(void)
{
    RUN(the_lock_nests_in_one_thread);
    RUN(the_lock_excludes);
    RUN(rest_ends_only_for_a_wake);
    RUN(one_wake_wakes_one);
    RUN(wake_all_wakes_all);
    RUN(those_on_their_way_out_cannot_be_woken);
    RUN(a_wake_for_nobody_is_forgotten);
    RUN(as_many_return_as_were_woken);
    RUN(a_step_without_a_watch_keeps_the_lead);
    RUN(the_end_of_a_lost_step_is_not_the_end_of_anothers);
    RUN(a_step_that_lasts_loses_the_lead);
    RUN(the_lead_that_was_taken_goes_to_one_that_rests);
    RUN(a_row_of_short_steps_keeps_the_lead);
    RUN(a_step_that_ended_in_the_last_moment_keeps_the_lead);
    RUN(a_pause_between_steps_does_not_park_the_watch);
    RUN(without_steps_the_watch_parks);
    RUN(the_watch_ends_while_it_runs);
    RUN(the_watch_ends_while_it_is_parked);
    RUN(the_watch_ends_before_it_begins);
    RUN(a_guard_is_called_once_for_a_step_that_lasts);
    RUN(a_guard_ends_before_it_looks);
    RUN(a_child_finds_no_lock);
    RUN(a_child_keeps_the_lock_that_its_thread_holds);
    return harness_end();
}
