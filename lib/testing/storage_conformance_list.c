/*
 * The promises about list and delete: order, completeness beyond a server's page of 1,000, exact
 * prefixes, and batches beyond a server's limit of keys.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/testing/storage_conformance_internal.h"

/* What a listing answered. */
struct listed {
    size_t count;
    size_t fail_at; /* on_object answers an error at this one; SIZE_MAX: never */
    char last[STORAGE_KEY_BYTES_MAX + 1];
    char first[STORAGE_KEY_BYTES_MAX + 1];
    uint64_t bytes;        /* of the last */
    uint64_t timestamp_ns; /* of the last */
    struct buf keys;       /* each with a newline */
    struct storage_op *op; /* canceled at the first object, if set */
    struct conformance_end end;
};

static int listed_on_object(void *arg, const struct storage_object *object, struct error *err)
{
    struct listed *l = arg;

    if (l->count == l->fail_at)
        return error_set(err, ERR_LIMIT, 0, "enough of listing");
    if (l->count == 0)
        (void)snprintf(l->first, sizeof(l->first), "%s", object->key);
    else
        assert_true(strcmp(object->key, l->last) > 0);
    (void)snprintf(l->last, sizeof(l->last), "%s", object->key);
    l->bytes = object->bytes;
    l->timestamp_ns = object->timestamp_ns;
    l->count++;
    if (l->op)
        storage_cancel(TAKE(l->op));
    return buf_append_str(&l->keys, object->key, err) < 0 ||
                   buf_append_byte(&l->keys, '\n', err) < 0
               ? -1
               : 0;
}

#define LISTED_INIT {.fail_at = SIZE_MAX, .keys = BUF_INIT(4 << 20)}

static void listed_destroy(struct listed *l)
{
    buf_destroy(&l->keys);
}

static void list_ok(struct conformance *f, const char *prefix, const char *start_after,
                    struct listed *l)
{
    struct error err = ERROR_INIT;
    const struct storage_list args = {.prefix = prefix,
                                      .start_after = start_after,
                                      .want_timestamps = true,
                                      .on_object = listed_on_object};

    assert_ok(storage_list_wait(f->st, &args, l, &err), &err);
}

static int list_once(struct storage *st, struct error *err)
{
    CLEANUP(listed_destroy) struct listed l = LISTED_INIT;
    const struct storage_list args = {.prefix = "", .on_object = listed_on_object};

    return storage_list_wait(st, &args, &l, err);
}

void test_listing_an_empty_prefix_finds_nothing(void **state)
{
    struct conformance *f = *state;
    CLEANUP(listed_destroy) struct listed l = LISTED_INIT;

    list_ok(f, "", NULL, &l);
    list_ok(f, "ltx/0/", NULL, &l);
    list_ok(f, "no", "nowhere", &l);
    assert_int_equal(l.count, 0);
}

void test_listing_a_missing_bucket_is_not_found(void **state)
{
    struct conformance *f = *state;
    struct error err = ERROR_INIT;
    struct storage *st = NULL;

    if (!f->setup->open_missing)
        test_skip("# %s has no missing bucket", f->setup->name);
    assert_ok(f->setup->open_missing(f->setup->arg, f->loop, &st, &err), &err);
    assert_error(list_once(st, &err), &err, ERR_NOT_FOUND, "");
    storage_free(st);
}

void test_listing_with_refused_credentials_is_an_access_error(void **state)
{
    struct conformance *f = *state;
    struct error err = ERROR_INIT;
    struct storage *st = NULL;

    if (!f->setup->open_refused)
        test_skip("# %s has no credentials", f->setup->name);
    assert_ok(f->setup->open_refused(f->setup->arg, f->loop, &st, &err), &err);
    assert_error(list_once(st, &err), &err, ERR_ACCESS, "");
    storage_free(st);
}

static void name_numbered(size_t idx, char out[static CONFORMANCE_KEY_BYTES])
{
    (void)snprintf(out, CONFORMANCE_KEY_BYTES, "%04x/%016zx-%016zx.ltx", idx % 2 ? 1 : 0, idx + 1,
                   idx + 1);
}

