/*
 * The admission webhook over real TLS: what is answered with what is known, the one uncached look,
 * its deadline, bodies that are none, and metrics. The informer is a table here: which resources
 * the cache has, and which a refresh brings.
 */
#include "controller/webhook/webhook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http/client.h"
#include "lib/testing/json_patch_apply.h"
#include "lib/testing/test.h"
#include "lib/tls/tls.h"

static const char *const names[] = {"localhost"};

#define POD(label)                                                                                 \
    "{\"metadata\":{\"generateName\":\"app-\",\"labels\":{" label "}},\"spec\":{"                  \
    "\"securityContext\":{\"runAsUser\":7},\"terminationGracePeriodSeconds\":60,\"containers\":[{" \
    "\"name\":\"app\",\"volumeMounts\":[{\"name\":\"data\",\"mountPath\":\"/data\"}]}],"           \
    "\"volumes\":[{\"name\":\"data\",\"emptyDir\":{}}]}}"
#define LABEL "\"walferry.dev/replica\":\"app\""

static const char replica_text[] =
    "{\"metadata\":{\"name\":\"app\",\"namespace\":\"prod\"},\"spec\":{\"databases\":["
    "{\"name\":\"main\",\"path\":\"/data/app.db\"}],\"destination\":{\"s3\":{\"bucket\":\"b\"}}}}";

/* What a refresh does. */
enum refresh_way {
    REFRESH_FINDS,
    REFRESH_FINDS_NOTHING,
    REFRESH_FAILS,
    REFRESH_HANGS, /* until the fixture ends */
};

struct fixture {
    char folder[256], ca_path[300];
    struct loop *loop;
    struct log log;
    struct tls_identity *identity;
    struct webhook *webhook;
    struct http_client *client;
    /* the informer */
    struct api_replica *replica;
    struct inject_peer peer; /* another pod of it; without a name: none */
    bool is_cached;
    bool is_synced;
    const char *problem;
    const char *rival;
    enum refresh_way way;
    unsigned refresh_count;
    const char *workload_label; /* of Deployment web */
    bool workload_fails;
    struct webhook_namespace wish;
    bool namespace_fails;
    unsigned namespace_count;
    char skipped[512];
    char risk[512];
    webhook_refreshed_fn *refreshed;
    void *refreshed_arg;
    struct loop_timer refresh_timer;
};

/* ---- the informer ---- */

static bool source_is_synced(void *ctx)
{
    const struct fixture *f = ctx;
    return f->is_synced;
}

static void source_look(void *ctx, const char *namespace_name, const char *name,
                        struct webhook_subject *out)
{
    const struct fixture *f = ctx;

    out->problem = f->problem;
    if (f->is_cached && strcmp(namespace_name, "prod") == 0 && strcmp(name, "app") == 0)
        out->replica = f->replica;
    out->peers = &f->peer;
    out->peer_count = f->peer.name != NULL;
}

static void on_refresh_timer(void *arg)
{
    struct fixture *f = arg;
    struct error err = ERROR_INIT;

    if (f->way == REFRESH_FAILS)
        (void)error_set(&err, ERR_UNAVAILABLE, 0, "GET sqlitereplicas: connection refused");
    f->is_cached = f->is_cached || f->way == REFRESH_FINDS;
    f->refreshed(f->refreshed_arg, &err);
    f->refreshed = NULL;
}

static void source_refresh(void *ctx, const char *namespace_name UNUSED, const char *name UNUSED,
                           webhook_refreshed_fn *done, void *arg)
{
    struct fixture *f = ctx;

    f->refresh_count++;
    f->refreshed = done;
    f->refreshed_arg = arg;
    if (f->way != REFRESH_HANGS)
        loop_timer_start(&f->refresh_timer, NS_PER_MS);
}

static void source_workload_look(void *ctx, const char *namespace_name, const char *kind,
                                 const char *name, webhook_workload_fn *done, void *arg)
{
    struct fixture *f = ctx;
    struct error err = ERROR_INIT;

    assert_string_equal(namespace_name, "prod");
    if (f->workload_fails)
        (void)error_set(&err, ERR_UNAVAILABLE, 0, "GET deployments: connection refused");
    bool is_there = strcmp(kind, "Deployment") == 0 && strcmp(name, "web") == 0;
    done(arg, is_there ? f->workload_label : NULL, &err);
}

