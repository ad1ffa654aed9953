/*
 * The ConfigMap by which a configuration reaches pods: owned by its resource, so it goes with it.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_CONFIG_MAP_H
#define WALFERRY_CONTROLLER_REPLICA_CONFIG_MAP_H

#include "controller/api/meta.h"
#include "lib/base/base.h"

/*
 * Adds the body of a server-side apply. owner is the resource of walferry.dev it belongs to, of
 * this kind. ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int config_map_body(const struct api_meta *owner, const char *owner_kind, const char *name,
                             struct slice config, struct buf *out, struct error *err);

/* What is remembered of a ConfigMap: equal for equal texts and owners, else different as good as
 * always; never 0. owner_uid is that of its first owner. */
uint64_t config_map_sum(struct slice config, const char *owner_uid);

#endif