void test_a_listing_is_ordered_and_complete_beyond_a_page(void **state)
{
    struct conformance *f = *state;
    CLEANUP(listed_destroy) struct listed all = LISTED_INIT;
    CLEANUP(listed_destroy) struct listed level = LISTED_INIT;
    char key[CONFORMANCE_KEY_BYTES];
    size_t count = conformance_page_keys(f, 22);

    conformance_create_many(f, count, name_numbered);
    list_ok(f, "", NULL, &all);
    assert_int_equal(all.count, count);
    name_numbered(0, key);
    assert_string_equal(all.first, key);
    name_numbered(count - 1, key);
    assert_string_equal(all.last, key);
    /* One level, from its middle: also more than a page. */
    name_numbered(98, key);
    list_ok(f, "0000/", key, &level);
    assert_int_equal(level.count, count / 2 - 50);
}

static void create_each(struct conformance *f, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        conformance_create(f, keys[i], i, 10 + i);
}

void test_a_listing_starts_after_a_key(void **state)
{
    static const char *const keys[] = {"a/1", "a/2", "b/1", "c"};
    static const struct {
        const char *prefix, *start_after, *wanted;
    } rows[] = {
        {"", "", "a/1\na/2\nb/1\nc\n"},
        {"", "a/1", "a/2\nb/1\nc\n"},
        {"", "a/11", "a/2\nb/1\nc\n"},
        {"", "a", "a/1\na/2\nb/1\nc\n"},
        {"", "a/", "a/1\na/2\nb/1\nc\n"},
        {"", "a/3", "b/1\nc\n"},
        {"", "a0", "b/1\nc\n"},
        {"", "b/1", "c\n"},
        {"", "c", ""},
        {"a/", "a/1", "a/2\n"},
        {"a/", "b", ""},
        {"b", "a/2", "b/1\n"},
    };
    struct conformance *f = *state;

    create_each(f, keys, ARRAY_LEN(keys));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(listed_destroy) struct listed l = LISTED_INIT;
        test_row(rows[i].start_after);
        list_ok(f, rows[i].prefix, rows[i].start_after, &l);
        assert_string_equal(buf_str(&l.keys), rows[i].wanted);
    }
}

void test_a_prefix_matches_its_bytes_and_no_others(void **state)
{
    static const char *const keys[] = {"0000/x", "0001/x", "00010/x", "000/x", "0001x"};
    static const struct {
        const char *prefix, *wanted;
    } rows[] = {
        {"0001/", "0001/x\n"},
        {"0001", "0001/x\n00010/x\n0001x\n"},
        {"000", "000/x\n0000/x\n0001/x\n00010/x\n0001x\n"},
        {"000/", "000/x\n"},
        {"0001/x", "0001/x\n"},
        {"0001/xx", ""},
        {"0001/x/", ""},
        {"2", ""},
    };
    struct conformance *f = *state;

    create_each(f, keys, ARRAY_LEN(keys));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(listed_destroy) struct listed l = LISTED_INIT;
        test_row(rows[i].prefix);
        list_ok(f, rows[i].prefix, NULL, &l);
        assert_string_equal(buf_str(&l.keys), rows[i].wanted);
    }
}

void test_folders_sort_among_names_bytewise(void **state)
{
    /* '-' is less than '/', '0' is greater: "a/..." lies between. */
    static const char *const keys[] = {"a0", "a/z", "a-", "a-b/c", "a/b/c", "a/b-c", "A", "b!"};
    struct conformance *f = *state;
    CLEANUP(listed_destroy) struct listed l = LISTED_INIT;

    create_each(f, keys, ARRAY_LEN(keys));
    list_ok(f, "", NULL, &l);
    assert_string_equal(buf_str(&l.keys), "A\na-\na-b/c\na/b-c\na/b/c\na/z\na0\nb!\n");
}

void test_a_listing_tells_size_and_timestamp(void **state)
{
    struct conformance *f = *state;
    CLEANUP(listed_destroy) struct listed l = LISTED_INIT;

    conformance_create(f, "ltx/0/x", 1, 4711);
    list_ok(f, "ltx/", NULL, &l);
    assert_int_equal(l.count, 1);
    assert_int_equal(l.bytes, 4711);
    /* want_timestamps: exact also where that costs a request an object. */
    assert_int_equal(l.timestamp_ns, CONFORMANCE_TIMESTAMP_NS);
}

