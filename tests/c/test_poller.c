/* ext/net/poller.c: what epoll and the timer tell, over socket pairs and loopback listeners; what wakes it. */

#define _GNU_SOURCE

#include "harness.h"
#include "net/poller.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LONG_MS 5000 /* waited for only when something is wrong */

static void make_pair(int pair[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
}

static int make_listener(struct sockaddr_in *name)
{
    socklen_t size = sizeof *name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)name, size) == 0);
    CHECK(listen(fd, 8) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)name, &size) == 0);
    return fd;
}

static int connect_to(const struct sockaddr_in *name)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    CHECK(connect(fd, (const struct sockaddr *)name, sizeof *name) == 0);
    return fd;
}

/* The events of the only watch that is ready. */
static uint32_t one(fs_poller *poller, void *watch, int timeout_ms)
{
    fs_ready ready[4];
    int n = fs_poller_wait(poller, ready, 4, timeout_ms);

    CHECK(n == 1);
    CHECK(ready[0].watch == watch);
    return ready[0].events;
}

static int none(fs_poller *poller)
{
    fs_ready ready[4];

    return fs_poller_wait(poller, ready, 4, 0) == 0;
}

static void each_edge_is_told_once(void)
{
    fs_poller poller;
    char watch, buffer[8];
    int pair[2];

    make_pair(pair);
    CHECK(fs_poller_open(&poller) == 0);
    CHECK(fs_poller_add(&poller, pair[0], &watch) == 0);
    CHECK(one(&poller, &watch, 0) == FS_WRITABLE);
    CHECK(none(&poller)); /* told once */
    CHECK(write(pair[1], "abc", 3) == 3);
    CHECK(one(&poller, &watch, LONG_MS) == (FS_READABLE | FS_WRITABLE));
    CHECK(none(&poller)); /* though it was not read */
    CHECK(write(pair[1], "def", 3) == 3);
    CHECK(one(&poller, &watch, LONG_MS) & FS_READABLE);
    CHECK(read(pair[0], buffer, sizeof buffer) == 6);
    CHECK(close(pair[1]) == 0);
    CHECK(close(pair[0]) == 0); /* closed, and so no longer watched, its peer's end notwithstanding */
    CHECK(none(&poller));
    fs_poller_close(&poller);
}

static void a_fin_comes_with_the_data_before_it(void)
{
    fs_poller poller;
    char watch;
    int pair[2];

    make_pair(pair);
    CHECK(fs_poller_open(&poller) == 0);
    CHECK(fs_poller_add(&poller, pair[0], &watch) == 0);
    CHECK(write(pair[1], "abc", 3) == 3);
    CHECK(shutdown(pair[1], SHUT_WR) == 0);
    CHECK(one(&poller, &watch, LONG_MS) == (FS_READABLE | FS_WRITABLE | FS_PEER_CLOSED));
    CHECK(close(pair[1]) == 0);
    CHECK(one(&poller, &watch, LONG_MS) & FS_HANGUP);
    CHECK(close(pair[0]) == 0);
    fs_poller_close(&poller);
}

