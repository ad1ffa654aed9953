/*
 * rollout: Auto. Pods that an earlier spec has injected are made anew by their own workload: its pod
 * template gets the annotation walferry.dev/spec-hash, which is a change, and Kubernetes does what
 * the workload's strategy says. The pods that come are injected by the current spec.
 *
 *   1. The pods whose annotation is another hash; none: nothing to do.
 *   2. What controls them: a StatefulSet, or a ReplicaSet and behind it a Deployment. Read, not
 *      cached. Anything else is for its owner to roll out.
 *   3. A template that has the hash already is on its way, however slowly (OnDelete, paused): it is
 *      never written twice for one hash. So nobody's rollback is fought.
 *   4. A workload whose rollout would make two writers is left alone, whatever
 *      singleWriter.enforcement says: the user may take that risk, we do not.
 *   5. Server-side apply of the one annotation, for this incarnation (uid) only.
 *
 * What it came to stands in the condition Injected, and in an event when it is new. Done or refused,
 * it is looked at again after LOOK_AGAIN_S, or when hash or owners change.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/replica/pass_internal.h"
#include "lib/ltx/crc64.h"

enum {
    OWNERS_MAX = 8, /* looked at in one pass; others in a later one */
    LOOK_AGAIN_S = 300,
    TEXT_BYTES = 320,
};

struct owner {
    char kind[64];
    char name[KUBE_NAME_BYTES_MAX + 1];
    char uid[64];
};

struct rollout {
    struct pass *pass;
    struct kube_request *request; /* under way; NULL: none */
    char hash[INJECT_HASH_BYTES];
    struct owner owners[OWNERS_MAX];
    size_t owner_count;
    size_t idx;   /* of the owner that is looked at */
    uint64_t crc; /* of hash and owners */
    bool has_stamped;
    const char *event; /* reason of the event that text is worth; NULL: none */
    bool is_warning;
    char text[TEXT_BYTES];
};

const char *rollout_text(const struct rollout *r)
{
    return r && r->text[0] ? r->text : NULL;
}

void rollout_free(struct rollout *r)
{
    free(r);
}

static void step(struct rollout *r);

/* ---- what it came to ---- */

