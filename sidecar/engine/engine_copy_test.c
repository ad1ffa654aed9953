/*
 * The first object of a destination that takes it in parts, while it is encoded: it arrives whatever
 * happens to its requests, the application and its log go on, and it is what any first copy is.
 */
#include "sidecar/engine/engine_scene.h"

enum {
    PART_BYTES = 1 << 16,
};

/* An application with some 40 parts of data. */
static void copy_begin(struct engine_scene *s)
{
    scene_init(s);
    s->flaky[0].part_bytes = PART_BYTES;
    scene_database(s, 0);
    scene_insert(s, 0, 100, 25000);
    scene_engine(s);
}

static void copy_end(struct engine_scene *s)
{
    assert_int_equal(scene_stop(s), 0);
    assert_null(s->flaky[0].uploads.first);
    scene_end(s);
}

static void flaky_part(struct engine_scene *s, enum flaky_fault fault, enum flaky_step step,
                       uint64_t pass_count, uint64_t times)
{
    const struct flaky_rule rule = {
        .fault = fault, .step = step, .pass_count = pass_count, .times = times};

    flaky_set(&s->flaky[0], STORAGE_OP_PUT, &rule);
}

static void test_a_large_first_copy_is_sent_in_parts(void **state UNUSED)
{
    struct engine_scene s;

    copy_begin(&s);
    scene_add(&s, 0);
    scene_sync_and_compare(&s);
    assert_in_range(s.flaky[0].steps[FLAKY_UPLOAD_PART], 38, 45);
    assert_int_equal(s.flaky[0].steps[FLAKY_UPLOAD_COMPLETE], 1);
    assert_int_equal(s.flaky[0].steps[FLAKY_PUT], 0);
    assert_int_equal(scene_count(&s, 0, 0, 0), 1);
    /* From here on as ever: what changes, and nothing else. */
    scene_insert(&s, 0, 1, 100);
    scene_sync_and_compare(&s);
    assert_int_equal(s.flaky[0].steps[FLAKY_PUT], 1);
    assert_int_equal(scene_chain(&s, 0, 0)->differences_total, 0);
    copy_end(&s);
}

static void test_a_small_first_copy_is_one_request(void **state UNUSED)
{
    struct engine_scene s;

    scene_init(&s);
    s.flaky[0].part_bytes = PART_BYTES;
    scene_begin(&s);
    assert_int_equal(s.flaky[0].steps[FLAKY_UPLOAD_BEGIN], 0);
    assert_int_equal(s.flaky[0].steps[FLAKY_PUT], 1);
    copy_end(&s);
}

static void test_a_database_of_zeros_is_one_part(void **state UNUSED)
{
    struct engine_scene s;

    scene_init(&s);
    s.flaky[0].part_bytes = PART_BYTES;
    scene_database(&s, 0);
    app_ok(&s.app, "sql 0 INSERT INTO t(body) VALUES(zeroblob(2000000))");
    scene_engine(&s);
    scene_add(&s, 0);
    scene_sync_and_compare(&s);
    assert_int_equal(s.flaky[0].steps[FLAKY_UPLOAD_PART], 1);
    copy_end(&s);
}

static void test_commits_during_the_copy_are_shipped_behind_it(void **state UNUSED)
{
    struct engine_scene s;

    copy_begin(&s);
    flaky_part(&s, FLAKY_HOLD, FLAKY_UPLOAD_PART, 3, 0);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) > 0);
    scene_insert(&s, 0, 20, 3000);
    app_ok(&s.app, "sql 0 DELETE FROM t WHERE id %% 3 = 0");
    flaky_part(&s, FLAKY_NONE, FLAKY_PUT, 0, 0);
    flaky_release(&s.flaky[0]);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_assert_restorable(&s, 0, 0), scene_count(&s, 0, 0, 0));
    assert_int_equal(scene_chain(&s, 0, 0)->differences_total, 0);
    copy_end(&s);
}

static bool is_pinned(const struct engine_scene *s)
{
    return scene_db(s, 0)->pin_holder;
}

static void test_a_slow_store_does_not_hold_back_the_log_for_ever(void **state UNUSED)
{
    struct engine_scene s;

    copy_begin(&s);
    flaky_part(&s, FLAKY_HOLD, FLAKY_UPLOAD_PART, 3, 0);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 2);
    scene_insert(&s, 0, 10, 3000);
    scene_run(&s, 20 * NS_PER_MS);
    assert_true(is_pinned(&s));
    uint64_t sent = s.flaky[0].steps[FLAKY_UPLOAD_PART];
    SCENE_UNTIL_LATER(&s, NS_PER_MIN, !is_pinned(&s)); /* the rest is staged */
    assert_int_equal(s.flaky[0].steps[FLAKY_UPLOAD_PART], sent);
    assert_int_equal(scene_count(&s, 0, 0, 0), 0);
    flaky_part(&s, FLAKY_NONE, FLAKY_PUT, 0, 0);
    flaky_release(&s.flaky[0]);
    scene_sync_and_compare(&s);
    assert_int_equal(s.flaky[0].steps[FLAKY_UPLOAD_BEGIN], 1);
    assert_int_equal(scene_assert_restorable(&s, 0, 0), scene_count(&s, 0, 0, 0));
    copy_end(&s);
}

