/*
 * SqliteBucket from JSON.
 */
#include "controller/api/bucket.h"

#include <stdlib.h>

#include "controller/api/field_internal.h"
#include "controller/api/prefix.h"

#define AT(field) offsetof(struct api_bucket, field)

static const char *const access_words[] = {"ReadWrite", "ReadOnly", NULL};

static const struct field rows[] = {
    {.way = "spec.prefix", .kind = FIELD_TEXT, .offset = AT(prefix)},
    {.way = "spec.accessMode",
     .kind = FIELD_SWITCH,
     .offset = AT(is_read_only),
     .words = access_words},
    {.way = "spec.createBucket", .kind = FIELD_BOOL, .offset = AT(create_bucket)},
    {.way = "spec.validationIntervalSeconds",
     .kind = FIELD_SECONDS,
     .offset = AT(probe_interval_ns),
     .number = 3600,
     .max = 86400 * 30},
    {.way = "spec.serviceAccountName", .kind = FIELD_TEXT, .offset = AT(service_account)},
    {.way = "status.observedGeneration", .kind = FIELD_COUNT, .offset = AT(observed_generation)},
};

static int bucket_parse(struct jsonval resource, struct api_bucket *b, struct error *err)
{
    struct jsonval spec = jsonval_get(resource, "spec");
    struct jsonval probed = jsonval_way(resource, "status.lastValidationTime");
    const char *text = NULL;

    if (api_meta_parse(resource, &b->meta, err) < 0 || api_store_parse(spec, &b->store, err) < 0 ||
        field_table_read(FIELD_TABLE(rows), resource, b, err) < 0 ||
        jsonval_str_or(probed, NULL, &text, err) < 0 ||
        (text && time_parse_rfc3339(text, &b->probed_ns, err) < 0))
        return -1;
    if (b->store.kind == API_STORE_NONE)
        return jsonval_error(spec, err, ERR_CORRUPT, "neither s3 nor file is set");
    if (!b->prefix)
        b->prefix = str_dup("", err);
    return b->prefix ? 0 : -1;
}

int api_bucket_parse(struct jsonval resource, struct api_bucket **out, struct error *err)
{
    CLEANUP(api_bucket_cleanup) struct api_bucket *b = mem_new(1, sizeof(*b), err);

    if (!b || bucket_parse(resource, b, err) < 0)
        return error_wrap(err, "SqliteBucket");
    *out = TAKE(b);
    return 0;
}

void api_bucket_free(struct api_bucket *bucket)
{
    if (!bucket)
        return;
    api_meta_destroy(&bucket->meta);
    api_store_destroy(&bucket->store);
    field_table_destroy(FIELD_TABLE(rows), bucket);
    free(bucket);
}

void api_bucket_cleanup(struct api_bucket **bucket)
{
    api_bucket_free(*bucket);
}
