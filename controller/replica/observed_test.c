/*
 * Answers of real sidecars (testdata/observed_fuzz, taken from walferry's /status), and bad ones.
 */
#include "controller/replica/observed.h"

#include <stdlib.h>
#include <string.h>

#include "lib/testing/test.h"

#define SEEDS "controller/replica/testdata/observed_fuzz/"

static void free_observed(void *pointer)
{
    free(*(struct observed **)pointer);
}

static void parse_file(const char *name, struct observed **out)
{
    struct error err = ERROR_INIT;
    size_t n = 0;
    CLEANUP(mem_free) uint8_t *text = test_file_read(name, &n);

    assert_ok(observed_parse(slice_of(text, n), out, &err), &err);
}

static void test_a_following_database_is_read(void **state UNUSED)
{
    CLEANUP(free_observed) struct observed *o = NULL;

    parse_file(SEEDS "following", &o);
    assert_int_equal(o->database_count, 1);
    const struct observed_database *db = &o->databases[0];
    assert_string_equal(db->path, "/data/app.db");
    assert_int_equal(db->state, OBSERVED_FOLLOWING);
    assert_string_equal(db->replicated_txid, "0000000000000001");
    assert_true(db->newest_restore_ns > 0);
    assert_true(db->stored_objects >= 2); /* of both destinations */
    assert_string_equal(db->error, "");
}

static void test_the_worst_destination_speaks_for_the_database(void **state UNUSED)
{
    CLEANUP(free_observed) struct observed *o = NULL;

    parse_file(SEEDS "refused", &o);
    assert_int_equal(o->databases[0].state, OBSERVED_REFUSED);
    assert_non_null(strstr(o->databases[0].error, "nothing proves"));
}

static void test_how_it_was_attached_is_no_error(void **state UNUSED)
{
    static const char text[] =
        "{\"databases\":[{\"name\":\"a\",\"path\":\"/a\",\"state\":\"following\",\"destinations\":["
        "{\"state\":\"following\",\"state_detail\":\"the page map fits the newest object\"}]}]}";
    CLEANUP(free_observed) struct observed *o = NULL;
    struct error err = ERROR_INIT;

    assert_ok(observed_parse(slice_of_str(text), &o, &err), &err);
    assert_string_equal(o->databases[0].error, "");
}

static void test_lag_is_that_of_the_slowest_destination(void **state UNUSED)
{
    static const char text[] =
        "{\"databases\":[{\"name\":\"a\",\"path\":\"/a\",\"state\":\"following\",\"destinations\":["
        "{\"state\":\"following\",\"lag\":{\"seconds\":0.5,\"bytes\":1}},"
        "{\"state\":\"fenced\",\"fenced_by\":{\"epoch\":7,\"owner\":\"0badcafe\"},"
        "\"lag\":{\"seconds\":90,\"bytes\":4096}}]}]}";
    CLEANUP(free_observed) struct observed *o = NULL;
    struct error err = ERROR_INIT;

    assert_ok(observed_parse(slice_of_str(text), &o, &err), &err);
    assert_int_equal(o->databases[0].lag_ns, 90 * NS_PER_SEC);
    assert_int_equal(o->databases[0].lag_bytes, 4096);
    assert_int_equal(o->databases[0].state, OBSERVED_FENCED);
    assert_string_equal(o->databases[0].fenced_by, "epoch 7, owner 0badcafe");
}

static void test_foreign_answers_are_errors_that_name_the_place(void **state UNUSED)
{
    static const struct {
        const char *name, *text, *error;
    } rows[] = {
        {"html", "<html>", "status"},
        {"no databases", "{}", "databases: expected an array"},
        {"no state", "{\"databases\":[{\"name\":\"a\",\"path\":\"/a\"}]}", "databases[0].state"},
        {"negative lag",
         "{\"databases\":[{\"path\":\"/a\",\"state\":\"following\",\"destinations\":[{\"state\":"
         "\"following\",\"lag\":{\"seconds\":-1}}]}]}",
         "lag.seconds: no number of seconds"},
        {"moment",
         "{\"databases\":[{\"path\":\"/a\",\"state\":\"following\",\"destinations\":[{\"state\":"
         "\"following\",\"last_success_at\":\"soon\"}]}]}",
         "last_success_at: \"soon\" is no moment"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct observed *o = NULL;
        struct error err = ERROR_INIT;
        test_row(rows[i].name);
        assert_error(observed_parse(slice_of_str(rows[i].text), &o, &err), &err, ERR_CORRUPT,
                     rows[i].error);
        assert_null(o);
    }
}

static void test_more_databases_than_a_resource_can_have_are_refused(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(1 << 16);
    struct observed *o = NULL;
    struct error err = ERROR_INIT;

    assert_ok(buf_append_str(&text, "{\"databases\":[", &err), &err);
    for (int i = 0; i <= OBSERVED_DATABASES_MAX; i++) {
        assert_ok(buf_printf(&text, &err, "%s{\"path\":\"/%d\",\"state\":\"following\"}",
                             i ? "," : "", i),
                  &err);
    }
    assert_ok(buf_append_str(&text, "]}", &err), &err);
    assert_error(observed_parse(buf_slice(&text), &o, &err), &err, ERR_LIMIT, "more than 16");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_following_database_is_read),
        TEST(test_the_worst_destination_speaks_for_the_database),
        TEST(test_how_it_was_attached_is_no_error),
        TEST(test_lag_is_that_of_the_slowest_destination),
        TEST(test_foreign_answers_are_errors_that_name_the_place),
        TEST(test_more_databases_than_a_resource_can_have_are_refused),
    };

    return TEST_MAIN(tests);
}
