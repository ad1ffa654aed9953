/*
 * Shipping to stores that are away, lose answers, or belong to somebody else.
 */
#include "sidecar/engine/engine_scene.h"

/* Everything of the scene's first destination fails until it is told otherwise. */
static void store_away(struct engine_scene *s, bool is_away)
{
    flaky_set(&s->flaky[0], STORAGE_OP_KINDS,
              is_away ? &(struct flaky_rule){.fault = FLAKY_FAIL} : NULL);
}

static void test_outage_of_any_length_ends_in_few_objects(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.opt.checkpoint_frames = 50;
    s.opt.wal_keep_bytes = 64 << 10;
    scene_begin(&s);
    app_ok(&s.app, "sql 0 CREATE TABLE u(id INTEGER PRIMARY KEY, n INTEGER)");
    scene_insert(&s, 0, 200, 1000);
    scene_sync(&s);
    uint64_t txid = scene_status(&s, 0, 0)->acknowledged_txid;
    uint64_t checkpoints = scene_db(&s, 0)->checkpoints[STATUS_CHECKPOINT_PASSIVE].total;

    store_away(&s, true);
    for (unsigned i = 0; i < 30; i++) {
        app_ok(&s.app, "sql 0 UPDATE t SET body = randomblob(1000) WHERE id %% 10 = %u", i % 10);
        app_ok(&s.app, "sql 0 INSERT INTO u(n) VALUES(%u)", i);
        scene_run(&s, 20 * NS_PER_MS);
        scene_skip(&s, NS_PER_MIN);
    }
    const struct status_destination *d = scene_status(&s, 0, 0);
    assert_int_equal(d->acknowledged_txid, txid);
    assert_int_equal(d->state, STATUS_DESTINATION_BACKOFF);
    assert_true(d->error_streak > 3);
    assert_true(d->lag_ns > 20 * NS_PER_MIN);
    assert_true(d->lag_commits > 10);
    /* The log was checkpointed as usual and what is kept is bits. */
    assert_true(scene_db(&s, 0)->checkpoints[STATUS_CHECKPOINT_PASSIVE].total > checkpoints + 5);
    assert_true(scene_db(&s, 0)->stats_seen.wal_file_bytes < 4U << 20);
    struct chain *c = scene_chain(&s, 0, 0);
    assert_true(page_set_bytes(&c->dirty) < 64 << 10);
    assert_true(d->dirty_page_count > 0);

    store_away(&s, false);
    scene_sync(&s);
    d = scene_status(&s, 0, 0);
    assert_true(d->acknowledged_txid <= txid + 2); /* the one that was on its way, and the rest */
    assert_int_equal(d->differences_total, 0);
    assert_int_equal(d->error_streak, 0);
    assert_int_equal(d->state, STATUS_DESTINATION_FOLLOWING);
    scene_assert_replicated(&s, 0, 0);
    assert_true(scene_assert_restorable(&s, 0, 0) > 2);
    scene_end(&s);
}

/* Nobody commits, and the store is away from the start: it lacks the database all the same. */
static void test_lag_grows_while_a_store_could_never_be_asked(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_database(&s, 0);
    scene_engine(&s);
    store_away(&s, true);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->state == STATUS_DESTINATION_BACKOFF);
    scene_skip(&s, NS_PER_MIN);
    assert_true(scene_status(&s, 0, 0)->lag_ns >= NS_PER_MIN);
    assert_int_equal(scene_status(&s, 0, 0)->lag_commits, 0);
    store_away(&s, false);
    scene_sync(&s);
    assert_int_equal(scene_status(&s, 0, 0)->lag_ns, 0);
    assert_int_equal(scene_stop(&s), 0);

    /* What a former life has shipped, and nobody has touched since, is not missing anywhere. */
    scene_engine(&s);
    store_away(&s, true);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->state == STATUS_DESTINATION_BACKOFF);
    scene_skip(&s, NS_PER_MIN);
    assert_int_equal(scene_status(&s, 0, 0)->lag_ns, 0);
    store_away(&s, false);
    assert_int_equal(scene_stop(&s), 0);
    scene_end(&s);
}

static uint64_t lag_commits(struct engine_scene *s, size_t d)
{
    return scene_status(s, 0, d)->lag_commits;
}

