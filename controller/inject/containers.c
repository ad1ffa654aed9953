/*
 * The containers and volumes that are added to a pod, as JSON.
 *
 *   walferry-restore        databases that may start empty while there is no backup
 *   walferry-restore-known  databases that must have one: the policy says so, or a replica was
 *                           reported before. Each container only where it has a database
 *   walferry                the sidecar
 *
 * All run as the application's user, without privileges, on a read-only root. What differs between
 * pods of one resource reaches them by the downward API; everything else is in the configuration,
 * which is a mounted folder, so that it changes live.
 */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "controller/inject/inject_internal.h"
#include "controller/inject/needs.h"

enum {
    HUNG_GRACE_SECONDS = 5,
};

/* ---- shared by the containers ---- */

static void put_name_value(struct json_writer *w, const char *name, const char *value)
{
    json_writer_object(w, NULL);
    json_writer_str(w, "name", name);
    json_writer_str(w, "value", value ? value : "");
    json_writer_end(w);
}

static void put_downward(struct json_writer *w, const char *name, const char *path)
{
    json_writer_object(w, NULL);
    json_writer_str(w, "name", name);
    json_writer_object(w, "valueFrom");
    json_writer_object(w, "fieldRef");
    json_writer_str(w, "fieldPath", path);
    json_writer_end(w);
    json_writer_end(w);
    json_writer_end(w);
}

/* Variables of the application that a subPathExpr names, copied with where they come from. */
static void put_sub_path_env(struct json_writer *w, const struct data_mount *m)
{
    struct jsonval env = jsonval_get(m->container, "env");

    for (const char *at = m->sub_path_expr; at && (at = strstr(at, "$(")); at += 2) {
        size_t n = strcspn(at + 2, ")");
        for (struct jsonval e = jsonval_first(env); jsonval_exists(e); e = jsonval_next(e)) {
            const char *name = inject_name_of(e);
            if (strlen(name) == n && memcmp(name, at + 2, n) == 0 &&
                strcmp(name, "POD_NAME") != 0 && strcmp(name, "POD_NAMESPACE") != 0)
                jsonval_write(e, w, NULL);
        }
    }
}

static void put_env(struct json_writer *w, const struct inject_request *request,
                    const struct inject_plan *plan)
{
    const struct api_sidecar *s = &request->replica->sidecar;

    json_writer_array(w, "env");
    put_downward(w, "POD_NAME", "metadata.name");
    put_downward(w, "POD_NAMESPACE", "metadata.namespace");
    for (size_t i = 0; i < plan->mount_count; i++)
        put_sub_path_env(w, &plan->mounts[i]);
    for (size_t i = 0; i < s->env_count; i++)
        put_name_value(w, s->env[i].name, s->env[i].value);
    json_writer_end(w);
}

static void put_resources(struct json_writer *w, const struct api_resources *r)
{
    json_writer_object(w, "resources");
    json_writer_object(w, "requests");
    json_writer_str(w, "cpu", r->cpu_request);
    json_writer_str(w, "memory", r->memory_request);
    json_writer_end(w);
    json_writer_object(w, "limits");
    if (r->cpu_limit)
        json_writer_str(w, "cpu", r->cpu_limit);
    json_writer_str(w, "memory", r->memory_limit);
    json_writer_end(w);
    json_writer_end(w);
}

static void put_security(struct json_writer *w, const struct inject_plan *plan)
{
    json_writer_object(w, "securityContext");
    json_writer_bool(w, "runAsNonRoot", plan->user != 0);
    json_writer_u64(w, "runAsUser", plan->user);
    if (plan->has_group)
        json_writer_u64(w, "runAsGroup", plan->group);
    json_writer_bool(w, "privileged", false);
    json_writer_bool(w, "allowPrivilegeEscalation", false);
    json_writer_bool(w, "readOnlyRootFilesystem", true);
    json_writer_object(w, "capabilities");
    json_writer_array(w, "drop");
    json_writer_str(w, NULL, "ALL");
    json_writer_end(w);
    json_writer_end(w);
    json_writer_object(w, "seccompProfile");
    json_writer_str(w, "type", "RuntimeDefault");
    json_writer_end(w);
    if (!jsonval_is_null(plan->selinux))
        jsonval_write(plan->selinux, w, "seLinuxOptions");
    json_writer_end(w);
}

/* ---- mounts and the volumes behind them ---- */

