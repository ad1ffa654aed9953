/*
 * A chain: what one destination of one database has, lacks, and may do. Its states:
 *
 *   WAITING --database followed--> ATTACHING --lineage proven--> FOLLOWING
 *      ^                              |  ^                          |
 *      +------database lost-----------+  +---bucket moved on--------+
 *                                     |                             |
 *                              not proven: REFUSED      another writer: FENCED
 *
 * A slow or absent destination never holds up another: each chain has its own dirty set, map, TXIDs
 * and pace. While the store is away the set of dirty pages is all that grows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar/engine/engine_internal.h"

static const char *chain_state_text(enum chain_state state)
{
    static const char *const texts[] = {"waiting", "attaching", "following",
                                        "fenced",  "refused",   "stopped"};
    return texts[state];
}

int chain_init(struct chain *c, struct database *db, const struct destination_options *opt,
               size_t ordinal, struct error *err)
{
    struct loop *loop = db->engine->loop;

    c->db = db;
    c->opt = *opt;
    c->storage = opt->storage;
    c->ordinal = ordinal;
    c->map.fd = -1;
    c->out.blob.fd = -1;
    c->reply = (struct buf)BUF_INIT(1 << 16);
    c->upload_seconds = (struct metrics_histogram)METRICS_HISTOGRAM_INIT(&metrics_buckets_request);
    inventory_init(&c->inv);
    c->encode_task =
        (struct task){.work = encode_work, .done = ship_encoded, .urgency = TASK_URGENT};
    c->commit_task =
        (struct task){.work = commit_work, .done = ship_committed, .urgency = TASK_URGENT};
    c->difference_task =
        (struct task){.work = difference_work, .done = ship_differenced, .urgency = TASK_NORMAL};
    loop_timer_init(&c->ship_timer, loop, ship_on_timer, c);
    full_copy_init(c);
    expire_init(c);
    validate_init(c);
    attach_init(c);
    c->name = level_init(c, err) == 0 ? str_dup(opt->name, err) : NULL;
    c->map_path = c->name ? page_map_path(db->path, db->meta_path, c->name, err) : NULL;
    c->next_map_path = c->map_path ? str_printf(err, "%s.next", c->map_path) : NULL;
    c->opt.name = c->name;
    return c->next_map_path ? 0 : -1;
}

void chain_destroy(struct chain *c)
{
    full_copy_destroy(c);
    chain_forget_object(c);
    level_destroy(c);
    page_map_close(&c->map);
    page_set_destroy(&c->dirty);
    inventory_destroy(&c->inv);
    buf_destroy(&c->reply);
    storage_free(c->storage);
    free(c->name);
    free(c->map_path);
    free(c->recent);
    free(c->retention_error);
    free(c->state_detail);
    fault_destroy(&c->fault);
    free(c->next_map_path);
}

void chain_set_state(struct chain *c, enum chain_state state, const char *detail)
{
    struct engine *e = c->db->engine;

    text_keep(&c->state_detail, detail);
    if (c->state == state)
        return;
    LOG_DEBUG(e->log, "destination state", LOG_STR("db", c->db->path),
              LOG_STR("destination", c->name), LOG_STR("from", chain_state_text(c->state)),
              LOG_STR("to", chain_state_text(state)), LOG_STR("detail", detail));
    c->state = state;
    c->state_since_ns = env_monotonic_ns(e->env);
    engine_changed(e);
}

void chain_forget_object(struct chain *c)
{
    storage_upload_free(c->out.upload);
    blob_destroy(&c->out.blob);
    entry_list_destroy(&c->out.entries);
    page_set_destroy(&c->out.pages);
    c->out = (struct outgoing){.blob = BLOB_INIT};
}

void chain_take_back(struct chain *c)
{
    if (c->out.oldest_commit_ns)
        c->oldest_commit_ns = c->out.oldest_commit_ns;
    c->news_count += c->out.news_count;
    chain_forget_object(c);
}

void chain_start(struct chain *c)
{
    if (c->state == CHAIN_WAITING)
        attach_start(c);
}

/* Ends what is under way; the database side must be idle or about to be dropped. */
static void chain_cancel(struct chain *c)
{
    loop_timer_stop(&c->ship_timer);
    attach_cancel(c);
    full_copy_stop(c);
    level_stop(c);
    expire_stop(c);
    validate_stop(c);
    housekeep_stop(c);
    if (c->op)
        storage_cancel(c->op);
}

void chain_suspend(struct chain *c)
{
    if (c->state == CHAIN_STOPPED)
        return;
    chain_set_state(c, CHAIN_WAITING, "the database is not followed");
    chain_cancel(c);
    c->owed_txid = 0;
    c->oldest_commit_ns = 0;
    c->news_count = 0;
}

void chain_clear_needs(struct chain *c)
{
    c->is_tracking = false;
    c->needs_all = false;
    c->needs_difference = false;
    c->must_send_dirty = false;
    page_set_clear(&c->dirty);
}

void chain_stop(struct chain *c)
{
    chain_set_state(c, CHAIN_STOPPED, "stopping");
    chain_cancel(c);
    chain_lease_end(c);
}

bool chain_goes_on(struct chain *c)
{
    if (c->state == CHAIN_FOLLOWING)
        return true;
    engine_check_waits(c->db->engine); /* somebody may wait for this chain to come to rest */
    return false;
}

