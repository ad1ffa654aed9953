/*
 * The connection of a command, and errors that tell what to do.
 */
#include "controller/plugin/session.h"

#include <stdio.h>
#include <string.h>

/* ---- opening ---- */

static int output_read(const char *text, enum session_output *out, struct error *err)
{
    static const char *const names[] = {
        [SESSION_TABLE] = "table", [SESSION_WIDE] = "wide", [SESSION_JSON] = "json"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], text) == 0) {
            *out = (enum session_output)i;
            return 0;
        }
    }
    return error_set(err, ERR_USAGE, 0, "--output: \"%.40s\" is none of table, wide and json",
                     text);
}

static int config_find(struct session *s, const struct session_args *args, struct error *err)
{
    const struct kube_config_request request = {.kubeconfig = args->kubeconfig,
                                                .context = args->context,
                                                .namespace_name = args->namespace_name};

    if (kube_config_load(s->env, &request, &s->config, err) == 0)
        return 0;
    if (err->code == ERR_NOT_FOUND)
        err->code = ERR_USAGE; /* not a resource that is missing, but the way to the cluster */
    return -1;
}

int session_open(struct session *out, const struct env *env, const struct session_args *args,
                 struct error *err)
{
    *out = (struct session){
        .env = env, .deadline_ns = args->request_timeout_ns, .now_ns = env_wall_ns(env)};
    if (output_read(args->output, &out->output, err) < 0)
        return -1;
    if (args->is_all && args->namespace_name)
        return error_set(err, ERR_USAGE, 0, "--namespace and --all-namespaces exclude each other");
    if (config_find(out, args, err) < 0 || loop_new(env, 1, &out->loop, err) < 0)
        return -1;
    const struct kube_client_config config = {.config = &out->config, .program = SESSION_MANAGER};
    if (kube_client_new(out->loop, &config, &out->client, err) < 0)
        return -1;
    out->namespace_name = args->is_all ? NULL : kube_client_namespace(out->client);
    return 0;
}

void session_close(struct session *s)
{
    kube_client_free(s->client);
    loop_free(s->loop);
    kube_config_destroy(&s->config);
    *s = (struct session){.env = s->env};
}

const char *session_namespace(const struct session *s)
{
    return kube_client_namespace(s->client);
}

/* ---- errors ---- */

static bool is_ours(const struct kube_resource *resource)
{
    return resource && strcmp(resource->group, kube_sqlite_replicas.group) == 0;
}

static void not_found_hint(const struct kube_call *call, const struct kube_status *status,
                           struct error *err)
{
    if (is_ours(call->resource) && (!call->name || strstr(status->message, "requested resource"))) {
        (void)error_hint(err, "walferry's resources are not installed in this cluster: "
                              "helm install walferry charts/walferry -n walferry");
    } else if (is_ours(call->resource)) {
        (void)error_hint(err, "`kubectl get %s.%s -A` lists those that there are",
                         call->resource->plural, call->resource->group);
    }
}

/* What a refusal or an absence means for the one at the keyboard; instead of what is said to
 * operators. */
static void hint_add(const struct session *s, const struct kube_call *call,
                     const struct kube_status *status, struct error *err)
{
    bool is_away = err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT;

    if (err->origin == 401) {
        (void)error_hint(err, "the credentials of %s were refused; log in again", s->config.source);
    } else if (err->origin == 403 && call->resource) {
        (void)error_hint(err, "ask for the right; `kubectl auth can-i %s %s%s%s -n %s` shows it",
                         kube_verb_name(call->verb), call->resource->plural,
                         *call->resource->group ? "." : "", call->resource->group,
                         call->namespace_name ? call->namespace_name : "default");
    } else if (err->code == ERR_NOT_FOUND) {
        not_found_hint(call, status, err);
    } else if (is_away && err->origin < 400) {
        (void)error_hint(err, "is %s (%s) the right cluster, and can it be reached from here?",
                         s->config.server, s->config.source);
    }
}