static void put_mount(struct json_writer *w, const char *volume, const char *path, const char *step,
                      bool is_read_only)
{
    json_writer_object(w, NULL);
    json_writer_str(w, "name", volume);
    json_writer_strf(w, "mountPath", "%s%s%s", path, step[0] ? "/" : "", step);
    if (is_read_only)
        json_writer_bool(w, "readOnly", true);
    json_writer_end(w);
}

static void put_data_mount(struct json_writer *w, const struct data_mount *m)
{
    json_writer_object(w, NULL);
    json_writer_str(w, "name", m->volume);
    json_writer_str(w, "mountPath", m->path);
    if (m->sub_path)
        json_writer_str(w, "subPath", m->sub_path);
    if (m->sub_path_expr)
        json_writer_str(w, "subPathExpr", m->sub_path_expr);
    json_writer_end(w);
}

static int put_mounts(struct json_writer *w, const struct inject_request *request,
                      const struct inject_plan *plan, struct error *err)
{
    const struct api_replica *r = request->replica;
    const struct api_store *store = NULL;
    const struct api_bucket *bucket = NULL;

    json_writer_array(w, "volumeMounts");
    for (size_t i = 0; i < plan->mount_count; i++)
        put_data_mount(w, &plan->mounts[i]);
    put_mount(w, VOLUME_PREFIX "config", API_CONFIG_FOLDER, "", true);
    put_mount(w, VOLUME_PREFIX "run", API_RUN_FOLDER, "", false);
    for (size_t i = 0; i < r->destination_count; i++) {
        const struct api_destination *d = &r->destinations[i];
        if (api_destination_store(d, request->buckets, request->bucket_count, &store, &bucket,
                                  err) < 0)
            return -1;
        needs_write_mounts(store, bucket && bucket->is_read_only, i, d->name, w);
    }
    json_writer_end(w);
    return 0;
}

/* ---- containers ---- */

/* What both have, up to what differs. */
static void container_begin(struct json_writer *w, const struct inject_request *request,
                            const char *name)
{
    const struct api_sidecar *s = &request->replica->sidecar;
    const char *policy = s->pull_policy ? s->pull_policy : request->options->pull_policy;

    json_writer_object(w, NULL);
    json_writer_str(w, "name", name);
    json_writer_str(w, "image", s->image ? s->image : request->options->image);
    if (policy)
        json_writer_str(w, "imagePullPolicy", policy);
    json_writer_array(w, "command");
    json_writer_str(w, NULL, "walferry");
    json_writer_end(w);
}

static int container_end(struct json_writer *w, const struct inject_request *request,
                         const struct inject_plan *plan, const struct api_resources *resources,
                         struct error *err)
{
    put_env(w, request, plan);
    put_resources(w, resources);
    put_security(w, plan);
    json_writer_str(w, "terminationMessagePolicy", "FallbackToLogsOnError");
    if (put_mounts(w, request, plan, err) < 0)
        return -1;
    json_writer_end(w);
    return json_writer_finish(w, err);
}

static void put_flag_text(struct json_writer *w, const char *flag, const char *value)
{
    json_writer_str(w, NULL, flag);
    json_writer_str(w, NULL, value);
}

/*
 * A database that is there is kept; one that is an older state of the replica (a volume of an old
 * node) is brought forward, unless a certain moment is asked for. Errors keep the pod waiting.
 */
static void put_restore_args(struct json_writer *w, const struct inject_request *request,
                             const struct inject_plan *plan, bool must_exist)
{
    static const char *const integrity[] = {"none", "quick", "full"};
    const struct api_replica *r = request->replica;

    json_writer_array(w, "args");
    json_writer_str(w, NULL, "restore");
    put_flag_text(w, "-config", API_CONFIG_FOLDER "/" API_CONFIG_KEY);
    json_writer_str(w, NULL, "-if-db-not-exists");
    if (!must_exist)
        json_writer_str(w, NULL, "-if-replica-exists");
    if (plan->target_time)
        put_flag_text(w, "-timestamp", plan->target_time);
    else if (plan->target_txid)
        put_flag_text(w, "-txid", plan->target_txid);
    else
        json_writer_str(w, NULL, "-roll-forward");
    put_flag_text(w, "-integrity-check", integrity[r->restore.integrity]);
    json_writer_str(w, NULL, "-parallelism");
    json_writer_strf(w, NULL, "%" PRIu64, r->restore.parallelism);
    for (size_t i = 0; i < r->database_count; i++) {
        if (plan->must_exist[i] == must_exist)
            json_writer_str(w, NULL, r->databases[i].path);
    }
    json_writer_end(w);
}

