/*
 * All databases together: the poll, and waiting for something to be true of all of them.
 *
 * A *wait* (sync, stop, snapshot, expire) is a condition over all databases with one deadline. It
 * is looked at whenever something ends (engine_check_waits()), never by polling, and its callback
 * runs from a timer of its own, so never inside the call that made it true.
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "lib/io/descriptors.h"
#include "sidecar/engine/engine_internal.h"

static const uint64_t memory_pause_ns = 3 * NS_PER_SEC;

enum wait_kind {
    WAIT_SYNC,
    WAIT_SNAPSHOT,
    WAIT_EXPIRE,
    WAIT_CLOSE,
};

struct engine_wait {
    struct engine *e;
    struct engine_wait *next;
    enum wait_kind kind;
    const struct database *only; /* NULL: all databases */
    bool is_stop;                /* a sync that is followed by closing everything */
    bool has_asked;              /* snapshot, expire: the work was asked for, after the sync */
    bool is_due;                 /* decided; the callback is on its way */
    struct loop_timer deadline;
    struct loop_timer call;
    struct engine_outcome outcome;
    struct error error; /* what outcome.first_error points at */
    engine_done_fn *done;
    void *arg;
};

/* ---- the condition ---- */

/* A chain that cannot get anywhere by waiting. */
static bool chain_is_stuck(const struct chain *c)
{
    bool is_leaving = c->state == CHAIN_FENCED && c->is_put_under_way; /* what it could not ship */
    return (c->state == CHAIN_FENCED && !is_leaving) || c->state == CHAIN_REFUSED ||
           c->db->is_released;
}

/* The bucket cannot be asked, but when the database was opened its log stood where the bucket's
 * last acknowledgement left it, and nothing was committed since: nothing is lost by ending. */
static bool chain_is_at_rest(const struct engine_wait *w, const struct chain *c)
{
    return w->is_stop && c->state == CHAIN_ATTACHING && c->proof.is_unchanged &&
           c->news_count == 0 && c->fault.streak > 0;
}

/* Whether the database has been looked at: until then it is not known to have nothing to ship. One
 * that was lost is looked for at once, so that first try counts too. */
static bool database_is_settled(const struct database *db)
{
    bool is_reopening = loop_timer_is_armed(&db->retry_timer) && db->open_failures == 0;
    return db->state != STATUS_DB_OPENING && !task_is_pending(&db->open_task) &&
           !task_is_pending(&db->close_task) && !is_reopening;
}

/* Nobody sees what the application commits. */
static bool database_is_lost(const struct database *db)
{
    return db->state != STATUS_DB_FOLLOWING && db->state != STATUS_DB_ABSENT &&
           db->state != STATUS_DB_OPENING && db->state != STATUS_DB_STOPPED;
}

/* The first that is counted is told by name, with the fault that it suffers from now. */
static void outcome_count(struct engine_wait *w, const struct database *db, const struct chain *c)
{
    const struct fault *fault = c ? &c->fault : &db->fault;
    bool is_suffering = fault->streak > 0 || (c && chain_is_stuck(c));

    if (w->outcome.unshipped_databases++ > 0)
        return;
    w->outcome.first_path = db->path;
    w->outcome.first_destination = c ? c->name : NULL;
    if (db->is_released)
        (void)error_set(&w->error, ERR_NO_SPACE, 0, "%s", db->state_detail);
    else if (is_suffering)
        w->error = *fault_last(fault);
}

/* The first chain of a database that lacks something. *is_over becomes false if it could still
 * come. */
static const struct chain *first_unshipped(const struct engine_wait *w, const struct database *db,
                                           bool *is_over)
{
    const struct chain *first = NULL;

    if (!database_is_settled(db)) { /* what it holds is not known yet */
        first = db->chain_count > 0 ? &db->chains[0] : NULL;
        *is_over = false;
    }
    for (size_t j = 0; j < db->chain_count; j++) {
        const struct chain *c = &db->chains[j];
        if (!chain_has_unshipped(c) || chain_is_at_rest(w, c))
            continue;
        first = first ? first : c;
        *is_over = *is_over && chain_is_stuck(c);
    }
    return first;
}

/* Fills in the outcome; true if nothing that is missing could still come. */
static bool sync_is_over(struct engine_wait *w)
{
    bool is_over = true;

    w->outcome = (struct engine_outcome){.unshipped_databases = 0};
    w->outcome.first_error = &w->error;
    error_clear(&w->error);
    for (size_t i = 0; i < w->e->db_count; i++) {
        const struct database *db = w->e->dbs[i];
        if (w->only && db != w->only)
            continue;
        const struct chain *first = first_unshipped(w, db, &is_over);
        if (first || database_is_lost(db))
            outcome_count(w, db, first);
    }
    return is_over;
}

