/*
 * One destination: list, plan, fetch, prove, install.
 *
 *   1. List, and make the plan. Nothing at all ends it here; so does a dry run.
 *   2. Fetch and write (fetch.h). When an object has vanished meanwhile (retention, compaction), it
 *      begins again at 1 without it: objects that a listing names and a GET does not find are left
 *      out, so a plan that needs them becomes ERR_GAP.
 *   3. Roll forward: the pages that no object had come from the base.
 *   4. Prove: every page is there, the database checksum, SQLite's check if asked for.
 *   5. fsync, swap, page map.
 */
#include <stdlib.h>
#include <string.h>

#include "sidecar/restore/fetch.h"
#include "sidecar/restore/integrity.h"
#include "sidecar/restore/restore_internal.h"
#include "sidecar/restore/verify_state.h"

struct attempt {
    struct restore *r;
    size_t destination_idx;
    struct storage *storage;
    const struct base *base;
    struct inventory inventory;
    struct plan_object vanished[RESTORE_REPLANS_MAX];
    size_t vanished_count;
    struct restore_plan plan;
    char *map_path;
    struct output output;
    struct fetch_result fetched;
    /* What replication will find at the restored TXID. */
    struct ltx_header identity;
    struct ltx_trailer identity_trailer;
    bool is_local; /* the error is ours, not the destination's */
};

static void attempt_destroy(struct attempt *a)
{
    output_destroy(&a->output);
    restore_plan_destroy(&a->plan);
    inventory_destroy(&a->inventory);
    free(a->map_path);
}

/* ---- step 1 ---- */

/* ERR_* for a replica that has something, but nothing that LTX could restore; 0: it is empty. */
static int empty_explain(const struct inventory *inv, struct error *err)
{
    if (inv->has_generations) {
        (void)error_set(err, ERR_UNSUPPORTED, 0,
                        "holds a backup of Litestream 0.3, and none of 0.5 or walferry");
        return error_hint(err, "restore it with Litestream 0.3 or 0.5");
    }
    if (inv->fenced_count > 0) {
        return error_set(err, ERR_GAP, 0,
                         "holds only what fenced writers left (%zu objects): the backup itself is "
                         "gone",
                         inv->fenced_count);
    }
    return 0;
}

static int plan_make(struct attempt *a, struct error *err)
{
    const struct restore_options *options = a->r->options;

    for (size_t i = 0; i < a->vanished_count; i++) {
        const struct plan_object *v = &a->vanished[i];
        /* false: the listing does not name it any more */
        if (v->is_fenced) {
            (void)inventory_remove_fenced(&a->inventory, v->fenced.epoch, v->fenced.owner,
                                          v->object.min_txid, v->object.max_txid);
        } else {
            (void)inventory_remove(&a->inventory, v->level, v->object.min_txid, v->object.max_txid,
                                   v->object.layout);
        }
    }
    restore_plan_destroy(&a->plan);
    if (options->is_fenced)
        return restore_plan_make_fenced(&a->inventory, &options->fenced, &a->plan, err);
    if (a->vanished_count > 0 && inventory_object_count(&a->inventory) == 0)
        return error_set(err, ERR_UNAVAILABLE, 0, "every listed object is missing");
    return restore_plan_make(&a->inventory, &options->target, a->base ? a->base->map.state.txid : 0,
                             &a->plan, err);
}

/* ---- step 2 ---- */

static void on_fetched(void *arg, uint64_t bytes)
{
    struct attempt *a = arg;
    struct restore *r = a->r;

    r->progress.bytes_done = bytes;
    r->progress.pages_done = a->output.pages_done;
    r->progress.page_count = a->output.page_size ? a->output.page_count : 0;
    restore_report(r);
}

static int objects_fetch(struct attempt *a, struct error *err)
{
    const struct restore_args *args = a->r->args;
    const struct restore_options *options = args->options;
    const struct fetch_args fetch = {
        .loop = args->loop,
        .storage = a->storage,
        .plan = &a->plan,
        .output = &a->output,
        .parallelism =
            options->parallelism ? options->parallelism : (unsigned)RESTORE_PARALLELISM_DEFAULT,
        .unit_bytes = options->unit_bytes ? options->unit_bytes : (uint64_t)RESTORE_UNIT_BYTES,
        .is_canceled = options->is_canceled,
        .on_progress = on_fetched,
        .arg = a,
    };

    a->r->progress.bytes_total = a->plan.bytes;
    restore_set_phase(a->r, RESTORE_PHASE_FETCHING);
    output_destroy(&a->output);
    if (output_init(&a->output, &a->r->guard, a->map_path, err) < 0) {
        a->is_local = true;
        return -1;
    }
    int rc = fetch_run(&fetch, &a->fetched, err);
    a->is_local = rc < 0 && a->fetched.is_local;
    return rc;
}

