/*
 * Replicating, WithinLagObjective, RetentionEnforced, and the figures of the status: from what the
 * sidecars say of each database.
 */
#include <inttypes.h>
#include <string.h>

#include "controller/replica/judge.h"

uint64_t judge_lag_quantised(uint64_t lag_ns)
{
    static const uint64_t steps[] = {0, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600};
    uint64_t seconds = (lag_ns + NS_PER_SEC - 1) / NS_PER_SEC;

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        if (seconds <= steps[i])
            return steps[i];
    }
    return (seconds + 3599) / 3600 * 3600;
}

/* The name that the spec gives the database at a path; the path if it has none. */
static const char *name_of(const struct api_replica *r, const char *path)
{
    for (size_t i = 0; i < r->database_count; i++) {
        if (strcmp(r->databases[i].path, path) == 0)
            return r->databases[i].name;
    }
    return path;
}

/* Every database can be restored to any moment that all windows have in common. */
static void window_add(const struct observed_database *db, struct replica_outcome *out)
{
    if (db->oldest_restore_ns > out->oldest_restore_ns)
        out->oldest_restore_ns = db->oldest_restore_ns;
    if (out->row_count == 1 || db->newest_restore_ns < out->newest_restore_ns)
        out->newest_restore_ns = db->newest_restore_ns;
    if (db->snapshot_ns > out->snapshot_ns)
        out->snapshot_ns = db->snapshot_ns;
    out->stored_bytes += db->stored_bytes;
    out->stored_objects += db->stored_objects;
}

static void rows_collect(const struct replica_view *view, struct replica_outcome *out)
{
    for (size_t i = 0; i < view->pod_count; i++) {
        const struct observed *seen = view->pods[i].seen;
        for (size_t j = 0; seen && j < seen->database_count; j++) {
            const struct observed_database *db = &seen->databases[j];
            uint64_t lag = judge_lag_quantised(db->lag_ns);
            out->has_lag = true;
            out->max_lag_seconds = lag > out->max_lag_seconds ? lag : out->max_lag_seconds;
            if (out->row_count == JUDGE_ROWS_MAX)
                continue;
            out->rows[out->row_count++] = (struct database_row){
                .pod = view->pods[i].pod->name,
                .database = name_of(view->item->replica, db->path),
                .seen = db,
                .lag_seconds = lag,
            };
            window_add(db, out);
        }
    }
}

/* The row with the worst state; NULL: there is none. */
static const struct database_row *worst(const struct replica_outcome *out)
{
    const struct database_row *w = NULL;

    for (size_t i = 0; i < out->row_count; i++) {
        if (!w || out->rows[i].seen->state > w->seen->state)
            w = &out->rows[i];
    }
    return w;
}

/* A pod that has a sidecar, and did not answer; NULL: all did. */
static const struct pod_view *silent(const struct replica_view *view)
{
    for (size_t i = 0; i < view->pod_count; i++) {
        if (view->pods[i].pod->has_sidecar && !view->pods[i].seen)
            return &view->pods[i];
    }
    return NULL;
}

/* Why a database in this state is not replicating; NULL: it is. */
static const char *reason_of(enum observed_state state)
{
    switch (state) {
    case OBSERVED_FOLLOWING:
    case OBSERVED_BACKOFF: /* how long is what lag says */
        return NULL;
    case OBSERVED_STARTING:
        return "NotStarted";
    case OBSERVED_ABSENT:
        return "DatabaseMissing";
    case OBSERVED_NOT_WAL:
        return "NotWALMode";
    case OBSERVED_DISK_FULL:
        return "DiskFull";
    case OBSERVED_UNFOLLOWABLE:
        return "DatabaseUnusable";
    case OBSERVED_REFUSED:
        return "LineageRefused";
    case OBSERVED_FENCED:
        return "Fenced";
    }
    return NULL;
}

static void silent_put(const struct pod_view *p, struct condition_set *set)
{
    if (p->pod->trouble) {
        condition_put(set, CONDITION_REPLICATING, CONDITION_FALSE, "NotStarted", "Pod %s: %s",
                      p->pod->name, p->pod->trouble);
    } else if (!p->pod->is_sidecar_started) {
        condition_put(set, CONDITION_REPLICATING, CONDITION_FALSE, "NotStarted",
                      "The sidecar of pod %s has not started yet.", p->pod->name);
    } else {
        condition_put(set, CONDITION_REPLICATING, CONDITION_FALSE, "SidecarUnreachable",
                      "Pod %s: %s", p->pod->name,
                      p->scrape_error ? p->scrape_error : "it has not been asked yet");
    }
}

