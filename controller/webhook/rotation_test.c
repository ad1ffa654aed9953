/*
 * Twelve years of certificates in one go: at every moment what is served is trusted, by the bundle
 * of now and by the bundle that the API server may still have.
 */
#include "controller/webhook/rotation.h"

#include <string.h>

#include "lib/testing/test.h"

#define BEGIN_NS (UINT64_C(1800000000) * NS_PER_SEC)

static const char *const names[] = {"walferry.ops.svc", "walferry.ops.svc.cluster.local"};

static enum rotation_step due(const struct rotation *r, uint64_t now_ns, bool is_published)
{
    return rotation_due(r, names, ARRAY_LEN(names), now_ns, is_published);
}

static void step_do(enum rotation_step step, uint64_t now_ns, struct rotation *r)
{
    struct error err = ERROR_INIT;

    assert_ok(rotation_do(step, env_real(), names, ARRAY_LEN(names), now_ns, r, &err), &err);
}

static struct tls_keypair *server_of(const struct rotation *r)
{
    struct tls_keypair *k = NULL;
    struct error err = ERROR_INIT;

    assert_ok(tls_keypair_parse(buf_slice(&r->server.cert), buf_slice(&r->server.key), &k, &err),
              &err);
    return k;
}

static void bundle_of(const struct rotation *r, struct buf *out)
{
    struct error err = ERROR_INIT;

    buf_clear(out);
    assert_ok(rotation_bundle(r, out, &err), &err);
}

static void test_what_is_served_is_trusted_for_twelve_years(void **state UNUSED)
{
    CLEANUP(rotation_destroy) struct rotation r = ROTATION_INIT;
    CLEANUP(buf_destroy) struct buf told = BUF_INIT(1 << 20);
    CLEANUP(buf_destroy) struct buf bundle = BUF_INIT(1 << 20);
    unsigned steps[ROTATION_FORGET + 1] = {0};

    for (uint64_t now = BEGIN_NS; now < BEGIN_NS + 12 * 365 * NS_PER_DAY; now += NS_PER_HOUR / 2) {
        bundle_of(&r, &bundle);
        bool is_published = slice_eq(buf_slice(&bundle), buf_slice(&told));
        enum rotation_step step = due(&r, now, is_published);
        if (step != ROTATION_NOTHING) {
            step_do(step, now, &r);
            steps[step]++;
        }
        struct tls_keypair *k = server_of(&r);
        /* The API server may still have been told the bundle of before, if there was one. */
        if (told.n > 0)
            assert_true(tls_keypair_is_signed_by(k, buf_slice(&told)));
        bundle_of(&r, &told);
        assert_true(tls_keypair_is_signed_by(k, buf_slice(&told)));
        assert_true(tls_keypair_not_after_ns(k) > now + 15 * NS_PER_DAY);
        assert_true(tls_keypair_not_before_ns(k) <= now);
        tls_keypair_free(k);
        if (step == ROTATION_NOTHING)
            now += 10 * NS_PER_DAY; /* nothing to see */
    }
    assert_int_equal(steps[ROTATION_MAKE], 1);
    assert_in_range(steps[ROTATION_PROMOTE], 3, 4);
    assert_int_equal(steps[ROTATION_PREPARE], steps[ROTATION_PROMOTE]);
    assert_int_equal(steps[ROTATION_FORGET], steps[ROTATION_PROMOTE]);
    assert_in_range(steps[ROTATION_SIGN], 50, 75);
}

static void test_no_authority_takes_over_before_it_is_trusted(void **state UNUSED)
{
    CLEANUP(rotation_destroy) struct rotation r = ROTATION_INIT;
    uint64_t aging = BEGIN_NS + ROTATION_CA_NS / 3 * 2;

    step_do(ROTATION_MAKE, BEGIN_NS, &r);
    step_do(ROTATION_SIGN, aging, &r);
    assert_int_equal(due(&r, aging, true), ROTATION_PREPARE);
    step_do(ROTATION_PREPARE, aging, &r);
    /* Not yet, and not as long as the bundle has not been published. */
    assert_int_equal(due(&r, aging, true), ROTATION_NOTHING);
    assert_int_equal(due(&r, aging + 2 * ROTATION_TRUST_NS, false), ROTATION_NOTHING);
    assert_int_equal(due(&r, aging + 2 * ROTATION_TRUST_NS, true), ROTATION_PROMOTE);
    step_do(ROTATION_PROMOTE, aging + 2 * ROTATION_TRUST_NS, &r);
    assert_int_equal(r.next.cert.n, 0);
    assert_int_equal(r.old.key.n, 0);
    assert_int_equal(due(&r, aging + 3 * ROTATION_TRUST_NS, true), ROTATION_NOTHING);
    assert_int_equal(due(&r, aging + 2 * ROTATION_OLD_NS, true), ROTATION_FORGET);
}

