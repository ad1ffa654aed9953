/*
 * L0 objects to the store: one in flight for each destination, created and never overwritten.
 *
 *   encode -> (proof of ownership) -> PUT If-None-Match -> acknowledged -> into the map -> next
 *
 * An object that was encoded stays the same until it is acknowledged: a retry sends identical
 * bytes, so an answer that was lost can be recognised.
 *
 * Refused (the key is taken): read the object that is there. Ours (same owner, same file checksum):
 * it was a retry whose answer was lost, so it is acknowledged. Another's, and nothing of ours was
 * accepted since attaching: the bucket moved on before us, attach again. Another's otherwise: we
 * are fenced. We stop, and leave what we could not ship in fenced/<epoch>-<owner>/.
 *
 * A sleeper must not wake into a gap: L0 objects are deleted after a while, so a number could be
 * free although it was used. Proof of ownership therefore expires after half the L0 retention (of
 * the window, where L0 objects go only with it); then the level is listed first, and anything newer
 * than our tip means: attach again. A proof is as old as its request: one may also sleep over an
 * answer that has come already.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ltx/ltx.h"
#include "sidecar/engine/engine_internal.h"
#include "sidecar/engine/retain.h"

static const uint64_t retry_base_ns = 500 * NS_PER_MS;
static const uint64_t retry_ceiling_ns = 10 * NS_PER_SEC;
static const uint64_t put_bytes_per_second = 64 * 1024; /* of the slowest link that is served */
static const uint64_t put_bytes_small = 8U << 20;
static const uint64_t complete_base_ns = NS_PER_MIN; /* of an upload */
static const uint64_t complete_bytes_per_second = UINT64_C(4)
                                                  << 20; /* that a store puts together */

/* ---- failures ---- */

uint64_t ship_backoff_ns(const struct engine *e, unsigned failures)
{
    uint64_t ceiling = retry_base_ns;

    for (unsigned i = 0; i < failures && ceiling < retry_ceiling_ns; i++)
        ceiling *= 2;
    if (ceiling > retry_ceiling_ns)
        ceiling = retry_ceiling_ns;
    return ceiling / 2 + env_random_below(e->env, ceiling / 2 + 1);
}

static void ship_fail(struct chain *c, const char *what, const struct error *err)
{
    struct engine *e = c->db->engine;

    fault_note(e, &c->fault, what, c->db->path, c->name, err);
    c->out.failures++;
    level_abandon(c); /* a pinned state would hold back the log while the store is away */
    loop_timer_start(&c->ship_timer, ship_backoff_ns(e, c->out.failures));
    engine_check_waits(e);
}

/* The database side failed: the follower may have to be opened again. */
static void task_fail(struct chain *c, const char *what)
{
    struct database *db = c->db;

    if (db->task_err.code == ERR_CANCELED)
        return;
    if (db->task_err.code == ERR_WRONG_STATE) {
        database_reopen(db, &db->task_err);
        return;
    }
    ship_fail(c, what, &db->task_err);
}

void ship_copy_failed(struct chain *c, const struct error *err, bool is_ours)
{
    if (is_ours && err->code == ERR_WRONG_STATE)
        database_reopen(c->db, err);
    else
        ship_fail(c, "first copy", err);
}

/* ---- acknowledged ---- */

/* The list grows to STATUS_OBJECTS_MAX. Without memory it stays as long as it is. */
static void recent_add(struct chain *c, const struct status_object *o)
{
    if (c->recent_count == c->recent_cap && c->recent_cap < STATUS_OBJECTS_MAX) {
        size_t cap = c->recent_cap ? c->recent_cap * 2 : 2;
        struct status_object *grown = realloc(c->recent, cap * sizeof(*grown));
        if (grown) {
            c->recent = grown;
            c->recent_cap = cap;
        }
    }
    if (c->recent_cap == 0)
        return;
    size_t kept = c->recent_count < c->recent_cap ? c->recent_count : c->recent_cap - 1;
    memmove(c->recent + 1, c->recent, kept * sizeof(c->recent[0]));
    c->recent[0] = *o;
    c->recent_count = kept + 1;
}

