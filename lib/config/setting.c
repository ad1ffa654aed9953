/*
 * The kinds of settings: text to field and back. One function a kind reads, one switch writes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/config/config.h"
#include "lib/config/path.h"
#include "lib/config/setting_internal.h"
#include "lib/yaml/scalar.h"

static_assert(sizeof(enum config_tristate) == sizeof(unsigned), "enums are written as unsigned");
static_assert(sizeof(enum log_level) == sizeof(unsigned), "enums are written as unsigned");

static void *field_of(const struct setting *s, void *base)
{
    return (char *)base + s->offset;
}

static bool is_text(const struct setting *s)
{
    return s->kind == SETTING_TEXT || s->kind == SETTING_SECRET || s->kind == SETTING_CALLBACK ||
           s->kind == SETTING_PATH;
}

void setting_text_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

const struct setting *setting_find(struct setting_table table, const char *key)
{
    for (size_t i = 0; i < table.count; i++) {
        if (strcmp(table.rows[i].key, key) == 0)
            return &table.rows[i];
    }
    return NULL;
}

bool setting_has_value(const struct setting *s)
{
    return s->kind < SETTING_PLACE;
}

static const char never_word[] = "never";

/* A number of a kind as text, for errors about its range. */
static void number_format(enum setting_kind kind, uint64_t value, char out[static TIME_TEXT_BYTES])
{
    if (kind == SETTING_DURATION && value == CONFIG_NEVER_NS)
        (void)snprintf(out, TIME_TEXT_BYTES, "%s", never_word);
    else if (kind == SETTING_DURATION)
        (void)duration_format(value, out); /* writes out */
    else if (kind == SETTING_BYTES)
        (void)scalar_bytes_format(value, out); /* writes out */
    else
        (void)snprintf(out, TIME_TEXT_BYTES, "%" PRIu64, value);
}

static int range_check(const struct setting *s, const char *text, uint64_t value, struct error *err)
{
    char limit[TIME_TEXT_BYTES];

    if (value < s->min && s->min == 1)
        return error_set(err, ERR_USAGE, 0, "%s must be greater than zero", text);
    if (value < s->min) {
        number_format(s->kind, s->min, limit);
        return error_set(err, ERR_USAGE, 0, "%s is less than the minimum of %s", text, limit);
    }
    if (s->max && value > s->max) {
        number_format(s->kind, s->max, limit);
        return error_set(err, ERR_USAGE, 0, "%s is more than the maximum of %s", text, limit);
    }
    return 0;
}

/* Reads the kinds that are numbers. */
static int number_parse(const struct setting *s, const char *text, uint64_t *out, struct error *err)
{
    uint64_t value;
    int rc;

    if ((s->flags & SETTING_OR_NEVER) && strcmp(text, never_word) == 0) {
        *out = CONFIG_NEVER_NS;
        return 0;
    }
    if (s->kind == SETTING_DURATION)
        rc = duration_parse(text, &value, err);
    else if (s->kind == SETTING_BYTES)
        rc = scalar_bytes(text, &value, err);
    else
        rc = scalar_u64(text, &value, err);
    if (rc < 0 || range_check(s, text, value, err) < 0)
        return -1;
    *out = value;
    return 0;
}

static int count_set(const struct setting *s, void *field, const char *text, struct error *err)
{
    uint64_t value;

    if (number_parse(s, text, &value, err) < 0)
        return -1;
    if (value > UINT32_MAX)
        return error_set(err, ERR_USAGE, 0, "%s is too large", text);
    *(uint32_t *)field = (uint32_t)value;
    return 0;
}

static int word_set(const struct setting *s, void *field, const char *text, struct error *err)
{
    char known[160] = "";

    for (unsigned i = 0; s->words[i]; i++) {
        if (strcasecmp(s->words[i], text) == 0) {
            *(unsigned *)field = i;
            return 0;
        }
        size_t n = strlen(known);
        (void)snprintf(known + n, sizeof(known) - n, "%s%s", i > 0 ? ", " : "", s->words[i]);
    }
    return error_set(err, ERR_USAGE, 0, "\"%.64s\" is none of: %s", text, known);
}

static int tristate_set(void *field, const char *text, struct error *err)
{
    bool flag;

    if (scalar_bool(text, &flag, err) < 0)
        return -1;
    *(enum config_tristate *)field = flag ? CONFIG_YES : CONFIG_NO;
    return 0;
}

/* One part of a reserve: "5%" or a size. */
static int reserve_part(const char *part, struct config_reserve *r, struct error *err)
{
    char digits[32];
    size_t n = strlen(part);
    uint64_t percent;

    if (n == 0 || part[n - 1] != '%')
        return scalar_bytes(part, &r->bytes, err);
    (void)snprintf(digits, sizeof(digits), "%.*s", (int)(n - 1), part);
    if (scalar_u64(digits, &percent, err) < 0)
        return -1;
    if (percent > 100)
        return error_set(err, ERR_USAGE, 0, "%s is more than the whole disk", part);
    r->percent = (uint32_t)percent;
    return 0;
}

static int reserve_set(struct config_reserve *field, const char *text, struct error *err)
{
    struct config_reserve reserve = {0};
    const char *comma = strchr(text, ',');
    char first[64];

    if (comma && strpbrk(comma, "%") == NULL && strchr(text, '%') == NULL)
        comma = NULL; /* "67,108,864" groups digits */
    if (!comma) {
        if (reserve_part(text, &reserve, err) < 0)
            return -1;
        *field = reserve;
        return 0;
    }
    (void)snprintf(first, sizeof(first), "%.*s", (int)(comma - text), text);
    comma++;
    comma += strspn(comma, " ");
    if (reserve_part(first, &reserve, err) < 0 || reserve_part(comma, &reserve, err) < 0)
        return -1;
    *field = reserve;
    return 0;
}

