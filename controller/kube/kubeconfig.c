/*
 * Kubeconfig files:
 *
 *   current-context: dev
 *   contexts: [{name: dev, context: {cluster: here, user: me, namespace: shop}}]
 *   clusters: [{name: here, cluster: {server: https://..., certificate-authority-data: BASE64}}]
 *   users:    [{name: me, user: {client-certificate: me.crt, client-key: me.key}}]
 *
 *   1. the context: named by the request, or the first current-context of the files
 *   2. its cluster and user: the first entry of that name in any of the files
 *   3. each key of them that we know, by table (field_tables); what is inline (…-data) wins over the
 *      file of the same meaning, tokenFile over token (client-go: only inline token; a file that is
 *      named is meant)
 *   4. the whole is checked: a server, key and certificate together, an exec plug-in of a version
 *      that we speak
 *
 * Keys that we do not know are passed over: the file belongs to many programs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/kube/config_internal.h"
#include "lib/http/url.h"

void kubeconfig_set_free(struct kubeconfig_set **set)
{
    for (size_t i = 0; *set && i < (*set)->count; i++)
        yamldoc_destroy(&(*set)->docs[i]);
    free(TAKE(*set));
}

int kubeconfig_set_add(struct kubeconfig_set *set, const char *path, struct slice text,
                       struct error *err)
{
    if (set->count == KUBE_CONFIG_FILES_MAX) {
        return error_set(err, ERR_LIMIT, 0, "$KUBECONFIG names more than %d files",
                         KUBE_CONFIG_FILES_MAX);
    }
    struct yamldoc *doc = &set->docs[set->count];
    *doc = (struct yamldoc)YAMLDOC_INIT;
    if (yamldoc_parse(doc, path, text, err) < 0)
        return -1;
    set->count++;
    return 0;
}

int config_text_set(char **out, const char *text, struct error *err)
{
    if (!text || !*text)
        return 0;
    char *copy = str_dup(text, err);
    if (!copy)
        return -1;
    if (*out)
        explicit_bzero(*out, strlen(*out));
    free(*out);
    *out = copy;
    return 0;
}

/* ---- finding ---- */

/* The text of a key, NULL if it is not there. */
static int text_get(const struct yamldoc_node *map, const char *key, const char **out,
                    struct error *err)
{
    const struct yamldoc_node *node = map ? yamldoc_get(map, key) : NULL;

    *out = NULL;
    return node ? yamldoc_text(node, out, err) : 0;
}

/* The entry of a list of one file: its value below key. NULL if there is none. */
static int entry_find(const struct yamldoc *doc, const char *list, const char *key,
                      const char *name, const struct yamldoc_node **out, struct error *err)
{
    const struct yamldoc_node *entries = yamldoc_get(doc->root, list);

    if (!entries)
        return 0;
    if (yamldoc_expect(entries, YAMLDOC_SEQUENCE, err) < 0)
        return -1;
    for (size_t i = 0; i < entries->child_count; i++) {
        const struct yamldoc_node *entry = entries->children[i];
        const char *entry_name;
        if (yamldoc_expect(entry, YAMLDOC_MAPPING, err) < 0 ||
            text_get(entry, "name", &entry_name, err) < 0)
            return -1;
        if (!entry_name || strcmp(entry_name, name) != 0)
            continue;
        *out = yamldoc_get(entry, key);
        if (!*out)
            *out = entry; /* an empty one: "user: {}" and "user:" mean the same */
        return *out == entry ? 0 : yamldoc_expect(*out, YAMLDOC_MAPPING, err);
    }
    return 0;
}