void ship_note_object(struct chain *c, unsigned level, const struct ltx_header *h, uint64_t bytes,
                      uint64_t put_started_ns)
{
    struct engine *e = c->db->engine;
    uint64_t duration = env_monotonic_ns(e->env) - put_started_ns;
    const struct inventory_object object = {.min_txid = h->min_txid,
                                            .max_txid = h->max_txid,
                                            .bytes = bytes,
                                            .timestamp_ns = ltx_header_time_ns(h),
                                            .layout = storage_caps(c->storage)->layout};
    const struct status_object shown = {.level = level,
                                        .min_txid = h->min_txid,
                                        .max_txid = h->max_txid,
                                        .bytes = bytes,
                                        .shipped_at_ns = env_wall_ns(e->env),
                                        .duration_ns = duration};
    struct error err = ERROR_INIT;

    if (inventory_add(&c->inv, level, &object, &err) < 0) {
        LOG_WARN(e->log, "object missing from the inventory", LOG_STR("db", c->db->path),
                 LOG_ERR(&err)); /* retention will list again before it deletes */
    }
    recent_add(c, &shown);
    c->level_total[level].written++;
    c->level_total[level].written_bytes += bytes;
    c->last_success_at_ns = shown.shipped_at_ns;
    e->last_object_ns = env_monotonic_ns(e->env);
    metrics_histogram_observe(&c->upload_seconds, duration);
    LOG_DEBUG(e->log, "object shipped", LOG_STR("db", c->db->path), LOG_STR("destination", c->name),
              LOG_U64("ltx_level", level), LOG_U64("min_txid", h->min_txid),
              LOG_U64("max_txid", h->max_txid), LOG_U64("bytes", bytes),
              LOG_F64("seconds", (double)duration / 1e9));
}

static void ship_acknowledged(struct chain *c)
{
    struct engine *e = c->db->engine;

    if (!c->has_accepted)
        chain_set_state(c, CHAIN_FOLLOWING, ""); /* how it attached is no news any more */
    c->has_accepted = true;
    c->proven_at = c->asked_at;
    c->out.failures = 0;
    fault_end(e, &c->fault, "shipping recovered", c->db->path, c->name);
    ship_note_object(c, LTX_LEVEL_RAW, &c->out.header, c->out.bytes, c->out.put_started_ns);
    c->syncs_total++;
    c->sync_ns_total += env_monotonic_ns(e->env) - c->out.started_ns;
    c->sync_pages_total += c->out.page_count;
    task_queue_push(&c->db->queue, &c->commit_task);
}

/* The map has the new state: the chain stands there now. */
static void chain_advance(struct chain *c)
{
    struct outgoing *out = &c->out;

    c->at = c->map.state;
    c->at.end = out->end;
    c->commits_acknowledged = out->commits_total;
    c->acknowledged_txid = c->at.txid;
    c->timestamp_ms = (uint64_t)out->header.timestamp_ms;
    level_object_acknowledged(c);
    chain_forget_object(c);
    c->dirty_page_count = c->dirty.page_count;
}

void ship_committed(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, commit_task);
    struct database *db = c->db;

    if (!chain_goes_on(c))
        return;
    if (db->task_err.code != ERR_NONE) {
        /* The store has it, the map not yet: the object stays until the map can be written. */
        ship_fail(c, "page map cannot be written", &db->task_err);
        return;
    }
    chain_advance(c);
    if (c->is_pin_waiting)
        level_state_pinned(c);
    if (c->oldest_commit_ns || c->news_count || level_is_any_wanted(c))
        chain_ship_soon(c);
    database_consider_checkpoint(db);
    engine_check_waits(db->engine);
}

/* ---- fenced ---- */

