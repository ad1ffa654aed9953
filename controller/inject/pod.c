/*
 * The pod as injection sees it: where its parts are, what of it is ours already, and where ours
 * belong among the init containers.
 *
 * Ours stand first, so that also what other init containers write (migrations) is replicated. Only
 * a network proxy that is a native sidecar stays before: without it there is no network, and a
 * restore needs one. A proxy's plain init container (iptables) comes after ours on purpose: it
 * would send our traffic to a proxy that does not run yet.
 */
#include <string.h>

#include "controller/inject/inject_internal.h"

/* Native sidecars through which all traffic of a pod goes. */
static const char *const proxies[] = {"istio-proxy", "linkerd-proxy", "kuma-sidecar",
                                      "consul-dataplane", "envoy-sidecar"};

const char *inject_name_of(struct jsonval v)
{
    struct error ignored = ERROR_INIT;
    const char *name = "";

    if (jsonval_str_or(jsonval_get(v, "name"), "", &name, &ignored) < 0)
        error_clear(&ignored); /* a name that is no text is nobody's name */
    return name;
}

struct jsonval inject_find(struct jsonval list, const char *name)
{
    struct jsonval v = jsonval_first(list);

    while (jsonval_exists(v) && strcmp(inject_name_of(v), name) != 0)
        v = jsonval_next(v);
    return v;
}

bool inject_path_is_below(const char *path, const char *folder)
{
    size_t n = strlen(folder);

    while (n > 0 && folder[n - 1] == '/')
        n--;
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool name_is_container_of_ours(const char *name)
{
    return strcmp(name, API_CONTAINER_SIDECAR) == 0 || strcmp(name, API_CONTAINER_RESTORE) == 0 ||
           strcmp(name, CONTAINER_RESTORE_KNOWN) == 0;
}

static bool name_is_volume_of_ours(const char *name)
{
    return strncmp(name, VOLUME_PREFIX, strlen(VOLUME_PREFIX)) == 0;
}

static bool container_is_proxy(struct jsonval v)
{
    struct error ignored = ERROR_INIT;
    const char *restart = "";

    if (jsonval_str_or(jsonval_get(v, "restartPolicy"), "", &restart, &ignored) < 0 ||
        strcmp(restart, "Always") != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(proxies); i++) {
        if (strcmp(inject_name_of(v), proxies[i]) == 0)
            return true;
    }
    return false;
}

/* Which entries of a list are ours. */
static int own_find(struct jsonval list, bool (*is_ours)(const char *name), struct own_indexes *out,
                    struct error *err)
{
    size_t idx = 0;

    out->count = 0;
    for (struct jsonval v = jsonval_first(list); jsonval_exists(v); v = jsonval_next(v), idx++) {
        if (idx == INJECT_LIST_MAX)
            return jsonval_error(list, err, ERR_LIMIT, "more than %d entries", INJECT_LIST_MAX);
        if (is_ours(inject_name_of(v)))
            out->at[out->count++] = idx;
    }
    return 0;
}

/* An object that is not there is empty; anything but an object is an error. */
static int object_check(struct jsonval v, struct error *err)
{
    if (!jsonval_is_null(v) && !jsonval_is_object(v))
        return jsonval_error(v, err, ERR_CORRUPT, "it is no object");
    return 0;
}

/* A list that is not there is empty; anything but a list is an error. */
static int list_get(struct jsonval spec, const char *key, struct jsonval *out, struct error *err)
{
    *out = jsonval_get(spec, key);
    if (!jsonval_is_null(*out) && !jsonval_is_array(*out))
        return jsonval_error(*out, err, ERR_CORRUPT, "it is no list");
    return 0;
}

static void insert_position_find(struct pod_view *pod)
{
    size_t idx = 0; /* among those that are not ours */

    pod->insert_at = 0;
    for (struct jsonval v = jsonval_first(pod->init_containers); jsonval_exists(v);
         v = jsonval_next(v)) {
        if (name_is_container_of_ours(inject_name_of(v)))
            continue;
        idx++;
        if (container_is_proxy(v))
            pod->insert_at = idx;
    }
}

/* The hash in the annotation; a text that is not ours counts as another hash. */
static void hash_read(struct pod_view *pod, const char *text)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error ignored = ERROR_INIT;
    const char *hash = "";

    if (jsonval_parse(&doc, API_ANNOTATION_INJECTED, slice_of_str(text), &ignored) < 0 ||
        jsonval_str_or(jsonval_get(jsonval_root(&doc), "hash"), "", &hash, &ignored) < 0)
        return;
    if (strlen(hash) < sizeof(pod->hash))
        memcpy(pod->hash, hash, strlen(hash) + 1);
}

/* Names that we need and somebody else has. */
static int names_check(const struct pod_view *pod, bool was_injected, struct inject_result *result)
{
    for (struct jsonval v = jsonval_first(pod->containers); jsonval_exists(v);
         v = jsonval_next(v)) {
        if (name_is_container_of_ours(inject_name_of(v))) {
            return inject_deny(result,
                               "the pod has a container \"%s\" of its own: rename it, or remove "
                               "the label " API_LABEL_REPLICA " if it is a sidecar that you wrote "
                               "yourself",
                               inject_name_of(v));
        }
    }
    if (!was_injected && pod->own_init.count > 0) {
        return inject_deny(result,
                           "the pod has an init container that is called as one of walferry's "
                           "(" API_CONTAINER_SIDECAR ", " API_CONTAINER_RESTORE
                           ") without having been injected: rename it");
    }
    if (!was_injected && pod->own_volumes.count > 0) {
        return inject_deny(result, "the pod has a volume of its own whose name begins with "
                                   "\"" VOLUME_PREFIX "\": rename it");
    }
    return 0;
}

int pod_view_read(const struct inject_request *request, struct pod_view *out,
                  struct inject_result *result, struct error *err)
{
    struct jsonval root = request->object;
    const char *injected = "";

    *out = (struct pod_view){.metadata = jsonval_get(root, "metadata"),
                             .annotations = jsonval_way(root, "metadata.annotations"),
                             .spec = jsonval_get(root, "spec")};
    if (!jsonval_is_object(out->spec))
        return jsonval_error(out->spec, err, ERR_CORRUPT, "it is missing");
    if (object_check(out->metadata, err) < 0 || object_check(out->annotations, err) < 0 ||
        list_get(out->spec, "containers", &out->containers, err) < 0 ||
        list_get(out->spec, "initContainers", &out->init_containers, err) < 0 ||
        list_get(out->spec, "volumes", &out->volumes, err) < 0 ||
        own_find(out->init_containers, name_is_container_of_ours, &out->own_init, err) < 0 ||
        own_find(out->volumes, name_is_volume_of_ours, &out->own_volumes, err) < 0 ||
        jsonval_str_or(jsonval_get(out->metadata, "name"), "", &out->name, err) < 0 ||
        jsonval_u64_or(jsonval_get(out->spec, "terminationGracePeriodSeconds"),
                       GRACE_SECONDS_DEFAULT, &out->grace_seconds, err) < 0 ||
        jsonval_str_or(jsonval_get(out->annotations, API_ANNOTATION_INJECTED), "", &injected, err) <
            0)
        return -1;
    insert_position_find(out);
    if (injected[0])
        hash_read(out, injected);
    return names_check(out, injected[0] != '\0', result);
}
