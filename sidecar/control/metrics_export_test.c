/*
 * /metrics: the table keeps the rules, the text is what Prometheus reads, the documentation agrees.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/testing/server.h"
#include "lib/testing/test.h"
#include "sidecar/control/control_internal.h"
#include "sidecar/control/metrics_table.h"
#include "sidecar/control/status_scene.h"

enum {
    TEXT_BYTES_MAX = 16 << 20
};

static const char document_path[] = "docs/metrics.md";
static const char begin_mark[] = "<!-- metrics: made from the table by metrics_export_test -->\n";
static const char end_mark[] = "<!-- end of metrics -->\n";

static void export_text(const struct status_process *s, enum metrics_format format,
                        bool has_litestream_names, struct buf *out)
{
    struct error err = ERROR_INIT;

    assert_ok(metrics_export(s, format, has_litestream_names, out, &err), &err);
}

static void assert_line(const struct buf *text, const char *line)
{
    CLEANUP(buf_destroy) struct buf wanted = BUF_INIT(4096);
    struct error err = ERROR_INIT;

    assert_ok(buf_printf(&wanted, &err, "\n%s\n", line), &err);
    test_row(line);
    assert_non_null(strstr(buf_str(text), buf_str(&wanted)));
}

static void test_every_family_keeps_the_rules(void **state UNUSED)
{
    for (size_t i = 0; i < metrics_row_count; i++) {
        struct error err = ERROR_INIT;
        assert_ok(metrics_family_check(&metrics_rows[i].family, &err), &err);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(metrics_rows[i].family.name, metrics_rows[j].family.name);
    }
}

static void test_labels_fit_what_is_walked(void **state UNUSED)
{
    static const size_t label_counts[] = {
        [METRICS_SCOPE_PROCESS] = 0,     [METRICS_SCOPE_DB] = 1,    [METRICS_SCOPE_MODE] = 2,
        [METRICS_SCOPE_DESTINATION] = 2, [METRICS_SCOPE_LEVEL] = 3, [METRICS_SCOPE_OPERATION] = 3,
    };
    for (size_t i = 0; i < metrics_row_count; i++) {
        const struct metrics_row *row = &metrics_rows[i];
        size_t count = 0;
        test_row(row->family.name);
        while (count < METRICS_LABELS_MAX && row->family.labels[count])
            count++;
        if (row->scope == METRICS_SCOPE_OWN)
            assert_non_null(row->own);
        else
            assert_int_equal(count, label_counts[row->scope]);
    }
}

static void test_the_state_is_told(void **state UNUSED)
{
    static const char *const lines[] = {
        "# TYPE walferry_replication_lag_seconds gauge",
        "walferry_replication_lag_seconds{db=\"app\",destination=\"s3\"} 1.5",
        "walferry_replication_lag_seconds{db=\"app\",destination=\"file\"} 7200",
        "walferry_replication_lag_bytes{db=\"app\",destination=\"s3\"} 8192",
        "walferry_acknowledged_txid{db=\"app\",destination=\"s3\"} 12",
        "walferry_last_success_timestamp_seconds{db=\"app\",destination=\"s3\"} 1795253824",
        "walferry_destination_state{db=\"app\",destination=\"file\",state=\"backoff\"} 1",
        "walferry_database_state{db=\"new\",state=\"not_wal\"} 1",
        "walferry_objects{db=\"app\",destination=\"s3\",level=\"9\"} 1",
        "walferry_requests_total{db=\"app\",destination=\"s3\",operation=\"PUT\"} 13",
        "walferry_request_errors_total{db=\"app\",destination=\"file\",operation=\"PUT\"} 8",
        "walferry_checkpoints_total{db=\"app\",mode=\"passive\"} 4",
        "walferry_checkpoint_max_seconds{db=\"app\",mode=\"seal\"} 0.0003",
        "walferry_upload_duration_seconds_bucket{db=\"app\",destination=\"s3\",le=\"0.05\"} 1",
        "walferry_upload_duration_seconds_bucket{db=\"app\",destination=\"s3\",le=\"+Inf\"} 2",
        "walferry_upload_duration_seconds_sum{db=\"app\",destination=\"s3\"} 90.03",
        "walferry_upload_duration_seconds_count{db=\"app\",destination=\"s3\"} 2",
        ("walferry_build_info{version=\"1.2.3\",commit=\"0123456789ab\",sqlite_version=\"3.40.1\","
         "wal_reset_bug=\"affected\"} 1"),
        "walferry_destination_fencing{db=\"app\",destination=\"s3\"} 1",
        "process_start_time_seconds 1795250225",
    };
    struct status_scene scene;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);

    status_scene_make(&scene);
    export_text(&scene.process, METRICS_PROMETHEUS, false, &text);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_line(&text, lines[i]);
}

static void test_what_never_happened_has_no_moment(void **state UNUSED)
{
    struct status_scene scene;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);

    status_scene_make(&scene);
    export_text(&scene.process, METRICS_PROMETHEUS, false, &text);
    assert_null(strstr(buf_str(&text), "walferry_snapshot_timestamp_seconds{db=\"new\""));
    assert_null(strstr(buf_str(&text), "walferry_destination_fencing{db=\"new\""));
    assert_null(strstr(buf_str(&text), "litestream_"));
}

static void test_litestream_names_are_there_when_asked_for(void **state UNUSED)
{
    static const char *const lines[] = {
        "litestream_db_size{db=\"/data/app.db\"} 81920",
        "litestream_txid{db=\"/data/app.db\"} 13",
        "litestream_sync_count{db=\"/data/app.db\"} 12",
        "litestream_sync_error_count{db=\"/data/app.db\"} 8",
        "litestream_sync_seconds{db=\"/data/app.db\"} 12.5",
        "litestream_disk_full{db=\"/data/new.db\"} 0",
        "litestream_checkpoint_count{db=\"/data/app.db\",mode=\"PASSIVE\"} 4",
        "litestream_checkpoint_seconds{db=\"/data/app.db\",mode=\"PASSIVE\"} 0.04",
        "litestream_replica_operation_total{replica_type=\"s3\",operation=\"LIST\"} 3",
        "litestream_replica_operation_bytes{replica_type=\"file\",operation=\"PUT\"} 900",
    };
    struct status_scene scene;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);

    status_scene_make(&scene);
    export_text(&scene.process, METRICS_PROMETHEUS, true, &text);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_line(&text, lines[i]);
}

/* Runs promtool on the text. False, and a skip, if it is not installed. */
static char *promtool_check(const struct buf *text, int wanted_status)
{
    char folder[256], path[300], log[300], command[700];

    if (access("/usr/bin/promtool", X_OK) != 0 && access("/usr/local/bin/promtool", X_OK) != 0)
        test_skip("promtool is not installed (Debian package prometheus)");
    test_folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/metrics", folder);
    (void)snprintf(log, sizeof(log), "%s/log", folder);
    test_file_write(path, buf_slice(text));
    (void)snprintf(command, sizeof(command), "promtool check metrics < %s", path);
    const char *const argv[] = {"sh", "-c", command, NULL};
    char *output = test_process_run(argv, NULL, log, 60 * NS_PER_SEC, wanted_status);
    test_folder_remove(folder);
    return output;
}

