/*
 * How many files this process may have open. The soft limit that most programs are born with (1024)
 * is a guard against select(2), which nothing here uses; the hard limit is what the administrator
 * means. Children get back what we were born with: they may use select.
 *
 * Source: getrlimit(2), RLIMIT_NOFILE; systemd, "File Descriptor Limits".
 */
#ifndef WALFERRY_LIB_IO_DESCRIPTORS_H
#define WALFERRY_LIB_IO_DESCRIPTORS_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Raises the soft limit to the hard one, as far as the kernel lets us, and answers the limit that
 * holds now. The first call of the process changes it, later ones only ask. Threads: any.
 */
uint64_t descriptors_raise(void);

/* Gives a child that was just started the limit that this process was born with. Threads: any. */
void descriptors_restore_for(pid_t child);

#endif
