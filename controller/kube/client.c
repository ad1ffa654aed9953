/*
 * Calls: a struct kube_call becomes method, URL and body, an answer becomes a tree or an error.
 * The way in between is request.c's.
 */
#include "controller/kube/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "controller/kube/client_internal.h"
#include "lib/http/url.h"

enum {
    KUBE_QUERY_BYTES_MAX = 16384,
    KUBE_WATCH_CONNECTIONS_MAX = 1024, /* without HTTP/2 each watch keeps one */
};

static const uint64_t call_deadline_ns_default = 30 * NS_PER_SEC;
static const uint64_t stream_silence_ns_max = 30 * NS_PER_DAY; /* nothing is logged for ever */
static const double rate_default = 50;
static const double burst_default = 100;

const char *const kube_method_names[KUBE_METHODS] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

static const char accept_json[] = "application/json";
static const char accept_metadata[] =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
static const char accept_metadata_list[] =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

static const struct verb_row {
    const char *name, *method, *content_type;
    bool is_write;
} verbs[] = {
    [KUBE_GET] = {"get", "GET", NULL, false},
    [KUBE_LIST] = {"list", "GET", NULL, false},
    [KUBE_CREATE] = {"create", "POST", "application/json", true},
    [KUBE_UPDATE] = {"update", "PUT", "application/json", true},
    [KUBE_APPLY] = {"apply", "PATCH", "application/apply-patch+yaml", true},
    [KUBE_MERGE_PATCH] = {"patch", "PATCH", "application/merge-patch+json", true},
    [KUBE_JSON_PATCH] = {"patch", "PATCH", "application/json-patch+json", true},
    [KUBE_DELETE] = {"delete", "DELETE", "application/json", false},
    [KUBE_RAW] = {"get", "GET", NULL, false},
};

const char *kube_verb_name(enum kube_verb verb)
{
    ASSERT((size_t)verb < ARRAY_LEN(verbs));
    return verbs[verb].name;
}

/* ---- the request ---- */

int query_add(struct buf *path, const char *name, const char *value, struct error *err)
{
    if (!value)
        return 0;
    char mark = path->n > 0 && memchr(path->p, '?', path->n) ? '&' : '?';
    if (buf_printf(path, err, "%c%s=", mark, name) < 0 ||
        url_encode(slice_of_str(value), false, path, err) < 0)
        return -1;
    return 0;
}

static int path_make(const struct kube_client *c, const struct kube_call *call, struct buf *out,
                     struct error *err)
{
    const struct verb_row *verb = &verbs[call->verb];
    const char *manager = call->field_manager ? call->field_manager : c->field_manager;
    bool is_apply = call->verb == KUBE_APPLY;
    char limit[16];

    if (call->verb == KUBE_RAW)
        return buf_append_str(out, call->raw_path, err);
    ASSERT(!is_apply || call->field_manager);
    ASSERT(call->name || call->verb == KUBE_LIST || call->verb == KUBE_CREATE);
    /* A creation goes to the collection; the name is in the body. */
    const char *name = call->verb == KUBE_CREATE && !call->subresource ? NULL : call->name;
    (void)snprintf(limit, sizeof(limit), "%u", call->limit);
    if (kube_path(call->resource, call->namespace_name, name, call->subresource, out, err) < 0 ||
        query_add(out, "fieldManager", verb->is_write ? manager : NULL, err) < 0 ||
        query_add(out, "force", is_apply && !call->keeps_conflicts ? "true" : NULL, err) < 0 ||
        query_add(out, "dryRun", call->is_dry_run && call->verb != KUBE_DELETE ? "All" : NULL,
                  err) < 0 ||
        query_add(out, "labelSelector", call->label_selector, err) < 0 ||
        query_add(out, "fieldSelector", call->field_selector, err) < 0 ||
        query_add(out, "limit", call->limit ? limit : NULL, err) < 0 ||
        query_add(out, "continue", call->continue_token, err) < 0 ||
        query_add(out, "resourceVersion", call->resource_version, err) < 0)
        return -1;
    return 0;
}

/* The options of a deletion travel in its body. */
static int delete_body(const struct kube_call *call, struct buf *out, struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "kind", "DeleteOptions");
    json_writer_str(&w, "apiVersion", "v1");
    if (call->uid) {
        json_writer_object(&w, "preconditions");
        json_writer_str(&w, "uid", call->uid);
        json_writer_end(&w);
    }
    if (call->propagation)
        json_writer_str(&w, "propagationPolicy", call->propagation);
    if (call->is_dry_run) {
        json_writer_array(&w, "dryRun");
        json_writer_str(&w, NULL, "All");
        json_writer_end(&w);
    }
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

