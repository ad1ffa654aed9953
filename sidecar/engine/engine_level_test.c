/*
 * Compactions and snapshots made from the living database are what a merge of the raw objects
 * would be; and the pin under which they are made never outlives its purpose.
 */
#include "lib/ltx/merge.h"
#include "lib/ltx/reader.h"
#include "sidecar/engine/engine_scene.h"
#include "sidecar/engine/level_internal.h"

enum {
    MERGE_MAX = 64,
};

/* ---- the oracle: a merge of raw objects ---- */

static void object_load(struct engine_scene *s, unsigned level, uint64_t min, uint64_t max,
                        struct blob *out)
{
    char bucket[300];
    char key[STORAGE_KEY_BYTES_MAX];
    char path[900];
    size_t n;
    struct error err = ERROR_INIT;
    const struct object_name name = {.level = level, .min_txid = min, .max_txid = max};

    (void)snprintf(path, sizeof(path), "%s/%s", scene_bucket(s, 0, 0, bucket),
                   object_name_format(STORAGE_LAYOUT_LTX, &name, key));
    uint8_t *bytes = test_file_read(path, &n);
    assert_ok(blob_of_slice(&s->env, slice_of(bytes, n), out, &err), &err);
    free(bytes);
}

static void reader_open(struct ltx_reader *r, const struct blob *blob)
{
    struct error err = ERROR_INIT;
    const struct ltx_reader_args args = {.blob = blob};
    assert_ok(ltx_reader_open(r, &args, &err), &err);
}

/* Merges the raw objects min..max. */
static void raw_merge(struct engine_scene *s, uint64_t min, uint64_t max, struct blob *out)
{
    struct blob blobs[MERGE_MAX];
    struct ltx_reader readers[MERGE_MAX];
    struct ltx_reader *inputs[MERGE_MAX];
    struct blob_writer w;
    struct ltx_merge_result result;
    struct error err = ERROR_INIT;
    size_t n = max - min + 1;

    assert_in_range(n, 1, MERGE_MAX);
    for (size_t i = 0; i < n; i++) {
        object_load(s, 0, min + i, min + i, &blobs[i]);
        reader_open(&readers[i], &blobs[i]);
        inputs[i] = &readers[i];
    }
    blob_writer_init(&w, &s->env, s->folder, 64U << 20);
    const struct ltx_merge_args args = {.inputs = inputs, .input_count = n, .out = &w};
    assert_ok(ltx_merge(&args, &result, &err), &err);
    assert_ok(blob_writer_finish(&w, out, &err), &err);
    for (size_t i = 0; i < n; i++) {
        ltx_reader_close(&readers[i]);
        blob_destroy(&blobs[i]);
    }
}

/* Same pages, same content, same state at the end. */
static void assert_same_object(const struct blob *a, const struct blob *b)
{
    CLEANUP(ltx_reader_close) struct ltx_reader x = {.blob = NULL};
    CLEANUP(ltx_reader_close) struct ltx_reader y = {.blob = NULL};
    struct error err = ERROR_INIT;
    int more = 1;

    reader_open(&x, a);
    reader_open(&y, b);
    const struct ltx_header *h = ltx_reader_header(&x);
    const struct ltx_header *g = ltx_reader_header(&y);
    assert_int_equal(h->min_txid, g->min_txid);
    assert_int_equal(h->max_txid, g->max_txid);
    assert_int_equal(h->commit, g->commit);
    assert_int_equal(h->page_size, g->page_size);
    assert_int_equal(h->timestamp_ms, g->timestamp_ms);
    assert_true(h->has_ext && g->has_ext);
    assert_int_equal(h->db_checksum, g->db_checksum);
    while (more > 0) {
        uint32_t p = 0;
        uint32_t q = 0;
        struct slice page = SLICE_EMPTY;
        struct slice other = SLICE_EMPTY;
        more = ltx_reader_next(&x, &p, &page, &err);
        assert_ok(more, &err);
        assert_int_equal(ltx_reader_next(&y, &q, &other, &err), more);
        assert_int_equal(p, q);
        assert_true(slice_eq(page, other));
    }
}