static bool chain_is_at_work(const struct chain *c, enum wait_kind kind)
{
    return kind == WAIT_SNAPSHOT ? level_is_wanted_or_busy(c, LTX_LEVEL_SNAPSHOT)
                                 : expire_is_busy(c);
}

static bool work_is_over(const struct engine_wait *w)
{
    for (size_t i = 0; i < w->e->db_count; i++) {
        const struct database *db = w->e->dbs[i];
        for (size_t j = 0; j < db->chain_count; j++) {
            if (chain_is_at_work(&db->chains[j], w->kind))
                return false;
        }
    }
    return true;
}

static void work_ask(struct engine_wait *w)
{
    w->has_asked = true;
    for (size_t i = 0; i < w->e->db_count; i++) {
        struct database *db = w->e->dbs[i];
        for (size_t j = 0; j < db->chain_count; j++) {
            if (w->kind == WAIT_SNAPSHOT) {
                db->chains[j].snapshot_asked_txid = db->chains[j].acknowledged_txid;
                level_want(&db->chains[j], LTX_LEVEL_SNAPSHOT);
            } else
                expire_start(&db->chains[j]);
        }
    }
}

static bool all_closed(const struct engine *e)
{
    for (size_t i = 0; i < e->db_count; i++) {
        if (!database_is_closed(e->dbs[i]))
            return false;
    }
    return true;
}

static bool wait_is_over(struct engine_wait *w)
{
    if (w->kind == WAIT_CLOSE)
        return all_closed(w->e);
    bool is_synced = sync_is_over(w);
    if (w->kind == WAIT_SYNC || !is_synced)
        return is_synced;
    if (!w->has_asked)
        work_ask(w);
    return work_is_over(w);
}

/* ---- the end of a wait ---- */

static void wait_unlink(struct engine_wait *w)
{
    for (struct engine_wait **at = &w->e->waits; *at; at = &(*at)->next) {
        if (*at == w) {
            *at = w->next;
            return;
        }
    }
}

static bool chain_lacks_work(const struct chain *c, const struct engine_wait *w)
{
    const struct inventory_object *snapshot = inventory_newest(&c->inv, LTX_LEVEL_SNAPSHOT);

    if (c->state != CHAIN_FOLLOWING)
        return false; /* counted for that */
    if (!w->has_asked)
        return true; /* the deadline came first */
    if (w->kind == WAIT_SNAPSHOT)
        return !snapshot || snapshot->max_txid < c->snapshot_asked_txid;
    return c->retention_error || expire_is_busy(c);
}

/* What was asked for and did not come about counts like an unshipped commit. Databases that are
 * counted for such a commit already are not counted twice. */
static void work_judge(struct engine_wait *w)
{
    for (size_t i = 0; i < w->e->db_count; i++) {
        const struct database *db = w->e->dbs[i];
        const struct chain *lacking = NULL;
        bool is_counted = database_is_lost(db);
        for (size_t j = 0; j < db->chain_count; j++) {
            const struct chain *c = &db->chains[j];
            is_counted = is_counted || chain_has_unshipped(c);
            if (!lacking && chain_lacks_work(c, w))
                lacking = c;
        }
        if (!lacking || is_counted)
            continue;
        outcome_count(w, db, lacking);
        if (w->has_asked && lacking->retention_error && w->kind == WAIT_EXPIRE &&
            w->error.code == ERR_NONE)
            w->error = *lacking->retention_error;
    }
}

static void wait_decide(struct engine_wait *w)
{
    if (w->kind == WAIT_SNAPSHOT || w->kind == WAIT_EXPIRE)
        work_judge(w);
    w->is_due = true;
    loop_timer_stop(&w->deadline);
    loop_timer_start(&w->call, 0);
}

static void close_all(struct engine_wait *w)
{
    struct engine *e = w->e;

    w->kind = WAIT_CLOSE;
    w->is_due = false;
    loop_timer_stop(&e->poll_timer);
    for (size_t i = 0; i < e->db_count; i++)
        database_close(e->dbs[i]);
    engine_check_waits(e);
}

static void wait_call(void *arg)
{
    struct engine_wait *w = arg;

    if (w->is_stop && w->kind != WAIT_CLOSE) {
        close_all(w); /* with the outcome as it is now */
        return;
    }
    wait_unlink(w);
    w->done(w->arg, &w->outcome);
    free(w);
}

static void wait_is_late(void *arg)
{
    struct engine_wait *w = arg;

    if (w->is_due)
        return;
    (void)sync_is_over(w); /* what is missing matters, not whether it is over */
    wait_decide(w);
}

