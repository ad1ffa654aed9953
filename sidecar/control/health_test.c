/*
 * Which states hold a pod, and which make it not ready.
 */
#include <string.h>

#include "lib/testing/test.h"
#include "sidecar/control/control_internal.h"
#include "sidecar/control/status_scene.h"

enum {
    REASON_BYTES_MAX = 4096
};

static const struct health_row {
    const char *name;
    enum status_db_state db;
    struct status_destination destination;
    bool has_started, is_ready;
    const char *reason; /* part of what either says; NULL: nothing is said */
} health_rows[] = {
    {"all is well", STATUS_DB_FOLLOWING, {.state = STATUS_DESTINATION_FOLLOWING}, true, true, NULL},
    {"not looked at",
     STATUS_DB_OPENING,
     {.state = STATUS_DESTINATION_ATTACHING},
     false,
     false,
     "db: opening"},
    {"cannot be opened",
     STATUS_DB_BACKOFF,
     {.state = STATUS_DESTINATION_ATTACHING},
     false,
     false,
     "db: backoff"},
    {"application makes it",
     STATUS_DB_ABSENT,
     {.state = STATUS_DESTINATION_ATTACHING},
     true,
     true,
     NULL},
    {"application turns it on, bucket was seen",
     STATUS_DB_NOT_WAL,
     {.state = STATUS_DESTINATION_FOLLOWING},
     true,
     false,
     "not_wal"},
    {"application turns it on, descent refused",
     STATUS_DB_NOT_WAL,
     {.state = STATUS_DESTINATION_REFUSED},
     false,
     false,
     "refused"},
    {"time does not heal it",
     STATUS_DB_NETWORK_FILE_SYSTEM,
     {.state = STATUS_DESTINATION_ATTACHING},
     true,
     false,
     "network_file_system"},
    {"damaged", STATUS_DB_DAMAGED, {.state = STATUS_DESTINATION_ATTACHING}, true, false, "damaged"},
    {"moved", STATUS_DB_MOVED, {.state = STATUS_DESTINATION_ATTACHING}, true, false, "moved"},
    {"engine ends",
     STATUS_DB_STOPPED,
     {.state = STATUS_DESTINATION_STOPPED},
     false,
     false,
     "db: stopped"},
    {"engine ends, bucket was seen",
     STATUS_DB_STOPPED,
     {.state = STATUS_DESTINATION_STOPPED, .is_attached = true, .has_local_proof = true},
     false,
     false,
     "db: stopped"},
    {"application first",
     STATUS_DB_DISK_FULL,
     {.state = STATUS_DESTINATION_FOLLOWING},
     true,
     false,
     "disk_full"},
    {"comparing", STATUS_DB_DIFFERENCE, {.state = STATUS_DESTINATION_FOLLOWING}, true, true, NULL},
    {"attaching",
     STATUS_DB_FOLLOWING,
     {.state = STATUS_DESTINATION_ATTACHING},
     false,
     true,
     "db: d: attaching: not attached yet"},
    {"attaching, proven",
     STATUS_DB_FOLLOWING,
     {.state = STATUS_DESTINATION_ATTACHING, .has_local_proof = true},
     false,
     true,
     "attaching"},
    {"bucket away, proven",
     STATUS_DB_FOLLOWING,
     {.state = STATUS_DESTINATION_BACKOFF, .has_local_proof = true, .error_streak = 1},
     true,
     true,
     NULL},
    {"bucket away, not proven",
     STATUS_DB_FOLLOWING,
     {.state = STATUS_DESTINATION_BACKOFF, .error_streak = 1, .last_error = "LIST: timeout"},
     false,
     true,
     "LIST: timeout"},
    {"bucket went away",
     STATUS_DB_FOLLOWING,
     {.state = STATUS_DESTINATION_BACKOFF, .is_attached = true, .error_streak = 9},
     true,
     true,
     NULL},
    {"fenced",
     STATUS_DB_FOLLOWING,
     {.state = STATUS_DESTINATION_FENCED, .state_detail = "epoch 2 of 0000beef won"},
     true,
     false,
     "db: d: fenced: epoch 2 of 0000beef won"},
    {"refused",
     STATUS_DB_FOLLOWING,
     {.state = STATUS_DESTINATION_REFUSED, .state_detail = "no descent"},
     false,
     false,
     "refused: no descent"},
    {"far behind",
     STATUS_DB_FOLLOWING,
     {.state = STATUS_DESTINATION_BACKOFF,
      .is_attached = true,
      .lag_ns = 90 * NS_PER_SEC,
      .error_streak = 3,
      .last_error = "PUT: 503"},
     true,
     false,
     "lag is 1m30s, more than 1m: PUT: 503"},
};

