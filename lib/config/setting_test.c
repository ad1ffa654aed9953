/*
 * Settings as tables: every row's text goes into its field and comes back out.
 */
#include <stdlib.h>

#include "lib/config/config_internal.h"
#include "lib/testing/test.h"

/* A text that each kind reads and writes back unchanged, within the range of every row. */
static const char *sample_of(const struct setting *s)
{
    switch (s->kind) {
    case SETTING_BOOL:
    case SETTING_TRISTATE:
        return "true";
    case SETTING_DURATION:
        return "1h30m";
    case SETTING_BYTES:
        return "6MiB";
    case SETTING_COUNT:
        return "17";
    case SETTING_OCTAL:
        return "0640";
    case SETTING_WORD:
        return s->words[1];
    case SETTING_RESERVE:
        return "2GiB,7%";
    case SETTING_TEXT:
    case SETTING_SECRET:
        return "some text";
    case SETTING_CALLBACK:
        return "https://host:8443";
    case SETTING_PATH:
        return "/some/path";
    case SETTING_PLACE:
    case SETTING_MOOT:
    case SETTING_REFUSED:
        break;
    }
    return NULL;
}

static void table_round_trip(struct setting_table table, void *base)
{
    static const struct setting_context context = {0};
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < table.count; i++) {
        CLEANUP(buf_destroy) struct buf out = BUF_INIT(1000);
        const struct setting *row = &table.rows[i];
        test_row(row->key);
        if (!setting_has_value(row)) {
            assert_true(row->kind == SETTING_PLACE || row->note);
            continue;
        }
        assert_ok(setting_set(row, base, sample_of(row), &context, &err), &err);
    }
    /* Written after all were read: two rows with one field would show here. */
    for (size_t i = 0; i < table.count; i++) {
        CLEANUP(buf_destroy) struct buf out = BUF_INIT(1000);
        const struct setting *row = &table.rows[i];
        test_row(row->key);
        if (!setting_has_value(row))
            continue;
        assert_ok(setting_format(row, base, &out, &err), &err);
        assert_string_equal(buf_str(&out), row->kind == SETTING_SECRET ? "***" : sample_of(row));
    }
    setting_table_destroy(table, base);
}

static void test_every_row_reads_and_writes_its_own_field(void **state UNUSED)
{
    struct config *c = calloc(1, sizeof(*c));
    struct config_db db = {0};
    struct config_replica replica = {0};

    assert_non_null(c);
    table_round_trip(config_global_table(), c);
    table_round_trip(config_db_table(), &db);
    table_round_trip(config_replica_table(), &replica);
    free(c);
}

static void test_rows_of_a_table_have_distinct_keys_and_fields(void **state UNUSED)
{
    const struct setting_table tables[] = {config_global_table(), config_db_table(),
                                           config_replica_table()};
    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct setting *a = &tables[t].rows[i];
            test_row(a->key);
            assert_ptr_equal(setting_find(tables[t], a->key), a);
            for (size_t j = 0; j < i; j++) {
                const struct setting *b = &tables[t].rows[j];
                assert_false(setting_has_value(a) && setting_has_value(b) &&
                             a->offset == b->offset);
            }
        }
    }
}

static void test_failed_reading_leaves_the_field_alone(void **state UNUSED)
{
    static const struct setting_context context = {0};
    static const struct {
        const char *key, *text;
    } rows[] = {
        {"part-size", "1MB"},         {"part-size", "6GiB"},  {"concurrency", "65"},
        {"sync-interval", "0"},       {"sync-interval", "x"}, {"force-path-style", "maybe"},
        {"require-fencing", "maybe"}, {"ca-file", "~bob/x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config_replica before = {0};
        struct config_replica after = {0};
        struct error err = ERROR_INIT;
        test_row(rows[i].text);
        assert_error(setting_set(setting_find(config_replica_table(), rows[i].key), &after,
                                 rows[i].text, &context, &err),
                     &err, ERR_USAGE, "");
        assert_memory_equal(&before, &after, sizeof(after));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_every_row_reads_and_writes_its_own_field),
        TEST(test_rows_of_a_table_have_distinct_keys_and_fields),
        TEST(test_failed_reading_leaves_the_field_alone),
    };
    return TEST_MAIN(tests);
}
