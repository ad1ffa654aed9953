/* A scripted server cuts, redirects, refuses and lies; the driver tries again or says what happened. */
#include "lib/storage/s3/s3_faults_scene.h"

static int text_put(struct storage *st, const char *text, struct error *err)
{
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;

    if (blob_of_slice(env_real(), slice_of_str(text), &body, err) < 0)
        return -1;
    const struct storage_put args = {.key = "k", .body = &body, .mode = STORAGE_PUT_CREATE};
    return storage_put_wait(st, &args, err);
}

static void test_a_busy_server_is_asked_again_after_its_wish(void **state UNUSED)
{
    struct script_step steps[] = {
        {.expect = "PUT /b/p/k",
         .status = "503 Slow Down",
         .headers = "Retry-After: 1\r\n",
         .body = ERROR_BODY("SlowDown")},
        {.expect = "PUT /b/p/k", .status = "500 Oops"},
        {.expect = "if-none-match: *", .status = "200 OK"},
    };
    struct script script;
    struct error err = ERROR_INIT;

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *st = storage_on(&script);
    uint64_t began_ns = env_monotonic_ns(env_real());
    assert_ok(text_put(st, "x", &err), &err);
    assert_true(env_monotonic_ns(env_real()) - began_ns >= NS_PER_SEC);
    assert_int_equal(storage_counters(st)->op[STORAGE_OP_PUT].requests, 3);
    assert_int_equal(storage_counters(st)->op[STORAGE_OP_PUT].errors, 2);
    script_end(&script, st, 3);
}

static void test_tries_end_and_tell_their_number_and_causes(void **state UNUSED)
{
    struct script_step steps[] = {
        {.status = "503 Slow Down", .body = ERROR_BODY("SlowDown")},
        {.status = "500 Oops", .body = ERROR_BODY("InternalError")},
        {.status = "500 Oops", .body = ERROR_BODY("InternalError")},
        {.status = "500 Oops", .body = ERROR_BODY("InternalError")},
    };
    struct script script;
    struct error err = ERROR_INIT;

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *st = storage_on(&script);
    assert_error(text_put(st, "x", &err), &err, ERR_UNAVAILABLE,
                 "PUT s3://b/p/k: 4 tries, first \"503 SlowDown: why\", last: 500 InternalError");
    script_end(&script, st, 4);
}

static void test_a_lost_answer_of_a_create_ends_in_exists(void **state UNUSED)
{
    struct script_step steps[] = {
        {.status = "200 OK", .announced = 10, .has_reset = true},
        {.status = "412 Precondition Failed", .body = ERROR_BODY("PreconditionFailed")},
    };
    struct script script;
    struct error err = ERROR_INIT;

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *st = storage_on(&script);
    assert_error(text_put(st, "x", &err), &err, ERR_EXISTS, "412 PreconditionFailed");
    script_end(&script, st, 2);
}

static void test_a_conflict_of_conditions_is_tried_again(void **state UNUSED)
{
    struct script_step steps[] = {
        {.status = "409 Conflict", .body = ERROR_BODY("ConditionalRequestConflict")},
        {.status = "200 OK"},
    };
    struct script script;
    struct error err = ERROR_INIT;

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *st = storage_on(&script);
    assert_ok(text_put(st, "x", &err), &err);
    script_end(&script, st, 2);
}

