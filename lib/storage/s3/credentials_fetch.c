/*
 * Sources of credentials that are asked over HTTP.
 *
 *   web identity  POST https://sts.REGION.amazonaws.com/ (or AWS_ENDPOINT_URL_STS)
 *                 Action=AssumeRoleWithWebIdentity, unsigned: the token is the proof     XML
 *   container     GET http://169.254.170.2<RELATIVE_URI>, or <FULL_URI> with
 *                 Authorization from AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE (or _TOKEN)  JSON
 *   metadata      PUT /latest/api/token, then GET /latest/meta-data/iam/security-credentials/
 *                 (the role's name) and the same with the name behind                    JSON
 *
 * A full URI may be plain http only to addresses that cannot leave the machine; else whoever sets
 * the variable's host would be sent the token in the clear. Answers are never followed elsewhere.
 * The metadata service answers from the machine itself: one second is plenty, and a container that
 * is a hop too far away must not wait longer.
 *
 * Source: AWS SDKs and Tools Reference Guide, "Container credential provider", "IMDS credential
 * provider"; AWS STS API Reference, AssumeRoleWithWebIdentity.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http/retry.h"
#include "lib/json/jsonval.h"
#include "lib/storage/s3/answers.h"
#include "lib/storage/s3/credentials_internal.h"
#include "lib/storage/s3/provider.h"
#include "lib/storage/s3/sigv4.h"
#include "lib/storage/s3/xml.h"

static const uint64_t fetch_deadline_ns = 10 * NS_PER_SEC;
static const uint64_t metadata_deadline_ns = 1 * NS_PER_SEC;

static const struct retry_policy fetch_policy = {
    .base_ns = 200 * NS_PER_MS, .ceiling_ns = NS_PER_SEC, .tries_max = 3};
static const struct retry_policy metadata_policy = {
    .base_ns = 100 * NS_PER_MS, .ceiling_ns = NS_PER_SEC, .tries_max = 2};

enum {
    FETCH_URL_BYTES_MAX = 2048,
    FETCH_BODY_BYTES_MAX = 128 * 1024,
    FETCH_TOKEN_BYTES_MAX = 64 * 1024,
    FETCH_ANSWER_BYTES_MAX = 256 * 1024,
};

enum fetch_step {
    FETCH_STS,
    FETCH_CONTAINER,
    FETCH_METADATA_TOKEN,
    FETCH_METADATA_ROLE,
    FETCH_METADATA_KEYS,
};

struct credentials_fetch {
    struct loop *loop;
    struct http_client *http;
    credentials_fetch_fn *fn; /* NULL: abandoned */
    void *arg;
    enum fetch_step step;
    struct http_exchange *exchange;
    struct loop_timer timer; /* the next try */
    struct retry retry;
    char *role_arn, *session_name, *token_file, *region;
    struct buf metadata_token;
    struct buf role;
};

static const char *step_name(const struct credentials_fetch *f)
{
    switch (f->step) {
    case FETCH_STS:
        return "STS AssumeRoleWithWebIdentity";
    case FETCH_CONTAINER:
        return "container credentials";
    case FETCH_METADATA_TOKEN:
    case FETCH_METADATA_ROLE:
    case FETCH_METADATA_KEYS:
    default:
        return "EC2 metadata";
    }
}

static void fetch_free(struct credentials_fetch *f)
{
    loop_timer_stop(&f->timer);
    buf_destroy_secret(&f->metadata_token);
    buf_destroy(&f->role);
    free(f->role_arn);
    free(f->session_name);
    free(f->token_file);
    free(f->region);
    free(f);
}

/* ---- answers ---- */

static int expiry_parse(const char *text, uint64_t *out_ns, struct error *err)
{
    *out_ns = 0;
    if (!text || !*text)
        return 0;
    if (time_parse_rfc3339(text, out_ns, err) < 0) {
        err->code = ERR_CORRUPT; /* the server's moment, not the user's */
        return -1;
    }
    return 0;
}

