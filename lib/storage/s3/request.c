/*
 * One request to S3, as a state machine on the loop.
 *
 *   QUEUED       a timer of 0 ns is armed: nothing happens within s3_request_start()
 *   HASHING      a worker computes the body's SHA-256, once for all tries
 *   CREDENTIALS  the chain is asked, unless it has some at hand
 *   GATE         the host has enough requests of ours (gate.h)
 *   SENDING      signed and handed to the HTTP client
 *   WAITING      a try has failed; the timer starts the next one. (In GATE it is the deadline)
 *   ENDING       canceled; the timer takes it away
 *
 * 1. step() moves from QUEUED or WAITING to SENDING, each state that is needed once. A request
 *    that waited at the gate is signed behind it, with the credentials and the clock of then. The
 *    place is given up as soon as the answer is there: not kept while waiting for the next try.
 * 2. on_http_done() judges the answer (judge(), below) and either ends the request, sends it again
 *    at once (expired credentials, corrected region), or asks retry_next().
 * 3. Reading: bytes handed on are counted. A try after a failure asks for the rest, if the object
 *    is the same (If-Match with the ETag of the first answer), so that every byte comes once. The
 *    failure that follows progress begins a new series of tries.
 *
 * Cancelling never ends a request within the call, so callbacks may cancel their own operation;
 * only a store that closes takes requests away at once.
 */
#include "lib/storage/s3/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/attempt.h"
#include "lib/storage/s3/payload.h"
#include "lib/storage/s3/range.h"

enum {
    REQUEST_SPEC_HEADERS_MAX = 16,
    REQUEST_ETAG_BYTES = 128,
    REQUEST_HASH_HERE_BYTES_MAX = 64 * 1024, /* hashed on the loop: 50 us */
};

enum request_state {
    REQUEST_QUEUED,
    REQUEST_HASHING,
    REQUEST_CREDENTIALS,
    REQUEST_GATE,
    REQUEST_SENDING,
    REQUEST_WAITING,
    REQUEST_ENDING,
};

struct s3_request {
    struct s3_op *op;
    struct s3_store *store;
    struct s3_request *prev, *next;
    struct s3_request_spec spec; /* its pointers are ours, but for blob and arg */
    struct http_header headers[REQUEST_SPEC_HEADERS_MAX];
    char *key;
    char *query;
    struct buf body;
    char hash[SIGV4_HEX_BYTES];
    enum request_state state;
    struct payload_hash *hashing;
    struct s3_credentials_wait wait;
    struct s3_gate_visit visit;
    uint64_t gate_since_ns; /* monotonic: came to the gate then */
    uint64_t grace_ns;      /* of waiting there that the deadline was put off by */
    struct http_exchange *exchange;
    struct retry retry;
    struct loop_timer timer;
    uint64_t deadline_ns;    /* of the clock that goes on in sleep; 0: none, or counted without
                                progress */
    struct range_read range; /* of a read; its given counts what on_data got */
    uint64_t mark_bytes;     /* given when the series of tries began */
    char etag[REQUEST_ETAG_BYTES];
    char region[S3_REGION_BYTES_MAX]; /* the try's */
    unsigned tries;
    bool is_canceled;
    bool is_in_data;     /* spec.on_data is being called */
    bool has_data_error; /* spec.on_data refused: data_err */
    bool did_refresh;
    struct error data_err;
};

/* ---- life ---- */

static void request_destroy(struct s3_request *r)
{
    for (size_t i = 0; i < r->spec.header_count; i++) {
        char *value = (char *)r->headers[i].value;
        explicit_bzero(value, strlen(value)); /* a customer's key may be among them */
        free(value);
    }
    s3_gate_leave(&r->visit);
    free(r->key);
    free(r->query);
    buf_destroy(&r->body);
    free(r);
}

static void request_free(struct s3_request **r)
{
    if (*r)
        request_destroy(*r);
}

static void request_unlink(struct s3_request *r)
{
    if (r->prev)
        r->prev->next = r->next;
    else
        r->op->requests = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->prev = NULL;
    r->next = NULL;
}

