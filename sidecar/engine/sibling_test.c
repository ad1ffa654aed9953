/*
 * What the history in one destination says of a state that lies in another.
 */
#include "sidecar/engine/sibling.h"

#include "lib/storage/file/file.h"
#include "lib/testing/flaky_storage.h"
#include "lib/testing/replica.h"
#include "lib/testing/test.h"

enum {
    STATES = 40,
    OWNER = 0xCAFE, /* of test_replica */
};

struct stage {
    char folder[256];
    struct test_replica replica;
    struct loop *loop;
    struct storage *st;
    struct flaky flaky;
    struct inventory inv;
    bool is_done;
    struct error err;
    struct sibling_found found;
};

/* A history with raw objects from 30 on, compactions before, and a snapshot. */
static void stage_open(struct stage *s, bool has_ext)
{
    struct error err = ERROR_INIT;
    struct storage *inner;

    *s = (struct stage){.inv = INVENTORY_INIT, .replica.has_ext = has_ext};
    test_folder_make(s->folder);
    test_replica_open(&s->replica, s->folder, 1024);
    test_replica_live(&s->replica, STATES, 3);
    for (uint64_t t = 30; t <= STATES; t++)
        test_replica_write(&s->replica, 0, t, t);
    test_replica_write(&s->replica, 1, 1, 10);
    test_replica_write(&s->replica, 1, 11, 20);
    test_replica_write(&s->replica, 1, 21, 30);
    test_replica_write(&s->replica, 9, 1, 20);
    assert_ok(loop_new(env_real(), 2, &s->loop, &err), &err);
    assert_ok(storage_file_new(s->loop, env_real(), s->replica.root, &inner, &err), &err);
    s->st = flaky_storage_new(s->loop, inner, &s->flaky);
    assert_ok(inventory_load_wait(s->st, &s->inv, false, &err), &err);
}

static void stage_close(struct stage *s)
{
    storage_free(s->st);
    loop_run(s->loop);
    loop_free(s->loop);
    inventory_destroy(&s->inv);
    test_replica_close(&s->replica);
    test_folder_remove(s->folder);
}

static void search_on_done(void *arg, const struct sibling_found *found, const struct error *err)
{
    struct stage *s = arg;

    assert_false(s->is_done);
    s->is_done = true;
    s->found = *found;
    s->err = *err;
}

/* The tip of another destination that was left at the state of a TXID. */
static struct lineage_tip tip_at(const struct stage *s, uint64_t txid)
{
    const struct test_replica_state *state = &s->replica.states[txid];

    return (struct lineage_tip){
        .txid = 7, /* counted by another chain */
        .has_ext = true,
        .db_checksum = state->db_checksum,
        .owner = OWNER,
        .timestamp_ms = state->timestamp_ns / NS_PER_MS,
        .page_size = 1024,
        .page_count = state->page_count,
    };
}

static void search(struct stage *s, const struct lineage_tip *tip)
{
    struct error err = ERROR_INIT;
    struct sibling_search *search = NULL;

    s->is_done = false;
    s->flaky.started_total = 0;
    assert_ok(sibling_search_start(s->st, &s->inv, tip, search_on_done, s, &search, &err), &err);
    assert_false(s->is_done);
    assert_true(loop_run_until(s->loop, &s->is_done));
}

static bool is_boundary(uint64_t txid)
{
    return txid >= 30 || txid % 10 == 0;
}

static void test_every_state_is_found_as_equal_or_as_gone_through(void **state UNUSED)
{
    struct stage s;
    stage_open(&s, true);
    for (uint64_t t = 1; t <= STATES; t++) {
        const struct lineage_tip tip = tip_at(&s, t);
        search(&s, &tip);
        assert_int_equal(s.err.code, ERR_NONE);
        assert_int_equal(s.found.answer,
                         is_boundary(t) ? LINEAGE_SIBLING_EQUALS : LINEAGE_SIBLING_HOLDS);
        if (is_boundary(t))
            assert_int_equal(s.found.txid, t);
        assert_in_range(s.flaky.started_total, 1, 8);
    }
    stage_close(&s);
}

static void test_equal_state_is_found_although_its_timestamp_is_a_bit_later(void **state UNUSED)
{
    struct stage s;
    stage_open(&s, true);
    for (uint64_t t = 30; t <= STATES; t++) {
        struct lineage_tip tip = tip_at(&s, t);
        tip.timestamp_ms++;
        tip.owner++;
        search(&s, &tip);
        assert_int_equal(s.found.answer, LINEAGE_SIBLING_EQUALS);
        assert_int_equal(s.found.txid, t);
    }
    stage_close(&s);
}

