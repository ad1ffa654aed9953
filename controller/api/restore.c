/*
 * SqliteRestore from JSON.
 */
#include "controller/api/restore.h"

#include <stdlib.h>
#include <string.h>

#include "controller/api/field_internal.h"

#define AT(field) offsetof(struct api_restore, field)

static const char *const mode_words[] = {"InPlace", "ToClaim", "Verify", NULL};
static const char *const integrity_words[] = {"None", "Quick", "Full", NULL};

static const struct field rows[] = {
    {.way = "sourceRef.name", .kind = FIELD_TEXT, .is_required = true, .offset = AT(source)},
    {.way = "database", .kind = FIELD_TEXT, .offset = AT(database)},
    {.way = "destination", .kind = FIELD_TEXT, .offset = AT(destination)},
    {.way = "podName", .kind = FIELD_TEXT, .offset = AT(pod_name)},
    {.way = "mode",
     .kind = FIELD_WORD,
     .is_required = true,
     .offset = AT(mode),
     .words = mode_words},
    {.way = "targetTime", .kind = FIELD_MOMENT, .offset = AT(target_time)},
    {.way = "targetTxid", .kind = FIELD_TEXT, .offset = AT(target_txid)},
    {.way = "verify",
     .kind = FIELD_WORD,
     .offset = AT(integrity),
     .fallback = "Quick",
     .words = integrity_words},
    {.way = "target.claimName", .kind = FIELD_TEXT, .offset = AT(claim)},
    {.way = "target.path", .kind = FIELD_TEXT, .offset = AT(path)},
    {.way = "serviceAccountName", .kind = FIELD_TEXT, .offset = AT(service_account)},
    {.way = "ttlSecondsAfterFinished",
     .kind = FIELD_SECONDS,
     .offset = AT(ttl_after_finished_ns),
     .max = 31536000},
};

static const struct field status_rows[] = {
    {.way = "observedGeneration", .kind = FIELD_COUNT, .offset = AT(status.observed_generation)},
    {.way = "restoredTxid", .kind = FIELD_TEXT, .offset = AT(status.txid)},
    {.way = "tipTxid", .kind = FIELD_TEXT, .offset = AT(status.tip_txid)},
    {.way = "restoredTime", .kind = FIELD_MOMENT, .offset = AT(status.time)},
    {.way = "message", .kind = FIELD_TEXT, .offset = AT(status.message)},
    {.way = "bytes", .kind = FIELD_COUNT, .offset = AT(status.bytes)},
    {.way = "durationSeconds", .kind = FIELD_COUNT, .offset = AT(status.seconds)},
};

#define WORKLOAD_AT(field) offsetof(struct api_workload, field)

static const struct field workload_rows[] = {
    {.way = "kind", .kind = FIELD_TEXT, .is_required = true, .offset = WORKLOAD_AT(kind)},
    {.way = "name", .kind = FIELD_TEXT, .is_required = true, .offset = WORKLOAD_AT(name)},
    {.way = "replicas", .kind = FIELD_COUNT, .offset = WORKLOAD_AT(replicas)},
};

static int rules_check(struct jsonval spec, const struct api_restore *r, struct error *err)
{
    struct jsonval target = jsonval_get(spec, "target");

    if (r->target_time && r->target_txid) {
        return jsonval_error(spec, err, ERR_CORRUPT,
                             "targetTime and targetTxid exclude each other");
    }
    if (r->mode == API_RESTORE_IN_PLACE && !r->target_time && !r->target_txid)
        return jsonval_error(spec, err, ERR_CORRUPT, "InPlace needs targetTime or targetTxid");
    if (r->mode == API_RESTORE_TO_CLAIM && (!r->claim || !r->path))
        return jsonval_error(target, err, ERR_CORRUPT, "ToClaim needs target.claimName and .path");
    if (r->mode != API_RESTORE_TO_CLAIM && (r->claim || r->path))
        return jsonval_error(target, err, ERR_CORRUPT, "it belongs to mode ToClaim");
    if (r->path && (r->path[0] == '/' || strstr(r->path, ".."))) {
        return jsonval_error(target, err, ERR_CORRUPT,
                             "path \"%.128s\" must be relative to the claim and stay in it",
                             r->path);
    }
    return 0;
}