static void request_gone(struct s3_request *r)
{
    struct s3_op *op = r->op;

    request_unlink(r);
    request_destroy(r);
    s3_op_request_gone(op);
}

static void request_finish(struct s3_request *r, const struct s3_answer *answer)
{
    struct s3_op *op = r->op;

    request_unlink(r);
    if (!op->is_ending)
        r->spec.done(op, r->spec.arg, answer);
    request_destroy(r);
    s3_op_request_gone(op);
}

struct s3_request *s3_request_next(const struct s3_request *r)
{
    return r->next;
}

static const struct env *request_env(const struct s3_request *r)
{
    return loop_env(r->store->st.loop);
}

/* Puts "PUT s3://bucket/key" before the text. */
static void request_wrap(const struct s3_request *r, struct error *err)
{
    const struct s3_target *target = &r->store->target;
    const char *key = r->key ? r->key : r->store->prefix;

    if (target->is_access_point)
        (void)error_wrap(err, "%s %s", storage_op_name(r->spec.kind), key);
    else
        (void)error_wrap(err, "%s s3://%s/%s", storage_op_name(r->spec.kind), target->bucket, key);
}

static void request_fail(struct s3_request *r, struct error *err)
{
    request_wrap(r, err);
    struct s3_answer answer = {.err = err, .code = "", .tries = r->tries};
    request_finish(r, &answer);
}

/* ---- sending ---- */

static int on_http_data(void *arg, struct slice chunk, struct error *err);
static void on_http_done(void *arg, const struct http_response *response);

static uint64_t request_remaining_ns(const struct s3_request *r)
{
    uint64_t now_ns = env_boot_ns(request_env(r));

    if (r->deadline_ns == 0)
        return 0;
    return r->deadline_ns > now_ns ? r->deadline_ns - now_ns : 1;
}

static bool request_is_late(const struct s3_request *r)
{
    return r->deadline_ns > 0 && env_boot_ns(request_env(r)) >= r->deadline_ns;
}

/* Also after a sleep of the machine, which the back-off does not count: nothing is sent on the word of
 * whoever asked for it before. */
static void request_end_late(struct s3_request *r, const char *why)
{
    struct error err = ERROR_INIT;

    (void)error_set(&err, ERR_TIMEOUT, 0, "no time left: %s", why); /* becomes the outcome */
    request_fail(r, &err);
}

static int attempt_start(const struct attempt *a, struct s3_request *r, struct error *err)
{
    const struct s3_request_spec *spec = &r->spec;
    const struct http_request req = {
        .method = spec->method,
        .url = buf_str(&a->url),
        .headers = a->headers,
        .header_count = a->count,
        .body_blob = spec->blob,
        .body_offset = spec->blob_offset,
        .body_bytes = spec->blob_bytes,
        .body_slice = buf_slice(&r->body),
        .has_body = spec->has_body,
        .body_bytes_max = S3_ANSWER_BYTES_MAX,
        .deadline_ns = request_remaining_ns(r),
        .stall_ns = spec->on_data ? spec->deadline_ns : 0,
        .on_data = spec->on_data ? on_http_data : NULL,
    };

    if (http_start(r->store->http, &req, on_http_done, r, &r->exchange, err) < 0)
        return -1;
    r->state = REQUEST_SENDING;
    r->tries++;
    r->op->tries++;
    r->range.tried = 0;
    r->store->st.counters.op[spec->kind].requests++;
    memcpy(r->region, r->store->target.region, sizeof(r->region));
    return 0;
}