/* The machine sleeps while the driver waits for its second try. */
static void test_a_create_is_not_tried_again_after_a_sleep_beyond_its_deadline(void **state UNUSED)
{
    struct script_step steps[] = {
        {.status = "503 Slow Down", .body = ERROR_BODY("SlowDown")},
        {.status = "200 OK"},
    };
    static const struct {
        const char *name;
        uint64_t slept_ns;
        unsigned requests;
        enum error_code code;
    } rows[] = {{"a nap", NS_PER_SEC, 2, ERR_GAP}, {"a night", 8 * NS_PER_HOUR, 1, ERR_TIMEOUT}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct script script;
        struct error err = ERROR_INIT;
        struct error ended = ERROR_INIT;
        CLEANUP(blob_destroy) struct blob body = BLOB_INIT;
        const struct storage_put put = {
            .key = "k", .body = &body, .mode = STORAGE_PUT_CREATE, .deadline_ns = NS_PER_MIN};

        test_row(rows[i].name);
        for (size_t k = 0; k < ARRAY_LEN(steps); k++)
            atomic_store(&steps[k].has_taken, false);
        script_start(&script, steps, ARRAY_LEN(steps));
        struct storage *st = storage_on(&script);
        assert_ok(blob_of_slice(env_real(), slice_of_str("x"), &body, &err), &err);
        assert_ok(storage_put_start(st, &put, on_ended, &ended, NULL, &err), &err);
        while (storage_counters(st)->op[STORAGE_OP_PUT].errors == 0)
            (void)uv_run(loop_uv(loop), UV_RUN_ONCE);
        sleepy_sleep(rows[i].slept_ns);
        assert_true(wait_ended(&ended));
        assert_int_equal(ended.code, rows[i].code);
        if (ended.code == ERR_TIMEOUT)
            assert_non_null(strstr(ended.text, "PUT s3://b/p/k: no time left"));
        script_end(&script, st, rows[i].requests);
    }
}

/* One request, one refusal: status, document, headers -> code, text, hint. */
static const struct refusal_row {
    const char *name, *status, *headers, *body;
    enum error_code code;
    const char *text, *hint;
} refusal_rows[] = {
    {"conditions not implemented", "501 Not Implemented", NULL, ERROR_BODY("NotImplemented"),
     ERR_UNSUPPORTED, "PUT s3://b/p/k: 501 NotImplemented", ""},
    {"access", "403 Forbidden", NULL, ERROR_BODY("AccessDenied"), ERR_ACCESS, "403 AccessDenied",
     "s3:PutObject"},
    {"unknown key", "403 Forbidden", NULL, ERROR_BODY("InvalidAccessKeyId"), ERR_ACCESS,
     "403 InvalidAccessKeyId", "unknown to this endpoint"},
    {"wrong secret", "403 Forbidden", NULL, ERROR_BODY("SignatureDoesNotMatch"), ERR_ACCESS,
     "403 SignatureDoesNotMatch", "secret access key"},
    {"no bucket", "404 Not Found", NULL, ERROR_BODY("NoSuchBucket"), ERR_NOT_FOUND,
     "404 NoSuchBucket", "bucket b does not exist"},
    {"redirect", "301 Moved Permanently",
     "x-amz-bucket-region: eu-west-1\r\nLocation: http://127.0.0.1:1/\r\n",
     ERROR_BODY("PermanentRedirect"), ERR_USAGE, "the bucket is in region eu-west-1, not us-east-1",
     "region: eu-west-1"},
    {"temporary redirect without a region", "307 Temporary Redirect",
     "Location: http://127.0.0.1:1/\r\n", NULL, ERR_USAGE, "307", "redirects are not followed"},
    {"region in the document", "400 Bad Request", NULL,
     "<Error><Code>AuthorizationHeaderMalformed</Code><Message>x</Message>"
     "<Region>eu-central-1</Region></Error>",
     ERR_USAGE, "the bucket is in region eu-central-1", "region: eu-central-1"},
    {"skewed clock", "403 Forbidden", NULL,
     "<Error><Code>RequestTimeTooSkewed</Code><Message>x</Message>"
     "<ServerTime>1999-01-01T00:00:00Z</ServerTime></Error>",
     ERR_ACCESS, "ahead of the server's", "NTP"},
    {"hostile text", "400 Bad Request", NULL,
     "<Error><Code>Bad\xc3\xa9</Code><Message>a&#10;b</Message></Error>", ERR_USAGE,
     "400 Bad??: a?b", ""},
    {"a proxy's page", "403 Forbidden", NULL, "<html><body>no</body></html>", ERR_ACCESS,
     "PUT s3://b/p/k: 403", "s3:PutObject"},
};

