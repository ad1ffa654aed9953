/*
 * The union of destinations, read from JSON and named for people.
 */
#include "controller/api/store.h"

#include <string.h>

#include "controller/api/field_internal.h"

#define AT(field) offsetof(struct api_store, field)

static const struct field s3_rows[] = {
    {.way = "bucket", .kind = FIELD_TEXT, .is_required = true, .offset = AT(bucket)},
    {.way = "region", .kind = FIELD_TEXT, .offset = AT(region)},
    {.way = "endpoint", .kind = FIELD_TEXT, .offset = AT(endpoint)},
    {.way = "forcePathStyle", .kind = FIELD_TRISTATE, .offset = AT(force_path_style)},
    {.way = "signPayload", .kind = FIELD_TRISTATE, .offset = AT(sign_payload)},
    {.way = "requireContentMD5", .kind = FIELD_TRISTATE, .offset = AT(content_md5)},
    {.way = "storageClass", .kind = FIELD_TEXT, .offset = AT(storage_class)},
    {.way = "partSizeBytes",
     .kind = FIELD_COUNT,
     .offset = AT(part_bytes),
     .min = 5 << 20,
     .max = UINT64_C(5) << 30},
    {.way = "concurrency", .kind = FIELD_COUNT, .offset = AT(concurrency), .min = 1, .max = 64},
    {.way = "insecureSkipVerify", .kind = FIELD_BOOL, .offset = AT(skip_verify)},
    {.way = "credentialsSecretRef.name", .kind = FIELD_TEXT, .offset = AT(credentials_secret)},
    {.way = "caSecretRef.name", .kind = FIELD_TEXT, .offset = AT(ca_secret)},
    {.way = "caConfigMapRef.name", .kind = FIELD_TEXT, .offset = AT(ca_config_map)},
    {.way = "sseKMSKeyID", .kind = FIELD_TEXT, .offset = AT(sse_kms_key_id)},
    {.way = "sseCustomerKeySecretRef.name", .kind = FIELD_TEXT, .offset = AT(sse_secret)},
};

/* The key of a reference, read only where the reference is: its default belongs to it. */
static const struct field ca_secret_rows[] = {
    {.way = "caSecretRef.key", .kind = FIELD_TEXT, .offset = AT(ca_key), .fallback = "ca.crt"},
};
static const struct field ca_config_map_rows[] = {
    {.way = "caConfigMapRef.key", .kind = FIELD_TEXT, .offset = AT(ca_key), .fallback = "ca.crt"},
};
static const struct field sse_rows[] = {
    {.way = "sseCustomerKeySecretRef.key",
     .kind = FIELD_TEXT,
     .offset = AT(sse_key),
     .fallback = "key"},
};

static const struct field file_rows[] = {
    {.way = "claimName", .kind = FIELD_TEXT, .is_required = true, .offset = AT(claim)},
    {.way = "subPath", .kind = FIELD_TEXT, .offset = AT(sub_path)},
};

static int s3_parse(struct jsonval v, struct api_store *out, struct error *err)
{
    if (field_table_read(FIELD_TABLE(s3_rows), v, out, err) < 0)
        return -1;
    if (out->ca_secret && out->ca_config_map)
        return jsonval_error(v, err, ERR_CORRUPT, "caSecretRef and caConfigMapRef are both set");
    if (out->sse_secret && out->sse_kms_key_id) {
        return jsonval_error(v, err, ERR_CORRUPT,
                             "sseKMSKeyID and sseCustomerKeySecretRef are both set");
    }
    if (out->ca_secret && field_table_read(FIELD_TABLE(ca_secret_rows), v, out, err) < 0)
        return -1;
    if (out->ca_config_map && field_table_read(FIELD_TABLE(ca_config_map_rows), v, out, err) < 0)
        return -1;
    return out->sse_secret ? field_table_read(FIELD_TABLE(sse_rows), v, out, err) : 0;
}

int api_store_parse(struct jsonval v, struct api_store *out, struct error *err)
{
    struct jsonval s3 = jsonval_get(v, "s3");
    struct jsonval file = jsonval_get(v, "file");
    int rc = 0;

    *out = (struct api_store){.kind = API_STORE_NONE};
    if (!jsonval_is_null(s3) && !jsonval_is_null(file))
        return jsonval_error(v, err, ERR_CORRUPT, "s3 and file are both set");
    if (!jsonval_is_null(s3)) {
        out->kind = API_STORE_S3;
        rc = s3_parse(s3, out, err);
    } else if (!jsonval_is_null(file)) {
        out->kind = API_STORE_FILE;
        rc = field_table_read(FIELD_TABLE(file_rows), file, out, err);
    }
    if (rc < 0)
        api_store_destroy(out);
    return rc;
}

void api_store_destroy(struct api_store *store)
{
    field_table_destroy(FIELD_TABLE(s3_rows), store);
    field_table_destroy(FIELD_TABLE(ca_secret_rows), store);
    field_table_destroy(FIELD_TABLE(sse_rows), store);
    field_table_destroy(FIELD_TABLE(file_rows), store);
    store->kind = API_STORE_NONE;
}

int api_store_url(const struct api_store *store, struct buf *out, struct error *err)
{
    switch (store->kind) {
    case API_STORE_S3:
        return buf_printf(out, err, "s3://%s", store->bucket);
    case API_STORE_FILE:
        return buf_printf(out, err, "pvc://%s%s%s", store->claim, store->sub_path ? "/" : "",
                          store->sub_path ? store->sub_path : "");
    case API_STORE_NONE:
    default:
        return 0;
    }
}

static bool text_same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

bool api_store_same(const struct api_store *a, const struct api_store *b)
{
    return a->kind == b->kind && text_same(a->bucket, b->bucket) &&
           text_same(a->endpoint, b->endpoint) && text_same(a->claim, b->claim) &&
           text_same(a->sub_path, b->sub_path);
}