static void assert_level_is_merge(struct engine_scene *s, unsigned level, uint64_t min,
                                  uint64_t max)
{
    struct blob object = BLOB_INIT;
    struct blob merged = BLOB_INIT;
    char row[64];

    (void)snprintf(row, sizeof(row), "L%u %" PRIu64 "-%" PRIu64, level, min, max);
    test_row(row);
    object_load(s, level, min, max, &object);
    raw_merge(s, min, max, &merged);
    assert_same_object(&object, &merged);
    blob_destroy(&object);
    blob_destroy(&merged);
}

/* All objects of the levels above 0; answers how many. No raw object may be gone. */
static size_t assert_levels_are_merges(struct engine_scene *s)
{
    struct inventory inv;
    size_t count = 0;

    scene_list(s, 0, 0, &inv);
    for (unsigned level = 1; level < LTX_LEVELS; level++) {
        uint64_t end = 0;
        for (size_t i = 0; i < inv.level[level].object_count; i++, count++) {
            const struct inventory_object *o = &inv.level[level].object[i];
            assert_level_is_merge(s, level, o->min_txid, o->max_txid);
            if (level != LTX_LEVEL_SNAPSHOT && end)
                assert_int_equal(o->min_txid, end + 1);
            end = o->max_txid;
        }
    }
    inventory_destroy(&inv);
    return count;
}

static const struct level_work *level_work(struct engine_scene *s, unsigned level)
{
    const struct chain *c = scene_chain(s, 0, 0);
    for (size_t i = 0; i < c->level_count; i++) {
        if (c->levels[i].level == level)
            return &c->levels[i];
    }
    fail();
    return NULL;
}

static bool are_levels_at_the_tip(struct engine_scene *s)
{
    uint64_t tip = scene_acknowledged(s);
    return scene_newest(s, 1) == tip && scene_newest(s, 2) == tip && scene_newest(s, 9) == tip;
}

/* ---- levels ---- */

static void test_levels_are_what_a_merge_of_raw_objects_would_be(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_with_levels(&s);
    scene_begin(&s);
    scene_insert(&s, 0, 300, 500);
    for (unsigned i = 0; i < 36; i++) {
        scene_live(&s, i);
        scene_sync(&s);
        scene_skip(&s, 10 * NS_PER_SEC);
        scene_run(&s, 5 * NS_PER_MS);
    }
    SCENE_UNTIL_LATER(&s, 5 * NS_PER_MIN, are_levels_at_the_tip(&s));
    assert_true(scene_count(&s, 0, 0, 1) >= 8);
    assert_true(scene_count(&s, 0, 0, 2) >= 3);
    assert_true(assert_levels_are_merges(&s) >= 12);
    assert_int_equal(scene_status(&s, 0, 0)->errors_total, 0);
    assert_null(scene_db(&s, 0)->pin_holder);
    scene_assert_replicated(&s, 0, 0);
    scene_end(&s);
}

static void test_levels_go_on_after_restarts(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_with_levels(&s);
    scene_begin(&s);
    scene_insert(&s, 0, 300, 500);
    for (unsigned i = 0; i < 18; i++) {
        scene_live(&s, i);
        scene_sync(&s);
        scene_skip(&s, 10 * NS_PER_SEC);
        scene_run(&s, 5 * NS_PER_MS);
        if (i % 2)
            continue;
        scene_kill(&s);
        if (i % 4) {
            scene_live(&s, i + 2);
            app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)");
        }
        scene_engine(&s);
        scene_add(&s, 0);
        scene_sync(&s);
        scene_skip(&s, NS_PER_MIN); /* L1 is due while what changed before must be looked up */
    }
    scene_insert(&s, 0, 1, 1);
    scene_sync(&s);
    SCENE_UNTIL_LATER(&s, 5 * NS_PER_MIN, are_levels_at_the_tip(&s));
    assert_true(assert_levels_are_merges(&s) >= 6);
    assert_int_equal(scene_status(&s, 0, 0)->errors_total, 0);
    scene_end(&s);
}

