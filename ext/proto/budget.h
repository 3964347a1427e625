#ifndef FS_PROTO_BUDGET_H
#define FS_PROTO_BUDGET_H

#include "error.h"

#include <assert.h>
#include <stdint.h>

/*
 * What a worker holds for its clients at a time, and its limit. Whoever keeps
 * something first takes its bytes, as counted in memory and not on the wire, and
 * returns them when it lets go. A NULL budget is unlimited.
 */
typedef struct fs_budget {
    uint64_t used;
    uint64_t most;       /* 0: unlimited */
} fs_budget;

/* What the C library and Python add to a piece of memory: its header, rounding, references to it. */
enum { FS_BUDGET_OBJECT = 64 };

static inline int fs_budget_has(const fs_budget *budget, uint64_t n)
{
    return !budget || !budget->most || (budget->used < budget->most && n <= budget->most - budget->used);
}

/* More than half is used: what can do without memory gives way to what cannot. */
static inline int fs_budget_is_tight(const fs_budget *budget)
{
    return budget && budget->most && budget->used > budget->most / 2;
}

/* FS_OK, or FS_E_NO_ROOM with nothing taken. */
static inline int fs_budget_take(fs_budget *budget, uint64_t n)
{
    if (!fs_budget_has(budget, n))
        return FS_E_NO_ROOM;
    if (budget)
        budget->used += n;
    return FS_OK;
}

/* Takes bytes in any case: they are already here, for somebody who waits for them. */
static inline void fs_budget_force(fs_budget *budget, uint64_t n)
{
    if (budget)
        budget->used += n;
}

static inline void fs_budget_give(fs_budget *budget, uint64_t n)
{
    if (!budget)
        return;
    assert(n <= budget->used);
    budget->used -= n;
}

#endif