static void test_without_disk_space_the_copy_is_put_off(void **state UNUSED)
{
    struct engine_scene s;

    copy_begin(&s);
    s.opt.reserve_bytes = 1U << 20;
    flaky_part(&s, FLAKY_HOLD, FLAKY_UPLOAD_PART, 3, 0);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 2);
    atomic_store(&s.free_bytes, 1000);
    SCENE_UNTIL_LATER(&s, NS_PER_MIN, !is_pinned(&s));
    atomic_store(&s.free_bytes, -1);
    flaky_part(&s, FLAKY_NONE, FLAKY_PUT, 0, 0);
    flaky_release(&s.flaky[0]);
    SCENE_UNTIL_LATER(&s, 5 * NS_PER_SEC, scene_acknowledged(&s) > 0);
    scene_sync_and_compare(&s);
    copy_end(&s);
}

static void test_what_fails_on_the_way_is_sent_again(void **state UNUSED)
{
    static const struct {
        const char *name;
        enum flaky_fault fault;
        enum flaky_step step;
        uint64_t pass_count;
        unsigned begins; /* uploads that it takes */
    } rows[] = {
        {"begin refused", FLAKY_FAIL, FLAKY_UPLOAD_BEGIN, 0, 2},
        {"begin without answer", FLAKY_LOSE_ANSWER, FLAKY_UPLOAD_BEGIN, 0, 2},
        {"second part refused", FLAKY_FAIL, FLAKY_UPLOAD_PART, 0, 1},
        {"a part in the middle without answer", FLAKY_LOSE_ANSWER, FLAKY_UPLOAD_PART, 7, 1},
        {"last of the parts refused", FLAKY_FAIL, FLAKY_UPLOAD_PART, 38, 1},
        {"complete refused", FLAKY_FAIL, FLAKY_UPLOAD_COMPLETE, 0, 1},
        {"complete without answer", FLAKY_LOSE_ANSWER, FLAKY_UPLOAD_COMPLETE, 0, 1},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct engine_scene s;
        test_row(rows[i].name);
        copy_begin(&s);
        flaky_part(&s, rows[i].fault, rows[i].step, rows[i].pass_count, 3);
        scene_add(&s, 0);
        SCENE_UNTIL_LATER(&s, NS_PER_SEC, scene_acknowledged(&s) == 1);
        scene_sync_and_compare(&s);
        assert_true(s.flaky[0].suffered > 0);
        assert_in_range(s.flaky[0].steps[FLAKY_UPLOAD_BEGIN], rows[i].begins, 4);
        assert_int_equal(scene_count(&s, 0, 0, 0), 1);
        scene_insert(&s, 0, 1, 10);
        scene_sync_and_compare(&s);
        copy_end(&s);
    }
}

static void test_an_upload_that_the_store_has_dropped_begins_anew(void **state UNUSED)
{
    static const struct {
        const char *name;
        enum flaky_step step;
        uint64_t pass_count;
    } rows[] = {{"while parts are sent", FLAKY_UPLOAD_PART, 5},
                {"before the end", FLAKY_UPLOAD_COMPLETE, 0}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct engine_scene s;
        test_row(rows[i].name);
        copy_begin(&s);
        flaky_part(&s, FLAKY_HOLD, rows[i].step, rows[i].pass_count, 1);
        scene_add(&s, 0);
        SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 1);
        sim_uploads_destroy(&s.flaky[0].uploads);
        scene_insert(&s, 0, 5, 500);
        flaky_release(&s.flaky[0]);
        SCENE_UNTIL_LATER(&s, NS_PER_SEC, scene_acknowledged(&s) >= 1);
        scene_sync_and_compare(&s);
        assert_int_equal(s.flaky[0].steps[FLAKY_UPLOAD_BEGIN], 2);
        copy_end(&s);
    }
}

static void test_a_store_without_uploads_gets_a_whole_object(void **state UNUSED)
{
    struct engine_scene s;
    const struct flaky_rule rule = {
        .fault = FLAKY_FAIL, .step = FLAKY_UPLOAD_BEGIN, .code = ERR_UNSUPPORTED};

    copy_begin(&s);
    flaky_set(&s.flaky[0], STORAGE_OP_PUT, &rule);
    scene_add(&s, 0);
    SCENE_UNTIL_LATER(&s, NS_PER_SEC, scene_acknowledged(&s) == 1);
    scene_sync_and_compare(&s);
    assert_int_equal(s.flaky[0].steps[FLAKY_PUT], 1);
    copy_end(&s);
}

