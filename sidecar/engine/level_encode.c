/*
 * The object of a level from the pinned state: steps 2 and 3 of level.c, and the end of the pin.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "lib/ltx/writer.h"
#include "lib/sqlite/db_header.h"
#include "sidecar/engine/level_internal.h"

/* One object under construction. Owner: task while level_task runs, else loop. */
struct level_job {
    unsigned level;
    struct map_state state; /* the pinned state */
    struct ltx_header header;
    struct blob_writer file;
    struct ltx_writer writer;
    uint8_t *page;
    struct map_entry *run;
    uint32_t next_pgno;
    bool is_complete;
    uint32_t rotten_pgno; /* a page that is not what was replicated, or cannot be read; 0: none */
    struct blob blob;
    struct error err;
};

static void level_job_free(struct level_job *job)
{
    if (!job)
        return;
    ltx_writer_close(&job->writer);
    blob_writer_destroy(&job->file);
    blob_destroy(&job->blob);
    free(job->page);
    free(job->run);
    free(job);
}
/* ---- the pin ends ---- */

static void unpin_work(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, unpin_task);

    if (c->has_pin && c->db->follower)
        follower_unpin(c->db->follower);
    c->has_pin = false;
}

void level_give_back(struct level_work *l, uint64_t txid)
{
    struct error err = ERROR_INIT;

    if (page_set_add_all(&l->changed, &l->taken, &err) < 0) {
        l->is_changed_known = false; /* no memory: the bucket's indexes will tell again */
        l->known_from_txid = txid;
    }
    page_set_clear(&l->taken);
}

/* Abandoned on the way: the one under construction, and those that still waited for their turn. */
static void jobs_abandon(struct chain *c)
{
    level_job_free(c->level_job);
    c->level_job = NULL;
    for (size_t i = 0; i < c->level_count; i++) {
        struct level_work *l = &c->levels[i];
        if (!l->is_encoding)
            continue;
        level_give_back(l, c->pinned.txid);
        l->is_encoding = false;
        if (c->state == CHAIN_FOLLOWING)
            level_put_off(l);
    }
}

static void unpin_done(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, unpin_task);
    struct database *db = c->db;

    jobs_abandon(c);
    c->is_pin_waiting = false;
    if (db->pin_holder == c)
        db->pin_holder = NULL;
    for (size_t i = 0; i < c->level_count && c->state == CHAIN_FOLLOWING; i++)
        level_arm_one(&c->levels[i]);
    for (size_t i = 0; i < db->chain_count; i++) {
        if (level_is_any_wanted(&db->chains[i]))
            chain_ship_soon(&db->chains[i]); /* somebody waited for the pin */
    }
    database_consider_checkpoint(db);
    engine_check_waits(db->engine);
}

void level_abandon(struct chain *c)
{
    if (c->db->pin_holder != c)
        return;
    for (size_t i = 0; i < c->level_count; i++) {
        if (c->levels[i].is_wanted)
            level_put_off(&c->levels[i]);
    }
    c->is_pin_waiting = false;
    task_queue_push(&c->db->queue, &c->unpin_task);
}

/* ---- steps 2 and 3: encoding ---- */

static int step_check(struct chain *c, struct level_job *job, uint32_t pgno, uint64_t found,
                      uint64_t expected, struct error *err)
{
    if (c->map.state.txid != job->state.txid || found == expected)
        return 0;
    job->rotten_pgno = pgno;
    (void)error_set(err, ERR_CORRUPT, 0,
                    "%s: page %" PRIu32 " is not what was replicated (checksum %016" PRIx64
                    ", the page map has %016" PRIx64 "): bit rot, or a write around SQLite",
                    c->db->path, pgno, found, expected);
    return error_hint(err, "run PRAGMA integrity_check; the replica still has the sound page");
}

/* The pages of the next step: all of them for a snapshot, those that changed for a compaction. */
static size_t step_pages(const struct chain *c, struct level_job *job)
{
    const struct page_set *taken = &level_of(c, job->level)->taken;
    uint32_t lock_pgno = db_lock_pgno(job->state.page_size);
    bool is_snapshot = job->level == LTX_LEVEL_SNAPSHOT;
    size_t n = 0;

    while (n < FULL_BATCH_PAGES && job->next_pgno) {
        uint32_t pgno = is_snapshot ? job->next_pgno : page_set_next(taken, job->next_pgno);
        if (pgno == 0 || pgno > job->state.page_count) {
            job->next_pgno = 0;
            break;
        }
        if (pgno != lock_pgno)
            job->run[n++] = (struct map_entry){.pgno = pgno};
        job->next_pgno = pgno + 1;
    }
    return n;
}

