/*
 * AdmissionReview from and to JSON.
 */
#include "controller/webhook/review.h"

#include <string.h>

static int operation_read(struct jsonval v, enum review_operation *out, struct error *err)
{
    static const char *const words[] = {
        [REVIEW_CREATE] = "CREATE",
        [REVIEW_UPDATE] = "UPDATE",
        [REVIEW_DELETE] = "DELETE",
        [REVIEW_CONNECT] = "CONNECT",
    };
    const char *text = NULL;

    if (jsonval_str(v, &text, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(words[i], text) == 0) {
            *out = (enum review_operation)i;
            return 0;
        }
    }
    return jsonval_error(v, err, ERR_CORRUPT, "\"%.32s\" is no operation", text);
}

/* Whether it is an AdmissionReview of our version. */
static int version_check(struct jsonval root, struct error *err)
{
    const char *version = NULL, *kind = NULL;

    if (jsonval_str(jsonval_get(root, "apiVersion"), &version, err) < 0 ||
        jsonval_str(jsonval_get(root, "kind"), &kind, err) < 0)
        return -1;
    if (strcmp(kind, "AdmissionReview") != 0)
        return jsonval_error(root, err, ERR_CORRUPT, "\"%.64s\" is no AdmissionReview", kind);
    if (strcmp(version, "admission.k8s.io/v1") != 0) {
        return jsonval_error(root, err, ERR_UNSUPPORTED,
                             "AdmissionReview of %.64s, this is for admission.k8s.io/v1", version);
    }
    return 0;
}

int review_parse(struct jsonval root, struct review *out, struct error *err)
{
    struct jsonval request = jsonval_get(root, "request");
    struct jsonval uid = jsonval_get(request, "uid");

    *out = (struct review){.uid = ""};
    if (version_check(root, err) < 0 || jsonval_str(uid, &out->uid, err) < 0)
        return -1;
    if (!out->uid[0] || strlen(out->uid) > REVIEW_UID_BYTES_MAX)
        return jsonval_error(uid, err, ERR_CORRUPT, "it is empty or longer than any");
    out->object = jsonval_get(request, "object");
    out->old_object = jsonval_get(request, "oldObject");
    if (jsonval_str(jsonval_way(request, "kind.kind"), &out->kind, err) < 0 ||
        jsonval_str_or(jsonval_way(request, "resource.group"), "", &out->group, err) < 0 ||
        jsonval_str_or(jsonval_way(request, "resource.version"), "", &out->version, err) < 0 ||
        jsonval_str_or(jsonval_way(request, "resource.resource"), "", &out->resource, err) < 0 ||
        jsonval_str_or(jsonval_get(request, "subResource"), "", &out->subresource, err) < 0 ||
        jsonval_str_or(jsonval_get(request, "namespace"), "", &out->namespace_name, err) < 0 ||
        jsonval_str_or(jsonval_get(request, "name"), "", &out->name, err) < 0 ||
        jsonval_bool_or(jsonval_get(request, "dryRun"), false, &out->is_dry_run, err) < 0 ||
        operation_read(jsonval_get(request, "operation"), &out->operation, err) < 0)
        return -1;
    if (out->operation != REVIEW_DELETE && out->operation != REVIEW_CONNECT &&
        !jsonval_is_object(out->object))
        return jsonval_error(out->object, err, ERR_CORRUPT, "it is no object");
    return 0;
}

/* ---- the answer ---- */

static void put_status(struct json_writer *w, const struct inject_result *result)
{
    json_writer_object(w, "status");
    json_writer_str(w, "status", "Failure");
    json_writer_u64(w, "code", 403);
    json_writer_str(w, "reason", "Forbidden");
    json_writer_strf(w, "message", "walferry: %.1000s", buf_str(&result->denial));
    json_writer_end(w);
}

static int put_patch(struct json_writer *w, const struct inject_result *result, struct error *err)
{
    CLEANUP(buf_destroy) struct buf base64 = BUF_INIT(INJECT_PATCH_BYTES_MAX * 2);

    if (base64_encode(buf_slice(&result->patch), &base64, err) < 0)
        return -1;
    json_writer_str(w, "patchType", "JSONPatch");
    json_writer_slice(w, "patch", buf_slice(&base64));
    return 0;
}

int review_answer(const char *uid, const struct inject_result *result, const char *replica,
                  struct buf *out, struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "apiVersion", "admission.k8s.io/v1");
    json_writer_str(&w, "kind", "AdmissionReview");
    json_writer_object(&w, "response");
    json_writer_str(&w, "uid", uid);
    json_writer_bool(&w, "allowed", !result->is_denied);
    if (result->is_denied)
        put_status(&w, result);
    else if (result->patch.n > 0 && put_patch(&w, result, err) < 0)
        return -1;
    if (result->warning_count > 0) {
        json_writer_array(&w, "warnings");
        for (size_t i = 0; i < result->warning_count; i++)
            json_writer_strf(&w, NULL, "walferry: %s", result->warnings[i]);
        json_writer_end(&w);
    }
    if (replica) {
        json_writer_object(&w, "auditAnnotations");
        json_writer_str(&w, "replica", replica);
        json_writer_end(&w);
    }
    json_writer_end(&w);
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}
