/*
 * What is decided about a pod before anything is written: for each database the application's
 * container, the volume that holds it and the mount that leads there; for all of them together the
 * user, the restore and the grace period.
 *
 * The container is, in this order: the annotation walferry.dev/container, the database's
 * containerName, spec.containerName, else the one container with a mount that leads to the path.
 * More than one is a question that only the user can answer, so it is a denial that names them.
 *
 * The mount is the one with the longest mountPath above the path, as the kernel would resolve it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/inject/inject_internal.h"

/* Volumes that hold no database, by their key in the volume. */
static const char *const unfit_volumes[] = {"configMap",   "secret", "projected",
                                            "downwardAPI", "image",  "gitRepo"};
/* Where shared memory between processes, and so WAL mode, is not to be had. */
static const char *const network_volumes[] = {"nfs", "cephfs", "glusterfs", "azureFile", "quobyte"};

/* Folders of the containers that are injected: a data volume must not hide them. */
static const char *const own_folders[] = {API_CONFIG_FOLDER, API_CREDENTIAL_FOLDER, API_CA_FOLDER,
                                          API_SSE_FOLDER,    API_FILE_FOLDER,       API_RUN_FOLDER};

/* ---- the application's container ---- */

static const char *str_of(struct jsonval v, const char *key)
{
    struct error ignored = ERROR_INIT;
    const char *text = NULL;

    if (jsonval_str_or(jsonval_get(v, key), NULL, &text, &ignored) < 0)
        return NULL; /* the API server refuses such an object itself */
    return text && text[0] ? text : NULL;
}

/* The mount of a container that leads to path: the one with the longest mountPath. */
static struct jsonval mount_find(struct jsonval container, const struct api_database *db)
{
    struct jsonval mounts = jsonval_get(container, "volumeMounts");
    struct jsonval best = jsonval_get(jsonval_first(mounts), "nothing yet");
    size_t best_n = 0;

    for (struct jsonval v = jsonval_first(mounts); jsonval_exists(v); v = jsonval_next(v)) {
        const char *path = str_of(v, "mountPath");
        if (!path || !inject_path_is_below(db->path, path) || strlen(path) < best_n)
            continue;
        if (db->volume && strcmp(inject_name_of(v), db->volume) != 0)
            continue;
        best = v;
        best_n = strlen(path);
    }
    return best;
}

static struct jsonval container_by_name(const struct pod_view *pod, const char *name)
{
    struct jsonval v = inject_find(pod->containers, name);

    return jsonval_exists(v) ? v : inject_find(pod->init_containers, name);
}

/* Adds a name to a list for people: "a, b"; what has no room is left out. */
static void list_add(char *list, size_t bytes, const char *name)
{
    size_t n = strlen(list);

    (void)snprintf(list + n, bytes - n, "%s%s", n ? ", " : "", name);
}

/* The only container that sees the path. */
static int container_guess(const struct pod_view *pod, const struct api_database *db,
                           struct jsonval *out, struct inject_result *result)
{
    char all[256] = "", fitting[256] = "";
    size_t count = 0;

    for (struct jsonval v = jsonval_first(pod->containers); jsonval_exists(v);
         v = jsonval_next(v)) {
        list_add(all, sizeof(all), inject_name_of(v));
        if (!jsonval_exists(mount_find(v, db)))
            continue;
        list_add(fitting, sizeof(fitting), inject_name_of(v));
        *out = v;
        count++;
    }
    if (count == 1)
        return 0;
    if (count > 1) {
        return inject_deny(result,
                           "containers %s all mount a volume above %s: name the application's in "
                           "spec.containerName of the SqliteReplica or in the pod's "
                           "annotation " API_ANNOTATION_CONTAINER,
                           fitting, db->path);
    }
    return inject_deny(result,
                       "no container (%s) mounts a volume%s%s above %s: database \"%s\" would not "
                       "be reachable for a sidecar; put it on a volume (emptyDir will do), or "
                       "correct spec.databases of the SqliteReplica",
                       all, db->volume ? " " : "", db->volume ? db->volume : "", db->path,
                       db->name);
}

static int container_choose(const struct inject_request *request, const struct pod_view *pod,
                            const struct api_database *db, struct jsonval *out,
                            struct inject_result *result)
{
    const char *name = str_of(pod->annotations, API_ANNOTATION_CONTAINER);

