/*
 * Table-driven flags: one loop over argv, one over the table for the help.
 */
#include "lib/cli/flags.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/yaml/nearest.h"

enum {
    HELP_COLUMN = 30, /* where the explanations begin */
    HELP_WIDTH = 80,
    NAME_BYTES_MAX = 64,
    FLAGS_MAX = 32,
};

/* The flag that was probably meant; NULL if none comes near. */
static const char *nearest(const struct flag *flags, size_t flag_count, const char *name)
{
    const char *names[FLAGS_MAX];

    ASSERT(flag_count <= FLAGS_MAX);
    for (size_t i = 0; i < flag_count; i++)
        names[i] = flags[i].name;
    return nearest_word(name, names, flag_count);
}

/* ---- values ---- */

static int switch_set(const char *name, const char *value, bool *out, struct error *err)
{
    if (!value || strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0) {
        *out = true;
        return 0;
    }
    if (strcasecmp(value, "false") == 0 || strcmp(value, "0") == 0) {
        *out = false;
        return 0;
    }
    return error_set(err, ERR_USAGE, 0, "-%s: \"%.32s\" is neither true nor false", name, value);
}

static int number_set(const char *name, const char *value, uint64_t *out, struct error *err)
{
    char *end = NULL;
    unsigned long long n;

    if (!isdigit((unsigned char)value[0]))
        return error_set(err, ERR_USAGE, 0, "-%s: \"%.32s\" is not a number", name, value);
    n = strtoull(value, &end, 10);
    if (*end || strlen(value) > 18)
        return error_set(err, ERR_USAGE, 0, "-%s: \"%.32s\" is not a number", name, value);
    *out = n;
    return 0;
}

static int value_set(const struct flag *flag, const char *value, void *args, struct error *err)
{
    void *at = (char *)args + flag->offset;
    const char *text = value;

    switch (flag->kind) {
    case FLAG_SWITCH:
        return switch_set(flag->name, value, at, err);
    case FLAG_NUMBER:
        return number_set(flag->name, value, at, err);
    case FLAG_DURATION:
        if (duration_parse(value, at, err) < 0)
            return error_wrap(err, "-%s", flag->name);
        return 0;
    case FLAG_TEXT:
    default:
        memcpy(at, &text, sizeof(text));
        return 0;
    }
}

/* ---- parsing ---- */

static bool is_help(const char *name)
{
    return strcmp(name, "h") == 0 || strcmp(name, "help") == 0;
}

static bool is_flag(const char *arg)
{
    return arg[0] == '-' && arg[1] != '\0';
}

static int flag_read(const struct flag *flags, size_t flag_count, int argc, char **argv,
                     int *io_idx, void *args, struct error *err)
{
    const char *arg = argv[*io_idx] + (argv[*io_idx][1] == '-' ? 2 : 1);
    const char *equals = strchr(arg, '=');
    char name[NAME_BYTES_MAX];
    size_t n = equals ? (size_t)(equals - arg) : strlen(arg);

    if (n >= sizeof(name))
        return error_set(err, ERR_USAGE, 0, "unknown flag: %.80s", argv[*io_idx]);
    memcpy(name, arg, n);
    name[n] = '\0';
    if (is_help(name))
        return error_set(err, ERR_CANCELED, 0, "help");
    for (size_t i = 0; i < flag_count; i++) {
        const char *value = equals ? equals + 1 : NULL;
        if (strcmp(flags[i].name, name) != 0)
            continue;
        if (!value && flags[i].kind != FLAG_SWITCH) {
            if (*io_idx + 1 >= argc)
                return error_set(err, ERR_USAGE, 0, "-%s needs a value (%s)", name, flags[i].value);
            value = argv[++*io_idx];
        }
        return value_set(&flags[i], value, args, err);
    }
    const char *guess = nearest(flags, flag_count, name);
    return guess ? error_set(err, ERR_USAGE, 0, "unknown flag: -%s; did you mean -%s?", name, guess)
                 : error_set(err, ERR_USAGE, 0, "unknown flag: -%s", name);
}

int flags_parse(const struct flag *flags, size_t flag_count, int argc, char **argv, void *args,
                int *out_first, struct error *err)
{
    int i = 1;

    for (; i < argc && is_flag(argv[i]); i++) {
        if (strcmp(argv[i], "--") == 0) {
            *out_first = i + 1;
            return 0;
        }
        if (flag_read(flags, flag_count, argc, argv, &i, args, err) < 0)
            return -1;
    }
    *out_first = i;
    for (; i < argc; i++) {
        if (is_flag(argv[i])) {
            return error_set(err, ERR_USAGE, 0,
                             "%.80s stands behind a positional argument; flags come first",
                             argv[i]);
        }
    }
    return 0;
}

/* ---- help ---- */

/* Adds text from column HELP_COLUMN on, broken at spaces. */
static int help_wrap(const char *text, size_t column, struct buf *out, struct error *err)
{
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column + 1 + word > HELP_WIDTH) {
            if (buf_printf(out, err, "\n%*s", HELP_COLUMN, "") < 0)
                return -1;
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            if (buf_append_str(out, " ", err) < 0)
                return -1;
            column++;
        }
        if (buf_append(out, text, word, err) < 0)
            return -1;
        column += word;
        text += word + strspn(text + word, " ");
    }
    return buf_append_str(out, "\n", err);
}

int flags_help(const struct flag *flags, size_t flag_count, struct buf *out, struct error *err)
{
    for (size_t i = 0; i < flag_count; i++) {
        const struct flag *f = &flags[i];
        char head[96];
        CLEANUP(buf_destroy) struct buf text = BUF_INIT(1024);
        int n = snprintf(head, sizeof(head), "  -%s%s%s", f->name, f->value ? " " : "",
                         f->value ? f->value : "");

        if (buf_append_str(&text, f->help, err) < 0 ||
            (f->initial && buf_printf(&text, err, " (default %s)", f->initial) < 0))
            return -1;
        bool is_long = n >= HELP_COLUMN;
        if (buf_printf(out, err, is_long ? "%s\n%*s" : "%s%*s", head,
                       is_long ? HELP_COLUMN : HELP_COLUMN - n, "") < 0 ||
            help_wrap(buf_str(&text), HELP_COLUMN, out, err) < 0)
            return -1;
    }
    return 0;
}
