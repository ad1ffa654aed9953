/*
 * Two destinations after a restore from one of them: the other, which lags or only has no page map,
 * goes on with what differs, and one that may be a fork stays refused.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/engine/engine_scene.h"

enum {
    FIRST = 0,
    SECOND = 1,
};

static void away(struct engine_scene *s, size_t d, enum storage_op_kind kind)
{
    flaky_set(&s->flaky[d], kind, &(struct flaky_rule){.fault = FLAKY_FAIL});
}

static void back(struct engine_scene *s, size_t d)
{
    flaky_set(&s->flaky[d], STORAGE_OP_KINDS, NULL);
}

/* Commits, and waits until one destination has it. */
static void insert_into(struct engine_scene *s, size_t d, unsigned rows)
{
    uint64_t before = scene_chain(s, 0, d)->acknowledged_txid;

    scene_insert(s, 0, rows, 500);
    SCENE_UNTIL(s, scene_chain(s, 0, d)->acknowledged_txid > before &&
                       !chain_has_unshipped(scene_chain(s, 0, d)));
}

/* Two destinations with the same state. */
static void lived(struct engine_scene *s)
{
    scene_init(s);
    s->dest_count = 2;
    scene_begin(s);
    for (unsigned i = 0; i < 3; i++) {
        scene_insert(s, 0, 100, 500);
        scene_sync(s);
    }
}

static void disk_lost(struct engine_scene *s)
{
    scene_kill(s);
    app_ok(&s->app, "close 0");
    scene_shell("rm -r %s/app0.db* %s/.app0.db-walferry", s->folder, s->folder);
    back(s, FIRST);
    back(s, SECOND);
}

static void restore_from(struct engine_scene *s, size_t d, uint64_t txid)
{
    static const char *const names[] = {"first", "second"};
    struct error err = ERROR_INIT;
    struct storage *st = NULL;
    char bucket[300];
    char path[300];
    struct restore_result result = {.outcome = RESTORE_FAILED};

    assert_ok(storage_file_new(s->loop, &s->env, scene_bucket(s, 0, d, bucket), &st, &err), &err);
    const struct restore_destination destination = {.storage = st, .name = names[d]};
    const struct restore_options options = {
        .output = scene_path(s, 0, path),
        .target = {.kind = txid ? RESTORE_TXID : RESTORE_LATEST, .txid = txid},
        .force = txid != 0,
        .want_page_map = true,
    };
    const struct restore_args args = {.loop = s->loop,
                                      .env = &s->env,
                                      .log = &s->log,
                                      .destinations = &destination,
                                      .destination_count = 1,
                                      .options = &options};
    assert_ok(restore_run(&args, &result, &err), &err);
    restore_result_destroy(&result);
    storage_free(st);
}

/* The application writes before replication comes back: no content proves anything any more. */
static void return_with_writes(struct engine_scene *s)
{
    scene_database(s, 0);
    scene_insert(s, 0, 2, 100);
    scene_engine(s);
    scene_add(s, 0);
}

static void assert_both_go_on(struct engine_scene *s)
{
    scene_sync(s);
    scene_assert_replicated(s, 0, FIRST);
    scene_assert_replicated(s, 0, SECOND);
    app_ok(&s->app, "sql 0 DELETE FROM t WHERE id %% 3 = 0");
    app_ok(&s->app, "sql 0 VACUUM");
    scene_insert(s, 0, 5, 700);
    scene_sync(s);
    scene_assert_replicated(s, 0, FIRST);
    scene_assert_replicated(s, 0, SECOND);
    assert_true(scene_assert_restorable(s, 0, SECOND) >= 4);
    /* The next life knows it by its own page map. */
    assert_int_equal(scene_stop(s), 0);
    scene_engine(s);
    scene_add(s, 0);
    scene_sync(s);
    assert_int_equal(scene_status(s, 0, SECOND)->syncs_total, 0);
    scene_insert(s, 0, 1, 10);
    scene_sync(s);
    scene_assert_replicated(s, 0, SECOND);
    assert_true(scene_status(s, 0, SECOND)->sync_pages_total < 8);
}

static uint64_t pages_of(struct engine_scene *s)
{
    return scene_db(s, 0)->end_seen.page_count;
}

/* ---- accepted ---- */

static void test_destination_with_the_restored_state_goes_on_with_a_difference(void **state UNUSED)
{
    for (size_t from = FIRST; from <= SECOND; from++) {
        struct engine_scene s;
        test_row(from == FIRST ? "restored from the first" : "restored from the second");
        lived(&s);
        disk_lost(&s);
        restore_from(&s, from, 0);
        return_with_writes(&s);
        scene_sync(&s);
        assert_true(scene_status(&s, 0, FIRST)->sync_pages_total < pages_of(&s) / 2);
        assert_true(scene_status(&s, 0, SECOND)->sync_pages_total < pages_of(&s) / 2);
        assert_both_go_on(&s);
        scene_end(&s);
    }
}

