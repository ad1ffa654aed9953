/*
 * The probe on a folder, on folders that lack something, and its one promise to others: it leaves
 * nothing behind.
 */
#include "lib/storage/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/storage/driver.h"
#include "lib/storage/file/file.h"
#include "lib/storage/storage_wait.h"
#include "lib/testing/test.h"

struct fixture {
    struct loop *loop;
    struct storage *st;
    char folder[256];
    struct env env;
};

static int fixture_setup(void **state)
{
    struct error err = ERROR_INIT;
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    test_folder_make(f->folder);
    f->env = *env_real();
    assert_ok(loop_new(env_real(), 4, &f->loop, &err), &err);
    assert_ok(storage_file_new(f->loop, &f->env, f->folder, &f->st, &err), &err);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    storage_free(f->st);
    loop_run(f->loop);
    loop_free(f->loop);
    test_folder_remove(f->folder);
    free(f);
    return 0;
}

static void probe(struct fixture *f, struct storage_probe_report *report)
{
    struct error err = ERROR_INIT;

    *report = (struct storage_probe_report){.first_step = STORAGE_PROBE_STEPS};
    assert_ok(storage_probe_wait(f->st, false, report, &err), &err);
}

static int count_on_object(void *arg, const struct storage_object *object UNUSED,
                           struct error *err UNUSED)
{
    (*(unsigned *)arg)++;
    return 0;
}

static unsigned object_count(struct fixture *f)
{
    struct error err = ERROR_INIT;
    unsigned count = 0;
    const struct storage_list args = {.prefix = "", .on_object = count_on_object};

    assert_ok(storage_list_wait(f->st, &args, &count, &err), &err);
    return count;
}

static void test_a_sound_store_passes_every_step_and_nothing_stays(void **state)
{
    struct fixture *f = *state;
    struct storage_probe_report report;

    probe(f, &report);
    assert_ok(report.first.code == ERR_NONE ? 0 : -1, &report.first);
    for (int step = 0; step < STORAGE_PROBE_STEPS; step++) {
        test_row(storage_probe_step_name((enum storage_probe_step)step));
        assert_true(report.step[step].was_tried);
        assert_true(report.step[step].is_ok);
    }
    assert_true(report.can_create);
    assert_true(report.keeps_timestamps);
    assert_int_equal(report.why_no_create.code, ERR_NONE);
    assert_true(storage_caps(f->st)->can_create);
    assert_int_equal(object_count(f), 0);
}

static int link_refused(void *ctx UNUSED, const char *from UNUSED, const char *to UNUSED)
{
    return -EPERM;
}

static int noreplace_refused(void *ctx UNUSED, const char *from UNUSED, const char *to UNUSED)
{
    return -EINVAL;
}

static void test_a_store_that_does_not_know_create_is_probed_without_it(void **state)
{
    struct fixture *f = *state;
    struct storage_probe_report report;

    f->env.file.link = link_refused;
    f->env.file.rename_noreplace = noreplace_refused;
    probe(f, &report);
    assert_ok(report.first.code == ERR_NONE ? 0 : -1, &report.first);
    assert_false(report.can_create);
    assert_int_equal(report.why_no_create.code, ERR_UNSUPPORTED);
    assert_true(report.step[STORAGE_PROBE_CREATE].is_ok);
    assert_false(report.step[STORAGE_PROBE_CREATE_AGAIN].was_tried);
    assert_true(report.step[STORAGE_PROBE_DELETE].is_ok);
    assert_false(storage_caps(f->st)->can_create);
    assert_int_equal(object_count(f), 0);
}

/* A store that takes the condition for decoration. */
static int link_replaces(void *ctx UNUSED, const char *from, const char *to)
{
    (void)unlink(to); /* usually there is none */
    return link(from, to) < 0 ? -errno : 0;
}

static void test_a_store_that_ignores_the_condition_is_found_out(void **state)
{
    struct fixture *f = *state;
    struct storage_probe_report report;

    f->env.file.link = link_replaces;
    probe(f, &report);
    assert_ok(report.first.code == ERR_NONE ? 0 : -1, &report.first);
    assert_false(report.can_create);
    assert_error(-1, &report.why_no_create, ERR_UNSUPPORTED, "accepted a second create");
    assert_false(storage_caps(f->st)->can_create);
    assert_int_equal(object_count(f), 0);
}

static int open_refused(void *ctx UNUSED, const char *path, int flags, mode_t mode)
{
    return flags & O_CREAT ? -EACCES : env_real()->file.open(NULL, path, flags, mode);
}

static void test_a_store_that_may_only_be_read_is_still_listed(void **state)
{
    struct fixture *f = *state;
    struct storage_probe_report report;

    f->env.file.open = open_refused;
    probe(f, &report);
    assert_error(-1, &report.first, ERR_ACCESS, "create: PUT .walferry-probe/");
    assert_string_not_equal(report.first.hint, "");
    assert_int_equal(report.first_step, STORAGE_PROBE_CREATE);
    assert_string_equal(storage_probe_reason(&report), "ReadOnly");
    assert_false(report.step[STORAGE_PROBE_CREATE].is_ok);
    assert_false(report.step[STORAGE_PROBE_READ].was_tried);
    assert_true(report.step[STORAGE_PROBE_LIST].is_ok);
    assert_false(report.step[STORAGE_PROBE_DELETE].was_tried);
    assert_false(report.can_create);
}

