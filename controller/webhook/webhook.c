/*
 * An admission from its HTTP request to its answer:
 *
 *   1. parse           no AdmissionReview: 400, the API server says so to the user
 *   2. name            which SqliteReplica has to be known; none: answer
 *   3. look            in the cache; enough is known: answer
 *   4. refresh, once   asynchronous; back at 3, and whatever is known then is answered
 *   5. answer          200
 *
 * Step 4 has a deadline below the API server's, so that the user reads our sentence and not
 * "context deadline exceeded". An admission lives until it is answered and its refresh is done.
 *
 * /mutate fails closed: what cannot be decided is denied. /validate fails open, like its
 * failurePolicy: the pods of such a workload come by /mutate anyway.
 */
#include "controller/webhook/webhook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/webhook/decide.h"

enum {
    NAME_BYTES = 254,
    HEAD_BYTES_MAX = 16384,
    CONNECTIONS_MAX = 512,
};

static const uint64_t refresh_ns = 3500 * NS_PER_MS;

enum outcome {
    OUTCOME_ALLOWED,
    OUTCOME_PATCHED,
    OUTCOME_DENIED,
    OUTCOME_ERROR,
    OUTCOMES,
};

static const char *const path_names[] = {
    [DECIDE_MUTATE] = "mutate", [DECIDE_VALIDATE] = "validate"};
static const char *const outcome_names[] = {[OUTCOME_ALLOWED] = "allowed",
                                            [OUTCOME_PATCHED] = "patched",
                                            [OUTCOME_DENIED] = "denied",
                                            [OUTCOME_ERROR] = "error"};

struct webhook {
    struct loop *loop;
    struct webhook_config config;
    struct http_server *server;
    struct admission *admissions; /* list: refreshing */
    unsigned admission_count;
    uint64_t counts[ARRAY_LEN(path_names)][OUTCOMES];
    uint64_t refresh_count;
    struct metrics_histogram duration;
};

struct admission {
    struct webhook *w;                   /* NULL: it was freed meanwhile */
    struct http_server_request *request; /* NULL: answered */
    struct admission *next, *prev;
    enum decide_path path;
    struct jsonval_doc doc;
    struct review review; /* borrows from doc */
    char name[NAME_BYTES];
    uint64_t started_ns;
    struct loop_timer timer;
};

/* ---- answering ---- */

static void outcome_log(const struct admission *a, enum outcome outcome, const char *text)
{
    const struct log *log = a->w->config.log;
    const struct review *r = &a->review;

    if (outcome == OUTCOME_DENIED || outcome == OUTCOME_ERROR) {
        LOG_WARN(log, "admission denied", LOG_STR("kind", r->kind),
                 LOG_STR("namespace", r->namespace_name), LOG_STR("name", r->name),
                 LOG_STR("replica", a->name), LOG_STR("reason", text));
        return;
    }
    LOG_DEBUG(log, "admission", LOG_STR("kind", r->kind), LOG_STR("namespace", r->namespace_name),
              LOG_STR("name", r->name), LOG_STR("replica", a->name),
              LOG_STR("outcome", outcome_names[outcome]));
}

static void outcome_count(struct admission *a, enum outcome outcome)
{
    struct webhook *w = a->w;

    w->counts[a->path][outcome]++;
    metrics_histogram_observe(&w->duration, env_monotonic_ns(loop_env(w->loop)) - a->started_ns);
}

static void respond(struct admission *a, const struct inject_result *result, enum outcome outcome)
{
    struct http_server_response response = {
        .status = 200,
        .content_type = "application/json",
        .body = BUF_INIT(REVIEW_ANSWER_BYTES_MAX),
    };
    struct error err = ERROR_INIT;

    outcome_log(a, outcome, buf_str(&result->denial));
    outcome_count(a, outcome);
    if (review_answer(a->review.uid, result, a->name[0] ? a->name : NULL, &response.body, &err) <
        0) {
        buf_destroy(&response.body);
        http_server_respond_text(TAKE(a->request), 500, "%s", err.text);
        return;
    }
    http_server_respond(TAKE(a->request), &response);
}

/* What could not be decided: see the top comment. */
static void respond_error(struct admission *a, const struct error *why)
{
    CLEANUP(inject_result_destroy) struct inject_result result = INJECT_RESULT_INIT;
    struct error ignored = ERROR_INIT;

    if (a->path == DECIDE_MUTATE) {
        result.is_denied = true;
        if (buf_printf(&result.denial, &ignored, "%s", why->text) < 0)
            buf_clear(&result.denial);
    } else {
        (void)snprintf(result.warnings[result.warning_count++], INJECT_WARNING_BYTES, "%.250s",
                       why->text); /* cut when long */
    }
    respond(a, &result, OUTCOME_ERROR);
}

/* Step 5. */
static void admission_answer(struct admission *a, const struct webhook_subject *subject)
{
    CLEANUP(inject_result_destroy) struct inject_result result = INJECT_RESULT_INIT;
    const struct webhook *w = a->w;
    struct error err = ERROR_INIT;

    const struct decide_case c = {.review = &a->review,
                                  .path = a->path,
                                  .name = a->name[0] ? a->name : NULL,
                                  .subject = subject,
                                  .source = &w->config.source,
                                  .options = &w->config.inject};
    if (decide(&c, &result, &err) < 0) {
        respond_error(a, &err);
        return;
    }
    enum outcome outcome = result.patch.n > 0 ? OUTCOME_PATCHED : OUTCOME_ALLOWED;
    respond(a, &result, result.is_denied ? OUTCOME_DENIED : outcome);
}

/* ---- life ---- */

