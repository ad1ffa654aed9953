/*
 * Deleting what retention allows: decide on the inventory in memory; only if something is to be
 * deleted, list the prefix again (lifecycle rules or other tools may have been there), decide
 * again on what is really there, delete in batches, and count what could not be deleted.
 *
 * The inventory is of the chain; a listing replaces it, so it heals from whatever others did.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "sidecar/engine/engine_internal.h"
#include "sidecar/engine/retain.h"

static const uint64_t expire_interval_ns = 15 * NS_PER_SEC; /* between passes, when L0 age out */
static const uint64_t expire_retry_ns = NS_PER_MIN;         /* after a pass that failed */

struct expire {
    struct chain *c;
    struct storage_op *op;
    bool is_canceled;
    struct inventory inv; /* listed again */
    struct retain_plan plan;
    char (*key_space)[STORAGE_KEY_BYTES_MAX];
    const char **keys;
    uint64_t deleted;
    uint64_t failed;
};

static void expire_free(struct expire *x)
{
    inventory_destroy(&x->inv);
    retain_plan_destroy(&x->plan);
    free(x->key_space);
    free(x->keys);
    free(x);
}

/* A pass that went through, or one that did not: for status and log. */
static void expire_tell(const struct expire *x, const struct error *err)
{
    struct chain *c = x->c;
    struct engine *e = c->db->engine;

    if (err->code != ERR_NONE && err->code != ERR_CANCELED) {
        c->retention_errors_total++;
        LOG_WARN(e->log, "retention not enforced", LOG_STR("db", c->db->path),
                 LOG_STR("destination", c->name), LOG_ERR(err), LOG_HINT(err));
        return;
    }
    if (x->is_canceled)
        return;
    c->retention_at_ns = env_wall_ns(e->env);
    if (!x->deleted)
        return;
    LOG_DEBUG(e->log, "retention enforced", LOG_STR("db", c->db->path),
              LOG_STR("destination", c->name), LOG_U64("deleted", x->deleted),
              LOG_U64("floor_txid", x->plan.floor_txid));
}

static void expire_end(struct expire *x, const struct error *err)
{
    struct chain *c = x->c;
    struct engine *e = c->db->engine;
    bool is_error = err->code != ERR_NONE && err->code != ERR_CANCELED;

    c->expire = NULL;
    error_keep(&c->retention_error, err);
    engine_changed(e);
    expire_tell(x, err);
    if (c->state == CHAIN_FOLLOWING && !x->is_canceled) {
        if (is_error)
            loop_timer_start(&c->expire_timer, expire_retry_ns);
        else
            expire_arm(c);
    }
    expire_free(x);
    engine_check_waits(e);
}

/* *out_unsettled_ns: for so long a clock that jumped forward is not believed; 0: it is. */
static struct retain_policy policy_of(struct chain *c, uint64_t *out_unsettled_ns)
{
    const struct env *env = c->db->engine->env;
    uint64_t settle_ns =
        retain_number_kept_ns(c->opt.l0_retention_ns, c->opt.snapshot_retention_ns);

    return (struct retain_policy){
        .now_ns = settled_clock_ns(&c->age_clock, env_wall_ns(env), env_boot_ns(env), settle_ns,
                                   out_unsettled_ns),
        .snapshot_retention_ns = c->opt.snapshot_retention_ns,
        .l0_retention_ns = c->opt.l0_retention_ns,
    };
}

/* ---- deleting ---- */

static size_t victim_total(const struct retain_plan *p)
{
    return p->victim_count + p->fenced_count;
}

/* Keys are those of the levels' victims, then those of fenced ones. */
static void key_deleted(void *arg, size_t key_idx, const struct error *err)
{
    struct expire *x = arg;

    if (err->code != ERR_NONE) {
        x->failed++;
        return;
    }
    x->deleted++;
    if (key_idx >= x->plan.victim_count) {
        const struct inventory_fenced *f = &x->plan.fenced[key_idx - x->plan.victim_count];
        (void)inventory_remove_fenced(&x->c->inv, f->epoch, f->owner, f->min_txid,
                                      f->max_txid); /* false: as below */
        return;
    }
    const struct retain_victim *v = &x->plan.victims[key_idx];
    x->c->level_total[v->level].deleted++;
    (void)inventory_remove(&x->c->inv, v->level, v->object.min_txid, v->object.max_txid,
                           v->object.layout); /* false: the listing knew it, we did not */
}

