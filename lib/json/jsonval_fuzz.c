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

/* Reads text and writes it again; false if it is not JSON. */
static bool rewrite(struct slice text, enum json_style style, struct buf *out)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    struct json_writer w;

    if (jsonval_parse(&doc, "fuzz", text, &err) < 0)
        return false;
    json_writer_init(&w, out, style);
    jsonval_write(jsonval_root(&doc), &w, NULL);
    /* Read up to JSONVAL_DEPTH_MAX, written up to JSON_WRITER_DEPTH_MAX. */
    if (json_writer_finish(&w, &err) < 0)
        ASSERT(err.code == ERR_LIMIT);
    return err.code == ERR_NONE;
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
