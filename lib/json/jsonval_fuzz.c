/*
 * Any bytes as a JSON document: no crash, bounded depth; and what was read can be written by our
 * writer, read again and written once more with the same result.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/json/json.h"

enum {
    OUT_BYTES_MAX = 256 << 20,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void value_write(struct json_writer *w, const char *key, struct jsonval v)
{
    struct error err = ERROR_INIT;
    const char *text;
    double number;
    bool flag;

    if (jsonval_is_object(v) || jsonval_is_array(v)) {
        if (w->depth >= JSON_WRITER_DEPTH_MAX) {
            json_writer_null(w, key);
            return;
        }
        bool is_object = jsonval_is_object(v);
        if (is_object)
            json_writer_object(w, key);
        else
            json_writer_array(w, key);
        for (struct jsonval c = jsonval_first(v); jsonval_exists(c); c = jsonval_next(c))
            value_write(w, is_object ? jsonval_key(c) : NULL, c);
        json_writer_end(w);
    } else if (jsonval_str(v, &text, &err) == 0) {
        json_writer_str(w, key, text);
    } else if (jsonval_f64(v, &number, &err) == 0) {
        json_writer_f64(w, key, number);
    } else if (jsonval_bool(v, &flag, &err) == 0) {
        json_writer_bool(w, key, flag);
    } else {
        json_writer_null(w, key);
    }
}

/* Reads text and writes it again; false if it is not JSON. */
static bool rewrite(struct slice text, enum json_style style, struct buf *out)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    struct json_writer w;

    if (jsonval_parse(&doc, "fuzz", text, &err) < 0)
        return false;
    json_writer_init(&w, out, style);
    value_write(&w, NULL, jsonval_root(&doc));
    ASSERT(json_writer_finish(&w, &err) == 0);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CLEANUP(buf_destroy) struct buf once = BUF_INIT(OUT_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf pretty = BUF_INIT(OUT_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf twice = BUF_INIT(OUT_BYTES_MAX);

    if (!rewrite(slice_of(data, n), JSON_COMPACT, &once))
        return 0;
    ASSERT(rewrite(buf_slice(&once), JSON_PRETTY, &pretty));
    ASSERT(rewrite(buf_slice(&pretty), JSON_COMPACT, &twice));
    ASSERT(slice_eq(buf_slice(&once), buf_slice(&twice)));
    return 0;
}
