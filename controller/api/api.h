/*
 * controller/api: the custom resources of walferry.dev/v1alpha1 as structs, and what follows from
 * them alone.
 *
 *   replica.h         SqliteReplica: which databases of a pod go where
 *   bucket.h          SqliteBucket: a destination that several resources share
 *   restore.h         SqliteRestore: one restore, once
 *   store.h           where a destination is, the same for a bucket of its own and a shared one
 *   prefix.h          "{{namespace}}/{{name}}/{{database}}" -> "prod/app/main"
 *   sidecar_config.h  a SqliteReplica -> the configuration file that its sidecars read
 *
 * Parse, do not validate: a struct that was parsed has every default filled in and every number in
 * range, so nobody asks again. What the schema (crds/) admits is parsed; what it refuses is an
 * error here, too, with the place: "SqliteReplica prod/app: spec.databases[0].path: ...". Unknown
 * fields are passed over: they belong to a newer version, and nothing here is ever written back
 * whole (server-side apply sends only what is ours).
 *
 * The structs are projections: only what the programs need, no JSON tree, no managedFields. Memory:
 * texts are allocated one by one, about 1 KiB a resource.
 *
 * Threads: a parsed struct is immutable and may be read by any.
 */
#ifndef WALFERRY_CONTROLLER_API_API_H
#define WALFERRY_CONTROLLER_API_API_H

#include "controller/api/bucket.h"
#include "controller/api/prefix.h"
#include "controller/api/replica.h"
#include "controller/api/restore.h"
#include "controller/api/sidecar_config.h"
#include "controller/api/store.h"

#define API_GROUP      "walferry.dev"
#define API_VERSION    "v1alpha1"
#define API_GROUP_PATH "/apis/walferry.dev/v1alpha1"

/* The label by which a pod asks for a sidecar; its value is the name of a SqliteReplica, or empty:
 * that of API_ANNOTATION_DEFAULT. */
#define API_LABEL_REPLICA "walferry.dev/replica"

/* Read from pods. */
#define API_ANNOTATION_INJECT      "walferry.dev/inject"              /* "false": leave it alone */
#define API_ANNOTATION_CONTAINER   "walferry.dev/container"           /* the application's */
#define API_ANNOTATION_TARGET_TIME "walferry.dev/restore-target-time" /* RFC 3339 */
#define API_ANNOTATION_LOG_LEVEL   "walferry.dev/sidecar-log-level"

/* Read from namespaces. */
#define API_ANNOTATION_DEFAULT     "walferry.dev/default-replica" /* for labels without a name */
#define API_ANNOTATION_ENFORCEMENT "walferry.dev/enforcement"     /* "Warn": nothing is denied */

/* Written to pods. */
#define API_ANNOTATION_INJECTED "walferry.dev/injected" /* JSON: version, hash, containers */
#define API_ANNOTATION_SPEC_HASH                                                                   \
    "walferry.dev/spec-hash" /* inject_spec_hash(); also to templates */
#define API_ANNOTATION_RESOLVED "walferry.dev/resolved-replica" /* whose, if the label is empty */

/* Names of what is injected. */
#define API_CONTAINER_RESTORE "walferry-restore"
#define API_CONTAINER_SIDECAR "walferry"

/* The configuration: key of the ConfigMap, and where containers find it. */
#define API_CONFIG_KEY        "walferry.yml"
#define API_CONFIG_FOLDER     "/etc/walferry/config"
#define API_CREDENTIAL_FOLDER "/etc/walferry/credentials" /* + "/" + name of the destination */
#define API_CA_FOLDER         "/etc/walferry/ca"          /* likewise */
#define API_SSE_FOLDER        "/etc/walferry/sse"         /* likewise */
#define API_FILE_FOLDER       "/var/lib/walferry" /* likewise: claims of file destinations */
#define API_RUN_FOLDER        "/run/walferry"
#define API_SOCKET_PATH       API_RUN_FOLDER "/walferry.sock"

#endif