bool chain_is_quiet(const struct chain *c)
{
    return !c->op && !c->is_put_under_way && !c->is_resolving && !c->attach && !level_is_busy(c) &&
           !full_copy_is_busy(c) && !expire_is_busy(c) && !c->validation && !c->housekeep_op &&
           !c->lease && !task_is_pending(&c->encode_task) && !task_is_pending(&c->commit_task) &&
           !task_is_pending(&c->difference_task);
}

int chain_note(void *chain, uint32_t pgno, struct error *err)
{
    struct chain *c = chain;
    return page_set_add(&c->dirty, pgno, err);
}

/* Restores by other tools need a snapshot behind a change of the page size. */
static bool chain_owes_snapshot(const struct chain *c)
{
    const struct inventory_object *newest = inventory_newest(&c->inv, LTX_LEVEL_SNAPSHOT);
    return c->owed_txid > 0 && (!newest || newest->max_txid < c->owed_txid);
}

bool chain_has_unshipped(const struct chain *c)
{
    switch (c->state) {
    case CHAIN_FOLLOWING:
        return task_is_pending(&c->encode_task) || task_is_pending(&c->commit_task) ||
               task_is_pending(&c->difference_task) || c->copy || c->out.is_full ||
               c->out.oldest_commit_ns || c->out.news_count || c->oldest_commit_ns ||
               c->news_count || chain_owes_snapshot(c);
    case CHAIN_ATTACHING:
    case CHAIN_FENCED:
    case CHAIN_REFUSED:
        return true; /* not known to be there: that counts as not there */
    case CHAIN_WAITING:
    case CHAIN_STOPPED:
    default:
        return false;
    }
}

void chain_commit_noticed(struct chain *c)
{
    if (!c->oldest_commit_ns)
        c->oldest_commit_ns = env_monotonic_ns(c->db->engine->env);
    c->news_count++;
    if (c->state == CHAIN_FOLLOWING)
        chain_ship_soon(c);
}

void chain_hurry(struct chain *c)
{
    if (loop_timer_is_armed(&c->ship_timer))
        loop_timer_start(&c->ship_timer, 0);
    if (loop_timer_is_armed(&c->attach_timer))
        loop_timer_start(&c->attach_timer, 0);
}

/* Somebody waits for what is not shipped yet, or will not be here to ship it later. */
static bool is_in_a_hurry(const struct engine *e)
{
    return e->is_draining || e->is_stopping || e->waits;
}

/* How long sync-interval still asks us to wait. The first commit after a pause goes at once. */
static uint64_t wait_ns(const struct chain *c)
{
    const struct engine *e = c->db->engine;
    uint64_t since = env_monotonic_ns(e->env) - c->last_ship_ns;

    if (is_in_a_hurry(e) || !c->last_ship_ns || since >= c->opt.sync_interval_ns)
        return 0;
    return c->opt.sync_interval_ns - since;
}

void chain_ship_soon(struct chain *c)
{
    loop_assert_owner(c->db->engine->loop);
    /* While the encoding runs, the object is the task's: that is asked first. */
    if (c->state != CHAIN_FOLLOWING || task_is_pending(&c->encode_task) ||
        task_is_pending(&c->commit_task) || task_is_pending(&c->difference_task) || c->copy ||
        c->out.is_full || c->is_put_under_way || c->is_resolving || !database_is_following(c->db))
        return;
    if (c->opt.is_suspended && !is_in_a_hurry(c->db->engine))
        return;
    uint64_t delay = wait_ns(c);
    if (delay > 0) {
        if (!loop_timer_is_armed(&c->ship_timer))
            loop_timer_start(&c->ship_timer, delay);
        return;
    }
    loop_timer_stop(&c->ship_timer);
    if (!c->out.oldest_commit_ns) /* an encoding that failed has left its own there */
        c->out.oldest_commit_ns = c->oldest_commit_ns;
    c->out.news_count += c->news_count;
    c->oldest_commit_ns = 0;
    c->news_count = 0;
    level_reserve_pin(c);
    task_queue_push(&c->db->queue, &c->encode_task);
}

void chain_set_pace(struct chain *c, const struct destination_pace *pace)
{
    struct destination_options *o = &c->opt;
    bool is_resumed = o->is_suspended && !pace->is_suspended;
    bool was_validated = o->validation_interval_ns > 0;

    o->sync_interval_ns = pace->sync_interval_ns;
    o->snapshot_interval_ns = pace->snapshot_interval_ns;
    o->snapshot_retention_ns = pace->snapshot_retention_ns;
    o->l0_retention_ns = pace->l0_retention_ns;
    o->validation_interval_ns = pace->validation_interval_ns;
    o->is_retention_enabled = pace->is_retention_enabled;
    o->is_suspended = pace->is_suspended;
    storage_set_read_only(c->storage, pace->is_read_only);
    if (c->state != CHAIN_FOLLOWING)
        return;                      /* attaching begins with what is there then */
    loop_timer_stop(&c->ship_timer); /* it was armed for the old interval */
    if (was_validated || o->validation_interval_ns)
        validate_arm(c);
    if (is_resumed || chain_has_unshipped(c))
        chain_ship_soon(c);
}