/* A fleet that starts at once does not compact at once: up to a tenth of the interval earlier, by the
 * name of the database, and the same in each life. */
static void test_levels_of_a_fleet_are_due_at_different_times_by_name(void **state UNUSED)
{
    enum {
        FLEET = 8
    };
    uint64_t delays[2][FLEET];
    struct engine_scene s;
    scene_init(&s);
    s.dest[0].level_interval_ns[0] = 1000 * NS_PER_SEC;
    for (size_t i = 0; i < FLEET; i++) {
        char path[300];
        app_ok(&s.app, "open 0 %s", scene_path(&s, i, path));
        app_ok(&s.app, "sql 0 PRAGMA journal_mode=WAL");
        app_ok(&s.app, "sql 0 CREATE TABLE t(x)");
        app_ok(&s.app, "close 0");
    }
    for (unsigned life = 0; life < 2; life++) {
        scene_engine(&s);
        for (size_t i = 0; i < FLEET; i++)
            scene_add(&s, i);
        scene_sync(&s);
        for (size_t i = 0; i < FLEET; i++) {
            struct level_work *l = &scene_chain(&s, i, 0)->levels[0];
            assert_int_equal(l->level, 1);
            loop_timer_stop(&l->timer);
            scene_chain(&s, i, 0)->at.txid++; /* as if there were news right now */
            uint64_t now_ns = env_monotonic_ns(&s.env);
            level_arm_one(l);
            scene_chain(&s, i, 0)->at.txid--;
            assert_true(loop_timer_is_armed(&l->timer));
            delays[life][i] = (l->timer.deadline_ns - now_ns) / NS_PER_SEC;
            assert_in_range(delays[life][i], 900, 1000);
        }
        assert_int_equal(scene_stop(&s), 0);
    }
    size_t distinct = 0;
    for (size_t i = 0; i < FLEET; i++) {
        size_t same = 0;
        for (size_t k = 0; k < i; k++)
            same += delays[0][k] == delays[0][i];
        distinct += same == 0;
        assert_in_range(delays[1][i], delays[0][i] - 1, delays[0][i] + 1);
    }
    assert_true(distinct >= FLEET / 2);
    scene_end(&s);
}

/* Small pages make a snapshot of many steps of a small file. */
static void big_database(struct engine_scene *s)
{
    char path[300];
    app_ok(&s->app, "open 0 %s", scene_path(s, 0, path));
    app_ok(&s->app, "sql 0 PRAGMA busy_timeout=10000");
    app_ok(&s->app, "sql 0 PRAGMA page_size=512");
    app_ok(&s->app, "sql 0 PRAGMA journal_mode=WAL");
    app_ok(&s->app, "sql 0 CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)");
    scene_insert(s, 0, 20000, 300);
    scene_engine(s);
    scene_add(s, 0);
    scene_sync(s);
    assert_true(scene_db(s, 0)->end_seen.page_count > 3 * LEVEL_STEP_PAGES);
}

