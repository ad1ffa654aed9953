/*
 * The record of a lease: what lies in "lease/<number>" below a prefix (bucket_lease.h).
 *
 *     {"owner": "0a1b2c3d", "holder": "node-7", "expires_ms": 1790000000000}
 *
 * owner       the writer's, as in the LTX files (replica-format.md)
 * holder      for people: the name of its machine
 * expires_ms  wall clock of the holder, since 1970
 *
 * Threads: any.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_LEASE_RECORD_H
#define WALFERRY_SIDECAR_ENGINE_LEASE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/storage/storage.h"

#define LEASE_PREFIX "lease/"

enum {
    LEASE_KEY_BYTES = 24,          /* of a key, with terminator */
    LEASE_HOLDER_BYTES = 65,       /* with terminator; longer names are cut */
    LEASE_RECORD_BYTES_MAX = 1024, /* of the whole record */
};

struct lease_record {
    uint32_t owner;
    uint64_t expires_ms;
    char holder[LEASE_HOLDER_BYTES];
};

/* Appends the record to out. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int lease_record_write(const struct lease_record *record, struct buf *out,
                                struct error *err);

/* ERR_CORRUPT names the place. Members that are not known are passed over. */
MUST_USE int lease_record_parse(struct slice text, struct lease_record *out, struct error *err);

/* The key of a number, from 1: "lease/<16 hex digits>". Returns out. */
const char *lease_key_format(uint64_t number, char out[static LEASE_KEY_BYTES]);

/* False for a name that is no lease. */
bool lease_key_parse(const char *key, uint64_t *out_number);

#endif
