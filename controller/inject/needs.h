/*
 * What a destination needs in a pod beside the configuration: the Secret with its credentials,
 * certificates, an encryption key, or the claim of a file destination. The same for injected pods
 * and for Jobs of ours.
 */
#ifndef WALFERRY_CONTROLLER_INJECT_NEEDS_H
#define WALFERRY_CONTROLLER_INJECT_NEEDS_H

#include "controller/api/api.h"
#include "lib/base/base.h"
#include "lib/json/json.h"

enum {
    NEEDS_MAX = 4, /* volumes of one destination */
};

/*
 * Adds the mounts of a destination to an array that is open. The claim of one that is only restored
 * from cannot be written to. destination_idx tells its volumes from
 * those of others (by number: names of destinations may be as long as names of volumes).
 */
void needs_write_mounts(const struct api_store *store, bool is_read_only, size_t destination_idx,
                        const char *destination, struct json_writer *w);

/*
 * Writes the volumes behind them, a JSON object each, into out[0..*out_count); their maxima are the
 * caller's. ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int needs_write_volumes(const struct api_store *store, size_t destination_idx,
                                 struct buf *out, size_t out_max, size_t *out_count,
                                 struct error *err);

/* The source of a volume, read by everybody: without an fsGroup the files belong to root, and the
 * pod's user is another. kind "secret", name_key "secretName"; or "configMap", "name". */
void needs_write_source(struct json_writer *w, const char *kind, const char *name_key,
                        const char *name);

#endif
