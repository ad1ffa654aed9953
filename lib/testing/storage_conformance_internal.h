/*
 * What the cases of the conformance suite share: a fixture with a storage on an empty prefix,
 * contents that follow from a seed, and operations that fail the test with their own text.
 */
#ifndef WALFERRY_LIB_TESTING_STORAGE_CONFORMANCE_INTERNAL_H
#define WALFERRY_LIB_TESTING_STORAGE_CONFORMANCE_INTERNAL_H

#include "lib/storage/storage.h"
#include "lib/storage/storage_wait.h"
#include "lib/testing/storage_conformance.h"
#include "lib/testing/test.h"

enum {
    CONFORMANCE_PAGE_KEYS = 1000,
    CONFORMANCE_KEY_BYTES = 128
};

#define MIB ((size_t)1 << 20)

struct conformance {
    const struct storage_conformance_setup *setup;
    struct loop *loop;
    struct storage *st;
};

/* The moment that objects of the suite carry: with nanoseconds, as LTX headers have milliseconds.
 */
#define CONFORMANCE_TIMESTAMP_NS (UINT64_C(1795253825) * NS_PER_SEC + 123456789)

/* n bytes that follow from seed; the caller frees. */
uint8_t *conformance_bytes(uint64_t seed, size_t n);

/* Puts n bytes of seed. */
int conformance_put(struct conformance *f, const char *key, enum storage_put_mode mode,
                    uint64_t seed, size_t n, struct error *err);

/* As above, must succeed. */
void conformance_create(struct conformance *f, const char *key, uint64_t seed, size_t n);

/* Gets the whole object and asserts that it is n bytes of seed. */
void conformance_assert_content(struct conformance *f, const char *key, uint64_t seed, size_t n);

/* Keys that fill so many tenths of a page of a listing. */
size_t conformance_page_keys(const struct conformance *f, size_t tenths);

/* Creates count small objects named by name(idx), 16 at a time. */
void conformance_create_many(struct conformance *f, size_t count,
                             void (*name)(size_t idx, char out[static CONFORMANCE_KEY_BYTES]));

/* Runs the loop until *is_done. */
void conformance_run_until(struct conformance *f, const bool *is_done);

/* Keeps the outcome of an operation: is_done, code and text. */
struct conformance_end {
    bool is_done;
    unsigned calls;
    struct error err;
};
void conformance_on_done(void *arg, const struct storage_result *result);

/* on_object that asserts each key to be *arg, a const char **. */
int conformance_only_on_object(void *arg, const struct storage_object *object, struct error *err);

/* Asserts that a listing of everything finds no object. */
void conformance_assert_nothing(struct conformance *f);

/* ---- cases of storage_conformance_end.c ---- */

void test_a_put_that_fails_leaves_nothing(void **state);
void test_a_put_past_its_deadline_times_out(void **state);
void test_a_canceled_put_leaves_nothing_or_the_whole_object(void **state);
void test_a_get_canceled_in_its_callback_ends_with_canceled(void **state);
void test_an_error_of_on_data_ends_the_get_with_it(void **state);
void test_freeing_the_storage_ends_what_is_under_way(void **state);

/* ---- cases of storage_conformance_upload.c ---- */

void test_an_object_in_parts_appears_when_it_is_complete(void **state);
void test_completing_an_object_in_parts_refuses_a_taken_name(void **state);
void test_an_upload_that_is_given_up_leaves_nothing(void **state);
void test_completing_twice_tells_that_the_object_is_there(void **state);

/* ---- cases of storage_conformance_list.c ---- */

void test_listing_an_empty_prefix_finds_nothing(void **state);
void test_listing_a_missing_bucket_is_not_found(void **state);
void test_listing_with_refused_credentials_is_an_access_error(void **state);
void test_a_listing_is_ordered_and_complete_beyond_a_page(void **state);
void test_a_listing_starts_after_a_key(void **state);
void test_a_prefix_matches_its_bytes_and_no_others(void **state);
void test_folders_sort_among_names_bytewise(void **state);
void test_a_listing_tells_size_and_timestamp(void **state);
void test_an_error_of_on_object_ends_the_listing_with_it(void **state);
void test_a_canceled_listing_ends_with_canceled(void **state);
void test_deleting_a_missing_object_succeeds(void **state);
void test_a_batch_delete_removes_each_key_and_answers_for_it(void **state);

#endif
