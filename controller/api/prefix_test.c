/*
 * Prefix templates: what is refused, and what comes out.
 */
#include "controller/api/prefix.h"

#include "lib/testing/test.h"

struct row {
    const char *template_text;
    const char *answer; /* the prefix, or part of the error */
    bool is_refused;
};

static const struct row rows[] = {
    {"{{namespace}}/{{name}}/{{database}}", "prod/app/main", false},
    {"{{namespace}}-{{name}}.{{database}}/{{podName}}", "prod-app.main/app-0", false},
    {"plain/text", "plain/text", false},
    {"{{name}}{{name}}", "appapp", false},
    {"{{pod}}", "unknown variable", true},
    {"{{}}", "unknown variable", true},
    {"{{name", "unknown variable", true},
    {"name}}", "unknown variable", true},
    {"a{b", "unknown variable", true},
    {"", "steps between single slashes", true},
    {"/a", "steps between single slashes", true},
    {"a/", "steps between single slashes", true},
    {"a//b", "steps between single slashes", true},
    {"a/../b", "steps between single slashes", true},
    {".", "steps between single slashes", true},
    {"a b", "a character that object keys", true},
    {"a$HOME", "a character that object keys", true},
    {"a?b", "a character that object keys", true},
    {"a\nb", "a character that object keys", true},
    {"\xc3\xa4", "a character that object keys", true},
};

static struct api_replica replica = {
    .meta = {.namespace_name = (char *)"prod", .name = (char *)"app"}};
static const struct api_database database = {.name = (char *)"main"};

static void test_templates_resolve_or_are_refused(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_destroy) struct buf out = BUF_INIT(1024);
        struct api_destination d = {.prefix_template = (char *)rows[i].template_text};
        struct error err = ERROR_INIT;
        test_row(rows[i].template_text);
        if (rows[i].is_refused) {
            assert_error(api_prefix_check(rows[i].template_text, &err), &err, ERR_CORRUPT,
                         rows[i].answer);
            continue;
        }
        assert_ok(api_prefix_check(rows[i].template_text, &err), &err);
        assert_ok(api_prefix_resolve(&replica, &d, &database, NULL, "app-0", &out, &err), &err);
        assert_string_equal(buf_str(&out), rows[i].answer);
    }
}

static void test_the_prefix_of_the_bucket_comes_first(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(1024);
    struct api_destination d = {.prefix_template = (char *)"{{database}}"};
    struct api_bucket bucket = {.prefix = (char *)"team/a"};
    struct error err = ERROR_INIT;

    assert_ok(api_prefix_resolve(&replica, &d, &database, &bucket, "", &out, &err), &err);
    assert_string_equal(buf_str(&out), "team/a/main");
}

static void test_only_pod_names_tell_pods_apart(void **state UNUSED)
{
    assert_true(api_prefix_is_per_pod("a/{{podName}}"));
    assert_false(api_prefix_is_per_pod(API_PREFIX_TEMPLATE));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_templates_resolve_or_are_refused),
        TEST(test_the_prefix_of_the_bucket_comes_first),
        TEST(test_only_pod_names_tell_pods_apart),
    };
    return TEST_MAIN(tests);
}
