/*
 * The door of the room: guards, the choice of a destination, and what a failure means.
 *
 * The one thing that must never go wrong is the answer "there is no backup". It is given when every
 * destination was listed with success and found empty, and in no other case: a destination that is
 * away, refuses credentials, or whose bucket does not exist makes the whole restore an error, even
 * if all others are empty.
 *
 * Destinations that are only read come last, and only if all others are empty: the newest state of
 * this database is never in them, so one that is away must not make an older beginning of it.
 *
 * Otherwise the destinations are tried in order, and the error that is told in the end is the first
 * one: it belongs to the preferred destination. Failures that no other destination would cure (the
 * disk is full, the output is in use) end it at once.
 */
#include "sidecar/restore/restore.h"

#include <stdlib.h>
#include <string.h>

#include "lib/ltx/ltx.h"
#include "lib/storage/storage_wait.h"
#include "sidecar/restore/restore_internal.h"

static const uint64_t report_interval_ns = 100 * NS_PER_MS;

/* ---- names ---- */

static const char *const integrity_names[] = {[RESTORE_INTEGRITY_NONE] = "none",
                                              [RESTORE_INTEGRITY_QUICK] = "quick",
                                              [RESTORE_INTEGRITY_FULL] = "full"};

int restore_integrity_parse(const char *text, enum restore_integrity *out, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(integrity_names); i++) {
        if (strcmp(text, integrity_names[i]) == 0) {
            *out = (enum restore_integrity)i;
            return 0;
        }
    }
    return error_set(err, ERR_USAGE, 0, "\"%.50s\" is no integrity check: none, quick or full",
                     text);
}

int restore_target_parse(const char *txid, const char *timestamp, struct restore_target *out,
                         struct error *err)
{
    *out = (struct restore_target){.kind = RESTORE_LATEST};
    if (txid && timestamp)
        return error_set(err, ERR_USAGE, 0, "-txid and -timestamp exclude each other");
    if (txid) {
        out->kind = RESTORE_TXID;
        return ltx_txid_parse(txid, &out->txid, err) < 0 ? error_wrap(err, "-txid") : 0;
    }
    if (timestamp) {
        out->kind = RESTORE_TIMESTAMP;
        return time_parse_rfc3339(timestamp, &out->timestamp_ns, err) < 0
                   ? error_wrap(err, "-timestamp")
                   : 0;
    }
    return 0;
}

const char *restore_integrity_name(enum restore_integrity integrity)
{
    ASSERT((size_t)integrity < ARRAY_LEN(integrity_names));
    return integrity_names[integrity];
}

const char *restore_phase_name(enum restore_phase phase)
{
    static const char *const names[] = {[RESTORE_PHASE_LISTING] = "listing",
                                        [RESTORE_PHASE_FETCHING] = "fetching",
                                        [RESTORE_PHASE_VERIFYING] = "verifying",
                                        [RESTORE_PHASE_SYNCING] = "syncing"};
    ASSERT((size_t)phase < ARRAY_LEN(names));
    return names[phase];
}

void restore_result_destroy(struct restore_result *r)
{
    restore_plan_destroy(&r->plan);
    *r = (struct restore_result){0};
}

int restore_exit_status(const struct restore_result *result, int rc, const struct error *err)
{
    if (rc == 0)
        return 0;
    return result->outcome == RESTORE_NO_BACKUP ? 3 : error_exit_status(err->code);
}

/* ---- progress ---- */

