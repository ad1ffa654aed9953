/*
 * Proving a restored state as a whole, and recording it for replication.
 *
 * Each object was proven by its file checksum. That the *right* objects were applied in the right
 * order is proven by the database checksum, which the last object of a walferry replica has in its
 * extension (and a LiteFS file in its trailer). Litestream's objects have none.
 */
#ifndef WALFERRY_SIDECAR_RESTORE_VERIFY_STATE_H
#define WALFERRY_SIDECAR_RESTORE_VERIFY_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/ltx/ltx.h"
#include "sidecar/restore/write.h"

/*
 * Compares the checksum of what was written with that recorded in the newest object.
 *
 * out_is_recorded  whether there is one to compare with
 *
 * ERR_CORRUPT names both.
 */
MUST_USE int verify_state_checksum(const struct output *o, const struct ltx_header *tip,
                                   const struct ltx_trailer *tip_trailer, bool *out_is_recorded,
                                   struct error *err);

/*
 * Publishes the page map of a database that was swapped in.
 *
 * identity          header of the object that replication will find at this TXID
 * identity_trailer  its trailer
 * tip_txid          where the replica ends; beyond the identity: this is a rewind
 *
 * Errors of the file system.
 */
MUST_USE int verify_state_publish(struct output *o, const struct ltx_header *identity,
                                  const struct ltx_trailer *identity_trailer, uint64_t tip_txid,
                                  struct error *err);

#endif
