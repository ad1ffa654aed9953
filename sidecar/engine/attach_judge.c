/*
 * Attaching, the task side: what map, log and database say, the verdict of lineage.h, and what
 * follows from it. From here on the chain tracks: what is noted goes into its dirty set.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ltx/reader.h"
#include "lib/sqlite/wal_format.h"
#include "sidecar/engine/attach_internal.h"

/* The tip's position from its header: where its log stood. */
struct log_end attach_end_of_header(const struct ltx_header *h)
{
    struct log_end end = {
        .salt = {h->wal_salt.s[0], h->wal_salt.s[1]},
        .page_size = h->page_size,
        .page_count = h->commit,
    };
    int64_t frame_bytes = (int64_t)h->page_size + WAL_FRAME_HEADER_BYTES;
    int64_t end_offset = h->wal_offset + h->wal_bytes;

    if (h->wal_offset >= WAL_HEADER_BYTES && end_offset > WAL_HEADER_BYTES &&
        (end_offset - WAL_HEADER_BYTES) % frame_bytes == 0)
        end.frame = (uint32_t)((end_offset - WAL_HEADER_BYTES) / frame_bytes);
    if (h->has_ext) {
        end.cksum[0] = h->wal_cksum.s[0];
        end.cksum[1] = h->wal_cksum.s[1];
    }
    return end;
}

static int log_contains(struct database *db, const struct log_end *end, bool *out,
                        struct error *err)
{
    const struct log_end *now = follower_end(db->follower);

    *out = false;
    if (end->frame == 0 || memcmp(end->salt, now->salt, sizeof(now->salt)) != 0 ||
        end->page_size != now->page_size || end->frame > now->frame)
        return 0;
    if (end->cksum[0] == 0 && end->cksum[1] == 0) {
        *out = true; /* Litestream's object: the log is the one that it was made from */
        return 0;
    }
    return follower_contains(db->follower, end, out, err);
}

/* A full copy, or the first object after a join, that arrived without our knowledge: the map that
 * it led to, or completes, lies ready beside the map. */
static int next_map_look(struct chain *c, struct lineage_facts *facts, struct error *err)
{
    CLEANUP(page_map_close) struct page_map next = PAGE_MAP_INIT;
    struct error ignored = ERROR_INIT; /* none, or none of use: then the map itself is asked */
    const struct map_state *s = &next.state;
    const struct lineage_tip *tip = &facts->tip;

    if (!facts->has_tip || page_map_open(c->db->engine->env, c->next_map_path, &next, &ignored) < 0)
        return 0;
    bool is_of_tip = s->txid == tip->txid && s->file_checksum == tip->file_checksum;
    bool has_led_to_tip =
        s->pending_txid == tip->txid && s->pending_file_checksum == tip->file_checksum;
    facts->has_sent_tip = s->txid == tip->txid && s->pending_txid == 0 &&
                          map_state_knows_earlier(s, tip->file_checksum) &&
                          s->file_id == c->db->file_id;
    if (!is_of_tip && !has_led_to_tip)
        return 0;
    return encode_next_map_take(c, err);
}

/* The map as far as it can be trusted. Damage is not an error: the verdict takes it for no map. */
static int map_load(struct chain *c, struct lineage_facts *facts, struct error *err)
{
    struct error open_err = ERROR_INIT;
    bool is_sound = false;

    page_map_close(&c->map);
    facts->has_map = false;
    facts->has_sent_tip = false;
    if (next_map_look(c, facts, err) < 0)
        return -1;
    page_map_close(&c->map);
    if (page_map_open(c->db->engine->env, c->map_path, &c->map, &open_err) < 0) {
        if (open_err.code == ERR_NOT_FOUND || open_err.code == ERR_CORRUPT)
            return 0;
        *err = open_err;
        return -1;
    }
    /* A map that is one object behind may hold some of that object's entries already; then only
     * healing makes its sum right. So soundness is asked where the map is used as it is. */
    if (page_map_verify(&c->map, &is_sound, err) < 0)
        return -1;
    facts->has_map = is_sound || c->map.state.pending_txid == c->map.state.txid + 1;
    facts->map = c->map.state;
    if (!is_sound && facts->has_tip && facts->tip.txid == c->map.state.txid)
        facts->has_map = false;
    return 0;
}