static int restores_write(const struct inject_request *request, const struct inject_plan *plan,
                          struct inject_pieces *out, struct error *err)
{
    const struct api_replica *r = request->replica;
    struct json_writer w;

    if (r->restore.policy == API_RESTORE_NEVER)
        return 0;
    for (int must_exist = 0; must_exist <= 1; must_exist++) {
        bool has_any = false;
        for (size_t i = 0; i < r->database_count; i++)
            has_any = has_any || plan->must_exist[i] == (must_exist == 1);
        if (!has_any)
            continue;
        bool is_first = out->restore_count == 0;
        json_writer_init(&w, &out->restore[out->restore_count++], JSON_COMPACT);
        container_begin(&w, request, is_first ? API_CONTAINER_RESTORE : CONTAINER_RESTORE_KNOWN);
        put_restore_args(&w, request, plan, must_exist == 1);
        if (container_end(&w, request, plan, &r->sidecar.restore_resources, err) < 0)
            return -1;
    }
    return 0;
}

/* The caller ends the object. */
static void probe_begin(struct json_writer *w, const char *key, const char *path,
                        unsigned period_seconds, unsigned failure_threshold)
{
    json_writer_object(w, key);
    json_writer_object(w, "httpGet");
    json_writer_str(w, "path", path);
    json_writer_str(w, "port", "walferry");
    json_writer_end(w);
    json_writer_u64(w, "periodSeconds", period_seconds);
    json_writer_u64(w, "timeoutSeconds", 5);
    json_writer_u64(w, "failureThreshold", failure_threshold);
}

static void put_probe(struct json_writer *w, const char *key, const char *path,
                      unsigned period_seconds, unsigned failure_threshold)
{
    probe_begin(w, key, path, period_seconds, failure_threshold);
    json_writer_end(w);
}

/*
 * startupz holds the application back; an hour of failures (a bucket that is away, nothing local
 * that proves the database) restarts the sidecar, not the pod. healthz only tells a loop that does
 * not turn: what hangs ships nothing more, so it does not get the pod's time to end. The preStop
 * hook runs when the termination of the pod begins, while the application still works: from then on
 * each commit is shipped at once.
 */
static void put_life(struct json_writer *w, const struct api_replica *r)
{
    put_probe(w, "startupProbe", "/startupz", 1, 3600);
    probe_begin(w, "livenessProbe", "/healthz", 10, 6);
    json_writer_u64(w, "terminationGracePeriodSeconds", HUNG_GRACE_SECONDS);
    json_writer_end(w);
    if (r->lag.gates_readiness)
        put_probe(w, "readinessProbe", "/readyz", 5, 2);
    json_writer_object(w, "lifecycle");
    json_writer_object(w, "preStop");
    json_writer_object(w, "exec");
    json_writer_array(w, "command");
    json_writer_str(w, NULL, "walferry");
    json_writer_str(w, NULL, "drain");
    put_flag_text(w, "-socket", API_SOCKET_PATH);
    json_writer_end(w);
    json_writer_end(w);
    json_writer_end(w);
    json_writer_end(w);
}

static int sidecar_write(const struct inject_request *request, const struct inject_plan *plan,
                         struct inject_pieces *out, struct error *err)
{
    const struct api_replica *r = request->replica;
    struct json_writer w;

    json_writer_init(&w, &out->sidecar, JSON_COMPACT);
    container_begin(&w, request, API_CONTAINER_SIDECAR);
    json_writer_array(&w, "args");
    json_writer_str(&w, NULL, "replicate");
    put_flag_text(&w, "-config", API_CONFIG_FOLDER "/" API_CONFIG_KEY);
    if (plan->log_level)
        put_flag_text(&w, "-log-level", plan->log_level);
    if (r->restore.policy != API_RESTORE_NEVER && !plan->target_time && !plan->target_txid)
        put_flag_text(&w, "-roll-forward-until", API_RUN_FOLDER "/started");
    json_writer_end(&w);
    json_writer_str(&w, "restartPolicy", "Always");
    json_writer_array(&w, "ports");
    json_writer_object(&w, NULL);
    json_writer_str(&w, "name", "walferry");
    json_writer_u64(&w, "containerPort", r->sidecar.metrics_port);
    json_writer_str(&w, "protocol", "TCP");
    json_writer_end(&w);
    json_writer_end(&w);
    put_life(&w, r);
    return container_end(&w, request, plan, &r->sidecar.resources, err);
}

/* ---- volumes ---- */

