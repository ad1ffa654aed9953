/*
 * The promises about objects that are sent while they are made (lib/storage/upload.h): nothing is to
 * be seen before the end, then all of it, and never over another object.
 */
#include <stdlib.h>

#include "lib/storage/upload.h"
#include "lib/testing/storage_conformance_internal.h"

enum {
    LAST_PART_BYTES = 1000,
};

/* The bytes of an object, a part after the other, are those of seed 1. */
struct upload_scene {
    struct conformance *f;
    struct storage_upload *u;
    uint8_t *bytes;
    struct blob blob; /* of them */
};

/* Of an object of two full parts and a little one. */
static size_t object_bytes(const struct conformance *f)
{
    return (size_t)(2 * storage_caps(f->st)->part_bytes) + LAST_PART_BYTES;
}

static void wait_ok(struct conformance *f, const struct conformance_end *end)
{
    conformance_run_until(f, &end->is_done);
    assert_int_equal(end->calls, 1);
    assert_ok(end->err.code == ERR_NONE ? 0 : -1, &end->err);
}

static void upload_begin(struct upload_scene *s, struct conformance *f)
{
    struct error err = ERROR_INIT;
    struct conformance_end end = {.is_done = false};
    const struct storage_upload_args args = {.key = "ltx/0/parts",
                                             .timestamp_ns = CONFORMANCE_TIMESTAMP_NS};

    *s = (struct upload_scene){.f = f, .blob = BLOB_INIT};
    if (storage_caps(f->st)->part_bytes == 0)
        test_skip("# %s does not take objects in parts", f->setup->name);
    s->bytes = conformance_bytes(1, object_bytes(f));
    assert_ok(blob_of_slice(env_real(), slice_of(s->bytes, object_bytes(f)), &s->blob, &err), &err);
    assert_ok(
        storage_upload_begin_start(f->st, &args, conformance_on_done, &end, &s->u, NULL, &err),
        &err);
    wait_ok(f, &end);
}

static void upload_end(struct upload_scene *s)
{
    storage_upload_free(s->u);
    free(s->bytes);
    blob_destroy(&s->blob);
}

static void part_send(struct upload_scene *s, unsigned number)
{
    struct error err = ERROR_INIT;
    struct conformance_end end = {.is_done = false};
    uint64_t part_bytes = storage_caps(s->f->st)->part_bytes;
    uint64_t offset = (number - 1) * part_bytes;
    uint64_t left = s->blob.bytes - offset;
    const struct storage_part part = {.number = number,
                                      .blob = &s->blob,
                                      .offset = offset,
                                      .bytes = left < part_bytes ? left : part_bytes};

    assert_ok(storage_upload_part_start(s->u, &part, conformance_on_done, &end, NULL, &err), &err);
    wait_ok(s->f, &end);
}

static struct conformance_end complete(struct upload_scene *s)
{
    struct error err = ERROR_INIT;
    struct conformance_end end = {.is_done = false};

    assert_ok(storage_upload_complete_start(s->u, 0, conformance_on_done, &end, NULL, &err), &err);
    conformance_run_until(s->f, &end.is_done);
    return end;
}

void test_an_object_in_parts_appears_when_it_is_complete(void **state)
{
    static const unsigned order[] = {2, 3, 1, 2}; /* the first last; one of them twice */
    struct conformance *f = *state;
    struct upload_scene s;

    upload_begin(&s, f);
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        part_send(&s, order[i]);
    conformance_assert_nothing(f);
    struct conformance_end end = complete(&s);
    assert_ok(end.err.code == ERR_NONE ? 0 : -1, &end.err);
    conformance_assert_content(f, "ltx/0/parts", 1, object_bytes(f));
    upload_end(&s);
    conformance_assert_content(f, "ltx/0/parts", 1, object_bytes(f));
}

void test_completing_an_object_in_parts_refuses_a_taken_name(void **state)
{
    struct conformance *f = *state;
    struct upload_scene s;

    if (f->setup->cannot_create)
        test_skip("# %s cannot create conditionally", f->setup->name);
    upload_begin(&s, f);
    for (unsigned number = 1; number <= 3; number++)
        part_send(&s, number);
    conformance_create(f, "ltx/0/parts", 2, 100);
    struct conformance_end end = complete(&s);
    assert_error(-1, &end.err, ERR_EXISTS, "");
    upload_end(&s);
    conformance_assert_content(f, "ltx/0/parts", 2, 100);
}

void test_an_upload_that_is_given_up_leaves_nothing(void **state)
{
    struct conformance *f = *state;
    struct upload_scene s;

    upload_begin(&s, f);
    part_send(&s, 1);
    upload_end(&s);
    conformance_assert_nothing(f);
}

void test_completing_twice_tells_that_the_object_is_there(void **state)
{
    struct conformance *f = *state;
    struct upload_scene s;

    upload_begin(&s, f);
    for (unsigned number = 1; number <= 3; number++)
        part_send(&s, number);
    struct conformance_end end = complete(&s);
    assert_ok(end.err.code == ERR_NONE ? 0 : -1, &end.err);
    end = complete(&s);
    assert_error(-1, &end.err, ERR_EXISTS, "");
    conformance_assert_content(f, "ltx/0/parts", 1, object_bytes(f));
    upload_end(&s);
}
