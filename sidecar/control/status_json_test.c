/*
 * /status as its readers see it.
 */
#include "sidecar/control/status_json.h"

#include <string.h>

#include "lib/json/json.h"
#include "lib/testing/test.h"
#include "sidecar/control/status_scene.h"

enum {
    TEXT_BYTES_MAX = 16 << 20
};

static void write_and_parse(const struct status_process *s, struct buf *text,
                            struct jsonval_doc *doc)
{
    struct error err = ERROR_INIT;

    assert_ok(status_json_write(s, text, &err), &err);
    assert_ok(jsonval_parse(doc, "status", buf_slice(text), &err), &err);
}

static struct jsonval element(struct jsonval array, size_t idx)
{
    struct jsonval v = jsonval_first(array);

    for (; idx > 0; idx--)
        v = jsonval_next(v);
    return v;
}

static void assert_str(struct jsonval v, const char *wanted)
{
    struct error err = ERROR_INIT;
    const char *found = NULL;

    assert_ok(jsonval_str(v, &found, &err), &err);
    assert_string_equal(found, wanted);
}

static void assert_u64(struct jsonval v, uint64_t wanted)
{
    struct error err = ERROR_INIT;
    uint64_t found = 0;

    assert_ok(jsonval_u64(v, &found, &err), &err);
    assert_int_equal(found, wanted);
}

static void assert_f64(struct jsonval v, double wanted)
{
    struct error err = ERROR_INIT;
    double found = 0;

    assert_ok(jsonval_f64(v, &found, &err), &err);
    assert_true(found > wanted - 1e-9 && found < wanted + 1e-9);
}

static void test_a_destination_is_told_in_full(void **state UNUSED)
{
    struct status_scene scene;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    status_scene_make(&scene);
    write_and_parse(&scene.process, &text, &doc);
    struct jsonval db = element(jsonval_get(jsonval_root(&doc), "databases"), 0);
    struct jsonval d = element(jsonval_get(db, "destinations"), 0);
    assert_str(jsonval_get(d, "url"), "s3://bucket/app");
    assert_str(jsonval_get(d, "state"), "following");
    assert_str(jsonval_get(d, "fencing"), "atomic");
    assert_str(jsonval_get(d, "acknowledged_txid"), "000000000000000c");
    assert_str(jsonval_get(d, "local_txid"), "000000000000000d");
    assert_f64(jsonval_way(d, "lag.seconds"), 1.5);
    assert_u64(jsonval_way(d, "lag.bytes"), 8192);
    assert_u64(jsonval_way(d, "lag.commits"), 3);
    assert_str(jsonval_way(d, "restore_window.oldest"), "2026-11-20T09:37:05Z");
    assert_str(jsonval_way(d, "snapshot.txid"), "0000000000000001");
    assert_str(jsonval_get(d, "owner"), "0a1b2c3d");
    assert_u64(jsonval_get(d, "bytes"), 20480 + 65536);
    assert_int_equal(jsonval_count(jsonval_get(d, "levels")), 2);
    assert_u64(jsonval_get(element(jsonval_get(d, "levels"), 1), "level"), 9);
    assert_int_equal(jsonval_count(jsonval_get(d, "last_objects")), 2);
    assert_f64(jsonval_get(element(jsonval_get(d, "last_objects"), 0), "seconds"), 0.03);
    assert_u64(jsonval_way(d, "requests.PUT.total"), 13);
    assert_true(jsonval_is_null(jsonval_get(d, "error")));
    assert_true(jsonval_is_null(jsonval_get(d, "fenced_by")));
}

