/*
 * Attaching: where does the bucket end, and may this database go on from there?
 *
 *   PROBE  once a process and bucket: does the store refuse to create twice?  (eight requests)
 *   LIST   the inventory of the prefix                                   (one listing)
 *   HEAD   header of the tip, TAIL its trailer                           (two small reads)
 *   JUDGE  facts from map, log and database; the verdict of lineage.h    (task)
 *   COMPARE  Litestream's tip, and no other proof: the newest state   (ranged reads of all that a
 *          of the replica, page by page                              restore would need)
 *   ASK    before a refusal: what do the other destinations know?        (reads), then JUDGE again
 *   COVER  heal, rewind, join: the objects, or page indexes, in between  (reads)
 *   APPLY  the map is healed, the dirty set filled                       (task)
 *
 * From JUDGE, COMPARE or APPLY on the chain tracks: what is noted goes into its dirty set. Nothing is
 * written to the bucket before the end. Any failure ends in a back-off and a new start from LIST;
 * a refusal stays until a person decides.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sidecar/engine/attach_internal.h"

static const uint64_t attach_retry_base_ns = 500 * NS_PER_MS;
static const uint64_t attach_retry_ceiling_ns = 30 * NS_PER_SEC;
static const uint64_t quiet_wait_ns = 5 * NS_PER_MS;

static void fetched_destroy(struct cover_result *r)
{
    for (size_t i = 0; i < r->blob_count; i++)
        blob_destroy(&r->blobs[i]);
    free(r->blobs);
    page_set_destroy(&r->pages);
    *r = (struct cover_result){.blobs = NULL};
}

static void attach_free(struct attach *a)
{
    bucket_turn_end(a->c);
    fetched_destroy(&a->fetched);
    attach_compare_free(a->compare);
    buf_destroy(&a->reply);
    free(a);
}

/* ---- ends ---- */

void attach_fail(struct attach *a, const char *what, const struct error *err)
{
    struct chain *c = a->c;
    struct engine *e = c->db->engine;
    uint64_t delay = attach_retry_base_ns;

    c->attach = NULL;
    if (!a->is_canceled) {
        fault_note(e, &c->fault, what, c->db->path, c->name, err);
        for (unsigned i = 0; i < c->attach_failures && delay < attach_retry_ceiling_ns; i++)
            delay *= 2;
        c->attach_failures++;
        loop_timer_start(&c->attach_timer, delay / 2 + env_random_below(e->env, delay / 2 + 1));
    }
    attach_free(a);
    attach_wake_siblings(c);
    engine_check_waits(e);
}

void attach_refuse(struct attach *a)
{
    struct chain *c = a->c;
    struct error why = ERROR_INIT;
    struct engine *e = c->db->engine;
    const char *hint =
        a->verdict == LINEAGE_STALE
            ? "stop the application and run walferry restore -roll-forward; in "
              "Kubernetes: delete the pod"
            : "restore the replica to another place (-o) and compare. If the database "
              "is right, start once with -adopt: it goes on from here, and what the "
              "replica has stays restorable. If the replica is, restore it. If both "
              "are, use another prefix";

    chain_set_state(c, CHAIN_REFUSED, a->reason);
    (void)error_set(&why, ERR_WRONG_STATE, 0, "%s", a->reason);
    (void)error_hint(&why, "%s", hint);
    fault_keep(e, &c->fault, &why);
    LOG_ERROR(e->log, "replication refused", LOG_STR("db", c->db->path),
              LOG_STR("destination", c->name), LOG_STR("url", storage_url(c->storage)),
              LOG_STR("verdict", lineage_verdict_name(a->verdict)), LOG_STR("reason", a->reason),
              LOG_STR("hint", hint));
    bool is_stale = a->verdict == LINEAGE_STALE;
    c->attach = NULL;
    attach_free(a);
    chain_lease_end(c);
    attach_wake_siblings(c);
    engine_check_waits(e);
    if (is_stale && e->opt.on_stale)
        e->opt.on_stale(e->opt.stale_arg, c->db->path);
}

