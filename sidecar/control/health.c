/*
 * The three questions of Kubernetes, answered from what the engine tells.
 *
 * startupz: may the application start? It may once every database is one of
 *   - followed, with every destination attached, or proven locally while its bucket is away
 *   - waiting for the application itself: no file yet, not in WAL mode yet, locked exclusively
 *   - in a state that time does not heal (network file system, moved, damaged): holding the pod
 *     would add an outage to a fault that /readyz and the metrics tell
 * It may not while a bucket has not been seen and nothing local proves the database, nor when
 * descent was refused: an application that writes into the wrong copy makes it worse. Nor while the
 * engine ends: that says nothing of the database any more, and lasts no longer than the engine.
 * Either a database is exchanged for a newer state and the next engine answers, or the process
 * ends, and an application that began then would go on unseen. (`suspend` ends nothing: a suspended
 * database is followed.)
 *
 * healthz: is the process stuck? Being asked and answering is the proof; nothing else is looked
 * at, so that no outage of a bucket can ever make Kubernetes kill what still has data to ship.
 *
 * readyz: is the data safe now? Each destination that stops for a person (fenced, refused), each
 * database that is not followed, and what the policy adds, is a reason against it.
 */
#include <inttypes.h>

#include "sidecar/control/control_internal.h"

/* Adds a line; beyond the buffer's end reasons are left out, the status code has told the rest. */
static void reason_add(struct buf *reasons, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void reason_add(struct buf *reasons, const char *fmt, ...)
{
    struct error ignored = ERROR_INIT;
    va_list ap;

    va_start(ap, fmt);
    int rc = buf_vprintf(reasons, &ignored, fmt, ap);
    va_end(ap);
    if (rc == 0 && buf_append_byte(reasons, '\n', &ignored) < 0)
        error_clear(&ignored);
}

static const char *text_or(const char *text, const char *otherwise)
{
    return text && text[0] ? text : otherwise;
}

/* ---- startupz ---- */

static bool destination_holds_startup(const struct status_destination *d)
{
    switch (d->state) {
    case STATUS_DESTINATION_ATTACHING:
    case STATUS_DESTINATION_BACKOFF:
        return !d->is_attached && !(d->has_local_proof && d->error_streak > 0);
    case STATUS_DESTINATION_REFUSED:
        return true;
    case STATUS_DESTINATION_FOLLOWING:
    case STATUS_DESTINATION_FENCED:
    case STATUS_DESTINATION_STOPPED:
    case STATUS_DESTINATION_STATES:
    default:
        return false;
    }
}

/* Whether the state of the database itself holds the pod, before its destinations are asked. */
static bool db_holds_startup(const struct status_db *db)
{
    switch (db->state) {
    case STATUS_DB_OPENING:
    case STATUS_DB_BACKOFF:
    case STATUS_DB_STOPPED:
        return true;
    case STATUS_DB_ABSENT:
    case STATUS_DB_NOT_WAL:
    case STATUS_DB_FOLLOWING:
    case STATUS_DB_DIFFERENCE:
    case STATUS_DB_DISK_FULL:
    case STATUS_DB_EXCLUSIVE:
    case STATUS_DB_NETWORK_FILE_SYSTEM:
    case STATUS_DB_MOVED:
    case STATUS_DB_HEADER_TORN:
    case STATUS_DB_DAMAGED:
    case STATUS_DB_STATES:
    default:
        return false;
    }
}

/* Whether the application has something that destinations could disagree with. */
static bool db_has_destinations_to_ask(const struct status_db *db)
{
    return db->state == STATUS_DB_FOLLOWING || db->state == STATUS_DB_DIFFERENCE ||
           db->state == STATUS_DB_DISK_FULL || db->state == STATUS_DB_NOT_WAL;
}

bool health_has_started(const struct status_process *s, struct buf *reasons)
{
    bool has_started = true;

    for (size_t i = 0; i < s->db_count; i++) {
        const struct status_db *db = &s->dbs[i];
        if (db_holds_startup(db)) {
            has_started = false;
            reason_add(reasons, "%s: %s: %s", db->name, status_db_state_name(db->state),
                       text_or(db->state_detail, text_or(db->last_error, "not taken up yet")));
        }
        for (size_t j = 0; db_has_destinations_to_ask(db) && j < db->destination_count; j++) {
            const struct status_destination *d = &db->destinations[j];
            if (!destination_holds_startup(d))
                continue;
            has_started = false;
            reason_add(reasons, "%s: %s: %s: %s", db->name, d->name,
                       status_destination_state_name(d->state),
                       text_or(d->state_detail, text_or(d->last_error, "not attached yet")));
        }
    }
    return has_started;
}

/* ---- readyz ---- */

static bool db_is_safe(const struct status_db *db)
{
    return db->state == STATUS_DB_FOLLOWING || db->state == STATUS_DB_DIFFERENCE ||
           db->state == STATUS_DB_ABSENT;
}

/* One reason at most for a destination; false if there is one. */
static bool destination_is_ready(const struct status_db *db, const struct status_destination *d,
                                 const struct control_policy *policy, struct buf *reasons)
{
    char lag[TIME_TEXT_BYTES], max[TIME_TEXT_BYTES];
    bool needs_person =
        d->state == STATUS_DESTINATION_FENCED || d->state == STATUS_DESTINATION_REFUSED;

    if (needs_person) {
        reason_add(reasons, "%s: %s: %s: %s", db->name, d->name,
                   status_destination_state_name(d->state),
                   text_or(d->state_detail, text_or(d->last_error, "see the log")));
        return false;
    }
    if (policy->ready_lag_ns_max > 0 && d->lag_ns > policy->ready_lag_ns_max) {
        reason_add(reasons, "%s: %s: lag is %s, more than %s: %s", db->name, d->name,
                   duration_format(d->lag_ns / NS_PER_SEC * NS_PER_SEC, lag),
                   duration_format(policy->ready_lag_ns_max, max),
                   text_or(d->error_streak ? d->last_error : NULL, "shipping"));
        return false;
    }
    if (policy->ready_needs_restorable && d->restore_newest_at_ns == 0 &&
        db->state != STATUS_DB_ABSENT) {
        reason_add(reasons, "%s: %s: nothing can be restored yet", db->name, d->name);
        return false;
    }
    return true;
}

bool health_is_ready(const struct status_process *s, const struct control_policy *policy,
                     struct buf *reasons)
{
    bool is_ready = true;

    for (size_t i = 0; i < s->db_count; i++) {
        const struct status_db *db = &s->dbs[i];
        if (!db_is_safe(db)) {
            is_ready = false;
            reason_add(reasons, "%s: %s: %s", db->name, status_db_state_name(db->state),
                       text_or(db->state_detail, text_or(db->last_error, "not followed")));
        }
        for (size_t j = 0; j < db->destination_count; j++) {
            if (!destination_is_ready(db, &db->destinations[j], policy, reasons))
                is_ready = false;
        }
    }
    return is_ready;
}