static int facts_gather(struct attach *a, struct error *err)
{
    struct chain *c = a->c;
    struct database *db = c->db;
    struct lineage_facts *f = &a->facts;
    enum advance_result proof;

    if (follower_advance(db->follower, database_note, db, &proof, err) < 0)
        return -1;
    if (proof == ADVANCE_UNPROVEN)
        database_mark_unproven(db);
    if (map_load(c, f, err) < 0)
        return -1;
    f->is_same_file = f->has_map && f->map.file_id != 0 && f->map.file_id == db->file_id;
    if (f->has_tip && log_contains(db, &f->tip.end, &f->log_contains_tip, err) < 0)
        return -1;
    if (f->has_map && log_contains(db, &f->map.end, &f->log_contains_map, err) < 0)
        return -1;
    f->content_is_map = LINEAGE_UNKNOWN;
    f->content_is_tip = LINEAGE_UNKNOWN;
    return 0;
}

static int content_compare(struct attach *a, struct task *task, struct entry_list *entries,
                           struct error *err)
{
    struct database *db = a->c->db;
    struct lineage_facts *f = &a->facts;
    const struct log_end *end = follower_end(db->follower);
    uint64_t sum = 0;

    if (encode_db_checksum(db, task, entries, &sum, err) < 0)
        return -1;
    f->content_is_map = f->has_map && sum == f->map.db_checksum &&
                                end->page_count == f->map.page_count &&
                                end->page_size == f->map.page_size
                            ? LINEAGE_YES
                            : LINEAGE_NO;
    if (!f->has_tip || !f->tip.has_ext)
        return 0; /* nobody recorded what it should be */
    f->content_is_tip = sum == f->tip.db_checksum && end->page_count == f->tip.page_count &&
                                end->page_size == f->tip.page_size
                            ? LINEAGE_YES
                            : LINEAGE_NO;
    return 0;
}

/* The state at the tip, as the map will have it. */
struct map_state attach_state_of_tip(const struct attach *a)
{
    const struct lineage_tip *tip = &a->facts.tip;

    return (struct map_state){
        .page_size = tip->page_size,
        .page_count = tip->page_count,
        .txid = tip->txid,
        .file_checksum = tip->file_checksum,
        .db_checksum = tip->db_checksum,
        .epoch = tip->epoch,
        .owner = tip->owner,
        .end = tip->end,
        .file_id = a->c->db->file_id,
    };
}

/* From here on what is noted counts; what came between the map's state and now comes first. */
static int track_from_map(struct chain *c, bool is_in_log, struct error *err)
{
    c->is_tracking = true;
    if (!is_in_log) {
        c->needs_difference = true;
        return 0;
    }
    if (follower_note_since(c->db->follower, c->at.end.frame, chain_note, c, err) == 0)
        return 0;
    if (err->code != ERR_WRONG_STATE)
        return -1;
    error_clear(err); /* the log restarted just now: the difference tells */
    c->needs_difference = true;
    return 0;
}

static int apply_rebuild(struct attach *a, const struct entry_list *entries, struct error *err)
{
    struct chain *c = a->c;
    struct map_state state = attach_state_of_tip(a);

    page_map_close(&c->map);
    if (page_map_create(c->db->engine->env, c->map_path, c->db->path, state.page_size, &c->map,
                        err) < 0 ||
        page_map_write(&c->map, entries->entry, entries->count, err) < 0)
        return -1;
    state.end = *follower_end(c->db->follower); /* the content is this very state */
    if (page_map_publish(&c->map, &state, err) < 0)
        return -1;
    c->at = state;
    c->is_tracking = true;
    return 0;
}

void attach_apply_new(struct attach *a)
{
    struct chain *c = a->c;

    page_map_close(&c->map);
    c->at = a->facts.has_tip ? attach_state_of_tip(a) : (struct map_state){.txid = 0};
    c->at.page_size = follower_end(c->db->follower)->page_size;
    c->needs_all = true;
    c->is_tracking = true;
}

/* Verdicts that need nothing more from the bucket are carried out in the same task. */
static int verdict_apply(struct attach *a, struct task *task, const struct entry_list *entries,
                         struct error *err)
{
    struct chain *c = a->c;

    switch (a->verdict) {
    case LINEAGE_NEW:
    case LINEAGE_FULL:
        attach_apply_new(a);
        return 0;
    case LINEAGE_CONTINUE:
        c->at = c->map.state;
        return track_from_map(c, a->facts.log_contains_map, err);
    case LINEAGE_REBUILD:
        return apply_rebuild(a, entries, err);
    case LINEAGE_JOIN:
        return attach_join(a, task, err);
    case LINEAGE_HEAL:
    case LINEAGE_REWIND:
    case LINEAGE_STALE:
    case LINEAGE_DIVERGED:
    case LINEAGE_FOREIGN:
    case LINEAGE_NEEDS_CONTENT:
    case LINEAGE_NEEDS_REPLICA:
    default:
        return 0;
    }
}

