/*
 * Noticing commits: by events, by each poll where the kernel may not tell, and seldom by a poll where
 * it does and nothing goes on. Time is held, so the number of polls is exact.
 */
#include "sidecar/engine/engine_scene.h"

enum {
    EXT4 = 0xEF53,
    UNKNOWN = 0x12345678,
    OVERLAY = 0x794C7630,
    REST = 10, /* polls between two looks, and polls without an event before they become so few */
};

static const uint64_t poll_ns = 100 * NS_PER_MS;

static int64_t on_ext4(void *ctx UNUSED, const char *path UNUSED)
{
    return EXT4;
}

static int64_t on_unknown(void *ctx UNUSED, const char *path UNUSED)
{
    return UNKNOWN;
}

static int64_t on_overlay(void *ctx UNUSED, const char *path UNUSED)
{
    return OVERLAY;
}

/* As where somebody else writes: the watch is there, and nothing is told. */
static int watch_elsewhere(void *ctx UNUSED, int inotify_fd, const char *path UNUSED, uint32_t mask)
{
    int wd = inotify_add_watch(inotify_fd, "/proc/self", mask);
    return wd < 0 ? -errno : wd;
}

static int watch_is_refused(void *ctx UNUSED, int inotify_fd UNUSED, const char *path UNUSED,
                            uint32_t mask UNUSED)
{
    return -ENOSPC;
}

/* A database whose log is empty, so that the holder sits on slot 0. */
static void begin(struct engine_scene *s, int64_t (*fs_magic)(void *, const char *),
                  int (*watch)(void *, int, const char *, uint32_t))
{
    scene_init(s);
    s->opt.monitor_interval_ns = poll_ns;
    s->dest[0].sync_interval_ns = 0;
    s->env.file.fs_magic = fs_magic;
    s->env.file.watch = watch;
    scene_hold_time(s);
    scene_database(s, 0);
    app_ok(&s->app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)");
    scene_engine(s);
    scene_add(s, 0);
    scene_sync(s);
}

static bool is_resting(const struct engine_scene *s)
{
    return scene_db(s, 0)->is_resting;
}

/* Polls until it rests, and to the poll after one that looked. */
static void fall_asleep(struct engine_scene *s)
{
    for (unsigned i = 0; i < 3 * REST && !is_resting(s); i++)
        scene_pass(s, poll_ns);
    assert_true(is_resting(s));
    while (scene_db(s, 0)->poll_count % REST != 1)
        scene_pass(s, poll_ns);
}

static uint64_t commits(const struct engine_scene *s)
{
    return scene_db(s, 0)->commits_total;
}

static void test_a_calm_database_rests_and_an_event_ends_that(void **state UNUSED)
{
    struct engine_scene s;

    begin(&s, on_ext4, NULL);
    fall_asleep(&s);
    uint64_t before = commits(&s);
    unsigned polls = scene_db(&s, 0)->poll_count;
    scene_insert(&s, 0, 1, 100);
    SCENE_UNTIL(&s, commits(&s) == before + 1);
    assert_int_equal(scene_db(&s, 0)->poll_count, polls);
    assert_false(is_resting(&s));
    SCENE_UNTIL(&s, scene_is_at_rest(&s));
    scene_sync_and_compare(&s);
    scene_end(&s);
}

/* A commit may be published long after its frames were written. */
static void test_after_an_event_each_poll_looks_for_a_while(void **state UNUSED)
{
    struct engine_scene s;
    char path[310];

    begin(&s, on_ext4, NULL);
    fall_asleep(&s);
    (void)snprintf(path, sizeof(path), "%s", follower_wal_path(scene_db(&s, 0)->follower));
    assert_int_equal(truncate(path, 0), 0); /* as it is: an event, and nothing is committed */
    SCENE_UNTIL(&s, !is_resting(&s));
    for (unsigned i = 1; i < REST; i++) {
        scene_pass(&s, poll_ns);
        assert_false(is_resting(&s));
    }
    scene_pass(&s, poll_ns);
    assert_true(is_resting(&s));
    scene_end(&s);
}