/* The names that there are in a list, for the hint of an error. */
static void names_hint(const struct kubeconfig_set *set, const char *list, struct error *err)
{
    CLEANUP(buf_destroy) struct buf names = BUF_INIT(200);
    struct error ignored = ERROR_INIT; /* too many names: those that fit are shown */

    for (size_t d = 0; d < set->count; d++) {
        const struct yamldoc_node *entries = yamldoc_get(set->docs[d].root, list);
        for (size_t i = 0; entries && i < entries->child_count; i++) {
            const char *name = NULL;
            if (text_get(entries->children[i], "name", &name, &ignored) == 0 && name)
                IGNORE(buf_printf(&names, &ignored, "%s%s", names.n ? ", " : "", name));
        }
    }
    (void)error_hint(err, "there are: %s", names.n ? buf_str(&names) : "none");
}

static int set_find(const struct kubeconfig_set *set, const char *list, const char *key,
                    const char *name, const struct yamldoc_node **out, struct error *err)
{
    *out = NULL;
    for (size_t i = 0; i < set->count && !*out; i++) {
        if (entry_find(&set->docs[i], list, key, name, out, err) < 0)
            return -1;
    }
    if (*out)
        return 0;
    (void)error_set(err, ERR_USAGE, 0, "%s: no %s \"%s\"", set->docs[0].name, key, name);
    names_hint(set, list, err);
    return -1;
}

static int current_context(const struct kubeconfig_set *set, const char **out, struct error *err)
{
    *out = NULL;
    for (size_t i = 0; i < set->count && !*out; i++) {
        if (text_get(set->docs[i].root, "current-context", out, err) < 0)
            return -1;
        if (*out && !**out)
            *out = NULL;
    }
    if (*out)
        return 0;
    (void)error_set(err, ERR_USAGE, 0, "%s: no current-context", set->docs[0].name);
    names_hint(set, "contexts", err);
    return -1;
}

/* ---- values ---- */

enum field_kind {
    FIELD_TEXT,
    FIELD_PATH, /* relative to the file's folder */
    FIELD_DATA, /* base64 */
    FIELD_FLAG, /* bool */
};

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset; /* in struct kube_config */
};

#define AT(member) offsetof(struct kube_config, member)

static const struct field cluster_fields[] = {
    {"server", FIELD_TEXT, AT(server)},
    {"certificate-authority-data", FIELD_DATA, AT(ca_pem)},
    {"certificate-authority", FIELD_PATH, AT(ca_file)},
    {"tls-server-name", FIELD_TEXT, AT(tls_server_name)},
    {"proxy-url", FIELD_TEXT, AT(proxy_url)},
    {"insecure-skip-tls-verify", FIELD_FLAG, AT(skip_verify)},
    {"disable-compression", FIELD_FLAG, AT(is_compression_off)},
};

static const struct field user_fields[] = {
    {"token", FIELD_TEXT, AT(token)},
    {"tokenFile", FIELD_PATH, AT(token_file)},
    {"username", FIELD_TEXT, AT(username)},
    {"password", FIELD_TEXT, AT(password)},
    {"client-certificate-data", FIELD_DATA, AT(cert_pem)},
    {"client-certificate", FIELD_PATH, AT(cert_file)},
    {"client-key-data", FIELD_DATA, AT(key_pem)},
    {"client-key", FIELD_PATH, AT(key_file)},
    {"as", FIELD_TEXT, AT(as_user)},
    {"as-uid", FIELD_TEXT, AT(as_uid)},
};

/* path as it is meant in the file called file. */
static int path_resolve(const char *file, const char *path, char **out, struct error *err)
{
    const char *slash = strrchr(file, '/');

    if (path[0] == '/' || !slash)
        *out = str_dup(path, err);
    else
        *out = str_printf(err, "%.*s/%s", (int)(slash - file), file, path);
    return *out ? 0 : -1;
}

static int data_read(const struct yamldoc_node *node, const char *text, char **out,
                     struct error *err)
{
    CLEANUP(buf_destroy_secret) struct buf bytes = BUF_INIT(KUBE_PEM_BYTES_MAX);

    if (base64_decode(slice_of_str(text), &bytes, err) < 0) {
        if (err->code == ERR_CORRUPT)
            err->code = ERR_USAGE;
        return yamldoc_wrap(node, err);
    }
    if (bytes.n > 0 && memchr(bytes.p, 0, bytes.n))
        return yamldoc_error(node, err, ERR_USAGE, "is not PEM: it holds a zero byte");
    return config_text_set(out, buf_str(&bytes), err);
}

