/*
 * One offset that is believed, and the one that was seen last, with the moment since when.
 */
#include "sidecar/engine/settled_clock.h"

#include <stdbool.h>

#include "lib/base/base.h"

/* Clocks that are read one after the other, and steered by the network, are apart by less. */
static const int64_t tolerance_ns = (int64_t)NS_PER_SEC;

static int64_t offset_of(uint64_t wall_ns, uint64_t boot_ns)
{
    return (int64_t)(wall_ns - boot_ns);
}

void settled_clock_init(struct settled_clock *c, uint64_t wall_ns, uint64_t boot_ns)
{
    int64_t offset_ns = offset_of(wall_ns, boot_ns);

    *c = (struct settled_clock){
        .offset_ns = offset_ns, .seen_ns = offset_ns, .seen_since_ns = boot_ns};
}

uint64_t settled_clock_ns(struct settled_clock *c, uint64_t wall_ns, uint64_t boot_ns,
                          uint64_t settle_ns, uint64_t *out_unsettled_ns)
{
    int64_t offset_ns = offset_of(wall_ns, boot_ns);
    bool has_jumped =
        offset_ns > c->seen_ns + tolerance_ns || offset_ns < c->seen_ns - tolerance_ns;

    if (has_jumped) {
        c->seen_ns = offset_ns;
        c->seen_since_ns = boot_ns;
    }
    uint64_t stood_ns = boot_ns - c->seen_since_ns;
    bool is_ahead = offset_ns > c->offset_ns + tolerance_ns;
    *out_unsettled_ns = is_ahead && stood_ns < settle_ns ? settle_ns - stood_ns : 0;
    if (*out_unsettled_ns == 0)
        c->offset_ns = offset_ns;
    return boot_ns + (uint64_t)c->offset_ns;
}
