/*
 * controller/inject: a pod goes in, a patch comes out. Pure functions on JSON: no API, no clock, no
 * state; the admission webhook and `walferry-controller inject` are around them.
 *
 *   inject.h        this file: requests, answers, the pod
 *   workload.c      what makes two writers, seen at the Deployment, StatefulSet, ...
 *   pod.c           the pod as injection sees it: application, user, volumes, what was injected
 *   containers.c    the containers and volumes that are added
 *   needs.h         Secrets, certificates and claims of a destination, as volumes
 *   job.h           Jobs of ours: probe, verify, restore
 *   json_patch.h    RFC 6902 operations
 *
 * What is added to a pod with the label walferry.dev/replica, in this order:
 *
 *   initContainers  walferry-restore  restores what is missing, then ends
 *                   walferry          native sidecar: its startup probe holds the application back
 *                                     until every database is taken up
 *                   ... the pod's own, after these: migrations are replicated, too. Only network
 *                   proxies that are native sidecars themselves stay before ours.
 *   volumes         walferry-config (ConfigMap), walferry-run (the control socket), and for each
 *                   destination what it needs: Secret, certificates, claim
 *   annotations     walferry.dev/injected, walferry.dev/spec-hash
 *   terminationGracePeriodSeconds, raised to 30 s + terminationFlushSeconds
 *
 * Both containers mount the application's volume at the same path, with the same subPath, as the
 * same user and group; SQLite then creates -wal and -shm as the application would.
 *
 * Injecting twice changes nothing (the API server does call twice: reinvocationPolicy IfNeeded).
 * What was injected under another hash is taken out and put in anew.
 */
#ifndef WALFERRY_CONTROLLER_INJECT_INJECT_H
#define WALFERRY_CONTROLLER_INJECT_INJECT_H

#include "controller/api/api.h"
#include "lib/base/base.h"
#include "lib/json/jsonval.h"

enum {
    INJECT_WARNINGS_MAX = 8,
    INJECT_WARNING_BYTES = 256, /* Kubernetes asks for 120 and cuts at 256 */
    INJECT_HASH_BYTES = 17,     /* 16 hex digits and the terminator */
    INJECT_PATCH_BYTES_MAX = 1 << 20,
};

/* What the operator is told at its start. Borrowed texts. */
struct inject_options {
    const char *image;       /* of the sidecar where the resource names none; never NULL */
    const char *pull_policy; /* NULL: Kubernetes decides */
    const char *version;     /* of the operator, for the annotation */
    bool allow_host_path;    /* databases on hostPath volumes */
};

/* Another pod that has the label of the same SqliteReplica, as the cache has it. */
struct inject_peer {
    const char *name;
    bool is_leaving;  /* deleted; until its grace period is over it may write */
    bool is_ending;   /* deleted, and its grace period is over: it writes no more */
    bool is_finished; /* phase Succeeded or Failed */
};

struct inject_request {
    struct jsonval object;      /* the pod or workload; lives as long as the request */
    const char *namespace_name; /* of the admission request: the object may not have one yet */
    const char *kind;           /* "Pod", "Deployment", ...; for the workload check */
    const struct api_replica *replica;
    const struct api_bucket *const *buckets; /* see api_destination_store() */
    size_t bucket_count;
    const struct inject_peer *peers; /* other pods of the resource; NULL: not known */
    size_t peer_count;
    const struct inject_options *options;
    bool only_warns; /* as enforcement: Warn of the resource, whatever it says */
};

/* INJECT_RESULT_INIT, filled by one call, destroyed by inject_result_destroy(). */
struct inject_result {
    bool is_denied;
    struct buf denial; /* why, and what to do about it: shown by kubectl */
    struct buf patch;  /* a JSON array of RFC 6902; empty: nothing to change */
    char warnings[INJECT_WARNINGS_MAX][INJECT_WARNING_BYTES];
    size_t warning_count;
    /* The warning about what may make a second writer, and was let pass; "" : nothing did. */
    char risk[INJECT_WARNING_BYTES];
};

#define INJECT_RESULT_INIT {.denial = BUF_INIT(8192), .patch = BUF_INIT(INJECT_PATCH_BYTES_MAX)}

/* Frees the texts. */
void inject_result_destroy(struct inject_result *result);

/* Denies: Kubernetes shows the text to whoever created the object. Returns 1. */
int inject_deny(struct inject_result *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Makes a warning of a denial, the first one: the object passes, and a pod stays as it is. */
void inject_soften(struct inject_result *result);

/* Warns; more than INJECT_WARNINGS_MAX are left out. */
void inject_warn(struct inject_result *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * Decides about a pod that is being created. A pod with the annotation walferry.dev/inject: "false"
 * gets no patch. What cannot be protected is denied; what can, but is a risk, gets warnings.
 * -1: ERR_CORRUPT the object is not a pod (with the place), ERR_LIMIT, ERR_NO_MEMORY. A denial is
 * not an error.
 */
MUST_USE int inject_pod(const struct inject_request *request, struct inject_result *out,
                        struct error *err);

/*
 * Looks for what would make two writers on one prefix in a workload whose pods are of the resource:
 * Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob. Denied or
 * warned about as spec.singleWriter.enforcement says. Other kinds pass.
 * Errors as inject_pod().
 */
MUST_USE int inject_workload(const struct inject_request *request, struct inject_result *out,
                             struct error *err);

/*
 * The same for what only changes the number of pods of such a workload: a Scale or a
 * HorizontalPodAutoscaler (kind), target_kind and target_name being the workload.
 */
MUST_USE int inject_scale(const struct inject_request *request, const char *target_kind,
                          const char *target_name, struct inject_result *out, struct error *err);

/*
 * The name of the SqliteReplica that the pods of this object ask for, by the label in its metadata
 * (a pod) or in its pod template; NULL: none; "": the namespace's default. Borrowed from the object.
 */
const char *inject_replica_name(struct jsonval object, const char *kind);

/*
 * The hash of all that pods get from the resource, its buckets and the options, as it stands in
 * their annotation walferry.dev/spec-hash: pods with another one wait for a rollout. What the
 * sidecar takes up live (intervals, retention, pause, log level) is not in it.
 * ERR_NOT_FOUND (a SqliteBucket is missing), ERR_LIMIT, ERR_NO_MEMORY.
 */
MUST_USE int inject_spec_hash(const struct api_replica *replica,
                              const struct api_bucket *const *buckets, size_t bucket_count,
                              const struct inject_options *options,
                              char out[static INJECT_HASH_BYTES], struct error *err);

#endif
