/*
 * The page map: round trips, publishing, states, healing order, damage, and a fault at every file
 * operation.
 */
#include "sidecar/engine/page_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/ltx/ltx.h"
#include "lib/testing/fault_env.h"
#include "lib/testing/test.h"
#include "lib/testing/unsynced.h"

/* A folder with a database file beside which maps are made. */
struct place {
    char folder[256];
    char db[320];
    char map[400];
    char temp[420];
};

static void place_make(struct place *p)
{
    test_folder_make(p->folder);
    (void)snprintf(p->db, sizeof(p->db), "%s/app.db", p->folder);
    (void)snprintf(p->map, sizeof(p->map), "%s/.app.db-walferry/s3.map", p->folder);
    (void)snprintf(p->temp, sizeof(p->temp), "%s.tmp", p->map);
    test_file_write(p->db, SLICE_LIT("a database"));
}

static void place_remove(struct place *p)
{
    test_folder_remove(p->folder);
}

static uint64_t checksum_of(uint32_t pgno)
{
    return LTX_CHECKSUM_FLAG | (pgno * UINT64_C(0x9E3779B97F4A7C15));
}

/* The state of a map whose pages 1..page_count have checksum_of(). */
static struct map_state state_of(uint64_t txid, uint32_t page_count)
{
    struct map_state s = {.page_size = 4096,
                          .page_count = page_count,
                          .txid = txid,
                          .file_checksum = 0xF00D,
                          .db_checksum = LTX_CHECKSUM_FLAG,
                          .epoch = 7,
                          .file_id = 0x1D,
                          .owner = 0xABCDEF,
                          .end = {.salt = {1, 2}, .frame = 3, .cksum = {4, 5}}};
    for (uint32_t p = 1; p <= page_count; p++)
        s.db_checksum = ltx_db_checksum_toggle(s.db_checksum, checksum_of(p));
    return s;
}

static int entries_write(struct page_map *m, uint32_t first, uint32_t last, struct error *err)
{
    for (uint32_t p = first; p <= last; p++) {
        struct map_entry e = {.pgno = p, .checksum = checksum_of(p)};
        if (page_map_write(m, &e, 1, err) < 0)
            return -1;
    }
    return 0;
}

static int map_make(const struct env *env, const struct place *p, uint64_t txid,
                    uint32_t page_count, struct error *err)
{
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    struct map_state s = state_of(txid, page_count);

    if (page_map_create(env, p->map, p->db, 4096, &m, err) < 0 ||
        entries_write(&m, 1, page_count, err) < 0 || page_map_publish(&m, &s, err) < 0)
        return -1;
    return 0;
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static unsigned headers_early; /* headers that were written before the entries were durable */

static ssize_t pwrite_in_order(void *ctx, int fd, const void *p, size_t n, int64_t offset)
{
    struct unsynced *u = ctx;

    headers_early += offset == 0 && unsynced_count(u) > 0;
    return u->env.file.pwrite(ctx, fd, p, n, offset);
}

static void test_page_map_is_durable_and_its_entries_are_before_its_header(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    struct error err = ERROR_INIT;
    struct unsynced u;
    struct map_state grown = state_of(43, 60);
    struct map_state shrunk = state_of(44, 10);

    place_make(&p);
    unsynced_init(&u);
    assert_ok(map_make(&u.env, &p, 42, 50, &err), &err);
    assert_int_equal(unsynced_count(&u), 0);
    assert_int_equal(unsynced_early_names(&u), 0);
    struct env ordered = u.env;
    ordered.file.pwrite = pwrite_in_order;
    assert_ok(page_map_open(&ordered, p.map, &m, &err), &err);
    assert_ok(page_map_set_pending(&m, 43, 0xF00D, &err), &err); /* need not last */
    assert_ok(entries_write(&m, 51, 60, &err), &err);
    assert_ok(page_map_commit(&m, &grown, &err), &err);
    assert_ok(page_map_commit(&m, &shrunk, &err), &err);
    assert_int_equal(headers_early, 0);
}

static void test_page_map_answers_what_was_published(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    struct error err = ERROR_INIT;
    bool is_sound = false;

    place_make(&p);
    assert_ok(map_make(env_real(), &p, 42, 5000, &err), &err);
    assert_ok(page_map_open(env_real(), p.map, &m, &err), &err);
    assert_int_equal(m.state.txid, 42);
    assert_int_equal(m.state.page_count, 5000);
    assert_int_equal(m.state.epoch, 7);
    assert_int_equal(m.state.owner, 0xABCDEF);
    assert_int_equal(m.state.file_checksum, 0xF00D);
    assert_int_equal(m.state.file_id, 0x1D);
    assert_int_equal(m.state.end.salt[1], 2);
    assert_int_equal(m.state.end.cksum[1], 5);
    assert_int_equal(m.state.end.page_count, 5000);
    assert_false(m.state.is_rewind);
    assert_ok(page_map_verify(&m, &is_sound, &err), &err);
    assert_true(is_sound);

    struct map_entry entries[] = {{.pgno = 1},    {.pgno = 2},    {.pgno = 4999},
                                  {.pgno = 5000}, {.pgno = 5001}, {.pgno = UINT32_MAX}};
    assert_ok(page_map_read(&m, entries, ARRAY_LEN(entries), &err), &err);
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        assert_int_equal(entries[i].checksum,
                         entries[i].pgno <= 5000 ? checksum_of(entries[i].pgno) : 0);
    }
    assert_false(is_there(p.temp));
}

