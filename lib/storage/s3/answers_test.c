/*
 * S3's documents: real ones, cut ones, hostile ones.
 */
#include "lib/storage/s3/answers.h"

#include <stdlib.h>
#include <string.h>

#include "lib/testing/test.h"

static const char list_text[] =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name>"
    "<Prefix>a%2F</Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys>"
    "<IsTruncated>true</IsTruncated>\n"
    "<Contents><Key>a%2Fx+y%2Bz</Key><LastModified>2026-11-21T09:37:05.250Z</LastModified>"
    "<ETag>&quot;e&quot;</ETag><Size>18446744073709551615</Size>"
    "<Owner><ID>1</ID><DisplayName>Key</DisplayName></Owner></Contents>\n"
    "<Contents><Key>a%2Fz</Key><LastModified>2026-11-21T09:37:05Z</LastModified><Size>0</Size>"
    "</Contents><CommonPrefixes><Prefix>q</Prefix></CommonPrefixes>"
    "<NextContinuationToken>1/x=&amp;</NextContinuationToken>"
    "<EncodingType>url</EncodingType></ListBucketResult>";

static void test_a_listing_is_read(void **state UNUSED)
{
    struct s3_page page = S3_PAGE_INIT;
    struct error err = ERROR_INIT;

    assert_ok(s3_list_parse(SLICE_LIT(list_text), &page, &err), &err);
    assert_int_equal(page.entry_count, 2);
    assert_string_equal(s3_page_key(&page, 0), "a/x y+z");
    assert_int_equal(page.entries[0].bytes, UINT64_MAX);
    assert_int_equal(page.entries[0].modified_ns, UINT64_C(1795253825250000000));
    assert_string_equal(s3_page_key(&page, 1), "a/z");
    assert_true(page.is_truncated);
    assert_string_equal(page.next_token, "1/x=&");
    s3_page_destroy(&page);
}

static void test_a_listing_cut_anywhere_is_refused(void **state UNUSED)
{
    for (size_t n = 0; n < sizeof(list_text) - 1; n++) {
        struct s3_page page = S3_PAGE_INIT;
        struct error err = ERROR_INIT;
        assert_error(s3_list_parse(slice_of(list_text, n), &page, &err), &err, ERR_CORRUPT, "");
        s3_page_destroy(&page);
    }
}

#define LIST(content) "<ListBucketResult>" content "</ListBucketResult>"

