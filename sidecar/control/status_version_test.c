/*
 * What changes a version, and what does not: each row changes one field of the scene.
 */
#include "sidecar/control/status_version.h"

#include "lib/testing/test.h"
#include "sidecar/control/status_scene.h"

static struct status_scene scene;

static struct status_version version_now(void)
{
    return status_version_of(&scene.process);
}

static void test_what_happened_changes_the_words(void **state UNUSED)
{
    for (unsigned row = 0; row < 9; row++) {
        status_scene_make(&scene);
        struct status_version before = version_now();
        switch (row) {
        case 0:
            scene.dbs[1].state = STATUS_DB_FOLLOWING;
            break;
        case 1:
            scene.destinations[1].state = STATUS_DESTINATION_FENCED;
            break;
        case 2:
            scene.destinations[2].is_attached = true;
            break;
        case 3:
            scene.destinations[1].error_streak = 0;
            break;
        case 4:
            scene.destinations[0].retention_error = "403";
            break;
        case 5:
            scene.destinations[0].fenced_by_epoch = 2;
            break;
        case 6:
            scene.process.is_draining = true;
            break;
        case 7:
            scene.process.db_count = 1;
            break;
        default:
            scene.process.started_at_ns++; /* another process: all it knew is to be heard again */
            break;
        }
        struct status_version after = version_now();
        assert_true(before.words != after.words);
        assert_true(before.figures != after.figures);
    }
}

static void test_figures_change_the_figures_only(void **state UNUSED)
{
    for (unsigned row = 0; row < 9; row++) {
        status_scene_make(&scene);
        struct status_version before = version_now();
        switch (row) {
        case 0:
            scene.destinations[0].acknowledged_txid++;
            break;
        case 1:
            scene.destinations[0].lag_ns += NS_PER_SEC;
            break;
        case 2:
            scene.dbs[0].wal_bytes++;
            break;
        case 3:
            scene.destinations[1].last_error = "503";
            break;
        case 4:
            scene.destinations[0].restore_newest_at_ns++;
            break;
        case 5:
            scene.destinations[0].levels[3].object_count++;
            break;
        case 6:
            scene.dbs[1].state_detail = "journal_mode is off";
            break;
        case 7:
            scene.destinations[0].last_success_at_ns++;
            break;
        default:
            scene.destinations[0].snapshot_at_ns++;
            break;
        }
        struct status_version after = version_now();
        assert_true(before.words == after.words);
        assert_true(before.figures != after.figures);
    }
}

static void test_time_alone_changes_nothing(void **state UNUSED)
{
    status_scene_make(&scene);
    struct status_version before = version_now();
    scene.process.now_ns += NS_PER_HOUR;
    scene.dbs[0].state_since_ns += NS_PER_HOUR;
    scene.dbs[0].disk_free_bytes /= 2;
    scene.destinations[0].state_since_ns += NS_PER_HOUR;
    scene.destinations[0].retention_at_ns += NS_PER_HOUR;
    scene.destinations[0].last_error = "of a fault that is over";
    scene.destinations[0].requests.op[STORAGE_OP_LIST].requests++;
    struct status_version after = version_now();
    assert_true(before.words == after.words && before.figures == after.figures);
}

static void test_a_version_is_written_and_read(void **state UNUSED)
{
    static const char *const wrong[] = {"",
                                        "1.2",
                                        "0123456789abcdef-0123456789abcdef",
                                        "0123456789abcdeF.0123456789abcdef",
                                        "0123456789abcdef.0123456789abcdef0",
                                        "0123456789abcdef.0123456789abcde "};
    const struct status_version v = {UINT64_C(0x123456789abcdef), UINT64_MAX};
    struct status_version read = {0, 0};
    char text[STATUS_VERSION_BYTES];

    assert_string_equal(status_version_format(&v, text), "0123456789abcdef.ffffffffffffffff");
    assert_true(status_version_parse(text, &read));
    assert_true(read.words == v.words && read.figures == v.figures);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        test_row(wrong[i]);
        assert_false(status_version_parse(wrong[i], &read));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_what_happened_changes_the_words),
        TEST(test_figures_change_the_figures_only),
        TEST(test_time_alone_changes_nothing),
        TEST(test_a_version_is_written_and_read),
    };
    return TEST_MAIN(tests);
}