/* Whether they were noticed yet or not, for each destination by itself. */
static void test_lag_counts_every_commit(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.dest_count = 2;
    s.opt.checkpoint_frames = 20;
    scene_begin(&s);
    assert_int_equal(lag_commits(&s, 0), 0);
    flaky_set(&s.flaky[1], STORAGE_OP_PUT, &(struct flaky_rule){.fault = FLAKY_FAIL});
    flaky_set(&s.flaky[0], STORAGE_OP_PUT, &(struct flaky_rule){.fault = FLAKY_FAIL});
    for (unsigned i = 1; i <= 12; i++) {
        app_ok(&s.app, "loop 0 7 INSERT INTO t(body) VALUES(randomblob(900))");
        app_ok(&s.app, "sql 0 SELECT count(*) FROM t");
        assert_int_equal(lag_commits(&s, 0), 7 * i); /* at once */
        scene_run(&s, 10 * NS_PER_MS);
        assert_int_equal(lag_commits(&s, 0), 7 * i);
        assert_int_equal(lag_commits(&s, 1), 7 * i);
    }
    flaky_set(&s.flaky[0], STORAGE_OP_PUT, NULL);
    SCENE_UNTIL(&s, !chain_has_unshipped(scene_chain(&s, 0, 0)));
    assert_int_equal(lag_commits(&s, 0), 0);
    assert_int_equal(lag_commits(&s, 1), 84);
    flaky_set(&s.flaky[1], STORAGE_OP_PUT, NULL);
    scene_sync(&s);
    assert_int_equal(lag_commits(&s, 1), 0);
    scene_end(&s);
}

static void on_change(void *count)
{
    ++*(unsigned *)count;
}

/* Nothing between the beginning and the end of an outage has to be heard of: it is the same one. */
static void test_who_listens_hears_of_each_change_of_state(void **state UNUSED)
{
    struct engine_scene s;
    unsigned changes = 0;
    scene_init(&s);
    scene_database(&s, 0);
    scene_engine(&s);
    engine_listen(s.engine, on_change, &changes);
    scene_add(&s, 0);
    scene_sync(&s);
    assert_in_range(changes, 2, 20); /* followed, attached */
    changes = 0;
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES('quiet')");
    scene_sync(&s);
    assert_int_equal(changes, 0);
    flaky_set(&s.flaky[0], STORAGE_OP_PUT, &(struct flaky_rule){.fault = FLAKY_FAIL});
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES('away')");
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->error_streak >= 3);
    assert_int_equal(changes, 1);
    flaky_set(&s.flaky[0], STORAGE_OP_PUT, NULL);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->error_streak == 0);
    assert_int_equal(changes, 2);
    engine_listen(s.engine, NULL, NULL);
    assert_int_equal(scene_stop(&s), 0);
    assert_int_equal(changes, 2);
    scene_end(&s);
}

static void test_store_that_is_away_at_the_start_is_attached_later(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    store_away(&s, true);
    scene_database(&s, 0);
    scene_engine(&s);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->error_streak >= 2);
    assert_false(scene_status(&s, 0, 0)->is_attached);
    assert_int_equal(scene_status(&s, 0, 0)->state, STATUS_DESTINATION_BACKOFF);
    scene_insert(&s, 0, 10, 100);

    store_away(&s, false);
    scene_sync_and_compare(&s);
    assert_true(scene_status(&s, 0, 0)->is_attached);
    assert_int_equal(scene_status(&s, 0, 0)->error_streak, 0);
    scene_end(&s);
}

static void test_lost_answer_is_recognised_by_the_retry(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);
    flaky_set(&s.flaky[0], STORAGE_OP_PUT,
              &(struct flaky_rule){.fault = FLAKY_LOSE_ANSWER, .times = 1});
    scene_insert(&s, 0, 10, 100);
    scene_sync_and_compare(&s);
    assert_int_equal(s.flaky[0].suffered, 1);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 2);
    assert_int_equal(scene_status(&s, 0, 0)->conflicts_total, 0);
    assert_int_equal(scene_count(&s, 0, 0, 0), 2);
    scene_insert(&s, 0, 10, 100);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

/* The very first object, too: nothing of this attachment was accepted, and there is no map yet. */
static void test_lost_answer_of_the_first_object_is_recognised(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    flaky_set(&s.flaky[0], STORAGE_OP_PUT,
              &(struct flaky_rule){.fault = FLAKY_LOSE_ANSWER, .times = 1});
    scene_begin(&s);
    scene_assert_replicated(&s, 0, 0);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 1);
    scene_end(&s);
}

