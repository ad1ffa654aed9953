/*
 * Any bytes as a stream, cut in two anywhere (the first byte says where): the same documents come
 * out as when it comes in one piece, the same error, and the bounds hold.
 */
#include "controller/kube/splitter.h"

#include <string.h>

enum {
    DOCUMENT_BYTES_MAX = 200
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int hear(void *arg, struct slice document, struct error *err)
{
    struct buf *all = arg;

    ASSERT(document.n <= DOCUMENT_BYTES_MAX);
    return buf_append_slice(all, document, err) < 0 || buf_append_byte(all, '|', err) < 0 ? -1 : 0;
}

static enum error_code lines_run(struct slice a, struct slice b, struct buf *out)
{
    struct line_splitter s = LINE_SPLITTER_INIT(DOCUMENT_BYTES_MAX);
    struct error err = ERROR_INIT;

    if (line_splitter_feed(&s, a, hear, out, &err) == 0)
        IGNORE(line_splitter_feed(&s, b, hear, out, &err)); /* err is what is compared */
    line_splitter_destroy(&s);
    return err.code;
}

static enum error_code items_run(struct slice a, struct slice b, struct buf *out)
{
    struct item_splitter s = ITEM_SPLITTER_INIT(DOCUMENT_BYTES_MAX);
    struct slice envelope = SLICE_EMPTY;
    struct error err = ERROR_INIT;

    if (item_splitter_feed(&s, a, hear, out, &err) == 0 &&
        item_splitter_feed(&s, b, hear, out, &err) == 0 &&
        item_splitter_end(&s, &envelope, &err) == 0)
        IGNORE(buf_append_slice(out, envelope, &err)); /* out is large enough: see BUF_INIT */
    item_splitter_destroy(&s);
    return err.code;
}

static void compare(enum error_code (*run)(struct slice a, struct slice b, struct buf *out),
                    struct slice text, size_t cut)
{
    CLEANUP(buf_destroy) struct buf whole = BUF_INIT(4 << 20);
    CLEANUP(buf_destroy) struct buf pieces = BUF_INIT(4 << 20);

    enum error_code code = run(text, SLICE_EMPTY, &whole);
    ASSERT(run(slice_sub(text, 0, cut), slice_sub(text, cut, text.n), &pieces) == code);
    ASSERT(slice_eq(buf_slice(&whole), buf_slice(&pieces)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1 || n > (1 << 20))
        return 0;
    struct slice text = slice_of(data + 1, n - 1);
    size_t cut = text.n ? data[0] * text.n / 255 : 0;
    compare(lines_run, text, cut);
    compare(items_run, text, cut);
    return 0;
}