int credentials_json_parse(struct slice body, const char *source, struct s3_credentials *out,
                           struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    const char *code = NULL;
    const char *id = NULL;
    const char *secret = NULL;
    const char *token = NULL;
    const char *expiration = NULL;
    uint64_t expires_ns = 0;

    if (jsonval_parse(&doc, source, body, err) < 0)
        return -1;
    struct jsonval root = jsonval_root(&doc);
    if (jsonval_str_or(jsonval_get(root, "Code"), "Success", &code, err) < 0)
        return -1;
    if (strcmp(code, "Success") != 0)
        return error_set(err, ERR_ACCESS, 0, "%s: %.100s", source, code);
    if (jsonval_str(jsonval_get(root, "AccessKeyId"), &id, err) < 0 ||
        jsonval_str(jsonval_get(root, "SecretAccessKey"), &secret, err) < 0 ||
        jsonval_str_or(jsonval_get(root, "Token"), "", &token, err) < 0 ||
        jsonval_str_or(jsonval_get(root, "Expiration"), "", &expiration, err) < 0 ||
        expiry_parse(expiration, &expires_ns, err) < 0)
        return -1;
    return s3_credentials_set(out, source, id, secret, token, expires_ns, err);
}

struct sts_run {
    char id[256];
    char secret[256];
    char token[S3_CREDENTIAL_BYTES_MAX + 1];
    char expiration[64];
    char code[64], message[256];
};

static int sts_copy(char *out, size_t out_bytes, struct slice text, struct error *err)
{
    if (text.n >= out_bytes)
        return error_set(err, ERR_CORRUPT, 0, "a value of %zu bytes", text.n);
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    return 0;
}

static int sts_on_close(void *arg, const char *path, struct slice text, struct error *err)
{
    static const char in[] =
        "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials/";
    struct sts_run *run = arg;

    if (strcmp(path, "ErrorResponse/Error/Code") == 0)
        s3_text_copy(run->code, sizeof(run->code), text);
    if (strcmp(path, "ErrorResponse/Error/Message") == 0)
        s3_text_copy(run->message, sizeof(run->message), text);
    if (strncmp(path, in, sizeof(in) - 1) != 0)
        return 0;
    const char *name = path + sizeof(in) - 1;
    if (strcmp(name, "AccessKeyId") == 0)
        return sts_copy(run->id, sizeof(run->id), text, err);
    if (strcmp(name, "SecretAccessKey") == 0)
        return sts_copy(run->secret, sizeof(run->secret), text, err);
    if (strcmp(name, "SessionToken") == 0)
        return sts_copy(run->token, sizeof(run->token), text, err);
    if (strcmp(name, "Expiration") == 0)
        return sts_copy(run->expiration, sizeof(run->expiration), text, err);
    return 0;
}

static const struct xml_handler sts_handler = {.on_close = sts_on_close};

int credentials_sts_parse(struct slice body, struct s3_credentials *out, struct error *err)
{
    struct sts_run run = {.id = ""};
    uint64_t expires_ns = 0;
    int rc = xml_parse(body, &sts_handler, &run, err);

    if (rc == 0 && (!run.id[0] || !run.secret[0]))
        rc = error_set(err, ERR_CORRUPT, 0, "the answer of STS holds no keys");
    if (rc == 0)
        rc = expiry_parse(run.expiration, &expires_ns, err);
    if (rc == 0) {
        rc =
            s3_credentials_set(out, "web identity", run.id, run.secret, run.token, expires_ns, err);
    }
    explicit_bzero(&run, sizeof(run));
    return rc;
}

/* ---- where to ask ---- */

static bool url_stays_here(const char *url)
{
    static const char *const hosts[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    char host[S3_HOST_BYTES_MAX];

    if (strncasecmp(url, "https://", 8) == 0)
        return true;
    if (strncasecmp(url, "http://", 7) != 0 || strcspn(url + 7, "/?#") >= sizeof(host))
        return false;
    (void)snprintf(host, sizeof(host), "%.*s", (int)strcspn(url + 7, "/?#"), url + 7);
    if (strpbrk(host, "@%\\"))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        size_t n = strlen(hosts[i]);
        if (strncmp(host, hosts[i], n) == 0 && (host[n] == '\0' || host[n] == ':'))
            return true;
    }
    return s3_host_is_loopback(host);
}