/* Fills in what follows from the clock, and tells. */
static void progress_tell(struct restore *r, uint64_t now_ns)
{
    struct restore_progress *p = &r->progress;
    uint64_t took_ns = now_ns - r->fetch_started_ns;

    p->elapsed_ns = now_ns - r->started_ns;
    p->bytes_per_second = 0;
    p->left_ns = 0;
    if (p->phase == RESTORE_PHASE_FETCHING && took_ns >= report_interval_ns && p->bytes_done > 0) {
        double per_second = (double)p->bytes_done * (double)NS_PER_SEC / (double)took_ns;
        p->bytes_per_second = (uint64_t)per_second;
        if (p->bytes_total > p->bytes_done && per_second >= 1) {
            p->left_ns = (uint64_t)((double)(p->bytes_total - p->bytes_done) / per_second *
                                    (double)NS_PER_SEC);
        }
    }
    r->reported_ns = now_ns;
    if (r->args->on_progress)
        r->args->on_progress(r->args->arg, p);
}

void restore_report(struct restore *r)
{
    uint64_t now_ns = env_monotonic_ns(r->args->env);

    if (now_ns - r->reported_ns >= report_interval_ns)
        progress_tell(r, now_ns);
}

void restore_set_phase(struct restore *r, enum restore_phase phase)
{
    uint64_t now_ns = env_monotonic_ns(r->args->env);

    r->progress.phase = phase;
    if (phase == RESTORE_PHASE_FETCHING) {
        r->fetch_started_ns = now_ns;
        r->progress.bytes_done = 0;
        r->progress.pages_done = 0;
    }
    progress_tell(r, now_ns);
}

bool restore_is_canceled(const struct restore *r)
{
    return r->options->is_canceled && atomic_load(r->options->is_canceled);
}

/* ---- one thing after the other ---- */

struct step {
    struct job job;
    int (*fn)(void *arg, struct error *err);
    void *arg;
    int rc;
    struct error *err;
    bool is_done;
};

static void step_work(struct job *job)
{
    struct step *s = CONTAINER_OF(job, struct step, job);
    s->rc = s->fn(s->arg, s->err);
}

static void step_on_done(struct job *job)
{
    struct step *s = CONTAINER_OF(job, struct step, job);
    s->is_done = true;
}

int restore_step(struct loop *loop, int (*fn)(void *arg, struct error *err), void *arg,
                 struct error *err)
{
    struct step s = {.fn = fn, .arg = arg, .err = err};

    job_submit(loop, &s.job, step_work, step_on_done);
    bool is_done = loop_run_until(loop, &s.is_done);
    ASSERT(is_done); /* done always runs */
    return s.rc;
}

int restore_list(struct restore *r, size_t destination_idx, struct inventory *inventory,
                 struct error *err)
{
    struct storage *st = r->args->destinations[destination_idx].storage;
    bool want_timestamps = r->options->target.kind == RESTORE_TIMESTAMP || r->options->dry_run;

    r->progress.destination_idx = destination_idx;
    restore_set_phase(r, RESTORE_PHASE_LISTING);
    if (restore_is_canceled(r))
        return error_set(err, ERR_CANCELED, 0, "canceled");
    if (inventory_load_wait(st, inventory, want_timestamps, err) == 0)
        return 0;
    if (err->code == ERR_NOT_FOUND)
        err->code = ERR_USAGE; /* the bucket: a mistake in the configuration, not "no backup" */
    return -1;
}

int restore_object_ends(struct storage *st, unsigned level, const struct inventory_object *object,
                        struct ltx_header *out_header, struct ltx_trailer *out_trailer,
                        struct error *err)
{
    CLEANUP(buf_destroy) struct buf head = BUF_INIT(LTX_HEADER_BYTES);
    CLEANUP(buf_destroy) struct buf tail = BUF_INIT(LTX_TRAILER_BYTES);
    char key[STORAGE_KEY_BYTES_MAX];
    struct ltx_header header;
    struct ltx_trailer trailer;