static void test_snapshot_is_a_state_although_commits_go_on(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.opt.checkpoint_frames = 200;
    big_database(&s);
    app_ok(&s.app, "open 1 %s/app0.db", s.folder);
    app_ok(&s.app, "sql 1 PRAGMA busy_timeout=10000");

    app_ok(&s.app, "spin 1 UPDATE t SET body = randomblob(300) WHERE id = abs(random()) %% 20000");
    SCENE_UNTIL(&s, scene_acknowledged(&s) > 2);
    scene_wait(&s, engine_snapshot);
    uint64_t snapshot = scene_newest(&s, 9);
    assert_true(snapshot > 1);
    assert_true(scene_acknowledged(&s) > snapshot); /* commits were shipped beside it */
    (void)app_spin_end(&s.app, NULL);
    scene_sync(&s);
    assert_int_equal(scene_status(&s, 0, 0)->errors_total, 0);
    assert_null(scene_db(&s, 0)->pin_holder);
    assert_false(scene_chain(&s, 0, 0)->has_pin);
    if (snapshot <= MERGE_MAX)
        assert_level_is_merge(&s, 9, 1, snapshot);

    /* The log can be checkpointed again. */
    uint64_t checkpoints = scene_db(&s, 0)->checkpoints[STATUS_CHECKPOINT_PASSIVE].total;
    scene_insert(&s, 0, 300, 300);
    SCENE_UNTIL(&s, scene_db(&s, 0)->checkpoints[STATUS_CHECKPOINT_PASSIVE].total > checkpoints);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

/* A snapshot is being encoded, and something that came after its state is acknowledged already. */
static bool is_behind(const struct chain *c)
{
    return c->level_job && c->at.txid > c->pinned.txid;
}

static void test_level_due_while_a_snapshot_is_made_keeps_what_came_after_it(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_with_levels(&s);
    big_database(&s);
    struct chain *c = scene_chain(&s, 0, 0);

    while (!is_behind(c)) { /* it may be quicker than the commit */
        SCENE_UNTIL(&s, !c->level_job && !level_is_wanted_or_busy(c, LTX_LEVEL_SNAPSHOT));
        scene_insert(&s, 0, 1, 10);
        scene_sync(&s);
        level_want(c, LTX_LEVEL_SNAPSHOT);
        SCENE_UNTIL(&s, c->level_job);
        app_ok(&s.app, "sql 0 UPDATE t SET body = randomblob(299) WHERE id < 40");
        SCENE_UNTIL(&s, is_behind(c) || !c->level_job);
    }
    level_want(c, 1);
    SCENE_UNTIL(&s, !c->level_job);
    for (unsigned i = 0; i < 2; i++) {
        scene_insert(&s, 0, 1, 10);
        scene_sync(&s);
        level_want(c, 1);
        SCENE_UNTIL(&s, scene_newest(&s, 1) == scene_acknowledged(&s));
    }
    SCENE_UNTIL(&s, !level_is_wanted_or_busy(c, LTX_LEVEL_SNAPSHOT)); /* encoded is not sent */
    assert_true(assert_levels_are_merges(&s) >= 3);
    scene_end(&s);
}

static void test_engine_can_be_ended_in_the_middle_of_a_snapshot(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    big_database(&s);
    for (unsigned turns = 1; turns < 40; turns += 3) {
        level_want(scene_chain(&s, 0, 0), LTX_LEVEL_SNAPSHOT);
        for (unsigned i = 0; i < turns; i++)
            scene_turn(&s, UINT64_MAX, "");
        scene_kill(&s);
        scene_engine(&s);
        scene_add(&s, 0);
        scene_sync(&s);
    }
    scene_wait(&s, engine_snapshot);
    scene_insert(&s, 0, 1, 1);
    level_want(scene_chain(&s, 0, 0), LTX_LEVEL_SNAPSHOT);
    scene_run(&s, 10 * NS_PER_MS);
    assert_int_equal(scene_stop(&s), 0);
    scene_end(&s);
}

static void test_pin_is_dropped_when_the_store_goes_away(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.opt.checkpoint_frames = 50;
    scene_begin(&s);
    scene_insert(&s, 0, 50, 100);
    scene_sync(&s);

    flaky_set(&s.flaky[0], STORAGE_OP_PUT, &(struct flaky_rule){.fault = FLAKY_HOLD, .times = 1});
    scene_insert(&s, 0, 50, 100);
    level_want(scene_chain(&s, 0, 0), LTX_LEVEL_SNAPSHOT);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 1);
    SCENE_UNTIL(&s, task_queue_is_idle(&scene_db(&s, 0)->queue));
    assert_ptr_equal(scene_db(&s, 0)->pin_holder, scene_chain(&s, 0, 0));

    flaky_set(&s.flaky[0], STORAGE_OP_PUT, &(struct flaky_rule){.fault = FLAKY_FAIL});
    storage_cancel(scene_chain(&s, 0, 0)->op);
    SCENE_UNTIL(&s, !scene_db(&s, 0)->pin_holder);
    assert_true(level_is_wanted_or_busy(scene_chain(&s, 0, 0), LTX_LEVEL_SNAPSHOT)); /* put off */
    uint64_t checkpoints = scene_db(&s, 0)->checkpoints[STATUS_CHECKPOINT_PASSIVE].total;
    scene_insert(&s, 0, 100, 3000);
    SCENE_UNTIL(&s, scene_db(&s, 0)->checkpoints[STATUS_CHECKPOINT_PASSIVE].total > checkpoints);

    flaky_set(&s.flaky[0], STORAGE_OP_PUT, NULL);
    scene_sync(&s);
    scene_skip(&s, NS_PER_MIN);
    SCENE_UNTIL(&s, scene_newest(&s, 9) == scene_acknowledged(&s));
    assert_true(assert_levels_are_merges(&s) == 1);
    scene_end(&s);
}