static const char *accept_of(const struct kube_call *call)
{
    if (call->wants_text)
        return "*/*";
    if (!call->is_metadata_only)
        return accept_json;
    return call->verb == KUBE_LIST ? accept_metadata_list : accept_metadata;
}

static int shown_make(const struct kube_call *call, struct buf *out, struct error *err)
{
    char object[512];

    if (call->verb == KUBE_RAW)
        return buf_printf(out, err, "get %s", call->raw_path);
    return buf_printf(out, err, "%s %s", kube_verb_name(call->verb),
                      kube_path_show(call->resource, call->namespace_name, call->name,
                                     call->subresource, object));
}

/* ---- the answer ---- */

/* A call under way: what done needs. */
struct pending {
    kube_done_fn *done;
    int (*on_text)(void *arg, struct slice piece, struct error *err);
    void *arg;
    char *shown;
    bool wants_text;
};

static void pending_free(struct pending *p)
{
    free(p->shown);
    free(p);
}

/* The call was canceled. */
static void pending_drop(void *arg)
{
    pending_free(arg);
}

static void pending_on_reply(void *arg, const struct kube_reply *reply)
{
    struct pending *p = arg;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = *reply->err;

    if (err.code == ERR_NONE && !p->wants_text &&
        jsonval_parse(&doc, "answer", reply->body, &err) < 0)
        (void)error_wrap(&err, "%s", p->shown);
    const struct kube_answer answer = {
        .err = &err,
        .status = reply->status,
        .http_status = reply->http_status,
        .object = jsonval_root(&doc),
        .text = reply->body,
    };
    p->done(p->arg, &answer);
    pending_free(p);
}

static int pending_on_text(void *arg, struct slice piece, struct error *err)
{
    const struct pending *p = arg;

    return p->on_text(p->arg, piece, err);
}

static int pending_start(struct kube_client *c, const struct kube_call *call, struct pending *p,
                         struct kube_request **out, struct error *err)
{
    CLEANUP(buf_destroy) struct buf path = BUF_INIT(KUBE_PATH_BYTES_MAX + KUBE_QUERY_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf options = BUF_INIT(4096);

    ASSERT(call->body.n <= KUBE_BODY_BYTES_MAX);
    ASSERT(!call->on_text || call->wants_text);
    if (path_make(c, call, &path, err) < 0 ||
        (call->verb == KUBE_DELETE && delete_body(call, &options, err) < 0))
        return error_wrap(err, "%s", p->shown);
    const struct kube_send send = {
        .verb = call->verb,
        .method = verbs[call->verb].method,
        .path = buf_str(&path),
        .shown = p->shown,
        .accept = accept_of(call),
        .content_type = verbs[call->verb].content_type,
        .body = call->verb == KUBE_DELETE ? buf_slice(&options) : call->body,
        .deadline_ns =
            call->deadline_ns || call->on_text ? call->deadline_ns : call_deadline_ns_default,
        .stall_ns = call->on_text ? stream_silence_ns_max : 0,
        .answer_bytes_max = call->answer_bytes_max ? call->answer_bytes_max : KUBE_ANSWER_BYTES_MAX,
        .is_stream = call->on_text != NULL,
        .is_urgent = call->is_urgent,
        .on_data = call->on_text ? pending_on_text : NULL,
        .done = pending_on_reply,
        .arg = p,
        .drop = pending_drop,
    };
    return request_start(c, &send, out, err);
}

int kube_start(struct kube_client *c, const struct kube_call *call, kube_done_fn *done, void *arg,
               struct kube_request **out, struct error *err)
{
    CLEANUP(buf_destroy) struct buf shown = BUF_INIT(2048);
    struct pending *p;

    loop_assert_owner(c->loop);
    if (shown_make(call, &shown, err) < 0)
        return -1;
    p = mem_new(1, sizeof(*p), err);
    if (!p)
        return -1;
    *p = (struct pending){.done = done,
                          .on_text = call->on_text,
                          .arg = arg,
                          .shown = str_dup(buf_str(&shown), err),
                          .wants_text = call->wants_text};
    if (!p->shown || pending_start(c, call, p, out, err) < 0) {
        pending_free(p);
        return -1;
    }
    return 0;
}

struct wait {
    bool is_done;
    struct error err;
    struct kube_status status;
    struct buf text;
};

static void wait_on_done(void *arg, const struct kube_answer *answer)
{
    struct wait *w = arg;

    w->is_done = true;
    w->err = *answer->err;
    w->status = *answer->status;
    if (w->err.code == ERR_NONE)
        IGNORE(buf_append_slice(&w->text, answer->text, &w->err)); /* kube_wait() looks at err */
}

int kube_wait(struct kube_client *c, const struct kube_call *call, struct jsonval_doc *out_doc,
              struct kube_status *out_status, struct error *err)
{
    struct wait w = {.err = ERROR_INIT, .text = BUF_INIT(KUBE_ANSWER_BYTES_MAX)};