static void test_an_event_that_gets_lost_costs_ten_polls_at_most(void **state UNUSED)
{
    struct engine_scene s;

    begin(&s, on_ext4, watch_elsewhere);
    fall_asleep(&s);
    uint64_t before = commits(&s);
    scene_insert(&s, 0, 1, 100);
    for (unsigned i = 1; i < REST - 1; i++)
        scene_pass(&s, poll_ns);
    assert_int_equal(commits(&s), before);
    scene_pass(&s, poll_ns);
    assert_int_equal(commits(&s), before + 1);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

/* Each poll looks: a commit that nobody tells of is noticed by the next one. */
static void assert_each_poll_looks(struct engine_scene *s)
{
    for (unsigned i = 0; i < 3 * REST; i++) {
        scene_pass(s, poll_ns);
        assert_false(is_resting(s));
    }
    for (unsigned i = 0; i < 3; i++) {
        uint64_t before = commits(s);
        scene_insert(s, 0, 1, 100);
        scene_pass(s, poll_ns);
        assert_int_equal(commits(s), before + 1);
    }
    scene_sync_and_compare(s);
    scene_end(s);
}

static void test_an_unknown_file_system_is_looked_at_by_each_poll(void **state UNUSED)
{
    struct engine_scene s;

    begin(&s, on_unknown, watch_elsewhere);
    assert_each_poll_looks(&s);
}

static void test_an_overlay_is_looked_at_by_each_poll(void **state UNUSED)
{
    struct engine_scene s;

    begin(&s, on_overlay, watch_elsewhere);
    assert_each_poll_looks(&s);
}

static void test_without_a_watch_each_poll_looks(void **state UNUSED)
{
    struct engine_scene s;

    begin(&s, on_ext4, watch_is_refused);
    assert_each_poll_looks(&s);
}

/* An application's checkpoint might wait for it. */
static void test_a_reader_in_the_log_does_not_rest(void **state UNUSED)
{
    struct engine_scene s;

    begin(&s, on_ext4, NULL);
    scene_insert(&s, 0, 1, 100);
    scene_sync(&s);
    assert_int_not_equal(scene_db(&s, 0)->stats_seen.holder_slot, 0);
    for (unsigned i = 0; i < 3 * REST; i++) {
        scene_pass(&s, poll_ns);
        assert_false(is_resting(&s));
    }
    scene_end(&s);
}

static void test_a_long_monitor_interval_is_not_made_longer(void **state UNUSED)
{
    struct engine_scene s;

    begin(&s, on_ext4, NULL);
    s.engine->poll_interval_ns = 2 * NS_PER_SEC;
    for (unsigned i = 0; i < 3 * REST; i++) {
        scene_pass(&s, 2 * NS_PER_SEC);
        assert_false(is_resting(&s));
    }
    scene_end(&s);
}

static void test_a_log_that_loses_its_name_is_watched_again(void **state UNUSED)
{
    struct engine_scene s;
    char path[310];
    char away[320];

    begin(&s, on_ext4, NULL);
    fall_asleep(&s);
    (void)snprintf(path, sizeof(path), "%s", follower_wal_path(scene_db(&s, 0)->follower));
    (void)snprintf(away, sizeof(away), "%s-away", path);
    assert_int_equal(rename(path, away), 0);
    SCENE_UNTIL(&s, !watch_is_active(&scene_db(&s, 0)->wal_watch));
    for (unsigned i = 0; i < 2 * REST; i++) {
        scene_pass(&s, poll_ns);
        assert_false(is_resting(&s));
    }
    assert_int_equal(rename(away, path), 0);
    fall_asleep(&s);
    uint64_t before = commits(&s);
    unsigned polls = scene_db(&s, 0)->poll_count;
    scene_insert(&s, 0, 1, 100);
    SCENE_UNTIL(&s, commits(&s) == before + 1);
    assert_int_equal(scene_db(&s, 0)->poll_count, polls);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_a_calm_database_rests_and_an_event_ends_that),
        TEST(test_after_an_event_each_poll_looks_for_a_while),
        TEST(test_an_event_that_gets_lost_costs_ten_polls_at_most),
        TEST(test_an_unknown_file_system_is_looked_at_by_each_poll),
        TEST(test_an_overlay_is_looked_at_by_each_poll),
        TEST(test_without_a_watch_each_poll_looks),
        TEST(test_a_reader_in_the_log_does_not_rest),
        TEST(test_a_long_monitor_interval_is_not_made_longer),
        TEST(test_a_log_that_loses_its_name_is_watched_again),
    };
    return TEST_MAIN(tests);
}
