/*
 * What goes wrong between a command and the cluster: exit status, cause, and what to do.
 */
#include "controller/plugin/plugin_scene.h"

static void test_errors_tell_what_to_do(void **state UNUSED)
{
    static const struct {
        const char *line;
        int fault; /* HTTP status; 0: none */
        int status;
        const char *part, *hint;
    } rows[] = {
        {"status", 401, 3, "list sqlitereplicas.walferry.dev shop: 401", "log in again"},
        {"status", 403, 1, "403", "`kubectl auth can-i list sqlitereplicas.walferry.dev -n shop`"},
        {"pause shop", 403, 1, "403",
         "`kubectl auth can-i get sqlitereplicas.walferry.dev -n shop`"},
        {"status", 404, 4, "404", "not installed in this cluster: helm install walferry"},
        {"lag", 500, 3, "500", ""},
        {"status shop -A", 0, 2, "leave out -A", ""},
        {"status -A -n shop", 0, 2, "exclude each other", ""},
        {"status a b", 0, 2, "takes fewer arguments than were given",
         "usage: kubectl walferry status [NAME] [flags]"},
        {"status -o yaml", 0, 2, "\"yaml\" is none of table, wide and json", ""},
        {"status --context nowhere", 0, 2, "nowhere", "other"},
        {"status --kubeconfig /nonexistent/config", 0, 2, "/nonexistent/config", ""},
        {"status SHOP/../x", 0, 2, "cannot be the name of an object", ""},
        {"statsu", 0, 2, "did you mean \"status\"?", "kubectl walferry help"},
        {"status --namspace x", 0, 2, "did you mean --namespace?", "usage: "},
    };
    struct plugin_scene s;
    scene_make(&s);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        kube_server_faults(s.server, &(struct kube_faults){.fail_count = rows[i].fault ? 2 : 0,
                                                           .fail_part = "sqlitereplicas",
                                                           .fail_status = rows[i].fault});
        scene_refused(&s, rows[i].line, rows[i].status, rows[i].part, rows[i].hint);
        assert_string_equal(s.out, "");
    }
    scene_drop(&s);
}

static void test_a_server_that_is_away_is_named_and_has_its_own_status(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    kube_server_faults(
        s.server,
        &(struct kube_faults){.fail_count = 100, .fail_part = "sqlitereplicas", .fail_status = -1});
    scene_refused(&s, "status --request-timeout 50ms", 3, "list sqlitereplicas.walferry.dev shop",
                  "the right cluster, and can it be reached from here?");
    kube_server_drop_connections(s.server);
    scene_kubeconfig(&s, "http://127.0.0.1:1");
    scene_refused(&s, "status", 3, "127.0.0.1", "is http://127.0.0.1:1 (");
    scene_drop(&s);
}

static void test_lists_go_page_by_page(void **state UNUSED)
{
    struct plugin_scene s;
    char path[128];
    size_t lines = 0;
    scene_make(&s);

    for (int i = 0; i < 1001; i++) {
        (void)snprintf(path, sizeof(path), SCENE_REPLICAS "shop/sqlitereplicas/r-%d", i);
        kube_server_put(s.server, path, "{}");
    }
    assert_int_equal(scene_run(&s, "status"), 1);
    for (const char *p = s.out; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 1002);
    assert_int_equal(kube_server_requests(s.server, "limit=500"), 3);
    scene_drop(&s);
}

static void test_no_request_ever_asks_for_a_secret_and_each_names_us(void **state UNUSED)
{
    struct plugin_scene s;
    char agent[512];
    scene_make(&s);

    scene_replica(&s, "shop", "shop");
    assert_int_equal(scene_run(&s, "status shop"), 1);
    kube_server_last_header(s.server, "User-Agent", agent);
    assert_non_null(strstr(agent, "kubectl-walferry/"));
    assert_int_equal(kube_server_requests(s.server, "/secrets"), 0);
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_errors_tell_what_to_do),
        TEST(test_a_server_that_is_away_is_named_and_has_its_own_status),
        TEST(test_lists_go_page_by_page),
        TEST(test_no_request_ever_asks_for_a_secret_and_each_names_us),
    };
    return TEST_MAIN(tests);
}