static void request_send(struct s3_request *r, const struct s3_credentials *credentials)
{
    CLEANUP(attempt_destroy) struct attempt a = ATTEMPT_INIT;
    struct error err = ERROR_INIT;
    char range[RANGE_TEXT_BYTES];
    const struct attempt_spec spec = {
        .method = r->spec.method,
        .key = r->key,
        .query = r->query,
        .headers = r->headers,
        .header_count = r->spec.header_count,
        .range = range_is_partial(&r->range) ? range_format(&r->range, range) : NULL,
        .if_match = r->range.given > 0 && r->etag[0] ? r->etag : NULL,
        .payload_hash = r->hash,
        .credentials = credentials};

    if (request_is_late(r))
        request_end_late(r, "the deadline passed before it could be sent");
    else if (attempt_make(&a, r->store, &spec, &err) < 0 || attempt_start(&a, r, &err) < 0)
        request_fail(r, &err);
}

/* ---- before sending ---- */

static void request_step(struct s3_request *r);

/* A failure before or after sending: another try, or the end. answer->err is err. */
static void request_try_again(struct s3_request *r, uint64_t retry_after_ns, struct error *err,
                              struct s3_answer *answer)
{
    const struct env *env = request_env(r);
    uint64_t delay_ns = 0;

    if (r->range.given > r->mark_bytes) { /* step 3 */
        retry_init(&r->retry, r->store->retry, env, r->spec.deadline_ns);
        r->mark_bytes = r->range.given;
    }
    if (retry_next(&r->retry, env, retry_after_ns, &delay_ns, err)) {
        r->state = REQUEST_WAITING;
        loop_timer_start(&r->timer, delay_ns);
        return;
    }
    request_wrap(r, err);
    request_finish(r, answer);
}

static void on_credentials(void *arg, const struct s3_credentials *credentials,
                           const struct error *cause);

static void credentials_ask(struct s3_request *r)
{
    r->state = REQUEST_CREDENTIALS;
    s3_credentials_get(r->store->credentials, &r->wait, on_credentials, r);
}

static void gate_fail(struct s3_request *r)
{
    request_end_late(r, "other requests to the host came first");
}

/* Inside the gate: the credentials may have gone bad while we waited before it. */
static void on_admitted(void *arg)
{
    struct s3_request *r = arg;
    const struct s3_credentials *credentials = s3_credentials_peek(r->store->credentials);
    uint64_t waited_ns = env_monotonic_ns(request_env(r)) - r->gate_since_ns;
    uint64_t more_ns = S3_GATE_GRACE_NS - r->grace_ns;

    loop_timer_stop(&r->timer);
    if (waited_ns < more_ns)
        more_ns = waited_ns;
    r->grace_ns += more_ns;
    if (r->deadline_ns > 0) {
        r->deadline_ns += more_ns;
        r->retry.deadline_ns += more_ns;
    }
    if (request_is_late(r))
        gate_fail(r);
    else if (credentials)
        request_send(r, credentials);
    else
        credentials_ask(r);
}

/* credentials: good now. */
static void request_go_in(struct s3_request *r, const struct s3_credentials *credentials)
{
    uint64_t bytes = r->spec.blob ? r->spec.blob_bytes : r->spec.range_bytes;

    r->state = REQUEST_GATE;
    if (r->visit.is_inside || s3_gate_enter(r->store->gate, &r->visit, bytes, on_admitted, r)) {
        request_send(r, credentials);
        return;
    }
    r->gate_since_ns = env_monotonic_ns(request_env(r));
    if (r->deadline_ns > 0)
        loop_timer_start(&r->timer, request_remaining_ns(r) + S3_GATE_GRACE_NS - r->grace_ns);
}

static void on_credentials(void *arg, const struct s3_credentials *credentials,
                           const struct error *cause)
{
    struct s3_request *r = arg;

    if (credentials) {
        request_go_in(r, credentials);
        return;
    }
    s3_gate_leave(&r->visit);
    struct error err = *cause;
    struct s3_answer answer = {.err = &err, .code = "", .tries = r->tries};
    request_try_again(r, 0, &err, &answer);
}

static void on_hashed(void *arg, const uint8_t hash[static SIGV4_HASH_BYTES],
                      const struct error *cause)
{
    struct s3_request *r = arg;

    r->hashing = NULL;
    if (r->is_canceled) {
        request_gone(r);
        return;
    }
    if (cause->code != ERR_NONE) {
        struct error err = *cause;
        request_fail(r, &err);
        return;
    }
    (void)sigv4_hex(hash, r->hash); /* answers its argument */
    request_step(r);
}

