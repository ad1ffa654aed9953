/*
 * Conditions: what is true of a resource, one fixed slot a type. Types, reasons and their order are
 * an interface (docs/crd-reference.md): none is ever renamed.
 *
 * lastTransitionTime is when the *status* changed last; a new reason or message leaves it. It is
 * carried from what the API server has, so a controller that restarts changes nothing.
 *
 * Source: Kubernetes API conventions, "Typical status properties"; kstatus (Reconciling, Stalled).
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_CONDITION_H
#define WALFERRY_CONTROLLER_REPLICA_CONDITION_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/json/json.h"

enum condition_type {
    CONDITION_READY,
    CONDITION_RECONCILING,
    CONDITION_STALLED,
    CONDITION_DESTINATION_AVAILABLE,
    CONDITION_INJECTED,
    CONDITION_REPLICATING,
    CONDITION_WITHIN_LAG_OBJECTIVE,
    CONDITION_SINGLE_WRITER,
    CONDITION_RETENTION_ENFORCED,
    CONDITION_RESTORE_VERIFIED,
    CONDITION_AVAILABLE, /* SqliteBucket */
    /* SqliteRestore: how far it has come, and that it is over */
    CONDITION_LOCKED,
    CONDITION_FENCED,
    CONDITION_RESTORED,
    CONDITION_VERIFIED,
    CONDITION_RESUMED,
    CONDITION_COMPLETE,
    CONDITION_FAILED,
    CONDITION_TYPES,
};

enum condition_status {
    CONDITION_ABSENT, /* does not apply: not written */
    CONDITION_TRUE,
    CONDITION_FALSE,
    CONDITION_UNKNOWN,
};

enum {
    CONDITION_REASON_BYTES = 48,
    CONDITION_MESSAGE_BYTES = 512,
};

struct condition {
    enum condition_status status;
    uint64_t since_ns; /* wall clock; 0: not known yet */
    char reason[CONDITION_REASON_BYTES];
    char message[CONDITION_MESSAGE_BYTES];
};

struct condition_set {
    struct condition of[CONDITION_TYPES];
};

/* What a cache remembers of the conditions that the API server has: small, since it holds
 * thousands. */
struct condition_marks {
    uint8_t status[CONDITION_TYPES];      /* enum condition_status */
    uint32_t reason_sum[CONDITION_TYPES]; /* condition_reason_sum() */
    uint64_t since_ns[CONDITION_TYPES];
};

/* "Ready", "DestinationAvailable", ... */
const char *condition_type_name(enum condition_type type);

/* Sets a condition; a message too long is cut. A full sentence is expected. */
void condition_put(struct condition_set *set, enum condition_type type,
                   enum condition_status status, const char *reason, const char *fmt, ...)
    PRINTF_LIKE(5, 6);

/* Reads status.conditions (or nothing) as the API server has them; what cannot be read is absent. */
void condition_marks_read(struct jsonval conditions, struct condition_marks *out);

/* Gives every condition its since_ns: from the marks where the status is the same, else now. */
void condition_set_carry(struct condition_set *set, const struct condition_marks *marks,
                         uint64_t now_ns);

/* Whether a status differs from what the marks say (a reason alone does not count). */
bool condition_set_has_flipped(const struct condition_set *set,
                               const struct condition_marks *marks);

/* What is remembered of a reason: equal for equal reasons, and else different as good as always. */
uint32_t condition_reason_sum(const char *reason);

/* Adds "conditions": [...] without those that are absent. */
void condition_set_write(const struct condition_set *set, uint64_t generation,
                         struct json_writer *w);

#endif
