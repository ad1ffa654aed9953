/*
 * kubectl walferry lag.
 */
#include "controller/plugin/plugin_scene.h"
#include "lib/json/json.h"

static void test_lag_is_a_line_for_each_database(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    scene_expect(&s, "lag", 0, "", "No resources found in shop namespace.\n");
    scene_replica(&s, "shop", "shop");
    scene_replica(&s, "prod", "erp");
    scene_expect(&s, "lag", 1,
                 "NAME   POD      DATABASE   LAG   BEHIND   TXIDS   REPLICATED         LAST-SYNC   "
                 "OBJECTIVE\n"
                 "shop   shop-0   main       2m    80KiB    15      00000000000000f0   2m          "
                 "60s\n"
                 "shop   shop-0   cart       0s    0B       0       0000000000000007   5s          "
                 "60s\n",
                 "");
    scene_expect(&s, "lag erp -n prod --over 1m", 1,
                 "NAME   POD      DATABASE   LAG   BEHIND   TXIDS   REPLICATED         LAST-SYNC   "
                 "OBJECTIVE\n"
                 "erp    shop-0   main       2m    80KiB    15      00000000000000f0   2m          "
                 "60s\n",
                 "");
    scene_expect(&s, "lag -A --over 1h", 1, "", "");
    scene_refused(&s, "lag other", 4, "get sqlitereplicas.walferry.dev shop/other: 404",
                  "lists those that there are");
    scene_drop(&s);
}

static void test_lag_within_its_objective_is_no_problem(void **state UNUSED)
{
    struct plugin_scene s;
    scene_make(&s);

    kube_server_put(s.server, SCENE_REPLICAS "shop/sqlitereplicas/a",
                    "{\"spec\":{\"lagObjective\":{\"warningSeconds\":600}},\"status\":{"
                    "\"databases\":[{\"pod\":\"a-0\",\"name\":\"main\",\"lagSeconds\":600}]}}");
    scene_expect(&s, "lag a", 0,
                 "NAME   POD   DATABASE   LAG   BEHIND   TXIDS   REPLICATED   LAST-SYNC   "
                 "OBJECTIVE\n"
                 "a      a-0   main       10m   0B       0       <none>       <none>      10m\n",
                 "");
    scene_drop(&s);
}

static void test_lag_as_json_has_numbers_to_compare(void **state UNUSED)
{
    struct plugin_scene s;
    struct error err = ERROR_INIT;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    uint64_t behind, objective, bytes;
    scene_make(&s);

    scene_replica(&s, "shop", "shop");
    assert_int_equal(scene_run(&s, "lag -A -o json --over 1m"), 1);
    assert_ok(jsonval_parse(&doc, "out", slice_of_str(s.out), &err), &err);
    struct jsonval items = jsonval_get(jsonval_root(&doc), "items");
    assert_int_equal(jsonval_count(items), 1);
    struct jsonval item = jsonval_first(items);
    assert_ok(jsonval_u64(jsonval_get(item, "txidsBehind"), &behind, &err), &err);
    assert_ok(jsonval_u64(jsonval_get(item, "objectiveSeconds"), &objective, &err), &err);
    assert_ok(jsonval_u64(jsonval_get(item, "lagBytes"), &bytes, &err), &err);
    assert_int_equal(behind, 15);
    assert_int_equal(objective, 60);
    assert_int_equal(bytes, 81920);
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_lag_is_a_line_for_each_database),
        TEST(test_lag_within_its_objective_is_no_problem),
        TEST(test_lag_as_json_has_numbers_to_compare),
    };
    return TEST_MAIN(tests);
}