/* Step 1. */
static void request_step(struct s3_request *r)
{
    struct error err = ERROR_INIT;

    if (!r->hash[0]) {
        r->state = REQUEST_HASHING;
        const struct payload_part part = {r->spec.blob, r->spec.blob_offset, r->spec.blob_bytes};
        if (payload_hash_start(r->store->st.loop, &part, on_hashed, r, &r->hashing, &err) < 0)
            request_fail(r, &err);
        return;
    }
    const struct s3_credentials *credentials = s3_credentials_peek(r->store->credentials);
    if (credentials)
        request_go_in(r, credentials);
    else
        credentials_ask(r);
}

static void on_timer(void *arg)
{
    struct s3_request *r = arg;

    if (r->is_canceled)
        request_gone(r);
    else if (r->state == REQUEST_GATE)
        gate_fail(r);
    else
        request_step(r);
}

/* ---- the answer ---- */

static uint64_t answer_date_ns(const struct http_response *response)
{
    const char *date = http_response_header(response, "Date");
    struct error ignored = ERROR_INIT;
    uint64_t ns = 0;

    if (!date || time_parse_http(date, &ns, &ignored) < 0)
        return 0;
    return ns;
}

static int judge_failure(const struct s3_request *r, const struct http_response *response,
                         const struct s3_error *doc, struct error *err)
{
    if (response->status == 412 && r->range.given > 0)
        return error_set(err, ERR_CORRUPT, 412, "the object was replaced while it was read");
    const struct s3_failure failure = {
        .kind = r->spec.kind,
        .status = response->status,
        .error = doc,
        .bucket_region = http_response_header(response, "x-amz-bucket-region"),
        .target = &r->store->target,
        .date_ns = answer_date_ns(response),
        .wall_ns = env_wall_ns(request_env(r)),
    };
    return s3_failure_explain(&failure, err);
}

/* Step 2. err is filled and -1 answered unless the request has succeeded. */
static int judge(struct s3_request *r, const struct http_response *response,
                 const struct s3_answer *answer, const struct s3_error *doc, struct error *err)
{
    bool is_success = response->status >= 200 && response->status < 300;
    /* One that broke off before its body may have broken off among its headers. */
    bool has_headers = response->err->code == ERR_NONE || r->range.tried > 0;

    if (r->has_data_error) {
        *err = r->data_err;
        return -1;
    }
    if (response->status >= 300)
        return judge_failure(r, response, doc, err);
    if (is_success && has_headers && r->spec.on_data && range_check(&r->range, response, err) < 0)
        return -1;
    if (response->err->code != ERR_NONE) {
        *err = *response->err;
        return -1;
    }
    if (!is_success) {
        return error_set(err, ERR_UNAVAILABLE, response->status, "%d, which is no answer",
                         response->status);
    }
    if (doc->code[0])
        return judge_failure(r, response, doc, err);
    if (r->spec.check && r->spec.check(r->spec.arg, answer, err) < 0) {
        if (err->code == ERR_CORRUPT) {
            err->code = ERR_UNAVAILABLE;
            (void)error_wrap(err, "%d with an answer that cannot be read", response->status);
        }
        return -1;
    }
    return 0;
}

/* Causes that the next try does not have. True: send again at once. */
static bool put_right(struct s3_request *r, const struct http_response *response,
                      const struct s3_error *doc)
{
    struct s3_target *target = &r->store->target;

    if (s3_code_is_expiry(doc->code) && !r->did_refresh) {
        r->did_refresh = true;
        return s3_credentials_reject(r->store->credentials);
    }
    const char *region = http_response_header(response, "x-amz-bucket-region");
    if (!region)
        region = doc->region[0] ? doc->region : NULL;
    if (!target->is_aws_default || !region || response->status < 300 ||
        strcmp(region, r->region) == 0)
        return false;
    if (!target->is_region_a_guess) /* another request has corrected it meanwhile */
        return strcmp(region, target->region) == 0;
    return s3_target_set_region(target, region);
}