static void test_refusals_are_explained_and_not_repeated(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(refusal_rows); i++) {
        const struct refusal_row *row = &refusal_rows[i];
        struct script_step step = {
            .status = row->status, .headers = row->headers, .body = row->body};
        struct script script;
        struct error err = ERROR_INIT;

        test_row(row->name);
        script_start(&script, &step, 1);
        struct storage *st = storage_on(&script);
        assert_error(text_put(st, "x", &err), &err, row->code, row->text);
        assert_non_null(strstr(err.hint, row->hint));
        assert_null(strstr(err.text, "CANARY"));
        script_end(&script, st, 1);
    }
}

/* ---- listing and deleting ---- */

static int on_object(void *arg, const struct storage_object *object, struct error *err)
{
    return buf_printf(arg, err, "%s ", object->key);
}

#define LIST_HEAD "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
#define CONTENTS(key)                                                                              \
    "<Contents><Key>" key "</Key><Size>1</Size>"                                                   \
    "<LastModified>2026-11-21T09:37:00.000Z</LastModified></Contents>"

static void test_a_listing_follows_tokens_and_passes_on_only_what_is_ours(void **state UNUSED)
{
    struct script_step steps[] = {
        {.expect = "prefix=p%2F0",
         .status = "200 OK",
         .body = LIST_HEAD "<IsTruncated>true</IsTruncated><NextContinuationToken>t+/="
                           "</NextContinuationToken><EncodingType>url</EncodingType>" CONTENTS(
                               "other/0a") CONTENTS("p/0a%2Bb+c") "</ListBucketResult>"},
        {.expect = "continuation-token=t%2B%2F%3D",
         .status = "200 OK",
         .body =
             LIST_HEAD "<IsTruncated>false</IsTruncated>" CONTENTS("p/0b+") "</ListBucketResult>"},
    };
    struct script script;
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);
    const struct storage_list args = {.prefix = "0", .on_object = on_object};

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *st = storage_on(&script);
    assert_ok(storage_list_wait(st, &args, &got, &err), &err);
    assert_string_equal(buf_str(&got), "0a+b c 0b+ ");
    script_end(&script, st, 2);
}

static void test_listings_that_cannot_be_trusted_are_errors(void **state UNUSED)
{
    static const struct {
        const char *name, *body;
        enum error_code code;
        const char *text;
        unsigned requests;
    } rows[] = {
        {"cut", LIST_HEAD CONTENTS("p/0"), ERR_UNAVAILABLE, "not an XML document", 4},
        {"empty", "", ERR_UNAVAILABLE, "not an XML document", 4},
        {"another document", "<html></html>", ERR_UNAVAILABLE, "expected <ListBucketResult>", 4},
        {"error inside", ERROR_BODY("InternalError"), ERR_UNAVAILABLE, "200 InternalError: why", 4},
        {"no token", LIST_HEAD "<IsTruncated>true</IsTruncated></ListBucketResult>",
         ERR_UNAVAILABLE, "goes on but not where", 4},
        {"out of order", LIST_HEAD CONTENTS("p/2") CONTENTS("p/1") "</ListBucketResult>",
         ERR_CORRUPT, "not in order", 1},
        {"twice", LIST_HEAD CONTENTS("p/2") CONTENTS("p/2") "</ListBucketResult>", ERR_CORRUPT,
         "not in order", 1},
        {"entities", "<!DOCTYPE a [<!ENTITY x \"y\">]>" LIST_HEAD "&x;</ListBucketResult>",
         ERR_UNAVAILABLE, "document type is refused", 4},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct script_step steps[4];
        struct script script;
        struct error err = ERROR_INIT;
        CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);
        const struct storage_list args = {.prefix = "", .on_object = on_object};

        test_row(rows[i].name);
        for (size_t s = 0; s < ARRAY_LEN(steps); s++)
            steps[s] = (struct script_step){.status = "200 OK", .body = rows[i].body};
        script_start(&script, steps, ARRAY_LEN(steps));
        struct storage *st = storage_on(&script);
        assert_error(storage_list_wait(st, &args, &got, &err), &err, rows[i].code, rows[i].text);
        script_end(&script, st, rows[i].requests);
    }
}

