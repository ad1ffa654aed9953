/*
 * Reading through a server that cuts, lies and changes its mind: what can be asked for again is,
 * what cannot be trusted is refused.
 */
#include "lib/storage/s3/s3_faults_scene.h"

/* Reads n bytes (0: all) from offset through a server with this script, all of whose steps are
 * taken. */
static void assert_reads(struct script_step *steps, unsigned count, uint64_t offset, uint64_t n,
                         const char *wanted)
{
    struct script script;
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);

    script_start(&script, steps, count);
    struct storage *st = storage_on(&script);
    assert_ok(storage_get_wait(st, "k", offset, n, &got, &err), &err);
    assert_string_equal(buf_str(&got), wanted);
    script_end(&script, st, count);
}

static void test_a_read_goes_on_where_it_was_cut(void **state UNUSED)
{
    struct script_step steps[] = {
        {.expect = "GET /b/p/k",
         .status = "200 OK",
         .headers = "ETag: \"e1\"\r\n",
         .body = "01234",
         .announced = 10,
         .has_reset = true},
        {.expect = "range: bytes=5-\r\nif-match: \"e1\"",
         .status = "206 Partial Content",
         .headers = "ETag: \"e1\"\r\nContent-Range: bytes 5-9/10\r\n",
         .body = "567",
         .announced = 5},
        {.expect = "range: bytes=8-",
         .status = "206 Partial Content",
         .headers = "ETag: \"e1\"\r\nContent-Range: bytes 8-9/10\r\n",
         .body = "89"},
    };

    assert_reads(steps, ARRAY_LEN(steps), 0, 0, "0123456789");
}

static void test_an_answer_that_stops_before_the_end_is_continued(void **state UNUSED)
{
    struct script_step steps[] = {
        {.expect = "range: bytes=2-",
         .status = "206 Partial Content",
         .headers = "Content-Range: bytes 2-4/8\r\n",
         .body = "234"},
        {.expect = "range: bytes=5-",
         .status = "206 Partial Content",
         .headers = "Content-Range: bytes 5-7/8\r\n",
         .body = "567"},
    };

    assert_reads(steps, ARRAY_LEN(steps), 2, 0, "234567");
}

static void test_progress_renews_the_tries_of_a_read(void **state UNUSED)
{
    struct script_step steps[7] = {{.expect = "range: bytes=0-6",
                                    .status = "206 Partial Content",
                                    .headers = "Content-Range: bytes 0-6/7\r\n",
                                    .body = "0",
                                    .announced = 7}};
    static char expects[7][32], headers[7][64], bodies[7][2];

    /* Six cuts, a byte each: more than the four tries of a series. */
    for (size_t i = 1; i < 7; i++) {
        (void)snprintf(expects[i], sizeof(expects[i]), "range: bytes=%zu-6", i);
        (void)snprintf(headers[i], sizeof(headers[i]), "Content-Range: bytes %zu-6/7\r\n", i);
        bodies[i][0] = (char)('0' + i);
        steps[i] = (struct script_step){.expect = expects[i],
                                        .status = "206 Partial Content",
                                        .headers = headers[i],
                                        .body = bodies[i],
                                        .announced = 7 - i};
    }
    assert_reads(steps, ARRAY_LEN(steps), 0, 7, "0123456");
}

static void test_an_object_replaced_while_it_is_read_is_corrupt(void **state UNUSED)
{
    struct script_step steps[] = {
        {.status = "200 OK", .headers = "ETag: \"e1\"\r\n", .body = "01234", .announced = 10},
        {.expect = "if-match", .status = "412 Precondition Failed"},
    };
    struct script script;
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *st = storage_on(&script);
    assert_error(storage_get_wait(st, "k", 0, 0, &got, &err), &err, ERR_CORRUPT,
                 "GET s3://b/p/k: 2 tries");
    assert_non_null(strstr(err.text, "replaced while it was read"));
    script_end(&script, st, 2);
}

static void test_an_answer_cut_among_its_headers_is_asked_for_again(void **state UNUSED)
{
    struct script_step steps[] = {
        {.expect = "range: bytes=2-5", .status = "206 Partial Content", .has_half_head = true},
        {.expect = "range: bytes=2-5",
         .status = "206 Partial Content",
         .headers = "ETag: \"e1\"\r\nContent-Range: bytes 2-5/10\r\n",
         .body = "2345"},
    };

    assert_reads(steps, ARRAY_LEN(steps), 2, 4, "2345");
}