static void tell(struct rollout *r, const char *event, bool is_warning, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Trouble outweighs what is on its way. */
static void tell(struct rollout *r, const char *event, bool is_warning, const char *fmt, ...)
{
    va_list ap;

    if (r->is_warning && !is_warning)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(r->text, sizeof(r->text), fmt, ap); /* cut when long */
    va_end(ap);
    r->event = event;
    r->is_warning = is_warning;
}

static void finish(struct rollout *r)
{
    struct pass *p = r->pass;
    const struct replica_item *item = pass_item(p);
    struct error err = ERROR_INIT;

    if (!item)
        return;
    const struct api_meta *meta = &item->replica->meta;
    struct memory *m = reconcile_memory(p->r, p->key, &err);
    if (m) { /* no memory: looked at again, which changes nothing */
        bool is_news = !m->rollout_text || strcmp(m->rollout_text, r->text) != 0;
        free(m->rollout_text);
        m->rollout_text = str_dup(r->text, &err);
        m->rollout_crc = r->crc;
        m->rollout_due_ns =
            env_monotonic_ns(loop_env(p->r->context.loop)) + LOOK_AGAIN_S * NS_PER_SEC;
        const struct recorder_object object = {.resource = &kube_sqlite_replicas,
                                               .namespace_name = meta->namespace_name,
                                               .name = meta->name,
                                               .uid = meta->uid};
        if (r->event && (is_news || r->has_stamped)) {
            recorder_event(p->r->context.recorder, &object, r->is_warning, r->event, "Rollout",
                           "%s", r->text);
        }
    }
    pass_after_rollout(p);
}

/* Ends the look at one owner by a failure: a refusal is told, anything else tried again. */
static void owner_fail(struct rollout *r, const struct error *err)
{
    const struct owner *o = &r->owners[r->idx];

    if (err->code == ERR_NOT_FOUND) { /* gone: so will its pods be */
        r->idx++;
        step(r);
    } else if (err->code == ERR_ACCESS) {
        tell(r, "RolloutForbidden", true,
             "the operator may not roll out %s %s: set rollout.enabled in its chart, or do it "
             "yourself (kubectl rollout restart).",
             o->kind, o->name);
        r->idx++;
        step(r);
    } else
        pass_fail(r->pass, "rollout", err);
}

/* ---- 3, 4, 5: the workload ---- */

static const char *text_at(struct jsonval object, const char *way)
{
    struct error ignored = ERROR_INIT; /* no text there is none */
    const char *text = "";

    return jsonval_str_or(jsonval_way(object, way), "", &text, &ignored) == 0 ? text : "";
}

static bool has_hash(struct jsonval object, const char *hash)
{
    struct error ignored = ERROR_INIT;
    const char *text = "";
    struct jsonval annotations = jsonval_way(object, "spec.template.metadata.annotations");

    return jsonval_str_or(jsonval_get(annotations, API_ANNOTATION_SPEC_HASH), "", &text,
                          &ignored) == 0 &&
           strcmp(text, hash) == 0;
}

/* The template has the hash. What Kubernetes does with it is the workload's strategy. */
static void tell_on_its_way(struct rollout *r, struct jsonval object)
{
    const struct owner *o = &r->owners[r->idx];
    struct error ignored = ERROR_INIT;
    bool is_paused = false;

    if (strcmp(text_at(object, "spec.updateStrategy.type"), "OnDelete") == 0) {
        tell(r, "RolloutStarted", false,
             "%s %s has updateStrategy OnDelete: delete the pods when it suits you.", o->kind,
             o->name);
    } else if (jsonval_bool_or(jsonval_way(object, "spec.paused"), false, &is_paused, &ignored) ==
                   0 &&
               is_paused) {
        tell(r, "RolloutStarted", false, "%s %s is paused: they come when it is resumed.", o->kind,
             o->name);
    } else
        tell(r, "RolloutStarted", false, "%s %s is being rolled out.", o->kind, o->name);
}

static void on_stamped(void *arg, const struct kube_answer *answer)
{
    struct rollout *r = arg;

    r->request = NULL;
    if (answer->err->code != ERR_NONE) {
        owner_fail(r, answer->err);
        return;
    }
    r->has_stamped = true;
    tell_on_its_way(r, answer->object);
    r->idx++;
    step(r);
}

static int stamp(struct rollout *r, const struct kube_resource *resource,
                 const char *namespace_name, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(4096);
    CLEANUP(buf_destroy) struct buf version = BUF_INIT(256);
    const struct owner *o = &r->owners[r->idx];
    struct json_writer w;

    if (kube_api_version(resource, &version, err) < 0)
        return -1;
    json_writer_init(&w, &body, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "apiVersion", buf_str(&version));
    json_writer_str(&w, "kind", resource->kind);
    json_writer_object(&w, "metadata");
    json_writer_str(&w, "namespace", namespace_name);
    json_writer_str(&w, "name", o->name);
    json_writer_str(&w, "uid", o->uid);
    json_writer_end(&w);
    json_writer_object(&w, "spec");
    json_writer_object(&w, "template");
    json_writer_object(&w, "metadata");
    json_writer_object(&w, "annotations");
    json_writer_str(&w, API_ANNOTATION_SPEC_HASH, r->hash);
    for (int i = 0; i < 5; i++)
        json_writer_end(&w);
    if (json_writer_finish(&w, err) < 0)
        return -1;
    const struct kube_call call = {.verb = KUBE_APPLY,
                                   .resource = resource,
                                   .namespace_name = namespace_name,
                                   .name = o->name,
                                   .body = buf_slice(&body),
                                   .field_manager = RECONCILE_MANAGER};
    return kube_start(r->pass->r->context.client, &call, on_stamped, r, &r->request, err);
}

/* Step 4. Returns 1 where it is unsafe. */
static int safety_check(struct rollout *r, struct jsonval object, const struct replica_item *item,
                        struct error *err)
{
    CLEANUP(inject_result_destroy) struct inject_result result = INJECT_RESULT_INIT;
    const struct owner *o = &r->owners[r->idx];
    const struct inject_request request = {.object = object,
                                           .namespace_name = item->replica->meta.namespace_name,
                                           .kind = o->kind,
                                           .replica = item->replica,
                                           .only_warns = true};

    if (inject_workload(&request, &result, err) < 0)
        return -1;
    if (result.warning_count == 0)
        return 0;
    tell(r, "UnsafeRolloutStrategy", true, "%s %s is not rolled out: %.200s.", o->kind, o->name,
         result.warnings[0]);
    return 1;
}

static void on_workload(void *arg, const struct kube_answer *answer)
{
    struct rollout *r = arg;
    struct pass *p = r->pass;
    struct error err = ERROR_INIT;

    r->request = NULL;
    if (answer->err->code != ERR_NONE) {
        owner_fail(r, answer->err);
        return;
    }
    const struct replica_item *item = pass_item(p);
    if (!item)
        return;
    int rc = 1;
    if (has_hash(answer->object, r->hash))
        tell_on_its_way(r, answer->object);
    else
        rc = safety_check(r, answer->object, item, &err);
    if (rc == 0) {
        rc = stamp(r, workload_resource(r->owners[r->idx].kind), item->replica->meta.namespace_name,
                   &err);
    } else if (rc > 0) {
        r->idx++;
        step(r);
    }
    if (rc < 0)
        pass_fail(p, "rollout", &err);
}

/* ---- 2: who controls the pods ---- */

static void owner_set(struct owner *o, const char *kind, const char *name, const char *uid)
{
    (void)snprintf(o->kind, sizeof(o->kind), "%s", kind); /* what is longer is none of these */
    (void)snprintf(o->name, sizeof(o->name), "%s", name);
    (void)snprintf(o->uid, sizeof(o->uid), "%s", uid);
}

static void owner_leave(struct rollout *r)
{
    const struct owner *o = &r->owners[r->idx++];

    tell(r, NULL, false, "%s %s is not rolled out by walferry: make the pods anew yourself.",
         o->kind, o->name);
    step(r);
}

static void on_replica_set(void *arg, const struct kube_answer *answer)
{
    struct rollout *r = arg;
    struct workload_owner above;

    r->request = NULL;
    if (answer->err->code != ERR_NONE) {
        owner_fail(r, answer->err);
        return;
    }
    if (!workload_owner_read(answer->object, &above) || strcmp(above.kind, "Deployment") != 0) {
        owner_leave(r);
        return;
    }
    owner_set(&r->owners[r->idx], above.kind, above.name, above.uid);
    step(r);
}

static int owner_look(struct rollout *r, const struct kube_resource *resource,
                      const char *namespace_name, struct error *err)
{
    const struct kube_call call = {.verb = KUBE_GET,
                                   .resource = resource,
                                   .namespace_name = namespace_name,
                                   .name = r->owners[r->idx].name};

    return kube_start(r->pass->r->context.client, &call,
                      resource == &kube_replica_sets ? on_replica_set : on_workload, r, &r->request,
                      err);
}

/* Goes on with the owner at idx, or ends. */
static void step(struct rollout *r)
{
    struct error err = ERROR_INIT;

    if (r->idx == r->owner_count) {
        finish(r);
        return;
    }
    const struct replica_item *item = pass_item(r->pass);
    if (!item)
        return;
    const struct kube_resource *resource = workload_resource(r->owners[r->idx].kind);
    if (!resource)
        owner_leave(r);
    else if (owner_look(r, resource, item->replica->meta.namespace_name, &err) < 0)
        pass_fail(r->pass, "rollout", &err);
}

/* ---- 1: the pods ---- */

static void pod_look(void *arg, const char *key UNUSED, const void *item)
{
    struct rollout *r = arg;
    const struct pod_item *pod = item;

    if (pod->is_finished || pod->is_ending || !judge_is_outdated(pod, r->hash) || !pod->owner_kind)
        return;
    for (size_t i = 0; i < r->owner_count; i++) {
        if (strcmp(r->owners[i].uid, pod->owner_uid) == 0)
            return;
    }
    if (r->owner_count == OWNERS_MAX)
        return;
    owner_set(&r->owners[r->owner_count++], pod->owner_kind, pod->owner_name, pod->owner_uid);
    r->crc ^= crc64(0, slice_of_str(pod->owner_uid)); /* in whatever order they come */
}

/* Whether this was looked at lately; then the text is what it came to. */
static bool is_known(struct rollout *r, const struct memory *m)
{
    uint64_t now_ns = env_monotonic_ns(loop_env(r->pass->r->context.loop));

    if (m->rollout_crc != r->crc || now_ns >= m->rollout_due_ns || !m->rollout_text)
        return false;
    (void)snprintf(r->text, sizeof(r->text), "%s", m->rollout_text);
    return true;
}

static int begin(struct pass *p, const struct replica_item *item, struct error *err)
{
    struct rollout *r = mem_new(1, sizeof(*r), err);
    const struct memory *m = reconcile_memory(p->r, p->key, err);

    p->rollout = r;
    if (!r || !m || reconcile_spec_hash(p->r, item->replica, r->hash, err) < 0)
        return -1;
    r->pass = p;
    r->crc = crc64(0, slice_of_str(r->hash));
    informer_each_in(p->r->pods, PODS_BY_REPLICA, p->key, pod_look, r);
    if (r->owner_count == 0 || is_known(r, m))
        pass_after_rollout(p);
    else
        step(r);
    return 0;
}

bool rollout_is_pending(const struct rollout *r)
{
    return r && r->owner_count > 0;
}

void rollout_begin(struct pass *p)
{
    const struct replica_item *item = pass_item(p);
    struct error err = ERROR_INIT;

    if (!item)
        return;
    if (!item->replica->rollout_auto || p->config_err.code != ERR_NONE)
        pass_after_rollout(p);
    else if (begin(p, item, &err) < 0)
        pass_fail(p, "rollout", &err);
}
