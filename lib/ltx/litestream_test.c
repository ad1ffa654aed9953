/*
 * The real Litestream beside us: it restores what our writer wrote, and we read what it wrote,
 * page for page a real SQLite database. Skipped where the binary is missing (make peers).
 */
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/ltx/fixture_internal.h"
#include "lib/ltx/index.h"
#include "lib/ltx/merge.h"
#include "lib/ltx/reader.h"

enum {
    PATH_BYTES = 1024,
};

/* The path of the peer; the test is skipped without it. */
static void litestream_need(char out[static PATH_BYTES])
{
    const char *peers = getenv("WALFERRY_PEERS");
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");

    if (peers && *peers)
        (void)snprintf(out, PATH_BYTES, "%s/litestream", peers);
    else if (cache && *cache)
        (void)snprintf(out, PATH_BYTES, "%s/walferry/bin/litestream", cache);
    else
        (void)snprintf(out, PATH_BYTES, "%s/.cache/walferry/bin/litestream", home ? home : "");
    if (access(out, X_OK) != 0)
        test_skip("no Litestream at %s: run `make peers`", out);
}

/* Runs the peer; its output goes to folder/log and is printed when it does not succeed. */
static void litestream_run(const char *folder, char *const argv[])
{
    char log[PATH_BYTES];
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status = -1;

    (void)snprintf(log, sizeof(log), "%s/log", folder);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, 1, 2), 0);
    assert_int_equal(posix_spawn(&pid, argv[0], &actions, NULL, argv, environ), 0);
    assert_int_equal(posix_spawn_file_actions_destroy(&actions), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        size_t n;
        uint8_t *text = test_file_read(log, &n);
        print_error("# %s ended with %d: %.*s\n", argv[0], status, (int)n, (const char *)text);
        free(text);
        fail();
    }
}

static void sql_run(sqlite3 *db, const char *sql)
{
    char *text = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s: %s", sql, text);
}

/* Runs sql on the database at path and answers the bytes of the file afterwards. */
static uint8_t *db_after(const char *path, const char *sql, size_t *out_n)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sql_run(db, sql);
    sql_run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return test_file_read(path, out_n);
}

static uint64_t db_checksum(const uint8_t *db, size_t n, uint32_t page_size)
{
    uint64_t sum = LTX_CHECKSUM_FLAG;
    for (uint32_t i = 0; i < n / page_size; i++) {
        sum = ltx_db_checksum_toggle(
            sum, ltx_page_checksum(i + 1, slice_of(db + (size_t)i * page_size, page_size)));
    }
    return sum;
}

/* Writes the pages in which next differs from before (NULL: all) as one LTX file. */
static void ltx_of_difference(const struct ltx_header *h, const uint8_t *before, size_t before_n,
                              const uint8_t *next, struct buf *out)
{
    struct fixture_page *list = calloc(h->commit, sizeof(*list));
    size_t count = 0;

    assert_non_null(list);
    for (uint32_t i = 0; i < h->commit; i++) {
        size_t at = (size_t)i * h->page_size;
        if (!before || at >= before_n || memcmp(before + at, next + at, h->page_size) != 0)
            list[count++] = (struct fixture_page){i + 1, next + at};
    }
    assert_true(count > 0);
    fixture_write(h, list, count, 0, out, NULL);
    free(list);
}

static void file_put(const char *folder, unsigned level, uint64_t min, uint64_t max,
                     struct slice content)
{
    char path[PATH_BYTES];
    char first[LTX_TXID_TEXT_BYTES];
    char last[LTX_TXID_TEXT_BYTES];

    (void)snprintf(path, sizeof(path), "%s/replica", folder);
    (void)mkdir(path, 0700); /* there after the first file */
    (void)snprintf(path, sizeof(path), "%s/replica/ltx", folder);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof(path), "%s/replica/ltx/%u", folder, level);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof(path), "%s/replica/ltx/%u/%s-%s.ltx", folder, level,
                   ltx_txid_format(min, first), ltx_txid_format(max, last));
    test_file_write(path, content);
}

/* Lets the peer restore folder/replica and compares with the bytes of a database. */
static void restore_and_compare(char *litestream, const char *folder, const uint8_t *db, size_t n)
{
    char out[PATH_BYTES];
    char url[PATH_BYTES + 10];
    size_t restored_n;

    (void)snprintf(out, sizeof(out), "%s/restored", folder);
    (void)snprintf(url, sizeof(url), "file://%s/replica", folder);
    (void)unlink(out); /* of an earlier round */
    litestream_run(folder, (char *[]){litestream, "restore", "-o", out, url, NULL});
    uint8_t *restored = test_file_read(out, &restored_n);
    assert_int_equal(restored_n, n);
    assert_memory_equal(restored, db, n);
    free(restored);
}

