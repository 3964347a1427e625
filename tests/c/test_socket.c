/* ext/net/socket.c over loopback TCP (both families), Unix sockets and socket pairs. */

#define _GNU_SOURCE

#include "harness.h"
#include "net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define LONG_MS 5000 /* waited for only when something is wrong */

typedef union name {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
} name;

static void wait_readable(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};

    CHECK(poll(&readable, 1, LONG_MS) == 1);
}

/* A listener at a free port of loopback, or at a name in the abstract namespace; -1 where the family is missing. */
static int listen_at(int family, name *at, socklen_t *size)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memset(at, 0, sizeof *at);
    at->any.sa_family = (sa_family_t)family;
    *size = family == AF_INET ? sizeof at->in : family == AF_INET6 ? sizeof at->in6 : sizeof(sa_family_t);
    if (family == AF_INET)
        at->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (family == AF_INET6)
        at->in6.sin6_addr = in6addr_loopback;
    if (fd < 0)
        return -1;
    if (bind(fd, &at->any, *size) < 0) {
        CHECK(family == AF_INET6 && close(fd) == 0);
        return -1;
    }
    CHECK(listen(fd, 8) == 0);
    CHECK(fs_listener_prepare(fd) == 0);
    *size = sizeof *at;
    CHECK(getsockname(fd, &at->any, size) == 0);
    return fd;
}

static int connect_to(const name *at, socklen_t size)
{
    int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0);
    CHECK(connect(fd, &at->any, size) == 0);
    return fd;
}

/* Both ends of a loopback TCP connection: [0] accepted, [1] connected and blocking. */
static void tcp_pair(int pair[2])
{
    fs_address peer;
    socklen_t size;
    name at;
    int listener = listen_at(AF_INET, &at, &size);

    CHECK(listener >= 0);
    pair[1] = connect_to(&at, size);
    wait_readable(listener);
    pair[0] = fs_accept(listener, &peer);
    CHECK(pair[0] >= 0);
    fs_close(listener);
}

static void check_same(const fs_address *a, const fs_address *b)
{
    CHECK(a->family == b->family);
    CHECK(a->port == b->port);
    CHECK(memcmp(a->ip, b->ip, sizeof a->ip) == 0);
}

static void accept_tcp(int family, const char *host)
{
    char text[FS_ADDRESS_TEXT];
    fs_address peer, other, local;
    int on = 0;
    socklen_t size, optlen = sizeof on;
    name at;
    int listener = listen_at(family, &at, &size);

    if (listener < 0)
        return; /* no IPv6 on this machine */
    CHECK(fs_accept(listener, &peer) == FS_AGAIN);
    int client = connect_to(&at, size);
    wait_readable(listener);
    int fd = fs_accept(listener, &peer);
    CHECK(fd >= 0);
    CHECK(fs_accept(listener, &other) == FS_AGAIN);
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &optlen) == 0 && on);
    CHECK(peer.family == (family == AF_INET ? FS_FAMILY_INET : FS_FAMILY_INET6));
    CHECK(fs_address_format(&peer, text) == strlen(host));
    CHECK(strcmp(text, host) == 0);
    CHECK(fs_local_address(client, &local) == 0);
    check_same(&peer, &local);
    CHECK(fs_peer_address(fd, &other) == 0);
    check_same(&peer, &other);
    CHECK(fs_local_address(fd, &local) == 0);
    CHECK(local.port == ntohs(family == AF_INET ? at.in.sin_port : at.in6.sin6_port));
    fs_close(fd);
    fs_close(client);
    fs_close(listener);
}

static void accept_unix(void)
{
    char text[FS_ADDRESS_TEXT];
    fs_address peer, local;
    socklen_t size;
    name at;
    int listener = listen_at(AF_UNIX, &at, &size);

    CHECK(listener >= 0);
    CHECK(fs_accept(listener, &peer) == FS_AGAIN);
    int client = connect_to(&at, size);
    int fd = fs_accept(listener, &peer);
    CHECK(fd >= 0);
    CHECK(peer.family == FS_FAMILY_UNIX && peer.port == 0);
    CHECK(fs_address_format(&peer, text) == 0 && text[0] == '\0');
    CHECK(fs_local_address(fd, &local) == 0 && local.family == FS_FAMILY_UNIX);
    fs_close(fd);
    fs_close(client);
    fs_close(listener);
}

static void accept_without_descriptors(void)
{
    struct rlimit old, small;
    fs_address peer;
    socklen_t size;
    name at;
    int listener = listen_at(AF_INET, &at, &size), client = connect_to(&at, size);

    wait_readable(listener);
    int lowest = dup(listener);
    CHECK(lowest >= 0);
    fs_close(lowest);
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    small = old;
    small.rlim_cur = (rlim_t)lowest;
    CHECK(setrlimit(RLIMIT_NOFILE, &small) == 0);
    CHECK(fs_accept(listener, &peer) == -EMFILE);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    int fd = fs_accept(listener, &peer); /* the connection waited */
    CHECK(fd >= 0);
    fs_close(fd);
    fs_close(client);
    fs_close(listener);
}

