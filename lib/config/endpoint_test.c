/*
 * Endpoints: normal form, and which of them are near.
 */
#include "lib/config/endpoint.h"

#include <stdlib.h>

#include "lib/testing/test.h"

static void test_endpoints_get_their_normal_form(void **state UNUSED)
{
    static const struct {
        const char *text, *endpoint; /* NULL: refused */
    } rows[] = {
        {"s3.example.com", "https://s3.example.com"},
        {"localhost:9000", "http://localhost:9000"},
        {"minio.local", "http://minio.local"},
        {"127.0.0.1:9000", "http://127.0.0.1:9000"},
        {"[::1]:9000", "http://[::1]:9000"},
        {"10.1.2.3", "http://10.1.2.3"},
        {"10.example.com.eu", "https://10.example.com.eu"},
        {"172.15.0.1", "https://172.15.0.1"},
        {"172.31.0.1", "http://172.31.0.1"},
        {"192.168.1.1:80", "http://192.168.1.1:80"},
        {"HTTPS://S3.Example.COM/", "https://s3.example.com"},
        {"https://x.supabase.co/storage/v1/S3/", "https://x.supabase.co/storage/v1/S3"},
        {"http://s3.example.com", "http://s3.example.com"},
        {"https://localhost", "https://localhost"},
        {"", NULL},
        {"https://", NULL},
        {"https:///x", NULL},
        {"ftp://s3.example.com", NULL},
        {"https://user:pw@host", NULL},
        {"https://host?x=1", NULL},
        {"https://host#x", NULL},
        {"https://host name", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(mem_free) char *endpoint = NULL;
        struct error err = ERROR_INIT;
        test_row(rows[i].text);
        int rc = endpoint_normalize(rows[i].text, &endpoint, &err);
        if (!rows[i].endpoint) {
            assert_error(rc, &err, ERR_USAGE, "http");
            continue;
        }
        assert_ok(rc, &err);
        assert_string_equal(endpoint, rows[i].endpoint);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_endpoints_get_their_normal_form),
    };
    return TEST_MAIN(tests);
}
