/*
 * kubectl walferry pause and resume.
 */
#include "controller/plugin/plugin_scene.h"

static bool has(struct plugin_scene *s, const char *path, const char *part)
{
    CLEANUP(mem_free) char *json = kube_server_get(s->server, path);

    assert_non_null(json);
    return strstr(json, part) != NULL;
}

static const char shop[] = SCENE_REPLICAS "shop/sqlitereplicas/shop";
static const char erp[] = SCENE_REPLICAS "prod/sqlitereplicas/erp";

static void test_pause_and_resume_change_suspend_and_nothing_else(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    scene_replica(&s, "shop", "shop");
    scene_expect(&s, "pause shop", 0, "sqlitereplica.walferry.dev/shop paused\n", "");
    assert_true(has(&s, shop, "\"suspend\":true"));
    assert_true(has(&s, shop, "\"path\":\"/data/shop.db\""));
    assert_int_equal(kube_server_requests(s.server, "fieldManager=kubectl-walferry"), 1);
    scene_expect(&s, "pause shop", 0, "sqlitereplica.walferry.dev/shop was already paused\n", "");
    assert_int_equal(kube_server_requests(s.server, "PATCH"), 1);
    scene_expect(&s, "resume shop --dry-run", 0,
                 "sqlitereplica.walferry.dev/shop resumed (server dry run)\n", "");
    assert_true(has(&s, shop, "\"suspend\":true"));
    scene_expect(&s, "resume shop", 0, "sqlitereplica.walferry.dev/shop resumed\n", "");
    assert_true(has(&s, shop, "\"suspend\":false"));
    scene_drop(&s);
}

static void test_pause_takes_names_or_all_but_never_guesses(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    scene_replica(&s, "shop", "shop");
    scene_replica(&s, "prod", "erp");
    scene_refused(&s, "pause", 2, "which ones?", "--all");
    scene_refused(&s, "pause shop --all", 2, "exclude each other", "");
    scene_expect(&s, "pause --all", 0, "sqlitereplica.walferry.dev/shop paused\n", "");
    assert_false(has(&s, erp, "suspend"));
    scene_expect(&s, "pause -A -o json", 0,
                 "{\n  \"items\": [\n"
                 "    {\n      \"namespace\": \"shop\",\n      \"name\": \"shop\",\n"
                 "      \"suspended\": true,\n      \"changed\": false\n    },\n"
                 "    {\n      \"namespace\": \"prod\",\n      \"name\": \"erp\",\n"
                 "      \"suspended\": true,\n      \"changed\": true\n    }\n  ]\n}\n",
                 "");
    assert_true(has(&s, erp, "\"suspend\":true"));
    scene_drop(&s);
}

static void test_pause_tells_what_was_done_before_a_failure(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    scene_replica(&s, "shop", "shop");
    assert_int_equal(scene_run(&s, "pause shop missing"), 4);
    assert_string_equal(s.out, "sqlitereplica.walferry.dev/shop paused\n");
    assert_non_null(strstr(s.err, "shop/missing: 404"));
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_pause_and_resume_change_suspend_and_nothing_else),
        TEST(test_pause_takes_names_or_all_but_never_guesses),
        TEST(test_pause_tells_what_was_done_before_a_failure),
    };
    return TEST_MAIN(tests);
}
