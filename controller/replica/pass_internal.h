/*
 * A pass over a SqliteReplica, for pass.c (its steps) and view.c (what it has seen).
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_PASS_INTERNAL_H
#define WALFERRY_CONTROLLER_REPLICA_PASS_INTERNAL_H

#include "controller/replica/job_result.h"
#include "controller/replica/reconcile_internal.h"

/* One pod's answer. */
struct sight {
    struct pass *pass;
    char uid[64];
    struct observed *seen; /* NULL: no answer */
    struct error err;      /* why not; ERR_NONE: not over yet */
};

struct pass {
    struct reconcile *r;
    char *key;
    struct kube_request *request; /* under way; NULL: none */
    uint64_t crc;                 /* of the body that is being written */
    uint64_t cron_generation;     /* that the CronJob is marked with */
    unsigned cron_write_count;    /* of the CronJob in this pass */
    struct error config_err;      /* why no configuration can be made; ERR_NONE: there is one */
    struct verification verified; /* how the last one ended; as in the cache, or newer */
    uint64_t job_created_ns, job_finished_ns; /* of the Job whose result is being read */
    bool has_job_failed;
    unsigned made;   /* bit N: the bucket of destination N is known to be there */
    size_t make_idx; /* the destination that is looked at */
    char make_reason[CONDITION_REASON_BYTES]; /* why a bucket could not be made; "" : none */
    char make_text[CONDITION_MESSAGE_BYTES];
    struct rollout *rollout; /* under way, and what it came to; NULL: nobody asked for one */
    bool owes_status;        /* there is something new to say, and it was too soon to say it */
    struct sight sights[JUDGE_PODS_MAX];
    size_t sight_count;
    size_t pending_count; /* scrapes under way */
    size_t unheard_count; /* running sidecars that nobody listens to */
};

/* A view and what it borrows, and what was judged. Large: on the heap. */
struct writing {
    struct replica_view view;
    struct replica_outcome outcome;
    const struct bucket_item *found[BUCKETS_MAX];
    const struct api_bucket *buckets[BUCKETS_MAX];
    size_t bucket_count;
    char spec_hash[INJECT_HASH_BYTES];
    char rival[INFORMER_KEY_BYTES];
};

/*
 * Step 2 of a pass: buckets that are to be made (createBucket). Leads to verify_begin().
 * make_bucket.c
 */
void make_bucket_begin(struct pass *p);

/*
 * Step 3 of a pass: the CronJob that verifies, and what its last Job found. Leads to
 * pass_after_verify(). verify.c
 */
void verify_begin(struct pass *p);
void pass_after_verify(struct pass *p);

/*
 * Step 4 of a pass: rollout: Auto, for pods that an earlier spec has injected. Leads to
 * pass_after_rollout(). rollout.c
 */
void rollout_begin(struct pass *p);
void pass_after_rollout(struct pass *p);

/* What it came to, a sentence for the condition Injected; NULL: nobody asked for it. */
const char *rollout_text(const struct rollout *r);
/* Whether pods are to be made anew, so that this has to be looked at again. */
bool rollout_is_pending(const struct rollout *r);
void rollout_free(struct rollout *r);

/* Logs, and ends the pass to be tried again. */
void pass_fail(struct pass *p, const char *what, const struct error *err);

/* The resource, as the cache has it now. NULL: it is gone, and the pass has ended. */
const struct replica_item *pass_item(struct pass *p);

/* The newest verification Job of a resource that the cache knows; NULL: none. */
const struct job_item *verify_job(const struct reconcile *r, const struct api_meta *meta);

/*
 * Fills w->view from the caches and the pass's answers; borrowed until the loop turns.
 * ERR_NO_MEMORY, ERR_LIMIT, ERR_NOT_FOUND (a bucket went away meanwhile).
 */
MUST_USE int view_build(const struct pass *p, const struct replica_item *item, struct writing *w,
                        struct error *err);

#endif