static void test_a_fault_is_told_with_its_hint(void **state UNUSED)
{
    struct status_scene scene;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    status_scene_make(&scene);
    scene.destinations[1].state = STATUS_DESTINATION_FENCED;
    scene.destinations[1].fenced_by_epoch = 2;
    scene.destinations[1].fenced_by_owner = 0xff;
    scene.destinations[1].rotten_pages_total = 3;
    scene.destinations[1].rotten_pgno = 10;
    scene.destinations[1].merges_total = 2;
    write_and_parse(&scene.process, &text, &doc);
    struct jsonval db = element(jsonval_get(jsonval_root(&doc), "databases"), 0);
    struct jsonval d = element(jsonval_get(db, "destinations"), 1);
    assert_str(jsonval_way(d, "error.text"), "PUT ltx/0/x: no space left on device");
    assert_str(jsonval_way(d, "error.hint"), "make room below /backup");
    assert_u64(jsonval_way(d, "error.streak"), 7);
    assert_str(jsonval_way(d, "fenced_by.owner"), "000000ff");
    assert_u64(jsonval_way(d, "rotten.pages_total"), 3);
    assert_u64(jsonval_way(d, "rotten.last_page"), 10);
    assert_u64(jsonval_way(d, "rotten.merges_total"), 2);
    assert_str(jsonval_get(d, "fencing"), "unknown");
}

static void test_what_is_not_known_is_null(void **state UNUSED)
{
    static const char *const keys[] = {"acknowledged_txid", "last_success_at", "restore_window",
                                       "snapshot",          "state_detail",    "rotten"};
    struct status_scene scene;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    status_scene_make(&scene);
    write_and_parse(&scene.process, &text, &doc);
    struct jsonval db = element(jsonval_get(jsonval_root(&doc), "databases"), 1);
    struct jsonval d = element(jsonval_get(db, "destinations"), 0);
    assert_str(jsonval_get(db, "state"), "not_wal");
    assert_str(jsonval_get(db, "state_detail"), "journal_mode is delete");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        test_row(keys[i]);
        assert_true(jsonval_exists(jsonval_get(d, keys[i])));
        assert_true(jsonval_is_null(jsonval_get(d, keys[i])));
    }
}

static void test_hostile_texts_stay_texts(void **state UNUSED)
{
    struct status_scene scene;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    status_scene_make(&scene);
    scene.dbs[0].path = "/a\"b\\c\n\x01\xff</script>";
    write_and_parse(&scene.process, &text, &doc);
    struct jsonval db = element(jsonval_get(jsonval_root(&doc), "databases"), 0);
    assert_str(jsonval_get(db, "path"), "/a\"b\\c\n\x01\xef\xbf\xbd</script>");
}

static void test_an_empty_process_is_a_document(void **state UNUSED)
{
    struct status_process s = {.pid = 1};
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    write_and_parse(&s, &text, &doc);
    assert_u64(jsonval_get(jsonval_root(&doc), "schema"), 1);
    assert_int_equal(jsonval_count(jsonval_get(jsonval_root(&doc), "databases")), 0);
}

static void test_a_full_buffer_is_an_error(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct status_scene scene;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(500);

    status_scene_make(&scene);
    assert_error(status_json_write(&scene.process, &text, &err), &err, ERR_LIMIT, "status");
}

static void test_every_state_has_a_word(void **state UNUSED)
{
    for (unsigned i = 0; i < STATUS_DB_STATES; i++)
        assert_non_null(status_db_state_name((enum status_db_state)i));
    for (unsigned i = 0; i < STATUS_DESTINATION_STATES; i++)
        assert_non_null(status_destination_state_name((enum status_destination_state)i));
    for (unsigned i = 0; i < STATUS_CHECKPOINT_MODES; i++)
        assert_non_null(status_checkpoint_mode_name((enum status_checkpoint_mode)i));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_destination_is_told_in_full),  TEST(test_a_fault_is_told_with_its_hint),
        TEST(test_what_is_not_known_is_null),      TEST(test_hostile_texts_stay_texts),
        TEST(test_an_empty_process_is_a_document), TEST(test_a_full_buffer_is_an_error),
        TEST(test_every_state_has_a_word),
    };
    return TEST_MAIN(tests);
}
