/*
 * Levels: compactions L1..L8 and snapshots L9, made from the local database, not from downloads.
 *
 *   1. A level is *due* some time after the first change since its newest object (its boundary), a
 *      snapshot some time after the newest full copy. Jitter by the database's name keeps a fleet
 *      from firing at the same instant.
 *   2. The next encode *pins* the state that it leads to. Once the store has acknowledged that
 *      state (TXID b), the pages that changed since the boundary are read as they are there, in
 *      steps between other tasks, so commits go on being shipped meanwhile.
 *   3. While the map still stands at b, each page is checked against it: bit rot under our feet is
 *      found here, not at the restore.
 *   4. All levels that are due are cut at the same b. Then the pin goes, and the objects are
 *      uploaded beside L0.
 *
 * After a restart the pages between a level's boundary and the tip are fetched from the page
 * indexes of the objects in between (cover.h), when the level is due and not before.
 *
 * If the store goes away while a state is pinned, the pin is dropped at once: it would hold back
 * the log. The level stays due.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ltx/crc64.h"
#include "lib/ltx/writer.h"
#include "lib/sqlite/db_header.h"
#include "sidecar/engine/cover.h"
#include "sidecar/engine/engine_internal.h"

static const uint64_t retry_base_ns = 5 * NS_PER_SEC;
static const uint64_t upload_retry_ceiling_ns = NS_PER_MIN;
/* A page that cannot be read, or is not what it was, needs a person: each try reads on and on. */
static const uint64_t encode_retry_ceiling_ns = NS_PER_HOUR;

enum {
    COVER_FAILURES_MAX = 3, /* of objects that are damaged or gone, before a level begins anew */
};

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

static bool level_is_configured(const struct chain *c, unsigned level)
{
    if (level == LTX_LEVEL_SNAPSHOT)
        return c->opt.snapshot_interval_ns > 0;
    return level >= 1 && level <= ENGINE_LEVELS_MAX && c->opt.level_interval_ns[level - 1] > 0;
}

/* NULL: a level that this chain does not have. */
static struct level_work *level_of(const struct chain *c, unsigned level)
{
    for (size_t i = 0; i < c->level_count; i++) {
        if (c->levels[i].level == level)
            return &c->levels[i];
    }
    return NULL;
}

/* ---- step 1: when ---- */

/* Up to a tenth of the interval, the same for a database each time. */
static uint64_t jitter_ns(const struct chain *c, uint64_t interval_ns)
{
    uint64_t hash = crc64(0, slice_of_str(c->db->path));
    return interval_ns / 10 > 0 ? hash % (interval_ns / 10) : 0;
}

static uint64_t level_delay_ns(const struct chain *c, const struct level_work *l)
{
    if (l->level == LTX_LEVEL_SNAPSHOT) {
        uint64_t now = env_wall_ns(c->db->engine->env);
        uint64_t due = l->due_ns + jitter_ns(c, c->opt.snapshot_interval_ns);
        return due > now ? due - now : 0;
    }
    uint64_t interval = c->opt.level_interval_ns[l->level - 1];
    return interval - jitter_ns(c, interval);
}

static uint64_t retry_delay_ns(const struct level_work *l, uint64_t ceiling_ns)
{
    uint64_t delay = retry_base_ns;

    for (unsigned i = 1; i < l->failures && delay < ceiling_ns; i++)
        delay *= 2;
    return delay < ceiling_ns ? delay : ceiling_ns;
}

/* Stays wanted, but not at once. */
static void level_put_off(struct level_work *l)
{
    l->is_wanted = false;
    l->is_put_off = true;
    loop_timer_start(&l->timer, retry_delay_ns(l, encode_retry_ceiling_ns));
}

static bool level_has_news(const struct level_work *l)
{
    return l->chain->at.txid > l->boundary_txid;
}

static void level_arm_one(struct level_work *l)
{
    const struct chain *c = l->chain;

    if (!level_is_configured(c, l->level) || !level_has_news(l) || l->is_wanted || l->is_encoding ||
        l->is_uploading || loop_timer_is_armed(&l->timer))
        return;
    loop_timer_start(&l->timer, level_delay_ns(c, l));
}

static void cover_on_done(void *arg, struct cover_result *result, const struct error *err);