    if (!name)
        name = db->container ? db->container : request->replica->container;
    if (!name)
        return container_guess(pod, db, out, result);
    *out = container_by_name(pod, name);
    if (jsonval_exists(*out))
        return 0;
    return inject_deny(result,
                       "the pod has no container \"%s\", which should be the application "
                       "of database \"%s\"",
                       name, db->name);
}

/* ---- its volume ---- */

static int volume_check(const struct inject_request *request, const struct pod_view *pod,
                        const struct api_database *db, const char *name,
                        struct inject_result *result)
{
    struct jsonval volume = inject_find(pod->volumes, name);
    bool is_read_only = false;
    struct error ignored = ERROR_INIT;

    if (!jsonval_exists(volume))
        return inject_deny(result, "the pod has no volume \"%s\"", name);
    for (size_t i = 0; i < ARRAY_LEN(unfit_volumes); i++) {
        if (jsonval_exists(jsonval_get(volume, unfit_volumes[i]))) {
            return inject_deny(result,
                               "%s of database \"%s\" is on volume \"%s\", which is a %s: "
                               "that holds no database",
                               db->path, db->name, name, unfit_volumes[i]);
        }
    }
    if (jsonval_exists(jsonval_get(volume, "hostPath")) && !request->options->allow_host_path) {
        return inject_deny(result,
                           "volume \"%s\" of database \"%s\" is a hostPath, which this "
                           "operator does not allow (--allow-host-path)",
                           name, db->name);
    }
    if (jsonval_bool_or(jsonval_way(volume, "persistentVolumeClaim.readOnly"), false, &is_read_only,
                        &ignored) == 0 &&
        is_read_only) {
        return inject_deny(result, "volume \"%s\" of database \"%s\" is read-only", name, db->name);
    }
    for (size_t i = 0; i < ARRAY_LEN(network_volumes); i++) {
        if (jsonval_exists(jsonval_get(volume, network_volumes[i]))) {
            return inject_object(request, result,
                                 "volume \"%s\" of database \"%s\" is %s: SQLite's WAL mode does "
                                 "not work on network file systems; use block storage",
                                 name, db->name, network_volumes[i]);
        }
    }
    return 0;
}

static bool text_same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static int mount_add(struct inject_plan *plan, const struct data_mount *m,
                     struct inject_result *result)
{
    for (size_t i = 0; i < ARRAY_LEN(own_folders); i++) {
        if (inject_path_is_below(own_folders[i], m->path) ||
            inject_path_is_below(m->path, own_folders[i])) {
            return inject_deny(result,
                               "volume \"%s\" is mounted at %s, which would hide %s of the "
                               "sidecar: mount it elsewhere",
                               m->volume, m->path, own_folders[i]);
        }
    }
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct data_mount *o = &plan->mounts[i];
        if (strcmp(o->path, m->path) != 0)
            continue;
        if (strcmp(o->volume, m->volume) == 0 && text_same(o->sub_path, m->sub_path) &&
            text_same(o->sub_path_expr, m->sub_path_expr))
            return 0;
        return inject_deny(result,
                           "two applications mount different volumes at %s; the sidecar "
                           "can have one: use different paths, or two pods",
                           m->path);
    }
    plan->mounts[plan->mount_count++] = *m;
    return 0;
}

static int database_plan(const struct inject_request *request, const struct pod_view *pod,
                         size_t idx, struct inject_plan *plan, struct inject_result *result)
{
    const struct api_database *db = &request->replica->databases[idx];
    struct error ignored = ERROR_INIT;
    struct jsonval container = {0};
    bool is_read_only = false;

    if (container_choose(request, pod, db, &container, result) != 0)
        return 1;
    struct jsonval v = mount_find(container, db);
    if (!jsonval_exists(v)) {
        return inject_deny(result,
                           "container \"%s\" mounts no volume%s%s above %s of database "
                           "\"%s\": it would be lost with the container, and a sidecar "
                           "could not reach it",
                           inject_name_of(container), db->volume ? " " : "",
                           db->volume ? db->volume : "", db->path, db->name);
    }
    struct data_mount m = {.volume = inject_name_of(v),
                           .path = str_of(v, "mountPath"),
                           .sub_path = str_of(v, "subPath"),
                           .sub_path_expr = str_of(v, "subPathExpr"),
                           .container = container};
    plan->containers[idx] = container;
    if (strcmp(m.path, db->path) == 0) {
        return inject_deny(result,
                           "%s of database \"%s\" is a mount by itself: SQLite needs "
                           "-wal and -shm beside it; mount the folder",
                           db->path, db->name);
    }
    if (jsonval_bool_or(jsonval_get(v, "readOnly"), false, &is_read_only, &ignored) == 0 &&
        is_read_only) {
        return inject_deny(result,
                           "container \"%s\" mounts %s read-only: there is nothing to "
                           "replicate in database \"%s\"",
                           inject_name_of(container), m.path, db->name);
    }
    if (volume_check(request, pod, db, m.volume, result) != 0)
        return 1;
    return mount_add(plan, &m, result);
}

