/*
 * The scene of an engine's tests: applications in a process of their own, an engine on a real
 * loop, and buckets that are folders behind a flaky store (lib/testing/flaky_storage.h).
 *
 *     struct engine_scene s;
 *     scene_init(&s);                        options may be changed now
 *     scene_database(&s, 0);                 the application makes database 0, on connection 0
 *     scene_engine(&s);  scene_add(&s, 0);   the engine follows it
 *     app_ok(&s.app, "sql 0 INSERT ...");
 *     scene_sync(&s);
 *     scene_assert_replicated(&s, 0, 0);     a restore is what the application sees
 *     scene_end(&s);
 *
 * This process never opens a database that the engine has open: closing it would drop the engine's
 * locks. Time is the real one plus what scene_skip() added, so that a day costs nothing; after
 * scene_hold_time() it is what scene_skip() added alone, so that a slow machine changes nothing.
 *
 * Only for tests: static functions, cmocka.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_ENGINE_SCENE_H
#define WALFERRY_SIDECAR_ENGINE_ENGINE_SCENE_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/storage/file/file.h"
#include "lib/storage/storage_wait.h"
#include "lib/testing/app_process.h"
#include "lib/testing/flaky_storage.h"
#include "lib/testing/test.h"
#include "sidecar/engine/engine_internal.h"
#include "sidecar/restore/restore.h"

enum {
    SCENE_DESTINATIONS_MAX = 3,
    SCENE_PATIENCE_SECONDS = 60, /* of real time, for anything that must happen */
};

struct engine_scene {
    char folder[256];
    struct env env;
    atomic_uint_fast64_t skew_ns;
    atomic_uint_fast64_t wall_skew_ns; /* of the wall clock alone, beside that */
    uint64_t held_wall_ns;             /* the moment of scene_hold_time() */
    uint64_t held_monotonic_ns;
    uint64_t held_boot_ns;
    atomic_int_fast64_t free_bytes; /* what the file system says is free; negative: the truth */
    struct loop *loop;
    struct loop_timer tick;
    struct log log;
    struct engine *engine;
    struct app_process app;
    struct flaky flaky[SCENE_DESTINATIONS_MAX];
    struct destination_options dest[SCENE_DESTINATIONS_MAX]; /* of databases added from now on */
    size_t dest_count;
    struct database_options opt; /* likewise */
    uint64_t shutdown_timeout_ns;
    bool is_done;         /* of the wait under way */
    size_t unshipped;     /* its outcome */
    unsigned stale_count; /* databases that a restore could roll forward, as the engine told */
    char stale_path[300];
    char first_path[300];
    struct error first_error;
};

/* ---- time and space ---- */

static inline uint64_t scene_skew(void *scene)
{
    return atomic_load(&((struct engine_scene *)scene)->skew_ns);
}

static inline uint64_t scene_wall_ns(void *scene)
{
    return env_wall_ns(env_real()) + scene_skew(scene) +
           atomic_load(&((struct engine_scene *)scene)->wall_skew_ns);
}

static inline uint64_t scene_monotonic_ns(void *scene)
{
    return env_monotonic_ns(env_real()) + scene_skew(scene);
}

static inline uint64_t scene_boot_ns(void *scene)
{
    return env_boot_ns(env_real()) + scene_skew(scene);
}

static inline uint64_t scene_held_wall_ns(void *scene)
{
    return ((struct engine_scene *)scene)->held_wall_ns + scene_skew(scene) +
           atomic_load(&((struct engine_scene *)scene)->wall_skew_ns);
}

static inline uint64_t scene_held_monotonic_ns(void *scene)
{
    return ((struct engine_scene *)scene)->held_monotonic_ns + scene_skew(scene);
}

static inline uint64_t scene_held_boot_ns(void *scene)
{
    return ((struct engine_scene *)scene)->held_boot_ns + scene_skew(scene);
}

/* From now on time passes by scene_skip() alone. To be called before there is an engine. */
static inline void scene_hold_time(struct engine_scene *s)
{
    assert_null(s->engine); /* its jobs read the clock */
    s->held_wall_ns = env_wall_ns(&s->env);
    s->held_monotonic_ns = env_monotonic_ns(&s->env);
    s->held_boot_ns = env_boot_ns(&s->env);
    atomic_store(&s->skew_ns, 0); /* it is in there */
    atomic_store(&s->wall_skew_ns, 0);
    s->env.clock.wall_ns = scene_held_wall_ns;
    s->env.clock.monotonic_ns = scene_held_monotonic_ns;
    s->env.clock.boot_ns = scene_held_boot_ns;
}

