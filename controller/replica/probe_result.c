/*
 * What a probe found, as the status of its SqliteBucket.
 */
#include <string.h>

#include "controller/replica/bucket_internal.h"
#include "controller/replica/finding.h"

/* Without delete everything works but retention, which says so itself. */
static bool is_usable(const struct bucket_item *item, const struct finding *f)
{
    return f->is_available || strcmp(f->reason, "DeleteDenied") == 0 ||
           (item->bucket->is_read_only && strcmp(f->reason, "ReadOnly") == 0);
}

static void conditions_make(const struct bucket_item *item, const struct finding *f,
                            struct condition_set *out)
{
    bool is_good = is_usable(item, f);
    enum condition_status status = is_good ? CONDITION_TRUE : CONDITION_FALSE;

    condition_put(out, CONDITION_AVAILABLE, status, f->reason, "%s",
                  *f->error                    ? f->error
                  : item->bucket->is_read_only ? "It was listed; nothing is written there."
                                               : "The destination was probed and can do what is "
                                                 "needed.");
    condition_put(out, CONDITION_READY, status, f->reason, "%s",
                  out->of[CONDITION_AVAILABLE].message);
    if (!is_good) {
        condition_put(out, CONDITION_STALLED, CONDITION_TRUE, f->reason, "%s",
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
    if (f->is_there) {
        json_writer_object(&w, "capabilities");
        if (!item->bucket->is_read_only)
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
                            const struct finding *f, const struct condition *c)
{
    const struct recorder_object object = {.resource = &kube_sqlite_buckets,
                                           .namespace_name = item->bucket->meta.namespace_name,
                                           .name = item->bucket->meta.name,
                                           .uid = item->bucket->meta.uid};
    bool is_bad = c->status == CONDITION_FALSE;

    if (f->has_made_bucket) {
        recorder_event(p->b->context.recorder, &object, false, "BucketCreated", "Probe",
                       "Bucket %s was created.", item->bucket->store.bucket);
    }
    if (item->marks.status[CONDITION_AVAILABLE] != (uint8_t)c->status) {
        recorder_event(p->b->context.recorder, &object, is_bad,
                       is_bad ? "DestinationUnavailable" : "DestinationAvailable", "Probe", "%s",
                       c->message);
    }
}

static int bucket_status_apply(struct bucket_pass *p, const struct bucket_item *item,
                               const struct finding *f, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(STATUS_BYTES_MAX);
    struct condition_set set = {0};

    conditions_make(item, f, &set);
    condition_set_carry(&set, &item->marks, env_wall_ns(loop_env(p->b->context.loop)));
    bucket_announce(p, item, f, &set.of[CONDITION_AVAILABLE]);
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
    struct finding f;
    struct error err = ERROR_INIT;

    if (result->err->code != ERR_NONE) {
        bucket_pass_fail(p, "result", result->err);
        return;
    }
    finding_read(&doc, result->message, &f);
    const struct bucket_item *item = bucket_pass_item(p);
    if (item && bucket_status_apply(p, item, &f, &err) < 0)
        bucket_pass_fail(p, "status", &err);
}

int probe_result_begin(struct bucket_pass *p, const struct bucket_item *item, const char *job,
                       struct error *err)
{
    return job_result_start(p->b->context.client, item->bucket->meta.namespace_name, job, on_result,
                            p, err);
}
