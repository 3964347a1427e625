#ifndef FS_TEST_SCRIPTED_H
#define FS_TEST_SCRIPTED_H

#include "harness.h"

#include "proto/h1.h"

/*
 * One HTTP/1 connection machine with an application that does what the
 * target's path tells it (tests/golden/README.md has the list), and a record
 * of all that happened. Used by the golden cases and by the fuzzers.
 */

typedef struct text {
    char *p;
    size_t n, room;
} text;

void text_add(text *t, const char *p, size_t n);
void text_format(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As tests/golden writes bytes: \r, \n, \t, \\ and \xNN. */
void text_escape(text *t, const char *p, size_t n);
void text_free(text *t);

typedef struct scripted {
    /* setting */
    const fs_allocator *allocator;
    fs_limits limits;
    fs_head_common common;
    fs_h1_shared own;
    fs_h1_shared *shared;   /* own, or that of the connection which this one was opened beside */
    fs_h1 h1;
    int opened;

    /* what happened */
    text events;            /* a line each, as in tests/golden */
    text body;              /* of the current request, until it is recorded as one line */
    int nomem;              /* the machine or the sink ran out of memory */
    int failed_reading;     /* the error that next or eof gave */
    size_t events_before_error, sent_before_error;
    unsigned requests;      /* completed */

    /* what was sent */
    struct scripted_sink {
        fs_sink base;       /* first */
        struct scripted *owner;
        char *p;            /* from the allocator under test */
        size_t n, room, reserved;
    } sink;

    /* the request being answered */
    fs_stream *stream;      /* NULL: none */
    char method[64];
    char target[256];
    uint64_t length;        /* of the body so far */
} scripted;

/* 0 or FS_E_NOMEM; scripted_close is due either way. */
int scripted_open(scripted *s, const fs_limits *limits, const fs_allocator *allocator);
void scripted_close(scripted *s);

/* Another connection of the same worker. `first` outlives it. */
void scripted_open_beside(scripted *s, scripted *first);

/* One turn on bytes that are unreadable afterwards. FS_OK, or FS_E_NOMEM: the machine is then only good for closing. */
int scripted_feed(scripted *s, const char *p, size_t n);
int scripted_eof(scripted *s);

#endif
