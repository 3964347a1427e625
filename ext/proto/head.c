#include "head.h"

#include <string.h>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

/* ---- Date -------------------------------------------------------------- */

typedef struct civil_date {
    int64_t year;
    unsigned month; /* 1..12 */
    unsigned day;   /* 1..31 */
} civil_date;

#define SECONDS_A_DAY 86400
#define LAST_SECOND INT64_C(253402300799) /* of the year 9999: IMF-fixdate has four digits */

/*
 * The Gregorian date of a day counted from 1970-01-01, never before it. Years
 * are counted from the 1st of March, so that the leap day is a year's last,
 * in eras of 400 years, which all have the same number of days.
 */
static civil_date civil_from_days(int64_t days)
{
    const int64_t shifted = days + 719468; /* since 0000-03-01 */
    const int64_t era = shifted / 146097;
    const int64_t day_of_era = shifted % 146097;
    const int64_t leaps = day_of_era / 1460 - day_of_era / 36524 + day_of_era / 146096;
    const int64_t year_of_era = (day_of_era - leaps) / 365;
    const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t march = (5 * day_of_year + 2) / 153; /* months since March: 153 days in each five of them */
    const int after_new_year = march >= 10;

    return (civil_date){
        .year = era * 400 + year_of_era + after_new_year,
        .month = (unsigned)(after_new_year ? march - 9 : march + 3),
        .day = (unsigned)(day_of_year - (153 * march + 2) / 5 + 1),
    };
}

static char *put_text(char *out, const char *text, size_t n)
{
    memcpy(out, text, n);
    return out + n;
}

static char *put_pair(char *out, int64_t n, char after)
{
    out[0] = (char)('0' + n / 10);
    out[1] = (char)('0' + n % 10);
    out[2] = after;
    return out + 3;
}

/* RFC 9110 section 5.6.7, IMF-fixdate: "Sun, 06 Nov 1994 08:49:37 GMT". */
static size_t render_date_line(char *out, int64_t seconds)
{
    static const char weekdays[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const int64_t days = seconds / SECONDS_A_DAY;
    const int64_t second = seconds % SECONDS_A_DAY;
    const civil_date date = civil_from_days(days);
    char *p = out;

    p = put_text(p, "date: ", 6);
    p = put_text(p, weekdays + 3 * (days % 7), 3);
    p = put_text(p, ", ", 2);
    p = put_pair(p, date.day, ' ');
    p = put_text(p, months + 3 * (date.month - 1), 3);
    *p++ = ' ';
    p = put_pair(p, date.year / 100, ' ') - 1;
    p = put_pair(p, date.year % 100, ' ');
    p = put_pair(p, second / 3600, ':');
    p = put_pair(p, second / 60 % 60, ':');
    p = put_pair(p, second % 60, ' ');
    p = put_text(p, "GMT\r\n", 5);
    return (size_t)(p - out);
}

void fs_head_common_init(fs_head_common *common, int date_on)
{
    *common = (fs_head_common){.date_on = date_on != 0};
}

void fs_head_set_time(fs_head_common *common, int64_t unix_seconds)
{
    if (!common->date_on || (common->date_len && unix_seconds == common->date_second))
        return;
    common->date_second = unix_seconds;
    unix_seconds = unix_seconds < 0 ? 0 : unix_seconds > LAST_SECOND ? LAST_SECOND : unix_seconds;
    common->date_len = (uint8_t)render_date_line(common->date, unix_seconds);
}

/* ---- classes of bytes -------------------------------------------------- */

enum { TOKEN = 1, VALUE = 2, BOTH = TOKEN | VALUE };

/* tchar of RFC 9110 section 5.6.2; VCHAR, obs-text, space and tab of section 5.5. */
static const uint8_t CLASS[256] = {
    ['\t'] = VALUE, [' '] = VALUE, ['!'] = BOTH, ['"'] = VALUE, ['#' ... '\''] = BOTH, ['(' ... ')'] = VALUE,
    ['*' ... '+'] = BOTH, [','] = VALUE, ['-' ... '.'] = BOTH, ['/'] = VALUE, ['0' ... '9'] = BOTH,
    [':' ... '@'] = VALUE, ['A' ... 'Z'] = BOTH, ['[' ... ']'] = VALUE, ['^' ... '`'] = BOTH, ['a' ... 'z'] = BOTH,
    ['{'] = VALUE, ['|'] = BOTH, ['}'] = VALUE, ['~'] = BOTH, [0x80 ... 0xff] = VALUE,
};

static int all_of(const char *p, size_t n, uint8_t class)
{
    for (size_t i = 0; i < n; i++)
        if (!(CLASS[(uint8_t)p[i]] & class))
            return 0;
    return 1;
}

int fs_is_token(const char *p, size_t n)
{
    return n > 0 && all_of(p, n, TOKEN);
}

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

/* Not zero when a byte of the word is below 0x20 or is 0x7f. */
static uint64_t has_control(uint64_t word)
{
    const uint64_t del = word ^ EACH_BYTE(0x7f);

    return (((word - EACH_BYTE(0x20)) & ~word) | ((del - EACH_BYTE(0x01)) & ~del)) & EACH_BYTE(0x80);
}

#if defined(__x86_64__)
enum { WIDE = 16 };

/* The same of sixteen bytes, with what every processor of this kind has. */
static int has_control_wide(const char *p)
{
    const __m128i bytes = _mm_loadu_si128((const __m128i *)p);
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);

    return _mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)))) != 0;
}
#endif

