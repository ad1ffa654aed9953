/*
 * kubectl walferry report: what somebody else needs to help, in one file, without secrets.
 *
 *   README.txt              what it is and what could not be collected
 *   check.json              findings of `check`
 *   resources/KIND.json     our resources, the pods, Jobs, ConfigMaps and events around them
 *   logs/NAMESPACE/POD/     of sidecars and restore containers, the last lines, and of the operator
 *   status/NAMESPACE/POD    what each sidecar says of itself
 *
 * Everything goes through redact.h. Secrets are never asked for. What may not be read, or is not
 * there, is told in README.txt and does not end the report.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/api/api.h"
#include "controller/inject/job.h"
#include "controller/plugin/bundle.h"
#include "controller/plugin/facts.h"
#include "controller/plugin/plugin_internal.h"
#include "controller/plugin/redact.h"

enum {
    FILE_BYTES_MAX = 64 << 20,
    NOTES_BYTES_MAX = 1 << 20,
    ROOT_BYTES = 64,
    METRICS_PORT = 9090,
};

struct args {
    struct session_args session;
    const char *to;
    uint64_t tail;
};

struct run {
    struct session session;
    struct bundle bundle;
    struct buf notes;
    uint64_t tail;
    char root[ROOT_BYTES]; /* "walferry-report-20261126T120000Z" */
};

/* ---- files ---- */

static int note(struct run *r, const char *what, const struct error *cause, struct error *err)
{
    return buf_printf(&r->notes, err, "- %s: %s\n", what, cause->text);
}

static int text_file(struct run *r, const char *name, struct slice text, struct error *err)
{
    CLEANUP(buf_destroy) struct buf clean = BUF_INIT(FILE_BYTES_MAX);

    return redact_text(text, &clean, err) < 0
               ? -1
               : bundle_add(&r->bundle, name, buf_slice(&clean), err);
}

/* The text at an address of the API, as a file; without it a note. */
static int fetched_file(struct run *r, const char *path, const char *name, struct error *err)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(KUBE_ANSWER_BYTES_MAX);
    struct error cause = ERROR_INIT;

    if (session_text(&r->session, path, &text, &cause) < 0)
        return note(r, name, &cause, err);
    return text_file(r, name, buf_slice(&text), err);
}

/* ---- resources ---- */

struct listing {
    struct json_writer *w;
    bool (*is_wanted)(struct jsonval item); /* NULL: all are */
};

static int item_write(void *arg, struct jsonval item, struct error *err)
{
    struct listing *l = arg;

    return l->is_wanted && !l->is_wanted(item) ? 0 : redact_json(item, l->w, NULL, err);
}

/* Events about us, and about pods and workloads. */
static bool is_telling_event(struct jsonval event)
{
    static const char *const kinds[] = {
        "Pod",        "Job",           "CronJob",      "Deployment",    "StatefulSet",
        "ReplicaSet", "SqliteReplica", "SqliteBucket", "SqliteRestore", "PersistentVolumeClaim"};
    const char *kind = fact_text(event, "regarding.kind");

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i], kind) == 0)
            return true;
    }
    return false;
}

/* What the operator renders for sidecars. */
static bool is_our_config_map(struct jsonval map)
{
    return strncmp(fact_text(map, "metadata.name"), "walferry-", strlen("walferry-")) == 0;
}

static int listing_file(struct run *r, const struct kube_resource *resource, const char *selector,
                        bool (*is_wanted)(struct jsonval item), struct error *err)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(FILE_BYTES_MAX);
    struct json_writer w;
    struct listing l = {.w = &w, .is_wanted = is_wanted};
    struct error cause = ERROR_INIT;
    char name[128];

    (void)snprintf(name, sizeof(name), "resources/%s.json", resource->plural);
    json_writer_init(&w, &text, JSON_PRETTY);
    json_writer_object(&w, NULL);
    json_writer_array(&w, "items");
    if (session_each(&r->session, resource, r->session.namespace_name, selector, item_write, &l,
                     &cause) < 0)
        return note(r, name, &cause, err);
    json_writer_end(&w);
    json_writer_end(&w);
    if (json_writer_finish(&w, err) < 0)
        return -1;
    return bundle_add(&r->bundle, name, buf_slice(&text), err);
}