static void test_compaction_that_is_not_accepted_is_sent_again(void **state UNUSED)
{
    static const enum flaky_fault faults[] = {FLAKY_FAIL, FLAKY_LOSE_ANSWER};

    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        struct engine_scene s;
        scene_init(&s);
        scene_with_levels(&s);
        scene_begin(&s);
        flaky_set(&s.flaky[0], STORAGE_OP_PUT,
                  &(struct flaky_rule){.fault = faults[i], .key_part = "ltx/1/", .times = 3});
        scene_insert(&s, 0, 50, 100);
        scene_sync(&s);
        uint64_t first = scene_acknowledged(&s);
        scene_skip(&s, NS_PER_MIN);
        SCENE_UNTIL(&s, s.flaky[0].suffered == 1);
        SCENE_UNTIL(&s, !level_work(&s, 1)->op);
        assert_int_equal(scene_status(&s, 0, 0)->state, STATUS_DESTINATION_BACKOFF);
        for (unsigned k = 0; k < 3; k++) { /* commits go on meanwhile */
            scene_insert(&s, 0, 5, 100);
            scene_sync(&s);
            scene_skip(&s, NS_PER_MIN);
            scene_run(&s, 20 * NS_PER_MS);
        }
        SCENE_UNTIL(&s, scene_newest(&s, 1) >= first);
        SCENE_UNTIL_LATER(&s, 10 * NS_PER_SEC, scene_newest(&s, 1) == scene_acknowledged(&s));
        assert_true(assert_levels_are_merges(&s) >= 2);
        assert_int_equal(scene_status(&s, 0, 0)->error_streak, 0);
        scene_end(&s);
    }
}

/* A database whose pages lie in its file, and not in the log any more. */
static void checkpointed(struct engine_scene *s)
{
    scene_init(s);
    s->opt.checkpoint_frames = 20;
    s->dest[0].level_interval_ns[0] = 30 * NS_PER_SEC;
    scene_begin(s);
    scene_insert(s, 0, 200, 1000);
    scene_sync(s);
    for (unsigned i = 0; i < 40; i++) { /* more objects than one merge takes */
        app_ok(&s->app, "sql 0 UPDATE t SET body = randomblob(900) WHERE id = %u", 1 + i % 4);
        scene_sync(s);
    }
    SCENE_UNTIL(s, scene_db(s, 0)->checkpoints[STATUS_CHECKPOINT_PASSIVE].total > 0 &&
                       task_queue_is_idle(&scene_db(s, 0)->queue));
    app_ok(&s->app, "sql 0 PRAGMA wal_checkpoint(PASSIVE)");
    app_ok(&s->app, "sql 0 CREATE TABLE u(x)"); /* touches page 1 and a new one */
    scene_sync(s);
}