static void source_namespace_look(void *ctx, const char *namespace_name, webhook_namespace_fn *done,
                                  void *arg)
{
    struct fixture *f = ctx;
    struct error err = ERROR_INIT;

    assert_string_equal(namespace_name, "prod");
    f->namespace_count++;
    if (f->namespace_fails)
        (void)error_set(&err, ERR_UNAVAILABLE, 0, "GET namespaces: connection refused");
    done(arg, &f->wish, &err);
}

static void source_on_skipped(void *ctx, const struct review *review UNUSED, const char *replica,
                              const char *why)
{
    struct fixture *f = ctx;

    (void)snprintf(f->skipped, sizeof(f->skipped), "%s: %s", replica, why);
}

static void source_on_risk(void *ctx, const struct review *review UNUSED, const char *replica,
                           const char *why)
{
    struct fixture *f = ctx;

    (void)snprintf(f->risk, sizeof(f->risk), "%s: %s", replica, why);
}

static const char *source_rival(void *ctx, const struct api_replica *replica UNUSED,
                                struct buf *out_prefix)
{
    const struct fixture *f = ctx;
    struct error err = ERROR_INIT;

    if (f->rival)
        assert_ok(buf_append_str(out_prefix, "s3://b/prod/app/main", &err), &err);
    return f->rival;
}

/* ---- the fixture ---- */

static void identity_make(struct fixture *f)
{
    uint64_t now = env_wall_ns(env_real());
    const struct tls_validity life = {now, now + NS_PER_DAY};
    struct tls_pem ca = TLS_PEM_INIT, server = TLS_PEM_INIT;
    struct tls_keypair *k = NULL;
    struct error err = ERROR_INIT;

    assert_ok(tls_identity_new(&f->identity, &err), &err);
    assert_ok(tls_authority_make(env_real(), "test", &life, &ca, &err), &err);
    assert_ok(tls_authority_sign(env_real(), &ca, names, 1, &life, &server, &err), &err);
    assert_ok(tls_keypair_parse(buf_slice(&server.cert), buf_slice(&server.key), &k, &err), &err);
    tls_identity_set(f->identity, k);
    (void)snprintf(f->ca_path, sizeof(f->ca_path), "%s/ca.crt", f->folder);
    test_file_write(f->ca_path, buf_slice(&ca.cert));
    tls_pem_destroy(&ca);
    tls_pem_destroy(&server);
}

static void replica_make(struct fixture *f)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;

    assert_ok(jsonval_parse(&doc, "replica", slice_of_str(replica_text), &err), &err);
    assert_ok(api_replica_parse(jsonval_root(&doc), &f->replica, &err), &err);
}

static void fixture_make(struct fixture *f)
{
    struct error err = ERROR_INIT;

    *f = (struct fixture){.is_synced = true, .is_cached = true, .workload_label = "app"};
    f->log = (struct log){.env = env_real(), .fd = 2, .level = LOG_LEVEL_ERROR};
    test_folder_make(f->folder);
    identity_make(f);
    replica_make(f);
    assert_ok(loop_new(env_real(), 1, &f->loop, &err), &err);
    loop_timer_init(&f->refresh_timer, f->loop, on_refresh_timer, f);
    const struct webhook_config config = {
        .address = "127.0.0.1",
        .identity = f->identity,
        .inject = {.image = "walferry:1", .version = "1"},
        .source = {.ctx = f,
                   .is_synced = source_is_synced,
                   .look = source_look,
                   .refresh = source_refresh,
                   .workload_look = source_workload_look,
                   .namespace_look = source_namespace_look,
                   .on_skipped = source_on_skipped,
                   .on_risk = source_on_risk,
                   .prefix_rival = source_rival},
        .log = &f->log,
    };
    assert_ok(webhook_new(f->loop, &config, &f->webhook, &err), &err);
    const struct http_client_config client = {.ca_file = f->ca_path, .connections_max = 2};
    assert_ok(http_client_new(f->loop, &client, &f->client, &err), &err);
}

static void fixture_drop(struct fixture *f)
{
    struct error err = ERROR_INIT;

    http_client_free(f->client);
    webhook_free(f->webhook);
    if (f->refreshed)
        f->refreshed(f->refreshed_arg, &err); /* a refresh that outlived the webhook */
    loop_run(f->loop);
    loop_free(f->loop);
    tls_identity_free(f->identity);
    api_replica_free(f->replica);
    test_folder_remove(f->folder);
}

/* ---- asking ---- */

