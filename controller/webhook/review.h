/*
 * AdmissionReview of admission.k8s.io/v1: what comes in, and the answer.
 *
 *     in   {"apiVersion","kind","request":{"uid","kind":{"kind"},
 *           "resource":{"group","version","resource"},"subResource","namespace","name",
 *           "operation","dryRun","object","oldObject"}}
 *     out  {"apiVersion","kind","response":{"uid","allowed","status":{"code","reason","message"},
 *           "patchType","patch" (base64),"warnings":[],"auditAnnotations":{}}}
 *
 * Source: k8s.io/api/admission/v1. An object may lack metadata.name (generateName) and
 * metadata.namespace: the request's namespace counts.
 */
#ifndef WALFERRY_CONTROLLER_WEBHOOK_REVIEW_H
#define WALFERRY_CONTROLLER_WEBHOOK_REVIEW_H

#include "controller/inject/inject.h"
#include "lib/json/json.h"

enum {
    REVIEW_UID_BYTES_MAX = 128,
    REVIEW_ANSWER_BYTES_MAX = 4 << 20,
};

enum review_operation {
    REVIEW_CREATE,
    REVIEW_UPDATE,
    REVIEW_DELETE,
    REVIEW_CONNECT,
};

/* A request; texts and objects are borrowed from the document. */
struct review {
    const char *uid;
    const char *kind;  /* "Pod", "Scale", ... */
    const char *group; /* of the resource: "apps"; "" for the core group */
    const char *version;
    const char *resource;       /* "deployments" */
    const char *subresource;    /* "" if none */
    const char *namespace_name; /* "" for cluster-scoped objects */
    const char *name;           /* "" with generateName */
    enum review_operation operation;
    bool is_dry_run;
    struct jsonval object;     /* nothing for DELETE */
    struct jsonval old_object; /* nothing for CREATE */
};

/*
 * Reads a document that should be an AdmissionReview. ERR_CORRUPT with the place,
 * ERR_UNSUPPORTED (another version).
 */
MUST_USE int review_parse(struct jsonval root, struct review *out, struct error *err);

/*
 * Adds the answer to out. result says whether it is denied, why, the patch and the warnings.
 * replica names the SqliteReplica for the audit log; NULL: none. ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int review_answer(const char *uid, const struct inject_result *result, const char *replica,
                           struct buf *out, struct error *err);

#endif