static void errors_come_as_they_are(void)
{
    fs_address address;
    char byte;
    int pipe_ends[2];

    CHECK(pipe(pipe_ends) == 0);
    CHECK(fs_accept(-1, &address) == -EBADF);
    CHECK(fs_listener_prepare(-1) == -EBADF);
    CHECK(fs_listener_prepare(pipe_ends[0]) == -ENOTSOCK);
    CHECK(fs_local_address(pipe_ends[0], &address) == -ENOTSOCK);
    CHECK(fs_peer_address(-1, &address) == -EBADF);
    CHECK(fs_recv(pipe_ends[0], &byte, 1) == -ENOTSOCK);
    CHECK(fs_shutdown_write(pipe_ends[0]) == -ENOTSOCK);
    CHECK(fs_unsent(-1) == -EBADF);
    fs_close_reset(pipe_ends[0]); /* whatever it is, it is closed */
    CHECK(fcntl(pipe_ends[0], F_GETFD) == -1 && errno == EBADF);
    fs_close(pipe_ends[1]);
    CHECK(fcntl(pipe_ends[1], F_GETFD) == -1 && errno == EBADF);
}

static fs_address of_text(int family, const char *text)
{
    fs_address address = {.family = family == AF_INET ? FS_FAMILY_INET : FS_FAMILY_INET6};

    CHECK(inet_pton(family, text, address.ip) == 1);
    return address;
}

static void check_format(int family, const char *from, const char *expected)
{
    fs_address address = of_text(family, from);
    char text[FS_ADDRESS_TEXT];

    CHECK(fs_address_format(&address, text) == strlen(expected));
    CHECK(strcmp(text, expected) == 0);
}