static struct ltx_header header_of(const uint8_t *db, size_t n, uint64_t txid)
{
    struct db_header header;
    struct error err = ERROR_INIT;

    assert_ok(db_header_decode(slice_of(db, n), &header, &err), &err);
    return (struct ltx_header){
        .page_size = header.page_size,
        .commit = (uint32_t)(n / header.page_size),
        .min_txid = txid,
        .max_txid = txid,
        .timestamp_ms = 1795253825000 + (int64_t)txid,
        .wal_offset = 32,
        .wal_bytes = 4120,
        .wal_salt = {{1, 2}},
        .has_ext = true,
        .epoch = 7,
        .owner = 0xabcdef01,
        .db_checksum = db_checksum(db, n, header.page_size),
        .wal_cksum = {{3, 4}},
    };
}

/* Merges two files as a compaction to level 1 does. */
static void merge_two(const struct buf *files, struct buf *out)
{
    CLEANUP(ltx_reader_close) struct ltx_reader first;
    CLEANUP(ltx_reader_close) struct ltx_reader second;
    CLEANUP(blob_writer_destroy) struct blob_writer w;
    CLEANUP(blob_destroy) struct blob blob = BLOB_INIT;
    struct ltx_reader_args args[2] = {{.bytes = buf_slice(&files[0])},
                                      {.bytes = buf_slice(&files[1])}};
    struct ltx_reader *inputs[2] = {&first, &second};
    struct ltx_merge_result result;
    struct error err = ERROR_INIT;
    uint8_t *p;

    blob_writer_init(&w, env_real(), "/tmp", FIXTURE_BYTES_MAX);
    assert_ok(ltx_reader_open(&first, &args[0], &err), &err);
    assert_ok(ltx_reader_open(&second, &args[1], &err), &err);
    struct ltx_merge_args merge_args = {.inputs = inputs, .input_count = 2, .out = &w};
    assert_ok(ltx_merge(&merge_args, &result, &err), &err);
    assert_ok(blob_writer_finish(&w, &blob, &err), &err);
    assert_ok(buf_extend(out, (size_t)blob.bytes, &p, &err), &err);
    assert_ok(blob_read(&blob, 0, p, (size_t)blob.bytes, &err), &err);
}

#define FILL                                                                                       \
    "CREATE TABLE t(k INTEGER PRIMARY KEY, v); CREATE INDEX i ON t(v);"                            \
    "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<3000) "                  \
    "INSERT INTO t SELECT i, CASE i%%3 WHEN 0 THEN randomblob(200) ELSE 'text ' || i END FROM c;"

static void test_litestream_restores_what_we_write(void **state UNUSED)
{
    static const uint32_t page_sizes[] = {512, 4096, 65536};
    char litestream[PATH_BYTES];

    litestream_need(litestream);
    for (size_t i = 0; i < ARRAY_LEN(page_sizes); i++) {
        struct buf files[2] = {BUF_INIT(FIXTURE_BYTES_MAX), BUF_INIT(FIXTURE_BYTES_MAX)};
        struct buf merged = BUF_INIT(FIXTURE_BYTES_MAX);
        char folder[256];
        char path[PATH_BYTES];
        char sql[600];
        size_t first_n;
        size_t second_n;

        test_folder_make(folder);
        (void)snprintf(path, sizeof(path), "%s/db", folder);
        (void)snprintf(sql, sizeof(sql), "PRAGMA page_size=%u; PRAGMA journal_mode=WAL;" FILL,
                       page_sizes[i]);
        uint8_t *first = db_after(path, sql, &first_n);
        struct ltx_header h = header_of(first, first_n, 1);
        assert_int_equal(h.page_size, page_sizes[i]);
        ltx_of_difference(&h, NULL, 0, first, &files[0]);
        file_put(folder, 0, 1, 1, buf_slice(&files[0]));
        restore_and_compare(litestream, folder, first, first_n);

        uint8_t *second = db_after(path,
                                   "DELETE FROM t WHERE k>2500; VACUUM;"
                                   "UPDATE t SET v='new' WHERE k%50=0",
                                   &second_n);
        h = header_of(second, second_n, 2);
        ltx_of_difference(&h, first, first_n, second, &files[1]);
        file_put(folder, 0, 2, 2, buf_slice(&files[1]));
        restore_and_compare(litestream, folder, second, second_n);

        char l0[PATH_BYTES];
        (void)snprintf(l0, sizeof(l0), "%s/replica/ltx/0", folder);
        test_folder_remove(l0);
        merge_two(files, &merged);
        file_put(folder, 1, 1, 2, buf_slice(&merged));
        restore_and_compare(litestream, folder, second, second_n);

        free(first);
        free(second);
        buf_destroy(&files[0]);
        buf_destroy(&files[1]);
        buf_destroy(&merged);
        test_folder_remove(folder);
    }
}

