/*
 * An admission from its HTTP request to its answer:
 *
 *   1. parse           no AdmissionReview: 400, the API server says so to the user
 *   2. workload        a Scale or an autoscaler names only its workload: whose pods are that?
 *   3. default         a label without a name asks for the namespace's default: which is that?
 *   4. name            which SqliteReplica has to be known; none: answer
 *   5. look            in the cache; enough is known: decide
 *   6. refresh, once   asynchronous; back at 5, and whatever is known then is decided with
 *   7. decide          denied: has the namespace asked for warnings only? Then decide so
 *   8. answer          200
 *
 * Steps 2, 3, 6 and 7 may ask the API server. All of them together have one deadline, below the API
 * server's, so that the user reads our sentence and not "context deadline exceeded". An admission
 * lives until it is answered and nothing that it asked for is under way.
 *
 * /mutate fails closed: what cannot be decided is denied. /validate fails open, like its
 * failurePolicy: the pods of such a workload come by /mutate anyway.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/webhook/webhook_internal.h"

enum {
    NAME_BYTES = 254,
    ASKED_BYTES = 400,
};

static const uint64_t looks_ns = 3500 * NS_PER_MS;

const char *const admission_outcome_names[ADMISSION_OUTCOMES] = {[ADMISSION_ALLOWED] = "allowed",
                                                                 [ADMISSION_PATCHED] = "patched",
                                                                 [ADMISSION_DENIED] = "denied",
                                                                 [ADMISSION_ERROR] = "error"};

struct admission {
    struct webhook *w;                   /* NULL: it was freed meanwhile */
    struct http_server_request *request; /* NULL: answered */
    struct admission *next, *prev;
    bool is_waiting; /* in the list of w */
    enum decide_path path;
    struct jsonval_doc doc;
    struct review review; /* borrows from doc */
    char name[NAME_BYTES];
    bool knows_namespace;
    struct webhook_namespace namespace_wish;
    char asked[ASKED_BYTES]; /* what the look under way is about */
    uint64_t started_ns;
    struct loop_timer timer;
};

/* ---- 8. answering ---- */

static void outcome_log(const struct admission *a, enum admission_outcome outcome, const char *text)
{
    const struct log *log = a->w->config.log;
    const struct review *r = &a->review;

    if (outcome == ADMISSION_DENIED || outcome == ADMISSION_ERROR) {
        LOG_WARN(log, "admission denied", LOG_STR("kind", r->kind),
                 LOG_STR("namespace", r->namespace_name), LOG_STR("name", r->name),
                 LOG_STR("replica", a->name), LOG_STR("reason", text));
        return;
    }
    LOG_DEBUG(log, "admission", LOG_STR("kind", r->kind), LOG_STR("namespace", r->namespace_name),
              LOG_STR("name", r->name), LOG_STR("replica", a->name),
              LOG_STR("outcome", admission_outcome_names[outcome]));
}

static void outcome_count(struct admission *a, enum admission_outcome outcome)
{
    struct webhook *w = a->w;

    w->counts[a->path][outcome]++;
    metrics_histogram_observe(&w->duration, env_monotonic_ns(loop_env(w->loop)) - a->started_ns);
}

static void respond(struct admission *a, const struct inject_result *result,
                    enum admission_outcome outcome)
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

    if (a->path == DECIDE_MUTATE)
        (void)inject_deny(&result, "%s", why->text);
    else
        inject_warn(&result, "%.250s", why->text); /* cut when long */
    respond(a, &result, ADMISSION_ERROR);
}

/* ---- life ---- */

/* Nothing is under way any more. */
static void admission_free(struct admission *a)
{
    loop_timer_stop(&a->timer);
    if (a->is_waiting && a->w) {
        a->w->admission_count--;
        if (a->prev)
            a->prev->next = a->next;
        else
            a->w->admissions = a->next;
        if (a->next)
            a->next->prev = a->prev;
    }
    jsonval_doc_destroy(&a->doc);
    free(a);
}

/* What is under way frees the admission. */
static void on_deadline(void *arg)
{
    struct admission *a = arg;
    struct error err = ERROR_INIT;

    (void)error_set(&err, ERR_TIMEOUT, 0, "the API server did not tell in time %s; try again",
                    a->asked);
    respond_error(a, &err);
}

