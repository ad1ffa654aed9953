/*
 * The life of a request:
 *
 *   1. turn         a token of the bucket is reserved (urgent ones do not wait for it) and the timer
 *                   set, also when it is due at once: nothing happens inside request_start()
 *   2. credentials  asked for; perhaps waited for (exec plug-in)
 *   3. sent         through one of the two HTTP clients
 *   4. 401, the first time: the credentials are told, and 2 again
 *      429 or 5xx with Retry-After, and time is left: 1 again after that time
 *      anything else: done
 *
 * Nothing of a body was handed on before a repetition: on_data hears of 2xx answers only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/kube/client_internal.h"
#include "lib/http/retry.h"
#include "lib/http/url.h"

enum {
    REQUEST_RETRIES_MAX = 10, /* because of Retry-After */
    REQUEST_HEADERS_OWN = 5,  /* beside groups of an impersonation */
};

enum request_state {
    REQUEST_TURN,
    REQUEST_CREDENTIALS,
    REQUEST_SENT,
    REQUEST_DONE,      /* done is being called */
    REQUEST_WITHDRAWN, /* nobody waits for it; its exchange, if any, is about to end */
};

struct kube_request {
    struct kube_client *client;
    struct kube_request *next, *prev;
    enum request_state state;
    struct loop_timer turn;
    uint64_t turn_ns;     /* when the timer was set, for the statistics */
    uint64_t deadline_at; /* monotonic; 0: none */
    struct http_exchange *exchange;
    unsigned retries;
    bool has_reauthed;

    struct kube_send send; /* its texts are those below */
    char *path, *shown;
    uint8_t *body;
};

/* ---- ending ---- */

static void request_unlink(struct kube_client *c, struct kube_request *r)
{
    if (r->next)
        r->next->prev = r->prev;
    if (r->prev)
        r->prev->next = r->next;
    else
        c->requests = r->next;
}

/* r is in no list. */
static void request_free(struct kube_request *r)
{
    loop_timer_stop(&r->turn);
    if (r->body)
        explicit_bzero(r->body, r->send.body.n); /* it may be a Secret */
    free(r->body);
    free(r->path);
    free(r->shown);
    free(r);
}

static void request_reply(struct kube_request *r, const struct kube_reply *reply)
{
    r->state = REQUEST_DONE;
    request_unlink(r->client, r);
    r->send.done(r->send.arg, reply);
    request_free(r);
}

/* Ends r with an error that is no answer of the server. */
static void request_fail(struct kube_request *r, const struct error *cause)
{
    struct error err = *cause;
    const struct kube_status none = {.reason = KUBE_REASON_NONE};
    const struct kube_reply reply = {.err = &err, .status = &none};

    (void)error_wrap(&err, "%s", r->shown);
    request_reply(r, &reply);
}

/* Takes r from whatever it waits for; what its exchange has to say is not heard any more. */
static void request_withdraw(struct kube_client *c, struct kube_request *r)
{
    if (r->state == REQUEST_TURN)
        c->stats.waiting_count--;
    if (r->state == REQUEST_CREDENTIALS)
        credentials_forget(c->credentials, r);
    r->state = REQUEST_WITHDRAWN;
    if (r->exchange)
        http_cancel(r->exchange); /* request_on_answer() frees r */
}

void kube_cancel(struct kube_request *r)
{
    loop_assert_owner(r->client->loop);
    ASSERT(r->state < REQUEST_DONE);
    request_unlink(r->client, r);
    request_withdraw(r->client, r);
    if (r->send.drop)
        r->send.drop(r->send.arg);
    if (!r->exchange)
        request_free(r);
}

void requests_end(struct kube_client *c)
{
    while (c->requests) {
        struct kube_request *r = c->requests;
        const struct kube_status none = {.reason = KUBE_REASON_NONE};
        struct error err = ERROR_INIT;
        const struct kube_reply reply = {.err = &err, .status = &none};
        ASSERT(!r->prev);
        request_unlink(c, r);
        (void)error_set(&err, ERR_CANCELED, 0, "%s: the client is ending", r->shown);
        request_withdraw(c, r);
        r->send.done(r->send.arg, &reply);
        if (!r->exchange)
            request_free(r);
    }
}

/* ---- 4: the answer ---- */

static void answer_count(struct kube_client *c, const struct kube_request *r, int status)
{
    for (size_t i = 0; i < KUBE_METHODS; i++) {
        if (strcmp(kube_method_names[i], r->send.method) == 0)
            c->stats.counts[i][status >= 0 && status < KUBE_STATUS_MAX ? status : 0]++;
    }
    if (c->log) {
        LOG_DEBUG(c->log, "kubernetes request", LOG_STR("call", r->shown),
                  LOG_U64("status", (uint64_t)status));
    }
}

