/*
 * Where the API server is and who we are. Two sources, asked in this order unless the caller names
 * one:
 *
 *   1. kubeconfig: the file named (flag --kubeconfig), else those of $KUBECONFIG (a list, the first
 *      that says something wins), else ~/.kube/config
 *   2. in a cluster: $KUBERNETES_SERVICE_HOST and _PORT, token, ca.crt and namespace below
 *      /var/run/secrets/kubernetes.io/serviceaccount
 *
 * In a pod (the variables are there) and with no kubeconfig named by flag, 2 comes before 1.
 *
 * Of a kubeconfig is understood: clusters (server, certificate-authority[-data],
 * insecure-skip-tls-verify, tls-server-name, proxy-url, disable-compression), users
 * (client-certificate[-data], client-key[-data], token, tokenFile, username, password, exec, as,
 * as-groups, as-uid), contexts (cluster, user, namespace), current-context. Files named in it are
 * relative to its folder. auth-provider was removed from Kubernetes in 1.26: ERR_UNSUPPORTED.
 *
 * TLS certificates are always verified, unless the file says insecure-skip-tls-verify: true.
 *
 * Sources: kubernetes.io/docs/reference/config-api/kubeconfig.v1, client-go
 * tools/clientcmd/{loader,client_config,overrides}.go, rest/config.go (InClusterConfig).
 */
#ifndef WALFERRY_CONTROLLER_KUBE_CONFIG_H
#define WALFERRY_CONTROLLER_KUBE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/base.h"

enum {
    KUBE_CONFIG_BYTES_MAX = 1 << 20, /* of one kubeconfig */
    KUBE_CONFIG_FILES_MAX = 16,      /* in $KUBECONFIG */
    KUBE_PEM_BYTES_MAX = 1 << 20,    /* of a certificate bundle or key */
    KUBE_TOKEN_BYTES_MAX = 64 << 10,
    KUBE_EXEC_ARGS_MAX = 64,
    KUBE_GROUPS_MAX = 24,
};

/* A program that answers with credentials (client.authentication.k8s.io). */
struct kube_exec {
    char **argv; /* ended by NULL; NULL: none */
    size_t argc;
    char **env_names; /* added to our environment */
    char **env_values;
    size_t env_count;
    char *api_version;  /* "client.authentication.k8s.io/v1" or v1beta1 */
    char *install_hint; /* shown when the program is not there; may be NULL */
    bool wants_cluster; /* provideClusterInfo */
};

/* All texts are its own; NULL: not said. Certificates and keys are PEM. */
struct kube_config {
    char *source;          /* for people: "~/.kube/config, context dev" or "in-cluster" */
    char *server;          /* "https://10.96.0.1:443", without a slash at its end */
    char *namespace_name;  /* the default one; "default" if nobody says */
    char *ca_pem;          /* given inline */
    char *ca_file;         /* read again when it changes */
    char *tls_server_name; /* the name to ask for and to verify, instead of the server's host */
    char *proxy_url;       /* http, https or socks5; NULL: by the environment (HTTPS_PROXY) */
    bool skip_verify;
    bool is_compression_off;

    char *token;
    char *token_file; /* wins over token; read again when it changes */
    char *username, *password;
    char *cert_pem, *key_pem;   /* of the client, given inline */
    char *cert_file, *key_file; /* read again when they change */
    struct kube_exec exec;
    char *as_user, *as_uid; /* impersonation */
    char **as_groups;
    size_t as_group_count;
};

#define KUBE_CONFIG_INIT {.source = NULL}

/* Who asks, and what was named by flags. NULL: not named. */
struct kube_config_request {
    const char *kubeconfig;
    const char *context;
    const char *cluster; /* --cluster, --user: instead of the context's own */
    const char *user;
    const char *server; /* --server: instead of the cluster's own */
    const char *namespace_name;
    const char *token;               /* --token: instead of the user's own */
    const char *service_account_dir; /* NULL: the usual one; for tests */
};

/*
 * Finds and reads the configuration; files for tokens and certificates are looked at, but not kept
 * (see credentials.h). ERR_USAGE: file, line, and what is wrong (no such context lists those that
 * there are); ERR_NOT_FOUND: neither a kubeconfig nor a cluster around us, with a hint;
 * ERR_UNSUPPORTED, ERR_ACCESS, ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int kube_config_load(const struct env *env, const struct kube_config_request *request,
                              struct kube_config *out, struct error *err);

/* Wipes secrets and frees everything. Accepts KUBE_CONFIG_INIT. */
void kube_config_destroy(struct kube_config *c);

/*
 * Parses one kubeconfig. path names it in errors, and relative paths in it start at its folder.
 * ERR_USAGE, ERR_UNSUPPORTED, ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int kubeconfig_parse(struct slice text, const char *path,
                              const struct kube_config_request *request, struct kube_config *out,
                              struct error *err);

#endif
