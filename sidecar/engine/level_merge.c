/*
 * The object of a level by download: when a page of the database is not what was replicated, the
 * sound one still lies in the bucket. The object is merged from those of lower levels then, and the
 * fault of the disk does not spread into the replica.
 *
 *   1. *Cover*: the next MERGE_OBJECTS_MAX objects that lead from the level's boundary (a snapshot:
 *      from nothing, with the newest full copy) to the state that was pinned are fetched.
 *   2. *Merge*, on a worker: what was merged before, and these; each is read whole, so each is
 *      verified. Back to 1 until the state is reached.
 *   3. *Proof*: the object ends at the state. A snapshot has all pages, so their checksums must be
 *      the state's.
 *
 * Memory: a few MiB, whatever the number of objects and their size; the rest is in files of the work
 * folder, as long as the reserve of free disk space is not touched. The pin is not needed: it goes.
 *
 * A failure leaves the level due, to be tried again as after any other.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "lib/ltx/merge.h"
#include "lib/ltx/reader.h"
#include "sidecar/engine/cover.h"
#include "sidecar/engine/level_internal.h"

enum {
    MERGE_OBJECTS_MAX = 16,         /* fetched and merged at a time */
    MERGE_MEMORY_BYTES = 256 << 10, /* of each that is kept in memory */
    MERGE_INPUTS_MAX = MERGE_OBJECTS_MAX + 1,
};

struct level_merge {
    struct job job;
    struct level_work *l;
    struct map_state state;              /* that the object leads to */
    struct cover *cover;                 /* NULL: a job is under way */
    struct blob input[MERGE_INPUTS_MAX]; /* oldest first; the first: what was merged before */
    size_t input_count;
    struct blob merged; /* by the job */
    struct ltx_header header;
    uint64_t at_txid; /* reached so far */
    struct error err; /* of the job */
};

static void inputs_drop(struct level_merge *m)
{
    for (size_t i = 0; i < m->input_count; i++)
        blob_destroy(&m->input[i]);
    m->input_count = 0;
}

static void merge_free(struct level_merge *m)
{
    m->l->merge = NULL;
    inputs_drop(m);
    blob_destroy(&m->merged);
    free(m);
}

static void merge_fail(struct level_merge *m, const struct error *err)
{
    struct level_work *l = m->l;
    struct chain *c = l->chain;
    uint64_t txid = m->state.txid;

    merge_free(m);
    l->failures++;
    fault_note(c->db->engine, &c->fault, "compaction by download", c->db->path, c->name, err);
    level_give_back(l, txid);
    level_put_off(l);
    engine_check_waits(c->db->engine);
}

/* ---- step 2: worker ---- */

/* The state's checksum is that of all its pages. */
static int snapshot_prove(const struct level_merge *m, struct error *err)
{
    CLEANUP(ltx_reader_close) struct ltx_reader r = {.blob = NULL};
    const struct ltx_reader_args args = {.blob = &m->merged};
    uint64_t sum = LTX_CHECKSUM_FLAG;
    uint32_t pgno;
    struct slice page;
    int rc;

    if (ltx_reader_open(&r, &args, err) < 0)
        return -1;
    while ((rc = ltx_reader_next(&r, &pgno, &page, err)) > 0)
        sum = ltx_db_checksum_toggle(sum, ltx_page_checksum(pgno, page));
    if (rc < 0 || sum == m->state.db_checksum)
        return rc;
    return error_set(err, ERR_CORRUPT, 0,
                     "the merged snapshot has database checksum %016" PRIx64
                     ", the state that was replicated has %016" PRIx64,
                     sum, m->state.db_checksum);
}

static int object_prove(const struct level_merge *m, struct error *err)
{
    const struct ltx_header *h = &m->header;

    if (h->max_txid < m->state.txid)
        return 0; /* not there yet */
    if (h->max_txid != m->state.txid || !h->has_ext || h->db_checksum != m->state.db_checksum ||
        h->commit != m->state.page_count) {
        return error_set(err, ERR_CORRUPT, 0,
                         "the objects of the bucket do not lead to TXID %016" PRIx64,
                         m->state.txid);
    }
    return m->l->level == LTX_LEVEL_SNAPSHOT ? snapshot_prove(m, err) : 0;
}

static int readers_merge(struct level_merge *m, struct ltx_reader *readers, struct error *err)
{
    const struct database *db = m->l->chain->db;
    struct ltx_reader *inputs[MERGE_INPUTS_MAX];
    CLEANUP(blob_writer_destroy) struct blob_writer out;
    struct ltx_merge_result result;

    blob_writer_init(&out, db->engine->env, db->work_folder, BLOB_MEMORY_BYTES);
    for (size_t i = 0; i < m->input_count; i++) {
        const struct ltx_reader_args args = {.blob = &m->input[i]};
        inputs[i] = &readers[i];
        if (ltx_reader_open(&readers[i], &args, err) < 0)
            return -1;
    }
    const struct ltx_merge_args args = {
        .inputs = inputs, .input_count = m->input_count, .out = &out};
    if (ltx_merge(&args, &result, err) < 0 || blob_writer_finish(&out, &m->merged, err) < 0)
        return -1;
    m->header = result.header;
    return object_prove(m, err);
}

