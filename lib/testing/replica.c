/*
 * States of a database and the LTX objects between them.
 *
 * The database is kept in rollback mode with one connection, so after each commit the file is the
 * state. A page belongs to the object [min, max] if any of these TXIDs changed it and the state at
 * max still has it. Pages that a state grew by count as changed.
 */
#include "lib/testing/replica.h"

#include <fcntl.h>
#include <lz4frame.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/io/blob.h"
#include "lib/ltx/crc64.h"
#include "lib/ltx/ltx.h"
#include "lib/ltx/writer.h"
#include "lib/testing/test.h"

/* 2026-11-21T00:00:00Z */
static const uint64_t first_ns = UINT64_C(1795219200) * NS_PER_SEC;

enum {
    FILE_BYTES_MAX = 256 << 20,
    LIVE_SQL_BYTES = 512,
};

static void sql_exec(struct test_replica *r, const char *sql)
{
    char *text = NULL;
    if (sqlite3_exec(r->db, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s: %s", sql, text);
}

void test_replica_open(struct test_replica *r, const char *folder, uint32_t page_size)
{
    char sql[100];

    (void)snprintf(r->root, sizeof(r->root), "%s/replica", folder);
    (void)snprintf(r->db_path, sizeof(r->db_path), "%s/origin.db", folder);
    r->page_size = page_size;
    r->states[0].db_checksum = LTX_CHECKSUM_FLAG;
    r->states[0].timestamp_ns = first_ns;
    assert_int_equal(sqlite3_open(r->db_path, &r->db), SQLITE_OK);
    (void)snprintf(sql, sizeof(sql), "PRAGMA page_size=%u; PRAGMA synchronous=OFF", page_size);
    sql_exec(r, sql);
}

void test_replica_close(struct test_replica *r)
{
    for (uint64_t t = 0; t <= r->txid; t++) {
        free(r->states[t].image);
        free(r->states[t].is_changed);
    }
    if (r->db)
        assert_int_equal(sqlite3_close(r->db), SQLITE_OK);
    *r = (struct test_replica){0};
}

static struct slice page_of(const struct test_replica *r, uint64_t txid, uint32_t pgno)
{
    return slice_of(r->states[txid].image + (size_t)(pgno - 1) * r->page_size, r->page_size);
}

uint64_t test_replica_commit(struct test_replica *r, const char *sql)
{
    size_t n = 0;

    sql_exec(r, sql);
    assert_true(r->txid + 1 < TEST_REPLICA_STATES_MAX);
    const struct test_replica_state *before = &r->states[r->txid];
    struct test_replica_state *s = &r->states[++r->txid];
    s->image = test_file_read(r->db_path, &n);
    s->page_count = (uint32_t)(n / r->page_size);
    s->timestamp_ns = before->timestamp_ns + NS_PER_MIN;
    s->db_checksum = LTX_CHECKSUM_FLAG;
    s->is_changed = calloc(s->page_count + 1, sizeof(bool));
    assert_non_null(s->is_changed);
    for (uint32_t p = 1; p <= s->page_count; p++) {
        struct slice page = page_of(r, r->txid, p);
        s->is_changed[p] = p > before->page_count || !slice_eq(page, page_of(r, r->txid - 1, p));
        s->db_checksum = ltx_db_checksum_toggle(s->db_checksum, ltx_page_checksum(p, page));
    }
    return r->txid;
}

static bool is_in_object(const struct test_replica *r, uint64_t min, uint64_t max, uint32_t pgno)
{
    for (uint64_t t = min; t <= max; t++) {
        if (pgno <= r->states[t].page_count && r->states[t].is_changed[pgno])
            return true;
    }
    return false;
}

static struct ltx_header header_of(const struct test_replica *r, uint64_t min, uint64_t max)
{
    const struct test_replica_state *s = &r->states[max];
    struct ltx_header h = {.page_size = r->page_size,
                           .commit = s->page_count,
                           .min_txid = min,
                           .max_txid = max,
                           .timestamp_ms = (int64_t)(s->timestamp_ns / NS_PER_MS)};

    if (r->has_ext) {
        h.has_ext = true;
        h.epoch = 3;
        h.owner = 0xCAFE;
        h.db_checksum = s->db_checksum;
    }
    return h;
}

/* The object by the writer of lib/ltx. */
static void object_write(const struct test_replica *r, const struct ltx_header *h, struct buf *out)
{
    struct error err = ERROR_INIT;
    CLEANUP(blob_destroy) struct blob blob = BLOB_INIT;
    CLEANUP(blob_writer_destroy) struct blob_writer w;
    CLEANUP(ltx_writer_close) struct ltx_writer ltx = {0};
    uint8_t *p = NULL;

    blob_writer_init(&w, env_real(), "/tmp", FILE_BYTES_MAX);
    assert_ok(ltx_writer_open(&ltx, &(struct ltx_writer_args){.header = *h, .out = &w}, &err),
              &err);
    for (uint32_t pgno = 1; pgno <= h->commit; pgno++) {
        if (is_in_object(r, h->min_txid, h->max_txid, pgno))
            assert_ok(ltx_writer_page(&ltx, pgno, page_of(r, h->max_txid, pgno), &err), &err);
    }
    assert_ok(ltx_writer_finish(&ltx, 0, NULL, &err), &err);
    assert_ok(blob_writer_finish(&w, &blob, &err), &err);
    assert_ok(buf_extend(out, (size_t)blob.bytes, &p, &err), &err);
    assert_ok(blob_read(&blob, 0, p, (size_t)blob.bytes, &err), &err);
}

/* ---- the same with LZ4 frames ---- */

struct legacy {
    struct buf *out;
    struct buf index;
    uint64_t crc;
};

static void legacy_add(struct legacy *l, const void *p, size_t n, bool is_summed)
{
    struct error err = ERROR_INIT;

    assert_ok(buf_append(l->out, p, n, &err), &err);
    if (is_summed)
        l->crc = crc64(l->crc, slice_of(p, n));
}

static void legacy_varint(struct legacy *l, uint64_t v)
{
    struct error err = ERROR_INIT;

    for (; v >= 0x80; v >>= 7)
        assert_ok(buf_append_byte(&l->index, (uint8_t)(v | 0x80), &err), &err);
    assert_ok(buf_append_byte(&l->index, (uint8_t)v, &err), &err);
}

static void legacy_page(struct legacy *l, uint32_t pgno, struct slice page)
{
    static uint8_t frame[2 * 65536];
    LZ4F_preferences_t preferences = {
        .frameInfo = {.contentChecksumFlag = LZ4F_contentChecksumEnabled,
                      .blockMode = LZ4F_blockIndependent}};
    uint8_t head[LTX_PAGE_HEADER_BYTES] = {0};
    uint64_t offset = l->out->n;

    be32_store(head, pgno);
    size_t n = LZ4F_compressFrame(frame, sizeof(frame), page.p, page.n, &preferences);
    assert_false(LZ4F_isError(n));
    legacy_add(l, head, sizeof(head), true);
    legacy_add(l, frame, n, false);
    l->crc = crc64(l->crc, page);
    legacy_varint(l, pgno);
    legacy_varint(l, offset);
    legacy_varint(l, sizeof(head) + n);
}

static void legacy_write(const struct test_replica *r, const struct ltx_header *h, struct buf *out)
{
    struct error err = ERROR_INIT;
    struct legacy l = {.out = out, .index = BUF_INIT(FILE_BYTES_MAX)};
    uint8_t bytes[LTX_HEADER_BYTES];
    uint8_t end[8 + 8 + 8] = {0};
    static const uint8_t terminator[LTX_PAGE_HEADER_BYTES];

    assert_ok(ltx_header_encode(h, bytes, &err), &err);
    legacy_add(&l, bytes, sizeof(bytes), true);
    for (uint32_t pgno = 1; pgno <= h->commit; pgno++) {
        if (is_in_object(r, h->min_txid, h->max_txid, pgno))
            legacy_page(&l, pgno, page_of(r, h->max_txid, pgno));
    }
    legacy_add(&l, terminator, sizeof(terminator), true);
    legacy_varint(&l, 0);
    legacy_add(&l, l.index.p, l.index.n, true);
    be64_store(end, l.index.n);
    legacy_add(&l, end, 16, true);
    be64_store(end, LTX_CHECKSUM_FLAG | l.crc);
    legacy_add(&l, end, 8, false);
    buf_destroy(&l.index);
}

/* ---- files ---- */

void test_replica_path(const struct test_replica *r, unsigned level, uint64_t min, uint64_t max,
                       char out[static 700])
{
    (void)snprintf(out, 700, "%s/ltx/%u/%016llx-%016llx.ltx", r->root, level,
                   (unsigned long long)min, (unsigned long long)max);
}

void test_replica_write(struct test_replica *r, unsigned level, uint64_t min, uint64_t max)
{
    CLEANUP(buf_destroy) struct buf bytes = BUF_INIT(FILE_BYTES_MAX);
    struct ltx_header h = header_of(r, min, max);
    struct error err = ERROR_INIT;
    char path[700];
    char folder[700];

    assert_true(min >= 1 && min <= max && max <= r->txid);
    if (r->is_legacy)
        legacy_write(r, &h, &bytes);
    else
        object_write(r, &h, &bytes);
    (void)snprintf(folder, sizeof(folder), "%s/ltx/%u", r->root, level);
    assert_ok(env_mkdir_all(env_real(), folder, 0700, &err), &err);
    test_replica_path(r, level, min, max, path);
    test_file_write(path, buf_slice(&bytes));
    uint64_t ns = r->states[max].timestamp_ns;
    struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)(ns / NS_PER_SEC), .tv_nsec = (long)(ns % NS_PER_SEC)}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

void test_replica_assert_state(const struct test_replica *r, const char *path, uint64_t txid)
{
    const struct test_replica_state *s = &r->states[txid];
    size_t n = 0;
    uint8_t *bytes = test_file_read(path, &n);

    assert_int_equal(n, (size_t)s->page_count * r->page_size);
    for (uint32_t p = 1; p <= s->page_count; p++) {
        if (memcmp(bytes + (size_t)(p - 1) * r->page_size, page_of(r, txid, p).p, r->page_size) !=
            0)
            fail_msg("%s: page %u is not that of TXID %llu", path, p, (unsigned long long)txid);
    }
    free(bytes);
}

void test_replica_live(struct test_replica *r, unsigned steps, unsigned seed)
{
    char sql[LIVE_SQL_BYTES];

    if (r->txid == 0) {
        (void)test_replica_commit(
            r, "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB); CREATE INDEX i ON t(a)");
    }
    for (unsigned i = 0; i < steps; i++) {
        seed = seed * 1103515245 + 12345;
        unsigned n = seed >> 16;
        switch (n % 5) {
        case 0:
            (void)snprintf(sql, sizeof(sql), "DELETE FROM t WHERE id %% %u = 0; VACUUM", 2 + n % 3);
            break;
        case 1:
            (void)snprintf(sql, sizeof(sql), "UPDATE t SET a = 'u%u' WHERE id %% %u = 1", n,
                           2 + n % 7);
            break;
        default:
            (void)snprintf(sql, sizeof(sql),
                           "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT "
                           "%u) INSERT INTO t(a, b) SELECT 'row ' || x || '-%u', randomblob(%u) "
                           "FROM c",
                           5 + n % 60, n, 20 + n % 900);
            break;
        }
        (void)test_replica_commit(r, sql);
    }
}
