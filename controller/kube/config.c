/*
 * Where to look for the API server; and the configuration of a pod:
 *
 *   KUBERNETES_SERVICE_HOST, _PORT         its address (IPv6 without brackets)
 *   serviceaccount/{token,ca.crt,namespace}  who we are; the token is renewed by the kubelet
 *
 * Source: client-go rest/config.go, InClusterConfig.
 */
#include "controller/kube/config.h"

#include <stdlib.h>
#include <string.h>

#include "controller/kube/config_internal.h"
#include "lib/io/file_read.h"

static const char service_account_dir[] = "/var/run/secrets/kubernetes.io/serviceaccount";

static void secret_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void texts_free(char **texts, size_t count)
{
    for (size_t i = 0; texts && i < count; i++)
        secret_free(texts[i]); /* arguments and variables hold secrets, too */
    free(texts);
}

void kube_config_destroy(struct kube_config *c)
{
    free(c->source);
    free(c->server);
    free(c->namespace_name);
    free(c->ca_pem);
    free(c->ca_file);
    free(c->tls_server_name);
    secret_free(c->proxy_url);
    secret_free(c->token);
    free(c->token_file);
    free(c->username);
    secret_free(c->password);
    free(c->cert_pem);
    secret_free(c->key_pem);
    free(c->cert_file);
    free(c->key_file);
    texts_free(c->exec.argv, c->exec.argc);
    texts_free(c->exec.env_names, c->exec.env_count);
    texts_free(c->exec.env_values, c->exec.env_count);
    free(c->exec.api_version);
    free(c->exec.install_hint);
    free(c->as_user);
    free(c->as_uid);
    texts_free(c->as_groups, c->as_group_count);
    *c = (struct kube_config)KUBE_CONFIG_INIT;
}

/* ---- in a cluster ---- */

/* What a variable says; "" if it is not there. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value ? value : "";
}

static bool is_in_cluster(void)
{
    return *variable("KUBERNETES_SERVICE_HOST") && *variable("KUBERNETES_SERVICE_PORT");
}

/* The namespace that the pod runs in; "default" if the file is not there. */
static int namespace_read(const struct env *env, const char *dir, char **out, struct error *err)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(256);
    CLEANUP(mem_free) char *path = str_printf(err, "%s/namespace", dir);

    if (!path)
        return -1;
    if (file_read(env, path, &text, err) < 0) {
        if (err->code != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
    }
    while (text.n > 0 && strchr(" \r\n", text.p[text.n - 1]))
        text.p[--text.n] = 0;
    return config_text_set(out, text.n ? buf_str(&text) : "default", err);
}

static int in_cluster_read(const struct env *env, const struct kube_config_request *request,
                           struct kube_config *c, struct error *err)
{
    const char *dir =
        request->service_account_dir ? request->service_account_dir : service_account_dir;
    const char *host = variable("KUBERNETES_SERVICE_HOST");
    const char *port = variable("KUBERNETES_SERVICE_PORT");
    bool is_ipv6 = strchr(host, ':') != NULL;

    c->server =
        str_printf(err, "https://%s%s%s:%s", is_ipv6 ? "[" : "", host, is_ipv6 ? "]" : "", port);
    c->token_file = str_printf(err, "%s/token", dir);
    c->ca_file = str_printf(err, "%s/ca.crt", dir);
    c->source = str_dup("in-cluster", err);
    if (!c->server || !c->token_file || !c->ca_file || !c->source ||
        namespace_read(env, dir, &c->namespace_name, err) < 0 ||
        config_text_set(&c->namespace_name, request->namespace_name, err) < 0)
        return -1;
    return 0;
}

/* ---- kubeconfig ---- */

static int file_add(const struct env *env, struct kubeconfig_set *set, const char *path,
                    struct error *err)
{
    CLEANUP(buf_destroy_secret) struct buf text = BUF_INIT(KUBE_CONFIG_BYTES_MAX);

    return file_read(env, path, &text, err) < 0
               ? -1
               : kubeconfig_set_add(set, path, buf_slice(&text), err);
}

/* The files of a list "a:b:c"; those that are not there are passed over. */
static int list_add(const struct env *env, struct kubeconfig_set *set, const char *list,
                    struct error *err)
{
    while (*list) {
        size_t n = strcspn(list, ":");
        CLEANUP(mem_free) char *path = str_printf(err, "%.*s", (int)n, list);
        if (!path)
            return -1;
        if (*path && file_add(env, set, path, err) < 0) {
            if (err->code != ERR_NOT_FOUND)
                return -1;
            error_clear(err);
        }
        list += n + (list[n] == ':' ? 1 : 0);
    }
    return 0;
}

static int home_add(const struct env *env, struct kubeconfig_set *set, struct error *err)
{
    const char *home = variable("HOME");

    if (!*home)
        return 0;
    CLEANUP(mem_free) char *path = str_printf(err, "%s/.kube/config", home);
    return path ? list_add(env, set, path, err) : -1;
}

static int files_read(const struct env *env, struct kubeconfig_set *set,
                      const struct kube_config_request *request, struct kube_config *out,
                      struct error *err)
{
    const char *list = variable("KUBECONFIG");
    int rc;

    if (request->kubeconfig)
        rc = file_add(env, set, request->kubeconfig, err);
    else if (*list)
        rc = list_add(env, set, list, err);
    else
        rc = home_add(env, set, err);
    if (rc < 0)
        return error_wrap(err, "kubeconfig");
    if (set->count == 0) {
        (void)error_set(err, ERR_NOT_FOUND, 0,
                        "no API server: neither in a pod nor with a kubeconfig");
        return error_hint(err, "name a file by -kubeconfig or $KUBECONFIG");
    }
    return kubeconfig_set_read(set, request, out, err);
}

int kube_config_load(const struct env *env, const struct kube_config_request *request,
                     struct kube_config *out, struct error *err)
{
    CLEANUP(kubeconfig_set_free) struct kubeconfig_set *set = mem_new(1, sizeof(*set), err);
    struct kube_config config = KUBE_CONFIG_INIT;

    if (!set)
        return -1;
    int rc = !request->kubeconfig && is_in_cluster() ? in_cluster_read(env, request, &config, err)
                                                     : files_read(env, set, request, &config, err);
    if (rc < 0) {
        kube_config_destroy(&config);
        return -1;
    }
    *out = config;
    return 0;
}
