/*
 * A machine of the simulation: a volume, an application and walferry on it, started as a pod would
 * start them (restore what is missing or behind, application, sidecar), and ended in every way.
 *
 * walferry is a process of its own each time: it dies at once (pod_kill_walferry()), at some later
 * operation (strike_in; pod_reap() puts it away), or ends gracefully. What is left of a dead one
 * gives its memory back but has no effect any more.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/testing/test.h"
#include "sidecar/restore/restore.h"
#include "sidecar/sim/sim_internal.h"

static const uint64_t shutdown_timeout_ns = 30 * NS_PER_SEC;
static const char *const destination_names[STORES_MAX] = {"first", "second"};

static struct sim *sim_of(const struct pod *pod)
{
    return &pod->play->sim;
}

/* ---- stopped for a while ---- */

void pod_pause(struct pod *pod, uint64_t duration_ns, enum pause what)
{
    pod->p->is_stopped = true;
    if (what != PAUSE_PROCESS)
        sim_suspend(pod->p, what == PAUSE_HOST);
    loop_timer_start(&pod->resume, duration_ns);
}

void pod_resume(struct pod *pod)
{
    loop_timer_stop(&pod->resume);
    if (!pod->p || !pod->p->is_stopped)
        return;
    sim_trace(sim_of(pod), "%s walferry goes on", pod->name);
    pod->p->is_stopped = false;
    sim_wake(pod->p);
}

/* ---- waits ---- */

static void wait_done(void *arg, const struct engine_outcome *outcome)
{
    struct pod *pod = arg;
    struct play *play = pod->play;
    int commit = pod->waiting_commit;
    bool took_over = false;

    pod->is_waiting = false;
    pod->is_waited_for = true;
    pod->unshipped = outcome->unshipped_databases;
    (void)snprintf(pod->unshipped_why, sizeof(pod->unshipped_why), "%.290s",
                   outcome->first_error ? outcome->first_error->text : "");
    sim_trace(sim_of(pod), "%s wait is over: %zu unshipped %s, commit %d", pod->name,
              pod->unshipped, pod->unshipped ? pod->unshipped_why : "", commit);
    /* Who was up when somebody went back to an earlier state may know nothing of it. */
    if (pod->unshipped > 0 || commit == NOBODY || pod->p->is_dead ||
        pod->fork_seen != play->fork_count || !pod->was_following)
        return;
    for (unsigned i = 0; i < play->config.store_count; i++) {
        struct floor *f = &play->model.floors[i];
        int before = f->commit;
        if (!model_acknowledge(&play->model, f, pod->idx, commit, &took_over)) {
            play_broken(
                play,
                "%s: two histories: commit %d was acknowledged by store %u, and %d that does "
                "not descend from it was, too",
                pod->name, before, i, commit);
        }
    }
    if (took_over)
        pod->fork_seen = ++play->fork_count;
    /* Acknowledged means restorable, from this moment on. */
    for (unsigned i = 0; i < play->config.store_count; i++)
        judge_newest(play, i);
}

static bool wait_begin(struct pod *pod)
{
    const char *state = NULL;

    if (!pod->engine || pod->is_waiting)
        return false;
    /* A stop that cannot ask the store is content with what was acknowledged once. */
    pod->was_following = pod_is_following(pod, &state);
    if (pod->app.p) {
        struct sim_process *before = sim_enter(pod->app.p);
        application_observe(pod);
        sim_leave(sim_of(pod), before);
    }
    pod->is_waiting = true;
    pod->is_waited_for = false;
    pod->waiting_commit = pod->has_tables ? pod->head : NOBODY;
    return true;
}

void pod_sync_start(struct pod *pod, uint64_t timeout_ns)
{
    if (!wait_begin(pod))
        return;
    struct sim_process *before = sim_enter(pod->p);
    pod->was_following = true; /* or it does not succeed */
    engine_sync(pod->engine, timeout_ns, wait_done, pod);
    sim_leave(sim_of(pod), before);
}

void pod_snapshot_start(struct pod *pod)
{
    if (!wait_begin(pod))
        return;
    struct sim_process *before = sim_enter(pod->p);
    engine_snapshot(pod->engine, NS_PER_MIN, wait_done, pod);
    sim_leave(sim_of(pod), before);
}

void pod_expire_start(struct pod *pod)
{
    if (!wait_begin(pod))
        return;
    struct sim_process *before = sim_enter(pod->p);
    engine_expire(pod->engine, NS_PER_MIN, wait_done, pod);
    sim_leave(sim_of(pod), before);
}