static void a_reset_is_a_hangup(void)
{
    const struct linger reset = {1, 0};
    struct sockaddr_in name;
    fs_poller poller;
    char watch;
    int listener = make_listener(&name), peer = connect_to(&name);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

    CHECK(fd >= 0);
    CHECK(fs_poller_open(&poller) == 0);
    CHECK(fs_poller_add(&poller, fd, &watch) == 0);
    CHECK(one(&poller, &watch, LONG_MS) == FS_WRITABLE);
    CHECK(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    CHECK(close(peer) == 0);
    CHECK(one(&poller, &watch, LONG_MS) & FS_HANGUP);
    CHECK(close(fd) == 0);
    CHECK(close(listener) == 0);
    fs_poller_close(&poller);
}

static void a_removed_descriptor_is_silent(void)
{
    fs_poller poller;
    char watch;
    int pair[2];

    make_pair(pair);
    CHECK(fs_poller_open(&poller) == 0);
    CHECK(fs_poller_add(&poller, pair[0], &watch) == 0);
    CHECK(fs_poller_add(&poller, pair[0], &watch) == -EEXIST);
    CHECK(fs_poller_remove(&poller, pair[0]) == 0);
    CHECK(fs_poller_remove(&poller, pair[0]) == -ENOENT);
    CHECK(write(pair[1], "abc", 3) == 3);
    CHECK(none(&poller));
    CHECK(fs_poller_add(&poller, -1, &watch) == -EBADF);
    CHECK(close(pair[0]) == 0);
    CHECK(close(pair[1]) == 0);
    fs_poller_close(&poller);
}

static void a_listener_is_told_until_it_is_empty(int shared)
{
    struct sockaddr_in name;
    fs_poller poller;
    char watch;
    int listener = make_listener(&name);

    CHECK(fs_poller_open(&poller) == 0);
    CHECK(fs_poller_add_listener(&poller, listener, &watch, shared) == 0);
    CHECK(none(&poller));
    int first = connect_to(&name), second = connect_to(&name);
    for (int left = 2; left > 0; left--) {
        CHECK(one(&poller, &watch, LONG_MS) == FS_READABLE);
        CHECK(one(&poller, &watch, LONG_MS) == FS_READABLE);
        int fd = accept(listener, NULL, NULL);
        CHECK(fd >= 0);
        CHECK(close(fd) == 0);
    }
    CHECK(none(&poller));
    CHECK(close(first) == 0);
    CHECK(close(second) == 0);
    CHECK(close(listener) == 0);
    fs_poller_close(&poller);
}

static void the_batch_is_bounded(void)
{
    enum { COUNT = FS_POLL_BATCH + 20 };
    static int pairs[COUNT][2];
    static fs_ready ready[COUNT];
    static char seen[COUNT];
    fs_poller poller;
    int total = 0, n;

    CHECK(fs_poller_open(&poller) == 0);
    for (int i = 0; i < COUNT; i++) {
        make_pair(pairs[i]);
        CHECK(fs_poller_add(&poller, pairs[i][0], &seen[i]) == 0);
    }
    CHECK(fs_poller_wait(&poller, ready, 3, 0) == 3);
    for (int i = 0; i < 3; i++)
        ++*(char *)ready[i].watch;
    for (total = 3; (n = fs_poller_wait(&poller, ready, COUNT, 0)) > 0; total += n) {
        CHECK(n <= FS_POLL_BATCH);
        for (int i = 0; i < n; i++)
            ++*(char *)ready[i].watch;
    }
    CHECK(n == 0 && total == COUNT);
    for (int i = 0; i < COUNT; i++)
        CHECK(seen[i] == 1 && close(pairs[i][0]) == 0 && close(pairs[i][1]) == 0);
    fs_poller_close(&poller);
}

static void an_event_loop_can_watch_it(void)
{
    fs_poller poller;
    char watch;
    int pair[2];

    make_pair(pair);
    CHECK(fs_poller_open(&poller) == 0);
    struct pollfd outer = {.fd = poller.fd, .events = POLLIN};
    CHECK(poll(&outer, 1, 0) == 0);
    CHECK(fs_poller_add(&poller, pair[0], &watch) == 0);
    CHECK(poll(&outer, 1, LONG_MS) == 1);
    CHECK(one(&poller, &watch, 0) == FS_WRITABLE);
    CHECK(poll(&outer, 1, 0) == 0);
    CHECK(fs_poller_set_timer(&poller, 1) == 0);
    CHECK(poll(&outer, 1, LONG_MS) == 1);
    CHECK(close(pair[0]) == 0);
    CHECK(close(pair[1]) == 0);
    fs_poller_close(&poller);
}

static void the_timer_is_never_early(void)
{
    fs_poller poller;

    CHECK(fs_poller_open(&poller) == 0);
    for (uint64_t delay = 1; delay < 40; delay += 6) {
        uint64_t due = fs_monotonic_ms() + delay;
        CHECK(fs_poller_set_timer(&poller, due) == 0);
        CHECK(poller.timer_due == due);
        CHECK(one(&poller, &poller, LONG_MS) == FS_READABLE);
        CHECK(fs_monotonic_ms() >= due); /* by the clock that the wheel is read with */
        CHECK(poller.timer_due == 0);
        CHECK(none(&poller)); /* it was read and is disarmed */
    }
    fs_poller_close(&poller);
}

static void the_timer_moves(void)
{
    fs_poller poller;
    fs_ready ready;

    CHECK(fs_poller_open(&poller) == 0);
    CHECK(fs_poller_set_timer(&poller, 1) == 0); /* long past */
    CHECK(one(&poller, &poller, LONG_MS) == FS_READABLE);
    CHECK(fs_poller_set_timer(&poller, 1) == 0);
    CHECK(fs_poller_set_timer(&poller, 0) == 0); /* disarmed with its expiry pending */
    CHECK(poller.timer_due == 0);
    CHECK(none(&poller));
    CHECK(fs_poller_set_timer(&poller, 1) == 0);
    CHECK(fs_poller_set_timer(&poller, fs_monotonic_ms() + 3600000) == 0); /* moved far away */
    CHECK(fs_poller_wait(&poller, &ready, 1, 20) == 0);
    uint64_t due = fs_monotonic_ms() + 5;
    CHECK(fs_poller_set_timer(&poller, due) == 0); /* and near again */
    CHECK(one(&poller, &poller, LONG_MS) == FS_READABLE);
    CHECK(fs_monotonic_ms() >= due);
    fs_poller_close(&poller);
}

/* Arming for the same time again must not reach the kernel: it is done in every turn of the driver. */
static void arming_again_is_no_system_call(void)
{
    fs_poller poller;

    CHECK(fs_poller_open(&poller) == 0);
    uint64_t due = fs_monotonic_ms() + 3600000;
    CHECK(fs_poller_set_timer(&poller, due) == 0);
    int timer_fd = poller.timer_fd;
    poller.timer_fd = -1; /* a system call would fail now */
    CHECK(fs_poller_set_timer(&poller, due) == 0);
    CHECK(fs_poller_set_timer(&poller, due + 1) == -EBADF);
    CHECK(poller.timer_due == due);
    poller.timer_fd = timer_fd;
    fs_poller_close(&poller);
}

static void on_alarm(int number)
{
    (void)number;
}

static void a_signal_ends_the_wait(void)
{
    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval soon = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    fs_poller poller;
    fs_ready ready;

    CHECK(fs_poller_open(&poller) == 0);
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
    CHECK(fs_poller_wait(&poller, &ready, 1, -1) == 0);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    fs_poller_close(&poller);
}

static void open_without_descriptors(void)
{
    struct rlimit old, small;
    fs_poller poller;

    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    int lowest = dup(0);
    CHECK(lowest >= 0 && close(lowest) == 0);
    small = old;
    for (int spare = 0; spare < 2; spare++) { /* none for epoll, none for the timer */
        small.rlim_cur = (rlim_t)(lowest + spare);
        CHECK(setrlimit(RLIMIT_NOFILE, &small) == 0);
        CHECK(fs_poller_open(&poller) == -EMFILE);
        CHECK(poller.fd == -1 && poller.timer_fd == -1);
    }
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    int again = dup(0);
    CHECK(again == lowest && close(again) == 0); /* nothing was left open */
}

static void close_on_exec_and_closing_twice(void)
{
    fs_poller poller;

    CHECK(fs_poller_open(&poller) == 0);
    CHECK(fcntl(poller.fd, F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(poller.timer_fd, F_GETFD) == FD_CLOEXEC);
    fs_poller_close(&poller);
    fs_poller_close(&poller);
    CHECK(fs_poller_wait(&poller, &(fs_ready){0}, 1, 0) == -EBADF);
}

/* ---- wakes ----------------------------------------------------------------- */

static void open_with_wake(fs_poller *poller)
{
    CHECK(fs_poller_open(poller) == 0);
    CHECK(fs_poller_open_wake(poller) == 0);
}

static int has(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};

    return poll(&one, 1, 0) == 1 && one.revents == events;
}

typedef struct waiter {
    fs_poller poller;
    _Atomic pid_t thread; /* 0 until it is about to wait */
    int result;
} waiter;

static void *wait_for_ever(void *argument)
{
    waiter *w = argument;
    fs_ready ready[4];

    atomic_store(&w->thread, gettid());
    w->result = fs_poller_wait(&w->poller, ready, 4, -1);
    return NULL;
}

/* proc(5): the state follows the name, which is in brackets. */
static int is_asleep(pid_t thread)
{
    char path[64], line[256];
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)thread);
    file = fopen(path, "r");
    CHECK(file && fgets(line, sizeof line, file));
    CHECK(fclose(file) == 0);
    const char *end = strrchr(line, ')');
    CHECK(end);
    return end[2] == 'S';
}

