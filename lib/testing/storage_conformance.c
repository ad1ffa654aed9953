/*
 * The promises about put, get and head, and the fixture of all cases. The measure for each is a
 * sentence of lib/storage/storage.h.
 */
#include "lib/testing/storage_conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/probe.h"
#include "lib/testing/storage_conformance_internal.h"

enum {
    WORKERS = 4,
    CONCURRENT_CREATES = 20,
    MANY_SLOTS = 16,
};

static const struct storage_conformance_setup *current_setup; /* of the group that runs */

/* ---- fixture ---- */

static int fixture_setup(void **state)
{
    struct error err = ERROR_INIT;
    struct conformance *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->setup = current_setup;
    assert_ok(loop_new(env_real(), WORKERS, &f->loop, &err), &err);
    assert_ok(f->setup->open(f->setup->arg, f->loop, &f->st, &err), &err);
    *state = f;
    return 0;
}

static int fixture_teardown(void **state)
{
    struct conformance *f = *state;

    storage_free(f->st);
    loop_run(f->loop); /* jobs of operations that were still going on */
    loop_free(f->loop);
    if (f->setup->close)
        f->setup->close(f->setup->arg);
    free(f);
    return 0;
}

uint8_t *conformance_bytes(uint64_t seed, size_t n)
{
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    uint8_t *p = malloc(n + 1);

    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        p[i] = (uint8_t)x;
    }
    return p;
}

void conformance_run_until(struct conformance *f, const bool *is_done)
{
    assert_true(loop_run_until(f->loop, is_done));
}

void conformance_on_done(void *arg, const struct storage_result *result)
{
    struct conformance_end *end = arg;

    end->err = *result->err;
    end->calls++;
    end->is_done = true;
}

int conformance_put(struct conformance *f, const char *key, enum storage_put_mode mode,
                    uint64_t seed, size_t n, struct error *err)
{
    CLEANUP(mem_free) uint8_t *bytes = conformance_bytes(seed, n);
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;

    assert_ok(blob_of_slice(env_real(), slice_of(bytes, n), &body, err), err);
    const struct storage_put args = {
        .key = key, .body = &body, .mode = mode, .timestamp_ns = CONFORMANCE_TIMESTAMP_NS};
    return storage_put_wait(f->st, &args, err);
}

void conformance_create(struct conformance *f, const char *key, uint64_t seed, size_t n)
{
    struct error err = ERROR_INIT;

    assert_ok(conformance_put(f, key, STORAGE_PUT_CREATE, seed, n, &err), &err);
}

void conformance_assert_content(struct conformance *f, const char *key, uint64_t seed, size_t n)
{
    struct error err = ERROR_INIT;
    CLEANUP(mem_free) uint8_t *wanted = conformance_bytes(seed, n);
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(64 << 20);

    assert_ok(storage_get_wait(f->st, key, 0, 0, &got, &err), &err);
    assert_int_equal(got.n, n);
    if (n > 0)
        assert_memory_equal(got.p, wanted, n);
}

int conformance_only_on_object(void *arg, const struct storage_object *object,
                               struct error *err UNUSED)
{
    const char **wanted = arg;

    assert_string_equal(object->key, *wanted);
    return 0;
}

void conformance_assert_nothing(struct conformance *f)
{
    struct error err = ERROR_INIT;
    const char *wanted = "no object at all";
    const struct storage_list list = {.prefix = "", .on_object = conformance_only_on_object};

    assert_ok(storage_list_wait(f->st, &list, &wanted, &err), &err);
}

/* ---- many small objects ---- */

struct many_slot {
    struct many *many;
    struct blob body;
    char key[CONFORMANCE_KEY_BYTES];
};

struct many {
    struct conformance *f;
    void (*name)(size_t idx, char out[static CONFORMANCE_KEY_BYTES]);
    size_t next;
    size_t count;
    size_t ended;
    bool is_done;
    struct many_slot slot[MANY_SLOTS];
};

static void many_next(struct many_slot *slot);

