#include "fields.h"

#include <string.h>

/* 32 bytes, padded with zeros. */
typedef struct field_entry {
    char name[31];
    uint8_t length;
} field_entry;

#include "fields_table.h"

#define FIELD_COUNT (sizeof FIELDS / sizeof FIELDS[0])
#define LONGEST (sizeof FIELDS[0].name)

_Static_assert(sizeof(field_entry) == 32, "an entry is found by a shift");
_Static_assert(FIELD_COUNT > FS_FIELD_NAMED && FIELD_COUNT <= 256, "an id is a byte");

unsigned fs_field_count(void)
{
    return FIELD_COUNT;
}

const char *fs_field_name(uint32_t id, size_t *length)
{
    *length = FIELDS[id].length;
    return FIELDS[id].name;
}

/* tools/field_table.py chose the factor so that no two names share a slot. */
static uint32_t slot_of(const char *name, size_t length)
{
    const uint32_t first = (uint8_t)name[0] | 0x20;
    const uint32_t middle = (uint8_t)name[length / 2] | 0x20;
    const uint32_t late = (uint8_t)name[length * 3 / 4] | 0x20;
    const uint32_t key = (uint32_t)length << 24 | first << 16 | middle << 8 | late;

    return (key * FIELD_FACTOR) >> (32 - FIELD_SLOT_BITS);
}

/*
 * The bits in which a run of bytes differs from the name, ignoring case. Names in
 * the table hold a-z, 0-9 and '-'. Bit 0x40 marks the letters, and 0x20 is set in
 * the input only where the table has a letter: nothing else becomes equal.
 */
static uint64_t differ_8(const char *input, const char *name)
{
    uint64_t given, known;

    memcpy(&given, input, sizeof given);
    memcpy(&known, name, sizeof known);
    return (given | (known & UINT64_C(0x4040404040404040)) >> 1) ^ known;
}

static uint32_t differ_4(const char *input, const char *name)
{
    uint32_t given, known;

    memcpy(&given, input, sizeof given);
    memcpy(&known, name, sizeof known);
    return (given | (known & UINT32_C(0x40404040)) >> 1) ^ known;
}

static uint32_t differ_1(char input, char name)
{
    return ((uint8_t)input | ((uint8_t)name & 0x40u) >> 1) ^ (uint8_t)name;
}

/* Words from the front, then the last word, which may overlap them: nothing is read past the end. */
static int same_name(const char *input, const char *name, size_t length)
{
    uint64_t differ;

    if (length >= 8) {
        differ = differ_8(input, name) | differ_8(input + length - 8, name + length - 8);
        for (size_t i = 8; i + 8 < length; i += 8)
            differ |= differ_8(input + i, name + i);
        return !differ;
    }
    if (length >= 4)
        return !(differ_4(input, name) | differ_4(input + length - 4, name + length - 4));
    differ = 0;
    for (size_t i = 0; i < length; i++)
        differ |= differ_1(input[i], name[i]);
    return !differ;
}

uint32_t fs_field_find(const char *name, size_t length)
{
    uint32_t id;

    if (length == 0 || length > LONGEST)
        return FS_FIELD_UNKNOWN;
    id = FIELD_SLOTS[slot_of(name, length)];
    if (FIELDS[id].length != length || !same_name(name, FIELDS[id].name, length))
        return FS_FIELD_UNKNOWN;
    return id;
}
