/*
 * /metrics: one table of families, and where each value stands in the structs of status.h.
 *
 * A row is a family (what Prometheus and the documentation see) plus a scope (what is walked: the
 * process, every database, every destination, every level of every destination, ...), the offset
 * of a uint64_t in that scope's struct, and how it is told:
 *
 *   COUNT    as it is            SECONDS  nanoseconds as seconds
 *   MOMENT   the same, and no series while it is 0 ("never" must not look like 1970)
 *   FLAG     a bool
 *
 * Export walks the families and, within each, the state: nothing is stored between scrapes, and a
 * database that is gone has no series any more. What does not fit a row (info, states, histograms)
 * has a function of its own at the end of the export.
 *
 * Labels are bounded: db is the configured name, destination the configured name, level 0 to 9,
 * operation and mode fixed words. States have one series each: that of the state it is in.
 *
 * The second table holds Litestream's names for `metrics-compat: litestream`, with its labels and
 * its meanings, as far as we have the number. Some of its names break Prometheus' own rules
 * (counters without _total); promtool says so, and there is nothing to be done about it.
 * Source of those: litestream, db.go, store.go, internal/internal.go.
 */
#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "sidecar/control/control_internal.h"

enum scope {
    SCOPE_PROCESS,
    SCOPE_DB,
    SCOPE_DB_MODE,     /* each kind of checkpoint of each database */
    SCOPE_DESTINATION,
    SCOPE_LEVEL,       /* each level of each destination */
    SCOPE_OPERATION,   /* each kind of request of each destination */
};

enum value {
    VALUE_COUNT,
    VALUE_U32,
    VALUE_SECONDS,
    VALUE_MOMENT,
    VALUE_FLAG,
};

struct row {
    struct metrics_family family;
    enum scope scope;
    enum value value;
    size_t offset;
};

struct operation {
    uint64_t requests, bytes, errors;
};
static_assert(sizeof(struct operation) ==
                  sizeof(((struct storage_counters *)NULL)->op[0]),
              "an element of storage_counters");

#define PROCESS(field)     SCOPE_PROCESS, offsetof(struct status_process, field)
#define DB_LABELS          {"db"}
#define MODE_LABELS        {"db", "mode"}
#define DESTINATION_LABELS {"db", "destination"}
#define LEVEL_LABELS       {"db", "destination", "level"}
#define OPERATION_LABELS   {"db", "destination", "operation"}

#define ROW(scope_, value_, type_, field_, name_, unit_, labels_, help_)                           \
    {                                                                                              \
        .family = {.name = (name_), .type = (type_), .unit = (unit_), .help = (help_),             \
                   .labels = labels_},                                                             \
        .scope = (scope_), .value = (value_), .offset = (field_)                                   \
    }
#define AT_PROCESS(f)     offsetof(struct status_process, f)
#define AT_DB(f)          offsetof(struct status_db, f)
#define AT_MODE(f)        offsetof(struct status_checkpoint, f)
#define AT_DESTINATION(f) offsetof(struct status_destination, f)
#define AT_LEVEL(f)       offsetof(struct status_level, f)
#define AT_OPERATION(f)   offsetof(struct operation, f)
