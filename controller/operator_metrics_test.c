/*
 * The operator's table of metrics: it keeps the rules, and the documentation has every row of it.
 */
#include "controller/operator_metrics.h"

#include <string.h>

#include "lib/testing/test.h"

static void test_every_family_of_ours_keeps_the_rules(void **state UNUSED)
{
    for (size_t i = 0; i < operator_family_count; i++) {
        struct error err = ERROR_INIT;
        if (strncmp(operator_families[i].name, "walferry_", strlen("walferry_")) != 0)
            continue; /* names of Kubernetes' own controllers */
        test_row(operator_families[i].name);
        assert_ok(metrics_family_check(&operator_families[i], &err), &err);
    }
}

static void test_the_documentation_has_every_family(void **state UNUSED)
{
    size_t n = 0;
    CLEANUP(mem_free) uint8_t *bytes = test_file_read("docs/metrics.md", &n);
    CLEANUP(buf_destroy) struct buf document = BUF_INIT(1 << 20);
    struct error err = ERROR_INIT;

    assert_ok(buf_append(&document, bytes, n, &err), &err);
    for (size_t i = 0; i < operator_family_count; i++) {
        CLEANUP(buf_destroy) struct buf row = BUF_INIT(4096);
        assert_ok(metrics_table_row(&row, &operator_families[i], &err), &err);
        if (!strstr(buf_str(&document), buf_str(&row)))
            fail_msg("docs/metrics.md lacks: %s", buf_str(&row));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_every_family_of_ours_keeps_the_rules),
        TEST(test_the_documentation_has_every_family),
    };
    return TEST_MAIN(tests);
}