static void test_page_map_reads_and_writes_long_runs_in_one_go(void **state UNUSED)
{
    enum {
        PAGES = 10000
    };
    CLEANUP(place_remove) struct place p;
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    struct map_entry *entries = calloc(PAGES, sizeof(*entries));
    struct error err = ERROR_INIT;

    place_make(&p);
    assert_non_null(entries);
    assert_ok(page_map_create(env_real(), p.map, p.db, 4096, &m, &err), &err);
    for (uint32_t i = 0; i < PAGES; i++)
        entries[i] = (struct map_entry){.pgno = i + 1, .checksum = checksum_of(i + 1)};
    assert_ok(page_map_write(&m, entries, PAGES, &err), &err);
    struct map_state s = state_of(1, PAGES);
    assert_ok(page_map_publish(&m, &s, &err), &err);
    for (uint32_t i = 0; i < PAGES; i++)
        entries[i].checksum = 0;
    assert_ok(page_map_read(&m, entries, PAGES, &err), &err);
    for (uint32_t i = 0; i < PAGES; i++)
        assert_int_equal(entries[i].checksum, checksum_of(i + 1));
    free(entries);
}

static void test_page_map_commit_makes_growth_and_shrinking_the_state(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    struct error err = ERROR_INIT;
    bool is_sound = false;
    static const uint32_t sizes[] = {100, 150, 20, 20, 300};

    place_make(&p);
    assert_ok(map_make(env_real(), &p, 1, 10, &err), &err);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_ok(page_map_open(env_real(), p.map, &m, &err), &err);
        assert_ok(entries_write(&m, 1, sizes[i], &err), &err);
        struct map_state s = state_of(2 + i, sizes[i]);
        assert_ok(page_map_commit(&m, &s, &err), &err);
        page_map_close(&m);
        struct stat st;
        assert_int_equal(stat(p.map, &st), 0);
        assert_int_equal(st.st_size, PAGE_MAP_HEADER_BYTES + 8 * sizes[i]);
        assert_ok(page_map_open(env_real(), p.map, &m, &err), &err);
        assert_int_equal(m.state.txid, 2 + i);
        assert_ok(page_map_verify(&m, &is_sound, &err), &err);
        assert_true(is_sound);
        page_map_close(&m);
    }
}

static void test_page_map_pending_record_lasts_until_the_commit(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    CLEANUP(page_map_close) struct page_map again = PAGE_MAP_INIT;
    CLEANUP(page_map_close) struct page_map last = PAGE_MAP_INIT;
    struct error err = ERROR_INIT;

    place_make(&p);
    assert_ok(map_make(env_real(), &p, 8, 3, &err), &err);
    assert_ok(page_map_open(env_real(), p.map, &m, &err), &err);
    assert_ok(page_map_set_pending(&m, 9, 0xBEEF, &err), &err);
    assert_ok(page_map_open(env_real(), p.map, &again, &err), &err);
    assert_int_equal(again.state.txid, 8);
    assert_int_equal(again.state.pending_txid, 9);
    assert_int_equal(again.state.pending_file_checksum, 0xBEEF);
    struct map_state s = again.state;
    s.txid = 9;
    assert_ok(page_map_commit(&m, &s, &err), &err);
    assert_ok(page_map_open(env_real(), p.map, &last, &err), &err);
    assert_int_equal(last.state.txid, 9);
    assert_int_equal(last.state.pending_txid, 0);
}

