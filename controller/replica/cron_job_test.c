/*
 * What a CronJob of the API server tells of who wrote it last.
 */
#include "controller/replica/cron_job.h"

#include "lib/testing/test.h"

#define MARK(text) "\"annotations\":{\"walferry.dev/spec-hash\":\"" text "\"}"
#define OWNER(manager, fields)                                                                     \
    "\"managedFields\":[{\"manager\":\"" manager "\",\"fieldsV1\":{\"" fields "\":{}}}]"

static const struct mark_row {
    const char *name;
    const char *metadata;
    uint64_t sum;
} mark_rows[] = {
    {"as written", "\"generation\":3," MARK("00000000000000ab-3"), 0xab},
    {"spec changed by whomever", "\"generation\":4," MARK("00000000000000ab-3"), 0},
    {"no generation is told", MARK("00000000000000ab-3"), 0xab},
    {"no mark", "\"generation\":3", 0},
    {"a mark without a generation", "\"generation\":3," MARK("00000000000000ab"), 0},
    {"a mark with more behind it", "\"generation\":3," MARK("00000000000000ab-33"), 0},
    {"no hexadecimal digits", "\"generation\":3," MARK("xyz-3"), 0},
    {"a generation that is no number", "\"generation\":\"x\"," MARK("00000000000000ab-3"), 0xab},
    {"ours",
     "\"generation\":3," MARK("00000000000000ab-3") "," OWNER("walferry-controller", "f:spec"),
     0xab},
    {"a status of somebody else's",
     "\"generation\":3," MARK("00000000000000ab-3") "," OWNER("kube-controller-manager",
                                                              "f:status"),
     0xab},
    {"a spec of somebody else's",
     "\"generation\":3," MARK("00000000000000ab-3") "," OWNER("kubectl-edit", "f:spec"), 0},
};

static void test_a_mark_holds_for_its_generation_only(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(mark_rows); i++) {
        const struct mark_row *row = &mark_rows[i];
        CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
        CLEANUP(buf_destroy) struct buf json = BUF_INIT(1024);
        struct error err = ERROR_INIT;
        test_row(row->name);
        assert_ok(buf_printf(&json, &err, "{\"metadata\":{%s}}", row->metadata), &err);
        assert_ok(jsonval_parse(&doc, "cron job", buf_slice(&json), &err), &err);
        assert_int_equal(cron_job_sum_read(jsonval_root(&doc)), row->sum);
    }
}

static void test_a_mark_that_is_written_is_read(void **state UNUSED)
{
    char mark[CRON_JOB_MARK_BYTES];
    uint64_t sum = cron_job_sum(slice_of_str("{}"));

    assert_string_equal(cron_job_mark(0xab, 3, mark), "00000000000000ab-3");
    assert_int_not_equal(sum, 0);
    assert_int_equal(strlen(cron_job_mark(UINT64_MAX, UINT64_MAX, mark)), CRON_JOB_MARK_BYTES - 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_mark_holds_for_its_generation_only),
        TEST(test_a_mark_that_is_written_is_read),
    };
    return TEST_MAIN(tests);
}