static int container_url(struct buf *url, struct error *err)
{
    const char *relative = credentials_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = credentials_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");

    if (relative && relative[0] != '/') {
        return error_set(err, ERR_USAGE, 0,
                         "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with '/'");
    }
    if (relative)
        return buf_printf(url, err, "http://169.254.170.2%s", relative);
    if (!url_stays_here(full)) {
        return error_set(err, ERR_USAGE, 0,
                         "AWS_CONTAINER_CREDENTIALS_FULL_URI \"%.200s\" is neither https nor an "
                         "address of this host",
                         full);
    }
    return buf_append_str(url, full, err);
}

static int metadata_url(const struct credentials_fetch *f, struct buf *url, struct error *err)
{
    const char *endpoint = credentials_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    size_t n;

    if (!endpoint)
        endpoint = "http://169.254.169.254";
    n = strlen(endpoint);
    while (n > 0 && endpoint[n - 1] == '/')
        n--;
    if (buf_append(url, endpoint, n, err) < 0)
        return -1;
    if (f->step == FETCH_METADATA_TOKEN)
        return buf_append_str(url, "/latest/api/token", err);
    if (buf_append_str(url, "/latest/meta-data/iam/security-credentials/", err) < 0)
        return -1;
    return f->step == FETCH_METADATA_KEYS ? sigv4_uri_encode(url, buf_slice(&f->role), false, err)
                                          : 0;
}

