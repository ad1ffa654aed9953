/*
 * A life. The seed draws a configuration and how often what goes wrong (also: never), then a script
 * of steps is played: somebody dies, the store is away, a clock jumps, a second writer comes up, a
 * volume is set back, somebody asks for a restore. Between the steps time passes, in which the
 * application goes on by itself.
 * At the end there is peace (peace.c).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/ltx/ltx.h"
#include "lib/testing/memory_files.h"
#include "lib/testing/sim_vfs.h"
#include "lib/testing/test.h"
#include "sidecar/engine/follow.h"
#include "sidecar/engine/lock_vfs.h"
#include "sidecar/sim/sim_internal.h"

static NO_RETURN void fail_with(struct play *play, const char *what)
{
    sim_trace(&play->sim, "FAILED: %s", what);
    (void)fflush(NULL);
    print_error("seed %" PRIu64 " failed at %.6f s: %s\n"
                "  replay: SIM_SEED=%" PRIu64 " SIM_TRACE=1 make sim\n",
                play->sim.seed, (double)play->sim.now_ns / 1e9, what, play->sim.seed);
    fail();
    abort(); /* fail() does not come back */
}

void play_fail(struct play *play, const char *fmt, ...)
{
    char what[600];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap); /* cut is good enough */
    va_end(ap);
    fail_with(play, what);
}

void play_broken(struct play *play, const char *fmt, ...)
{
    char what[600];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap); /* as above */
    va_end(ap);
    if (!play->is_torn)
        fail_with(play, what);
    sim_trace(&play->sim, "torn: %s", what);
}

void play_run(struct play *play, uint64_t duration_ns)
{
    uint64_t until_ns = play->sim.now_ns + duration_ns;

    do {
        sim_run(&play->sim, until_ns > play->sim.now_ns ? until_ns - play->sim.now_ns : 0);
        for (unsigned i = 0; i < play->config.pod_count; i++)
            pod_reap(&play->pods[i]);
    } while (play->sim.now_ns < until_ns);
}

/* ---- what the stores tell ---- */

static unsigned store_idx(const struct play *play, const struct sim_store *st)
{
    return (unsigned)(st - play->stores);
}

struct store_arg {
    struct play *play;
    struct sim_store *st;
};

/* An L0 object came about: TXIDs are created in order, each once. */
static void store_created(void *arg, const struct sim_object *o)
{
    struct sim_store *st = arg;
    struct play *play = CONTAINER_OF(st->sim, struct play, sim);
    struct floor *f = &play->model.floors[store_idx(play, st)];
    struct object_name name;
    enum storage_layout layout = st->is_file_like ? STORAGE_LAYOUT_LTX : STORAGE_LAYOUT_HEX;

    if (!object_name_parse(layout, o->key, &name) || name.level != LTX_LEVEL_RAW)
        return;
    uint64_t hash = model_hash(o->bytes, o->n);
    struct boundary *b = model_boundary(f, name.max_txid);
    if (name.min_txid == f->txid_max + 1) {
        f->txid_max = name.max_txid;
        b->object_hash = hash;
        if (f->first_wall_ns == 0)
            f->first_wall_ns = o->timestamp_ns;
        return;
    }
    /* A late copy of what was there once changes nothing. */
    if (b->object_hash != hash) {
        play_broken(play, "store %u: %s was created although TXID %" PRIu64 " was there",
                    store_idx(play, st), o->key, f->txid_max);
    }
}

/* ---- the configuration ---- */

static uint64_t pick_ns(struct sim *sim, const uint64_t *from, size_t count)
{
    return from[sim_luck(sim, count)];
}

