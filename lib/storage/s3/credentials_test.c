/*
 * Each source of credentials, the files and answers they come from, and the chain: order, one
 * refresh for many, expiry, and that no secret stands in an error.
 */
#include "lib/storage/s3/credentials.h"

#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/credentials_internal.h"
#include "lib/storage/s3/s3_script.h"
#include "lib/testing/test.h"

static struct loop *loop;
static char folder[256];

static const char *const variables[] = {
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LITESTREAM_ACCESS_KEY_ID",
    "LITESTREAM_SECRET_ACCESS_KEY",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
};

/* A process with nothing: no variable, an empty home, no metadata service. */
static int each_begin(void **state UNUSED)
{
    struct error err = ERROR_INIT;

    test_folder_make(folder);
    for (size_t i = 0; i < ARRAY_LEN(variables); i++)
        (void)unsetenv(variables[i]);
    (void)setenv("HOME", folder, 1);
    (void)setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    return loop_new(env_real(), 2, &loop, &err);
}

static int each_end(void **state UNUSED)
{
    loop_free(loop);
    test_folder_remove(folder);
    return 0;
}

static const char *file_make(const char *name, const char *text)
{
    static char path[400];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    test_file_write(path, slice_of_str(text));
    return path;
}

struct asked {
    struct s3_credentials_wait wait;
    bool is_done;
    bool has_credentials;
    char id[64], token[64], source[64];
    struct error err;
};

static void on_credentials(void *arg, const struct s3_credentials *credentials,
                           const struct error *err)
{
    struct asked *asked = arg;

    asked->is_done = true;
    asked->has_credentials = credentials != NULL;
    asked->err = *err;
    if (credentials) {
        (void)snprintf(asked->id, sizeof(asked->id), "%s", credentials->access_key_id);
        (void)snprintf(asked->token, sizeof(asked->token), "%s",
                       credentials->session_token ? credentials->session_token : "");
        (void)snprintf(asked->source, sizeof(asked->source), "%s", credentials->source);
    }
}

static struct s3_credentials_chain *chain_make(const struct s3_credentials_config *config)
{
    static const struct s3_credentials_config empty = {.region = "us-east-1"};
    struct s3_credentials_chain *chain = NULL;
    struct error err = ERROR_INIT;

    assert_ok(s3_credentials_chain_new(loop, config ? config : &empty, &chain, &err), &err);
    return chain;
}

static void ask(struct s3_credentials_chain *chain, struct asked *asked)
{
    *asked = (struct asked){.is_done = false};
    s3_credentials_get(chain, &asked->wait, on_credentials, asked);
    assert_false(asked->is_done);
    assert_true(loop_run_until(loop, &asked->is_done));
}

/* Asks a chain of its own and frees it. */
static void ask_once(struct asked *asked)
{
    struct s3_credentials_chain *chain = chain_make(NULL);

    ask(chain, asked);
    s3_credentials_chain_free(chain);
    assert_null(strstr(asked->err.text, "CANARY"));
    assert_null(strstr(asked->err.hint, "CANARY"));
}

static void test_keys_of_the_configuration_come_first(void **state UNUSED)
{
    const struct s3_credentials_config config = {.access_key_id = "AKCONFIG",
                                                 .secret_access_key = "CANARY",
                                                 .session_token = "T",
                                                 .region = "r"};
    struct s3_credentials_chain *chain = chain_make(&config);
    struct asked asked;

    (void)setenv("AWS_ACCESS_KEY_ID", "AKENV", 1);
    (void)setenv("AWS_SECRET_ACCESS_KEY", "CANARY", 1);
    assert_null(s3_credentials_peek(chain));
    ask(chain, &asked);
    assert_string_equal(asked.id, "AKCONFIG");
    assert_string_equal(asked.token, "T");
    assert_non_null(s3_credentials_peek(chain));
    assert_false(s3_credentials_reject(chain));
    s3_credentials_chain_free(chain);
}