static void test_page_map_remembers_the_objects_that_were_pending_before(void **state UNUSED)
{
    struct place p;
    struct error err = ERROR_INIT;
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    CLEANUP(page_map_close) struct page_map again = PAGE_MAP_INIT;

    place_make(&p);
    assert_ok(map_make(env_real(), &p, 8, 3, &err), &err);
    assert_ok(page_map_open(env_real(), p.map, &m, &err), &err);
    assert_false(map_state_has_sent(&m.state, 9, 0xA));
    assert_ok(page_map_set_pending(&m, 9, 0xA, &err), &err);
    assert_false(map_state_has_sent(&m.state, 9, 0));
    assert_ok(page_map_set_pending(&m, 9, 0xB, &err), &err);
    assert_ok(page_map_set_pending(&m, 9, 0xB, &err), &err); /* a retry changes nothing */
    assert_ok(page_map_set_pending(&m, 9, 0xC, &err), &err);
    assert_ok(page_map_open(env_real(), p.map, &again, &err), &err);
    assert_true(map_state_has_sent(&again.state, 9, 0xA));
    assert_true(map_state_has_sent(&again.state, 9, 0xB));
    assert_true(map_state_has_sent(&again.state, 9, 0xC));
    assert_false(map_state_has_sent(&again.state, 9, 0xD));
    assert_false(map_state_has_sent(&again.state, 10, 0xC));
    assert_ok(page_map_set_pending(&m, 10, 0xE, &err), &err);
    assert_false(map_state_knows_earlier(&m.state, 0xC));
}

static void publish(const struct place *p, uint64_t txid, uint64_t file_checksum, uint64_t file_id,
                    struct map_state *out)
{
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    CLEANUP(page_map_close) struct page_map again = PAGE_MAP_INIT;
    struct error err = ERROR_INIT;
    struct map_state s = state_of(txid, 0);

    s.file_checksum = file_checksum;
    s.file_id = file_id;
    s.earlier[0] = 0xBAD; /* has no meaning here */
    assert_ok(page_map_create(env_real(), p->map, p->db, 4096, &m, &err), &err);
    assert_ok(page_map_publish(&m, &s, &err), &err);
    assert_ok(page_map_open(env_real(), p->map, &again, &err), &err);
    assert_memory_equal(again.state.earlier, m.state.earlier, sizeof(m.state.earlier));
    assert_false(map_state_knows_earlier(&m.state, 0xBAD));
    assert_false(map_state_knows_earlier(&m.state, 0));
    assert_false(map_state_knows_earlier(&m.state, file_checksum));
    *out = m.state;
}

static void test_page_map_remembers_the_maps_of_the_same_txid_that_it_replaced(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    struct map_state s;

    place_make(&p);
    publish(&p, 1, 0xA0, 5, &s);
    assert_int_equal(s.earlier[0], 0);
    for (uint64_t i = 1; i <= PAGE_MAP_EARLIER; i++) {
        publish(&p, 1, 0xA0 + i, 5, &s);
        publish(&p, 1, 0xA0 + i, 5, &s); /* the same once more changes nothing */
        for (uint64_t before = 0; before < i; before++)
            assert_true(map_state_knows_earlier(&s, 0xA0 + before));
    }
    publish(&p, 1, 0xB, 5, &s);
    assert_false(map_state_knows_earlier(&s, 0xA0)); /* the oldest is forgotten */
    assert_true(map_state_knows_earlier(&s, 0xA1));
    publish(&p, 1, 0xC, 6, &s); /* another file */
    assert_int_equal(s.earlier[0], 0);
    publish(&p, 2, 0xD, 6, &s); /* another TXID */
    assert_int_equal(s.earlier[0], 0);
    publish(&p, 2, 0xE, 0, &s); /* a file that is not known */
    assert_int_equal(s.earlier[0], 0);
}

static void test_page_map_keeps_what_a_rewind_goes_back_from(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
    struct error err = ERROR_INIT;
    struct map_state s = state_of(5, 0);

    place_make(&p);
    s.is_rewind = true;
    s.rewind_tip_txid = UINT64_C(0x1234567890);
    assert_ok(page_map_create(env_real(), p.map, p.db, 512, &m, &err), &err);
    s.page_size = 512;
    assert_ok(page_map_publish(&m, &s, &err), &err);
    page_map_close(&m);
    assert_ok(page_map_open(env_real(), p.map, &m, &err), &err);
    assert_true(m.state.is_rewind);
    assert_int_equal(m.state.rewind_tip_txid, s.rewind_tip_txid);
    assert_int_equal(m.state.page_size, 512);
}