void engine_check_waits(struct engine *e)
{
    for (struct engine_wait *w = e->waits; w; w = w->next) {
        if (!w->is_due && wait_is_over(w))
            wait_decide(w);
    }
}

/* With one in reserve, so that also a process without memory can be asked to end well. */
static struct engine_wait *wait_take(struct engine *e)
{
    struct error err = ERROR_INIT;
    struct engine_wait *w = mem_new(1, sizeof(*w), &err);

    if (!w)
        w = TAKE(e->spare_wait);
    if (!e->spare_wait)
        e->spare_wait = mem_new(1, sizeof(*w), &err); /* else the next one tries */
    ASSERT(w);
    return w;
}

static struct engine_wait *wait_start(struct engine *e, enum wait_kind kind, uint64_t timeout_ns,
                                      engine_done_fn *done, void *arg)
{
    struct engine_wait *w = wait_take(e);

    w->e = e;
    w->kind = kind;
    w->done = done;
    w->arg = arg;
    loop_timer_init(&w->deadline, e->loop, wait_is_late, w);
    loop_timer_init(&w->call, e->loop, wait_call, w);
    w->next = e->waits;
    e->waits = w;
    loop_timer_start(&w->deadline, timeout_ns);
    /* What was committed before this moment counts: every database and chain looks once more. */
    for (size_t i = 0; i < e->db_count; i++) {
        struct database *db = e->dbs[i];
        if (!db->follower) /* it may have come about, and nobody has told us yet */
            task_queue_push(&db->queue, &db->open_task);
        for (size_t j = 0; j < db->chain_count; j++) {
            if (db->chains[j].state == CHAIN_FOLLOWING)
                chain_commit_noticed(&db->chains[j]);
            chain_hurry(&db->chains[j]);
        }
    }
    return w;
}

/* ---- the door ---- */

/* What a start or a snapshot needed is given back to the system once nothing is shipped any more:
 * malloc would keep it for ever. */
static void memory_return(struct engine *e)
{
    if (!e->last_object_ns || env_monotonic_ns(e->env) - e->last_object_ns < memory_pause_ns)
        return;
    e->last_object_ns = 0;
#ifdef __GLIBC__
    (void)malloc_trim(0); /* whether there was anything does not matter */
#endif
}

static void engine_poll(void *arg)
{
    struct engine *e = arg;

    memory_return(e);
    for (size_t i = 0; i < e->db_count; i++)
        database_poll(e->dbs[i]);
    loop_timer_start(&e->poll_timer, e->poll_interval_ns);
}

int engine_new(const struct engine_options *options, struct engine **out, struct error *err)
{
    if (follow_process_init(err) < 0)
        return -1;
    struct engine *e = mem_new(1, sizeof(*e), err);
    if (!e)
        return -1;
    e->opt = *options;
    e->loop = options->loop;
    e->env = loop_env(e->loop);
    e->log = options->log;
    e->started_at_ns = env_wall_ns(e->env);
    e->spare_wait = mem_new(1, sizeof(*e->spare_wait), err);
    if (!e->spare_wait || watch_new(e->loop, &e->watch, err) < 0) {
        free(e->spare_wait);
        free(e);
        return -1;
    }
    loop_timer_init(&e->poll_timer, e->loop, engine_poll, e);
    e->descriptor_limit = descriptors_raise();
    e->descriptors_wanted = PROCESS_DESCRIPTORS;
    *out = e;
    return 0;
}

static int database_list_grow(struct engine *e, struct error *err)
{
    if (e->db_count < e->db_cap)
        return 0;
    size_t cap = e->db_cap ? e->db_cap * 2 : 8;
    struct database **dbs = realloc(e->dbs, cap * sizeof(struct database *));
    if (!dbs)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for %zu databases", cap);
    e->dbs = dbs;
    e->db_cap = cap;
    return 0;
}

bool engine_has_database(const struct engine *e, const char *path)
{
    for (size_t i = 0; i < e->db_count; i++) {
        if (strcmp(e->dbs[i]->path, path) == 0)
            return true;
    }
    return false;
}

/* Better refused now than starved of descriptors in the middle of a checkpoint. */
static int descriptors_check(const struct engine *e, const struct database_options *options,
                             struct error *err)
{
    uint64_t more = DATABASE_DESCRIPTORS + options->destination_count;

    if (e->descriptors_wanted + more <= e->descriptor_limit)
        return 0;
    (void)error_set(err, ERR_LIMIT, EMFILE,
                    "%s: there are %zu databases already, which need %" PRIu64 " of the %" PRIu64
                    " files that this process may have open",
                    options->path, e->db_count, e->descriptors_wanted, e->descriptor_limit);
    return error_hint(err,
                      "raise the limit (ulimit -n, LimitNOFILE=) to %d and more, or replicate "
                      "some of the databases by another process",
                      (int)(e->descriptors_wanted + more));
}