/* POSTs a text and answers the status; the body goes to out. */
static int post(struct fixture *f, const char *path, struct slice text, struct buf *out)
{
    const struct http_header type = {"Content-Type", "application/json"};
    struct error err = ERROR_INIT;
    char url[128];
    int status = 0;

    (void)snprintf(url, sizeof(url), "https://localhost:%u%s?timeout=5s", webhook_port(f->webhook),
                   path);
    const struct http_request request = {.method = "POST",
                                         .url = url,
                                         .headers = &type,
                                         .header_count = 1,
                                         .body_slice = text,
                                         .has_body = true,
                                         .deadline_ns = 30 * NS_PER_SEC};
    assert_ok(http_wait(f->client, &request, &status, out, &err), &err);
    return status;
}

/* An answer, parsed. */
struct answer {
    struct jsonval_doc doc;
    bool is_allowed;
    const char *message; /* "" if allowed */
    const char *patch;   /* base64; NULL: none */
    const char *warning; /* the first; "" if none */
};

static void review(struct fixture *f, const char *path, const char *kind, const char *rest,
                   struct answer *out)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(1 << 20);
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(1 << 20);
    struct error err = ERROR_INIT;
    const char *uid = NULL;

    assert_ok(buf_printf(&text, &err,
                         "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\","
                         "\"request\":{\"uid\":\"705ab4f5-6393-11e8\",\"kind\":{\"group\":\"\","
                         "\"version\":\"v1\",\"kind\":\"%s\"},\"namespace\":\"prod\",%s}}",
                         kind, rest),
              &err);
    assert_int_equal(post(f, path, buf_slice(&text), &body), 200);
    *out = (struct answer){.doc = JSONVAL_DOC_INIT};
    assert_ok(jsonval_parse(&out->doc, "answer", buf_slice(&body), &err), &err);
    struct jsonval response = jsonval_get(jsonval_root(&out->doc), "response");
    assert_ok(jsonval_str(jsonval_get(response, "uid"), &uid, &err), &err);
    assert_string_equal(uid, "705ab4f5-6393-11e8");
    assert_ok(jsonval_bool(jsonval_get(response, "allowed"), &out->is_allowed, &err), &err);
    assert_ok(jsonval_str_or(jsonval_way(response, "status.message"), "", &out->message, &err),
              &err);
    assert_ok(jsonval_str_or(jsonval_get(response, "patch"), NULL, &out->patch, &err), &err);
    assert_ok(
        jsonval_str_or(jsonval_first(jsonval_get(response, "warnings")), "", &out->warning, &err),
        &err);
}

static void denied(struct fixture *f, const char *path, const char *kind, const char *rest,
                   const char *part)
{
    struct answer a;

    review(f, path, kind, rest, &a);
    assert_false(a.is_allowed);
    assert_null(a.patch);
    if (!strstr(a.message, part))
        fail_msg("\"%s\" is not in \"%s\"", part, a.message);
    jsonval_doc_destroy(&a.doc);
}

/* warning "": there must be none. */
static void allowed(struct fixture *f, const char *path, const char *kind, const char *rest,
                    const char *warning)
{
    struct answer a;

    review(f, path, kind, rest, &a);
    assert_true(a.is_allowed);
    assert_null(a.patch);
    if (warning[0] ? !strstr(a.warning, warning) : a.warning[0] != '\0')
        fail_msg("wanted warning \"%s\", got \"%s\"", warning, a.warning);
    jsonval_doc_destroy(&a.doc);
}

static void patched(struct fixture *f, const char *rest, const char *pod)
{
    CLEANUP(buf_destroy) struct buf patch = BUF_INIT(1 << 20);
    CLEANUP(buf_destroy) struct buf after = BUF_INIT(1 << 20);
    struct error err = ERROR_INIT;
    struct answer a;

    review(f, "/mutate", "Pod", rest, &a);
    assert_true(a.is_allowed);
    assert_non_null(a.patch);
    assert_ok(base64_decode(slice_of_str(a.patch), &patch, &err), &err);
    assert_ok(json_patch_apply(slice_of_str(pod), buf_slice(&patch), &after, &err), &err);
    assert_non_null(strstr(buf_str(&after), "\"restartPolicy\":\"Always\""));
    jsonval_doc_destroy(&a.doc);
}

#define CREATE(object) "\"operation\":\"CREATE\",\"object\":" object

/* ---- tests ---- */