    inventory_object_key(level, object, key);
    if (object->bytes < LTX_FILE_BYTES_MIN) {
        (void)error_set(err, ERR_CORRUPT, 0, "%llu bytes are too few for an LTX file",
                        (unsigned long long)object->bytes);
        return error_wrap(err, "object %s", key);
    }
    if (storage_get_wait(st, key, 0, LTX_HEADER_BYTES, &head, err) < 0 ||
        storage_get_wait(st, key, object->bytes - LTX_TRAILER_BYTES, LTX_TRAILER_BYTES, &tail,
                         err) < 0 ||
        ltx_header_decode(buf_slice(&head), &header, err) < 0 ||
        ltx_trailer_decode(tail.p, &header, &trailer, err) < 0)
        return error_wrap(err, "object %s", key);
    *out_header = header;
    *out_trailer = trailer;
    return 0;
}

/* ---- choosing a destination ---- */

/* What the destinations so far have answered. */
struct verdict {
    struct error first; /* of the first that could not tell */
    bool has_failed;
    bool is_away; /* all failures so far: out of reach */
    size_t empty_count;
};

static void verdict_add(struct restore *r, struct verdict *v, const struct error *err)
{
    if (r->args->destination_count > 1)
        LOG_WARN(r->args->log, "destination passed over", LOG_ERR(err), LOG_HINT(err));
    v->is_away = (!v->has_failed || v->is_away) &&
                 (err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT);
    if (!v->has_failed)
        v->first = *err;
    v->has_failed = true;
}

/* The one answer that means "nothing". */
static int no_backup(struct restore *r, struct error *err)
{
    const struct restore_args *args = r->args;

    r->result.outcome = RESTORE_NO_BACKUP;
    if (r->options->if_replica_exists)
        return 0;
    if (args->destination_count > 1) {
        return error_set(err, ERR_NOT_FOUND, 0, "no backup in %s, nor in %zu other destinations",
                         storage_url(args->destinations[0].storage), args->destination_count - 1);
    }
    return error_set(err, ERR_NOT_FOUND, 0, "no backup in %s",
                     storage_url(args->destinations[0].storage));
}

bool restore_has_own(const struct restore *r)
{
    for (size_t i = 0; i < r->args->destination_count; i++) {
        if (!r->args->destinations[i].is_read_only)
            return true;
    }
    return false;
}

/* Tries those that are only read, or the others. 1: one could serve. */
static int destinations_try(struct restore *r, bool is_read_only, struct verdict *v,
                            struct error *err)
{
    for (size_t i = 0; i < r->args->destination_count; i++) {
        if (r->args->destinations[i].is_read_only != is_read_only)
            continue;
        error_clear(err);
        switch (restore_attempt(r, i, NULL, err)) {
        case ATTEMPT_DONE:
            return 1;
        case ATTEMPT_IMPOSSIBLE:
            return -1;
        case ATTEMPT_EMPTY:
            v->empty_count++;
            break;
        case ATTEMPT_FAILED:
            verdict_add(r, v, err);
            break;
        }
    }
    return 0;
}

static int restore_afresh(struct restore *r, struct error *err)
{
    struct verdict v = {.first = ERROR_INIT};

    int rc = destinations_try(r, false, &v, err);
    if (rc == 0 && !v.has_failed)
        rc = destinations_try(r, true, &v, err);
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (!v.has_failed) {
        error_clear(err);
        return no_backup(r, err);
    }
    *err = v.first;
    return -1;
}

static void warn_kept(const struct restore *r, const struct verdict *v)
{
    if (v->has_failed) {
        LOG_WARN(r->args->log, "database kept without a look at its replica",
                 LOG_STR("db", r->guard.path), LOG_ERR(&v->first));
    }
}

/* Nothing proves which state the existing database is, or nobody could be asked. */
static int roll_undecided(struct restore *r, const struct verdict *v, struct error *err)
{
    if (r->options->if_db_not_exists && (!v->has_failed || v->is_away)) {
        warn_kept(r, v);
        error_clear(err);
        r->result.outcome = RESTORE_DB_EXISTS;
        return 0;
    }
    if (v->has_failed) {
        *err = v->first;
        return -1;
    }
    (void)error_set(err, ERR_WRONG_STATE, 0,
                    "%s has no page map of its own, so nothing proves which state of the replica "
                    "it is",
                    r->guard.path);
    return error_hint(err, "restore -force replaces it");
}

