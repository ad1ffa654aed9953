/*
 * YAML trees: lines, paths, what is refused and where, aliases and merges within limits.
 */
#include "lib/yaml/yamldoc.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/testing/test.h"

static const char sample[] = "# a comment\n"
                             "addr: \":9090\"\n"
                             "dbs:\n"
                             "  - path: /data/app.db\n"
                             "    replica:\n"
                             "      url: s3://bucket/app\n"
                             "  - path: /data/other.db\n"
                             "empty:\n"
                             "quoted: ''\n"
                             "block: |\n"
                             "  line one\n"
                             "  line two\n";

static void parse(struct yamldoc *doc, const char *text)
{
    struct error err = ERROR_INIT;
    assert_ok(yamldoc_parse(doc, "test.yml", slice_of_str(text), &err), &err);
}

static const char *text_of(const struct yamldoc_node *node)
{
    struct error err = ERROR_INIT;
    const char *text = NULL;
    assert_non_null(node);
    assert_ok(yamldoc_text(node, &text, &err), &err);
    return text;
}

static void test_values_are_found_with_line_and_path(void **state UNUSED)
{
    CLEANUP(yamldoc_destroy) struct yamldoc doc = YAMLDOC_INIT;
    CLEANUP(buf_destroy) struct buf path = BUF_INIT(1000);
    struct error err = ERROR_INIT;

    parse(&doc, sample);
    assert_string_equal(text_of(yamldoc_get(doc.root, "addr")), ":9090");
    const struct yamldoc_node *dbs = yamldoc_get(doc.root, "dbs");
    assert_non_null(dbs);
    assert_int_equal(dbs->child_count, 2);
    const struct yamldoc_node *replica = yamldoc_get(dbs->children[0], "replica");
    assert_non_null(replica);
    const struct yamldoc_node *url = yamldoc_get(replica, "url");
    assert_string_equal(text_of(url), "s3://bucket/app");
    assert_int_equal(url->line, 6);
    assert_int_equal(url->column, 7);
    assert_ok(yamldoc_path(url, &path, &err), &err);
    assert_string_equal(buf_str(&path), "dbs[0].replica.url");
    assert_null(yamldoc_get(doc.root, "nothing"));
    assert_null(yamldoc_get(dbs, "addr"));
    assert_string_equal(text_of(yamldoc_get(doc.root, "block")), "line one\nline two\n");
}

static void test_empty_plain_value_is_nothing_but_quoted_one_is_text(void **state UNUSED)
{
    CLEANUP(yamldoc_destroy) struct yamldoc doc = YAMLDOC_INIT;
    parse(&doc, sample);
    assert_null(yamldoc_get(doc.root, "empty"));
    assert_string_equal(text_of(yamldoc_get(doc.root, "quoted")), "");
}

static void test_empty_document_is_nothing(void **state UNUSED)
{
    static const char *const texts[] = {"", "# only a comment\n", "---\n", "~", "null\n"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP(yamldoc_destroy) struct yamldoc doc = YAMLDOC_INIT;
        test_row(texts[i]);
        parse(&doc, texts[i]);
        assert_int_equal(doc.root->kind, YAMLDOC_NULL);
        assert_null(yamldoc_get(doc.root, "key"));
    }
}

