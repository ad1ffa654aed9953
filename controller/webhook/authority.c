/*
 * One round after the other, each of a few requests that follow each other; see authority.h for
 * what a round does. A failure ends the round, is logged when it is news, and the next round begins
 * as usual.
 *
 *          timer          got            written or unchanged       each target
 *   IDLE ---------> READ -----> (WRITE) ---------------------> GET (APPLY) ... ---> IDLE
 *
 * A certificate of another authority than the one that is trusted waits: what is served goes on
 * being served until a whole round has seen every target trust the new one. So also a deleted
 * Secret costs no admission: a new authority is made, the old one stays trusted beside it.
 */
#include "controller/webhook/authority.h"

#include <stdlib.h>
#include <string.h>

#include "controller/webhook/rotation.h"

enum {
    BODY_BYTES_MAX = 1 << 20,
    STEPS_MAX = 4, /* of one round; more would be a circle */
};

static const uint64_t request_ns = 10 * NS_PER_SEC;

struct authority {
    struct loop *loop;
    struct authority_config config;
    struct loop_timer timer;
    struct kube_request *request; /* NULL: none under way */
    struct rotation rotation;
    char *version;          /* of the Secret that was read; NULL: it is missing */
    struct buf served_cert; /* what the identity holds */
    struct buf served_ca;   /* who has signed that */
    struct buf bundle;      /* of rotation */
    size_t target_idx;
    struct buf published; /* the bundle that every target trusted at the end of the last round */
    struct log_repeat repeat;
    const char *step; /* the last that was done in this round; NULL: none */
};

static void round_begin(void *arg);
static void target_next(struct authority *a);

static void round_end(struct authority *a)
{
    uint64_t ns = a->config.look_ns ? a->config.look_ns : AUTHORITY_LOOK_NS;

    loop_timer_start(&a->timer, ns);
}

static void round_fail(struct authority *a, const struct error *err)
{
    uint64_t count = 0;

    if (log_repeat_is_due(&a->repeat, err, env_monotonic_ns(loop_env(a->loop)), &count)) {
        LOG_WARN(a->config.log, "certificates of the webhook", LOG_ERR(err),
                 LOG_U64("count", count));
    }
    round_end(a);
}

static void request_start(struct authority *a, const struct kube_call *call, kube_done_fn *done)
{
    struct error err = ERROR_INIT;
    struct kube_call c = *call;

    c.deadline_ns = request_ns;
    c.field_manager = "walferry-controller";
    if (kube_start(a->config.client, &c, done, a, &a->request, &err) < 0)
        round_fail(a, &err);
}

/* ---- serving ---- */

/* Whether every target has been seen with the bundle of what the Secret holds now. */
static bool is_published(const struct authority *a)
{
    CLEANUP(buf_destroy) struct buf bundle = BUF_INIT(TLS_PEM_BYTES_MAX);
    struct error ignored = ERROR_INIT;

    return rotation_bundle(&a->rotation, &bundle, &ignored) == 0 && bundle.n > 0 &&
           slice_eq(buf_slice(&bundle), buf_slice(&a->published));
}

/* Whether a handshake with what the rotation holds succeeds for everybody who trusts what is served
 * now; if nothing (valid) is served, there is nothing to lose. */
static bool may_serve(const struct authority *a)
{
    const struct tls_keypair *k = tls_identity_get(a->config.identity);

    return !k || tls_keypair_not_after_ns(k) <= env_wall_ns(loop_env(a->loop)) ||
           slice_eq(buf_slice(&a->served_ca), buf_slice(&a->rotation.ca.cert)) || is_published(a);
}

