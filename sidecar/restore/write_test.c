/*
 * The output of a restore: which object a page is taken from, what is missing, the lock page, and
 * what lies in the temporary file.
 */
#include "sidecar/restore/write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/ltx/ltx.h"
#include "lib/testing/test.h"

struct place {
    char folder[256];
    char path[300];
    char map[400];
    struct env env;
    struct guard guard;
    struct output output;
};

/* A file system that cannot preallocate: large outputs stay holes. */
static int no_fallocate(void *ctx UNUSED, int fd UNUSED, int64_t size UNUSED)
{
    return -EOPNOTSUPP;
}

static void place_make(struct place *p)
{
    struct error err = ERROR_INIT;

    test_folder_make(p->folder);
    (void)snprintf(p->path, sizeof(p->path), "%s/out.db", p->folder);
    (void)snprintf(p->map, sizeof(p->map), "%s/out.map", p->folder);
    p->env = *env_real();
    p->env.file.fallocate = no_fallocate;
    assert_ok(guard_look(&p->env, p->path, &p->guard, &err), &err);
    assert_ok(output_init(&p->output, &p->guard, p->map, &err), &err);
}

static void place_remove(struct place *p)
{
    output_destroy(&p->output);
    guard_destroy(&p->guard);
    test_folder_remove(p->folder);
}

/* An object as it claims: "COMMIT: page page ...", newest first. */
static const struct claim_row {
    const char *name;
    uint32_t page_count;
    const char *objects[4];
    const char *wanted[4]; /* the pages that each gets */
    const char *error;     /* of output_check_complete(); NULL: complete */
} claim_rows[] = {
    {"a page goes to the newest object", 4, {"4: 2", "4: 1 2 3 4"}, {"2", "1 3 4"}, NULL},
    {"a page beyond the final size goes to nobody", 2, {"2: 1", "5: 1 2 3 4 5"}, {"1", "2"}, NULL},
    {"shrink, then growth: the grown pages are new",
     4,
     {"4: 3 4", "2: 1", "4: 1 2 3 4"},
     {"3 4", "1", "2"},
     NULL},
    {"shrink, then growth without its pages: the old ones do not count",
     4,
     {"4: 3", "2: 1", "4: 1 2 3 4"},
     {"3", "1", "2"},
     "no object has page 4 of 4 (1 pages are missing in all)"},
    {"two shrinks: the smallest counts",
     3,
     {"3: 3", "1: 1", "2: 2", "3: 1 2 3"},
     {"3", "1", "", ""},
     "no object has page 2 of 3"},
    {"nothing at all", 2, {"2:"}, {""}, "no object has page 1 of 2 (2 pages"},
};

/* Claims what the text says; prints what it got. */
static void object_claim(struct output *o, const char *text, struct buf *out)
{
    struct error err = ERROR_INIT;
    char *end = NULL;
    uint32_t commit = (uint32_t)strtoul(text, &end, 10);

    for (const char *p = end + 1; *p; p = end) {
        bool is_ours = false;
        uint32_t pgno = (uint32_t)strtoul(p, &end, 10);
        assert_ok(output_claim(o, pgno, &is_ours, &err), &err);
        if (is_ours)
            assert_ok(buf_printf(out, &err, "%s%u", out->n ? " " : "", pgno), &err);
    }
    output_claimed_object(o, commit);
}

static void test_output_gives_a_page_to_the_right_object(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(claim_rows); i++) {
        const struct claim_row *row = &claim_rows[i];
        CLEANUP(place_remove) struct place p;
        struct error err = ERROR_INIT;

        test_row(row->name);
        place_make(&p);
        assert_ok(output_begin(&p.output, 512, row->page_count, &err), &err);
        for (size_t k = 0; k < ARRAY_LEN(row->objects) && row->objects[k]; k++) {
            CLEANUP(buf_destroy) struct buf got = BUF_INIT(256);
            object_claim(&p.output, row->objects[k], &got);
            assert_string_equal(buf_str(&got), row->wanted[k]);
        }
        int rc = output_check_complete(&p.output, &err);
        if (row->error)
            assert_error(rc, &err, ERR_CORRUPT, row->error);
        else
            assert_ok(rc, &err);
        assert_int_equal(output_is_full(&p.output), row->error == NULL);
    }
}

