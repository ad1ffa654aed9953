/*
 * URLs of objects, and which names may become part of one.
 */
#include "controller/kube/resource.h"

#include "lib/testing/test.h"

static void test_resource_path_follows_group_scope_and_subresource(void **state UNUSED)
{
    static const struct {
        const char *label, *path, *shown;
        const struct kube_resource *r;
        const char *ns, *name, *sub;
    } rows[] = {
        {"core", "/api/v1/namespaces/shop/pods/a-0", "pods shop/a-0", &kube_pods, "shop", "a-0",
         NULL},
        {"everywhere", "/api/v1/pods", "pods (all namespaces)", &kube_pods, NULL, NULL, NULL},
        {"list", "/apis/apps/v1/namespaces/shop/deployments", "deployments.apps shop",
         &kube_deployments, "shop", NULL, NULL},
        {"status", "/apis/walferry.dev/v1alpha1/namespaces/shop/sqlitereplicas/orders/status",
         "sqlitereplicas.walferry.dev/status shop/orders", &kube_sqlite_replicas, "shop", "orders",
         "status"},
        {"cluster scoped",
         "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/sqlitebuckets.walferry.dev",
         "customresourcedefinitions.apiextensions.k8s.io sqlitebuckets.walferry.dev",
         &kube_definitions, NULL, "sqlitebuckets.walferry.dev", NULL},
        {"all of a cluster", "/api/v1/namespaces", "namespaces (all)", &kube_namespaces, NULL, NULL,
         NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_destroy) struct buf path = BUF_INIT(KUBE_PATH_BYTES_MAX);
        struct error err = ERROR_INIT;
        char shown[512];
        test_row(rows[i].label);
        assert_ok(kube_path(rows[i].r, rows[i].ns, rows[i].name, rows[i].sub, &path, &err), &err);
        assert_string_equal(buf_str(&path), rows[i].path);
        assert_string_equal(kube_path_show(rows[i].r, rows[i].ns, rows[i].name, rows[i].sub, shown),
                            rows[i].shown);
    }
}

static void test_resource_path_refuses_names_that_lead_elsewhere(void **state UNUSED)
{
    static const char *const bad[] = {"",   "a/b", "..",  "a..b", "a?b", "a%2fb",
                                      "-a", "a-",  "a b", ".a",   "a#",  "\xc3\xa4"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(buf_destroy) struct buf path = BUF_INIT(KUBE_PATH_BYTES_MAX);
        struct error err = ERROR_INIT;
        test_row(bad[i]);
        assert_false(kube_name_is_valid(bad[i]));
        assert_error(kube_path(&kube_pods, "shop", bad[i], NULL, &path, &err), &err, ERR_USAGE,
                     "cannot be the name");
        assert_error(kube_path(&kube_pods, bad[i], "a", NULL, &path, &err), &err, ERR_USAGE,
                     "cannot be the namespace");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_resource_path_follows_group_scope_and_subresource),
        TEST(test_resource_path_refuses_names_that_lead_elsewhere),
    };
    return TEST_MAIN(tests);
}