static inline int64_t scene_free_bytes(void *scene, const char *path, int64_t *out_total)
{
    int64_t told = atomic_load(&((struct engine_scene *)scene)->free_bytes);
    int64_t real = env_real()->file.free_bytes(NULL, path, out_total);
    return told >= 0 && real >= 0 ? told : real;
}

static inline void scene_tick(void *scene UNUSED)
{
    /* Its only purpose is to end a turn of the loop. */
}

/* Time jumps; timers that are due then fire in the next turn. */
static inline void scene_skip(struct engine_scene *s, uint64_t ns)
{
    loop_timer_start(&s->tick, 0);
    atomic_fetch_add(&s->skew_ns, ns);
    loop_timer_stop(&s->tick); /* it was the first: the loop looks at the clock again */
}

/* ---- waiting ---- */

static inline void scene_print(const struct engine_scene *s)
{
    for (size_t i = 0; s->engine && i < s->engine->db_count; i++) {
        const struct database *db = s->engine->dbs[i];
        print_error("# %s: %s (%s)\n", db->path, status_db_state_name(db->state), db->state_detail);
        for (size_t j = 0; j < db->chain_count; j++) {
            const struct chain *c = &db->chains[j];
            print_error("#   %s: state %d (%s), txid %" PRIu64 ", fault \"%s\"\n", c->name,
                        (int)c->state, c->state_detail, c->acknowledged_txid,
                        fault_last(&c->fault)->text);
        }
    }
}

/* One turn of the loop; fails the test when `until` (real time) is over. */
static inline void scene_turn(struct engine_scene *s, uint64_t until_ns, const char *what)
{
    if (env_monotonic_ns(env_real()) > until_ns) {
        print_error("# waited in vain for: %s\n", what);
        scene_print(s);
        fail();
    }
    loop_timer_start(&s->tick, 2 * NS_PER_MS);
    (void)uv_run(loop_uv(s->loop), UV_RUN_ONCE);
    loop_timer_stop(&s->tick);
}

static inline uint64_t scene_patience(void)
{
    return env_monotonic_ns(env_real()) + SCENE_PATIENCE_SECONDS * NS_PER_SEC;
}