/* ---- user and group ---- */

/* A number of the container's security context, else of the pod's. */
static bool id_find(struct jsonval container, const struct pod_view *pod, const char *key,
                    uint64_t *out)
{
    struct error ignored = ERROR_INIT;
    struct jsonval at = jsonval_get(jsonval_get(container, "securityContext"), key);

    if (jsonval_is_null(at))
        at = jsonval_get(jsonval_get(pod->spec, "securityContext"), key);
    return !jsonval_is_null(at) && jsonval_u64(at, out, &ignored) == 0;
}

static int user_choose(const struct inject_request *request, const struct pod_view *pod,
                       struct inject_plan *plan, struct inject_result *result)
{
    const struct api_replica *r = request->replica;
    uint64_t user = 0;

    for (size_t i = 0; i < r->database_count; i++) {
        const char *name = inject_name_of(plan->containers[i]);
        if (!id_find(plan->containers[i], pod, "runAsUser", &user)) {
            if (r->sidecar.has_user)
                continue;
            return inject_deny(result,
                               "as which user container \"%s\" runs cannot be seen, and the "
                               "sidecar must run as the same: set securityContext.runAsUser in "
                               "the pod, or spec.sidecar.runAsUser in the SqliteReplica",
                               name);
        }
        if (r->sidecar.has_user && user != r->sidecar.user) {
            inject_warn(result,
                        "container \"%s\" runs as user %" PRIu64 ", the sidecar as %" PRIu64
                        " (spec.sidecar.runAsUser)",
                        name, user, r->sidecar.user);
        }
        if (i > 0 && !r->sidecar.has_user && user != plan->user) {
            return inject_deny(result,
                               "the applications of databases \"%s\" and \"%s\" run as users "
                               "%" PRIu64 " and %" PRIu64 "; a sidecar can be one: use two pods, "
                               "or set spec.sidecar.runAsUser to one that may write both",
                               r->databases[0].name, r->databases[i].name, plan->user, user);
        }
        plan->user = user;
    }
    if (r->sidecar.has_user)
        plan->user = r->sidecar.user;
    if (plan->user == 0) {
        inject_warn(result, "the application runs as root, so the sidecar does, too; a namespace "
                            "that enforces \"restricted\" will refuse the pod");
    }
    plan->has_group = id_find(plan->containers[0], pod, "runAsGroup", &plan->group);
    if (r->sidecar.has_group) {
        plan->has_group = true;
        plan->group = r->sidecar.group;
    }
    plan->selinux = jsonval_way(plan->containers[0], "securityContext.seLinuxOptions");
    return 0;
}

/* ---- the restore ---- */

/*
 * Which databases must have a backup. StartEmpty holds only as long as the resource has never
 * reported a replica under the prefix: afterwards "nothing there" means that it was lost, or that
 * somebody looks in the wrong place.
 */
static int restore_choose(const struct inject_request *request, const struct pod_view *pod,
                          struct inject_plan *plan, struct error *err)
{
    const struct api_replica *r = request->replica;
    const char *annotated = str_of(pod->annotations, API_ANNOTATION_TARGET_TIME);
    const struct api_store *store = NULL;
    const struct api_bucket *bucket = NULL;

