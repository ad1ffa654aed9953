/*
 * Restores with the real restore, in a calm process: the world stands still, nothing fails. So what
 * comes out is what lies in the store at that moment, and the model knows whether it may.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/inventory.h"
#include "lib/testing/memory_files.h"
#include "lib/testing/test.h"
#include "sidecar/restore/restore.h"
#include "sidecar/sim/sim_internal.h"

int judge_file(struct play *play, const char *path)
{
    size_t n = 0;
    uint8_t *bytes = memory_files_read(path, &n);
    int commit = model_find(&play->model, model_hash(bytes, n));

    free(bytes);
    return commit;
}

static int restore(struct play *play, unsigned store, struct restore_target target,
                   const char *output, struct restore_result *result, struct error *err)
{
    play->judge->own_ns = 0; /* the judge's time is the world's again */
    struct sim_process *before = sim_enter(play->judge);
    struct storage *st = sim_storage_new(&play->stores[store], play->judge);
    const struct restore_destination from = {.storage = st, .name = "judge"};
    const struct restore_options options = {.output = output, .target = target, .force = true};
    const struct restore_args args = {.loop = play->judge->loop,
                                      .env = &play->judge->env,
                                      .log = &play->log,
                                      .destinations = &from,
                                      .destination_count = 1,
                                      .options = &options};
    int rc = restore_run(&args, result, err);

    storage_free(st);
    sim_leave(&play->sim, before);
    play->restores++;
    return rc;
}

/* What lies in a store, as anybody would list it. */
static void list(struct play *play, unsigned store, struct inventory *out)
{
    struct error err = ERROR_INIT;
    struct sim_process *before = sim_enter(play->judge);
    struct storage *st = sim_storage_new(&play->stores[store], play->judge);

    inventory_init(out);
    assert_ok(inventory_load_wait(st, out, true, &err), &err);
    storage_free(st);
    sim_leave(&play->sim, before);
}

/*
 * A commit whose flush failed was rolled back for its application, and yet lies in the log, whole.
 * If the application is gone and walferry opens the database anew, SQLite recovers it: nobody has
 * seen that yet.
 */
static int look_again(struct play *play, const char *path)
{
    for (unsigned i = 0; i < play->config.pod_count; i++)
        application_look(&play->pods[i]);
    return judge_file(play, path);
}

/* Restores and recognises the state; fails if there is none or it was never committed. */
static int state_of(struct play *play, unsigned store, struct restore_target target,
                    const char *what, uint64_t *out_txid)
{
    struct restore_result result = {.outcome = RESTORE_FAILED};
    struct error err = ERROR_INIT;
    char output[300];

    (void)snprintf(output, sizeof(output), "%s/restored", play->judge_disk.folder);
    if (restore(play, store, target, output, &result, &err) < 0) {
        play_broken(play, "store %u: %s does not restore: %s", store, what, err.text);
        restore_result_destroy(&result);
        *out_txid = 0;
        return NOBODY; /* an error, in plain sight */
    }
    int commit = judge_file(play, output);
    if (commit == NOBODY)
        commit = look_again(play, output);
    if (commit == NOBODY) {
        play_fail(play, "store %u: %s (TXID %" PRIu64 ") is a state that was never committed",
                  store, what, result.txid);
    }
    struct boundary *b = model_boundary(&play->model.floors[store], result.txid);
    if (b->commit != NOBODY && b->commit != commit) {
        play_broken(play, "store %u: TXID %" PRIu64 " was commit %d and is commit %d", store,
                    result.txid, b->commit, commit);
    }
    b->commit = commit;
    *out_txid = result.txid;
    restore_result_destroy(&result);
    return commit;
}

/* ---- the newest ---- */

static bool is_empty(const struct sim_store *st)
{
    for (size_t i = 0; i < st->count; i++) {
        if (strstr(st->objects[i].key, ".ltx") && !strstr(st->objects[i].key, "fenced/"))
            return false;
    }
    return true;
}

void judge_newest(struct play *play, unsigned store)
{
    const struct floor *f = &play->model.floors[store];
    uint64_t txid = 0;

    if (is_empty(&play->stores[store])) {
        if (f->commit != NOBODY) {
            play_broken(play, "store %u is empty, and commit %d was acknowledged", store,
                        f->commit);
        }
        return;
    }
    const struct restore_target latest = {.kind = RESTORE_LATEST};
    int commit = state_of(play, store, latest, "the newest state", &txid);
    sim_trace(&play->sim, "judge: store %u is at TXID %" PRIu64 ", commit %d", store, txid, commit);
    if (model_may_be(&play->model, f, commit))
        return;
    play_broken(play, "store %u: the newest state is commit %d, and commit %d was acknowledged",
                store, commit, f->commit);
}

