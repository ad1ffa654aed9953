/*
 * lib/json: JSON in and out.
 *
 *   json_writer.h  writes a document value by value into a buffer: every -json output and every
 *                  status endpoint
 *   jsonval.h      reads a document into a tree by cJSON; getters that name the place in an error
 *                  ("spec.destinations[0].bucket: expected a string")
 *
 * Format: RFC 8259. What is read must be UTF-8 and is bounded in size and depth.
 */
#ifndef WALFERRY_LIB_JSON_JSON_H
#define WALFERRY_LIB_JSON_JSON_H

#include "lib/json/json_writer.h"
#include "lib/json/jsonval.h"

#endif