static void test_keys_in_a_folder_are_read_again(void **state UNUSED)
{
    const struct s3_credentials_config config = {.folder = folder, .region = "r"};
    struct asked asked;

    (void)setenv("AWS_ACCESS_KEY_ID", "AKENV", 1); /* never: the folder was asked for */
    struct s3_credentials_chain *chain = chain_make(&config);
    ask(chain, &asked);
    assert_int_equal(asked.err.code, ERR_ACCESS);
    assert_non_null(strstr(asked.err.text, "neither a file AWS_ACCESS_KEY_ID nor access-key-id"));
    (void)file_make("AWS_ACCESS_KEY_ID", "AKOLD\n");
    (void)file_make("secret-access-key", "CANARY\n");
    ask(chain, &asked);
    assert_string_equal(asked.id, "AKOLD");
    assert_non_null(s3_credentials_peek(chain));
    /* The Secret changes, the store refuses the old key. */
    (void)file_make("AWS_ACCESS_KEY_ID", "AKNEW\n");
    (void)file_make("AWS_SESSION_TOKEN", "T\n");
    assert_true(s3_credentials_reject(chain));
    assert_null(s3_credentials_peek(chain));
    ask(chain, &asked);
    assert_string_equal(asked.id, "AKNEW");
    assert_string_equal(asked.token, "T");
    s3_credentials_chain_free(chain);
}

static void test_keys_come_from_the_environment(void **state UNUSED)
{
    struct asked asked;

    (void)setenv("LITESTREAM_ACCESS_KEY_ID", "AKLS", 1);
    (void)setenv("LITESTREAM_SECRET_ACCESS_KEY", "CANARY", 1);
    ask_once(&asked);
    assert_string_equal(asked.id, "AKLS");
    (void)setenv("AWS_ACCESS_KEY_ID", "AKAWS", 1);
    ask_once(&asked);
    assert_false(asked.has_credentials);
    assert_int_equal(asked.err.code, ERR_ACCESS);
    assert_non_null(strstr(asked.err.text, "AWS_ACCESS_KEY_ID is set, but not AWS_SECRET_ACCESS"));
    (void)setenv("AWS_SECRET_ACCESS_KEY", "CANARY", 1);
    (void)setenv("AWS_SESSION_TOKEN", "TT", 1);
    ask_once(&asked);
    assert_string_equal(asked.id, "AKAWS");
    assert_string_equal(asked.token, "TT");
    (void)setenv("AWS_SECRET_ACCESS_KEY", "CANARY\nX: y", 1);
    ask_once(&asked);
    assert_non_null(strstr(asked.err.text, "white space"));
}

static void test_nothing_anywhere_is_said_so(void **state UNUSED)
{
    struct asked asked;

    ask_once(&asked);
    assert_int_equal(asked.err.code, ERR_ACCESS);
    assert_string_equal(asked.err.text, "no credentials found");
    assert_non_null(strstr(asked.err.hint, "AWS_ACCESS_KEY_ID"));
}

static void test_keys_come_from_the_shared_files(void **state UNUSED)
{
    struct asked asked;

    (void)setenv("AWS_SHARED_CREDENTIALS_FILE",
                 file_make("creds", "# mine\r\n[other]\naws_access_key_id = AKOTHER\n"
                                    "aws_secret_access_key=CANARY\n\n[default]\n"
                                    "aws_access_key_id = AKDEFAULT ; note\n"
                                    "aws_secret_access_key = CANARY\n"),
                 1);
    (void)setenv("AWS_CONFIG_FILE",
                 file_make("config", "[profile third]\naws_access_key_id=AKTHIRD\n"
                                     "s3 =\n  aws_access_key_id = AKNESTED\n"
                                     "aws_secret_access_key=CANARY\naws_session_token=TTT\n"
                                     "[profile default]\naws_access_key_id=AKCONFIG\n"
                                     "[profile program]\ncredential_process = /bin/CANARY\n"
                                     "[half]\naws_access_key_id=X\n"),
                 1);
    ask_once(&asked);
    assert_string_equal(asked.id, "AKDEFAULT");
    assert_string_equal(asked.token, "");
    (void)setenv("AWS_PROFILE", "other", 1);
    ask_once(&asked);
    assert_string_equal(asked.id, "AKOTHER");
    (void)setenv("AWS_PROFILE", "third", 1);
    ask_once(&asked);
    assert_string_equal(asked.id, "AKTHIRD");
    assert_string_equal(asked.token, "TTT");
    (void)setenv("AWS_PROFILE", "program", 1);
    ask_once(&asked);
    assert_int_equal(asked.err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(asked.err.text, "credential_process, which is not supported"));
    (void)setenv("AWS_PROFILE", "none", 1);
    ask_once(&asked);
    assert_non_null(strstr(asked.err.text, "profile none (AWS_PROFILE) has no keys"));
}