void judge_is(struct play *play, unsigned store, int commit)
{
    const struct restore_target latest = {.kind = RESTORE_LATEST};
    uint64_t txid = 0;
    int got = state_of(play, store, latest, "the newest state", &txid);

    if (got != commit) {
        play_fail(play, "store %u: the newest state is commit %d, and the database is at %d", store,
                  got, commit);
    }
}

/* ---- the past ---- */

/* The oldest TXID that must restore: the end of the oldest object from the beginning. */
static uint64_t oldest_of(const struct inventory *inv)
{
    uint64_t oldest = UINT64_MAX;

    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        for (size_t i = 0; i < inv->level[level].object_count; i++) {
            const struct inventory_object *o = &inv->level[level].object[i];
            if (o->min_txid == 1 && o->max_txid < oldest)
                oldest = o->max_txid;
        }
    }
    return oldest;
}

static void txid_judge(struct play *play, unsigned store, uint64_t txid)
{
    uint64_t got = 0;
    char what[40];
    const struct restore_target target = {.kind = RESTORE_TXID, .txid = txid};

    (void)snprintf(what, sizeof(what), "TXID %" PRIu64, txid);
    (void)state_of(play, store, target, what, &got); /* what it must be was checked there */
    if (got != txid)
        play_broken(play, "store %u: asked for %s, got TXID %" PRIu64, store, what, got);
}

/* Calls fn for the k-th boundary (SIZE_MAX: each). Answers how many there are. */
static size_t boundaries_judge(struct play *play, unsigned store, size_t which)
{
    struct inventory inv;
    size_t count = 0;
    uint64_t last = 0;

    list(play, store, &inv);
    uint64_t oldest = oldest_of(&inv);
    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        for (size_t i = 0; i < inv.level[level].object_count; i++) {
            uint64_t txid = inv.level[level].object[i].max_txid;
            if (txid < oldest || txid == last)
                continue;
            last = txid;
            if (which == SIZE_MAX || which == count)
                txid_judge(play, store, txid);
            count++;
        }
    }
    inventory_destroy(&inv);
    return count;
}

void judge_txid(struct play *play, unsigned store, uint64_t txid)
{
    if (txid > 0) {
        txid_judge(play, store, txid);
        return;
    }
    size_t count = boundaries_judge(play, store, SIZE_MAX - 1);
    if (count > 0)
        (void)boundaries_judge(play, store, sim_luck(&play->sim, count)); /* judged inside */
}

void judge_everything(struct play *play, unsigned store)
{
    (void)boundaries_judge(play, store, SIZE_MAX); /* judged inside */
}

/* The last boundary at or before a moment: of the objects that lie there, by their own word. */
static uint64_t boundary_before(const struct inventory *inv, uint64_t moment_ns)
{
    uint64_t found = 0;
    uint64_t oldest = oldest_of(inv);

    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        for (size_t i = 0; i < inv->level[level].object_count; i++) {
            const struct inventory_object *o = &inv->level[level].object[i];
            if (o->timestamp_ns <= moment_ns && o->max_txid > found && o->max_txid >= oldest)
                found = o->max_txid;
        }
    }
    return found;
}

void judge_moment(struct play *play, unsigned store)
{
    const struct floor *f = &play->model.floors[store];
    const struct destination_options *o = &play->config.dest[store];
    uint64_t now_ns = env_wall_ns(&play->sim.world.env);
    uint64_t from_ns = f->first_wall_ns;
    struct inventory inv;
    uint64_t got = 0;

    if (is_empty(&play->stores[store]) || from_ns == 0)
        return;
    if (o->snapshot_retention_ns && o->snapshot_retention_ns < now_ns &&
        now_ns - o->snapshot_retention_ns > from_ns)
        from_ns = now_ns - o->snapshot_retention_ns;
    uint64_t moment_ns =
        from_ns + sim_luck(&play->sim, now_ns > from_ns ? now_ns - from_ns + 1 : 1);
    list(play, store, &inv);
    uint64_t wanted = boundary_before(&inv, moment_ns);
    inventory_destroy(&inv);
    if (wanted == 0 && play->config.has_clock_jumps)
        return; /* there is no telling what the past was */
    const struct restore_target target = {.kind = RESTORE_TIMESTAMP, .timestamp_ns = moment_ns};
    int commit = state_of(play, store, target, "a moment of the window", &got);
    sim_trace(&play->sim, "judge: store %u, a moment of the past: TXID %" PRIu64 ", commit %d",
              store, got, commit);
    if (got != wanted && !play->config.has_clock_jumps) {
        play_broken(play,
                    "store %u: the last boundary before a moment is TXID %" PRIu64
                    ", and TXID %" PRIu64 " was restored",
                    store, wanted, got);
    }
}
