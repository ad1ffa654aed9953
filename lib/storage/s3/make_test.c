/* Making a bucket: what is asked, and what the answers mean. A real server: s3_versity_test.c. */
#include "lib/storage/s3/s3_faults_scene.h"

#define CONFLICT(code) {.expect = "PUT /b ", .status = "409 Conflict", .body = ERROR_BODY(code)}

static int make(struct storage_s3_config *config, struct script *script, struct script_step *steps,
                size_t count, struct error *err)
{
    script_start(script, steps, count);
    config->endpoint = script->endpoint;
    struct storage *st = storage_of(config);
    int rc = storage_make_wait(st, err);
    script_end(script, st, (unsigned)count);
    return rc;
}

static void test_the_region_is_named_unless_it_is_the_one_that_must_not_be(void **state UNUSED)
{
    static const struct {
        const char *region, *expect;
    } rows[] = {
        {"eu-central-1", "<LocationConstraint>eu-central-1</LocationConstraint>"},
        {"us-east-1", "Content-Length: 0\r\n"},
        {"auto", "Content-Length: 0\r\n"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct script_step steps[] = {{.expect = rows[i].expect, .status = "200 OK"}};
        struct script script = {.steps = NULL};
        struct error err = ERROR_INIT;
        test_row(rows[i].region);
        struct storage_s3_config config = config_of(&script);
        config.region = rows[i].region;
        assert_ok(make(&config, &script, steps, 1, &err), &err);
    }
}

static void test_a_bucket_that_is_ours_is_success_and_anothers_is_told(void **state UNUSED)
{
    struct script_step ours[] = {CONFLICT("BucketAlreadyOwnedByYou")};
    struct script_step others[] = {CONFLICT("BucketAlreadyExists")};
    struct script_step denied[] = {
        {.expect = "PUT /b ", .status = "403 No", .body = ERROR_BODY("AccessDenied")}};
    struct script_step later[] = {CONFLICT("OperationAborted"),
                                  {.expect = "PUT /b ", .status = "200 OK"}};
    struct script script = {.steps = NULL};
    struct error err = ERROR_INIT;
    struct storage_s3_config config = config_of(&script);

    assert_ok(make(&config, &script, ours, 1, &err), &err);
    assert_error(make(&config, &script, others, 1, &err), &err, ERR_EXISTS, "BucketAlreadyExists");
    assert_non_null(strstr(err.hint, "\"b\" is another account's: choose another name"));
    error_clear(&err);
    assert_error(make(&config, &script, denied, 1, &err), &err, ERR_ACCESS, "AccessDenied");
    assert_non_null(strstr(err.hint, "s3:CreateBucket"));
    error_clear(&err);
    assert_ok(make(&config, &script, later, 2, &err), &err); /* being deleted still: asked again */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_the_region_is_named_unless_it_is_the_one_that_must_not_be),
        TEST(test_a_bucket_that_is_ours_is_success_and_anothers_is_told),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, group_begin, group_end);
}