static void destination_draw(struct sim *sim, struct destination_options *o)
{
    static const uint64_t syncs[] = {0, NS_PER_MS, 100 * NS_PER_MS, NS_PER_SEC, 10 * NS_PER_SEC};
    static const uint64_t l0s[] = {20 * NS_PER_SEC, NS_PER_MIN, 5 * NS_PER_MIN};
    static const uint64_t firsts[] = {NS_PER_SEC, 10 * NS_PER_SEC, 30 * NS_PER_SEC};
    static const uint64_t snapshots[] = {0, 20 * NS_PER_SEC, 2 * NS_PER_MIN, 10 * NS_PER_MIN};
    static const uint64_t retentions[] = {NS_PER_MIN, 5 * NS_PER_MIN, NS_PER_HOUR, NS_PER_DAY};
    static const uint64_t validations[] = {0, 30 * NS_PER_SEC, 10 * NS_PER_MIN};

    *o = (struct destination_options){
        .sync_interval_ns = pick_ns(sim, syncs, ARRAY_LEN(syncs)),
        .snapshot_interval_ns = pick_ns(sim, snapshots, ARRAY_LEN(snapshots)),
        .snapshot_retention_ns = pick_ns(sim, retentions, ARRAY_LEN(retentions)),
        .l0_retention_ns = pick_ns(sim, l0s, ARRAY_LEN(l0s)),
        .validation_interval_ns = pick_ns(sim, validations, ARRAY_LEN(validations)),
        .is_retention_enabled = sim_luck(sim, 4) > 0,
    };
    size_t levels = sim_luck(sim, 4);
    uint64_t interval = pick_ns(sim, firsts, ARRAY_LEN(firsts));
    for (size_t i = 0; i < levels; i++) {
        o->level_interval_ns[i] = interval;
        interval *= 2 + sim_luck(sim, 5);
    }
}

/* A rate: mostly none, so that a life shows what one kind of fault does by itself. */
static unsigned rate_draw(struct sim *sim, unsigned max)
{
    switch (sim_luck(sim, 4)) {
    case 0:
        return (unsigned)sim_luck(sim, max) + 1;
    case 1:
        return (unsigned)sim_luck(sim, max / 10 + 1) + 1;
    default:
        return 0;
    }
}

static void network_draw(struct play *play, struct sim_network *n)
{
    static const uint64_t latencies[] = {NS_PER_MS, 20 * NS_PER_MS, 200 * NS_PER_MS};
    struct sim *sim = &play->sim;

    *n = (struct sim_network){
        .fails = rate_draw(sim, 200000),
        .lost_request = rate_draw(sim, 100000),
        .lost_answer = rate_draw(sim, 200000),
        .retried = rate_draw(sim, 200000),
        .late_copy = rate_draw(sim, 200000),
        .slow = rate_draw(sim, 200000),
        .latency_ns_max = pick_ns(sim, latencies, ARRAY_LEN(latencies)),
        .page_keys = sim_luck(sim, 2) ? 1000 : 1 + sim_luck(sim, 20),
    };
}