static int volume_end(struct json_writer *w, struct error *err)
{
    json_writer_end(w);
    return json_writer_finish(w, err);
}

static void volume_begin(struct json_writer *w, struct inject_pieces *out, const char *name)
{
    ASSERT(out->volume_count < INJECT_VOLUMES_MAX);
    json_writer_init(w, &out->volumes[out->volume_count++], JSON_COMPACT);
    json_writer_object(w, NULL);
    json_writer_str(w, "name", name);
}

static int volumes_write(const struct inject_request *request, struct inject_pieces *out,
                         struct error *err)
{
    const struct api_replica *r = request->replica;
    CLEANUP(buf_destroy) struct buf config_map = BUF_INIT(512);
    const struct api_store *store = NULL;
    const struct api_bucket *bucket = NULL;
    size_t count = 0;
    struct json_writer w;

    if (api_replica_config_map(r, &config_map, err) < 0)
        return -1;
    volume_begin(&w, out, VOLUME_PREFIX "config");
    needs_write_source(&w, "configMap", "name", buf_str(&config_map));
    if (volume_end(&w, err) < 0)
        return -1;
    volume_begin(&w, out, VOLUME_PREFIX "run");
    json_writer_object(&w, "emptyDir");
    json_writer_str(&w, "sizeLimit", "1Mi");
    json_writer_end(&w);
    if (volume_end(&w, err) < 0)
        return -1;
    for (size_t i = 0; i < r->destination_count; i++) {
        if (api_destination_store(&r->destinations[i], request->buckets, request->bucket_count,
                                  &store, &bucket, err) < 0)
            return -1;
        if (needs_write_volumes(store, i, &out->volumes[out->volume_count],
                                INJECT_VOLUMES_MAX - out->volume_count, &count, err) < 0)
            return -1;
        out->volume_count += count;
    }
    return 0;
}

/* ---- all of it ---- */

int inject_hash_text(struct slice text, char out[static INJECT_HASH_BYTES], struct error *err)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char hash[32];

    if (!EVP_Digest(text.p, text.n, hash, NULL, EVP_sha256(), NULL))
        return error_set(err, ERR_NO_MEMORY, 0, "SHA-256");
    for (size_t i = 0; i < INJECT_HASH_BYTES - 1; i++)
        out[i] = digits[(i % 2 ? hash[i / 2] : hash[i / 2] >> 4) & 15];
    out[INJECT_HASH_BYTES - 1] = '\0';
    return 0;
}

static int pieces_hash(const struct inject_plan *plan, struct inject_pieces *p, struct error *err)
{
    CLEANUP(buf_destroy) struct buf all = BUF_INIT(INJECT_PIECE_BYTES_MAX * 4);

    for (size_t i = 0; i < p->restore_count; i++) {
        if (buf_append_slice(&all, buf_slice(&p->restore[i]), err) < 0)
            return -1;
    }
    if (buf_append_slice(&all, buf_slice(&p->sidecar), err) < 0)
        return -1;
    for (size_t i = 0; i < p->volume_count; i++) {
        if (buf_append_slice(&all, buf_slice(&p->volumes[i]), err) < 0)
            return -1;
    }
    if (buf_printf(&all, err, "%" PRIu64, plan->grace_seconds) < 0)
        return -1;
    return inject_hash_text(buf_slice(&all), p->hash, err);
}

int pieces_write(const struct inject_request *request, const struct inject_plan *plan,
                 struct inject_pieces *out, struct error *err)
{
    *out = (struct inject_pieces){.sidecar = BUF_INIT(INJECT_PIECE_BYTES_MAX)};
    for (size_t i = 0; i < INJECT_RESTORES_MAX; i++)
        out->restore[i] = (struct buf)BUF_INIT(INJECT_PIECE_BYTES_MAX);
    for (size_t i = 0; i < INJECT_VOLUMES_MAX; i++)
        out->volumes[i] = (struct buf)BUF_INIT(INJECT_PIECE_BYTES_MAX);
    if (restores_write(request, plan, out, err) < 0 || sidecar_write(request, plan, out, err) < 0 ||
        volumes_write(request, out, err) < 0)
        return -1;
    return pieces_hash(plan, out, err);
}

void pieces_destroy(struct inject_pieces *pieces)
{
    for (size_t i = 0; i < INJECT_RESTORES_MAX; i++)
        buf_destroy(&pieces->restore[i]);
    buf_destroy(&pieces->sidecar);
    for (size_t i = 0; i < INJECT_VOLUMES_MAX; i++)
        buf_destroy(&pieces->volumes[i]);
}
