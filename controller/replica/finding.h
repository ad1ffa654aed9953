/*
 * What `walferry probe -json` found of one destination, as its Job's termination message.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_FINDING_H
#define WALFERRY_CONTROLLER_REPLICA_FINDING_H

#include <stdbool.h>

#include "lib/json/json.h"

struct finding {
    bool is_there; /* there was a document; else only error, the text of the message */
    bool is_available;
    bool has_made_bucket;
    bool can_create; /* atomically */
    bool can_write;
    bool can_delete;
    const char *reason; /* of the condition; "ProbeFailed" without a document */
    const char *error;  /* a sentence; "" if there is nothing to say */
};

/* Reads a message of any kind. Texts are borrowed from doc and message. */
void finding_read(struct jsonval_doc *doc, const char *message, struct finding *out);

#endif