static uint32_t next_epoch(const struct chain *c, const struct attach *a)
{
    uint32_t epoch = a->facts.has_tip ? a->facts.tip.epoch : 0;

    if (a->facts.has_map && a->facts.map.epoch > epoch)
        epoch = a->facts.map.epoch;
    for (size_t i = 0; i < c->inv.fenced_count; i++) {
        if (c->inv.fenced[i].epoch > epoch)
            epoch = c->inv.fenced[i].epoch;
    }
    return epoch + 1;
}

static void attach_succeed(struct attach *a)
{
    struct chain *c = a->c;
    struct engine *e = c->db->engine;

    c->epoch = next_epoch(c, a);
    c->owner = c->db->owner;
    c->has_accepted = false;
    c->attach_failures = 0;
    c->has_adopted = true;
    c->is_descendant = a->verdict != LINEAGE_NEW && !a->facts.adopt;
    c->proven_at = c->asked_at; /* the listing */
    c->timestamp_ms = a->facts.has_tip ? a->facts.tip.timestamp_ms : 0;
    c->acknowledged_txid = c->at.txid;
    c->attach = NULL;
    chain_set_state(c, CHAIN_FOLLOWING, a->reason);
    fault_end(e, &c->fault, "attaching recovered", c->db->path, c->name);
    LOG_INFO(e->log, "attached", LOG_STR("db", c->db->path), LOG_STR("destination", c->name),
             LOG_STR("url", storage_url(c->storage)),
             LOG_STR("verdict", lineage_verdict_name(a->verdict)), LOG_U64("txid", c->at.txid),
             LOG_U64("epoch", c->epoch), LOG_STR("reason", a->reason));
    attach_free(a);
    level_arm(c);
    expire_arm(c);
    validate_arm(c);
    c->news_count++; /* whatever the verdict found is shipped by the first encode */
    chain_ship_soon(c);
    attach_wake_siblings(c);
    engine_check_waits(e);
}

/* ---- JUDGE ---- */

void attach_judge_start(struct attach *a)
{
    task_queue_push(&a->c->db->queue, &a->c->attach_task);
}

/* ---- COVER ---- */

static void cover_on_done(void *arg, struct cover_result *result, const struct error *err)
{
    struct attach *a = arg;

    a->cover = NULL;
    if (err->code == ERR_NONE) {
        a->fetched = *result;
        *result = (struct cover_result){.blobs = NULL};
    } else if (err->code == ERR_CORRUPT || err->code == ERR_LIMIT || err->code == ERR_NOT_FOUND) {
        /* Damaged, or gone meanwhile: all pages make up for it. */
        a->verdict = LINEAGE_FULL;
    } else {
        attach_fail(a, "objects behind the page map", err);
        return;
    }
    a->is_applying = true;
    task_queue_push(&a->c->db->queue, &a->c->attach_task);
}

static void cover_begin(struct attach *a)
{
    struct chain *c = a->c;
    struct error err = ERROR_INIT;
    struct cover_args args = {
        .storage = c->storage,
        .inventory = &c->inv,
        .after_txid = a->facts.map.txid,
        .to_txid = a->facts.tip.txid,
        .kind = a->verdict == LINEAGE_HEAL ? COVER_OBJECTS : COVER_PAGES,
        .env = c->db->engine->env,
        .work_folder = c->db->work_folder,
    };

    if (a->verdict == LINEAGE_JOIN) { /* what lies between two states of the sibling */
        const struct chain *s = &c->db->chains[a->sibling_idx];
        bool is_rewound = a->joined_txid < a->equal_txid;
        args.storage = s->storage;
        args.inventory = &s->inv;
        args.after_txid = is_rewound ? a->joined_txid : a->equal_txid;
        args.to_txid = is_rewound ? a->equal_txid : a->joined_txid;
    }
    if (cover_start(&args, cover_on_done, a, &a->cover, &err) == 0)
        return;
    a->cover = NULL;
    if (err.code == ERR_NO_MEMORY) {
        attach_fail(a, "objects behind the page map", &err);
        return;
    }
    a->verdict = LINEAGE_FULL; /* what lies between is gone: all pages are sent once */
    a->is_applying = true;
    task_queue_push(&c->db->queue, &c->attach_task);
}

