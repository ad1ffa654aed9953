/*
 * SqliteReplica from JSON: a table for each object of the spec, see field_internal.h.
 */
#include "controller/api/replica.h"

#include <stdlib.h>
#include <string.h>

#include "controller/api/field_internal.h"
#include "controller/api/prefix.h"

static const char *const journal_words[] = {"Require", "Enable", NULL};
static const char *const policy_words[] = {"IfMissing", "Require", "Never", NULL};
static const char *const integrity_words[] = {"None", "Quick", "Full", NULL};
static const char *const no_backup_words[] = {"Fail", "StartEmpty", NULL};
static const char *const enforcement_words[] = {"Warn", "Enforce", NULL};
static const char *const rollout_words[] = {"Manual", "Auto", NULL};
static const char *const level_words[] = {"Trace", "Debug", "Info", "Warn", "Error", NULL};
static const char *const format_words[] = {"Text", "JSON", NULL};
static const char *const compat_words[] = {"None", "Litestream", NULL};

#define AT(field) offsetof(struct api_replica, field)

static const struct field replica_rows[] = {
    {.way = "suspend", .kind = FIELD_BOOL, .offset = AT(is_suspended)},
    {.way = "containerName", .kind = FIELD_TEXT, .offset = AT(container)},
    {.way = "sync.l0RetentionSeconds",
     .kind = FIELD_SECONDS,
     .offset = AT(l0_retention_ns),
     .number = 300,
     .max = 604800},
    {.way = "sync.requireFencing", .kind = FIELD_BOOL, .offset = AT(require_fencing)},
    {.way = "sync.validationIntervalSeconds",
     .kind = FIELD_SECONDS,
     .offset = AT(validation_ns),
     .max = 2592000},
    {.way = "retention.enabled",
     .kind = FIELD_BOOL,
     .offset = AT(retention_enabled),
     .number = true},
    {.way = "restore.policy",
     .kind = FIELD_WORD,
     .offset = AT(restore.policy),
     .words = policy_words},
    {.way = "restore.targetTime", .kind = FIELD_MOMENT, .offset = AT(restore.target_time)},
    {.way = "restore.targetTxid", .kind = FIELD_TEXT, .offset = AT(restore.target_txid)},
    {.way = "restore.verify",
     .kind = FIELD_WORD,
     .offset = AT(restore.integrity),
     .fallback = "Quick",
     .words = integrity_words},
    {.way = "restore.onNoBackup",
     .kind = FIELD_SWITCH,
     .offset = AT(restore.may_start_empty),
     .fallback = "StartEmpty",
     .words = no_backup_words},
    {.way = "restore.parallelism",
     .kind = FIELD_COUNT,
     .offset = AT(restore.parallelism),
     .number = 8,
     .min = 1,
     .max = 64},
    {.way = "lagObjective.warningSeconds",
     .kind = FIELD_SECONDS,
     .offset = AT(lag.warning_ns),
     .number = 60,
     .min = 1,
     .max = 604800},
    {.way = "lagObjective.criticalSeconds",
     .kind = FIELD_SECONDS,
     .offset = AT(lag.critical_ns),
     .number = 300,
     .min = 1,
     .max = 604800},
    {.way = "lagObjective.gatePodReadiness", .kind = FIELD_BOOL, .offset = AT(lag.gates_readiness)},
    {.way = "verification.schedule", .kind = FIELD_TEXT, .offset = AT(verification.schedule)},
    {.way = "verification.timeZone",
     .kind = FIELD_TEXT,
     .offset = AT(verification.time_zone),
     .fallback = "Etc/UTC"},
    {.way = "verification.mode",
     .kind = FIELD_WORD,
     .offset = AT(verification.integrity),
     .fallback = "Full",
     .words = integrity_words},
    {.way = "verification.jitterSeconds",
     .kind = FIELD_SECONDS,
     .offset = AT(verification.jitter_ns),
     .number = 300,
     .max = 86400},
    {.way = "singleWriter.enforcement",
     .kind = FIELD_SWITCH,
     .offset = AT(enforces_single_writer),
     .fallback = "Enforce",
     .words = enforcement_words},
    {.way = "singleWriter.lease", .kind = FIELD_BOOL, .offset = AT(has_lease)},
    {.way = "rollout", .kind = FIELD_SWITCH, .offset = AT(rollout_auto), .words = rollout_words},
    {.way = "monitoring.annotations", .kind = FIELD_BOOL, .offset = AT(prometheus_annotations)},
};
#undef AT

