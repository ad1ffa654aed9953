/*
 * Merging: the newest page wins, the final size rules, and inputs must follow each other.
 */
#include "lib/ltx/merge.h"

#include "lib/ltx/fixture_internal.h"

enum {
    INPUTS_MAX = 40,
};

/* Inputs being collected, then merged. */
struct fixture {
    struct buf file[INPUTS_MAX];
    struct ltx_reader reader[INPUTS_MAX];
    struct ltx_reader *inputs[INPUTS_MAX];
    size_t count;
    struct ltx_merge_result result;
    struct buf out;
    struct fixture_pages pages; /* of the output */
};

static void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->out = (struct buf)BUF_INIT(FIXTURE_BYTES_MAX);
}

static void fixture_destroy(struct fixture *f)
{
    for (size_t i = 0; i < f->count; i++) {
        ltx_reader_close(&f->reader[i]);
        buf_destroy(&f->file[i]);
    }
    buf_destroy(&f->out);
    buf_destroy(&f->pages.bytes);
}

static void fixture_open(struct fixture *f)
{
    struct error err = ERROR_INIT;
    struct ltx_reader_args args = {.bytes = buf_slice(&f->file[f->count])};

    assert_ok(ltx_reader_open(&f->reader[f->count], &args, &err), &err);
    f->inputs[f->count] = &f->reader[f->count];
    f->count++;
}

/* An input whose page p holds the pattern 16 * its number in the list + p. */
static void fixture_add(struct fixture *f, const struct ltx_header *h, const uint32_t *pgnos)
{
    uint8_t pages[16][512];
    struct fixture_page list[16];
    size_t n = 0;

    for (; pgnos[n]; n++) {
        fixture_page(pages[n], 512, (unsigned)(16 * f->count + pgnos[n]));
        list[n] = (struct fixture_page){pgnos[n], pages[n]};
    }
    f->file[f->count] = (struct buf)BUF_INIT(FIXTURE_BYTES_MAX);
    fixture_write(h, list, n, 0, &f->file[f->count], NULL);
    fixture_open(f);
}

static int fixture_merge(struct fixture *f, struct error *err)
{
    CLEANUP(blob_writer_destroy) struct blob_writer w;
    CLEANUP(blob_destroy) struct blob blob = BLOB_INIT;
    struct ltx_merge_args args = {.inputs = f->inputs, .input_count = f->count, .out = &w};
    uint8_t *p;

    blob_writer_init(&w, env_real(), "/tmp", FIXTURE_BYTES_MAX);
    if (ltx_merge(&args, &f->result, err) < 0)
        return -1;
    assert_ok(blob_writer_finish(&w, &blob, err), err);
    assert_ok(buf_extend(&f->out, (size_t)blob.bytes, &p, err), err);
    assert_ok(blob_read(&blob, 0, p, (size_t)blob.bytes, err), err);
    struct ltx_trailer trailer;
    assert_ok(fixture_decode(buf_slice(&f->out), 1000, &f->pages, &trailer, err), err);
    assert_true(trailer.file_checksum == f->result.trailer.file_checksum);
    assert_int_equal(f->pages.count, f->result.page_count);
    return 0;
}

/* Asserts that output page i is pgno with the pattern n. */
static void assert_page(const struct fixture *f, size_t i, uint32_t pgno, unsigned n)
{
    uint8_t wanted[512];

    assert_int_equal(f->pages.pgno[i], pgno);
    fixture_page(wanted, 512, n);
    assert_memory_equal(f->pages.bytes.p + 512 * i, wanted, 512);
}

static struct ltx_header header_make(uint64_t min_txid, uint64_t max_txid, uint32_t commit)
{
    return (struct ltx_header){
        .page_size = 512,
        .commit = commit,
        .min_txid = min_txid,
        .max_txid = max_txid,
        .timestamp_ms = (int64_t)max_txid * 1000,
        .wal_offset = 32,
        .wal_bytes = 536,
        .wal_salt = {{7, 8}},
    };
}

static void test_vectors_merge_to_that_of_the_real_encoder(void **state UNUSED)
{
    CLEANUP(fixture_destroy) struct fixture f;
    struct ltx_header wanted = {
        .page_size = 512, .commit = 2, .min_txid = 1, .max_txid = 2, .timestamp_ms = 2000};
    struct ltx_header h;
    struct error err = ERROR_INIT;

    fixture_init(&f);
    f.file[0] = f.file[1] = (struct buf)BUF_INIT(FIXTURE_BYTES_MAX);
    fixture_hex(fixture_vector_a, &f.file[0]);
    fixture_open(&f);
    fixture_hex(fixture_vector_b, &f.file[1]);
    fixture_open(&f);
    assert_ok(fixture_merge(&f, &err), &err);
    assert_ok(ltx_header_decode(buf_slice(&f.out), &h, &err), &err);
    assert_memory_equal(&h, &wanted, sizeof(h));
    assert_memory_equal(&f.result.header, &wanted, sizeof(wanted));
    assert_int_equal(f.pages.count, 2);
    assert_page(&f, 0, 1, 1);
    assert_page(&f, 1, 2, 9);
}

