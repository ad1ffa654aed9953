/*
 * The gate before a host: who enters, in which order, and what large bodies may not do.
 */
#include "lib/storage/s3/gate.h"

#include <string.h>

#include "lib/testing/test.h"

static struct loop *loop;
static struct s3_gate *gate;

struct visitor {
    struct s3_gate_visit visit;
    unsigned *order; /* the next number to give */
    unsigned number; /* in which he was let in; 0: not yet */
    bool leaves_at_once;
};

static void on_admitted(void *arg)
{
    struct visitor *v = arg;

    v->number = ++*v->order;
    if (v->leaves_at_once)
        s3_gate_leave(&v->visit);
}

static void turn(void)
{
    (void)uv_run(loop_uv(loop), UV_RUN_NOWAIT);
    (void)uv_run(loop_uv(loop), UV_RUN_ONCE);
}

static int set_up(void **state UNUSED)
{
    struct error err = ERROR_INIT;

    assert_ok(loop_new(env_real(), 1, &loop, &err), &err);
    assert_ok(s3_gate_new(loop, &gate, &err), &err);
    return 0;
}

static int tear_down(void **state UNUSED)
{
    s3_gate_free(gate);
    loop_free(loop);
    return 0;
}

static void enter_all(struct visitor *visitors, size_t count, uint64_t bytes, unsigned *order)
{
    for (size_t i = 0; i < count; i++) {
        visitors[i].order = order;
        if (s3_gate_enter(gate, &visitors[i].visit, bytes, on_admitted, &visitors[i]))
            visitors[i].number = ++*order;
    }
}

static void leave_all(struct visitor *visitors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        s3_gate_leave(&visitors[i].visit);
}

static void test_those_beyond_the_places_enter_in_their_order(void **state UNUSED)
{
    struct visitor v[S3_GATE_PLACES + 3] = {0};
    unsigned order = 0;

    enter_all(v, ARRAY_LEN(v), 0, &order);
    assert_int_equal(order, S3_GATE_PLACES);
    s3_gate_leave(&v[5].visit);
    assert_int_equal(v[S3_GATE_PLACES].number, 0); /* never within the call */
    turn();
    assert_int_equal(v[S3_GATE_PLACES].number, S3_GATE_PLACES + 1);
    assert_int_equal(v[S3_GATE_PLACES + 1].number, 0);
    s3_gate_leave(&v[0].visit);
    s3_gate_leave(&v[1].visit);
    turn();
    assert_int_equal(v[S3_GATE_PLACES + 1].number, S3_GATE_PLACES + 2);
    assert_int_equal(v[S3_GATE_PLACES + 2].number, S3_GATE_PLACES + 3);
    leave_all(v, ARRAY_LEN(v));
}

static void test_large_bodies_leave_room_for_small_ones(void **state UNUSED)
{
    struct visitor bulk[S3_GATE_PLACES] = {0};
    struct visitor small[3] = {0};
    unsigned order = 0;

    enter_all(bulk, ARRAY_LEN(bulk), S3_GATE_BULK_BYTES, &order);
    assert_int_equal(order, S3_GATE_BULK_PLACES);
    enter_all(small, ARRAY_LEN(small), S3_GATE_BULK_BYTES - 1, &order);
    assert_int_equal(order, S3_GATE_BULK_PLACES + ARRAY_LEN(small));
    s3_gate_leave(&small[0].visit);
    turn();
    assert_int_equal(bulk[S3_GATE_BULK_PLACES].number, 0);
    s3_gate_leave(&bulk[0].visit);
    turn();
    assert_int_not_equal(bulk[S3_GATE_BULK_PLACES].number, 0);
    leave_all(small, ARRAY_LEN(small));
    leave_all(bulk, ARRAY_LEN(bulk));
}

static void test_one_who_gives_up_waiting_is_never_called(void **state UNUSED)
{
    struct visitor v[S3_GATE_PLACES + 2] = {0};
    unsigned order = 0;

    enter_all(v, ARRAY_LEN(v), 0, &order);
    s3_gate_leave(&v[S3_GATE_PLACES].visit);
    s3_gate_leave(&v[0].visit);
    turn();
    assert_int_equal(v[S3_GATE_PLACES].number, 0);
    assert_int_equal(v[S3_GATE_PLACES + 1].number, S3_GATE_PLACES + 1);
    leave_all(v, ARRAY_LEN(v));
}

static void test_a_crowd_that_leaves_at_once_gets_through(void **state UNUSED)
{
    static struct visitor v[5000];
    unsigned order = 0;

    memset(v, 0, sizeof(v));
    for (size_t i = S3_GATE_PLACES; i < ARRAY_LEN(v); i++)
        v[i].leaves_at_once = true;
    enter_all(v, ARRAY_LEN(v), 0, &order);
    s3_gate_leave(&v[0].visit);
    for (unsigned i = 0; i < 10 && order < ARRAY_LEN(v); i++)
        turn();
    assert_int_equal(order, ARRAY_LEN(v));
    leave_all(v, S3_GATE_PLACES);
}

#define TEST_AT_GATE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_AT_GATE(test_those_beyond_the_places_enter_in_their_order),
        TEST_AT_GATE(test_large_bodies_leave_room_for_small_ones),
        TEST_AT_GATE(test_one_who_gives_up_waiting_is_never_called),
        TEST_AT_GATE(test_a_crowd_that_leaves_at_once_gets_through),
    };

    return TEST_MAIN(tests);
}
