/*
 * Writing the status of a resource of ours: the document around it, and the apply.
 *
 *     status_write_begin(&w, &body, &kube_sqlite_buckets, meta);
 *     json_writer_...                      the fields of the status
 *     status_write_end(&w, &conditions, meta, err)
 *     call = status_write_call(&kube_sqlite_buckets, meta, buf_slice(&body));  and kube_start()
 *
 * Everything that is ours is written every time: what is left out is removed by the apply.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_STATUS_WRITE_H
#define WALFERRY_CONTROLLER_REPLICA_STATUS_WRITE_H

#include "controller/api/meta.h"
#include "controller/kube/kube.h"
#include "controller/replica/condition.h"

#define RECONCILE_MANAGER "walferry-controller" /* field manager of server-side apply */

enum {
    STATUS_BYTES_MAX = 512 << 10
};

/* Begins a document in out, up to the open object "status", with its observedGeneration. */
void status_write_begin(struct json_writer *w, struct buf *out,
                        const struct kube_resource *resource, const struct api_meta *meta);

/* Adds the conditions and ends the document. ERR_LIMIT, ERR_NO_MEMORY, of all that was written. */
MUST_USE int status_write_end(struct json_writer *w, const struct condition_set *conditions,
                              const struct api_meta *meta, struct error *err);

/* Adds a moment without its fraction (metav1.Time has none); nothing for 0. */
void status_write_time(struct json_writer *w, const char *key, uint64_t ns);

/* Adds a text; nothing for "" and NULL. */
void status_write_text(struct json_writer *w, const char *key, const char *text);

/* The apply of such a document, for kube_start(); everything is borrowed. */
struct kube_call status_write_call(const struct kube_resource *resource,
                                   const struct api_meta *meta, struct slice body);

#endif
