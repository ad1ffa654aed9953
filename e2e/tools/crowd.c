/*
 * Many resources and pods, edits of them, and admissions, against a real API server.
 *
 * usage: crowd KUBECONFIG nodes     COUNT   nodes that kwok keeps alive: fake-0, ...
 *        crowd KUBECONFIG replicas  COUNT   namespaces crowd-0 to crowd-9, SqliteReplicas in them
 *        crowd KUBECONFIG pods      COUNT   a pod for each of them, on one of ten nodes
 *        crowd KUBECONFIG edit      COUNT GAP_MS OF
 *        crowd KUBECONFIG admit     COUNT GAP_MS
 *
 * The first three create, IN_FLIGHT at a time, and print how long it took and what was refused.
 * edit changes one of OF resources after the other, with GAP_MS between them, and waits until the watch of
 * ConfigMaps tells that its sidecars' configuration follows; prints percentiles of the time from
 * sending the edit to hearing of the ConfigMap. What was not heard of within a minute is counted.
 * admit sends a labelled pod as a dry run each GAP_MS, whether or not the last one was answered, and
 * counts those that were refused; the resource is app-0 of crowd-0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/kube/kube.h"
#include "lib/base/base.h"
#include "lib/io/loop.h"

enum {
    IN_FLIGHT = 64,
    NAMESPACES = 10,
    NODES = 10,
    COUNT_MAX = 100000,
    BODY_BYTES_MAX = 8192,
};

static const uint64_t edit_deadline_ns = 60 * NS_PER_SEC;

static const struct kube_resource nodes = {
    .group = "", .version = "v1", .plural = "nodes", .kind = "Node", .is_cluster_scoped = true};

struct crowd {
    struct loop *loop;
    struct kube_client *client;
    size_t wanted;

    /* creating */
    const struct kube_resource *resource;
    int (*body)(size_t idx, struct buf *out, struct error *err);
    size_t sent, done, refused;
    struct error first; /* of what was refused */

    /* editing, admitting */
    struct kube_watch *watch;
    struct loop_timer next, late;
    uint64_t gap_ns;
    size_t of; /* resources */
    bool is_synced;
    bool is_waiting;
    char config_map[64]; /* the one that is waited for */
    char namespace_name[32];
    uint64_t sent_ns;
    uint64_t *took_ns;
    size_t heard, lost;
};

NO_RETURN static void die(const struct error *err)
{
    (void)fprintf(stderr, "crowd: %s\n", err->text);
    exit(1);
}

static void must(int rc, const struct error *err)
{
    if (rc < 0)
        die(err);
}

/* ---- bodies ---- */

static const char *namespace_of(size_t idx, char out[static 32])
{
    (void)snprintf(out, 32, "crowd-%zu", idx % NAMESPACES);
    return out;
}

static int namespace_body(size_t idx, struct buf *out, struct error *err)
{
    return buf_printf(
        out, err,
        "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"crowd-%zu\"}}",
        idx);
}

static int node_body(size_t idx, struct buf *out, struct error *err)
{
    return buf_printf(
        out, err,
        "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"fake-%zu\","
        "\"annotations\":{\"kwok.x-k8s.io/node\":\"fake\"}},\"spec\":{\"podCIDRs\":["
        "\"10.99.%zu.0/22\"],\"podCIDR\":\"10.99.%zu.0/22\"}}",
        idx, idx * 4, idx * 4);
}

static int replica_body(size_t idx, struct buf *out, struct error *err)
{
    char namespace_name[32];

    return buf_printf(
        out, err,
        "{\"apiVersion\":\"walferry.dev/v1alpha1\",\"kind\":\"SqliteReplica\",\"metadata\":{"
        "\"namespace\":\"%s\",\"name\":\"app-%zu\"},\"spec\":{\"databases\":[{\"name\":\"main\","
        "\"path\":\"/data/app.db\"}],\"destination\":{\"s3\":{\"bucket\":\"backups\",\"endpoint\":"
        "\"http://10.88.0.1:7070\",\"credentialsSecretRef\":{\"name\":\"s3-keys\"}}}}}",
        namespace_of(idx, namespace_name), idx);
}

static int pod_body(size_t idx, struct buf *out, struct error *err)
{
    char namespace_name[32];

    return buf_printf(
        out, err,
        "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"namespace\":\"%s\",\"name\":"
        "\"app-%zu\",\"labels\":{\"app\":\"app-%zu\",\"walferry.dev/replica\":\"app-%zu\"}},"
        "\"spec\":{\"nodeName\":\"fake-%zu\",\"securityContext\":{\"runAsUser\":1000,\"fsGroup\":"
        "1000},\"containers\":[{\"name\":\"app\",\"image\":\"registry.example.com/app:1\","
        "\"volumeMounts\":[{\"name\":\"data\",\"mountPath\":\"/data\"}]}],\"volumes\":[{\"name\":"
        "\"data\",\"emptyDir\":{}}]}}",
        namespace_of(idx, namespace_name), idx, idx, idx, idx % NODES);
}