static void request_turn_set(struct kube_request *r, uint64_t delay_ns);

/* Whether r begins anew, and then it has. */
static bool request_repeats(struct kube_request *r, const struct http_response *response)
{
    struct kube_client *c = r->client;
    const struct env *env = loop_env(c->loop);
    int status = response->status;

    if (status == 401 && !r->has_reauthed && credentials_refused(c->credentials)) {
        r->has_reauthed = true;
        c->stats.reauth_count++;
        request_turn_set(r, 0);
        return true;
    }
    /* The owner of a stream has a back-off of its own. */
    if ((status != 429 && status < 500) || r->retries == REQUEST_RETRIES_MAX || r->send.is_stream)
        return false;
    uint64_t delay =
        retry_after_parse(http_response_header(response, "Retry-After"), env_wall_ns(env));
    /* Only if there is time for another try. */
    if (delay == 0 || r->deadline_at == 0 || env_monotonic_ns(env) + delay >= r->deadline_at)
        return false;
    r->retries++;
    c->stats.retry_count++;
    request_turn_set(r, delay);
    return true;
}

static void request_on_answer(void *arg, const struct http_response *response)
{
    struct kube_request *r = arg;
    struct error err = ERROR_INIT;
    struct kube_status status = {.http_status = response->status};

    if (r->state == REQUEST_WITHDRAWN) {
        request_free(r);
        return;
    }
    r->exchange = NULL;
    answer_count(r->client, r, response->status);
    if (response->err->code != ERR_NONE) {
        request_fail(r, response->err);
        return;
    }
    if (request_repeats(r, response))
        return;
    struct kube_reply reply = {
        .err = &err, .status = &status, .http_status = response->status, .body = response->body};
    if (response->status < 200 || response->status > 299) {
        IGNORE(kube_status_read(response->status, response->body, &status, &err)); /* always -1 */
        uint64_t wish = retry_after_parse(http_response_header(response, "Retry-After"),
                                          env_wall_ns(loop_env(r->client->loop)));
        if (wish > status.retry_after_ns)
            status.retry_after_ns = wish;
        (void)error_wrap(&err, "%s", r->shown);
    }
    request_reply(r, &reply);
}

/* ---- 3: sending ---- */

/* The headers of r. Returns their number. */
static size_t headers_fill(const struct kube_request *r, const struct credentials_view *view,
                           struct http_header out[static HTTP_HEADERS_MAX])
{
    const struct kube_config *config = r->client->config;
    size_t n = 0;

    static_assert(REQUEST_HEADERS_OWN + KUBE_GROUPS_MAX <= HTTP_HEADERS_MAX, "headers fit");
    out[n++] = (struct http_header){"Accept", r->send.accept};
    if (view->authorization)
        out[n++] = (struct http_header){"Authorization", view->authorization};
    if (r->send.content_type)
        out[n++] = (struct http_header){"Content-Type", r->send.content_type};
    if (config->as_user)
        out[n++] = (struct http_header){"Impersonate-User", config->as_user};
    if (config->as_uid)
        out[n++] = (struct http_header){"Impersonate-Uid", config->as_uid};
    for (size_t i = 0; i < config->as_group_count; i++)
        out[n++] = (struct http_header){"Impersonate-Group", config->as_groups[i]};
    return n;
}

static int request_on_data(void *arg, struct slice chunk, struct error *err)
{
    struct kube_request *r = arg;

    if (r->state == REQUEST_WITHDRAWN)
        return error_set(err, ERR_CANCELED, 0, "canceled");
    return r->send.on_data(r->send.arg, chunk, err);
}

/* Takes over changed certificates. A pair that does not fit (one file of two was replaced so far)
 * leaves the old ones in use, until the next change. */
static void tls_look(struct kube_client *c, const struct credentials_view *view)
{
    struct error err = ERROR_INIT;

    if (view->tls_generation == c->tls_generation)
        return;
    c->tls_generation = view->tls_generation;
    if (client_tls_apply(c, view, &err) < 0 && c->log)
        LOG_WARN(c->log, "certificates not taken over", LOG_ERR(&err), LOG_HINT(&err));
}

static int request_start_http(struct kube_request *r, const struct credentials_view *view,
                              struct error *err)
{
    struct kube_client *c = r->client;
    struct http_header headers[HTTP_HEADERS_MAX];
    uint64_t now = env_monotonic_ns(loop_env(c->loop));