/* The storages are ours also when nothing comes of it. */
static int refuse(const struct database_options *options)
{
    for (size_t i = 0; i < options->destination_count; i++)
        storage_free(options->destinations[i].storage);
    return -1;
}

int engine_add_database(struct engine *e, const struct database_options *options, struct error *err)
{
    struct database *db = NULL;

    loop_assert_owner(e->loop);
    if (engine_has_database(e, options->path)) {
        (void)error_set(err, ERR_EXISTS, 0, "%s is replicated already", options->path);
        return refuse(options);
    }
    if (descriptors_check(e, options, err) < 0 || database_list_grow(e, err) < 0)
        return refuse(options);
    if (database_new(e, options, &db, err) < 0)
        return error_wrap(err, "%s", options->path);
    e->dbs[e->db_count++] = db;
    e->descriptors_wanted += DATABASE_DESCRIPTORS + options->destination_count;
    if (!e->poll_interval_ns || options->monitor_interval_ns < e->poll_interval_ns)
        e->poll_interval_ns = options->monitor_interval_ns;
    if (!loop_timer_is_armed(&e->poll_timer))
        loop_timer_start(&e->poll_timer, e->poll_interval_ns);
    database_start(db);
    return 0;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    loop_timer_stop(&e->poll_timer);
    while (e->waits) {
        struct engine_wait *w = e->waits;
        e->waits = w->next;
        loop_timer_stop(&w->deadline);
        loop_timer_stop(&w->call);
        free(w);
    }
    for (size_t i = 0; i < e->db_count; i++)
        database_close(e->dbs[i]);
    while (!all_closed(e))        /* cancelled requests and the running job of each database */
        (void)loop_turn(e->loop); /* there is something left: what is not closed yet */
    for (size_t i = 0; i < e->db_count; i++)
        database_free(e->dbs[i]);
    watch_free(e->watch);
    bucket_destroy_all(e);
    free(e->spare_wait);
    free(e->dbs);
    free(e->status_dbs);
    free(e->status_destinations);
    free(e);
}

void engine_sync(struct engine *e, uint64_t timeout_ns, engine_done_fn *done, void *arg)
{
    (void)wait_start(e, WAIT_SYNC, timeout_ns, done, arg); /* nothing more to say about it */
    engine_check_waits(e);
}

int engine_sync_database(struct engine *e, const char *path, uint64_t timeout_ns,
                         engine_done_fn *done, void *arg, struct error *err)
{
    for (size_t i = 0; i < e->db_count; i++) {
        if (strcmp(e->dbs[i]->path, path) != 0)
            continue;
        wait_start(e, WAIT_SYNC, timeout_ns, done, arg)->only = e->dbs[i];
        engine_check_waits(e);
        return 0;
    }
    return error_set(err, ERR_NOT_FOUND, 0, "%s is not replicated here", path);
}

void engine_snapshot(struct engine *e, uint64_t timeout_ns, engine_done_fn *done, void *arg)
{
    (void)wait_start(e, WAIT_SNAPSHOT, timeout_ns, done, arg); /* nothing more to say about it */
    engine_check_waits(e);
}

void engine_expire(struct engine *e, uint64_t timeout_ns, engine_done_fn *done, void *arg)
{
    (void)wait_start(e, WAIT_EXPIRE, timeout_ns, done, arg); /* nothing more to say about it */
    engine_check_waits(e);
}

void engine_stop(struct engine *e, engine_done_fn *done, void *arg)
{
    e->is_stopping = true;
    wait_start(e, WAIT_SYNC, e->opt.shutdown_timeout_ns, done, arg)->is_stop = true;
    engine_check_waits(e);
}

int engine_set_pace(struct engine *e, const char *path, const char *destination,
                    const struct destination_pace *pace, struct error *err)
{
    loop_assert_owner(e->loop);
    for (size_t i = 0; i < e->db_count; i++) {
        struct database *db = e->dbs[i];
        for (size_t j = 0; strcmp(db->path, path) == 0 && j < db->chain_count; j++) {
            if (strcmp(db->chains[j].name, destination) == 0) {
                chain_set_pace(&db->chains[j], pace);
                return 0;
            }
        }
    }
    return error_set(err, ERR_NOT_FOUND, 0, "%s has no destination %s here", path, destination);
}

void engine_drain(struct engine *e)
{
    e->is_draining = true;
    for (size_t i = 0; i < e->db_count; i++) {
        for (size_t j = 0; j < e->dbs[i]->chain_count; j++) {
            if (chain_has_unshipped(&e->dbs[i]->chains[j]))
                chain_ship_soon(&e->dbs[i]->chains[j]);
        }
    }
}