/* Makes the identity serve what the rotation holds, if that is something else and trusted. */
static int serve(struct authority *a, struct error *err)
{
    struct tls_keypair *k = NULL;
    char expires[TIME_TEXT_BYTES];

    if (slice_eq(buf_slice(&a->served_cert), buf_slice(&a->rotation.server.cert)) || !may_serve(a))
        return 0;
    if (tls_keypair_parse(buf_slice(&a->rotation.server.cert), buf_slice(&a->rotation.server.key),
                          &k, err) < 0)
        return -1;
    buf_clear(&a->served_cert);
    buf_clear(&a->served_ca);
    if (buf_append_slice(&a->served_cert, buf_slice(&a->rotation.server.cert), err) < 0 ||
        buf_append_slice(&a->served_ca, buf_slice(&a->rotation.ca.cert), err) < 0) {
        tls_keypair_free(k);
        return -1;
    }
    LOG_INFO(a->config.log, "serving a new certificate",
             LOG_STR("expires", time_format_rfc3339(tls_keypair_not_after_ns(k), expires)));
    tls_identity_set(a->config.identity, k);
    if (a->config.on_rotated)
        a->config.on_rotated(a->config.arg, a->step ? a->step : "read");
    return 0;
}

/* What is in the Secret now is served, and told to the API server. */
static void secret_settled(struct authority *a)
{
    struct error err = ERROR_INIT;

    buf_clear(&a->bundle);
    if (rotation_bundle(&a->rotation, &a->bundle, &err) < 0 || serve(a, &err) < 0) {
        round_fail(a, &err);
        return;
    }
    a->target_idx = 0;
    target_next(a);
}

/* ---- the Secret ---- */

static void on_secret_written(void *arg, const struct kube_answer *answer)
{
    struct authority *a = arg;

    a->request = NULL;
    if (answer->err->code == ERR_CONFLICT || answer->err->code == ERR_EXISTS) {
        /* Another replica was faster: what it wrote counts. */
        loop_timer_start(&a->timer, 0);
        return;
    }
    if (answer->err->code != ERR_NONE) {
        round_fail(a, answer->err);
        return;
    }
    secret_settled(a);
}

static int secret_body(const struct authority *a, struct buf *out, struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "apiVersion", "v1");
    json_writer_str(&w, "kind", "Secret");
    json_writer_str(&w, "type", "Opaque");
    json_writer_object(&w, "metadata");
    json_writer_str(&w, "name", a->config.secret_name);
    json_writer_str(&w, "namespace", a->config.namespace_name);
    if (a->version)
        json_writer_str(&w, "resourceVersion", a->version);
    json_writer_object(&w, "labels");
    json_writer_str(&w, "app.kubernetes.io/managed-by", "walferry-controller");
    json_writer_end(&w);
    json_writer_end(&w);
    rotation_write(&a->rotation, &w, "data");
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

static void secret_write(struct authority *a)
{
    CLEANUP(buf_destroy_secret) struct buf body = BUF_INIT(BODY_BYTES_MAX);
    struct error err = ERROR_INIT;

    if (secret_body(a, &body, &err) < 0) {
        round_fail(a, &err);
        return;
    }
    request_start(a,
                  &(struct kube_call){.verb = a->version ? KUBE_UPDATE : KUBE_CREATE,
                                      .resource = &kube_secrets,
                                      .namespace_name = a->config.namespace_name,
                                      .name = a->config.secret_name,
                                      .body = buf_slice(&body)},
                  on_secret_written);
}

/* Does what is due: 1 something was done, 0 nothing. */
static int steps_do(struct authority *a, struct error *err)
{
    const struct authority_config *c = &a->config;
    const struct env *env = loop_env(a->loop);
    int done = 0;

    a->step = NULL;
    for (int i = 0; i < STEPS_MAX; i++) {
        uint64_t now_ns = env_wall_ns(env);
        enum rotation_step step =
            rotation_due(&a->rotation, c->dns_names, c->name_count, now_ns, is_published(a));
        if (step == ROTATION_NOTHING)
            break;
        if (rotation_do(step, env, c->dns_names, c->name_count, now_ns, &a->rotation, err) < 0)
            return -1;
        a->step = rotation_step_name(step);
        LOG_INFO(c->log, "certificate rotation", LOG_STR("step", a->step));
        done = 1;
    }
    return done;
}

