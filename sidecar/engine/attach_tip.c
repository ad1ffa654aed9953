/*
 * Attaching, the questions to the bucket: PROBE, LIST, HEAD and TAIL of attach.c, one after the other.
 * They end with the facts of the bucket's tip, and JUDGE.
 */
#include <inttypes.h>
#include <string.h>

#include "sidecar/engine/attach_internal.h"

/* ---- LIST, HEAD, TAIL ---- */

static int reply_collect(void *arg, struct slice chunk, struct error *err)
{
    struct attach *a = arg;
    return buf_append_slice(&a->reply, chunk, err);
}

static void tail_on_done(void *arg, const struct storage_result *result)
{
    struct attach *a = arg;
    struct error err = *result->err;
    struct lineage_tip *tip = &a->facts.tip;
    const struct ltx_header *h = &a->tip_header;

    a->op = NULL;
    if (err.code == ERR_NONE && a->reply.n != LTX_TRAILER_BYTES)
        (void)error_set(&err, ERR_CORRUPT, 0, "%s is too short", a->tip_key);
    if (err.code != ERR_NONE || a->is_canceled) {
        attach_fail(a, "newest object cannot be read", &err);
        return;
    }
    a->facts.has_tip = true;
    *tip = (struct lineage_tip){
        .txid = h->max_txid,
        .file_checksum = be64_load(a->reply.p + 8),
        .has_ext = h->has_ext,
        .db_checksum = h->db_checksum,
        .epoch = h->epoch,
        .owner = h->owner,
        .timestamp_ms = h->timestamp_ms > 0 ? (uint64_t)h->timestamp_ms : 0,
        .page_size = h->page_size,
        .page_count = h->commit,
        .end = attach_end_of_header(h),
    };
    attach_judge_start(a);
}

static int head_take(struct attach *a, struct error *err)
{
    if (ltx_header_decode(buf_slice(&a->reply), &a->tip_header, err) < 0)
        return -1;
    if (a->tip_header.min_txid == a->tip.min_txid && a->tip_header.max_txid == a->tip.max_txid)
        return 0;
    return error_set(err, ERR_CORRUPT, 0,
                     "its header says TXIDs %016" PRIx64 " to %016" PRIx64
                     ", its name another range",
                     a->tip_header.min_txid, a->tip_header.max_txid);
}

static void head_on_done(void *arg, const struct storage_result *result)
{
    struct attach *a = arg;
    struct error err = *result->err;

    a->op = NULL;
    if (err.code == ERR_NONE && !a->is_canceled && head_take(a, &err) == 0) {
        const struct storage_get get = {.key = a->tip_key,
                                        .offset = a->tip.bytes - LTX_TRAILER_BYTES,
                                        .bytes = LTX_TRAILER_BYTES,
                                        .on_data = reply_collect};
        buf_clear(&a->reply);
        if (storage_get_start(a->c->storage, &get, tail_on_done, a, &a->op, &err) == 0)
            return;
    }
    if (err.code != ERR_NONE)
        (void)error_wrap(&err, "%s", a->tip_key);
    attach_fail(a, "newest object cannot be read", &err);
}

static void inventory_on_done(void *arg, const struct error *list_err)
{
    struct attach *a = arg;
    struct error err = *list_err;
    unsigned level = 0;

    a->op = NULL;
    if (err.code != ERR_NONE || a->is_canceled) {
        attach_fail(a, "prefix cannot be listed", &err);
        return;
    }
    const struct inventory_object *tip = inventory_tip(&a->c->inv, &level);
    if (!tip) {
        if (a->c->inv.has_generations) {
            (void)error_set(&err, ERR_WRONG_STATE, 0, "%s holds a replica of Litestream 0.3",
                            storage_url(a->c->storage));
            (void)error_hint(&err, "use another prefix; the old replica stays restorable there");
            attach_fail(a, "prefix is in use", &err);
            return;
        }
        attach_judge_start(a);
        return;
    }
    (void)inventory_object_key(level, tip, a->tip_key); /* returns tip_key */
    a->tip = *tip;
    if (tip->bytes < LTX_FILE_BYTES_MIN) {
        (void)error_set(&err, ERR_CORRUPT, 0, "%s has only %" PRIu64 " bytes", a->tip_key,
                        tip->bytes);
        attach_fail(a, "newest object cannot be read", &err);
        return;
    }
    const struct storage_get get = {
        .key = a->tip_key, .offset = 0, .bytes = LTX_HEADER_BYTES, .on_data = reply_collect};
    if (storage_get_start(a->c->storage, &get, head_on_done, a, &a->op, &err) < 0)
        attach_fail(a, "newest object cannot be read", &err);
}

static void list_start(struct attach *a)
{
    struct error err = ERROR_INIT;

    a->c->asked_at = instant_now(a->c->db->engine->env);
    if (inventory_load_start(a->c->storage, &a->c->inv, false, inventory_on_done, a, &a->op, &err) <
        0)
        attach_fail(a, "prefix cannot be listed", &err);
}

/* ---- PROBE ---- */

/* A store that cannot create-if-absent can be used, but then fencing is a look before the write. */
static void fencing_is_weak(struct attach *a)
{
    struct chain *c = a->c;

    if (c->opt.require_fencing) {
        a->verdict = LINEAGE_FOREIGN;
        a->reason = "the store cannot create-if-absent, so it cannot fence a second writer, and "
                    "require-fencing is set";
        attach_refuse(a);
        return;
    }
    LOG_WARN(c->db->engine->log, "weak fencing", LOG_STR("db", c->db->path),
             LOG_STR("destination", c->name), LOG_STR("url", storage_url(c->storage)),
             LOG_STR("reason", "the store cannot create-if-absent: a look before each write has to "
                               "do"));
    list_start(a);
}

static void probe_on_done(void *arg, const struct storage_probe_report *report)
{
    struct attach *a = arg;
    struct error err = report->first;

    a->probe = NULL;
    bool is_unusable = !report->step[STORAGE_PROBE_CREATE].is_ok;
    /* A second create without an answer shows nothing: a store that was down just then is not a weak
     * one. */
    bool is_known = report->can_create || report->why_no_create.code != ERR_NONE;
    if (a->is_canceled || ((is_unusable || !is_known) && err.code != ERR_NONE)) {
        if (err.code == ERR_NONE)
            (void)error_set(&err, ERR_CANCELED, 0, "stopped");
        attach_fail(a, "destination cannot be written", &err);
        return;
    }
    bucket_set_probed(a->c->db->engine, a->c->storage, report->can_create);
    if (report->can_create)
        list_start(a);
    else
        fencing_is_weak(a);
}

/* Local folders need no probe: the driver knows what link(2) can do. */
void attach_look_start(struct attach *a)
{
    struct chain *c = a->c;
    struct error err = ERROR_INIT;
    bool can_create = true;

    if (strcmp(storage_type(c->storage), "file") == 0) {
        list_start(a);
        return;
    }
    if (bucket_is_probed(c->db->engine, c->storage, &can_create)) {
        storage_set_can_create(c->storage, can_create);
        if (can_create)
            list_start(a);
        else
            fencing_is_weak(a);
        return;
    }
    if (storage_probe_start(c->storage, probe_on_done, a, &a->probe, &err) < 0)
        attach_fail(a, "destination cannot be probed", &err);
}
