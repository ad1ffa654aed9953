/*
 * Records of a lease: what is written is read, and what others may have put there is refused.
 */
#include "sidecar/engine/lease_record.h"

#include <string.h>

#include "lib/testing/test.h"

static void test_record_is_read_as_it_was_written(void **state UNUSED)
{
    const struct lease_record records[] = {
        {.owner = 0x0a1b2c3d, .expires_ms = 1790000000000, .holder = "node-7"},
        {.owner = 0xffffffff, .expires_ms = 0, .holder = ""},
        {.owner = 1, .expires_ms = 5, .holder = "a \"quoted\"\nname"},
    };

    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        CLEANUP(buf_destroy) struct buf text = BUF_INIT(LEASE_RECORD_BYTES_MAX);
        struct lease_record read;
        struct error err = ERROR_INIT;
        assert_ok(lease_record_write(&records[i], &text, &err), &err);
        assert_ok(lease_record_parse(buf_slice(&text), &read, &err), &err);
        assert_int_equal(read.owner, records[i].owner);
        assert_int_equal(read.expires_ms, records[i].expires_ms);
        assert_string_equal(read.holder, records[i].holder);
    }
}

static void test_foreign_records_are_refused_or_cut(void **state UNUSED)
{
    static const struct {
        const char *text;
        const char *error; /* NULL: accepted */
    } rows[] = {
        {"", "lease"},
        {"{", "lease"},
        {"[]", "lease"},
        {"{\"owner\": \"0a1b2c3d\"}", "expires_ms"},
        {"{\"expires_ms\": 1}", "owner"},
        {"{\"owner\": 7, \"expires_ms\": 1}", "owner"},
        {"{\"owner\": \"0a1b2c3\", \"expires_ms\": 1}", "8 hex digits"},
        {"{\"owner\": \"0A1B2C3D\", \"expires_ms\": 1}", "8 hex digits"},
        {"{\"owner\": \"0a1b2c3d\", \"expires_ms\": -1}", "expires_ms"},
        {"{\"owner\": \"0a1b2c3d\", \"expires_ms\": \"18446744073709551615\"}", "no moment"},
        {"{\"owner\": \"0a1b2c3d\", \"expires_ms\": 1, \"more\": []}", NULL},
        {"{\"owner\": \"0a1b2c3d\", \"expires_ms\": 1, \"holder\": "
         "\"0123456789012345678901234567890"
         "12345678901234567890123456789012345678901234567890123456789\"}",
         NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct lease_record record = {.owner = 99};
        struct error err = ERROR_INIT;
        test_row(rows[i].text);
        int rc = lease_record_parse(slice_of_str(rows[i].text), &record, &err);
        if (rows[i].error) {
            assert_error(rc, &err, ERR_CORRUPT, rows[i].error);
            assert_int_equal(record.owner, 99); /* nobody can use half a result */
        } else {
            assert_ok(rc, &err);
            assert_int_equal(record.owner, 0x0a1b2c3d);
            assert_true(strlen(record.holder) < LEASE_HOLDER_BYTES);
        }
    }
}

static void test_names_are_numbers_after_which_another_can_follow(void **state UNUSED)
{
    static const char *const foreign[] = {
        "lease/",
        "lease/1",
        "lease/0000000000000000",
        "lease/000000000000000x",
        "lease/00000000000000001",
        "lease/ffffffffffffffff",
        "leases/0000000000000001",
        "0000/0000000000000001-0000000000000001.ltx",
    };
    char key[LEASE_KEY_BYTES];
    uint64_t number = 0;

    for (uint64_t n = 1; n < 1ULL << 60; n *= 37) {
        assert_true(lease_key_parse(lease_key_format(n, key), &number));
        assert_int_equal(number, n);
    }
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        test_row(foreign[i]);
        assert_false(lease_key_parse(foreign[i], &number));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_record_is_read_as_it_was_written),
        TEST(test_foreign_records_are_refused_or_cut),
        TEST(test_names_are_numbers_after_which_another_can_follow),
    };
    return TEST_MAIN(tests);
}
