#ifndef FS_PROTO_HEAD_H
#define FS_PROTO_HEAD_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Response heads of HTTP/1 (RFC 9112 section 4, RFC 9110 sections 5 and 15).
 */

/*
 * The fields that the server itself adds. One for each worker, shared by its
 * connections. `--header` fields are added to each response; Date and Server, the
 * server's or those of `--header`, only if the application gave none.
 */
typedef struct fs_head_common {
    char date[40];                 /* "date: ...\r\n" */
    uint8_t date_len;              /* 0: no Date */
    int64_t date_second;           /* the second for which `date` stands */
    uint8_t date_on;
    const char *server;            /* "server: fastserve\r\n", another one, or NULL; borrowed for the worker's life */
    size_t server_len;
    const char *extra;             /* rendered lines of --header, or NULL; borrowed likewise */
    size_t extra_len;
    size_t own_date_len;           /* of the first line of `extra` if it is a Date, else 0 */
} fs_head_common;

void fs_head_common_init(fs_head_common *common, int date_on);

/* Renders the Date line (RFC 9110 section 5.6.7) when the second has changed. */
void fs_head_set_time(fs_head_common *common, int64_t unix_seconds);

/* A token (RFC 9110 section 5.6.2) of at least one byte. */
int fs_is_token(const char *p, size_t n);

/* A field value: no control bytes but tab, no space or tab at either end. */
int fs_is_field_value(const char *p, size_t n);

/* The registered phrase, or "". Static. */
fs_slice fs_reason_phrase(int status);

/* Writes n as hex and CRLF, without leading zeros; returns the length (at most 18). */
size_t fs_chunk_prefix(char *out, uint64_t n);

/* Writes n in decimal; returns the length (at most 20). */
size_t fs_decimal(char *out, uint64_t n);

#endif
