/*
 * The real environment on a machine that is put to sleep on order: its clock of the boot time jumps,
 * its monotonic clock knows nothing of it, as after the suspend of a laptop or a virtual machine.
 *
 * Threads: any, once sleepy_env() was called.
 */
#ifndef WALFERRY_LIB_TESTING_SLEEPY_ENV_H
#define WALFERRY_LIB_TESTING_SLEEPY_ENV_H

#include "lib/base/base.h"

/* The environment; one for the process. */
const struct env *sleepy_env(void);

/* The machine has slept for so long. */
void sleepy_sleep(uint64_t ns);

#endif
