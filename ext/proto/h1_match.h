#ifndef FS_PROTO_H1_MATCH_H
#define FS_PROTO_H1_MATCH_H

#include <stddef.h>
#include <string.h>

/* Comparison in any ASCII case, and blanks; `text` is lower-case and ends with NUL. */

static inline char fs_h1_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline int fs_h1_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline int fs_h1_same(const char *p, size_t n, const char *text)
{
    size_t i = 0;

    while (i < n && text[i] && fs_h1_lower(p[i]) == text[i])
        i++;
    return i == n && !text[i];
}

static inline int fs_h1_starts(const char *p, size_t n, const char *text)
{
    const size_t length = strlen(text);

    return n >= length && fs_h1_same(p, length, text);
}

#endif
