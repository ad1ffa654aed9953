/*
 * The inventory: order, lookups, the limit, and loading from a folder with everything in it.
 */
#include "lib/storage/inventory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/file/file.h"
#include "lib/storage/storage_wait.h"
#include "lib/testing/test.h"

static struct inventory_object object_of(uint64_t min_txid, uint64_t max_txid)
{
    return (struct inventory_object){.min_txid = min_txid,
                                     .max_txid = max_txid,
                                     .bytes = max_txid * 10,
                                     .timestamp_ns = max_txid * NS_PER_SEC,
                                     .layout = STORAGE_LAYOUT_LTX};
}

static void add_ok(struct inventory *inv, unsigned level, uint64_t min_txid, uint64_t max_txid)
{
    struct error err = ERROR_INIT;
    struct inventory_object object = object_of(min_txid, max_txid);

    assert_ok(inventory_add(inv, level, &object, &err), &err);
}

static void assert_ascending(const struct inventory_level *level)
{
    for (size_t i = 1; i < level->object_count; i++)
        assert_true(level->object[i - 1].max_txid <= level->object[i].max_txid);
}

static void test_objects_stand_in_order_however_they_come(void **state UNUSED)
{
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;

    /* 7 is coprime to 1,000: every number once, in a wild order. */
    for (uint64_t i = 0; i < 1000; i++)
        add_ok(&inv, 0, 1 + i * 7 % 1000, 1 + i * 7 % 1000);
    assert_int_equal(inventory_object_count(&inv), 1000);
    assert_ascending(&inv.level[0]);
    for (uint64_t txid = 1; txid <= 1000; txid++)
        assert_int_equal(inventory_find(&inv, 0, txid, txid)->bytes, txid * 10);
    assert_null(inventory_find(&inv, 0, 1001, 1001));
    assert_null(inventory_find(&inv, 0, 1, 2));
    assert_null(inventory_find(&inv, 1, 1, 1));
    assert_int_equal(inventory_bytes(&inv), 1000 * 1001 / 2 * 10);
}

static void test_the_newest_reaches_furthest_also_among_overlaps(void **state UNUSED)
{
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;

    assert_null(inventory_newest(&inv, 1));
    add_ok(&inv, 1, 1, 10);
    add_ok(&inv, 1, 5, 7);
    assert_int_equal(inventory_newest(&inv, 1)->max_txid, 10);
    add_ok(&inv, 1, 2, 10);
    assert_int_equal(inventory_newest(&inv, 1)->min_txid, 2);
}

static void test_the_tip_is_the_highest_of_the_lowest_level(void **state UNUSED)
{
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;
    unsigned level = 42;

    assert_null(inventory_tip(&inv, &level));
    assert_int_equal(level, 42);
    add_ok(&inv, 9, 1, 100);
    assert_int_equal(inventory_tip(&inv, &level)->max_txid, 100);
    assert_int_equal(level, 9);
    add_ok(&inv, 0, 100, 100);
    assert_int_equal(inventory_tip(&inv, &level)->min_txid, 100);
    assert_int_equal(level, 0);
    add_ok(&inv, 2, 50, 101);
    assert_int_equal(inventory_tip(&inv, &level)->max_txid, 101);
    assert_int_equal(level, 2);
}

static void test_adding_again_replaces_size_and_timestamp(void **state UNUSED)
{
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;
    struct error err = ERROR_INIT;
    struct inventory_object object = object_of(1, 1);

    add_ok(&inv, 0, 1, 1);
    object.bytes = 4711;
    assert_ok(inventory_add(&inv, 0, &object, &err), &err);
    assert_int_equal(inventory_object_count(&inv), 1);
    assert_int_equal(inventory_find(&inv, 0, 1, 1)->bytes, 4711);
}

static void test_both_layouts_of_a_range_are_kept_apart(void **state UNUSED)
{
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;
    struct error err = ERROR_INIT;
    struct inventory_object object = object_of(1, 1);
    char key[STORAGE_KEY_BYTES_MAX];

    add_ok(&inv, 0, 1, 1);
    object.layout = STORAGE_LAYOUT_HEX;
    assert_ok(inventory_add(&inv, 0, &object, &err), &err);
    assert_int_equal(inventory_object_count(&inv), 2);
    assert_string_equal(inventory_object_key(0, inventory_find(&inv, 0, 1, 1), key),
                        "0000/0000000000000001-0000000000000001.ltx");
    assert_true(inventory_remove(&inv, 0, 1, 1, STORAGE_LAYOUT_HEX));
    assert_string_equal(inventory_object_key(0, inventory_find(&inv, 0, 1, 1), key),
                        "ltx/0/0000000000000001-0000000000000001.ltx");
}