static void test_a_destination_that_is_only_read_gets_no_canary(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct storage_probe_report report;

    storage_set_read_only(f->st, true);
    probe(f, &report);
    assert_ok(report.first.code == ERR_NONE ? 0 : -1, &report.first);
    assert_string_equal(storage_probe_reason(&report), "ReadOnly");
    assert_false(report.step[STORAGE_PROBE_CREATE].was_tried);
    assert_true(report.step[STORAGE_PROBE_LIST].is_ok);
    assert_false(report.step[STORAGE_PROBE_DELETE].was_tried);
    assert_int_equal(storage_counters(f->st)->op[STORAGE_OP_PUT].requests, 0);
    assert_error(storage_make_wait(f->st, &err), &err, ERR_ACCESS, "is only read");
}

static void test_a_destination_that_is_only_read_refuses_every_write(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;
    static const char *const keys[] = {"a"};
    struct storage_put put = {.key = "a", .body = &body, .mode = STORAGE_PUT_CREATE};

    assert_ok(blob_of_slice(&f->env, SLICE_LIT("x"), &body, &err), &err);
    assert_ok(storage_put_wait(f->st, &put, &err), &err);
    storage_set_read_only(f->st, true);
    put.mode = STORAGE_PUT_OVERWRITE;
    assert_error(storage_put_wait(f->st, &put, &err), &err, ERR_ACCESS, "is only read");
    error_clear(&err);
    assert_error(storage_delete_wait(f->st, keys, 1, &err), &err, ERR_ACCESS, "is only read");
    assert_int_equal(object_count(f), 1);
}

static int unlink_refused(void *ctx UNUSED, const char *path)
{
    return strstr(path, ".tmp") ? env_real()->file.unlink(NULL, path) : -EACCES;
}

static void test_a_store_that_may_not_be_deleted_from_fails_that_step_only(void **state)
{
    struct fixture *f = *state;
    struct storage_probe_report report;

    f->env.file.unlink = unlink_refused;
    probe(f, &report);
    assert_int_equal(report.first_step, STORAGE_PROBE_DELETE);
    assert_string_equal(storage_probe_reason(&report), "DeleteDenied");
    assert_error(-1, &report.first, ERR_ACCESS, "delete: ");
    assert_true(report.can_create);
    assert_true(report.step[STORAGE_PROBE_LIST].is_ok);
    assert_false(report.step[STORAGE_PROBE_DELETE].is_ok);
}

static void test_canaries_of_dead_probes_are_removed_after_a_day(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct storage_probe_report report;
    static const struct {
        const char *key;
        uint64_t age_ns;
    } rows[] = {
        {STORAGE_PROBE_PREFIX "0123456789abcdef", 25 * NS_PER_HOUR},
        {STORAGE_PROBE_PREFIX "fedcba9876543210", NS_PER_HOUR},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(blob_destroy) struct blob body = BLOB_INIT;
        assert_ok(blob_of_slice(env_real(), SLICE_LIT("x"), &body, &err), &err);
        const struct storage_put args = {.key = rows[i].key,
                                         .body = &body,
                                         .mode = STORAGE_PUT_CREATE,
                                         .timestamp_ns = env_wall_ns(env_real()) - rows[i].age_ns};
        assert_ok(storage_put_wait(f->st, &args, &err), &err);
    }
    probe(f, &report);
    struct storage_object object;
    assert_error(storage_head_wait(f->st, rows[0].key, &object, &err), &err, ERR_NOT_FOUND, "");
    assert_ok(storage_head_wait(f->st, rows[1].key, &object, &err), &err);
}

static void canceled_on_done(void *arg, const struct storage_probe_report *report)
{
    bool *is_done = arg;

    assert_error(-1, &report->first, ERR_CANCELED, "");
    *is_done = true;
}

static void test_a_canceled_probe_ends_with_canceled(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct storage_probe *started = NULL;
    bool is_done = false;

    assert_ok(storage_probe_start(f->st, canceled_on_done, &is_done, &started, &err), &err);
    storage_probe_cancel(started);
    assert_true(loop_run_until(f->loop, &is_done));
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(test_a_sound_store_passes_every_step_and_nothing_stays),
        CASE(test_a_store_that_does_not_know_create_is_probed_without_it),
        CASE(test_a_store_that_ignores_the_condition_is_found_out),
        CASE(test_a_store_that_may_only_be_read_is_still_listed),
        CASE(test_a_destination_that_is_only_read_gets_no_canary),
        CASE(test_a_destination_that_is_only_read_refuses_every_write),
        CASE(test_a_store_that_may_not_be_deleted_from_fails_that_step_only),
        CASE(test_canaries_of_dead_probes_are_removed_after_a_day),
        CASE(test_a_canceled_probe_ends_with_canceled),
    };
    return TEST_MAIN(tests);
}
