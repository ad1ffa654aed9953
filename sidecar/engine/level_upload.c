/*
 * The finished object of a level to the store, beside L0: step 4 of level.c.
 */
#include "sidecar/engine/level_internal.h"

static const uint64_t upload_retry_ceiling_ns = NS_PER_MIN;

void level_upload_drop(struct level_work *l)
{
    blob_destroy(&l->blob);
    l->is_uploading = false;
}

static void upload_end(struct level_work *l)
{
    struct chain *c = l->chain;

    blob_destroy(&l->blob);
    page_set_clear(&l->taken);
    l->is_uploading = false;
    l->failures = 0;
    if (l->header.max_txid > l->boundary_txid) /* a full copy may have come meanwhile */
        l->boundary_txid = l->header.max_txid;
    if (!c->out.failures)
        fault_end(c->db->engine, &c->fault, "compaction recovered", c->db->path, c->name);
    if (l->level == LTX_LEVEL_SNAPSHOT) {
        l->due_ns = env_wall_ns(c->db->engine->env) + c->opt.snapshot_interval_ns;
        housekeep_consider(c);
    }
    level_arm_one(l);
    expire_start(c); /* what this object covers may be old enough now */
    engine_check_waits(c->db->engine);
}

static void upload_on_done(void *arg, const struct storage_result *result)
{
    struct level_work *l = arg;
    struct chain *c = l->chain;

    l->op = NULL;
    if (c->state != CHAIN_FOLLOWING) {
        level_upload_drop(l);
        engine_check_waits(c->db->engine);
        return;
    }
    /* Taken: the same range of the same chain, by a retry or an earlier life of ours. */
    if (result->err->code == ERR_NONE || result->err->code == ERR_EXISTS) {
        ship_note_object(c, l->level, &l->header, l->blob.bytes, l->put_started_ns);
        upload_end(l);
        return;
    }
    l->failures++;
    fault_note(c->db->engine, &c->fault, "compaction not accepted", c->db->path, c->name,
               result->err);
    loop_timer_start(&l->timer, level_retry_delay_ns(l, upload_retry_ceiling_ns));
}

void level_upload_start(struct level_work *l)
{
    struct chain *c = l->chain;
    char key[STORAGE_KEY_BYTES_MAX];
    struct error err = ERROR_INIT;
    const struct object_name name = {
        .level = l->level, .min_txid = l->header.min_txid, .max_txid = l->header.max_txid};
    const struct storage_put put = {
        .key = object_name_format(storage_caps(c->storage)->layout, &name, key),
        .body = &l->blob,
        .mode = STORAGE_PUT_CREATE,
        .timestamp_ns = ltx_header_time_ns(&l->header),
    };

    if (l->op)
        return;
    l->put_started_ns = env_monotonic_ns(c->db->engine->env);
    if (storage_put_start(c->storage, &put, upload_on_done, l, &l->op, &err) < 0) {
        l->op = NULL;
        l->failures++;
        fault_note(c->db->engine, &c->fault, "compaction not sent", c->db->path, c->name, &err);
        loop_timer_start(&l->timer, level_retry_delay_ns(l, upload_retry_ceiling_ns));
    }
}