void play_config_draw(struct play *play)
{
    static const uint64_t ticks[] = {3 * NS_PER_MS, 50 * NS_PER_MS, NS_PER_SEC, 20 * NS_PER_SEC};
    static const uint32_t page_sizes[] = {512, 1024, 4096};
    static const uint64_t monitors[] = {250 * NS_PER_MS, NS_PER_SEC, 10 * NS_PER_SEC};
    struct sim *sim = &play->sim;
    struct play_config *c = &play->config;

    *c = (struct play_config){
        .pod_count = sim_luck(sim, 2) ? 1 : 2 + (unsigned)sim_luck(sim, PODS_MAX - 1),
        .store_count = sim_luck(sim, 3) ? 1 : 2,
        .page_size = page_sizes[sim_luck(sim, ARRAY_LEN(page_sizes))],
        .is_auto_vacuum = sim_luck(sim, 2),
        .is_full_sync = sim_luck(sim, 2),
        .autocheckpoint = sim_luck(sim, 2) ? 0 : 5 + (unsigned)sim_luck(sim, 60),
        .body_bytes_max = 20 + (unsigned)sim_luck(sim, sim_luck(sim, 2) ? 200 : 3000),
        .row_max = 1 + (unsigned)sim_luck(sim, 12),
        .tick_ns_max = pick_ns(sim, ticks, ARRAY_LEN(ticks)),
        .is_journaled = sim_luck(sim, 2),
        .has_clock_jumps = sim_luck(sim, 4) == 0,
        .ticks = 12 + (unsigned)sim_luck(sim, sim_luck(sim, 16) ? 60 : 400),
        .steps = 20 + (unsigned)sim_luck(sim, 50),
        .db = {.may_seal = sim_luck(sim, 4) > 0,
               .monitor_interval_ns = pick_ns(sim, monitors, ARRAY_LEN(monitors)),
               .checkpoint_interval_ns = sim_luck(sim, 2) ? 0 : NS_PER_MIN,
               .busy_timeout_ns = sim_luck(sim, 2) * NS_PER_SEC,
               .checkpoint_frames = 4 + (uint32_t)sim_luck(sim, 80),
               .wal_keep_bytes = sim_luck(sim, 2) ? 1 << 14 : 1 << 22,
               .reserve_bytes = sim_luck(sim, 2) ? 0 : 64 << 20},
    };
    for (unsigned i = 0; i < c->store_count; i++) {
        destination_draw(sim, &c->dest[i]);
        network_draw(play, &play->stores[i].network);
        play->stores[i].is_file_like = sim_luck(sim, 2);
        if (!play->stores[i].is_file_like && sim_luck(sim, 4) == 0) {
            play->stores[i].creation = sim_luck(sim, 2) ? SIM_REFUSES_TO : SIM_IGNORES_WISHES;
            play->is_torn = play->is_torn || c->pod_count > 1;
        }
    }
    play->needs_person = play->is_torn;
    for (size_t i = 0; i < ARRAY_LEN(c->weight); i++)
        c->weight[i] = sim_luck(sim, 2) ? (unsigned)sim_luck(sim, 10) : 0;
    sim->faults = (struct sim_faults){
        .io_error = rate_draw(sim, 20000),
        .no_space = rate_draw(sim, 20000),
        .sync_error = rate_draw(sim, 100000),
        .between = rate_draw(sim, 200000),
    };
}

/* ---- others go on, between two operations ---- */

static void between(void *arg, struct sim_process *p)
{
    struct play *play = arg;
    struct sim *sim = &play->sim;

    for (unsigned i = 0; i < play->config.pod_count; i++) {
        struct pod *pod = &play->pods[i];
        if (pod->p == p && pod->app.p) {
            application_step(pod);
            return;
        }
        if (pod->app.p != p || !pod->p)
            continue;
        for (uint64_t turns = 1 + sim_luck(sim, 3); turns > 0; turns--) {
            sim_nudge(pod->p, 0);
            sim_turn(pod->p);
            sim->now_ns += sim_luck(sim, 3 * NS_PER_MS);
        }
        return;
    }
}

/* ---- the script ---- */

enum step {
    STEP_STORE_AWAY,
    STEP_KILL_WALFERRY,
    STEP_STRIKE_WALFERRY,
    STEP_STOP_WALFERRY,
    STEP_KILL_APP,
    STEP_STRIKE_APP,
    STEP_CRASH_MACHINE,
    STEP_SIGSTOP,
    STEP_CLOCK_JUMP,
    STEP_SYNC,
    STEP_SNAPSHOT,
    STEP_JUDGE,
    STEP_VOLUME,
    STEP_REWIND,
    STEP_ANOTHER_POD,
    STEP_LONG_TIME,
    STEPS
};

static_assert(STEPS == 16, "a weight each");

struct pod *play_pod_draw(struct play *play)
{
    return &play->pods[sim_luck(&play->sim, play->config.pod_count)];
}

/* Brings up a pod that is not: as pods start, or as people do worse. */
static void boot_draw(struct pod *pod)
{
    struct play *play = pod->play;
    struct sim *sim = &play->sim;
    enum boot how = BOOT_RESTORE;
    const char *state = NULL;

    if (pod->p) {
        if (pod_is_following(pod, &state) ||
            (strcmp(state, "refused") != 0 && strcmp(state, "fenced") != 0))
            return;
        if (!play->needs_person) {
            play_fail(play, "%s is %s, and nobody else was there nor did anything get lost",
                      pod->name, state);
        }
        /* Somebody looks after it. */
        pod_kill_walferry(pod);
        if (sim_luck(sim, 2)) {
            application_close(pod);
            how = BOOT_FORCE;
        }
    }
    if (how == BOOT_RESTORE && sim_luck(sim, 8) == 0)
        how = BOOT_AS_IS;
    /* A state that the store has not can now be shipped, or be the one that is refused. */
    if (how == BOOT_AS_IS && pod->head == NOBODY)
        play->needs_person = true;
    (void)pod_boot(pod, how); /* one that does not come up is tried again */
}