#define AT(field) offsetof(struct api_sidecar, field)

static const struct field sidecar_rows[] = {
    {.way = "image", .kind = FIELD_TEXT, .offset = AT(image)},
    {.way = "imagePullPolicy", .kind = FIELD_TEXT, .offset = AT(pull_policy)},
    {.way = "logLevel",
     .kind = FIELD_WORD,
     .offset = AT(log_level),
     .fallback = "Info",
     .words = level_words},
    {.way = "logFormat",
     .kind = FIELD_SWITCH,
     .offset = AT(log_json),
     .fallback = "JSON",
     .words = format_words},
    {.way = "metricsPort",
     .kind = FIELD_COUNT,
     .offset = AT(metrics_port),
     .number = 9090,
     .min = 1,
     .max = 65535},
    {.way = "metricsCompat",
     .kind = FIELD_SWITCH,
     .offset = AT(litestream_metrics),
     .words = compat_words},
    {.way = "terminationFlushSeconds",
     .kind = FIELD_SECONDS,
     .offset = AT(flush_ns),
     .number = 20,
     .min = 1,
     .max = 3600},
    {.way = "runAsUser", .kind = FIELD_COUNT, .offset = AT(user), .max = INT32_MAX},
    {.way = "runAsGroup", .kind = FIELD_COUNT, .offset = AT(group), .max = INT32_MAX},
};
#undef AT

#define AT(field) offsetof(struct api_resources, field)

/* Two tables, because the defaults differ. */
#define RESOURCE_ROWS(memory)                                                                      \
    {                                                                                              \
        {.way = "requests.cpu", .kind = FIELD_TEXT, .offset = AT(cpu_request), .fallback = "10m"}, \
            {.way = "requests.memory",                                                             \
             .kind = FIELD_TEXT,                                                                   \
             .offset = AT(memory_request),                                                         \
             .fallback = "16Mi"},                                                                  \
            {.way = "limits.cpu", .kind = FIELD_TEXT, .offset = AT(cpu_limit)},                    \
        {                                                                                          \
            .way = "limits.memory", .kind = FIELD_TEXT, .offset = AT(memory_limit),                \
            .fallback = (memory)                                                                   \
        }                                                                                          \
    }

static const struct field resource_rows[] = RESOURCE_ROWS("64Mi");
static const struct field restore_resource_rows[] = RESOURCE_ROWS("192Mi");
#undef AT

#define AT(field) offsetof(struct api_env, field)

static const struct field env_rows[] = {
    {.way = "name", .kind = FIELD_TEXT, .is_required = true, .offset = AT(name)},
    {.way = "value", .kind = FIELD_TEXT, .offset = AT(value)},
};
#undef AT

#define AT(field) offsetof(struct api_database, field)

static const struct field database_rows[] = {
    {.way = "name", .kind = FIELD_TEXT, .is_required = true, .offset = AT(name)},
    {.way = "path", .kind = FIELD_TEXT, .is_required = true, .offset = AT(path)},
    {.way = "containerName", .kind = FIELD_TEXT, .offset = AT(container)},
    {.way = "volumeName", .kind = FIELD_TEXT, .offset = AT(volume)},
    {.way = "journalMode",
     .kind = FIELD_SWITCH,
     .offset = AT(journal_enable),
     .words = journal_words},
    {.way = "seal", .kind = FIELD_BOOL, .offset = AT(seal), .number = true},
    {.way = "monitorIntervalMilliseconds",
     .kind = FIELD_MILLIS,
     .offset = AT(monitor_interval_ns),
     .number = 1000,
     .min = 10,
     .max = 3600000},
    {.way = "checkpointIntervalSeconds",
     .kind = FIELD_SECONDS,
     .offset = AT(checkpoint_interval_ns),
     .number = 60,
     .max = 86400},
    {.way = "minCheckpointPages",
     .kind = FIELD_COUNT,
     .offset = AT(min_checkpoint_page_count),
     .number = 1000,
     .min = 1,
     .max = INT32_MAX},
    {.way = "busyTimeoutMilliseconds",
     .kind = FIELD_MILLIS,
     .offset = AT(busy_timeout_ns),
     .number = 1000,
     .max = 60000},
    {.way = "freeSpaceReserve.bytes",
     .kind = FIELD_COUNT,
     .offset = AT(reserve_bytes),
     .number = 64 << 20,
     .max = UINT64_C(1) << 50},
    {.way = "freeSpaceReserve.percent",
     .kind = FIELD_COUNT,
     .offset = AT(reserve_percent),
     .number = 5,
     .max = 90},
};
#undef AT

