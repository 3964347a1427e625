#include "list.h"

#include "match.h"

fs_slice fs_next_member(fs_slice *list)
{
    const char *comma = memchr(list->p, ',', list->n);
    fs_slice member = {list->p, comma ? (size_t)(comma - list->p) : list->n};
    const size_t taken = member.n + (comma != NULL);

    list->p += taken;
    list->n -= taken;
    while (member.n && fs_is_blank(member.p[0]))
        member.p++, member.n--;
    while (member.n && fs_is_blank(member.p[member.n - 1]))
        member.n--;
    return member;
}

int fs_list_has(const char *list, size_t n, const char *member)
{
    fs_slice rest = {list, n};

    while (rest.n) {
        const fs_slice each = fs_next_member(&rest);

        if (fs_same(each.p, each.n, member))
            return 1;
    }
    return 0;
}