/* Runs the world until the wait is over, or walferry has died. */
static bool wait_end(struct pod *pod, uint64_t timeout_ns)
{
    uint64_t until_ns = sim_of(pod)->now_ns + timeout_ns;

    while (pod->is_waiting && pod->p && sim_of(pod)->now_ns < until_ns)
        play_run(pod->play, 20 * NS_PER_MS);
    return pod->is_waited_for && pod->unshipped == 0;
}

bool pod_sync(struct pod *pod, uint64_t timeout_ns)
{
    while (pod->is_waiting && pod->p)
        play_run(pod->play, 20 * NS_PER_MS);
    pod_sync_start(pod, timeout_ns);
    return wait_end(pod, timeout_ns + NS_PER_MIN);
}

/* ---- walferry ---- */

static void walferry_free(struct pod *pod)
{
    struct sim_process *p = pod->p;

    if (!p)
        return;
    struct sim_process *before = sim_enter(p);
    pod_resume(pod);
    p->is_busy = true;
    engine_free(TAKE(pod->engine));
    p->is_busy = false;
    sim_leave(sim_of(pod), before);
    pod->is_waiting = false;
    sim_process_free(TAKE(pod->p));
}

void pod_kill_walferry(struct pod *pod)
{
    if (!pod->p)
        return;
    sim_trace(sim_of(pod), "%s walferry is killed", pod->name);
    pod->p->is_dead = true;
    pod->play->deaths++;
    walferry_free(pod);
}

bool pod_stop_walferry(struct pod *pod)
{
    bool is_shipped = false;

    if (!pod->engine)
        return false;
    pod_resume(pod);
    while (pod->is_waiting && pod->p)
        play_run(pod->play, 20 * NS_PER_MS);
    if (!wait_begin(pod))
        return false;
    struct sim_process *before = sim_enter(pod->p);
    engine_stop(pod->engine, wait_done, pod);
    sim_leave(sim_of(pod), before);
    is_shipped = wait_end(pod, 2 * shutdown_timeout_ns);
    if (pod->p && pod->is_waiting)
        play_fail(pod->play, "%s: a stop does not end", pod->name);
    walferry_free(pod);
    return is_shipped;
}

void pod_reap(struct pod *pod)
{
    if (pod->p && pod->p->is_dead) {
        pod->play->deaths++;
        walferry_free(pod);
    }
    if (pod->app.p && pod->app.p->is_dead)
        application_kill(pod);
}

bool pod_is_following(struct pod *pod, const char **out_state)
{
    struct status_process status;
    struct error err = ERROR_INIT;

    *out_state = "absent";
    if (!pod->engine || engine_status(pod->engine, &status, &err) < 0)
        return false;
    for (size_t i = 0; i < status.dbs[0].destination_count; i++) {
        const struct status_destination *d = &status.dbs[0].destinations[i];
        if (d->is_can_create_known && !d->can_create &&
            pod->play->stores[i].creation == SIM_CREATES) {
            play_fail(pod->play, "%s: %s is taken for a store that cannot fence", pod->name,
                      d->name);
        }
        *out_state = status_destination_state_name(status.dbs[0].destinations[i].state);
        if (!status.dbs[0].destinations[i].is_attached ||
            status.dbs[0].destinations[i].state == STATUS_DESTINATION_FENCED ||
            status.dbs[0].destinations[i].state == STATUS_DESTINATION_REFUSED)
            return false;
    }
    return true;
}

static bool walferry_start(struct pod *pod, bool adopt)
{
    struct play *play = pod->play;
    struct destination_options dest[STORES_MAX] = {{.name = NULL}};
    struct database_options db = play->config.db;
    struct error err = ERROR_INIT;
    const struct engine_options options = {.loop = pod->p->loop,
                                           .log = &play->log,
                                           .version = "sim",
                                           .shutdown_timeout_ns = shutdown_timeout_ns};
    struct sim_process *before = sim_enter(pod->p);

    for (unsigned i = 0; i < play->config.store_count; i++) {
        ASSERT(i < STORES_MAX);
        dest[i] = play->config.dest[i];
        dest[i].name = destination_names[i];
        dest[i].adopt = adopt;
    }
    db.path = pod->db_path;
    db.destinations = dest;
    db.destination_count = play->config.store_count;
    int rc = engine_new(&options, &pod->engine, &err);
    if (rc == 0) {
        for (unsigned i = 0; i < play->config.store_count; i++)
            dest[i].storage = sim_storage_new(&play->stores[i], pod->p);
        rc = engine_add_database(pod->engine, &db, &err);
    }
    sim_trace(sim_of(pod), "%s walferry starts: %s", pod->name, rc == 0 ? "ok" : err.text);
    sim_leave(sim_of(pod), before);
    return rc == 0;
}

