/*
 * What the files of injection share: the pod as it is seen, what is decided about it, and how a
 * denial is said. Nobody else includes it.
 *
 *   1. pod_view_read()    finds the parts of the pod, and what an earlier injection left   (pod.c)
 *   2. plan_make()        application, user, volumes, mounts, of each database            (plan.c)
 *   3. pieces_write()     the JSON of what is added, and its hash                   (containers.c)
 *   4. inject_pod()       compares, and writes the patch                                (inject.c)
 *
 * Steps return 1 where they have denied, 0 to go on, -1 for an error.
 */
#ifndef WALFERRY_CONTROLLER_INJECT_INJECT_INTERNAL_H
#define WALFERRY_CONTROLLER_INJECT_INJECT_INTERNAL_H

#include "controller/inject/inject.h"
#include "controller/inject/json_patch.h"
#include "lib/json/json.h"

enum {
    INJECT_LIST_MAX = 512, /* init containers or volumes of a pod that are looked at */
    INJECT_VOLUMES_MAX = 2 + API_DESTINATIONS_MAX * 3,
    INJECT_PIECE_BYTES_MAX = 128 << 10,
    INJECT_RESTORES_MAX = 2,
};

/* The name of the second restore container, see plan_make(). */
#define CONTAINER_RESTORE_KNOWN API_CONTAINER_RESTORE "-known"

/* Every volume of ours begins so. */
#define VOLUME_PREFIX "walferry-"

/* Kubernetes' terminationGracePeriodSeconds where a pod sets none. */
#define GRACE_SECONDS_DEFAULT 30

/* Indexes of what is ours in a list of the pod, ascending. */
struct own_indexes {
    size_t at[INJECT_LIST_MAX];
    size_t count;
};

/* Step 1. */
struct pod_view {
    struct jsonval metadata;
    struct jsonval annotations;
    struct jsonval spec;
    struct jsonval containers;
    struct jsonval init_containers;
    struct jsonval volumes;
    const char *name;            /* "" when the API server has yet to make one */
    struct own_indexes own_init; /* of init_containers */
    struct own_indexes own_volumes;
    size_t insert_at; /* where ours belong among the init containers that are not ours */
    char hash[INJECT_HASH_BYTES]; /* of an earlier injection; "" if none */
    uint64_t grace_seconds;
};

/* A mount of the application that the sidecar gets, too. */
struct data_mount {
    const char *volume;
    const char *path;
    const char *sub_path;      /* NULL: none */
    const char *sub_path_expr; /* likewise */
    struct jsonval container;  /* whose: variables of sub_path_expr are its */
};

/* Step 2. */
struct inject_plan {
    struct data_mount mounts[API_DATABASES_MAX];
    size_t mount_count;
    struct jsonval containers[API_DATABASES_MAX]; /* the application of each database */
    bool must_exist[API_DATABASES_MAX];           /* having no backup is an error */
    uint64_t user;
    uint64_t group;
    bool has_group;
    struct jsonval selinux;  /* options of the application's container; may be nothing */
    const char *target_time; /* NULL: none */
    const char *target_txid;
    const char *log_level; /* of an annotation; NULL: none */
    uint64_t grace_seconds;
};

/* Step 3. */
struct inject_pieces {
    struct buf restore[INJECT_RESTORES_MAX];
    size_t restore_count;
    struct buf sidecar;
    struct buf volumes[INJECT_VOLUMES_MAX];
    size_t volume_count;
    char hash[INJECT_HASH_BYTES];
};

/* Whether a destination of the resource is only restored from. */
bool inject_is_read_only(const struct inject_request *request, const struct api_destination *d);

/* inject_deny() or, where the resource only asks for warnings, inject_warn() and 0. */
int inject_object(const struct inject_request *request, struct inject_result *out, const char *fmt,
                  ...) PRINTF_LIKE(3, 4);

/* The member "name" of an object; "" if there is none. */
const char *inject_name_of(struct jsonval v);

/* The element of an array of objects with this name; nothing if there is none. */
struct jsonval inject_find(struct jsonval list, const char *name);

/* Whether path is folder or below it. */
bool inject_path_is_below(const char *path, const char *folder);

/* Step 1. The view borrows from the request. */
MUST_USE int pod_view_read(const struct inject_request *request, struct pod_view *out,
                           struct inject_result *result, struct error *err);

/* Step 2. */
MUST_USE int plan_make(const struct inject_request *request, const struct pod_view *pod,
                       struct inject_plan *out, struct inject_result *result, struct error *err);

/* Step 3. ERR_NOT_FOUND: a SqliteBucket is missing. The caller destroys out. */
MUST_USE int pieces_write(const struct inject_request *request, const struct inject_plan *plan,
                          struct inject_pieces *out, struct error *err);
/* Accepts zeroed. */
void pieces_destroy(struct inject_pieces *pieces);

/* The first 16 hexadecimal digits of SHA-256. ERR_NO_MEMORY. */
MUST_USE int inject_hash_text(struct slice text, char out[static INJECT_HASH_BYTES],
                              struct error *err);

#endif
