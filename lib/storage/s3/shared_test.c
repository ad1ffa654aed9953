/*
 * What stores of a loop share, and what they must not: other certificates, other keys, other hosts,
 * other loops.
 */
#include "lib/storage/s3/shared.h"

#include <dirent.h>

#include "lib/storage/s3/s3.h"
#include "lib/storage/s3/s3_script.h"
#include "lib/storage/storage_wait.h"
#include "lib/testing/test.h"

enum {
    FLEET = 100
};

static struct loop *new_loop(void)
{
    struct error err = ERROR_INIT;
    struct loop *made = NULL;

    assert_ok(loop_new(env_real(), 1, &made, &err), &err);
    return made;
}

static struct http_client *client_of(struct loop *loop, const char *ca_file, bool skip_verify)
{
    const struct s3_client_config config = {.ca_file = ca_file, .skip_verify = skip_verify};
    struct http_client *client = NULL;
    struct error err = ERROR_INIT;

    assert_ok(s3_shared_client_take(loop, &config, &client, &err), &err);
    return client;
}

static void test_a_client_is_shared_by_equal_settings_of_a_loop_only(void **state UNUSED)
{
    struct loop *loop = new_loop();
    struct loop *other_loop = new_loop();
    struct http_client *a = client_of(loop, NULL, false);
    struct http_client *b = client_of(loop, "", false);
    struct http_client *skipping = client_of(loop, NULL, true);
    struct http_client *elsewhere = client_of(other_loop, NULL, false);

    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, skipping);
    assert_ptr_not_equal(a, elsewhere);
    s3_shared_client_drop(a);
    struct http_client *c = client_of(loop, NULL, false); /* b still holds it */
    assert_ptr_equal(b, c);
    s3_shared_client_drop(b);
    s3_shared_client_drop(c);
    s3_shared_client_drop(skipping);
    s3_shared_client_drop(elsewhere);
    s3_shared_client_drop(NULL);
    loop_free(loop);
    loop_free(other_loop);
}

static struct s3_credentials_chain *chain_of(struct loop *loop, const char *id, const char *secret,
                                             const char *region)
{
    const struct s3_credentials_config config = {
        .access_key_id = id, .secret_access_key = secret, .region = region};
    struct s3_credentials_chain *chain = NULL;
    struct error err = ERROR_INIT;

    assert_ok(s3_shared_credentials_take(loop, &config, &chain, &err), &err);
    return chain;
}

static void test_credentials_are_shared_by_equal_settings_only(void **state UNUSED)
{
    struct loop *loop = new_loop();
    struct s3_credentials_chain *chains[] = {
        chain_of(loop, "AK", "SECRET", "eu"),  chain_of(loop, "AK", "SECRET", "eu"),
        chain_of(loop, "AKS", "ECRET", "eu"),  chain_of(loop, "AK", "SECRET", "us"),
        chain_of(loop, "AK", "SECRETS", "eu"), chain_of(loop, NULL, NULL, "eu"),
    };

    assert_ptr_equal(chains[0], chains[1]);
    for (size_t i = 1; i < ARRAY_LEN(chains); i++) {
        for (size_t j = i + 1; j < ARRAY_LEN(chains); j++)
            assert_ptr_not_equal(chains[i], chains[j]);
    }
    for (size_t i = 0; i < ARRAY_LEN(chains); i++)
        s3_shared_credentials_drop(chains[i]);
    loop_free(loop);
}

static void test_what_cannot_be_made_is_not_kept(void **state UNUSED)
{
    struct loop *loop = new_loop();
    const struct s3_client_config config = {.ca_file = "/nowhere/ca.pem"};
    struct http_client *client = NULL;
    struct error err = ERROR_INIT;

    for (unsigned i = 0; i < 2; i++) {
        error_clear(&err);
        assert_error(s3_shared_client_take(loop, &config, &client, &err), &err, ERR_USAGE,
                     "/nowhere/ca.pem");
        assert_null(client);
    }
    loop_free(loop);
}

static size_t descriptor_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    assert_int_equal(closedir(dir), 0);
    return count;
}