static void many_on_done(void *arg, const struct storage_result *result)
{
    struct many_slot *slot = arg;
    struct many *many = slot->many;

    assert_ok(result->err->code == ERR_NONE ? 0 : -1, result->err);
    blob_destroy(&slot->body);
    many->ended++;
    many->is_done = many->ended == many->count;
    many_next(slot);
}

static void many_next(struct many_slot *slot)
{
    struct many *many = slot->many;
    struct error err = ERROR_INIT;

    if (many->next == many->count)
        return;
    many->name(many->next++, slot->key);
    assert_ok(blob_of_slice(env_real(), slice_of_str(slot->key), &slot->body, &err), &err);
    const struct storage_put args = {.key = slot->key,
                                     .body = &slot->body,
                                     .mode = STORAGE_PUT_CREATE,
                                     .timestamp_ns = CONFORMANCE_TIMESTAMP_NS};
    assert_ok(storage_put_start(many->f->st, &args, many_on_done, slot, NULL, &err), &err);
}

size_t conformance_page_keys(const struct conformance *f, size_t tenths)
{
    size_t page = f->setup->page_keys ? f->setup->page_keys : CONFORMANCE_PAGE_KEYS;

    return page * tenths / 10;
}

void conformance_create_many(struct conformance *f, size_t count,
                             void (*name)(size_t idx, char out[static CONFORMANCE_KEY_BYTES]))
{
    struct many many = {.f = f, .name = name, .count = count};

    for (size_t i = 0; i < MANY_SLOTS; i++) {
        many.slot[i] = (struct many_slot){.many = &many, .body = BLOB_INIT};
        many_next(&many.slot[i]);
    }
    conformance_run_until(f, &many.is_done);
}

/* ---- put, get, head ---- */

static void test_get_and_head_of_a_missing_object_are_not_found(void **state)
{
    static const char *const keys[] = {"nothing", "ltx/0/nothing", "there/below"};
    struct conformance *f = *state;
    struct storage_object object;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);

    conformance_create(f, "there", 1, 1);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct error err = ERROR_INIT;
        test_row(keys[i]);
        assert_error(storage_get_wait(f->st, keys[i], 0, 0, &got, &err), &err, ERR_NOT_FOUND, "");
        assert_error(storage_get_wait(f->st, keys[i], 5, 5, &got, &err), &err, ERR_NOT_FOUND, "");
        assert_error(storage_head_wait(f->st, keys[i], &object, &err), &err, ERR_NOT_FOUND, "");
    }
}

static void test_objects_of_every_size_are_read_back_as_they_were_put(void **state)
{
    static const size_t sizes[] = {0,           1,
                                   100,         4095,
                                   4096,        4097,
                                   65536,       256 * 1024 - 1,
                                   256 * 1024,  256 * 1024 + 1,
                                   5 * MIB - 1, 5 * MIB,
                                   5 * MIB + 1, 12 * MIB};
    struct conformance *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct error err = ERROR_INIT;
        struct storage_object object;
        char key[64];
        (void)snprintf(key, sizeof(key), "size/%zu", sizes[i]);
        test_row(key);
        conformance_create(f, key, i, sizes[i]);
        conformance_assert_content(f, key, i, sizes[i]);
        assert_ok(storage_head_wait(f->st, key, &object, &err), &err);
        assert_int_equal(object.bytes, sizes[i]);
        assert_int_equal(object.timestamp_ns, CONFORMANCE_TIMESTAMP_NS);
    }
}

