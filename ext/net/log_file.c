#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memrchr(3) */
#endif

#include "log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens the same file again, with flags of its own; -1 if that is not allowed. */
static int open_again(int fd)
{
    char path[sizeof "/proc/self/fd/-2147483648"];

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

void fs_log_file_open(fs_log_file *file, int fd)
{
    struct stat status;
    int own;

    *file = (fs_log_file){.fd = fd, .kind = FS_LOG_DIRECT};
    if (fd < 0 || fstat(fd, &status) < 0)
        return;
    if (S_ISSOCK(status.st_mode)) {
        file->kind = FS_LOG_SOCKET;
    } else if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
        own = open_again(fd);
        file->kind = own < 0 ? FS_LOG_LOOK : FS_LOG_OWN;
        file->fd = own < 0 ? fd : own;
    }
}

void fs_log_file_close(fs_log_file *file)
{
    if (file->kind == FS_LOG_OWN)
        (void)close(file->fd);
    *file = (fs_log_file){.fd = -1, .kind = FS_LOG_DIRECT};
}

static int has_room(const fs_log_file *file, int timeout_ms)
{
    struct pollfd waiting = {.fd = file->fd, .events = POLLOUT};

    return poll(&waiting, 1, timeout_ms) > 0;
}

void fs_log_file_wait(const fs_log_file *file, int timeout_ms)
{
    (void)has_room(file, timeout_ms);
}

/* As much as a pipe takes whole or not at all (pipe(7)): lines up to PIPE_BUF, or a part of a longer one. */
static size_t one_write(const fs_log_file *file, const char *p, size_t n)
{
    const char *last;

    if (file->kind == FS_LOG_DIRECT || n <= PIPE_BUF)
        return n;
    last = memrchr(p, '\n', PIPE_BUF);
    return last ? (size_t)(last + 1 - p) : PIPE_BUF;
}

static ssize_t write_some(const fs_log_file *file, const char *p, size_t n)
{
    if (file->kind == FS_LOG_SOCKET)
        return send(file->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (file->kind == FS_LOG_LOOK && !has_room(file, 0)) {
        errno = EAGAIN;
        return -1;
    }
    return write(file->fd, p, n);
}

ssize_t fs_log_file_write(const fs_log_file *file, const char *p, size_t n)
{
    size_t done = 0;

    while (done < n) {
        ssize_t taken = write_some(file, p + done, one_write(file, p + done, n - done));

        if (taken > 0)
            done += (size_t)taken;
        else if (taken < 0 && errno == EAGAIN)
            break;
        else if (taken == 0 || errno != EINTR)
            return taken == 0 ? -EIO : -errno;
    }
    return (ssize_t)done;
}
