/*
 * A table as kubectl prints it: upper-case heads, columns as wide as their widest cell and three
 * blanks apart, the last one ragged.
 *
 *     struct table t = TABLE_INIT(columns, ARRAY_LEN(columns));
 *     table_cell(&t, "%s", name); ...                one for each column, row after row
 *     if (table_print(&t, &out, err) < 0) ...
 *
 * The first failure sticks and is reported by table_print(). After it the table is empty again and
 * keeps its widths, without another head: so a followed table goes on in its columns.
 */
#ifndef WALFERRY_CONTROLLER_PLUGIN_TABLE_H
#define WALFERRY_CONTROLLER_PLUGIN_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/base.h"

enum {
    TABLE_COLUMNS_MAX = 20,
    TABLE_BYTES_MAX = 64 << 20, /* of all cells */
};

struct table {
    const char *const *columns; /* borrowed */
    size_t column_count;
    struct buf cells; /* each ended by a zero byte */
    size_t cell_count;
    size_t widths[TABLE_COLUMNS_MAX]; /* in characters */
    bool has_head;                    /* was printed */
    struct error err;
};

#define TABLE_INIT(columns_, count_)                                                               \
    {.columns = (columns_),                                                                        \
     .column_count = (count_),                                                                     \
     .cells = BUF_INIT(TABLE_BYTES_MAX),                                                           \
     .err = ERROR_INIT}
void table_destroy(struct table *t);

/* The next cell. Empty ones are shown as "<none>"; control characters as blanks. */
void table_cell(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Adds what the table holds to out. Every row must be full (asserted). */
MUST_USE int table_print(struct table *t, struct buf *out, struct error *err);

#endif