/* A volume is photographed, or set back to its photograph, or lost. */
static void step_volume(struct pod *pod)
{
    struct play *play = pod->play;
    struct sim *sim = &play->sim;

    pod_down(pod);
    switch (sim_luck(sim, 3)) {
    case 0:
        pod_wipe(pod);
        /* The restore is from one destination; where it was ahead, the other does not fit. And what
         * is still under way arrives where a new database may have begun. */
        play->needs_person = play->needs_person || play->config.store_count > 1 ||
                             !sim_store_is_quiet(&play->stores[0]);
        break;
    case 1:
        sim_disk_settle(&pod->disk);
        sim_disk_copy(pod->disk.folder, pod->snapshot_folder);
        pod->is_snapshot_there = true;
        pod->snapshot_head = pod->head;
        sim_trace(sim, "%s volume is photographed at commit %d", pod->name, pod->head);
        break;
    default:
        if (!pod->is_snapshot_there)
            break;
        sim_disk_settle(&pod->disk);
        sim_disk_copy(pod->snapshot_folder, pod->disk.folder);
        sim_trace(sim, "%s volume is set back from commit %d to %d", pod->name, pod->head,
                  pod->snapshot_head);
        pod->head = pod->snapshot_head;
        pod->was_crashed = true; /* the photograph may hold a commit that nobody has observed */
        play->needs_person = true;
    }
}

static void step_rewind(struct pod *pod)
{
    struct play *play = pod->play;
    const struct floor *f = &play->model.floors[0];

    if (f->txid_max == 0)
        return;
    pod_down(pod);
    uint64_t back = sim_luck(&play->sim, 6);
    play->needs_person = true; /* also when it ends half way */
    if (pod_rewind(pod, f->txid_max > back ? f->txid_max - back : 1))
        pod_fork_at(pod, pod->head);
    else if (pod->was_crashed)
        pod_fork_at(pod, ANYTHING); /* it may be in place all the same */
}

static void step_crash(struct pod *pod)
{
    pod_crash_machine(pod);
    /* It may come up at any commit that was not durable: that is the application's loss. And the
     * page map may be torn. */
    pod_fork_at(pod, ANYTHING);
}

static void step_stop(struct pod *pod)
{
    struct sim *sim = &pod->play->sim;
    static const uint64_t durations[] = {50 * NS_PER_MS, 5 * NS_PER_SEC, 2 * NS_PER_MIN,
                                         10 * NS_PER_MIN};

    if (!pod->p || pod->p->is_stopped)
        return;
    uint64_t ns = pick_ns(sim, durations, ARRAY_LEN(durations));
    static const enum pause pauses[] = {PAUSE_MACHINE, PAUSE_HOST, PAUSE_PROCESS, PAUSE_PROCESS};
    sim_trace(sim, "%s walferry is stopped for %.3f s", pod->name, (double)ns / 1e9);
    pod_pause(pod, ns, pauses[sim_luck(sim, ARRAY_LEN(pauses))]);
}

static void step_clock(struct pod *pod)
{
    struct play *play = pod->play;
    uint64_t most = sim_luck(&play->sim, 2) ? NS_PER_MIN : NS_PER_DAY;

    if (!play->config.has_clock_jumps || !pod->p)
        return;
    int64_t jump = (int64_t)sim_luck(&play->sim, 2 * most) - (int64_t)most;
    pod->p->wall_skew_ns += jump;
    sim_trace(&play->sim, "%s wall clock jumps by %.3f s", pod->name, (double)jump / 1e9);
}

