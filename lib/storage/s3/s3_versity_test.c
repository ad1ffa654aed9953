/*
 * The driver against a real S3 server (versitygw: it checks signatures and honours preconditions).
 * Skipped, with the reason, where it is not built.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/probe.h"
#include "lib/storage/s3/request.h"
#include "lib/storage/storage_wait.h"
#include "lib/testing/server.h"
#include "lib/testing/test.h"

static const struct retry_policy quick_policy = {
    .base_ns = NS_PER_MS, .ceiling_ns = 10 * NS_PER_MS, .tries_max = 3};

/* One server and one loop for all tests; each test has a prefix of its own. */
static struct test_s3 server;
static char folder[256];
static struct loop *loop;
static bool has_server;

static int group_begin(void **state UNUSED)
{
    struct error err = ERROR_INIT;

    test_folder_make(folder);
    has_server = test_s3_start(&server, folder, TEST_S3_PLAIN);
    if (has_server)
        test_s3_bucket_make(&server, "bucket");
    return loop_new(env_real(), 4, &loop, &err);
}

static int group_end(void **state UNUSED)
{
    loop_free(loop);
    test_s3_stop(&server);
    test_folder_remove(folder);
    return 0;
}

static struct storage_s3_config config_of(const char *prefix)
{
    return (struct storage_s3_config){.endpoint = server.endpoint,
                                      .region = server.region,
                                      .bucket = "bucket",
                                      .prefix = prefix,
                                      .access_key_id = server.access_key,
                                      .secret_access_key = server.secret_key,
                                      .retry = &quick_policy};
}

static struct storage *storage_of(const struct storage_s3_config *config)
{
    struct error err = ERROR_INIT;
    struct storage *st = NULL;

    if (!has_server)
        test_skip("versitygw is not built: make peers");
    assert_ok(storage_s3_new(loop, config, &st, &err), &err);
    return st;
}

static struct storage *storage_at(const char *prefix)
{
    struct storage_s3_config config = config_of(prefix);

    return storage_of(&config);
}

static int text_put(struct storage *st, const char *key, const char *text,
                    enum storage_put_mode mode, struct error *err)
{
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;

    if (blob_of_slice(env_real(), slice_of_str(text), &body, err) < 0)
        return -1;
    const struct storage_put args = {
        .key = key, .body = &body, .mode = mode, .timestamp_ns = UINT64_C(1795253825250000000)};
    return storage_put_wait(st, &args, err);
}

struct listing {
    unsigned count;
    char last[STORAGE_KEY_BYTES_MAX + 1];
    uint64_t last_timestamp_ns;
    uint64_t bytes;
};

static int on_listed(void *arg, const struct storage_object *object, struct error *err)
{
    struct listing *listing = arg;

    if (strcmp(object->key, listing->last) <= 0)
        return error_set(err, ERR_CORRUPT, 0, "%s after %s", object->key, listing->last);
    (void)snprintf(listing->last, sizeof(listing->last), "%s", object->key);
    listing->last_timestamp_ns = object->timestamp_ns;
    listing->bytes += object->bytes;
    listing->count++;
    return 0;
}

static void test_what_was_put_is_read_back_whole_and_in_ranges(void **state UNUSED)
{
    struct storage *st = storage_at("/a//b/");
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);
    struct storage_object object = {.bytes = 0};
    char path[1024];

    assert_string_equal(storage_url(st), "s3://bucket/a/b");
    assert_ok(text_put(st, "0000/x y+z.ltx", "0123456789", STORAGE_PUT_CREATE, &err), &err);
    test_s3_object_path(&server, "bucket", "a/b/0000/x y+z.ltx", path);
    size_t n = 0;
    CLEANUP(mem_free) uint8_t *stored = test_file_read(path, &n);
    assert_int_equal(n, 10);
    assert_ok(storage_get_wait(st, "0000/x y+z.ltx", 0, 0, &got, &err), &err);
    assert_string_equal(buf_str(&got), "0123456789");
    buf_clear(&got);
    assert_ok(storage_get_wait(st, "0000/x y+z.ltx", 3, 4, &got, &err), &err);
    assert_string_equal(buf_str(&got), "3456");
    buf_clear(&got);
    assert_ok(storage_get_wait(st, "0000/x y+z.ltx", 8, 0, &got, &err), &err);
    assert_string_equal(buf_str(&got), "89");
    assert_ok(storage_head_wait(st, "0000/x y+z.ltx", &object, &err), &err);
    assert_int_equal(object.bytes, 10);
    assert_int_equal(object.timestamp_ns, UINT64_C(1795253825250000000));
    storage_free(st);
}