static int resources_add(struct run *r, struct error *err)
{
    return listing_file(r, &kube_sqlite_replicas, NULL, NULL, err) < 0 ||
                   listing_file(r, &kube_sqlite_buckets, NULL, NULL, err) < 0 ||
                   listing_file(r, &kube_sqlite_restores, NULL, NULL, err) < 0 ||
                   listing_file(r, &kube_pods, API_LABEL_REPLICA, NULL, err) < 0 ||
                   listing_file(r, &kube_jobs, INJECT_JOB_LABEL_MANAGER "=walferry", NULL, err) <
                       0 ||
                   listing_file(r, &kube_config_maps, NULL, is_our_config_map, err) < 0
               ? -1
               : listing_file(r, &kube_events, NULL, is_telling_event, err);
}

/* ---- pods ---- */

static int log_add(struct run *r, struct jsonval pod, const char *container, struct error *err)
{
    const char *namespace_name = fact_text(pod, "metadata.namespace");
    const char *pod_name = fact_text(pod, "metadata.name");
    CLEANUP(mem_free)
    char *path =
        str_printf(err, "/api/v1/namespaces/%s/pods/%s/log?container=%s&tailLines=%" PRIu64,
                   namespace_name, pod_name, container, r->tail);
    CLEANUP(mem_free)
    char *name = str_printf(err, "logs/%s/%s/%s.log", namespace_name, pod_name, container);

    return path && name ? fetched_file(r, path, name, err) : -1;
}

static int status_add(struct run *r, struct jsonval pod, uint64_t port, struct error *err)
{
    const char *namespace_name = fact_text(pod, "metadata.namespace");
    const char *pod_name = fact_text(pod, "metadata.name");
    CLEANUP(mem_free)
    char *path = str_printf(err, "/api/v1/namespaces/%s/pods/%s:%" PRIu64 "/proxy/status",
                            namespace_name, pod_name, port ? port : METRICS_PORT);
    CLEANUP(mem_free) char *name = str_printf(err, "status/%s/%s.json", namespace_name, pod_name);

    return path && name ? fetched_file(r, path, name, err) : -1;
}

/* A pod that asks for a sidecar: the logs of our containers in it, and its status. */
static int replica_pod_add(void *arg, struct jsonval pod, struct error *err)
{
    struct run *r = arg;
    struct jsonval all = jsonval_way(pod, "spec.initContainers");

    for (struct jsonval c = jsonval_first(all); jsonval_exists(c); c = jsonval_next(c)) {
        const char *name = fact_text(c, "name");
        bool is_sidecar = strcmp(name, API_CONTAINER_SIDECAR) == 0;
        if (!is_sidecar && strcmp(name, API_CONTAINER_RESTORE) != 0)
            continue;
        uint64_t port = fact_u64(jsonval_first(jsonval_get(c, "ports")), "containerPort");
        if (log_add(r, pod, name, err) < 0 || (is_sidecar && status_add(r, pod, port, err) < 0))
            return -1;
    }
    return 0;
}

/* Pods of the operator and of our Jobs: the log of their first container. */
static int own_pod_add(void *arg, struct jsonval pod, struct error *err)
{
    return log_add(arg, pod, fact_text(jsonval_first(jsonval_way(pod, "spec.containers")), "name"),
                   err);
}

