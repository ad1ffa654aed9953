/*
 * controller/webhook: admission over HTTPS.
 *
 *   webhook.h    this file: the server, and what it asks the informer
 *   review.h     AdmissionReview v1 in and out
 *   admission.c  a request from its arrival to its answer, and what it waits for
 *   decide.c     a request and what is known about its SqliteReplica -> allowed, denied, patched
 *   authority.h  the operator's own certificates: what is due next, and the Secret that holds them
 *   files.h      certificates that somebody else keeps in files (cert-manager, your own Secret)
 *
 *   POST /mutate     pods on their way in: gets the sidecar
 *   POST /validate   workloads, their scales and autoscalers, SqliteReplicas: what would make two
 *                    writers
 *
 * The answer is always 200 with an AdmissionReview, unless what came is none (400). The request's
 * deadline is that of the API server (timeoutSeconds: 5); ours is shorter, so that what is said is
 * ours.
 *
 * The resource is looked up in the informer's cache. If it (or a SqliteBucket that it names) is not
 * there, one uncached look follows, because kubectl apply of a SqliteReplica and its Deployment in
 * one go is faster than any watch; after that the pod is denied. Pods without the label are never
 * looked at, whatever state the operator is in.
 *
 * A label without a name asks for the default of the namespace (annotation
 * walferry.dev/default-replica). A namespace may want warnings instead of denials (annotation
 * walferry.dev/enforcement: Warn): what would make two writers is then injected with a warning, and
 * what cannot be injected passes as it is. Namespaces are looked at only for these two, uncached.
 *
 * Threads: all on the loop thread.
 */
#ifndef WALFERRY_CONTROLLER_WEBHOOK_WEBHOOK_H
#define WALFERRY_CONTROLLER_WEBHOOK_WEBHOOK_H

#include "controller/inject/inject.h"
#include "lib/http/server.h"
#include "lib/io/loop.h"
#include "lib/metrics/metrics.h"
#include "lib/tls/identity.h"

enum {
    WEBHOOK_BODY_BYTES_MAX = 8 << 20,
    WEBHOOK_REFRESHES_MAX = 1000, /* uncached looks under way; beyond: denied, try again */
};

/* What is known about a SqliteReplica. Borrowed from the cache until control returns to the loop. */
struct webhook_subject {
    const struct api_replica *replica; /* NULL: there is none */
    const char *problem;               /* it is there, but this is wrong with it; NULL: nothing */
    const struct api_bucket *const *buckets; /* those of its namespace that it may name */
    size_t bucket_count;
    const struct inject_peer *peers; /* other pods with its label */
    size_t peer_count;
};

/* Called once, on the loop, never inside refresh(). err->code ERR_NONE: the cache is up to date. */
typedef void webhook_refreshed_fn(void *arg, const struct error *err);

/* What the annotations of a namespace ask for. */
struct webhook_namespace {
    bool only_warns;           /* walferry.dev/enforcement: Warn */
    char default_replica[254]; /* walferry.dev/default-replica; "" : none */
};

/* As webhook_refreshed_fn; wish is valid during the call, and empty where err is set. */
typedef void webhook_namespace_fn(void *arg, const struct webhook_namespace *wish,
                                  const struct error *err);

/* Likewise; replica as of inject_replica_name(), also NULL for a workload that is not there. */
typedef void webhook_workload_fn(void *arg, const char *replica, const struct error *err);

struct review;

/* What the webhook asks; functions that are NULL know nothing. */
struct webhook_source {
    void *ctx;

    /* Whether the cache has seen everything once; before, every look is an uncached one. */
    bool (*is_synced)(void *ctx);

    /* Fills out from the cache. Never NULL. */
    void (*look)(void *ctx, const char *namespace_name, const char *name,
                 struct webhook_subject *out);

    /* Reads the resource and its buckets from the API server into the cache. */
    void (*refresh)(void *ctx, const char *namespace_name, const char *name,
                    webhook_refreshed_fn *done, void *arg);

    /*
     * Reads which SqliteReplica the pods of a workload ask for, for objects that name only the
     * workload (Scale, HorizontalPodAutoscaler). A kind that is not known is as one that is not
     * there.
     */
    void (*workload_look)(void *ctx, const char *namespace_name, const char *kind, const char *name,
                          webhook_workload_fn *done, void *arg);

    /* Reads a namespace's annotations. */
    void (*namespace_look)(void *ctx, const char *namespace_name, webhook_namespace_fn *done,
                           void *arg);

    /* A pod that should have been injected was let pass, because the namespace wants no denials. */
    void (*on_skipped)(void *ctx, const struct review *review, const char *replica,
                       const char *why);

    /*
     * A pod was injected that may be a second writer, or a workload (a Scale, an autoscaler) was let
     * pass that makes one: the resource or the namespace only warns.
     */
    void (*on_risk)(void *ctx, const struct review *review, const char *replica, const char *why);

    /*
     * Another SqliteReplica that leads to a prefix of this one: its name, and the prefix in
     * out_prefix. NULL: none. Borrowed as a subject.
     */
    const char *(*prefix_rival)(void *ctx, const struct api_replica *replica,
                                struct buf *out_prefix);
};

struct webhook_config {
    const char *address;           /* in digits; NULL: every address */
    unsigned port;                 /* 0: the kernel picks, see webhook_port() */
    struct tls_identity *identity; /* borrowed */
    struct inject_options inject;  /* texts borrowed */
    struct webhook_source source;  /* copied */
    const struct log *log;         /* borrowed; never NULL */
};

struct webhook;

/* Listens and serves from then on. Errors of http_server_new(). */
MUST_USE int webhook_new(struct loop *loop, const struct webhook_config *config,
                         struct webhook **out, struct error *err);

/* Stops serving; refreshes under way may still call done. Accepts NULL. */
void webhook_free(struct webhook *w);

/* The port that is listened on. */
unsigned webhook_port(const struct webhook *w);

/* Requests that have not been answered yet: a graceful end waits for them. */
unsigned webhook_pending_count(const struct webhook *w);

/* Adds walferry_operator_admission_*, and the certificate's expiry. */
void webhook_metrics_write(const struct webhook *w, struct metrics_writer *out);

/* The families of webhook_metrics_write(), for the table in the documents. */
extern const struct metrics_family webhook_families[];
extern const size_t webhook_family_count;

#endif