static void test_what_cannot_be_used_is_made_anew(void **state UNUSED)
{
    CLEANUP(rotation_destroy) struct rotation r = ROTATION_INIT;
    static const char *const other[] = {"walferry.elsewhere.svc"};
    struct error err = ERROR_INIT;

    assert_int_equal(due(&r, BEGIN_NS, true), ROTATION_MAKE);
    step_do(ROTATION_MAKE, BEGIN_NS, &r);
    assert_int_equal(due(&r, BEGIN_NS, true), ROTATION_NOTHING);
    /* Another name, a key that was lost, an authority that has expired. */
    assert_int_equal(rotation_due(&r, other, 1, BEGIN_NS, true), ROTATION_SIGN);
    buf_clear(&r.server.key);
    assert_int_equal(due(&r, BEGIN_NS, true), ROTATION_SIGN);
    step_do(ROTATION_SIGN, BEGIN_NS, &r);
    assert_int_equal(due(&r, BEGIN_NS + ROTATION_CA_NS + NS_PER_DAY, true), ROTATION_MAKE);
    buf_clear(&r.ca.cert);
    assert_ok(buf_append_str(&r.ca.cert, "nonsense", &err), &err);
    assert_int_equal(due(&r, BEGIN_NS, true), ROTATION_MAKE);
}

static void test_a_secret_keeps_everything_but_the_old_key(void **state UNUSED)
{
    CLEANUP(rotation_destroy) struct rotation r = ROTATION_INIT;
    CLEANUP(rotation_destroy) struct rotation back = ROTATION_INIT;
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(1 << 20);
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    struct json_writer w;

    step_do(ROTATION_MAKE, BEGIN_NS, &r);
    step_do(ROTATION_PREPARE, BEGIN_NS, &r);
    step_do(ROTATION_PROMOTE, BEGIN_NS, &r);
    json_writer_init(&w, &text, JSON_COMPACT);
    rotation_write(&r, &w, NULL);
    assert_ok(json_writer_finish(&w, &err), &err);
    assert_ok(jsonval_parse(&doc, "data", buf_slice(&text), &err), &err);
    assert_ok(rotation_read(jsonval_root(&doc), &back, &err), &err);
    assert_true(slice_eq(buf_slice(&r.ca.key), buf_slice(&back.ca.key)));
    assert_true(slice_eq(buf_slice(&r.old.cert), buf_slice(&back.old.cert)));
    assert_true(slice_eq(buf_slice(&r.server.cert), buf_slice(&back.server.cert)));
    assert_int_equal(back.next.cert.n, 0);
    assert_null(strstr(buf_str(&text), "old-ca.key"));
}

static void test_a_secret_that_is_no_base64_is_an_error(void **state UNUSED)
{
    CLEANUP(rotation_destroy) struct rotation r = ROTATION_INIT;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;

    assert_ok(jsonval_parse(&doc, "data", SLICE_LIT("{\"ca.crt\":\"%%%\"}"), &err), &err);
    assert_error(rotation_read(jsonval_root(&doc), &r, &err), &err, ERR_CORRUPT,
                 "key ca.crt of the Secret");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_what_is_served_is_trusted_for_twelve_years),
        TEST(test_no_authority_takes_over_before_it_is_trusted),
        TEST(test_what_cannot_be_used_is_made_anew),
        TEST(test_a_secret_keeps_everything_but_the_old_key),
        TEST(test_a_secret_that_is_no_base64_is_an_error),
    };
    return TEST_MAIN(tests);
}
