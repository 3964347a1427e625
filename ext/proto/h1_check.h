#ifndef FS_PROTO_H1_CHECK_H
#define FS_PROTO_H1_CHECK_H

#include "h1.h"

/*
 * What a complete head means: request line (RFC 9112 section 3), Host, framing
 * (section 6), and the fields that the server itself obeys. Fills *head and the
 * message's flags. FS_OK or FS_E_*.
 */
int fs_h1_check_head(fs_h1 *h1, fs_request_head *head);

/* Prepares the trailers for the event: lower-case names, ids, forbidden ones dropped. */
void fs_h1_check_trailers(fs_h1 *h1);

#endif
