#ifndef FS_CORE_STATUS_H
#define FS_CORE_STATUS_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A worker's status, in memory that other processes may have mapped. They read
 * it at any moment, also while this process hangs and after it was killed: so
 * there is no lock, nothing in it is a pointer, and each word has one writer.
 * Two words may be of different moments.
 */

/* In the order of their words. The durations are not cumulative: each word counts its own share. */
#define FS_STATUS_FIELDS(X)                                                       \
    X(heartbeat)          /* CLOCK_MONOTONIC in ms, of the driver's last turn */  \
    X(turns)                                                                      \
    X(connections_total)  /* accepted */                                          \
    X(connections)        /* open now */                                          \
    X(requests_total)     /* heads read */                                        \
    X(in_flight)          /* requests whose client waits */                       \
    X(bytes_in)                                                                   \
    X(bytes_out)                                                                  \
    X(overloaded)         /* answered 503 by max_concurrency */                   \
    X(accept_errors)                                                              \
    X(access_log_dropped) /* lines that could not be written */                   \
    X(peer_errors)        /* what the peer did wrong; leaving is not an error */  \
    X(application_errors) /* it raised, was late, or gave an invalid answer */    \
    X(websockets_total)   /* accepted */                                          \
    X(websockets)         /* open now */                                          \
    X(websocket_messages_in)                                                      \
    X(websocket_messages_out)                                                     \
    X(websocket_bytes_in)                                                         \
    X(websocket_bytes_out)                                                        \
    X(tls_handshakes)     /* completed */                                         \
    X(http2_connections)  /* accepted */                                          \
    X(http2_resets)       /* streams that the client has reset */                 \
    X(responses_1xx)      /* by final status */                                   \
    X(responses_2xx)                                                              \
    X(responses_3xx)                                                              \
    X(responses_4xx)                                                              \
    X(responses_5xx)      /* and above */                                         \
    X(duration_sum_us)    /* from the turn that read the head to the answer's end */ \
    X(duration_1ms)                                                               \
    X(duration_5ms)                                                               \
    X(duration_10ms)                                                              \
    X(duration_25ms)                                                              \
    X(duration_50ms)                                                              \
    X(duration_100ms)                                                             \
    X(duration_250ms)                                                             \
    X(duration_500ms)                                                             \
    X(duration_1s)                                                                \
    X(duration_2s5)                                                               \
    X(duration_5s)                                                                \
    X(duration_10s)                                                               \
    X(duration_inf)                                                               \
    X(closes_1000)        /* WebSockets, by the code that the application was told */ \
    X(closes_1001)                                                                \
    X(closes_1002)                                                                \
    X(closes_1003)                                                                \
    X(closes_1005)                                                                \
    X(closes_1006)                                                                \
    X(closes_1007)                                                                \
    X(closes_1008)                                                                \
    X(closes_1009)                                                                \
    X(closes_1011)                                                                \
    X(closes_1012)                                                                \
    X(closes_other)                                                               \
    X(running)            /* in_flight, and requests whose application goes on without a client */ \
    X(log_lines_dropped)  /* of the error log, which nobody read; Python code of the worker writes it */ \
    X(log_lines_left_out) /* by --log-rate-limit; Python code of the worker writes it */ \
    X(buffered)           /* bytes in memory that are held for clients */         \
    X(body_files)         /* and in files */                                      \
    X(no_room)            /* what was refused because of the one or the other */  \
    X(never_fits)         /* and what could never fit */                          \
    X(threads_overdue_since) /* monotonic ms: since when no thread of a WSGI worker is in time, 0: one is */ \
    X(queued)             /* requests whose application is not called yet, for want of a place or a thread */ \
    X(queued_since)       /* monotonic ms: since when the oldest of them waits, 0: none waits */ \
    X(queue_timeouts)     /* answered 503 by timeout_queue */                        \
    X(mailbox)            /* 1: siblings may hand connections over to this worker */ \
    X(handed_over)        /* connections that a sibling got, */                   \
    X(taken_over)         /* and that came from one */

enum {
#define FS_STATUS_INDEX(name) FS_STATUS_##name,
    FS_STATUS_FIELDS(FS_STATUS_INDEX)
#undef FS_STATUS_INDEX
    FS_STATUS_COUNT
};

static const char *const fs_status_names[FS_STATUS_COUNT] = {
#define FS_STATUS_NAME(name) #name,
    FS_STATUS_FIELDS(FS_STATUS_NAME)
#undef FS_STATUS_NAME
};

#define FS_STATUS_WORDS 80 /* ours; unused ones are reserved for future fields */
#define FS_STATUS_OTHERS 16
#define FS_STATUS_ROWS 58
#define FS_STATUS_ROW_TEXT 119
#define FS_STATUS_ERRORS 512