static void test_lagging_destination_goes_on_with_a_difference(void **state UNUSED)
{
    struct engine_scene s;
    lived(&s);
    away(&s, SECOND, STORAGE_OP_PUT);
    for (unsigned i = 0; i < 4; i++)
        insert_into(&s, FIRST, 5);
    app_ok(&s.app, "sql 0 DELETE FROM t WHERE id > 311");
    disk_lost(&s);
    restore_from(&s, FIRST, 0);
    return_with_writes(&s);
    scene_sync(&s);
    assert_true(scene_status(&s, 0, SECOND)->sync_pages_total < pages_of(&s) / 2);
    assert_both_go_on(&s);
    scene_end(&s);
}

/* The lagging tip is no boundary of the other, but the other went through it. */
static void test_lagging_destination_between_two_boundaries_gets_all_pages(void **state UNUSED)
{
    struct engine_scene s;
    lived(&s);
    away(&s, FIRST, STORAGE_OP_PUT);
    insert_into(&s, SECOND, 5); /* this much is in the object that the first will send again */
    insert_into(&s, SECOND, 5);
    away(&s, SECOND, STORAGE_OP_PUT);
    scene_insert(&s, 0, 5, 500); /* and this in the one after it */
    SCENE_UNTIL(&s, s.flaky[SECOND].suffered > 0);
    back(&s, FIRST);
    insert_into(&s, FIRST, 5);
    disk_lost(&s);
    restore_from(&s, FIRST, 0);
    return_with_writes(&s);
    scene_sync(&s);
    assert_true(scene_status(&s, 0, SECOND)->sync_pages_total >= pages_of(&s));
    assert_both_go_on(&s);
    scene_end(&s);
}

static void test_lagging_destination_follows_a_rewind(void **state UNUSED)
{
    struct engine_scene s;
    lived(&s);
    away(&s, SECOND, STORAGE_OP_PUT);
    insert_into(&s, FIRST, 5);
    disk_lost(&s);
    restore_from(&s, FIRST, 2); /* before the second's tip */
    return_with_writes(&s);
    assert_both_go_on(&s);
    scene_end(&s);
}

static void test_refused_destination_is_asked_again_once_the_other_answers(void **state UNUSED)
{
    struct engine_scene s;
    lived(&s);
    away(&s, SECOND, STORAGE_OP_PUT);
    insert_into(&s, FIRST, 5);
    disk_lost(&s);
    restore_from(&s, FIRST, 0);
    away(&s, FIRST, STORAGE_OP_LIST);
    return_with_writes(&s);
    SCENE_UNTIL(&s, scene_chain(&s, 0, SECOND)->state == CHAIN_REFUSED);
    back(&s, FIRST);
    SCENE_UNTIL(&s, scene_chain(&s, 0, SECOND)->state == CHAIN_FOLLOWING);
    assert_both_go_on(&s);
    scene_end(&s);
}

/* ---- the sibling's map between two states ---- */

static atomic_bool is_first_map_broken;

static int fdatasync_not_of_first_map(void *ctx, int fd)
{
    char link[40];
    char path[300] = "";

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (is_first_map_broken && readlink(link, path, sizeof(path) - 1) > 0 &&
        strstr(path, "/first.map")) {
        errno = EIO;
        return -1;
    }
    return env_real()->file.fdatasync(ctx, fd);
}

/* The first's store has an object of which its map holds the pages already, but not the state. */
static void test_a_map_that_could_not_be_written_is_no_ground_to_join_on(void **state UNUSED)
{
    struct engine_scene s;
    lived(&s);
    disk_lost(&s);
    restore_from(&s, FIRST, 0);
    away(&s, SECOND, STORAGE_OP_LIST);
    s.env.file.fdatasync = fdatasync_not_of_first_map;
    is_first_map_broken = true;
    return_with_writes(&s);
    SCENE_UNTIL(&s, scene_chain(&s, 0, FIRST)->fault.streak > 0);
    back(&s, SECOND);
    SCENE_UNTIL(&s, scene_chain(&s, 0, SECOND)->state == CHAIN_FOLLOWING &&
                        !chain_has_unshipped(scene_chain(&s, 0, SECOND)));
    assert_true(scene_status(&s, 0, SECOND)->sync_pages_total >= pages_of(&s));
    is_first_map_broken = false;
    assert_both_go_on(&s);
    scene_end(&s);
}

/* ---- deaths on the way ---- */

