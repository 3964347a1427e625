#ifndef FS_PROTO_LIMITS_H
#define FS_PROTO_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#define FS_KIB 1024u
#define FS_MIB (1024u * FS_KIB)
#define FS_GIB (1024ull * FS_MIB)
#define FS_SECONDS 1000u

#define FS_MAX_FIELDS_CEILING 1000

enum { FS_METHODS_ANY, FS_METHODS_REGISTERED };

/*
 * Every limit of a worker: its type, its name, its default, and the attack that
 * it answers. 0 means unlimited only where the comment says so ("0: none"). Times
 * are milliseconds; ext/proto has no clock and leaves them to ext/core.
 *
 * This is the one place: the struct below, `_core.LIMITS` and the defaults of
 * the options (src/fastserve/core_tables.py, made by tools/core_tables.py) come
 * from it.
 */
#define FS_LIMITS(X)                                                                                                   \
    X(uint32_t, max_request_line, 8 * FS_KIB)           /* an endless target (414) */                                  \
    X(uint32_t, max_head, 32 * FS_KIB)                  /* an endless head, memory (431) */                            \
    X(uint32_t, max_fields, 100)                        /* many tiny fields: an object each (431) */                   \
    X(uint32_t, methods, FS_METHODS_ANY)                /* code behind methods that nobody thought of (501) */         \
    X(uint64_t, max_body, 1024 * FS_MIB)                /* 0: none; an endless body (413) */                           \
    X(uint32_t, max_chunk_extension, 1 * FS_KIB)        /* per body: bytes that cost parsing and carry nothing */      \
    X(uint32_t, max_pipelined, 64)                      /* requests a turn: one client takes the whole worker */       \
    X(uint64_t, max_requests, 0)                        /* 0: none; requests a connection */                           \
    X(uint32_t, max_concurrency, 0)                     /* 0: none; requests at work, also without a client (503) */   \
    X(uint32_t, max_queue, 0)                           /* requests that wait for one of them to end (503) */          \
                                                                                                                       \
    X(uint32_t, high_water, 64 * FS_KIB)                /* queued output above which `send` waits */                   \
    X(uint32_t, low_water, 16 * FS_KIB)                 /* and below which it goes on */                               \
    X(uint32_t, body_high_water, 64 * FS_KIB)           /* received body that the application has not taken */         \
    X(uint32_t, max_skip, 256 * FS_KIB)                /* unread body discarded to keep a connection */               \
    X(uint64_t, body_buffer, 512 * FS_KIB)              /* of a body in memory before it goes to a file (WSGI) */      \
    X(uint64_t, buffered, 256 * FS_MIB)                 /* 0: none; what clients send, in the worker's memory (503) */ \
    X(uint64_t, body_files, 10 * FS_GIB)                /* 0: none; bodies in its files, a full disk (503, 413) */     \
                                                                                                                       \
    X(uint64_t, ws_max_size, 16 * FS_MIB)               /* a message, inflated: decompression bombs (1009) */          \
    X(uint32_t, ws_max_queue, 32)                       /* messages that the application has not taken */              \
    X(uint32_t, ws_deflate_min_size, 256)               /* bytes from which a message is compressed */                 \
                                                                                                                       \
    X(uint32_t, h2_max_streams, 128)                    /* applications at work for one connection */                  \
    X(uint32_t, h2_stream_window, 256 * FS_KIB)         /* a stream's body that the application has not taken */       \
    X(uint32_t, h2_connection_window, 1 * FS_MIB)       /* a connection's bodies in transit */                         \
    X(uint32_t, h2_max_frame_size, 16 * FS_KIB)         /* a frame that keeps the others of its connection waiting */  \
    X(uint32_t, h2_max_header_list, 32 * FS_KIB)        /* an endless field section, HPACK bombs (431) */              \
    X(uint32_t, h2_reset_rate, 200)                     /* streams begun and reset a second (rapid reset) */           \
                                                                                                                       \
    X(uint32_t, timeout_first_byte, 15 * FS_SECONDS)    /* a new connection that says nothing */                       \
    X(uint32_t, timeout_head, 15 * FS_SECONDS)          /* half a head, counted from its first byte (408) */           \
    X(uint32_t, timeout_keep_alive, 75 * FS_SECONDS)    /* idle between two requests */                                \
    X(uint32_t, timeout_body, 30 * FS_SECONDS)          /* a body without progress (408) */                            \
    X(uint32_t, timeout_write, 60 * FS_SECONDS)         /* a reader without progress */                                \
    X(uint32_t, timeout_linger, 2 * FS_SECONDS)         /* reading after the last answer: without a byte */            \
    X(uint32_t, timeout_discard, 30 * FS_SECONDS)       /* and in total: a client that never ends its request */       \
    X(uint32_t, timeout_request, 0)                     /* 0: none; an application that does not begin its answer */   \
    X(uint32_t, timeout_response_idle, 0)               /* 0: none; and one that does not go on with it */             \
    X(uint32_t, timeout_response, 0)                    /* 0: none; and one that does not complete it */               \
    X(uint32_t, timeout_queue, 0)                       /* 0: none; a request whose application is not called (503) */ \
    X(uint32_t, timeout_client_gone, 0)                 /* 0: none; an application that goes on without its client */  \
    X(uint32_t, timeout_threads, 0)                     /* 0: none; a call from which a thread does not come back */   \
    X(uint32_t, timeout_ws_handshake, 10 * FS_SECONDS)  /* 0: none; an application that neither accepts nor refuses */ \
    X(uint32_t, timeout_ws_close, 10 * FS_SECONDS)      /* a peer that does not answer a close frame */                \
    X(uint32_t, timeout_ws_ping, 20 * FS_SECONDS)       /* 0: none; between two pings */                               \
    X(uint32_t, timeout_ws_pong, 20 * FS_SECONDS)       /* 0: none; a peer that has silently gone: no pong (1011) */   \
    X(uint32_t, timeout_ws_message, 60 * FS_SECONDS)    /* 0: none; a message without progress; tenfold: all of it */  \
    X(uint32_t, timeout_tls_handshake, 10 * FS_SECONDS) /* a handshake that is never completed */                      \
    X(uint32_t, timeout_h2_ping, 20 * FS_SECONDS)       /* 0: none; silence with open streams before a ping */         \
    X(uint32_t, timeout_h2_pong, 20 * FS_SECONDS)       /* 0: none; a peer that has silently gone */

/* Filled once from the configuration; read as plain members. */
typedef struct fs_limits {
#define FS_LIMIT_MEMBER(type, name, normal) type name;
    FS_LIMITS(FS_LIMIT_MEMBER)
#undef FS_LIMIT_MEMBER
} fs_limits;

enum {
#define FS_LIMIT_INDEX(type, name, normal) FS_LIMIT_##name,
    FS_LIMITS(FS_LIMIT_INDEX)
#undef FS_LIMIT_INDEX
    FS_LIMIT_COUNT
};

void fs_limits_default(fs_limits *limits);

/* By number, below FS_LIMIT_COUNT, in the order of the table. The name is static storage. */
const char *fs_limits_name(unsigned number);
uint64_t fs_limits_get(const fs_limits *limits, unsigned number);

/* What fs_limits_set returns; only FS_LIMIT_SET has changed anything. */
enum { FS_LIMIT_SET, FS_LIMIT_UNKNOWN, FS_LIMIT_TOO_LARGE };

/* Sets the limit of this name, `n` bytes. FS_LIMIT_TOO_LARGE: its type does not hold the value. */
int fs_limits_set(fs_limits *limits, const char *name, size_t n, uint64_t value);

#endif
