/*
 * A restore in place, step by step. Each step is done when its condition is True; a controller that
 * starts anywhere reads the conditions and goes on. Nothing else is remembered, and every step can
 * be done twice.
 *
 *   Locked    the SqliteReplica names this restore (restore_lock.c), and status.workloads says what
 *             is to be stopped, with its number of replicas
 *   Fenced    those are at 0 and their pods are gone (restore_fence.c)
 *   Restored  the Job has ended: `walferry rewind` has made the earlier state the newest one of the
 *   Verified  replica, under a new epoch; every page has the checksum that was recorded
 *   Resumed   pods are admitted again, the workloads are at their former number. Volumes are
 *             brought forward to the restored state before the application runs, by the restore
 *             container and the sidecar
 *   Complete  the lock is released
 *
 * What cannot go on is Failed: the application stays stopped, and the message says how to go on.
 */
#include <stdio.h>
#include <string.h>

#include "controller/replica/restore_internal.h"

/* ---- what is reached ---- */

static void fields_put(const struct restore_item *item, struct restore_outcome *o)
{
    const struct api_restore *r = item->restore;
    struct error ignored = ERROR_INIT; /* it was checked when it was read */

    o->workloads = r->status.workloads;
    o->workload_count = r->status.workload_count;
    if (o->txid[0]) /* from a report just now */
        return;
    o->bytes = r->status.bytes;
    o->seconds = r->status.seconds;
    if (r->status.txid)
        (void)snprintf(o->txid, sizeof(o->txid), "%.16s", r->status.txid);
    if (r->status.tip_txid)
        (void)snprintf(o->tip_txid, sizeof(o->tip_txid), "%.16s", r->status.tip_txid);
    if (r->status.time && time_parse_rfc3339(r->status.time, &o->timestamp_ns, &ignored) < 0)
        o->timestamp_ns = 0;
}

static void reached_one(const struct restore_item *item, enum condition_type type,
                        struct restore_outcome *o)
{
    char text[256];
    char moment[TIME_TEXT_BYTES];

    if (type == CONDITION_LOCKED) {
        condition_put(&o->conditions, type, CONDITION_TRUE, "Locked",
                      "No other restore in place touches SqliteReplica %s.", item->restore->source);
    } else if (type == CONDITION_FENCED) {
        condition_put(&o->conditions, type, CONDITION_TRUE, "Fenced",
                      "Stopped: %s. No pod is left.",
                      restore_workloads_text(o->workloads, o->workload_count, text));
    } else if (type == CONDITION_RESTORED) {
        (void)snprintf(o->message, sizeof(o->message),
                       "TXID %s of %s is the newest state of the replica, as TXID %s.", o->txid,
                       time_format_rfc3339(o->timestamp_ns, moment), o->tip_txid);
        condition_put(&o->conditions, type, CONDITION_TRUE, "Restored", "%s", o->message);
    } else if (type == CONDITION_VERIFIED) {
        condition_put(&o->conditions, type, CONDITION_TRUE, "Verified",
                      "Every page is as it was replicated.");
    } else {
        condition_put(&o->conditions, type, CONDITION_TRUE, "Resumed", "Started: %s.",
                      restore_workloads_text(o->workloads, o->workload_count, text));
    }
}

void restore_reached_put(const struct restore_item *item, enum condition_type last,
                         struct restore_outcome *o)
{
    fields_put(item, o);
    for (enum condition_type type = CONDITION_LOCKED; type <= last; type++)
        reached_one(item, type, o);
    condition_put(&o->conditions, CONDITION_RECONCILING, CONDITION_TRUE, "InProgress",
                  "The conditions tell how far it has come.");
}

/* ---- steps ---- */

static int lock_wait(struct restore_pass *p, const struct restore_item *item,
                     const struct replica_item *source, struct error *err)
{
    struct restore_outcome o = {.seconds = 0};
    const char *now = item->restore->status.message;

    (void)snprintf(o.message, sizeof(o.message), "Waiting for SqliteRestore %s of the same source.",
                   source->replica->status.restore.name);
    if (now && strcmp(now, o.message) == 0) {
        restore_pass_end(p, QUEUE_DONE, 0); /* the release will be heard of */
        return 0;
    }
    condition_put(&o.conditions, CONDITION_LOCKED, CONDITION_FALSE, "Waiting", "%s", o.message);
    return restore_status_apply(p, item, &o, err);
}

