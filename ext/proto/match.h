#ifndef FS_PROTO_MATCH_H
#define FS_PROTO_MATCH_H

#include <stddef.h>
#include <string.h>

/* Comparison in any ASCII case, and blanks; `text` is lower-case and ends with NUL. */

static inline char fs_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static inline int fs_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static inline int fs_same(const char *p, size_t n, const char *text)
{
    size_t i = 0;

    while (i < n && text[i] && fs_lower(p[i]) == text[i])
        i++;
    return i == n && !text[i];
}

static inline int fs_starts(const char *p, size_t n, const char *text)
{
    const size_t length = strlen(text);

    return n >= length && fs_same(p, length, text);
}

#endif
