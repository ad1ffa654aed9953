/*
 * Requests that may share a connection beside others that must not (PUT and DELETE with an old
 * libcurl), to one server that speaks HTTP/2: nghttpx before versitygw.
 */
#include "lib/http/client.h"
#include "lib/testing/server.h"
#include "lib/testing/test.h"

enum {
    ROUNDS = 200,
    REQUESTS = 40, /* of a round; one of five is a write */
};

struct traffic {
    unsigned pending;
    unsigned done_count;
    unsigned wrong_count;
    char first[ERROR_TEXT_BYTES];
};

/* There is no such bucket; what counts is that each is answered, and by an answer that is whole. */
static void on_done(void *arg, const struct http_response *response)
{
    struct traffic *t = arg;

    t->done_count++;
    if ((response->err->code != ERR_NONE || response->status != 404) && t->wrong_count++ == 0) {
        (void)snprintf(t->first, sizeof(t->first), "status %d: %.600s", response->status,
                       response->err->text);
    }
    t->pending--;
}

static void start(struct http_client *c, const struct test_s3 *s3, const char *method,
                  unsigned number, struct traffic *t)
{
    struct error err = ERROR_INIT;
    char url[200];

    (void)snprintf(url, sizeof(url), "%s/bucket/key-%u", s3->endpoint, number);
    const struct http_request request = {
        .method = method,
        .url = url,
        .body_slice = SLICE_LIT("something"),
        .has_body = strcmp(method, "PUT") == 0,
        .deadline_ns = 60 * NS_PER_SEC,
    };
    t->pending++;
    assert_ok(http_start(c, &request, on_done, t, NULL, &err), &err);
}

static void test_no_request_gets_the_answer_of_another(void **state UNUSED)
{
    struct traffic t = {.pending = 0};
    struct http_client *c = NULL;
    struct error err = ERROR_INIT;
    struct test_s3 s3 = {.port = 0};
    struct loop *loop = NULL;
    char folder[256];

    test_folder_make(folder);
    if (!test_s3_start(&s3, folder, TEST_S3_TLS | TEST_S3_HTTP2)) {
        test_folder_remove(folder);
        skip();
    }
    assert_ok(loop_new(env_real(), 1, &loop, &err), &err);
    assert_ok(http_client_new(loop,
                              &(struct http_client_config){.ca_file = s3.tls.ca_path,
                                                           .shares_connection = true},
                              &c, &err),
              &err);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < REQUESTS; i++) {
            start(c, &s3, env_random_below(env_real(), 5) == 0 ? "PUT" : "GET", i, &t);
            if (env_random_below(env_real(), 2) == 0)
                IGNORE(loop_turn(loop)); /* whether more is to come is asked below */
        }
        while (t.pending > 0) {
            bool goes_on = loop_turn(loop);
            assert_true(goes_on || t.pending == 0);
        }
    }
    if (t.wrong_count > 0)
        fail_msg("%u of %u: %s", t.wrong_count, t.done_count, t.first);
    assert_int_equal(t.done_count, ROUNDS * REQUESTS);
    http_client_free(c);
    loop_free(loop);
    test_s3_stop(&s3);
    test_folder_remove(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_no_request_gets_the_answer_of_another),
    };
    return TEST_MAIN(tests);
}