static int is_blank(char c)
{
    return c == ' ' || c == '\t';
}

int fs_is_field_value(const char *p, size_t n)
{
    size_t i = 0;

    if (n == 0)
        return 1;
    if (is_blank(p[0]) || is_blank(p[n - 1]))
        return 0;
    /* Many at a time: cookies and tokens are long. A tab among them only costs the table. */
#if defined(__x86_64__)
    if (n >= WIDE) {
        for (; i + WIDE <= n; i += WIDE)
            if (has_control_wide(p + i) && !all_of(p + i, WIDE, VALUE))
                return 0;
        return i == n || !has_control_wide(p + n - WIDE) || all_of(p + i, n - i, VALUE);
    }
#endif
    for (uint64_t word; i + sizeof word <= n; i += sizeof word) {
        memcpy(&word, p + i, sizeof word);
        if (has_control(word) && !all_of(p + i, sizeof word, VALUE))
            return 0;
    }
    return all_of(p + i, n - i, VALUE);
}

/* ---- status and numbers ------------------------------------------------ */

enum { FIRST_STATUS = 100, LAST_STATUS = 511 };

#define PHRASE(status, text) [(status) - FIRST_STATUS] = {text, sizeof text - 1}

/* RFC 9110 section 15 and the IANA registry of status codes; 306 and 418 are reserved there without a phrase. */
static const fs_slice PHRASES[LAST_STATUS - FIRST_STATUS + 1] = {
    PHRASE(100, "Continue"),
    PHRASE(101, "Switching Protocols"),
    PHRASE(102, "Processing"),
    PHRASE(103, "Early Hints"),
    PHRASE(104, "Upload Resumption Supported"),

    PHRASE(200, "OK"),
    PHRASE(201, "Created"),
    PHRASE(202, "Accepted"),
    PHRASE(203, "Non-Authoritative Information"),
    PHRASE(204, "No Content"),
    PHRASE(205, "Reset Content"),
    PHRASE(206, "Partial Content"),
    PHRASE(207, "Multi-Status"),
    PHRASE(208, "Already Reported"),
    PHRASE(226, "IM Used"),

    PHRASE(300, "Multiple Choices"),
    PHRASE(301, "Moved Permanently"),
    PHRASE(302, "Found"),
    PHRASE(303, "See Other"),
    PHRASE(304, "Not Modified"),
    PHRASE(305, "Use Proxy"),
    PHRASE(307, "Temporary Redirect"),
    PHRASE(308, "Permanent Redirect"),

    PHRASE(400, "Bad Request"),
    PHRASE(401, "Unauthorized"),
    PHRASE(402, "Payment Required"),
    PHRASE(403, "Forbidden"),
    PHRASE(404, "Not Found"),
    PHRASE(405, "Method Not Allowed"),
    PHRASE(406, "Not Acceptable"),
    PHRASE(407, "Proxy Authentication Required"),
    PHRASE(408, "Request Timeout"),
    PHRASE(409, "Conflict"),
    PHRASE(410, "Gone"),
    PHRASE(411, "Length Required"),
    PHRASE(412, "Precondition Failed"),
    PHRASE(413, "Content Too Large"),
    PHRASE(414, "URI Too Long"),
    PHRASE(415, "Unsupported Media Type"),
    PHRASE(416, "Range Not Satisfiable"),
    PHRASE(417, "Expectation Failed"),
    PHRASE(421, "Misdirected Request"),
    PHRASE(422, "Unprocessable Content"),
    PHRASE(423, "Locked"),
    PHRASE(424, "Failed Dependency"),
    PHRASE(425, "Too Early"),
    PHRASE(426, "Upgrade Required"),
    PHRASE(428, "Precondition Required"),
    PHRASE(429, "Too Many Requests"),
    PHRASE(431, "Request Header Fields Too Large"),
    PHRASE(451, "Unavailable For Legal Reasons"),

    PHRASE(500, "Internal Server Error"),
    PHRASE(501, "Not Implemented"),
    PHRASE(502, "Bad Gateway"),
    PHRASE(503, "Service Unavailable"),
    PHRASE(504, "Gateway Timeout"),
    PHRASE(505, "HTTP Version Not Supported"),
    PHRASE(506, "Variant Also Negotiates"),
    PHRASE(507, "Insufficient Storage"),
    PHRASE(508, "Loop Detected"),
    PHRASE(510, "Not Extended"),
    PHRASE(511, "Network Authentication Required"),
};

fs_slice fs_reason_phrase(int status)
{
    if (status < FIRST_STATUS || status > LAST_STATUS || !PHRASES[status - FIRST_STATUS].p)
        return (fs_slice){"", 0};
    return PHRASES[status - FIRST_STATUS];
}

size_t fs_chunk_prefix(char *out, uint64_t n)
{
    char *p = out;
    int shift = 60;

    while (shift > 0 && !(n >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        *p++ = "0123456789abcdef"[(n >> shift) & 15];
    *p++ = '\r';
    *p++ = '\n';
    return (size_t)(p - out);
}

size_t fs_decimal(char *out, uint64_t n)
{
    char digits[20];
    char *p = digits + sizeof digits;

    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    memcpy(out, p, (size_t)(digits + sizeof digits - p));
    return (size_t)(digits + sizeof digits - p);
}
