/*
 * Reads an answer line by line, without changing or copying a byte:
 *
 *   "HTTP/1." digit SP 3digit [SP reason] CRLF
 *   (name ":" OWS value OWS CRLF)*
 *   CRLF
 *   Content-Length bytes            (an interim answer, 1xx, has no such header and none of them)
 */
#include "lib/http/answer.h"

#include <string.h>
#include <strings.h>

struct answer_reader {
    struct slice rest;
    struct http_answer answer;
    bool has_length;
};

/* Takes the next line. 1, 0: it is not whole yet, -1: it does not end in CR LF. */
static int line_next(struct slice *rest, struct slice *out_line, struct error *err)
{
    const uint8_t *end = rest->p ? memchr(rest->p, '\n', rest->n) : NULL;

    if (!end)
        return 0;
    size_t n = (size_t)(end - rest->p);
    if (n == 0 || rest->p[n - 1] != '\r')
        return error_set(err, ERR_CORRUPT, 0, "a line of the answer does not end in CR LF");
    *out_line = slice_sub(*rest, 0, n - 1);
    *rest = slice_sub(*rest, n + 1, rest->n);
    return 1;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static int status_line_parse(struct slice line, struct http_answer *out, struct error *err)
{
    bool is_known = slice_starts_with(line, SLICE_LIT("HTTP/1.1 ")) ||
                    slice_starts_with(line, SLICE_LIT("HTTP/1.0 "));

    if (!is_known || line.n < 12 || !is_digit(line.p[9]) || !is_digit(line.p[10]) ||
        !is_digit(line.p[11]) || (line.n > 12 && line.p[12] != ' '))
        return error_set(err, ERR_CORRUPT, 0, "the answer is not HTTP/1.x");
    out->status = (line.p[9] - '0') * 100 + (line.p[10] - '0') * 10 + (line.p[11] - '0');
    out->keeps_alive = line.p[7] == '1';
    if (out->status == 101)
        return error_set(err, ERR_UNSUPPORTED, out->status, "a change of protocol");
    return out->status >= 100 && out->status <= 599
               ? 0
               : error_set(err, ERR_CORRUPT, 0, "no such status");
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static bool is_equal(struct slice text, const char *word)
{
    return text.n == strlen(word) && strncasecmp((const char *)text.p, word, text.n) == 0;
}

static int length_parse(struct answer_reader *r, struct slice value, struct error *err)
{
    size_t bytes = 0;

    if (value.n == 0 || value.n > 9 || r->has_length) /* nine digits: no overflow */
        return error_set(err, ERR_CORRUPT, 0, "Content-Length is empty, twice or too large");
    for (size_t i = 0; i < value.n; i++) {
        if (!is_digit(value.p[i]))
            return error_set(err, ERR_CORRUPT, 0, "Content-Length is not a number");
        bytes = bytes * 10 + (size_t)(value.p[i] - '0');
    }
    r->answer.body_bytes = bytes;
    r->has_length = true;
    return 0;
}

static int header_parse(struct answer_reader *r, struct slice line, struct error *err)
{
    const uint8_t *colon = memchr(line.p, ':', line.n);

    if (!colon || colon == line.p || is_blank(line.p[0]))
        return error_set(err, ERR_CORRUPT, 0, "a header of the answer has no name");
    struct slice name = slice_sub(line, 0, (size_t)(colon - line.p));
    struct slice value = slice_sub(line, name.n + 1, line.n);
    while (value.n > 0 && is_blank(value.p[0]))
        value = slice_sub(value, 1, value.n);
    while (value.n > 0 && is_blank(value.p[value.n - 1]))
        value.n--;
    if (is_equal(name, "Content-Length"))
        return length_parse(r, value, err);
    if (is_equal(name, "Transfer-Encoding"))
        return error_set(err, ERR_UNSUPPORTED, 0, "an answer in chunks");
    if (is_equal(name, "Connection") && !is_equal(value, "keep-alive"))
        r->answer.keeps_alive = false;
    return 0;
}

/* 1 when the empty line was read, 0 if it is not there yet. */
static int head_parse(struct answer_reader *r, struct error *err)
{
    struct slice line = SLICE_EMPTY;
    int rc = line_next(&r->rest, &line, err);

    if (rc == 1 && status_line_parse(line, &r->answer, err) < 0)
        return -1;
    while (rc == 1 && (rc = line_next(&r->rest, &line, err)) == 1) {
        if (line.n == 0)
            return 1;
        if (header_parse(r, line, err) < 0)
            return -1;
    }
    return rc;
}

int http_answer_parse(struct slice bytes, size_t body_bytes_max, struct http_answer *out,
                      struct error *err)
{
    struct answer_reader r = {.rest = slice_sub(bytes, 0, HTTP_ANSWER_HEAD_BYTES_MAX)};
    int rc = head_parse(&r, err);

    if (rc < 0)
        return -1;
    if (rc == 0 && bytes.n >= HTTP_ANSWER_HEAD_BYTES_MAX) {
        return error_set(err, ERR_LIMIT, 0, "an answer whose head is larger than %d bytes",
                         HTTP_ANSWER_HEAD_BYTES_MAX);
    }
    if (rc == 0)
        return 0;
    bool is_interim = r.answer.status < 200;
    if (is_interim && r.has_length)
        return error_set(err, ERR_CORRUPT, 0, "an interim answer with Content-Length");
    if (!is_interim && !r.has_length)
        return error_set(err, ERR_CORRUPT, 0, "an answer without Content-Length");
    if (r.answer.body_bytes > body_bytes_max) {
        return error_set(err, ERR_LIMIT, 0, "an answer of %zu bytes, %zu at most",
                         r.answer.body_bytes, body_bytes_max);
    }
    r.answer.head_bytes = (size_t)(r.rest.p - bytes.p);
    if (bytes.n - r.answer.head_bytes < r.answer.body_bytes)
        return 0;
    *out = r.answer;
    return 1;
}
