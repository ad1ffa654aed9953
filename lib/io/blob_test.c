/*
 * Blobs: that bytes come back as they went in, on either side of the threshold, and that no failing
 * file operation leaves anything behind.
 */
#include "lib/io/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/testing/test.h"

enum {
    BIG_BYTES = 3 * 1024 * 1024 + 17
};

static uint8_t byte_at(uint64_t i)
{
    return (uint8_t)(i * 131 + i / 251);
}

static void hex_of(const uint8_t sum[32], char out[65])
{
    for (size_t i = 0; i < 32; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", sum[i]);
}

static size_t folder_entries(const char *folder)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        count += e->d_name[0] != '.' || strncmp(e->d_name, ".blob", 5) == 0;
    assert_int_equal(closedir(dir), 0);
    return count;
}

/* Writes total bytes in pieces of changing size. */
static int fill(struct blob_writer *w, uint64_t total, struct error *err)
{
    static uint8_t piece[700001];
    size_t size = 1;

    while (blob_writer_bytes(w) < total) {
        uint64_t at = blob_writer_bytes(w);
        size_t n = total - at < size ? (size_t)(total - at) : size;
        for (size_t i = 0; i < n; i++)
            piece[i] = byte_at(at + i);
        if (blob_writer_append(w, slice_of(piece, n), err) < 0)
            return -1;
        size = size * 3 + 1;
        if (size > sizeof(piece))
            size = 1000;
    }
    return 0;
}

static void assert_content(const struct blob *b, uint64_t total)
{
    static uint8_t piece[65536];
    struct error err = ERROR_INIT;

    assert_int_equal(b->bytes, total);
    for (uint64_t at = 0; at < total;) {
        size_t n = total - at < sizeof(piece) ? (size_t)(total - at) : sizeof(piece);
        assert_ok(blob_read(b, at, piece, n, &err), &err);
        for (size_t i = 0; i < n; i++) {
            if (piece[i] != byte_at(at + i))
                fail_msg("byte %llu differs", (unsigned long long)(at + i));
        }
        at += n;
    }
}

static void test_blob_returns_its_bytes_below_at_and_beyond_the_threshold(void **state UNUSED)
{
    static const struct {
        const char *name;
        uint64_t bytes, memory_bytes_max;
        bool in_file;
    } rows[] = {
        {"empty", 0, 1024, false},
        {"one byte", 1, 1024, false},
        {"at the threshold", 4096, 4096, false},
        {"one byte beyond", 4097, 4096, true},
        {"no memory at all", 10, 0, true},
        {"large in memory", BIG_BYTES, BIG_BYTES, false},
        {"large in a file", BIG_BYTES, 1 << 20, true},
    };
    char folder[256];
    test_folder_make(folder);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct blob_writer w;
        CLEANUP(blob_destroy) struct blob b = BLOB_INIT;
        test_row(rows[i].name);
        blob_writer_init(&w, env_real(), folder, rows[i].memory_bytes_max);
        assert_ok(fill(&w, rows[i].bytes, &err), &err);
        assert_int_equal(blob_writer_bytes(&w), rows[i].bytes);
        assert_ok(blob_writer_finish(&w, &b, &err), &err);
        assert_int_equal(b.fd >= 0, rows[i].in_file);
        assert_int_equal(folder_entries(folder), 0); /* the file has no name */
        assert_content(&b, rows[i].bytes);
        assert_int_equal(blob_writer_bytes(&w), 0);
        blob_writer_destroy(&w);
    }
    test_folder_remove(folder);
}

