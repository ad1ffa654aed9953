/*
 * Requests to the Kubernetes API: one at a time here, collections that are followed in watch.h.
 *
 *     struct kube_call call = {.verb = KUBE_APPLY, .resource = &kube_config_maps,
 *                              .namespace_name = "shop", .name = "orders-walferry",
 *                              .body = buf_slice(&json), .field_manager = "walferry"};
 *     kube_start(client, &call, on_done, self, &self->request, err);
 *
 * A call waits for its turn (token bucket, 50 a second with bursts of 100, as client-go is set up
 * by controllers), gets credentials (see credentials.h), and is repeated
 *
 *   - once, with fresh credentials, after a 401
 *   - as often as the deadline allows, after 429 or 5xx that say Retry-After
 *
 * and nothing else: a caller that is level-triggered tries again by itself. Two HTTP clients stand
 * behind it, one for calls and one for watches, so that with HTTP/2 there is one connection each.
 *
 * Threads: all on the loop thread. done never runs inside kube_start().
 */
#ifndef WALFERRY_CONTROLLER_KUBE_CLIENT_H
#define WALFERRY_CONTROLLER_KUBE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/kube/config.h"
#include "controller/kube/resource.h"
#include "controller/kube/status.h"
#include "lib/base/base.h"
#include "lib/http/client.h"
#include "lib/io/loop.h"
#include "lib/json/json.h"

enum {
    KUBE_BODY_BYTES_MAX = 4 << 20,    /* of what we send */
    KUBE_ANSWER_BYTES_MAX = 16 << 20, /* of one answer; longer lists go by pages or watch.h */
    KUBE_VERSION_BYTES = 64,          /* room for a resource version */
    KUBE_WAITING_MAX = 10000,         /* calls that wait for their turn; beyond: ERR_LIMIT */
};

struct kube_client;
struct kube_request; /* a call under way; gone once done was called */

struct kube_client_config {
    const struct kube_config *config; /* borrowed for the life of the client */
    const char *program;              /* for User-Agent: "walferry-controller"; NULL: "walferry" */
    double rate_per_s, burst;         /* 0: 50 and 100; below 0: no limit */
    const struct log *log;            /* debug lines, one a request; NULL: none. Borrowed */
};

/*
 * Reads certificates and token once, so that a mistake is told now. Nothing is sent.
 * ERR_USAGE, ERR_NOT_FOUND, ERR_ACCESS (files), ERR_NO_MEMORY.
 */
MUST_USE int kube_client_new(struct loop *loop, const struct kube_client_config *config,
                             struct kube_client **out, struct error *err);

/* Ends what is under way (done runs with ERR_CANCELED). Not from within a callback. NULL ok. */
void kube_client_free(struct kube_client *c);

/* The default namespace of the configuration. */
const char *kube_client_namespace(const struct kube_client *c);

enum kube_verb {
    KUBE_GET,
    KUBE_LIST,        /* name is NULL; a page when limit is set */
    KUBE_CREATE,      /* POST */
    KUBE_UPDATE,      /* PUT: body carries metadata.resourceVersion */
    KUBE_APPLY,       /* server-side apply: creates or changes what body names, for field_manager */
    KUBE_MERGE_PATCH, /* RFC 7386 */
    KUBE_JSON_PATCH,  /* RFC 6902 */
    KUBE_DELETE,
    KUBE_RAW, /* GET of raw_path: "/version", "/readyz" */
};

/* "get", "patch", ...: the verb as RBAC and audit know it. */
const char *kube_verb_name(enum kube_verb verb);

struct kube_call {
    enum kube_verb verb;
    const struct kube_resource *resource;
    const char *namespace_name; /* NULL: cluster-scoped, or a list over all namespaces */
    const char *name;
    const char *subresource; /* "status", "scale"; NULL: none */
    const char *raw_path;    /* KUBE_RAW only */
    struct slice body;       /* JSON; copied */