static void replicating_put(const struct replica_view *view, struct replica_outcome *out)
{
    struct condition_set *set = &out->conditions;
    const struct api_replica *r = view->item->replica;
    const struct pod_view *mute = silent(view);
    const struct database_row *w = worst(out);
    const char *reason = w ? reason_of(w->seen->state) : NULL;

    if (judge_is_source(view)) {
        if (view->pod_total > 0) { /* else nobody is meant to: absent */
            condition_put(set, CONDITION_REPLICATING, CONDITION_FALSE, "ReadOnly",
                          "Its SqliteBucket is ReadOnly: nothing is shipped.");
        }
    } else if (r->is_suspended) {
        condition_put(set, CONDITION_REPLICATING, CONDITION_FALSE, "Suspended",
                      "spec.suspend is true: nothing is shipped.");
    } else if (mute)
        silent_put(mute, set);
    else if (reason) {
        condition_put(set, CONDITION_REPLICATING, CONDITION_FALSE, reason,
                      "Database %s of pod %s: %s", w->database, w->pod,
                      w->seen->error[0] ? w->seen->error : "not taken up yet");
    } else if (out->has_lag && out->max_lag_seconds * NS_PER_SEC > r->lag.critical_ns) {
        condition_put(set, CONDITION_REPLICATING, CONDITION_FALSE, "Lagging",
                      "The oldest commit that is not replicated is %" PRIu64 " s old.",
                      out->max_lag_seconds);
    } else if (!w) {
        condition_put(set, CONDITION_REPLICATING, CONDITION_FALSE, "NotStarted",
                      "No sidecar has reported a database yet.");
    } else {
        condition_put(set, CONDITION_REPLICATING, CONDITION_TRUE, "Replicating",
                      "All databases are being shipped.");
    }
}

static void lag_put(const struct replica_view *view, struct replica_outcome *out)
{
    const struct api_replica *r = view->item->replica;
    uint64_t lag_ns = out->max_lag_seconds * NS_PER_SEC;

    if (!out->has_lag && judge_is_source(view))
        return; /* absent, as Replicating */
    if (!out->has_lag) {
        condition_put(&out->conditions, CONDITION_WITHIN_LAG_OBJECTIVE, CONDITION_UNKNOWN,
                      "NotMeasured", "No sidecar has reported its lag.");
    } else if (lag_ns > r->lag.warning_ns) {
        condition_put(&out->conditions, CONDITION_WITHIN_LAG_OBJECTIVE, CONDITION_FALSE,
                      lag_ns > r->lag.critical_ns ? "Critical" : "Warning",
                      "Lag is %" PRIu64 " s; the objective is %" PRIu64 " s.", out->max_lag_seconds,
                      r->lag.warning_ns / NS_PER_SEC);
    } else {
        condition_put(&out->conditions, CONDITION_WITHIN_LAG_OBJECTIVE, CONDITION_TRUE, "Within",
                      "Lag is within %" PRIu64 " s.", r->lag.warning_ns / NS_PER_SEC);
    }
}

static void retention_put(const struct replica_view *view, struct replica_outcome *out)
{
    if (out->row_count == 0)
        return; /* nothing to say yet: absent */
    if (!view->item->replica->retention_enabled) {
        condition_put(&out->conditions, CONDITION_RETENTION_ENFORCED, CONDITION_UNKNOWN, "Disabled",
                      "Nothing is ever deleted at the destination.");
        return;
    }
    for (size_t i = 0; i < out->row_count; i++) {
        const char *text = out->rows[i].seen->retention_error;
        if (!text[0])
            continue;
        condition_put(&out->conditions, CONDITION_RETENTION_ENFORCED, CONDITION_FALSE,
                      strstr(text, "ObjectLock") ? "ObjectLocked" : "DeleteDenied", "%s", text);
        return;
    }
    condition_put(&out->conditions, CONDITION_RETENTION_ENFORCED, CONDITION_TRUE, "Enforced",
                  "The retention window holds.");
}

void judge_replicating(const struct replica_view *view, struct replica_outcome *out)
{
    rows_collect(view, out);
    replicating_put(view, out);
    lag_put(view, out);
    retention_put(view, out);
}
