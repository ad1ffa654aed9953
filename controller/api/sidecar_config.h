/*
 * A SqliteReplica as the configuration file that its sidecars read, one text for all its pods: what
 * differs between pods ($POD_NAME) is expanded by the sidecar from its environment. Nothing secret
 * is in it: credentials are files of mounted Secrets, named here by path.
 *
 * The text depends on nothing but the arguments, byte for byte, so that applying it again changes
 * nothing.
 */
#ifndef WALFERRY_CONTROLLER_API_SIDECAR_CONFIG_H
#define WALFERRY_CONTROLLER_API_SIDECAR_CONFIG_H

#include "controller/api/replica.h"

enum {
    API_CONFIG_BYTES_MAX = 512 << 10, /* a ConfigMap takes 1 MiB */
};

/*
 * Adds the file to out. buckets: see api_destination_store(). A destination whose bucket is ReadOnly
 * becomes one that sidecars only restore from (sync-interval: never).
 * ERR_NOT_FOUND a SqliteBucket is missing, ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int api_sidecar_config(const struct api_replica *replica,
                                const struct api_bucket *const *buckets, size_t bucket_count,
                                struct buf *out, struct error *err);

#endif