/* ---- restore before the start ---- */

static struct restore_options restore_options_of(const struct pod *pod, enum boot how)
{
    return (struct restore_options){
        .output = pod->db_path,
        .target = {.kind = RESTORE_LATEST},
        .if_db_not_exists = how == BOOT_RESTORE,
        .if_replica_exists = true,
        .roll_forward = how == BOOT_RESTORE,
        .force = how == BOOT_FORCE,
        .want_page_map = true,
    };
}

/* In the process pod->p, which may die of it. */
static int restore(struct pod *pod, const struct restore_options *options,
                   struct restore_result *result, struct error *err)
{
    struct play *play = pod->play;
    struct restore_destination from[STORES_MAX];
    struct sim_process *before = sim_enter(pod->p);

    for (unsigned i = 0; i < play->config.store_count; i++) {
        from[i] = (struct restore_destination){.storage = sim_storage_new(&play->stores[i], pod->p),
                                               .name = destination_names[i]};
    }
    const struct restore_args args = {.loop = pod->p->loop,
                                      .env = &pod->p->env,
                                      .log = &play->log,
                                      .destinations = from,
                                      .destination_count = play->config.store_count,
                                      .options = options};
    pod->p->is_busy = true;
    int rc = restore_run(&args, result, err);
    for (unsigned i = 0; i < play->config.store_count; i++)
        storage_free(from[i].storage);
    pod->p->is_busy = false;
    sim_leave(sim_of(pod), before);
    sim_trace(sim_of(pod), "%s restore: %s, outcome %d, txid %" PRIu64, pod->name,
              rc == 0 ? "ok" : err->text, (int)result->outcome, result->txid);
    return rc;
}

/* What the restored file is, when it was replaced: a state that the store may have. */
static void restored_check(struct pod *pod, const struct restore_result *result)
{
    struct play *play = pod->play;

    if (result->outcome != RESTORE_DONE)
        return;
    int commit = judge_file(play, pod->db_path);
    if (commit == NOBODY) {
        play_fail(play, "%s: restore made a state that was never committed (TXID %" PRIu64 ")",
                  pod->name, result->txid);
    }
    struct boundary *b = model_boundary(&play->model.floors[result->destination_idx], result->txid);
    if (b->commit != NOBODY && b->commit != commit) {
        play_broken(play, "%s: TXID %" PRIu64 " was commit %d and is commit %d", pod->name,
                    result->txid, b->commit, commit);
    }
    b->commit = commit;
    pod->head = commit;
    pod->has_tables = false; /* the application will tell */
    pod->was_crashed = false;
}

static bool restore_before_start(struct pod *pod, enum boot how)
{
    struct restore_result result = {.outcome = RESTORE_FAILED};
    struct error err = ERROR_INIT;
    const struct restore_options options = restore_options_of(pod, how);
    int rc = restore(pod, &options, &result, &err);

    /* Dead or not: the file that has the name is what counts. */
    if (rc == 0 && !pod->p->is_dead)
        restored_check(pod, &result);
    else
        pod->was_crashed = true; /* it may have been replaced, or not */
    /* Between the new name and its page map: a database that has to be restored again. */
    if (pod->p->is_dead)
        pod->play->needs_person = true;
    bool is_ok = rc == 0 && !pod->p->is_dead;
    if (!is_ok && err.code != ERR_NONE &&
        (strstr(err.text, "but not its page map") || strstr(err.text, "is in place")))
        pod->play->needs_person = true; /* likewise */
    restore_result_destroy(&result);
    return is_ok;
}

bool pod_rewind(struct pod *pod, uint64_t txid)
{
    struct restore_result result = {.outcome = RESTORE_FAILED};
    struct error err = ERROR_INIT;
    struct restore_options options = restore_options_of(pod, BOOT_FORCE);
    char name[16];

    ASSERT(!pod->p && !pod->app.p);
    (void)snprintf(name, sizeof(name), "wal%u", pod->idx);
    pod->p = sim_process_new(sim_of(pod), name, true, &pod->disk);
    options.target = (struct restore_target){.kind = RESTORE_TXID, .txid = txid};
    options.if_replica_exists = false;
    int rc = restore(pod, &options, &result, &err);
    if (rc == 0 && !pod->p->is_dead)
        restored_check(pod, &result);
    else
        pod->was_crashed = true; /* as above */
    bool is_done = rc == 0 && !pod->p->is_dead && result.outcome == RESTORE_DONE;
    restore_result_destroy(&result);
    walferry_free(pod);
    return is_done;
}