static void admission_free(struct admission *a)
{
    loop_timer_stop(&a->timer);
    if (a->prev)
        a->prev->next = a->next;
    else if (a->w && a->w->admissions == a)
        a->w->admissions = a->next;
    if (a->next)
        a->next->prev = a->prev;
    jsonval_doc_destroy(&a->doc);
    free(a);
}

static void subject_look(const struct admission *a, struct webhook_subject *out)
{
    const struct webhook_source *source = &a->w->config.source;

    *out = (struct webhook_subject){0};
    source->look(source->ctx, a->review.namespace_name, a->name, out);
}

static void on_refreshed(void *arg, const struct error *err)
{
    struct admission *a = arg;
    struct webhook_subject subject;

    if (a->w)
        a->w->admission_count--;
    if (a->w && a->request && err->code != ERR_NONE) {
        struct error why = *err;
        (void)error_wrap(&why, "SqliteReplica \"%s\" could not be looked up", a->name);
        respond_error(a, &why);
    } else if (a->w && a->request) {
        subject_look(a, &subject);
        admission_answer(a, &subject);
    }
    admission_free(a);
}

/* The refresh is still under way; it frees the admission. */
static void on_deadline(void *arg)
{
    struct admission *a = arg;
    struct error err = ERROR_INIT;

    (void)error_set(&err, ERR_TIMEOUT, 0,
                    "the API server did not tell in time whether SqliteReplica \"%s\" exists; try "
                    "again",
                    a->name);
    respond_error(a, &err);
}

/* Step 4. */
static void admission_refresh(struct admission *a)
{
    struct webhook *w = a->w;
    const struct webhook_source *source = &w->config.source;
    struct error err = ERROR_INIT;

    if (w->admission_count >= WEBHOOK_REFRESHES_MAX) {
        (void)error_set(&err, ERR_LIMIT, 0, "too many pods ask at a time; try again");
        respond_error(a, &err);
        admission_free(a);
        return;
    }
    w->refresh_count++;
    w->admission_count++;
    a->next = w->admissions;
    if (a->next)
        a->next->prev = a;
    w->admissions = a;
    loop_timer_start(&a->timer, refresh_ns);
    source->refresh(source->ctx, a->review.namespace_name, a->name, on_refreshed, a);
}

/* Steps 2 and 3. */
static void admission_begin(struct admission *a)
{
    const struct webhook_source *source = &a->w->config.source;
    const char *name = decide_replica_name(&a->review, a->path, source);
    struct webhook_subject subject = {0};

    if (name)
        (void)snprintf(a->name, sizeof(a->name), "%s", name); /* longer is no name */
    if (name) {
        bool is_synced = !source->is_synced || source->is_synced(source->ctx);
        subject_look(a, &subject);
        if (source->refresh && (!is_synced || !decide_knows_enough(&subject))) {
            admission_refresh(a);
            return;
        }
    }
    admission_answer(a, &subject);
    admission_free(a);
}

/* Step 1. */
static void on_review(struct webhook *w, enum decide_path path, struct http_server_request *request)
{
    struct error err = ERROR_INIT;
    struct admission *a = mem_new(1, sizeof(*a), &err);

    if (!a) {
        http_server_respond_text(request, 503, "%s", err.text);
        return;
    }
    a->w = w;
    a->request = request;
    a->path = path;
    a->doc = (struct jsonval_doc)JSONVAL_DOC_INIT;
    a->started_ns = env_monotonic_ns(loop_env(w->loop));
    loop_timer_init(&a->timer, w->loop, on_deadline, a);
    if (jsonval_parse(&a->doc, "AdmissionReview", http_server_request_body(request), &err) < 0 ||
        review_parse(jsonval_root(&a->doc), &a->review, &err) < 0) {
        LOG_WARN(w->config.log, "admission not understood", LOG_ERR(&err));
        outcome_count(a, OUTCOME_ERROR);
        http_server_respond_text(TAKE(a->request), 400, "%s", err.text);
        admission_free(a);
        return;
    }
    admission_begin(a);
}

static void on_mutate(void *arg, struct http_server_request *request)
{
    on_review(arg, DECIDE_MUTATE, request);
}

static void on_validate(void *arg, struct http_server_request *request)
{
    on_review(arg, DECIDE_VALIDATE, request);
}

static const struct http_route routes[] = {
    {"POST", "/mutate", on_mutate},
    {"POST", "/validate", on_validate},
};

int webhook_new(struct loop *loop, const struct webhook_config *config, struct webhook **out,
                struct error *err)
{
    struct webhook *w = mem_new(1, sizeof(*w), err);
    struct http_server_config server = {.listener_count = 1,
                                        .head_bytes_max = HEAD_BYTES_MAX,
                                        .body_bytes_max = WEBHOOK_BODY_BYTES_MAX,
                                        .connections_max = CONNECTIONS_MAX,
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
    for (struct admission *a = w->admissions; a; a = a->next) {
        /* Its refresh will end it; the peer has gone with the server. */
        loop_timer_stop(&a->timer);
        a->w = NULL;
        if (a->request)
            http_server_respond_text(TAKE(a->request), 503, "the operator is ending");
    }
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
        for (size_t i = 0; i < OUTCOMES; i++) {
            const char *const labels[] = {path_names[path], outcome_names[i]};
            metrics_sample_u64(out, labels, w->counts[path][i]);
        }
    }
    metrics_family_begin(out, &webhook_families[FAMILY_DURATION]);
    metrics_sample_histogram(out, NULL, &w->duration);
    metrics_family_begin(out, &webhook_families[FAMILY_REFRESHES]);
    metrics_sample_u64(out, NULL, w->refresh_count);
    metrics_family_begin(out, &webhook_families[FAMILY_EXPIRY]);
    if (k)
        metrics_sample_ns(out, NULL, tls_keypair_not_after_ns(k));
}
