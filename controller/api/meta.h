/*
 * The part of ObjectMeta that walferry looks at, the same for every resource.
 */
#ifndef WALFERRY_CONTROLLER_API_META_H
#define WALFERRY_CONTROLLER_API_META_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/json/json_writer.h"
#include "lib/json/jsonval.h"

struct api_meta {
    char *namespace_name;
    char *name;
    char *uid;
    char *resource_version;
    uint64_t generation;
    uint64_t created_ns; /* moment; 0: not known */
    bool is_deleted;     /* deletionTimestamp is set: it is going */
};

/*
 * Reads metadata of a resource. name must be there; a namespace may not (admission): then "".
 * ERR_CORRUPT with the place, ERR_NO_MEMORY. The caller destroys out.
 */
MUST_USE int api_meta_parse(struct jsonval resource, struct api_meta *out, struct error *err);
void api_meta_destroy(struct api_meta *meta);

/* Adds "ownerReferences": [...] with a resource of ours as the controlling owner, so that Kubernetes
 * deletes the object with it; nothing waits for that. */
void api_owner_write(struct json_writer *w, const char *kind, const char *name, const char *uid);

#endif