static int flag_read(const struct yamldoc_node *node, const char *text, bool *out,
                     struct error *err)
{
    *out = strcmp(text, "true") == 0;
    if (*out || strcmp(text, "false") == 0)
        return 0;
    return yamldoc_error(node, err, ERR_USAGE, "expected true or false, found \"%.40s\"", text);
}

static int field_read(const struct yamldoc_node *node, const struct field *field,
                      struct kube_config *out, struct error *err)
{
    void *at = (char *)out + field->offset;
    char **text_at = at;
    const char *text;

    if (yamldoc_text(node, &text, err) < 0)
        return -1;
    if (field->kind == FIELD_FLAG)
        return flag_read(node, text, at, err);
    if (!*text)
        return 0;
    if (field->kind == FIELD_DATA)
        return data_read(node, text, text_at, err);
    if (field->kind == FIELD_PATH)
        return path_resolve(node->doc->name, text, text_at, err);
    return config_text_set(text_at, text, err);
}

static int fields_read(const struct yamldoc_node *map, const struct field *fields, size_t count,
                       struct kube_config *out, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct yamldoc_node *node = yamldoc_get(map, fields[i].key);
        if (node && field_read(node, &fields[i], out, err) < 0)
            return -1;
    }
    return 0;
}

static int groups_read(const struct yamldoc_node *user, struct kube_config *out, struct error *err)
{
    const struct yamldoc_node *groups = yamldoc_get(user, "as-groups");

    if (!groups)
        return 0;
    if (yamldoc_expect(groups, YAMLDOC_SEQUENCE, err) < 0)
        return -1;
    if (groups->child_count > KUBE_GROUPS_MAX)
        return yamldoc_error(groups, err, ERR_LIMIT, "more than %d groups", KUBE_GROUPS_MAX);
    out->as_groups = mem_new(groups->child_count + 1, sizeof(char *), err);
    if (!out->as_groups)
        return -1;
    for (size_t i = 0; i < groups->child_count; i++) {
        const char *text;
        if (yamldoc_text(groups->children[i], &text, err) < 0)
            return -1;
        out->as_groups[i] = str_dup(text, err);
        if (!out->as_groups[i])
            return -1;
        out->as_group_count++;
    }
    return 0;
}

/* ---- exec plug-ins ---- */

static int exec_args_read(const struct yamldoc_node *exec, struct kube_exec *out, struct error *err)
{
    const struct yamldoc_node *args = yamldoc_get(exec, "args");
    const struct yamldoc_node *command = yamldoc_get(exec, "command");
    const char *text;

    if (!command)
        return yamldoc_error(exec, err, ERR_USAGE, "command is missing");
    if (args && yamldoc_expect(args, YAMLDOC_SEQUENCE, err) < 0)
        return -1;
    size_t count = args ? args->child_count : 0;
    if (count > KUBE_EXEC_ARGS_MAX)
        return yamldoc_error(args, err, ERR_LIMIT, "more than %d arguments", KUBE_EXEC_ARGS_MAX);
    out->argv = mem_new(count + 2, sizeof(char *), err);
    if (!out->argv || yamldoc_text(command, &text, err) < 0)
        return -1;
    /* With a slash it is a path, from the file's folder; without, it is looked for on PATH. */
    int rc = strchr(text, '/') ? path_resolve(exec->doc->name, text, &out->argv[0], err)
                               : config_text_set(&out->argv[0], text, err);
    if (rc < 0)
        return -1;
    if (!out->argv[0])
        return yamldoc_error(command, err, ERR_USAGE, "is empty");
    out->argc = 1;
    for (size_t i = 0; i < count; i++) {
        if (yamldoc_text(args->children[i], &text, err) < 0)
            return -1;
        out->argv[out->argc] = str_dup(text, err);
        if (!out->argv[out->argc])
            return -1;
        out->argc++;
    }
    return 0;
}

