/*
 * Where the API server is: kubeconfig files, lists of them, and a pod's own account.
 */
#include "controller/kube/config.h"

#include <stdio.h>
#include <string.h>

#include "lib/testing/test.h"

static const struct kube_config_request plain;

static const char whole[] = "apiVersion: v1\n"
                            "kind: Config\n"
                            "preferences: {colors: true}\n"
                            "current-context: dev\n"
                            "contexts:\n"
                            "- {name: dev, context: {cluster: here, user: me, namespace: shop}}\n"
                            "- {name: ci, context: {cluster: there, user: robot}}\n"
                            "- {name: open, context: {cluster: plain}}\n"
                            "clusters:\n"
                            "- name: here\n"
                            "  cluster:\n"
                            "    server: https://10.0.0.1:6443/\n"
                            "    certificate-authority: pki/ca.crt\n"
                            "    tls-server-name: kubernetes.default\n"
                            "    proxy-url: http://proxy:3128\n"
                            "    extensions: [{name: x, extension: {any: thing}}]\n"
                            "- name: there\n"
                            "  cluster:\n"
                            "    server: https://[fd00::1]:443/clusters/7\n"
                            "    certificate-authority-data: UEVN\n"
                            "    insecure-skip-tls-verify: true\n"
                            "    disable-compression: true\n"
                            "- {name: plain, cluster: {server: 'http://127.0.0.1:8001'}}\n"
                            "users:\n"
                            "- name: me\n"
                            "  user: {client-certificate-data: Q0VSVA==, client-key: /abs/me.key, "
                            "as: boss, as-groups: [a, b]}\n"
                            "- name: robot\n"
                            "  user:\n"
                            "    exec:\n"
                            "      apiVersion: client.authentication.k8s.io/v1\n"
                            "      command: bin/login\n"
                            "      args: [get-token, --cluster=7]\n"
                            "      env: [{name: REGION, value: eu}]\n"
                            "      provideClusterInfo: true\n"
                            "      interactiveMode: Never\n"
                            "      installHint: get it from the intranet\n";

static void test_config_reads_what_a_context_leads_to(void **state UNUSED)
{
    struct kube_config c;
    struct error err = ERROR_INIT;

    assert_ok(kubeconfig_parse(slice_of_str(whole), "/home/me/.kube/config", &plain, &c, &err),
              &err);
    assert_string_equal(c.server, "https://10.0.0.1:6443");
    assert_string_equal(c.namespace_name, "shop");
    assert_string_equal(c.ca_file, "/home/me/.kube/pki/ca.crt");
    assert_string_equal(c.tls_server_name, "kubernetes.default");
    assert_string_equal(c.proxy_url, "http://proxy:3128");
    assert_string_equal(c.cert_pem, "CERT");
    assert_string_equal(c.key_file, "/abs/me.key");
    assert_string_equal(c.as_user, "boss");
    assert_int_equal(c.as_group_count, 2);
    assert_string_equal(c.as_groups[1], "b");
    assert_string_equal(c.source, "/home/me/.kube/config, context dev");
    assert_false(c.skip_verify || c.is_compression_off);
    kube_config_destroy(&c);
}

static void test_config_reads_exec_plugins_and_what_flags_change(void **state UNUSED)
{
    const struct kube_config_request request = {.context = "ci", .namespace_name = "blog"};
    struct kube_config c;
    struct error err = ERROR_INIT;

    assert_ok(kubeconfig_parse(slice_of_str(whole), "/k/config", &request, &c, &err), &err);
    assert_string_equal(c.server, "https://[fd00::1]:443/clusters/7");
    assert_string_equal(c.ca_pem, "PEM");
    assert_true(c.skip_verify && c.is_compression_off);
    assert_string_equal(c.namespace_name, "blog");
    assert_string_equal(c.exec.argv[0], "/k/bin/login");
    assert_string_equal(c.exec.argv[2], "--cluster=7");
    assert_null(c.exec.argv[3]);
    assert_string_equal(c.exec.env_names[0], "REGION");
    assert_string_equal(c.exec.env_values[0], "eu");
    assert_true(c.exec.wants_cluster);
    assert_string_equal(c.exec.install_hint, "get it from the intranet");
    kube_config_destroy(&c);

    const struct kube_config_request other = {.context = "ci",
                                              .cluster = "plain",
                                              .user = "me",
                                              .server = "https://elsewhere",
                                              .token = "secret"};
    assert_ok(kubeconfig_parse(slice_of_str(whole), "config", &other, &c, &err), &err);
    assert_string_equal(c.server, "https://elsewhere");
    assert_string_equal(c.token, "secret");
    assert_string_equal(c.cert_pem, "CERT");
    assert_string_equal(c.namespace_name, "default");
    assert_null(c.exec.argv);
    kube_config_destroy(&c);
}