static void addresses_as_text(void)
{
    fs_address other = {.family = FS_FAMILY_OTHER, .ip = {1, 2, 3, 4}};
    char text[FS_ADDRESS_TEXT];

    check_format(AF_INET, "0.0.0.0", "0.0.0.0");
    check_format(AF_INET, "255.255.255.255", "255.255.255.255");
    check_format(AF_INET6, "::", "::");
    check_format(AF_INET6, "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1");
    check_format(AF_INET6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    check_format(AF_INET6, "::ffff:192.0.2.1", "192.0.2.1");
    check_format(AF_INET6, "::fffe:192.0.2.1", "::fffe:c000:201");
    check_format(AF_INET6, "::1:ffff:192.0.2.1", "::1:ffff:c000:201");
    CHECK(fs_address_format(&other, text) == 0);
}

static void bytes_then_the_fin(void)
{
    char buffer[8];
    int pair[2];

    tcp_pair(pair);
    CHECK(fs_recv(pair[0], buffer, sizeof buffer) == FS_AGAIN);
    CHECK(write(pair[1], "0123456789", 10) == 10);
    wait_readable(pair[0]);
    CHECK(fs_recv(pair[0], buffer, sizeof buffer) == 8);
    CHECK(memcmp(buffer, "01234567", 8) == 0);
    CHECK(fs_recv(pair[0], buffer, sizeof buffer) == 2);
    CHECK(fs_recv(pair[0], buffer, sizeof buffer) == FS_AGAIN);
    CHECK(shutdown(pair[1], SHUT_WR) == 0);
    wait_readable(pair[0]);
    CHECK(fs_recv(pair[0], buffer, sizeof buffer) == 0);
    CHECK(fs_recv(pair[0], buffer, sizeof buffer) == 0);
    fs_close(pair[0]);
    fs_close(pair[1]);
}

static void shutdown_write_is_a_fin(void)
{
    char byte;
    int pair[2];

    tcp_pair(pair);
    CHECK(fs_shutdown_write(pair[0]) == 0);
    CHECK(read(pair[1], &byte, 1) == 0);
    CHECK(write(pair[1], "x", 1) == 1); /* the other direction lives */
    wait_readable(pair[0]);
    CHECK(fs_recv(pair[0], &byte, 1) == 1);
    fs_close(pair[0]);
    fs_close(pair[1]);
}

static void close_is_a_fin_and_reset_is_not(void)
{
    char byte;
    int pair[2];

    tcp_pair(pair);
    fs_close(pair[0]);
    CHECK(read(pair[1], &byte, 1) == 0);
    fs_close(pair[1]);
    tcp_pair(pair);
    CHECK(write(pair[0], "data that nobody has read", 25) == 25);
    fs_close_reset(pair[0]);
    ssize_t n;
    do {
        wait_readable(pair[1]);
        n = fs_recv(pair[1], &byte, 1);
    } while (n > 0); /* what had arrived before may still be read */
    CHECK(n == -ECONNRESET);
    fs_close(pair[1]);
}

/* What read(2) gives at the end of what has arrived: 0 or -errno. */
static ssize_t end_of(int fd)
{
    char byte;
    ssize_t n;

    do {
        wait_readable(fd);
        n = fs_recv(fd, &byte, 1);
    } while (n > 0);
    return n;
}

static void a_close_for_all_reaches_the_peer_past_a_copy(void)
{
    int pair[2], copy;

    tcp_pair(pair);
    copy = dup(pair[0]);
    fs_close_for_all(pair[0], 0);
    CHECK_INT(end_of(pair[1]), 0);
    fs_close(copy);
    fs_close(pair[1]);
    tcp_pair(pair);
    copy = dup(pair[0]);
    CHECK(write(pair[0], "data that nobody has read", 25) == 25);
    fs_close_for_all(pair[0], 1);
    CHECK_INT(end_of(pair[1]), -ECONNRESET);
    fs_close(copy);
    fs_close(pair[1]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    copy = dup(pair[0]);
    fs_close_for_all(pair[0], 1); /* a Unix socket has no reset */
    CHECK_INT(end_of(pair[1]), 0);
    fs_close(copy);
    fs_close(pair[1]);
}

static void unsent_falls_to_zero(void)
{
    static char block[65536];
    int pair[2];

    tcp_pair(pair);
    CHECK(fs_unsent(pair[0]) == 0);
    while (send(pair[0], block, sizeof block, 0) > 0) /* until the buffers of both sides are full */
        ;
    CHECK(errno == EAGAIN);
    CHECK(fs_unsent(pair[0]) > 0);
    struct pollfd waits = {.fd = pair[1], .events = POLLIN};
    for (int turn = 0; turn < 10000 && fs_unsent(pair[0]) > 0; turn++)
        if (poll(&waits, 1, 10) == 1)
            CHECK(read(pair[1], block, sizeof block) > 0);
    CHECK(fs_unsent(pair[0]) == 0);
    fs_close(pair[0]);
    fs_close(pair[1]);
}

static void quiet_grows_until_bytes_come(void)
{
    int pair[2];

    tcp_pair(pair);
    for (int turn = 0; turn < 1000 && fs_quiet_ms(pair[0]) < 100; turn++)
        CHECK(poll(NULL, 0, 10) == 0);
    CHECK(fs_quiet_ms(pair[0]) >= 100);
    CHECK(write(pair[1], "x", 1) == 1);
    struct pollfd waits = {.fd = pair[0], .events = POLLIN};
    CHECK(poll(&waits, 1, 10000) == 1);
    CHECK(fs_quiet_ms(pair[0]) < fs_quiet_ms(pair[1]));
    fs_close(pair[0]);
    fs_close(pair[1]);
    CHECK(fs_quiet_ms(pair[0]) == -1);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    CHECK(fs_quiet_ms(pair[0]) == -1);
    fs_close(pair[0]);
    fs_close(pair[1]);
}

/* Signals without SA_RESTART rain on blocking calls: EINTR must not be seen. */
static int interrupted_fd = -1;
static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
    (void)number;
    alarms = alarms + 1;
    if (alarms == 3)
        CHECK(write(interrupted_fd, "x", 1) == 1);
}

static void receiving_is_made_again_after_a_signal(void)
{
    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval often = {{0, 3000}, {0, 3000}}, never = {{0, 0}, {0, 0}};
    char byte;
    int pair[2];

    tcp_pair(pair);
    interrupted_fd = pair[0];
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    CHECK(fs_recv(pair[1], &byte, 1) == 1); /* the blocking end */
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(alarms >= 3);
    fs_close(pair[0]);
    fs_close(pair[1]);
}

static void accept_ipv4(void)
{
    accept_tcp(AF_INET, "127.0.0.1");
}

static void accept_ipv6(void)
{
    accept_tcp(AF_INET6, "::1");
}

int main(void)
{
    RUN(accept_ipv4);
    RUN(accept_ipv6);
    RUN(accept_unix);
    RUN(accept_without_descriptors);
    RUN(errors_come_as_they_are);
    RUN(addresses_as_text);
    RUN(bytes_then_the_fin);
    RUN(shutdown_write_is_a_fin);
    RUN(close_is_a_fin_and_reset_is_not);
    RUN(a_close_for_all_reaches_the_peer_past_a_copy);
    RUN(unsent_falls_to_zero);
    RUN(quiet_grows_until_bytes_come);
    RUN(receiving_is_made_again_after_a_signal);
    return harness_end();
}