/* The sidecar first, as Kubernetes orders them; or the application; or nearly together. */
static bool programs_start(struct pod *pod, bool adopt)
{
    if (sim_luck(sim_of(pod), 2) == 0)
        return application_open(pod) && walferry_start(pod, adopt);
    application_look(pod);
    if (!walferry_start(pod, adopt))
        return false;
    if (!pod->app.p)
        play_run(pod->play, sim_luck(sim_of(pod), 2) ? 0 : sim_luck(sim_of(pod), 2 * NS_PER_SEC));
    (void)application_open(pod); /* tried again by the script */
    return pod->p != NULL;       /* it may have died meanwhile */
}

bool pod_boot(struct pod *pod, enum boot how)
{
    char name[16];

    if (pod->p)
        return true;
    (void)snprintf(name, sizeof(name), "wal%u", pod->idx);
    pod->p = sim_process_new(sim_of(pod), name, true, &pod->disk);
    pod->p->strike_in = pod->strike_at_boot;
    pod->strike_at_boot = 0;
    pod->fork_seen = pod->play->fork_count;
    sim_trace(sim_of(pod), "%s boots, %d", pod->name, (int)how);
    bool is_up =
        pod->app.p || how == BOOT_AS_IS || how == BOOT_ADOPT || restore_before_start(pod, how);
    is_up = is_up && programs_start(pod, how == BOOT_ADOPT);
    if (!is_up)
        walferry_free(pod);
    return is_up;
}

/* ---- the machine ---- */

void pod_crash_machine(struct pod *pod)
{
    sim_trace(sim_of(pod), "%s machine crashes", pod->name);
    if (pod->p)
        pod->p->is_dead = true;
    if (pod->app.p)
        pod->app.p->is_dead = true;
    walferry_free(pod);
    application_kill(pod);
    sim_disk_crash(&pod->disk);
    pod->was_crashed = true;
    pod->play->deaths++;
}

void pod_wipe(struct pod *pod)
{
    ASSERT(!pod->p && !pod->app.p);
    sim_trace(sim_of(pod), "%s volume is lost", pod->name);
    sim_disk_wipe(&pod->disk);
    pod->has_tables = false;
    pod->head = NOBODY;
    pod->was_crashed = false;
}

/* ---- both ---- */

void pod_down(struct pod *pod)
{
    pod_kill_walferry(pod);
    if (sim_luck(sim_of(pod), 2))
        application_kill(pod);
    else
        application_close(pod);
}

void pod_fork_at(struct pod *pod, int commit)
{
    struct play *play = pod->play;

    play->needs_person = true;
    play->fork_count++;
    for (unsigned i = 0; i < play->config.store_count; i++) {
        int *alternative = &play->model.floors[i].alternative[pod->idx];
        *alternative = *alternative == NOBODY || *alternative == commit ? commit : ANYTHING;
    }
}

/* ---- life ---- */

/* The application goes on by itself. */
static void tick(void *arg)
{
    struct pod *pod = arg;
    uint64_t max = pod->play->config.tick_ns_max;

    if (pod->play->ticks_left == 0)
        return;
    pod->play->ticks_left--;
    application_step(pod);
    loop_timer_start(&pod->tick, sim_luck(sim_of(pod), sim_luck(sim_of(pod), 8) ? max : 4 * max));
}

static void resume(void *arg)
{
    pod_resume(arg);
}

void pod_begin(struct pod *pod, struct play *play, unsigned idx)
{
    *pod = (struct pod){.play = play, .idx = idx, .head = NOBODY, .snapshot_head = NOBODY};
    (void)snprintf(pod->name, sizeof(pod->name), "pod%u", idx);
    sim_disk_begin(&pod->disk, &play->sim, pod->name, play->config.is_journaled);
    (void)snprintf(pod->db_path, sizeof(pod->db_path), "%s/app.db", pod->disk.folder);
    (void)snprintf(pod->snapshot_folder, sizeof(pod->snapshot_folder), "%s-snapshot", pod->name);
    loop_timer_init(&pod->tick, play->sim.world.loop, tick, pod);
    loop_timer_init(&pod->resume, play->sim.world.loop, resume, pod);
    loop_timer_start(&pod->tick, sim_luck(&play->sim, play->config.tick_ns_max));
}

void pod_end(struct pod *pod)
{
    loop_timer_stop(&pod->tick);
    loop_timer_stop(&pod->resume);
    sim_disk_end(&pod->disk);
}