static void test_promtool_has_nothing_to_say(void **state UNUSED)
{
    struct status_scene scene;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);

    status_scene_make(&scene);
    export_text(&scene.process, METRICS_PROMETHEUS, false, &text);
    CLEANUP(mem_free) char *output = promtool_check(&text, 0);
    assert_string_equal(output, "");
}

static void test_promtool_has_nothing_to_say_of_hostile_names(void **state UNUSED)
{
    struct status_scene scene;
    char long_name[8000];
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);

    status_scene_make(&scene);
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    scene.dbs[0].name = "\"} 1\nevil{x=\"\\\xff\xc0\xaf\xed\xa0\x80\t\x01";
    scene.dbs[1].name = long_name;
    scene.destinations[0].name = "\xf0\x9f\x90\xb3 \xe2\x82";
    export_text(&scene.process, METRICS_PROMETHEUS, false, &text);
    assert_null(strstr(buf_str(&text), "\nevil"));
    CLEANUP(mem_free) char *output = promtool_check(&text, 0);
    assert_string_equal(output, "");
}

/* Each line is of a form that OpenMetrics has, in an order that it allows. */
static void test_openmetrics_is_well_formed(void **state UNUSED)
{
    struct status_scene scene;
    char family[128] = "";
    bool is_ended = false;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TEXT_BYTES_MAX);

    status_scene_make(&scene);
    export_text(&scene.process, METRICS_OPENMETRICS, true, &text);
    for (char *line = (char *)text.p, *next = NULL; *line; line = next) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        next = end + 1;
        test_row(line);
        assert_false(is_ended);
        if (strcmp(line, "# EOF") == 0) {
            is_ended = true;
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            (void)snprintf(family, sizeof(family), "%.*s", (int)strcspn(line + 7, " "), line + 7);
            bool is_counter = strstr(line, " counter") != NULL;
            assert_false(is_counter && strstr(family, "_total") != NULL);
        } else if (strncmp(line, "# UNIT ", 7) == 0) {
            const char *unit = strrchr(line, ' ') + 1;
            size_t n = strlen(family), u = strlen(unit);
            assert_true(n > u && strcmp(family + n - u, unit) == 0);
        } else if (strncmp(line, "# HELP ", 7) != 0) {
            assert_int_equal(strncmp(line, family, strlen(family)), 0);
            assert_int_not_equal(line[0], '#');
        }
    }
    assert_true(is_ended);
}