static int sts_url(const struct credentials_fetch *f, struct buf *url, struct error *err)
{
    const char *endpoint = credentials_env("AWS_ENDPOINT_URL_STS");
    const char *region = credentials_env("AWS_REGION");

    if (endpoint)
        return buf_append_str(url, endpoint, err);
    if (!region)
        region = credentials_env("AWS_DEFAULT_REGION");
    if (!region)
        region = f->region;
    return buf_printf(url, err, "https://sts.%s.amazonaws.com%s/", region,
                      strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

/* ---- one request ---- */

/* Texts of a request; http_start() copies them. */
struct fetch_request {
    struct buf url, body, token;
    struct http_header headers[2];
    size_t header_count;
    const char *method;
};

static void fetch_request_destroy(struct fetch_request *q)
{
    buf_destroy(&q->url);
    buf_destroy_secret(&q->body);
    buf_destroy_secret(&q->token);
}

static void fetch_header(struct fetch_request *q, const char *name, const char *value)
{
    q->headers[q->header_count++] = (struct http_header){name, value};
}

static int form_add(struct buf *body, const char *name, const char *value, struct error *err)
{
    if (buf_printf(body, err, "&%s=", name) < 0)
        return -1;
    return sigv4_uri_encode(body, slice_of_str(value), false, err);
}

static int sts_request(const struct credentials_fetch *f, struct fetch_request *q,
                       struct error *err)
{
    const struct env *env = loop_env(f->loop);

    q->method = "POST";
    fetch_header(q, "Content-Type", "application/x-www-form-urlencoded");
    if (sts_url(f, &q->url, err) < 0 ||
        credentials_token_read(env, f->token_file, &q->token, err) < 0 ||
        buf_append_str(&q->body, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15", err) < 0 ||
        form_add(&q->body, "RoleArn", f->role_arn, err) < 0 ||
        form_add(&q->body, "RoleSessionName", f->session_name, err) < 0)
        return -1;
    return form_add(&q->body, "WebIdentityToken", buf_str(&q->token), err);
}

static int container_request(const struct credentials_fetch *f, struct fetch_request *q,
                             struct error *err)
{
    const char *file = credentials_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = credentials_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");

    q->method = "GET";
    fetch_header(q, "Accept", "application/json");
    if (container_url(&q->url, err) < 0)
        return -1;
    if (file) {
        if (credentials_token_read(loop_env(f->loop), file, &q->token, err) < 0)
            return -1;
        token = buf_str(&q->token);
    } else if (token && strpbrk(token, "\r\n")) {
        return error_set(err, ERR_USAGE, 0,
                         "AWS_CONTAINER_AUTHORIZATION_TOKEN has more than one line");
    }
    if (token)
        fetch_header(q, "Authorization", token);
    return 0;
}

static int metadata_request(const struct credentials_fetch *f, struct fetch_request *q,
                            struct error *err)
{
    bool is_token = f->step == FETCH_METADATA_TOKEN;

    q->method = is_token ? "PUT" : "GET";
    if (is_token)
        fetch_header(q, "X-aws-ec2-metadata-token-ttl-seconds", "21600");
    else
        fetch_header(q, "X-aws-ec2-metadata-token", buf_str(&f->metadata_token));
    return metadata_url(f, &q->url, err);
}

static void on_answer(void *arg, const struct http_response *response);

static int fetch_send(struct credentials_fetch *f, struct error *err)
{
    CLEANUP(fetch_request_destroy)
    struct fetch_request q = {.url = BUF_INIT(FETCH_URL_BYTES_MAX),
                              .body = BUF_INIT(FETCH_BODY_BYTES_MAX),
                              .token = BUF_INIT(FETCH_TOKEN_BYTES_MAX)};
    bool is_metadata = f->step >= FETCH_METADATA_TOKEN;
    int rc = f->step == FETCH_STS         ? sts_request(f, &q, err)
             : f->step == FETCH_CONTAINER ? container_request(f, &q, err)
                                          : metadata_request(f, &q, err);

    if (rc < 0)
        return -1;
    const struct http_request req = {
        .method = q.method,
        .url = buf_str(&q.url),
        .headers = q.headers,
        .header_count = q.header_count,
        .body_slice = buf_slice(&q.body),
        .has_body = f->step == FETCH_STS || f->step == FETCH_METADATA_TOKEN,
        .body_bytes_max = FETCH_ANSWER_BYTES_MAX,
        .deadline_ns = is_metadata ? metadata_deadline_ns : fetch_deadline_ns,
    };
    return http_start(f->http, &req, on_answer, f, &f->exchange, err);
}

/* ---- steps ---- */

static void fetch_end(struct credentials_fetch *f, struct s3_credentials *credentials,
                      struct error *err)
{
    if (err->code != ERR_NONE)
        (void)error_wrap(err, "%s", step_name(f));
    f->fn(f->arg, credentials, err);
    fetch_free(f);
}

static void fetch_on_timer(void *arg)
{
    struct credentials_fetch *f = arg;
    struct error err = ERROR_INIT;

    if (fetch_send(f, &err) < 0)
        fetch_end(f, NULL, &err);
}

/* Why a source refused; of STS with its own words, of others the status only. */
static int refusal(const struct credentials_fetch *f, const struct http_response *response,
                   struct error *err)
{
    struct sts_run run = {.id = ""};
    struct error ignored = ERROR_INIT;
    char code[64] = "";
    char message[256] = "";
    bool is_retryable = response->status == 429 || response->status >= 500;

    if (f->step == FETCH_STS && xml_parse(response->body, &sts_handler, &run, &ignored) == 0) {
        (void)snprintf(code, sizeof(code), "%s", run.code);
        (void)snprintf(message, sizeof(message), "%s", run.message);
        is_retryable = is_retryable || strcmp(code, "IDPCommunicationError") == 0;
    }
    explicit_bzero(&run, sizeof(run));
    (void)error_set(err, is_retryable ? ERR_UNAVAILABLE : ERR_ACCESS, response->status,
                    "%d%s%s%s%s", response->status, code[0] ? " " : "", code,
                    message[0] ? ": " : "", message);
    if (f->step >= FETCH_METADATA_TOKEN && response->status == 404)
        (void)error_hint(err, "this host has no role: no other source of credentials was found");
    return -1;
}

/* Takes what a step answered: 1 credentials are there, 0 the next step is to be sent, -1. */
static int step_take(struct credentials_fetch *f, const struct http_response *response,
                     struct s3_credentials *out, struct error *err)
{
    size_t n = 0;

    switch (f->step) {
    case FETCH_STS:
        return credentials_sts_parse(response->body, out, err) < 0 ? -1 : 1;
    case FETCH_METADATA_TOKEN:
        f->step = FETCH_METADATA_ROLE;
        return buf_append_slice(&f->metadata_token, response->body, err);
    case FETCH_METADATA_ROLE:
        while (n < response->body.n && response->body.p[n] > ' ' && response->body.p[n] <= '~')
            n++;
        if (n == 0)
            return error_set(err, ERR_ACCESS, response->status, "this host has no role");
        f->step = FETCH_METADATA_KEYS;
        return buf_append(&f->role, response->body.p, n, err);
    case FETCH_CONTAINER:
    case FETCH_METADATA_KEYS:
    default:
        return credentials_json_parse(response->body, step_name(f), out, err) < 0 ? -1 : 1;
    }
}

static void fetch_try_again(struct credentials_fetch *f, struct error *err)
{
    uint64_t delay_ns = 0;

    if (retry_next(&f->retry, loop_env(f->loop), 0, &delay_ns, err)) {
        loop_timer_start(&f->timer, delay_ns);
        return;
    }
    if (f->step == FETCH_METADATA_TOKEN && err->code != ERR_NO_MEMORY) {
        /* Most machines have no such service: then there are simply no credentials. */
        err->code = ERR_ACCESS;
        (void)error_wrap(err, "no credentials found: the last source did not answer");
        (void)error_hint(err, "looked at: configuration, AWS_ACCESS_KEY_ID, "
                              "LITESTREAM_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE, "
                              "~/.aws/credentials, container and EC2 metadata");
    }
    fetch_end(f, NULL, err);
}

static void on_answer(void *arg, const struct http_response *response)
{
    struct credentials_fetch *f = arg;
    struct s3_credentials made = {.access_key_id = NULL};
    struct error err = ERROR_INIT;
    int rc;

    f->exchange = NULL;
    if (!f->fn) {
        fetch_free(f);
        return;
    }
    if (response->err->code != ERR_NONE) {
        err = *response->err;
        rc = -1;
    } else if (response->status != 200) {
        rc = refusal(f, response, &err);
    } else {
        rc = step_take(f, response, &made, &err);
    }
    if (rc == 0)
        rc = fetch_send(f, &err);
    if (rc == 1)
        fetch_end(f, &made, &err);
    else if (rc < 0)
        fetch_try_again(f, &err);
    s3_credentials_destroy(&made);
}

/* ---- interface ---- */

static int fetch_copy(struct credentials_fetch *f, const struct credentials_fetch_config *config,
                      struct error *err)
{
    f->region = str_dup(config->region, err);
    if (!f->region)
        return -1;
    if (config->kind != CREDENTIALS_FETCH_WEB_IDENTITY)
        return 0;
    f->role_arn = str_dup(config->role_arn, err);
    f->token_file = str_dup(config->token_file, err);
    f->session_name =
        str_dup(config->role_session_name ? config->role_session_name : "walferry", err);
    return f->role_arn && f->token_file && f->session_name ? 0 : -1;
}

int credentials_fetch_start(struct loop *loop, struct http_client *http,
                            const struct credentials_fetch_config *config, credentials_fetch_fn *fn,
                            void *arg, struct credentials_fetch **out, struct error *err)
{
    static const enum fetch_step first[] = {
        [CREDENTIALS_FETCH_WEB_IDENTITY] = FETCH_STS,
        [CREDENTIALS_FETCH_CONTAINER] = FETCH_CONTAINER,
        [CREDENTIALS_FETCH_METADATA] = FETCH_METADATA_TOKEN,
    };
    struct credentials_fetch *f = mem_new(1, sizeof(*f), err);

    if (!f)
        return -1;
    f->loop = loop;
    f->http = http;
    f->fn = fn;
    f->arg = arg;
    f->step = first[config->kind];
    f->metadata_token = (struct buf)BUF_INIT(S3_CREDENTIAL_BYTES_MAX);
    f->role = (struct buf)BUF_INIT(256);
    loop_timer_init(&f->timer, loop, fetch_on_timer, f);
    retry_init(&f->retry,
               config->kind == CREDENTIALS_FETCH_METADATA ? &metadata_policy : &fetch_policy,
               loop_env(loop), 0);
    if (fetch_copy(f, config, err) < 0 || fetch_send(f, err) < 0) {
        (void)error_wrap(err, "%s", step_name(f));
        fetch_free(f);
        return -1;
    }
    *out = f;
    return 0;
}

void credentials_fetch_abandon(struct credentials_fetch *f)
{
    f->fn = NULL;
    if (!f->exchange)
        fetch_free(f); /* else its answer, or the end of the client, frees it */
}
