/*
 * How long ago something was, by whatever clock says more: for proofs that expire.
 *
 * The monotonic clock stands while the machine sleeps. The boot clock counts that, but stands too where
 * the machine is a virtual one and its host stops it or sleeps. Then the wall clock, which somebody sets
 * right afterwards, is the only one that tells. A wall clock that is set forward for another reason makes
 * things look older than they are, which costs whoever asks another look; set back it says nothing.
 *
 * Threads: any.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_INSTANT_H
#define WALFERRY_SIDECAR_ENGINE_INSTANT_H

#include <stdint.h>

#include "lib/base/base.h"

struct instant {
    uint64_t boot_ns;
    uint64_t wall_ns;
};

/* Now, by both clocks. */
struct instant instant_now(const struct env *env);

/* At least so much time has passed since then. */
uint64_t instant_age_ns(const struct env *env, struct instant then);

#endif
