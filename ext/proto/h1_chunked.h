#ifndef FS_PROTO_H1_CHUNKED_H
#define FS_PROTO_H1_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

/*
 * The framing of the chunked coding (RFC 9112 section 7.1): sizes, extensions
 * and line ends, but neither the data between them nor the trailer section.
 * Spaces and tabs may be where section 7.1.1 allows them (BWS) and nowhere else.
 */

typedef struct fs_chunked {
    uint64_t size;         /* of the chunk, as far as read */
    uint64_t left;         /* bytes of its data to come */
    uint32_t extension;    /* bytes of extensions in this body, blanks included */
    uint8_t digits;        /* of the size */
    uint8_t state;
} fs_chunked;

void fs_chunked_begin(fs_chunked *chunked);

typedef enum fs_chunked_result {
    FS_CHUNKED_MORE,       /* all of the bytes were framing */
    FS_CHUNKED_DATA,       /* left > 0 bytes of data follow; whoever has taken some counts `left` down */
    FS_CHUNKED_LAST        /* the last chunk's line is complete: the trailer section follows */
} fs_chunked_result;

/*
 * Reads n bytes at p up to the next data. *taken of them were framing. Returns a
 * fs_chunked_result, or FS_E_BAD_CHUNK, also if the body's extensions exceed `most`
 * bytes. Must not be called after FS_CHUNKED_LAST, nor while data is left.
 */
int fs_chunked_read(fs_chunked *chunked, const char *p, size_t n, uint32_t most, size_t *taken);

#endif
