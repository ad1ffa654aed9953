/*
 * The promises about ends before the end: a body that cannot be read, a deadline, a cancel, a
 * receiver that has had enough, a store that is freed. Each time done is called once, and nothing
 * half-made is left.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/testing/storage_conformance_internal.h"

/* A body that ends before it should: reading it fails in the middle. */
static void body_broken(struct blob *out, uint64_t claimed_bytes, size_t real_bytes)
{
    char folder[256];
    char path[300];
    CLEANUP(mem_free) uint8_t *bytes = conformance_bytes(1, real_bytes);

    test_folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/body", folder);
    test_file_write(path, slice_of(bytes, real_bytes));
    *out = (struct blob){.env = env_real(), .fd = open(path, O_RDONLY | O_CLOEXEC)};
    out->bytes = claimed_bytes;
    assert_true(out->fd >= 0);
    test_folder_remove(folder);
}

void test_a_put_that_fails_leaves_nothing(void **state)
{
    static const struct {
        uint64_t claimed;
        size_t real;
    } rows[] = {{1000, 500}, {2 * MIB, MIB}, {12 * MIB, 11 * MIB}};
    struct conformance *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        CLEANUP(blob_destroy) struct blob body = BLOB_INIT;
        body_broken(&body, rows[i].claimed, rows[i].real);
        const struct storage_put args = {
            .key = "ltx/0/broken", .body = &body, .mode = STORAGE_PUT_CREATE};
        assert_int_equal(storage_put_wait(f->st, &args, &err), -1);
        assert_int_not_equal(err.code, ERR_EXISTS);
        conformance_assert_nothing(f);
    }
}

void test_a_put_past_its_deadline_times_out(void **state)
{
    struct conformance *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;

    assert_ok(blob_of_slice(env_real(), SLICE_LIT("late"), &body, &err), &err);
    const struct storage_put args = {
        .key = "late", .body = &body, .mode = STORAGE_PUT_CREATE, .deadline_ns = 1};
    assert_error(storage_put_wait(f->st, &args, &err), &err, ERR_TIMEOUT, "");
}

void test_a_canceled_put_leaves_nothing_or_the_whole_object(void **state)
{
    struct conformance *f = *state;
    struct error err = ERROR_INIT;
    struct conformance_end end = {.is_done = false};
    struct storage_op *op = NULL;
    struct storage_object object;
    CLEANUP(mem_free) uint8_t *bytes = conformance_bytes(1, 8 * MIB);
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;

    assert_ok(blob_of_slice(env_real(), slice_of(bytes, 8 * MIB), &body, &err), &err);
    const struct storage_put args = {.key = "canceled", .body = &body, .mode = STORAGE_PUT_CREATE};
    assert_ok(storage_put_start(f->st, &args, conformance_on_done, &end, &op, &err), &err);
    assert_false(end.is_done);
    storage_cancel(op);
    conformance_run_until(f, &end.is_done);
    assert_int_equal(end.calls, 1);
    if (end.err.code == ERR_NONE) {
        conformance_assert_content(f, "canceled", 1, 8 * MIB);
    } else {
        assert_int_equal(end.err.code, ERR_CANCELED);
        assert_error(storage_head_wait(f->st, "canceled", &object, &err), &err, ERR_NOT_FOUND, "");
    }
}

/* A get whose receiver cancels, fails or frees the storage at its first bytes. */
struct receiver {
    struct conformance *f;
    struct storage_op *op;
    bool wants_free;
    uint64_t bytes;
    unsigned chunks;
    struct conformance_end end;
};

static int receiver_on_data(void *arg, struct slice chunk, struct error *err)
{
    struct receiver *r = arg;

    r->bytes += chunk.n;
    r->chunks++;
    if (r->wants_free) {
        storage_free(TAKE(r->f->st));
        assert_true(r->end.is_done);
        return 0;
    }
    if (r->op) {
        storage_cancel(TAKE(r->op));
        return 0;
    }
    return error_set(err, ERR_LIMIT, 0, "enough of reading");
}

static void receiver_on_done(void *arg, const struct storage_result *result)
{
    struct receiver *r = arg;

    conformance_on_done(&r->end, result);
}

static void receiver_start(struct receiver *r, struct storage_op **out_op)
{
    struct error err = ERROR_INIT;
    const struct storage_get args = {.key = "large", .on_data = receiver_on_data};

    conformance_create(r->f, "large", 1, 3 * MIB);
    assert_ok(storage_get_start(r->f->st, &args, receiver_on_done, r, out_op, &err), &err);
}

void test_a_get_canceled_in_its_callback_ends_with_canceled(void **state)
{
    struct receiver r = {.f = *state};

    receiver_start(&r, &r.op);
    conformance_run_until(r.f, &r.end.is_done);
    assert_int_equal(r.end.err.code, ERR_CANCELED);
    assert_int_equal(r.end.calls, 1);
    assert_int_equal(r.chunks, 1);
}

void test_an_error_of_on_data_ends_the_get_with_it(void **state)
{
    struct receiver r = {.f = *state};

    receiver_start(&r, NULL);
    conformance_run_until(r.f, &r.end.is_done);
    assert_error(-1, &r.end.err, ERR_LIMIT, "enough of reading");
    assert_int_equal(r.chunks, 1);
}

void test_freeing_the_storage_ends_what_is_under_way(void **state)
{
    struct conformance *f = *state;
    struct error err = ERROR_INIT;
    struct conformance_end put_end = {.is_done = false};
    struct conformance_end list_end = {.is_done = false};
    CLEANUP(mem_free) uint8_t *bytes = conformance_bytes(1, 6 * MIB);
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;
    const struct storage_list list = {.prefix = "", .on_object = conformance_only_on_object};

    assert_ok(blob_of_slice(env_real(), slice_of(bytes, 6 * MIB), &body, &err), &err);
    const struct storage_put args = {.key = "put", .body = &body, .mode = STORAGE_PUT_CREATE};
    assert_ok(storage_put_start(f->st, &args, conformance_on_done, &put_end, NULL, &err), &err);
    assert_ok(storage_list_start(f->st, &list, conformance_on_done, &list_end, NULL, &err), &err);
    storage_free(TAKE(f->st));
    blob_destroy(&body); /* nobody may still read it */
    assert_int_equal(put_end.calls, 1);
    assert_int_equal(list_end.calls, 1);
    assert_int_equal(list_end.err.code, ERR_CANCELED);
    assert_true(put_end.err.code == ERR_CANCELED || put_end.err.code == ERR_NONE);
}
