/*
 * Which statuses are one and the same.
 */
#include "controller/replica/status_sum.h"

#include "lib/testing/test.h"

static uint64_t sum_of(const char *json)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;

    assert_ok(jsonval_parse(&doc, "status", slice_of_str(json), &err), &err);
    return status_sum(jsonval_get(jsonval_root(&doc), "status"));
}

static const char some[] = "{\"status\":{\"a\":1,\"b\":[{\"c\":\"x\",\"d\":true},\"y\"]}}";

static void test_order_does_not_count(void **state UNUSED)
{
    assert_true(sum_of(some) ==
                sum_of("{\"status\":{\"b\":[\"y\",{\"d\":true,\"c\":\"x\"}],\"a\":1}}"));
}

static void test_what_others_write_does_not_count(void **state UNUSED)
{
    assert_true(sum_of(some) == sum_of("{\"status\":{\"a\":1,\"restore\":{\"name\":\"r\"},"
                                       "\"b\":[{\"c\":\"x\",\"d\":true},\"y\"]}}"));
    assert_true(sum_of("{\"status\":{\"restore\":{\"name\":\"r\"}}}") == 0);
}

static void test_everything_else_counts(void **state UNUSED)
{
    static const char *const others[] = {
        "{\"status\":{\"a\":2,\"b\":[{\"c\":\"x\",\"d\":true},\"y\"]}}",
        "{\"status\":{\"a\":\"1\",\"b\":[{\"c\":\"x\",\"d\":true},\"y\"]}}",
        "{\"status\":{\"a\":1,\"b\":[{\"c\":\"x\",\"d\":false},\"y\"]}}",
        "{\"status\":{\"a\":1,\"b\":[{\"c\":\"y\",\"d\":true},\"x\"]}}",
        "{\"status\":{\"a\":1,\"b\":[{\"d\":true},{\"c\":\"x\"},\"y\"]}}",
        "{\"status\":{\"a\":1,\"b\":[{\"c\":\"x\",\"d\":true},\"y\",\"y\"]}}",
        "{\"status\":{\"a\":1,\"b\":[{\"c\":\"x\",\"d\":true},\"y\"],\"e\":[]}}",
        "{\"status\":{\"a\":1,\"b\":[{\"c\":\"x\",\"d\":true},\"y\"],\"e\":\"\"}}",
        "{\"status\":{\"a\":1}}",
        "{\"status\":{}}",
        "{}",
    };

    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        test_row(others[i]);
        assert_true(sum_of(some) != sum_of(others[i]));
        for (size_t k = 0; k < i && i < ARRAY_LEN(others) - 2; k++)
            assert_true(sum_of(others[k]) != sum_of(others[i]));
    }
    assert_true(sum_of("{}") == 0 && sum_of("{\"status\":{}}") == 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_order_does_not_count),
        TEST(test_what_others_write_does_not_count),
        TEST(test_everything_else_counts),
    };
    return TEST_MAIN(tests);
}