/* ---- creating ---- */

static void create_more(struct crowd *c);

static void on_created(void *arg, const struct kube_answer *answer)
{
    struct crowd *c = arg;

    c->done++;
    if (answer->err->code != ERR_NONE && answer->err->code != ERR_EXISTS) {
        if (c->refused++ == 0)
            c->first = *answer->err;
    }
    if (c->done == c->wanted)
        loop_stop(c->loop);
    else
        create_more(c);
}

static void create_one(struct crowd *c)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(BODY_BYTES_MAX);
    struct error err = ERROR_INIT;
    char namespace_name[32];

    must(c->body(c->sent, &body, &err), &err);
    const struct kube_call call = {
        .verb = KUBE_CREATE,
        .resource = c->resource,
        .namespace_name =
            c->resource->is_cluster_scoped ? NULL : namespace_of(c->sent, namespace_name),
        .body = buf_slice(&body),
    };
    c->sent++;
    must(kube_start(c->client, &call, on_created, c, NULL, &err), &err);
}

static void create_more(struct crowd *c)
{
    while (c->sent < c->wanted && c->sent - c->done < IN_FLIGHT)
        create_one(c);
}

static int create(struct crowd *c, const struct kube_resource *resource,
                  int (*body)(size_t idx, struct buf *out, struct error *err), size_t count)
{
    uint64_t begin_ns = env_monotonic_ns(env_real());

    c->resource = resource;
    c->body = body;
    c->wanted = count;
    c->sent = c->done = c->refused = 0;
    create_more(c);
    loop_run(c->loop);
    (void)printf("%s=%zu refused=%zu seconds=%.1f\n", resource->plural, count - c->refused,
                 c->refused,
                 (double)(env_monotonic_ns(env_real()) - begin_ns) / (double)NS_PER_SEC);
    if (c->refused > 0)
        (void)fprintf(stderr, "crowd: %s\n", c->first.text);
    return c->refused > 0 ? 1 : 0;
}

/* ---- editing ---- */

static void edit_end(struct crowd *c)
{
    c->is_waiting = false;
    loop_timer_stop(&c->late);
    if (c->heard + c->lost == c->wanted)
        loop_stop(c->loop);
    else
        loop_timer_start(&c->next, c->gap_ns);
}

static void on_edit_late(void *arg)
{
    struct crowd *c = arg;

    c->lost++;
    edit_end(c);
}

static void on_edited(void *arg, const struct kube_answer *answer)
{
    const struct crowd *c = arg;

    if (c->is_waiting && answer->err->code != ERR_NONE)
        die(answer->err);
}

static void on_next(void *arg)
{
    struct crowd *c = arg;
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(BODY_BYTES_MAX);
    struct error err = ERROR_INIT;
    /* Some stride, so that neighbours in any order of keys are not neighbours in time. */
    size_t idx = c->sent * 37 % (c->of ? c->of : 1);
    char name[32];

    (void)snprintf(name, sizeof(name), "app-%zu", idx);
    (void)snprintf(c->config_map, sizeof(c->config_map), "walferry-%s", name);
    /* A value that no earlier run has left there. */
    must(buf_printf(&body, &err, "{\"spec\":{\"sync\":{\"intervalMilliseconds\":%u}}}",
                    (unsigned)(1000 + env_wall_ns(env_real()) / NS_PER_MS % 3000000)),
         &err);
    const struct kube_call call = {
        .verb = KUBE_MERGE_PATCH,
        .resource = &kube_sqlite_replicas,
        .namespace_name = namespace_of(idx, c->namespace_name),
        .name = name,
        .body = buf_slice(&body),
    };
    c->sent++;
    c->is_waiting = true;
    c->sent_ns = env_monotonic_ns(env_real());
    loop_timer_start(&c->late, edit_deadline_ns);
    must(kube_start(c->client, &call, on_edited, c, NULL, &err), &err);
}

static void on_begin(void *arg UNUSED)
{
}

static int on_object(void *arg, enum kube_change change UNUSED, struct jsonval object,
                     struct error *err)
{
    struct crowd *c = arg;
    const char *name;
    const char *namespace_name;

    if (!c->is_waiting)
        return 0;
    if (jsonval_str(jsonval_way(object, "metadata.name"), &name, err) < 0 ||
        jsonval_str(jsonval_way(object, "metadata.namespace"), &namespace_name, err) < 0)
        die(err);
    if (strcmp(name, c->config_map) != 0 || strcmp(namespace_name, c->namespace_name) != 0)
        return 0;
    c->took_ns[c->heard++] = env_monotonic_ns(env_real()) - c->sent_ns;
    edit_end(c);
    return 0;
}

