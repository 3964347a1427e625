#include "h1_input.h"

#include "h1_state.h"

#include <string.h>

enum {
    STORE_MIN = 512,   /* most heads fit */
    PULL_MIN = 1024,
    FIELDS_MIN = 16
};

struct fs_h1_store {
    fs_field *fields;  /* of an incomplete head, or NULL */
    uint32_t room;     /* of `fields` */
    size_t size, len;  /* of `bytes` */
    char bytes[];
};

static void *moved(const void *p, ptrdiff_t by)
{
    return p ? (char *)((uintptr_t)p + (uintptr_t)by) : NULL;
}

/* The run that holds `input` and `mark` has moved. */
static void rebase(fs_h1 *h1, ptrdiff_t by)
{
    h1->input = moved(h1->input, by);
    if (!h1->mark)
        return;
    h1->mark = moved(h1->mark, by);
    h1->target = moved(h1->target, by);
    h1->version = moved(h1->version, by);
    for (uint32_t i = 0; i < h1->nfields; i++) {
        h1->fields[i].name = moved(h1->fields[i].name, by);
        h1->fields[i].value = moved(h1->fields[i].value, by);
    }
}

/* Doubles, so that bytes and slices are moved a constant number of times each. */
static int reserve(fs_h1 *h1, size_t size)
{
    const fs_allocator *allocator = h1->shared->allocator;
    fs_h1_store *old = h1->store, *store;
    const uintptr_t before = old ? (uintptr_t)old->bytes : 0;
    const size_t had = old ? old->size : 0;
    size_t room = old ? had * 2 : STORE_MIN;

    if (old && size <= had)
        return FS_OK;
    if (room < size)
        room = size;
    if (!fs_budget_has(h1->shared->memory, room - had))
        room = size;
    if (fs_budget_take(h1->shared->memory, room - had) < 0)
        return FS_E_NO_ROOM;
    store = allocator->resize(allocator->ctx, old, sizeof *store + room);
    if (!store) {
        fs_budget_give(h1->shared->memory, room - had);
        return FS_E_NOMEM;
    }
    if (!old)
        *store = (fs_h1_store){.fields = NULL};
    store->size = room;
    h1->store = store;
    if (h1->flags & FS_H1_IN_STORE)
        rebase(h1, (ptrdiff_t)((uintptr_t)store->bytes - before));
    return FS_OK;
}

/* Moves the first n bytes of `more` to the end of the store, where `input` ends. */
static int append(fs_h1 *h1, size_t n)
{
    fs_h1_store *store;
    int result;

    if (!n)
        return FS_OK;
    result = reserve(h1, h1->store->len + n);
    if (result < 0)
        return result;
    store = h1->store;
    memcpy(store->bytes + store->len, h1->more, n);
    store->len += n;
    h1->input_len += n;
    h1->more += n;
    h1->more_len -= n;
    return FS_OK;
}

int fs_h1_pull(fs_h1 *h1)
{
    size_t n = h1->more_len;
    int result;

    if (!n)
        return 0;
    if (h1->mark) {
        const size_t most = h1->store->len > PULL_MIN ? h1->store->len : PULL_MIN;

        result = append(h1, n < most ? n : most);
        return result < 0 ? result : 1;
    }
    h1->input = h1->more;
    h1->input_len = n;
    h1->more_len = 0;
    h1->flags &= ~(uint32_t)FS_H1_IN_STORE;
    return 1;
}

/* Moves the live bytes to the front of the store. */
static int keep_run(fs_h1 *h1, char *start, size_t n)
{
    fs_h1_store *store = h1->store;
    int result;

    if (h1->flags & FS_H1_IN_STORE) {
        if ((size_t)(start - store->bytes) < n)
            return FS_OK; /* not worth it: at most one byte is moved for each that is dropped */
        memmove(store->bytes, start, n);
    } else {
        if (store)
            store->len = 0;
        result = reserve(h1, n);
        if (result < 0)
            return result;
        store = h1->store;
        memcpy(store->bytes, start, n);
        h1->flags |= FS_H1_IN_STORE;
    }
    store->len = n;
    rebase(h1, (ptrdiff_t)((uintptr_t)store->bytes - (uintptr_t)start));
    return FS_OK;
}

static int grow_fields(fs_h1 *h1, uint32_t most)
{
    const fs_allocator *allocator = h1->shared->allocator;
    fs_h1_store *store = h1->store;
    uint32_t room = h1->nfields * 2;
    fs_field *fields;

    if (h1->nfields < store->room)
        return FS_OK;
    room = room < FIELDS_MIN ? FIELDS_MIN : room;
    room = room > most ? most : room;
    fields = allocator->resize(allocator->ctx, store->fields, room * sizeof *fields);
    if (!fields)
        return FS_E_NOMEM;
    fs_budget_force(h1->shared->memory, (room - store->room) * sizeof *fields);
    store->fields = fields;
    store->room = room;
    return FS_OK;
}

/* All connections share the scratch array: fields of an incomplete head are moved out. */
static int keep_fields(fs_h1 *h1)
{
    if (h1->fields != h1->shared->scratch || !h1->nfields)
        return FS_OK;
    if (grow_fields(h1, h1->shared->limits->max_fields + 1) < 0)
        return FS_E_NOMEM;
    memcpy(h1->store->fields, h1->fields, h1->nfields * sizeof *h1->fields);
    h1->fields = h1->store->fields;
    return FS_OK;
}

int fs_h1_grow_fields(fs_h1 *h1)
{
    if (grow_fields(h1, h1->shared->limits->max_fields + 1) < 0)
        return FS_E_NOMEM;
    h1->fields = h1->store->fields;
    return FS_OK;
}

void fs_h1_store_free(fs_h1 *h1)
{
    const fs_allocator *allocator = h1->shared->allocator;
    fs_h1_store *store = h1->store;

    h1->fields = h1->shared->scratch;
    h1->nfields = 0;
    h1->mark = h1->input = h1->more = NULL;
    h1->input_len = h1->more_len = 0;
    h1->flags &= ~(uint32_t)FS_H1_IN_STORE;
    h1->store = NULL;
    if (!store)
        return;
    fs_budget_give(h1->shared->memory, store->size + store->room * sizeof *store->fields);
    if (store->fields)
        allocator->release(allocator->ctx, store->fields);
    allocator->release(allocator->ctx, store);
}

int fs_h1_settle(fs_h1 *h1)
{
    char *start = h1->mark ? h1->mark : h1->input;
    int result;

    if (!h1->mark && !fs_h1_unread(h1)) {
        if (h1->store)
            fs_h1_store_free(h1);
        return FS_OK;
    }
    result = keep_run(h1, start, (size_t)(h1->input + h1->input_len - start));
    if (result == FS_OK && h1->mark)
        result = keep_fields(h1);
    return result < 0 ? result : append(h1, h1->more_len);
}

int fs_h1_feed(fs_h1 *h1, char *p, size_t n)
{
    int result;

    if (h1->reading == FS_H1_READ_DISCARD || !n)
        return FS_OK;
    if (!h1->mark && !fs_h1_unread(h1)) {
        h1->input = p;
        h1->input_len = n;
        h1->flags &= ~(uint32_t)FS_H1_IN_STORE;
        return FS_OK;
    }
    if (!(h1->flags & FS_H1_IN_STORE) || h1->more_len) {
        result = fs_h1_settle(h1);
        if (result < 0)
            return result;
    }
    h1->more = p;
    h1->more_len = n;
    return FS_OK;
}
