/*
 * Covering a range of TXIDs: the plan, the pages, the objects, and what can go wrong on the way.
 */
#include "sidecar/engine/cover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/ltx/reader.h"
#include "lib/storage/file/file.h"
#include "lib/testing/flaky_storage.h"
#include "lib/testing/replica.h"
#include "lib/testing/test.h"

struct stage {
    char folder[256];
    struct test_replica replica;
    struct loop *loop;
    struct storage *st;
    struct flaky flaky;
    struct inventory inv;
    bool is_done;
    struct error err;
    struct page_set pages;
    struct blob *blobs;
    size_t blob_count;
};

static void stage_open(struct stage *s)
{
    struct error err = ERROR_INIT;

    *s = (struct stage){.flaky = FLAKY_INIT, .inv = INVENTORY_INIT, .replica.has_ext = true};
    test_folder_make(s->folder);
    test_replica_open(&s->replica, s->folder, 1024);
    test_replica_live(&s->replica, 30, 7);
    assert_ok(loop_new(env_real(), 2, &s->loop, &err), &err);
}

/* After the objects were written. */
static void stage_list(struct stage *s)
{
    struct error err = ERROR_INIT;
    struct storage *inner;

    assert_ok(storage_file_new(s->loop, env_real(), s->replica.root, &inner, &err), &err);
    s->st = flaky_storage_new(s->loop, inner, &s->flaky);
    assert_ok(inventory_load_wait(s->st, &s->inv, true, &err), &err);
    s->flaky.started_total = 0;
}

static void fetched_drop(struct stage *s)
{
    page_set_destroy(&s->pages);
    for (size_t i = 0; i < s->blob_count; i++)
        blob_destroy(&s->blobs[i]);
    free(s->blobs);
    s->blobs = NULL;
    s->blob_count = 0;
}

static void stage_close(struct stage *s)
{
    fetched_drop(s);
    storage_free(s->st);
    loop_run(s->loop);
    loop_free(s->loop);
    inventory_destroy(&s->inv);
    test_replica_close(&s->replica);
    test_folder_remove(s->folder);
}

static void cover_on_done(void *arg, struct cover_result *result, const struct error *err)
{
    struct stage *s = arg;

    assert_false(s->is_done);
    s->err = *err;
    s->is_done = true;
    if (err->code != ERR_NONE)
        return;
    s->pages = page_set_take(&result->pages);
    s->blobs = TAKE(result->blobs);
    s->blob_count = result->blob_count;
    result->blob_count = 0;
}

static int cover_begin(struct stage *s, enum cover_kind kind, uint64_t after, uint64_t to,
                       struct cover **out, struct error *err)
{
    const struct cover_args args = {
        .storage = s->st,
        .inventory = &s->inv,
        .after_txid = after,
        .to_txid = to,
        .kind = kind,
        .env = env_real(),
        .work_folder = s->folder,
    };
    s->is_done = false;
    return cover_start(&args, cover_on_done, s, out, err);
}

static void cover_fetch(struct stage *s, enum cover_kind kind, uint64_t after, uint64_t to)
{
    struct error err = ERROR_INIT;
    struct cover *cover = NULL;

    fetched_drop(s);
    assert_ok(cover_begin(s, kind, after, to, &cover, &err), &err);
    assert_false(s->is_done);
    assert_true(loop_run_until(s->loop, &s->is_done));
}

/* The set has every page that a state in (after, to] wrote, and none beyond what objects hold. */
static void assert_pages(struct stage *s, uint64_t after, uint64_t to, bool is_exact)
{
    uint32_t last = 0;

    for (uint64_t t = 1; t <= s->replica.txid; t++) {
        if (s->replica.states[t].page_count > last)
            last = s->replica.states[t].page_count;
    }
    for (uint32_t pgno = 1; pgno <= last; pgno++) {
        bool is_changed = false;
        for (uint64_t t = after + 1; t <= to; t++) {
            is_changed |=
                pgno <= s->replica.states[t].page_count && s->replica.states[t].is_changed[pgno];
        }
        /* What a compaction spans may have shrunk away in between. */
        if (is_exact || (is_changed && pgno <= s->replica.states[to].page_count))
            assert_int_equal(page_set_has(&s->pages, pgno), is_changed);
    }
}

static void test_cover_of_raw_objects_has_exactly_the_pages_of_the_range(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    for (uint64_t t = 1; t <= s.replica.txid; t++)
        test_replica_write(&s.replica, 0, t, t);
    stage_list(&s);

    for (uint64_t after = 1; after < s.replica.txid; after += 5) {
        cover_fetch(&s, COVER_PAGES, after, s.replica.txid);
        assert_int_equal(s.err.code, ERR_NONE);
        assert_pages(&s, after, s.replica.txid, true);
        cover_fetch(&s, COVER_PAGES, after, after + 1);
        assert_pages(&s, after, after + 1, true);
    }
    stage_close(&s);
}