/*
 * Whether the answer under way is about an object. A 200 with an error document in its place is
 * not, and must be noticed before the document is taken for the object's bytes.
 */
static bool is_of_an_object(const struct s3_request *r)
{
    const struct http_response so_far = {.exchange = r->exchange};

    return http_response_header(&so_far, "ETag") || http_response_header(&so_far, "Last-Modified");
}

static int on_http_data(void *arg, struct slice chunk, struct error *err)
{
    struct s3_request *r = arg;

    if (r->is_canceled)
        return error_set(err, ERR_CANCELED, 0, "canceled");
    if (r->range.tried == 0 && !is_of_an_object(r)) {
        return error_set(err, ERR_UNAVAILABLE, 0,
                         "an answer with neither ETag nor Last-Modified: not an object");
    }
    r->range.tried += chunk.n;
    r->range.given += chunk.n;
    if (r->spec.range_bytes > 0 && r->range.given > r->spec.range_bytes) {
        r->has_data_error = true;
        (void)error_set(err, ERR_CORRUPT, 0, "more than the %llu bytes that were asked for",
                        (unsigned long long)r->spec.range_bytes);
        r->data_err = *err;
        return -1;
    }
    r->is_in_data = true;
    int rc = r->spec.on_data(r->spec.arg, chunk, err);
    r->is_in_data = false;
    if (r->is_canceled)
        return error_set(err, ERR_CANCELED, 0, "canceled");
    if (rc < 0) {
        r->has_data_error = true;
        r->data_err = *err;
    }
    return rc;
}

static void request_count(struct s3_request *r, const struct http_response *response)
{
    uint64_t bytes = response->sent_bytes + response->received_bytes;

    r->op->bytes += bytes;
    r->store->st.counters.op[r->spec.kind].bytes += bytes;
}

static void etag_keep(struct s3_request *r, const struct http_response *response)
{
    const char *etag = http_response_header(response, "ETag");

    if (!r->etag[0] && r->range.given > 0 && etag && strlen(etag) < sizeof(r->etag))
        memcpy(r->etag, etag, strlen(etag) + 1);
}

static void on_http_done(void *arg, const struct http_response *response)
{
    struct s3_request *r = arg;
    struct error err = ERROR_INIT;
    struct s3_error doc = {.code = ""};
    struct s3_answer answer = {.err = &err,
                               .status = response->status,
                               .body = response->body,
                               .http = response,
                               .code = doc.code,
                               .tries = r->tries};

    r->exchange = NULL;
    s3_gate_leave(&r->visit);
    request_count(r, response);
    if (r->is_canceled || response->err->code == ERR_CANCELED) {
        r->is_canceled = true;
        r->state = REQUEST_ENDING;
        if (r->store->is_closing)
            request_gone(r);
        else
            loop_timer_start(&r->timer, 0);
        return;
    }
    if (response->body.n > 0)
        (void)s3_error_parse(response->body, &doc); /* an empty doc says what there is */
    if (judge(r, response, &answer, &doc, &err) == 0) {
        request_finish(r, &answer);
        return;
    }
    r->store->st.counters.op[r->spec.kind].errors++;
    etag_keep(r, response);
    if (r->has_data_error) {
        request_wrap(r, &err);
        request_finish(r, &answer);
    } else if (put_right(r, response, &doc)) {
        r->state = REQUEST_WAITING;
        loop_timer_start(&r->timer, 0);
    } else {
        uint64_t after_ns = retry_after_parse(http_response_header(response, "Retry-After"),
                                              env_wall_ns(request_env(r)));
        request_try_again(r, after_ns, &err, &answer);
    }
}

/* ---- start and cancel ---- */