static void test_a_full_buffer_is_an_error(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct status_scene scene;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(1000);

    status_scene_make(&scene);
    assert_error(metrics_export(&scene.process, METRICS_PROMETHEUS, true, &text, &err), &err,
                 ERR_LIMIT, "metrics");
}

/* docs/metrics.md: GOLDEN=write puts the table in its place. */
static void test_the_documentation_agrees_with_the_table(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    size_t n = 0;
    const char *golden = getenv("GOLDEN");
    CLEANUP(buf_destroy) struct buf wanted = BUF_INIT(1 << 20);
    CLEANUP(buf_destroy) struct buf document = BUF_INIT(1 << 20);
    CLEANUP(mem_free) uint8_t *found = test_file_read(document_path, &n);

    assert_ok(buf_append(&document, found, n, &err), &err);
    const char *begin = strstr(buf_str(&document), begin_mark);
    const char *end = strstr(buf_str(&document), end_mark);
    assert_true(begin && end && begin < end);
    begin += strlen(begin_mark);
    assert_ok(buf_append(&wanted, document.p, (size_t)(begin - buf_str(&document)), &err), &err);
    assert_ok(metrics_export_document(&wanted, &err), &err);
    assert_ok(buf_append_str(&wanted, end, &err), &err);
    if (golden && strcmp(golden, "write") == 0)
        test_file_write(document_path, buf_slice(&wanted));
    else
        assert_string_equal(buf_str(&document), buf_str(&wanted)); /* else: GOLDEN=write */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_every_family_keeps_the_rules),
        TEST(test_labels_fit_what_is_walked),
        TEST(test_the_state_is_told),
        TEST(test_what_never_happened_has_no_moment),
        TEST(test_litestream_names_are_there_when_asked_for),
        TEST(test_promtool_has_nothing_to_say),
        TEST(test_promtool_has_nothing_to_say_of_hostile_names),
        TEST(test_openmetrics_is_well_formed),
        TEST(test_a_full_buffer_is_an_error),
        TEST(test_the_documentation_agrees_with_the_table),
    };
    return TEST_MAIN(tests);
}
