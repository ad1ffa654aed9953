/*
 * A count of those inside, and a list of those who wait, in the order in which they came.
 *
 * 1. A visitor enters at once if there is room for his kind and nobody who could enter waits.
 * 2. When somebody leaves, a timer of 0 ns is armed: it lets in the first who may enter, and the
 *    next, as long as there is room. A large body that may not enter yet is passed over.
 *
 * Those let in may leave, enter again, or take others off the list while they are called.
 */
#include "lib/storage/s3/gate.h"

#include <stdlib.h>

struct s3_gate {
    struct loop *loop;
    unsigned inside;
    unsigned bulk_inside;
    struct s3_gate_visit *first, *last; /* who waits */
    struct loop_timer timer;            /* step 2 */
};

static bool has_room(const struct s3_gate *gate, bool is_bulk)
{
    return gate->inside < S3_GATE_PLACES && (!is_bulk || gate->bulk_inside < S3_GATE_BULK_PLACES);
}

static void visit_go_in(struct s3_gate_visit *visit)
{
    visit->is_inside = true;
    visit->gate->inside++;
    visit->gate->bulk_inside += visit->is_bulk;
}

static void wait_append(struct s3_gate *gate, struct s3_gate_visit *visit)
{
    visit->next = NULL;
    visit->prev = gate->last;
    if (gate->last)
        gate->last->next = visit;
    else
        gate->first = visit;
    gate->last = visit;
}

static void wait_remove(struct s3_gate *gate, struct s3_gate_visit *visit)
{
    if (visit->prev)
        visit->prev->next = visit->next;
    else
        gate->first = visit->next;
    if (visit->next)
        visit->next->prev = visit->prev;
    else
        gate->last = visit->prev;
    visit->prev = NULL;
    visit->next = NULL;
}

static struct s3_gate_visit *first_admissible(const struct s3_gate *gate)
{
    struct s3_gate_visit *visit = gate->first;

    if (gate->inside >= S3_GATE_PLACES)
        return NULL;
    while (visit && !has_room(gate, visit->is_bulk))
        visit = visit->next;
    return visit;
}

/* Step 2. */
static void on_timer(void *arg)
{
    struct s3_gate *gate = arg;
    struct s3_gate_visit *visit;

    while ((visit = first_admissible(gate))) {
        wait_remove(gate, visit);
        visit_go_in(visit);
        visit->fn(visit->arg);
    }
}

int s3_gate_new(struct loop *loop, struct s3_gate **out, struct error *err)
{
    struct s3_gate *gate = mem_new(1, sizeof(*gate), err);

    if (!gate)
        return -1;
    gate->loop = loop;
    loop_timer_init(&gate->timer, loop, on_timer, gate);
    *out = gate;
    return 0;
}

void s3_gate_free(struct s3_gate *gate)
{
    if (!gate)
        return;
    ASSERT(gate->inside == 0);
    ASSERT(!gate->first);
    loop_timer_stop(&gate->timer);
    free(gate);
}

/* Step 1. */
bool s3_gate_enter(struct s3_gate *gate, struct s3_gate_visit *visit, uint64_t bytes,
                   void (*fn)(void *arg), void *arg)
{
    loop_assert_owner(gate->loop);
    ASSERT(!visit->gate);
    *visit = (struct s3_gate_visit){
        .gate = gate, .is_bulk = bytes >= S3_GATE_BULK_BYTES, .fn = fn, .arg = arg};
    if (has_room(gate, visit->is_bulk) && !first_admissible(gate)) {
        visit_go_in(visit);
        return true;
    }
    wait_append(gate, visit);
    return false;
}

void s3_gate_leave(struct s3_gate_visit *visit)
{
    struct s3_gate *gate = visit->gate;

    if (!gate)
        return;
    visit->gate = NULL;
    if (!visit->is_inside) {
        wait_remove(gate, visit);
        return;
    }
    visit->is_inside = false;
    ASSERT(gate->inside > 0);
    gate->inside--;
    gate->bulk_inside -= visit->is_bulk;
    if (gate->first)
        loop_timer_start(&gate->timer, 0);
}
