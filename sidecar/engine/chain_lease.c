/*
 * A chain and the lease of its prefix (opt-in): it attaches when it has the lease, and sends nothing
 * once the lease may have been taken over. See bucket_lease.h.
 *
 *   ATTACHING  no lease: wait; it is ours: go on; it is another's: say whose
 *   REFUSED, FENCED  it is given up: another may go on
 *   FOLLOWING  run out, because the store was away: what is to be sent waits until it is renewed;
 *              another's: attach again, which waits for it, and judges what the other has written
 */
#include <stdio.h>

#include "sidecar/engine/bucket_lease.h"
#include "sidecar/engine/engine_internal.h"

static void state_tell(struct chain *c)
{
    char detail[256];
    const char *holder = bucket_lease_holder(c->lease);

    (void)snprintf(detail, sizeof(detail), "waiting for the lease of the prefix%s%s",
                   holder[0] ? ": " : "", holder);
    chain_set_state(c, CHAIN_ATTACHING, detail);
}

static void lost(struct chain *c)
{
    LOG_WARN(c->db->engine->log, "another writer has taken the lease over: attaching again",
             LOG_STR("db", c->db->path), LOG_STR("destination", c->name),
             LOG_STR("holder", bucket_lease_holder(c->lease)));
    c->conflicts_total++;
    level_abandon(c);
    attach_start(c);
}

static void lease_on_change(void *arg)
{
    struct chain *c = arg;
    struct engine *e = c->db->engine;
    bool is_held = bucket_lease_is_held(c->lease);

    if (is_held) {
        LOG_DEBUG(e->log, "lease is held", LOG_STR("db", c->db->path),
                  LOG_STR("destination", c->name));
        if (c->state == CHAIN_FOLLOWING && !c->out.failures)
            fault_end(e, &c->fault, "lease recovered", c->db->path, c->name);
        if (c->state == CHAIN_ATTACHING && !c->attach)
            attach_continue(c);
        else if (c->state == CHAIN_FOLLOWING && c->out.is_full && !c->is_put_under_way)
            loop_timer_start(&c->ship_timer, 0); /* it has waited for this */
        return;
    }
    if (c->state == CHAIN_ATTACHING && !c->attach)
        state_tell(c);
    else if (c->state == CHAIN_FOLLOWING && bucket_lease_holder(c->lease)[0])
        lost(c);
    engine_check_waits(e);
}

static void lease_on_fault(void *arg, const struct error *err)
{
    struct chain *c = arg;

    fault_note(c->db->engine, &c->fault, "lease cannot be had or renewed", c->db->path, c->name,
               err);
    engine_check_waits(c->db->engine);
}

bool chain_lease_take(struct chain *c)
{
    struct error err = ERROR_INIT;

    if (!c->opt.lease)
        return true;
    if (c->lease && bucket_lease_is_held(c->lease))
        return true;
    if (!c->lease) {
        const struct bucket_lease_args args = {.loop = c->db->engine->loop,
                                               .storage = c->storage,
                                               .owner = c->db->owner,
                                               .on_change = lease_on_change,
                                               .on_fault = lease_on_fault,
                                               .arg = c};
        if (bucket_lease_new(&args, &c->lease, &err) < 0) {
            c->lease = NULL;
            lease_on_fault(c, &err);
            loop_timer_start(&c->attach_timer, NS_PER_SEC);
            return false;
        }
    }
    state_tell(c);
    return false;
}

bool chain_lease_allows_put(struct chain *c)
{
    if (!c->opt.lease || (c->lease && bucket_lease_is_held(c->lease)))
        return true;
    if (!c->lease || bucket_lease_holder(c->lease)[0])
        lost(c);
    return false;
}

static void lease_on_end(void *arg)
{
    struct chain *c = arg;

    c->lease = NULL;
    c->is_lease_ending = false;
    if (c->state == CHAIN_ATTACHING && !c->attach)
        attach_continue(c); /* which asks for a new one */
    engine_check_waits(c->db->engine);
}

void chain_lease_end(struct chain *c)
{
    if (!c->lease || c->is_lease_ending)
        return;
    c->is_lease_ending = true;
    /* Whoever goes without an order leaves it to expire: a process that is killed cannot do better. */
    bool is_given_up = c->db->engine->is_stopping || c->state != CHAIN_STOPPED;
    bucket_lease_end(c->lease, is_given_up, lease_on_end, c);
}