static void test_what_may_be_a_fork_is_not_vouched_for(void **state UNUSED)
{
    struct stage s;
    stage_open(&s, true);
    const struct {
        const char *name;
        uint64_t txid;
        uint64_t later_ms;
        uint32_t owner_more;
        uint64_t checksum_xor;
    } rows[] = {
        {"written after all that the sibling has", STATES, 1, 0, 1},
        {"the sibling's newest moment, another state", STATES, 0, 0, 1},
        {"another owner in between", 25, 0, 1, 1},
        {"another owner at the end", STATES, 5, 1, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct lineage_tip tip = tip_at(&s, rows[i].txid);
        test_row(rows[i].name);
        tip.timestamp_ms += rows[i].later_ms;
        tip.owner += rows[i].owner_more;
        tip.db_checksum ^= rows[i].checksum_xor;
        search(&s, &tip);
        assert_int_equal(s.err.code, ERR_NONE);
        assert_int_equal(s.found.answer, LINEAGE_SIBLING_NONE);
    }
    stage_close(&s);
}

static void test_history_of_litestream_vouches_for_nobody(void **state UNUSED)
{
    struct stage s;
    stage_open(&s, false);
    const struct lineage_tip tip = tip_at(&s, 30);
    search(&s, &tip);
    assert_int_equal(s.err.code, ERR_NONE);
    assert_int_equal(s.found.answer, LINEAGE_SIBLING_NONE);
    stage_close(&s);
}

static void test_unreadable_or_foreign_boundary_is_an_error_and_no_answer(void **state UNUSED)
{
    struct stage s;
    char path[700];
    stage_open(&s, true);
    const struct lineage_tip tip = tip_at(&s, 25);

    flaky_set(&s.flaky, STORAGE_OP_GET, &(struct flaky_rule){.fault = FLAKY_FAIL});
    search(&s, &tip);
    assert_int_equal(s.err.code, ERR_UNAVAILABLE);
    flaky_set(&s.flaky, STORAGE_OP_GET, NULL);

    struct inventory_object wrong = *inventory_newest(&s.inv, 0);
    struct error err = ERROR_INIT;
    test_replica_path(&s.replica, 0, STATES, STATES, path);
    assert_true(inventory_remove(&s.inv, 0, STATES, STATES, wrong.layout));
    search(&s, &tip);
    assert_int_equal(s.err.code, ERR_NONE);
    assert_int_equal(s.found.answer, LINEAGE_SIBLING_HOLDS);

    size_t n = 0;
    uint8_t *other = test_file_read(path, &n);
    test_replica_path(&s.replica, 0, STATES - 1, STATES - 1, path);
    test_file_write(path, slice_of(other, n)); /* 40's bytes under 39's name */
    free(other);
    search(&s, &tip);
    assert_int_equal(s.err.code, ERR_CORRUPT);
    assert_ok(inventory_add(&s.inv, 0, &wrong, &err), &err);
    stage_close(&s);
}

static void test_search_in_an_empty_history_is_no_search(void **state UNUSED)
{
    struct stage s;
    struct error err = ERROR_INIT;
    struct sibling_search *none = NULL;
    struct inventory empty = INVENTORY_INIT;
    stage_open(&s, true);
    const struct lineage_tip tip = tip_at(&s, 25);
    assert_int_equal(sibling_search_start(s.st, &empty, &tip, search_on_done, &s, &none, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    stage_close(&s);
}

static void test_canceled_search_does_not_answer(void **state UNUSED)
{
    struct stage s;
    struct error err = ERROR_INIT;
    struct sibling_search *search = NULL;
    stage_open(&s, true);
    const struct lineage_tip tip = tip_at(&s, 25);
    assert_ok(sibling_search_start(s.st, &s.inv, &tip, search_on_done, &s, &search, &err), &err);
    sibling_search_cancel(search);
    loop_run(s.loop);
    assert_false(s.is_done);
    sibling_search_cancel(NULL);
    stage_close(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_every_state_is_found_as_equal_or_as_gone_through),
        TEST(test_equal_state_is_found_although_its_timestamp_is_a_bit_later),
        TEST(test_what_may_be_a_fork_is_not_vouched_for),
        TEST(test_history_of_litestream_vouches_for_nobody),
        TEST(test_unreadable_or_foreign_boundary_is_an_error_and_no_answer),
        TEST(test_search_in_an_empty_history_is_no_search),
        TEST(test_canceled_search_does_not_answer),
    };
    return TEST_MAIN(tests);
}
