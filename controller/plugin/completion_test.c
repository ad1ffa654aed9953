/*
 * Proposals for the word that is being written.
 */
#include "controller/plugin/plugin_scene.h"

static void test_completion_proposes_what_the_program_takes(void **state UNUSED)
{
    static const struct {
        const char *line, *out;
    } rows[] = {
        {"__complete st", "status\tShow how replication is going\n:4\n"},
        {"__complete resu", "resume\tShip again after a pause\n:4\n"},
        {"__complete help la", "lag\tShow how far each database is behind\n:4\n"},
        {"__complete status ", "shop\n:4\n"},
        {"__complete status -n prod ", "erp\nerp-2\n:4\n"},
        {"__complete status --namespace=prod erp-", "erp-2\n:4\n"},
        {"__complete status --context other e", "erp\nerp-2\n:4\n"},
        {"__complete status shop ", ":4\n"},
        {"__complete pause shop sh", "shop\n:4\n"},
        {"__complete status -n p", "prod\n:4\n"},
        {"__complete status --wa",
         "--watch\tgo on with a line for each change, until interrupted\n:4\n"},
        {"__complete status --context ", "test\nother\n:4\n"},
        {"__complete status --context=o", "--context=other\n:4\n"},
        {"__complete status --kubeconfig /nonexistent --context ", ":4\n"},
        {"__complete status -o ", "table\nwide\njson\n:4\n"},
        {"__complete restore shop --to-claim ", "inspection\n:4\n"},
        {"__complete logs shop --pod shop-", "shop-0\n:4\n"},
        {"__complete status --output=j", "--output=json\n:4\n"},
        {"__complete status --output = j", "json\n:4\n"},
        {"__complete status --output =", "table\nwide\njson\n:4\n"},
        {"__complete completion z", "zsh\n:4\n"},
        {"__complete version ", ":4\n"},
        {"__complete nothing ", ":4\n"},
        {"__complete", ":4\n"},
    };
    struct plugin_scene s;
    scene_make(&s);

    scene_replica(&s, "shop", "shop");
    scene_replica(&s, "prod", "erp");
    scene_replica(&s, "prod", "erp-2");
    kube_server_put(s.server, "/api/v1/namespaces/prod", "{}");
    kube_server_put(s.server, "/api/v1/namespaces/shop/persistentvolumeclaims/inspection", "{}");
    kube_server_put(s.server, "/api/v1/namespaces/shop/pods/shop-0", "{}");
    kube_server_put(s.server, "/api/v1/namespaces/shop", "{}");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        scene_expect(&s, rows[i].line, 0, rows[i].out, "");
    scene_drop(&s);
}

static void test_completion_is_silent_when_the_cluster_is_away(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    scene_kubeconfig(&s, "http://127.0.0.1:1");
    scene_expect(&s, "__complete status ", 0, ":4\n", "");
    scene_kubeconfig(&s, "no url at all");
    scene_expect(&s, "__complete status ", 0, ":4\n", "");
    scene_drop(&s);
}

static void test_completion_answers_under_the_name_that_kubectl_looks_for(void **state UNUSED)
{
    struct plugin_scene s;
    char *argv[] = {(char *)"/usr/bin/kubectl_complete-walferry", (char *)"la", NULL};
    scene_make(&s);

    int out = scene_redirect(STDOUT_FILENO, s.out_path);
    int status = plugin_main(&s.env, 2, argv);
    scene_restore(STDOUT_FILENO, out);
    s.out = scene_printed(s.out_path);
    assert_int_equal(status, 0);
    assert_string_equal(s.out, "lag\tShow how far each database is behind\n:4\n");
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_completion_proposes_what_the_program_takes),
        TEST(test_completion_is_silent_when_the_cluster_is_away),
        TEST(test_completion_answers_under_the_name_that_kubectl_looks_for),
    };
    return TEST_MAIN(tests);
}
