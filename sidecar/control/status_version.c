/*
 * Field by field into a CRC. Texts go in with the zero at their end, so that what ends one and
 * begins the next cannot be confused.
 */
#include "sidecar/control/status_version.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/hex.h"
#include "lib/ltx/crc64.h"

static void add_u64(uint64_t *sum, uint64_t value)
{
    uint8_t bytes[8];

    be64_store(bytes, value);
    *sum = crc64(*sum, slice_of(bytes, sizeof(bytes)));
}

static void add_text(uint64_t *sum, const char *text)
{
    *sum = crc64(*sum, slice_of(text ? text : "", text ? strlen(text) + 1 : 1));
}

/* ---- words ---- */

static void destination_words(const struct status_destination *d, uint64_t *sum)
{
    add_text(sum, d->name);
    add_u64(sum, d->state);
    add_u64(sum, d->is_attached);
    add_u64(sum, d->is_can_create_known);
    add_u64(sum, d->can_create);
    add_u64(sum, d->fenced_by_epoch);
    add_u64(sum, d->fenced_by_owner);
    add_u64(sum, d->error_streak > 0);
    add_u64(sum, d->retention_error != NULL);
}

static void words(const struct status_process *s, uint64_t *sum)
{
    add_u64(sum, s->started_at_ns);
    add_u64(sum, s->is_draining);
    add_u64(sum, s->db_count);
    for (size_t i = 0; i < s->db_count; i++) {
        const struct status_db *db = &s->dbs[i];
        add_text(sum, db->path);
        add_text(sum, db->name);
        add_u64(sum, db->state);
        add_u64(sum, db->error_streak > 0);
        add_u64(sum, db->destination_count);
        for (size_t j = 0; j < db->destination_count; j++)
            destination_words(&db->destinations[j], sum);
    }
}

/* ---- figures ---- */

static void destination_figures(const struct status_destination *d, uint64_t *sum)
{
    add_text(sum, d->state_detail);
    add_text(sum, d->error_streak > 0 ? d->last_error : NULL);
    add_u64(sum, d->acknowledged_txid);
    add_u64(sum, d->local_txid);
    add_u64(sum, (d->lag_ns + NS_PER_SEC - 1) / NS_PER_SEC);
    add_u64(sum, d->lag_bytes);
    add_u64(sum, d->last_success_at_ns);
    add_u64(sum, d->restore_oldest_at_ns);
    add_u64(sum, d->restore_newest_at_ns);
    add_u64(sum, d->snapshot_at_ns);
    add_text(sum, d->retention_error);
    for (unsigned level = 0; level < LTX_LEVELS; level++) {
        add_u64(sum, d->levels[level].object_count);
        add_u64(sum, d->levels[level].object_bytes);
    }
}

static void figures(const struct status_process *s, uint64_t *sum)
{
    for (size_t i = 0; i < s->db_count; i++) {
        const struct status_db *db = &s->dbs[i];
        add_text(sum, db->state_detail);
        add_text(sum, db->error_streak > 0 ? db->last_error : NULL);
        add_u64(sum, db->db_bytes);
        add_u64(sum, db->wal_bytes);
        for (size_t j = 0; j < db->destination_count; j++)
            destination_figures(&db->destinations[j], sum);
    }
}

struct status_version status_version_of(const struct status_process *s)
{
    struct status_version v = {.words = 0};

    words(s, &v.words);
    v.figures = v.words;
    figures(s, &v.figures);
    return v;
}

/* ---- text ---- */

const char *status_version_format(const struct status_version *v,
                                  char out[static STATUS_VERSION_BYTES])
{
    (void)snprintf(out, STATUS_VERSION_BYTES, "%016" PRIx64 ".%016" PRIx64, v->words, v->figures);
    return out;
}

bool status_version_parse(const char *text, struct status_version *out)
{
    struct status_version v;

    if (strlen(text) != STATUS_VERSION_BYTES - 1 || text[16] != '.' ||
        !hex_number(text, 16, &v.words) || !hex_number(text + 17, 16, &v.figures))
        return false;
    *out = v;
    return true;
}
