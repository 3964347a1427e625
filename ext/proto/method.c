#include "method.h"

#include "error.h"
#include "head.h"

#include <string.h>

/* IANA's registry, in its order, without those that are not served. */
static const char *const REGISTERED[] = {
    "ACL", "BASELINE-CONTROL", "BIND", "CHECKIN", "CHECKOUT", "COPY", "DELETE", "GET", "HEAD", "LABEL", "LINK", "LOCK",
    "MERGE", "MKACTIVITY", "MKCALENDAR", "MKCOL", "MKREDIRECTREF", "MKWORKSPACE", "MOVE", "OPTIONS", "ORDERPATCH",
    "PATCH", "POST", "PROPFIND", "PROPPATCH", "PUT", "QUERY", "REBIND", "REPORT", "SEARCH", "TRACE", "UNBIND",
    "UNCHECKOUT", "UNLINK", "UNLOCK", "UPDATE", "UPDATEREDIRECTREF", "VERSION-CONTROL",
};

int fs_is_method(fs_slice method, const char *name)
{
    return method.n == strlen(name) && memcmp(method.p, name, method.n) == 0;
}

static int is_registered(fs_slice method)
{
    for (size_t i = 0; i < sizeof REGISTERED / sizeof *REGISTERED; i++)
        if (fs_is_method(method, REGISTERED[i]))
            return 1;
    return 0;
}

int fs_check_method(fs_slice method, const fs_limits *limits)
{
    if (!fs_is_token(method.p, method.n))
        return FS_E_BAD_METHOD;
    if (method.n > FS_METHOD_MAX || fs_is_method(method, "CONNECT") || fs_is_method(method, "PRI"))
        return FS_E_METHOD_UNKNOWN;
    return limits->methods == FS_METHODS_REGISTERED && !is_registered(method) ? FS_E_METHOD_UNKNOWN : FS_OK;
}
