#ifndef FS_PROTO_H2_STATE_H
#define FS_PROTO_H2_STATE_H

#include "h2.h"

/*
 * The two halves of a stream as tables. Only this header and h2_state.c assign
 * fs_h2_stream.reading and .writing.
 */

typedef enum fs_h2_reading_input {
    FS_H2_ON_HEAD,          /* the head is complete, a body follows */
    FS_H2_ON_LAST,          /* END_STREAM */
    FS_H2_ON_UPGRADE,
    FS_H2_ON_IGNORE,        /* nobody wants the rest */
    FS_H2_READING_INPUTS
} fs_h2_reading_input;

typedef enum fs_h2_writing_input {
    FS_H2_ON_ANSWER,        /* the head was given, a body follows */
    FS_H2_ON_BODILESS,      /* the head was given, no body follows */
    FS_H2_ON_TRAILERS,      /* the body was given, trailers are due */
    FS_H2_ON_TUNNEL,
    FS_H2_ON_END,           /* everything was given, or it was broken off */
    FS_H2_WRITING_INPUTS
} fs_h2_writing_input;

/* [state][input] -> state. What cannot happen leads to the state that ends the half. */
extern const uint8_t fs_h2_reading_table[FS_H2_READ_DISCARD + 1][FS_H2_READING_INPUTS];
extern const uint8_t fs_h2_writing_table[FS_H2_WRITE_DONE + 1][FS_H2_WRITING_INPUTS];

static inline void fs_h2_reading_on(fs_h2_stream *stream, fs_h2_reading_input input)
{
    stream->reading = fs_h2_reading_table[stream->reading][input];
}

static inline void fs_h2_writing_on(fs_h2_stream *stream, fs_h2_writing_input input)
{
    stream->writing = fs_h2_writing_table[stream->writing][input];
}

/* A fresh stream in the connection's list; NULL when out of memory. */
fs_h2_stream *fs_h2_open_stream(fs_h2 *h2, int32_t id);

/* Removes a stream from the list, and returns it to where it came from. */
void fs_h2_free_stream(fs_h2_stream *stream);

/* Makes next() report `what` of the stream. */
void fs_h2_tell(fs_h2_stream *stream, uint32_t what);

/* The exchange has given its whole answer. */
void fs_h2_end_response(fs_h2_stream *stream);

#endif