    if (r->deadline_at > 0 && now >= r->deadline_at)
        return error_set(err, ERR_TIMEOUT, 0, "no time was left to send it");
    tls_look(c, view);
    CLEANUP(mem_free) char *url = str_printf(err, "%s%s", c->config->server, r->path);
    if (!url)
        return -1;
    const struct http_request request = {
        .method = r->send.method,
        .url = url,
        .headers = headers,
        .header_count = headers_fill(r, view, headers),
        .body_slice = r->send.body,
        .has_body = r->send.content_type != NULL,
        .body_bytes_max = r->send.answer_bytes_max,
        .deadline_ns = r->deadline_at > 0 ? r->deadline_at - now : 0,
        .stall_ns = r->send.stall_ns,
        .on_data = r->send.on_data ? request_on_data : NULL,
    };
    return http_start(r->send.is_stream ? c->watches : c->calls, &request, request_on_answer, r,
                      &r->exchange, err);
}

static void request_go(struct kube_request *r, const struct credentials_view *view)
{
    struct error err = ERROR_INIT;

    r->state = REQUEST_SENT;
    if (request_start_http(r, view, &err) < 0)
        request_fail(r, &err);
}

/* ---- 2: credentials ---- */

static void request_on_credentials(void *arg, const struct credentials_view *view,
                                   const struct error *err)
{
    if (err->code != ERR_NONE)
        request_fail(arg, err);
    else
        request_go(arg, view);
}

static void request_send(struct kube_request *r)
{
    struct credentials_view view;
    struct error err = ERROR_INIT;

    r->state = REQUEST_CREDENTIALS;
    int rc = credentials_get(r->client->credentials, &view, request_on_credentials, r, &err);
    if (rc < 0)
        request_fail(r, &err);
    else if (rc > 0)
        request_go(r, &view);
}

/* ---- 1: turn ---- */

static void request_on_turn(void *arg)
{
    struct kube_request *r = arg;
    struct kube_client *c = r->client;

    c->stats.waiting_count--;
    c->stats.throttle_ns += env_monotonic_ns(loop_env(c->loop)) - r->turn_ns;
    request_send(r);
}

static void request_turn_set(struct kube_request *r, uint64_t delay_ns)
{
    struct kube_client *c = r->client;
    uint64_t now = env_monotonic_ns(loop_env(c->loop));
    uint64_t wait = r->send.is_urgent ? 0 : limiter_reserve(&c->limiter, now);

    r->state = REQUEST_TURN;
    r->turn_ns = now;
    c->stats.waiting_count++;
    loop_timer_start(&r->turn, wait > delay_ns ? wait : delay_ns);
}

/* ---- starting ---- */

static int request_copy(struct kube_request *r, const struct kube_send *send, struct error *err)
{
    r->send = *send;
    r->path = str_dup(send->path, err);
    r->shown = str_dup(send->shown, err);
    if (!r->path || !r->shown)
        return -1;
    r->send.path = r->path;
    r->send.shown = r->shown;
    if (send->body.n == 0)
        return 0;
    r->body = mem_new(send->body.n, 1, err);
    if (!r->body)
        return -1;
    memcpy(r->body, send->body.p, send->body.n);
    r->send.body.p = r->body;
    return 0;
}

int request_start(struct kube_client *c, const struct kube_send *send, struct kube_request **out,
                  struct error *err)
{
    loop_assert_owner(c->loop);
    if (c->is_ending)
        return error_set(err, ERR_CANCELED, 0, "%s: the client is ending", send->shown);
    if (c->stats.waiting_count >= KUBE_WAITING_MAX) {
        return error_set(err, ERR_LIMIT, 0, "%s: %d calls wait for their turn", send->shown,
                         KUBE_WAITING_MAX);
    }
    struct kube_request *r = mem_new(1, sizeof(*r), err);
    if (!r)
        return -1;
    r->client = c;
    loop_timer_init(&r->turn, c->loop, request_on_turn, r);
    r->next = c->requests;
    if (r->next)
        r->next->prev = r;
    c->requests = r;
    if (request_copy(r, send, err) < 0) {
        request_unlink(c, r);
        request_free(r);
        return error_wrap(err, "%s", send->shown);
    }
    if (send->deadline_ns > 0)
        r->deadline_at = env_monotonic_ns(loop_env(c->loop)) + send->deadline_ns;
    request_turn_set(r, 0);
    if (out)
        *out = r;
    return 0;
}
