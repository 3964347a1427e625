#ifndef FS_PROTO_H1_STATE_H
#define FS_PROTO_H1_STATE_H

#include "h1.h"

/*
 * The three machines of an HTTP/1 connection as tables. Only this header and
 * h1_state.c assign fs_h1.reading, .writing and .keep.
 */

typedef enum fs_h1_reading_input {
    FS_H1_ON_FIRST_BYTE,    /* of a head */
    FS_H1_ON_BODY,          /* the head is complete, a body follows */
    FS_H1_ON_MESSAGE,       /* the message is complete */
    FS_H1_ON_ANSWERED,      /* its response is complete and the connection goes on */
    FS_H1_ON_UPGRADE,
    FS_H1_ON_STOP,          /* an error, or the connection has to be closed */
    FS_H1_READING_INPUTS
} fs_h1_reading_input;

typedef enum fs_h1_writing_input {
    FS_H1_ON_REQUEST,       /* there is something to answer */
    FS_H1_ON_LENGTH,        /* a head has gone, and its body is framed so */
    FS_H1_ON_CHUNKED,
    FS_H1_ON_CLOSE,
    FS_H1_ON_NO_BODY,
    FS_H1_ON_TRAILERS,      /* the body has ended, trailers follow */
    FS_H1_ON_END,
    FS_H1_ON_ABORT,
    FS_H1_WRITING_INPUTS
} fs_h1_writing_input;

typedef enum fs_h1_keep_input {
    FS_H1_ON_LAST,          /* no further request on this connection */
    FS_H1_ON_RESPONSE_END,
    FS_H1_ON_SHUT,          /* at once */
    FS_H1_KEEP_INPUTS
} fs_h1_keep_input;

/* [state][input] -> state. What cannot happen leads to the state that ends the connection. */
extern const uint8_t fs_h1_reading_table[FS_H1_READ_DISCARD + 1][FS_H1_READING_INPUTS];
extern const uint8_t fs_h1_writing_table[FS_H1_WRITE_BROKEN + 1][FS_H1_WRITING_INPUTS];
extern const uint8_t fs_h1_keep_table[FS_H1_KEEP_CLOSED + 1][FS_H1_KEEP_INPUTS];

/* Facts besides the three machines: fs_h1.flags. */
enum {
    /* of the connection */
    FS_H1_IN_STORE = 1 << 0,        /* `input` (and `mark`) point into the store */
    FS_H1_EOF = 1 << 1,             /* the peer sends no more */
    FS_H1_RESET = 1 << 2,           /* a close-delimited body was broken off */
    FS_H1_LINGER = 1 << 3,          /* closing while the peer's bytes may be in transit */
    FS_H1_ANSWERED = 1 << 4,        /* reading failed in a message that was answered */
    /* of the message */
    FS_H1_IN_VALUE = 1 << 8,        /* the parser's last span was a value: a name begins a new field */
    FS_H1_COMPLETE = 1 << 9,        /* the parser has seen the end of the message */
    FS_H1_IN_TRAILERS = 1 << 10,    /* of a chunked body: the last chunk has come */
    FS_H1_METHOD_CUT = 1 << 11,     /* the parser does not know the method; its token is not complete yet */
    FS_H1_CHUNKED_BODY = 1 << 12,   /* of the request */
    FS_H1_HTTP_1_0 = 1 << 13,
    FS_H1_IS_HEAD = 1 << 14,        /* the method: its response has no body */
    FS_H1_EXPECTS = 1 << 15,        /* the peer waits for 100 (Continue), which was not sent yet */
    FS_H1_TE_TRAILERS = 1 << 16,
    FS_H1_WEBSOCKET = 1 << 17,      /* may be upgraded */
    FS_H1_PEER_CLOSES = 1 << 18,    /* the peer itself said that this is its last request */
    FS_H1_TRAILERS_DUE = 1 << 19,   /* the response's body is followed by trailers() */
    FS_H1_LAST_CHUNK = 1 << 20      /* and the last chunk has gone */
};
#define FS_H1_OF_CONNECTION 0xffu

void fs_h1_start(fs_h1 *h1);

static inline void fs_h1_reading_on(fs_h1 *h1, fs_h1_reading_input input)
{
    h1->reading = fs_h1_reading_table[h1->reading][input];
}

static inline void fs_h1_writing_on(fs_h1 *h1, fs_h1_writing_input input)
{
    h1->writing = fs_h1_writing_table[h1->writing][input];
}

static inline void fs_h1_keep_on(fs_h1 *h1, fs_h1_keep_input input)
{
    h1->keep = fs_h1_keep_table[h1->keep][input];
}

/* A message has its head: the stream is fresh and waits for its answer. */
void fs_h1_open_stream(fs_h1 *h1);

/* The whole response is queued: the connection goes on or closes. */
void fs_h1_end_response(fs_h1 *h1);

/* Breaks off whatever is being answered. */
void fs_h1_break_response(fs_h1 *h1);

/* Ends a tunnel; what is queued still leaves. */
void fs_h1_end_tunnel(fs_h1 *h1);

/* Ends reading with an error of the peer's or ours, which it returns. */
int fs_h1_fail(fs_h1 *h1, int error);

/* Nothing more will be read or written, and nothing is in transit. */
void fs_h1_close_now(fs_h1 *h1);

#endif