static int judge(struct attach *a, struct task *task, struct error *err)
{
    CLEANUP(entry_list_destroy) struct entry_list entries = {.entry = NULL};

    chain_clear_needs(a->c);
    if (facts_gather(a, err) < 0)
        return -1;
    a->verdict = lineage_judge(&a->facts, &a->reason);
    if (a->verdict == LINEAGE_NEEDS_CONTENT) {
        if (content_compare(a, task, &entries, err) < 0)
            return -1;
        a->verdict = lineage_judge(&a->facts, &a->reason);
    }
    if (a->verdict == LINEAGE_NEEDS_REPLICA)
        return attach_compare_begin(a, task, err);
    return verdict_apply(a, task, &entries, err);
}

/* ---- APPLY: task ---- */

static int heal_from(struct chain *c, const struct blob *object, struct error *err)
{
    CLEANUP(ltx_reader_close) struct ltx_reader r = {.blob = NULL};
    const struct ltx_reader_args args = {.blob = object};
    uint32_t pgno;
    struct slice page;
    int rc;

    if (ltx_reader_open(&r, &args, err) < 0)
        return -1;
    while ((rc = ltx_reader_next(&r, &pgno, &page, err)) > 0) {
        const struct map_entry entry = {.pgno = pgno, .checksum = ltx_page_checksum(pgno, page)};
        if (page_map_write(&c->map, &entry, 1, err) < 0)
            return -1;
    }
    return rc;
}

static int apply_heal(struct attach *a, struct error *err)
{
    struct chain *c = a->c;
    struct map_state state = attach_state_of_tip(a);
    bool is_sound = false;

    for (size_t i = 0; i < a->fetched.blob_count; i++) {
        if (heal_from(c, &a->fetched.blobs[i], err) < 0)
            return -1;
    }
    if (page_map_commit(&c->map, &state, err) < 0 || page_map_verify(&c->map, &is_sound, err) < 0)
        return -1;
    if (!is_sound) {
        a->reason = "the page map could not be healed: all pages are sent once";
        attach_apply_new(a);
        return 0;
    }
    c->at = state;
    return track_from_map(c, a->facts.log_contains_tip, err);
}

static int apply_rewind(struct attach *a, struct error *err)
{
    struct chain *c = a->c;

    c->at = attach_state_of_tip(a);
    c->at.end = (struct log_end){.page_size = a->facts.tip.page_size}; /* not in this log */
    c->is_tracking = true;
    c->needs_difference = true;
    c->must_send_dirty = true;
    return page_set_add_all(&c->dirty, &a->fetched.pages, err);
}

static int apply(struct attach *a, struct error *err)
{
    struct database *db = a->c->db;
    enum advance_result proof;

    if (a->verdict == LINEAGE_JOIN) /* tracks since it was judged */
        return page_set_add_all(&a->c->dirty, &a->fetched.pages, err);
    if (a->compare && a->verdict == LINEAGE_REBUILD) /* tracks since it was begun */
        return attach_compare_apply(a, err);
    chain_clear_needs(a->c);
    if (lineage_is_refusal(a->verdict))
        return 0;
    if (follower_advance(db->follower, database_note, db, &proof, err) < 0)
        return -1;
    if (proof == ADVANCE_UNPROVEN)
        database_mark_unproven(db);
    if (a->verdict == LINEAGE_REWIND)
        return apply_rewind(a, err);
    if (a->verdict == LINEAGE_FULL) {
        attach_apply_new(a);
        return 0;
    }
    /* The log may have moved on since the verdict. */
    if (log_contains(db, &a->facts.tip.end, &a->facts.log_contains_tip, err) < 0)
        return -1;
    return apply_heal(a, err);
}

void attach_work(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, attach_task);
    struct attach *a = c->attach;

    if (!a)
        return;
    error_clear(&a->err);
    if (!c->db->follower)
        (void)error_set(&a->err, ERR_WRONG_STATE, 0, "the database is not followed");
    else if (c->db->is_released)
        (void)error_set(&a->err, ERR_NO_SPACE, 0, "free disk space is below the reserve");
    else if (attach_compare_has_bytes(a))
        IGNORE(attach_compare_take(a, &a->err)); /* see done */
    else
        (void)(a->is_applying ? apply(a, &a->err) : judge(a, task, &a->err)); /* see done */
}