    if (kube_start(c, call, wait_on_done, &w, NULL, err) < 0)
        return -1;
    bool is_done = loop_run_until(c->loop, &w.is_done);
    ASSERT(is_done);
    if (out_status)
        *out_status = w.status;
    int rc = 0;
    if (w.err.code != ERR_NONE) {
        *err = w.err;
        rc = -1;
    } else if (out_doc) {
        rc = jsonval_parse(out_doc, "answer", buf_slice(&w.text), err);
    }
    buf_destroy(&w.text);
    return rc;
}

/* ---- life ---- */

static void http_config_fill(const struct kube_client *c, const struct credentials_view *view,
                             struct http_client_config *out)
{
    *out = (struct http_client_config){
        .skip_verify = c->config->skip_verify,
        .user_agent = c->user_agent,
        .ca_pem = view->ca_pem,
        .cert_pem = view->cert_pem && view->key_pem ? view->cert_pem : NULL,
        .key_pem = view->cert_pem && view->key_pem ? view->key_pem : NULL,
        .tls_server_name = c->config->tls_server_name,
        .proxy_url = c->config->proxy_url,
        .accepts_gzip = !c->config->is_compression_off,
        .shares_connection = true,
    };
}

int client_tls_apply(struct kube_client *c, const struct credentials_view *view, struct error *err)
{
    struct http_client_config config;

    http_config_fill(c, view, &config);
    if (http_client_reconfigure(c->calls, &config, err) < 0 ||
        http_client_reconfigure(c->watches, &config, err) < 0)
        return -1;
    c->tls_generation = view->tls_generation;
    return 0;
}

static int http_clients_make(struct kube_client *c, struct error *err)
{
    struct credentials_view view = {.tls_generation = 0};
    struct http_client_config config;

    credentials_peek(c->credentials, &view);
    http_config_fill(c, &view, &config);
    if (http_client_new(c->loop, &config, &c->calls, err) < 0)
        return -1;
    config.connections_max = KUBE_WATCH_CONNECTIONS_MAX;
    if (http_client_new(c->loop, &config, &c->watches, err) < 0)
        return -1;
    c->tls_generation = view.tls_generation;
    return 0;
}

/* "walferry-controller/0.4.0 (linux/x86_64) 0123abcd", as kubectl and controllers write theirs. */
static int names_make(struct kube_client *c, const char *program, struct error *err)
{
    struct utsname machine = {.machine = ""};

    (void)uname(&machine); /* fails only for a bad pointer */
    c->user_agent = str_printf(err, "%s/%s (linux/%s) %s", program, walferry_version(),
                               machine.machine, walferry_commit());
    c->field_manager = str_dup(program, err);
    return c->user_agent && c->field_manager ? 0 : -1;
}

int kube_client_new(struct loop *loop, const struct kube_client_config *config,
                    struct kube_client **out, struct error *err)
{
    struct kube_client *c = mem_new(1, sizeof(*c), err);

    loop_assert_owner(loop);
    if (!c)
        return -1;
    c->loop = loop;
    c->config = config->config;
    c->log = config->log;
    double rate = config->rate_per_s != 0 ? config->rate_per_s : rate_default;
    limiter_init(&c->limiter, rate, config->burst != 0 ? config->burst : burst_default,
                 env_monotonic_ns(loop_env(loop)));
    if (names_make(c, config->program ? config->program : "walferry", err) < 0 ||
        credentials_new(loop, c->config, &c->credentials, err) < 0 ||
        http_clients_make(c, err) < 0) {
        kube_client_free(c);
        return error_wrap(err, "%s",
                          config->config->source ? config->config->source : "kubernetes");
    }
    *out = c;
    return 0;
}

void kube_client_free(struct kube_client *c)
{
    if (!c)
        return;
    c->is_ending = true;
    requests_end(c);
    http_client_free(c->calls);
    http_client_free(c->watches);
    credentials_free(c->credentials);
    free(c->user_agent);
    free(c->field_manager);
    free(c);
}

const char *kube_client_namespace(const struct kube_client *c)
{
    return c->config->namespace_name ? c->config->namespace_name : "default";
}

const struct kube_client_stats *kube_client_stats(const struct kube_client *c)
{
    return &c->stats;
}
