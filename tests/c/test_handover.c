/* ext/net/handover.c over pairs of Unix sockets. */

#define _GNU_SOURCE

#include "harness.h"
#include "net/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* A mailbox: [0] is where others put something in. */
static void open_mailbox(int ends[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
}

static void close_both(const int ends[2])
{
    CHECK(close(ends[0]) == 0);
    CHECK(close(ends[1]) == 0);
}

static fs_handover of(uint64_t number)
{
    fs_handover handover;

    memset(&handover, 0, sizeof handover);
    handover.number = number;
    handover.listener = UINT64_C(0xfedcba9876543210);
    handover.peer = (fs_address){.family = FS_FAMILY_INET, .port = 4711, .ip = {127, 0, 0, 1}};
    return handover;
}

static void a_connection_comes_with_what_was_known(void)
{
    int mailbox[2], connection[2], fd;
    fs_handover sent = of(7), got;
    char byte = 0;

    open_mailbox(mailbox);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, connection) == 0);
    CHECK(fs_take_over(mailbox[1], &got) == FS_AGAIN);
    CHECK(fs_hand_over(mailbox[0], connection[1], &sent) == 0);
    CHECK(close(connection[1]) == 0);
    fd = fs_take_over(mailbox[1], &got);
    CHECK(fd >= 0);
    CHECK(memcmp(&sent, &got, sizeof got) == 0);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(write(connection[0], "x", 1) == 1);
    CHECK(read(fd, &byte, 1) == 1 && byte == 'x');
    CHECK(close(fd) == 0);
    CHECK(read(connection[0], &byte, 1) == 0); /* no copy is left anywhere */
    CHECK(close(connection[0]) == 0);
    CHECK(fs_take_over(mailbox[1], &got) == FS_AGAIN);
    close_both(mailbox);
}

static void what_was_put_in_before_it_was_shut_can_be_taken(void)
{
    int mailbox[2], fd;
    fs_handover handover = of(1), got;

    open_mailbox(mailbox);
    CHECK(fs_hand_over(mailbox[0], mailbox[0], &handover) == 0);
    CHECK(fs_mailbox_shut(mailbox[1]) == 0);
    CHECK(fs_hand_over(mailbox[0], mailbox[0], &handover) == -EPIPE);
    CHECK(fs_mailbox_shut(mailbox[1]) == 0);
    fd = fs_take_over(mailbox[1], &got);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK(fs_take_over(mailbox[1], &got) == FS_AGAIN);
    close_both(mailbox);
}

static void it_has_a_bound_and_nobody_waits(void)
{
    int mailbox[2], result, sent = 0, taken = 0, fd;
    fs_handover handover, got;

    open_mailbox(mailbox);
    do {
        handover = of((uint64_t)sent);
        result = fs_hand_over(mailbox[0], STDERR_FILENO, &handover);
    } while (result == 0 && ++sent < 100000);
    CHECK(result == FS_AGAIN || result == -ETOOMANYREFS);
    while ((fd = fs_take_over(mailbox[1], &got)) >= 0) {
        CHECK(got.number == (uint64_t)taken++);
        CHECK(close(fd) == 0);
    }
    CHECK(fd == FS_AGAIN && taken == sent);
    CHECK(fs_hand_over(mailbox[0], STDERR_FILENO, &handover) == 0);
    close_both(mailbox);
}

static void without_a_descriptor_it_stays_where_it_is(void)
{
    struct rlimit before, few;
    int mailbox[2], fd, spare;
    fs_handover handover = of(3), got;

    open_mailbox(mailbox);
    CHECK(fs_hand_over(mailbox[0], STDERR_FILENO, &handover) == 0);
    spare = dup(STDERR_FILENO);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    few = (struct rlimit){.rlim_cur = (rlim_t)spare, .rlim_max = before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    CHECK(fs_take_over(mailbox[1], &got) == -EMFILE);
    CHECK(fs_take_over(mailbox[1], &got) == -EMFILE);
    few.rlim_cur = (rlim_t)spare + 1; /* exactly one */
    CHECK(close(spare) == 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    fd = fs_take_over(mailbox[1], &got);
    CHECK(fd >= 0 && got.number == 3 && close(fd) == 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(fs_take_over(mailbox[1], &got) == FS_AGAIN);
    close_both(mailbox);
}

static void what_is_no_handover_is_dropped(void)
{
    int mailbox[2], fd;
    fs_handover handover = of(5), got;
    struct msghdr message = {0};
    struct iovec part = {.iov_base = "?", .iov_len = 1};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } right = {.head = {.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};

    open_mailbox(mailbox);
    fd = STDERR_FILENO;
    memcpy(CMSG_DATA(&right.head), &fd, sizeof fd);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &right;
    message.msg_controllen = sizeof right.room;
    CHECK(sendmsg(mailbox[0], &message, 0) == 1);
    CHECK(fs_hand_over(mailbox[0], STDERR_FILENO, &handover) == 0);
    CHECK(fs_take_over(mailbox[1], &got) == -EBADMSG);
    fd = fs_take_over(mailbox[1], &got);
    CHECK(fd >= 0 && got.number == 5 && close(fd) == 0);
    close_both(mailbox);
}

int main(void)
{
    RUN(a_connection_comes_with_what_was_known);
    RUN(what_was_put_in_before_it_was_shut_can_be_taken);
    RUN(it_has_a_bound_and_nobody_waits);
    RUN(without_a_descriptor_it_stays_where_it_is);
    RUN(what_is_no_handover_is_dropped);
    return harness_end();
}