struct pods_alive {
    bool has_any;
};

static void pod_look(void *arg, const char *key UNUSED, const void *item)
{
    const struct pod_item *pod = item;

    ((struct pods_alive *)arg)->has_any |= !pod->is_finished;
}

bool restore_has_pods(const struct restore_pass *p, const struct api_restore *r)
{
    struct pods_alive pods = {false};
    char key[INFORMER_KEY_BYTES];

    informer_each_in(p->r->pods, PODS_BY_REPLICA,
                     informer_key(r->meta.namespace_name, r->source, key), pod_look, &pods);
    return pods.has_any;
}

/* Everything is stopped. */
static int job_step(struct restore_pass *p, const struct restore_item *item,
                    const struct replica_item *source, struct error *err)
{
    const struct api_restore *r = item->restore;
    char name[KUBE_NAME_BYTES_MAX + 1];
    const struct job_item *job =
        informer_get(p->r->jobs, r->meta.namespace_name, restore_job_name(r->meta.name, name));

    if (job && (job->is_complete || job->is_failed))
        return restore_result_begin(p, item, job, err);
    if (job) {
        restore_pass_end(p, QUEUE_DONE, 0); /* its end will be heard of */
        return 0;
    }
    if (restore_has_pods(p, r)) /* somebody has started them: again */
        return restore_fence(p, item, err);
    return restore_job_begin(p, item, source, err);
}

/* What the source must allow, before anything is stopped. */
static int source_check(const struct api_replica *s, struct error *err)
{
    if (s->restore.policy == API_RESTORE_NEVER) {
        return error_set(
            err, ERR_USAGE, 0,
            "SqliteReplica %s has restore.policy Never: its pods would not take up the "
            "restored state.",
            s->meta.name);
    }
    if (s->restore.target_time || s->restore.target_txid) {
        return error_set(err, ERR_USAGE, 0,
                         "SqliteReplica %s restores to a fixed state (restore.targetTime, "
                         "targetTxid): remove it first.",
                         s->meta.name);
    }
    return 0;
}

/* Nothing is stopped yet. */
static int lock_step(struct restore_pass *p, const struct restore_item *item,
                     const struct replica_item *source, enum restore_lock lock, struct error *err)
{
    if (source_check(source->replica, err) < 0 ||
        restore_check_writable(p, item->restore, source->replica, err) < 0 ||
        restore_job_check(item->restore, source->replica, err) < 0)
        return -1;
    if (lock == RESTORE_LOCK_OTHERS)
        return lock_wait(p, item, source, err);
    if (lock == RESTORE_LOCK_FREE)
        return restore_lock_write(p, source, item->restore, false, err);
    return restore_workloads_find(p, item, err);
}

int restore_in_place(struct restore_pass *p, const struct restore_item *item,
                     const struct replica_item *source, struct error *err)
{
    const uint8_t *marks = item->marks.status;
    enum restore_lock lock = restore_lock_look(p, item->restore, source);

    if (marks[CONDITION_RESTORED] == CONDITION_TRUE) {
        if (lock == RESTORE_LOCK_OURS && !source->replica->status.restore.pods_may_run)
            return restore_lock_write(p, source, item->restore, true, err);
        return restore_resume(p, item, err);
    }
    if (marks[CONDITION_LOCKED] != CONDITION_TRUE)
        return lock_step(p, item, source, lock, err);
    if (lock == RESTORE_LOCK_OTHERS) {
        return restore_refuse(
            p, item, "LockLost",
            "Another restore in place has begun, although this one had not ended.", err);
    }
    if (lock == RESTORE_LOCK_FREE) /* somebody has removed it */
        return restore_lock_write(p, source, item->restore, false, err);
    if (marks[CONDITION_FENCED] != CONDITION_TRUE)
        return restore_fence(p, item, err);
    return job_step(p, item, source, err);
}
