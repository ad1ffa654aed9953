/*
 * The misbehaving store behaves when nothing else was ordered, and misbehaves as ordered.
 */
#include "lib/testing/flaky_storage.h"

#include <stdio.h>
#include <string.h>

#include "lib/storage/file/file.h"
#include "lib/storage/storage_wait.h"
#include "lib/testing/storage_conformance.h"
#include "lib/testing/test.h"

static char folder[256]; /* of the case that runs */
static struct flaky quiet = {.part_bytes = 100000};

static int flaky_open_at(struct loop *loop, struct storage **out, struct error *err)
{
    struct storage *inner;

    if (storage_file_new(loop, env_real(), folder, &inner, err) < 0)
        return -1;
    *out = flaky_storage_new(loop, inner, &quiet);
    return 0;
}

static int flaky_open(void *arg UNUSED, struct loop *loop, struct storage **out, struct error *err)
{
    test_folder_make(folder);
    return flaky_open_at(loop, out, err);
}

static int flaky_open_again(void *arg UNUSED, struct loop *loop, struct storage **out,
                            struct error *err)
{
    return flaky_open_at(loop, out, err);
}

static void flaky_close(void *arg UNUSED)
{
    test_folder_remove(folder);
}

/* ---- faults ---- */

struct stage {
    char folder[256];
    struct loop *loop;
    struct storage *real;
    struct storage *st;
    struct flaky flaky;
    struct blob body;
    bool is_done;
    struct error err;
};

static void stage_open(struct stage *s)
{
    struct error err = ERROR_INIT;
    struct storage *inner;

    *s = (struct stage){.flaky = FLAKY_INIT, .body = BLOB_INIT};
    test_folder_make(s->folder);
    assert_ok(loop_new(env_real(), 2, &s->loop, &err), &err);
    assert_ok(storage_file_new(s->loop, env_real(), s->folder, &s->real, &err), &err);
    assert_ok(storage_file_new(s->loop, env_real(), s->folder, &inner, &err), &err);
    s->st = flaky_storage_new(s->loop, inner, &s->flaky);
    assert_ok(blob_of_slice(env_real(), SLICE_LIT("body"), &s->body, &err), &err);
}

static void stage_close(struct stage *s)
{
    storage_free(s->st);
    storage_free(s->real);
    loop_run(s->loop);
    loop_free(s->loop);
    blob_destroy(&s->body);
    test_folder_remove(s->folder);
}

static void put_on_done(void *arg, const struct storage_result *result)
{
    struct stage *s = arg;
    s->err = *result->err;
    s->is_done = true;
}

static struct storage_op *put_begin(struct stage *s, const char *key)
{
    struct error err = ERROR_INIT;
    struct storage_op *op = NULL;
    const struct storage_put put = {.key = key, .body = &s->body};

    s->is_done = false;
    assert_ok(storage_put_start(s->st, &put, put_on_done, s, &op, &err), &err);
    return op;
}

static enum error_code put(struct stage *s, const char *key)
{
    (void)put_begin(s, key);
    assert_true(loop_run_until(s->loop, &s->is_done));
    return s->err.code;
}

static bool is_there(struct stage *s, const char *key)
{
    struct error err = ERROR_INIT;
    struct storage_object object;
    return storage_head_wait(s->real, key, &object, &err) == 0;
}

static void turn(void *is_over)
{
    *(bool *)is_over = true;
}

/* Lets the loop run for a while in which nothing that is held may happen. */
static void loop_idle(struct stage *s)
{
    bool is_over = false;
    struct loop_timer timer;
    loop_timer_init(&timer, s->loop, turn, &is_over);
    loop_timer_start(&timer, 20 * NS_PER_MS);
    assert_true(loop_run_until(s->loop, &is_over));
}

static void test_flaky_fails_as_often_as_ordered_and_asks_nobody(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    flaky_set(&s.flaky, STORAGE_OP_PUT,
              &(struct flaky_rule){.fault = FLAKY_FAIL, .code = ERR_ACCESS, .times = 2});
    assert_int_equal(put(&s, "a"), ERR_ACCESS);
    assert_int_equal(put(&s, "b"), ERR_ACCESS);
    assert_int_equal(put(&s, "c"), ERR_NONE);
    assert_false(is_there(&s, "a"));
    assert_true(is_there(&s, "c"));
    assert_int_equal(s.flaky.started[STORAGE_OP_PUT], 3);
    assert_int_equal(s.flaky.suffered, 2);
    stage_close(&s);
}

static void test_flaky_looks_at_keys_and_lets_the_first_pass(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    flaky_set(
        &s.flaky, STORAGE_OP_PUT,
        &(struct flaky_rule){.fault = FLAKY_FAIL, .key_part = "x/", .pass_count = 1, .times = 1});
    assert_int_equal(put(&s, "y/1"), ERR_NONE);
    assert_int_equal(put(&s, "x/1"), ERR_NONE);
    assert_int_equal(put(&s, "x/2"), ERR_UNAVAILABLE);
    assert_int_equal(put(&s, "x/2"), ERR_NONE);
    stage_close(&s);
}

static void test_flaky_loses_the_answer_of_what_was_done(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    flaky_set(&s.flaky, STORAGE_OP_PUT,
              &(struct flaky_rule){.fault = FLAKY_LOSE_ANSWER, .times = 1});
    assert_int_equal(put(&s, "a"), ERR_UNAVAILABLE);
    assert_true(is_there(&s, "a"));
    assert_int_equal(put(&s, "a"), ERR_EXISTS);
    stage_close(&s);
}