static void test_lost_answer_is_healed_after_a_kill(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);
    flaky_set(&s.flaky[0], STORAGE_OP_PUT, &(struct flaky_rule){.fault = FLAKY_HOLD_ANSWER});
    scene_insert(&s, 0, 10, 100);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 1); /* it is in the bucket */
    scene_kill(&s);
    flaky_set(&s.flaky[0], STORAGE_OP_PUT, NULL);

    scene_insert(&s, 0, 5, 100);
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)"); /* the log proves nothing any more */
    scene_insert(&s, 0, 5, 100);
    scene_engine(&s);
    scene_add(&s, 0);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 3);
    assert_int_equal(scene_status(&s, 0, 0)->epoch, 2);
    struct page_map *map = &scene_chain(&s, 0, 0)->map;
    struct error err = ERROR_INIT;
    bool is_sound = false;
    SCENE_UNTIL(&s, task_queue_is_idle(&scene_db(&s, 0)->queue));
    assert_ok(page_map_verify(map, &is_sound, &err), &err);
    assert_true(is_sound);
    scene_end(&s);
}

/* ---- two writers ---- */

/* A second engine in this process, on a copy of the database, writes to the same bucket. */
static void rival_begin(struct engine_scene *rival, struct engine_scene *s)
{
    char path[300];

    scene_init(rival);
    scene_shell("cp %s/app0.db %s/; cp -r %s/.app0.db-walferry %s/; rmdir %s/bucket-0-0 "
                "2>/dev/null; ln -s %s/bucket-0-0 %s/bucket-0-0",
                s->folder, rival->folder, s->folder, rival->folder, rival->folder, s->folder,
                rival->folder);
    app_ok(&rival->app, "open 0 %s", scene_path(rival, 0, path));
    app_ok(&rival->app, "sql 0 PRAGMA busy_timeout=10000");
}

static void rival_end(struct engine_scene *rival)
{
    char bucket[300];
    (void)unlink(scene_bucket(rival, 0, 0, bucket));
    scene_end(rival);
}

/* A request outlives its process, and arrives when the next one has attached already. */
static void test_late_object_of_a_dead_process_is_adopted(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);
    flaky_set(&s.flaky[0], STORAGE_OP_PUT,
              &(struct flaky_rule){.fault = FLAKY_LOSE_ANSWER, .times = 1});
    scene_insert(&s, 0, 5, 300);
    SCENE_UNTIL(&s, scene_count(&s, 0, 0, 0) == 2);
    scene_kill(&s);
    scene_shell("mv %s/bucket-0-0/ltx/0/*2.ltx %s/on-its-way", s.folder, s.folder);
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)"); /* the log proves nothing any more */
    scene_insert(&s, 0, 5, 300);

    flaky_set(&s.flaky[0], STORAGE_OP_PUT, &(struct flaky_rule){.fault = FLAKY_HOLD});
    scene_engine(&s);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 1);
    scene_shell("mv %s/on-its-way %s/bucket-0-0/ltx/0/0000000000000002-0000000000000002.ltx",
                s.folder, s.folder);
    flaky_set(&s.flaky[0], STORAGE_OP_PUT, NULL);
    flaky_release(&s.flaky[0]);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 3);
    scene_end(&s);
}