/* A database being rebuilt from files in order. */
struct rebuilt {
    uint8_t *p;
    size_t n;
};

/* Applies a file: streamed, and each page also by the index. */
static void file_apply(struct rebuilt *db, struct slice file)
{
    CLEANUP(ltx_reader_close) struct ltx_reader r;
    CLEANUP(ltx_index_destroy) struct ltx_index index;
    struct ltx_reader_args args = {.bytes = file};
    struct error err = ERROR_INIT;
    uint32_t pgno;
    struct slice page;
    uint64_t need;
    size_t count = 0;
    int rc;

    assert_ok(ltx_reader_open(&r, &args, &err), &err);
    const struct ltx_header *h = ltx_reader_header(&r);
    assert_false(h->has_ext);
    size_t n = (size_t)h->commit * h->page_size;
    uint8_t *p = realloc(db->p, n);
    assert_non_null(p);
    db->p = p;
    if (n > db->n)
        memset(db->p + db->n, 0, n - db->n);
    db->n = n;
    assert_int_equal(ltx_index_parse(file, file.n, h->page_size, &index, &need, &err), 1);
    uint8_t *alone = malloc(h->page_size);
    while ((rc = ltx_reader_next(&r, &pgno, &page, &err)) > 0) {
        const struct ltx_index_entry *entry = ltx_index_find(&index, pgno);
        assert_non_null(entry);
        struct slice frame = slice_sub(file, (size_t)entry->offset, entry->bytes);
        assert_ok(ltx_frame_decode(frame, h->page_size, pgno, alone, &err), &err);
        assert_memory_equal(alone, page.p, page.n);
        memcpy(db->p + (size_t)(pgno - 1) * page.n, page.p, page.n);
        count++;
    }
    assert_ok(rc, &err);
    assert_int_equal(count, index.count);
    free(alone);
}

static int name_is_ltx(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return n > 4 && strcmp(entry->d_name + n - 4, ".ltx") == 0;
}

/* Applies every file of a folder in the order of its names. Returns how many. */
static int folder_apply(const char *folder, struct rebuilt *db)
{
    struct dirent **names = NULL;

    int count = scandir(folder, &names, name_is_ltx, alphasort);
    for (int i = 0; i < count; i++) {
        struct error err = ERROR_INIT;
        size_t n;
        char *path = str_printf(&err, "%s/%s", folder, names[i]->d_name);
        assert_non_null(path);
        uint8_t *file = test_file_read(path, &n);
        free(path);
        file_apply(db, slice_of(file, n));
        free(file);
        free(names[i]);
    }
    free((void *)names);
    return count;
}

static void test_we_read_what_litestream_writes(void **state UNUSED)
{
    static const uint32_t page_sizes[] = {512, 4096, 65536};
    char litestream[PATH_BYTES];

    litestream_need(litestream);
    for (size_t i = 0; i < ARRAY_LEN(page_sizes); i++) {
        struct rebuilt rebuilt = {NULL, 0};
        char folder[256];
        char path[PATH_BYTES];
        char url[PATH_BYTES];
        char sql[600];
        size_t n;

        test_folder_make(folder);
        (void)snprintf(path, sizeof(path), "%s/db", folder);
        (void)snprintf(url, sizeof(url), "file://%s/replica", folder);
        (void)snprintf(sql, sizeof(sql), "PRAGMA page_size=%u; PRAGMA journal_mode=WAL;" FILL,
                       page_sizes[i]);
        free(db_after(path, sql, &n));
        for (int round = 0; round < 3; round++) {
            litestream_run(folder, (char *[]){litestream, "replicate", "-once", path, url, NULL});
            if (round < 2)
                free(db_after(path, "UPDATE t SET v=randomblob(90) WHERE k%40=1", &n));
        }
        uint8_t *db = db_after(path, "SELECT 1", &n);
        char l0[PATH_BYTES];
        (void)snprintf(l0, sizeof(l0), "%s/replica/ltx/0", folder);
        assert_true(folder_apply(l0, &rebuilt) >= 3);
        assert_int_equal(rebuilt.n, n);
        assert_memory_equal(rebuilt.p, db, n);
        free(db);
        free(rebuilt.p);
        test_folder_remove(folder);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_litestream_restores_what_we_write),
        TEST(test_we_read_what_litestream_writes),
    };
    return TEST_MAIN(tests);
}
