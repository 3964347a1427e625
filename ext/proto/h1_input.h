#ifndef FS_PROTO_H1_INPUT_H
#define FS_PROTO_H1_INPUT_H

#include "h1.h"

/*
 * The bytes that wait to be parsed: `input`, then `more`. What is parsed in one
 * turn stays where the caller received it. Bytes that must outlive a turn are in
 * the store, and a head that began there continues there, so that its slices
 * point into one run.
 */

/*
 * Called when `input` is empty: goes on with `more`. Inside a head or trailers
 * (`mark` is set) it is copied to the run in the store, a bounded piece at a
 * time. 1, 0 when there are no more bytes, FS_E_NOMEM or FS_E_NO_ROOM.
 */
int fs_h1_pull(fs_h1 *h1);

/* n <= input_len bytes are parsed. */
static inline void fs_h1_advance(fs_h1 *h1, size_t n)
{
    h1->input += n;
    h1->input_len -= n;
}

/* Room for one more in the store. FS_OK or FS_E_NOMEM. */
int fs_h1_grow_fields(fs_h1 *h1);

/* One more of at most limits->max_fields + 1 fields, which the caller counts and fills. NULL: out of memory. */
static inline fs_field *fs_h1_new_field(fs_h1 *h1)
{
    if (h1->fields != h1->shared->scratch && fs_h1_grow_fields(h1) < 0)
        return NULL;
    return &h1->fields[h1->nfields++];
}

void fs_h1_store_free(fs_h1 *h1);

#endif