static void judge_draw(struct play *play)
{
    unsigned store = (unsigned)sim_luck(&play->sim, play->config.store_count);

    switch (sim_luck(&play->sim, 3)) {
    case 0:
        judge_txid(play, store, 0);
        break;
    case 1:
        judge_moment(play, store);
        break;
    default:
        judge_newest(play, store);
    }
}

static void another_pod(struct play *play)
{
    struct pod *pod = play_pod_draw(play);

    if (pod->p || pod->idx == 0)
        return;
    play->needs_person = true;
    boot_draw(pod);
}

static void store_toggle(struct play *play)
{
    struct sim_store *st = &play->stores[sim_luck(&play->sim, play->config.store_count)];

    st->is_away = !st->is_away;
    sim_trace(&play->sim, "store %s is %s", st->name, st->is_away ? "away" : "back");
}

/* Below the reserve walferry lets the log go, and later it has to compare everything. */
static void disk_toggle(struct pod *pod)
{
    pod->disk.is_low = !pod->disk.is_low;
    sim_trace(&pod->play->sim, "%s disk is %s", pod->name,
              pod->disk.is_low ? "almost full" : "free again");
}

static void away_draw(struct pod *pod)
{
    if (sim_luck(&pod->play->sim, 4) == 0)
        disk_toggle(pod);
    else
        store_toggle(pod->play);
}

static void order_draw(struct pod *pod)
{
    if (sim_luck(&pod->play->sim, 2))
        pod_snapshot_start(pod);
    else
        pod_expire_start(pod);
}

/* It dies before one of its next operations; one that is down, while it comes up. */
static void strike_walferry(struct pod *pod)
{
    struct sim *sim = &pod->play->sim;

    if (pod->p)
        pod->p->strike_in = 1 + sim_luck(sim, sim_luck(sim, 2) ? 20 : 300);
    else
        pod->strike_at_boot = 1 + sim_luck(sim, 100);
}

static void end_app(struct pod *pod)
{
    if (sim_luck(&pod->play->sim, 2))
        application_kill(pod);
    else
        application_close(pod);
}

static void strike_app(struct pod *pod)
{
    if (pod->app.p)
        pod->app.p->strike_in = 1 + sim_luck(&pod->play->sim, 50);
}

static void step_play(struct play *play, enum step step)
{
    struct pod *pod = play_pod_draw(play);

    switch (step) {
    case STEP_STORE_AWAY:
        away_draw(pod);
        return;
    case STEP_KILL_WALFERRY:
        pod_kill_walferry(pod);
        return;
    case STEP_STRIKE_WALFERRY:
        strike_walferry(pod);
        return;
    case STEP_STOP_WALFERRY:
        (void)pod_stop_walferry(pod); /* the store may be away */
        return;
    case STEP_KILL_APP:
        end_app(pod);
        return;
    case STEP_STRIKE_APP:
        strike_app(pod);
        return;
    case STEP_CRASH_MACHINE:
        step_crash(pod);
        return;
    case STEP_SIGSTOP:
        step_stop(pod);
        return;
    case STEP_CLOCK_JUMP:
        step_clock(pod);
        return;
    case STEP_SYNC:
        pod_sync_start(pod, NS_PER_MIN);
        return;
    case STEP_SNAPSHOT:
        order_draw(pod);
        return;
    case STEP_JUDGE:
        judge_draw(play);
        return;
    case STEP_VOLUME:
        step_volume(pod);
        return;
    case STEP_REWIND:
        step_rewind(pod);
        return;
    case STEP_ANOTHER_POD:
        another_pod(play);
        return;
    case STEP_LONG_TIME:
        play_run(play, sim_luck(&play->sim, 5 * NS_PER_MIN));
        return;
    case STEPS:
        break;
    }
    ASSERT(false);
}

static enum step step_draw(struct play *play)
{
    unsigned sum = 0;