static void test_page_map_of_a_missing_file_is_not_found(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    struct page_map m = PAGE_MAP_INIT;
    struct error err = ERROR_INIT;

    place_make(&p);
    assert_error(page_map_open(env_real(), p.map, &m, &err), &err, ERR_NOT_FOUND, "s3.map");
}

static void test_page_map_refuses_a_flipped_bit_anywhere_in_its_header(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    struct error err = ERROR_INIT;
    size_t n = 0;

    place_make(&p);
    assert_ok(map_make(env_real(), &p, 8, 3, &err), &err);
    uint8_t *bytes = test_file_read(p.map, &n);
    for (size_t at = 0; at < PAGE_MAP_HEADER_BYTES; at++) {
        struct page_map m = PAGE_MAP_INIT;
        bytes[at] ^= 0x10;
        test_file_write(p.map, slice_of(bytes, n));
        assert_error(page_map_open(env_real(), p.map, &m, &err), &err, ERR_CORRUPT, "s3.map");
        bytes[at] ^= 0x10;
    }
    for (size_t cut = 0; cut < n; cut++) {
        struct page_map m = PAGE_MAP_INIT;
        test_file_write(p.map, slice_of(bytes, cut));
        assert_error(page_map_open(env_real(), p.map, &m, &err), &err, ERR_CORRUPT, "s3.map");
    }
    free(bytes);
}

static void test_page_map_verify_finds_a_flipped_entry(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    struct error err = ERROR_INIT;
    size_t n = 0;

    place_make(&p);
    assert_ok(map_make(env_real(), &p, 8, 30, &err), &err);
    uint8_t *bytes = test_file_read(p.map, &n);
    for (size_t at = PAGE_MAP_HEADER_BYTES; at < n; at++) {
        CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
        bool is_sound = true;
        bytes[at] ^= 0x80;
        test_file_write(p.map, slice_of(bytes, n));
        bytes[at] ^= 0x80;
        assert_ok(page_map_open(env_real(), p.map, &m, &err), &err);
        assert_ok(page_map_verify(&m, &is_sound, &err), &err);
        assert_false(is_sound);
    }
    free(bytes);
}

static void test_page_map_close_removes_a_map_that_was_never_published(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    struct page_map m = PAGE_MAP_INIT;
    struct error err = ERROR_INIT;

    place_make(&p);
    assert_ok(map_make(env_real(), &p, 8, 3, &err), &err);
    assert_ok(page_map_create(env_real(), p.map, p.db, 4096, &m, &err), &err);
    assert_true(is_there(p.temp));
    page_map_close(&m);
    assert_false(is_there(p.temp));
    assert_ok(page_map_open(env_real(), p.map, &m, &err), &err);
    assert_int_equal(m.state.txid, 8);
    page_map_close(&m);
}