/* A request that is being served. */
typedef struct fs_status_row {
    uint64_t start;              /* monotonic ms; 0: the row is free */
    uint8_t length;
    char text[FS_STATUS_ROW_TEXT]; /* method, space, target as sent; cut */
} fs_status_row;

typedef struct fs_status {
    union {
        struct {
#define FS_STATUS_MEMBER(name) uint64_t name;
            FS_STATUS_FIELDS(FS_STATUS_MEMBER)
#undef FS_STATUS_MEMBER
        };
        uint64_t words[FS_STATUS_WORDS];
    };
    uint64_t others[FS_STATUS_OTHERS]; /* not ours to write */
    fs_status_row rows[FS_STATUS_ROWS];
    uint64_t errors[FS_STATUS_ERRORS]; /* by the codes of proto/error.h, which are negative: -code */
} fs_status;

_Static_assert(FS_STATUS_COUNT <= FS_STATUS_WORDS, "the fields fit their words");
_Static_assert(sizeof(fs_status_row) == 128, "two lines of the cache");
_Static_assert(offsetof(fs_status, others) == 640 && offsetof(fs_status, rows) == 768, "as the readers have it");
_Static_assert(offsetof(fs_status, errors) == 8192 && sizeof(fs_status) == 12288, "three pages");
_Static_assert(FS_STATUS_ROWS <= 64, "a word has a bit for each row");

#define FS_STATUS_ALL_ROWS ((UINT64_C(1) << FS_STATUS_ROWS) - 1)

/* Takes over memory in which others may have counted: keeps the totals; nothing is open or in flight. */
static inline void fs_status_init(fs_status *status)
{
    status->connections = status->in_flight = status->running = status->websockets = 0;
    status->buffered = status->body_files = status->threads_overdue_since = 0;
    status->queued = status->queued_since = status->mailbox = 0;
    for (size_t i = 0; i < FS_STATUS_ROWS; i++)
        status->rows[i].start = 0;
}

static inline void fs_status_count_response(fs_status *status, int code)
{
    status->words[FS_STATUS_responses_1xx - 1 + (code < 600 ? code / 100 : 5)]++;
}

static inline void fs_status_count_close(fs_status *status, int code)
{
    static const uint16_t codes[] = {1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012};
    size_t i = 0;

    _Static_assert(FS_STATUS_closes_other - FS_STATUS_closes_1000 == sizeof codes / sizeof *codes, "one each");
    while (i < sizeof codes / sizeof *codes && code != codes[i])
        i++;
    status->words[FS_STATUS_closes_1000 + i]++;
}

/* Counts n answers that each took this long. */
static inline void fs_status_count_durations(fs_status *status, uint64_t us, uint64_t n)
{
    static const uint32_t most[] = {1000,   5000,   10000,   25000,   50000,   100000,
                                    250000, 500000, 1000000, 2500000, 5000000, 10000000};
    size_t i = 0;

    _Static_assert(FS_STATUS_duration_inf - FS_STATUS_duration_1ms == sizeof most / sizeof *most, "one each");
    while (i < sizeof most / sizeof *most && us > most[i])
        i++;
    status->words[FS_STATUS_duration_1ms + i] += n;
    status->duration_sum_us += us * n;
}

/*
 * Returns a row with the text of a request, or NULL if no row is free. `free_rows`
 * has a bit for each free row. A reader that finds a start also finds its text.
 */
static inline fs_status_row *fs_status_begin_row(fs_status *status, uint64_t *free_rows, uint64_t now_ms,
                                                 fs_slice method, fs_slice target)
{
    fs_status_row *row;
    size_t length = method.n + 1 + target.n, first;

    if (!*free_rows)
        return NULL;
    row = &status->rows[__builtin_ctzll(*free_rows)];
    *free_rows &= *free_rows - 1;
    __atomic_thread_fence(__ATOMIC_RELEASE); /* the zero of the request before it comes first */
    if (length <= FS_STATUS_ROW_TEXT && target.p == method.p + method.n + 1) {
        memcpy(row->text, method.p, length); /* as it lies in the request line */
    } else {
        first = method.n < FS_STATUS_ROW_TEXT ? method.n : FS_STATUS_ROW_TEXT - 1;
        memcpy(row->text, method.p, first);
        row->text[first++] = ' ';
        length = target.n < FS_STATUS_ROW_TEXT - first ? target.n : FS_STATUS_ROW_TEXT - first;
        memcpy(row->text + first, target.p, length);
        length += first;
    }
    row->length = (uint8_t)length;
    __atomic_store_n(&row->start, now_ms, __ATOMIC_RELEASE);
    return row;
}

static inline void fs_status_end_row(fs_status *status, uint64_t *free_rows, fs_status_row *row)
{
    __atomic_store_n(&row->start, 0, __ATOMIC_RELEASE);
    *free_rows |= UINT64_C(1) << (row - status->rows);
}

#endif
