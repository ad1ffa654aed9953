/*
 * A replica that was never compacted: thousands of L0 objects of one page each, written straight
 * into a folder, in the layout of a bucket (0000/<min>-<max>.ltx).
 *
 *   bench_tiny DB_PATH FOLDER COUNT
 *
 * The first object holds the whole database. Each of the others changes the last bytes of one page:
 * they belong to a row's body, so the database stays sound. At the end the file at DB_PATH, which
 * nobody may have open, is what the newest object leads to.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/io/blob.h"
#include "lib/ltx/ltx.h"
#include "lib/ltx/writer.h"

enum {
    PAGE_BYTES = 4096,
    DB_BYTES_MAX = 64 << 20,
    OBJECT_BYTES_MAX = 64 << 20,
};

struct tiny {
    const char *db_path;
    const char *folder;
    uint8_t *pages;
    uint32_t page_count;
    uint64_t db_checksum;
    uint64_t *checksum; /* of page i + 1 */
};

static struct slice page_of(const struct tiny *t, uint32_t pgno)
{
    return slice_of(t->pages + (size_t)(pgno - 1) * PAGE_BYTES, PAGE_BYTES);
}

/* Reads the whole file, or writes it. */
static int db_move(const struct tiny *t, bool is_write, struct error *err)
{
    const struct env *env = env_real();
    size_t n = (size_t)t->page_count * PAGE_BYTES;
    int fd;

    if (env_open(env, t->db_path, O_RDWR, 0, &fd, err) < 0)
        return -1;
    int rc = is_write ? env_pwrite(env, fd, t->pages, n, 0, t->db_path, err)
                      : env_pread_exact(env, fd, t->pages, n, 0, t->db_path, err);
    env_close_quietly(env, fd); /* what is lost shows as a difference */
    return rc;
}

static int object_keep(const struct tiny *t, uint64_t txid, const struct blob *blob,
                       struct error *err)
{
    char path[600];
    int fd;
    const struct env *env = env_real();

    (void)snprintf(path, sizeof(path), "%s/%016" PRIx64 "-%016" PRIx64 ".ltx", t->folder, txid,
                   txid);
    if (env_open(env, path, O_WRONLY | O_CREAT | O_EXCL, 0644, &fd, err) < 0)
        return -1;
    int rc = env_pwrite(env, fd, blob->p, (size_t)blob->bytes, 0, path, err);
    env_close_quietly(env, fd); /* likewise */
    return rc;
}

/* The object txid with the pages first..last. */
static int object_make(const struct tiny *t, uint64_t txid, uint32_t first, uint32_t last,
                       struct error *err)
{
    CLEANUP(blob_destroy) struct blob blob = BLOB_INIT;
    CLEANUP(blob_writer_destroy) struct blob_writer out;
    CLEANUP(ltx_writer_close) struct ltx_writer w = {.is_open = false};
    const struct ltx_writer_args args = {
        .header = {.page_size = PAGE_BYTES,
                   .commit = t->page_count,
                   .min_txid = txid,
                   .max_txid = txid,
                   .timestamp_ms = (int64_t)(INT64_C(1795219200000) + (int64_t)txid),
                   .has_ext = true,
                   .epoch = 1,
                   .owner = 1,
                   .db_checksum = t->db_checksum},
        .out = &out,
    };

    blob_writer_init(&out, env_real(), "/tmp", OBJECT_BYTES_MAX);
    if (ltx_writer_open(&w, &args, err) < 0)
        return -1;
    for (uint32_t pgno = first; pgno <= last; pgno++) {
        if (ltx_writer_page(&w, pgno, page_of(t, pgno), err) < 0)
            return -1;
    }
    if (ltx_writer_finish(&w, 0, NULL, err) < 0 || blob_writer_finish(&out, &blob, err) < 0)
        return -1;
    return object_keep(t, txid, &blob, err);
}

static int run(struct tiny *t, uint64_t count, struct error *err)
{
    struct stat st;

    if (env_stat(env_real(), t->db_path, &st, err) < 0)
        return -1;
    if (st.st_size < 4 * PAGE_BYTES || st.st_size > DB_BYTES_MAX)
        return error_set(err, ERR_USAGE, 0, "%s: wrong size", t->db_path);
    t->page_count = (uint32_t)(st.st_size / PAGE_BYTES);
    t->pages = mem_new(t->page_count, PAGE_BYTES, err);
    t->checksum = t->pages ? mem_new(t->page_count, sizeof(*t->checksum), err) : NULL;
    if (!t->checksum || db_move(t, false, err) < 0)
        return -1;
    t->db_checksum = LTX_CHECKSUM_FLAG;
    for (uint32_t pgno = 1; pgno <= t->page_count; pgno++) {
        t->checksum[pgno - 1] = ltx_page_checksum(pgno, page_of(t, pgno));
        t->db_checksum = ltx_db_checksum_toggle(t->db_checksum, t->checksum[pgno - 1]);
    }
    if (object_make(t, 1, 1, t->page_count, err) < 0)
        return -1;
    for (uint64_t txid = 2; txid <= count; txid++) {
        uint32_t pgno = t->page_count - (uint32_t)(txid % (t->page_count / 2)); /* leaves */
        be64_store(t->pages + (size_t)pgno * PAGE_BYTES - 8, txid);
        uint64_t checksum = ltx_page_checksum(pgno, page_of(t, pgno));
        t->db_checksum = ltx_db_checksum_toggle(t->db_checksum, t->checksum[pgno - 1]);
        t->db_checksum = ltx_db_checksum_toggle(t->db_checksum, checksum);
        t->checksum[pgno - 1] = checksum;
        if (object_make(t, txid, pgno, pgno, err) < 0)
            return -1;
    }
    return db_move(t, true, err);
}

int main(int argc, char **argv)
{
    struct error err = ERROR_INIT;
    uint64_t count = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;

    if (count == 0) {
        (void)fprintf(stderr, "usage: bench_tiny DB_PATH FOLDER COUNT\n"); /* status tells */
        return 2;
    }
    struct tiny t = {.db_path = argv[1], .folder = argv[2]};
    int rc = run(&t, count, &err);
    if (rc < 0)
        (void)fprintf(stderr, "bench_tiny: %s\n", err.text); /* as above */
    free(t.pages);
    free(t.checksum);
    return rc < 0 ? 1 : 0;
}
