/*
 * LTX files for the tests of this room: the vectors of the real encoder, and a builder that is
 * independent of the writer, so that it can also make files that the writer refuses.
 */
#ifndef WALFERRY_LIB_LTX_FIXTURE_INTERNAL_H
#define WALFERRY_LIB_LTX_FIXTURE_INTERNAL_H

#include <lz4.h>
#include <lz4frame.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/io/blob.h"
#include "lib/ltx/crc64.h"
#include "lib/ltx/decoder.h"
#include "lib/ltx/ltx.h"
#include "lib/ltx/varint.h"
#include "lib/ltx/writer.h"
#include "lib/testing/test.h"

enum {
    FIXTURE_BYTES_MAX = 64 << 20,
    FIXTURE_PAGES_MAX = 64,
};

/* Made by github.com/superfly/ltx: pages 1 and 2 of 512 bytes, TXID 1. */
static const char fixture_vector_a[] =
    "4c5458310000000200000200000000020000000000000001000000000000000100000000000003e8"
    "00000000000000000000000000000020000000000000043011223344556677880000000000000000"
    "00000000000000000000000000000000000000000000000100010000001a6f7061676531010100ff"
    "dae001010101010101010101010101010000000200010000001a6f7061676532020100ffdae00202"
    "02020202020202020202020200000000000001642402880124000000000000000008000000000000"
    "0000f4a46fd100ee367c";

/* The same for page 2 alone, TXID 2. */
static const char fixture_vector_b[] =
    "4c5458310000000200000200000000020000000000000002000000000000000200000000000007d0"
    "00000000000000000000000000000450000000000000021811223344556677880000000000000000"
    "00000000000000000000000000000000000000000000000200010000001a6f7061676539090100ff"
    "dae00909090909090909090909090909000000000000026424000000000000000004000000000000"
    "0000981f3c3eb2e932d2";

/* Page n of the vectors: the byte n, "page<n>" at its beginning. */
static inline void fixture_page(uint8_t *out, uint32_t page_size, unsigned n)
{
    char text[16];

    memset(out, (int)n, page_size);
    int length = snprintf(text, sizeof(text), "page%u", n);
    memcpy(out, text, (size_t)length);
}

/* A page that hardly compresses, from a seed. */
static inline void fixture_noise(uint8_t *out, uint32_t page_size, uint64_t seed)
{
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (uint32_t i = 0; i < page_size; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out[i] = (uint8_t)x;
    }
}

/* The bytes of a text of hex digits; other characters are skipped. */
static inline void fixture_hex(const char *text, struct buf *out)
{
    struct error err = ERROR_INIT;
    unsigned value = 0;
    unsigned digits = 0;

    for (; *text; text++) {
        const char *all = "0123456789abcdef";
        const char *at = strchr(all, *text);
        assert_non_null(at);
        value = value << 4 | (unsigned)(at - all);
        if (++digits % 2 == 0)
            assert_ok(buf_append_byte(out, (uint8_t)value, &err), &err);
    }
    assert_int_equal(digits % 2, 0);
}

/* Header of the vectors: TXID 1, 512-byte pages, commit 2. */
static inline struct ltx_header fixture_header_a(void)
{
    return (struct ltx_header){
        .page_size = 512,
        .commit = 2,
        .min_txid = 1,
        .max_txid = 1,
        .timestamp_ms = 1000,
        .wal_offset = 32,
        .wal_bytes = 1072,
        .wal_salt = {{0x11223344, 0x55667788}},
    };
}

/* A page for the functions below. */
struct fixture_page {
    uint32_t pgno;
    const uint8_t *bytes;
};

/* What the writer makes of a header and pages. */
static inline void fixture_write(const struct ltx_header *h, const struct fixture_page *pages,
                                 size_t page_count, uint64_t post_apply, struct buf *out,
                                 struct ltx_trailer *out_trailer)
{
    CLEANUP(blob_writer_destroy) struct blob_writer blob_writer;
    CLEANUP(blob_destroy) struct blob blob = BLOB_INIT;
    CLEANUP(ltx_writer_close) struct ltx_writer w = {.is_open = false};
    struct ltx_writer_args args = {.header = *h, .out = &blob_writer};
    struct error err = ERROR_INIT;
    uint8_t *p;

    blob_writer_init(&blob_writer, env_real(), "/tmp", FIXTURE_BYTES_MAX);
    assert_ok(ltx_writer_open(&w, &args, &err), &err);
    for (size_t i = 0; i < page_count; i++) {
        assert_ok(ltx_writer_page(&w, pages[i].pgno, slice_of(pages[i].bytes, h->page_size), &err),
                  &err);
    }
    assert_ok(ltx_writer_finish(&w, post_apply, out_trailer, &err), &err);
    uint64_t n = ltx_writer_bytes(&w);
    assert_ok(blob_writer_finish(&blob_writer, &blob, &err), &err);
    assert_int_equal(blob.bytes, n);
    assert_ok(buf_extend(out, (size_t)n, &p, &err), &err);
    assert_ok(blob_read(&blob, 0, p, (size_t)n, &err), &err);
}

/* A file made by hand, field by field; nothing is checked. */
struct fixture_file {
    struct buf bytes;
    struct buf index;
    uint64_t crc;
    uint32_t page_size;
};

static inline void fixture_file_put(struct fixture_file *f, const void *p, size_t n)
{
    struct error err = ERROR_INIT;
    f->crc = crc64(f->crc, slice_of(p, n));
    assert_ok(buf_append(&f->bytes, p, n, &err), &err);
}