static int exec_env_read(const struct yamldoc_node *exec, struct kube_exec *out, struct error *err)
{
    const struct yamldoc_node *env = yamldoc_get(exec, "env");

    if (!env)
        return 0;
    if (yamldoc_expect(env, YAMLDOC_SEQUENCE, err) < 0)
        return -1;
    if (env->child_count > KUBE_EXEC_ARGS_MAX)
        return yamldoc_error(env, err, ERR_LIMIT, "more than %d variables", KUBE_EXEC_ARGS_MAX);
    out->env_names = mem_new(env->child_count + 1, sizeof(char *), err);
    out->env_values = mem_new(env->child_count + 1, sizeof(char *), err);
    if (!out->env_names || !out->env_values)
        return -1;
    for (size_t i = 0; i < env->child_count; i++) {
        const char *name, *value;
        if (yamldoc_expect(env->children[i], YAMLDOC_MAPPING, err) < 0 ||
            text_get(env->children[i], "name", &name, err) < 0 ||
            text_get(env->children[i], "value", &value, err) < 0)
            return -1;
        if (!name || !*name || strchr(name, '='))
            return yamldoc_error(env->children[i], err, ERR_USAGE, "needs a name without '='");
        out->env_count++;
        out->env_names[i] = str_dup(name, err);
        out->env_values[i] = str_dup(value ? value : "", err);
        if (!out->env_names[i] || !out->env_values[i])
            return -1;
    }
    return 0;
}

static int exec_read(const struct yamldoc_node *user, struct kube_config *out, struct error *err)
{
    const struct yamldoc_node *exec = yamldoc_get(user, "exec");
    const struct yamldoc_node *wants_cluster =
        exec ? yamldoc_get(exec, "provideClusterInfo") : NULL;
    const char *version, *mode, *hint, *flag;

    if (!exec)
        return 0;
    if (yamldoc_expect(exec, YAMLDOC_MAPPING, err) < 0 ||
        exec_args_read(exec, &out->exec, err) < 0 || exec_env_read(exec, &out->exec, err) < 0 ||
        text_get(exec, "apiVersion", &version, err) < 0 ||
        text_get(exec, "interactiveMode", &mode, err) < 0 ||
        text_get(exec, "installHint", &hint, err) < 0)
        return -1;
    if (!version || (strcmp(version, "client.authentication.k8s.io/v1") != 0 &&
                     strcmp(version, "client.authentication.k8s.io/v1beta1") != 0)) {
        return yamldoc_error(exec, err, ERR_UNSUPPORTED,
                             "apiVersion must be client.authentication.k8s.io/v1 (or v1beta1)");
    }
    if (mode && strcmp(mode, "Always") == 0) {
        return yamldoc_error(exec, err, ERR_UNSUPPORTED,
                             "interactiveMode Always: there is nobody to answer here");
    }
    if (wants_cluster && (yamldoc_text(wants_cluster, &flag, err) < 0 ||
                          flag_read(wants_cluster, flag, &out->exec.wants_cluster, err) < 0))
        return -1;
    if (config_text_set(&out->exec.api_version, version, err) < 0 ||
        config_text_set(&out->exec.install_hint, hint, err) < 0)
        return -1;
    return 0;
}

/* ---- the whole ---- */

static int user_read(const struct yamldoc_node *user, struct kube_config *out, struct error *err)
{
    const struct yamldoc_node *provider = yamldoc_get(user, "auth-provider");

    if (provider) {
        (void)yamldoc_error(provider, err, ERR_UNSUPPORTED,
                            "auth-provider was removed from Kubernetes in 1.26");
        return error_hint(err, "use an exec plug-in (client.authentication.k8s.io)");
    }
    if (fields_read(user, user_fields, ARRAY_LEN(user_fields), out, err) < 0 ||
        groups_read(user, out, err) < 0 || exec_read(user, out, err) < 0)
        return -1;
    if (!(out->cert_pem || out->cert_file) != !(out->key_pem || out->key_file)) {
        return yamldoc_error(user, err, ERR_USAGE,
                             "client-certificate and client-key belong together");
    }
    if ((out->as_uid || out->as_group_count > 0) && !out->as_user)
        return yamldoc_error(user, err, ERR_USAGE, "as-uid and as-groups need as");
    return 0;
}

