/*
 * The cluster itself: its version, walferry's resources in it, and what the caller may do there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/plugin/check_internal.h"
#include "controller/plugin/facts.h"

enum {
    MINOR_MIN = 29, /* native sidecars are on by default */
    BODY_BYTES_MAX = 4096,
};

static const struct kube_resource access_reviews = {.group = "authorization.k8s.io",
                                                    .version = "v1",
                                                    .plural = "selfsubjectaccessreviews",
                                                    .kind = "SelfSubjectAccessReview",
                                                    .is_cluster_scoped = true};

/* ---- the API server ---- */

/* Minor version of "v1.36.4"; 0: another form. */
static unsigned long minor_of(const char *version)
{
    return strncmp(version, "v1.", 3) == 0 ? strtoul(version + 3, NULL, 10) : 0;
}

/* An API server that is away ends the command: everything else needs it. */
static int version_check(struct check *c, struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    const struct kube_call call = {.verb = KUBE_RAW, .raw_path = "/version"};

    if (session_call(c->session, &call, &doc, NULL, err) < 0)
        return -1;
    const char *version = fact_text(jsonval_root(&doc), "gitVersion");
    if (minor_of(version) < MINOR_MIN) {
        check_tell(c, CHECK_FAIL, "api server", "sidecars need Kubernetes 1.29 or newer",
                   "%s at %s", version, c->session->config.server);
    } else
        check_tell(c, CHECK_OK, "api server", NULL, "%s at %s", version, c->session->config.server);
    return 0;
}

/* ---- the resources ---- */

static bool serves(struct jsonval list, const char *plural)
{
    struct jsonval all = jsonval_get(list, "resources");

    for (struct jsonval r = jsonval_first(all); jsonval_exists(r); r = jsonval_next(r)) {
        if (strcmp(fact_text(r, "name"), plural) == 0)
            return true;
    }
    return false;
}

static int resources_check(struct check *c)
{
    static const struct kube_resource *const ours[] = {&kube_sqlite_replicas, &kube_sqlite_buckets,
                                                       &kube_sqlite_restores};
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    const struct kube_call call = {.verb = KUBE_RAW, .raw_path = "/apis/walferry.dev/v1alpha1"};
    struct error cause = ERROR_INIT;
    const char *hint = "helm install walferry charts/walferry -n walferry, or kubectl apply "
                       "--server-side -f crds";

    if (session_call(c->session, &call, &doc, NULL, &cause) < 0) {
        if (cause.code == ERR_NOT_FOUND)
            check_tell(c, CHECK_FAIL, "resources", hint, "walferry.dev/v1alpha1 is not served");
        else
            check_tell_unseen(c, "resources", &cause);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        if (!serves(jsonval_root(&doc), ours[i]->plural)) {
            check_tell(c, CHECK_FAIL, "resources", hint, "%s is missing", ours[i]->plural);
            return 0;
        }
    }
    check_tell(c, CHECK_OK, "resources", NULL,
               "walferry.dev/v1alpha1: sqlitereplicas, sqlitebuckets, sqliterestores");
    return 0;
}

/* ---- rights ---- */

static const struct right {
    const char *verb, *group, *resource, *subresource, *what_for;
} rights[] = {
    {"list", "walferry.dev", "sqlitereplicas", "", "status, lag"},
    {"patch", "walferry.dev", "sqlitereplicas", "", "pause, resume"},
    {"create", "walferry.dev", "sqliterestores", "", "restore, verify"},
    {"watch", "walferry.dev", "sqliterestores", "", "restore, verify"},
    {"list", "", "pods", "", "logs, snapshots"},
    {"get", "", "pods", "log", "logs"},
    {"get", "", "pods", "proxy", "snapshots"},
};

static int review_make(const struct session *s, const struct right *r, struct buf *out,
                       struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "apiVersion", "authorization.k8s.io/v1");
    json_writer_str(&w, "kind", access_reviews.kind);
    json_writer_object(&w, "spec");
    json_writer_object(&w, "resourceAttributes");
    if (s->namespace_name)
        json_writer_str(&w, "namespace", s->namespace_name);
    json_writer_str(&w, "verb", r->verb);
    json_writer_str(&w, "group", r->group);
    json_writer_str(&w, "resource", r->resource);
    if (*r->subresource)
        json_writer_str(&w, "subresource", r->subresource);
    json_writer_end(&w);
    json_writer_end(&w);
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

/* Asks whether the caller may. -1 with err. */
static int is_allowed(struct session *s, const struct right *r, bool *out, struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(BODY_BYTES_MAX);

    if (review_make(s, r, &body, err) < 0)
        return -1;
    const struct kube_call call = {
        .verb = KUBE_CREATE, .resource = &access_reviews, .body = buf_slice(&body)};
    if (session_call(s, &call, &doc, NULL, err) < 0)
        return -1;
    *out = fact_bool(jsonval_root(&doc), "status.allowed");
    return 0;
}

/* One finding: what is not allowed, and which commands miss it. */
static int rights_check(struct check *c, struct error *err)
{
    CLEANUP(buf_destroy) struct buf denied = BUF_INIT(BODY_BYTES_MAX);
    bool is_blind = false;

    for (size_t i = 0; i < ARRAY_LEN(rights); i++) {
        const struct right *r = &rights[i];
        struct error cause = ERROR_INIT;
        bool may = false;
        if (is_allowed(c->session, r, &may, &cause) < 0) {
            check_tell_unseen(c, "your rights", &cause);
            return 0;
        }
        if (may)
            continue;
        is_blind |= i == 0;
        if (buf_printf(&denied, err, "%s%s %s%s%s (%s)", denied.n ? ", " : "", r->verb, r->resource,
                       *r->subresource ? "/" : "", r->subresource, r->what_for) < 0)
            return -1;
    }
    if (denied.n == 0)
        check_tell(c, CHECK_OK, "your rights", NULL, "every command of this plug-in");
    else {
        check_tell(c, is_blind ? CHECK_FAIL : CHECK_WARN, "your rights",
                   "the ClusterRoles view and edit have them by the chart (rbac.aggregate)",
                   "you may not %s", buf_str(&denied));
    }
    return 0;
}

int check_cluster(struct check *c, struct error *err)
{
    return version_check(c, err) < 0 || resources_check(c) < 0 ? -1 : rights_check(c, err);
}
