#ifndef FS_PROTO_H2_HEAD_H
#define FS_PROTO_H2_HEAD_H

#include "h2.h"

enum { FS_H2_FAR_ABOVE = 4 }; /* times the limit: whoever sends so large a section does not want an answer */

/*
 * Field sections of requests: collected field by field while nghttp2 decodes them,
 * then checked as a whole (RFC 9113 section 8). By then nghttp2 has checked the
 * rules of pseudo-header fields and of single fields.
 */

/* A section begins: the connection has an arena from here to fs_h2_head_done. FS_OK or FS_E_NOMEM. */
int fs_h2_head_begin(fs_h2 *h2);

/* FS_OK, or FS_E_H2_FLOOD if the section is far above its limit. A smaller excess is remembered. */
int fs_h2_head_add(fs_h2 *h2, const char *name, size_t name_len, const char *value, size_t value_len);

/* The request of a complete section: fills *head. FS_OK, a message's error, or FS_E_H2_MALFORMED: a reset. */
int fs_h2_head_finish(fs_h2_stream *stream, fs_request_head *head, int end);

/* The trailers of a complete section, without forbidden ones. */
void fs_h2_head_trailers(fs_h2 *h2, const fs_field **fields, uint32_t *n);

/* Its event has been told. */
void fs_h2_head_done(fs_h2 *h2);

void fs_h2_arena_free(fs_h2_shared *shared);

#endif
