/*
 * The wal-index: real ones, mapped through the library's own xShmMap and compared with a scan of
 * the log; one that another process is writing; and hostile ones.
 */
#include "lib/sqlite/wal_index.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/testing/test.h"

enum {
    BLOCKS_MAX = 64,
};

/* A real database in a folder of its own. */
struct fixture {
    char folder[256];
    char path[300];
    sqlite3 *db;
    const void *blocks[BLOCKS_MAX];
    struct wal_index_map map;
};

static void sql_run(sqlite3 *db, const char *sql)
{
    char *text = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s: %s", sql, text);
}

static void fixture_open(struct fixture *f, uint32_t page_size)
{
    char sql[200];

    *f = (struct fixture){.db = NULL};
    test_folder_make(f->folder);
    (void)snprintf(f->path, sizeof(f->path), "%s/db", f->folder);
    assert_int_equal(sqlite3_open(f->path, &f->db), SQLITE_OK);
    (void)snprintf(sql, sizeof(sql),
                   "PRAGMA page_size=%u; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
                   "PRAGMA synchronous=OFF; PRAGMA cache_size=20;"
                   "CREATE TABLE t(k INTEGER PRIMARY KEY, v)",
                   page_size);
    sql_run(f->db, sql);
}

static void fixture_close(struct fixture *f)
{
    assert_int_equal(sqlite3_close(f->db), SQLITE_OK);
    test_folder_remove(f->folder);
}

/* Maps the first n blocks as the library has them. */
static void fixture_map(struct fixture *f, size_t n)
{
    sqlite3_file *file = NULL;

    assert_true(n <= BLOCKS_MAX);
    assert_int_equal(sqlite3_file_control(f->db, "main", SQLITE_FCNTL_FILE_POINTER, (void *)&file),
                     SQLITE_OK);
    for (size_t i = 0; i < n; i++) {
        volatile void *block = NULL;
        assert_int_equal(file->pMethods->xShmMap(file, (int)i, WAL_INDEX_BLOCK_BYTES, 0, &block),
                         SQLITE_OK);
        assert_non_null((const void *)block);
        f->blocks[i] = (const void *)block;
    }
    f->map = (struct wal_index_map){.blocks = f->blocks, .block_count = n};
}

/* Page numbers of the frames of a log, verified up to mx_frame. [0] is unused. */
static uint32_t *log_scan(const struct fixture *f, const struct wal_index_header *index)
{
    char path[310];
    struct wal_header h;
    struct wal_frame frame = {.pgno = 0};
    struct error err = ERROR_INIT;
    size_t n;

    (void)snprintf(path, sizeof(path), "%s-wal", f->path);
    uint8_t *log = test_file_read(path, &n);
    uint32_t *pgnos = calloc((size_t)index->mx_frame + 1, sizeof(*pgnos));
    assert_non_null(pgnos);
    assert_int_equal(wal_header_decode(slice_of(log, n), &h, &err), 1);
    assert_true(wal_salt_eq(h.salt, index->salt));
    assert_int_equal(h.page_size, index->page_size);
    assert_int_equal(h.is_big_endian, index->is_big_endian);
    assert_true(wal_frame_count(h.page_size, n) >= index->mx_frame);
    struct wal_cksum cksum = h.cksum;
    for (uint32_t no = 1; no <= index->mx_frame; no++) {
        struct slice bytes =
            slice_of(log + wal_frame_offset(h.page_size, no), WAL_FRAME_HEADER_BYTES + h.page_size);
        assert_true(wal_frame_check(&h, &cksum, bytes, &frame));
        pgnos[no] = frame.pgno;
    }
    assert_true(wal_cksum_eq(cksum, index->frame_cksum));
    assert_int_equal(frame.commit_pages, index->page_count);
    free(log);
    return pgnos;
}

static uint32_t newest_by_scan(const uint32_t *pgnos, uint32_t pgno, uint32_t from, uint32_t to)
{
    for (uint32_t no = to; no >= from; no--) {
        if (pgnos[no] == pgno)
            return no;
    }
    return 0;
}

static void compare_with_scan(const struct fixture *f, const uint32_t *pgnos, uint32_t page_count,
                              uint32_t from, uint32_t to)
{
    for (uint32_t pgno = 1; pgno <= page_count + 3; pgno++) {
        struct error err = ERROR_INIT;
        uint32_t found = 0;
        uint32_t wanted = newest_by_scan(pgnos, pgno, from, to);

        int rc = wal_index_find(&f->map, pgno, from, to, &found, &err);
        assert_ok(rc, &err);
        assert_int_equal(rc, wanted != 0);
        assert_int_equal(found, wanted);
    }
}

