#include "h1_chunked.h"

#include "error.h"
#include "head.h"
#include "match.h"

enum {
    MOST_DIGITS = 64   /* of a size: leading zeros are allowed, but not without end */
};

/* The position of the next byte. */
enum {
    SIZE,              /* in the size, or at its first digit */
    BEFORE_SEMICOLON,  /* after a blank that nothing but a semicolon may end */
    BEFORE_NAME,       /* after a semicolon, and blanks */
    NAME,
    AFTER_NAME,        /* and blanks */
    BEFORE_VALUE,      /* after an equals sign, and blanks */
    VALUE,
    QUOTED,
    ESCAPED,           /* after a backslash in it */
    AFTER_QUOTED,
    LINE_FEED,         /* after the carriage return of a chunk's line */
    DATA_RETURN,       /* right after the data */
    DATA_FEED,
    DATA,              /* in data, where no byte of framing is due */
    LAST,
    REFUSED
};

void fs_chunked_begin(fs_chunked *chunked)
{
    *chunked = (fs_chunked){.state = SIZE};
}

/* ---- bytes ------------------------------------------------------------------- */

static int hex_of(char c)
{
    const char lower = fs_lower(c);

    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static int is_tchar(char c)
{
    return fs_is_token(&c, 1);
}

/* HTAB, SP, VCHAR, obs-text: what a quoted string holds, quote and backslash only escaped (RFC 9110 section 5.6.4). */
static int is_quotable(char c)
{
    return c == '\t' || ((uint8_t)c >= ' ' && c != 0x7f);
}

/* ---- one step a state ---------------------------------------------------------- */

/* What may follow a complete extension, or the size. */
static uint8_t after_part(char c)
{
    return fs_is_blank(c) ? BEFORE_SEMICOLON : c == ';' ? BEFORE_NAME : c == '\r' ? LINE_FEED : REFUSED;
}

static uint8_t in_size(fs_chunked *chunked, char c)
{
    const int digit = hex_of(c);

    if (digit < 0)
        return chunked->digits ? after_part(c) : REFUSED;
    if (chunked->size >> 60 || chunked->digits == MOST_DIGITS)
        return REFUSED;
    chunked->size = chunked->size << 4 | (unsigned)digit;
    chunked->digits++;
    return SIZE;
}

static uint8_t in_extension(uint8_t state, char c)
{
    switch (state) {
    case BEFORE_SEMICOLON:
        return fs_is_blank(c) ? BEFORE_SEMICOLON : c == ';' ? BEFORE_NAME : REFUSED;
    case BEFORE_NAME:
        return fs_is_blank(c) ? BEFORE_NAME : is_tchar(c) ? NAME : REFUSED;
    case NAME:
        return is_tchar(c) ? NAME : fs_is_blank(c) ? AFTER_NAME : c == '=' ? BEFORE_VALUE : after_part(c);
    case AFTER_NAME:
        return fs_is_blank(c) ? AFTER_NAME : c == '=' ? BEFORE_VALUE : c == ';' ? BEFORE_NAME : REFUSED;
    case BEFORE_VALUE:
        return fs_is_blank(c) ? BEFORE_VALUE : is_tchar(c) ? VALUE : c == '"' ? QUOTED : REFUSED;
    case VALUE:
        return is_tchar(c) ? VALUE : after_part(c);
    case QUOTED:
        return c == '"' ? AFTER_QUOTED : c == '\\' ? ESCAPED : is_quotable(c) ? QUOTED : REFUSED;
    case ESCAPED:
        return is_quotable(c) ? QUOTED : REFUSED;
    default:
        return after_part(c);
    }
}

/* Line ends. */
static uint8_t in_framing(fs_chunked *chunked, char c)
{
    if (chunked->state == DATA_RETURN)
        return c == '\r' ? DATA_FEED : REFUSED;
    if (c != '\n')
        return REFUSED;
    if (chunked->state == LINE_FEED) {
        chunked->left = chunked->size;
        return chunked->left ? DATA : LAST;
    }
    chunked->size = chunked->digits = 0;
    return SIZE;
}

static uint8_t step(fs_chunked *chunked, char c, uint32_t most)
{
    uint8_t next;

    if (chunked->state == SIZE)
        next = in_size(chunked, c);
    else if (chunked->state < LINE_FEED)
        next = in_extension(chunked->state, c);
    else
        return in_framing(chunked, c);
    if (next != SIZE && next != LINE_FEED && ++chunked->extension > most)
        return REFUSED;
    return next;
}

int fs_chunked_read(fs_chunked *chunked, const char *p, size_t n, uint32_t most, size_t *taken)
{
    size_t i = 0;

    if (chunked->state == DATA)
        chunked->state = DATA_RETURN;
    while (i < n && chunked->state < DATA)
        chunked->state = step(chunked, p[i++], most);
    *taken = i;
    switch (chunked->state) {
    case DATA:
        return FS_CHUNKED_DATA;
    case LAST:
        return FS_CHUNKED_LAST;
    case REFUSED:
        return FS_E_BAD_CHUNK;
    default:
        return FS_CHUNKED_MORE;
    }
}