/*
 * Before something is asked. Returns false where too many wait: then the admission is answered and
 * gone.
 */
static bool admission_wait(struct admission *a)
{
    struct webhook *w = a->w;
    struct error err = ERROR_INIT;

    if (a->is_waiting)
        return true;
    if (w->admission_count >= WEBHOOK_REFRESHES_MAX) {
        (void)error_set(&err, ERR_LIMIT, 0, "too many pods ask at a time; try again");
        respond_error(a, &err);
        admission_free(a);
        return false;
    }
    a->is_waiting = true;
    w->admission_count++;
    a->next = w->admissions;
    if (a->next)
        a->next->prev = a;
    w->admissions = a;
    loop_timer_start(&a->timer, looks_ns);
    return true;
}

/*
 * After something was answered: whether the admission goes on. If not, it was answered (also now,
 * with err) and is gone.
 */
static bool admission_is_on(struct admission *a, const struct error *err)
{
    if (a->w && a->request && err->code == ERR_NONE)
        return true;
    if (a->w && a->request) {
        struct error why = *err;
        (void)error_wrap(&why, "it could not be looked up %s", a->asked);
        respond_error(a, &why);
    }
    admission_free(a);
    return false;
}

void admissions_leave(struct webhook *w)
{
    for (struct admission *a = w->admissions; a; a = a->next) {
        loop_timer_stop(&a->timer);
        a->w = NULL;
        if (a->request)
            http_server_respond_text(TAKE(a->request), 503, "the operator is ending");
    }
}

/* ---- 3, 7: the namespace ---- */

static void admission_decide(struct admission *a, const struct webhook_subject *subject);
static void admission_look(struct admission *a);
static void admission_end(struct admission *a, struct inject_result *result);

/* Returns false where nobody can be asked. Else done is called, or the admission is gone. */
static bool namespace_ask(struct admission *a, webhook_namespace_fn *done)
{
    const struct webhook_source *source = &a->w->config.source;

    if (!source->namespace_look || a->knows_namespace)
        return false;
    (void)snprintf(a->asked, sizeof(a->asked), "what the annotations of namespace \"%.63s\" say",
                   a->review.namespace_name);
    if (!admission_wait(a))
        return true;
    a->w->namespace_count++;
    a->knows_namespace = true;
    source->namespace_look(source->ctx, a->review.namespace_name, done, a);
    return true;
}

static void subject_look(const struct admission *a, struct webhook_subject *out)
{
    const struct webhook_source *source = &a->w->config.source;

    *out = (struct webhook_subject){0};
    if (a->name[0])
        source->look(source->ctx, a->review.namespace_name, a->name, out);
}

/* Of a denial: whatever the namespace says, the denial stands if it cannot be asked. */
static void on_namespace_of_denial(void *arg, const struct webhook_namespace *wish,
                                   const struct error *err)
{
    struct admission *a = arg;
    const struct error none = ERROR_INIT;
    struct webhook_subject subject;

    if (!admission_is_on(a, &none))
        return;
    if (err->code == ERR_NONE)
        a->namespace_wish = *wish;
    else
        LOG_WARN(a->w->config.log, "namespace not looked up", LOG_ERR(err), LOG_HINT(err));
    subject_look(a, &subject);
    admission_decide(a, &subject);
}

static void answer_nameless(struct admission *a)
{
    static const char text[] =
        "label " API_LABEL_REPLICA " names no SqliteReplica, and namespace "
        "\"%.63s\" has no annotation " API_ANNOTATION_DEFAULT ": name one in either";
    CLEANUP(inject_result_destroy) struct inject_result result = INJECT_RESULT_INIT;

    if (a->path == DECIDE_MUTATE)
        (void)inject_deny(&result, text, a->review.namespace_name);
    else
        inject_warn(&result, text, a->review.namespace_name);
    admission_end(a, &result);
}

static void on_namespace_of_default(void *arg, const struct webhook_namespace *wish,
                                    const struct error *err)
{
    struct admission *a = arg;

    if (!admission_is_on(a, err))
        return;
    a->namespace_wish = *wish;
    (void)snprintf(a->name, sizeof(a->name), "%s", wish->default_replica);
    if (a->name[0])
        admission_look(a);
    else
        answer_nameless(a);
}

