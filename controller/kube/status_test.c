/*
 * Refusals of the API server: bodies as real servers (1.36) sent them.
 */
#include "controller/kube/status.h"

#include <string.h>

#include "lib/testing/test.h"

#define STATUS(code, reason, message, details)                                                     \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","           \
    "\"message\":\"" message "\",\"reason\":\"" reason "\",\"details\":" details                   \
    ",\"code\":" #code "}\n"

static const struct {
    const char *name;
    int http_status;
    const char *body;
    enum error_code code;
    enum kube_reason reason;
    const char *text;
} rows[] = {
    {"no such object", 404,
     STATUS(404, "NotFound", "pods \\\"a\\\" not found", "{\"name\":\"a\",\"kind\":\"pods\"}"),
     ERR_NOT_FOUND, KUBE_REASON_NOT_FOUND, "404 pods \"a\" not found"},
    {"no such kind", 404, "404 page not found\n", ERR_NOT_FOUND, KUBE_REASON_NONE,
     "404 404 page not found"},
    {"exists", 409, STATUS(409, "AlreadyExists", "leases \\\"x\\\" already exists", "{}"),
     ERR_EXISTS, KUBE_REASON_ALREADY_EXISTS, "already exists"},
    {"conflict", 409, STATUS(409, "Conflict", "the object has been modified", "{}"), ERR_CONFLICT,
     KUBE_REASON_CONFLICT, "409 the object has been modified"},
    {"forbidden", 403, STATUS(403, "Forbidden", "secrets is forbidden", "{\"kind\":\"secrets\"}"),
     ERR_ACCESS, KUBE_REASON_FORBIDDEN, "403 secrets is forbidden"},
    {"unauthorized", 401, STATUS(401, "Unauthorized", "Unauthorized", "{}"), ERR_ACCESS,
     KUBE_REASON_UNAUTHORIZED, "401 Unauthorized"},
    {"gone in a stream", 0, STATUS(410, "Expired", "too old resource version: 1 (753)", "{}"),
     ERR_EXPIRED, KUBE_REASON_EXPIRED, "410 too old resource version: 1 (753)"},
    {"gone by HTTP", 410, STATUS(410, "Gone", "the provided continue parameter is too old", "{}"),
     ERR_EXPIRED, KUBE_REASON_EXPIRED, "continue parameter"},
    {"gone without a body", 410, "", ERR_EXPIRED, KUBE_REASON_NONE, "410"},
    {"version too large", 504,
     STATUS(504, "Timeout", "Timeout: Too large resource version: 99, current: 7",
            "{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\",\"message\":\"Too large resource "
            "version\"}],\"retryAfterSeconds\":1}"),
     ERR_EXPIRED, KUBE_REASON_VERSION_TOO_LARGE, "504 Timeout: Too large"},
    {"a real timeout", 504, STATUS(504, "Timeout", "request did not complete", "{}"), ERR_TIMEOUT,
     KUBE_REASON_OTHER, "504 request did not complete"},
    {"too many", 429, STATUS(429, "TooManyRequests", "slow down", "{\"retryAfterSeconds\":3}"),
     ERR_UNAVAILABLE, KUBE_REASON_TOO_MANY_REQUESTS, "429 slow down"},
    {"webhook says no", 400, STATUS(400, "BadRequest", "admission webhook denied", "{}"), ERR_USAGE,
     KUBE_REASON_BAD_REQUEST, "400 admission webhook denied"},
    {"a proxy", 502, "<html>Bad\x01 Gateway</html>", ERR_UNAVAILABLE, KUBE_REASON_NONE,
     "502 <html>Bad  Gateway</html>"},
    {"too large", 413, STATUS(413, "RequestEntityTooLarge", "limit is 3145728", "{}"), ERR_USAGE,
     KUBE_REASON_OTHER, "413 limit"},
    {"not even text", 500, "{\"kind\":12}", ERR_UNAVAILABLE, KUBE_REASON_NONE, "500 {"},
};

static void test_status_tells_code_reason_and_words_of_the_server(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct kube_status status;
        struct error err = ERROR_INIT;
        test_row(rows[i].name);
        int rc = kube_status_read(rows[i].http_status, slice_of_str(rows[i].body), &status, &err);
        assert_error(rc, &err, rows[i].code, rows[i].text);
        assert_int_equal(status.reason, rows[i].reason);
        assert_int_equal(status.http_status, err.origin);
    }
}

static void test_status_keeps_causes_and_the_wish_of_the_server(void **state UNUSED)
{
    static const char body[] =
        STATUS(422, "Invalid", "SqliteReplica is invalid",
               "{\"causes\":[{\"reason\":\"FieldValueInvalid\",\"message\":\"Invalid value\","
               "\"field\":\"spec.databases[0].path\"},{\"reason\":\"FieldValueRequired\",\"field\":"
               "\"spec\"}],\"retryAfterSeconds\":7}");
    struct kube_status status;
    struct error err = ERROR_INIT;

    assert_error(kube_status_read(422, slice_of_str(body), &status, &err), &err, ERR_USAGE,
                 "422 SqliteReplica is invalid");
    assert_int_equal(status.reason, KUBE_REASON_INVALID);
    assert_int_equal(status.cause_count, 2);
    assert_string_equal(status.causes[0].field, "spec.databases[0].path");
    assert_string_equal(status.causes[0].reason, "FieldValueInvalid");
    assert_string_equal(status.causes[1].message, "");
    assert_int_equal(status.retry_after_ns, 7 * NS_PER_SEC);
}

static void test_status_tells_what_is_missing_for_the_account(void **state UNUSED)
{
    struct kube_status status;
    struct error err = ERROR_INIT;

    assert_error(
        kube_status_read(403, slice_of_str(STATUS(403, "Forbidden", "no", "{}")), &status, &err),
        &err, ERR_ACCESS, "no");
    assert_non_null(strstr(err.hint, "ClusterRole"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_status_tells_code_reason_and_words_of_the_server),
        TEST(test_status_keeps_causes_and_the_wish_of_the_server),
        TEST(test_status_tells_what_is_missing_for_the_account),
    };
    return TEST_MAIN(tests);
}