static void test_a_labelled_pod_is_patched_from_the_cache(void **state UNUSED)
{
    struct fixture f;
    fixture_make(&f);

    patched(&f, CREATE(POD(LABEL)), POD(LABEL));
    assert_int_equal(f.refresh_count, 0);
    fixture_drop(&f);
}

static void test_a_pod_without_the_label_passes_whatever_is_known(void **state UNUSED)
{
    struct fixture f;
    fixture_make(&f);

    f.is_synced = false;
    f.is_cached = false;
    allowed(&f, "/mutate", "Pod", CREATE(POD("\"app\":\"x\"")), "");
    allowed(&f, "/mutate", "Pod", "\"operation\":\"DELETE\"", "");
    allowed(
        &f, "/mutate", "Pod",
        "\"operation\":\"UPDATE\",\"subResource\":\"ephemeralcontainers\",\"object\":" POD(LABEL),
        "");
    assert_int_equal(f.refresh_count, 0);
    fixture_drop(&f);
}

static void test_what_the_cache_lacks_is_looked_up_once(void **state UNUSED)
{
    struct fixture f;
    fixture_make(&f);

    f.is_cached = false;
    patched(&f, CREATE(POD(LABEL)), POD(LABEL));
    assert_int_equal(f.refresh_count, 1);
    patched(&f, CREATE(POD(LABEL)), POD(LABEL));
    assert_int_equal(f.refresh_count, 1);
    f.is_synced = false;
    patched(&f, CREATE(POD(LABEL)), POD(LABEL));
    assert_int_equal(f.refresh_count, 2);
    fixture_drop(&f);
}

static void test_a_pod_whose_resource_is_missing_is_denied_with_a_way_out(void **state UNUSED)
{
    struct fixture f;
    fixture_make(&f);

    f.is_cached = false;
    f.way = REFRESH_FINDS_NOTHING;
    denied(&f, "/mutate", "Pod", CREATE(POD(LABEL)),
           "walferry: there is no SqliteReplica \"app\" in namespace \"prod\": create it, or "
           "remove the label");
    f.way = REFRESH_FAILS;
    denied(&f, "/mutate", "Pod", CREATE(POD(LABEL)),
           "whether SqliteReplica \"app\" exists: GET sqlitereplicas: connection refused");
    f.problem = "spec.databases: it is missing";
    denied(&f, "/mutate", "Pod", CREATE(POD(LABEL)), "\"prod\": spec.databases: it is missing");
    assert_int_equal(f.refresh_count, 2);
    fixture_drop(&f);
}

static void test_a_look_up_that_takes_too_long_is_denied_in_time(void **state UNUSED)
{
    struct fixture f;
    fixture_make(&f);

    f.is_cached = false;
    f.way = REFRESH_HANGS;
    denied(&f, "/mutate", "Pod", CREATE(POD(LABEL)), "did not tell in time");
    assert_int_equal(webhook_pending_count(f.webhook), 1);
    fixture_drop(&f);
}

static void test_workloads_are_judged_where_they_are_written(void **state UNUSED)
{
#define DEPLOYMENT(replicas, strategy)                                                             \
    "{\"spec\":{\"replicas\":" replicas ",\"strategy\":{" strategy "},\"template\":{\"metadata\":" \
    "{\"labels\":{" LABEL "}}}}}"
#define RECREATE "\"type\":\"Recreate\""
    struct fixture f;
    fixture_make(&f);

    allowed(&f, "/validate", "Deployment", CREATE(DEPLOYMENT("1", RECREATE)), "");
    denied(&f, "/validate", "Deployment", CREATE(DEPLOYMENT("2", RECREATE)),
           "2 pods of this Deployment would write to one prefix");
    denied(&f, "/validate", "Deployment", CREATE(DEPLOYMENT("1", "")),
           "set spec.strategy.type: Recreate");
    /* As wrong as it was: its controller must be able to update it. */
    allowed(&f, "/validate", "Deployment",
            "\"operation\":\"UPDATE\",\"object\":" DEPLOYMENT("1", "") ",\"oldObject\":" DEPLOYMENT(
                "1", ""),
            "set spec.strategy.type: Recreate");
    denied(&f, "/validate", "Deployment",
           "\"operation\":\"UPDATE\",\"object\":" DEPLOYMENT(
               "2", RECREATE) ",\"oldObject\":" DEPLOYMENT("1", RECREATE),
           "2 pods");
    f.is_cached = false;
    f.way = REFRESH_FINDS_NOTHING;
    allowed(&f, "/validate", "Deployment", CREATE(DEPLOYMENT("2", RECREATE)),
            "there is no SqliteReplica \"app\" in namespace \"prod\"; until it is right");
    fixture_drop(&f);
}

