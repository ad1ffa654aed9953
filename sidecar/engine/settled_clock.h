/*
 * The wall clock as ages need it: a jump forward makes nothing old before it has stood for a while.
 *
 * Retention compares timestamps of objects with the wall clock. Where that jumps forward (it was
 * wrong before, or is now), what was made a moment ago looks old, and would be deleted while another
 * writer still relies on it. So time goes on from where it was, by the clock of the boot time, until
 * the new wall clock has stood for as long as an object must be old. A jump back counts at once: it
 * makes everything younger.
 *
 * Pure. Threads: one at a time.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_SETTLED_CLOCK_H
#define WALFERRY_SIDECAR_ENGINE_SETTLED_CLOCK_H

#include <stdint.h>

struct settled_clock {
    int64_t offset_ns;      /* wall clock minus boot clock: what is believed */
    int64_t seen_ns;        /* the same: what was seen last */
    uint64_t seen_since_ns; /* boot clock */
};

/* What the clocks show now is believed. */
void settled_clock_init(struct settled_clock *c, uint64_t wall_ns, uint64_t boot_ns);

/*
 * The wall clock's time that is believed, at most wall_ns. settle_ns: how long a jump forward must have
 * stood. *out_unsettled_ns: so much of that is left; 0: nothing.
 */
uint64_t settled_clock_ns(struct settled_clock *c, uint64_t wall_ns, uint64_t boot_ns,
                          uint64_t settle_ns, uint64_t *out_unsettled_ns);

#endif
