/*
 * The frame that all statuses have in common.
 */
#include "controller/replica/status_write.h"

#include "controller/api/api.h"

void status_write_begin(struct json_writer *w, struct buf *out,
                        const struct kube_resource *resource, const struct api_meta *meta)
{
    json_writer_init(w, out, JSON_COMPACT);
    json_writer_object(w, NULL);
    json_writer_str(w, "apiVersion", API_GROUP "/" API_VERSION);
    json_writer_str(w, "kind", resource->kind);
    json_writer_object(w, "metadata");
    json_writer_str(w, "namespace", meta->namespace_name);
    json_writer_str(w, "name", meta->name);
    json_writer_end(w);
    json_writer_object(w, "status");
    json_writer_u64(w, "observedGeneration", meta->generation);
}

int status_write_end(struct json_writer *w, const struct condition_set *conditions,
                     const struct api_meta *meta, struct error *err)
{
    condition_set_write(conditions, meta->generation, w);
    json_writer_end(w);
    json_writer_end(w);
    return json_writer_finish(w, err);
}

void status_write_time(struct json_writer *w, const char *key, uint64_t ns)
{
    if (ns > 0)
        json_writer_time(w, key, ns / NS_PER_SEC * NS_PER_SEC);
}

void status_write_text(struct json_writer *w, const char *key, const char *text)
{
    if (text && text[0])
        json_writer_str(w, key, text);
}

struct kube_call status_write_call(const struct kube_resource *resource,
                                   const struct api_meta *meta, struct slice body)
{
    return (struct kube_call){
        .verb = KUBE_APPLY,
        .resource = resource,
        .namespace_name = meta->namespace_name,
        .name = meta->name,
        .subresource = "status",
        .body = body,
        .field_manager = RECONCILE_MANAGER,
    };
}