/* What lies between boundary and tip is gone or damaged: the level begins anew behind a snapshot.
 */
static void level_begin_anew(struct level_work *l, const struct error *err)
{
    struct chain *c = l->chain;

    LOG_WARN(c->db->engine->log, "level begins anew behind a snapshot", LOG_STR("db", c->db->path),
             LOG_STR("destination", c->name), LOG_U64("ltx_level", l->level), LOG_ERR(err));
    l->boundary_txid = l->known_from_txid;
    l->is_changed_known = true;
    l->failures = 0;
    level_want(c, LTX_LEVEL_SNAPSHOT);
}

/* The pages between boundary and the start of this process, from the bucket. */
static void level_learn(struct level_work *l)
{
    struct chain *c = l->chain;
    struct error err = ERROR_INIT;
    const struct cover_args args = {
        .storage = c->storage,
        .inventory = &c->inv,
        .after_txid = l->boundary_txid,
        .to_txid = l->known_from_txid,
        .kind = COVER_PAGES,
        .env = c->db->engine->env,
        .work_folder = c->db->work_folder,
    };

    if (l->cover)
        return;
    if (cover_start(&args, cover_on_done, l, &l->cover, &err) == 0)
        return;
    l->cover = NULL;
    if (err.code == ERR_NO_MEMORY)
        level_put_off(l);
    else
        level_begin_anew(l, &err);
}

static void cover_on_done(void *arg, struct cover_result *result, const struct error *err)
{
    struct level_work *l = arg;
    struct chain *c = l->chain;
    struct error set_err = *err;

    l->cover = NULL;
    if (set_err.code == ERR_NONE && page_set_add_all(&l->changed, &result->pages, &set_err) == 0) {
        l->is_changed_known = true;
        l->failures = 0;
        level_want(c, l->level);
        return;
    }
    l->failures++;
    /* An object may have been deleted since the plan was made: the next one knows. */
    if ((set_err.code == ERR_NOT_FOUND || set_err.code == ERR_CORRUPT) &&
        l->failures >= COVER_FAILURES_MAX) {
        level_begin_anew(l, &set_err);
        return;
    }
    fault_note(c->db->engine, &c->fault, "page indexes for a compaction", c->db->path, c->name,
               &set_err);
    level_put_off(l);
}

static void upload_start(struct level_work *l);

/* The object under way is dropped: whoever attaches next finds out what is missing. */
static void upload_drop(struct level_work *l)
{
    blob_destroy(&l->blob);
    l->is_uploading = false;
}

static void level_on_timer(void *arg)
{
    struct level_work *l = arg;

    if (l->chain->state != CHAIN_FOLLOWING) {
        upload_drop(l);
        return;
    }
    if (l->is_uploading)
        upload_start(l);
    else if (l->is_put_off || level_has_news(l))
        level_want(l->chain, l->level);
}

void level_want(struct chain *c, unsigned level)
{
    struct level_work *l = level_of(c, level);

    if (!l || l->is_encoding || l->is_uploading || c->state != CHAIN_FOLLOWING)
        return;
    l->is_put_off = false;
    if (level != LTX_LEVEL_SNAPSHOT && !l->is_changed_known) {
        level_learn(l);
        return;
    }
    l->is_wanted = true;
    chain_ship_soon(c);
}

bool level_is_any_wanted(const struct chain *c)
{
    for (size_t i = 0; i < c->level_count; i++) {
        if (c->levels[i].is_wanted)
            return true;
    }
    return false;
}

void level_reserve_pin(struct chain *c)
{
    if (!level_is_any_wanted(c) || c->db->pin_holder || c->level_job)
        return;
    c->db->pin_holder = c;
    c->is_pin_wanted = true;
}

/* ---- the pin ends ---- */

static void unpin_work(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, unpin_task);

    if (c->has_pin && c->db->follower)
        follower_unpin(c->db->follower);
    c->has_pin = false;
}