static void test_odd_names_are_kept(void **state)
{
    static char longest[STORAGE_KEY_BYTES_MAX + 1];
    static const char *const keys[] = {
        "a b",
        " leading and trailing ",
        "100%",
        "%41",
        "%2F",
        "%2e%2e",
        "a+b=c",
        "a&b?c#d",
        "tilde~star*bang!",
        "quotes'\"`",
        "brackets(){}[]<>",
        "back\\slash",
        "comma,semi;colon:at@dollar$hat^pipe|",
        ".hidden",
        "x.",
        "-dash",
        "name.tmp",
        "UPPER and lower",
        "deep/er/and/deep/er/still/x",
        longest,
    };
    struct conformance *f = *state;

    for (size_t i = 0; i < STORAGE_KEY_BYTES_MAX; i++)
        longest[i] = i % 100 == 99 ? '/' : 'k';
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct error err = ERROR_INIT;
        const char *const one[] = {keys[i]};
        const char *wanted = keys[i];
        const struct storage_list list = {.prefix = keys[i],
                                          .on_object = conformance_only_on_object};
        test_row(keys[i]);
        if (f->setup->cannot_hold && f->setup->cannot_hold(keys[i])) {
            print_message("# %s cannot hold \"%s\"\n", f->setup->name, keys[i]);
            continue;
        }
        conformance_create(f, keys[i], i, 50);
        conformance_assert_content(f, keys[i], i, 50);
        assert_ok(storage_list_wait(f->st, &list, &wanted, &err), &err);
        assert_error(conformance_put(f, keys[i], STORAGE_PUT_CREATE, i, 1, &err), &err, ERR_EXISTS,
                     "");
        assert_ok(storage_delete_wait(f->st, one, 1, &err), &err);
    }
}

static void test_bad_keys_are_refused_at_the_start(void **state)
{
    static char too_long[STORAGE_KEY_BYTES_MAX + 2];
    static const char *const keys[] = {
        "",    "/a",    "a/",  "a//b", "..",   "../a", "a/..",     "a/../b", "a..b",   ".",
        "./a", "a/./b", "a/.", "a\nb", "a\tb", "\x7f", "\xc3\xa4", "a\xff",  too_long,
    };
    struct conformance *f = *state;
    struct storage_object object;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);

    memset(too_long, 'k', sizeof(too_long) - 1);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct error err = ERROR_INIT;
        const char *const one[] = {keys[i]};
        test_row(keys[i]);
        assert_error(conformance_put(f, keys[i], STORAGE_PUT_CREATE, 1, 1, &err), &err, ERR_USAGE,
                     "key");
        assert_error(storage_get_wait(f->st, keys[i], 0, 0, &got, &err), &err, ERR_USAGE, "key");
        assert_error(storage_head_wait(f->st, keys[i], &object, &err), &err, ERR_USAGE, "key");
        assert_error(storage_delete_wait(f->st, one, 1, &err), &err, ERR_USAGE, "key");
    }
}

static void test_ranges_answer_exactly_their_bytes(void **state)
{
    static const struct {
        uint64_t offset, bytes, wanted;
    } rows[] = {
        {0, 1, 1},           {0, 100, 100},  {999999, 1, 1},           {999999, 0, 1},
        {500000, 0, 500000}, {262143, 2, 2}, {123456, 654321, 654321}, {0, 1000000, 1000000},
    };
    struct conformance *f = *state;
    CLEANUP(mem_free) uint8_t *whole = conformance_bytes(3, 1000000);

    conformance_create(f, "ranges", 3, 1000000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        CLEANUP(buf_destroy) struct buf got = BUF_INIT(MIB);
        assert_ok(storage_get_wait(f->st, "ranges", rows[i].offset, rows[i].bytes, &got, &err),
                  &err);
        assert_int_equal(got.n, rows[i].wanted);
        assert_memory_equal(got.p, whole + rows[i].offset, got.n);
    }
}

static void test_a_range_beyond_the_end_is_corrupt(void **state)
{
    static const struct {
        uint64_t offset, bytes;
    } rows[] = {{999, 2}, {1000, 1}, {1001, 0}, {5000, 10}, {0, 1001}, {1, UINT64_MAX}};
    struct conformance *f = *state;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(MIB);

    conformance_create(f, "short", 3, 1000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        char row[64];
        (void)snprintf(row, sizeof(row), "%llu+%llu", (unsigned long long)rows[i].offset,
                       (unsigned long long)rows[i].bytes);
        test_row(row);
        assert_error(storage_get_wait(f->st, "short", rows[i].offset, rows[i].bytes, &got, &err),
                     &err, ERR_CORRUPT, "");
        assert_int_equal(got.n, 0);
    }
}