#define AT(field) offsetof(struct api_destination, field)

/* Of spec, for its first destination, whose settings the others have where they set none. */
static const struct field primary_rows[] = {
    {.way = "destination.bucketRef.name", .kind = FIELD_TEXT, .offset = AT(bucket_ref)},
    {.way = "destination.createBucket", .kind = FIELD_BOOL, .offset = AT(create_bucket)},
    {.way = "prefixTemplate",
     .kind = FIELD_TEXT,
     .offset = AT(prefix_template),
     .fallback = API_PREFIX_TEMPLATE},
    {.way = "sync.intervalMilliseconds",
     .kind = FIELD_MILLIS,
     .offset = AT(sync_interval_ns),
     .number = 1000,
     .min = 10,
     .max = 3600000},
    {.way = "sync.snapshotIntervalSeconds",
     .kind = FIELD_SECONDS,
     .offset = AT(snapshot_interval_ns),
     .number = 86400,
     .min = 60,
     .max = 31536000},
    {.way = "retention.window",
     .kind = FIELD_DURATION,
     .offset = AT(retention_ns),
     .fallback = "720h",
     .min = 3600},
};

static const struct field secondary_rows[] = {
    {.way = "name", .kind = FIELD_TEXT, .is_required = true, .offset = AT(name)},
    {.way = "bucketRef.name", .kind = FIELD_TEXT, .offset = AT(bucket_ref)},
    {.way = "createBucket", .kind = FIELD_BOOL, .offset = AT(create_bucket)},
    {.way = "prefixTemplate", .kind = FIELD_TEXT, .offset = AT(prefix_template)},
    {.way = "syncIntervalMilliseconds",
     .kind = FIELD_MILLIS,
     .offset = AT(sync_interval_ns),
     .min = 10,
     .max = 3600000},
    {.way = "snapshotIntervalSeconds",
     .kind = FIELD_SECONDS,
     .offset = AT(snapshot_interval_ns),
     .min = 60,
     .max = 31536000},
    {.way = "retentionWindow", .kind = FIELD_DURATION, .offset = AT(retention_ns), .min = 3600},
};
#undef AT

/* ---- databases ---- */

static int database_check(const struct api_replica *r, size_t idx, struct jsonval v,
                          struct error *err)
{
    const struct api_database *db = &r->databases[idx];

    if (db->path[0] != '/' || strstr(db->path, "/../") || strstr(db->path, "//") ||
        db->path[strlen(db->path) - 1] == '/') {
        return jsonval_error(jsonval_get(v, "path"), err, ERR_CORRUPT,
                             "\"%.128s\" is not an absolute, normalised path of a file", db->path);
    }
    for (size_t i = 0; i < idx; i++) {
        if (strcmp(r->databases[i].name, db->name) == 0 ||
            strcmp(r->databases[i].path, db->path) == 0) {
            return jsonval_error(v, err, ERR_CORRUPT,
                                 "databases %zu and %zu have the same name "
                                 "or path",
                                 i, idx);
        }
    }
    return 0;
}

