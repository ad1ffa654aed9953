/*
 * Whole writers and the lease of a prefix: the second waits, and goes on when it is its turn.
 */
#include "sidecar/engine/bucket_lease.h"
#include "sidecar/engine/engine_scene.h"

/* The second writer: another engine, on a copy of the database, on the same bucket. */
struct second {
    struct engine *engine;
    char path[300];
};

static struct chain *chain_of(const struct second *second)
{
    return &second->engine->dbs[0]->chains[0];
}

/* Database 0 with a lease. Database 1 is a copy of it; its application is connection 1. */
static void scene_two(struct engine_scene *s, struct second *second)
{
    struct engine *first;

    scene_init(s);
    s->dest[0].lease = true;
    scene_database(s, 0);
    scene_insert(s, 0, 20, 500);
    app_ok(&s->app, "close 0"); /* all of it lies in the file now */
    scene_shell("cp %s/app0.db %s/app1.db", s->folder, s->folder);
    scene_database(s, 0);
    scene_engine(s);
    scene_add(s, 0);
    scene_sync(s);
    first = s->engine;

    scene_database(s, 1);
    scene_engine(s);
    scene_add_path(s, 0, scene_path(s, 1, second->path));
    second->engine = s->engine;
    s->engine = first;
}

/* Time flies while both live, so slowly that a lease can be renewed. */
static void pass(struct engine_scene *s, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i += 4) {
        scene_skip(s, 4 * NS_PER_SEC);
        for (unsigned k = 0; k < 6; k++)
            scene_turn(s, UINT64_MAX, "");
    }
}