/* Remembers the object that was not there. */
static void vanished_note(struct attempt *a, const struct error *err)
{
    const struct plan_object *v = &a->plan.objects[a->fetched.vanished_idx];
    char key[STORAGE_KEY_BYTES_MAX];

    if (err->code == ERR_NOT_FOUND && a->vanished_count < RESTORE_REPLANS_MAX)
        a->vanished[a->vanished_count++] = *v;
    LOG_INFO(a->r->args->log, "object vanished, planning again",
             LOG_STR("destination", storage_url(a->storage)),
             LOG_STR("object", restore_plan_object_key(v, key)), LOG_ERR(err));
}

/* Steps 1 and 2. *out_is_empty: nothing was fetched, there is nothing. */
static int plan_and_fetch(struct attempt *a, bool *out_is_empty, struct error *err)
{
    struct restore *r = a->r;

    *out_is_empty = false;
    for (unsigned tries = 0;; tries++) {
        if (restore_list(r, a->destination_idx, &a->inventory, err) < 0)
            return -1;
        bool has_fenced = r->options->is_fenced && a->inventory.fenced_count > 0;
        if (inventory_object_count(&a->inventory) == 0 && !has_fenced) {
            *out_is_empty = true;
            return empty_explain(&a->inventory, err);
        }
        if (plan_make(a, err) < 0)
            return -1;
        if (r->options->dry_run || a->plan.object_count == 0)
            return 0;
        if (objects_fetch(a, err) == 0)
            return 0;
        if (!a->fetched.is_vanished)
            return -1;
        if (tries == RESTORE_REPLANS_MAX) {
            if (err->code == ERR_NOT_FOUND)
                err->code = ERR_UNAVAILABLE; /* "not found" is kept for "no backup" */
            return error_wrap(err, "after %u plans", tries + 1);
        }
        vanished_note(a, err);
        error_clear(err);
    }
}

/* ---- steps 3 and 4 ---- */

static int base_copy_step(void *arg, struct error *err)
{
    struct attempt *a = arg;
    return base_copy(a->base, &a->output, err);
}

static int integrity_step(void *arg, struct error *err)
{
    struct attempt *a = arg;
    const struct restore_options *options = a->r->options;

    return integrity_check(a->output.temp_path, options->integrity, options->is_canceled, err);
}

static int state_prove(struct attempt *a, struct error *err)
{
    struct restore *r = a->r;
    struct output *o = &a->output;
    struct loop *loop = r->args->loop;

    restore_set_phase(r, RESTORE_PHASE_VERIFYING);
    if (a->base && a->base->map.state.page_size == o->page_size && !output_is_full(o) &&
        restore_step(loop, base_copy_step, a, err) < 0)
        return -1;
    if (output_check_complete(o, err) < 0)
        return -1;
    if (verify_state_checksum(o, &a->fetched.tip, &a->fetched.tip_trailer,
                              &r->result.is_checksum_recorded, err) < 0) {
        if (a->base)
            err->code = ERR_WRONG_STATE; /* every object was proven: the base is another history */
        return -1;
    }
    if (a->base && !r->result.is_checksum_recorded) {
        return error_set(err, ERR_WRONG_STATE, 0,
                         "the newest object has no checksum of the database, so nothing proves "
                         "that it continues the one that is there");
    }
    return restore_step(loop, integrity_step, a, err);
}

/* ---- step 5 ---- */

/*
 * Which object will replication find at this TXID? That of the lowest level, which need not be the
 * one that was restored: their file checksums differ. One that vanishes now is passed over.
 */