static void test_states_are_judged(void **state UNUSED)
{
    const struct control_policy policy = {.ready_lag_ns_max = NS_PER_MIN};

    for (size_t i = 0; i < ARRAY_LEN(health_rows); i++) {
        const struct health_row *row = &health_rows[i];
        struct status_destination d = row->destination;
        struct status_db db = {.path = "/db",
                               .name = "db",
                               .state = row->db,
                               .destinations = &d,
                               .destination_count = 1};
        struct status_process s = {.dbs = &db, .db_count = 1};
        CLEANUP(buf_destroy) struct buf reasons = BUF_INIT(REASON_BYTES_MAX);
        d.name = "d";
        test_row(row->name);
        assert_int_equal(health_has_started(&s, &reasons), row->has_started);
        assert_int_equal(health_is_ready(&s, &policy, &reasons), row->is_ready);
        if (row->reason)
            assert_non_null(strstr(buf_str(&reasons), row->reason));
        else
            assert_string_equal(buf_str(&reasons), "");
    }
}

static void test_lag_matters_only_where_the_policy_says_so(void **state UNUSED)
{
    const struct control_policy policy = {.ready_lag_ns_max = 0};
    struct status_scene scene;
    CLEANUP(buf_destroy) struct buf reasons = BUF_INIT(REASON_BYTES_MAX);

    status_scene_make(&scene);
    scene.process.db_count = 1; /* its second destination is two hours behind */
    assert_true(health_is_ready(&scene.process, &policy, &reasons));
}

static void test_restorability_matters_only_where_the_policy_says_so(void **state UNUSED)
{
    const struct control_policy lax = {.ready_needs_restorable = false};
    const struct control_policy strict = {.ready_needs_restorable = true};
    struct status_scene scene;
    CLEANUP(buf_destroy) struct buf reasons = BUF_INIT(REASON_BYTES_MAX);

    status_scene_make(&scene);
    scene.dbs[1].state = STATUS_DB_FOLLOWING;
    assert_true(health_is_ready(&scene.process, &lax, &reasons));
    assert_false(health_is_ready(&scene.process, &strict, &reasons));
    assert_string_equal(buf_str(&reasons), "new: s3: nothing can be restored yet\n");
}

static void test_no_database_is_healthy(void **state UNUSED)
{
    const struct control_policy policy = {.ready_needs_restorable = true};
    struct status_process s = {.db_count = 0};
    CLEANUP(buf_destroy) struct buf reasons = BUF_INIT(REASON_BYTES_MAX);

    assert_true(health_has_started(&s, &reasons));
    assert_true(health_is_ready(&s, &policy, &reasons));
}

static void test_reasons_beyond_the_buffer_are_left_out(void **state UNUSED)
{
    struct status_db dbs[100];
    struct status_process s = {.dbs = dbs, .db_count = ARRAY_LEN(dbs)};
    CLEANUP(buf_destroy) struct buf reasons = BUF_INIT(100);

    for (size_t i = 0; i < ARRAY_LEN(dbs); i++)
        dbs[i] = (struct status_db){.path = "/db", .name = "db", .state = STATUS_DB_OPENING};
    assert_false(health_has_started(&s, &reasons));
    assert_true(reasons.n > 0 && reasons.n <= 100);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_states_are_judged),
        TEST(test_lag_matters_only_where_the_policy_says_so),
        TEST(test_restorability_matters_only_where_the_policy_says_so),
        TEST(test_no_database_is_healthy),
        TEST(test_reasons_beyond_the_buffer_are_left_out),
    };
    return TEST_MAIN(tests);
}