static void test_an_end_in_the_middle_leaves_nothing_and_the_next_life_copies(void **state UNUSED)
{
    struct engine_scene s;

    for (uint64_t passes = 0; passes < 38; passes += 12) {
        copy_begin(&s);
        s.shutdown_timeout_ns = 1;
        flaky_part(&s, FLAKY_HOLD, FLAKY_UPLOAD_PART, passes, 0);
        scene_add(&s, 0);
        SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) > 0);
        scene_kill(&s);
        assert_null(s.flaky[0].uploads.first);
        assert_int_equal(scene_count(&s, 0, 0, 0), 0);
        flaky_part(&s, FLAKY_NONE, FLAKY_PUT, 0, 0);
        s.shutdown_timeout_ns = SCENE_PATIENCE_SECONDS / 2 * NS_PER_SEC;
        scene_engine(&s);
        scene_add(&s, 0);
        scene_sync_and_compare(&s);
        copy_end(&s);
    }
}

static void test_a_copy_that_arrived_unseen_is_recognised(void **state UNUSED)
{
    struct engine_scene s;

    copy_begin(&s);
    flaky_part(&s, FLAKY_HOLD_ANSWER, FLAKY_UPLOAD_COMPLETE, 0, 1);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 1);
    assert_int_equal(scene_count(&s, 0, 0, 0), 1);
    scene_kill(&s);
    scene_insert(&s, 0, 3, 100);
    scene_engine(&s);
    scene_add(&s, 0);
    scene_sync_and_compare(&s);
    assert_int_equal(s.flaky[0].steps[FLAKY_UPLOAD_BEGIN], 1);
    assert_int_equal(scene_count(&s, 0, 0, 0), 2);
    copy_end(&s);
}

static void test_another_writer_that_was_first_is_found(void **state UNUSED)
{
    struct engine_scene s;
    struct engine_scene other;
    char bucket[300];
    char bucket_of_other[300];

    copy_begin(&s);
    flaky_part(&s, FLAKY_HOLD, FLAKY_UPLOAD_COMPLETE, 0, 1);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) == 1);
    scene_init(&other);
    scene_database(&other, 0);
    scene_shell("mkdir -p %s && ln -s %s %s", scene_bucket(&s, 0, 0, bucket), bucket,
                scene_bucket(&other, 0, 0, bucket_of_other));
    scene_engine(&other);
    scene_add(&other, 0);
    scene_sync(&other);
    flaky_release(&s.flaky[0]);
    SCENE_UNTIL(&s, scene_chain(&s, 0, 0)->state == CHAIN_REFUSED);
    assert_int_equal(scene_count(&s, 0, 0, 0), 1);
    assert_null(s.flaky[0].uploads.first);
    scene_kill(&s);
    assert_int_equal(scene_stop(&other), 0);
    scene_end(&other);
    scene_end(&s);
}

static void test_two_destinations_are_copied_beside_each_other(void **state UNUSED)
{
    struct engine_scene s;

    copy_begin(&s);
    s.dest_count = 2;
    s.dest[1] = s.dest[0];
    s.flaky[1].part_bytes = PART_BYTES;
    flaky_part(&s, FLAKY_HOLD, FLAKY_UPLOAD_PART, 3, 0);
    /* Who attaches first has the pinned state, from which parts are made; the other's is staged. */
    flaky_set(&s.flaky[1], STORAGE_OP_LIST, &(struct flaky_rule){.fault = FLAKY_HOLD});
    scene_add(&s, 0);
    SCENE_UNTIL(&s, flaky_held_count(&s.flaky[0]) > 0 && flaky_held_count(&s.flaky[1]) > 0);
    flaky_set(&s.flaky[1], STORAGE_OP_LIST, NULL);
    flaky_release(&s.flaky[1]);
    SCENE_UNTIL(&s, scene_status(&s, 0, 1)->acknowledged_txid == 1);
    flaky_part(&s, FLAKY_NONE, FLAKY_PUT, 0, 0);
    flaky_release(&s.flaky[0]);
    scene_sync(&s);
    scene_assert_replicated(&s, 0, 0);
    scene_assert_replicated(&s, 0, 1);
    copy_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_a_large_first_copy_is_sent_in_parts),
        TEST(test_a_small_first_copy_is_one_request),
        TEST(test_a_database_of_zeros_is_one_part),
        TEST(test_commits_during_the_copy_are_shipped_behind_it),
        TEST(test_a_slow_store_does_not_hold_back_the_log_for_ever),
        TEST(test_without_disk_space_the_copy_is_put_off),
        TEST(test_what_fails_on_the_way_is_sent_again),
        TEST(test_an_upload_that_the_store_has_dropped_begins_anew),
        TEST(test_a_store_without_uploads_gets_a_whole_object),
        TEST(test_an_end_in_the_middle_leaves_nothing_and_the_next_life_copies),
        TEST(test_a_copy_that_arrived_unseen_is_recognised),
        TEST(test_another_writer_that_was_first_is_found),
        TEST(test_two_destinations_are_copied_beside_each_other),
    };
    return TEST_MAIN(tests);
}