static struct storage *store_of(struct loop *loop, const char *endpoint)
{
    const struct storage_s3_config config = {.endpoint = endpoint,
                                             .region = "us-east-1",
                                             .bucket = "b",
                                             .access_key_id = "AKID",
                                             .secret_access_key = "CANARYSECRET"};
    struct storage *st = NULL;
    struct error err = ERROR_INIT;

    assert_ok(storage_s3_new(loop, &config, &st, &err), &err);
    return st;
}

static void test_a_fleet_of_stores_takes_no_descriptor_each(void **state UNUSED)
{
    struct loop *loop = new_loop();
    struct storage *fleet[FLEET];

    fleet[0] = store_of(loop, "http://127.0.0.1:1");
    size_t before = descriptor_count();
    for (size_t i = 1; i < FLEET; i++)
        fleet[i] = store_of(loop, "http://127.0.0.1:1");
    assert_int_equal(descriptor_count(), before);
    for (size_t i = 0; i < FLEET; i++)
        storage_free(fleet[i]);
    loop_free(loop);
}

struct get {
    struct error err;
    bool is_done;
};

static void get_on_done(void *arg, const struct storage_result *result)
{
    struct get *get = arg;

    get->err = *result->err;
    get->is_done = true;
}

static struct storage_op *head_start(struct storage *st, struct get *get)
{
    struct error err = ERROR_INIT;
    struct storage_op *op = NULL;

    *get = (struct get){.is_done = false};
    assert_ok(storage_head_start(st, "k", get_on_done, get, &op, &err), &err);
    return op;
}

/* More requests than places are under way when their store goes: the other one's are answered. */
static void test_a_store_that_goes_leaves_the_requests_of_another(void **state UNUSED)
{
    static struct get leaving[2 * S3_GATE_PLACES];
    struct script_step steps[SCRIPT_REQUESTS_MAX];
    struct loop *loop = new_loop();
    struct script script;
    struct get staying;

    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        steps[i] = (struct script_step){.status = "404 Not Found"};
    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *goes = store_of(loop, script.endpoint);
    struct storage *stays = store_of(loop, script.endpoint);
    for (size_t i = 0; i < ARRAY_LEN(leaving); i++)
        (void)head_start(goes, &leaving[i]);
    (void)head_start(stays, &staying);
    while (atomic_load(&script.request_count) == 0)
        (void)uv_run(loop_uv(loop), UV_RUN_ONCE);
    storage_free(goes);
    for (size_t i = 0; i < ARRAY_LEN(leaving); i++)
        assert_true(leaving[i].is_done);
    assert_true(loop_run_until(loop, &staying.is_done));
    assert_int_equal(staying.err.code, ERR_NOT_FOUND);
    storage_free(stays);
    script_stop(&script);
    script_free(&script);
    loop_free(loop);
}

static void test_an_operation_that_waits_at_the_gate_can_be_canceled(void **state UNUSED)
{
    static struct get gets[S3_GATE_PLACES + 1];
    struct loop *loop = new_loop();
    struct script script;

    script_start(&script, NULL, 0);
    struct storage *st = store_of(loop, script.endpoint);
    for (size_t i = 0; i < S3_GATE_PLACES; i++)
        (void)head_start(st, &gets[i]);
    struct storage_op *op = head_start(st, &gets[S3_GATE_PLACES]);
    (void)uv_run(loop_uv(loop), UV_RUN_ONCE);
    storage_cancel(op);
    assert_true(loop_run_until(loop, &gets[S3_GATE_PLACES].is_done));
    assert_int_equal(gets[S3_GATE_PLACES].err.code, ERR_CANCELED);
    storage_free(st);
    script_stop(&script);
    script_free(&script);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_client_is_shared_by_equal_settings_of_a_loop_only),
        TEST(test_credentials_are_shared_by_equal_settings_only),
        TEST(test_what_cannot_be_made_is_not_kept),
        TEST(test_a_fleet_of_stores_takes_no_descriptor_each),
        TEST(test_a_store_that_goes_leaves_the_requests_of_another),
        TEST(test_an_operation_that_waits_at_the_gate_can_be_canceled),
    };

    return TEST_MAIN(tests);
}