static int request_copy(struct s3_request *r, const struct s3_request_spec *spec, struct error *err)
{
    if (spec->header_count > REQUEST_SPEC_HEADERS_MAX)
        return error_set(err, ERR_LIMIT, 0, "more than %d headers", REQUEST_SPEC_HEADERS_MAX);
    r->key = spec->key ? str_dup(spec->key, err) : NULL;
    r->query = str_dup(spec->query ? spec->query : "", err);
    if ((spec->key && !r->key) || !r->query || buf_append_slice(&r->body, spec->body, err) < 0)
        return -1;
    r->spec = *spec;
    r->spec.header_count = 0;
    r->spec.headers = NULL;
    r->range = (struct range_read){
        .is_wanted = spec->has_range, .offset = spec->range_offset, .bytes = spec->range_bytes};
    for (size_t i = 0; i < spec->header_count; i++) {
        char *value = str_dup(spec->headers[i].value, err);
        if (!value)
            return -1;
        r->headers[i] = (struct http_header){spec->headers[i].name, value};
        r->spec.header_count++;
    }
    return 0;
}

static int request_hash_set(struct s3_request *r, struct error *err)
{
    if (r->spec.has_body && !r->store->signs_payload) {
        memcpy(r->hash, SIGV4_UNSIGNED_PAYLOAD, sizeof(SIGV4_UNSIGNED_PAYLOAD));
        return 0;
    }
    if (r->spec.blob && r->spec.blob_bytes > 0) {
        bool is_whole = r->spec.blob_bytes == r->spec.blob->bytes;
        bool is_cheap = r->spec.blob->has_sha256 ||
                        (r->spec.blob->p && r->spec.blob_bytes <= REQUEST_HASH_HERE_BYTES_MAX);
        uint8_t hash[SIGV4_HASH_BYTES];
        if (!is_whole || !is_cheap)
            return 0; /* in state HASHING */
        if (blob_sha256(r->spec.blob, hash, err) < 0)
            return -1;
        (void)sigv4_hex(hash, r->hash); /* answers its argument */
        return 0;
    }
    return sigv4_hash_hex(buf_slice(&r->body), r->hash, err);
}

int s3_request_start(struct s3_op *op, const struct s3_request_spec *spec, struct error *err)
{
    CLEANUP(request_free) struct s3_request *r = mem_new(1, sizeof(*r), err);

    ASSERT(!op->is_ending);
    if (!r)
        return -1;
    r->op = op;
    r->store = op->store;
    r->body = (struct buf)BUF_INIT(S3_ANSWER_BYTES_MAX);
    if (request_copy(r, spec, err) < 0 || request_hash_set(r, err) < 0)
        return -1;
    retry_init(&r->retry, r->store->retry, request_env(r), spec->deadline_ns);
    if (spec->on_data ||
        !checked_add_u64(env_boot_ns(request_env(r)), spec->deadline_ns, &r->deadline_ns) ||
        spec->deadline_ns == 0)
        r->deadline_ns = 0;
    loop_timer_init(&r->timer, r->store->st.loop, on_timer, r);
    loop_timer_start(&r->timer, 0);
    r->next = op->requests;
    if (r->next)
        r->next->prev = r;
    op->requests = TAKE(r);
    return 0;
}

void s3_request_cancel(struct s3_request *r)
{
    if (r->is_canceled)
        return;
    r->is_canceled = true;
    if (r->is_in_data)
        return; /* on_http_data() tells the client */
    if (r->exchange) {
        http_cancel(r->exchange);
        return;
    }
    if (r->hashing) {
        payload_hash_cancel(r->hashing);
        return;
    }
    s3_credentials_get_cancel(&r->wait);
    s3_gate_leave(&r->visit);
    r->state = REQUEST_ENDING;
    loop_timer_start(&r->timer, 0);
}

void s3_request_cancel_now(struct s3_request *r)
{
    r->is_canceled = true;
    if (r->exchange) {
        http_abort(r->exchange); /* on_http_done() takes the request away */
        return;
    }
    if (r->hashing)
        payload_hash_abandon(TAKE(r->hashing));
    s3_credentials_get_cancel(&r->wait);
    loop_timer_stop(&r->timer);
    request_gone(r);
}
