/*
 * A pod goes in, a patch comes out: the steps of inject_internal.h in order, then the comparison.
 *
 * Nothing changes if the hash in the annotation is that of what would be injected now, and all of
 * it is where it belongs. (The objects themselves are not compared: between two calls the API
 * server fills in defaults, and other webhooks may add to every container of a pod.) Otherwise what
 * is ours is taken out, last entry first so that indexes hold, and put in anew.
 */
#include "controller/inject/inject.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "controller/inject/inject_internal.h"

/* ---- answers ---- */

void inject_result_destroy(struct inject_result *result)
{
    buf_destroy(&result->denial);
    buf_destroy(&result->patch);
}

static void text_of(char *out, size_t bytes, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);

static void text_of(char *out, size_t bytes, const char *fmt, va_list ap)
{
    (void)vsnprintf(out, bytes, fmt, ap); /* cut when long */
}

int inject_deny(struct inject_result *out, const char *fmt, ...)
{
    struct error ignored = ERROR_INIT;
    va_list ap;

    out->is_denied = true;
    buf_clear(&out->denial);
    va_start(ap, fmt);
    if (buf_vprintf(&out->denial, &ignored, fmt, ap) < 0)
        buf_clear(&out->denial); /* a denial without a text is still one */
    va_end(ap);
    return 1;
}

void inject_warn(struct inject_result *out, const char *fmt, ...)
{
    va_list ap;

    if (out->warning_count == INJECT_WARNINGS_MAX)
        return;
    va_start(ap, fmt);
    text_of(out->warnings[out->warning_count++], INJECT_WARNING_BYTES, fmt, ap);
    va_end(ap);
}

void inject_soften(struct inject_result *result)
{
    size_t kept = result->warning_count < INJECT_WARNINGS_MAX ? result->warning_count
                                                              : INJECT_WARNINGS_MAX - 1;

    memmove(&result->warnings[1], &result->warnings[0], kept * INJECT_WARNING_BYTES);
    (void)snprintf(result->warnings[0], INJECT_WARNING_BYTES, "%s", buf_str(&result->denial));
    result->warning_count = kept + 1;
    result->is_denied = false;
    buf_clear(&result->denial);
    buf_clear(&result->patch);
}