static void test_what_is_removed_is_gone_and_the_rest_stays(void **state UNUSED)
{
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;

    for (uint64_t txid = 1; txid <= 10; txid++)
        add_ok(&inv, 0, txid, txid);
    assert_true(inventory_remove(&inv, 0, 1, 1, STORAGE_LAYOUT_LTX));
    assert_true(inventory_remove(&inv, 0, 5, 5, STORAGE_LAYOUT_LTX));
    assert_true(inventory_remove(&inv, 0, 10, 10, STORAGE_LAYOUT_LTX));
    assert_false(inventory_remove(&inv, 0, 5, 5, STORAGE_LAYOUT_LTX));
    assert_false(inventory_remove(&inv, 0, 6, 6, STORAGE_LAYOUT_HEX));
    assert_int_equal(inventory_object_count(&inv), 7);
    assert_int_equal(inventory_newest(&inv, 0)->max_txid, 9);
    assert_ascending(&inv.level[0]);
}

static void test_a_lower_bound_is_where_a_walk_begins(void **state UNUSED)
{
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;
    static const struct {
        uint64_t txid;
        size_t wanted;
    } rows[] = {{0, 0}, {1, 0}, {10, 0}, {11, 1}, {20, 1}, {21, 2}, {30, 2}, {31, 3}};

    add_ok(&inv, 1, 1, 10);
    add_ok(&inv, 1, 11, 20);
    add_ok(&inv, 1, 21, 30);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(inventory_lower_bound(&inv, 1, rows[i].txid), rows[i].wanted);
    assert_int_equal(inventory_lower_bound(&inv, 2, 1), 0);
}

static void test_the_limit_holds_over_all_levels_and_fenced(void **state UNUSED)
{
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;
    struct error err = ERROR_INIT;
    const struct inventory_fenced fenced = {.min_txid = 1, .max_txid = 1};
    struct inventory_object third = object_of(3, 3);
    struct inventory_object again = object_of(1, 1);

    inv.object_count_max = 3;
    add_ok(&inv, 0, 1, 1);
    add_ok(&inv, 9, 1, 2);
    assert_ok(inventory_add_fenced(&inv, &fenced, &err), &err);
    assert_error(inventory_add(&inv, 0, &third, &err), &err, ERR_LIMIT, "more than 3 objects");
    assert_ok(inventory_add(&inv, 0, &again, &err), &err);
    assert_true(inventory_remove_fenced(&inv, 0, 0, 1, 1));
    assert_ok(inventory_add(&inv, 0, &third, &err), &err);
}

static void test_the_named_maximum_can_be_reached(void **state UNUSED)
{
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;
    struct error err = ERROR_INIT;
    struct inventory_object one_more =
        object_of(INVENTORY_OBJECTS_MAX + 1, INVENTORY_OBJECTS_MAX + 1);

    for (uint64_t txid = 1; txid <= INVENTORY_OBJECTS_MAX; txid++)
        add_ok(&inv, 0, txid, txid);
    assert_error(inventory_add(&inv, 0, &one_more, &err), &err, ERR_LIMIT, "more than");
    assert_string_not_equal(err.hint, "");
}