/* Runs the loop until the condition is true. */
#define SCENE_UNTIL(s, condition)                                                                  \
    do {                                                                                           \
        uint64_t until_patience = scene_patience();                                                \
        while (!(condition))                                                                       \
            scene_turn((s), until_patience, #condition);                                           \
    } while (0)

/* The same while time flies: step_ns every few milliseconds. */
#define SCENE_UNTIL_LATER(s, step_ns, condition)                                                   \
    do {                                                                                           \
        uint64_t until_patience = scene_patience();                                                \
        while (!(condition)) {                                                                     \
            scene_skip((s), (step_ns));                                                            \
            for (unsigned turn = 0; turn < 8 && !(condition); turn++)                              \
                scene_turn((s), until_patience, #condition);                                       \
        }                                                                                          \
    } while (0)

/* Runs the loop for a while (real time) in which something must *not* happen. */
static inline void scene_run(struct engine_scene *s, uint64_t ns)
{
    uint64_t end = env_monotonic_ns(env_real()) + ns;
    while (env_monotonic_ns(env_real()) < end)
        scene_turn(s, UINT64_MAX, "");
}

static inline struct database *scene_db(const struct engine_scene *s, size_t i)
{
    return s->engine->dbs[i];
}

static inline struct chain *scene_chain(const struct engine_scene *s, size_t i, size_t d)
{
    return &s->engine->dbs[i]->chains[d];
}

/* No timer is due, and database 0 has nothing under way with its first destination: while time is
 * held it stays so. */
static inline bool scene_is_at_rest(const struct engine_scene *s)
{
    return loop_next_ns(s->loop) > env_monotonic_ns(&s->env) && loop_job_count(s->loop) == 0 &&
           task_queue_is_idle(&scene_db(s, 0)->queue) && chain_is_quiet(scene_chain(s, 0, 0));
}

/* Time jumps, and all that becomes due by it is done. Only while time is held. */
static inline void scene_pass(struct engine_scene *s, uint64_t ns)
{
    scene_skip(s, ns);
    SCENE_UNTIL(s, scene_is_at_rest(s));
}

/* What the engine tells of a destination. */
static inline const struct status_destination *scene_status(struct engine_scene *s, size_t i,
                                                            size_t d)
{
    static struct status_process p;
    struct error err = ERROR_INIT;
    assert_ok(engine_status(s->engine, &p, &err), &err);
    return &p.dbs[i].destinations[d];
}

/* ---- life ---- */

static inline void scene_init(struct engine_scene *s)
{
    struct error err = ERROR_INIT;

    *s = (struct engine_scene){.env = *env_real()};
    atomic_init(&s->skew_ns, 0);
    atomic_init(&s->wall_skew_ns, 0);
    atomic_init(&s->free_bytes, -1);
    s->env.clock = (struct env_clock){.wall_ns = scene_wall_ns,
                                      .monotonic_ns = scene_monotonic_ns,
                                      .boot_ns = scene_boot_ns,
                                      .ctx = s};
    s->env.file.free_bytes = scene_free_bytes;
    s->env.file.ctx = s;
    test_folder_make(s->folder);
    app_start(&s->app);
    assert_ok(loop_new(&s->env, 4, &s->loop, &err), &err);
    loop_timer_init(&s->tick, s->loop, scene_tick, s);
    /* SCENE_LOG=1 shows what the engine says. */
    s->log = (struct log){.env = &s->env, .fd = 2, .level = LOG_LEVEL_DEBUG};
    if (!getenv("SCENE_LOG"))
        s->log.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    s->dest_count = 1;
    s->shutdown_timeout_ns = SCENE_PATIENCE_SECONDS / 2 * NS_PER_SEC;
    for (size_t d = 0; d < SCENE_DESTINATIONS_MAX; d++)
        s->dest[d] = (struct destination_options){.sync_interval_ns = NS_PER_MS};
    s->opt = (struct database_options){
        .enable_wal = true,
        .may_seal = true,
        .monitor_interval_ns = 50 * NS_PER_MS,
        .busy_timeout_ns = NS_PER_SEC,
        .checkpoint_frames = 1000,
        .wal_keep_bytes = 4U << 20,
    };
}

static inline const char *scene_path(const struct engine_scene *s, size_t i, char out[static 300])
{
    (void)snprintf(out, 300, "%s/app%zu.db", s->folder, i);
    return out;
}

static inline const char *scene_bucket(const struct engine_scene *s, size_t i, size_t d,
                                       char out[static 300])
{
    (void)snprintf(out, 300, "%s/bucket-%zu-%zu", s->folder, i, d);
    return out;
}

static inline void scene_on_stale(void *arg, const char *path)
{
    struct engine_scene *s = arg;

    s->stale_count++;
    (void)snprintf(s->stale_path, sizeof(s->stale_path), "%s", path);
}

static inline void scene_engine(struct engine_scene *s)
{
    struct error err = ERROR_INIT;
    const struct engine_options options = {.loop = s->loop,
                                           .log = &s->log,
                                           .version = "test",
                                           .shutdown_timeout_ns = s->shutdown_timeout_ns,
                                           .on_stale = scene_on_stale,
                                           .stale_arg = s};
    assert_ok(engine_new(&options, &s->engine, &err), &err);
}

/* Adds the database at path with the scene's options; its buckets are those of number i. */
static inline void scene_add_path(struct engine_scene *s, size_t i, const char *path)
{
    static const char *const names[] = {"first", "second", "third"};
    struct error err = ERROR_INIT;
    struct destination_options dest[SCENE_DESTINATIONS_MAX];
    struct database_options opt = s->opt;
    char bucket[300];

    assert_in_range(s->dest_count, 1, ARRAY_LEN(names));
    for (size_t d = 0; d < s->dest_count && d < ARRAY_LEN(names); d++) {
        struct storage *inner = NULL;
        dest[d] = s->dest[d];
        dest[d].name = names[d];
        assert_ok(storage_file_new(s->loop, &s->env, scene_bucket(s, i, d, bucket), &inner, &err),
                  &err);
        dest[d].storage = flaky_storage_new(s->loop, inner, &s->flaky[d]);
    }
    opt.path = path;
    opt.destinations = dest;
    opt.destination_count = s->dest_count;
    assert_ok(engine_add_database(s->engine, &opt, &err), &err);
}

static inline void scene_add(struct engine_scene *s, size_t i)
{
    char path[300];
    scene_add_path(s, i, scene_path(s, i, path));
}

/* Without acknowledgement of anything, as near to a kill as one process can get. */
static inline void scene_kill(struct engine_scene *s)
{
    engine_free(s->engine);
    s->engine = NULL;
}

static inline void scene_end(struct engine_scene *s)
{
    scene_kill(s);
    app_stop(&s->app);
    loop_run(s->loop);
    loop_free(s->loop);
    if (s->log.fd != 2)
        (void)close(s->log.fd);
    test_folder_remove(s->folder);
}

/* ---- the application ---- */

static inline void scene_database(struct engine_scene *s, size_t i)
{
    char path[300];
    app_ok(&s->app, "open %zu %s", i, scene_path(s, i, path));
    app_ok(&s->app, "sql %zu PRAGMA busy_timeout=10000", i);
    app_ok(&s->app, "sql %zu PRAGMA journal_mode=WAL", i);
    app_ok(&s->app, "sql %zu CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, body BLOB)", i);
}

/* Commits count rows of random bytes in one transaction. */
static inline void scene_insert(struct engine_scene *s, size_t i, unsigned count, unsigned bytes)
{
    app_ok(&s->app,
           "sql %zu WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < %u) "
           "INSERT INTO t(body) SELECT randomblob(%u) FROM c",
           i, count, bytes);
}

/* ---- orders to the engine ---- */

static inline void scene_on_done(void *scene, const struct engine_outcome *outcome)
{
    struct engine_scene *s = scene;
    s->is_done = true;
    s->unshipped = outcome->unshipped_databases;
    s->first_error = *outcome->first_error;
    (void)snprintf(s->first_path, sizeof(s->first_path), "%s",
                   outcome->first_path ? outcome->first_path : "");
}

typedef void scene_order(struct engine *e, uint64_t timeout_ns, engine_done_fn *done, void *arg);

/* Gives an order and waits for its outcome, which may be bad. */
static inline bool scene_try(struct engine_scene *s, scene_order *order)
{
    s->is_done = false;
    order(s->engine, SCENE_PATIENCE_SECONDS / 2 * NS_PER_SEC, scene_on_done, s);
    assert_false(s->is_done);
    SCENE_UNTIL(s, s->is_done);
    return s->unshipped == 0;
}

static inline void scene_wait(struct engine_scene *s, scene_order *order)
{
    if (!scene_try(s, order)) {
        print_error("# %zu databases are not done: %s\n", s->unshipped, s->first_error.text);
        scene_print(s);
        fail();
    }
}

static inline void scene_sync(struct engine_scene *s)
{
    scene_wait(s, engine_sync);
}

/* Ships the tail and closes. Answers how many databases have something unshipped. */
static inline size_t scene_stop(struct engine_scene *s)
{
    s->is_done = false;
    engine_stop(s->engine, scene_on_done, s);
    SCENE_UNTIL(s, s->is_done);
    scene_kill(s);
    return s->unshipped;
}

/* Everything from the start: an application with database 0, replicated. */
static inline void scene_begin(struct engine_scene *s)
{
    scene_database(s, 0);
    scene_engine(s);
    scene_add(s, 0);
    scene_sync(s);
}

/* ---- what lies in the bucket ---- */

/* Restores TXID txid (0: the newest) of a bucket to out. */
static inline int scene_restore(struct engine_scene *s, size_t i, size_t d, uint64_t txid,
                                const char *out, struct error *err)
{
    char bucket[300];
    struct storage *st = NULL;
    struct restore_result result = {.outcome = RESTORE_FAILED};

    (void)unlink(out);
    assert_ok(storage_file_new(s->loop, &s->env, scene_bucket(s, i, d, bucket), &st, err), err);
    const struct restore_destination destination = {.storage = st, .name = "first"};
    const struct restore_options options = {
        .output = out,
        .target = {.kind = txid ? RESTORE_TXID : RESTORE_LATEST, .txid = txid},
    };
    const struct restore_args args = {.loop = s->loop,
                                      .env = &s->env,
                                      .log = &s->log,
                                      .destinations = &destination,
                                      .destination_count = 1,
                                      .options = &options};
    int rc = restore_run(&args, &result, err);
    if (rc == 0 && !result.is_checksum_recorded)
        rc = error_set(err, ERR_CORRUPT, 0, "no database checksum is recorded");
    restore_result_destroy(&result);
    storage_free(st);
    return rc;
}

static inline void scene_assert_equal_files(const char *a, const char *b)
{
    size_t a_bytes;
    size_t b_bytes;
    uint8_t *a_p = test_file_read(a, &a_bytes);
    uint8_t *b_p = test_file_read(b, &b_bytes);

    if (a_bytes != b_bytes || memcmp(a_p, b_p, a_bytes) != 0) {
        size_t at = 0;
        while (at < a_bytes && at < b_bytes && a_p[at] == b_p[at])
            at++;
        print_error("# %s (%zu bytes) and %s (%zu bytes) differ at %zu\n", a, a_bytes, b, b_bytes,
                    at);
        fail();
    }
    free(a_p);
    free(b_p);
}

/* The newest state in a bucket is what the application sees on connection i, byte for byte. */
static inline void scene_assert_replicated(struct engine_scene *s, size_t i, size_t d)
{
    struct error err = ERROR_INIT;
    char image[300];
    char restored[300];

    (void)snprintf(image, sizeof(image), "%s/image", s->folder);
    (void)snprintf(restored, sizeof(restored), "%s/restored", s->folder);
    app_ok(&s->app, "image %zu %s", i, image);
    assert_ok(scene_restore(s, i, d, 0, restored, &err), &err);
    scene_assert_equal_files(image, restored);
}

/* Everything that was committed arrives, and is what the application sees. */
static inline void scene_sync_and_compare(struct engine_scene *s)
{
    scene_sync(s);
    scene_assert_replicated(s, 0, 0);
}

/* The inventory of a bucket, listed now. The caller destroys it. */
static inline void scene_list(struct engine_scene *s, size_t i, size_t d, struct inventory *out)
{
    struct error err = ERROR_INIT;
    struct storage *st = NULL;
    char bucket[300];

    inventory_init(out);
    assert_ok(storage_file_new(s->loop, &s->env, scene_bucket(s, i, d, bucket), &st, &err), &err);
    assert_ok(inventory_load_wait(st, out, true, &err), &err);
    storage_free(st);
}

static inline size_t scene_count(struct engine_scene *s, size_t i, size_t d, unsigned level)
{
    struct inventory inv;
    scene_list(s, i, d, &inv);
    size_t count = inv.level[level].object_count;
    inventory_destroy(&inv);
    return count;
}

/* Every boundary of the bucket restores; answers how many there are. */
static inline size_t scene_assert_restorable(struct engine_scene *s, size_t i, size_t d)
{
    struct inventory inv;
    char restored[300];
    uint64_t floor = UINT64_MAX;
    size_t count = 0;

    (void)snprintf(restored, sizeof(restored), "%s/restored", s->folder);
    scene_list(s, i, d, &inv);
    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        for (size_t k = 0; k < inv.level[level].object_count; k++) {
            const struct inventory_object *o = &inv.level[level].object[k];
            if (o->min_txid == 1 && o->max_txid < floor)
                floor = o->max_txid;
        }
    }
    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        for (size_t k = 0; k < inv.level[level].object_count; k++) {
            struct error err = ERROR_INIT;
            uint64_t txid = inv.level[level].object[k].max_txid;
            if (txid < floor)
                continue;
            assert_ok(scene_restore(s, i, d, txid, restored, &err), &err);
            count++;
        }
    }
    inventory_destroy(&inv);
    return count;
}