/* ---- over HTTP ---- */

#define STS_ANSWER(id, expiration)                                                                 \
    "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"      \
    "<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>" id "</AccessKeyId>"              \
    "<SecretAccessKey>CANARY</SecretAccessKey><SessionToken>STOKEN</SessionToken>"                 \
    "<Expiration>" expiration "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"      \
    "</AssumeRoleWithWebIdentityResponse>"

static void web_identity_set(const struct script *script)
{
    (void)setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file_make("token", "tok.en-1\n"), 1);
    (void)setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r", 1);
    (void)setenv("AWS_ENDPOINT_URL_STS", script->endpoint, 1);
}

static void test_a_web_identity_is_exchanged_and_its_token_read_again(void **state UNUSED)
{
    /* The first answer is about to expire: five minutes before its end it is not served again. */
    struct script_step steps[] = {
        {.expect = "WebIdentityToken=tok.en-1", .status = "500 Oops"},
        {.expect = "WebIdentityToken=tok.en-1",
         .status = "200 OK",
         .body = STS_ANSWER("AKSTS1", "1999-01-01T00:00:00Z")},
        {.expect = "WebIdentityToken=tok.en-2",
         .status = "200 OK",
         .body = STS_ANSWER("AKSTS2", "2099-01-01T00:00:00Z")},
    };
    struct script script;
    struct asked asked;

    script_start(&script, steps, ARRAY_LEN(steps));
    web_identity_set(&script);
    struct s3_credentials_chain *chain = chain_make(NULL);
    ask(chain, &asked);
    assert_string_equal(asked.id, "AKSTS1");
    assert_string_equal(asked.token, "STOKEN");
    assert_null(s3_credentials_peek(chain));
    (void)file_make("token", "tok.en-2");
    ask(chain, &asked);
    assert_string_equal(asked.id, "AKSTS2");
    assert_non_null(s3_credentials_peek(chain));
    assert_non_null(strstr(script.requests[0], "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"));
    assert_null(strcasestr(script.requests[0], "\r\nAuthorization:"));
    s3_credentials_chain_free(chain);
    script_stop(&script);
    script_free(&script);
}

static void test_a_refused_web_identity_is_explained_and_goes_no_further(void **state UNUSED)
{
    struct script_step step = {.status = "403 Forbidden",
                               .body = "<ErrorResponse><Error><Type>Sender</Type>"
                                       "<Code>AccessDenied</Code><Message>Not authorized</Message>"
                                       "</Error></ErrorResponse>"};
    struct script script;
    struct asked asked;

    script_start(&script, &step, 1);
    web_identity_set(&script);
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE",
                 file_make("creds", "[default]\naws_access_key_id=AK\n"
                                    "aws_secret_access_key=CANARY\n"),
                 1);
    ask_once(&asked);
    assert_false(asked.has_credentials);
    assert_int_equal(asked.err.code, ERR_ACCESS);
    assert_non_null(
        strstr(asked.err.text, "STS AssumeRoleWithWebIdentity: 403 AccessDenied: Not authorized"));
    assert_int_equal(script_requests(&script), 1);
    script_stop(&script);
    script_free(&script);
    (void)unlink(file_make("token", ""));
    ask_once(&asked);
    assert_int_equal(asked.err.code, ERR_ACCESS);
    assert_non_null(strstr(asked.err.text, "token"));
}

#define JSON_ANSWER(id)                                                                            \
    "{\"Code\":\"Success\",\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"CANARY\","             \
    "\"Token\":\"JTOKEN\",\"Expiration\":\"2099-01-01T00:00:00Z\"}"

static void test_a_container_is_asked_with_its_token(void **state UNUSED)
{
    struct script_step steps[] = {
        {.expect = "GET /v1/credentials", .status = "200 OK", .body = JSON_ANSWER("AKPOD")},
    };
    char url[128];
    struct script script;
    struct asked asked;

    script_start(&script, steps, ARRAY_LEN(steps));
    (void)snprintf(url, sizeof(url), "%s/v1/credentials", script.endpoint);
    (void)setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
    (void)setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file_make("token", "CANARYTOKEN\n"), 1);
    ask_once(&asked);
    assert_string_equal(asked.id, "AKPOD");
    assert_string_equal(asked.source, "container credentials");
    assert_non_null(strstr(script.requests[0], "Authorization: CANARYTOKEN\r\n"));
    script_stop(&script);
    script_free(&script);
}