void test_an_error_of_on_object_ends_the_listing_with_it(void **state)
{
    static const char *const keys[] = {"a", "b", "c"};
    struct conformance *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(listed_destroy) struct listed l = LISTED_INIT;
    const struct storage_list args = {.prefix = "", .on_object = listed_on_object};

    create_each(f, keys, ARRAY_LEN(keys));
    l.fail_at = 1;
    assert_error(storage_list_wait(f->st, &args, &l, &err), &err, ERR_LIMIT, "enough of listing");
    assert_int_equal(l.count, 1);
}

static void listed_on_done(void *arg, const struct storage_result *result)
{
    struct listed *l = arg;

    conformance_on_done(&l->end, result);
}

void test_a_canceled_listing_ends_with_canceled(void **state)
{
    static const char *const keys[] = {"a", "b", "c"};
    struct conformance *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(listed_destroy) struct listed l = LISTED_INIT;
    const struct storage_list args = {.prefix = "", .on_object = listed_on_object};

    create_each(f, keys, ARRAY_LEN(keys));
    assert_ok(storage_list_start(f->st, &args, listed_on_done, &l, &l.op, &err), &err);
    storage_cancel(TAKE(l.op));
    conformance_run_until(f, &l.end.is_done);
    assert_int_equal(l.end.err.code, ERR_CANCELED);
    assert_int_equal(l.end.calls, 1);
    assert_int_equal(l.count, 0);
}

void test_deleting_a_missing_object_succeeds(void **state)
{
    static const char *const missing[] = {"nothing", "ltx/0/nothing", "x/y/z"};
    struct conformance *f = *state;
    struct error err = ERROR_INIT;

    assert_ok(storage_delete_wait(f->st, missing, ARRAY_LEN(missing), &err), &err);
    assert_ok(storage_delete_wait(f->st, missing, 0, &err), &err);
    conformance_create(f, "ltx/0/there", 1, 1);
    assert_ok(storage_delete_wait(f->st, missing, ARRAY_LEN(missing), &err), &err);
    conformance_assert_content(f, "ltx/0/there", 1, 1);
}

enum {
    BATCH_KEYS_MAX = 1500
};

struct batch {
    bool was_answered[BATCH_KEYS_MAX + 2];
    struct conformance_end end;
};

static void batch_on_key(void *arg, size_t key_idx, const struct error *err)
{
    struct batch *b = arg;

    assert_true(key_idx < ARRAY_LEN(b->was_answered));
    assert_false(b->was_answered[key_idx]);
    assert_int_equal(err->code, ERR_NONE);
    b->was_answered[key_idx] = true;
}

static void batch_on_done(void *arg, const struct storage_result *result)
{
    struct batch *b = arg;

    conformance_on_done(&b->end, result);
}

void test_a_batch_delete_removes_each_key_and_answers_for_it(void **state)
{
    struct conformance *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(listed_destroy) struct listed l = LISTED_INIT;
    size_t count = conformance_page_keys(f, 15);
    CLEANUP(mem_free) char *names = calloc(count + 2, CONFORMANCE_KEY_BYTES);
    CLEANUP(mem_free) const char **keys = calloc(count + 2, sizeof(*keys));
    struct batch b = {.end = {.is_done = false}};

    assert_true(names && keys && count <= BATCH_KEYS_MAX);
    conformance_create_many(f, count, name_numbered);
    conformance_create(f, "0001/kept", 7, 7);
    /* Two that were never there, at the front and at the end. */
    for (size_t i = 0; i < count + 2; i++) {
        keys[i] = names + i * CONFORMANCE_KEY_BYTES;
        name_numbered(i == 0           ? count + 5
                      : i == count + 1 ? count + 6
                                       : i - 1,
                      names + i * CONFORMANCE_KEY_BYTES);
    }
    const struct storage_delete args = {
        .keys = keys, .key_count = count + 2, .on_key = batch_on_key};
    assert_ok(storage_delete_start(f->st, &args, batch_on_done, &b, NULL, &err), &err);
    conformance_run_until(f, &b.end.is_done);
    assert_ok(b.end.err.code == ERR_NONE ? 0 : -1, &b.end.err);
    for (size_t i = 0; i < count + 2; i++)
        assert_true(b.was_answered[i]);
    list_ok(f, "", NULL, &l);
    assert_string_equal(buf_str(&l.keys), "0001/kept\n");
}
