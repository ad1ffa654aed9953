/*
 * Transition times are carried, flips are seen, and what is written can be read again.
 */
#include "controller/replica/condition.h"

#include "lib/testing/test.h"

static void written(const struct condition_set *set, struct jsonval_doc *doc)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(1 << 16);
    struct error err = ERROR_INIT;
    struct json_writer w;

    json_writer_init(&w, &text, JSON_COMPACT);
    json_writer_object(&w, NULL);
    condition_set_write(set, 3, &w);
    json_writer_end(&w);
    assert_ok(json_writer_finish(&w, &err), &err);
    assert_ok(jsonval_parse(doc, "status", buf_slice(&text), &err), &err);
}

static void test_a_transition_time_stays_while_the_status_stays(void **state UNUSED)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct condition_set set = {0};
    struct condition_marks marks = {0};

    condition_put(&set, CONDITION_READY, CONDITION_FALSE, "Lagging", "Behind.");
    condition_put(&set, CONDITION_INJECTED, CONDITION_TRUE, "Injected", "All.");
    condition_set_carry(&set, &marks, 100 * NS_PER_SEC);
    written(&set, &doc);
    condition_marks_read(jsonval_get(jsonval_root(&doc), "conditions"), &marks);
    assert_false(condition_set_has_flipped(&set, &marks));

    condition_put(&set, CONDITION_READY, CONDITION_FALSE, "Unreachable", "Another reason.");
    condition_put(&set, CONDITION_INJECTED, CONDITION_FALSE, "PodsOutdated", "Not all.");
    assert_true(condition_set_has_flipped(&set, &marks));
    condition_set_carry(&set, &marks, 200 * NS_PER_SEC);
    assert_int_equal(marks.reason_sum[CONDITION_READY], condition_reason_sum("Lagging"));
    assert_int_not_equal(marks.reason_sum[CONDITION_READY], condition_reason_sum("Unreachable"));
    assert_int_equal(set.of[CONDITION_READY].since_ns, 100 * NS_PER_SEC);
    assert_int_equal(set.of[CONDITION_INJECTED].since_ns, 200 * NS_PER_SEC);
}

static void test_absent_conditions_are_not_written(void **state UNUSED)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct condition_set set = {0};
    struct error err = ERROR_INIT;
    const char *type = NULL;

    condition_put(&set, CONDITION_AVAILABLE, CONDITION_UNKNOWN, "NotProbed", "Not yet.");
    written(&set, &doc);
    struct jsonval conditions = jsonval_get(jsonval_root(&doc), "conditions");
    assert_int_equal(jsonval_count(conditions), 1);
    assert_ok(jsonval_str(jsonval_get(jsonval_first(conditions), "type"), &type, &err), &err);
    assert_string_equal(type, "Available");
}

static void test_a_condition_that_cannot_be_read_is_absent(void **state UNUSED)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct condition_marks marks;
    struct error err = ERROR_INIT;
    static const char text[] =
        "[{\"type\":\"Ready\"},{\"type\":7,\"status\":\"True\"},"
        "{\"type\":\"Injected\",\"status\":\"True\",\"lastTransitionTime\":\"yesterday\"},"
        "{\"type\":\"Of a newer version\",\"status\":\"True\","
        "\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}]";

    assert_ok(jsonval_parse(&doc, "conditions", slice_of_str(text), &err), &err);
    condition_marks_read(jsonval_root(&doc), &marks);
    for (size_t i = 0; i < CONDITION_TYPES; i++)
        assert_int_equal(marks.status[i], CONDITION_ABSENT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_transition_time_stays_while_the_status_stays),
        TEST(test_absent_conditions_are_not_written),
        TEST(test_a_condition_that_cannot_be_read_is_absent),
    };
    return TEST_MAIN(tests);
}