static void on_synced(void *arg)
{
    struct crowd *c = arg;

    if (!c->is_synced)
        loop_timer_start(&c->next, c->gap_ns);
    c->is_synced = true;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double percentile_ms(const struct crowd *c, double part)
{
    size_t at = (size_t)(part * (double)(c->heard - 1));

    return c->heard ? (double)c->took_ns[at] / 1e6 : 0;
}

static int edit(struct crowd *c, size_t count)
{
    const struct kube_watch_config config = {
        .resource = &kube_config_maps,
        .label_selector = "app.kubernetes.io/managed-by=walferry",
        .is_metadata_only = true,
        .handler = {.on_begin = on_begin, .on_object = on_object, .on_synced = on_synced},
        .arg = c,
    };
    struct error err = ERROR_INIT;

    c->wanted = count;
    c->took_ns = mem_new(count, sizeof(*c->took_ns), &err);
    if (!c->took_ns)
        die(&err);
    loop_timer_init(&c->next, c->loop, on_next, c);
    loop_timer_init(&c->late, c->loop, on_edit_late, c);
    must(kube_watch_start(c->client, &config, &c->watch, &err), &err);
    loop_run(c->loop);
    qsort(c->took_ns, c->heard, sizeof(*c->took_ns), compare);
    (void)printf("edits=%zu lost=%zu p50_ms=%.1f p90_ms=%.1f p99_ms=%.1f max_ms=%.1f\n", c->heard,
                 c->lost, percentile_ms(c, 0.5), percentile_ms(c, 0.9), percentile_ms(c, 0.99),
                 percentile_ms(c, 1));
    return c->lost > 0 ? 1 : 0;
}

/* ---- admitting ---- */

static void on_admitted(void *arg, const struct kube_answer *answer)
{
    struct crowd *c = arg;

    c->done++; /* counted, not timed: bench/admission does that */
    if (answer->err->code != ERR_NONE && c->refused++ == 0)
        c->first = *answer->err;
    if (c->done == c->wanted)
        loop_stop(c->loop);
}

static void on_admit(void *arg)
{
    struct crowd *c = arg;
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(BODY_BYTES_MAX);
    struct error err = ERROR_INIT;

    must(pod_body(0, &body, &err), &err);
    const struct kube_call call = {
        .verb = KUBE_CREATE,
        .resource = &kube_pods,
        .namespace_name = "crowd-0",
        .body = buf_slice(&body),
        .is_dry_run = true,
    };
    must(kube_start(c->client, &call, on_admitted, c, NULL, &err), &err);
    if (++c->sent < c->wanted)
        loop_timer_start(&c->next, c->gap_ns);
}

static int admit(struct crowd *c, size_t count)
{
    c->wanted = count;
    loop_timer_init(&c->next, c->loop, on_admit, c);
    loop_timer_start(&c->next, 0);
    loop_run(c->loop);
    (void)printf("admissions=%zu refused=%zu\n", c->done, c->refused);
    if (c->refused > 0)
        (void)fprintf(stderr, "crowd: %s\n", c->first.text);
    return c->refused > 0 ? 1 : 0;
}

/* ---- */

static int work(struct crowd *c, const char *what, size_t count)
{
    if (strcmp(what, "nodes") == 0)
        return create(c, &nodes, node_body, count);
    if (strcmp(what, "replicas") == 0) {
        return create(c, &kube_namespaces, namespace_body, NAMESPACES) |
               create(c, &kube_sqlite_replicas, replica_body, count);
    }
    if (strcmp(what, "pods") == 0)
        return create(c, &kube_pods, pod_body, count);
    if (strcmp(what, "edit") == 0)
        return edit(c, count);
    if (strcmp(what, "admit") == 0)
        return admit(c, count);
    (void)fprintf(stderr, "crowd: \"%s\" is none of nodes, replicas, pods, edit, admit\n", what);
    return 2;
}

/* 0: it is not there. */
static size_t number(int argc, char **argv, int idx)
{
    return argc > idx ? strtoul(argv[idx], NULL, 10) : 0;
}

int main(int argc, char **argv)
{
    struct kube_config config = KUBE_CONFIG_INIT;
    struct crowd crowd = {.gap_ns = number(argc, argv, 4) * NS_PER_MS, .of = number(argc, argv, 5)};
    struct error err = ERROR_INIT;
    size_t count = number(argc, argv, 3);

    if (count == 0 || count > COUNT_MAX) {
        (void)fprintf(stderr, "usage: crowd KUBECONFIG nodes|replicas|pods COUNT\n"
                              "       crowd KUBECONFIG edit COUNT GAP_MS OF\n"
                              "       crowd KUBECONFIG admit COUNT GAP_MS\n");
        return 2;
    }
    must(kube_config_load(env_real(), &(struct kube_config_request){.kubeconfig = argv[1]}, &config,
                          &err),
         &err);
    must(loop_new(env_real(), 1, &crowd.loop, &err), &err);
    must(kube_client_new(crowd.loop,
                         &(struct kube_client_config){
                             .config = &config, .program = "walferry-bench", .rate_per_s = -1},
                         &crowd.client, &err),
         &err);
    int status = work(&crowd, argv[2], count);
    kube_watch_stop(crowd.watch);
    kube_client_free(crowd.client);
    loop_free(crowd.loop);
    kube_config_destroy(&config);
    free(crowd.took_ns);
    return status;
}