static void test_broken_documents_are_refused_with_their_line(void **state UNUSED)
{
    static const struct {
        const char *name, *text, *error;
    } rows[] = {
        {"tab", "a:\n\tb: 1\n", "test.yml:2: found character that cannot start any token"},
        {"colon", "a: 1\nb: c: d\n", "test.yml:2: mapping values are not allowed in this context"},
        {"open bracket", "a: [1, 2\nb: 3\n", "test.yml:2: did not find expected ',' or ']'"},
        {"duplicate key", "a: 1\nb: 2\na: 3\n",
         "test.yml:3: key \"a\" is here twice (first in line 1)"},
        {"nested duplicate", "x:\n  - {p: 1, p: 2}\n",
         "test.yml:2: key \"p\" is here twice (first in line 2)"},
        {"second document", "a: 1\n---\nb: 2\n", "test.yml:2: a second document begins here"},
        {"alias without anchor", "a: *b\n", "test.yml:1: alias \"*b\" has no anchor \"&b\""},
        {"alias inside itself", "a: &a [1, *a]\n", "has no anchor"},
        {"list as key", "? [a, b]\n: 1\n", "test.yml:1: a key must be a word"},
        {"zero byte", "a: \"x\\0y\"\n", "test.yml:1: a value contains a zero byte"},
        {"not utf-8", "a: \xff\xfe\n", "test.yml: invalid leading UTF-8 octet at byte 3"},
        {"merge of text", "a:\n  <<: b\n", "\"<<\" takes a mapping or a list of mappings"},
        {"cut in quotes", "a: \"b\n", "test.yml:2: found unexpected end of stream"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct yamldoc doc = YAMLDOC_INIT;
        struct error err = ERROR_INIT;
        test_row(rows[i].name);
        assert_error(yamldoc_parse(&doc, "test.yml", slice_of_str(rows[i].text), &err), &err,
                     ERR_USAGE, rows[i].error);
        assert_null(doc.root);
    }
}

static void test_every_cut_of_a_document_parses_or_is_refused(void **state UNUSED)
{
    for (size_t n = 0; n < sizeof(sample); n++) {
        CLEANUP(yamldoc_destroy) struct yamldoc doc = YAMLDOC_INIT;
        struct error err = ERROR_INIT;
        if (yamldoc_parse(&doc, "cut.yml", slice_of(sample, n), &err) < 0)
            assert_int_equal(err.code, ERR_USAGE);
    }
}

static void test_alias_copies_what_its_anchor_names(void **state UNUSED)
{
    CLEANUP(yamldoc_destroy) struct yamldoc doc = YAMLDOC_INIT;
    CLEANUP(buf_destroy) struct buf path = BUF_INIT(1000);
    struct error err = ERROR_INIT;

    parse(&doc, "a: &x\n  list: [1, two]\nb: *x\n");
    const struct yamldoc_node *copy = yamldoc_get(doc.root, "b");
    assert_non_null(copy);
    assert_int_equal(copy->line, 3);
    const struct yamldoc_node *list = yamldoc_get(copy, "list");
    assert_string_equal(text_of(list->children[1]), "two");
    assert_ok(yamldoc_path(list->children[1], &path, &err), &err);
    assert_string_equal(buf_str(&path), "b.list[1]");
}

static void test_merge_key_adds_what_the_mapping_lacks(void **state UNUSED)
{
    CLEANUP(yamldoc_destroy) struct yamldoc doc = YAMLDOC_INIT;

    parse(&doc, "x: &x {region: eu, bucket: one}\ny: &y {bucket: two, path: p}\n"
                "r:\n  <<: [*x, *y]\n  region: us\ns:\n  a: 1\n  <<: *x\n  b: 2\n");
    const struct yamldoc_node *r = yamldoc_get(doc.root, "r");
    assert_int_equal(r->child_count, 3);
    assert_string_equal(text_of(yamldoc_get(r, "region")), "us");
    assert_string_equal(text_of(yamldoc_get(r, "bucket")), "one");
    assert_string_equal(text_of(yamldoc_get(r, "path")), "p");
    const struct yamldoc_node *s = yamldoc_get(doc.root, "s");
    assert_int_equal(s->child_count, 4);
    for (size_t i = 0; i < s->child_count; i++)
        assert_int_equal(s->children[i]->child_idx, i);
}

static void test_anchor_inside_a_merge_does_not_outlive_it(void **state UNUSED)
{
    struct yamldoc doc = YAMLDOC_INIT;
    struct error err = ERROR_INIT;
    static const char text[] = "a:\n  <<: &x {b: 1}\nc: *x\n";
    assert_error(yamldoc_parse(&doc, "m.yml", slice_of_str(text), &err), &err, ERR_USAGE,
                 "m.yml:3: alias \"*x\" has no anchor");
}

static void test_billion_laughs_end_at_the_limit(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(10000);
    struct yamldoc doc = YAMLDOC_INIT;
    struct error err = ERROR_INIT;

    assert_ok(buf_append_str(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n", &err), &err);
    for (int i = 1; i < 12; i++) {
        assert_ok(buf_printf(&text, &err, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i,
                             i - 1, i - 1, i - 1, i - 1, i - 1, i - 1),
                  &err);
    }
    assert_error(yamldoc_parse(&doc, "laughs.yml", buf_slice(&text), &err), &err, ERR_LIMIT,
                 "more than 262144 values");
}

static void test_nesting_ends_at_the_limit(void **state UNUSED)
{
    char text[2001];
    struct yamldoc doc = YAMLDOC_INIT;
    struct error err = ERROR_INIT;

    memset(text, '[', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_error(yamldoc_parse(&doc, "deep.yml", slice_of_str(text), &err), &err, ERR_LIMIT,
                 "deep.yml:1: nested deeper than 32");
}

static void test_aliases_cannot_nest_beyond_the_limit(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(10000);
    struct yamldoc doc = YAMLDOC_INIT;
    struct error err = ERROR_INIT;

    assert_ok(buf_append_str(&text, "a0: &a0 [x]\n", &err), &err);
    for (int i = 1; i < 60; i++)
        assert_ok(buf_printf(&text, &err, "a%d: &a%d [*a%d]\n", i, i, i - 1), &err);
    assert_error(yamldoc_parse(&doc, "deep.yml", buf_slice(&text), &err), &err, ERR_LIMIT,
                 "nested deeper than 32");
}

static void test_oversized_text_is_refused_unread(void **state UNUSED)
{
    struct yamldoc doc = YAMLDOC_INIT;
    struct error err = ERROR_INIT;
    static const uint8_t byte = 0;
    assert_error(yamldoc_parse(&doc, "big.yml", slice_of(&byte, YAMLDOC_BYTES_MAX + 1), &err), &err,
                 ERR_LIMIT, "big.yml: 8388609 bytes, more than 8388608");
}

static void test_mapping_has_a_limit_of_keys(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(100000);
    struct yamldoc doc = YAMLDOC_INIT;
    struct error err = ERROR_INIT;

    for (int i = 0; i < 1001; i++)
        assert_ok(buf_printf(&text, &err, "k%d: 1\n", i), &err);
    assert_error(yamldoc_parse(&doc, "keys.yml", buf_slice(&text), &err), &err, ERR_LIMIT,
                 "keys.yml:1001: more than 1000 keys");
}

static void test_errors_name_file_line_and_path(void **state UNUSED)
{
    static const char *const known[] = {"path", "retention", "url"};
    CLEANUP(yamldoc_destroy) struct yamldoc doc = YAMLDOC_INIT;
    struct error err = ERROR_INIT;
    const char *text;

    parse(&doc, "dbs:\n- path: x\n  replica:\n    retnetion: 1h\n    zzz: 1\n");
    const struct yamldoc_node *db = yamldoc_get(doc.root, "dbs")->children[0];
    const struct yamldoc_node *replica = yamldoc_get(db, "replica");
    assert_error(yamldoc_unknown_key(replica->children[0], known, 3, &err), &err, ERR_USAGE, "");
    assert_string_equal(err.text, "test.yml:4: dbs[0].replica.retnetion: unknown key; did you "
                                  "mean \"retention\"?");
    assert_error(yamldoc_unknown_key(replica->children[1], known, 3, &err), &err, ERR_USAGE, "");
    assert_string_equal(err.text, "test.yml:5: dbs[0].replica.zzz: unknown key");
    assert_error(yamldoc_text(replica, &text, &err), &err, ERR_USAGE,
                 "test.yml:3: dbs[0].replica: expected a single value, found a mapping");
    assert_error(yamldoc_expect(doc.root, YAMLDOC_SEQUENCE, &err), &err, ERR_USAGE,
                 "test.yml:1: expected a list, found a mapping");
}

static void test_replaced_text_that_is_empty_becomes_nothing(void **state UNUSED)
{
    CLEANUP(yamldoc_destroy) struct yamldoc doc = YAMLDOC_INIT;
    struct error err = ERROR_INIT;

    parse(&doc, "a: $X\nb: \"$X\"\nc: $X\n");
    for (size_t i = 0; i < 3; i++) {
        struct yamldoc_node *node = doc.root->children[i];
        assert_ok(yamldoc_text_replace(node, i < 2 ? "" : "full", &err), &err);
    }
    assert_null(yamldoc_get(doc.root, "a"));
    assert_string_equal(text_of(yamldoc_get(doc.root, "b")), "");
    assert_string_equal(text_of(yamldoc_get(doc.root, "c")), "full");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_values_are_found_with_line_and_path),
        TEST(test_empty_plain_value_is_nothing_but_quoted_one_is_text),
        TEST(test_empty_document_is_nothing),
        TEST(test_broken_documents_are_refused_with_their_line),
        TEST(test_every_cut_of_a_document_parses_or_is_refused),
        TEST(test_alias_copies_what_its_anchor_names),
        TEST(test_merge_key_adds_what_the_mapping_lacks),
        TEST(test_anchor_inside_a_merge_does_not_outlive_it),
        TEST(test_billion_laughs_end_at_the_limit),
        TEST(test_nesting_ends_at_the_limit),
        TEST(test_aliases_cannot_nest_beyond_the_limit),
        TEST(test_oversized_text_is_refused_unread),
        TEST(test_mapping_has_a_limit_of_keys),
        TEST(test_errors_name_file_line_and_path),
        TEST(test_replaced_text_that_is_empty_becomes_nothing),
    };
    return TEST_MAIN(tests);
}
