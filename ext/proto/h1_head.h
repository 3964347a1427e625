#ifndef FS_PROTO_H1_HEAD_H
#define FS_PROTO_H1_HEAD_H

#include "h1.h"
#include "response_fields.h"

/*
 * Renders response heads and trailer fields into the sink: one reserve, straight
 * copies, one commit. Errors are found before the commit, so that nothing invalid
 * is ever queued.
 */

typedef struct fs_h1_draft {
    char *start, *p;      /* reserved in the sink; start is NULL before fs_h1_draft_begin */
    fs_said said;
} fs_h1_draft;

/*
 * Reserves room for a head with these fields and writes the status line.
 * FS_OK, FS_E_NOMEM, FS_E_APP_STATUS (reason phrase).
 */
int fs_h1_draft_begin(fs_h1_draft *draft, fs_h1 *h1, int status, fs_slice reason, const fs_field *fields, uint32_t n);

/*
 * Writes fields; those about the framing or the connection go to draft->said
 * instead. FS_OK or FS_E_APP_*.
 */
int fs_h1_draft_fields(fs_h1_draft *draft, const fs_field *fields, uint32_t n);

void fs_h1_draft_line(fs_h1_draft *draft, const char *line, size_t n);
void fs_h1_draft_length(fs_h1_draft *draft, uint64_t length);
/* Date, Server and the configured lines, if the application gave none. */
void fs_h1_draft_common(fs_h1_draft *draft, const fs_head_common *common);

/* The empty line, and the commit. */
void fs_h1_draft_commit(fs_h1_draft *draft, fs_h1 *h1);

/* Queues trailer fields, after `before` and followed by `after`. FS_OK, FS_E_APP_* or FS_E_NOMEM. */
int fs_h1_put_trailers(fs_h1 *h1, fs_slice before, const fs_field *fields, uint32_t n, fs_slice after);

#define FS_H1_LINE(text) (text), sizeof(text) - 1
#define FS_H1_SLICE(text) ((fs_slice){(text), sizeof(text) - 1})

#endif
