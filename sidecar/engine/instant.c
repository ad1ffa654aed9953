/*
 * Two clocks, and the larger difference.
 */
#include "sidecar/engine/instant.h"

struct instant instant_now(const struct env *env)
{
    return (struct instant){.boot_ns = env_boot_ns(env), .wall_ns = env_wall_ns(env)};
}

uint64_t instant_age_ns(const struct env *env, struct instant then)
{
    struct instant now = instant_now(env);
    uint64_t by_boot_ns = now.boot_ns - then.boot_ns;
    uint64_t by_wall_ns = now.wall_ns > then.wall_ns ? now.wall_ns - then.wall_ns : 0;

    return by_wall_ns > by_boot_ns ? by_wall_ns : by_boot_ns;
}
