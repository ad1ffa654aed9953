/*
 * JSON patches as text, see json_patch.h.
 *
 *     [{"op":"add","path":"/spec/initContainers/0","value":{...}},
 *      {"op":"remove","path":"/spec/volumes/3"}]
 */
#include "controller/inject/json_patch.h"

#include "lib/json/json_writer.h"

const char *json_pointer_step(char out[static JSON_POINTER_BYTES], const char *step)
{
    size_t n = strlen(out);

    ASSERT(n + 1 < JSON_POINTER_BYTES);
    out[n++] = '/';
    for (const char *c = step; *c; c++) {
        ASSERT(n + 3 < JSON_POINTER_BYTES);
        if (*c == '~' || *c == '/') {
            out[n++] = '~';
            out[n++] = *c == '~' ? '0' : '1';
        } else {
            out[n++] = *c;
        }
    }
    out[n] = '\0';
    return out;
}

void json_patch_init(struct json_patch *p, struct buf *out)
{
    ASSERT(out->n == 0);
    *p = (struct json_patch){.out = out};
}

/* Everything of an operation but its value. */
static int op_begin(struct json_patch *p, const char *op, const char *pointer, struct error *err)
{
    struct json_writer w;

    if (buf_printf(p->out, err, "%s{\"op\":\"%s\",\"path\":", p->op_count ? "," : "[", op) < 0)
        return -1;
    p->op_count++;
    json_writer_init(&w, p->out, JSON_COMPACT);
    json_writer_str(&w, NULL, pointer);
    return json_writer_finish(&w, err);
}

int json_patch_add(struct json_patch *p, const char *pointer, struct slice value, struct error *err)
{
    if (op_begin(p, "add", pointer, err) < 0 || buf_append_str(p->out, ",\"value\":", err) < 0 ||
        buf_append_slice(p->out, value, err) < 0)
        return -1;
    return buf_append_byte(p->out, '}', err);
}

int json_patch_remove(struct json_patch *p, const char *pointer, struct error *err)
{
    if (op_begin(p, "remove", pointer, err) < 0)
        return -1;
    return buf_append_byte(p->out, '}', err);
}

int json_patch_finish(struct json_patch *p, struct error *err)
{
    return p->op_count ? buf_append_byte(p->out, ']', err) : 0;
}
