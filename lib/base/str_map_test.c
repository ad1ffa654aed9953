/*
 * The table of things by name, against an array that is searched from front to back.
 */
#include "lib/base/str_map.h"

#include <stdio.h>
#include <string.h>

#include "lib/testing/test.h"

enum {
    NAMES = 300
};

struct thing {
    char name[16];
    bool is_in;
};

static void test_str_map_agrees_with_a_list_through_puts_and_removals(void **state UNUSED)
{
    static struct thing things[NAMES];
    struct str_map m = STR_MAP_INIT;
    struct error err = ERROR_INIT;
    size_t count = 0;
    unsigned seed = 1;

    for (size_t i = 0; i < NAMES; i++)
        (void)snprintf(things[i].name, sizeof(things[i].name), "ns/%zu", i);
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1103515245U + 12345U;
        struct thing *t = &things[(seed >> 8) % NAMES];
        if ((seed >> 24) % 3 == 0) {
            assert_ptr_equal(str_map_remove(&m, t->name), t->is_in ? t : NULL);
            count -= t->is_in ? 1 : 0;
            t->is_in = false;
        } else {
            assert_ok(str_map_put(&m, t->name, t, &err), &err);
            count += t->is_in ? 0 : 1;
            t->is_in = true;
        }
        assert_int_equal(m.count, count);
        struct thing *other = &things[(seed >> 12) % NAMES];
        assert_ptr_equal(str_map_get(&m, other->name), other->is_in ? other : NULL);
    }
    size_t cursor = 0;
    size_t seen = 0;
    for (struct thing *t = str_map_next(&m, &cursor); t; t = str_map_next(&m, &cursor)) {
        assert_true(t->is_in);
        seen++;
    }
    assert_int_equal(seen, count);
    str_map_destroy(&m);
    assert_null(str_map_get(&m, "ns/1"));
    assert_null(str_map_remove(&m, "ns/1"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_str_map_agrees_with_a_list_through_puts_and_removals),
    };
    return TEST_MAIN(tests);
}