static void fenced_put_on_done(void *arg, const struct storage_result *result)
{
    struct chain *c = arg;
    struct engine *e = c->db->engine;

    c->op = NULL;
    c->is_put_under_way = false;
    if (result->err->code != ERR_NONE && result->err->code != ERR_EXISTS) {
        LOG_ERROR(e->log, "unshipped pages of the fenced writer could not be kept",
                  LOG_STR("db", c->db->path), LOG_STR("destination", c->name),
                  LOG_ERR(result->err));
    }
    chain_forget_object(c);
    engine_check_waits(e);
}

static void ship_fenced(struct chain *c, const struct ltx_header *winner)
{
    struct error why = ERROR_INIT;
    struct engine *e = c->db->engine;
    char key[STORAGE_KEY_BYTES_MAX];
    char detail[256];
    struct error err = ERROR_INIT;
    const struct storage_put put = {
        .key = object_name_format_fenced(c->epoch, c->owner, c->out.header.min_txid,
                                         c->out.header.max_txid, key),
        .body = &c->out.blob,
        .mode = STORAGE_PUT_CREATE,
        .timestamp_ns = ltx_header_time_ns(&c->out.header),
    };

    ASSERT(!c->out.upload); /* full_copy_is_possible() */
    c->conflicts_total++;
    c->fenced_by_epoch = winner->epoch;
    c->fenced_by_owner = winner->owner;
    (void)snprintf(detail, sizeof(detail),
                   "another writer (epoch %" PRIu32 ", owner %08" PRIx32 ") created TXID %" PRIu64
                   " first; unshipped pages are kept in %.100s",
                   winner->epoch, winner->owner, winner->max_txid, key);
    level_abandon(c);
    chain_set_state(c, CHAIN_FENCED, detail);
    (void)error_set(&why, ERR_FENCED, 0, "%s", detail);
    (void)error_hint(&why, "stop one of the two writers; restart this one with -adopt only if its "
                           "database is the one to keep");
    fault_keep(e, &c->fault, &why);
    LOG_ERROR(e->log, "fenced by another writer", LOG_STR("db", c->db->path),
              LOG_STR("destination", c->name), LOG_ERR(&why), LOG_HINT(&why));
    chain_lease_end(c);
    c->is_put_under_way =
        storage_put_start(c->storage, &put, fenced_put_on_done, c, &c->op, &err) == 0;
    engine_check_waits(e);
}

/* ---- refused: whose object is there? ---- */

static void ship_again_after(struct chain *c, const struct error *err)
{
    ship_fail(c, "object that refused ours cannot be read", err);
}

static void conflict_judge(struct chain *c, const struct ltx_header *there, uint64_t file_checksum)
{
    struct engine *e = c->db->engine;
    bool is_ours = there->has_ext && there->epoch == c->epoch && there->owner == c->owner &&
                   file_checksum == c->out.file_checksum;

    if (is_ours) {
        ship_acknowledged(c);
        return;
    }
    if (!c->has_accepted) {
        LOG_WARN(e->log, "bucket moved on since attaching: attaching again",
                 LOG_STR("db", c->db->path), LOG_STR("destination", c->name));
        c->conflicts_total++;
        attach_start(c);
        return;
    }
    ship_fenced(c, there);
}

static void conflict_key(const struct chain *c, char key[static STORAGE_KEY_BYTES_MAX])
{
    const struct object_name name = {.level = LTX_LEVEL_RAW,
                                     .min_txid = c->out.header.min_txid,
                                     .max_txid = c->out.header.max_txid};
    (void)object_name_format(storage_caps(c->storage)->layout, &name, key); /* returns key */
}

static int reply_collect(void *arg, struct slice chunk, struct error *err)
{
    struct chain *c = arg;
    return buf_append_slice(&c->reply, chunk, err);
}

static void conflict_trailer_on_done(void *arg, const struct storage_result *result)
{
    struct chain *c = arg;
    struct ltx_header there;
    struct error err = ERROR_INIT;

    c->op = NULL;
    c->is_resolving = false;
    if (!chain_goes_on(c))
        return;
    if (result->err->code != ERR_NONE || c->reply.n != LTX_TRAILER_BYTES) {
        ship_again_after(c, result->err);
        return;
    }
    if (ltx_header_decode(slice_of(c->conflict_head, sizeof(c->conflict_head)), &there, &err) < 0) {
        ship_again_after(c, &err);
        return;
    }
    conflict_judge(c, &there, be64_load(c->reply.p + 8));
}

