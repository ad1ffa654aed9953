/*
 * Pages to LTX objects: the task side of shipping.
 *
 * An L0 object leads a destination from the state it has acknowledged (chain->at, page map) to the
 * end of what is committed now:
 *
 *   1. follower_advance() notes what is new into the dirty sets of all chains.
 *   2. The batch: this chain's dirty pages, the pages that growth added, all pages if it must be a
 *      full copy; without the lock page and without what lies beyond the new size.
 *   3. Read each page once: compute its checksum, compare with the map. A page that is as the store
 *      has it is left out, any other is written. The database checksum follows by XOR.
 *   4. The header carries the database checksum, which is known last: it is written again.
 *   5. What proves that the object is ours must be there before it can be sent, since we may die
 *      before the answer: the pending record in the map; for a full copy, which the map has nothing
 *      to do with, the whole map that it will lead to, under the name "<map>.next".
 *
 * A failure anywhere puts the batch back into the dirty set: nothing is forgotten.
 *
 * The *difference* reads the whole database and puts what differs from the map into the dirty set.
 * The *commit*, after the acknowledgement, makes the object's checksums the map's (a full copy's
 * next map the map).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ltx/writer.h"
#include "lib/sqlite/db_header.h"
#include "lib/sqlite/wal_format.h"
#include "sidecar/engine/engine_internal.h"

enum {
    SPACE_CHECK_PAGES = 2048, /* pages written between two looks at the free disk space */
};

int entry_list_add(struct entry_list *l, uint32_t pgno, uint64_t checksum, struct error *err)
{
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        struct map_entry *entry = realloc(l->entry, cap * sizeof(*entry));
        if (!entry)
            return error_set(err, ERR_NO_MEMORY, 0, "out of memory for %zu page checksums", cap);
        l->entry = entry;
        l->cap = cap;
    }
    l->entry[l->count++] = (struct map_entry){.pgno = pgno, .checksum = checksum};
    return 0;
}

void entry_list_destroy(struct entry_list *l)
{
    free(l->entry);
    *l = (struct entry_list){.entry = NULL};
}

/* A page buffer for tasks that read page after page. */
static uint8_t *page_buffer_new(uint32_t page_size, struct error *err)
{
    return mem_new(1, page_size, err);
}

static int canceled(struct error *err)
{
    return error_set(err, ERR_CANCELED, 0, "stopped");
}

int encode_db_checksum(struct database *db, struct task *task, struct entry_list *entries,
                       uint64_t *out_checksum, struct error *err)
{
    const struct log_end *end = follower_end(db->follower);
    CLEANUP(mem_free) uint8_t *page = page_buffer_new(end->page_size, err);
    uint32_t lock_pgno = db_lock_pgno(end->page_size);
    uint64_t sum = LTX_CHECKSUM_FLAG;

    if (!page)
        return -1;
    for (uint32_t pgno = 1; pgno <= end->page_count; pgno++) {
        if (pgno == lock_pgno)
            continue;
        if (pgno % SPACE_CHECK_PAGES == 0 && task_is_canceled(task))
            return canceled(err);
        if (follower_page_read(db->follower, pgno, page, err) < 0)
            return -1;
        uint64_t checksum = ltx_page_checksum(pgno, slice_of(page, end->page_size));
        sum = ltx_db_checksum_toggle(sum, checksum);
        if (entries && entry_list_add(entries, pgno, checksum, err) < 0)
            return -1;
    }
    *out_checksum = sum;
    return 0;
}

/* ---- the batch ---- */

/* What one encoding works on; everything here goes back or away with it. */
struct encoding {
    struct chain *c;
    struct task *task;
    const struct log_end *end;
    struct page_set batch;
    uint8_t *page;
    bool has_map;         /* checksums of the acknowledged state are known */
    bool must_send_all;   /* no page is left out because the store has it already */
    uint64_t db_checksum; /* grows into that of the new state */
    struct crc64_length page_length;
    struct entry_list entries;
    struct page_set pages;
    /* The object, from its first page on. */
    struct ltx_header header;
    struct blob_writer file;
    struct ltx_writer writer;
};

static void encoding_destroy(struct encoding *e)
{
    ltx_writer_close(&e->writer);
    blob_writer_destroy(&e->file);
    page_set_destroy(&e->batch);
    page_set_destroy(&e->pages);
    entry_list_destroy(&e->entries);
    free(e->page);
}