/* The Secret was deleted while we serve: all anew, but who trusts what is served may do so. */
static int old_keep(struct authority *a, struct error *err)
{
    buf_clear(&a->rotation.old.cert);
    return buf_append_slice(&a->rotation.old.cert, buf_slice(&a->served_ca), err);
}

static void rotation_reset(struct authority *a)
{
    rotation_destroy(&a->rotation);
    a->rotation = (struct rotation)ROTATION_INIT;
    free(TAKE(a->version));
}

static int secret_take(struct authority *a, const struct kube_answer *answer, struct error *err)
{
    const char *version = NULL;

    rotation_reset(a);
    if (answer->err->code == ERR_NOT_FOUND)
        return 0;
    if (jsonval_str(jsonval_way(answer->object, "metadata.resourceVersion"), &version, err) < 0)
        return -1;
    a->version = str_dup(version, err);
    if (!a->version)
        return -1;
    if (rotation_read(jsonval_get(answer->object, "data"), &a->rotation, err) < 0) {
        /* What cannot be read is as good as nothing: it is made anew. */
        LOG_WARN(a->config.log, "the Secret of the webhook's certificates", LOG_ERR(err));
        error_clear(err);
        rotation_destroy(&a->rotation);
        a->rotation = (struct rotation)ROTATION_INIT;
    }
    return 0;
}

static void on_secret_read(void *arg, const struct kube_answer *answer)
{
    struct authority *a = arg;
    struct error err = ERROR_INIT;

    a->request = NULL;
    if (answer->err->code != ERR_NONE && answer->err->code != ERR_NOT_FOUND) {
        round_fail(a, answer->err);
        return;
    }
    int done = secret_take(a, answer, &err);
    if (done == 0)
        done = steps_do(a, &err);
    if (done > 0 && !a->version && old_keep(a, &err) < 0)
        done = -1;
    if (done < 0)
        round_fail(a, &err);
    else if (done > 0)
        secret_write(a);
    else
        secret_settled(a);
}

static void round_begin(void *arg)
{
    struct authority *a = arg;

    request_start(a,
                  &(struct kube_call){.verb = KUBE_GET,
                                      .resource = &kube_secrets,
                                      .namespace_name = a->config.namespace_name,
                                      .name = a->config.secret_name},
                  on_secret_read);
}

/* ---- the webhook configurations ---- */

static void on_target_applied(void *arg, const struct kube_answer *answer)
{
    struct authority *a = arg;

    a->request = NULL;
    if (answer->err->code != ERR_NONE) {
        round_fail(a, answer->err);
        return;
    }
    LOG_INFO(a->config.log, "published the certificate authorities",
             LOG_STR("configuration", a->config.targets[a->target_idx].name));
    a->target_idx++;
    target_next(a);
}

/* Writes what is to be applied: of each webhook its name and our bundle. */
static int target_body(const struct authority *a, struct jsonval webhooks, const char *base64,
                       struct buf *out, struct error *err)
{
    const struct authority_target *t = &a->config.targets[a->target_idx];
    struct json_writer w;
    const char *name = NULL;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "apiVersion", "admissionregistration.k8s.io/v1");
    json_writer_str(&w, "kind", t->resource->kind);
    json_writer_object(&w, "metadata");
    json_writer_str(&w, "name", t->name);
    json_writer_end(&w);
    json_writer_array(&w, "webhooks");
    for (struct jsonval v = jsonval_first(webhooks); jsonval_exists(v); v = jsonval_next(v)) {
        if (jsonval_str(jsonval_get(v, "name"), &name, err) < 0)
            return -1;
        json_writer_object(&w, NULL);
        json_writer_str(&w, "name", name);
        json_writer_object(&w, "clientConfig");
        json_writer_str(&w, "caBundle", base64);
        json_writer_end(&w);
        json_writer_end(&w);
    }
    json_writer_end(&w);
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

