/*
 * The grammar of answers: what is read, what is waited for, what is refused.
 */
#include "lib/http/answer.h"

#include <string.h>

#include "lib/testing/test.h"

static const char good[] = "HTTP/1.1 200 OK\r\nDate: now\r\ncontent-length:  5 \r\n"
                           "Connection: keep-alive\r\n\r\nhello";

static void test_an_answer_is_read_once_it_is_whole(void **state UNUSED)
{
    struct http_answer a = {.status = 0};
    struct error err = ERROR_INIT;

    for (size_t n = 0; n < sizeof(good) - 1; n++)
        assert_int_equal(http_answer_parse(slice_of(good, n), 64, &a, &err), 0);
    assert_int_equal(a.status, 0);
    assert_int_equal(http_answer_parse(slice_of(good, sizeof(good) - 1), 64, &a, &err), 1);
    assert_int_equal(a.status, 200);
    assert_true(a.keeps_alive);
    assert_int_equal(a.body_bytes, 5);
    assert_memory_equal(good + a.head_bytes, "hello", 5);
}

static void test_an_answer_tells_whether_its_connection_stays(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool keeps_alive;
    } rows[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", true},
        {"HTTP/1.1 503\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_answer a = {.status = 0};
        struct error err = ERROR_INIT;
        test_row(rows[i].text);
        assert_int_equal(http_answer_parse(slice_of_str(rows[i].text), 64, &a, &err), 1);
        assert_int_equal(a.keeps_alive, rows[i].keeps_alive);
        assert_int_equal(a.head_bytes, strlen(rows[i].text));
    }
}

static void test_an_interim_answer_ends_with_its_head(void **state UNUSED)
{
    static const char text[] = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n";
    struct http_answer a = {.status = 0};
    struct error err = ERROR_INIT;

    assert_int_equal(http_answer_parse(slice_of(text, 26), 64, &a, &err), 0);
    assert_int_equal(http_answer_parse(slice_of(text, sizeof(text) - 1), 64, &a, &err), 1);
    assert_int_equal(a.status, 102);
    assert_int_equal(a.head_bytes, 27);
    assert_int_equal(a.body_bytes, 0);
}

static void test_what_is_not_a_plain_answer_is_refused(void **state UNUSED)
{
    static const struct {
        const char *text;
        enum error_code code;
        const char *part;
    } rows[] = {
        {"SSH-2.0-OpenSSH\r\n", ERR_CORRUPT, "not HTTP/1.x"},
        {"HTTP/2 200\r\n", ERR_CORRUPT, "not HTTP/1.x"},
        {"HTTP/1.1 20x OK\r\n", ERR_CORRUPT, "not HTTP/1.x"},
        {"HTTP/1.1 2000\r\n", ERR_CORRUPT, "not HTTP/1.x"},
        {"HTTP/1.1 900 Odd\r\n", ERR_CORRUPT, "no such status"},
        {"HTTP/1.1 099 Odd\r\n", ERR_CORRUPT, "no such status"},
        {"HTTP/1.1 101 Switching Protocols\r\n", ERR_UNSUPPORTED, "change of protocol"},
        {"HTTP/1.1 102 Processing\r\nContent-Length: 0\r\n\r\n", ERR_CORRUPT,
         "interim answer with Content-Length"},
        {"HTTP/1.1 200 OK\n", ERR_CORRUPT, "CR LF"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\n", ERR_CORRUPT, "CR LF"},
        {"HTTP/1.1 200 OK\r\n: 1\r\n", ERR_CORRUPT, "no name"},
        {"HTTP/1.1 200 OK\r\nX: 1\r\n folded: 1\r\n", ERR_CORRUPT, "no name"},
        {"HTTP/1.1 200 OK\r\nnothing\r\n", ERR_CORRUPT, "no name"},
        {"HTTP/1.1 200 OK\r\n\r\n", ERR_CORRUPT, "without Content-Length"},
        {"HTTP/1.1 200 OK\r\nContent-Length:\r\n", ERR_CORRUPT, "Content-Length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n", ERR_CORRUPT, "not a number"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n", ERR_CORRUPT, "twice"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551617\r\n", ERR_CORRUPT, "too large"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n", ERR_LIMIT, "65 bytes, 64 at most"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", ERR_UNSUPPORTED, "in chunks"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_answer a = {.status = 0};
        struct error err = ERROR_INIT;
        test_row(rows[i].text);
        assert_error(http_answer_parse(slice_of_str(rows[i].text), 64, &a, &err), &err,
                     rows[i].code, rows[i].part);
    }
}

static void test_a_head_without_an_end_is_refused(void **state UNUSED)
{
    char text[HTTP_ANSWER_HEAD_BYTES_MAX + 1] = "HTTP/1.1 200 OK\r\nX: ";
    struct http_answer a = {.status = 0};
    struct error err = ERROR_INIT;

    memset(text + strlen(text), 'x', sizeof(text) - strlen(text));
    assert_int_equal(http_answer_parse(slice_of(text, sizeof(text) - 2), 64, &a, &err), 0);
    assert_error(http_answer_parse(slice_of(text, sizeof(text)), 64, &a, &err), &err, ERR_LIMIT,
                 "head is larger than 4096 bytes");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_an_answer_is_read_once_it_is_whole),
        TEST(test_an_answer_tells_whether_its_connection_stays),
        TEST(test_an_interim_answer_ends_with_its_head),
        TEST(test_what_is_not_a_plain_answer_is_refused),
        TEST(test_a_head_without_an_end_is_refused),
    };
    return TEST_MAIN(tests);
}