/* Behind SQLite's back; this process must not open the file. */
static void page_rot(struct engine_scene *s, unsigned pgno)
{
    scene_shell("cd %s && dd if=app0.db of=page bs=4096 skip=%u count=1 status=none && "
                "printf rot | dd of=app0.db bs=1 seek=%u conv=notrunc status=none",
                s->folder, pgno - 1, (pgno - 1) * 4096 + 1000);
}

static void page_heal(struct engine_scene *s, unsigned pgno)
{
    scene_shell("cd %s && dd if=page of=app0.db bs=4096 seek=%u conv=notrunc status=none",
                s->folder, pgno - 1);
}

static void assert_rot_is_told(struct engine_scene *s, uint64_t pages, uint64_t merges)
{
    const struct status_destination *d = scene_status(s, 0, 0);

    assert_int_equal(d->rotten_pages_total, pages);
    assert_int_equal(d->rotten_pgno, 10);
    assert_true(d->rotten_at_ns > 0);
    assert_int_equal(d->merges_total, merges);
    assert_non_null(strstr(d->last_error, "page 10 is not what was replicat"));
    assert_non_null(strstr(d->last_error_hint, "integrity_check"));
}

static void test_page_that_rots_is_told_and_the_object_comes_from_the_bucket(void **state UNUSED)
{
    struct engine_scene s;
    checkpointed(&s);
    page_rot(&s, 10);
    scene_skip(&s, NS_PER_MIN); /* L1 is due */
    SCENE_UNTIL(&s, scene_newest(&s, 1) == scene_acknowledged(&s));
    assert_rot_is_told(&s, 1, 1);
    level_want(scene_chain(&s, 0, 0), LTX_LEVEL_SNAPSHOT);
    SCENE_UNTIL(&s, scene_newest(&s, 9) == scene_acknowledged(&s));
    assert_rot_is_told(&s, 2, 2);
    assert_int_equal(scene_status(&s, 0, 0)->error_streak, 0); /* nothing is missing */
    assert_int_equal(assert_levels_are_merges(&s), 2);
    SCENE_UNTIL(&s, !scene_db(&s, 0)->pin_holder);
    /* What is restored is the sound page, not what lies on the disk. */
    page_heal(&s, 10);
    scene_assert_replicated(&s, 0, 0);

    /* The next objects come from the database again. */
    app_ok(&s.app, "sql 0 UPDATE t SET body = randomblob(900) WHERE id > 100");
    scene_sync(&s);
    scene_skip(&s, NS_PER_MIN);
    SCENE_UNTIL(&s, scene_newest(&s, 1) == scene_acknowledged(&s));
    assert_rot_is_told(&s, 2, 2);
    scene_assert_replicated(&s, 0, 0);
    scene_end(&s);
}

static void
test_merge_that_fails_leaves_the_level_due_and_nothing_in_the_bucket(void **state UNUSED)
{
    static const struct {
        const char *name;
        struct flaky_rule get;
    } rows[] = {
        {"the store is away", {.fault = FLAKY_FAIL}},
        {"the store is away in the second round", {.fault = FLAKY_FAIL, .pass_count = 20}},
        {"an object is gone", {.fault = FLAKY_FAIL, .code = ERR_NOT_FOUND}},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct engine_scene s;
        test_row(rows[i].name);
        checkpointed(&s);
        page_rot(&s, 10);
        flaky_set(&s.flaky[0], STORAGE_OP_GET, &rows[i].get);
        scene_skip(&s, NS_PER_MIN);
        SCENE_UNTIL(&s, level_work(&s, 1)->failures == 1 && !level_work(&s, 1)->merge);
        assert_int_equal(scene_count(&s, 0, 0, 1), 0);
        SCENE_UNTIL(&s, !scene_db(&s, 0)->pin_holder);
        /* Commits go on, and nobody reads the database again and again. */
        scene_insert(&s, 0, 1, 10);
        scene_sync(&s);
        scene_run(&s, 50 * NS_PER_MS);
        assert_int_equal(level_work(&s, 1)->failures, 1);

        flaky_set(&s.flaky[0], STORAGE_OP_GET, NULL);
        scene_skip(&s, NS_PER_MIN);
        SCENE_UNTIL(&s, scene_newest(&s, 1) == scene_acknowledged(&s));
        assert_int_equal(assert_levels_are_merges(&s), 1);
        scene_end(&s);
    }
}