static void test_writer_that_loses_the_race_is_fenced_and_keeps_its_pages(void **state UNUSED)
{
    struct engine_scene s;
    struct engine_scene rival;
    struct error err = ERROR_INIT;
    char restored[300];
    scene_init(&s);
    scene_begin(&s);
    scene_insert(&s, 0, 10, 100);
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(PASSIVE)");
    scene_sync(&s);
    assert_int_equal(scene_stop(&s), 0);
    app_ok(&s.app, "close 0");
    rival_begin(&rival, &s);

    /* Both attach at TXID 2, both have an object accepted in turn. */
    scene_begin(&s);
    scene_insert(&s, 0, 1, 100);
    scene_sync(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 3);
    uint32_t winner_epoch = scene_status(&s, 0, 0)->epoch;
    scene_engine(&rival);
    scene_add(&rival, 0);
    SCENE_UNTIL(&rival, scene_chain(&rival, 0, 0)->state == CHAIN_REFUSED);
    scene_kill(&rival);

    /* A rival that attached in time and was accepted first: s is the loser now. */
    rival.dest[0].adopt = true;
    scene_engine(&rival);
    scene_add(&rival, 0);
    scene_sync(&rival);
    assert_int_equal(scene_status(&rival, 0, 0)->acknowledged_txid, 4);
    scene_insert(&s, 0, 7, 100);
    SCENE_UNTIL(&s, scene_chain(&s, 0, 0)->state == CHAIN_FENCED && !scene_chain(&s, 0, 0)->op);
    const struct status_destination *d = scene_status(&s, 0, 0);
    assert_int_equal(d->state, STATUS_DESTINATION_FENCED);
    assert_int_equal(d->fenced_by_epoch, winner_epoch + 1);
    assert_int_equal(d->conflicts_total, 1);
    assert_non_null(d->last_error);
    assert_non_null(strstr(d->last_error, "another writer"));

    /* One history, the winner's; and what the loser could not ship can be read. */
    scene_insert(&rival, 0, 3, 100);
    scene_sync_and_compare(&rival);
    struct inventory inv;
    scene_list(&s, 0, 0, &inv);
    assert_int_equal(inv.fenced_count, 1);
    assert_int_equal(inv.fenced[0].epoch, winner_epoch);
    assert_int_equal(inv.fenced[0].min_txid, 4);
    inventory_destroy(&inv);
    scene_shell("f=$(ls %s/bucket-0-0/fenced/*/*.ltx) && cd %s/bucket-0-0 && mkdir -p ../alt/ltx/0 "
                "&& cp ltx/0/*1.ltx ltx/0/*2.ltx ltx/0/*3.ltx ../alt/ltx/0/ && cp $f "
                "../alt/ltx/0/ && cd .. && mv alt bucket-9-0",
                s.folder, s.folder);
    (void)snprintf(restored, sizeof(restored), "%s/restored", s.folder);
    assert_ok(scene_restore(&s, 9, 0, 4, restored, &err), &err);
    app_ok(&s.app, "image 0 %s/image", s.folder);
    char image[300];
    (void)snprintf(image, sizeof(image), "%s/image", s.folder);
    scene_assert_equal_files(image, restored);

    /* The end tells that something is missing, and why. */
    assert_int_equal(scene_stop(&s), 1);
    assert_int_equal(s.first_error.code, ERR_FENCED);
    rival_end(&rival);
    scene_end(&s);
}

static void test_bucket_that_moved_on_since_attaching_is_attached_again(void **state UNUSED)
{
    struct engine_scene s;
    struct engine_scene rival;
    scene_init(&s);
    scene_begin(&s);
    scene_insert(&s, 0, 10, 100);
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(PASSIVE)");
    assert_int_equal(scene_stop(&s), 0);
    app_ok(&s.app, "close 0");
    rival_begin(&rival, &s);

    /* s attaches and waits; the rival is faster. s has not had anything accepted. */
    scene_database(&s, 0);
    scene_engine(&s);
    scene_add(&s, 0);
    scene_sync(&s);
    scene_engine(&rival);
    scene_add(&rival, 0);
    scene_sync(&rival);
    scene_insert(&rival, 0, 3, 100);
    scene_sync(&rival);
    scene_insert(&s, 0, 5, 100);
    SCENE_UNTIL(&s, scene_chain(&s, 0, 0)->state == CHAIN_REFUSED);
    assert_true(scene_status(&s, 0, 0)->conflicts_total > 0);
    assert_true(scene_status(&s, 0, 0)->lag_ns > 0);
    scene_assert_replicated(&rival, 0, 0);
    assert_int_equal(scene_stop(&s), 1);
    assert_int_equal(s.first_error.code, ERR_WRONG_STATE);
    rival_end(&rival);
    scene_end(&s);
}

/* ---- sleepers ---- */