int plugin_exit_status(const struct error *err)
{
    if (err->code == ERR_NONE)
        return 0;
    if (err->code == ERR_USAGE && err->origin < 400)
        return PLUGIN_EXIT_USAGE;
    if (err->code == ERR_NOT_FOUND)
        return PLUGIN_EXIT_NOT_FOUND;
    if (err->code == ERR_UNAVAILABLE || err->code == ERR_TIMEOUT || err->origin == 401)
        return PLUGIN_EXIT_NOT_REACHED;
    return PLUGIN_EXIT_PROBLEM;
}

/* ---- calls ---- */

int session_call(struct session *s, const struct kube_call *call, struct jsonval_doc *out_doc,
                 struct kube_status *out_status, struct error *err)
{
    struct kube_call limited = *call;
    struct kube_status status = {.reason = KUBE_REASON_NONE};

    if (limited.deadline_ns == 0)
        limited.deadline_ns = s->deadline_ns;
    int rc = kube_wait(s->client, &limited, out_doc, &status, err);
    if (out_status)
        *out_status = status;
    if (rc < 0)
        hint_add(s, call, &status, err);
    return rc;
}

int session_get(struct session *s, const struct kube_resource *resource, const char *name,
                struct jsonval_doc *out_doc, struct error *err)
{
    const struct kube_call call = {.verb = KUBE_GET,
                                   .resource = resource,
                                   .namespace_name = session_namespace(s),
                                   .name = name};

    return session_call(s, &call, out_doc, NULL, err);
}

struct text_wait {
    struct buf *out;
    struct error *err;
    bool is_done;
};

static void text_on_done(void *arg, const struct kube_answer *answer)
{
    struct text_wait *w = arg;

    w->is_done = true;
    *w->err = *answer->err;
    if (w->err->code == ERR_NONE)
        IGNORE(buf_append_slice(w->out, answer->text, w->err)); /* session_text() looks at err */
}

int session_text(struct session *s, const char *path, struct buf *out, struct error *err)
{
    const struct kube_call call = {
        .verb = KUBE_RAW, .raw_path = path, .wants_text = true, .deadline_ns = s->deadline_ns};
    const struct kube_status none = {.reason = KUBE_REASON_NONE};
    struct text_wait w = {.out = out, .err = err};

    if (kube_start(s->client, &call, text_on_done, &w, NULL, err) < 0)
        return -1;
    bool is_done = loop_run_until(s->loop, &w.is_done);
    ASSERT(is_done);
    if (err->code == ERR_NONE)
        return 0;
    hint_add(s, &call, &none, err);
    return -1;
}

/* The token of the next page, copied; NULL: this was the last one. */
static int token_read(struct jsonval list, char **io_token, struct error *err)
{
    const char *token;

    if (jsonval_str_or(jsonval_way(list, "metadata.continue"), "", &token, err) < 0)
        return -1;
    char *copy = *token ? str_dup(token, err) : NULL;
    if (*token && !copy)
        return -1;
    mem_free(io_token);
    *io_token = copy;
    return 0;
}

int session_each(struct session *s, const struct kube_resource *resource,
                 const char *namespace_name, const char *label_selector, session_item_fn *fn,
                 void *arg, struct error *err)
{
    CLEANUP(mem_free) char *token = NULL;

    do {
        CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
        const struct kube_call call = {.verb = KUBE_LIST,
                                       .resource = resource,
                                       .namespace_name = namespace_name,
                                       .label_selector = label_selector,
                                       .limit = SESSION_PAGE_ITEMS,
                                       .continue_token = token};
        if (session_call(s, &call, &doc, NULL, err) < 0)
            return -1;
        struct jsonval items = jsonval_get(jsonval_root(&doc), "items");
        for (struct jsonval v = jsonval_first(items); jsonval_exists(v); v = jsonval_next(v)) {
            if (fn(arg, v, err) < 0)
                return -1;
        }
        if (token_read(jsonval_root(&doc), &token, err) < 0)
            return -1;
    } while (token);
    return 0;
}

void session_say_none(const struct session *s)
{
    if (s->namespace_name)
        (void)fprintf(stderr, "No resources found in %s namespace.\n", s->namespace_name);
    else
        (void)fputs("No resources found\n", stderr);
}
