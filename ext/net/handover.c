#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MSG_CMSG_CLOEXEC */
#endif

#include "handover.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Room for one descriptor, aligned as its head wants it. */
typedef union rights {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
} rights;

int fs_hand_over(int to, int fd, const fs_handover *handover)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)handover, .iov_len = sizeof *handover};
    rights right;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &right, .msg_controllen = sizeof right.room};
    ssize_t n;

    memset(&right, 0, sizeof right);
    right.head.cmsg_level = SOL_SOCKET;
    right.head.cmsg_type = SCM_RIGHTS;
    right.head.cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(&right.head), &fd, sizeof fd);
    do
        n = sendmsg(to, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* The size of a message, 0 at the end, FS_AGAIN or -errno; *fd is -1 if the descriptor in it got no number. */
static ssize_t receive(int mailbox, fs_handover *handover, int *fd, int flags)
{
    struct iovec part = {.iov_base = handover, .iov_len = sizeof *handover};
    rights right;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &right, .msg_controllen = sizeof right.room};
    const struct cmsghdr *head;
    ssize_t n;

    *fd = -1;
    do {
        message.msg_controllen = sizeof right.room;
        n = recvmsg(mailbox, &message, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    head = CMSG_FIRSTHDR(&message);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS && head->cmsg_len >= CMSG_LEN(sizeof *fd))
        memcpy(fd, CMSG_DATA(head), sizeof *fd);
    return n;
}

static void drop(int fd)
{
    if (fd >= 0)
        fs_close(fd);
}

int fs_take_over(int mailbox, fs_handover *handover)
{
    fs_handover seen;
    int looked_at, taken;
    ssize_t n;

    /*
     * The kernel closes a descriptor if there is no number for it. So look at the
     * message first, which gives a descriptor of its own and leaves everything in
     * place.
     */
    n = receive(mailbox, &seen, &looked_at, MSG_PEEK);
    if (n <= 0)
        return n < 0 ? (int)n : FS_AGAIN;
    if (looked_at < 0)
        return -EMFILE;
    n = receive(mailbox, handover, &taken, 0);
    if (n != sizeof *handover) {
        drop(looked_at);
        drop(taken);
        return n < 0 ? (int)n : n == 0 ? FS_AGAIN : -EBADMSG;
    }
    if (taken >= 0) {
        drop(looked_at);
        return taken;
    }
    if (handover->number == seen.number)
        return looked_at;
    drop(looked_at); /* another reader took that message, and this one found no number left */
    return -ECONNABORTED;
}

int fs_mailbox_shut(int mailbox)
{
    return shutdown(mailbox, SHUT_RD) < 0 ? -errno : 0;
}