/* Step 2. */
static int batch_collect(struct encoding *e, struct error *err)
{
    struct chain *c = e->c;

    e->batch = page_set_take(&c->dirty);
    if (c->needs_all) {
        if (page_set_add_range(&e->batch, 1, e->end->page_count, err) < 0)
            return -1;
    } else if (page_set_add_range(&e->batch, c->at.page_count + 1, e->end->page_count, err) < 0) {
        return -1;
    }
    page_set_cut(&e->batch, e->end->page_count);
    page_set_remove(&e->batch, db_lock_pgno(e->end->page_size));
    return 0;
}

/* Nothing is forgotten: what was taken is dirty again. */
static void batch_put_back(struct encoding *e)
{
    struct error ignored = ERROR_INIT;

    if (page_set_add_all(&e->c->dirty, &e->batch, &ignored) < 0)
        e->c->needs_difference = true; /* no memory for the set: the map will tell */
}

/* ---- the object ---- */

/* Grows along the chain, and over all chains of this database: it tells in which order the states
 * were that one owner sent to several destinations. */
static uint64_t timestamp_next(const struct chain *c)
{
    struct database *db = c->db;
    uint64_t now_ms = env_wall_ns(db->engine->env) / NS_PER_MS;
    uint64_t last_ms = c->timestamp_ms > db->timestamp_ms ? c->timestamp_ms : db->timestamp_ms;

    db->timestamp_ms = now_ms > last_ms ? now_ms : last_ms + 1;
    return db->timestamp_ms;
}

struct ltx_header encode_header_of_l0(struct chain *c, const struct log_end *end)
{
    bool is_same_log = memcmp(c->at.end.salt, end->salt, sizeof(end->salt)) == 0 &&
                       c->at.end.frame <= end->frame && c->at.end.page_size == end->page_size;
    uint32_t from = is_same_log ? c->at.end.frame : 0;
    int64_t offset = wal_frame_offset(end->page_size, (uint64_t)from + 1);

    return (struct ltx_header){
        .page_size = end->page_size,
        .commit = end->page_count,
        .min_txid = c->at.txid + 1,
        .max_txid = c->at.txid + 1,
        .timestamp_ms = (int64_t)timestamp_next(c),
        .wal_offset = offset,
        .wal_bytes = wal_frame_offset(end->page_size, (uint64_t)end->frame + 1) - offset,
        .wal_salt = {{end->salt[0], end->salt[1]}},
        .has_ext = true,
        .epoch = c->epoch,
        .owner = c->owner,
        .db_checksum = LTX_CHECKSUM_FLAG, /* step 4 */
        .wal_cksum = {{end->cksum[0], end->cksum[1]}},
    };
}

/* A big object is built in a file beside the database: the application's disk space goes first. */
static int space_check(struct database *db, uint64_t wanted_bytes, struct error *err)
{
    uint64_t free_bytes;
    uint64_t total;

    if (env_free_bytes(db->engine->env, db->path, &free_bytes, &total, err) < 0)
        return -1;
    if (free_bytes >= db->opt.reserve_bytes && free_bytes - db->opt.reserve_bytes >= wanted_bytes)
        return 0;
    (void)error_set(err, ERR_NO_SPACE, 0,
                    "an object of up to %" PRIu64 " bytes must be staged in %s, but only %" PRIu64
                    " bytes are free there and %" PRIu64 " are reserved for the application",
                    wanted_bytes, db->work_folder, free_bytes, db->opt.reserve_bytes);
    return error_hint(err, "free disk space, or set meta-path to a folder on a larger disk");
}

static int object_open(struct encoding *e, struct error *err)
{
    struct database *db = e->c->db;
    uint64_t bytes = (uint64_t)e->batch.page_count * e->end->page_size;

    if (bytes > BLOB_MEMORY_BYTES &&
        (env_mkdir_all(db->engine->env, db->work_folder, 0700, err) < 0 ||
         space_check(db, bytes / 4, err) < 0))
        return -1;
    e->header = encode_header_of_l0(e->c, e->end);
    blob_writer_init(&e->file, db->engine->env, db->work_folder, BLOB_MEMORY_BYTES);
    const struct ltx_writer_args args = {.header = e->header, .out = &e->file};
    return ltx_writer_open(&e->writer, &args, err);
}

/* Step 3 for a page that the store lacks. It is in e->page. */
static int object_add(struct encoding *e, uint32_t pgno, uint64_t page_crc, struct error *err)
{
    uint64_t checksum = ltx_page_checksum_of_crc(pgno, page_crc, &e->page_length);

    if (!e->writer.is_open && object_open(e, err) < 0)
        return -1;
    if (e->entries.count % SPACE_CHECK_PAGES == SPACE_CHECK_PAGES - 1 &&
        space_check(e->c->db, (uint64_t)SPACE_CHECK_PAGES * e->end->page_size, err) < 0)
        return -1;
    if (entry_list_add(&e->entries, pgno, checksum, err) < 0 ||
        page_set_add(&e->pages, pgno, err) < 0)
        return -1;
    return ltx_writer_page_summed(&e->writer, pgno, slice_of(e->page, e->end->page_size), page_crc,
                                  err);
}