/* Abandoned on the way: its pages count as changed again. */
static void job_abandon(struct chain *c)
{
    struct level_work *l = level_of(c, c->level_job->level);
    struct error err = ERROR_INIT;

    if (page_set_add_all(&l->changed, &l->taken, &err) < 0) {
        l->is_changed_known = false; /* no memory: the bucket's indexes will tell again */
        l->known_from_txid = c->level_job->state.txid;
    }
    page_set_clear(&l->taken);
    l->is_encoding = false;
    level_job_free(c->level_job);
    c->level_job = NULL;
    if (c->state == CHAIN_FOLLOWING)
        level_put_off(l);
}

static void unpin_done(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, unpin_task);
    struct database *db = c->db;

    if (c->level_job)
        job_abandon(c);
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

static int step_check(struct chain *c, const struct level_job *job, uint32_t pgno, uint64_t found,
                      uint64_t expected, struct error *err)
{
    if (c->map.state.txid != job->state.txid || found == expected)
        return 0;
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
            if (follower_page_read_pinned(c->db->follower, pgno, job->page, err) < 0)
                return -1;
            uint64_t checksum = ltx_page_checksum(pgno, page);
            if (step_check(c, job, pgno, checksum, job->run[i].checksum, err) < 0 ||
                ltx_writer_page_summed(&job->writer, pgno, page, checksum, err) < 0)
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

/* The next level that is due at the pinned state; the pin goes when there is none. */
static void level_next(struct chain *c)
{
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < c->level_count; i++) {
        struct level_work *l = &c->levels[i];
        unsigned level = l->level;
        if (!l->is_wanted)
            continue;
        l->is_wanted = false;
        if (level != LTX_LEVEL_SNAPSHOT && c->pinned.txid <= l->boundary_txid)
            continue;
        if (inventory_find(&c->inv, level, level == LTX_LEVEL_SNAPSHOT ? 1 : l->boundary_txid + 1,
                           c->pinned.txid))
            continue;
        c->level_job = level_job_new(l, &err);
        if (!c->level_job) {
            fault_note(c->db->engine, &c->fault, "compaction", c->db->path, c->name, &err);
            break;
        }
        loop_timer_stop(&l->timer);
        page_set_destroy(&l->taken);
        l->taken = page_set_take(&l->changed);
        page_set_cut(&l->taken, c->pinned.page_count);
        l->is_encoding = true;
        task_queue_push(&c->db->queue, &c->level_task);
        return;
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
    level_next(c);
}

static void level_step_done(struct task *task)
{
    struct chain *c = CONTAINER_OF(task, struct chain, level_task);
    struct level_job *job = c->level_job;

    if (!chain_goes_on(c) || !job || task_is_pending(&c->unpin_task))
        return; /* abandoned: unpin_done() or level_destroy() cleans up */
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
    upload_start(l);
    level_next(c);
}

/* ---- step 4: uploading ---- */

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
        upload_drop(l);
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
    loop_timer_start(&l->timer, retry_delay_ns(l, upload_retry_ceiling_ns));
}

static void upload_start(struct level_work *l)
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
        loop_timer_start(&l->timer, retry_delay_ns(l, upload_retry_ceiling_ns));
    }
}

/* ---- life ---- */

int level_init(struct chain *c, struct error *err)
{
    /* Snapshots can be asked for also where none are made by time. */
    for (unsigned level = 1; level < LTX_LEVELS; level++)
        c->level_count += level_is_configured(c, level) || level == LTX_LEVEL_SNAPSHOT;
    c->levels = mem_new(c->level_count, sizeof(*c->levels), err);
    if (!c->levels) {
        c->level_count = 0;
        return -1;
    }
    struct level_work *l = c->levels;
    for (unsigned level = 1; level < LTX_LEVELS; level++) {
        if (!level_is_configured(c, level) && level != LTX_LEVEL_SNAPSHOT)
            continue;
        l->chain = c;
        l->level = level;
        l->blob.fd = -1;
        loop_timer_init(&l->timer, c->db->engine->loop, level_on_timer, l);
        l++;
    }
    c->level_task =
        (struct task){.work = level_work_step, .done = level_step_done, .urgency = TASK_BACKGROUND};
    c->unpin_task = (struct task){.work = unpin_work, .done = unpin_done, .urgency = TASK_URGENT};
    return 0;
}

