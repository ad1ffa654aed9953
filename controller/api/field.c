/*
 * Reading JSON by tables of fields, see field_internal.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/field_internal.h"
#include "controller/api/store.h"

static void *field_at(const struct field *f, void *base)
{
    return (char *)base + f->offset;
}

static bool field_is_text(const struct field *f)
{
    return f->kind == FIELD_TEXT || f->kind == FIELD_MOMENT;
}

static int text_read(const struct field *f, struct jsonval v, void *base, struct error *err)
{
    char **at = field_at(f, base);
    const char *text = NULL;
    uint64_t ignored_ns;

    if (jsonval_str_or(v, f->fallback, &text, err) < 0)
        return -1;
    if (text && !text[0] && f->is_required)
        return jsonval_error(v, err, ERR_CORRUPT, "it is empty");
    if (text && f->kind == FIELD_MOMENT && time_parse_rfc3339(text, &ignored_ns, err) < 0)
        return jsonval_error(v, err, ERR_CORRUPT, "\"%.64s\" is not a moment (RFC 3339)", text);
    free(*at);
    *at = NULL;
    if (text && text[0])
        *at = str_dup(text, err);
    return text && text[0] && !*at ? -1 : 0;
}

static int number_read(const struct field *f, struct jsonval v, void *base, struct error *err)
{
    uint64_t unit = f->kind == FIELD_SECONDS ? NS_PER_SEC : 1;
    uint64_t n = 0;
    uint64_t *at = field_at(f, base);

    if (f->kind == FIELD_MILLIS)
        unit = NS_PER_MS;
    if (jsonval_u64_or(v, f->number, &n, err) < 0)
        return -1;
    if (!jsonval_is_null(v) && (n < f->min || (f->max && n > f->max))) {
        return jsonval_error(v, err, ERR_CORRUPT, "%" PRIu64 " is not from %" PRIu64 " to %" PRIu64,
                             n, f->min, f->max ? f->max : UINT64_MAX);
    }
    if (!checked_mul_u64(n, unit, at))
        return jsonval_error(v, err, ERR_CORRUPT, "%" PRIu64 " is too large", n);
    return 0;
}

static int duration_read(const struct field *f, struct jsonval v, void *base, struct error *err)
{
    const char *text = NULL;
    uint64_t ns = 0;

    if (jsonval_str_or(v, f->fallback, &text, err) < 0)
        return -1;
    if (text && duration_parse(text, &ns, err) < 0)
        return jsonval_error(v, err, ERR_CORRUPT, "\"%.64s\" is not a duration like 720h", text);
    if (text && ns / NS_PER_SEC < f->min)
        return jsonval_error(v, err, ERR_CORRUPT, "%.64s is less than %" PRIu64 " s", text, f->min);
    *(uint64_t *)field_at(f, base) = ns;
    return 0;
}

/* The index of the word that stands at v. */
static int word_read(const struct field *f, struct jsonval v, unsigned *out, struct error *err)
{
    const char *text = NULL;
    char list[160] = "";

    if (jsonval_str_or(v, f->fallback ? f->fallback : f->words[0], &text, err) < 0)
        return -1;
    for (unsigned i = 0; f->words[i]; i++) {
        size_t n = strlen(list);
        if (strcmp(f->words[i], text) == 0) {
            *out = i;
            return 0;
        }
        (void)snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "", f->words[i]); /* few */
    }
    return jsonval_error(v, err, ERR_CORRUPT, "\"%.64s\" is none of %s", text, list);
}

static int field_read(const struct field *f, struct jsonval v, void *base, struct error *err)
{
    bool is_on = f->number != 0;
    unsigned word = 0;

    switch (f->kind) {
    case FIELD_TEXT:
    case FIELD_MOMENT:
        return text_read(f, v, base, err);
    case FIELD_BOOL:
        return jsonval_bool_or(v, is_on, (bool *)field_at(f, base), err);
    case FIELD_TRISTATE:
        if (jsonval_bool_or(v, false, &is_on, err) < 0)
            return -1;
        *(enum api_tristate *)field_at(f, base) = is_on ? API_YES : API_NO;
        if (jsonval_is_null(v))
            *(enum api_tristate *)field_at(f, base) = API_UNSET;
        return 0;
    case FIELD_COUNT:
    case FIELD_SECONDS:
    case FIELD_MILLIS:
        return number_read(f, v, base, err);
    case FIELD_DURATION:
        return duration_read(f, v, base, err);
    case FIELD_WORD:
    case FIELD_SWITCH:
        if (word_read(f, v, &word, err) < 0)
            return -1;
        if (f->kind == FIELD_SWITCH)
            *(bool *)field_at(f, base) = word == 1;
        else
            memcpy(field_at(f, base), &word, sizeof(word)); /* every enum here is an unsigned */
        return 0;
    default:
        break;
    }
    ASSERT(false);
    return -1;
}

int field_table_read(struct field_table table, struct jsonval v, void *base, struct error *err)
{
    for (size_t i = 0; i < table.count; i++) {
        const struct field *f = &table.rows[i];
        struct jsonval at = jsonval_way(v, f->way);
        if (f->is_required && jsonval_is_null(at))
            return jsonval_error(at, err, ERR_CORRUPT, "it is missing");
        if (field_read(f, at, base, err) < 0)
            return -1;
    }
    return 0;
}

void field_table_destroy(struct field_table table, void *base)
{
    for (size_t i = 0; i < table.count; i++) {
        const struct field *f = &table.rows[i];
        if (!field_is_text(f))
            continue;
        char **at = field_at(f, base);
        free(*at);
        *at = NULL;
    }
}

int field_texts_read(struct jsonval v, size_t max, char ***out, size_t *out_count,
                     struct error *err)
{
    size_t count = jsonval_count(v);
    const char *text = NULL;

    *out = NULL;
    *out_count = 0;
    if (count > max)
        return jsonval_error(v, err, ERR_LIMIT, "%zu entries, at most %zu", count, max);
    if (count == 0)
        return 0;
    *out = mem_new(count, sizeof(char *), err);
    if (!*out)
        return -1;
    for (struct jsonval e = jsonval_first(v); jsonval_exists(e); e = jsonval_next(e)) {
        if (jsonval_str(e, &text, err) < 0)
            return -1;
        (*out)[*out_count] = str_dup(text, err);
        if (!(*out)[*out_count])
            return -1;
        (*out_count)++;
    }
    return 0;
}

void field_texts_free(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}
