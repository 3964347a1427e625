#ifndef FS_PROTO_H1_PARSE_H
#define FS_PROTO_H1_PARSE_H

#include "h1.h"

/*
 * llhttp as a pull parser of heads and trailer sections: its callbacks store
 * slices and pause. It does not see bodies.
 */

/* A head begins at `input`: fresh parser, fresh message. */
void fs_h1_parse_begin(fs_h1 *h1);

/*
 * Reads on in a head. 1: it is complete, h1->fields, target and version are
 * set, and the parser's flags and content_length tell the framing. 0: more
 * bytes are needed. Otherwise FS_E_*.
 */
int fs_h1_parse_head(fs_h1 *h1);

/*
 * Reads on in a chunked body. 1: h1->piece is a run of body, or it is empty
 * and the message is complete, with its trailers in h1->fields. 0: more bytes
 * are needed. Otherwise FS_E_*.
 */
int fs_h1_parse_chunked(fs_h1 *h1);

#endif
