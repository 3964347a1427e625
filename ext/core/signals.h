#ifndef FS_CORE_SIGNALS_H
#define FS_CORE_SIGNALS_H

#include <errno.h>
#include <signal.h>

static void fs_signal_unheard(int number)
{
    (void)number;
}

/*
 * Makes a signal do nothing: system calls go on, no Python code runs, and a
 * started program still gets it, since a handler is not inherited as SIG_IGN
 * would be. The handler runs on the ordinary stack: Python's handlers use
 * faulthandler's, which five signals at a time overflow. 0 or -errno.
 */
static inline int fs_signal_unhear(int number)
{
    struct sigaction action = {.sa_handler = fs_signal_unheard, .sa_flags = SA_RESTART};

    sigfillset(&action.sa_mask);
    return sigaction(number, &action, NULL) < 0 ? -errno : 0;
}

#endif
