/*
 * The families of the operator's own metrics, for /metrics and for the table in the documents.
 */
#ifndef WALFERRY_CONTROLLER_OPERATOR_METRICS_H
#define WALFERRY_CONTROLLER_OPERATOR_METRICS_H

#include <stddef.h>

#include "lib/metrics/metrics.h"

extern const struct metrics_family operator_families[];
extern const size_t operator_family_count;

#endif
