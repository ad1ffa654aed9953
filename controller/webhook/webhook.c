/*
 * The server of admissions, and its metrics. What happens to a request is admission.c.
 */
#include "controller/webhook/webhook.h"

#include <stdlib.h>

#include "controller/webhook/webhook_internal.h"

enum {
    HEAD_BYTES_MAX = 16384,
    CONNECTIONS_MAX = 512,
};

static const char *const path_names[DECIDE_PATHS] = {
    [DECIDE_MUTATE] = "mutate", [DECIDE_VALIDATE] = "validate"};

static void on_mutate(void *arg, struct http_server_request *request)
{
    admission_start(arg, DECIDE_MUTATE, request);
}

static void on_validate(void *arg, struct http_server_request *request)
{
    admission_start(arg, DECIDE_VALIDATE, request);
}

static const struct http_route routes[] = {
    {"POST", "/mutate", on_mutate},
    {"POST", "/validate", on_validate},
};

/*
 * Longer than the 90 s after which the API server closes connections that it does not use, also those
 * that it has opened and never used: if we were first, it might just be sending a review.
 */
#define CONNECTION_NS (120 * NS_PER_SEC)

int webhook_new(struct loop *loop, const struct webhook_config *config, struct webhook **out,
                struct error *err)
{
    struct webhook *w = mem_new(1, sizeof(*w), err);
    struct http_server_config server = {.listener_count = 1,
                                        .head_bytes_max = HEAD_BYTES_MAX,
                                        .body_bytes_max = WEBHOOK_BODY_BYTES_MAX,
                                        .connections_max = CONNECTIONS_MAX,
                                        .idle_timeout_ns = CONNECTION_NS,
                                        .first_timeout_ns = CONNECTION_NS,
                                        .log = config->log};

    if (!w)
        return error_wrap(err, "admission webhook");
    w->loop = loop;
    w->config = *config;
    w->duration = (struct metrics_histogram)METRICS_HISTOGRAM_INIT(&metrics_buckets_local);
    server.listeners[0] = (struct http_listener){.address = config->address,
                                                 .port = config->port,
                                                 .identity = config->identity,
                                                 .routes = routes,
                                                 .route_count = ARRAY_LEN(routes),
                                                 .arg = w};
    if (http_server_new(loop, &server, &w->server, err) < 0) {
        free(w);
        return error_wrap(err, "admission webhook");
    }
    *out = w;
    return 0;
}

void webhook_free(struct webhook *w)
{
    if (!w)
        return;
    http_server_free(w->server);
    admissions_leave(w);
    free(w);
}

unsigned webhook_port(const struct webhook *w)
{
    return http_server_port(w->server, 0);
}

unsigned webhook_pending_count(const struct webhook *w)
{
    return w->admission_count;
}

/* ---- metrics ---- */

enum {
    FAMILY_REQUESTS,
    FAMILY_DURATION,
    FAMILY_REFRESHES,
    FAMILY_NAMESPACES,
    FAMILY_EXPIRY,
    FAMILIES,
};

const struct metrics_family webhook_families[] = {
    [FAMILY_REQUESTS] = {.name = "walferry_operator_admission_requests_total",
                         .type = METRICS_COUNTER,
                         .help = "Admissions by webhook (mutate, validate) and result (allowed, "
                                 "patched, denied, error)",
                         .labels = {"webhook", "result"}},
    [FAMILY_DURATION] = {.name = "walferry_operator_admission_duration_seconds",
                         .type = METRICS_HISTOGRAM,
                         .unit = "seconds",
                         .help = "Time from an admission's request to its answer"},
    [FAMILY_REFRESHES] = {.name = "walferry_operator_admission_refreshes_total",
                          .type = METRICS_COUNTER,
                          .help = "Uncached looks at a SqliteReplica that the cache did not have"},
    [FAMILY_NAMESPACES] = {.name = "walferry_operator_admission_namespace_looks_total",
                           .type = METRICS_COUNTER,
                           .help = "Looks at a namespace's annotations, for a denial or for a "
                                   "label without a name"},
    [FAMILY_EXPIRY] = {.name = "walferry_operator_certificate_expiry_timestamp_seconds",
                       .type = METRICS_GAUGE,
                       .unit = "seconds",
                       .help = "Moment at which the webhook's certificate ceases to be valid"},
};
const size_t webhook_family_count = FAMILIES;

static_assert(ARRAY_LEN(webhook_families) == FAMILIES, "a row each");

void webhook_metrics_write(const struct webhook *w, struct metrics_writer *out)
{
    const struct tls_keypair *k = tls_identity_get(w->config.identity);

    metrics_family_begin(out, &webhook_families[FAMILY_REQUESTS]);
    for (size_t path = 0; path < ARRAY_LEN(path_names); path++) {
        for (size_t i = 0; i < ADMISSION_OUTCOMES; i++) {
            const char *const labels[] = {path_names[path], admission_outcome_names[i]};
            metrics_sample_u64(out, labels, w->counts[path][i]);
        }
    }
    metrics_family_begin(out, &webhook_families[FAMILY_DURATION]);
    metrics_sample_histogram(out, NULL, &w->duration);
    metrics_family_begin(out, &webhook_families[FAMILY_REFRESHES]);
    metrics_sample_u64(out, NULL, w->refresh_count);
    metrics_family_begin(out, &webhook_families[FAMILY_NAMESPACES]);
    metrics_sample_u64(out, NULL, w->namespace_count);
    metrics_family_begin(out, &webhook_families[FAMILY_EXPIRY]);
    if (k)
        metrics_sample_ns(out, NULL, tls_keypair_not_after_ns(k));
}