static void test_an_empty_object_is_stored_and_read(void **state UNUSED)
{
    struct storage *st = storage_at("empty");
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);

    assert_ok(text_put(st, "k", "", STORAGE_PUT_CREATE, &err), &err);
    assert_ok(storage_get_wait(st, "k", 0, 0, &got, &err), &err);
    assert_int_equal(got.n, 0);
    storage_free(st);
}

static void test_a_range_beyond_the_end_is_corrupt(void **state UNUSED)
{
    struct storage *st = storage_at("beyond");
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);

    assert_ok(text_put(st, "k", "0123456789", STORAGE_PUT_CREATE, &err), &err);
    assert_error(storage_get_wait(st, "k", 8, 4, &got, &err), &err, ERR_CORRUPT, "ends at 9");
    assert_error(storage_get_wait(st, "k", 20, 4, &got, &err), &err, ERR_CORRUPT, "416");
    assert_int_equal(got.n, 0);
    storage_free(st);
}

static void test_creating_never_replaces(void **state UNUSED)
{
    struct storage *st = storage_at("create");
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);

    assert_ok(text_put(st, "k", "first", STORAGE_PUT_CREATE, &err), &err);
    assert_error(text_put(st, "k", "second", STORAGE_PUT_CREATE, &err), &err, ERR_EXISTS, "412");
    assert_ok(storage_get_wait(st, "k", 0, 0, &got, &err), &err);
    assert_string_equal(buf_str(&got), "first");
    buf_clear(&got);
    assert_ok(text_put(st, "k", "third", STORAGE_PUT_OVERWRITE, &err), &err);
    assert_ok(storage_get_wait(st, "k", 0, 0, &got, &err), &err);
    assert_string_equal(buf_str(&got), "third");
    storage_free(st);
}

static void test_without_conditional_puts_the_driver_looks_first(void **state UNUSED)
{
    struct storage *st = storage_at("look");
    struct error err = ERROR_INIT;

    storage_set_can_create(st, false);
    assert_ok(text_put(st, "k", "first", STORAGE_PUT_CREATE, &err), &err);
    assert_error(text_put(st, "k", "second", STORAGE_PUT_CREATE, &err), &err, ERR_EXISTS, "taken");
    assert_int_equal(storage_counters(st)->op[STORAGE_OP_HEAD].requests, 2);
    assert_int_equal(storage_counters(st)->op[STORAGE_OP_PUT].requests, 1);
    storage_free(st);
}

static void test_what_is_missing_is_not_found(void **state UNUSED)
{
    struct storage *st = storage_at("missing");
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);
    struct storage_object object = {.bytes = 0};
    const char *const keys[] = {"nothing"};

    assert_error(storage_get_wait(st, "k", 0, 0, &got, &err), &err, ERR_NOT_FOUND, "NoSuchKey");
    assert_error(storage_head_wait(st, "k", &object, &err), &err, ERR_NOT_FOUND, "404");
    assert_ok(storage_delete_wait(st, keys, 1, &err), &err);
    storage_free(st);
}

static void test_bucket_secret_and_empty_prefix_are_three_answers(void **state UNUSED)
{
    struct storage_s3_config config = config_of("three");
    struct error err = ERROR_INIT;
    struct listing listing = {.count = 0};
    const struct storage_list all = {.prefix = "", .on_object = on_listed};
    struct storage *st = storage_of(&config);

    assert_ok(storage_list_wait(st, &all, &listing, &err), &err);
    assert_int_equal(listing.count, 0);
    storage_free(st);
    config.bucket = "no-such-bucket";
    st = storage_of(&config);
    assert_error(storage_list_wait(st, &all, &listing, &err), &err, ERR_NOT_FOUND, "NoSuchBucket");
    assert_non_null(strstr(err.hint, "no-such-bucket"));
    storage_free(st);
    config = config_of("three");
    config.secret_access_key = "CANARYcanaryCANARY";
    st = storage_of(&config);
    assert_error(storage_list_wait(st, &all, &listing, &err), &err, ERR_ACCESS,
                 "SignatureDoesNotMatch");
    assert_null(strstr(err.text, "CANARY"));
    storage_free(st);
}

static void test_a_missing_bucket_is_made_once(void **state UNUSED)
{
    struct storage_s3_config config = config_of("made");
    struct storage_probe_report report;
    struct error err = ERROR_INIT;

    config.bucket = "made-bucket";
    struct storage *st = storage_of(&config);
    assert_ok(storage_probe_wait(st, false, &report, &err), &err);
    assert_string_equal(storage_probe_reason(&report), "BucketMissing");
    assert_false(report.has_made);
    assert_ok(storage_probe_wait(st, true, &report, &err), &err);
    assert_string_equal(storage_probe_reason(&report), "Available");
    assert_true(report.has_made);
    assert_ok(storage_make_wait(st, &err), &err); /* it is there, and ours */
    assert_ok(storage_probe_wait(st, true, &report, &err), &err);
    assert_false(report.has_made);
    storage_free(st);
    config.secret_access_key = "another";
    config.bucket = "another-bucket";
    st = storage_of(&config);
    assert_ok(storage_probe_wait(st, true, &report, &err), &err);
    assert_string_equal(storage_probe_reason(&report), "AuthFailed");
    storage_free(st);
}

