/*
 * Validation: each validation-interval the prefix is listed and two questions are asked. Is the tip
 * that we know still there? Can it be reached by a restore? Lifecycle rules, other tools and lost
 * objects show here, while the database is still alive: the answer to a broken chain is a snapshot,
 * which makes everything from now on restorable again.
 */
#include <stdlib.h>

#include "sidecar/engine/engine_internal.h"
#include "sidecar/engine/retain.h"

struct validation {
    struct chain *c;
    struct inventory inv;
    struct storage_op *op;
    uint64_t tip_txid; /* acknowledged when the listing began */
    bool is_canceled;
};

static int listing_check(const struct validation *v, struct error *err)
{
    unsigned level = 0;
    const struct inventory_object *tip = inventory_tip(&v->inv, &level);

    if (v->tip_txid > 0 && (!tip || tip->max_txid < v->tip_txid)) {
        return error_set(err, ERR_GAP, 0,
                         "%s: the newest objects are missing (TXID %016llx was acknowledged)",
                         storage_url(v->c->storage), (unsigned long long)v->tip_txid);
    }
    return tip ? retain_check(&v->inv, err) : 0;
}

static void list_on_done(void *arg, const struct error *list_err)
{
    struct validation *v = arg;
    struct chain *c = v->c;
    struct engine *e = c->db->engine;
    struct error err = *list_err;

    c->validation = NULL;
    if (!v->is_canceled && err.code == ERR_NONE && listing_check(v, &err) < 0) {
        (void)error_hint(&err, "a snapshot is written now; look for lifecycle rules and other "
                               "tools that delete below the prefix");
        fault_note(e, &c->fault, "replica is not whole", c->db->path, c->name, &err);
        level_want(c, LTX_LEVEL_SNAPSHOT);
    } else if (!v->is_canceled && err.code != ERR_NONE) {
        fault_note(e, &c->fault, "validation", c->db->path, c->name, &err);
    }
    if (!v->is_canceled)
        validate_arm(c);
    inventory_destroy(&v->inv);
    free(v);
    engine_check_waits(e);
}

static void validate_on_timer(void *chain)
{
    struct chain *c = chain;
    struct error err = ERROR_INIT;

    if (c->state != CHAIN_FOLLOWING || c->validation)
        return;
    struct validation *v = mem_new(1, sizeof(*v), &err);
    if (!v) {
        validate_arm(c);
        return;
    }
    v->c = c;
    v->tip_txid = c->at.txid;
    inventory_init(&v->inv);
    c->validation = v;
    if (inventory_load_start(c->storage, &v->inv, false, list_on_done, v, &v->op, &err) < 0)
        list_on_done(v, &err);
}

void validate_init(struct chain *c)
{
    loop_timer_init(&c->validate_timer, c->db->engine->loop, validate_on_timer, c);
}

void validate_arm(struct chain *c)
{
    if (c->opt.validation_interval_ns)
        loop_timer_start(&c->validate_timer, c->opt.validation_interval_ns);
}

void validate_stop(struct chain *c)
{
    loop_timer_stop(&c->validate_timer);
    if (!c->validation)
        return;
    c->validation->is_canceled = true;
    if (c->validation->op)
        storage_cancel(c->validation->op);
}