static void test_a_server_that_repeats_its_page_is_not_followed_for_ever(void **state UNUSED)
{
    static const char page[] = LIST_HEAD "<IsTruncated>true</IsTruncated><NextContinuationToken>t"
                                         "</NextContinuationToken></ListBucketResult>";
    struct script_step steps[] = {{.status = "200 OK", .body = page},
                                  {.status = "200 OK", .body = page}};
    struct script script;
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);
    const struct storage_list args = {.prefix = "", .on_object = on_object};

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *st = storage_on(&script);
    assert_error(storage_list_wait(st, &args, &got, &err), &err, ERR_CORRUPT, "for ever");
    script_end(&script, st, 2);
}

static struct error key_errors[4];

static void on_key(void *arg UNUSED, size_t key_idx, const struct error *err)
{
    key_errors[key_idx] = *err;
}

static void test_each_key_of_a_batch_has_its_own_outcome(void **state UNUSED)
{
    struct script_step step = {
        .expect = "POST /b?delete= ",
        .status = "200 OK",
        .body = "<DeleteResult><Deleted><Key>p/a</Key></Deleted>"
                "<Error><Key>p/b&amp;</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
                "<Deleted><Key>p/d</Key></Deleted></DeleteResult>"};
    const char *const keys[] = {"a", "b&", "c", "d"};
    struct script script;
    struct error err = ERROR_INIT;
    struct error ended = ERROR_INIT;
    const struct storage_delete args = {.keys = keys, .key_count = 4, .on_key = on_key};

    script_start(&script, &step, 1);
    struct storage *st = storage_on(&script);
    assert_ok(storage_delete_start(st, &args, on_ended, &ended, NULL, &err), &err);
    assert_true(wait_ended(&ended));
    assert_int_equal(ended.code, ERR_ACCESS);
    assert_int_equal(key_errors[0].code, ERR_NONE);
    assert_int_equal(key_errors[1].code, ERR_ACCESS);
    assert_non_null(strstr(key_errors[1].text, "DELETE s3://b/p/b&: 200 AccessDenied"));
    assert_int_equal(key_errors[2].code, ERR_UNAVAILABLE);
    assert_non_null(strstr(key_errors[2].text, "does not say"));
    assert_int_equal(key_errors[3].code, ERR_NONE);
    assert_non_null(strstr(script.requests[0], "<Key>p/b&#38;</Key>"));
    assert_non_null(strstr(script.requests[0], "content-md5: "));
    script_end(&script, st, 1);
}

static void test_a_batch_with_an_unreadable_answer_has_failed(void **state UNUSED)
{
    struct script_step steps[] = {{.status = "200 OK", .body = "<DeleteResult><Deleted>"},
                                  {.status = "200 OK"},
                                  {.status = "200 OK", .body = ERROR_BODY("InternalError")},
                                  {.status = "200 OK", .body = "OK"}};
    const char *const keys[] = {"a", "b"};
    struct script script;
    struct error err = ERROR_INIT;

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *st = storage_on(&script);
    assert_error(storage_delete_wait(st, keys, 2, &err), &err, ERR_UNAVAILABLE, "cannot be read");
    script_end(&script, st, 4);
}

static void test_without_batches_keys_are_deleted_one_by_one(void **state UNUSED)
{
    struct script_step steps[] = {
        {.expect = "POST /b?delete", .status = "501 Not Implemented"},
        {.expect = "DELETE /b/p/a", .status = "204 No Content"},
        {.expect = "DELETE /b/p/b", .status = "404 Not Found", .body = ERROR_BODY("NoSuchKey")},
        {.expect = "DELETE /b/p/c", .status = "204 No Content"}};
    const char *const keys[] = {"a", "b", "c"};
    struct script script;
    struct error err = ERROR_INIT;

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *st = storage_on(&script);
    assert_ok(storage_delete_wait(st, keys, 3, &err), &err);
    script_end(&script, st, 4);
}