static int databases_parse(struct jsonval spec, struct api_replica *r, struct error *err)
{
    struct jsonval list = jsonval_get(spec, "databases");
    size_t count = jsonval_count(list);

    if (count == 0 || count > API_DATABASES_MAX) {
        return jsonval_error(list, err, ERR_CORRUPT, "%zu databases, there must be 1 to %d", count,
                             API_DATABASES_MAX);
    }
    r->databases = mem_new(count, sizeof(*r->databases), err);
    if (!r->databases)
        return -1;
    for (struct jsonval v = jsonval_first(list); jsonval_exists(v); v = jsonval_next(v)) {
        size_t idx = r->database_count++;
        if (field_table_read(FIELD_TABLE(database_rows), v, &r->databases[idx], err) < 0 ||
            database_check(r, idx, v, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- destinations ---- */

static int destination_check(const struct api_replica *r, const struct api_destination *d,
                             struct jsonval v, struct error *err)
{
    if ((d->bucket_ref != NULL) == (d->store.kind != API_STORE_NONE)) {
        return jsonval_error(v, err, ERR_CORRUPT,
                             "exactly one of bucketRef, s3 and file must be set");
    }
    if (d->create_bucket && d->store.kind != API_STORE_S3)
        return jsonval_error(v, err, ERR_CORRUPT, "createBucket goes with s3");
    if (api_prefix_check(d->prefix_template, err) < 0)
        return jsonval_error(v, err, ERR_CORRUPT, "%s", err->text);
    if (r->database_count > 1 && !strstr(d->prefix_template, "{{database}}")) {
        return jsonval_error(v, err, ERR_CORRUPT,
                             "prefix \"%.128s\" would be shared by %zu databases; put {{database}} "
                             "into it",
                             d->prefix_template, r->database_count);
    }
    return 0;
}

/* Where a further destination sets nothing it is as the first. */
static int destination_inherit(struct api_destination *d, const struct api_destination *first,
                               struct error *err)
{
    if (d->sync_interval_ns == 0)
        d->sync_interval_ns = first->sync_interval_ns;
    if (d->snapshot_interval_ns == 0)
        d->snapshot_interval_ns = first->snapshot_interval_ns;
    if (d->retention_ns == 0)
        d->retention_ns = first->retention_ns;
    if (!d->prefix_template)
        d->prefix_template = str_dup(first->prefix_template, err);
    return d->prefix_template ? 0 : -1;
}

static int primary_parse(struct jsonval spec, struct api_replica *r, struct error *err)
{
    struct jsonval v = jsonval_get(spec, "destination");
    struct api_destination *d = &r->destinations[r->destination_count++];

    d->name = str_dup("primary", err);
    if (!d->name || field_table_read(FIELD_TABLE(primary_rows), spec, d, err) < 0 ||
        api_store_parse(v, &d->store, err) < 0)
        return -1;
    return destination_check(r, d, v, err);
}

static int secondary_parse(struct jsonval v, struct api_replica *r, struct error *err)
{
    struct api_destination *d = &r->destinations[r->destination_count++];

    if (field_table_read(FIELD_TABLE(secondary_rows), v, d, err) < 0 ||
        api_store_parse(v, &d->store, err) < 0 ||
        destination_inherit(d, &r->destinations[0], err) < 0)
        return -1;
    for (const struct api_destination *o = r->destinations; o < d; o++) {
        if (strcmp(o->name, d->name) == 0) {
            return jsonval_error(v, err, ERR_CORRUPT, "another destination is called \"%.64s\"",
                                 d->name);
        }
    }
    return destination_check(r, d, v, err);
}

static int destinations_parse(struct jsonval spec, struct api_replica *r, struct error *err)
{
    struct jsonval list = jsonval_get(spec, "secondaryDestinations");
    size_t count = jsonval_count(list);

    if (count > API_DESTINATIONS_MAX - 1) {
        return jsonval_error(list, err, ERR_CORRUPT, "%zu entries, at most %d", count,
                             API_DESTINATIONS_MAX - 1);
    }
    r->destinations = mem_new(count + 1, sizeof(*r->destinations), err);
    if (!r->destinations || primary_parse(spec, r, err) < 0)
        return -1;
    for (struct jsonval v = jsonval_first(list); jsonval_exists(v); v = jsonval_next(v)) {
        if (secondary_parse(v, r, err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the rest ---- */

static int levels_parse(struct jsonval spec, struct api_replica *r, struct error *err)
{
    static const uint64_t defaults[] = {30 * NS_PER_SEC, 5 * NS_PER_MIN, NS_PER_HOUR};
    struct jsonval list = jsonval_way(spec, "sync.levelIntervalsSeconds");
    uint64_t seconds = 0;

    if (jsonval_is_null(list)) {
        memcpy(r->level_ns, defaults, sizeof(defaults));
        r->level_count = ARRAY_LEN(defaults);
        return 0;
    }
    for (struct jsonval v = jsonval_first(list); jsonval_exists(v); v = jsonval_next(v)) {
        if (r->level_count == API_LEVELS_MAX)
            return jsonval_error(list, err, ERR_CORRUPT, "more than %d levels", API_LEVELS_MAX);
        if (jsonval_u64(v, &seconds, err) < 0)
            return -1;
        uint64_t before = r->level_count ? r->level_ns[r->level_count - 1] / NS_PER_SEC : 0;
        if (seconds <= before || seconds > 31536000)
            return jsonval_error(v, err, ERR_CORRUPT, "level intervals must ascend");
        r->level_ns[r->level_count++] = seconds * NS_PER_SEC;
    }
    return r->level_count ? 0 : jsonval_error(list, err, ERR_CORRUPT, "there must be a level");
}

static int sidecar_parse(struct jsonval v, struct api_sidecar *s, struct error *err)
{
    struct jsonval env = jsonval_get(v, "env");
    size_t count = jsonval_count(env);

    if (field_table_read(FIELD_TABLE(sidecar_rows), v, s, err) < 0 ||
        field_table_read(FIELD_TABLE(resource_rows), jsonval_get(v, "resources"), &s->resources,
                         err) < 0 ||
        field_table_read(FIELD_TABLE(restore_resource_rows), jsonval_get(v, "restoreResources"),
                         &s->restore_resources, err) < 0)
        return -1;
    s->has_user = !jsonval_is_null(jsonval_get(v, "runAsUser"));
    s->has_group = !jsonval_is_null(jsonval_get(v, "runAsGroup"));
    if (count > API_ENV_MAX)
        return jsonval_error(env, err, ERR_CORRUPT, "%zu entries, at most %d", count, API_ENV_MAX);
    s->env = count ? mem_new(count, sizeof(*s->env), err) : NULL;
    if (count && !s->env)
        return -1;
    for (struct jsonval e = jsonval_first(env); jsonval_exists(e); e = jsonval_next(e)) {
        if (field_table_read(FIELD_TABLE(env_rows), e, &s->env[s->env_count++], err) < 0)
            return -1;
    }
    return 0;
}

static int rules_check(struct jsonval spec, const struct api_replica *r, struct error *err)
{
    if (r->restore.target_time && r->restore.target_txid) {
        return jsonval_error(jsonval_get(spec, "restore"), err, ERR_CORRUPT,
                             "targetTime and targetTxid exclude each other");
    }
    if (r->restore.target_txid && (strlen(r->restore.target_txid) != 16 ||
                                   strspn(r->restore.target_txid, "0123456789abcdef") != 16)) {
        return jsonval_error(jsonval_way(spec, "restore.targetTxid"), err, ERR_CORRUPT,
                             "\"%.64s\" is not 16 hexadecimal digits", r->restore.target_txid);
    }
    if (r->lag.critical_ns < r->lag.warning_ns) {
        return jsonval_error(jsonval_get(spec, "lagObjective"), err, ERR_CORRUPT,
                             "criticalSeconds is less than warningSeconds");
    }
    if (r->l0_retention_ns != 0 && r->l0_retention_ns < NS_PER_MIN) {
        return jsonval_error(jsonval_way(spec, "sync.l0RetentionSeconds"), err, ERR_CORRUPT,
                             "it must be 0 (only with the snapshots) or at least 60");
    }
    return 0;
}

#define STATUS_AT(field) offsetof(struct api_replica, status.field)

static const struct field restoring_rows[] = {
    {.way = "restore.name", .kind = FIELD_TEXT, .offset = STATUS_AT(restore.name)},
    {.way = "restore.uid", .kind = FIELD_TEXT, .offset = STATUS_AT(restore.uid)},
    {.way = "restore.podsMayRun", .kind = FIELD_BOOL, .offset = STATUS_AT(restore.pods_may_run)},
};

static int status_parse(struct jsonval status, struct api_replica *r, struct error *err)
{
    if (jsonval_u64_or(jsonval_get(status, "observedGeneration"), 0, &r->status.observed_generation,
                       err) < 0)
        return -1;
    if (!jsonval_is_null(status) &&
        field_table_read(FIELD_TABLE(restoring_rows), status, r, err) < 0)
        return -1;
    return field_texts_read(jsonval_get(status, "replicatedPrefixes"), API_PREFIXES_MAX,
                            &r->status.prefixes, &r->status.prefix_count, err);
}

static int replica_parse(struct jsonval resource, struct api_replica *r, struct error *err)
{
    struct jsonval spec = jsonval_get(resource, "spec");

    if (!jsonval_is_object(spec))
        return jsonval_error(spec, err, ERR_CORRUPT, "it is missing");
    if (field_table_read(FIELD_TABLE(replica_rows), spec, r, err) < 0 ||
        databases_parse(spec, r, err) < 0 || destinations_parse(spec, r, err) < 0 ||
        levels_parse(spec, r, err) < 0 ||
        sidecar_parse(jsonval_get(spec, "sidecar"), &r->sidecar, err) < 0 ||
        rules_check(spec, r, err) < 0)
        return -1;
    return status_parse(jsonval_get(resource, "status"), r, err);
}

int api_replica_parse(struct jsonval resource, struct api_replica **out, struct error *err)
{
    CLEANUP(api_replica_cleanup) struct api_replica *r = mem_new(1, sizeof(*r), err);

    if (!r || api_meta_parse(resource, &r->meta, err) < 0)
        return error_wrap(err, "SqliteReplica");
    if (replica_parse(resource, r, err) < 0)
        return error_wrap(err, "SqliteReplica %s/%s", r->meta.namespace_name, r->meta.name);
    *out = TAKE(r);
    return 0;
}

static void sidecar_destroy(struct api_sidecar *s)
{
    for (size_t i = 0; i < s->env_count; i++)
        field_table_destroy(FIELD_TABLE(env_rows), &s->env[i]);
    free(s->env);
    field_table_destroy(FIELD_TABLE(sidecar_rows), s);
    field_table_destroy(FIELD_TABLE(resource_rows), &s->resources);
    field_table_destroy(FIELD_TABLE(resource_rows), &s->restore_resources);
}

void api_replica_free(struct api_replica *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->database_count; i++)
        field_table_destroy(FIELD_TABLE(database_rows), &r->databases[i]);
    free(r->databases);
    for (size_t i = 0; i < r->destination_count; i++) {
        field_table_destroy(FIELD_TABLE(secondary_rows), &r->destinations[i]);
        api_store_destroy(&r->destinations[i].store);
    }
    free(r->destinations);
    sidecar_destroy(&r->sidecar);
    field_texts_free(r->status.prefixes, r->status.prefix_count);
    field_table_destroy(FIELD_TABLE(restoring_rows), r);
    field_table_destroy(FIELD_TABLE(replica_rows), r);
    api_meta_destroy(&r->meta);
    free(r);
}

void api_replica_cleanup(struct api_replica **replica)
{
    api_replica_free(*replica);
}

/* ---- what follows from it ---- */

int api_replica_config_map(const struct api_replica *replica, struct buf *out, struct error *err)
{
    return buf_printf(out, err, "walferry-%s", replica->meta.name);
}

bool api_replica_has_reported(const struct api_replica *replica, const char *prefix)
{
    for (size_t i = 0; i < replica->status.prefix_count; i++) {
        if (strcmp(replica->status.prefixes[i], prefix) == 0)
            return true;
    }
    return false;
}

int api_destination_store(const struct api_destination *destination,
                          const struct api_bucket *const *buckets, size_t bucket_count,
                          const struct api_store **out_store, const struct api_bucket **out_bucket,
                          struct error *err)
{
    if (!destination->bucket_ref) {
        *out_store = &destination->store;
        *out_bucket = NULL;
        return 0;
    }
    for (size_t i = 0; i < bucket_count; i++) {
        if (strcmp(buckets[i]->meta.name, destination->bucket_ref) == 0) {
            *out_store = &buckets[i]->store;
            *out_bucket = buckets[i];
            return 0;
        }
    }
    return error_set(err, ERR_NOT_FOUND, 0, "SqliteBucket \"%s\" does not exist",
                     destination->bucket_ref);
}

bool api_destination_is_read_only(const struct api_destination *destination,
                                  const struct api_bucket *const *buckets, size_t bucket_count)
{
    const struct api_store *store = NULL;
    const struct api_bucket *bucket = NULL;
    struct error ignored = ERROR_INIT; /* whoever needs the bucket itself tells */

    return api_destination_store(destination, buckets, bucket_count, &store, &bucket, &ignored) ==
               0 &&
           bucket && bucket->is_read_only;
}