static void test_newest_input_wins_and_pages_beyond_the_end_are_dropped(void **state UNUSED)
{
    CLEANUP(fixture_destroy) struct fixture f;
    struct error err = ERROR_INIT;
    struct ltx_header first = header_make(5, 6, 12);
    struct ltx_header second = header_make(6, 9, 12); /* overlaps: allowed */
    struct ltx_header third = header_make(10, 10, 8);

    fixture_init(&f);
    fixture_add(&f, &first, (const uint32_t[]){1, 2, 3, 9, 12, 0});
    fixture_add(&f, &second, (const uint32_t[]){2, 3, 4, 12, 0});
    fixture_add(&f, &third, (const uint32_t[]){3, 8, 0});
    assert_ok(fixture_merge(&f, &err), &err);
    assert_int_equal(f.result.header.min_txid, 5);
    assert_int_equal(f.result.header.max_txid, 10);
    assert_int_equal(f.result.header.commit, 8);
    assert_int_equal(f.result.header.timestamp_ms, 10000);
    assert_int_equal(f.result.header.wal_offset, 0);
    assert_int_equal(f.pages.count, 5);
    assert_page(&f, 0, 1, 1);
    assert_page(&f, 1, 2, 16 + 2);
    assert_page(&f, 2, 3, 32 + 3);
    assert_page(&f, 3, 4, 16 + 4);
    assert_page(&f, 4, 8, 32 + 8);
}

static void test_many_inputs_merge_like_a_table_of_newest_pages(void **state UNUSED)
{
    CLEANUP(fixture_destroy) struct fixture f;
    struct error err = ERROR_INIT;
    unsigned newest[16] = {0};
    uint64_t x = 99;
    size_t at = 0;

    fixture_init(&f);
    for (unsigned i = 0; i < INPUTS_MAX; i++) {
        struct ltx_header h = header_make(i + 2, i + 2, 15);
        uint32_t pgnos[17] = {0};
        size_t n = 0;
        for (uint32_t pgno = 1; pgno <= 15; pgno++) {
            x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
            if ((x >> 60) < 4) {
                pgnos[n++] = pgno;
                newest[pgno] = 16 * i + pgno;
            }
        }
        fixture_add(&f, &h, pgnos);
    }
    assert_ok(fixture_merge(&f, &err), &err);
    for (uint32_t pgno = 1; pgno <= 15; pgno++) {
        if (newest[pgno])
            assert_page(&f, at++, pgno, newest[pgno]);
    }
    assert_int_equal(f.pages.count, at);
}

static void test_extension_of_the_last_input_is_taken(void **state UNUSED)
{
    for (int last_is_ours = 0; last_is_ours <= 1; last_is_ours++) {
        CLEANUP(fixture_destroy) struct fixture f;
        struct error err = ERROR_INIT;
        struct ltx_header h[2] = {header_make(5, 5, 4), header_make(6, 6, 4)};

        fixture_init(&f);
        h[last_is_ours].has_ext = true;
        h[last_is_ours].epoch = 3;
        h[last_is_ours].owner = 4;
        h[last_is_ours].db_checksum = LTX_CHECKSUM_FLAG | 5;
        h[last_is_ours].wal_cksum = (struct wal_cksum){{6, 7}};
        fixture_add(&f, &h[0], (const uint32_t[]){1, 0});
        fixture_add(&f, &h[1], (const uint32_t[]){2, 0});
        assert_ok(fixture_merge(&f, &err), &err);
        assert_int_equal(f.result.header.has_ext, last_is_ours);
        assert_int_equal(f.result.header.epoch, last_is_ours ? 3 : 0);
        assert_int_equal(f.result.header.owner, last_is_ours ? 4 : 0);
        assert_true(f.result.header.db_checksum == (last_is_ours ? LTX_CHECKSUM_FLAG | 5 : 0));
        assert_int_equal(f.result.header.wal_cksum.s[1], last_is_ours ? 7 : 0);
    }
}

static void test_snapshot_of_merged_files_must_have_the_promised_checksum(void **state UNUSED)
{
    for (int is_right = 0; is_right <= 1; is_right++) {
        CLEANUP(fixture_destroy) struct fixture f;
        struct error err = ERROR_INIT;
        struct ltx_header first = header_make(1, 1, 2);
        struct ltx_header second = header_make(2, 2, 2);
        uint8_t page[512];
        uint64_t db = LTX_CHECKSUM_FLAG;

        fixture_init(&f);
        fixture_page(page, 512, 1);
        db = ltx_db_checksum_toggle(db, ltx_page_checksum(1, slice_of(page, 512)));
        fixture_page(page, 512, 18);
        db = ltx_db_checksum_toggle(db, ltx_page_checksum(2, slice_of(page, 512)));
        second.has_ext = true;
        second.db_checksum = is_right ? db : db ^ 1;
        fixture_add(&f, &first, (const uint32_t[]){1, 2, 0});
        fixture_add(&f, &second, (const uint32_t[]){2, 0});
        int rc = fixture_merge(&f, &err);
        if (is_right)
            assert_ok(rc, &err);
        else
            assert_error(rc, &err, ERR_CORRUPT, "merged file: LTX file: its pages have database");
    }
}