static int step_run(struct chain *c, struct level_job *job, struct error *err)
{
    for (unsigned done = 0; done < LEVEL_STEP_PAGES && job->next_pgno; done += FULL_BATCH_PAGES) {
        size_t n = step_pages(c, job);
        if (page_map_read(&c->map, job->run, n, err) < 0)
            return -1;
        for (size_t i = 0; i < n; i++) {
            uint32_t pgno = job->run[i].pgno;
            struct slice page = slice_of(job->page, job->state.page_size);
            if (follower_page_read_pinned(c->db->follower, pgno, job->page, err) < 0) {
                job->rotten_pgno = err->code == ERR_IO ? pgno : 0;
                return -1;
            }
            uint64_t page_crc = crc64(0, page);
            uint64_t checksum = ltx_page_checksum_of_crc(pgno, page_crc, &job->writer.page_length);
            if (step_check(c, job, pgno, checksum, job->run[i].checksum, err) < 0 ||
                ltx_writer_page_summed(&job->writer, pgno, page, page_crc, err) < 0)
                return -1;
        }
    }
    return 0;
}

static int step_finish(struct level_job *job, struct error *err)
{
    if (ltx_writer_finish(&job->writer, 0, NULL, err) < 0 ||
        blob_writer_finish(&job->file, &job->blob, err) < 0)
        return -1;
    job->is_complete = true;
    return 0;
}

static int space_is_enough(struct database *db, struct error *err)
{
    uint64_t free_bytes;
    uint64_t total;

    if (env_free_bytes(db->engine->env, db->path, &free_bytes, &total, err) < 0)
        return -1;
    if (free_bytes > db->opt.reserve_bytes)
        return 0;
    return error_set(err, ERR_NO_SPACE, 0,
                     "disk space near %s is down to the reserve of %" PRIu64
                     " bytes: the compaction is put off",
                     db->path, db->opt.reserve_bytes);
}

static void level_work_step(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, level_task);
    struct level_job *job = c->level_job;

    if (!job || !c->db->follower || !c->has_pin)
        return; /* abandoned meanwhile */
    struct error *err = &job->err;
    error_clear(err);
    if (space_is_enough(c->db, err) < 0)
        return;
    if (!job->writer.is_open) {
        const struct ltx_writer_args args = {.header = job->header, .out = &job->file};
        if (env_mkdir_all(c->db->engine->env, c->db->work_folder, 0700, err) < 0 ||
            ltx_writer_open(&job->writer, &args, err) < 0)
            return;
    }
    if (step_run(c, job, err) < 0 || job->next_pgno)
        return;
    IGNORE(step_finish(job, err)); /* done() looks at job->err */
}

static struct ltx_header header_of_level(const struct chain *c, const struct level_work *l,
                                         const struct map_state *state)
{
    return (struct ltx_header){
        .page_size = state->page_size,
        .commit = state->page_count,
        .min_txid = l->level == LTX_LEVEL_SNAPSHOT ? 1 : l->boundary_txid + 1,
        .max_txid = state->txid,
        .timestamp_ms = (int64_t)c->pinned_timestamp_ms,
        .has_ext = true,
        .epoch = c->epoch,
        .owner = c->owner,
        .db_checksum = state->db_checksum,
        .wal_cksum = {{state->end.cksum[0], state->end.cksum[1]}},
    };
}

static struct level_job *level_job_new(struct level_work *l, struct error *err)
{
    struct chain *c = l->chain;
    struct level_job *job = mem_new(1, sizeof(*job), err);

    if (!job)
        return NULL;
    job->level = l->level;
    job->state = c->pinned;
    job->header = header_of_level(c, l, &job->state);
    job->blob.fd = -1;
    job->next_pgno = 1;
    blob_writer_init(&job->file, c->db->engine->env, c->db->work_folder, BLOB_MEMORY_BYTES);
    job->page = mem_new(1, job->state.page_size, err);
    job->run = job->page ? mem_new(FULL_BATCH_PAGES, sizeof(*job->run), err) : NULL;
    if (!job->run) {
        level_job_free(job);
        return NULL;
    }
    return job;
}

