/*
 * Prefixes: where in a store the objects of a database lie. A template is text with
 * {{namespace}}, {{name}} (of the SqliteReplica), {{database}} and {{podName}}; what stands between
 * is taken as it is. The prefix of a SqliteBucket comes first, joined by one slash.
 *
 * Two databases must never share a prefix: a template without {{database}} serves one database
 * only, one without {{podName}} serves one pod at a time.
 */
#ifndef WALFERRY_CONTROLLER_API_PREFIX_H
#define WALFERRY_CONTROLLER_API_PREFIX_H

#include "controller/api/bucket.h"
#include "controller/api/replica.h"

/* The names of the variables, for messages and tests. */
#define API_PREFIX_VARIABLES "{{namespace}}, {{name}}, {{database}}, {{podName}}"

/*
 * Checks a template: known variables, every brace closed, no empty step ("a//b"), no "." or "..",
 * no slash at either end, nothing that a URL or shell would change (control characters).
 * ERR_CORRUPT says what is wrong and what there is.
 */
MUST_USE int api_prefix_check(const char *template_text, struct error *err);

/* Whether each pod has a prefix of its own. */
bool api_prefix_is_per_pod(const char *template_text);

/*
 * Adds the prefix of a database to out. pod_name is put in where {{podName}} stands: a name, or
 * "${POD_NAME}" for a configuration that pods share. bucket may be NULL.
 * ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int api_prefix_resolve(const struct api_replica *replica,
                                const struct api_destination *destination,
                                const struct api_database *database,
                                const struct api_bucket *bucket, const char *pod_name,
                                struct buf *out, struct error *err);

#endif