static void test_inputs_that_do_not_follow_each_other_are_refused(void **state UNUSED)
{
    static const struct {
        const char *name;
        uint64_t first_min, first_max, second_min, second_max;
        const char *text; /* NULL: they do */
    } rows[] = {
        {"next", 5, 5, 6, 6, NULL},
        {"overlap", 5, 7, 6, 8, NULL},
        {"covers", 5, 7, 2, 8, NULL},
        {"gap", 5, 5, 7, 7, "0000000000000007-0000000000000007 does not follow the one before"},
        {"same", 5, 5, 5, 5, "which ends with 0000000000000005"},
        {"nothing new", 5, 9, 6, 9, "which ends with 0000000000000009"},
        {"older", 5, 9, 2, 4, "which ends with 0000000000000009"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(fixture_destroy) struct fixture f;
        struct error err = ERROR_INIT;
        struct ltx_header first = header_make(rows[i].first_min, rows[i].first_max, 4);
        struct ltx_header second = header_make(rows[i].second_min, rows[i].second_max, 4);

        test_row(rows[i].name);
        fixture_init(&f);
        fixture_add(&f, &first, (const uint32_t[]){1, 0});
        fixture_add(&f, &second, (const uint32_t[]){2, 0});
        int rc = fixture_merge(&f, &err);
        if (rows[i].text)
            assert_error(rc, &err, ERR_GAP, rows[i].text);
        else
            assert_ok(rc, &err);
    }
}

static void test_last_possible_txid_can_be_merged(void **state UNUSED)
{
    CLEANUP(fixture_destroy) struct fixture f;
    struct error err = ERROR_INIT;
    struct ltx_header first = header_make(5, UINT64_MAX - 1, 4);
    struct ltx_header second = header_make(UINT64_MAX, UINT64_MAX, 4);

    first.timestamp_ms = second.timestamp_ms = 0;
    fixture_init(&f);
    fixture_add(&f, &first, (const uint32_t[]){1, 0});
    fixture_add(&f, &second, (const uint32_t[]){2, 0});
    assert_ok(fixture_merge(&f, &err), &err);
    assert_true(f.result.header.max_txid == UINT64_MAX);
}

static void test_page_sizes_must_be_the_same(void **state UNUSED)
{
    CLEANUP(fixture_destroy) struct fixture f;
    struct error err = ERROR_INIT;
    struct ltx_header first = header_make(5, 5, 4);
    struct ltx_header second = header_make(6, 6, 4);

    second.page_size = 1024;
    fixture_init(&f);
    fixture_add(&f, &first, (const uint32_t[]){1, 0});
    fixture_add(&f, &second, (const uint32_t[]){0});
    assert_error(fixture_merge(&f, &err), &err, ERR_CORRUPT, "has page size 1024, the one before");
}

static void test_damaged_input_is_named(void **state UNUSED)
{
    CLEANUP(fixture_destroy) struct fixture f;
    struct error err = ERROR_INIT;
    struct ltx_header first = header_make(5, 5, 4);
    struct ltx_header second = header_make(6, 6, 4);

    fixture_init(&f);
    fixture_add(&f, &first, (const uint32_t[]){1, 0});
    fixture_add(&f, &second, (const uint32_t[]){2, 0});
    f.file[1].p[f.file[1].n - 1] ^= 1; /* the file checksum: seen only at the very end */
    assert_error(fixture_merge(&f, &err), &err, ERR_CORRUPT,
                 "input 2 of 2 (0000000000000006-0000000000000006): LTX file: file checksum");
}

static void test_number_of_inputs_is_bounded(void **state UNUSED)
{
    struct ltx_header h;
    struct error err = ERROR_INIT;

    assert_error(ltx_merge_header(NULL, 0, &h, &err), &err, ERR_LIMIT, "merge of 0 LTX files");
    assert_error(ltx_merge_header(NULL, LTX_MERGE_INPUTS_MAX + 1, &h, &err), &err, ERR_LIMIT,
                 "merge of 1025 LTX files: 1 to 1024");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_vectors_merge_to_that_of_the_real_encoder),
        TEST(test_newest_input_wins_and_pages_beyond_the_end_are_dropped),
        TEST(test_many_inputs_merge_like_a_table_of_newest_pages),
        TEST(test_extension_of_the_last_input_is_taken),
        TEST(test_snapshot_of_merged_files_must_have_the_promised_checksum),
        TEST(test_inputs_that_do_not_follow_each_other_are_refused),
        TEST(test_last_possible_txid_can_be_merged),
        TEST(test_page_sizes_must_be_the_same),
        TEST(test_damaged_input_is_named),
        TEST(test_number_of_inputs_is_bounded),
    };
    return TEST_MAIN(tests);
}