/* The newest full copy, of whatever level: where restores can begin. */
static const struct inventory_object *newest_base(const struct inventory *inv)
{
    const struct inventory_object *best = NULL;

    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        for (size_t i = inv->level[level].object_count; i-- > 0;) {
            const struct inventory_object *o = &inv->level[level].object[i];
            if (o->min_txid != 1)
                continue;
            if (!best || o->max_txid > best->max_txid)
                best = o;
            break;
        }
    }
    return best;
}

void level_arm(struct chain *c)
{
    const struct inventory_object *base = newest_base(&c->inv);
    uint64_t base_txid = base ? base->max_txid : 0;

    for (size_t i = 0; i < c->level_count; i++) {
        struct level_work *l = &c->levels[i];
        const struct inventory_object *newest = inventory_newest(&c->inv, l->level);
        l->boundary_txid = newest ? newest->max_txid : base_txid;
        if (l->boundary_txid > c->at.txid)
            l->boundary_txid = c->at.txid;
        l->known_from_txid = c->at.txid;
        l->is_changed_known = l->boundary_txid == c->at.txid;
        l->failures = 0;
        page_set_clear(&l->changed);
        page_set_clear(&l->taken); /* of an object that was dropped */
        if (l->level == LTX_LEVEL_SNAPSHOT)
            l->due_ns = base ? base->timestamp_ns + c->opt.snapshot_interval_ns : 0;
        level_arm_one(l);
    }
}

void level_object_acknowledged(struct chain *c)
{
    const struct outgoing *out = &c->out;
    bool is_base = out->header.min_txid == 1;
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < c->level_count; i++) {
        struct level_work *l = &c->levels[i];
        if (out->has_every_page) {
            /* Levels begin behind a full copy; none crosses a change of the page size. */
            page_set_clear(&l->changed);
            l->boundary_txid = out->header.max_txid;
            l->is_changed_known = true;
            if (l->level == LTX_LEVEL_SNAPSHOT && is_base)
                l->due_ns = ltx_header_time_ns(&out->header) + c->opt.snapshot_interval_ns;
        } else if (l->level != LTX_LEVEL_SNAPSHOT &&
                   page_set_add_all(&l->changed, &out->pages, &err) < 0) {
            l->is_changed_known = false; /* no memory: the bucket's indexes will tell */
            l->known_from_txid = out->header.max_txid;
        }
        level_arm_one(l);
    }
    /* What lies before may have another page size, or holes: restores need a place to begin. */
    if (out->has_every_page && !is_base) {
        c->owed_txid = c->opt.snapshot_interval_ns > 0 ? out->header.max_txid : 0;
        level_want(c, LTX_LEVEL_SNAPSHOT);
    }
}

void level_stop(struct chain *c)
{
    for (size_t i = 0; i < c->level_count; i++) {
        struct level_work *l = &c->levels[i];
        loop_timer_stop(&l->timer);
        cover_cancel(TAKE(l->cover));
        l->is_wanted = false;
        l->is_put_off = false;
        if (l->op)
            storage_cancel(l->op); /* its done drops the object */
        else
            upload_drop(l);
    }
    c->is_pin_waiting = false;
    if (c->db->pin_holder == c)
        task_queue_push(&c->db->queue, &c->unpin_task);
}

bool level_is_busy(const struct chain *c)
{
    for (size_t i = 0; i < c->level_count; i++) {
        const struct level_work *l = &c->levels[i];
        /* Stopped: nobody goes on with what was being encoded, level_destroy() frees it. */
        if ((l->is_encoding && c->state != CHAIN_STOPPED) || l->is_uploading || l->op)
            return true;
    }
    return task_is_pending(&c->level_task) || task_is_pending(&c->unpin_task);
}

bool level_is_wanted_or_busy(const struct chain *c, unsigned level)
{
    const struct level_work *l = level_of(c, level);
    return l && (l->is_wanted || l->is_put_off || l->is_encoding || l->is_uploading || l->cover);
}

void level_destroy(struct chain *c)
{
    level_job_free(c->level_job);
    c->level_job = NULL;
    for (size_t i = 0; i < c->level_count; i++) {
        struct level_work *l = &c->levels[i];
        blob_destroy(&l->blob);
        page_set_destroy(&l->changed);
        page_set_destroy(&l->taken);
    }
    free(c->levels);
    c->levels = NULL;
    c->level_count = 0;
}
