/*
 * What the API server says when it refuses: an HTTP status and a body of kind Status
 *
 *     {"kind":"Status","status":"Failure","message":"pods \"a\" not found","reason":"NotFound",
 *      "details":{"name":"a","kind":"pods","causes":[{"reason":...,"field":...,"message":...}],
 *      "retryAfterSeconds":1},"code":404}
 *
 * or any other text, from a proxy in between. As struct error (text: verb, object, cause):
 *
 *   code              when
 *   ERR_NOT_FOUND     404: no such object, or the kind is not served (reason tells)
 *   ERR_EXISTS        409 AlreadyExists
 *   ERR_CONFLICT      409 Conflict: changed meanwhile, or a field is owned by another manager
 *   ERR_EXPIRED       410 Gone or Expired, or a resource version that the server does not have yet
 *                     (504 with cause ResourceVersionTooLarge): list anew
 *   ERR_ACCESS        401, 403
 *   ERR_USAGE         400, 405, 406, 413, 415, 422: the request is wrong and stays so
 *   ERR_UNAVAILABLE   429, 5xx, and what is not HTTP; ERR_TIMEOUT 504 otherwise
 *
 * Sources: k8s.io/apimachinery pkg/api/errors/errors.go, pkg/apis/meta/v1/types.go (StatusReason).
 */
#ifndef WALFERRY_CONTROLLER_KUBE_STATUS_H
#define WALFERRY_CONTROLLER_KUBE_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/base.h"
#include "lib/json/json.h"

enum {
    KUBE_CAUSES_MAX = 8, /* kept of a refusal */
};

enum kube_reason {
    KUBE_REASON_NONE, /* no refusal, or one without a body of kind Status */
    KUBE_REASON_NOT_FOUND,
    KUBE_REASON_ALREADY_EXISTS,
    KUBE_REASON_CONFLICT,
    KUBE_REASON_EXPIRED, /* Gone and Expired */
    KUBE_REASON_VERSION_TOO_LARGE,
    KUBE_REASON_INVALID,
    KUBE_REASON_FORBIDDEN,
    KUBE_REASON_UNAUTHORIZED,
    KUBE_REASON_TOO_MANY_REQUESTS,
    KUBE_REASON_BAD_REQUEST,
    KUBE_REASON_OTHER,
};

struct kube_cause {
    char reason[64]; /* "FieldValueInvalid" */
    char field[128]; /* "spec.databases[0].path" */
    char message[256];
};

struct kube_status {
    enum kube_reason reason;
    int http_status;
    char message[512];
    struct kube_cause causes[KUBE_CAUSES_MAX];
    size_t cause_count;
    uint64_t retry_after_ns; /* by details.retryAfterSeconds; 0: not said */
};

/*
 * Reads a refusal: http_status (0 when it came inside a stream: then "code" of the body counts) and
 * its body. Fills *out and err (code as above, origin the HTTP status, text the server's message
 * with its causes); the caller wraps err with verb and object. Returns -1, always.
 */
int kube_status_read(int http_status, struct slice body, struct kube_status *out,
                     struct error *err);

/* The same from a parsed object of kind Status. Returns -1, always. */
int kube_status_of(int http_status, struct jsonval object, struct kube_status *out,
                   struct error *err);

#endif
