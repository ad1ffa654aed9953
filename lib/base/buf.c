/*
 * Growable bytes: doubling up to the maximum, always one zero byte behind the content.
 */
#include "lib/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/assert.h"

enum {
    BUF_FIRST_BYTES = 64
};

void buf_destroy(struct buf *b)
{
    free(b->p);
    b->p = NULL;
    b->n = 0;
    b->cap = 0;
}

void buf_destroy_secret(struct buf *b)
{
    if (b->p)
        explicit_bzero(b->p, b->cap);
    buf_destroy(b);
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    if (b->p)
        b->p[0] = 0;
}

int buf_reserve(struct buf *b, size_t extra, struct error *err)
{
    ASSERT(b->n <= b->max);
    if (extra > b->max - b->n) {
        return error_set(err, ERR_LIMIT, 0, "%zu bytes more than the limit of %zu bytes",
                         extra - (b->max - b->n), b->max);
    }
    size_t need = b->n + extra;
    if (b->p && need <= b->cap)
        return 0;
    size_t cap = b->cap > BUF_FIRST_BYTES ? b->cap : BUF_FIRST_BYTES;
    while (cap < need)
        cap = cap > b->max / 2 ? b->max : cap * 2;
    uint8_t *p = realloc(b->p, cap + 1);
    if (!p)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for %zu bytes", cap + 1);
    b->p = p;
    b->cap = cap;
    b->p[b->n] = 0;
    return 0;
}

int buf_extend(struct buf *b, size_t n, uint8_t **out_p, struct error *err)
{
    if (buf_reserve(b, n, err) < 0)
        return -1;
    *out_p = b->p + b->n;
    b->n += n;
    b->p[b->n] = 0;
    return 0;
}

int buf_append(struct buf *b, const void *p, size_t n, struct error *err)
{
    uint8_t *at;

    if (buf_extend(b, n, &at, err) < 0)
        return -1;
    if (n > 0)
        memcpy(at, p, n);
    return 0;
}

int buf_append_slice(struct buf *b, struct slice s, struct error *err)
{
    return buf_append(b, s.p, s.n, err);
}

int buf_append_str(struct buf *b, const char *s, struct error *err)
{
    return buf_append(b, s, strlen(s), err);
}

int buf_append_byte(struct buf *b, uint8_t byte, struct error *err)
{
    return buf_append(b, &byte, 1, err);
}

int buf_vprintf(struct buf *b, struct error *err, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0)
        return error_set(err, ERR_LIMIT, 0, "text cannot be formatted");
    if (buf_reserve(b, (size_t)n, err) < 0)
        return -1;
    (void)vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, ap); /* measured above */
    b->n += (size_t)n;
    return 0;
}

int buf_printf(struct buf *b, struct error *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = buf_vprintf(b, err, fmt, ap);
    va_end(ap);
    return rc;
}

char *str_dup(const char *s, struct error *err)
{
    char *copy = strdup(s);
    if (!copy)
        (void)error_set(err, ERR_NO_MEMORY, 0, "out of memory for a text");
    return copy;
}

char *str_printf(struct error *err, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0) {
        (void)error_set(err, ERR_NO_MEMORY, 0, "out of memory for a text");
        return NULL;
    }
    return text;
}

void mem_free(void *pointer_to_pointer)
{
    void **p = pointer_to_pointer;
    free(*p);
    *p = NULL;
}

void *mem_new(size_t count, size_t size, struct error *err)
{
    void *p = calloc(count, size);
    if (!p)
        (void)error_set(err, ERR_NO_MEMORY, 0, "out of memory for %zu x %zu bytes", count, size);
    return p;
}
