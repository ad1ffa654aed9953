/*
 * Restores in which any one allocation fails (lib/testing/fault_alloc.h): out of memory is said,
 * nothing half-made is left, and the next restore succeeds.
 */
#include "lib/testing/fault_alloc.h"
#include "sidecar/restore/restore_scene.h"

static void nth_scene_make(struct scene *s)
{
    s->replica.has_ext = true;
    scene_make(s, 1024);
    test_replica_live(&s->replica, 7, 5);
    test_replica_write(&s->replica, 9, 1, 4);
    for (uint64_t t = 5; t <= 8; t++)
        test_replica_write(&s->replica, 0, t, t);
}

static void test_restore_says_so_when_any_allocation_fails(void **state UNUSED)
{
    CLEANUP(scene_remove) struct scene s = {0};
    unsigned failures = 0;

    nth_scene_make(&s);
    for (uint64_t n = 1;; n++) {
        struct error err = ERROR_INIT;
        char row[64];
        (void)snprintf(row, sizeof(row), "allocation %llu", (unsigned long long)n);
        test_row(row);
        fault_alloc_arm(n);
        int rc = scene_restore(&s, &err);
        bool has_struck = fault_alloc_disarm();
        failures += rc < 0;
        if (rc < 0)
            assert_error(rc, &err, ERR_NO_MEMORY, "");
        if (scene_has(s.out))
            test_replica_assert_state(&s.replica, s.out, 8);
        else
            assert_false(scene_has(s.map));
        assert_true(rc < 0 || scene_has(s.out));
        scene_clear_output(&s);
        if (!has_struck)
            break;
        assert_ok(scene_restore(&s, &err), &err);
        test_replica_assert_state(&s.replica, s.out, 8);
        scene_clear_output(&s);
    }
    assert_true(failures > 20);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_restore_says_so_when_any_allocation_fails),
    };
    return TEST_MAIN(tests);
}
