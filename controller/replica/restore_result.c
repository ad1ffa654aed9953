/*
 * How a SqliteRestore ended: conditions, what was restored, and an event.
 */
#include <stdio.h>
#include <string.h>

#include "controller/replica/restore_internal.h"

static void workloads_write(struct json_writer *w, const struct restore_outcome *o)
{
    json_writer_array(w, "workloads");
    for (size_t i = 0; i < o->workload_count; i++) {
        json_writer_object(w, NULL);
        json_writer_str(w, "kind", o->workloads[i].kind);
        json_writer_str(w, "name", o->workloads[i].name);
        json_writer_u64(w, "replicas", o->workloads[i].replicas);
        json_writer_end(w);
    }
    json_writer_end(w);
}

static int body_make(const struct api_meta *meta, const struct restore_outcome *o, struct buf *out,
                     struct error *err)
{
    struct json_writer w;

    status_write_begin(&w, out, &kube_sqlite_restores, meta);
    status_write_text(&w, "restoredTxid", o->txid);
    status_write_text(&w, "tipTxid", o->tip_txid);
    if (o->workload_count > 0)
        workloads_write(&w, o);
    status_write_time(&w, "restoredTime", o->timestamp_ns);
    if (o->bytes)
        json_writer_u64(&w, "bytes", o->bytes);
    json_writer_u64(&w, "durationSeconds", o->seconds);
    json_writer_str(&w, "message", o->message);
    return status_write_end(&w, &o->conditions, meta, err);
}

static void on_status(void *arg, const struct kube_answer *answer)
{
    struct restore_pass *p = arg;

    p->request = NULL;
    if (answer->err->code != ERR_NONE && answer->err->code != ERR_NOT_FOUND)
        restore_pass_fail(p, "status", answer->err);
    else
        restore_pass_end(p, QUEUE_DONE, 0);
}

/* People hear of the end only; what comes before is in the conditions. */
static void end_announce(struct restore_pass *p, const struct api_meta *meta,
                         const struct restore_outcome *o)
{
    const struct recorder_object object = {.resource = &kube_sqlite_restores,
                                           .namespace_name = meta->namespace_name,
                                           .name = meta->name,
                                           .uid = meta->uid};
    bool is_bad = o->conditions.of[CONDITION_FAILED].status == CONDITION_TRUE;

    if (is_bad || o->conditions.of[CONDITION_COMPLETE].status == CONDITION_TRUE) {
        recorder_event(p->r->context.recorder, &object, is_bad,
                       is_bad ? "RestoreFailed" : "RestoreCompleted", "Restore", "%s", o->message);
    }
}

int restore_status_apply(struct restore_pass *p, const struct restore_item *item,
                         struct restore_outcome *o, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(STATUS_BYTES_MAX);
    const struct api_meta *meta = &item->restore->meta;

    condition_set_carry(&o->conditions, &item->marks, env_wall_ns(loop_env(p->r->context.loop)));
    if (body_make(meta, o, &body, err) < 0)
        return -1;
    end_announce(p, meta, o);
    const struct kube_call call = status_write_call(&kube_sqlite_restores, meta, buf_slice(&body));
    return kube_start(p->r->context.client, &call, on_status, p, &p->request, err);
}

/* In place: what was reached stays told, and how to go on. */
static void failed_in_place(const struct restore_item *item, const char *text,
                            struct restore_outcome *o)
{
    enum condition_type last = CONDITION_LOCKED;
    char stopped[256];

    if (item->marks.status[last] != CONDITION_TRUE) {
        (void)snprintf(o->message, sizeof(o->message), "%.400s Nothing was stopped.", text);
        return;
    }
    while (last < CONDITION_RESUMED && item->marks.status[last + 1] == CONDITION_TRUE)
        last++;
    restore_reached_put(item, last, o);
    (void)snprintf(
        o->message, sizeof(o->message),
        "%.250s The application stays stopped: %s. Create another SqliteRestore, or scale "
        "it up to go on with the replica as it is.",
        text, restore_workloads_text(o->workloads, o->workload_count, stopped));
}