int inject_object(const struct inject_request *request, struct inject_result *out, const char *fmt,
                  ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    text_of(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (request->replica->enforces_single_writer && !request->only_warns)
        return inject_deny(out, "%s (spec.singleWriter.enforcement: Warn lets it pass)", text);
    inject_warn(out, "%s", text);
    (void)snprintf(out->risk, sizeof(out->risk), "%.255s", text); /* cut as the warning is */
    return 0;
}

/* ---- comparison ---- */

static bool is_as_wanted(const struct pod_view *pod, const struct inject_pieces *pieces)
{
    size_t count = pieces->restore_count + 1;

    if (strcmp(pod->hash, pieces->hash) != 0 || pod->own_init.count != count ||
        pod->own_volumes.count != pieces->volume_count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (pod->own_init.at[i] != pod->insert_at + i)
            return false;
    }
    return true;
}

/* ---- the patch ---- */

static const char *pointer_to(char out[static JSON_POINTER_BYTES], const char *list, size_t idx)
{
    char step[24];

    out[0] = '\0';
    (void)snprintf(step, sizeof(step), "%zu", idx);
    (void)json_pointer_step(out, "spec");
    (void)json_pointer_step(out, list);
    return json_pointer_step(out, step);
}

static int own_remove(struct json_patch *patch, const char *list, const struct own_indexes *own,
                      struct error *err)
{
    char pointer[JSON_POINTER_BYTES];

    for (size_t i = own->count; i > 0; i--) {
        if (json_patch_remove(patch, pointer_to(pointer, list, own->at[i - 1]), err) < 0)
            return -1;
    }
    return 0;
}

/* Adds pieces to a list of the spec from index at on; a list that is not there is made. */
static int pieces_add(struct json_patch *patch, const char *list, bool has_list, size_t at,
                      const struct buf *const *pieces, size_t count, struct error *err)
{
    char pointer[JSON_POINTER_BYTES] = "";

    if (!has_list) {
        (void)json_pointer_step(pointer, "spec");
        if (json_patch_add(patch, json_pointer_step(pointer, list), SLICE_LIT("[]"), err) < 0)
            return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (json_patch_add(patch, pointer_to(pointer, list, at + i), buf_slice(pieces[i]), err) < 0)
            return -1;
    }
    return 0;
}

static int annotation_add(struct json_patch *patch, const char *key, const char *value,
                          struct error *err)
{
    char pointer[JSON_POINTER_BYTES] = "";
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(INJECT_PIECE_BYTES_MAX);
    struct json_writer w;

    (void)json_pointer_step(pointer, "metadata");
    (void)json_pointer_step(pointer, "annotations");
    json_writer_init(&w, &text, JSON_COMPACT);
    json_writer_str(&w, NULL, value);
    if (json_writer_finish(&w, err) < 0)
        return -1;
    return json_patch_add(patch, json_pointer_step(pointer, key), buf_slice(&text), err);
}

/* The annotation that tells what was injected. */
static int injected_text(const struct inject_request *request, const struct inject_pieces *pieces,
                         struct buf *out, struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "version", request->options->version);
    json_writer_str(&w, "hash", pieces->hash);
    json_writer_array(&w, "containers");
    if (pieces->restore_count > 0)
        json_writer_str(&w, NULL, API_CONTAINER_RESTORE);
    if (pieces->restore_count > 1)
        json_writer_str(&w, NULL, CONTAINER_RESTORE_KNOWN);
    json_writer_str(&w, NULL, API_CONTAINER_SIDECAR);
    json_writer_end(&w);
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

static int prometheus_add(const struct inject_request *request, const struct pod_view *pod,
                          struct json_patch *patch, struct error *err)
{
    char port[24];

    if (!request->replica->prometheus_annotations ||
        jsonval_exists(jsonval_get(pod->annotations, "prometheus.io/scrape")))
        return 0;
    (void)snprintf(port, sizeof(port), "%" PRIu64, request->replica->sidecar.metrics_port);
    if (annotation_add(patch, "prometheus.io/scrape", "true", err) < 0 ||
        annotation_add(patch, "prometheus.io/path", "/metrics", err) < 0)
        return -1;
    return annotation_add(patch, "prometheus.io/port", port, err);
}

static int annotations_add(const struct inject_request *request, const struct pod_view *pod,
                           const struct inject_pieces *pieces, struct json_patch *patch,
                           struct error *err)
{
    CLEANUP(buf_destroy) struct buf injected = BUF_INIT(1024);
    char hash[INJECT_HASH_BYTES];

    if (inject_spec_hash(request->replica, request->buckets, request->bucket_count,
                         request->options, hash, err) < 0 ||
        injected_text(request, pieces, &injected, err) < 0)
        return -1;
    if (jsonval_is_null(pod->metadata) &&
        json_patch_add(patch, "/metadata", SLICE_LIT("{}"), err) < 0)
        return -1;
    if (jsonval_is_null(pod->annotations) &&
        json_patch_add(patch, "/metadata/annotations", SLICE_LIT("{}"), err) < 0)
        return -1;
    if (annotation_add(patch, API_ANNOTATION_INJECTED, buf_str(&injected), err) < 0 ||
        annotation_add(patch, API_ANNOTATION_SPEC_HASH, hash, err) < 0)
        return -1;
    /* The label stays: selectors may have it. */
    const char *name = inject_replica_name(request->object, "Pod");
    if (name && strcmp(name, request->replica->meta.name) != 0 &&
        annotation_add(patch, API_ANNOTATION_RESOLVED, request->replica->meta.name, err) < 0)
        return -1;
    return prometheus_add(request, pod, patch, err);
}

static int grace_add(const struct pod_view *pod, const struct inject_plan *plan,
                     struct json_patch *patch, struct error *err)
{
    CLEANUP(buf_destroy) struct buf seconds = BUF_INIT(32);

    if (plan->grace_seconds == pod->grace_seconds)
        return 0;
    if (buf_printf(&seconds, err, "%" PRIu64, plan->grace_seconds) < 0)
        return -1;
    return json_patch_add(patch, "/spec/terminationGracePeriodSeconds", buf_slice(&seconds), err);
}

static int patch_write(const struct inject_request *request, const struct pod_view *pod,
                       const struct inject_plan *plan, const struct inject_pieces *pieces,
                       struct buf *out, struct error *err)
{
    const struct buf *init[INJECT_RESTORES_MAX + 1];
    const struct buf *volumes[INJECT_VOLUMES_MAX];
    size_t init_count = 0;
    struct json_patch patch;

    for (size_t i = 0; i < pieces->restore_count; i++)
        init[init_count++] = &pieces->restore[i];
    init[init_count++] = &pieces->sidecar;
    for (size_t i = 0; i < pieces->volume_count; i++)
        volumes[i] = &pieces->volumes[i];
    size_t volumes_left = jsonval_count(pod->volumes) - pod->own_volumes.count;
    json_patch_init(&patch, out);
    if (own_remove(&patch, "initContainers", &pod->own_init, err) < 0 ||
        own_remove(&patch, "volumes", &pod->own_volumes, err) < 0 ||
        pieces_add(&patch, "initContainers", jsonval_is_array(pod->init_containers), pod->insert_at,
                   init, init_count, err) < 0 ||
        pieces_add(&patch, "volumes", jsonval_is_array(pod->volumes), volumes_left, volumes,
                   pieces->volume_count, err) < 0 ||
        grace_add(pod, plan, &patch, err) < 0 ||
        annotations_add(request, pod, pieces, &patch, err) < 0)
        return -1;
    return json_patch_finish(&patch, err);
}

/* ---- the pod ---- */

bool inject_is_read_only(const struct inject_request *request, const struct api_destination *d)
{
    return api_destination_is_read_only(d, request->buckets, request->bucket_count);
}

/* Other pods that may write to the same prefixes. */
static int peers_check(const struct inject_request *request, const struct pod_view *pod,
                       struct inject_result *result)
{
    bool is_shared = false;

    for (size_t i = 0; i < request->replica->destination_count; i++) {
        const struct api_destination *d = &request->replica->destinations[i];
        is_shared = is_shared || (!inject_is_read_only(request, d) &&
                                  !api_prefix_is_per_pod(d->prefix_template));
    }
    for (size_t i = 0; is_shared && i < request->peer_count; i++) {
        const struct inject_peer *peer = &request->peers[i];
        if (peer->is_finished || strcmp(peer->name, pod->name) == 0)
            continue;
        if (peer->is_ending) {
            inject_warn(result, "pod \"%s\" is still ending; the sidecar waits for its databases",
                        peer->name);
            continue;
        }
        if (peer->is_leaving) {
            return inject_object(request, result,
                                 "pod \"%s\" of SqliteReplica \"%s\" is ending and may still "
                                 "write: its successor is let in once it has gone, nothing needs "
                                 "to be done",
                                 peer->name, request->replica->meta.name);
        }
        return inject_object(request, result,
                             "pod \"%s\" runs with the same SqliteReplica \"%s\", and both would "
                             "write to one prefix: one replica and strategy Recreate, or a "
                             "StatefulSet with {{podName}} in spec.prefixTemplate",
                             peer->name, request->replica->meta.name);
    }
    return 0;
}

static bool is_left_alone(const struct pod_view *pod)
{
    struct error ignored = ERROR_INIT;
    const char *wish = "";

    return jsonval_str_or(jsonval_get(pod->annotations, API_ANNOTATION_INJECT), "", &wish,
                          &ignored) == 0 &&
           strcmp(wish, "false") == 0;
}

/* The sidecar of a resource on its way out would have no configuration. */
static int replica_check(const struct inject_request *request, struct inject_result *result)
{
    const struct api_replica *r = request->replica;

    if (r->status.restore.name && !r->status.restore.pods_may_run) {
        return inject_deny(result,
                           "SqliteReplica \"%s\" in namespace \"%s\" is being restored in place by "
                           "SqliteRestore \"%s\": its pods may run when that is done",
                           r->meta.name, request->namespace_name, r->status.restore.name);
    }
    if (inject_is_read_only(request, &r->destinations[0])) {
        return inject_deny(result,
                           "SqliteBucket \"%s\", the destination of SqliteReplica \"%s\", is "
                           "ReadOnly: it is restored from by SqliteRestores; for pods name a "
                           "destination that may be written to, and this one under "
                           "spec.secondaryDestinations, to start from",
                           r->destinations[0].bucket_ref, r->meta.name);
    }
    if (!r->meta.is_deleted)
        return 0;
    return inject_deny(result, "SqliteReplica \"%s\" in namespace \"%s\" is being deleted",
                       r->meta.name, request->namespace_name);
}

int inject_pod(const struct inject_request *request, struct inject_result *out, struct error *err)
{
    CLEANUP(pieces_destroy) struct inject_pieces pieces = {.restore_count = 0};
    struct pod_view pod;
    struct inject_plan plan;

    int rc = pod_view_read(request, &pod, out, err);
    if (rc < 0)
        return -1;
    if (is_left_alone(&pod)) {
        out->is_denied = false;
        buf_clear(&out->denial);
        inject_warn(out, "annotation " API_ANNOTATION_INJECT ": \"false\": nothing is restored or "
                         "replicated in this pod");
        return 0;
    }
    if (rc > 0 || replica_check(request, out) > 0 || peers_check(request, &pod, out) > 0)
        return 0;
    rc = plan_make(request, &pod, &plan, out, err);
    if (rc == 0)
        rc = pieces_write(request, &plan, &pieces, err);
    if (rc < 0 && err->code == ERR_NOT_FOUND) {
        (void)inject_deny(out,
                          "%s in namespace \"%s\", but SqliteReplica \"%s\" names it: create "
                          "it",
                          err->text, request->namespace_name, request->replica->meta.name);
        return 0;
    }
    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (is_as_wanted(&pod, &pieces))
        return 0;
    return patch_write(request, &pod, &plan, &pieces, &out->patch, err);
}
