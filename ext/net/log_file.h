#ifndef FS_NET_LOG_FILE_H
#define FS_NET_LOG_FILE_H

#include <stddef.h>
#include <sys/types.h>

/*
 * A log's descriptor that never blocks: the reader of a pipe may stall, and a
 * server that waits for it serves nobody. The descriptor itself may be shared
 * with other processes, so its flags stay unchanged. A pipe, a FIFO or a terminal
 * is opened again as non-blocking; where that is not allowed, it is polled before
 * each write. A socket is written to with MSG_DONTWAIT. A regular file takes
 * everything.
 */
typedef enum fs_log_kind { FS_LOG_DIRECT, FS_LOG_OWN, FS_LOG_LOOK, FS_LOG_SOCKET } fs_log_kind;

typedef struct fs_log_file {
    int fd;           /* written to; -1: none */
    fs_log_kind kind; /* FS_LOG_OWN: `fd` is ours, and closed by fs_log_file_close */
} fs_log_file;

/* `fd` stays the caller's, and open as long as the log; -1 makes a log that takes nothing. */
void fs_log_file_open(fs_log_file *file, int fd);
void fs_log_file_close(fs_log_file *file);

/*
 * Writes as many whole lines as there is room for: several writers to one pipe do
 * not cut each other's lines. The number of bytes taken, less than n if there is
 * no more room, or -errno.
 */
ssize_t fs_log_file_write(const fs_log_file *file, const char *p, size_t n);

/* Waits until there may be room, timeout_ms at most. */
void fs_log_file_wait(const fs_log_file *file, int timeout_ms);

#endif
