/*
 * What a sidecar says of itself: the answer of its /status (sidecar/control/status_json.h), as far
 * as the controller reports it. One database may have several destinations; what counts for the
 * resource is the worst of them, and the primary's (the first's) TXID and restore window.
 *
 * The answer comes from a pod, so from anybody: bounded, parsed once, fuzzed.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_OBSERVED_H
#define WALFERRY_CONTROLLER_REPLICA_OBSERVED_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/json/json.h"

enum {
    OBSERVED_DATABASES_MAX = 16, /* as many as a SqliteReplica can have */
    OBSERVED_ERROR_BYTES = 256,
    OBSERVED_BYTES_MAX = 1 << 20, /* of an answer */
};

/* In the order of badness: the worst destination speaks for the database. */
enum observed_state {
    OBSERVED_FOLLOWING, /* attached and shipping what there is */
    OBSERVED_STARTING,  /* opening, attaching, comparing */
    OBSERVED_BACKOFF,   /* a request failed; tried again by itself */
    OBSERVED_ABSENT,    /* the application has not made it yet */
    OBSERVED_NOT_WAL,
    OBSERVED_DISK_FULL,
    OBSERVED_UNFOLLOWABLE, /* exclusive locking, network file system, moved, torn, damaged */
    OBSERVED_REFUSED,      /* descent is not proven: a person decides */
    OBSERVED_FENCED,       /* another writer won */
};

struct observed_database {
    char name[64];
    char path[1024];
    enum observed_state state;
    char error[OBSERVED_ERROR_BYTES]; /* "" : none */
    char txid[17];                    /* local; "" : none yet */
    char replicated_txid[17];         /* the primary's acknowledged one; "" : none */
    uint64_t lag_ns;                  /* the worst destination's */
    uint64_t lag_bytes;
    uint64_t last_sync_ns; /* 0: never */
    uint64_t db_bytes;
    uint64_t wal_bytes;
    uint64_t oldest_restore_ns; /* the primary's window; 0: nothing restorable yet */
    uint64_t newest_restore_ns;
    uint64_t snapshot_ns;
    uint64_t stored_bytes; /* at all destinations */
    uint64_t stored_objects;
    uint64_t retention_errors;
    char retention_error[OBSERVED_ERROR_BYTES];
    char fenced_by[32];    /* "epoch 7, owner 0badcafe"; "" : not fenced */
    bool has_weak_fencing; /* a destination cannot create conditionally */
};

struct observed {
    char version[64]; /* of the status, in the words of its ETag; "": it told none (scrape.c) */
    size_t database_count;
    struct observed_database databases[OBSERVED_DATABASES_MAX];
};

/*
 * Reads an answer. ERR_CORRUPT with the place, ERR_LIMIT (size, number of databases), ERR_NO_MEMORY.
 * *out is large: on the heap, freed by free().
 */
MUST_USE int observed_parse(struct slice answer, struct observed **out, struct error *err);

#endif
