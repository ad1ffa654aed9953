/*
 * Findings of `kubectl walferry check`: what was looked at, and how it is.
 */
#ifndef WALFERRY_CONTROLLER_PLUGIN_CHECK_INTERNAL_H
#define WALFERRY_CONTROLLER_PLUGIN_CHECK_INTERNAL_H

#include "controller/plugin/session.h"
#include "controller/plugin/table.h"

enum check_level {
    CHECK_OK,
    CHECK_WARN, /* works, but not as it should; or could not be looked at */
    CHECK_FAIL,
    CHECK_LEVELS,
};

enum {
    CHECK_HINTS_BYTES_MAX = 1 << 20,
    CHECK_DETAIL_BYTES = 600,
};

struct check {
    struct session *session;
    struct table table;
    struct json_writer *json; /* NULL: table output */
    struct buf hints;         /* lines for below the table */
    unsigned counts[CHECK_LEVELS];
    struct error err; /* of the hints; sticks */
    /* Found on the way, for later checks. "": not found. */
    char operator_namespace[64];
    char operator_name[64];
    char operator_port[32]; /* name of the metrics port of its Service */
};

/* Adds a finding; hint may be NULL. */
void check_tell(struct check *c, enum check_level level, const char *what, const char *hint,
                const char *fmt, ...) PRINTF_LIKE(5, 6);

/* A finding about something that could not be looked at: why, and level WARN. */
void check_tell_unseen(struct check *c, const char *what, const struct error *cause);

/*
 * The rooms of the house, in order. What cannot be reached or read is a finding; -1 only for want
 * of memory and the like.
 */
MUST_USE int check_cluster(struct check *c, struct error *err);  /* API server, resources, rights */
MUST_USE int check_operator(struct check *c, struct error *err); /* Deployment, leader */
MUST_USE int check_webhook(struct check *c, struct error *err);  /* configuration, CA, an answer */
MUST_USE int check_replicas(struct check *c, struct error *err); /* buckets and replicas */

#endif