static void test_create_refuses_a_taken_name_and_changes_nothing(void **state)
{
    static const size_t sizes[] = {0, 10, 1000, 6 * MIB};
    struct conformance *f = *state;

    conformance_create(f, "ltx/0/taken", 1, 1000);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct error err = ERROR_INIT;
        assert_error(conformance_put(f, "ltx/0/taken", STORAGE_PUT_CREATE, 2, sizes[i], &err), &err,
                     ERR_EXISTS, "ltx/0/taken");
    }
    conformance_assert_content(f, "ltx/0/taken", 1, 1000);
}

struct creator {
    struct blob body;
    struct conformance_end end;
    bool *is_done;
    unsigned *rest;
};

static void creator_on_done(void *arg, const struct storage_result *result)
{
    struct creator *c = arg;

    conformance_on_done(&c->end, result);
    *c->is_done = --*c->rest == 0;
}

static void test_exactly_one_of_many_concurrent_creates_wins(void **state)
{
    struct conformance *f = *state;
    struct creator creators[CONCURRENT_CREATES] = {0};
    unsigned rest = CONCURRENT_CREATES;
    unsigned winner = CONCURRENT_CREATES;
    bool is_done = false;

    if (f->setup->cannot_create)
        test_skip("# %s cannot create conditionally", f->setup->name);
    for (unsigned i = 0; i < CONCURRENT_CREATES; i++) {
        struct error err = ERROR_INIT;
        struct creator *c = &creators[i];
        CLEANUP(mem_free) uint8_t *bytes = conformance_bytes(i, 5000);
        c->is_done = &is_done;
        c->rest = &rest;
        assert_ok(blob_of_slice(env_real(), slice_of(bytes, 5000), &c->body, &err), &err);
        const struct storage_put args = {.key = "ltx/0/one",
                                         .body = &c->body,
                                         .mode = STORAGE_PUT_CREATE,
                                         .timestamp_ns = CONFORMANCE_TIMESTAMP_NS};
        assert_ok(storage_put_start(f->st, &args, creator_on_done, c, NULL, &err), &err);
    }
    conformance_run_until(f, &is_done);
    for (unsigned i = 0; i < CONCURRENT_CREATES; i++) {
        struct creator *c = &creators[i];
        assert_int_equal(c->end.calls, 1);
        if (c->end.err.code == ERR_NONE) {
            assert_int_equal(winner, CONCURRENT_CREATES);
            winner = i;
        } else {
            assert_error(-1, &c->end.err, ERR_EXISTS, "");
        }
        blob_destroy(&c->body);
    }
    assert_true(winner < CONCURRENT_CREATES);
    conformance_assert_content(f, "ltx/0/one", winner, 5000);
}

static void test_overwrite_replaces_the_whole_object(void **state)
{
    static const size_t sizes[] = {1000, 10, 6 * MIB, 0, 1};
    struct conformance *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct error err = ERROR_INIT;
        assert_ok(conformance_put(f, "lock.json", STORAGE_PUT_OVERWRITE, i, sizes[i], &err), &err);
        conformance_assert_content(f, "lock.json", i, sizes[i]);
    }
}

static void test_a_second_storage_sees_what_the_first_put(void **state)
{
    struct conformance *f = *state;
    struct error err = ERROR_INIT;
    struct storage *again = NULL;

    if (!f->setup->open_again)
        test_skip("# %s has no second storage", f->setup->name);
    assert_ok(f->setup->open_again(f->setup->arg, f->loop, &again, &err), &err);
    struct conformance second = {.setup = f->setup, .loop = f->loop, .st = again};
    conformance_create(f, "ltx/0/first", 1, 100);
    conformance_assert_content(&second, "ltx/0/first", 1, 100);
    assert_error(conformance_put(&second, "ltx/0/first", STORAGE_PUT_CREATE, 2, 100, &err), &err,
                 ERR_EXISTS, "");
    storage_free(again);
}