/* ---- lives with levels ---- */

static inline uint64_t scene_newest(struct engine_scene *s, unsigned level)
{
    return scene_status(s, 0, 0)->levels[level].newest_txid;
}

static inline uint64_t scene_acknowledged(struct engine_scene *s)
{
    return scene_status(s, 0, 0)->acknowledged_txid;
}

static inline void scene_with_levels(struct engine_scene *s)
{
    s->dest[0].level_interval_ns[0] = 30 * NS_PER_SEC;
    s->dest[0].level_interval_ns[1] = 2 * NS_PER_MIN;
    s->dest[0].snapshot_interval_ns = NS_PER_HOUR;
    s->opt.checkpoint_frames = 60;
}

/* One of the things that applications do. */
static inline void scene_live(struct engine_scene *s, unsigned i)
{
    static const char *const steps[] = {
        "UPDATE t SET body = randomblob(700) WHERE id % 7 = 3",
        "DELETE FROM t WHERE id % 5 = 1",
        "INSERT INTO t(body) SELECT randomblob(900) FROM t LIMIT 40",
        "VACUUM",
        "INSERT INTO t(body) VALUES(zeroblob(20000))",
        "DELETE FROM t WHERE id > 300",
    };
    app_ok(&s->app, "sql 0 %s", steps[i % ARRAY_LEN(steps)]);
}

/* ---- files beside each other ---- */

/* Runs a shell command; the test fails if it fails. For copies of databases that nobody has open.
 */
static inline void scene_shell(const char *fmt, ...) PRINTF_LIKE(1, 2);
static inline void scene_shell(const char *fmt, ...)
{
    char command[2048];
    va_list ap;

    va_start(ap, fmt);
    assert_in_range(vsnprintf(command, sizeof(command), fmt, ap), 1, sizeof(command) - 1);
    va_end(ap);
    assert_int_equal(system(command), 0);
}

#endif
