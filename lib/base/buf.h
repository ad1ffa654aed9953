/*
 * The one growable thing: bytes with a maximum. A buffer without a limit is a leak that waits, so
 * each is born with one and answers ERR_LIMIT beyond it.
 *
 *     CLEANUP(buf_destroy) struct buf body = BUF_INIT(LTX_INDEX_BYTES_MAX);
 *
 * The bytes are always followed by a zero byte that is not counted, so b.p is a C string when the
 * content is text (empty buffers: use buf_str(), p may be NULL). Threads: one at a time.
 */
#ifndef WALFERRY_LIB_BASE_BUF_H
#define WALFERRY_LIB_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/attr.h"
#include "lib/base/error.h"
#include "lib/base/slice.h"

struct buf {
    uint8_t *p;
    size_t n;   /* bytes in use */
    size_t cap; /* bytes allocated, without the zero byte behind them */
    size_t max; /* never more than this */
};

#define BUF_INIT(max_bytes) {.max = (max_bytes)}

/* Frees the bytes. Accepts a zeroed buffer; b is empty afterwards and keeps its maximum. */
void buf_destroy(struct buf *b);

/* Forgets the content, keeps the memory. */
void buf_clear(struct buf *b);

/*
 * Makes room for extra more bytes behind b->n without changing the content.
 * ERR_LIMIT beyond the maximum, ERR_NO_MEMORY.
 */
MUST_USE int buf_reserve(struct buf *b, size_t extra, struct error *err);

/* Adds n bytes. On failure the content is unchanged. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int buf_append(struct buf *b, const void *p, size_t n, struct error *err);
MUST_USE int buf_append_slice(struct buf *b, struct slice s, struct error *err);
MUST_USE int buf_append_str(struct buf *b, const char *s, struct error *err);
MUST_USE int buf_append_byte(struct buf *b, uint8_t byte, struct error *err);

/* Adds formatted text. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int buf_printf(struct buf *b, struct error *err, const char *fmt, ...) PRINTF_LIKE(3, 4);
MUST_USE int buf_vprintf(struct buf *b, struct error *err, const char *fmt, va_list ap)
    PRINTF_LIKE(3, 0);

/* Grows by n uninitialised bytes and answers where they begin. ERR_LIMIT, ERR_NO_MEMORY. */
MUST_USE int buf_extend(struct buf *b, size_t n, uint8_t **out_p, struct error *err);

/* The content; valid until the buffer changes. */
static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->p, b->n};
}

/* The content as a C string; "" when empty. Valid until the buffer changes. */
static inline const char *buf_str(const struct buf *b)
{
    return b->p ? (const char *)b->p : "";
}

/* Moves content and memory out into a new owner; b is empty afterwards and keeps its maximum. */
static inline struct buf buf_take(struct buf *b)
{
    struct buf moved = *b;
    *b = (struct buf){.max = b->max};
    return moved;
}

/* Wipes the bytes before freeing them: for secrets. */
void buf_destroy_secret(struct buf *b);

/*
 * strdup() that reports: a terminated copy that the caller frees, or NULL with ERR_NO_MEMORY.
 * For the fields of long-lived structs.
 */
MUST_USE char *str_dup(const char *s, struct error *err);

/* asprintf() that reports; the caller frees. NULL with ERR_NO_MEMORY. */
MUST_USE char *str_printf(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* For CLEANUP on a char * (or any pointer from malloc): frees what it points at. */
void mem_free(void *pointer_to_pointer);

/* calloc() that reports ERR_NO_MEMORY; the caller frees. */
MUST_USE void *mem_new(size_t count, size_t size, struct error *err);

#endif