static void test_scales_and_autoscalers_are_those_of_their_workload(void **state UNUSED)
{
#define SCALE(replicas)                                                                            \
    "\"operation\":\"UPDATE\",\"name\":\"web\",\"subResource\":\"scale\",\"resource\":{"           \
    "\"resource\":\"deployments\"},\"object\":{\"spec\":{\"replicas\":" replicas                   \
    "}},\"oldObject\":{\"spec\":{\"replicas\":1}}"
    struct fixture f;
    fixture_make(&f);

    denied(&f, "/validate", "Scale",
           "\"operation\":\"UPDATE\",\"name\":\"web\",\"subResource\":\"scale\",\"resource\":{"
           "\"resource\":\"deployments\"},\"object\":{\"spec\":{\"replicas\":3}}",
           "3 pods of this Deployment");
    allowed(&f, "/validate", "Scale",
            "\"operation\":\"UPDATE\",\"name\":\"other\",\"subResource\":\"scale\",\"resource\":{"
            "\"resource\":\"deployments\"},\"object\":{\"spec\":{\"replicas\":3}}",
            "");
    denied(&f, "/validate", "HorizontalPodAutoscaler",
           CREATE("{\"spec\":{\"scaleTargetRef\":{\"kind\":\"Deployment\",\"name\":\"web\"},"
                  "\"maxReplicas\":4}}"),
           "4 pods of this Deployment");
    /* Fewer than there were: a way out. */
    allowed(&f, "/validate", "Scale",
            "\"operation\":\"UPDATE\",\"name\":\"web\",\"subResource\":\"scale\",\"resource\":{"
            "\"resource\":\"deployments\"},\"object\":{\"spec\":{\"replicas\":2}},"
            "\"oldObject\":{\"spec\":{\"replicas\":3}}",
            "2 pods of this Deployment");
    f.workload_label = NULL;
    allowed(&f, "/validate", "Scale", SCALE("3"), "");
    f.workload_fails = true;
    allowed(&f, "/validate", "Scale", SCALE("3"), "whose pods Deployment \"web\" has");
    fixture_drop(&f);
}

static void test_a_label_without_a_name_is_the_default_of_the_namespace(void **state UNUSED)
{
#define NAMELESS "\"walferry.dev/replica\":\"\""
    struct fixture f;
    fixture_make(&f);

    denied(&f, "/mutate", "Pod", CREATE(POD(NAMELESS)),
           "namespace \"prod\" has no annotation walferry.dev/default-replica");
    allowed(&f, "/validate", "Deployment",
            CREATE("{\"spec\":{\"template\":{\"metadata\":{\"labels\":{" NAMELESS "}}}}}"),
            "has no annotation");
    (void)snprintf(f.wish.default_replica, sizeof(f.wish.default_replica), "app");
    patched(&f, CREATE(POD(NAMELESS)), POD(NAMELESS));
    f.workload_label = "";
    denied(&f, "/validate", "Scale", SCALE("3"), "3 pods of this Deployment");
    assert_int_equal(f.namespace_count, 4);
    f.namespace_fails = true;
    denied(&f, "/mutate", "Pod", CREATE(POD(NAMELESS)),
           "what the annotations of namespace \"prod\" say: GET namespaces: connection refused");
    assert_int_equal(f.refresh_count, 0);
    fixture_drop(&f);
}

/* Nothing is denied for it, and it must not go unnoticed: a workload's controller hears warnings alone. */
static void test_a_second_writer_that_is_let_in_is_told(void **state UNUSED)
{
    struct fixture f;
    fixture_make(&f);

    f.peer = (struct inject_peer){.name = "app-0", .is_leaving = true};
    denied(&f, "/mutate", "Pod", CREATE(POD(LABEL)), "is ending and may still write");
    assert_string_equal(f.risk, "");
    f.wish.only_warns = true;
    patched(&f, CREATE(POD(LABEL)), POD(LABEL));
    assert_non_null(strstr(f.risk, "app: pod \"app-0\" of SqliteReplica \"app\" is ending"));
    f.risk[0] = 0;
    f.peer.is_leaving = false;
    patched(&f, CREATE(POD(LABEL)), POD(LABEL));
    assert_non_null(strstr(f.risk, "app: pod \"app-0\" runs with the same SqliteReplica"));
    f.risk[0] = 0;
    f.peer.is_finished = true;
    patched(&f, CREATE(POD(LABEL)), POD(LABEL));
    assert_string_equal(f.risk, "");
    fixture_drop(&f);
}