static void test_join_survives_a_death_before_and_after_the_store_has_it(void **state UNUSED)
{
    static const struct {
        const char *name;
        enum flaky_fault fault;
    } rows[] = {{"nothing was sent", FLAKY_HOLD}, {"the answer is missing", FLAKY_HOLD_ANSWER}};

    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        struct engine_scene s;
        test_row(rows[r].name);
        lived(&s);
        away(&s, SECOND, STORAGE_OP_PUT);
        insert_into(&s, FIRST, 5);
        disk_lost(&s);
        restore_from(&s, FIRST, 0);
        flaky_set(&s.flaky[SECOND], STORAGE_OP_PUT, &(struct flaky_rule){.fault = rows[r].fault});
        return_with_writes(&s);
        SCENE_UNTIL(&s, flaky_held_count(&s.flaky[SECOND]) == 1 &&
                            !chain_has_unshipped(scene_chain(&s, 0, FIRST)));
        scene_kill(&s);
        back(&s, SECOND);
        /* Elsewhere nobody could prove anything: the page map must do. */
        app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)");
        scene_insert(&s, 0, 3, 100);
        scene_engine(&s);
        scene_add(&s, 0);
        assert_both_go_on(&s);
        scene_end(&s);
    }
}

/* ---- refused ---- */

static void expect_second_refused(struct engine_scene *s)
{
    uint64_t puts = s->flaky[SECOND].started[STORAGE_OP_PUT];

    SCENE_UNTIL(s, scene_chain(s, 0, SECOND)->state == CHAIN_REFUSED &&
                       scene_chain(s, 0, FIRST)->state == CHAIN_FOLLOWING);
    insert_into(s, FIRST, 1);
    scene_run(s, 100 * NS_PER_MS);
    assert_int_equal(scene_chain(s, 0, SECOND)->state, CHAIN_REFUSED);
    assert_int_equal(s->flaky[SECOND].started[STORAGE_OP_PUT], puts);
    scene_assert_replicated(s, 0, FIRST);
    assert_int_equal(scene_stop(s), 1);
    assert_int_equal(s->first_error.code, ERR_WRONG_STATE);
}

static void
test_destination_with_commits_that_the_restored_one_never_had_is_refused(void **state UNUSED)
{
    struct engine_scene s;
    lived(&s);
    away(&s, FIRST, STORAGE_OP_PUT);
    insert_into(&s, SECOND, 5);
    disk_lost(&s);
    restore_from(&s, FIRST, 0);
    return_with_writes(&s);
    expect_second_refused(&s);
    scene_end(&s);
}

/* Two disks with the same past; each wrote to one of the destinations. */
static void test_destination_that_another_disk_continued_is_refused(void **state UNUSED)
{
    struct engine_scene s;
    lived(&s);
    assert_int_equal(scene_stop(&s), 0);
    app_ok(&s.app, "close 0");
    scene_shell("cd %s && cp app0.db twin.db && cp -r .app0.db-walferry twin-maps", s.folder);

    scene_database(&s, 0);
    scene_engine(&s);
    scene_add(&s, 0);
    away(&s, SECOND, STORAGE_OP_LIST);
    insert_into(&s, FIRST, 5);
    insert_into(&s, FIRST, 5);
    disk_lost(&s);

    scene_shell("cd %s && mv twin.db app0.db && mv twin-maps .app0.db-walferry", s.folder);
    scene_database(&s, 0);
    away(&s, FIRST, STORAGE_OP_LIST);
    scene_engine(&s);
    scene_add(&s, 0);
    SCENE_UNTIL(&s, scene_chain(&s, 0, SECOND)->state == CHAIN_FOLLOWING);
    insert_into(&s, SECOND, 1);
    disk_lost(&s);

    restore_from(&s, FIRST, 0);
    return_with_writes(&s);
    expect_second_refused(&s);
    scene_end(&s);
}

static void test_empty_database_finds_no_sibling_to_speak_for_it(void **state UNUSED)
{
    struct engine_scene s;
    lived(&s);
    disk_lost(&s);
    scene_shell("rm -r %s/bucket-0-0", s.folder); /* the first begins anew, and knows nothing */
    return_with_writes(&s);
    expect_second_refused(&s);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_destination_with_the_restored_state_goes_on_with_a_difference),
        TEST(test_lagging_destination_goes_on_with_a_difference),
        TEST(test_lagging_destination_between_two_boundaries_gets_all_pages),
        TEST(test_lagging_destination_follows_a_rewind),
        TEST(test_refused_destination_is_asked_again_once_the_other_answers),
        TEST(test_a_map_that_could_not_be_written_is_no_ground_to_join_on),
        TEST(test_join_survives_a_death_before_and_after_the_store_has_it),
        TEST(test_destination_with_commits_that_the_restored_one_never_had_is_refused),
        TEST(test_destination_that_another_disk_continued_is_refused),
        TEST(test_empty_database_finds_no_sibling_to_speak_for_it),
    };
    return TEST_MAIN(tests);
}