/* Room is wanted for more than is made, as for a page whose compressed length is not known yet. */
static void test_bytes_made_in_place_are_those_of_a_blob_that_was_appended_to(void **state UNUSED)
{
    static const struct {
        const char *name;
        uint64_t memory_bytes_max;
        size_t room, made;
        bool in_file;
    } rows[] = {
        {"in memory", BIG_BYTES + 5000, 5000, 3000, false},
        {"in a file", 1 << 20, 5000, 3000, true},
        {"in a file from the beginning", 0, 70000, 1, true},
        {"as much as is written at once", 1 << 20, 256 * 1024, 256 * 1024, true},
        {"room that is not used", BIG_BYTES + 5000, 5000, 0, false},
    };
    char folder[256];
    test_folder_make(folder);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct blob_writer w;
        CLEANUP(blob_destroy) struct blob b = BLOB_INIT;
        uint64_t total = rows[i].made ? BIG_BYTES : 1;

        test_row(rows[i].name);
        blob_writer_init(&w, env_real(), folder, rows[i].memory_bytes_max);
        assert_ok(fill(&w, 1, &err), &err);
        for (unsigned times = 0; times < 100; times++) {
            uint8_t *p;
            uint64_t at = blob_writer_bytes(&w);
            assert_ok(blob_writer_room(&w, rows[i].room, &p, &err), &err);
            assert_int_equal(blob_writer_bytes(&w), at);
            for (size_t k = 0; k < rows[i].made; k++)
                p[k] = byte_at(at + k);
            blob_writer_made(&w, rows[i].made);
            if (at + 2 * rows[i].room > total)
                break;
        }
        assert_ok(fill(&w, total, &err), &err);
        assert_ok(blob_writer_finish(&w, &b, &err), &err);
        assert_int_equal(b.fd >= 0, rows[i].in_file);
        assert_content(&b, total);
        blob_writer_destroy(&w);
    }
    test_folder_remove(folder);
}

static void test_bytes_are_rewritten_in_memory_in_the_file_and_across(void **state UNUSED)
{
    static const struct {
        const char *name;
        uint64_t memory_bytes_max, offset;
        size_t n;
    } rows[] = {
        {"in memory", BIG_BYTES, 0, 100},
        {"in memory, to the end", BIG_BYTES, BIG_BYTES - 7, 7},
        {"in the file", 1 << 16, 0, 100},
        {"from the file into what waits", 1 << 16, 0, BIG_BYTES},
        {"what waits", 1 << 16, BIG_BYTES - 1, 1},
        {"nothing", 1 << 16, 5, 0},
    };
    static uint8_t wanted[BIG_BYTES];
    static uint8_t got[BIG_BYTES];
    char folder[256];
    test_folder_make(folder);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct blob_writer w;
        CLEANUP(blob_destroy) struct blob b = BLOB_INIT;
        test_row(rows[i].name);
        for (size_t k = 0; k < BIG_BYTES; k++)
            wanted[k] = byte_at(k);
        for (size_t k = 0; k < rows[i].n; k++)
            wanted[rows[i].offset + k] ^= 0xff;
        blob_writer_init(&w, env_real(), folder, rows[i].memory_bytes_max);
        assert_ok(fill(&w, BIG_BYTES, &err), &err);
        assert_ok(blob_writer_rewrite(&w, rows[i].offset,
                                      slice_of(wanted + rows[i].offset, rows[i].n), &err),
                  &err);
        assert_int_equal(blob_writer_bytes(&w), BIG_BYTES);
        assert_ok(blob_writer_finish(&w, &b, &err), &err);
        assert_ok(blob_read(&b, 0, got, BIG_BYTES, &err), &err);
        assert_memory_equal(got, wanted, BIG_BYTES);
        blob_writer_destroy(&w);
    }
    test_folder_remove(folder);
}

static void test_what_is_cut_off_and_what_is_left_are_the_bytes(void **state UNUSED)
{
    static const uint64_t spilled[] = {0, BIG_BYTES}; /* appended after the last cut */

    for (size_t i = 0; i < ARRAY_LEN(spilled); i++) {
        struct error err = ERROR_INIT;
        CLEANUP(blob_writer_destroy) struct blob_writer w;
        CLEANUP(blob_destroy) struct blob rest = BLOB_INIT;
        CLEANUP(buf_destroy) struct buf part = {.p = NULL};
        uint64_t at = 0;
        char folder[256];

        test_folder_make(folder);
        blob_writer_init(&w, env_real(), folder, 1 << 20);
        for (unsigned cut = 0; cut < 5; cut++) {
            assert_ok(fill(&w, at + 700000 + cut, &err), &err);
            assert_ok(blob_writer_cut(&w, 600000, &part, &err), &err);
            assert_int_equal(part.n, 600000);
            for (size_t k = 0; k < part.n; k++)
                assert_int_equal(part.p[k], byte_at(at + k));
            at += part.n;
            assert_int_equal(blob_writer_bytes(&w), at + 100000 + cut);
            assert_int_equal(blob_writer_memory_bytes(&w), 100000 + cut);
        }
        uint64_t end = blob_writer_bytes(&w) + spilled[i];
        assert_ok(fill(&w, end, &err), &err);
        const uint8_t mark[3] = {1, 2, 3};
        assert_ok(blob_writer_rewrite(&w, at + 10, slice_of(mark, 3), &err), &err);
        assert_ok(blob_writer_finish(&w, &rest, &err), &err);
        assert_int_equal(rest.bytes, end - at);
        for (uint64_t k = 0; k < rest.bytes; k++) {
            uint8_t byte = 0;
            assert_ok(blob_read(&rest, k, &byte, 1, &err), &err);
            assert_int_equal(byte, k >= 10 && k < 13 ? mark[k - 10] : byte_at(at + k));
        }
        assert_int_equal(folder_entries(folder), 0);
        test_folder_remove(folder);
    }
}