static void merge_work(struct job *job)
{
    struct level_merge *m = CONTAINER_OF(job, struct level_merge, job);
    struct ltx_reader readers[MERGE_INPUTS_MAX] = {{.blob = NULL}};

    IGNORE(readers_merge(m, readers, &m->err)); /* done looks at m->err */
    for (size_t i = 0; i < m->input_count; i++)
        ltx_reader_close(&readers[i]);
}

/* ---- steps 1 and 3: loop ---- */

static int cover_next(struct level_merge *m, struct error *err);

static void merge_finish(struct level_merge *m)
{
    struct level_work *l = m->l;
    struct chain *c = l->chain;

    l->header = m->header;
    l->blob = m->merged;
    m->merged = (struct blob)BLOB_INIT;
    merge_free(m);
    l->is_uploading = true;
    c->merges_total++;
    LOG_INFO(c->db->engine->log, "level object merged from downloads", LOG_STR("db", c->db->path),
             LOG_STR("destination", c->name), LOG_U64("ltx_level", l->level),
             LOG_U64("min_txid", l->header.min_txid), LOG_U64("max_txid", l->header.max_txid));
    level_upload_start(l);
}

static void merge_done(struct job *job)
{
    struct level_merge *m = CONTAINER_OF(job, struct level_merge, job);
    struct chain *c = m->l->chain;
    struct error err = m->err;

    inputs_drop(m);
    if (c->state != CHAIN_FOLLOWING) {
        merge_free(m);
        engine_check_waits(c->db->engine);
        return;
    }
    m->at_txid = m->header.max_txid;
    if (err.code == ERR_NONE && m->at_txid >= m->state.txid) {
        merge_finish(m);
        return;
    }
    if (err.code == ERR_NONE) {
        m->input[m->input_count++] = m->merged;
        m->merged = (struct blob)BLOB_INIT;
    }
    if (err.code != ERR_NONE || cover_next(m, &err) < 0)
        merge_fail(m, &err);
}

static void cover_on_done(void *arg, struct cover_result *result, const struct error *err)
{
    struct level_merge *m = arg;

    m->cover = NULL;
    if (err->code != ERR_NONE) {
        merge_fail(m, err);
        return;
    }
    ASSERT(m->input_count + result->blob_count <= ARRAY_LEN(m->input));
    for (size_t i = 0; i < result->blob_count; i++)
        m->input[m->input_count++] = result->blobs[i];
    result->blob_count = 0;
    error_clear(&m->err);
    job_submit(m->l->chain->db->engine->loop, &m->job, merge_work, merge_done);
}

/* Inputs and output of a round lie side by side: the reserve belongs to the application. */
static int space_left(const struct database *db, uint64_t *out_bytes, struct error *err)
{
    uint64_t free_bytes;
    uint64_t total;

    if (env_free_bytes(db->engine->env, db->path, &free_bytes, &total, err) < 0)
        return -1;
    *out_bytes = free_bytes > db->opt.reserve_bytes ? (free_bytes - db->opt.reserve_bytes) / 2 : 0;
    if (*out_bytes)
        return 0;
    return error_set(err, ERR_NO_SPACE, 0, "disk space near %s is down to the reserve", db->path);
}

static int cover_next(struct level_merge *m, struct error *err)
{
    struct chain *c = m->l->chain;
    uint64_t space_bytes = 0;

    if (space_left(c->db, &space_bytes, err) < 0)
        return -1;
    const struct cover_args args = {
        .storage = c->storage,
        .inventory = &c->inv,
        .after_txid = m->at_txid,
        .to_txid = m->state.txid,
        .kind = COVER_OBJECTS,
        .object_count_max = MERGE_OBJECTS_MAX,
        .bytes_max = space_bytes,
        .memory_bytes_max = MERGE_MEMORY_BYTES,
        .env = c->db->engine->env,
        .work_folder = c->db->work_folder,
    };
    if (cover_start(&args, cover_on_done, m, &m->cover, err) == 0)
        return 0;
    m->cover = NULL;
    return -1;
}

int level_merge_start(struct level_work *l, const struct map_state *state, struct error *err)
{
    struct level_merge *m = mem_new(1, sizeof(*m), err);

    ASSERT(!l->merge);
    if (!m)
        return -1;
    m->l = l;
    m->state = *state;
    m->merged.fd = -1;
    m->at_txid = l->level == LTX_LEVEL_SNAPSHOT ? 0 : l->boundary_txid;
    l->merge = m;
    if (cover_next(m, err) == 0)
        return 0;
    merge_free(m);
    return -1;
}

void level_merge_stop(struct level_work *l)
{
    struct level_merge *m = l->merge;

    if (!m || !m->cover)
        return; /* a job that is under way ends by itself, and its done frees */
    cover_cancel(m->cover);
    merge_free(m);
}