static int identity_find(struct attempt *a, struct error *err)
{
    const struct plan_object *last = &a->plan.objects[a->plan.object_count - 1];
    uint64_t txid = a->plan.txid;

    a->identity = a->fetched.tip;
    a->identity_trailer = a->fetched.tip_trailer;
    for (unsigned level = 0; level < last->level; level++) {
        size_t i = inventory_lower_bound(&a->inventory, level, txid);
        const struct inventory_level *l = &a->inventory.level[level];
        if (i == l->object_count || l->object[i].max_txid != txid)
            continue;
        if (restore_object_ends(a->storage, level, &l->object[i], &a->identity,
                                &a->identity_trailer, err) == 0)
            return 0;
        if (err->code != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
    }
    return 0;
}

static int sync_step(void *arg, struct error *err)
{
    struct attempt *a = arg;
    return output_sync(&a->output, err);
}

static int swap_step(void *arg, struct error *err)
{
    struct attempt *a = arg;

    if (output_swap(&a->output, err) < 0)
        return -1;
    if (!a->map_path)
        return 0;
    return verify_state_publish(&a->output, &a->identity, &a->identity_trailer, a->plan.tip_txid,
                                err);
}

static int state_install(struct attempt *a, struct error *err)
{
    struct loop *loop = a->r->args->loop;

    restore_set_phase(a->r, RESTORE_PHASE_SYNCING);
    if (a->map_path && identity_find(a, err) < 0)
        return -1;
    a->is_local = true;
    if (restore_step(loop, sync_step, a, err) < 0)
        return -1;
    if (restore_is_canceled(a->r))
        return error_set(err, ERR_CANCELED, 0, "canceled");
    return restore_step(loop, swap_step, a, err);
}

/* ---- the attempt ---- */

static void result_fill(struct attempt *a, enum restore_outcome outcome)
{
    struct restore_result *out = &a->r->result;

    out->outcome = outcome;
    out->destination_idx = a->destination_idx;
    out->txid = a->plan.txid;
    out->timestamp_ns = a->plan.timestamp_ns;
    out->is_rewind = a->plan.txid < a->plan.tip_txid;
    if (outcome == RESTORE_DONE) {
        out->timestamp_ns = ltx_header_time_ns(&a->fetched.tip);
        out->page_size = a->output.page_size;
        out->page_count = a->output.page_count;
        out->bytes = a->fetched.bytes;
        out->db_checksum = a->output.db_checksum;
        out->has_page_map = a->map_path != NULL;
        out->was_rolled_forward = a->base != NULL;
    }
    out->plan = a->plan;
    a->plan = (struct restore_plan){0};
}

static int attempt_run(struct attempt *a, bool *out_is_empty, struct error *err)
{
    const struct restore_options *options = a->r->options;
    bool is_source = a->r->args->destinations[a->destination_idx].is_read_only;

    if (options->want_page_map && !options->is_fenced && !(is_source && restore_has_own(a->r))) {
        a->map_path = page_map_path(a->r->guard.path, options->meta_path,
                                    a->r->args->destinations[a->destination_idx].name, err);
        if (!a->map_path) {
            a->is_local = true;
            return -1;
        }
    }
    if (plan_and_fetch(a, out_is_empty, err) < 0 || *out_is_empty)
        return *out_is_empty && err->code == ERR_NONE ? 0 : -1;
    if (options->dry_run) {
        result_fill(a, RESTORE_PLANNED);
        return 0;
    }
    if (a->plan.object_count == 0) {
        result_fill(a, RESTORE_UP_TO_DATE);
        return 0;
    }
    if (state_prove(a, err) < 0 || state_install(a, err) < 0)
        return -1;
    result_fill(a, RESTORE_DONE);
    return 0;
}

enum attempt_outcome restore_attempt(struct restore *r, size_t destination_idx,
                                     const struct base *base, struct error *err)
{
    CLEANUP(attempt_destroy)
    struct attempt a = {
        .r = r,
        .destination_idx = destination_idx,
        .storage = r->args->destinations[destination_idx].storage,
        .base = base,
        .output = {.fd = -1, .map = PAGE_MAP_INIT},
    };
    bool is_empty = false;

    inventory_init(&a.inventory);
    if (attempt_run(&a, &is_empty, err) < 0) {
        if (!a.is_local)
            (void)error_wrap(err, "%s", storage_url(a.storage));
        return a.is_local || err->code == ERR_CANCELED || err->code == ERR_NO_MEMORY
                   ? ATTEMPT_IMPOSSIBLE
                   : ATTEMPT_FAILED;
    }
    return is_empty ? ATTEMPT_EMPTY : ATTEMPT_DONE;
}
