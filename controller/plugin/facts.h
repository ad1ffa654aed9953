/*
 * What is told of a resource: read leniently, since a plug-in shows what is there, whatever version
 * wrote it. What is missing, or of another type, is "" or 0.
 *
 * Texts are borrowed from the document; ways are literals.
 */
#ifndef WALFERRY_CONTROLLER_PLUGIN_FACTS_H
#define WALFERRY_CONTROLLER_PLUGIN_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/json/json.h"

enum {
    FACT_TEXT_BYTES = 32 /* room for an age or a size */
};

/* The value at way ("status.storage.bytes"). */
const char *fact_text(struct jsonval v, const char *way);
uint64_t fact_u64(struct jsonval v, const char *way);
bool fact_bool(struct jsonval v, const char *way);
/* A moment since 1970 in nanoseconds. */
uint64_t fact_time_ns(struct jsonval v, const char *way);

/* A condition of an object; all "" where there is none of the type. */
struct fact_condition {
    const char *status, *reason, *message;
    uint64_t since_ns;
};
struct fact_condition fact_condition(struct jsonval object, const char *type);
bool fact_condition_is_true(struct jsonval object, const char *type);

/* "90s", "5m10s", "3h": a span as kubectl shows it. Returns out. */
const char *age_format(uint64_t ns, char out[static FACT_TEXT_BYTES]);
/* The span from then to now; "<none>" for then 0. */
const char *age_since(uint64_t now_ns, uint64_t then_ns, char out[static FACT_TEXT_BYTES]);
/* "512B", "1.5MiB". */
const char *bytes_format(uint64_t bytes, char out[static FACT_TEXT_BYTES]);

#endif
