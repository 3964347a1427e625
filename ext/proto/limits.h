#ifndef FS_PROTO_LIMITS_H
#define FS_PROTO_LIMITS_H

#include <stdint.h>

/*
 * Every limit of a worker, filled once from the configuration. 0 means
 * unlimited only where it is said. Times are milliseconds; ext/proto has no
 * clock and leaves them to ext/core.
 *
 *                                          default   the attack that it answers
 */
typedef struct fs_limits {
    uint32_t max_request_line;           /*   8 KiB   an endless target (414) */
    uint32_t max_head;                   /*  32 KiB   an endless head, memory (431) */
    uint32_t max_fields;                 /*     100   many tiny fields: an object each (431) */
    uint32_t methods;                    /*     any   FS_METHODS_REGISTERED: code behind methods that nobody thought of (501) */
    uint64_t max_body;                   /*   1 GiB   0: unlimited (413) */
    uint32_t max_chunk_extension;        /*   1 KiB   per body: bytes that cost parsing and carry nothing */
    uint32_t max_pipelined;              /*      64   requests a turn: one client takes the whole worker */
    uint64_t max_requests;               /*       0   requests a connection; 0: unlimited */
    uint32_t max_concurrency;            /*       0   requests in the worker whose application or client is there; 0: unlimited (503) */
    uint32_t max_queue;                  /*       0   and of those that wait for one of these to end (503) */

    uint32_t high_water;                 /*  64 KiB   queued output above which `send` waits */
    uint32_t low_water;                  /*  16 KiB   and below which it goes on */
    uint32_t body_high_water;            /*  64 KiB   received body that the application has not taken */
    uint32_t max_drain;                  /* 256 KiB   unread body thrown away to keep a connection */
    uint64_t body_buffer;                /* 512 KiB   of a body that is held in memory before it goes to a file (WSGI) */
    uint64_t buffered;                   /* 256 MiB   bodies, messages and unread bytes in the worker's memory; 0: unlimited (503) */
    uint64_t body_files;                 /*  10 GiB   bodies in its files, a disk that is full; 0: unlimited (503, 413) */

    uint64_t ws_max_size;                /*  16 MiB   a WebSocket message, inflated: memory, decompression bombs (1009) */
    uint32_t ws_max_queue;               /*      32   messages that the application has not taken: reading pauses */
    uint32_t ws_deflate_min_size;        /*     256   bytes from which a message is compressed */

    uint32_t h2_max_streams;             /*     128   streams a client may have open: applications at work for one connection */
    uint32_t h2_stream_window;           /* 256 KiB   request body of a stream that the application has not taken */
    uint32_t h2_connection_window;       /*   1 MiB   and of a connection on its way at one time */
    uint32_t h2_max_frame_size;          /*  16 KiB   a frame that keeps the others of its connection waiting */
    uint32_t h2_max_header_list;         /*  32 KiB   an endless field section, HPACK bombs (431) */
    uint32_t h2_reset_rate;              /*     200   streams a second that are begun and broken off, after 1,000 (rapid reset) */

    uint32_t timeout_first_byte;         /*    15 s   a new connection that says nothing */
    uint32_t timeout_head;               /*    15 s   half a head, counted from its first byte (408) */
    uint32_t timeout_keep_alive;         /*    75 s   idle between two requests */
    uint32_t timeout_body;               /*    30 s   a body without progress (408) */
    uint32_t timeout_write;              /*    60 s   a reader without progress */
    uint32_t timeout_linger;             /*     2 s   reading on after the last answer, so that it is not reset: without a byte */
    uint32_t timeout_discard;            /*    30 s   and in all: a client that never ends its request */
    uint32_t timeout_request;            /*       0   an application that does not begin its answer (504); 0: never */
    uint32_t timeout_response_idle;      /*       0   and one that does not go on with it; 0: never */
    uint32_t timeout_response;           /*       0   and one that does not complete it; 0: never */
    uint32_t timeout_queue;              /*       0   a request whose application is not called: nobody waits for it any more (503); 0: it waits */
    uint32_t timeout_client_gone;        /*       0   an application that goes on though its client has left; 0: it may */
    uint32_t timeout_threads;            /*       0   a call from which a thread does not come back; 0: it may last */
    uint32_t timeout_ws_handshake;       /*    10 s   an application that neither accepts nor refuses (504); 0: never */
    uint32_t timeout_ws_close;           /*    10 s   a peer that does not answer a close frame */
    uint32_t timeout_ws_ping;            /*    20 s   between two pings; 0: none */
    uint32_t timeout_ws_pong;            /*    20 s   a peer that has silently gone: no pong (1011); 0: never */
    uint32_t timeout_ws_message;         /*    60 s   a message without progress, and ten times that for all of it (1008); 0: never */
    uint32_t timeout_tls_handshake;      /*    10 s   a handshake that does not come to its end */
    uint32_t timeout_h2_ping;            /*    20 s   of silence with streams open before a ping; 0: none */
    uint32_t timeout_h2_pong;            /*    20 s   a peer that has silently gone; 0: never */
} fs_limits;

#define FS_MAX_FIELDS_CEILING 1000

enum { FS_METHODS_ANY, FS_METHODS_REGISTERED };

void fs_limits_default(fs_limits *limits);

#endif