/*
 * Joins the pinned state with the pages that changed up to it. Only in the moment in which that
 * state is acknowledged: later, what changed behind it would count as written, too.
 */
static void level_join(struct level_work *l)
{
    const struct chain *c = l->chain;
    bool is_snapshot = l->level == LTX_LEVEL_SNAPSHOT;
    uint64_t min_txid = is_snapshot ? 1 : l->boundary_txid + 1;

    l->is_wanted = false;
    if (min_txid > c->pinned.txid || (!is_snapshot && !l->is_changed_known) ||
        inventory_find(&c->inv, l->level, min_txid, c->pinned.txid))
        return;
    loop_timer_stop(&l->timer);
    page_set_destroy(&l->taken);
    l->taken = page_set_take(&l->changed);
    page_set_cut(&l->taken, c->pinned.page_count);
    l->is_encoding = true;
}

/* The next level that has joined the pinned state; the pin goes when there is none. */
static void level_next(struct chain *c)
{
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < c->level_count; i++) {
        if (!c->levels[i].is_encoding)
            continue;
        c->level_job = level_job_new(&c->levels[i], &err);
        if (c->level_job) {
            task_queue_push(&c->db->queue, &c->level_task);
            return;
        }
        fault_note(c->db->engine, &c->fault, "compaction", c->db->path, c->name, &err);
        break;
    }
    task_queue_push(&c->db->queue, &c->unpin_task);
}

void level_state_pinned(struct chain *c)
{
    ASSERT(!c->level_job);
    ASSERT(c->db->pin_holder == c);
    c->is_pin_waiting = false;
    c->pinned = c->at;
    c->pinned_timestamp_ms = c->timestamp_ms;
    for (size_t i = 0; i < c->level_count; i++) {
        if (c->levels[i].is_wanted)
            level_join(&c->levels[i]);
    }
    level_next(c);
}

/* The page is told, and the object comes from the bucket. False: not now. */
static bool merge_instead(struct chain *c, struct level_job *job)
{
    struct level_work *l = level_of(c, job->level);
    struct error err = ERROR_INIT;

    c->rotten_pages_total++;
    c->rotten_pgno = job->rotten_pgno;
    c->rotten_at_ns = env_wall_ns(c->db->engine->env);
    if (level_merge_start(l, &job->state, &err) < 0) {
        LOG_WARN(c->db->engine->log, "level object cannot be merged from downloads",
                 LOG_STR("db", c->db->path), LOG_STR("destination", c->name),
                 LOG_U64("ltx_level", l->level), LOG_ERR(&err));
        return false;
    }
    fault_note(c->db->engine, &c->fault, "page of the database is damaged", c->db->path, c->name,
               &job->err);
    l->is_encoding = false;
    level_job_free(job);
    c->level_job = NULL;
    return true;
}

static void level_step_done(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, level_task);
    struct level_job *job = c->level_job;

    if (!chain_goes_on(c) || !job || task_is_pending(&c->unpin_task))
        return; /* abandoned: unpin_done() or level_destroy() cleans up */
    if (job->rotten_pgno && merge_instead(c, job)) {
        level_next(c);
        return;
    }
    if (job->err.code != ERR_NONE) {
        level_of(c, job->level)->failures++;
        if (job->err.code != ERR_CANCELED)
            fault_note(c->db->engine, &c->fault, "compaction", c->db->path, c->name, &job->err);
        level_abandon(c);
        return;
    }
    if (!job->is_complete) {
        task_queue_push(&c->db->queue, task);
        return;
    }
    struct level_work *l = level_of(c, job->level);
    l->is_encoding = false;
    l->is_uploading = true;
    l->header = job->header;
    l->blob = job->blob;
    job->blob = (struct blob)BLOB_INIT;
    level_job_free(job);
    c->level_job = NULL;
    level_upload_start(l);
    level_next(c);
}

/* ---- life ---- */

void level_encode_init(struct chain *c)
{
    c->level_task =
        (struct task){.work = level_work_step, .done = level_step_done, .urgency = TASK_BACKGROUND};
    c->unpin_task = (struct task){.work = unpin_work, .done = unpin_done, .urgency = TASK_URGENT};
}

void level_encode_destroy(struct chain *c)
{
    level_job_free(c->level_job);
    c->level_job = NULL;
}