/* ---- the rest ---- */

static void test_counters_count_requests_and_bytes(void **state)
{
    struct conformance *f = *state;
    const struct storage_counters *c = storage_counters(f->st);

    conformance_create(f, "counted", 1, 1000);
    conformance_assert_content(f, "counted", 1, 1000);
    assert_true(c->op[STORAGE_OP_PUT].requests >= 1);
    assert_true(c->op[STORAGE_OP_PUT].bytes >= 1000);
    assert_true(c->op[STORAGE_OP_GET].requests >= 1);
    assert_true(c->op[STORAGE_OP_GET].bytes >= 1000);
    assert_int_equal(c->op[STORAGE_OP_PUT].errors, 0);
    assert_int_equal(c->op[STORAGE_OP_DELETE].requests, 0);
}

static void test_a_probe_finds_every_promise_kept(void **state)
{
    struct conformance *f = *state;
    struct error err = ERROR_INIT;
    struct storage_probe_report report = {.can_create = false};

    assert_ok(storage_probe_wait(f->st, false, &report, &err), &err);
    assert_ok(report.first.code == ERR_NONE ? 0 : -1, &report.first);
    assert_int_equal(report.can_create, !f->setup->cannot_create);
    assert_int_equal(report.why_no_create.code != ERR_NONE, f->setup->cannot_create);
    conformance_assert_nothing(f);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int storage_conformance_run(const struct storage_conformance_setup *setup)
{
    static const struct CMUnitTest cases[] = {
        CASE(test_listing_an_empty_prefix_finds_nothing),
        CASE(test_listing_a_missing_bucket_is_not_found),
        CASE(test_listing_with_refused_credentials_is_an_access_error),
        CASE(test_get_and_head_of_a_missing_object_are_not_found),
        CASE(test_objects_of_every_size_are_read_back_as_they_were_put),
        CASE(test_odd_names_are_kept),
        CASE(test_bad_keys_are_refused_at_the_start),
        CASE(test_ranges_answer_exactly_their_bytes),
        CASE(test_a_range_beyond_the_end_is_corrupt),
        CASE(test_create_refuses_a_taken_name_and_changes_nothing),
        CASE(test_exactly_one_of_many_concurrent_creates_wins),
        CASE(test_overwrite_replaces_the_whole_object),
        CASE(test_a_second_storage_sees_what_the_first_put),
        CASE(test_a_put_that_fails_leaves_nothing),
        CASE(test_a_put_past_its_deadline_times_out),
        CASE(test_a_canceled_put_leaves_nothing_or_the_whole_object),
        CASE(test_a_get_canceled_in_its_callback_ends_with_canceled),
        CASE(test_an_error_of_on_data_ends_the_get_with_it),
        CASE(test_freeing_the_storage_ends_what_is_under_way),
        CASE(test_an_object_in_parts_appears_when_it_is_complete),
        CASE(test_completing_an_object_in_parts_refuses_a_taken_name),
        CASE(test_an_upload_that_is_given_up_leaves_nothing),
        CASE(test_completing_twice_tells_that_the_object_is_there),
        CASE(test_counters_count_requests_and_bytes),
        CASE(test_a_probe_finds_every_promise_kept),
        CASE(test_a_listing_is_ordered_and_complete_beyond_a_page),
        CASE(test_a_listing_starts_after_a_key),
        CASE(test_a_prefix_matches_its_bytes_and_no_others),
        CASE(test_folders_sort_among_names_bytewise),
        CASE(test_a_listing_tells_size_and_timestamp),
        CASE(test_an_error_of_on_object_ends_the_listing_with_it),
        CASE(test_a_canceled_listing_ends_with_canceled),
        CASE(test_deleting_a_missing_object_succeeds),
        CASE(test_a_batch_delete_removes_each_key_and_answers_for_it),
    };

    current_setup = setup;
    return test_main_run(cases, ARRAY_LEN(cases), setup->name);
}
