/*
 * An engine that is killed (SIGKILL, lib/testing/kill_at.h) before any change that others could see,
 * in a life that syncs, checkpoints, compacts, snapshots, expires and shrinks the log: what lies in the
 * bucket can be restored as it is, and the next engine goes on from there.
 *
 * The life runs in a process of its own: this program, started again with the folder to live in.
 * KILL_EACH=1 kills before every one; by default KILLS of them are spread evenly over the life, behind an
 * offset that changes from run to run (SEED=n repeats it).
 */
#include "lib/testing/kill_at.h"
#include "sidecar/engine/engine_scene.h"

enum {
    KILLS = 12,
};

static const char mark[] = "the-life-begins";

/* ---- the life ---- */

static int life_run(const char *folder)
{
    struct engine_scene s;
    char path[400];

    assert_int_equal(setenv("TMPDIR", folder, 1), 0); /* where the scene makes its own folder */
    scene_init(&s);
    scene_with_levels(&s);
    s.opt.wal_keep_bytes = 64 << 10;
    s.dest[0].l0_retention_ns = NS_PER_MIN;
    s.dest[0].snapshot_retention_ns = 30 * NS_PER_MIN;
    s.dest[0].is_retention_enabled = true;
    scene_database(&s, 0);
    (void)snprintf(path, sizeof(path), "%s/%s", folder, mark);
    (void)close(open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600)); /* counting begins */
    scene_engine(&s);
    scene_add(&s, 0);
    scene_sync(&s);
    for (unsigned i = 0; i < 8; i++) {
        scene_insert(&s, 0, 60, 500);
        scene_live(&s, i);
        scene_sync(&s);
        scene_skip(&s, NS_PER_MIN);
        scene_run(&s, 5 * NS_PER_MS);
    }
    scene_wait(&s, engine_snapshot);
    scene_skip(&s, NS_PER_HOUR);
    scene_wait(&s, engine_expire);
    assert_int_equal(scene_stop(&s), 0);
    return 0;
}

/* ---- its death ---- */

/* The one folder in which the life has lived. */
static void life_folder(const char *folder, char out[static 256])
{
    char command[400];
    char line[256] = "";

    (void)snprintf(command, sizeof(command), "echo %s/*/", folder);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    assert_int_equal(pclose(f), 0);
    line[strcspn(line, "\n")] = '\0';
    line[strlen(line) - 1] = '\0'; /* the slash */
    (void)snprintf(out, 256, "%.255s", line);
}

/* Lives until change n; whatever is left is sound, and another engine goes on with it. */
static void live_and_die(uint64_t n, struct kill_at_result *out)
{
    struct engine_scene s;
    char folder[256];
    char own[256];
    const char *const argv[] = {"/proc/self/exe", "--life", folder, NULL};

    test_folder_make(folder);
    kill_at(argv, NULL, mark, n, out);
    scene_init(&s);
    scene_with_levels(&s);
    (void)snprintf(own, sizeof(own), "%s", s.folder);
    life_folder(folder, s.folder);
    size_t boundaries = scene_assert_restorable(&s, 0, 0);
    scene_database(&s, 0);
    scene_insert(&s, 0, 3, 300);
    scene_engine(&s);
    scene_add(&s, 0);
    scene_sync_and_compare(&s);
    assert_int_equal(scene_chain(&s, 0, 0)->state, CHAIN_FOLLOWING);
    assert_true(scene_assert_restorable(&s, 0, 0) > boundaries);
    assert_int_equal(scene_stop(&s), 0);
    (void)snprintf(s.folder, sizeof(s.folder), "%s", own);
    scene_end(&s);
    test_folder_remove(folder);
}

static void test_engine_killed_before_any_change_leaves_a_replica_to_go_on_with(void **state UNUSED)
{
    const char *each = getenv("KILL_EACH");
    const char *seed = getenv("SEED");
    struct kill_at_result r;
    unsigned killed = 0;
    char row[64];

    live_and_die(0, &r);
    assert_int_equal(r.status, 0);
    uint64_t step = each ? strtoull(each, NULL, 10) : r.changes / KILLS;
    step = step > 0 ? step : 1;
    uint64_t offset = seed ? strtoull(seed, NULL, 10) : env_wall_ns(env_real());
    print_message("# %" PRIu64 " changes, SEED=%" PRIu64 "\n", r.changes, offset % step);
    for (uint64_t n = 1 + offset % step;; n += step) {
        (void)snprintf(row, sizeof(row), "change %" PRIu64, n);
        test_row(row);
        live_and_die(n, &r);
        if (!r.was_killed)
            break;
        killed++;
    }
    assert_true(killed >= KILLS / 2);
}

int main(int argc, char **argv)
{
    app_process_main(argc, argv);
    if (argc == 3 && strcmp(argv[1], "--life") == 0)
        return life_run(argv[2]);
    static const struct CMUnitTest tests[] = {
        TEST(test_engine_killed_before_any_change_leaves_a_replica_to_go_on_with),
    };
    return TEST_MAIN(tests);
}
