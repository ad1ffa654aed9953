/*
 * Checkpoints of the application that wait for readers, and the follower that is one.
 */
#include "sidecar/engine/follow_scene.h"

enum {
    STEPS_MAX = 4,
};

static const uint64_t deadline_ns = 60 * NS_PER_SEC;

/* Asks until it is so; a process of its own must come to the point where it waits. */
static bool comes_in_the_way(struct scene *s)
{
    uint64_t end_ns = env_monotonic_ns(env_real()) + deadline_ns;

    while (!follower_is_in_the_way(s->f)) {
        if (env_monotonic_ns(env_real()) > end_ns)
            return false;
    }
    return true;
}

static void step_aside(struct scene *s)
{
    struct error err = ERROR_INIT;
    enum advance_result result = ADVANCE_UNPROVEN;

    assert_ok(follower_step_aside(s->f, scene_note, s, &result, &err), &err);
    assert_int_equal(result, ADVANCE_PROVEN);
    scene_apply(s);
}

/* An application that would wait for a very long time. */
static void patient_start(struct scene *s)
{
    scene_start(s);
    app_ok(&s->app, "sql 0 PRAGMA busy_timeout=600000");
    app_ok(&s->app, "loop 0 5 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync(s);
    assert_false(follower_is_in_the_way(s->f)); /* our mark is behind, but nobody waits for it */
}

/* It goes on as if nothing had been: what came is known without a difference. */
static void goes_on(struct scene *s)
{
    app_ok(&s->app, "loop 0 3 INSERT INTO t(body) VALUES (randomblob(5000))");
    scene_sync_and_compare(s);
    (void)scene_checkpoint(s, false);
    app_ok(&s->app, "loop 0 3 UPDATE t SET body = randomblob(5000) WHERE id = 2");
    scene_sync_and_compare(s);
}

static void test_a_checkpoint_that_wants_everything_is_let_pass(void **state UNUSED)
{
    struct scene s;

    patient_start(&s);
    app_send(&s.app, "sql 0 PRAGMA wal_checkpoint(FULL)");
    assert_true(comes_in_the_way(&s));
    step_aside(&s);
    assert_memory_equal(app_receive(&s.app), "ok 0|", strlen("ok 0|"));
    assert_int_not_equal(scene_slot(&s), 0);
    goes_on(&s);
    scene_end(&s);
}

static void test_a_checkpoint_that_begins_the_log_anew_is_let_pass(void **state UNUSED)
{
    static const char *const modes[] = {"RESTART", "TRUNCATE"};
    struct scene s;

    patient_start(&s);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        unsigned steps = 0;
        app_send(&s.app, "sql 0 PRAGMA wal_checkpoint(%s)", modes[i]);
        do {
            assert_true(comes_in_the_way(&s));
            step_aside(&s);
            steps++;
            assert_in_range(steps, 1, STEPS_MAX);
        } while (scene_slot(&s) != 0);
        assert_memory_equal(app_receive(&s.app), "ok 0|", strlen("ok 0|"));
        assert_false(follower_is_in_the_way(s.f));
        goes_on(&s);
    }
    scene_end(&s);
}

/* The shield against SQLite's WAL-reset bug stays up while nobody waits. */
static void test_it_stays_in_the_log_while_nobody_waits(void **state UNUSED)
{
    struct scene s;

    patient_start(&s);
    step_aside(&s); /* to the end of the log */
    app_ok(&s.app, "sql 0 PRAGMA wal_checkpoint(PASSIVE)");
    assert_false(follower_is_in_the_way(s.f)); /* all was copied, and it is over */
    assert_int_not_equal(scene_slot(&s), 0);
    goes_on(&s);
    scene_end(&s);
}

static void test_it_stays_while_a_state_is_pinned(void **state UNUSED)
{
    struct scene s;
    struct log_end end;
    struct error err = ERROR_INIT;

    patient_start(&s);
    assert_ok(follower_pin(s.f, &end, &err), &err);
    app_send(&s.app, "sql 0 PRAGMA wal_checkpoint(TRUNCATE)");
    for (int i = 0; i < 1000; i++)
        assert_false(follower_is_in_the_way(s.f));
    follower_unpin(s.f);
    while (scene_slot(&s) != 0) {
        assert_true(comes_in_the_way(&s));
        step_aside(&s);
    }
    assert_memory_equal(app_receive(&s.app), "ok 0|", strlen("ok 0|"));
    goes_on(&s);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    struct error err = ERROR_INIT;
    if (follow_process_init(&err) < 0)
        return 1;
    static const struct CMUnitTest tests[] = {
        TEST(test_a_checkpoint_that_wants_everything_is_let_pass),
        TEST(test_a_checkpoint_that_begins_the_log_anew_is_let_pass),
        TEST(test_it_stays_in_the_log_while_nobody_waits),
        TEST(test_it_stays_while_a_state_is_pinned),
    };
    return TEST_MAIN(tests);
}
