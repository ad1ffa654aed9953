/*
 * One restore in place at a time for a SqliteReplica: status.restore of the SqliteReplica names it.
 *
 *   taken       before anything is stopped: nobody else's restore interferes, and the webhook admits
 *               no pods of the resource
 *   podsMayRun  the replica is at the wanted state: pods are admitted, the lock is still ours
 *   released    when the restore is over, or is gone
 *
 * It is written by merge patches that carry the version of the SqliteReplica that was looked at: of
 * two writers one gets a conflict. Who holds it is known by the UID, so a restore of the same name
 * that was made anew is somebody else.
 */
#include <string.h>

#include "controller/replica/restore_internal.h"

enum restore_lock restore_lock_look(const struct restore_pass *p, const struct api_restore *r,
                                    const struct replica_item *source)
{
    const struct api_replica *s = source->replica;

    if (!s->status.restore.name || !s->status.restore.uid)
        return RESTORE_LOCK_FREE;
    if (strcmp(s->status.restore.uid, r->meta.uid) == 0)
        return RESTORE_LOCK_OURS;
    const struct restore_item *holder =
        informer_get(p->r->restores, s->meta.namespace_name, s->status.restore.name);
    bool is_alive = holder && strcmp(holder->restore->meta.uid, s->status.restore.uid) == 0 &&
                    !holder->restore->meta.is_deleted && !holder->restore->status.is_complete &&
                    !holder->restore->status.is_failed;
    return is_alive ? RESTORE_LOCK_OTHERS : RESTORE_LOCK_FREE;
}

static int body_make(const struct replica_item *source, const struct api_restore *r,
                     bool pods_may_run, struct buf *out, struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_object(&w, "metadata");
    json_writer_str(&w, "resourceVersion", source->replica->meta.resource_version);
    json_writer_end(&w);
    json_writer_object(&w, "status");
    if (r) {
        json_writer_object(&w, "restore");
        json_writer_str(&w, "name", r->meta.name);
        json_writer_str(&w, "uid", r->meta.uid);
        json_writer_bool(&w, "podsMayRun", pods_may_run);
        json_writer_end(&w);
    } else {
        json_writer_str(&w, "restore", NULL);
    }
    json_writer_end(&w);
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

static void on_written(void *arg, const struct kube_answer *answer)
{
    struct restore_pass *p = arg;

    p->request = NULL;
    if (answer->err->code != ERR_NONE && answer->err->code != ERR_NOT_FOUND)
        restore_pass_fail(p, "lock", answer->err);
    else
        restore_pass_end(p, QUEUE_DONE, 0); /* the change will be heard of */
}

int restore_lock_write(struct restore_pass *p, const struct replica_item *source,
                       const struct api_restore *r, bool pods_may_run, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(4096);

    if (body_make(source, r, pods_may_run, &body, err) < 0)
        return -1;
    const struct kube_call call = {.verb = KUBE_MERGE_PATCH,
                                   .resource = &kube_sqlite_replicas,
                                   .namespace_name = source->replica->meta.namespace_name,
                                   .name = source->replica->meta.name,
                                   .subresource = "status",
                                   .body = buf_slice(&body),
                                   .field_manager = RESTORE_MANAGER};
    return kube_start(p->r->context.client, &call, on_written, p, &p->request, err);
}

static void source_take(void *arg, const char *key UNUSED, const void *item)
{
    *(const struct replica_item **)arg = item;
}

int restore_lock_orphan(struct restore_pass *p, struct error *err)
{
    const struct replica_item *source = NULL;

    informer_each_in(p->r->replicas, REPLICAS_BY_RESTORE, p->key, source_take, (void *)&source);
    if (!source) {
        restore_pass_end(p, QUEUE_DONE, 0);
        return 0;
    }
    return restore_lock_write(p, source, NULL, false, err);
}