static int roll_forward(struct restore *r, struct error *err)
{
    struct verdict v = {.first = ERROR_INIT};
    bool has_own = restore_has_own(r);

    for (size_t i = 0; i < r->args->destination_count; i++) {
        error_clear(err);
        if (has_own && r->args->destinations[i].is_read_only)
            continue;
        switch (restore_roll(r, i, err)) {
        case ROLL_DONE:
            return 0;
        case ROLL_UP_TO_DATE:
            r->result.outcome = RESTORE_UP_TO_DATE;
            r->result.destination_idx = i;
            return 0;
        case ROLL_REFUSED:
            return -1;
        case ROLL_UNKNOWN:
            break;
        case ROLL_FAILED:
            verdict_add(r, &v, err);
            break;
        }
    }
    return roll_undecided(r, &v, err);
}

/* ---- the door ---- */

static int options_check(const struct restore_options *o, struct error *err)
{
    if (o->output[0] == '\0')
        return error_set(err, ERR_USAGE, 0, "no path to restore to");
    if (o->target.kind == RESTORE_TXID && o->target.txid == 0)
        return error_set(err, ERR_USAGE, 0, "TXIDs begin with 1");
    if (o->parallelism > RESTORE_PARALLELISM_MAX) {
        return error_set(err, ERR_USAGE, 0, "parallelism %u is more than %d", o->parallelism,
                         RESTORE_PARALLELISM_MAX);
    }
    if (o->is_fenced && (o->target.kind != RESTORE_LATEST || o->roll_forward)) {
        return error_set(err, ERR_USAGE, 0,
                         "what a fenced writer left is one state: no TXID, no moment, no rolling "
                         "forward");
    }
    if (o->roll_forward && o->target.kind != RESTORE_LATEST)
        return error_set(err, ERR_USAGE, 0, "roll forward leads to the newest state only");
    return 0;
}

static int restore_go(struct restore *r, struct error *err)
{
    const struct restore_options *o = r->options;

    if (options_check(o, err) < 0 || guard_look(r->args->env, o->output, &r->guard, err) < 0)
        return -1;
    if (o->dry_run)
        return restore_afresh(r, err);
    bool is_rolled = r->guard.is_there && o->roll_forward && !o->force;
    if (r->guard.is_there && !is_rolled && o->if_db_not_exists) {
        r->result.outcome = RESTORE_DB_EXISTS;
        return 0;
    }
    if (r->guard.is_there && !is_rolled && !o->force) {
        (void)error_set(err, ERR_EXISTS, 0, "%s exists", r->guard.path);
        return error_hint(err,
                          "-force replaces it once the new file is proven; -o writes elsewhere");
    }
    if (guard_check_unlocked(&r->guard, err) < 0 || guard_remove_leftovers(&r->guard, err) < 0)
        return -1;
    return is_rolled ? roll_forward(r, err) : restore_afresh(r, err);
}

int restore_run(const struct restore_args *args, struct restore_result *out, struct error *err)
{
    struct restore r = {.args = args, .options = args->options};

    loop_assert_owner(args->loop);
    ASSERT(args->destination_count > 0);
    *out = (struct restore_result){.outcome = RESTORE_FAILED};
    r.started_ns = env_monotonic_ns(args->env);
    int rc = restore_go(&r, err);
    guard_destroy(&r.guard);
    if (rc < 0) {
        out->outcome = r.result.outcome == RESTORE_NO_BACKUP ? RESTORE_NO_BACKUP : RESTORE_FAILED;
        restore_result_destroy(&r.result);
        return -1;
    }
    r.result.duration_ns = env_monotonic_ns(args->env) - r.started_ns;
    *out = r.result;
    return 0;
}