static int pods_add(struct run *r, struct error *err)
{
    static const struct {
        const char *what, *selector;
        session_item_fn *fn;
        bool is_everywhere; /* the operator has a namespace of its own */
    } rows[] = {
        {"logs of sidecars", API_LABEL_REPLICA, replica_pod_add, false},
        {"logs of Jobs", INJECT_JOB_LABEL_MANAGER "=walferry", own_pod_add, false},
        {"logs of the operator",
         "app.kubernetes.io/name=walferry,app.kubernetes.io/component=controller", own_pod_add,
         true},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error cause = ERROR_INIT;
        const char *namespace_name = rows[i].is_everywhere ? NULL : r->session.namespace_name;
        if (session_each(&r->session, &kube_pods, namespace_name, rows[i].selector, rows[i].fn, r,
                         &cause) == 0)
            continue;
        if (cause.origin < 400 && cause.code != ERR_TIMEOUT) { /* of writing, not of asking */
            *err = cause;
            return -1;
        }
        if (note(r, rows[i].what, &cause, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- all ---- */

static int check_add(struct run *r, struct error *err)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(FILE_BYTES_MAX);
    struct json_writer w;
    unsigned failed;

    json_writer_init(&w, &text, JSON_PRETTY);
    if (check_json(&r->session, &w, &failed, err) < 0 || json_writer_finish(&w, err) < 0)
        return -1;
    return text_file(r, "check.json", buf_slice(&text), err);
}

static int readme_add(struct run *r, struct error *err)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(NOTES_BYTES_MAX + 4096);
    char time[TIME_TEXT_BYTES];

    if (buf_printf(&text, err,
                   "Report of kubectl-walferry %s (%s), %s, %s%s\n\n"
                   "Secrets were not read; passwords, tokens, keys and the values of environment\n"
                   "variables are replaced by REDACTED. Look through it before you pass it on.\n"
                   "\nNot collected:\n%s",
                   walferry_version(), walferry_commit(),
                   time_format_rfc3339(r->session.now_ns / NS_PER_SEC * NS_PER_SEC, time),
                   r->session.namespace_name ? "namespace " : "all namespaces",
                   r->session.namespace_name ? r->session.namespace_name : "",
                   r->notes.n > 0 ? buf_str(&r->notes) : "- nothing is missing\n") < 0)
        return -1;
    return text_file(r, "README.txt", buf_slice(&text), err);
}

static void root_name(struct run *r)
{
    char time[TIME_TEXT_BYTES];

    (void)snprintf(r->root, sizeof(r->root), "walferry-report-%s",
                   time_format_amz(r->session.now_ns, time));
}

static void run_end(struct run *r)
{
    bundle_abort(&r->bundle);
    buf_destroy(&r->notes);
    session_close(&r->session);
}

static int run(const struct invocation *inv, struct error *err)
{
    const struct args *args = inv->args;
    CLEANUP(run_end) struct run r = {.notes = BUF_INIT(NOTES_BYTES_MAX), .tail = args->tail};

    if (session_open(&r.session, inv->env, &args->session, err) < 0)
        return -1;
    root_name(&r);
    CLEANUP(mem_free) char *fallback = str_printf(err, "%s.tar", r.root);
    const char *to = args->to ? args->to : fallback;
    /* An API server that is away ends it before there is a file. */
    const struct kube_call hello = {.verb = KUBE_RAW, .raw_path = "/version"};
    if (!fallback || session_call(&r.session, &hello, NULL, NULL, err) < 0 ||
        bundle_open(&r.bundle, inv->env, to, r.root, err) < 0 || check_add(&r, err) < 0 ||
        resources_add(&r, err) < 0 || pods_add(&r, err) < 0 || readme_add(&r, err) < 0 ||
        bundle_commit(&r.bundle, err) < 0)
        return -1;
    (void)fprintf(stderr, "%u files in %s; look through them before you pass them on\n",
                  r.bundle.file_count, to);
    return 0;
}

static const struct flag flags[] = {
    {"to", FLAG_TEXT, offsetof(struct args, to), "PATH",
     "a folder to make, an archive (.tar), or - for a tar on standard output",
     "walferry-report-TIME.tar"},
    {"tail", FLAG_NUMBER, offsetof(struct args, tail), "N", "lines of each log", "5000"},
    SESSION_FLAG_ALL(struct args),
    SESSION_FLAGS(struct args),
};

static const struct args defaults = {.session = SESSION_DEFAULTS, .tail = 5000};

const struct command command_report_bundle = {
    .name = "report",
    .summary = "Collect what somebody else needs to help, without secrets",
    .usage = "kubectl walferry report [flags]",
    .example = "  kubectl walferry report -A\n"
               "  kubectl walferry report -n prod --to - | tar -tv",
    .detail = "In it are the findings of `check`, walferry's resources, the pods, Jobs,\n"
              "configurations and events around them, logs, and what each sidecar says of\n"
              "itself. Secrets are never read; passwords, tokens, keys and the values of\n"
              "environment variables are replaced by REDACTED.\n",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct args),
    .defaults = &defaults,
    .run = run,
};