static void test_hostile_listings_are_refused(void **state UNUSED)
{
    static const struct {
        const char *name, *text, *error;
    } rows[] = {
        {"no key", LIST("<Contents><Size>1</Size></Contents>"), "no key"},
        {"empty key", LIST("<Contents><Key></Key></Contents>"), "a text of 0 bytes"},
        {"negative size", LIST("<Contents><Key>a</Key><Size>-1</Size></Contents>"), "not a number"},
        {"huge size", LIST("<Contents><Key>a</Key><Size>18446744073709551616</Size></Contents>"),
         "not a number"},
        {"date", LIST("<Contents><Key>a</Key><LastModified>soon</LastModified></Contents>"),
         "listing"},
        {"escape", LIST("<EncodingType>url</EncodingType><Contents><Key>a%2</Key></Contents>"),
         "bad escape"},
        {"zero byte", LIST("<EncodingType>url</EncodingType><Contents><Key>a%00b</Key></Contents>"),
         "bad escape"},
        {"depth",
         "<ListBucketResult><a><a><a><a><a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a>"
         "</a></a></a></a></a></a></ListBucketResult>",
         "nested too deep"},
        {"root", "<Contents/>", "expected <ListBucketResult>"},
        {"laughs", "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]>" LIST("&b;"),
         "document type"},
        {"endless", LIST("<IsTruncated>true</IsTruncated>"), "not where"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct s3_page page = S3_PAGE_INIT;
        struct error err = ERROR_INIT;
        test_row(rows[i].name);
        assert_error(s3_list_parse(slice_of_str(rows[i].text), &page, &err), &err, ERR_CORRUPT,
                     rows[i].error);
        s3_page_destroy(&page);
    }
}

static void test_more_entries_than_a_page_holds_are_refused(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(S3_ANSWER_BYTES_MAX);
    struct s3_page page = S3_PAGE_INIT;
    struct error err = ERROR_INIT;

    assert_ok(buf_append_str(&text, "<ListBucketResult>", &err), &err);
    for (int i = 0; i <= S3_PAGE_ENTRIES_MAX; i++)
        assert_ok(buf_append_str(&text, "<Contents><Key>a</Key></Contents>", &err), &err);
    assert_ok(buf_append_str(&text, "</ListBucketResult>", &err), &err);
    assert_error(s3_list_parse(buf_slice(&text), &page, &err), &err, ERR_CORRUPT,
                 "more than 10000 entries");
    s3_page_destroy(&page);
}

static void test_a_text_without_end_is_refused(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(S3_ANSWER_BYTES_MAX);
    struct s3_page page = S3_PAGE_INIT;
    struct error err = ERROR_INIT;

    assert_ok(buf_append_str(&text, "<ListBucketResult><Contents><Key>", &err), &err);
    for (int i = 0; i < 10000; i++)
        assert_ok(buf_append_byte(&text, 'a', &err), &err);
    assert_ok(buf_append_str(&text, "</Key></Contents></ListBucketResult>", &err), &err);
    assert_error(s3_list_parse(buf_slice(&text), &page, &err), &err, ERR_CORRUPT, "longer than");
    s3_page_destroy(&page);
}

static void test_errors_are_read_and_made_printable(void **state UNUSED)
{
    struct s3_error e;

    assert_true(s3_error_parse(SLICE_LIT("<?xml version=\"1.0\"?><Error><Code>SlowDown</Code>"
                                         "<Message>a&#9;b\xc3\xa9</Message><Region>eu</Region>"
                                         "<ServerTime>2026-11-21T09:37:00Z</ServerTime></Error>"),
                               &e));
    assert_string_equal(e.code, "SlowDown");
    assert_string_equal(e.message, "a?b??");
    assert_string_equal(e.region, "eu");
    assert_true(s3_error_parse(SLICE_LIT("<Error><Code>Cut</Code><Mess"), &e));
    assert_string_equal(e.code, "Cut");
    assert_false(s3_error_parse(SLICE_LIT("<html><Code>x</Code></html>"), &e));
    assert_false(s3_error_parse(SLICE_EMPTY, &e));
    assert_string_equal(e.code, "");
}

static void test_uploads_are_read(void **state UNUSED)
{
    static const char text[] =
        "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>"
        "<EncodingType>url</EncodingType><NextKeyMarker>a+b</NextKeyMarker>"
        "<NextUploadIdMarker>u2</NextUploadIdMarker>"
        "<Upload><UploadId>u1</UploadId><Key>a%20b</Key>"
        "<Initiated>2026-11-21T09:37:05Z</Initiated></Upload></ListMultipartUploadsResult>";
    static const char no_id[] = "<ListMultipartUploadsResult><Upload><Key>a</Key></Upload>"
                                "<Upload><Key>b</Key></Upload></ListMultipartUploadsResult>";
    struct s3_page page = S3_PAGE_INIT;
    struct error err = ERROR_INIT;

    assert_ok(s3_uploads_parse(SLICE_LIT(text), &page, &err), &err);
    assert_int_equal(page.entry_count, 1);
    assert_string_equal(s3_page_key(&page, 0), "a b");
    assert_string_equal(s3_page_upload_id(&page, 0), "u1");
    assert_string_equal(page.next_token, "a b");
    assert_string_equal(page.next_upload_id, "u2");
    s3_page_destroy(&page);
    assert_error(s3_uploads_parse(SLICE_LIT(no_id), &page, &err), &err, ERR_CORRUPT, "no id");
    s3_page_destroy(&page);
}

static void test_multipart_answers_are_read(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    char id[S3_UPLOAD_ID_BYTES_MAX + 1];

    assert_ok(s3_upload_id_parse(SLICE_LIT("<InitiateMultipartUploadResult><Key>k</Key><UploadId>"
                                           " u </UploadId></InitiateMultipartUploadResult>"),
                                 id, &err),
              &err);
    assert_string_equal(id, "u");
    assert_error(s3_upload_id_parse(SLICE_LIT("<InitiateMultipartUploadResult/>"), id, &err), &err,
                 ERR_CORRUPT, "no upload id");
    assert_true(s3_complete_parse(SLICE_LIT("<CompleteMultipartUploadResult><ETag>e</ETag>"
                                            "</CompleteMultipartUploadResult>")));
    assert_false(s3_complete_parse(SLICE_LIT("<CompleteMultipartUploadResult><ETag>e</ETag>")));
    assert_false(s3_complete_parse(SLICE_LIT("<Error><Code>InternalError</Code></Error>")));
    assert_false(s3_complete_parse(SLICE_EMPTY));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_listing_is_read),
        TEST(test_a_listing_cut_anywhere_is_refused),
        TEST(test_hostile_listings_are_refused),
        TEST(test_more_entries_than_a_page_holds_are_refused),
        TEST(test_a_text_without_end_is_refused),
        TEST(test_errors_are_read_and_made_printable),
        TEST(test_uploads_are_read),
        TEST(test_multipart_answers_are_read),
    };
    return TEST_MAIN(tests);
}