static void test_sha256_is_that_of_the_standard(void **state UNUSED)
{
    static const struct {
        const char *text, *hex;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        CLEANUP(blob_destroy) struct blob b = BLOB_INIT;
        uint8_t sum[32];
        char hex[65];
        test_row(rows[i].text);
        assert_ok(blob_of_slice(env_real(), slice_of_str(rows[i].text), &b, &err), &err);
        assert_ok(blob_sha256(&b, sum, &err), &err);
        assert_ok(blob_sha256(&b, sum, &err), &err); /* from the cache */
        hex_of(sum, hex);
        assert_string_equal(hex, rows[i].hex);
    }
}

static void test_sha256_does_not_depend_on_where_the_bytes_are(void **state UNUSED)
{
    char folder[256];
    uint8_t sums[2][32];
    test_folder_make(folder);
    for (size_t i = 0; i < 2; i++) {
        struct error err = ERROR_INIT;
        struct blob_writer w;
        CLEANUP(blob_destroy) struct blob b = BLOB_INIT;
        blob_writer_init(&w, env_real(), folder, i == 0 ? BIG_BYTES : 0);
        assert_ok(fill(&w, BIG_BYTES, &err), &err);
        assert_ok(blob_writer_finish(&w, &b, &err), &err);
        assert_ok(blob_sha256(&b, sums[i], &err), &err);
    }
    assert_memory_equal(sums[0], sums[1], 32);
    test_folder_remove(folder);
}

static void test_an_empty_blob_can_be_destroyed_again(void **state UNUSED)
{
    struct blob b = BLOB_INIT;
    struct blob_writer w;
    blob_destroy(&b);
    blob_destroy(&b);
    blob_writer_init(&w, env_real(), "/nowhere", 10);
    blob_writer_destroy(&w);
    blob_writer_destroy(&w);
}

static void test_a_missing_folder_is_named(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    struct blob_writer w;
    blob_writer_init(&w, env_real(), "/nowhere/at/all", 2);
    assert_ok(blob_writer_append(&w, SLICE_LIT("ab"), &err), &err);
    assert_error(blob_writer_append(&w, SLICE_LIT("c"), &err), &err, ERR_NOT_FOUND,
                 "/nowhere/at/all");
    blob_writer_destroy(&w);
}

/* ---- failing files ---- */

/* The real files, but the operation number fail_at answers fail_errno. */
struct faulty {
    struct env env;
    unsigned calls;
    unsigned fail_at;
    int fail_errno;
    bool refuses_tmpfile;
    int open_count; /* descriptors open now */
};

static bool fault_is_due(struct faulty *f)
{
    f->calls++;
    return f->calls == f->fail_at;
}

static int faulty_open(void *ctx, const char *path, int flags, mode_t mode)
{
    struct faulty *f = ctx;
    if (fault_is_due(f))
        return -f->fail_errno;
    if (f->refuses_tmpfile && (flags & O_TMPFILE) == O_TMPFILE)
        return -EOPNOTSUPP;
    int fd = env_real()->file.open(NULL, path, flags, mode);
    f->open_count += fd >= 0;
    return fd;
}

static int faulty_close(void *ctx, int fd)
{
    struct faulty *f = ctx;
    f->open_count--;
    return env_real()->file.close(NULL, fd);
}

