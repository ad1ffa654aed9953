/* A copy of the real environment with a clock of its own. */
#include "lib/testing/sleepy_env.h"

#include <stdatomic.h>

static _Atomic uint64_t slept_ns;

static uint64_t boot_ns(void *ctx UNUSED)
{
    return env_boot_ns(env_real()) + atomic_load(&slept_ns);
}

const struct env *sleepy_env(void)
{
    static struct env env;

    if (!env.clock.boot_ns) {
        env = *env_real();
        env.clock.boot_ns = boot_ns;
    }
    return &env;
}

void sleepy_sleep(uint64_t ns)
{
    (void)atomic_fetch_add(&slept_ns, ns); /* what it was does not matter */
}