#define PASS_UNTIL(s, condition)                                                                   \
    do {                                                                                           \
        uint64_t until_patience = scene_patience();                                                \
        while (!(condition)) {                                                                     \
            pass((s), 1);                                                                          \
            scene_turn((s), until_patience, #condition);                                           \
        }                                                                                          \
    } while (0)

/* The newest state of bucket 0 is what the application sees on connection i. */
static void assert_is_in_first_bucket(struct engine_scene *s, size_t i)
{
    struct error err = ERROR_INIT;
    char image[300];
    char restored[300];

    (void)snprintf(image, sizeof(image), "%s/image", s->folder);
    (void)snprintf(restored, sizeof(restored), "%s/restored", s->folder);
    app_ok(&s->app, "image %zu %s", i, image);
    assert_ok(scene_restore(s, 0, 0, 0, restored, &err), &err);
    scene_assert_equal_files(image, restored);
}

static void second_end(struct second *second)
{
    engine_free(second->engine);
}

static void test_second_writer_waits_and_sends_nothing(void **state UNUSED)
{
    struct engine_scene s;
    struct second second;
    scene_two(&s, &second);
    SCENE_UNTIL(&s, chain_of(&second)->state_detail &&
                        strstr(chain_of(&second)->state_detail, "held by"));
    uint64_t puts = s.flaky[0].started[STORAGE_OP_PUT];
    scene_insert(&s, 1, 5, 100);
    pass(&s, 100);
    assert_int_equal(chain_of(&second)->state, CHAIN_ATTACHING);
    assert_int_equal(scene_chain(&s, 0, 0)->state, CHAIN_FOLLOWING);
    /* Nothing but what renews the lease of the first: more seldom on a busy machine. */
    assert_in_range(s.flaky[0].started[STORAGE_OP_PUT] - puts, 1, 15);
    assert_int_equal(scene_count(&s, 0, 0, 0), 1);
    scene_insert(&s, 0, 5, 100);
    scene_sync_and_compare(&s);
    second_end(&second);
    scene_end(&s);
}

static void test_second_writer_goes_on_when_the_first_ends(void **state UNUSED)
{
    static const struct {
        const char *name;
        bool is_orderly;
    } rows[] = {{"in order", true}, {"killed", false}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct engine_scene s;
        struct second second;
        test_row(rows[i].name);
        scene_two(&s, &second);
        SCENE_UNTIL(&s, chain_of(&second)->state_detail &&
                            strstr(chain_of(&second)->state_detail, "held by"));
        if (rows[i].is_orderly)
            assert_int_equal(scene_stop(&s), 0);
        else
            scene_kill(&s);
        s.engine = second.engine;
        if (rows[i].is_orderly) {
            pass(&s, 8);
        } else {
            pass(&s, 15);
            assert_int_equal(chain_of(&second)->state, CHAIN_ATTACHING);
            pass(&s, 35);
        }
        /* It is exactly the newest state of the replica: it goes on where the first ended. */
        SCENE_UNTIL(&s, chain_of(&second)->state == CHAIN_FOLLOWING);
        scene_insert(&s, 1, 5, 100);
        scene_sync(&s);
        assert_is_in_first_bucket(&s, 1);
        scene_end(&s);
    }
}

static void test_writer_whose_lease_was_taken_over_attaches_again(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.dest[0].lease = true;
    scene_begin(&s);
    struct chain *c = scene_chain(&s, 0, 0);
    /* Somebody has outlived our lease, as after a sleep of ours. */
    scene_shell("cd %s/bucket-0-0/lease && n=$(printf %%016x $((0x$(ls | tail -n 1) + 1))) && "
                "echo '{\"owner\":\"0badcafe\",\"holder\":\"thief\",\"expires_ms\":%" PRIu64
                "}' >$n",
                s.folder, env_wall_ns(&s.env) / NS_PER_MS + 1000000);
    PASS_UNTIL(&s, c->state == CHAIN_ATTACHING && c->state_detail &&
                       strstr(c->state_detail, "held by thief (0badcafe)"));
    assert_int_equal(c->conflicts_total, 1);
    uint64_t txid = scene_acknowledged(&s);
    scene_insert(&s, 0, 1, 10);
    pass(&s, 15);
    assert_int_equal(c->state, CHAIN_ATTACHING);
    assert_int_equal(scene_acknowledged(&s), txid);
    /* Its turn comes when the other gives it up. */
    scene_shell("rm %s/bucket-0-0/lease/*", s.folder);
    PASS_UNTIL(&s, c->state == CHAIN_FOLLOWING);
    scene_sync_and_compare(&s);
    scene_end(&s);
}

static void test_lease_that_ran_out_while_the_store_was_away_is_renewed_before_the_next_object(
    void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.dest[0].lease = true;
    scene_begin(&s);
    flaky_set(&s.flaky[0], STORAGE_OP_KINDS, &(struct flaky_rule){.fault = FLAKY_FAIL});
    scene_insert(&s, 0, 5, 100);
    pass(&s, 60);
    struct chain *c = scene_chain(&s, 0, 0);
    assert_false(bucket_lease_is_held(c->lease));
    assert_int_equal(c->state, CHAIN_FOLLOWING);
    assert_int_equal(scene_status(&s, 0, 0)->state, STATUS_DESTINATION_BACKOFF);
    flaky_set(&s.flaky[0], STORAGE_OP_KINDS, NULL);
    PASS_UNTIL(&s, !chain_has_unshipped(c));
    assert_true(bucket_lease_is_held(c->lease));
    assert_int_equal(c->conflicts_total, 0);
    scene_assert_replicated(&s, 0, 0);
    assert_int_equal(scene_stop(&s), 0);
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/bucket-0-0/lease/0000000000000001", s.folder);
    assert_int_equal(access(path, F_OK), -1); /* given up */
    scene_end(&s);
}

/* A stop comes while the number before the last is being deleted: the next writer need not wait. */
static void test_lease_given_up_just_after_its_renewal_leaves_nothing(void **state UNUSED)
{
    struct engine_scene s;
    scene_init(&s);
    s.dest[0].lease = true;
    scene_begin(&s);
    flaky_set(&s.flaky[0], STORAGE_OP_DELETE,
              &(struct flaky_rule){.fault = FLAKY_HOLD, .key_part = "lease/"});
    PASS_UNTIL(&s, flaky_held_count(&s.flaky[0]) > 0);
    flaky_set(&s.flaky[0], STORAGE_OP_DELETE, NULL);
    assert_int_equal(scene_stop(&s), 0);
    scene_shell("test -z \"$(ls %s/bucket-0-0/lease)\"", s.folder);
    scene_end(&s);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    static const struct CMUnitTest tests[] = {
        TEST(test_second_writer_waits_and_sends_nothing),
        TEST(test_second_writer_goes_on_when_the_first_ends),
        TEST(test_writer_whose_lease_was_taken_over_attaches_again),
        TEST(test_lease_that_ran_out_while_the_store_was_away_is_renewed_before_the_next_object),
        TEST(test_lease_given_up_just_after_its_renewal_leaves_nothing),
    };
    return TEST_MAIN(tests);
}