static int text_set(const struct setting *s, char **field, const char *text,
                    const struct setting_context *context, struct error *err)
{
    char *value = NULL;

    if (s->kind == SETTING_PATH && *text) {
        if (path_expand(text, context->home, &value, err) < 0)
            return -1;
    } else if (*text) {
        value = str_dup(text, err);
        if (!value)
            return -1;
    }
    setting_text_free(*field);
    *field = value;
    return 0;
}

int setting_set(const struct setting *s, void *base, const char *text,
                const struct setting_context *context, struct error *err)
{
    void *field = field_of(s, base);

    switch (s->kind) {
    case SETTING_BOOL:
        return scalar_bool(text, field, err);
    case SETTING_TRISTATE:
        return tristate_set(field, text, err);
    case SETTING_DURATION:
    case SETTING_BYTES:
        return number_parse(s, text, field, err);
    case SETTING_COUNT:
        return count_set(s, field, text, err);
    case SETTING_OCTAL:
        return scalar_octal(text, field, err);
    case SETTING_WORD:
        return word_set(s, field, text, err);
    case SETTING_RESERVE:
        return reserve_set(field, text, err);
    case SETTING_TEXT:
    case SETTING_SECRET:
    case SETTING_CALLBACK:
    case SETTING_PATH:
        return text_set(s, field, text, context, err);
    case SETTING_PLACE:
    case SETTING_MOOT:
    case SETTING_REFUSED:
        break;
    }
    ASSERT(setting_has_value(s));
    return -1;
}

int setting_table_init(struct setting_table table, void *base, struct error *err)
{
    static const struct setting_context nowhere = {0};

    for (size_t i = 0; i < table.count; i++) {
        const struct setting *s = &table.rows[i];
        if (s->fallback && setting_set(s, base, s->fallback, &nowhere, err) < 0)
            return error_wrap(err, "default of %s", s->key);
    }
    return 0;
}

int setting_table_own(struct setting_table table, void *base, struct error *err)
{
    int rc = 0;

    for (size_t i = 0; i < table.count; i++) {
        char **field = field_of(&table.rows[i], base);
        if (!is_text(&table.rows[i]) || !*field)
            continue;
        *field = rc == 0 ? str_dup(*field, err) : NULL;
        if (!*field)
            rc = -1;
    }
    return rc;
}

void setting_table_destroy(struct setting_table table, void *base)
{
    for (size_t i = 0; i < table.count; i++) {
        if (!is_text(&table.rows[i]))
            continue;
        char **field = field_of(&table.rows[i], base);
        setting_text_free(*field);
        *field = NULL;
    }
}

static int tristate_format(enum config_tristate value, struct buf *out, struct error *err)
{
    const char *text = value == CONFIG_YES ? "true" : value == CONFIG_NO ? "false" : "";

    return buf_append_str(out, text, err);
}

static int reserve_format(const struct config_reserve *r, struct buf *out, struct error *err)
{
    char text[SCALAR_BYTES_TEXT];

    if (r->bytes || !r->percent) {
        if (buf_printf(out, err, "%s%s", scalar_bytes_format(r->bytes, text),
                       r->percent ? "," : "") < 0)
            return -1;
    }
    return r->percent ? buf_printf(out, err, "%" PRIu32 "%%", r->percent) : 0;
}

/* Scheme, host and port; who knows the path may answer in our name. */
static int callback_format(const char *url, struct buf *out, struct error *err)
{
    const char *scheme_end = strstr(url, "://");
    size_t scheme_n = scheme_end ? (size_t)(scheme_end - url) + 3 : 0;
    const char *host = url + scheme_n;
    size_t end = strcspn(host, "/?#");
    size_t begin = end;

    while (begin > 0 && host[begin - 1] != '@') /* "user:password@" is none of it */
        begin--;
    return buf_printf(out, err, "%.*s%.*s%s", (int)scheme_n, url, (int)(end - begin), host + begin,
                      host[end] ? "/***" : "");
}

int setting_format(const struct setting *s, const void *base, struct buf *out, struct error *err)
{
    const void *field = (const char *)base + s->offset;
    const char *const *text = field;
    const uint64_t *number = field;
    const uint32_t *count = field;
    char formatted[TIME_TEXT_BYTES];

    switch (s->kind) {
    case SETTING_BOOL:
        return buf_append_str(out, *(const bool *)field ? "true" : "false", err);
    case SETTING_TRISTATE:
        return tristate_format(*(const enum config_tristate *)field, out, err);
    case SETTING_DURATION:
    case SETTING_BYTES:
        number_format(s->kind, *number, formatted);
        return buf_append_str(out, formatted, err);
    case SETTING_COUNT:
        return buf_printf(out, err, "%" PRIu32, *count);
    case SETTING_OCTAL:
        return buf_printf(out, err, "%04" PRIo32, *count);
    case SETTING_WORD:
        return buf_append_str(out, s->words[*count], err);
    case SETTING_RESERVE:
        return reserve_format(field, out, err);
    case SETTING_SECRET:
        return buf_append_str(out, *text ? "***" : "", err);
    case SETTING_CALLBACK:
        return *text ? callback_format(*text, out, err) : 0;
    case SETTING_TEXT:
    case SETTING_PATH:
        return buf_append_str(out, *text ? *text : "", err);
    case SETTING_PLACE:
    case SETTING_MOOT:
    case SETTING_REFUSED:
        break;
    }
    return 0;
}