static void test_sleeper_lists_before_its_next_put(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.dest[0].l0_retention_ns = 10 * NS_PER_MIN;
    scene_begin(&s);
    uint64_t lists = s.flaky[0].started[STORAGE_OP_LIST];
    scene_insert(&s, 0, 1, 100);
    scene_sync(&s);
    assert_int_equal(s.flaky[0].started[STORAGE_OP_LIST], lists);

    scene_skip(&s, 6 * NS_PER_MIN);
    scene_insert(&s, 0, 1, 100);
    scene_sync(&s);
    assert_int_equal(s.flaky[0].started[STORAGE_OP_LIST], lists + 1);
    scene_insert(&s, 0, 1, 100);
    scene_sync_and_compare(&s);
    assert_int_equal(s.flaky[0].started[STORAGE_OP_LIST], lists + 1);
    scene_end(&s);
}

/* A virtual machine whose host stopped it: only the wall clock, set right afterwards, tells. */
static void test_sleeper_whose_wall_clock_alone_tells_lists_too(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.dest[0].l0_retention_ns = 10 * NS_PER_MIN;
    scene_begin(&s);
    scene_insert(&s, 0, 1, 100);
    scene_sync(&s);
    uint64_t lists = s.flaky[0].started[STORAGE_OP_LIST];

    atomic_store(&s.wall_skew_ns, 6 * NS_PER_MIN);
    scene_insert(&s, 0, 1, 100);
    scene_sync(&s);
    assert_int_equal(s.flaky[0].started[STORAGE_OP_LIST], lists + 1);
    atomic_store(&s.wall_skew_ns, 0); /* set back: it says nothing */
    scene_insert(&s, 0, 1, 100);
    scene_sync_and_compare(&s);
    assert_int_equal(s.flaky[0].started[STORAGE_OP_LIST], lists + 1);
    scene_end(&s);
}

static void test_sleeper_does_not_wake_into_a_gap(void **state UNUSED)
{
    struct engine_scene s;
    struct engine_scene rival;
    scene_init(&s);
    s.dest[0].l0_retention_ns = 10 * NS_PER_MIN;
    scene_begin(&s);
    scene_insert(&s, 0, 1, 100);
    scene_sync(&s);

    assert_int_equal(scene_stop(&s), 0);
    app_ok(&s.app, "close 0");
    rival_begin(&rival, &s);
    scene_begin(&s);

    /* A put fails, then we sleep; meanwhile another writer's TXID 3 has come and gone. */
    flaky_set(&s.flaky[0], STORAGE_OP_PUT, &(struct flaky_rule){.fault = FLAKY_FAIL, .times = 1});
    scene_insert(&s, 0, 1, 100);
    SCENE_UNTIL(&s, s.flaky[0].suffered == 1);
    scene_engine(&rival);
    scene_add(&rival, 0);
    scene_sync(&rival);
    for (unsigned i = 0; i < 2; i++) {
        scene_insert(&rival, 0, 1, 100);
        scene_sync(&rival);
    }
    scene_shell("rm %s/bucket-0-0/ltx/0/*3.ltx", s.folder);
    scene_skip(&s, NS_PER_HOUR);
    SCENE_UNTIL(&s, scene_chain(&s, 0, 0)->state == CHAIN_REFUSED);
    assert_int_equal(scene_status(&s, 0, 0)->conflicts_total, 1);
    assert_int_equal(scene_count(&s, 0, 0, 0), 3); /* 1, 2, 4: nothing was put into the gap */
    rival_end(&rival);
    scene_end(&s);
}

/* The listing was answered, and then we slept over the answer: it proves nothing any more. */
static void test_sleeper_does_not_trust_an_answer_from_before_its_sleep(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.dest[0].l0_retention_ns = 10 * NS_PER_MIN;
    scene_begin(&s);
    scene_insert(&s, 0, 1, 100);
    scene_sync(&s);
    scene_kill(&s);
    scene_insert(&s, 0, 1, 100);

    flaky_set(&s.flaky[0], STORAGE_OP_LIST,
              &(struct flaky_rule){.fault = FLAKY_HOLD_ANSWER, .times = 1});
    scene_engine(&s);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 1);
    /* Meanwhile another writer's TXID 3 has come and gone, and its 4 is there. */
    scene_shell("cd %s/bucket-0-0/ltx/0 && cp *2.ltx 0000000000000004-0000000000000004.ltx",
                s.folder);
    scene_skip(&s, NS_PER_HOUR);
    flaky_release(&s.flaky[0]);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->conflicts_total == 1);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->error_streak > 0);
    assert_int_equal(scene_count(&s, 0, 0, 0), 3); /* 1, 2, 4: nothing was put into the gap */
    scene_end(&s);
}