static void conflict_head_on_done(void *arg, const struct storage_result *result)
{
    struct chain *c = arg;
    struct error err = ERROR_INIT;
    char key[STORAGE_KEY_BYTES_MAX];

    c->op = NULL;
    if (c->state != CHAIN_FOLLOWING)
        c->is_resolving = false;
    if (!chain_goes_on(c))
        return;
    err = *result->err;
    if (err.code == ERR_NONE &&
        (c->reply.n != LTX_HEADER_BYTES || result->object.bytes < LTX_FILE_BYTES_MIN))
        (void)error_set(&err, ERR_CORRUPT, 0, "object is too short for an LTX file");
    if (err.code == ERR_NONE) {
        memcpy(c->conflict_head, c->reply.p, LTX_HEADER_BYTES);
        buf_clear(&c->reply);
        conflict_key(c, key);
        const struct storage_get get = {.key = key,
                                        .offset = result->object.bytes - LTX_TRAILER_BYTES,
                                        .bytes = LTX_TRAILER_BYTES,
                                        .on_data = reply_collect};
        if (storage_get_start(c->storage, &get, conflict_trailer_on_done, c, &c->op, &err) == 0)
            return;
    }
    c->is_resolving = false;
    ship_again_after(c, &err);
}

static void conflict_resolve(struct chain *c)
{
    struct error err = ERROR_INIT;
    char key[STORAGE_KEY_BYTES_MAX];

    conflict_key(c, key);
    buf_clear(&c->reply);
    const struct storage_get get = {
        .key = key, .offset = 0, .bytes = LTX_HEADER_BYTES, .on_data = reply_collect};
    c->is_resolving = true;
    if (storage_get_start(c->storage, &get, conflict_head_on_done, c, &c->op, &err) < 0) {
        c->is_resolving = false;
        ship_again_after(c, &err);
    }
}

/* ---- the put ---- */

/* What lay there is gone. Attaching finds out what is left, and begins anew if that is nothing. */
static void bucket_lost(struct chain *c, const struct error *err)
{
    fault_note(c->db->engine, &c->fault, "destination has lost its objects", c->db->path, c->name,
               err);
    chain_take_back(c); /* what it held is news still: an end meanwhile must not say otherwise */
    level_abandon(c);
    attach_start(c);
}

/* The upload is gone or was refused for good, so this object can never appear: another is made. */
static void upload_lost(struct chain *c, const struct error *err)
{
    c->must_stage = err->code != ERR_NOT_FOUND;
    chain_take_back(c);
    ship_fail(c, "first copy cannot be completed", err);
}

static bool is_upload_lost(const struct chain *c, enum error_code code)
{
    return c->out.upload && (code == ERR_NOT_FOUND || code == ERR_UNSUPPORTED ||
                             code == ERR_USAGE || code == ERR_CORRUPT || code == ERR_LIMIT);
}

static void put_on_done(void *arg, const struct storage_result *result)
{
    struct chain *c = arg;

    c->op = NULL;
    c->is_put_under_way = false;
    if (!chain_goes_on(c))
        return;
    if (result->err->code == ERR_UNSUPPORTED && storage_caps(c->storage)->can_create &&
        !c->opt.require_fencing)
        storage_set_can_create(c->storage, false); /* weaker: a look before the write */
    if (result->err->code == ERR_NONE)
        ship_acknowledged(c);
    else if (result->err->code == ERR_EXISTS)
        conflict_resolve(c);
    else if (result->err->code == ERR_WRONG_STATE)
        bucket_lost(c, result->err);
    else if (is_upload_lost(c, result->err->code))
        upload_lost(c, result->err);
    else
        ship_fail(c, "object not accepted", result->err);
}

