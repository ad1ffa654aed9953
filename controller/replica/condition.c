/*
 * Conditions in fixed slots; texts only where they are made.
 */
#include "controller/replica/condition.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/ltx/crc64.h"

static const char *const type_names[CONDITION_TYPES] = {
    [CONDITION_READY] = "Ready",
    [CONDITION_RECONCILING] = "Reconciling",
    [CONDITION_STALLED] = "Stalled",
    [CONDITION_DESTINATION_AVAILABLE] = "DestinationAvailable",
    [CONDITION_INJECTED] = "Injected",
    [CONDITION_REPLICATING] = "Replicating",
    [CONDITION_WITHIN_LAG_OBJECTIVE] = "WithinLagObjective",
    [CONDITION_SINGLE_WRITER] = "SingleWriter",
    [CONDITION_RETENTION_ENFORCED] = "RetentionEnforced",
    [CONDITION_RESTORE_VERIFIED] = "RestoreVerified",
    [CONDITION_AVAILABLE] = "Available",
    [CONDITION_LOCKED] = "Locked",
    [CONDITION_FENCED] = "Fenced",
    [CONDITION_RESTORED] = "Restored",
    [CONDITION_VERIFIED] = "Verified",
    [CONDITION_RESUMED] = "Resumed",
    [CONDITION_COMPLETE] = "Complete",
    [CONDITION_FAILED] = "Failed",
};

static const char *const status_names[] = {
    [CONDITION_ABSENT] = "",
    [CONDITION_TRUE] = "True",
    [CONDITION_FALSE] = "False",
    [CONDITION_UNKNOWN] = "Unknown",
};

const char *condition_type_name(enum condition_type type)
{
    ASSERT(type < CONDITION_TYPES);
    return type_names[type];
}

void condition_put(struct condition_set *set, enum condition_type type,
                   enum condition_status status, const char *reason, const char *fmt, ...)
{
    struct condition *c = &set->of[type];
    va_list args;

    c->status = status;
    (void)snprintf(c->reason, sizeof(c->reason), "%s", reason); /* reasons are ours and short */
    va_start(args, fmt);
    (void)vsnprintf(c->message, sizeof(c->message), fmt, args); /* cut, as the header says */
    va_end(args);
}

uint32_t condition_reason_sum(const char *reason)
{
    return (uint32_t)crc64(0, slice_of_str(reason));
}

static void mark_read(struct jsonval condition, struct condition_marks *out)
{
    struct error ignored = ERROR_INIT; /* a condition that cannot be read is absent */
    const char *type;
    const char *status;
    const char *reason;
    const char *since;
    uint64_t since_ns;

    if (jsonval_str(jsonval_get(condition, "type"), &type, &ignored) < 0 ||
        jsonval_str(jsonval_get(condition, "status"), &status, &ignored) < 0 ||
        jsonval_str_or(jsonval_get(condition, "reason"), "", &reason, &ignored) < 0 ||
        jsonval_str(jsonval_get(condition, "lastTransitionTime"), &since, &ignored) < 0 ||
        time_parse_rfc3339(since, &since_ns, &ignored) < 0)
        return;
    for (size_t i = 0; i < CONDITION_TYPES; i++) {
        if (strcmp(type, type_names[i]) != 0)
            continue;
        for (size_t s = CONDITION_TRUE; s < ARRAY_LEN(status_names); s++) {
            if (strcmp(status, status_names[s]) == 0)
                out->status[i] = (uint8_t)s;
        }
        out->reason_sum[i] = condition_reason_sum(reason);
        out->since_ns[i] = since_ns;
    }
}

void condition_marks_read(struct jsonval conditions, struct condition_marks *out)
{
    *out = (struct condition_marks){0};
    for (struct jsonval c = jsonval_first(conditions); jsonval_exists(c); c = jsonval_next(c))
        mark_read(c, out);
}

void condition_set_carry(struct condition_set *set, const struct condition_marks *marks,
                         uint64_t now_ns)
{
    for (size_t i = 0; i < CONDITION_TYPES; i++) {
        struct condition *c = &set->of[i];
        bool is_same = marks->status[i] == (uint8_t)c->status && marks->since_ns[i] > 0;
        c->since_ns = is_same ? marks->since_ns[i] : now_ns;
    }
}

bool condition_set_has_flipped(const struct condition_set *set, const struct condition_marks *marks)
{
    for (size_t i = 0; i < CONDITION_TYPES; i++) {
        if (marks->status[i] != (uint8_t)set->of[i].status)
            return true;
    }
    return false;
}

void condition_set_write(const struct condition_set *set, uint64_t generation,
                         struct json_writer *w)
{
    json_writer_array(w, "conditions");
    for (size_t i = 0; i < CONDITION_TYPES; i++) {
        const struct condition *c = &set->of[i];
        if (c->status == CONDITION_ABSENT)
            continue;
        json_writer_object(w, NULL);
        json_writer_str(w, "type", type_names[i]);
        json_writer_str(w, "status", status_names[c->status]);
        json_writer_u64(w, "observedGeneration", generation);
        /* Whole seconds: metav1.Time has no more, and the server would answer something else. */
        json_writer_time(w, "lastTransitionTime", c->since_ns / NS_PER_SEC * NS_PER_SEC);
        json_writer_str(w, "reason", c->reason);
        json_writer_str(w, "message", c->message);
        json_writer_end(w);
    }
    json_writer_end(w);
}