static void test_object_that_is_not_what_its_name_says_is_not_attached_to(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    scene_begin(&s);
    scene_insert(&s, 0, 1, 100);
    scene_sync(&s);
    scene_kill(&s);
    scene_shell("cd %s/bucket-0-0/ltx/0 && cp *2.ltx 0000000000000003-0000000000000003.ltx",
                s.folder);
    scene_engine(&s);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, scene_status(&s, 0, 0)->error_streak > 1);
    assert_non_null(strstr(scene_status(&s, 0, 0)->last_error, "0000000000000003.ltx"));
    assert_false(scene_status(&s, 0, 0)->is_attached);
    scene_end(&s);
}

static void test_sleeper_whose_own_answer_was_lost_goes_on(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.dest[0].l0_retention_ns = 10 * NS_PER_MIN;
    scene_begin(&s);
    flaky_set(&s.flaky[0], STORAGE_OP_PUT,
              &(struct flaky_rule){.fault = FLAKY_LOSE_ANSWER, .times = 1});
    scene_insert(&s, 0, 1, 100);
    SCENE_UNTIL(&s, s.flaky[0].suffered == 1);
    scene_skip(&s, NS_PER_HOUR);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 2);
    scene_insert(&s, 0, 1, 100);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

/*
 * An answer that comes after the number was removed again would use it: a PUT has a quarter of the
 * time for which it stays taken. Only what no link could send in that time gets more.
 */
static void test_put_has_a_quarter_of_the_time_for_which_its_number_stays_taken(void **state UNUSED)
{
    static const struct {
        const char *name;
        uint64_t l0_retention_ns;
        uint64_t snapshot_retention_ns;
        unsigned row_count; /* of a MiB each; 0: one of 100 bytes */
        uint64_t deadline_ns_min;
        uint64_t deadline_ns_max;
    } rows[] = {
        {"for ever", 0, 0, 0, 4 * NS_PER_SEC, 4 * NS_PER_SEC},
        {"long", 10 * NS_PER_MIN, NS_PER_DAY, 0, 4 * NS_PER_SEC, 4 * NS_PER_SEC},
        {"short", 8 * NS_PER_SEC, NS_PER_DAY, 0, 2 * NS_PER_SEC, 2 * NS_PER_SEC},
        {"with the window", 0, 8 * NS_PER_SEC, 0, 2 * NS_PER_SEC, 2 * NS_PER_SEC},
        {"short, for 3 MiB", 8 * NS_PER_SEC, NS_PER_DAY, 3, 2 * NS_PER_SEC, 2 * NS_PER_SEC},
        {"long, for 3 MiB", NS_PER_HOUR, NS_PER_DAY, 3, 52 * NS_PER_SEC, 60 * NS_PER_SEC},
        {"short, for 9 MiB", 8 * NS_PER_SEC, NS_PER_DAY, 9, 148 * NS_PER_SEC, 170 * NS_PER_SEC},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct engine_scene s;

        test_row(rows[i].name);
        scene_init(&s);
        scene_hold_time(&s);
        s.dest[0].l0_retention_ns = rows[i].l0_retention_ns;
        s.dest[0].snapshot_retention_ns = rows[i].snapshot_retention_ns;
        scene_begin(&s);
        uint64_t puts = s.flaky[0].steps[FLAKY_PUT];
        if (rows[i].row_count > 0)
            scene_insert(&s, 0, rows[i].row_count, 1 << 20);
        else
            scene_insert(&s, 0, 1, 100);
        scene_sync(&s);
        assert_int_equal(s.flaky[0].steps[FLAKY_PUT], puts + 1);
        assert_in_range(s.flaky[0].put_deadline_ns, rows[i].deadline_ns_min,
                        rows[i].deadline_ns_max);
        scene_end(&s);
    }
}

/* ---- several destinations ---- */