static void test_a_container_endpoint_elsewhere_is_refused(void **state UNUSED)
{
    static const char *const bad[] = {
        "http://example.com/c",           "http://10.0.0.1/c",    "http://169.254.170.2.evil.org/",
        "http://127.evil.org/",           "ftp://127.0.0.1/",     "http://localhost@evil.org/",
        "http://169.254.169.254/latest/", "http://evil.org#127.", "//127.0.0.1/",
    };
    struct asked asked;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        test_row(bad[i]);
        (void)setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", bad[i], 1);
        ask_once(&asked);
        assert_int_equal(asked.err.code, ERR_ACCESS);
        assert_non_null(strstr(asked.err.text, "neither https nor an address of this host"));
    }
}

static void test_the_metadata_service_is_asked_in_its_second_version(void **state UNUSED)
{
    struct script_step steps[] = {
        {.expect = "PUT /latest/api/token", .status = "200 OK", .body = "MTOKEN"},
        {.expect = "GET /latest/meta-data/iam/security-credentials/ ",
         .status = "200 OK",
         .body = "my-role\n"},
        {.expect = "GET /latest/meta-data/iam/security-credentials/my-role ",
         .status = "200 OK",
         .body = JSON_ANSWER("AKEC2")},
    };
    struct script script;
    struct asked asked;

    script_start(&script, steps, ARRAY_LEN(steps));
    (void)unsetenv("AWS_EC2_METADATA_DISABLED");
    (void)setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", script.endpoint, 1);
    ask_once(&asked);
    assert_string_equal(asked.id, "AKEC2");
    assert_non_null(strstr(script.requests[0], "X-aws-ec2-metadata-token-ttl-seconds: 21600"));
    assert_non_null(strstr(script.requests[2], "X-aws-ec2-metadata-token: MTOKEN"));
    script_stop(&script);
    script_free(&script);
}

static void test_a_machine_without_metadata_has_no_credentials(void **state UNUSED)
{
    struct script_step step = {.status = "200 OK"};
    struct script script;
    struct asked asked;

    /* A port where nobody listens any more. */
    script_start(&script, &step, 1);
    script_stop(&script);
    script_free(&script);
    (void)unsetenv("AWS_EC2_METADATA_DISABLED");
    (void)setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", script.endpoint, 1);
    ask_once(&asked);
    assert_int_equal(asked.err.code, ERR_ACCESS);
    assert_non_null(strstr(asked.err.text, "no credentials found"));
}

/* ---- the chain ---- */

static void test_requests_share_one_refresh(void **state UNUSED)
{
    struct script_step steps[] = {
        {.status = "200 OK", .body = STS_ANSWER("AKONE", "2099-01-01T00:00:00Z")},
        {.status = "200 OK", .body = STS_ANSWER("AKTWO", "2099-01-01T00:00:00Z")},
    };
    struct script script;
    struct asked asked[3] = {{.is_done = false}};

    script_start(&script, steps, ARRAY_LEN(steps));
    web_identity_set(&script);
    struct s3_credentials_chain *chain = chain_make(NULL);
    for (size_t i = 0; i < ARRAY_LEN(asked); i++)
        s3_credentials_get(chain, &asked[i].wait, on_credentials, &asked[i]);
    s3_credentials_get_cancel(&asked[1].wait);
    assert_true(loop_run_until(loop, &asked[2].is_done));
    assert_true(asked[0].is_done);
    assert_false(asked[1].is_done);
    assert_string_equal(asked[2].id, "AKONE");
    assert_int_equal(script_requests(&script), 1);
    assert_true(s3_credentials_reject(chain));
    assert_null(s3_credentials_peek(chain));
    ask(chain, &asked[0]);
    assert_string_equal(asked[0].id, "AKTWO");
    s3_credentials_chain_free(chain);
    script_stop(&script);
    script_free(&script);
}

