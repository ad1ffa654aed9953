/*
 * The record of a lease, as JSON, and its name.
 */
#include "sidecar/engine/lease_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/hex.h"
#include "lib/json/json.h"
#include "lib/ltx/ltx.h"

enum {
    OWNER_DIGITS = 8,
};

static const uint64_t expires_ms_max = 1ULL << 53; /* what a JSON number can tell exactly */

int lease_record_write(const struct lease_record *record, struct buf *out, struct error *err)
{
    struct json_writer w;

    json_writer_init(&w, out, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_strf(&w, "owner", "%08" PRIx32, record->owner);
    json_writer_str(&w, "holder", record->holder);
    json_writer_u64(&w, "expires_ms", record->expires_ms);
    json_writer_end(&w);
    return json_writer_finish(&w, err);
}

static int owner_parse(const char *text, uint32_t *out, struct error *err)
{
    uint64_t value;

    if (strlen(text) != OWNER_DIGITS || !hex_number(text, OWNER_DIGITS, &value))
        return error_set(err, ERR_CORRUPT, 0, "lease: owner is no 8 hex digits");
    *out = (uint32_t)value;
    return 0;
}

int lease_record_parse(struct slice text, struct lease_record *out, struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct lease_record record = {.owner = 0};
    const char *owner = NULL;
    const char *holder = NULL;

    if (jsonval_parse(&doc, "lease", text, err) < 0)
        return -1;
    struct jsonval root = jsonval_root(&doc);
    if (jsonval_str(jsonval_get(root, "owner"), &owner, err) < 0 ||
        owner_parse(owner, &record.owner, err) < 0 ||
        jsonval_str_or(jsonval_get(root, "holder"), "", &holder, err) < 0 ||
        jsonval_u64(jsonval_get(root, "expires_ms"), &record.expires_ms, err) < 0)
        return -1;
    if (record.expires_ms > expires_ms_max)
        return error_set(err, ERR_CORRUPT, 0, "lease: expires_ms is no moment");
    (void)snprintf(record.holder, sizeof(record.holder), "%s", holder);
    *out = record;
    return 0;
}

const char *lease_key_format(uint64_t number, char out[static LEASE_KEY_BYTES])
{
    (void)snprintf(out, LEASE_KEY_BYTES, LEASE_PREFIX "%016" PRIx64, number);
    return out;
}

bool lease_key_parse(const char *key, uint64_t *out_number)
{
    struct error err = ERROR_INIT; /* whose name it is instead does not matter */
    size_t n = strlen(LEASE_PREFIX);

    return strncmp(key, LEASE_PREFIX, n) == 0 && ltx_txid_parse(key + n, out_number, &err) == 0 &&
           *out_number > 0 && *out_number < INT64_MAX; /* another can follow */
}