static void test_held_destination_does_not_hold_up_another(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.dest_count = 3;
    s.opt.checkpoint_frames = 100;
    scene_begin(&s);
    flaky_set(&s.flaky[0], STORAGE_OP_KINDS, &(struct flaky_rule){.fault = FLAKY_HOLD});
    flaky_set(&s.flaky[2], STORAGE_OP_KINDS, &(struct flaky_rule){.fault = FLAKY_FAIL});
    for (unsigned i = 0; i < 20; i++) {
        uint64_t before = scene_status(&s, 0, 1)->acknowledged_txid;
        scene_insert(&s, 0, 30, 500);
        SCENE_UNTIL(&s, scene_status(&s, 0, 1)->acknowledged_txid > before);
    }
    SCENE_UNTIL(&s, scene_status(&s, 0, 1)->lag_ns == 0);
    scene_assert_replicated(&s, 0, 1);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 1);
    assert_int_equal(scene_status(&s, 0, 2)->acknowledged_txid, 1);
    assert_true(scene_status(&s, 0, 0)->lag_ns > 0);

    flaky_set(&s.flaky[0], STORAGE_OP_KINDS, NULL);
    flaky_set(&s.flaky[2], STORAGE_OP_KINDS, NULL);
    flaky_release(&s.flaky[0]);
    scene_sync(&s);
    for (size_t d = 0; d < 3; d++)
        scene_assert_replicated(&s, 0, d);
    assert_int_equal(scene_status(&s, 0, 0)->acknowledged_txid, 3);
    scene_end(&s);
}

/* ---- every operation fails once ---- */

/* A life with levels, snapshots, retention and a restart. */
static void life(struct engine_scene *s)
{
    s->dest[0].level_interval_ns[0] = 30 * NS_PER_SEC;
    s->dest[0].snapshot_interval_ns = NS_PER_HOUR;
    s->dest[0].snapshot_retention_ns = NS_PER_DAY;
    s->dest[0].l0_retention_ns = 5 * NS_PER_MIN;
    s->dest[0].is_retention_enabled = true;
    scene_begin(s);
    for (unsigned i = 0; i < 4; i++) {
        scene_insert(s, 0, 20, 300);
        scene_sync(s);
        scene_skip(s, NS_PER_MIN);
    }
    scene_sync(s);
    SCENE_UNTIL(s, scene_status(s, 0, 0)->levels[1].newest_txid >= 2);
    scene_kill(s);
    scene_insert(s, 0, 20, 300);
    scene_engine(s);
    scene_add(s, 0);
    scene_sync(s);
    scene_skip(s, 2 * NS_PER_MIN);
    SCENE_UNTIL(s, scene_status(s, 0, 0)->levels[1].newest_txid >=
                       scene_status(s, 0, 0)->acknowledged_txid);
    scene_wait(s, engine_snapshot);
    scene_skip(s, 10 * NS_PER_MIN);
    if (!scene_try(s, engine_expire)) /* it met the fault, and says so */
        scene_wait(s, engine_expire);
}

static unsigned life_with_fault(const struct flaky_rule *strike)
{
    unsigned n = 1;

    for (;; n++) {
        struct engine_scene s;
        char row[64];
        (void)snprintf(row, sizeof(row), "operation %u", n);
        test_row(row);
        scene_init(&s);
        s.flaky[0].strike_at = n;
        s.flaky[0].strike = *strike;
        life(&s);
        bool has_struck = s.flaky[0].suffered > 0;
        scene_insert(&s, 0, 1, 10);
        scene_sync_and_compare(&s);
        assert_true(scene_assert_restorable(&s, 0, 0) > 2);
        assert_int_equal(scene_stop(&s), 0);
        scene_end(&s);
        if (!has_struck)
            break;
    }
    return n;
}

static void test_any_operation_may_fail_once(void **state UNUSED)
{
    unsigned n = life_with_fault(&(struct flaky_rule){.fault = FLAKY_FAIL});
    print_message("# %u operations\n", n - 1);
    assert_true(n > 10);
}

static void test_any_answer_may_be_lost_once(void **state UNUSED)
{
    unsigned n = life_with_fault(&(struct flaky_rule){.fault = FLAKY_LOSE_ANSWER});
    print_message("# %u operations\n", n - 1);
    assert_true(n > 10);
}

/* ---- the process dies at every operation once ---- */

static bool is_settled(const struct engine_scene *s)
{
    const struct database *db = scene_db(s, 0);
    const struct chain *c = scene_chain(s, 0, 0);

    return task_queue_is_idle(&db->queue) && database_is_following(db) &&
           c->state == CHAIN_FOLLOWING && !chain_has_unshipped(c) && chain_is_quiet(c) &&
           follower_look(db->follower) == LOOK_SAME;
}