static void test_a_workload_that_is_let_in_with_two_writers_is_told(void **state UNUSED)
{
    struct fixture f;
    fixture_make(&f);

    denied(&f, "/validate", "Deployment", CREATE(DEPLOYMENT("2", RECREATE)), "2 pods");
    assert_string_equal(f.risk, "");
    f.replica->enforces_single_writer = false;
    allowed(&f, "/validate", "Deployment", "\"dryRun\":true," CREATE(DEPLOYMENT("2", RECREATE)),
            "2 pods");
    allowed(&f, "/validate", "Deployment", CREATE(DEPLOYMENT("1", RECREATE)), "");
    assert_string_equal(f.risk, "");
    allowed(&f, "/validate", "Deployment", CREATE(DEPLOYMENT("2", RECREATE)), "2 pods");
    assert_non_null(strstr(f.risk, "app: 2 pods of this Deployment would write to one prefix"));
    f.risk[0] = 0;
    f.replica->enforces_single_writer = true;
    f.wish.only_warns = true;
    allowed(&f, "/validate", "Scale", SCALE("3"), "3 pods of this Deployment");
    assert_non_null(strstr(f.risk, "app: 3 pods of this Deployment would write to one prefix"));
    fixture_drop(&f);
}

static void test_a_namespace_can_want_warnings_instead_of_denials(void **state UNUSED)
{
    struct fixture f;
    fixture_make(&f);

    f.wish.only_warns = true;
    patched(&f, CREATE(POD(LABEL)), POD(LABEL));
    assert_int_equal(f.namespace_count, 0); /* nothing is denied: nobody asks */
    allowed(&f, "/validate", "Scale", SCALE("3"), "3 pods of this Deployment");
    f.is_cached = false;
    f.way = REFRESH_FINDS_NOTHING;
    allowed(&f, "/mutate", "Pod", CREATE(POD(LABEL)), "there is no SqliteReplica \"app\"");
    assert_non_null(strstr(f.skipped, "app: there is no SqliteReplica"));
    f.skipped[0] = 0;
    allowed(&f, "/mutate", "Pod", "\"dryRun\":true," CREATE(POD(LABEL)), "there is no");
    assert_string_equal(f.skipped, "");
    f.namespace_fails = true;
    denied(&f, "/mutate", "Pod", CREATE(POD(LABEL)), "there is no SqliteReplica \"app\"");
    fixture_drop(&f);
}

static void test_a_resource_with_a_rival_for_its_prefix_is_denied(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf rest = BUF_INIT(4096);
    struct error err = ERROR_INIT;
    struct fixture f;
    fixture_make(&f);

    assert_ok(buf_printf(&rest, &err, "\"operation\":\"CREATE\",\"object\":%s", replica_text),
              &err);
    allowed(&f, "/validate", "SqliteReplica", buf_str(&rest), "");
    f.rival = "other";
    denied(&f, "/validate", "SqliteReplica", buf_str(&rest),
           "SqliteReplica \"other\" has the same prefix s3://b/prod/app/main");
    fixture_drop(&f);
}

static void test_what_is_no_review_is_answered_400_and_harms_nothing(void **state UNUSED)
{
#define REVIEW "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\""
    static const char *const rows[] = {
        "",
        "[]",
        "{}",
        "null",
        "{\"kind\":\"AdmissionReview\"}",
        "{\"apiVersion\":\"admission.k8s.io/v1beta1\",\"kind\":\"AdmissionReview\"}",
        "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"Pod\"}",
        REVIEW ",\"request\":{}}",
        REVIEW ",\"request\":{\"uid\":\"\"}}",
        REVIEW ",\"request\":{\"uid\":\"1\",\"kind\":{\"kind\":\"Pod\"},\"operation\":\"EAT\"}}",
    };
    struct fixture f;
    fixture_make(&f);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_destroy) struct buf body = BUF_INIT(65536);
        test_row(rows[i]);
        assert_int_equal(post(&f, "/mutate", slice_of_str(rows[i]), &body), 400);
        assert_true(body.n > 0);
    }
    CLEANUP(buf_destroy) struct buf deep = BUF_INIT(1 << 20);
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(65536);
    struct error err = ERROR_INIT;
    uint8_t *p = NULL;
    assert_ok(buf_extend(&deep, 1 << 19, &p, &err), &err);
    memset(p, '[', 1 << 19);
    assert_int_equal(post(&f, "/mutate", buf_slice(&deep), &body), 400);
    assert_non_null(strstr(buf_str(&body), "nested deeper than"));
    /* And afterwards it works as before. */
    patched(&f, CREATE(POD(LABEL)), POD(LABEL));
    fixture_drop(&f);
}