/* Checks the server's URL and takes slashes from its end. */
static int server_check(const struct yamldoc_node *cluster, struct kube_config *out,
                        struct error *err)
{
    CLEANUP(url_destroy) struct url url = URL_INIT;

    if (!out->server)
        return yamldoc_error(cluster, err, ERR_USAGE, "server is missing");
    if (url_parse(out->server, &url, err) < 0)
        return yamldoc_wrap(cluster, err);
    bool is_http = strcmp(url.scheme, "https") == 0 || strcmp(url.scheme, "http") == 0;
    if (!is_http || !*url.host || url.param_count > 0)
        return yamldoc_error(cluster, err, ERR_USAGE, "server must be https://HOST[:PORT][/PATH]");
    for (size_t n = strlen(out->server); n > 0 && out->server[n - 1] == '/'; n--)
        out->server[n - 1] = '\0';
    return 0;
}

static int context_read(const struct kubeconfig_set *set, const struct kube_config_request *request,
                        const char *context_name, struct kube_config *out, struct error *err)
{
    const struct yamldoc_node *context, *cluster, *user = NULL;
    const char *cluster_name, *user_name, *namespace_name;

    if (set_find(set, "contexts", "context", context_name, &context, err) < 0 ||
        text_get(context, "cluster", &cluster_name, err) < 0 ||
        text_get(context, "user", &user_name, err) < 0 ||
        text_get(context, "namespace", &namespace_name, err) < 0)
        return -1;
    cluster_name = request->cluster ? request->cluster : cluster_name;
    user_name = request->user ? request->user : user_name;
    if (!cluster_name)
        return yamldoc_error(context, err, ERR_USAGE, "cluster is missing");
    if (set_find(set, "clusters", "cluster", cluster_name, &cluster, err) < 0 ||
        fields_read(cluster, cluster_fields, ARRAY_LEN(cluster_fields), out, err) < 0 ||
        config_text_set(&out->server, request->server, err) < 0 ||
        server_check(cluster, out, err) < 0)
        return -1;
    if (user_name && (set_find(set, "users", "user", user_name, &user, err) < 0 ||
                      user_read(user, out, err) < 0))
        return -1;
    if (request->token)
        free(TAKE(out->token_file));
    if (config_text_set(&out->token, request->token, err) < 0 ||
        config_text_set(&out->namespace_name, namespace_name, err) < 0)
        return -1;
    return 0;
}

int kubeconfig_set_read(const struct kubeconfig_set *set, const struct kube_config_request *request,
                        struct kube_config *out, struct error *err)
{
    const char *context = request->context;

    ASSERT(set->count > 0);
    if (!context && current_context(set, &context, err) < 0)
        return -1;
    out->source = str_printf(err, "%s, context %s", set->docs[0].name, context);
    if (!out->source || context_read(set, request, context, out, err) < 0 ||
        config_text_set(&out->namespace_name, request->namespace_name, err) < 0)
        return -1;
    if (!out->namespace_name)
        out->namespace_name = str_dup("default", err);
    return out->namespace_name ? 0 : -1;
}

int kubeconfig_parse(struct slice text, const char *path, const struct kube_config_request *request,
                     struct kube_config *out, struct error *err)
{
    CLEANUP(kubeconfig_set_free) struct kubeconfig_set *set = mem_new(1, sizeof(*set), err);
    struct kube_config config = KUBE_CONFIG_INIT;

    if (!set || kubeconfig_set_add(set, path, text, err) < 0)
        return -1;
    if (kubeconfig_set_read(set, request, &config, err) < 0) {
        kube_config_destroy(&config);
        return -1;
    }
    *out = config;
    return 0;
}
