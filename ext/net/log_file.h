#ifndef FS_NET_LOG_FILE_H
#define FS_NET_LOG_FILE_H

#include <stddef.h>
#include <sys/types.h>

/*
 * A log's descriptor that nobody waits for: a reader of a pipe may stall, and a
 * server that waits for it serves nobody. The descriptor itself may be shared
 * with other processes, so its flags stay as they are. A pipe, a FIFO or a
 * terminal is opened once more, without blocking; where that is not allowed, it
 * is looked at before each write. A socket is asked not to wait each time. A
 * regular file takes what it is given.
 */
typedef enum fs_log_kind { FS_LOG_DIRECT, FS_LOG_OWN, FS_LOG_LOOK, FS_LOG_SOCKET } fs_log_kind;

typedef struct fs_log_file {
    int fd;           /* what is written to; -1: none */
    fs_log_kind kind; /* FS_LOG_OWN: `fd` is ours, and closed by fs_log_file_close */
} fs_log_file;

/* `fd` stays the caller's, and open for as long as the log is; -1 makes one that takes nothing. */
void fs_log_file_open(fs_log_file *file, int fd);
void fs_log_file_close(fs_log_file *file);

/*
 * Writes what finds room, in whole lines: of several writers to one pipe none
 * cuts the others' lines. Bytes taken, less than n where there is no room for
 * more, or -errno.
 */
ssize_t fs_log_file_write(const fs_log_file *file, const char *p, size_t n);

/* Waits until there may be room, timeout_ms at most. */
void fs_log_file_wait(const fs_log_file *file, int timeout_ms);

#endif