static void log_fill(sqlite3 *db)
{
    sql_run(db, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<400) "
                "INSERT INTO t SELECT i, randomblob(400) FROM c");
    for (int i = 0; i < 40; i++) {
        char sql[160];
        (void)snprintf(sql, sizeof(sql), "UPDATE t SET v=randomblob(%d) WHERE k %% 7 = %d",
                       300 + 20 * i, i % 7);
        sql_run(db, sql);
        /* Spills frames into the log and takes them back: stale entries must not be found. */
        sql_run(db, "BEGIN; UPDATE t SET v=randomblob(500); ROLLBACK");
        sql_run(db,
                "BEGIN; UPDATE t SET v=1 WHERE k<9; SAVEPOINT s; UPDATE t SET v=randomblob(450);"
                "ROLLBACK TO s; COMMIT");
    }
    sql_run(db, "DELETE FROM t WHERE k > 350; VACUUM");
}

static void test_newest_frame_of_every_page_is_that_of_a_scan(void **state UNUSED)
{
    static const uint32_t page_sizes[] = {512, 1024, 65536};

    for (size_t i = 0; i < ARRAY_LEN(page_sizes); i++) {
        struct fixture f;
        struct wal_index_header h;

        fixture_open(&f, page_sizes[i]);
        log_fill(f.db);
        fixture_map(&f, 1);
        assert_int_equal(wal_index_header_read(f.blocks[0], &h), WAL_INDEX_VALID);
        assert_int_equal(h.page_size, page_sizes[i]);
        if (page_sizes[i] == 512)
            assert_true(h.mx_frame > WAL_INDEX_FIRST_BLOCK_FRAMES + 2 * WAL_INDEX_BLOCK_FRAMES);
        fixture_map(&f, wal_index_block_of(h.mx_frame) + 1);
        uint32_t *pgnos = log_scan(&f, &h);
        for (uint32_t no = 1; no <= h.mx_frame; no++)
            assert_int_equal(wal_index_pgno(&f.map, no), pgnos[no]);
        compare_with_scan(&f, pgnos, h.page_count, 1, h.mx_frame);
        compare_with_scan(&f, pgnos, h.page_count, h.mx_frame / 3 + 1, h.mx_frame / 2 + 1);
        compare_with_scan(&f, pgnos, h.page_count, h.mx_frame, h.mx_frame);
        free(pgnos);
        fixture_close(&f);
    }
}

static void test_checkpoint_info_tells_backfill_and_read_marks(void **state UNUSED)
{
    struct fixture f;
    struct wal_index_header h;
    struct wal_checkpoint_info info;
    sqlite3 *reader;

    fixture_open(&f, 4096);
    sql_run(f.db, "INSERT INTO t VALUES(1, 1)");
    fixture_map(&f, 1);
    assert_int_equal(wal_index_header_read(f.blocks[0], &h), WAL_INDEX_VALID);
    assert_int_equal(sqlite3_open(f.path, &reader), SQLITE_OK);
    sql_run(reader, "BEGIN; SELECT * FROM t");
    sql_run(f.db, "INSERT INTO t VALUES(2, 2)");
    sql_run(f.db, "PRAGMA wal_checkpoint(PASSIVE)");
    wal_checkpoint_info_read(f.blocks[0], &info);
    assert_int_equal(info.backfill, h.mx_frame);
    assert_int_equal(info.read_mark[0], 0);
    assert_int_equal(info.read_mark[1], h.mx_frame);
    assert_int_equal(info.read_mark[4], WAL_INDEX_READ_MARK_UNUSED);
    assert_true(info.backfill_attempted >= info.backfill);
    sql_run(reader, "COMMIT");
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    fixture_close(&f);
}

static void test_empty_log_is_valid_without_frames(void **state UNUSED)
{
    struct fixture f;
    struct wal_index_header h;
    uint32_t frame_no = 7;
    struct error err = ERROR_INIT;

    fixture_open(&f, 4096);
    sql_run(f.db, "PRAGMA wal_checkpoint(TRUNCATE); SELECT * FROM t");
    fixture_map(&f, 1);
    assert_int_equal(wal_index_header_read(f.blocks[0], &h), WAL_INDEX_VALID);
    assert_int_equal(h.mx_frame, 0);
    assert_int_equal(wal_index_find(&f.map, 1, 1, h.mx_frame, &frame_no, &err), 0);
    assert_int_equal(frame_no, 7);
    fixture_close(&f);
}