/* Whether every webhook has this bundle. */
static bool target_trusts(struct jsonval webhooks, const char *base64)
{
    struct error ignored = ERROR_INIT;
    const char *has = NULL;

    for (struct jsonval v = jsonval_first(webhooks); jsonval_exists(v); v = jsonval_next(v)) {
        if (jsonval_str_or(jsonval_way(v, "clientConfig.caBundle"), "", &has, &ignored) < 0 ||
            strcmp(has, base64) != 0)
            return false;
    }
    return true;
}

static void on_target_read(void *arg, const struct kube_answer *answer)
{
    struct authority *a = arg;
    CLEANUP(buf_destroy) struct buf base64 = BUF_INIT(BODY_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(BODY_BYTES_MAX);
    struct jsonval webhooks = jsonval_get(answer->object, "webhooks");
    struct error err = ERROR_INIT;

    a->request = NULL;
    if (answer->err->code == ERR_NOT_FOUND) {
        a->target_idx++; /* not installed (any more): nobody has to trust us there */
        target_next(a);
        return;
    }
    if (answer->err->code != ERR_NONE) {
        round_fail(a, answer->err);
        return;
    }
    if (base64_encode(buf_slice(&a->bundle), &base64, &err) < 0) {
        round_fail(a, &err);
        return;
    }
    if (target_trusts(webhooks, buf_str(&base64))) {
        a->target_idx++;
        target_next(a);
        return;
    }
    if (target_body(a, webhooks, buf_str(&base64), &body, &err) < 0) {
        round_fail(a, &err);
        return;
    }
    const struct authority_target *t = &a->config.targets[a->target_idx];
    request_start(
        a,
        &(struct kube_call){
            .verb = KUBE_APPLY, .resource = t->resource, .name = t->name, .body = buf_slice(&body)},
        on_target_applied);
}

static void target_next(struct authority *a)
{
    if (a->target_idx < a->config.target_count) {
        const struct authority_target *t = &a->config.targets[a->target_idx];
        request_start(
            a, &(struct kube_call){.verb = KUBE_GET, .resource = t->resource, .name = t->name},
            on_target_read);
        return;
    }
    /* They had it, or have been given it now. */
    struct error err = ERROR_INIT;
    buf_clear(&a->published);
    if (buf_append_slice(&a->published, buf_slice(&a->bundle), &err) < 0) {
        buf_clear(&a->published);
        round_fail(a, &err);
        return;
    }
    (void)log_repeat_end(&a->repeat); /* the next failure is news again */
    round_end(a);
}

/* ---- interface ---- */

int authority_start(struct loop *loop, const struct authority_config *config,
                    struct authority **out, struct error *err)
{
    struct authority *a = mem_new(1, sizeof(*a), err);

    if (!a)
        return error_wrap(err, "certificates of the webhook");
    ASSERT(config->target_count <= AUTHORITY_CONFIGS_MAX);
    a->loop = loop;
    a->config = *config;
    a->rotation = (struct rotation)ROTATION_INIT;
    a->served_cert = (struct buf)BUF_INIT(TLS_PEM_BYTES_MAX);
    a->served_ca = (struct buf)BUF_INIT(TLS_PEM_BYTES_MAX);
    a->bundle = (struct buf)BUF_INIT(TLS_PEM_BYTES_MAX);
    a->published = (struct buf)BUF_INIT(TLS_PEM_BYTES_MAX);
    loop_timer_init(&a->timer, loop, round_begin, a);
    loop_timer_start(&a->timer, 0);
    *out = a;
    return 0;
}

void authority_free(struct authority *a)
{
    if (!a)
        return;
    loop_timer_stop(&a->timer);
    if (a->request)
        kube_cancel(a->request);
    rotation_reset(a);
    buf_destroy(&a->served_cert);
    buf_destroy(&a->served_ca);
    buf_destroy(&a->bundle);
    buf_destroy(&a->published);
    free(a);
}

bool authority_is_ready(const struct authority *a)
{
    return a->published.n > 0 && a->served_cert.n > 0;
}