/* ---- 7. deciding ---- */

static void admission_end(struct admission *a, struct inject_result *result)
{
    const struct webhook_source *source = &a->w->config.source;
    enum admission_outcome outcome = result->patch.n > 0 ? ADMISSION_PATCHED : ADMISSION_ALLOWED;

    if (result->is_denied && a->namespace_wish.only_warns) {
        /* Not injected: the text would not fit beside others, and is what matters. */
        inject_soften(result);
        if (a->path == DECIDE_MUTATE && source->on_skipped && !a->review.is_dry_run)
            source->on_skipped(source->ctx, &a->review, a->name, result->warnings[0]);
    }
    bool is_let_in = !result->is_denied && result->risk[0];
    if (is_let_in && source->on_risk && !a->review.is_dry_run)
        source->on_risk(source->ctx, &a->review, a->name, result->risk);
    respond(a, result, result->is_denied ? ADMISSION_DENIED : outcome);
    admission_free(a);
}

static void admission_decide(struct admission *a, const struct webhook_subject *subject)
{
    CLEANUP(inject_result_destroy) struct inject_result result = INJECT_RESULT_INIT;
    const struct webhook *w = a->w;
    struct error err = ERROR_INIT;
    const struct decide_case c = {.review = &a->review,
                                  .path = a->path,
                                  .name = a->name[0] ? a->name : NULL,
                                  .subject = subject,
                                  .source = &w->config.source,
                                  .options = &w->config.inject,
                                  .only_warns = a->namespace_wish.only_warns};

    if (decide(&c, &result, &err) < 0) {
        respond_error(a, &err);
        admission_free(a);
        return;
    }
    if (result.is_denied && namespace_ask(a, on_namespace_of_denial))
        return;
    admission_end(a, &result);
}

/* ---- 5, 6: the resource ---- */

static void on_refreshed(void *arg, const struct error *err)
{
    struct admission *a = arg;
    struct webhook_subject subject;

    if (!admission_is_on(a, err))
        return;
    subject_look(a, &subject);
    admission_decide(a, &subject);
}

static void admission_look(struct admission *a)
{
    const struct webhook_source *source = &a->w->config.source;
    struct webhook_subject subject;

    subject_look(a, &subject);
    bool is_synced = !source->is_synced || source->is_synced(source->ctx);
    bool is_enough = !a->name[0] || (is_synced && decide_knows_enough(&subject));
    if (is_enough || !source->refresh) {
        admission_decide(a, &subject);
        return;
    }
    (void)snprintf(a->asked, sizeof(a->asked), "whether SqliteReplica \"%s\" exists", a->name);
    if (!admission_wait(a))
        return;
    a->w->refresh_count++;
    source->refresh(source->ctx, a->review.namespace_name, a->name, on_refreshed, a);
}

/* ---- 2, 3, 4: whose ---- */

/* name NULL: no resource; "": the namespace's default. */
static void admission_name(struct admission *a, const char *name)
{
    if (name && !name[0]) {
        if (!namespace_ask(a, on_namespace_of_default))
            answer_nameless(a);
        return;
    }
    if (name)
        (void)snprintf(a->name, sizeof(a->name), "%s", name); /* longer is no name */
    admission_look(a);
}

static void on_workload(void *arg, const char *replica, const struct error *err)
{
    struct admission *a = arg;

    if (admission_is_on(a, err))
        admission_name(a, replica);
}

static void admission_begin(struct admission *a)
{
    const struct webhook_source *source = &a->w->config.source;
    const char *kind = NULL;
    const char *target = decide_target(&a->review, a->path, &kind);

    if (!target || !source->workload_look) {
        admission_name(a, target ? NULL : decide_replica_name(&a->review, a->path));
        return;
    }
    (void)snprintf(a->asked, sizeof(a->asked), "whose pods %.40s \"%.253s\" has", kind, target);
    if (admission_wait(a)) {
        source->workload_look(source->ctx, a->review.namespace_name, kind, target, on_workload, a);
    }
}

void admission_start(struct webhook *w, enum decide_path path, struct http_server_request *request)
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
        outcome_count(a, ADMISSION_ERROR);
        http_server_respond_text(TAKE(a->request), 400, "%s", err.text);
        admission_free(a);
        return;
    }
    admission_begin(a);
}