static void test_rotten_object_of_the_bucket_is_not_merged(void **state UNUSED)
{
    struct engine_scene s;
    checkpointed(&s);
    page_rot(&s, 10);
    scene_shell("f=$(ls %s/bucket-0-0/ltx/0/*.ltx | sed -n 12p) && "
                "printf rot | dd of=$f bs=1 seek=200 conv=notrunc status=none",
                s.folder);
    scene_skip(&s, NS_PER_MIN);
    SCENE_UNTIL(&s, level_work(&s, 1)->failures == 1 && !level_work(&s, 1)->merge);
    assert_int_equal(scene_count(&s, 0, 0, 1), 0);
    assert_int_equal(scene_status(&s, 0, 0)->merges_total, 0);
    scene_end(&s);
}

static void test_engine_can_be_ended_in_the_middle_of_a_merge(void **state UNUSED)
{
    struct engine_scene s;
    checkpointed(&s);
    page_rot(&s, 10);
    flaky_set(&s.flaky[0], STORAGE_OP_GET,
              &(struct flaky_rule){.fault = FLAKY_HOLD, .pass_count = 3});
    scene_skip(&s, NS_PER_MIN);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 1);
    assert_non_null(level_work(&s, 1)->merge);
    scene_kill(&s);
    flaky_set(&s.flaky[0], STORAGE_OP_GET, NULL);
    page_heal(&s, 10);
    scene_engine(&s);
    scene_add(&s, 0);
    scene_sync(&s);
    scene_skip(&s, NS_PER_MIN);
    SCENE_UNTIL(&s, scene_newest(&s, 1) == scene_acknowledged(&s));
    assert_int_equal(assert_levels_are_merges(&s), 1);
    scene_end(&s);
}

static void test_snapshot_on_demand_is_there_when_its_wait_is_over(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);
    scene_wait(&s, engine_snapshot);
    assert_int_equal(scene_newest(&s, 9), 1);
    scene_wait(&s, engine_snapshot); /* nothing new */
    assert_int_equal(scene_count(&s, 0, 0, 9), 1);
    scene_insert(&s, 0, 10, 100);
    scene_wait(&s, engine_snapshot);
    assert_int_equal(scene_newest(&s, 9), 2);

    /* One that cannot be made in time is told so. */
    flaky_set(&s.flaky[0], STORAGE_OP_PUT,
              &(struct flaky_rule){.fault = FLAKY_FAIL, .key_part = "ltx/9/"});
    scene_insert(&s, 0, 10, 100);
    s.is_done = false;
    engine_snapshot(s.engine, 200 * NS_PER_MS, scene_on_done, &s);
    SCENE_UNTIL(&s, s.is_done);
    assert_int_equal(s.unshipped, 1);
    assert_int_equal(s.first_error.code, ERR_UNAVAILABLE);
    assert_int_equal(scene_count(&s, 0, 0, 9), 2);
    scene_end(&s);
}

static void test_two_destinations_take_turns_with_the_pin(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.dest_count = 2;
    scene_begin(&s);
    scene_insert(&s, 0, 100, 100);
    scene_wait(&s, engine_snapshot);
    for (size_t d = 0; d < 2; d++) {
        assert_int_equal(scene_count(&s, 0, d, 9), 1);
        scene_assert_replicated(&s, 0, d);
    }
    assert_null(scene_db(&s, 0)->pin_holder);
    scene_end(&s);
}

