/*
 * Signatures: AWS' own test suite (testdata/sigv4_suite.txt) step by step, and the examples of the
 * S3 documentation.
 */
#include "lib/storage/s3/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/testing/test.h"

static const char suite_path[] = "lib/storage/s3/testdata/sigv4_suite.txt";

enum {
    SUITE_HEADERS_MAX = 16
};

/* A case of the suite; texts inside the file's bytes. */
struct suite_case {
    char *name;
    char *req, *creq, *sts, *authz;
};

/* Cuts text at the next line that begins with mark; answers what follows, or NULL. */
static char *cut_at(char *text, const char *mark)
{
    char *at = strstr(text, mark);
    if (!at)
        return NULL;
    *at = '\0';
    return at + strlen(mark);
}

static char *section(char *text, const char *name, char **out)
{
    char mark[32];
    (void)snprintf(mark, sizeof(mark), "\n--- %s\n", name);
    *out = cut_at(text, mark);
    assert_non_null(*out);
    return *out;
}

struct suite_request {
    struct sigv4_request sig;
    struct http_header headers[SUITE_HEADERS_MAX];
    char payload_hash[SIGV4_HEX_BYTES];
};

/* "GET /path?query HTTP/1.1", headers with continuation lines, an empty line, the body. */
static void request_read(char *text, struct suite_request *out)
{
    struct error err = ERROR_INIT;
    char *body = cut_at(text, "\n\n");
    char *at = strchr(text, '\n');
    char *target = strchr(text, ' ');

    assert_non_null(target);
    assert_non_null(at);
    *at++ = '\0';
    *target++ = '\0';
    *strstr(target, " HTTP/1.1") = '\0';
    out->sig = (struct sigv4_request){.method = text,
                                      .path = target,
                                      .query = "",
                                      .headers = out->headers,
                                      .payload_hash = out->payload_hash,
                                      .path_mode = SIGV4_PATH_NORMALIZE};
    char *query = strchr(target, '?');
    if (query) {
        *query++ = '\0';
        out->sig.query = query;
    }
    while (at && *at) {
        char *next = at;
        do
            next = strchr(next + 1, '\n');
        while (next && (next[1] == ' ' || next[1] == '\t'));
        if (next)
            *next++ = '\0';
        char *colon = strchr(at, ':');
        assert_non_null(colon);
        *colon = '\0';
        assert_in_range(out->sig.header_count, 0, SUITE_HEADERS_MAX - 1);
        out->headers[out->sig.header_count++] = (struct http_header){at, colon + 1};
        at = next;
    }
    assert_ok(sigv4_hash_hex(slice_of_str(body), out->payload_hash, &err), &err);
}

static void text_trim_end(char *text)
{
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == '\n')
        text[--n] = '\0';
}

/* Where the session token is not in the request, the one who signs adds it. */
static void token_add(const struct suite_case *c, struct suite_request *request,
                      char out[static 1024])
{
    static const char mark[] = "\nx-amz-security-token:";
    const char *token = strstr(c->creq, mark);

    for (size_t i = 0; i < request->sig.header_count; i++) {
        if (strcasecmp(request->headers[i].name, "x-amz-security-token") == 0)
            return;
    }
    if (!token)
        return;
    token += sizeof(mark) - 1;
    (void)snprintf(out, 1024, "%.*s", (int)strcspn(token, "\n"), token);
    request->headers[request->sig.header_count++] =
        (struct http_header){"X-Amz-Security-Token", out};
}