    plan->target_time = annotated ? annotated : r->restore.target_time;
    plan->target_txid = annotated ? NULL : r->restore.target_txid;
    for (size_t i = 0; i < r->database_count; i++) {
        plan->must_exist[i] =
            r->restore.policy == API_RESTORE_REQUIRE || !r->restore.may_start_empty;
        for (size_t k = 0; k < r->destination_count && !plan->must_exist[i]; k++) {
            CLEANUP(buf_destroy) struct buf prefix = BUF_INIT(4096);
            if (inject_is_read_only(request, &r->destinations[k]))
                continue;
            if (api_destination_store(&r->destinations[k], request->buckets, request->bucket_count,
                                      &store, &bucket, err) < 0 ||
                api_prefix_resolve(r, &r->destinations[k], &r->databases[i], bucket, pod->name,
                                   &prefix, err) < 0)
                return -1;
            plan->must_exist[i] = api_replica_has_reported(r, buf_str(&prefix));
        }
    }
    return 0;
}

static int annotations_check(const struct inject_plan *plan, struct inject_result *result)
{
    static const char *const levels[] = {"trace", "debug", "info", "warn", "error"};
    struct error ignored = ERROR_INIT;
    uint64_t ns = 0;
    bool is_level = !plan->log_level;

    if (plan->target_time && time_parse_rfc3339(plan->target_time, &ns, &ignored) < 0) {
        return inject_deny(result,
                           "annotation " API_ANNOTATION_TARGET_TIME ": \"%.64s\" is not a "
                           "moment like 2026-11-21T09:30:00Z",
                           plan->target_time);
    }
    for (size_t i = 0; i < ARRAY_LEN(levels) && !is_level; i++)
        is_level = strcmp(plan->log_level, levels[i]) == 0;
    if (!is_level) {
        return inject_deny(result,
                           "annotation " API_ANNOTATION_LOG_LEVEL ": \"%.64s\" is none of "
                           "trace, debug, info, warn, error",
                           plan->log_level);
    }
    return 0;
}

/* ---- all of it ---- */

/* A port of the pod that the sidecar wants. */
static int port_check(const struct inject_request *request, const struct pod_view *pod,
                      struct inject_result *result)
{
    struct error ignored = ERROR_INIT;
    uint64_t wanted = request->replica->sidecar.metrics_port;

    for (struct jsonval c = jsonval_first(pod->containers); jsonval_exists(c);
         c = jsonval_next(c)) {
        struct jsonval ports = jsonval_get(c, "ports");
        for (struct jsonval p = jsonval_first(ports); jsonval_exists(p); p = jsonval_next(p)) {
            uint64_t port = 0;
            if (jsonval_u64_or(jsonval_get(p, "containerPort"), 0, &port, &ignored) < 0 ||
                port != wanted)
                continue;
            return inject_deny(result,
                               "container \"%s\" listens on port %" PRIu64 ", as the "
                               "sidecar would: set spec.sidecar.metricsPort of the "
                               "SqliteReplica to another",
                               inject_name_of(c), port);
        }
    }
    return 0;
}

static void grace_choose(const struct inject_request *request, const struct pod_view *pod,
                         struct inject_plan *plan, struct inject_result *result)
{
    uint64_t needed = GRACE_SECONDS_DEFAULT + request->replica->sidecar.flush_ns / NS_PER_SEC;

    plan->grace_seconds = pod->grace_seconds;
    if (pod->grace_seconds >= needed)
        return;
    plan->grace_seconds = needed;
    inject_warn(result,
                "terminationGracePeriodSeconds is raised from %" PRIu64 " to %" PRIu64
                ", so that the last commits are shipped",
                pod->grace_seconds, needed);
}

int plan_make(const struct inject_request *request, const struct pod_view *pod,
              struct inject_plan *out, struct inject_result *result, struct error *err)
{
    const char *os = NULL;

    *out = (struct inject_plan){0};
    out->log_level = str_of(pod->annotations, API_ANNOTATION_LOG_LEVEL);
    os = str_of(jsonval_get(pod->spec, "os"), "name");
    if (os && strcmp(os, "windows") == 0)
        return inject_deny(result, "walferry runs on Linux only, the pod is for Windows");
    for (size_t i = 0; i < request->replica->database_count; i++) {
        if (database_plan(request, pod, i, out, result) != 0)
            return 1;
    }
    if (user_choose(request, pod, out, result) != 0 || port_check(request, pod, result) != 0)
        return 1;
    if (restore_choose(request, pod, out, err) < 0)
        return -1;
    if (annotations_check(out, result) != 0)
        return 1;
    grace_choose(request, pod, out, result);
    return 0;
}