static void test_a_pod_that_is_none_is_denied_and_a_workload_passes(void **state UNUSED)
{
    struct fixture f;
    fixture_make(&f);

    denied(&f, "/mutate", "Pod", CREATE("{\"metadata\":{\"labels\":{" LABEL "}},\"spec\":7}"),
           "spec: it is missing");
    allowed(&f, "/validate", "Deployment",
            CREATE("{\"spec\":{\"replicas\":\"x\",\"template\":{\"metadata\":{\"labels\":{" LABEL
                   "}}}}}"),
            "spec.replicas");
    fixture_drop(&f);
}

static void test_a_body_beyond_the_limit_is_refused(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf big = BUF_INIT(WEBHOOK_BODY_BYTES_MAX + 2);
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(65536);
    struct error err = ERROR_INIT;
    struct fixture f;
    uint8_t *p = NULL;
    fixture_make(&f);

    assert_ok(buf_extend(&big, WEBHOOK_BODY_BYTES_MAX + 1, &p, &err), &err);
    memset(p, ' ', WEBHOOK_BODY_BYTES_MAX + 1);
    assert_int_equal(post(&f, "/mutate", buf_slice(&big), &body), 413);
    fixture_drop(&f);
}

static void test_metrics_count_results_and_tell_the_expiry(void **state UNUSED)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(65536);
    struct metrics_writer w;
    struct error err = ERROR_INIT;
    struct fixture f;
    fixture_make(&f);

    for (size_t i = 0; i < webhook_family_count; i++)
        assert_ok(metrics_family_check(&webhook_families[i], &err), &err);
    patched(&f, CREATE(POD(LABEL)), POD(LABEL));
    allowed(&f, "/mutate", "Pod", CREATE(POD("")), "");
    metrics_writer_init(&w, &out, METRICS_PROMETHEUS);
    webhook_metrics_write(f.webhook, &w);
    assert_ok(metrics_writer_finish(&w, &err), &err);
    assert_non_null(strstr(buf_str(&out), "admission_requests_total{webhook=\"mutate\",result="
                                          "\"patched\"} 1"));
    assert_non_null(strstr(buf_str(&out), "admission_requests_total{webhook=\"mutate\",result="
                                          "\"allowed\"} 1"));
    assert_non_null(strstr(buf_str(&out), "admission_duration_seconds_count 2"));
    assert_non_null(strstr(buf_str(&out), "certificate_expiry_timestamp_seconds 1"));
    fixture_drop(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_labelled_pod_is_patched_from_the_cache),
        TEST(test_a_pod_without_the_label_passes_whatever_is_known),
        TEST(test_what_the_cache_lacks_is_looked_up_once),
        TEST(test_a_pod_whose_resource_is_missing_is_denied_with_a_way_out),
        TEST(test_a_look_up_that_takes_too_long_is_denied_in_time),
        TEST(test_workloads_are_judged_where_they_are_written),
        TEST(test_scales_and_autoscalers_are_those_of_their_workload),
        TEST(test_a_label_without_a_name_is_the_default_of_the_namespace),
        TEST(test_a_second_writer_that_is_let_in_is_told),
        TEST(test_a_workload_that_is_let_in_with_two_writers_is_told),
        TEST(test_a_namespace_can_want_warnings_instead_of_denials),
        TEST(test_a_resource_with_a_rival_for_its_prefix_is_denied),
        TEST(test_what_is_no_review_is_answered_400_and_harms_nothing),
        TEST(test_a_pod_that_is_none_is_denied_and_a_workload_passes),
        TEST(test_a_body_beyond_the_limit_is_refused),
        TEST(test_metrics_count_results_and_tell_the_expiry),
    };
    return TEST_MAIN(tests);
}