/* ---- multipart ---- */

static int big_put(struct storage *st, struct error *err)
{
    enum {
        BYTES = 6 << 20
    };
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;
    CLEANUP(mem_free) uint8_t *p = calloc(1, BYTES);

    assert_non_null(p);
    if (blob_of_slice(env_real(), slice_of(p, BYTES), &body, err) < 0)
        return -1;
    const struct storage_put args = {.key = "k", .body = &body, .mode = STORAGE_PUT_CREATE};
    return storage_put_wait(st, &args, err);
}

#define BEGUN                                                                                      \
    {.expect = "POST /b/p/k?uploads= ",                                                            \
     .status = "200 OK",                                                                           \
     .body = "<InitiateMultipartUploadResult><UploadId>u/1</UploadId>"                             \
             "</InitiateMultipartUploadResult>"}
#define PART(n)                                                                                    \
    {.expect = "partNumber=" n "&uploadId=u%2F1 ",                                                 \
     .status = "200 OK",                                                                           \
     .headers = "ETag: \"e" n "\"\r\n"}

static void test_a_completion_that_fails_inside_a_200_is_tried_again(void **state UNUSED)
{
    struct script_step steps[] = {
        BEGUN,
        PART("1"),
        PART("2"),
        {.expect = "POST /b/p/k?uploadId=",
         .status = "200 OK",
         .body = ERROR_BODY("InternalError")},
        {.expect = "<PartNumber>2</PartNumber>",
         .status = "200 OK",
         .body = "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"},
    };
    struct script script;
    struct error err = ERROR_INIT;

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *st = storage_on(&script);
    assert_ok(big_put(st, &err), &err);
    assert_non_null(strstr(script.requests[4], "<ETag>&#34;e1&#34;</ETag>"));
    assert_non_null(strstr(script.requests[4], "if-none-match: *"));
    script_end(&script, st, 5);
}

static void test_a_completion_whose_answer_was_lost_ends_in_exists(void **state UNUSED)
{
    struct script_step steps[] = {
        BEGUN,
        PART("1"),
        PART("2"),
        {.expect = "POST /b/p/k?uploadId=",
         .status = "200 OK",
         .announced = 100,
         .has_reset = true},
        {.expect = "POST /b/p/k?uploadId=",
         .status = "404 Not Found",
         .body = ERROR_BODY("NoSuchUpload")},
        {.expect = "HEAD /b/p/k",
         .status = "200 OK",
         .headers = "ETag: \"e\"\r\n",
         .announced = 6 << 20},
    };
    struct script script;
    struct error err = ERROR_INIT;

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *st = storage_on(&script);
    assert_error(big_put(st, &err), &err, ERR_EXISTS, "the key is taken");
    script_end(&script, st, 6);
}

static void test_an_upload_that_fails_is_aborted(void **state UNUSED)
{
    struct script_step steps[] = {
        BEGUN,
        PART("1"),
        {.expect = "partNumber=2", .status = "403 Forbidden", .body = ERROR_BODY("AccessDenied")},
        {.expect = "DELETE /b/p/k?uploadId=u%2F1 ", .status = "204 No Content"},
    };
    struct script script;
    struct error err = ERROR_INIT;

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *st = storage_on(&script);
    assert_error(big_put(st, &err), &err, ERR_ACCESS, "part 2 of 2: PUT s3://b/p/k: 403");
    while (!atomic_load(&steps[3].has_taken))
        (void)uv_run(loop_uv(loop), UV_RUN_ONCE);
    while (storage_counters(st)->op[STORAGE_OP_DELETE].requests < 1)
        (void)uv_run(loop_uv(loop), UV_RUN_ONCE);
    storage_free(st);
    script_stop(&script);
    script_free(&script);
}

