/*
 * Walks over the tables of settings and shows each with its value and origin; the text and the
 * JSON form are two ways to print the same rows, in the order of the tables:
 *
 *   global settings, levels, then each database: its settings, then each replica: type and URL,
 *   then its settings (those of s3 only for s3)
 */
#include "lib/config/config_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config/config_internal.h"

enum {
    KEY_BYTES_MAX = 160,
    VALUE_BYTES_MAX = 64 << 10,
    KEY_COLUMN = 52, /* width of the keys in the text form */
    VALUE_COLUMN = 24,
};

/* Where rows go: into text or into w. */
struct report {
    struct buf *text; /* NULL: JSON */
    struct json_writer *w;
    bool is_full;
};

static const char *origin_text(uint32_t origin, char out[static 32])
{
    if (origin == CONFIG_ORIGIN_DEFAULT)
        (void)snprintf(out, 32, "default");
    else if (origin <= CONFIG_ORIGIN_LINE_MAX)
        (void)snprintf(out, 32, "line %" PRIu32, origin);
    else {
        (void)snprintf(out, 32, "%s",
                       origin == CONFIG_ORIGIN_URL        ? "url"
                       : origin == CONFIG_ORIGIN_ARGUMENT ? "argument"
                                                          : "derived");
    }
    return out;
}

static int text_row(struct buf *out, const char *key, const char *value, uint32_t origin,
                    struct error *err)
{
    char from[32];

    return buf_printf(out, err, "%-*s %-*s %s\n", KEY_COLUMN, key, VALUE_COLUMN,
                      *value ? value : "-", origin_text(origin, from));
}

static void json_row(struct json_writer *w, const char *key, const char *value, uint32_t origin)
{
    char from[32];
    bool is_line = origin != CONFIG_ORIGIN_DEFAULT && origin <= CONFIG_ORIGIN_LINE_MAX;

    json_writer_object(w, NULL);
    json_writer_str(w, "key", key);
    json_writer_str(w, "value", *value ? value : NULL);
    json_writer_str(w, "origin", is_line ? "file" : origin_text(origin, from));
    if (is_line)
        json_writer_u64(w, "line", origin);
    json_writer_end(w);
}

static int row_show(struct report *r, const char *key, const char *value, uint32_t origin,
                    struct error *err)
{
    if (!r->is_full && origin == CONFIG_ORIGIN_DEFAULT)
        return 0;
    if (r->text)
        return text_row(r->text, key, value, origin, err);
    json_row(r->w, key, value, origin);
    return 0;
}

/* All rows of a table whose flags do not touch hidden. */
static int table_show(struct report *r, const char *prefix, struct setting_table table,
                      const void *base, const uint32_t *origin, unsigned hidden, struct error *err)
{
    for (size_t i = 0; i < table.count; i++) {
        const struct setting *row = &table.rows[i];
        char key[KEY_BYTES_MAX];
        CLEANUP(buf_destroy) struct buf value = BUF_INIT(VALUE_BYTES_MAX);
        if (!setting_has_value(row) || (row->flags & hidden))
            continue;
        (void)snprintf(key, sizeof(key), "%s%s", prefix, row->key); /* every key is shorter */
        if (setting_format(row, base, &value, err) < 0 ||
            row_show(r, key, buf_str(&value), origin[i], err) < 0)
            return -1;
    }
    return 0;
}

static int replica_show(struct report *r, const struct config_replica *replica, size_t db_idx,
                        size_t replica_idx, struct error *err)
{
    char prefix[64];
    char key[KEY_BYTES_MAX];
    unsigned hidden = replica->backend == CONFIG_BACKEND_S3 ? 0 : SETTING_S3_ONLY;

    (void)snprintf(prefix, sizeof(prefix), "dbs[%zu].replicas[%zu].", db_idx, replica_idx);
    (void)snprintf(key, sizeof(key), "%stype", prefix); /* both fit by far */
    if (row_show(r, key, config_backend_name(replica->backend), CONFIG_ORIGIN_DERIVED, err) < 0)
        return -1;
    (void)snprintf(key, sizeof(key), "%surl", prefix);
    if (row_show(r, key, replica->url, CONFIG_ORIGIN_DERIVED, err) < 0)
        return -1;
    return table_show(r, prefix, config_replica_table(), replica, replica->origin, hidden, err);
}

static int db_show(struct report *r, const struct config_db *db, size_t db_idx, struct error *err)
{
    char prefix[64];

    (void)snprintf(prefix, sizeof(prefix), "dbs[%zu].", db_idx); /* fits by far */
    if (table_show(r, prefix, config_db_table(), db, db->origin, 0, err) < 0)
        return -1;
    for (size_t i = 0; i < db->replica_count; i++) {
        if (replica_show(r, &db->replicas[i], db_idx, i, err) < 0)
            return -1;
    }
    return 0;
}

static int settings_show(struct report *r, const struct config *c, struct error *err)
{
    if (table_show(r, "", config_global_table(), c, c->origin, 0, err) < 0)
        return -1;
    for (size_t i = 0; i < c->level_count; i++) {
        char key[64];
        char value[TIME_TEXT_BYTES];
        (void)snprintf(key, sizeof(key), "levels[%zu].interval", i); /* fits by far */
        if (row_show(r, key, duration_format(c->level_interval_ns[i], value), c->level_origin[i],
                     err) < 0)
            return -1;
    }
    for (size_t i = 0; i < c->db_count; i++) {
        if (db_show(r, &c->dbs[i], i, err) < 0)
            return -1;
    }
    return 0;
}

int config_check_text(const struct config *c, bool is_full, struct buf *out, struct error *err)
{
    struct report report = {.text = out, .is_full = is_full};

    if (settings_show(&report, c, err) < 0)
        return -1;
    for (size_t i = 0; i < c->warning_count; i++) {
        if (buf_printf(out, err, "warning: %s\n", c->warnings[i]) < 0)
            return -1;
    }
    return buf_printf(out, err, "%s: %zu database%s, %zu warning%s\n", c->name, c->db_count,
                      c->db_count == 1 ? "" : "s", c->warning_count,
                      c->warning_count == 1 ? "" : "s");
}

void config_check_json(const struct config *c, struct json_writer *w, const char *key)
{
    struct report report = {.w = w, .is_full = true};
    struct error err = ERROR_INIT;

    json_writer_object(w, key);
    json_writer_str(w, "file", c->name);
    json_writer_array(w, "settings");
    if (settings_show(&report, c, &err) < 0 && w->err.code == ERR_NONE)
        w->err = err;
    json_writer_end(w);
    json_writer_array(w, "warnings");
    for (size_t i = 0; i < c->warning_count; i++)
        json_writer_str(w, NULL, c->warnings[i]);
    json_writer_end(w);
    json_writer_end(w);
}
