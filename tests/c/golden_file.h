#ifndef FS_TEST_GOLDEN_FILE_H
#define FS_TEST_GOLDEN_FILE_H

#include "scripted.h"

/* The cases of tests/golden, whose README.md has the format. */

typedef enum reply_kind {
    REPLY_BYTES,            /* exactly these */
    REPLY_MAYBE,            /* these or nothing */
    REPLY_ANSWER            /* any response of this status that is complete in itself */
} reply_kind;

typedef struct reply_part {
    reply_kind kind;
    text bytes;
    int status;
    int bodiless;
} reply_part;

enum { REPLY_PARTS = 64 };

typedef struct golden_case {
    char name[200];
    int line;
    fs_limits limits;
    text input;
    int eof;
    text events;
    reply_part reply[REPLY_PARTS];
    unsigned nreply;
    int closes;
} golden_case;

/* Calls `each` for every case of a file. Returns how many there were. */
unsigned golden_read(const char *path, void (*each)(const golden_case *one));

/* Whether the bytes are the expected reply. */
int golden_reply_matches(const golden_case *one, const char *p, size_t n);

#endif
