#include "response_fields.h"

#include "fields.h"
#include "head.h"
#include "list.h"
#include "match.h"

#include <string.h>

/* A tchar of RFC 9110 section 5.6.2 in lower case, 0 for every other byte. */
static const char NAME[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
    ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|', ['~'] = '~',
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7',
    ['8'] = '8', ['9'] = '9',
    ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h',
    ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p',
    ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w', ['x'] = 'x',
    ['y'] = 'y', ['z'] = 'z',
    ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g', ['H'] = 'h',
    ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n', ['O'] = 'o', ['P'] = 'p',
    ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x',
    ['Y'] = 'y', ['Z'] = 'z',
};

uint32_t fs_field_id(const fs_field *field)
{
    if (field->id || !field->name_len)
        return field->id;
    return fs_field_find(field->name, field->name_len);
}

fs_slice fs_value_of(const fs_field *field)
{
    fs_slice value = {field->value, field->value_len};

    while (value.n && fs_is_blank(value.p[value.n - 1]))
        value.n--;
    while (value.n && fs_is_blank(value.p[0]))
        value.p++, value.n--;
    return value;
}

int fs_check_field(const fs_field *field, uint32_t *id)
{
    const fs_slice value = fs_value_of(field);

    *id = fs_field_id(field);
    if (!*id && !fs_is_token(field->name, field->name_len)) /* a name of the table is one */
        return FS_E_APP_FIELD_NAME;
    return fs_is_field_value(value.p, value.n) ? FS_OK : FS_E_APP_FIELD_VALUE;
}

char *fs_put_name(char *p, const fs_field *field, uint32_t id)
{
    unsigned bad = field->name_len == 0;

    if (id) {
        size_t n;
        const char *name = fs_field_name(id, &n);

        memcpy(p, name, n);
        return p + n;
    }
    for (uint32_t i = 0; i < field->name_len; i++) {
        const char c = NAME[(uint8_t)field->name[i]];

        bad |= !c;
        p[i] = c;
    }
    return bad ? NULL : p + field->name_len;
}

/* RFC 9110 section 8.6; a second one must agree with the first. */
static int say_length(fs_said *said, fs_slice value)
{
    int64_t length = 0;

    if (!value.n || value.n > 18)
        return FS_E_APP_LENGTH;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return FS_E_APP_LENGTH;
        length = length * 10 + (value.p[i] - '0');
    }
    if (said->length >= 0 && said->length != length)
        return FS_E_APP_LENGTH;
    said->length = length;
    return FS_OK;
}

int fs_intercept(fs_said *said, uint32_t id, fs_slice value)
{
    switch (id) {
    case FS_FIELD_CONTENT_LENGTH:
        return say_length(said, value) < 0 ? FS_E_APP_LENGTH : 1;
    case FS_FIELD_CONNECTION:
        said->close |= fs_list_has(value.p, value.n, "close");
        return 1;
    case FS_FIELD_TRANSFER_ENCODING:
    case FS_FIELD_KEEP_ALIVE:
    case FS_FIELD_PROXY_CONNECTION:
    case FS_FIELD_UPGRADE:
    case FS_FIELD_TE:
        return 1;
    case FS_FIELD_DATE:
        said->date = 1;
        return 0;
    case FS_FIELD_SERVER:
        said->server = 1;
        return 0;
    default:
        return 0;
    }
}