/* Step 4. */
static int object_finish(struct encoding *e, struct outgoing *out, struct error *err)
{
    struct ltx_trailer trailer;

    if (!e->writer.is_open && object_open(e, err) < 0) /* a new size, and no page */
        return -1;
    if (ltx_writer_set_db_checksum(&e->writer, e->db_checksum, err) < 0)
        return -1;
    e->header = e->writer.header;
    if (ltx_writer_finish(&e->writer, 0, &trailer, err) < 0 ||
        blob_writer_finish(&e->file, &out->blob, err) < 0)
        return -1;
    out->header = e->header;
    out->file_checksum = trailer.file_checksum;
    return 0;
}

/* ---- from batch to object ---- */

/* Step 3 for up to FULL_BATCH_PAGES pages: their old checksums in one read, the pages one by one.
 */
static int encode_run(struct encoding *e, struct map_entry *run, size_t n, struct error *err)
{
    struct chain *c = e->c;

    if (e->has_map && page_map_read(&c->map, run, n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        uint32_t pgno = run[i].pgno;
        if (follower_page_read(c->db->follower, pgno, e->page, err) < 0)
            return -1;
        uint64_t page_crc = crc64(0, slice_of(e->page, e->end->page_size));
        uint64_t checksum = ltx_page_checksum_of_crc(pgno, page_crc, &e->page_length);
        bool is_growth = pgno > c->at.page_count;
        if (checksum == run[i].checksum && !e->must_send_all && !is_growth)
            continue;
        if (run[i].checksum)
            e->db_checksum = ltx_db_checksum_toggle(e->db_checksum, run[i].checksum);
        e->db_checksum = ltx_db_checksum_toggle(e->db_checksum, checksum);
        if (object_add(e, pgno, page_crc, err) < 0)
            return -1;
    }
    return 0;
}

/* The database got smaller: the checksums of the pages that went away go out of the sum. */
static int sum_shrink(struct encoding *e, struct map_entry *run, struct error *err)
{
    uint32_t pgno = e->end->page_count + 1;

    while (e->has_map && pgno <= e->c->map.state.page_count) {
        size_t n = 0;
        for (; n < FULL_BATCH_PAGES && pgno <= e->c->map.state.page_count; n++, pgno++)
            run[n] = (struct map_entry){.pgno = pgno};
        if (page_map_read(&e->c->map, run, n, err) < 0)
            return -1;
        for (size_t i = 0; i < n; i++) {
            if (run[i].checksum)
                e->db_checksum = ltx_db_checksum_toggle(e->db_checksum, run[i].checksum);
        }
    }
    return 0;
}

static int batch_write(struct encoding *e, struct error *err)
{
    CLEANUP(mem_free) struct map_entry *run = mem_new(FULL_BATCH_PAGES, sizeof(*run), err);
    size_t n = 0;

    if (!run)
        return -1;
    e->db_checksum = e->has_map ? e->c->map.state.db_checksum : LTX_CHECKSUM_FLAG;
    for (uint32_t pgno = page_set_next(&e->batch, 1); pgno;
         pgno = page_set_next(&e->batch, pgno + 1)) {
        run[n++] = (struct map_entry){.pgno = pgno};
        if (n < FULL_BATCH_PAGES)
            continue;
        if (task_is_canceled(e->task))
            return canceled(err);
        if (encode_run(e, run, n, err) < 0)
            return -1;
        n = 0;
    }
    if (encode_run(e, run, n, err) < 0)
        return -1;
    return sum_shrink(e, run, err);
}

/* ---- what proves that the object is ours ---- */

static struct map_state state_of_out(const struct chain *c)
{
    const struct outgoing *out = &c->out;

    return (struct map_state){
        .page_size = out->end.page_size,
        .page_count = out->end.page_count,
        .txid = out->header.max_txid,
        .file_checksum = out->file_checksum,
        .db_checksum = out->db_checksum,
        .epoch = c->epoch,
        .owner = c->owner,
        .end = out->end,
        .file_id = c->db->file_id,
    };
}

/* Step 5 for a full copy. */
static int next_map_write(struct chain *c, struct error *err)
{
    CLEANUP(page_map_close) struct page_map next = PAGE_MAP_INIT;
    struct map_state state = state_of_out(c);

    if (page_map_create(c->db->engine->env, c->next_map_path, c->db->path, state.page_size, &next,
                        err) < 0 ||
        page_map_write(&next, c->out.entries.entry, c->out.entries.count, err) < 0)
        return -1;
    return page_map_publish(&next, &state, err);
}

/* Step 5. */
static int proof_write(struct chain *c, struct error *err)
{
    if (c->out.has_every_page)
        return next_map_write(c, err);
    return page_map_set_pending(&c->map, c->out.header.max_txid, c->out.file_checksum, err);
}

/* The object is ready: everything that its acknowledgement needs moves into chain->out. */
static void outgoing_fill(struct encoding *e, struct outgoing *out)
{
    out->has_every_page = e->c->needs_all;
    out->bytes = out->blob.bytes;
    out->page_count = e->entries.count;
    out->entries = e->entries;
    e->entries = (struct entry_list){.entry = NULL};
    out->pages = page_set_take(&e->pages);
    out->end = *e->end;
    out->db_checksum = e->db_checksum;
}

static int encode_batch(struct encoding *e, enum encode_result *out_result, struct error *err)
{
    struct chain *c = e->c;

    if (c->needs_all && e->end->page_count == 0)
        return error_set(err, ERR_WRONG_STATE, 0, "%s: the database has no pages yet", c->db->path);
    if (batch_write(e, err) < 0)
        return -1;
    bool is_resized = e->end->page_count != c->at.page_count;
    if (e->entries.count == 0 && !is_resized && c->at.txid > 0 && !c->needs_all) {
        c->at.end = *e->end; /* commits that changed no page: the store has this state already */
        *out_result = ENCODE_NOTHING;
        return 0;
    }
    if (object_finish(e, &c->out, err) < 0)
        return -1;
    outgoing_fill(e, &c->out);
    if (proof_write(c, err) < 0) {
        blob_destroy(&c->out.blob);
        entry_list_destroy(&c->out.entries);
        page_set_destroy(&c->out.pages);
        return -1;
    }
    c->out.is_full = true;
    c->needs_all = false;
    c->must_send_dirty = false;
    *out_result = ENCODE_OBJECT;
    return 0;
}

/* The page size changed (journal mode was left, VACUUM, WAL again): a full copy, a new map. */
static void adopt_page_size(struct chain *c, const struct log_end *end)
{
    if (c->at.txid == 0 || c->at.page_size == end->page_size)
        return;
    page_map_close(&c->map);
    c->needs_all = true;
    c->needs_difference = false;
}

int encode_advance(struct chain *c, struct error *err)
{
    struct database *db = c->db;
    enum advance_result proof;

    if (follower_advance(db->follower, database_note, db, &proof, err) < 0)
        return -1;
    if (proof == ADVANCE_UNPROVEN)
        database_mark_unproven(db);
    adopt_page_size(c, follower_end(db->follower));
    return 0;
}

static int encode_next(struct chain *c, struct task *task, enum encode_result *out_result,
                       struct error *err)
{
    if (encode_advance(c, err) < 0)
        return -1;
    const struct log_end *end = follower_end(c->db->follower);
    if (c->needs_all && full_copy_is_possible(c, end)) {
        *out_result = ENCODE_COPY;
        return 0;
    }
    if (c->needs_difference && !c->needs_all) {
        *out_result = ENCODE_UNPROVEN;
        return 0;
    }
    c->needs_difference = false; /* a full copy needs no comparison */
    if (page_set_is_empty(&c->dirty) && !c->needs_all && end->page_count == c->at.page_count) {
        c->at.end = *end;
        *out_result = ENCODE_NOTHING;
        return 0;
    }
    CLEANUP(encoding_destroy)
    struct encoding e = {
        .c = c,
        .task = task,
        .end = end,
        .has_map = c->map.fd >= 0 && !c->needs_all,
        .must_send_all = c->must_send_dirty,
        .page = page_buffer_new(end->page_size, err),
        .page_length = crc64_length_of(end->page_size),
    };
    if (!e.page)
        return -1;
    if (batch_collect(&e, err) < 0 || encode_batch(&e, out_result, err) < 0) {
        batch_put_back(&e);
        return -1;
    }
    return 0;
}

void encode_work(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, encode_task);
    struct database *db = c->db;
    struct error *err = &db->task_err;

    error_clear(err);
    if (!db->follower || db->is_released) {
        (void)error_set(err, ERR_CANCELED, 0, "the database is not followed now");
        return;
    }
    c->out.started_ns = env_monotonic_ns(db->engine->env);
    if (encode_next(c, task, &c->encode_result, err) < 0)
        return;
    if (c->is_pin_wanted && c->encode_result != ENCODE_UNPROVEN) {
        struct log_end end;
        struct error ignored = ERROR_INIT;
        ASSERT(!c->has_pin);
        c->has_pin = follower_pin(db->follower, &end, &ignored) == 0; /* else: at the next ship */
    }
}