/* What a level was looking up belongs to the position at which it began; attaching anew gives that
 * position up. An answer that comes late must not count for the new one. */
static void test_lookup_of_changes_does_not_survive_attaching_anew(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_with_levels(&s);
    s.dest[0].l0_retention_ns = NS_PER_HOUR;
    scene_begin(&s);
    for (unsigned i = 0; i < 3; i++) {
        scene_insert(&s, 0, 100, 500);
        scene_sync(&s);
    }
    assert_int_equal(scene_stop(&s), 0);
    scene_engine(&s);
    scene_add(&s, 0);
    scene_sync(&s);

    /* L1 is due and looks up what changed from 2 to 4; the answer is held. */
    flaky_set(&s.flaky[0], STORAGE_OP_GET,
              &(struct flaky_rule){.fault = FLAKY_HOLD_ANSWER, .times = 1});
    scene_skip(&s, NS_PER_MIN);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 1);
    /* The answer to 5 is lost, then proof of ownership has expired: attach anew, heal to 5. */
    flaky_set(&s.flaky[0], STORAGE_OP_PUT,
              &(struct flaky_rule){.fault = FLAKY_LOSE_ANSWER, .times = 1});
    app_ok(&s.app, "sql 0 UPDATE t SET body = randomblob(700) WHERE id %% 9 = 0");
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->error_streak == 1);
    scene_skip(&s, 2 * NS_PER_HOUR);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->conflicts_total == 1);
    flaky_release(&s.flaky[0]);
    scene_sync(&s);
    assert_int_equal(scene_acknowledged(&s), 5);
    SCENE_UNTIL_LATER(&s, 5 * NS_PER_MIN, are_levels_at_the_tip(&s));
    assert_levels_are_merges(&s);
    scene_end(&s);
}

/* The encode of the second is queued without the pin, behind the task that sets the pin free. */
static void test_snapshot_behind_another_destinations_needs_no_commit(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.dest_count = 2;
    for (size_t d = 0; d < s.dest_count; d++)
        s.dest[d].snapshot_interval_ns = NS_PER_DAY;
    scene_begin(&s);
    scene_insert(&s, 0, 50, 500);
    scene_sync(&s);

    level_want(scene_chain(&s, 0, 0), LTX_LEVEL_SNAPSHOT);
    SCENE_UNTIL(&s, task_is_pending(&scene_chain(&s, 0, 0)->unpin_task));
    level_want(scene_chain(&s, 0, 1), LTX_LEVEL_SNAPSHOT);
    SCENE_UNTIL(&s, scene_count(&s, 0, 1, LTX_LEVEL_SNAPSHOT) == 1);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_levels_are_what_a_merge_of_raw_objects_would_be),
        TEST(test_levels_go_on_after_restarts),
        TEST(test_snapshot_behind_another_destinations_needs_no_commit),
        TEST(test_levels_of_a_fleet_are_due_at_different_times_by_name),
        TEST(test_snapshot_is_a_state_although_commits_go_on),
        TEST(test_level_due_while_a_snapshot_is_made_keeps_what_came_after_it),
        TEST(test_engine_can_be_ended_in_the_middle_of_a_snapshot),
        TEST(test_pin_is_dropped_when_the_store_goes_away),
        TEST(test_compaction_that_is_not_accepted_is_sent_again),
        TEST(test_page_that_rots_is_told_and_the_object_comes_from_the_bucket),
        TEST(test_merge_that_fails_leaves_the_level_due_and_nothing_in_the_bucket),
        TEST(test_rotten_object_of_the_bucket_is_not_merged),
        TEST(test_engine_can_be_ended_in_the_middle_of_a_merge),
        TEST(test_snapshot_on_demand_is_there_when_its_wait_is_over),
        TEST(test_lookup_of_changes_does_not_survive_attaching_anew),
        TEST(test_two_destinations_take_turns_with_the_pin),
    };
    return TEST_MAIN(tests);
}