static void test_an_error_document_is_not_taken_for_the_object(void **state UNUSED)
{
    struct script_step steps[] = {
        {.expect = "range: bytes=2-5",
         .status = "200 OK",
         .is_no_object = true,
         .body = ERROR_BODY("InternalError")},
        {.expect = "range: bytes=2-5",
         .status = "206 Partial Content",
         .headers = "Content-Range: bytes 2-5/10\r\n",
         .body = "2345"},
        {.expect = "GET /b/p/k", .status = "200 OK", .is_no_object = true, .body = "oops"},
        {.expect = "GET /b/p/k", .status = "200 OK", .body = "whole"},
    };
    struct script script;
    struct error err = ERROR_INIT;
    CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *st = storage_on(&script);
    assert_ok(storage_get_wait(st, "k", 2, 4, &got, &err), &err);
    assert_string_equal(buf_str(&got), "2345");
    buf_clear(&got);
    assert_ok(storage_get_wait(st, "k", 0, 0, &got, &err), &err);
    assert_string_equal(buf_str(&got), "whole");
    script_end(&script, st, 4);
}

static void test_a_head_without_an_object_is_asked_again(void **state UNUSED)
{
    struct script_step steps[] = {
        {.expect = "HEAD /b/p/k", .status = "200 OK", .announced = 120, .is_no_object = true},
        {.expect = "HEAD /b/p/k",
         .status = "200 OK",
         .headers = "ETag: \"e\"\r\nx-amz-meta-litestream-timestamp: 2026-11-21T09:37:00.5Z\r\n",
         .announced = 4711},
    };
    struct script script;
    struct error err = ERROR_INIT;
    struct storage_object object = {.bytes = 0};

    script_start(&script, steps, ARRAY_LEN(steps));
    struct storage *st = storage_on(&script);
    assert_ok(storage_head_wait(st, "k", &object, &err), &err);
    assert_int_equal(object.bytes, 4711);
    assert_int_equal(object.timestamp_ns % NS_PER_SEC, NS_PER_SEC / 2);
    script_end(&script, st, 2);
}

static void test_ranges_that_were_not_asked_for_are_refused(void **state UNUSED)
{
    static const struct {
        const char *name, *status, *headers, *body, *text;
    } rows[] = {
        {"range ignored", "200 OK", NULL, "0123", "ignores Range"},
        {"another range", "206 Partial Content", "Content-Range: bytes 3-6/10\r\n", "3456",
         "got Content-Range"},
        {"no range", "206 Partial Content", NULL, "2345", "got Content-Range"},
        {"more bytes", "206 Partial Content", "Content-Range: bytes 2-5/10\r\n", "2345678",
         "more than the 4 bytes"},
        {"short object", "206 Partial Content", "Content-Range: bytes 2-3/4\r\n", "23",
         "the answer ends at 3"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct script_step step = {
            .status = rows[i].status, .headers = rows[i].headers, .body = rows[i].body};
        struct script script;
        struct error err = ERROR_INIT;
        CLEANUP(buf_destroy) struct buf got = BUF_INIT(100);

        test_row(rows[i].name);
        script_start(&script, &step, 1);
        struct storage *st = storage_on(&script);
        assert_error(storage_get_wait(st, "k", 2, 4, &got, &err), &err, ERR_CORRUPT, rows[i].text);
        script_end(&script, st, 1);
    }
}

static void test_a_reader_that_refuses_is_not_read_to_again(void **state UNUSED)
{
    struct script_step step = {.status = "200 OK", .body = "0123"};
    struct script script;
    struct error err = ERROR_INIT;
    struct error ended = ERROR_INIT;
    const struct storage_get args = {.key = "k", .on_data = on_data_refuse};

    script_start(&script, &step, 1);
    struct storage *st = storage_on(&script);
    assert_ok(storage_get_start(st, &args, on_ended, &ended, NULL, &err), &err);
    assert_true(wait_ended(&ended));
    assert_int_equal(ended.code, ERR_NO_SPACE);
    assert_non_null(strstr(ended.text, "GET s3://b/p/k: the disk is full"));
    script_end(&script, st, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_read_goes_on_where_it_was_cut),
        TEST(test_an_answer_that_stops_before_the_end_is_continued),
        TEST(test_progress_renews_the_tries_of_a_read),
        TEST(test_an_object_replaced_while_it_is_read_is_corrupt),
        TEST(test_an_answer_cut_among_its_headers_is_asked_for_again),
        TEST(test_an_error_document_is_not_taken_for_the_object),
        TEST(test_a_head_without_an_object_is_asked_again),
        TEST(test_ranges_that_were_not_asked_for_are_refused),
        TEST(test_a_reader_that_refuses_is_not_read_to_again),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, group_begin, group_end);
}