static void test_page_map_takes_over_the_mode_of_the_database(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    struct error err = ERROR_INIT;
    struct stat st;
    char folder[400];

    place_make(&p);
    assert_int_equal(chmod(p.db, 0660), 0);
    assert_ok(map_make(env_real(), &p, 8, 3, &err), &err);
    assert_int_equal(stat(p.map, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    (void)snprintf(folder, sizeof(folder), "%s/.app.db-walferry", p.folder);
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0770);
}

static void test_page_map_old_one_survives_a_fault_at_every_operation(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    struct error err = ERROR_INIT;
    uint64_t n = 1;

    place_make(&p);
    assert_ok(map_make(env_real(), &p, 1, 5, &err), &err);
    for (;; n++) {
        struct fault_env fe;
        CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
        bool is_sound = false;
        fault_env_init(&fe, FAULT_FAIL, n);
        error_clear(&err);
        int rc = map_make(&fe.env, &p, n + 1, 6, &err);
        bool has_struck = fault_env_has_struck(&fe);
        /* Old or new, but whole: the last operations come after the new one has the name. */
        error_clear(&err);
        assert_ok(page_map_open(env_real(), p.map, &m, &err), &err);
        assert_ok(page_map_verify(&m, &is_sound, &err), &err);
        assert_true(is_sound);
        if (rc == 0)
            assert_int_equal(m.state.txid, n + 1);
        if (!has_struck)
            break;
    }
    assert_true(n > 10);
}

static void
test_page_map_commit_killed_anywhere_leaves_a_header_that_can_be_healed(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    struct error err = ERROR_INIT;

    place_make(&p);
    for (uint64_t n = 1;; n++) {
        CLEANUP(page_map_close) struct page_map m = PAGE_MAP_INIT;
        CLEANUP(page_map_close) struct page_map after = PAGE_MAP_INIT;
        struct fault_env fe;
        struct map_state s = state_of(2, 4);
        fault_env_init(&fe, FAULT_FAIL, n);
        assert_ok(map_make(env_real(), &p, 1, 9, &err), &err);
        if (page_map_open(&fe.env, p.map, &m, &err) == 0 && entries_write(&m, 1, 4, &err) == 0 &&
            page_map_commit(&m, &s, &err) < 0)
            error_clear(&err);
        assert_ok(page_map_open(env_real(), p.map, &after, &err), &err);
        assert_true(after.state.txid == 1 || after.state.txid == 2);
        if (!fault_env_has_struck(&fe)) {
            assert_int_equal(after.state.txid, 2);
            break;
        }
    }
}

static void test_page_map_file_id_follows_the_file_not_its_name(void **state UNUSED)
{
    CLEANUP(place_remove) struct place p;
    struct error err = ERROR_INIT;
    char moved[400];
    uint64_t id = 0;
    uint64_t id_again = 0;
    uint64_t id_moved = 0;
    uint64_t id_other = 0;

    place_make(&p);
    (void)snprintf(moved, sizeof(moved), "%s/moved.db", p.folder);
    assert_ok(page_map_file_id(env_real(), p.db, &id, &err), &err);
    assert_ok(page_map_file_id(env_real(), p.db, &id_again, &err), &err);
    assert_int_equal(rename(p.db, moved), 0);
    test_file_write(p.db, SLICE_LIT("another database"));
    assert_ok(page_map_file_id(env_real(), moved, &id_moved, &err), &err);
    assert_ok(page_map_file_id(env_real(), p.db, &id_other, &err), &err);
    assert_true(id != 0 && id == id_again && id == id_moved && id != id_other);
    assert_error(page_map_file_id(env_real(), p.map, &id, &err), &err, ERR_NOT_FOUND, "s3.map");
}

static const struct path_row {
    const char *db;
    const char *meta;
    const char *destination;
    const char *wanted; /* NULL: refused */
} path_rows[] = {
    {"/data/app.db", NULL, "s3", "/data/.app.db-walferry/s3.map"},
    {"app.db", NULL, "s3", ".app.db-walferry/s3.map"},
    {"/app.db", NULL, "a b", "/.app.db-walferry/a b.map"},
    {"/data/app.db", "/meta/app", "file", "/meta/app/file.map"},
    {"/data/app.db", NULL, "../x", NULL},
    {"/data/app.db", NULL, "a/b", NULL},
    {"/data/app.db", NULL, "", NULL},
};

static void test_page_map_path_is_beside_the_database_or_below_the_meta_path(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(path_rows); i++) {
        const struct path_row *row = &path_rows[i];
        struct error err = ERROR_INIT;
        test_row(row->destination);
        CLEANUP(mem_free) char *got = page_map_path(row->db, row->meta, row->destination, &err);
        if (row->wanted) {
            assert_non_null(got);
            assert_string_equal(got, row->wanted);
        } else {
            assert_null(got);
            assert_int_equal(err.code, ERR_USAGE);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_page_map_is_durable_and_its_entries_are_before_its_header),
        TEST(test_page_map_answers_what_was_published),
        TEST(test_page_map_reads_and_writes_long_runs_in_one_go),
        TEST(test_page_map_commit_makes_growth_and_shrinking_the_state),
        TEST(test_page_map_pending_record_lasts_until_the_commit),
        TEST(test_page_map_remembers_the_objects_that_were_pending_before),
        TEST(test_page_map_remembers_the_maps_of_the_same_txid_that_it_replaced),
        TEST(test_page_map_keeps_what_a_rewind_goes_back_from),
        TEST(test_page_map_of_a_missing_file_is_not_found),
        TEST(test_page_map_refuses_a_flipped_bit_anywhere_in_its_header),
        TEST(test_page_map_verify_finds_a_flipped_entry),
        TEST(test_page_map_close_removes_a_map_that_was_never_published),
        TEST(test_page_map_takes_over_the_mode_of_the_database),
        TEST(test_page_map_old_one_survives_a_fault_at_every_operation),
        TEST(test_page_map_commit_killed_anywhere_leaves_a_header_that_can_be_healed),
        TEST(test_page_map_file_id_follows_the_file_not_its_name),
        TEST(test_page_map_path_is_beside_the_database_or_below_the_meta_path),
    };
    return TEST_MAIN(tests);
}