/*
 * How long the driver may try before the fault is ours to show: a few seconds, and what a slow link
 * takes for the bytes. Never longer than a quarter of the time for which a number stays taken, so
 * that none is used by an answer that comes after it was removed again; except for objects that are
 * so big that only a proof just before them is possible.
 */
static uint64_t put_deadline_ns(const struct chain *c)
{
    uint64_t quarter =
        retain_number_kept_ns(c->opt.l0_retention_ns, c->opt.snapshot_retention_ns) / 4;
    uint64_t wanted = 4 * NS_PER_SEC + c->out.bytes / put_bytes_per_second * NS_PER_SEC;

    if (wanted > quarter && c->out.bytes <= put_bytes_small)
        return quarter;
    return wanted;
}

/* The object was sent in parts already: it appears now. */
static int upload_complete(struct chain *c, struct error *err)
{
    uint64_t deadline_ns = complete_base_ns + c->out.bytes / complete_bytes_per_second * NS_PER_SEC;

    return storage_upload_complete_start(c->out.upload, deadline_ns, put_on_done, c, &c->op, err);
}

static int object_put(struct chain *c, struct error *err)
{
    char key[STORAGE_KEY_BYTES_MAX];

    conflict_key(c, key);
    const struct storage_put put = {
        .key = key,
        .body = &c->out.blob,
        .mode = STORAGE_PUT_CREATE,
        .timestamp_ns = ltx_header_time_ns(&c->out.header),
        .deadline_ns = put_deadline_ns(c),
    };
    c->out.put_started_ns = c->last_ship_ns;
    return storage_put_start(c->storage, &put, put_on_done, c, &c->op, err);
}

static void put_start(struct chain *c)
{
    struct engine *e = c->db->engine;
    struct error err = ERROR_INIT;

    c->last_ship_ns = env_monotonic_ns(e->env);
    c->asked_at = instant_now(e->env);
    if ((c->out.upload ? upload_complete(c, &err) : object_put(c, &err)) < 0) {
        ship_fail(c, "object not sent", &err);
        return;
    }
    c->is_put_under_way = true;
}

/* ---- proof of ownership ---- */

/* Any object at or beyond the number we are about to use means that somebody else was here. */
static int newer_seen(void *arg, const struct storage_object *object, struct error *err UNUSED)
{
    struct chain *c = arg;
    struct object_name name;

    if (object_name_parse(storage_caps(c->storage)->layout, object->key, &name) &&
        name.max_txid > c->at.txid)
        c->has_seen_newer = true;
    return 0;
}

/* What was seen so long ago may be gone, and what was free then may have been used since. */
static bool proof_has_expired(const struct chain *c)
{
    uint64_t age = instant_age_ns(c->db->engine->env, c->proven_at);

    return age > retain_number_kept_ns(c->opt.l0_retention_ns, c->opt.snapshot_retention_ns) / 2;
}

static void proof_on_done(void *arg, const struct storage_result *result)
{
    struct chain *c = arg;
    struct error late = ERROR_INIT;

    c->op = NULL;
    c->is_resolving = false;
    if (!chain_goes_on(c))
        return;
    if (result->err->code != ERR_NONE) {
        ship_fail(c, "prefix cannot be listed", result->err);
        return;
    }
    if (!c->has_seen_newer) {
        c->proven_at = c->asked_at;
        if (!proof_has_expired(c)) {
            put_start(c);
            return;
        }
        (void)error_set(&late, ERR_TIMEOUT, 0, "the listing took too long to prove anything");
        ship_fail(c, "prefix cannot be listed", &late);
        return;
    }
    /* Our own lost answer or another writer, whose objects may be deleted already: attaching can
     * tell. */
    c->conflicts_total++;
    attach_start(c);
}