/* ---- the difference ---- */

static int difference_run(struct chain *c, struct map_entry *run, size_t n, uint8_t *page,
                          struct error *err)
{
    uint32_t page_size = follower_end(c->db->follower)->page_size;

    if (page_map_read(&c->map, run, n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (follower_page_read(c->db->follower, run[i].pgno, page, err) < 0)
            return -1;
        if (ltx_page_checksum(run[i].pgno, slice_of(page, page_size)) != run[i].checksum &&
            page_set_add(&c->dirty, run[i].pgno, err) < 0)
            return -1;
    }
    return 0;
}

static int difference_take(struct chain *c, struct task *task, struct error *err)
{
    struct database *db = c->db;
    enum advance_result proof;

    if (follower_advance(db->follower, database_note, db, &proof, err) < 0)
        return -1;
    if (proof == ADVANCE_UNPROVEN)
        database_mark_unproven(db);
    const struct log_end *end = follower_end(db->follower);
    if (c->map.fd < 0 || end->page_size != c->map.state.page_size) {
        c->needs_all = true; /* nothing to compare with */
        c->needs_difference = false;
        return 0;
    }
    CLEANUP(mem_free) struct map_entry *run = mem_new(FULL_BATCH_PAGES, sizeof(*run), err);
    CLEANUP(mem_free) uint8_t *page = run ? page_buffer_new(end->page_size, err) : NULL;
    uint32_t lock_pgno = db_lock_pgno(end->page_size);
    if (!page)
        return -1;
    size_t n = 0;
    for (uint32_t pgno = 1; pgno <= end->page_count; pgno++) {
        if (pgno != lock_pgno)
            run[n++] = (struct map_entry){.pgno = pgno};
        if (n < FULL_BATCH_PAGES && pgno < end->page_count)
            continue;
        if (task_is_canceled(task))
            return canceled(err);
        if (difference_run(c, run, n, page, err) < 0)
            return -1;
        n = 0;
    }
    c->needs_difference = false;
    return 0;
}

void difference_work(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, difference_task);