static inline void fixture_file_begin(struct fixture_file *f, const struct ltx_header *h)
{
    uint8_t header[LTX_HEADER_BYTES];
    struct error err = ERROR_INIT;

    *f = (struct fixture_file){
        .bytes = BUF_INIT(FIXTURE_BYTES_MAX),
        .index = BUF_INIT(FIXTURE_BYTES_MAX),
        .page_size = h->page_size,
    };
    assert_ok(ltx_header_encode(h, header, &err), &err);
    fixture_file_put(f, header, sizeof(header));
}

/* Adds a frame with a payload that somebody else compressed from n bytes of content. */
static inline void fixture_file_frame(struct fixture_file *f, uint32_t pgno, uint16_t flags,
                                      struct slice payload, struct slice content)
{
    uint8_t header[LTX_FRAME_HEADER_BYTES];
    uint8_t entry[INDEX_ENTRY_BYTES_MAX];
    struct error err = ERROR_INIT;
    uint64_t offset = f->bytes.n;

    be32_store(header, pgno);
    be16_store(header + 4, flags);
    be32_store(header + 6, (uint32_t)payload.n);
    fixture_file_put(f, header, flags ? LTX_FRAME_HEADER_BYTES : LTX_PAGE_HEADER_BYTES);
    assert_ok(buf_append_slice(&f->bytes, payload, &err), &err);
    f->crc = crc64(f->crc, content);
    size_t entry_n = index_entry_encode(pgno, offset, f->bytes.n - offset, entry);
    assert_ok(buf_append(&f->index, entry, entry_n, &err), &err);
}

/* Adds a frame: an LZ4 frame if flags are 0, else an LZ4 block, of n bytes of content. */
static inline void fixture_file_page(struct fixture_file *f, uint32_t pgno, uint16_t flags,
                                     const uint8_t *content, size_t n)
{
    const LZ4F_preferences_t prefs = {
        .frameInfo = {.blockSizeID = LZ4F_max64KB,
                      .blockMode = LZ4F_blockIndependent,
                      .contentChecksumFlag = LZ4F_contentChecksumEnabled},
    };
    size_t room = LZ4F_compressFrameBound(n, &prefs) + (size_t)LZ4_compressBound((int)n);
    char *payload = malloc(room);
    size_t payload_n;

    assert_non_null(payload);
    if (flags) {
        int made = LZ4_compress_default((const char *)content, payload, (int)n, (int)room);
        assert_true(made > 0);
        payload_n = (size_t)made;
    } else {
        payload_n = LZ4F_compressFrame(payload, room, content, n, &prefs);
        assert_false(LZ4F_isError(payload_n));
    }
    fixture_file_frame(f, pgno, flags, slice_of(payload, payload_n), slice_of(content, n));
    free(payload);
}

/* Adds page n of the vectors, in the very bytes of the real encoder (liblz4's are others). */
static inline void fixture_file_vector_page(struct fixture_file *f, uint32_t pgno, unsigned n)
{
    uint8_t page[512];
    uint8_t payload[26] = {0x6f, 'p', 'a', 'g', 'e', 0, 0, 1, 0, 0xff, 0xda, 0xe0};

    fixture_page(page, sizeof(page), n);
    payload[5] = (uint8_t)('0' + n);
    payload[6] = (uint8_t)n;
    memset(payload + 12, (int)n, sizeof(payload) - 12);
    fixture_file_frame(f, pgno, 1, slice_of(payload, sizeof(payload)), slice_of(page, 512));
}

/* Adds terminator, index and trailer. The caller destroys f->bytes. */
static inline void fixture_file_end(struct fixture_file *f, uint64_t post_apply)
{
    static const uint8_t zeros[8];
    uint8_t end[LTX_TRAILER_BYTES];
    uint8_t length[8];
    struct error err = ERROR_INIT;

    fixture_file_put(f, zeros, LTX_PAGE_HEADER_BYTES);
    if (f->index.n > 0)
        fixture_file_put(f, f->index.p, f->index.n);
    fixture_file_put(f, zeros, 1);
    be64_store(length, f->index.n + 1);
    fixture_file_put(f, length, sizeof(length));
    be64_store(end, post_apply);
    be64_store(end + 8, LTX_CHECKSUM_FLAG | crc64(f->crc, slice_of(end, 8)));
    assert_ok(buf_append(&f->bytes, end, sizeof(end), &err), &err);
    buf_destroy(&f->index);
}

/* Pages as they come out of a decoder or reader. */
struct fixture_pages {
    uint32_t pgno[FIXTURE_PAGES_MAX];
    struct buf bytes; /* one after the other */
    size_t count;
};

static inline int fixture_pages_add(void *arg, uint32_t pgno, struct slice page, struct error *err)
{
    struct fixture_pages *pages = arg;

    assert_true(pages->count < FIXTURE_PAGES_MAX);
    pages->pgno[pages->count++] = pgno;
    return buf_append_slice(&pages->bytes, page, err);
}

/* Decodes a file that arrives in chunks of chunk_bytes. pages may be NULL. 0 or -1. */
static inline int fixture_decode(struct slice file, size_t chunk_bytes, struct fixture_pages *pages,
                                 struct ltx_trailer *out_trailer, struct error *err)
{
    CLEANUP(ltx_decoder_destroy) struct ltx_decoder d;
    struct ltx_decoder_args args = {.on_page = pages ? fixture_pages_add : NULL, .arg = pages};

    if (pages) {
        buf_destroy(&pages->bytes);
        *pages = (struct fixture_pages){.bytes = BUF_INIT(FIXTURE_BYTES_MAX)};
    }
    ltx_decoder_init(&d, &args);
    for (size_t at = 0; at < file.n; at += chunk_bytes) {
        if (ltx_decoder_feed(&d, slice_sub(file, at, chunk_bytes), err) < 0)
            return -1;
    }
    return ltx_decoder_finish(&d, out_trailer, err);
}

#endif
