/*
 * From what was seen to what is said: conditions and figures of a SqliteReplica. Pure functions, a
 * file per concern, run from one ordered table (judge.c); a test is a table of views and conditions.
 *
 *   destination.c    DestinationAvailable   can the store be reached, and may we write there
 *   injected.c       Injected               does every pod have the sidecar of the current spec
 *   replicating.c    Replicating, WithinLagObjective, RetentionEnforced, and the figures
 *   single_writer.c  SingleWriter           one writer a prefix
 *   verified.c       RestoreVerified        did a real restore succeed lately
 *   judge.c          Ready, Reconciling, Stalled: from those above
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_JUDGE_H
#define WALFERRY_CONTROLLER_REPLICA_JUDGE_H

#include "controller/replica/condition.h"
#include "controller/replica/kinds.h"
#include "controller/replica/observed.h"

enum {
    JUDGE_PODS_MAX = 64, /* looked at one by one; beyond, the resource says so */
    JUDGE_ROWS_MAX = 64, /* databases listed in status */
};

/* A pod as seen now; borrowed. */
struct pod_view {
    const struct pod_item *pod;
    const struct observed *seen; /* NULL: no answer, or not asked */
    const char *scrape_error;    /* why not; NULL: not asked */
};

struct replica_view {
    const struct replica_item *item;
    struct pod_view pods[JUDGE_PODS_MAX]; /* without finished ones */
    size_t pod_count;
    size_t pod_total;         /* also those beyond JUDGE_PODS_MAX */
    const char *spec_hash;    /* what pods should carry; NULL: config_error */
    const char *config_error; /* why no configuration can be made; NULL: there is one */
    const struct bucket_item *unavailable_bucket; /* one that says no; NULL: none does */
    bool is_bucket_unprobed;                      /* one has not been looked at yet */
    unsigned made;           /* bit N: the bucket of destination N was made, or was there */
    const char *make_reason; /* why one could not be made; NULL: none */
    const char *make_text;
    unsigned read_only;       /* bit N: destination N is only restored from */
    const char *prefix_rival; /* "namespace/name" that writes to the same prefix; NULL: none */
    struct verification verified;
    bool is_verification_running;
    const char *rollout; /* what rollout: Auto did for outdated pods; NULL: nobody asked for it */
    uint64_t verification_due_ns;     /* when the schedule asked for one last; 0: never */
    uint64_t verification_since_ns;   /* since when there is a schedule; 0: there is none yet */
    const char *verification_refusal; /* why the API server does not take it; NULL: it does */
    uint64_t now_ns;
};

/* A line of status.databases[]. */
struct database_row {
    const char *pod;      /* borrowed from the view */
    const char *database; /* its name in the spec, else its path */
    const struct observed_database *seen;
    uint64_t lag_seconds; /* quantised */
};

struct replica_outcome {
    struct condition_set conditions;
    size_t desired_pods;
    size_t injected_pods;
    bool has_lag; /* max_lag_seconds is known */
    uint64_t max_lag_seconds;
    uint64_t oldest_restore_ns; /* 0: unknown; of all databases the latest of these: */
    uint64_t newest_restore_ns; /* every database can be restored to any moment between */
    uint64_t snapshot_ns;
    uint64_t stored_bytes;
    uint64_t stored_objects;
    struct database_row rows[JUDGE_ROWS_MAX];
    size_t row_count;
};

/* Judges everything, in order. out is large: allocate it. */
void judge(const struct replica_view *view, struct replica_outcome *out);

/* Whether the resource is only there to be restored from: its first destination is ReadOnly. */
bool judge_is_source(const struct replica_view *view);

/* ---- the concerns, for judge() and tests ---- */

/* DestinationAvailable: the bucket's probe, else what the sidecars' own requests met. */
void judge_destination(const struct replica_view *view, struct replica_outcome *out);
/* Injected, and the numbers of pods. */
void judge_injected(const struct replica_view *view, struct replica_outcome *out);
/* Replicating, WithinLagObjective, RetentionEnforced; collects the rows and the figures. */
void judge_replicating(const struct replica_view *view, struct replica_outcome *out);
/* SingleWriter; reads the rows, so it comes after judge_replicating(). */
void judge_single_writer(const struct replica_view *view, struct replica_outcome *out);
/* Whether a pod was injected by another spec than the view's. */
bool judge_is_outdated(const struct pod_item *pod, const char *spec_hash);
/*
 * The longest time between two moments of a cron schedule, by which of its fields say "any": an
 * upper bound, an hour, a day, a week, a month or a year.
 */
uint64_t judge_cron_period_ns(const char *schedule);
/* RestoreVerified; absent when nobody asked for verification. */
void judge_verified(const struct replica_view *view, struct replica_outcome *out);

/*
 * Lag in steps (0, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, then whole hours), rounded up, so
 * that a status does not change with every look.
 */
uint64_t judge_lag_quantised(uint64_t lag_ns);

#endif