    for (size_t i = 0; i < STEPS; i++)
        sum += play->config.weight[i];
    uint64_t at = sum ? sim_luck(&play->sim, sum) : 0;
    for (size_t i = 0; i < STEPS; i++) {
        if (at < play->config.weight[i])
            return (enum step)i;
        at -= play->config.weight[i];
    }
    return STEP_SYNC;
}

static void script_play(struct play *play)
{
    struct sim *sim = &play->sim;
    uint64_t pause = play->config.tick_ns_max * 8;

    (void)pod_boot(&play->pods[0], BOOT_RESTORE); /* tried again below */
    for (unsigned i = 0; i < play->config.steps; i++) {
        play_run(play, sim_luck(sim, sim_luck(sim, 3) ? pause / 20 + 1 : pause));
        if (sim_luck(sim, 3) == 0) {
            step_play(play, step_draw(play));
            continue;
        }
        boot_draw(&play->pods[0]);
        if (play->config.pod_count > 1 && sim_luck(sim, 4) == 0)
            another_pod(play);
        if (!play->pods[0].app.p && play->pods[0].p && sim_luck(sim, 2))
            (void)application_open(&play->pods[0]); /* as above */
    }
}

/* ---- life ---- */

static void process_begin(void)
{
    struct error err = ERROR_INIT;

    memory_begin();
    assert_ok(follow_process_init(&err), &err);
    sim_vfs_register();
    assert_ok(lock_vfs_stand_on(SIM_VFS_NAME, &err), &err);
}

static void play_begin(struct play *play, uint64_t seed, FILE *trace_to)
{
    static char doubles[64];

    *play = (struct play){.ticks_left = 0};
    (void)snprintf(doubles, sizeof(doubles), PLAY_FOLDER, (int)getpid()); /* short enough */
    memory_files_begin(doubles);
    sim_begin(&play->sim, seed, trace_to);
    sim_vfs_begin();
    play->sim.between = between;
    play->sim.between_arg = play;
    /* What walferry says goes where the trace goes. */
    play->log = (struct log){.env = &play->sim.world.env,
                             .fd = trace_to ? fileno(trace_to) : -1,
                             .level = trace_to ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR};
    for (unsigned i = 0; i < STORES_MAX; i++) {
        struct floor *f = &play->model.floors[i];
        sim_store_begin(&play->stores[i], &play->sim, i == 0 ? "one" : "two");
        play->stores[i].on_create = store_created;
        play->stores[i].arg = &play->stores[i];
        f->commit = NOBODY;
        for (unsigned k = 0; k < PODS_MAX; k++)
            f->alternative[k] = NOBODY;
    }
    play_config_draw(play);
    play->ticks_left = play->config.ticks;
    sim_disk_begin(&play->judge_disk, &play->sim, "judge", false);
    play->judge = sim_process_new(&play->sim, "judge", true, &play->judge_disk);
    play->judge->is_calm = true;
    for (unsigned i = 0; i < play->config.pod_count; i++)
        pod_begin(&play->pods[i], play, i);
}

static void play_end(struct play *play)
{
    for (unsigned i = 0; i < play->config.pod_count; i++)
        pod_end(&play->pods[i]);
    sim_process_free(play->judge);
    sim_disk_end(&play->judge_disk);
    for (unsigned i = 0; i < STORES_MAX; i++)
        sim_store_end(&play->stores[i]);
    model_destroy(&play->model);
    sim_end(&play->sim);
    memory_files_end();
}

void play_seed(uint64_t seed, FILE *trace_to, struct play_outcome *out)
{
    static struct play play; /* too large for a stack */

    process_begin();
    play_begin(&play, seed, trace_to);
    script_play(&play);
    peace_play(&play);
    *out = (struct play_outcome){
        .trace_hash = play.sim.trace_hash,
        .trace_count = play.sim.trace_count,
        .operations = play.sim.operations,
        .simulated_ns = play.sim.now_ns,
        .commits = (unsigned)play.model.count,
        .restores = play.restores,
        .deaths = play.deaths,
        .was_alone = !play.needs_person,
    };
    for (unsigned i = 0; i < STORES_MAX; i++)
        out->objects += (unsigned)play.model.floors[i].txid_max;
    play_end(&play);
}