static void a_wake_ends_the_wait_of_another_thread(void)
{
    const uint64_t started = fs_monotonic_ms();
    struct timespec until;
    pthread_t thread;
    waiter w = {.result = -1};

    open_with_wake(&w.poller);
    CHECK(pthread_create(&thread, NULL, wait_for_ever, &w) == 0);
    while (!atomic_load(&w.thread) || !is_asleep(atomic_load(&w.thread)))
        CHECK(fs_monotonic_ms() - started < LONG_MS);
    fs_poller_wake(&w.poller);
    CHECK(clock_gettime(CLOCK_REALTIME, &until) == 0);
    until.tv_sec += LONG_MS / 1000;
    CHECK(pthread_timedjoin_np(thread, NULL, &until) == 0);
    CHECK_INT(w.result, 0);
    fs_poller_close(&w.poller);
}

static void many_wakes_are_one(void)
{
    const int counts[] = {1, 2, 63, 64, 65, 128, 1000};
    fs_poller poller;
    fs_ready ready[4];

    open_with_wake(&poller);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (int left = counts[i]; left > 0; left--)
            fs_poller_wake(&poller);
        CHECK_INT(fs_poller_wait(&poller, ready, 4, LONG_MS), 0);
        CHECK(!has(poller.wake_read, POLLIN));
        CHECK_INT(fs_poller_collect(&poller, ready, 4, 0), 0);
    }
    fs_poller_close(&poller);
}