static void test_cover_prefers_what_reaches_furthest(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    for (uint64_t t = 1; t <= 30; t++)
        test_replica_write(&s.replica, 0, t, t);
    test_replica_write(&s.replica, 1, 2, 11);
    test_replica_write(&s.replica, 1, 12, 20);
    test_replica_write(&s.replica, 2, 2, 20);
    test_replica_write(&s.replica, 9, 1, 25);
    stage_list(&s);

    cover_fetch(&s, COVER_PAGES, 11, 20);
    assert_pages(&s, 11, 20, false);
    assert_int_equal(s.flaky.started_total, 1); /* L2 begins before the range: that does no harm */
    s.flaky.started_total = 0;
    cover_fetch(&s, COVER_PAGES, 5, 22);
    assert_pages(&s, 5, 22, false);
    assert_int_equal(s.flaky.started_total,
                     3); /* L2 to 20, L0 21 and 22; the snapshot goes beyond */
    stage_close(&s);
}

/* As a merge asks: a few at a time, and no more bytes than there is space for. */
static void test_cover_from_the_beginning_takes_a_snapshot_and_can_be_cut(void **state UNUSED)
{
    struct stage s;
    struct error err = ERROR_INIT;
    struct cover *cover = NULL;
    stage_open(&s);
    for (uint64_t t = 1; t <= 30; t++)
        test_replica_write(&s.replica, 0, t, t);
    test_replica_write(&s.replica, 9, 1, 20);
    stage_list(&s);
    struct cover_args args = {
        .storage = s.st,
        .inventory = &s.inv,
        .to_txid = 30,
        .kind = COVER_OBJECTS,
        .object_count_max = 4,
        .bytes_max = UINT64_MAX,
        .memory_bytes_max = 100,
        .env = env_real(),
        .work_folder = s.folder,
    };
    s.is_done = false;
    assert_ok(cover_start(&args, cover_on_done, &s, &cover, &err), &err);
    assert_true(loop_run_until(s.loop, &s.is_done));
    assert_int_equal(s.err.code, ERR_NONE);
    assert_int_equal(s.blob_count, 4); /* the snapshot, and 21 to 23 */
    assert_true(s.blobs[0].fd >= 0);   /* not in memory */

    args.bytes_max = s.blobs[0].bytes + 10;
    assert_int_equal(cover_start(&args, cover_on_done, &s, &cover, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    stage_close(&s);
}

static void test_cover_of_objects_hands_over_the_objects_in_order(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    for (uint64_t t = 1; t <= 30; t++)
        test_replica_write(&s.replica, 0, t, t);
    test_replica_write(&s.replica, 1, 4, 8);
    stage_list(&s);

    cover_fetch(&s, COVER_OBJECTS, 3, 10);
    assert_int_equal(s.err.code, ERR_NONE);
    static const uint64_t ends[] = {8, 9, 10};
    assert_int_equal(s.blob_count, ARRAY_LEN(ends));
    for (size_t i = 0; i < s.blob_count; i++) {
        struct error err = ERROR_INIT;
        CLEANUP(ltx_reader_close) struct ltx_reader r = {.blob = NULL};
        const struct ltx_reader_args args = {.blob = &s.blobs[i]};
        uint32_t pgno;
        struct slice page;
        int rc;
        assert_ok(ltx_reader_open(&r, &args, &err), &err);
        assert_int_equal(ltx_reader_header(&r)->max_txid, ends[i]);
        while ((rc = ltx_reader_next(&r, &pgno, &page, &err)) > 0) {
        }
        assert_ok(rc, &err);
    }
    stage_close(&s);
}

static void test_cover_refuses_holes_and_empty_ranges_at_once(void **state UNUSED)
{
    struct stage s;
    struct error err = ERROR_INIT;
    struct cover *cover = NULL;
    stage_open(&s);
    for (uint64_t t = 1; t <= 20; t++) {
        if (t != 12)
            test_replica_write(&s.replica, 0, t, t);
    }
    stage_list(&s);

    assert_error(cover_begin(&s, COVER_PAGES, 5, 20, &cover, &err), &err, ERR_GAP,
                 "no object follows TXID 000000000000000b");
    assert_error(cover_begin(&s, COVER_PAGES, 15, 25, &cover, &err), &err, ERR_GAP,
                 "no object follows TXID 0000000000000014");
    assert_error(cover_begin(&s, COVER_PAGES, 15, 15, &cover, &err), &err, ERR_GAP, "empty range");
    assert_false(s.is_done);
    assert_int_equal(s.flaky.started_total, 0);
    stage_close(&s);
}

static void test_cover_refuses_more_objects_than_its_maximum(void **state UNUSED)
{
    struct stage s;
    struct error err = ERROR_INIT;
    struct cover *cover = NULL;
    stage_open(&s);
    stage_list(&s);
    for (uint64_t t = 1; t <= COVER_OBJECTS_MAX + 2; t++) {
        const struct inventory_object o = {
            .min_txid = t, .max_txid = t, .bytes = 200, .layout = STORAGE_LAYOUT_LTX};
        assert_ok(inventory_add(&s.inv, 0, &o, &err), &err);
    }
    assert_error(cover_begin(&s, COVER_PAGES, 1, COVER_OBJECTS_MAX + 2, &cover, &err), &err,
                 ERR_LIMIT, "more than 4096 objects");
    s.inv.level[0].object[1].bytes = (uint64_t)COVER_BODY_BYTES_MAX + 1;
    assert_error(cover_begin(&s, COVER_OBJECTS, 1, 2, &cover, &err), &err, ERR_LIMIT,
                 "more than 268435456");
    stage_close(&s);
}

static void test_cover_names_the_object_that_failed(void **state UNUSED)
{
    struct stage s;
    char path[700];
    stage_open(&s);
    for (uint64_t t = 1; t <= 10; t++)
        test_replica_write(&s.replica, 0, t, t);
    stage_list(&s);

    flaky_set(&s.flaky, STORAGE_OP_GET,
              &(struct flaky_rule){.fault = FLAKY_FAIL, .pass_count = 3, .times = 1});
    cover_fetch(&s, COVER_PAGES, 2, 10);
    assert_int_equal(s.err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(s.err.text, "ltx/0/0000000000000006-0000000000000006.ltx"));

    flaky_set(&s.flaky, STORAGE_OP_GET,
              &(struct flaky_rule){.fault = FLAKY_FAIL, .pass_count = 1, .times = 1});
    cover_fetch(&s, COVER_OBJECTS, 2, 10);
    assert_int_equal(s.err.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(s.err.text, "ltx/0/0000000000000004-0000000000000004.ltx"));

    test_replica_path(&s.replica, 0, 7, 7, path);
    assert_int_equal(unlink(path), 0);
    cover_fetch(&s, COVER_PAGES, 2, 10);
    assert_int_equal(s.err.code, ERR_NOT_FOUND);

    size_t n;
    test_replica_path(&s.replica, 0, 5, 5, path);
    uint8_t *bytes = test_file_read(path, &n);
    bytes[n - 20] ^= 0xff; /* in the length of the index */
    test_file_write(path, slice_of(bytes, n));
    free(bytes);
    cover_fetch(&s, COVER_PAGES, 2, 6);
    assert_int_equal(s.err.code, ERR_CORRUPT);
    assert_non_null(strstr(s.err.text, "0000000000000005"));
    stage_close(&s);
}

static void test_canceled_cover_does_not_call_back(void **state UNUSED)
{
    struct stage s;
    struct error err = ERROR_INIT;
    struct cover *cover = NULL;
    stage_open(&s);
    for (uint64_t t = 1; t <= 10; t++)
        test_replica_write(&s.replica, 0, t, t);
    stage_list(&s);

    flaky_set(&s.flaky, STORAGE_OP_GET, &(struct flaky_rule){.fault = FLAKY_HOLD});
    for (unsigned kind = COVER_PAGES; kind <= COVER_OBJECTS; kind++) {
        assert_ok(cover_begin(&s, (enum cover_kind)kind, 2, 10, &cover, &err), &err);
        cover_cancel(cover);
        while (s.flaky.ops)
            (void)uv_run(loop_uv(s.loop), UV_RUN_ONCE);
        assert_false(s.is_done);
    }
    cover_cancel(NULL);
    stage_close(&s);
}

/* An index that is larger than the first guess of its size takes two requests. */
static void test_cover_reads_a_large_index_in_two_steps(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    (void)test_replica_commit(&s.replica, "CREATE TABLE big(body BLOB)");
    uint64_t big = test_replica_commit(
        &s.replica, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 9000)"
                    " INSERT INTO big SELECT randomblob(900) FROM c");
    test_replica_write(&s.replica, 0, big, big);
    stage_list(&s);

    cover_fetch(&s, COVER_PAGES, big - 1, big);
    assert_ok(s.err.code == ERR_NONE ? 0 : -1, &s.err);
    assert_int_equal(s.flaky.started_total, 2);
    assert_true(s.pages.page_count > 8000);
    assert_pages(&s, big - 1, big, true);
    stage_close(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_cover_of_raw_objects_has_exactly_the_pages_of_the_range),
        TEST(test_cover_prefers_what_reaches_furthest),
        TEST(test_cover_from_the_beginning_takes_a_snapshot_and_can_be_cut),
        TEST(test_cover_of_objects_hands_over_the_objects_in_order),
        TEST(test_cover_refuses_holes_and_empty_ranges_at_once),
        TEST(test_cover_refuses_more_objects_than_its_maximum),
        TEST(test_cover_names_the_object_that_failed),
        TEST(test_canceled_cover_does_not_call_back),
        TEST(test_cover_reads_a_large_index_in_two_steps),
    };
    return TEST_MAIN(tests);
}
