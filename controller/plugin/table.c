/*
 * Cells first, widths as they come, lines at the end.
 */
#include "controller/plugin/table.h"

#include <stdarg.h>
#include <string.h>

enum {
    TABLE_CELL_BYTES_MAX = 64 << 10,
    TABLE_GAP = 3,
};

void table_destroy(struct table *t)
{
    buf_destroy(&t->cells);
}

/* Characters, not bytes. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

void table_cell(struct table *t, const char *fmt, ...)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(TABLE_CELL_BYTES_MAX);
    size_t column = t->cell_count % t->column_count;
    va_list ap;

    ASSERT(t->column_count <= TABLE_COLUMNS_MAX);
    t->cell_count++;
    va_start(ap, fmt);
    int rc = t->err.code == ERR_NONE ? buf_vprintf(&text, &t->err, fmt, ap) : -1;
    va_end(ap);
    if (rc < 0 || (text.n == 0 && buf_append_str(&text, "<none>", &t->err) < 0))
        return;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < ' ' || text.p[i] == 0x7f)
            text.p[i] = ' ';
    }
    size_t width = width_of(buf_str(&text));
    if (width > t->widths[column])
        t->widths[column] = width;
    IGNORE(buf_append(&t->cells, text.p, text.n + 1, &t->err)); /* with its zero byte; err sticks */
}

static int cell_print(const struct table *t, size_t column, const char *text, struct buf *out,
                      struct error *err)
{
    bool is_last = column + 1 == t->column_count;
    size_t pad = is_last ? 0 : t->widths[column] - width_of(text) + TABLE_GAP;

    return buf_printf(out, err, "%s%*s%s", text, (int)pad, "", is_last ? "\n" : "");
}

static int head_print(struct table *t, struct buf *out, struct error *err)
{
    for (size_t i = 0; i < t->column_count; i++) {
        size_t width = width_of(t->columns[i]);
        if (width > t->widths[i])
            t->widths[i] = width;
        if (cell_print(t, i, t->columns[i], out, err) < 0)
            return -1;
    }
    t->has_head = true;
    return 0;
}

int table_print(struct table *t, struct buf *out, struct error *err)
{
    ASSERT(t->cell_count % t->column_count == 0);
    if (t->err.code != ERR_NONE) {
        *err = t->err;
        return -1;
    }
    if (!t->has_head && head_print(t, out, err) < 0)
        return -1;
    const char *text = buf_str(&t->cells);
    for (size_t i = 0; i < t->cell_count; i++, text += strlen(text) + 1) {
        if (cell_print(t, i % t->column_count, text, out, err) < 0)
            return -1;
    }
    buf_clear(&t->cells);
    t->cell_count = 0;
    return 0;
}