/* In a process of its own: commits until it is killed. */
static void writer_run(const char *path)
{
    sqlite3 *db;
    unsigned i = 0;

    if (sqlite3_open(path, &db) != SQLITE_OK)
        _exit(1);
    (void)sqlite3_busy_timeout(db, 5000);
    (void)sqlite3_exec(db, "PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF", NULL, NULL, NULL);
    for (;;) {
        char sql[100];
        (void)snprintf(sql, sizeof(sql), "INSERT OR REPLACE INTO t VALUES(%u, %u)", i % 50, i);
        i++;
        if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
            _exit(1);
    }
}

static void test_header_is_never_torn_while_another_process_commits(void **state UNUSED)
{
    char folder[256];
    char path[300];
    struct fixture f;
    struct wal_index_header h;
    uint32_t last = 0;
    unsigned changes = 0;

    fixture_open(&f, 512);
    (void)snprintf(folder, sizeof(folder), "%s", f.folder);
    (void)snprintf(path, sizeof(path), "%s", f.path);
    assert_int_equal(sqlite3_close(f.db), SQLITE_OK); /* no connection crosses the fork */
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        writer_run(path);
    assert_int_equal(sqlite3_open(path, &f.db), SQLITE_OK);
    sql_run(f.db, "PRAGMA busy_timeout=5000; SELECT count(*) FROM t");
    fixture_map(&f, 1);
    for (unsigned looks = 0; changes < 2000 && looks < 400000000; looks++) {
        enum wal_index_state state_now = wal_index_header_read(f.blocks[0], &h);
        if (state_now == WAL_INDEX_CHANGING)
            continue;
        assert_int_equal(state_now, WAL_INDEX_VALID);
        assert_true(h.mx_frame >= last);
        changes += h.mx_frame != last;
        last = h.mx_frame;
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(changes >= 2000);
    assert_int_equal(sqlite3_close(f.db), SQLITE_OK);
    test_folder_remove(folder);
}

/* A block of zeros with a header that is right. */
static uint8_t *block_make(void)
{
    uint8_t *block = aligned_alloc(4096, WAL_INDEX_BLOCK_BYTES);
    assert_non_null(block);
    memset(block, 0, WAL_INDEX_BLOCK_BYTES);
    return block;
}

static void native32_store(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}

static void native16_store(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

/* Makes checksum and second copy of the header right. */
static void header_seal(uint8_t *block)
{
    uint32_t s0 = 0;
    uint32_t s1 = 0;
    for (size_t i = 0; i < 40; i += 8) {
        s0 += native32_load(block + i) + s1;
        s1 += native32_load(block + i + 4) + s0;
    }
    native32_store(block + 40, s0);
    native32_store(block + 44, s1);
    memcpy(block + 48, block, 48);
}

static void header_make(uint8_t *block, uint32_t mx_frame)
{
    native32_store(block, WAL_VERSION);
    block[12] = 1;
    native16_store(block + 14, 4096);
    native32_store(block + 16, mx_frame);
    header_seal(block);
}

static void test_headers_that_nobody_should_believe_have_their_state(void **state UNUSED)
{
    static const struct {
        const char *name;
        size_t offset;
        uint16_t value;
        bool is_sealed;
        enum wal_index_state state;
    } rows[] = {
        {"as it was made", 10, 0, true, WAL_INDEX_VALID},
        {"page size 65536", 14, 1, true, WAL_INDEX_VALID},
        {"page size 100", 14, 100, true, WAL_INDEX_DAMAGED},
        {"page size 0 with frames", 14, 0, true, WAL_INDEX_DAMAGED},
        {"not initialised", 12, 0, true, WAL_INDEX_UNINITIALIZED},
        {"another version", 0, 1, true, WAL_INDEX_UNSUPPORTED},
        {"first copy changed", 16, 999, false, WAL_INDEX_CHANGING},
        {"second copy changed", 48 + 16, 999, false, WAL_INDEX_CHANGING},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t *block = block_make();
        struct wal_index_header h = {.mx_frame = 42};

        test_row(rows[i].name);
        header_make(block, 5);
        native16_store(block + rows[i].offset, rows[i].value);
        if (rows[i].is_sealed)
            header_seal(block);
        enum wal_index_state found = wal_index_header_read(block, &h);
        assert_string_equal(wal_index_state_name(found), wal_index_state_name(rows[i].state));
        assert_int_equal(h.mx_frame, found == WAL_INDEX_VALID ? 5 : 42);
        free(block);
    }
}

static void test_equal_copies_with_a_wrong_checksum_are_damage(void **state UNUSED)
{
    uint8_t *block = block_make();
    struct wal_index_header h;

    header_make(block, 5);
    native32_store(block + 16, 6);
    memcpy(block + 48, block, 48);
    assert_int_equal(wal_index_header_read(block, &h), WAL_INDEX_DAMAGED);
    free(block);
}

static void test_hostile_hash_tables_end_in_an_error(void **state UNUSED)
{
    static const struct {
        const char *name;
        uint16_t place; /* in every slot */
        size_t block;
        const char *text;
    } rows[] = {
        {"no empty slot, block 0", 4062, 0, "block 0: hash table has no empty slot"},
        {"beyond block 0", 4063, 0, "block 0: hash slot 383 names entry 4063 of 4062"},
        {"no empty slot, block 1", 4096, 1, "block 1: hash table has no empty slot"},
        {"beyond block 1", 4097, 1, "names entry 4097 of 4096"},
        {"far beyond", 65535, 1, "names entry 65535 of 4096"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t *blocks[2] = {block_make(), block_make()};
        const void *const pointers[2] = {blocks[0], blocks[1]};
        struct wal_index_map map = {.blocks = pointers, .block_count = 2};
        struct error err = ERROR_INIT;
        uint32_t frame_no = 42;

        test_row(rows[i].name);
        for (size_t slot = 0; slot < 8192; slot++)
            native16_store(blocks[rows[i].block] + 16384 + 2 * slot, rows[i].place);
        assert_error(wal_index_find(&map, 1, 1, 5000, &frame_no, &err), &err, ERR_CORRUPT,
                     rows[i].text);
        assert_int_equal(frame_no, 42);
        free(blocks[0]);
        free(blocks[1]);
    }
}

static void test_frame_in_a_block_that_is_not_mapped(void **state UNUSED)
{
    uint8_t *block = block_make();
    const void *const pointers[1] = {block};
    struct wal_index_map map = {.blocks = pointers, .block_count = 1};
    struct error err = ERROR_INIT;
    uint32_t frame_no;

    assert_error(wal_index_find(&map, 1, 1, 4063, &frame_no, &err), &err, ERR_WRONG_STATE,
                 "frame 4063 is in wal-index block 1, 1 are mapped");
    assert_error(wal_index_find(&map, 1, 1, UINT32_MAX, &frame_no, &err), &err, ERR_WRONG_STATE,
                 "1 are mapped");
    assert_int_equal(wal_index_find(&map, 1, 1, 4062, &frame_no, &err), 0);
    assert_int_equal(wal_index_pgno(&map, 4063), 0);
    assert_int_equal(wal_index_pgno(&map, UINT32_MAX), 0);
    free(block);
}

static void test_blocks_begin_where_sqlite_puts_them(void **state UNUSED)
{
    assert_int_equal(wal_index_block_of(1), 0);
    assert_int_equal(wal_index_block_of(4062), 0);
    assert_int_equal(wal_index_block_of(4063), 1);
    assert_int_equal(wal_index_block_of(4062 + 4096), 1);
    assert_int_equal(wal_index_block_of(4062 + 4097), 2);
    assert_int_equal(wal_index_block_of(UINT32_MAX), 1048576);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_newest_frame_of_every_page_is_that_of_a_scan),
        TEST(test_checkpoint_info_tells_backfill_and_read_marks),
        TEST(test_empty_log_is_valid_without_frames),
        TEST(test_header_is_never_torn_while_another_process_commits),
        TEST(test_headers_that_nobody_should_believe_have_their_state),
        TEST(test_equal_copies_with_a_wrong_checksum_are_damage),
        TEST(test_hostile_hash_tables_end_in_an_error),
        TEST(test_frame_in_a_block_that_is_not_mapped),
        TEST(test_blocks_begin_where_sqlite_puts_them),
    };
    return TEST_MAIN(tests);
}
