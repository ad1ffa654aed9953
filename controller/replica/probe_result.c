/*
 * What a probe found, as the status of its SqliteBucket.
 */
#include <string.h>

#include "controller/replica/bucket_internal.h"

/* What the probe's document says of its one destination. */
struct finding {
    bool is_available;
    bool can_create;
    const char *reason;
    const char *error;
    bool can_write;
    bool can_delete;
};

static int step_read(struct jsonval steps, const char *name, bool *out, struct error *err)
{
    const char *word;

    if (jsonval_str_or(jsonval_get(steps, name), "", &word, err) < 0)
        return -1;
    *out = strcmp(word, "ok") == 0;
    return 0;
}

static int finding_read(struct jsonval d, struct finding *f, struct error *err)
{
    struct jsonval steps = jsonval_get(d, "steps");

    if (jsonval_bool(jsonval_get(d, "is_available"), &f->is_available, err) < 0 ||
        jsonval_bool_or(jsonval_get(d, "can_create"), false, &f->can_create, err) < 0 ||
        jsonval_str(jsonval_get(d, "reason"), &f->reason, err) < 0 ||
        jsonval_str_or(jsonval_get(d, "error"), "", &f->error, err) < 0 ||
        step_read(steps, "create", &f->can_write, err) < 0)
        return -1;
    return step_read(steps, "delete", &f->can_delete, err);
}

static void conditions_make(const struct bucket_item *item, const struct finding *f,
                            const char *other_text, struct condition_set *out)
{
    bool is_usable = f->is_available || (item->bucket->is_read_only && f->reason &&
                                         strcmp(f->reason, "ReadOnly") == 0);
    enum condition_status status = is_usable ? CONDITION_TRUE : CONDITION_FALSE;
    const char *reason = f->reason ? f->reason : "ProbeFailed";

    condition_put(out, CONDITION_AVAILABLE, status, reason, "%s",
                  is_usable     ? "The destination was probed and can do what is needed."
                  : f->error    ? f->error
                  : *other_text ? other_text
                                : "The probe ended without an answer.");
    condition_put(out, CONDITION_READY, status, reason, "%s", out->of[CONDITION_AVAILABLE].message);
    if (!is_usable) {
        condition_put(out, CONDITION_STALLED, CONDITION_TRUE, reason, "%s",
                      out->of[CONDITION_AVAILABLE].message);
    }
}

static int bucket_status_body(const struct bucket_pass *p, const struct bucket_item *item,
                              const struct finding *f, const struct condition_set *set,
                              struct buf *out, struct error *err)
{
    CLEANUP(buf_destroy) struct buf url = BUF_INIT(2048);
    const struct api_meta *meta = &item->bucket->meta;
    struct json_writer w;

    if (api_store_url(&item->bucket->store, &url, err) < 0)
        return -1;
    status_write_begin(&w, out, &kube_sqlite_buckets, meta);
    status_write_time(&w, "lastValidationTime", p->finished_ns);
    json_writer_str(&w, "destination", buf_str(&url));
    if (f->reason) {
        json_writer_object(&w, "capabilities");
        json_writer_str(&w, "fencing", f->can_create ? "Atomic" : "Weak");
        json_writer_bool(&w, "canWrite", f->can_write);
        json_writer_bool(&w, "canDelete", f->can_delete);
        json_writer_end(&w);
    }
    return status_write_end(&w, set, meta, err);
}

static void on_bucket_status(void *arg, const struct kube_answer *answer)
{
    struct bucket_pass *p = arg;

    p->request = NULL;
    if (answer->err->code != ERR_NONE && answer->err->code != ERR_NOT_FOUND)
        bucket_pass_fail(p, "status", answer->err);
    else
        bucket_pass_end(p, QUEUE_AFTER, PROBE_RETRY_S * NS_PER_SEC);
}

static void bucket_announce(const struct bucket_pass *p, const struct bucket_item *item,
                            const struct condition *c)
{
    const struct recorder_object object = {.resource = &kube_sqlite_buckets,
                                           .namespace_name = item->bucket->meta.namespace_name,
                                           .name = item->bucket->meta.name,
                                           .uid = item->bucket->meta.uid};
    bool is_bad = c->status == CONDITION_FALSE;

    if (item->marks.status[CONDITION_AVAILABLE] != (uint8_t)c->status) {
        recorder_event(p->b->context.recorder, &object, is_bad,
                       is_bad ? "DestinationUnavailable" : "DestinationAvailable", "Probe", "%s",
                       c->message);
    }
}

static int bucket_status_apply(struct bucket_pass *p, const struct bucket_item *item,
                               const struct finding *f, const char *other_text, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(STATUS_BYTES_MAX);
    struct condition_set set = {0};

    conditions_make(item, f, other_text, &set);
    condition_set_carry(&set, &item->marks, env_wall_ns(loop_env(p->b->context.loop)));
    bucket_announce(p, item, &set.of[CONDITION_AVAILABLE]);
    if (bucket_status_body(p, item, f, &set, &body, err) < 0)
        return -1;
    const struct kube_call call =
        status_write_call(&kube_sqlite_buckets, &item->bucket->meta, buf_slice(&body));
    return kube_start(p->b->context.client, &call, on_bucket_status, p, &p->request, err);
}

static void on_result(void *arg, const struct job_result *result)
{
    struct bucket_pass *p = arg;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct finding f = {0};
    struct error err = ERROR_INIT;
    struct error ignored = ERROR_INIT; /* no document: the message itself is what there is to say */

    p->result = NULL;
    if (result->err->code != ERR_NONE) {
        bucket_pass_fail(p, "result", result->err);
        return;
    }
    if (jsonval_parse(&doc, "probe", slice_of_str(result->message), &ignored) < 0 ||
        finding_read(jsonval_first(jsonval_root(&doc)), &f, &ignored) < 0)
        f = (struct finding){0};
    const struct bucket_item *item = bucket_pass_item(p);
    if (item && bucket_status_apply(p, item, &f, result->message, &err) < 0)
        bucket_pass_fail(p, "status", &err);
}

int probe_result_begin(struct bucket_pass *p, const struct bucket_item *item, const char *job,
                       struct error *err)
{
    return job_result_start(p->b->context.client, item->bucket->meta.namespace_name, job, on_result,
                            p, &p->result, err);
}