    const char *field_manager; /* of KUBE_APPLY (needed) and other writes (NULL: User-Agent's) */
    bool keeps_conflicts; /* KUBE_APPLY: do not take fields from other managers: ERR_CONFLICT */
    bool is_dry_run;      /* the server checks and admits, and keeps nothing */

    bool is_metadata_only;      /* answer as PartialObjectMetadata */
    const char *label_selector; /* of a list; NULL: everything */
    const char *field_selector;
    unsigned limit;               /* of a list: items a page; 0: all */
    const char *continue_token;   /* the next page: metadata.continue of the last one */
    const char *resource_version; /* of get and list: "0" takes any cached state; NULL: newest */

    const char *uid;         /* KUBE_DELETE: only this incarnation; NULL: any */
    const char *propagation; /* KUBE_DELETE: "Background", "Foreground", "Orphan"; NULL: default */

    uint64_t deadline_ns;      /* from now, waiting included; 0: 30 s */
    bool is_urgent;            /* does not wait for its turn: leases, admission */
    uint64_t answer_bytes_max; /* 0: KUBE_ANSWER_BYTES_MAX */
    bool wants_text;           /* the answer is not JSON (logs, /readyz): see answer->text */
    /*
     * With wants_text: the text piece by piece, as it comes, instead of answer->text; arg is that
     * of done, and -1 with err ends the call. On the connection of the watches; deadline_ns 0: as
     * long as it takes.
     */
    int (*on_text)(void *arg, struct slice piece, struct error *err);
};

/* Valid during done. */
struct kube_answer {
    const struct error *err;          /* ERR_NONE if the server did it; text: verb, object, cause */
    const struct kube_status *status; /* of a refusal; reason NONE otherwise */
    int http_status;                  /* 0 if no answer came */
    struct jsonval object;            /* of a success; borrowed */
    struct slice text;                /* the body as it came */
};

typedef void kube_done_fn(void *arg, const struct kube_answer *answer);

/*
 * Starts a call; everything in it is copied except resource. *out (may be NULL) is for
 * kube_cancel(). Errors at start: ERR_USAGE (names), ERR_LIMIT, ERR_NO_MEMORY.
 * In done: see status.h, and transport errors of http_start().
 */
MUST_USE int kube_start(struct kube_client *c, const struct kube_call *call, kube_done_fn *done,
                        void *arg, struct kube_request **out, struct error *err);

/*
 * Forgets a call at once: its done is not called any more. (The server may have carried it out.)
 * For owners that go away. Not for the request whose done is running.
 */
void kube_cancel(struct kube_request *r);

/*
 * kube_start() for one-after-the-other code: runs the loop. The answer goes to *out_doc, which the
 * caller destroys (NULL: not wanted). *out_status may be NULL.
 */
MUST_USE int kube_wait(struct kube_client *c, const struct kube_call *call,
                       struct jsonval_doc *out_doc, struct kube_status *out_status,
                       struct error *err);

/* ---- for metrics ---- */

enum {
    KUBE_METHODS = 5,      /* GET POST PUT PATCH DELETE, in this order */
    KUBE_STATUS_MAX = 600, /* counts[..][status]; 0: no answer came */
};

struct kube_client_stats {
    /* rest_client_requests_total by method and code: HTTP exchanges, repetitions and watches too */
    uint32_t counts[KUBE_METHODS][KUBE_STATUS_MAX];
    uint64_t retry_count;   /* repeated because of Retry-After */
    uint64_t reauth_count;  /* repeated because of a 401 */
    uint64_t throttle_ns;   /* time that calls waited for their turn */
    unsigned waiting_count; /* calls that wait now */
};

extern const char *const kube_method_names[KUBE_METHODS];

/* What happened so far. Valid until kube_client_free(). */
const struct kube_client_stats *kube_client_stats(const struct kube_client *c);

#endif