/* ---- credentials ---- */

#define STS_ANSWER(id)                                                                             \
    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"            \
    "<AccessKeyId>" id "</AccessKeyId><SecretAccessKey>CANARY</SecretAccessKey>"                   \
    "<SessionToken>T" id "</SessionToken></Credentials></AssumeRoleWithWebIdentityResult>"         \
    "</AssumeRoleWithWebIdentityResponse>"

static void test_expired_credentials_are_fetched_again_without_a_try(void **state UNUSED)
{
    struct script_step steps[] = {
        {.expect = "AssumeRole", .status = "200 OK", .body = STS_ANSWER("AK1")},
        {.expect = "Credential=AK1/",
         .status = "400 Bad Request",
         .body = ERROR_BODY("ExpiredToken")},
        {.expect = "AssumeRole", .status = "200 OK", .body = STS_ANSWER("AK2")},
        {.expect = "x-amz-security-token: TAK2", .status = "200 OK"},
    };
    struct script script;
    struct error err = ERROR_INIT;
    char folder[256];
    char path[300];

    test_folder_make(folder);
    (void)snprintf(path, sizeof(path), "%s/token", folder);
    test_file_write(path, SLICE_LIT("token"));
    script_start(&script, steps, ARRAY_LEN(steps));
    (void)unsetenv("AWS_ACCESS_KEY_ID");
    (void)unsetenv("LITESTREAM_ACCESS_KEY_ID");
    (void)unsetenv("AWS_PROFILE");
    (void)setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path, 1);
    (void)setenv("AWS_ROLE_ARN", "arn", 1);
    (void)setenv("AWS_ENDPOINT_URL_STS", script.endpoint, 1);
    struct storage_s3_config config = config_of(&script);
    config.access_key_id = NULL;
    config.secret_access_key = NULL;
    struct storage *st = storage_of(&config);
    assert_ok(text_put(st, "x", &err), &err);
    (void)unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
    test_folder_remove(folder);
    script_end(&script, st, 4);
}

/* ---- configuration ---- */