static ssize_t faulty_pwrite(void *ctx, int fd, const void *p, size_t n, int64_t offset)
{
    struct faulty *f = ctx;
    if (fault_is_due(f))
        return -f->fail_errno;
    return env_real()->file.pwrite(NULL, fd, p, n, offset);
}

static ssize_t faulty_pread(void *ctx, int fd, void *p, size_t n, int64_t offset)
{
    struct faulty *f = ctx;
    if (fault_is_due(f))
        return -f->fail_errno;
    return env_real()->file.pread(NULL, fd, p, n, offset);
}

static int faulty_unlink(void *ctx, const char *path)
{
    struct faulty *f = ctx;
    /* A name that cannot be removed stays: only the error is tested. */
    int rc = env_real()->file.unlink(NULL, path);
    return fault_is_due(f) ? -f->fail_errno : rc;
}

static void faulty_init(struct faulty *f, unsigned fail_at, int fail_errno)
{
    *f = (struct faulty){.env = *env_real(), .fail_at = fail_at, .fail_errno = fail_errno};
    f->env.file.ctx = f;
    f->env.file.open = faulty_open;
    f->env.file.close = faulty_close;
    f->env.file.pwrite = faulty_pwrite;
    f->env.file.pread = faulty_pread;
    f->env.file.unlink = faulty_unlink;
}

static int blob_life(const struct env *env, const char *folder, struct error *err)
{
    CLEANUP(blob_writer_destroy) struct blob_writer w;
    CLEANUP(blob_destroy) struct blob b = BLOB_INIT;
    uint8_t sum[32];

    blob_writer_init(&w, env, folder, 100);
    if (fill(&w, 900000, err) < 0 || blob_writer_finish(&w, &b, err) < 0 ||
        blob_sha256(&b, sum, err) < 0)
        return -1;
    return 0;
}

static void test_each_failing_file_operation_is_reported_and_leaks_nothing(void **state UNUSED)
{
    char folder[256];
    test_folder_make(folder);
    for (int has_tmpfile = 0; has_tmpfile < 2; has_tmpfile++) {
        int rc = -1;
        for (unsigned at = 1; rc < 0; at++) {
            struct error err = ERROR_INIT;
            struct faulty f;
            faulty_init(&f, at, ENOSPC);
            f.refuses_tmpfile = !has_tmpfile;
            rc = blob_life(&f.env, folder, &err);
            if (rc < 0)
                assert_int_equal(err.code, ERR_NO_SPACE);
            assert_int_equal(f.open_count, 0);
            assert_int_equal(folder_entries(folder), 0);
            if (f.calls < at)
                break;
            assert_true(rc < 0);
        }
        assert_int_equal(rc, 0);
    }
    test_folder_remove(folder);
}

static void test_a_truncated_temporary_file_is_an_io_error(void **state UNUSED)
{
    struct error err = ERROR_INIT;
    char folder[256];
    uint8_t byte;
    test_folder_make(folder);
    CLEANUP(blob_destroy) struct blob b = BLOB_INIT;
    struct blob_writer w;
    blob_writer_init(&w, env_real(), folder, 0);
    assert_ok(fill(&w, 100, &err), &err);
    assert_ok(blob_writer_finish(&w, &b, &err), &err);
    assert_ok(env_ftruncate(env_real(), b.fd, 50, "blob", &err), &err);
    assert_error(blob_read(&b, 60, &byte, 1, &err), &err, ERR_IO, "temporary file");
    test_folder_remove(folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_blob_returns_its_bytes_below_at_and_beyond_the_threshold),
        TEST(test_bytes_made_in_place_are_those_of_a_blob_that_was_appended_to),
        TEST(test_bytes_are_rewritten_in_memory_in_the_file_and_across),
        TEST(test_what_is_cut_off_and_what_is_left_are_the_bytes),
        TEST(test_sha256_is_that_of_the_standard),
        TEST(test_sha256_does_not_depend_on_where_the_bytes_are),
        TEST(test_an_empty_blob_can_be_destroyed_again),
        TEST(test_a_missing_folder_is_named),
        TEST(test_each_failing_file_operation_is_reported_and_leaks_nothing),
        TEST(test_a_truncated_temporary_file_is_an_io_error),
    };
    return TEST_MAIN(tests);
}