    error_clear(&c->db->task_err);
    if (!c->db->follower || c->db->is_released)
        (void)error_set(&c->db->task_err, ERR_CANCELED, 0, "the database is not followed now");
    else
        IGNORE(difference_take(c, task, &c->db->task_err)); /* done() looks at task_err */
}

/* ---- the commit of an acknowledged object ---- */

int encode_next_map_take(struct chain *c, struct error *err)
{
    const struct env *env = c->db->engine->env;
    struct error rename_err = ERROR_INIT;

    page_map_close(&c->map);
    if (env_rename(env, c->next_map_path, c->map_path, &rename_err) < 0 &&
        rename_err.code != ERR_NOT_FOUND) {
        *err = rename_err;
        return -1;
    }
    if (env_fsync_parent(env, c->map_path, err) < 0)
        return -1;
    return page_map_open(env, c->map_path, &c->map, err);
}

static int commit_out(struct chain *c, struct error *err)
{
    struct outgoing *out = &c->out;
    struct map_state state = state_of_out(c);

    if (!out->has_every_page && c->map.fd >= 0) {
        if (page_map_write(&c->map, out->entries.entry, out->entries.count, err) < 0 ||
            page_map_commit(&c->map, &state, err) < 0)
            return -1;
        if (strcmp(c->map.path, c->map_path) == 0)
            return 0;
    }
    /* A full copy's map, or that of a join: it takes the name now. */
    if (encode_next_map_take(c, err) < 0)
        return -1;
    if (c->map.state.txid == state.txid && c->map.state.file_checksum == state.file_checksum) {
        c->needs_all = false;
        return 0;
    }
    return error_set(err, ERR_CORRUPT, 0,
                     "page map %s: is at TXID %016" PRIx64 " instead of %016" PRIx64, c->map_path,
                     c->map.state.txid, state.txid);
}

void commit_work(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, commit_task);

    error_clear(&c->db->task_err);
    IGNORE(commit_out(c, &c->db->task_err)); /* done() looks at task_err */
}
