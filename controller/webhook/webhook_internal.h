/*
 * What the server (webhook.c) and the life of an admission (admission.c) share.
 */
#ifndef WALFERRY_CONTROLLER_WEBHOOK_WEBHOOK_INTERNAL_H
#define WALFERRY_CONTROLLER_WEBHOOK_WEBHOOK_INTERNAL_H

#include "controller/webhook/decide.h"

enum admission_outcome {
    ADMISSION_ALLOWED,
    ADMISSION_PATCHED,
    ADMISSION_DENIED,
    ADMISSION_ERROR,
    ADMISSION_OUTCOMES,
};

extern const char *const admission_outcome_names[ADMISSION_OUTCOMES];

struct admission;

struct webhook {
    struct loop *loop;
    struct webhook_config config;
    struct http_server *server;
    struct admission *admissions; /* list: those that wait for a look */
    unsigned admission_count;     /* of them */
    uint64_t counts[DECIDE_PATHS][ADMISSION_OUTCOMES];
    uint64_t refresh_count;
    uint64_t namespace_count;
    struct metrics_histogram duration;
};

/* Takes a request over and answers it, at once or later. */
void admission_start(struct webhook *w, enum decide_path path, struct http_server_request *request);

/* Answers all that wait, 503; what they wait for ends them later, without w. */
void admissions_leave(struct webhook *w);

#endif