static bool needs_cover(const struct attach *a)
{
    return a->verdict == LINEAGE_HEAL || a->verdict == LINEAGE_REWIND ||
           (a->verdict == LINEAGE_JOIN && a->joined_txid != a->equal_txid);
}

static void attach_done(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, attach_task);
    struct attach *a = c->attach;

    if (!a)
        return;
    if (a->is_canceled || c->state != CHAIN_ATTACHING) {
        c->attach = NULL;
        attach_free(a);
        engine_check_waits(c->db->engine);
        return;
    }
    database_refresh(c->db);
    if (a->err.code == ERR_WRONG_STATE && c->db->follower) {
        struct error why = a->err;
        c->attach = NULL;
        attach_free(a);
        database_reopen(c->db, &why);
        return;
    }
    if (a->err.code != ERR_NONE)
        attach_fail(a, "attaching", &a->err);
    else if (a->verdict == LINEAGE_NEEDS_REPLICA)
        attach_compare_next(a);
    else if (lineage_is_refusal(a->verdict)) {
        if (!attach_ask_siblings(a))
            attach_refuse(a);
    } else if (!a->is_applying && needs_cover(a))
        cover_begin(a);
    else
        attach_succeed(a);
}

/* ---- start ---- */

static void attach_begin(void *chain)
{
    struct chain *c = chain;
    struct error err = ERROR_INIT;

    if (c->state != CHAIN_ATTACHING) {
        bucket_turn_end(c);
        return;
    }
    /* Requests and tasks of the chain's life before must be over: their answers would mix. */
    if (c->attach || c->op || c->is_put_under_way || c->copy || level_is_busy(c) ||
        expire_is_busy(c) || task_is_pending(&c->encode_task) ||
        task_is_pending(&c->difference_task) || task_is_pending(&c->commit_task) ||
        task_is_pending(&c->attach_task)) {
        loop_timer_start(&c->attach_timer, quiet_wait_ns);
        return;
    }
    if (!chain_lease_take(c)) {
        bucket_turn_end(c);
        return;
    }
    if (!bucket_turn_take(c)) {
        chain_set_state(c, CHAIN_ATTACHING, "waiting: other databases attach to this bucket");
        return;
    }
    chain_take_back(c);
    struct attach *a = mem_new(1, sizeof(*a), &err);
    if (!a) {
        fault_note(c->db->engine, &c->fault, "attaching", c->db->path, c->name, &err);
        bucket_turn_end(c);
        loop_timer_start(&c->attach_timer, attach_retry_base_ns);
        return;
    }
    a->c = c;
    a->reply = (struct buf)BUF_INIT(4096);
    a->facts.adopt = c->opt.adopt && !c->has_adopted;
    c->is_unproven = false;
    c->attach = a;
    chain_set_state(c, CHAIN_ATTACHING, "looking at the newest object of the bucket");
    attach_look_start(a);
}

void attach_init(struct chain *c)
{
    c->attach_task =
        (struct task){.work = attach_work, .done = attach_done, .urgency = TASK_NORMAL};
    loop_timer_init(&c->attach_timer, c->db->engine->loop, attach_begin, c);
}

void attach_start(struct chain *c)
{
    loop_timer_stop(&c->ship_timer);
    chain_set_state(c, CHAIN_ATTACHING, "looking at the newest object of the bucket");
    full_copy_stop(c);
    level_stop(c); /* what the levels know belongs to the position that is given up */
    expire_stop(c);
    loop_timer_start(&c->attach_timer, 0);
}

void attach_continue(struct chain *c)
{
    loop_timer_start(&c->attach_timer, 0);
}

void attach_cancel(struct chain *c)
{
    struct attach *a = c->attach;

    loop_timer_stop(&c->attach_timer);
    if (!a) {
        bucket_turn_end(c);
        return;
    }
    a->is_canceled = true;
    if (a->op) {
        storage_cancel(a->op); /* its done frees a */
    } else if (a->probe) {
        storage_probe_cancel(a->probe); /* likewise */
    } else if (a->cover || a->search) {
        cover_cancel(a->cover);
        sibling_search_cancel(a->search);
        c->attach = NULL;
        attach_free(a);
    } else if (!task_is_pending(&c->attach_task)) {
        c->attach = NULL;
        attach_free(a);
    }
}