static void test_fenced_objects_stand_by_writer_and_range(void **state UNUSED)
{
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;
    struct error err = ERROR_INIT;
    static const struct inventory_fenced rows[] = {
        {.epoch = 2, .owner = 1, .min_txid = 5, .max_txid = 6},
        {.epoch = 1, .owner = 9, .min_txid = 7, .max_txid = 7},
        {.epoch = 2, .owner = 1, .min_txid = 3, .max_txid = 4},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_ok(inventory_add_fenced(&inv, &rows[i], &err), &err);
    assert_ok(inventory_add_fenced(&inv, &rows[0], &err), &err);
    assert_int_equal(inv.fenced_count, 3);
    assert_int_equal(inv.fenced[0].epoch, 1);
    assert_int_equal(inv.fenced[1].min_txid, 3);
    assert_int_equal(inv.fenced[2].min_txid, 5);
    assert_true(inventory_remove_fenced(&inv, 1, 9, 7, 7));
    assert_false(inventory_remove_fenced(&inv, 1, 9, 7, 7));
    assert_int_equal(inv.fenced_count, 2);
    assert_int_equal(inv.fenced[0].min_txid, 3);
}

/* ---- loading ---- */

struct fixture {
    struct loop *loop;
    struct storage *st;
    char folder[256];
};

static int fixture_setup(void **state)
{
    struct error err = ERROR_INIT;
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    test_folder_make(f->folder);
    assert_ok(loop_new(env_real(), 2, &f->loop, &err), &err);
    assert_ok(storage_file_new(f->loop, env_real(), f->folder, &f->st, &err), &err);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    storage_free(f->st);
    loop_free(f->loop);
    test_folder_remove(f->folder);
    free(f);
    return 0;
}

static void put_ok(struct fixture *f, const char *key, const char *text)
{
    struct error err = ERROR_INIT;
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;

    assert_ok(blob_of_slice(env_real(), slice_of_str(text), &body, &err), &err);
    const struct storage_put args = {
        .key = key, .body = &body, .mode = STORAGE_PUT_CREATE, .timestamp_ns = 7 * NS_PER_SEC};
    assert_ok(storage_put_wait(f->st, &args, &err), &err);
}

static void test_loading_finds_every_level_layout_and_what_is_foreign(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;
    unsigned level = 42;

    put_ok(f, "ltx/0/0000000000000001-0000000000000001.ltx", "a");
    put_ok(f, "ltx/0/0000000000000002-0000000000000002.ltx", "ab");
    put_ok(f, "ltx/1/0000000000000001-0000000000000002.ltx", "abc");
    put_ok(f, "ltx/9/0000000000000001-0000000000000001.ltx", "abcd");
    put_ok(f, "0000/0000000000000003-0000000000000003.ltx", "abcde");
    put_ok(f, "fenced/00000002-0000000a/0000000000000003-0000000000000004.ltx", "abcdef");
    put_ok(f, "ltx/0/0000000000000004-0000000000000004.ltx.tmp", "litestream's temporary file");
    put_ok(f, ".walferry-probe/0123456789abcdef", "canary");
    put_ok(f, "generations/0123456789abcdef/wal/00000000_00000000.wal.lz4", "0.3");
    assert_ok(inventory_load_wait(f->st, &inv, true, &err), &err);
    assert_int_equal(inventory_object_count(&inv), 5);
    assert_int_equal(inv.level[0].object_count, 3);
    assert_int_equal(inv.level[1].object_count, 1);
    assert_int_equal(inv.level[9].object_count, 1);
    assert_int_equal(inv.fenced_count, 1);
    assert_int_equal(inv.fenced[0].owner, 10);
    assert_int_equal(inv.foreign_count, 3);
    assert_true(inv.has_generations);
    assert_true(inv.has_timestamps);
    assert_int_equal(inventory_tip(&inv, &level)->max_txid, 3);
    assert_int_equal(inventory_tip(&inv, &level)->layout, STORAGE_LAYOUT_HEX);
    assert_int_equal(inventory_find(&inv, 1, 1, 2)->bytes, 3);
    assert_int_equal(inventory_find(&inv, 1, 1, 2)->timestamp_ns, 7 * NS_PER_SEC);
}

static void test_loading_replaces_what_was_there(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;

    add_ok(&inv, 3, 1, 99);
    assert_ok(inventory_load_wait(f->st, &inv, false, &err), &err);
    assert_int_equal(inventory_object_count(&inv), 0);
    assert_false(inv.has_generations);
}

static void test_a_listing_that_fails_leaves_the_inventory_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(inventory_destroy) struct inventory inv = INVENTORY_INIT;

    put_ok(f, "ltx/0/0000000000000001-0000000000000001.ltx", "a");
    put_ok(f, "ltx/0/0000000000000002-0000000000000002.ltx", "a");
    add_ok(&inv, 3, 1, 99);
    inv.object_count_max = 1;
    assert_error(inventory_load_wait(f->st, &inv, false, &err), &err, ERR_LIMIT,
                 "more than 1 objects");
    assert_int_equal(inventory_object_count(&inv), 1);
    assert_int_equal(inventory_newest(&inv, 3)->max_txid, 99);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_objects_stand_in_order_however_they_come),
        TEST(test_the_newest_reaches_furthest_also_among_overlaps),
        TEST(test_the_tip_is_the_highest_of_the_lowest_level),
        TEST(test_adding_again_replaces_size_and_timestamp),
        TEST(test_both_layouts_of_a_range_are_kept_apart),
        TEST(test_what_is_removed_is_gone_and_the_rest_stays),
        TEST(test_a_lower_bound_is_where_a_walk_begins),
        TEST(test_the_limit_holds_over_all_levels_and_fenced),
        TEST(test_the_named_maximum_can_be_reached),
        TEST(test_fenced_objects_stand_by_writer_and_range),
        CASE(test_loading_finds_every_level_layout_and_what_is_foreign),
        CASE(test_loading_replaces_what_was_there),
        CASE(test_a_listing_that_fails_leaves_the_inventory_as_it_was),
    };
    return TEST_MAIN(tests);
}
