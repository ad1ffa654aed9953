/*
 * Merges LTX files that follow each other.
 *
 * Each input offers its next page. A binary heap orders the offers by page number and, for the
 * same page, newest input first.
 *
 * Step 1: the header, from the first and last input, once their sequence is checked.
 * Step 2: every input offers its first page.
 * Step 3: take the top offer. It is written if its page number was not seen before (newer versions
 *         came first) and is within the final size. Its input offers its next page.
 * Step 4: all inputs are at their end, hence verified: finish.
 *
 * An offer's page is borrowed from its reader until that reader moves on, so nothing is copied.
 *
 * Source of the rules: github.com/superfly/ltx, compactor.go.
 */
#include "lib/ltx/merge.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lib/ltx/writer.h"

/* The next page of an input. */
struct offer {
    uint32_t pgno;
    uint32_t input_idx;
    struct slice page;
};

struct merge {
    const struct ltx_merge_args *args;
    struct offer *heap; /* heap[0] comes first; children of i are 2 i + 1 and 2 i + 2 */
    size_t heap_n;
    struct ltx_writer writer;
    uint32_t commit;
    uint32_t last_pgno; /* dealt with */
    uint64_t page_count;
};

static bool comes_first(const struct offer *a, const struct offer *b)
{
    return a->pgno != b->pgno ? a->pgno < b->pgno : a->input_idx > b->input_idx;
}

static void heap_swap(struct merge *m, size_t i, size_t j)
{
    struct offer moved = m->heap[i];
    m->heap[i] = m->heap[j];
    m->heap[j] = moved;
}

static void heap_push(struct merge *m, struct offer offer)
{
    size_t i = m->heap_n++;

    m->heap[i] = offer;
    for (; i > 0 && comes_first(&m->heap[i], &m->heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap_swap(m, i, (i - 1) / 2);
}

/* heap[0] has changed: puts it where it belongs. */
static void heap_sink(struct merge *m)
{
    for (size_t i = 0;;) {
        size_t first = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < m->heap_n; child++) {
            if (comes_first(&m->heap[child], &m->heap[first]))
                first = child;
        }
        if (first == i)
            return;
        heap_swap(m, i, first);
        i = first;
    }
}

/* Reads the next page of an input. 1, 0 at its end, -1 with the input named. */
static int offer_read(const struct merge *m, uint32_t input_idx, struct offer *out,
                      struct error *err)
{
    struct ltx_reader *r = m->args->inputs[input_idx];

    out->input_idx = input_idx;
    int rc = ltx_reader_next(r, &out->pgno, &out->page, err);
    if (rc < 0) {
        return error_wrap(err, "input %u of %zu (%016" PRIx64 "-%016" PRIx64 ")", input_idx + 1,
                          m->args->input_count, ltx_reader_header(r)->min_txid,
                          ltx_reader_header(r)->max_txid);
    }
    return rc;
}

int ltx_merge_header(struct ltx_reader *const *inputs, size_t input_count,
                     struct ltx_header *out_header, struct error *err)
{
    if (input_count == 0 || input_count > LTX_MERGE_INPUTS_MAX) {
        return error_set(err, ERR_LIMIT, 0, "merge of %zu LTX files: 1 to %d are possible",
                         input_count, LTX_MERGE_INPUTS_MAX);
    }
    const struct ltx_header *first = ltx_reader_header(inputs[0]);
    const struct ltx_header *last = first;
    for (size_t i = 1; i < input_count; i++) {
        const struct ltx_header *next = ltx_reader_header(inputs[i]);
        if (next->page_size != last->page_size) {
            return error_set(err, ERR_CORRUPT, 0,
                             "LTX file %016" PRIx64 "-%016" PRIx64
                             " has page size %u, the one before %u",
                             next->min_txid, next->max_txid, next->page_size, last->page_size);
        }
        if (next->min_txid - 1 > last->max_txid || next->max_txid <= last->max_txid) {
            return error_set(err, ERR_GAP, 0,
                             "LTX file %016" PRIx64 "-%016" PRIx64
                             " does not follow the one before, which ends with %016" PRIx64,
                             next->min_txid, next->max_txid, last->max_txid);
        }
        last = next;
    }
    *out_header = (struct ltx_header){
        .page_size = last->page_size,
        .commit = last->commit,
        .min_txid = first->min_txid,
        .max_txid = last->max_txid,
        .timestamp_ms = last->timestamp_ms,
        .has_ext = last->has_ext,
        .node_id = last->has_ext ? last->node_id : 0,
        .epoch = last->epoch,
        .owner = last->owner,
        .db_checksum = last->db_checksum,
        .wal_cksum = last->wal_cksum,
    };
    return 0;
}

/* Step 2. */
static int heap_fill(struct merge *m, struct error *err)
{
    for (uint32_t i = 0; i < m->args->input_count; i++) {
        struct offer offer;
        int rc = offer_read(m, i, &offer, err);
        if (rc < 0)
            return -1;
        if (rc > 0)
            heap_push(m, offer);
    }
    return 0;
}

/* Step 3. */
static int top_take(struct merge *m, struct error *err)
{
    struct offer *top = &m->heap[0];

    if (top->pgno != m->last_pgno && top->pgno <= m->commit) {
        if (ltx_writer_page(&m->writer, top->pgno, top->page, err) < 0)
            return error_wrap(err, "merged file");
        m->page_count++;
    }
    m->last_pgno = top->pgno;
    int rc = offer_read(m, top->input_idx, top, err);
    if (rc < 0)
        return -1;
    if (rc == 0)
        m->heap[0] = m->heap[--m->heap_n];
    heap_sink(m);
    return 0;
}

static void merge_destroy(struct merge *m)
{
    ltx_writer_close(&m->writer);
    free(m->heap);
}

int ltx_merge(const struct ltx_merge_args *args, struct ltx_merge_result *out, struct error *err)
{
    CLEANUP(merge_destroy) struct merge m = {.args = args};
    struct ltx_merge_result result = {.page_count = 0};
    struct ltx_writer_args writer_args = {.out = args->out, .pending_byte = args->pending_byte};

    /* Step 1. */
    if (ltx_merge_header(args->inputs, args->input_count, &writer_args.header, err) < 0 ||
        ltx_writer_open(&m.writer, &writer_args, err) < 0)
        return -1;
    m.commit = writer_args.header.commit;
    m.heap = mem_new(args->input_count, sizeof(*m.heap), err);
    if (!m.heap || heap_fill(&m, err) < 0)
        return -1;
    while (m.heap_n > 0) {
        if (top_take(&m, err) < 0)
            return -1;
    }
    /* Step 4. */
    if (ltx_writer_finish(&m.writer, 0, &result.trailer, err) < 0)
        return error_wrap(err, "merged file");
    result.header = writer_args.header;
    result.page_count = m.page_count;
    *out = result;
    return 0;
}