static void proof_start(struct chain *c)
{
    struct error err = ERROR_INIT;
    char prefix[STORAGE_KEY_BYTES_MAX];
    char last[STORAGE_KEY_BYTES_MAX];
    enum storage_layout layout = storage_caps(c->storage)->layout;
    const struct object_name tip = {
        .level = LTX_LEVEL_RAW, .min_txid = c->at.txid, .max_txid = c->at.txid};
    const struct storage_list list = {
        .prefix = object_name_level_prefix(layout, LTX_LEVEL_RAW, prefix),
        .start_after = c->at.txid ? object_name_format(layout, &tip, last) : NULL,
        .on_object = newer_seen,
    };

    c->is_resolving = true;
    c->has_seen_newer = false;
    c->asked_at = instant_now(c->db->engine->env);
    if (storage_list_start(c->storage, &list, proof_on_done, c, &c->op, &err) < 0) {
        c->is_resolving = false;
        ship_fail(c, "prefix cannot be listed", &err);
    }
}

void ship_start(struct chain *c)
{
    if (!chain_lease_allows_put(c))
        return;
    /* Also before a retry: between two of them there may be a night. */
    if (proof_has_expired(c))
        proof_start(c);
    else
        put_start(c);
}

/* ---- results of tasks ---- */

void ship_encoded(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, encode_task);
    struct database *db = c->db;

    /* Before anything else: a commit that is noticed below would ask for another encoding beside it. */
    if (c->encode_result == ENCODE_COPY && db->task_err.code == ERR_NONE &&
        c->state == CHAIN_FOLLOWING)
        c->must_stage = !full_copy_start(c);
    database_refresh(db);
    if (c->is_pin_wanted && !c->has_pin)
        level_abandon(c);
    c->is_pin_waiting = c->is_pin_wanted && c->has_pin;
    c->is_pin_wanted = false;
    if (!chain_goes_on(c))
        return;
    if (db->task_err.code != ERR_NONE) {
        task_fail(c, "pages cannot be encoded");
        return;
    }
    switch (c->encode_result) {
    case ENCODE_COPY:
        if (!c->copy)
            task_queue_push(&db->queue, &c->encode_task);
        return;
    case ENCODE_OBJECT:
        c->must_stage = false;
        c->out.commits_total = db->commits_total;
        ship_start(c);
        return;
    case ENCODE_UNPROVEN:
        c->differences_total++;
        LOG_INFO(db->engine->log, "history is unproven: comparing the whole database",
                 LOG_STR("db", db->path), LOG_STR("destination", c->name));
        c->difference_since_ns = env_monotonic_ns(db->engine->env);
        task_queue_push(&db->queue, &c->difference_task);
        engine_changed(db->engine);
        return;
    case ENCODE_NOTHING:
    default:
        c->out.oldest_commit_ns = 0;
        c->out.news_count = 0;
        c->commits_acknowledged = db->commits_total;
        if (c->is_pin_waiting)
            level_state_pinned(c);
        /* The pin may have become free while this was under way without it. */
        if (c->oldest_commit_ns || c->news_count || (level_is_any_wanted(c) && !db->pin_holder))
            chain_ship_soon(c);
        database_consider_checkpoint(db);
        engine_check_waits(db->engine);
    }
}

void ship_differenced(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, difference_task);

    engine_changed(c->db->engine);
    database_refresh(c->db);
    if (!chain_goes_on(c))
        return;
    if (c->db->task_err.code != ERR_NONE) {
        task_fail(c, "database cannot be compared");
        return;
    }
    chain_ship_soon(c);
}

/* The ship timer: sync-interval is over, or a back-off is. */
void ship_on_timer(void *chain)
{
    struct chain *c = chain;

    if (c->state != CHAIN_FOLLOWING || c->is_put_under_way || c->is_resolving || c->copy ||
        task_is_pending(&c->encode_task) || task_is_pending(&c->commit_task))
        return;
    if (!c->out.is_full) {
        chain_ship_soon(c);
        return;
    }
    if (c->has_accepted && c->at.txid + 1 == c->out.header.max_txid && c->out.failures > 0 &&
        inventory_find(&c->inv, LTX_LEVEL_RAW, c->out.header.min_txid, c->out.header.max_txid)) {
        task_queue_push(&c->db->queue, &c->commit_task); /* accepted; only the map was missing */
        return;
    }
    ship_start(c);
}
