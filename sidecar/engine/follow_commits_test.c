/*
 * How many transactions were committed: SQLite's counter in the wal-index, and what it stands on.
 */
#include "sidecar/engine/follow_scene.h"

static uint64_t commits_seen(struct scene *s)
{
    struct follow_stats stats;
    struct error err = ERROR_INIT;
    assert_ok(follower_stats(s->f, &stats, &err), &err);
    return stats.commits_seen;
}

/* SQLite counts transactions in the header of the wal-index; this is what the count of commits
 * stands on. */
static void test_every_transaction_is_counted_once(void **state UNUSED)
{
    static const struct {
        const char *name;
        const char *sql[6];
        uint64_t commits;
    } rows[] = {
        {"a row", {"INSERT INTO t VALUES (NULL, 1)"}, 1},
        {"reading", {"SELECT count(*) FROM t", "BEGIN", "SELECT 1 FROM t", "COMMIT"}, 0},
        {"rolled back", {"BEGIN", "INSERT INTO t VALUES (NULL, 1)", "ROLLBACK"}, 0},
        {"nothing written", {"BEGIN IMMEDIATE", "COMMIT"}, 0},
        {"three statements",
         {"BEGIN", "INSERT INTO t VALUES (NULL, 1)", "INSERT INTO t VALUES (NULL, 2)",
          "UPDATE t SET body = 3", "COMMIT"},
         1},
        {"a savepoint given up",
         {"BEGIN", "INSERT INTO t VALUES (NULL, 1)", "SAVEPOINT a", "UPDATE t SET body = 3",
          "ROLLBACK TO a", "COMMIT"},
         1},
        {"spilled before the commit",
         {"PRAGMA cache_size = 5", "BEGIN",
          "INSERT INTO t(body) SELECT randomblob(3000) FROM t AS a, t AS b LIMIT 50", "COMMIT"},
         1},
        {"schema", {"CREATE TABLE u(x)", "DROP TABLE u"}, 2},
        {"VACUUM", {"VACUUM"}, 1},
        {"the log restarts",
         {"PRAGMA wal_checkpoint(RESTART)", "UPDATE t SET body = 4",
          "PRAGMA wal_checkpoint(TRUNCATE)", "UPDATE t SET body = 5"},
         2},
    };
    struct scene s;
    scene_start(&s);
    app_ok(&s.app, "loop 0 20 INSERT INTO t(body) VALUES (randomblob(300))");
    (void)scene_advance(&s);
    uint64_t before = commits_seen(&s);
    assert_int_equal(before, 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct follow_stats stats;
        struct error err = ERROR_INIT;
        test_row(rows[i].name);
        assert_ok(follower_stats(s.f, &stats, &err), &err);
        for (size_t k = 0; k < ARRAY_LEN(rows[i].sql) && rows[i].sql[k]; k++)
            app_ok(&s.app, "sql 0 %s", rows[i].sql[k]);
        assert_int_equal(follower_commits_since(s.f, stats.change), rows[i].commits);
        (void)scene_advance(&s); /* proven or not */
        assert_int_equal(commits_seen(&s), before + rows[i].commits);
        before += rows[i].commits;
    }
    scene_end(&s);
}

static void test_commits_are_counted_through_a_recovery_and_a_broken_history(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    scene_start(&s);
    app_ok(&s.app, "loop 0 3 INSERT INTO t(body) VALUES (randomblob(300))");
    (void)scene_advance(&s);
    assert_int_equal(commits_seen(&s), 3);

    app_ok(&s.app, "loop 0 4 INSERT INTO t(body) VALUES (randomblob(9000))");
    app_ok(&s.app, "tear %s", s.path); /* SQLite's counter begins anew */
    (void)scene_advance(&s);
    s.clock_skew_ns += 2 * NS_PER_SEC;
    (void)scene_advance(&s);
    assert_int_equal(commits_seen(&s), 7);
    app_ok(&s.app, "loop 0 9 INSERT INTO t(body) VALUES (randomblob(300))");
    (void)scene_advance(&s);
    assert_int_equal(commits_seen(&s), 16);

    follower_release(s.f);
    app_ok(&s.app, "loop 0 5 INSERT INTO t(body) VALUES (randomblob(300))");
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)");
    app_ok(&s.app, "loop 0 2 INSERT INTO t(body) VALUES (randomblob(300))");
    assert_ok(follower_reacquire(s.f, &err), &err);
    assert_int_equal(commits_seen(&s), 23);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_every_transaction_is_counted_once),
        TEST(test_commits_are_counted_through_a_recovery_and_a_broken_history),
    };
    struct error err = ERROR_INIT;
    assert_ok(follow_process_init(&err), &err);
    return TEST_MAIN(tests);
}