static void many_put(struct storage *st, unsigned count)
{
    struct error err = ERROR_INIT;
    char path[1024];

    /* The first through the server, the others beside it: a thousand files in a blink. */
    assert_ok(text_put(st, "0000/0000", "x", STORAGE_PUT_CREATE, &err), &err);
    for (unsigned i = 1; i < count; i++) {
        char key[64];
        (void)snprintf(key, sizeof(key), "many/0000/%04u", i);
        test_s3_object_path(&server, "bucket", key, path);
        test_file_write(path, SLICE_LIT("xy"));
    }
}

static void test_listing_and_deleting_go_beyond_a_page(void **state UNUSED)
{
    enum {
        COUNT = 2345
    };
    struct storage *st = storage_at("many");
    struct error err = ERROR_INIT;
    struct listing listing = {.count = 0};
    struct storage_list args = {.prefix = "0000/", .on_object = on_listed};
    static char texts[COUNT][16];
    static const char *keys[COUNT];

    many_put(st, COUNT);
    assert_ok(storage_list_wait(st, &args, &listing, &err), &err);
    assert_int_equal(listing.count, COUNT);
    assert_int_equal(listing.bytes, 2 * COUNT - 1);
    listing = (struct listing){.count = 0};
    args.start_after = "0000/2300";
    assert_ok(storage_list_wait(st, &args, &listing, &err), &err);
    assert_int_equal(listing.count, COUNT - 2301);
    for (unsigned i = 0; i < COUNT; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "0000/%04u", i);
        keys[i] = texts[i];
    }
    assert_ok(storage_delete_wait(st, keys, COUNT, &err), &err);
    assert_int_equal(storage_counters(st)->op[STORAGE_OP_DELETE].requests, 3);
    listing = (struct listing){.count = 0};
    args.start_after = NULL;
    assert_ok(storage_list_wait(st, &args, &listing, &err), &err);
    assert_int_equal(listing.count, 0);
    storage_free(st);
}

static void test_a_listing_answers_the_moments_that_were_stored(void **state UNUSED)
{
    struct storage *st = storage_at("moments");
    struct error err = ERROR_INIT;
    struct listing listing = {.count = 0};
    const struct storage_list args = {
        .prefix = "", .on_object = on_listed, .want_timestamps = true};

    for (int i = 0; i < 40; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "k%02d", i);
        assert_ok(text_put(st, key, "x", STORAGE_PUT_CREATE, &err), &err);
    }
    assert_ok(storage_list_wait(st, &args, &listing, &err), &err);
    assert_int_equal(listing.count, 40);
    assert_int_equal(listing.last_timestamp_ns, UINT64_C(1795253825250000000));
    storage_free(st);
}

static void big_make(struct blob *out, size_t n)
{
    struct error err = ERROR_INIT;
    CLEANUP(mem_free) uint8_t *p = malloc(n);

    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 31 + (i >> 16));
    assert_ok(blob_of_slice(env_real(), slice_of(p, n), out, &err), &err);
}

static void test_a_large_object_is_stored_in_parts_once(void **state UNUSED)
{
    struct storage *st = storage_at("large");
    struct error err = ERROR_INIT;
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(16 << 20);
    struct storage_object object = {.bytes = 0};

    big_make(&body, 12 << 20);
    const struct storage_put args = {.key = "k",
                                     .body = &body,
                                     .mode = STORAGE_PUT_CREATE,
                                     .timestamp_ns = UINT64_C(1795253825250000000)};
    assert_ok(storage_put_wait(st, &args, &err), &err);
    assert_int_equal(storage_counters(st)->op[STORAGE_OP_PUT].requests, 5);
    assert_ok(storage_get_wait(st, "k", 0, 0, &got, &err), &err);
    assert_int_equal(got.n, body.bytes);
    assert_memory_equal(got.p, body.p, got.n);
    assert_ok(storage_head_wait(st, "k", &object, &err), &err);
    assert_int_equal(object.bytes, 12 << 20);
    assert_int_equal(object.timestamp_ns, UINT64_C(1795253825250000000));
    assert_error(storage_put_wait(st, &args, &err), &err, ERR_EXISTS, "412");
    storage_free(st);
}

struct ended {
    bool is_done;
    struct error err;
    uint64_t bytes;
};

static void on_ended(void *arg, const struct storage_result *result)
{
    struct ended *ended = arg;

    ended->is_done = true;
    ended->err = *result->err;
    ended->bytes = result->bytes;
}