/* Runs until there is nothing to do; when an operation is held the process dies and begins anew. */
static void settle(struct engine_scene *s)
{
    scene_run(s, 10 * NS_PER_MS); /* timers that are due */
    for (;;) {
        SCENE_UNTIL(s, is_settled(s) || flaky_held_count(&s->flaky[0]) > 0);
        if (flaky_held_count(&s->flaky[0]) == 0)
            return;
        scene_kill(s);
        scene_insert(s, 0, 2, 300);
        app_ok(&s->app, "sql 0 PRAGMA wal_checkpoint(RESTART)");
        scene_insert(s, 0, 2, 300);
        scene_engine(s);
        scene_add(s, 0);
    }
}

static void life_with_death(struct engine_scene *s)
{
    s->dest[0].level_interval_ns[0] = 30 * NS_PER_SEC;
    s->dest[0].level_interval_ns[1] = 90 * NS_PER_SEC;
    s->dest[0].snapshot_interval_ns = 4 * NS_PER_MIN;
    s->dest[0].snapshot_retention_ns = 6 * NS_PER_MIN;
    s->dest[0].l0_retention_ns = NS_PER_MIN;
    s->dest[0].is_retention_enabled = true;
    scene_database(s, 0);
    scene_engine(s);
    scene_add(s, 0);
    settle(s);
    for (unsigned i = 0; i < 8; i++) {
        scene_insert(s, 0, 20, 300);
        settle(s);
        scene_skip(s, NS_PER_MIN);
        settle(s);
    }
}

static void die_at_every_operation(enum flaky_fault fault)
{
    for (unsigned n = 1;; n++) {
        struct engine_scene s;
        char row[64];
        (void)snprintf(row, sizeof(row), "operation %u", n);
        test_row(row);
        scene_init(&s);
        s.flaky[0].strike_at = n;
        s.flaky[0].strike = (struct flaky_rule){.fault = fault};
        life_with_death(&s);
        bool has_struck = s.flaky[0].suffered > 0;
        scene_sync_and_compare(&s);
        assert_true(scene_assert_restorable(&s, 0, 0) > 2);
        assert_int_equal(scene_stop(&s), 0);
        scene_end(&s);
        if (!has_struck) {
            print_message("# %u operations\n", n - 1);
            assert_true(n > 20);
            return;
        }
    }
}

static void test_process_may_die_before_any_operation(void **state UNUSED)
{
    die_at_every_operation(FLAKY_HOLD);
}

static void test_process_may_die_after_any_operation(void **state UNUSED)
{
    die_at_every_operation(FLAKY_HOLD_ANSWER);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_outage_of_any_length_ends_in_few_objects),
        TEST(test_lag_grows_while_a_store_could_never_be_asked),
        TEST(test_lag_counts_every_commit),
        TEST(test_who_listens_hears_of_each_change_of_state),
        TEST(test_store_that_is_away_at_the_start_is_attached_later),
        TEST(test_lost_answer_is_recognised_by_the_retry),
        TEST(test_lost_answer_of_the_first_object_is_recognised),
        TEST(test_lost_answer_is_healed_after_a_kill),
        TEST(test_late_object_of_a_dead_process_is_adopted),
        TEST(test_writer_that_loses_the_race_is_fenced_and_keeps_its_pages),
        TEST(test_bucket_that_moved_on_since_attaching_is_attached_again),
        TEST(test_sleeper_lists_before_its_next_put),
        TEST(test_sleeper_whose_wall_clock_alone_tells_lists_too),
        TEST(test_sleeper_does_not_wake_into_a_gap),
        TEST(test_sleeper_does_not_trust_an_answer_from_before_its_sleep),
        TEST(test_object_that_is_not_what_its_name_says_is_not_attached_to),
        TEST(test_sleeper_whose_own_answer_was_lost_goes_on),
        TEST(test_put_has_a_quarter_of_the_time_for_which_its_number_stays_taken),
        TEST(test_held_destination_does_not_hold_up_another),
        TEST(test_any_operation_may_fail_once),
        TEST(test_any_answer_may_be_lost_once),
        TEST(test_process_may_die_before_any_operation),
        TEST(test_process_may_die_after_any_operation),
    };
    return TEST_MAIN(tests);
}