static void a_wake_does_not_wait_for_room(void)
{
    fs_poller poller;
    fs_ready ready[4];

    open_with_wake(&poller);
    CHECK(fcntl(poller.wake_write, F_GETFL) & O_NONBLOCK); /* or what follows would never end */
    CHECK(fcntl(poller.wake_read, F_GETFL) & O_NONBLOCK);
    const int room = fcntl(poller.wake_write, F_SETPIPE_SZ, 4096);
    CHECK(room >= 4096);
    for (int left = room; left > 0; left--)
        fs_poller_wake(&poller);
    CHECK(!has(poller.wake_write, POLLOUT));
    fs_poller_wake(&poller);
    CHECK_INT(fs_poller_wait(&poller, ready, 4, LONG_MS), 0);
    CHECK(has(poller.wake_write, POLLOUT));
    CHECK_INT(fs_poller_collect(&poller, ready, 4, 0), 0);
    fs_poller_wake(&poller); /* and it goes on as before */
    CHECK_INT(fs_poller_collect(&poller, ready, 4, LONG_MS), 1);
    CHECK_INT(fs_poller_sort_out(&poller, ready, 1), 0);
    fs_poller_close(&poller);
}

static fs_poller *woken_by_signal;

static void on_signal(int number)
{
    (void)number;
    fs_poller_wake(woken_by_signal);
}

static void a_signal_handler_may_wake_before_the_wait(void)
{
    const struct sigaction action = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_DFL};
    fs_poller poller;
    fs_ready ready;

    open_with_wake(&poller);
    woken_by_signal = &poller;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(raise(SIGUSR1) == 0);
    CHECK(sigaction(SIGUSR1, &ignore, NULL) == 0);
    CHECK_INT(fs_poller_wait(&poller, &ready, 1, LONG_MS), 0);
    CHECK(!has(poller.wake_read, POLLIN));
    fs_poller_close(&poller);
}