static void test_configuration_that_cannot_work_is_refused(void **state UNUSED)
{
    static const uint8_t key[S3_SSE_KEY_BYTES] = {1};
    static const struct {
        const char *name;
        struct storage_s3_config config;
        const char *text;
    } rows[] = {
        {"no bucket", {.bucket = ""}, "bucket is missing"},
        {"odd bucket", {.bucket = "a b"}, "contains ' '"},
        {"small parts", {.bucket = "b", .part_bytes = 1 << 20}, "from 5 MiB"},
        {"half a key pair", {.bucket = "b", .access_key_id = "x"}, "but not secret-access-key"},
        {"key in the clear",
         {.bucket = "b", .endpoint = "http://10.0.0.1:9000", .sse_c_key = key},
         "must be https"},
        {"both encryptions", {.bucket = "b", .sse_c_key = key, .sse_kms_key_id = "k"}, "exclude"},
        {"dots in the path", {.bucket = "b", .prefix = "a/../c"}, "has a part \"..\""},
        {"ftp", {.bucket = "b", .endpoint = "ftp://x"}, "neither http nor https"},
        {"odd region", {.bucket = "b", .region = "eu west"}, "not the name of a region"},
        {"odd arn", {.bucket = "arn:aws:s3:::b"}, "not the ARN of an access point"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct storage *st = NULL;
        test_row(rows[i].name);
        assert_error(storage_s3_new(loop, &rows[i].config, &st, &err), &err, ERR_USAGE,
                     rows[i].text);
        assert_null(st);
    }
}

static void test_encryption_class_and_extra_headers_are_sent(void **state UNUSED)
{
    static const uint8_t key[S3_SSE_KEY_BYTES] = {1, 2, 3};
    static const struct http_header extra[] = {{"x-extra", "yes"}};
    struct script_step steps[] = {{.expect = "PUT", .status = "200 OK"},
                                  {.expect = "GET", .status = "200 OK", .body = "x"}};
    struct script script;
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage_s3_config config = config_of(&script);
    config.sse_c_key = key;
    config.storage_class = "STANDARD_IA";
    config.extra_headers = extra;
    config.extra_header_count = 1;
    struct storage *st = storage_of(&config);
    assert_ok(text_put(st, "x", &err), &err);
    assert_ok(storage_get_wait(st, "k", 0, 0, &got, &err), &err);
    for (size_t i = 0; i < 2; i++) {
        assert_non_null(strstr(script.requests[i], "x-amz-server-side-encryption-customer-key: "
                                                   "AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
        assert_non_null(strstr(script.requests[i], "x-extra: yes"));
    }
    assert_non_null(strstr(script.requests[0], "x-amz-storage-class: STANDARD_IA"));
    assert_null(strstr(script.requests[1], "x-amz-storage-class"));
    script_end(&script, st, 2);
}

static void test_freeing_the_store_ends_what_is_under_way(void **state UNUSED)
{
    struct script_step step = {.status = "200 OK", .announced = 10};
    struct script script;
    struct error err = ERROR_INIT;
    struct error ended[3] = {ERROR_INIT, ERROR_INIT, ERROR_INIT};
    CLEANUP(blob_destroy) struct blob body = BLOB_INIT;
    CLEANUP(mem_free) uint8_t *p = calloc(1, 4 << 20);
    const struct storage_get get = {.key = "k", .on_data = on_data_refuse};

    assert_ok(blob_of_slice(env_real(), slice_of(p, 4 << 20), &body, &err), &err);
    const struct storage_put put = {.key = "k", .body = &body, .mode = STORAGE_PUT_CREATE};
    script_start(&script, &step, 1);
    struct storage *st = storage_on(&script);
    assert_ok(storage_get_start(st, &get, on_ended, &ended[0], NULL, &err), &err);
    (void)uv_run(loop_uv(loop), UV_RUN_ONCE); /* sending */
    assert_ok(storage_put_start(st, &put, on_ended, &ended[1], NULL, &err), &err);
    (void)uv_run(loop_uv(loop), UV_RUN_ONCE); /* hashing */
    assert_ok(storage_get_start(st, &get, on_ended, &ended[2], NULL, &err), &err);
    storage_free(st);
    for (size_t i = 0; i < ARRAY_LEN(ended); i++)
        assert_int_equal(ended[i].code, ERR_CANCELED);
    script_stop(&script);
    script_free(&script);
    while (loop_job_count(loop) > 0)
        (void)uv_run(loop_uv(loop), UV_RUN_ONCE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_busy_server_is_asked_again_after_its_wish),
        TEST(test_tries_end_and_tell_their_number_and_causes),
        TEST(test_a_lost_answer_of_a_create_ends_in_exists),
        TEST(test_a_conflict_of_conditions_is_tried_again),
        TEST(test_a_create_is_not_tried_again_after_a_sleep_beyond_its_deadline),
        TEST(test_refusals_are_explained_and_not_repeated),
        TEST(test_a_listing_follows_tokens_and_passes_on_only_what_is_ours),
        TEST(test_listings_that_cannot_be_trusted_are_errors),
        TEST(test_a_server_that_repeats_its_page_is_not_followed_for_ever),
        TEST(test_each_key_of_a_batch_has_its_own_outcome),
        TEST(test_a_batch_with_an_unreadable_answer_has_failed),
        TEST(test_without_batches_keys_are_deleted_one_by_one),
        TEST(test_a_completion_that_fails_inside_a_200_is_tried_again),
        TEST(test_a_completion_whose_answer_was_lost_ends_in_exists),
        TEST(test_an_upload_that_fails_is_aborted),
        TEST(test_expired_credentials_are_fetched_again_without_a_try),
        TEST(test_configuration_that_cannot_work_is_refused),
        TEST(test_encryption_class_and_extra_headers_are_sent),
        TEST(test_freeing_the_store_ends_what_is_under_way),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, group_begin, group_end);
}