static void test_flaky_holds_until_released(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    flaky_set(&s.flaky, STORAGE_OP_PUT, &(struct flaky_rule){.fault = FLAKY_HOLD});
    (void)put_begin(&s, "a");
    loop_idle(&s);
    assert_false(s.is_done);
    assert_false(is_there(&s, "a"));
    assert_int_equal(flaky_held_count(&s.flaky), 1);
    flaky_release(&s.flaky);
    assert_true(loop_run_until(s.loop, &s.is_done));
    assert_int_equal(s.err.code, ERR_NONE);
    assert_int_equal(flaky_held_count(&s.flaky), 0);
    stage_close(&s);
}

static void test_flaky_holds_the_answer_of_what_is_done(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    flaky_set(&s.flaky, STORAGE_OP_PUT, &(struct flaky_rule){.fault = FLAKY_HOLD_ANSWER});
    (void)put_begin(&s, "a");
    while (flaky_held_count(&s.flaky) == 0)
        loop_idle(&s);
    assert_true(is_there(&s, "a"));
    assert_false(s.is_done);
    flaky_release(&s.flaky);
    assert_true(loop_run_until(s.loop, &s.is_done));
    assert_int_equal(s.err.code, ERR_NONE);
    stage_close(&s);
}

static void test_flaky_cancels_what_it_holds(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    flaky_set(&s.flaky, STORAGE_OP_PUT, &(struct flaky_rule){.fault = FLAKY_HOLD});
    struct storage_op *op = put_begin(&s, "a");
    storage_cancel(op);
    assert_false(s.is_done);
    assert_true(loop_run_until(s.loop, &s.is_done));
    assert_int_equal(s.err.code, ERR_CANCELED);
    (void)put_begin(&s, "b");
    stage_close(&s); /* answers it */
    assert_true(s.is_done);
    assert_int_equal(s.err.code, ERR_CANCELED);
}

static void test_flaky_strikes_the_nth_operation_of_all_kinds(void **state UNUSED)
{
    struct stage s;
    struct error err = ERROR_INIT;
    struct storage_object object;
    stage_open(&s);
    s.flaky.strike_at = 2;
    s.flaky.strike = (struct flaky_rule){.fault = FLAKY_FAIL, .code = ERR_TIMEOUT};
    assert_int_equal(put(&s, "a"), ERR_NONE);
    assert_error(storage_head_wait(s.st, "a", &object, &err), &err, ERR_TIMEOUT, "HEAD a");
    assert_ok(storage_head_wait(s.st, "a", &object, &err), &err);
    stage_close(&s);
}

static void test_flaky_store_answers_late(void **state UNUSED)
{
    struct stage s;
    stage_open(&s);
    flaky_set(&s.flaky, STORAGE_OP_PUT,
              &(struct flaky_rule){.fault = FLAKY_DELAY, .delay_ns = 50 * NS_PER_MS});
    uint64_t began = env_monotonic_ns(env_real());
    assert_int_equal(put(&s, "a"), ERR_NONE);
    assert_true(env_monotonic_ns(env_real()) - began >= 50 * NS_PER_MS);
    stage_close(&s);
}

static void housekept(void *arg, const struct storage_result *result)
{
    struct stage *s = arg;

    s->err = *result->err;
    s->is_done = true;
}

/* A folder has nothing to clear away: success, but never inside the call. */
static void test_housekeeping_without_a_driver_for_it_succeeds_on_a_later_turn(void **state UNUSED)
{
    struct stage s;
    struct error err = ERROR_INIT;
    struct storage_op *op = NULL;
    stage_open(&s);
    s.is_done = false;
    assert_ok(storage_housekeep_start(s.st, 1, housekept, &s, &op, &err), &err);
    assert_false(s.is_done);
    assert_int_equal(s.flaky.housekept, 1);
    assert_true(loop_run_until(s.loop, &s.is_done));
    assert_ok(s.err.code == ERR_NONE ? 0 : -1, &s.err);

    s.is_done = false; /* canceled */
    assert_ok(storage_housekeep_start(s.st, 1, housekept, &s, &op, &err), &err);
    storage_cancel(op);
    assert_false(s.is_done);
    assert_true(loop_run_until(s.loop, &s.is_done));
    assert_int_equal(s.err.code, ERR_CANCELED);

    s.is_done = false; /* freed */
    assert_ok(storage_housekeep_start(s.st, 1, housekept, &s, NULL, &err), &err);
    stage_close(&s);
    assert_true(s.is_done);
    assert_int_equal(s.err.code, ERR_CANCELED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_flaky_fails_as_often_as_ordered_and_asks_nobody),
        TEST(test_flaky_looks_at_keys_and_lets_the_first_pass),
        TEST(test_flaky_loses_the_answer_of_what_was_done),
        TEST(test_flaky_holds_until_released),
        TEST(test_flaky_holds_the_answer_of_what_is_done),
        TEST(test_flaky_cancels_what_it_holds),
        TEST(test_flaky_strikes_the_nth_operation_of_all_kinds),
        TEST(test_flaky_store_answers_late),
        TEST(test_housekeeping_without_a_driver_for_it_succeeds_on_a_later_turn),
    };
    static const struct storage_conformance_setup setup = {
        .name = "flaky",
        .open = flaky_open,
        .open_again = flaky_open_again,
        .close = flaky_close,
    };
    int failed = TEST_MAIN(tests);

    return storage_conformance_run(&setup) + failed;
}