static void case_check(struct suite_case *c)
{
    char token[1024];
    static const struct sigv4_scope scope = {
        .region = "us-east-1", .service = "service", .wall_ns = UINT64_C(1440938160) * NS_PER_SEC};
    CLEANUP(buf_destroy) struct buf canonical = BUF_INIT(SIGV4_CANONICAL_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf names = BUF_INIT(SIGV4_CANONICAL_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf string = BUF_INIT(SIGV4_CANONICAL_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf header = BUF_INIT(SIGV4_CANONICAL_BYTES_MAX);
    struct suite_request request = {.sig = {.method = NULL}};
    struct sigv4_key key = {.day = ""};
    struct error err = ERROR_INIT;

    test_row(c->name);
    text_trim_end(c->req);
    request_read(c->req, &request);
    token_add(c, &request, token);
    assert_ok(sigv4_canonical_request(&request.sig, &canonical, &names, &err), &err);
    assert_string_equal(buf_str(&canonical), c->creq);
    assert_ok(sigv4_string_to_sign(&scope, buf_slice(&canonical), &string, &err), &err);
    assert_string_equal(buf_str(&string), c->sts);
    assert_ok(sigv4_authorization(&key, &scope, "AKIDEXAMPLE",
                                  "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &request.sig, &header,
                                  &err),
              &err);
    assert_string_equal(buf_str(&header), c->authz);
    sigv4_key_destroy(&key);
}

static void test_the_suite_of_aws_is_signed_as_published(void **state UNUSED)
{
    size_t n = 0;
    CLEANUP(mem_free) char *text = (char *)test_file_read(suite_path, &n);
    unsigned count = 0;

    assert_memory_equal(text, "=== ", 4);
    char *at = text + 4;
    while (at) {
        struct suite_case c = {.name = at};
        char *next = cut_at(at, "\n=== ");
        char *rest = section(at, "req", &c.req);
        rest = section(rest, "creq", &c.creq);
        rest = section(rest, "sts", &c.sts);
        (void)section(rest, "authz", &c.authz);
        text_trim_end(c.authz);
        case_check(&c);
        at = next;
        count++;
    }
    assert_int_equal(count, 34);
}

static void test_examples_of_the_s3_documentation_are_signed_as_published(void **state UNUSED)
{
    static const struct {
        const char *name, *method, *path, *query, *body;
        struct http_header extra[3];
        const char *signature;
    } rows[] = {
        {"get object",
         "GET",
         "/test.txt",
         "",
         "",
         {{"Range", "bytes=0-9"}},
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
        {"put object",
         "PUT",
         "/test%24file.text",
         "",
         "Welcome to Amazon S3.",
         {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
         "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
        {"get bucket lifecycle",
         "GET",
         "/",
         "lifecycle",
         "",
         {{NULL, NULL}},
         "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
        {"list objects",
         "GET",
         "/",
         "max-keys=2&prefix=J",
         "",
         {{NULL, NULL}},
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    };
    static const struct sigv4_scope scope = {
        .region = "us-east-1", .service = "s3", .wall_ns = UINT64_C(1369353600) * NS_PER_SEC};
    struct sigv4_key key = {.day = ""}; /* one for all rows: the second ones use it again */

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_destroy) struct buf header = BUF_INIT(4096);
        struct error err = ERROR_INIT;
        char hash[SIGV4_HEX_BYTES];
        struct http_header headers[6] = {{"host", "examplebucket.s3.amazonaws.com"},
                                         {"x-amz-date", "20130524T000000Z"},
                                         {"x-amz-content-sha256", hash}};
        size_t count = 3;

        test_row(rows[i].name);
        assert_ok(sigv4_hash_hex(slice_of_str(rows[i].body), hash, &err), &err);
        for (size_t e = 0; rows[i].extra[e].name; e++)
            headers[count++] = rows[i].extra[e];
        const struct sigv4_request req = {.method = rows[i].method,
                                          .path = rows[i].path,
                                          .query = rows[i].query,
                                          .headers = headers,
                                          .header_count = count,
                                          .payload_hash = hash,
                                          .path_mode = SIGV4_PATH_AS_IS};
        assert_ok(sigv4_authorization(&key, &scope, "AKIAIOSFODNN7EXAMPLE",
                                      "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", &req, &header,
                                      &err),
                  &err);
        assert_string_equal(strstr(buf_str(&header), "Signature=") + strlen("Signature="),
                            rows[i].signature);
    }
    sigv4_key_destroy(&key);
}

/* The examples of FIPS 180-4 (NIST, "SHA256.pdf"), and NIST's of the empty message. */
static void test_hash_is_that_of_fips_180(void **state UNUSED)
{
    static const struct {
        const char *message;
        const char *hash;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    char hash[SIGV4_HEX_BYTES];
    struct error err = ERROR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        test_row(rows[i].message);
        assert_ok(sigv4_hash_hex(slice_of_str(rows[i].message), hash, &err), &err);
        assert_string_equal(hash, rows[i].hash);
    }
}

static void test_paths_of_s3_are_not_normalised(void **state UNUSED)
{
    static const struct http_header host = {"host", "h"};
    CLEANUP(buf_destroy) struct buf canonical = BUF_INIT(SIGV4_CANONICAL_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf names = BUF_INIT(SIGV4_CANONICAL_BYTES_MAX);
    struct error err = ERROR_INIT;
    const struct sigv4_request req = {.method = "GET",
                                      .path = "/a//b/../%20c",
                                      .query = "",
                                      .headers = &host,
                                      .header_count = 1,
                                      .payload_hash = SIGV4_UNSIGNED_PAYLOAD,
                                      .path_mode = SIGV4_PATH_AS_IS};

    assert_ok(sigv4_canonical_request(&req, &canonical, &names, &err), &err);
    assert_string_equal(buf_str(&canonical),
                        "GET\n/a//b/../%20c\n\nhost:h\n\nhost\nUNSIGNED-PAYLOAD");
}

static void test_another_secret_day_or_region_makes_another_key(void **state UNUSED)
{
    struct sigv4_scope scope = {.region = "us-east-1", .service = "s3", .wall_ns = NS_PER_DAY};
    struct sigv4_key key = {.day = ""};
    struct error err = ERROR_INIT;
    char signature[5][SIGV4_HEX_BYTES];

    assert_ok(sigv4_signature(&key, &scope, "one", SLICE_LIT("x"), signature[0], &err), &err);
    assert_ok(sigv4_signature(&key, &scope, "two", SLICE_LIT("x"), signature[1], &err), &err);
    scope.region = "eu-west-1";
    assert_ok(sigv4_signature(&key, &scope, "two", SLICE_LIT("x"), signature[2], &err), &err);
    scope.wall_ns += NS_PER_DAY;
    assert_ok(sigv4_signature(&key, &scope, "two", SLICE_LIT("x"), signature[3], &err), &err);
    scope = (struct sigv4_scope){.region = "us-east-1", .service = "s3", .wall_ns = NS_PER_DAY};
    assert_ok(sigv4_signature(&key, &scope, "one", SLICE_LIT("x"), signature[4], &err), &err);
    for (size_t i = 1; i < 4; i++)
        assert_string_not_equal(signature[0], signature[i]);
    assert_string_equal(signature[0], signature[4]);
    sigv4_key_destroy(&key);
    assert_int_equal(key.key[0], 0);
}

static void test_more_than_the_headers_or_parameters_it_holds_are_refused(void **state UNUSED)
{
    struct http_header headers[HTTP_HEADERS_MAX + 1];
    CLEANUP(buf_destroy) struct buf query = BUF_INIT(4096);
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(SIGV4_CANONICAL_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf names = BUF_INIT(SIGV4_CANONICAL_BYTES_MAX);
    struct error err = ERROR_INIT;
    struct sigv4_request req = {.method = "GET",
                                .path = "/",
                                .query = "",
                                .headers = headers,
                                .header_count = ARRAY_LEN(headers),
                                .payload_hash = SIGV4_EMPTY_HASH};

    for (size_t i = 0; i < ARRAY_LEN(headers); i++)
        headers[i] = (struct http_header){"a", "b"};
    assert_error(sigv4_canonical_request(&req, &out, &names, &err), &err, ERR_LIMIT, "headers");
    req.header_count = 1;
    for (int i = 0; i <= SIGV4_QUERY_PARAMETERS_MAX; i++)
        assert_ok(buf_printf(&query, &err, "p%d=1&", i), &err);
    req.query = buf_str(&query);
    assert_error(sigv4_canonical_request(&req, &out, &names, &err), &err, ERR_LIMIT, "parameters");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_the_suite_of_aws_is_signed_as_published),
        TEST(test_examples_of_the_s3_documentation_are_signed_as_published),
        TEST(test_hash_is_that_of_fips_180),
        TEST(test_paths_of_s3_are_not_normalised),
        TEST(test_another_secret_day_or_region_makes_another_key),
        TEST(test_more_than_the_headers_or_parameters_it_holds_are_refused),
    };
    return TEST_MAIN(tests);
}