#define HEAD                                                                                       \
    "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"                  \
    "clusters: [{name: c, cluster: {server: 'https://x'}}]\n"

static void test_config_refuses_with_file_line_and_reason(void **state UNUSED)
{
    static const struct {
        const char *name, *text, *what;
        enum error_code code;
    } rows[] = {
        {"no YAML", "a: [", "k:", ERR_USAGE},
        {"empty", "", "no current-context", ERR_USAGE},
        {"no such context", "current-context: x\ncontexts: [{name: a}]", "no context \"x\"",
         ERR_USAGE},
        {"no such user", HEAD, "no user \"u\"", ERR_USAGE},
        {"no such cluster", "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]",
         "no cluster \"c\"", ERR_USAGE},
        {"no cluster named", "current-context: a\ncontexts: [{name: a, context: {user: u}}]",
         "cluster is missing", ERR_USAGE},
        {"no server",
         "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n"
         "clusters: [{name: c, cluster: {insecure-skip-tls-verify: true}}]",
         "server is missing", ERR_USAGE},
        {"not a server",
         "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n"
         "clusters: [{name: c, cluster: {server: 'ftp://x'}}]",
         "server must be https://HOST", ERR_USAGE},
        {"a flag that is none",
         "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n"
         "clusters: [{name: c, cluster: {server: 'https://x', insecure-skip-tls-verify: maybe}}]",
         "k:3: clusters[0].cluster.insecure-skip-tls-verify: expected true or false", ERR_USAGE},
        {"bad base64", HEAD "users: [{name: u, user: {client-certificate-data: '%%'}}]",
         "users[0].user.client-certificate-data: base64", ERR_USAGE},
        {"a certificate without a key",
         HEAD "users: [{name: u, user: {client-certificate: a.crt}}]", "belong together",
         ERR_USAGE},
        {"groups without a user", HEAD "users: [{name: u, user: {as-groups: [a]}}]", "need as",
         ERR_USAGE},
        {"auth-provider", HEAD "users: [{name: u, user: {auth-provider: {name: gcp}}}]",
         "removed from Kubernetes in 1.26", ERR_UNSUPPORTED},
        {"exec without a command",
         HEAD "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1}}}]",
         "command is missing", ERR_USAGE},
        {"exec of an old version",
         HEAD "users: [{name: u, user: {exec: {command: x, apiVersion: "
              "client.authentication.k8s.io/v1alpha1}}}]",
         "apiVersion must be", ERR_UNSUPPORTED},
        {"exec that wants to talk",
         HEAD "users: [{name: u, user: {exec: {command: x, interactiveMode: Always, apiVersion: "
              "client.authentication.k8s.io/v1}}}]",
         "nobody to answer", ERR_UNSUPPORTED},
        {"a list that is none", "current-context: a\ncontexts: 7", "expected a list", ERR_USAGE},
        {"an entry that is none", "current-context: a\ncontexts: [7]", "expected a mapping",
         ERR_USAGE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct kube_config c;
        struct error err = ERROR_INIT;
        test_row(rows[i].name);
        assert_error(kubeconfig_parse(slice_of_str(rows[i].text), "k", &plain, &c, &err), &err,
                     rows[i].code, rows[i].what);
    }
}

static void test_config_names_the_contexts_that_there_are(void **state UNUSED)
{
    const struct kube_config_request request = {.context = "prod"};
    struct kube_config c;
    struct error err = ERROR_INIT;

    assert_error(kubeconfig_parse(slice_of_str(whole), "k", &request, &c, &err), &err, ERR_USAGE,
                 "no context \"prod\"");
    assert_string_equal(err.hint, "there are: dev, ci, open");
}

/* The variables that decide, all set or removed. */
static void variables(const char *kubeconfig, const char *home, const char *host, const char *port)
{
    const char *const names[] = {"KUBECONFIG", "HOME", "KUBERNETES_SERVICE_HOST",
                                 "KUBERNETES_SERVICE_PORT"};
    const char *const values[] = {kubeconfig, home, host, port};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_int_equal(values[i] ? setenv(names[i], values[i], 1) : unsetenv(names[i]), 0);
}

static void test_config_looks_in_the_order_of_kubectl(void **state UNUSED)
{
    char folder[256], path[300], list[1024];
    struct kube_config c;
    struct error err = ERROR_INIT;
    test_folder_make(folder);

    /* Nothing anywhere. */
    variables(NULL, folder, NULL, NULL);
    assert_error(kube_config_load(env_real(), &plain, &c, &err), &err, ERR_NOT_FOUND,
                 "no API server");
    assert_non_null(strstr(err.hint, "-kubeconfig"));
    /* A list: the first that says something wins, missing files are passed over. */
    (void)snprintf(path, sizeof(path), "%s/one", folder);
    test_file_write(path, SLICE_LIT("current-context: a\n"
                                    "contexts: [{name: a, context: {cluster: c}}]\n"));
    (void)snprintf(path, sizeof(path), "%s/two", folder);
    test_file_write(path, SLICE_LIT("current-context: b\n"
                                    "clusters: [{name: c, cluster: {server: 'https://two'}}]\n"));
    (void)snprintf(list, sizeof(list), "%s/none:%s/one::%s/two", folder, folder, folder);
    variables(list, folder, NULL, NULL);
    assert_ok(kube_config_load(env_real(), &plain, &c, &err), &err);
    assert_string_equal(c.server, "https://two");
    kube_config_destroy(&c);
    /* A file that is named must be there. */
    (void)snprintf(path, sizeof(path), "%s/none", folder);
    assert_error(
        kube_config_load(env_real(), &(struct kube_config_request){.kubeconfig = path}, &c, &err),
        &err, ERR_NOT_FOUND, "kubeconfig: ");
    test_folder_remove(folder);
}

static void test_config_in_a_pod_is_the_pods_own_account(void **state UNUSED)
{
    char folder[256], path[300];
    struct kube_config c;
    struct error err = ERROR_INIT;
    test_folder_make(folder);
    const struct kube_config_request request = {.service_account_dir = folder};

    (void)snprintf(path, sizeof(path), "%s/namespace", folder);
    test_file_write(path, SLICE_LIT("walferry\n"));
    variables("/ignored", folder, "fd00::1", "443");
    assert_ok(kube_config_load(env_real(), &request, &c, &err), &err);
    assert_string_equal(c.server, "https://[fd00::1]:443");
    assert_string_equal(c.namespace_name, "walferry");
    (void)snprintf(path, sizeof(path), "%s/token", folder);
    assert_string_equal(c.token_file, path);
    assert_string_equal(c.source, "in-cluster");
    kube_config_destroy(&c);
    variables(NULL, folder, "10.96.0.1", "443");
    assert_ok(kube_config_load(env_real(), &request, &c, &err), &err);
    assert_string_equal(c.server, "https://10.96.0.1:443");
    kube_config_destroy(&c);
    variables(NULL, NULL, NULL, NULL);
    test_folder_remove(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_config_reads_what_a_context_leads_to),
        TEST(test_config_reads_exec_plugins_and_what_flags_change),
        TEST(test_config_refuses_with_file_line_and_reason),
        TEST(test_config_names_the_contexts_that_there_are),
        TEST(test_config_looks_in_the_order_of_kubectl),
        TEST(test_config_in_a_pod_is_the_pods_own_account),
    };
    return TEST_MAIN(tests);
}