/* Begins a multipart upload and forgets it. */
static void upload_forget(struct storage *st)
{
    struct error err = ERROR_INIT;
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;
    struct ended ended = {.is_done = false};
    struct storage_op *op = NULL;

    big_make(&body, 12 << 20);
    const struct storage_put args = {.key = "k", .body = &body, .mode = STORAGE_PUT_CREATE};
    assert_ok(storage_put_start(st, &args, on_ended, &ended, &op, &err), &err);
    uint64_t before = storage_counters(st)->op[STORAGE_OP_PUT].requests;
    while (storage_counters(st)->op[STORAGE_OP_PUT].requests < before + 2)
        (void)uv_run(loop_uv(loop), UV_RUN_ONCE);
    storage_free(st); /* as a process that dies: nothing is aborted */
    assert_true(ended.is_done);
    assert_int_equal(ended.err.code, ERR_CANCELED);
}

static void test_forgotten_uploads_are_aborted(void **state UNUSED)
{
    struct storage *st = storage_at("forgotten");
    struct error err = ERROR_INIT;
    struct ended ended = {.is_done = false};

    upload_forget(st);
    st = storage_at("forgotten");
    assert_ok(storage_s3_abort_stale_uploads_start(st, 1, on_ended, &ended, NULL, &err), &err);
    assert_true(loop_run_until(loop, &ended.is_done));
    assert_ok(ended.err.code == ERR_NONE ? 0 : -1, &ended.err);
    assert_int_equal(ended.bytes, 0); /* none is that old */
    ended.is_done = false;
    uint64_t later_ns = env_wall_ns(env_real()) + NS_PER_HOUR;
    assert_ok(storage_housekeep_start(st, later_ns, on_ended, &ended, NULL, &err), &err);
    assert_true(loop_run_until(loop, &ended.is_done));
    assert_ok(ended.err.code == ERR_NONE ? 0 : -1, &ended.err);
    assert_int_equal(ended.bytes, 1);
    storage_free(st);
}

static void test_a_canceled_upload_leaves_nothing_behind(void **state UNUSED)
{
    struct storage *st = storage_at("canceled");
    struct error err = ERROR_INIT;
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;
    struct ended ended = {.is_done = false};
    struct storage_op *op = NULL;

    big_make(&body, 12 << 20);
    const struct storage_put args = {.key = "k", .body = &body, .mode = STORAGE_PUT_CREATE};
    assert_ok(storage_put_start(st, &args, on_ended, &ended, &op, &err), &err);
    while (storage_counters(st)->op[STORAGE_OP_PUT].requests < 3)
        (void)uv_run(loop_uv(loop), UV_RUN_ONCE);
    storage_cancel(op);
    assert_false(ended.is_done);
    assert_true(loop_run_until(loop, &ended.is_done));
    assert_int_equal(ended.err.code, ERR_CANCELED);
    struct s3_store *store = s3_store_of(st);
    while (store->ops) /* the abort, which nobody waits for */
        (void)uv_run(loop_uv(loop), UV_RUN_ONCE);
    ended.is_done = false;
    uint64_t later_ns = env_wall_ns(env_real()) + NS_PER_HOUR;
    assert_ok(storage_s3_abort_stale_uploads_start(st, later_ns, on_ended, &ended, NULL, &err),
              &err);
    assert_true(loop_run_until(loop, &ended.is_done));
    assert_ok(ended.err.code == ERR_NONE ? 0 : -1, &ended.err);
    assert_int_equal(ended.bytes, 0);
    storage_free(st);
}

static void test_an_unsigned_payload_is_accepted(void **state UNUSED)
{
    struct storage_s3_config config = config_of("unsigned");
    struct error err = ERROR_INIT;

    config.sign_payload = S3_CHOICE_NO;
    struct storage *st = storage_of(&config);
    assert_ok(text_put(st, "k", "x", STORAGE_PUT_CREATE, &err), &err);
    storage_free(st);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_what_was_put_is_read_back_whole_and_in_ranges),
        TEST(test_an_empty_object_is_stored_and_read),
        TEST(test_a_range_beyond_the_end_is_corrupt),
        TEST(test_creating_never_replaces),
        TEST(test_without_conditional_puts_the_driver_looks_first),
        TEST(test_what_is_missing_is_not_found),
        TEST(test_bucket_secret_and_empty_prefix_are_three_answers),
        TEST(test_a_missing_bucket_is_made_once),
        TEST(test_listing_and_deleting_go_beyond_a_page),
        TEST(test_a_listing_answers_the_moments_that_were_stored),
        TEST(test_a_large_object_is_stored_in_parts_once),
        TEST(test_forgotten_uploads_are_aborted),
        TEST(test_a_canceled_upload_leaves_nothing_behind),
        TEST(test_an_unsigned_payload_is_accepted),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, group_begin, group_end);
}