enum { WITH_SOCKET = 1, WITH_TIMER = 2, WITH_WAKE = 4, WITH_ALL = 7 };

/* A poller in which these are ready, and what a wait may tell of them. */
typedef struct mixture {
    fs_poller poller;
    int pair[2];
    uint32_t socket_events, timer_events;
} mixture;

static void open_mixture(mixture *m, int what)
{
    *m = (mixture){.socket_events = 0};
    make_pair(m->pair);
    open_with_wake(&m->poller);
    if (what & WITH_TIMER) {
        struct pollfd timer = {.events = POLLIN};

        CHECK(fs_poller_set_timer(&m->poller, 1) == 0);
        timer.fd = m->poller.timer_fd;
        CHECK(poll(&timer, 1, LONG_MS) == 1);
    }
    if (what & WITH_WAKE)
        fs_poller_wake(&m->poller);
    if (what & WITH_SOCKET) {
        CHECK(write(m->pair[1], "abc", 3) == 3);
        CHECK(fs_poller_add(&m->poller, m->pair[0], m->pair) == 0);
    }
}

static void close_mixture(mixture *m)
{
    CHECK(close(m->pair[0]) == 0);
    CHECK(close(m->pair[1]) == 0);
    fs_poller_close(&m->poller);
}

static void keep(mixture *m, const fs_ready *ready, int count)
{
    for (int i = 0; i < count; i++) {
        CHECK(ready[i].watch == m->pair || ready[i].watch == &m->poller);
        *(ready[i].watch == m->pair ? &m->socket_events : &m->timer_events) |= ready[i].events;
    }
}

static void the_two_halves_are_a_wait(void)
{
    for (int what = 0; what <= WITH_ALL; what++) {
        const int all = !!(what & WITH_SOCKET) + !!(what & WITH_TIMER) + !!(what & WITH_WAKE);
        const int told = all - !!(what & WITH_WAKE);
        mixture whole, halves;
        fs_ready ready[4];

        harness_note("mixture %d", what);
        open_mixture(&whole, what);
        open_mixture(&halves, what);
        CHECK_INT(fs_poller_wait(&whole.poller, ready, 4, 0), told);
        keep(&whole, ready, told);
        CHECK_INT(fs_poller_collect(&halves.poller, ready, 4, 0), all);
        CHECK_INT(halves.poller.timer_due, !!(what & WITH_TIMER)); /* nothing was read or disarmed */
        CHECK_INT(has(halves.poller.timer_fd, POLLIN), !!(what & WITH_TIMER));
        CHECK_INT(has(halves.poller.wake_read, POLLIN), !!(what & WITH_WAKE));
        CHECK_INT(fs_poller_sort_out(&halves.poller, ready, all), told);
        keep(&halves, ready, told);
        CHECK_INT(whole.socket_events, what & WITH_SOCKET ? FS_READABLE | FS_WRITABLE : 0);
        CHECK_INT(whole.timer_events, what & WITH_TIMER ? FS_READABLE : 0);
        CHECK_INT(halves.socket_events, whole.socket_events);
        CHECK_INT(halves.timer_events, whole.timer_events);
        CHECK_INT(whole.poller.timer_due, 0);
        CHECK_INT(halves.poller.timer_due, 0);
        CHECK_INT(fs_poller_collect(&whole.poller, ready, 4, 0), 0);
        CHECK_INT(fs_poller_collect(&halves.poller, ready, 4, 0), 0);
        close_mixture(&whole);
        close_mixture(&halves);
    }
}

static void a_timer_armed_anew_between_the_halves_is_not_told(void)
{
    const uint64_t due = fs_monotonic_ms() + 3600000;
    fs_ready ready[4];
    mixture m;

    open_mixture(&m, WITH_ALL);
    CHECK_INT(fs_poller_collect(&m.poller, ready, 4, 0), 3);
    CHECK(fs_poller_set_timer(&m.poller, due) == 0);
    CHECK_INT(fs_poller_sort_out(&m.poller, ready, 3), 1);
    CHECK(ready[0].watch == m.pair);
    CHECK(m.poller.timer_due == due);
    close_mixture(&m);
}