/* "2026-11-21T09:40:00Z": three minutes from now. */
static const char *soon_answer(void)
{
    static char body[1024];
    char moment[TIME_TEXT_BYTES];

    (void)time_format_rfc3339(env_wall_ns(env_real()) + 3 * NS_PER_MIN, moment);
    (void)snprintf(body, sizeof(body), STS_ANSWER("AKSOON", "%s"), moment);
    return body;
}

static void test_old_credentials_serve_to_their_end_if_a_refresh_fails(void **state UNUSED)
{
    struct script_step steps[] = {
        {.status = "200 OK", .body = soon_answer()},
        {.status = "403 Forbidden"},
    };
    struct script script;
    struct asked asked;

    script_start(&script, steps, ARRAY_LEN(steps));
    web_identity_set(&script);
    struct s3_credentials_chain *chain = chain_make(NULL);
    ask(chain, &asked);
    assert_string_equal(asked.id, "AKSOON");
    assert_null(s3_credentials_peek(chain)); /* within five minutes of its end */
    ask(chain, &asked);
    assert_true(asked.has_credentials);
    assert_string_equal(asked.id, "AKSOON");
    assert_non_null(s3_credentials_peek(chain)); /* for half a minute nobody asks again */
    assert_int_equal(script_requests(&script), 2);
    s3_credentials_chain_free(chain);
    script_stop(&script);
    script_free(&script);
}

static void test_a_chain_is_freed_in_the_middle_of_a_refresh(void **state UNUSED)
{
    struct script_step step = {.status = "200 OK", .announced = 100};
    struct script script;
    struct asked asked = {.is_done = false};

    script_start(&script, &step, 1);
    web_identity_set(&script);
    struct s3_credentials_chain *chain = chain_make(NULL);
    s3_credentials_get(chain, &asked.wait, on_credentials, &asked);
    while (script_requests(&script) == 0)
        (void)uv_run(loop_uv(loop), UV_RUN_NOWAIT);
    s3_credentials_get_cancel(&asked.wait);
    s3_credentials_chain_free(chain);
    assert_false(asked.is_done);
    script_stop(&script);
    script_free(&script);
}

static void test_answers_that_hold_no_keys_are_refused(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool is_json;
        const char *error;
    } rows[] = {
        {"", true, "container"},
        {"{}", true, "AccessKeyId"},
        {"{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", true, "AssumeRoleUnauthorizedAccess"},
        {"{\"AccessKeyId\":\"a\",\"SecretAccessKey\":7}", true, "SecretAccessKey"},
        {"{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"CANARY\",\"Expiration\":\"never\"}", true,
         "never"},
        {"<a/>", false, "no keys"},
        {"<AssumeRoleWithWebIdentityResponse>", false, "XML"},
        {STS_ANSWER("AK", "tomorrow"), false, "tomorrow"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct s3_credentials c = {.access_key_id = NULL};
        struct error err = ERROR_INIT;
        test_row(rows[i].text);
        int rc = rows[i].is_json
                     ? credentials_json_parse(slice_of_str(rows[i].text), "container", &c, &err)
                     : credentials_sts_parse(slice_of_str(rows[i].text), &c, &err);
        assert_int_equal(rc, -1);
        assert_non_null(strstr(err.text, rows[i].error));
        assert_null(strstr(err.text, "CANARY"));
        assert_null(c.access_key_id);
    }
}

#define EACH(fn) cmocka_unit_test_setup_teardown(fn, each_begin, each_end)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        EACH(test_keys_of_the_configuration_come_first),
        EACH(test_keys_in_a_folder_are_read_again),
        EACH(test_keys_come_from_the_environment),
        EACH(test_nothing_anywhere_is_said_so),
        EACH(test_keys_come_from_the_shared_files),
        EACH(test_a_web_identity_is_exchanged_and_its_token_read_again),
        EACH(test_a_refused_web_identity_is_explained_and_goes_no_further),
        EACH(test_a_container_is_asked_with_its_token),
        EACH(test_a_container_endpoint_elsewhere_is_refused),
        EACH(test_the_metadata_service_is_asked_in_its_second_version),
        EACH(test_a_machine_without_metadata_has_no_credentials),
        EACH(test_requests_share_one_refresh),
        EACH(test_old_credentials_serve_to_their_end_if_a_refresh_fails),
        EACH(test_a_chain_is_freed_in_the_middle_of_a_refresh),
        EACH(test_answers_that_hold_no_keys_are_refused),
    };
    return TEST_MAIN(tests);
}