static void delete_on_done(void *arg, const struct storage_result *result)
{
    struct expire *x = arg;
    struct error err = *result->err;

    x->op = NULL;
    if (err.code != ERR_NONE && x->failed) {
        (void)error_wrap(&err, "%" PRIu64 " of %zu objects not deleted", x->failed,
                         victim_total(&x->plan));
    }
    expire_end(x, &err);
}

static int delete_start(struct expire *x, struct error *err)
{
    size_t n = victim_total(&x->plan);

    x->key_space = mem_new(n, sizeof(*x->key_space), err);
    x->keys = x->key_space ? mem_new(n, sizeof(*x->keys), err) : NULL;
    if (!x->keys)
        return -1;
    for (size_t i = 0; i < x->plan.victim_count; i++) {
        x->keys[i] = inventory_object_key(x->plan.victims[i].level, &x->plan.victims[i].object,
                                          x->key_space[i]);
    }
    for (size_t i = 0; i < x->plan.fenced_count; i++) {
        const struct inventory_fenced *f = &x->plan.fenced[i];
        size_t at = x->plan.victim_count + i;
        x->keys[at] = object_name_format_fenced(f->epoch, f->owner, f->min_txid, f->max_txid,
                                                x->key_space[at]);
    }
    const struct storage_delete args = {.keys = x->keys, .key_count = n, .on_key = key_deleted};
    return storage_delete_start(x->c->storage, &args, delete_on_done, x, &x->op, err);
}

/* ---- listing again ---- */

static void list_on_done(void *arg, const struct error *list_err)
{
    struct expire *x = arg;
    struct error err = *list_err;
    uint64_t unsettled_ns;
    struct retain_policy policy = policy_of(x->c, &unsettled_ns);

    x->op = NULL;
    if (err.code == ERR_NONE && x->is_canceled)
        (void)error_set(&err, ERR_CANCELED, 0, "stopped");
    if (err.code != ERR_NONE || retain_decide(&x->inv, &policy, &x->plan, &err) < 0 ||
        victim_total(&x->plan) == 0 || delete_start(x, &err) < 0)
        expire_end(x, &err);
}

void expire_start(struct chain *c)
{
    struct error err = ERROR_INIT;
    uint64_t unsettled_ns;
    struct retain_policy policy = policy_of(c, &unsettled_ns);
    struct retain_plan plan = {.victims = NULL};

    if (c->expire || c->state != CHAIN_FOLLOWING || !c->opt.is_retention_enabled)
        return;
    if (retain_decide(&c->inv, &policy, &plan, &err) == 0 && victim_total(&plan) == 0) {
        retain_plan_destroy(&plan);
        c->retention_at_ns = env_wall_ns(c->db->engine->env);
        free(TAKE(c->retention_error)); /* what could not be deleted is gone all the same */
        expire_arm(c);
        return;
    }
    retain_plan_destroy(&plan); /* decided again on what is really there */
    struct expire *x = mem_new(1, sizeof(*x), &err);
    if (!x) {
        expire_arm(c);
        return;
    }
    x->c = c;
    inventory_init(&x->inv);
    c->expire = x;
    if (inventory_load_start(c->storage, &x->inv, false, list_on_done, x, &x->op, &err) < 0)
        expire_end(x, &err);
}

static void expire_on_timer(void *chain)
{
    expire_start(chain);
}

void expire_init(struct chain *c)
{
    const struct env *env = c->db->engine->env;

    loop_timer_init(&c->expire_timer, c->db->engine->loop, expire_on_timer, c);
    settled_clock_init(&c->age_clock, env_wall_ns(env), env_boot_ns(env));
}

/* Wakes up when time alone makes something deletable. What is old already waits for a compaction to
 * cover it, which starts a pass itself. So a chain that is idle for long has no timer. */
void expire_arm(struct chain *c)
{
    uint64_t unsettled_ns;
    struct retain_policy policy = policy_of(c, &unsettled_ns);

    if (!c->opt.is_retention_enabled)
        return;
    uint64_t due = retain_next_due(&c->inv, &policy);
    if (due == UINT64_MAX)
        return;
    uint64_t delay = due - policy.now_ns;
    if (unsettled_ns > 0 && unsettled_ns < delay)
        delay = unsettled_ns;
    loop_timer_start(&c->expire_timer, delay > expire_interval_ns ? delay : expire_interval_ns);
}

void expire_stop(struct chain *c)
{
    loop_timer_stop(&c->expire_timer);
    if (!c->expire)
        return;
    c->expire->is_canceled = true;
    if (c->expire->op)
        storage_cancel(c->expire->op);
}

bool expire_is_busy(const struct chain *c)
{
    return c->expire != NULL;
}