static void close_closes_the_pipe(void)
{
    fs_poller poller;

    CHECK(fs_poller_open(&poller) == 0);
    CHECK(poller.wake_read == -1 && poller.wake_write == -1);
    CHECK(fs_poller_open_wake(&poller) == 0);
    const int ends[] = {poller.wake_read, poller.wake_write};
    for (int i = 0; i < 2; i++)
        CHECK(fcntl(ends[i], F_GETFD) == FD_CLOEXEC);
    fs_poller_close(&poller);
    CHECK(poller.wake_read == -1 && poller.wake_write == -1);
    for (int i = 0; i < 2; i++)
        CHECK(fcntl(ends[i], F_GETFD) == -1 && errno == EBADF);
    fs_poller_close(&poller);
}

static void a_pipe_that_cannot_be_made_leaves_nothing_open(void)
{
    struct rlimit old, small;
    fs_poller poller;

    CHECK(fs_poller_open(&poller) == 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    const int lowest = dup(0);
    CHECK(lowest >= 0 && close(lowest) == 0);
    small = old;
    small.rlim_cur = (rlim_t)lowest + 1; /* room for one end */
    CHECK(setrlimit(RLIMIT_NOFILE, &small) == 0);
    CHECK_INT(fs_poller_open_wake(&poller), -EMFILE);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    const int epoll = poller.fd;
    poller.fd = -1; /* the pipe is made, and cannot be watched */
    CHECK_INT(fs_poller_open_wake(&poller), -EBADF);
    poller.fd = epoll;
    CHECK(poller.wake_read == -1 && poller.wake_write == -1);
    const int again[] = {dup(0), dup(0)};
    CHECK(again[0] == lowest && again[1] == lowest + 1); /* neither end was left open */
    CHECK(close(again[0]) == 0 && close(again[1]) == 0);
    CHECK(none(&poller)); /* it goes on without */
    fs_poller_close(&poller);
}

/* ---- the clocks ------------------------------------------------------------- */

static void the_clocks(void)
{
    uint64_t us = fs_monotonic_us(), ms = fs_monotonic_ms();

    CHECK(us / 1000 <= ms); /* one clock in two units */
    CHECK(us / 1000 + 1000 >= ms);
    CHECK(fs_unix_seconds() <= time(NULL));
    CHECK(fs_unix_seconds() + 2 >= time(NULL));
    while (fs_monotonic_ms() == ms)
        CHECK(fs_monotonic_us() - us < 1000000);
}

static void a_listener_of_our_own(void)
{
    a_listener_is_told_until_it_is_empty(0);
}

static void a_listener_that_is_shared(void)
{
    a_listener_is_told_until_it_is_empty(1);
}

int main(void)
{
    RUN(each_edge_is_told_once);
    RUN(a_fin_comes_with_the_data_before_it);
    RUN(a_reset_is_a_hangup);
    RUN(a_removed_descriptor_is_silent);
    RUN(a_listener_of_our_own);
    RUN(a_listener_that_is_shared);
    RUN(the_batch_is_bounded);
    RUN(an_event_loop_can_watch_it);
    RUN(the_timer_is_never_early);
    RUN(the_timer_moves);
    RUN(arming_again_is_no_system_call);
    RUN(a_signal_ends_the_wait);
    RUN(open_without_descriptors);
    RUN(close_on_exec_and_closing_twice);
    RUN(a_wake_ends_the_wait_of_another_thread);
    RUN(a_wake_does_not_wait_for_room);
    RUN(many_wakes_are_one);
    RUN(a_signal_handler_may_wake_before_the_wait);
    RUN(the_two_halves_are_a_wait);
    RUN(a_timer_armed_anew_between_the_halves_is_not_told);
    RUN(close_closes_the_pipe);
    RUN(a_pipe_that_cannot_be_made_leaves_nothing_open);
    RUN(the_clocks);
    return harness_end();
}
