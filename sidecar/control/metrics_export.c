/*
 * /metrics: walks the table of families and, within each, the state that the engine told. Nothing
 * is stored between scrapes; a database that is gone has no series any more.
 *
 * Order is family by family, as the format wants it, so the state is walked once a family: 70 times
 * a few hundred structs in cache, about a millisecond for 1000 databases, once each 15 s.
 *
 * Litestream's names carry the path as db, and its modes are written in capitals.
 */
#include <stdio.h>
#include <string.h>

#include "sidecar/control/control_internal.h"
#include "sidecar/control/metrics_table.h"

static_assert(sizeof(struct metrics_operation) == sizeof(((struct storage_counters *)NULL)->op[0]),
              "an element of struct storage_counters");

struct exporter {
    struct metrics_writer w;
    const struct status_process *s;
    bool is_litestream; /* the rows are of its table */
};

/* Writes the field of a row in the struct at base. */
static void put_value(struct exporter *e, const struct metrics_row *row, const char *const *labels,
                      const void *base)
{
    const uint8_t *field = (const uint8_t *)base + row->offset;
    uint64_t wide = 0;
    uint32_t narrow = 0;
    bool flag = false;

    switch (row->value) {
    case METRICS_VALUE_U32:
        memcpy(&narrow, field, sizeof(narrow));
        metrics_sample_u64(&e->w, labels, narrow);
        return;
    case METRICS_VALUE_FLAG:
        memcpy(&flag, field, sizeof(flag));
        metrics_sample_u64(&e->w, labels, flag);
        return;
    case METRICS_VALUE_COUNT:
        memcpy(&wide, field, sizeof(wide));
        metrics_sample_u64(&e->w, labels, wide);
        return;
    case METRICS_VALUE_MOMENT:
    case METRICS_VALUE_SECONDS:
        memcpy(&wide, field, sizeof(wide));
        if (row->value == METRICS_VALUE_SECONDS || wide > 0)
            metrics_sample_ns(&e->w, labels, wide);
        return;
    case METRICS_VALUE_OWN:
    default:
        ASSERT(row->value != METRICS_VALUE_OWN);
    }
}

static const char *db_label(const struct exporter *e, const struct status_db *db)
{
    return e->is_litestream ? db->path : db->name;
}

static void put_modes(struct exporter *e, const struct metrics_row *row, const struct status_db *db)
{
    static const char *const capitals[STATUS_CHECKPOINT_MODES] = {
        [STATUS_CHECKPOINT_PASSIVE] = "PASSIVE",
        [STATUS_CHECKPOINT_SEAL] = "SEAL",
        [STATUS_CHECKPOINT_SHRINK] = "SHRINK",
    };

    for (unsigned mode = 0; mode < STATUS_CHECKPOINT_MODES; mode++) {
        const char *name = status_checkpoint_mode_name((enum status_checkpoint_mode)mode);
        const char *const labels[] = {db_label(e, db), e->is_litestream ? capitals[mode] : name};
        put_value(e, row, labels, &db->checkpoints[mode]);
    }
}

static void put_destination(struct exporter *e, const struct metrics_row *row,
                            const struct status_db *db, const struct status_destination *d)
{
    const char *labels[] = {db_label(e, db), d->name, NULL};
    char level_name[16];

    if (row->scope == METRICS_SCOPE_DESTINATION)
        put_value(e, row, labels, d);
    for (unsigned level = 0; row->scope == METRICS_SCOPE_LEVEL && level < LTX_LEVELS; level++) {
        const struct status_level *l = &d->levels[level];
        bool is_used = l->object_count > 0 || l->written_total > 0 || l->deleted_total > 0;
        (void)snprintf(level_name, sizeof(level_name), "%u", level); /* one digit */
        labels[2] = level_name;
        if (is_used)
            put_value(e, row, labels, l);
    }
    for (unsigned kind = 0; row->scope == METRICS_SCOPE_OPERATION && kind < STORAGE_OP_KINDS;
         kind++) {
        labels[2] = storage_op_name((enum storage_op_kind)kind);
        put_value(e, row, labels, &d->requests.op[kind]);
    }
}

static void put_db(struct exporter *e, const struct metrics_row *row, const struct status_db *db)
{
    if (row->scope == METRICS_SCOPE_DB) {
        const char *const labels[] = {db_label(e, db)};
        put_value(e, row, labels, db);
    } else if (row->scope == METRICS_SCOPE_MODE) {
        put_modes(e, row, db);
    } else {
        for (size_t i = 0; i < db->destination_count; i++)
            put_destination(e, row, db, &db->destinations[i]);
    }
}

static void put_row(struct exporter *e, const struct metrics_row *row)
{
    metrics_family_begin(&e->w, &row->family);
    if (row->scope == METRICS_SCOPE_OWN) {
        row->own(&e->w, e->s);
        return;
    }
    if (row->scope == METRICS_SCOPE_PROCESS) {
        put_value(e, row, NULL, e->s);
        return;
    }
    for (size_t i = 0; i < e->s->db_count; i++)
        put_db(e, row, &e->s->dbs[i]);
}

int metrics_export(const struct status_process *s, enum metrics_format format,
                   bool has_litestream_names, struct buf *out, struct error *err)
{
    struct exporter e = {.s = s};

    metrics_writer_init(&e.w, out, format);
    for (size_t i = 0; i < metrics_row_count; i++)
        put_row(&e, &metrics_rows[i]);
    e.is_litestream = true;
    for (size_t i = 0; has_litestream_names && i < metrics_litestream_row_count; i++)
        put_row(&e, &metrics_litestream_rows[i]);
    return metrics_writer_finish(&e.w, err);
}

int metrics_export_document(struct buf *out, struct error *err)
{
    if (metrics_table_head(out, err) < 0)
        return -1;
    for (size_t i = 0; i < metrics_row_count; i++) {
        if (metrics_table_row(out, &metrics_rows[i].family, err) < 0)
            return -1;
    }
    if (buf_append_str(out, "\nWith `metrics-compat: litestream`, these besides:\n\n", err) < 0 ||
        metrics_table_head(out, err) < 0)
        return -1;
    for (size_t i = 0; i < metrics_litestream_row_count; i++) {
        if (metrics_table_row(out, &metrics_litestream_rows[i].family, err) < 0)
            return -1;
    }
    return 0;
}