static void test_output_leaves_the_lock_page_as_a_hole(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    struct error err = ERROR_INIT;
    uint32_t lock_pgno = db_lock_pgno(65536);
    bool is_ours = false;

    place_make(&p);
    assert_ok(output_begin(&p.output, 65536, lock_pgno + 1, &err), &err);
    for (uint32_t pgno = 1; pgno <= lock_pgno + 1; pgno++) {
        assert_ok(output_claim(&p.output, pgno, &is_ours, &err), &err);
        assert_int_equal(is_ours, pgno != lock_pgno);
    }
    assert_ok(output_check_complete(&p.output, &err), &err);
}

/* Writes pages through a run: page n is byte n. */
static void pages_write(struct output *o, const uint32_t *pgnos, size_t n)
{
    CLEANUP(page_run_destroy) struct page_run run = {0};
    struct error err = ERROR_INIT;
    uint8_t page[512];

    assert_ok(page_run_init(&run, sizeof(page), &err), &err);
    for (size_t i = 0; i < n; i++) {
        memset(page, (int)pgnos[i], sizeof(page));
        assert_ok(output_write(o, &run, pgnos[i], slice_of(page, sizeof(page)),
                               ltx_page_checksum(pgnos[i], slice_of(page, sizeof(page))), &err),
                  &err);
    }
    assert_ok(output_flush(o, &run, &err), &err);
    output_count(o, &run);
}

static void test_output_puts_pages_in_their_place_and_sums_them(void **state UNUSED)
{
    static const uint32_t pgnos[] = {1, 2, 3, 7, 9, 10};
    CLEANUP(place_remove) struct place p;
    struct error err = ERROR_INIT;
    uint64_t sum = LTX_CHECKSUM_FLAG;
    uint8_t page[512];
    size_t n = 0;

    place_make(&p);
    assert_ok(output_begin(&p.output, 512, 10, &err), &err);
    pages_write(&p.output, pgnos, ARRAY_LEN(pgnos));
    assert_ok(output_sync(&p.output, &err), &err);
    assert_int_equal(p.output.pages_done, ARRAY_LEN(pgnos));
    uint8_t *bytes = test_file_read(p.output.temp_path, &n);
    assert_int_equal(n, 10 * 512);
    for (size_t i = 0; i < ARRAY_LEN(pgnos); i++) {
        memset(page, (int)pgnos[i], sizeof(page));
        assert_memory_equal(bytes + (size_t)(pgnos[i] - 1) * 512, page, sizeof(page));
        sum = ltx_db_checksum_toggle(sum, ltx_page_checksum(pgnos[i], slice_of(page, 512)));
    }
    assert_int_equal(p.output.db_checksum, sum);
    free(bytes);
}

static void test_output_removes_its_files_unless_it_was_swapped_in(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    struct error err = ERROR_INIT;
    char temp[310];
    char map_temp[410];

    place_make(&p);
    (void)snprintf(temp, sizeof(temp), "%s.tmp", p.path);
    (void)snprintf(map_temp, sizeof(map_temp), "%s.tmp", p.map);
    assert_ok(output_begin(&p.output, 512, 10, &err), &err);
    assert_int_equal(access(temp, F_OK), 0);
    assert_int_equal(access(map_temp, F_OK), 0);
    output_destroy(&p.output);
    assert_int_equal(access(temp, F_OK), -1);
    assert_int_equal(access(map_temp, F_OK), -1);

    assert_ok(output_init(&p.output, &p.guard, NULL, &err), &err);
    assert_ok(output_begin(&p.output, 512, 10, &err), &err);
    assert_ok(output_swap(&p.output, &err), &err);
    output_destroy(&p.output);
    assert_int_equal(access(p.path, F_OK), 0);
    assert_int_equal(access(temp, F_OK), -1);
}

static int full_disk(void *ctx UNUSED, int fd UNUSED, int64_t size UNUSED)
{
    return -ENOSPC;
}

static void test_output_notices_a_full_disk_before_anything_is_written(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    struct error err = ERROR_INIT;

    place_make(&p);
    p.env.file.fallocate = full_disk;
    assert_error(output_begin(&p.output, 4096, 1000, &err), &err, ERR_NO_SPACE, "out.db.tmp");
    assert_string_equal(err.hint, "the restored database takes 4096000 bytes");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_output_gives_a_page_to_the_right_object),
        TEST(test_output_leaves_the_lock_page_as_a_hole),
        TEST(test_output_puts_pages_in_their_place_and_sums_them),
        TEST(test_output_removes_its_files_unless_it_was_swapped_in),
        TEST(test_output_notices_a_full_disk_before_anything_is_written),
    };
    return TEST_MAIN(tests);
}
