/*
 * SqliteRestore (short name sqlrr): one restore of one database of a SqliteReplica, once. Its spec
 * never changes.
 */
#ifndef WALFERRY_CONTROLLER_API_RESTORE_H
#define WALFERRY_CONTROLLER_API_RESTORE_H

#include "controller/api/meta.h"
#include "controller/api/replica.h"

enum {
    API_RESTORE_WORKLOADS_MAX = 16,
};

enum api_restore_mode {
    API_RESTORE_IN_PLACE, /* the replica itself goes back, its application is stopped meanwhile */
    API_RESTORE_TO_CLAIM, /* into a PersistentVolumeClaim */
    API_RESTORE_VERIFY,   /* restored, checked, thrown away */
};

/* What was stopped for a restore in place. */
struct api_workload {
    char *kind; /* "Deployment", "StatefulSet" */
    char *name;
    uint64_t replicas; /* as they were before */
};

struct api_restore {
    struct api_meta meta;
    char *source;      /* name of the SqliteReplica */
    char *database;    /* its database; NULL: the only one */
    char *destination; /* restore from this one; NULL: each in turn */
    char *pod_name;    /* whose prefix, where prefixes are per pod; NULL: none */
    enum api_restore_mode mode;
    char *target_time; /* RFC 3339; NULL: the newest */
    char *target_txid; /* 16 hex digits; NULL: the newest */
    enum api_integrity integrity;
    char *claim;           /* ToClaim: the claim and ... */
    char *path;            /* ... the file in it, relative */
    char *service_account; /* of the Job; NULL: the application's */
    uint64_t ttl_after_finished_ns;
    bool has_ttl;
    struct {
        uint64_t observed_generation;
        bool is_complete;     /* condition Complete is True */
        bool is_failed;       /* condition Failed is True */
        uint64_t finished_ns; /* when one of them became so; 0: not yet */
        struct api_workload *workloads;
        size_t workload_count;
        char *txid;     /* what was restored; NULL: nothing yet */
        char *tip_txid; /* what it is in the replica now (in place); NULL: nothing yet */
        char *time;     /* the moment that was restored, RFC 3339 */
        char *message;
        uint64_t bytes;
        uint64_t seconds;
    } status;
};

/* ERR_CORRUPT with the place, ERR_NO_MEMORY. *out is freed by api_restore_free(). */
MUST_USE int api_restore_parse(struct jsonval resource, struct api_restore **out,
                               struct error *err);
void api_restore_free(struct api_restore *restore);

/* For CLEANUP on a struct api_restore *. */
void api_restore_cleanup(struct api_restore **restore);

#endif