static void failed_put(const struct restore_item *item, struct restore_outcome *o,
                       const char *reason, const char *text)
{
    if (item->restore->mode == API_RESTORE_IN_PLACE) {
        failed_in_place(item, text, o);
        condition_put(&o->conditions, CONDITION_RECONCILING, CONDITION_FALSE, reason,
                      "It is over.");
    } else {
        (void)snprintf(o->message, sizeof(o->message), "%.510s", text);
    }
    condition_put(&o->conditions, CONDITION_FAILED, CONDITION_TRUE, reason, "%s", o->message);
    condition_put(&o->conditions, CONDITION_STALLED, CONDITION_TRUE, reason, "%s", o->message);
}

int restore_refuse(struct restore_pass *p, const struct restore_item *item, const char *reason,
                   const char *text, struct error *err)
{
    struct restore_outcome o = {.seconds = 0};

    failed_put(item, &o, reason, text);
    return restore_status_apply(p, item, &o, err);
}

/* ---- the report of `walferry restore -json` ---- */

static int report_read(struct jsonval report, struct restore_outcome *o, struct error *err)
{
    const char *txid;
    const char *tip;
    const char *moment;

    if (jsonval_str(jsonval_get(report, "txid"), &txid, err) < 0 ||
        jsonval_str_or(jsonval_get(report, "tip_txid"), "", &tip, err) < 0 ||
        jsonval_str(jsonval_get(report, "timestamp"), &moment, err) < 0 ||
        time_parse_rfc3339(moment, &o->timestamp_ns, err) < 0 ||
        jsonval_u64_or(jsonval_get(report, "bytes"), 0, &o->bytes, err) < 0)
        return -1;
    (void)snprintf(o->txid, sizeof(o->txid), "%.16s", txid);
    (void)snprintf(o->tip_txid, sizeof(o->tip_txid), "%.16s", tip);
    return 0;
}

static void done_put(const struct restore_item *item, struct restore_outcome *o)
{
    const struct api_restore *r = item->restore;
    char moment[TIME_TEXT_BYTES];

    if (r->mode == API_RESTORE_IN_PLACE) {
        restore_reached_put(item, CONDITION_VERIFIED, o);
        return;
    }
    (void)snprintf(o->message, sizeof(o->message), "TXID %s of %s was restored%s.", o->txid,
                   time_format_rfc3339(o->timestamp_ns, moment),
                   r->mode == API_RESTORE_VERIFY ? ", checked, and thrown away" : "");
    condition_put(&o->conditions, CONDITION_RESTORED, CONDITION_TRUE, "Restored", "%s", o->message);
    condition_put(&o->conditions, CONDITION_VERIFIED, CONDITION_TRUE, "Verified",
                  "Every page is as it was replicated.");
    condition_put(&o->conditions, CONDITION_COMPLETE, CONDITION_TRUE, "Complete", "%s", o->message);
}

static void on_report(void *arg, const struct job_result *result)
{
    struct restore_pass *p = arg;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct restore_outcome o = {.seconds = (p->job_finished_ns - p->job_created_ns) / NS_PER_SEC};
    struct error err = ERROR_INIT;

    if (result->err->code != ERR_NONE) {
        restore_pass_fail(p, "result", result->err);
        return;
    }
    const struct restore_item *item = restore_pass_item(p);
    if (!item)
        return;
    if (p->has_job_failed) {
        failed_put(item, &o, "RestoreFailed",
                   *result->message ? result->message : "The Job ended without saying why.");
    } else if (jsonval_parse(&doc, "report", slice_of_str(result->message), &err) < 0 ||
               report_read(jsonval_root(&doc), &o, &err) < 0)
        failed_put(item, &o, "NoReport", err.text);
    else
        done_put(item, &o);
    error_clear(&err);
    if (restore_status_apply(p, item, &o, &err) < 0)
        restore_pass_fail(p, "status", &err);
}

int restore_result_begin(struct restore_pass *p, const struct restore_item *item,
                         const struct job_item *job, struct error *err)
{
    p->job_created_ns = job->created_ns;
    p->job_finished_ns = job->finished_ns;
    p->has_job_failed = job->is_failed;
    return job_result_start(p->r->context.client, item->restore->meta.namespace_name, job->name,
                            on_report, p, err);
}