static int condition_read(struct jsonval v, struct api_restore *r, struct error *err)
{
    const char *type = NULL, *status = NULL, *since = NULL;

    if (jsonval_str(jsonval_get(v, "type"), &type, err) < 0 ||
        jsonval_str(jsonval_get(v, "status"), &status, err) < 0 ||
        jsonval_str_or(jsonval_get(v, "lastTransitionTime"), NULL, &since, err) < 0)
        return -1;
    bool is_complete = strcmp(type, "Complete") == 0;
    bool is_failed = strcmp(type, "Failed") == 0;
    if (strcmp(status, "True") != 0 || (!is_complete && !is_failed))
        return 0;
    r->status.is_complete = r->status.is_complete || is_complete;
    r->status.is_failed = r->status.is_failed || is_failed;
    return since ? time_parse_rfc3339(since, &r->status.finished_ns, err) : 0;
}

static int workloads_read(struct jsonval list, struct api_restore *r, struct error *err)
{
    size_t count = jsonval_count(list);

    if (count > API_RESTORE_WORKLOADS_MAX)
        return jsonval_error(list, err, ERR_LIMIT, "%zu workloads", count);
    if (count == 0)
        return 0;
    r->status.workloads = mem_new(count, sizeof(*r->status.workloads), err);
    if (!r->status.workloads)
        return -1;
    for (struct jsonval v = jsonval_first(list); jsonval_exists(v); v = jsonval_next(v)) {
        struct api_workload *w = &r->status.workloads[r->status.workload_count++];
        if (field_table_read(FIELD_TABLE(workload_rows), v, w, err) < 0)
            return -1;
    }
    return 0;
}

static int status_read(struct jsonval status, struct api_restore *r, struct error *err)
{
    struct jsonval conditions = jsonval_get(status, "conditions");

    if (jsonval_is_null(status))
        return 0;
    if (field_table_read(FIELD_TABLE(status_rows), status, r, err) < 0 ||
        workloads_read(jsonval_get(status, "workloads"), r, err) < 0)
        return -1;
    for (struct jsonval v = jsonval_first(conditions); jsonval_exists(v); v = jsonval_next(v)) {
        if (condition_read(v, r, err) < 0)
            return -1;
    }
    return 0;
}

static int restore_parse(struct jsonval resource, struct api_restore *r, struct error *err)
{
    struct jsonval spec = jsonval_get(resource, "spec");

    if (field_table_read(FIELD_TABLE(rows), spec, r, err) < 0 || rules_check(spec, r, err) < 0)
        return -1;
    r->has_ttl = !jsonval_is_null(jsonval_get(spec, "ttlSecondsAfterFinished"));
    return status_read(jsonval_get(resource, "status"), r, err);
}

int api_restore_parse(struct jsonval resource, struct api_restore **out, struct error *err)
{
    CLEANUP(api_restore_cleanup) struct api_restore *r = mem_new(1, sizeof(*r), err);

    if (!r || api_meta_parse(resource, &r->meta, err) < 0)
        return error_wrap(err, "SqliteRestore");
    if (restore_parse(resource, r, err) < 0)
        return error_wrap(err, "SqliteRestore %s/%s", r->meta.namespace_name, r->meta.name);
    *out = TAKE(r);
    return 0;
}

void api_restore_free(struct api_restore *restore)
{
    if (!restore)
        return;
    field_table_destroy(FIELD_TABLE(rows), restore);
    field_table_destroy(FIELD_TABLE(status_rows), restore);
    for (size_t i = 0; i < restore->status.workload_count; i++)
        field_table_destroy(FIELD_TABLE(workload_rows), &restore->status.workloads[i]);
    free(restore->status.workloads);
    api_meta_destroy(&restore->meta);
    free(restore);
}

void api_restore_cleanup(struct api_restore **restore)
{
    api_restore_free(*restore);
}
