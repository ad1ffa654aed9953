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
    HEAD_BYTES = 96,
    FLAGS_MAX = 32,
};

char flag_letter(const struct flag *flag)
{
    bool has_letter = flag->name[0] && flag->name[1] == '/';

    if (!has_letter)
        return '\0';
    return flag->name[0];
}

const char *flag_name(const struct flag *flag)
{
    return flag->name + (flag_letter(flag) ? 2 : 0);
}

/* The flag that was probably meant; NULL if none comes near. */
static const char *nearest(const struct flag *flags, size_t flag_count, const char *name)
{
    const char *names[FLAGS_MAX];

    ASSERT(flag_count <= FLAGS_MAX);
    for (size_t i = 0; i < flag_count; i++)
        names[i] = flag_name(&flags[i]);
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
        return switch_set(flag_name(flag), value, at, err);
    case FLAG_NUMBER:
        return number_set(flag_name(flag), value, at, err);
    case FLAG_DURATION:
        if (duration_parse(value, at, err) < 0)
            return error_wrap(err, "-%s", flag_name(flag));
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

/* The flag that arg (with its dashes) names. *out_value: what it says itself, or NULL. */
static const struct flag *flag_find(const struct flag *flags, size_t flag_count, const char *arg,
                                    const char **out_value)
{
    const char *name = arg + (arg[1] == '-' ? 2 : 1);
    size_t n = strcspn(name, "=");

    *out_value = name[n] ? name + n + 1 : NULL;
    for (size_t i = 0; i < flag_count; i++) {
        const char *known = flag_name(&flags[i]);
        bool is_letter = n == 1 && flag_letter(&flags[i]) == name[0];
        if (is_letter || (strlen(known) == n && strncmp(known, name, n) == 0))
            return &flags[i];
    }
    for (size_t i = 0; arg[1] != '-' && i < flag_count; i++) { /* -nvalue */
        char letter = flag_letter(&flags[i]);
        if (!letter || letter != name[0] || flags[i].kind == FLAG_SWITCH)
            continue;
        *out_value = name + 1;
        return &flags[i];
    }
    return NULL;
}

static int unknown_flag(const struct flag *flags, size_t flag_count, const char *arg,
                        struct error *err)
{
    const char *dashes = arg[1] == '-' ? "--" : "-";
    const char *text = arg + strlen(dashes);
    char name[NAME_BYTES_MAX];
    size_t n = strcspn(text, "=");

    if (n >= sizeof(name))
        return error_set(err, ERR_USAGE, 0, "unknown flag: %.80s", arg);
    memcpy(name, text, n);
    name[n] = '\0';
    if (is_help(name))
        return error_set(err, ERR_CANCELED, 0, "help");
    const char *guess = nearest(flags, flag_count, name);
    return guess ? error_set(err, ERR_USAGE, 0, "unknown flag: %s%s; did you mean %s%s?", dashes,
                             name, dashes, guess)
                 : error_set(err, ERR_USAGE, 0, "unknown flag: %s%s", dashes, name);
}

static int flag_read(const struct flag *flags, size_t flag_count, int argc, char **argv,
                     int *io_idx, void *args, struct error *err)
{
    const char *value;
    const struct flag *f = flag_find(flags, flag_count, argv[*io_idx], &value);

    if (!f)
        return unknown_flag(flags, flag_count, argv[*io_idx], err);
    if (!value && f->kind != FLAG_SWITCH) {
        if (*io_idx + 1 >= argc) {
            return error_set(err, ERR_USAGE, 0, "-%s needs a value (%s)", flag_name(f), f->value);
        }
        value = argv[++*io_idx];
    }
    return value_set(f, value, args, err);
}

/* How many words of argv the flag at argv[i] takes. */
static int flag_words(const struct flag *flags, size_t flag_count, int argc, char **argv, int i)
{
    const char *value;
    const struct flag *f = flag_find(flags, flag_count, argv[i], &value);

    return f && !value && f->kind != FLAG_SWITCH && i + 1 < argc ? 2 : 1;
}

int flags_first(const struct flag *flags, size_t flag_count, int argc, char **argv)
{
    int i = 1;

    while (i < argc && is_flag(argv[i]))
        i += flag_words(flags, flag_count, argc, argv, i);
    return i;
}

void flags_forward(const struct flag *flags, size_t flag_count, int argc, char **argv)
{
    int front = 1; /* argv[1..front) are flags, argv[front..i) positionals */

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0;) {
        int n = is_flag(argv[i]) ? flag_words(flags, flag_count, argc, argv, i) : 0;
        if (n == 0) {
            i++;
            continue;
        }
        for (int k = 0; k < n; k++, i++, front++) {
            char *word = argv[i];
            memmove(&argv[front + 1], &argv[front], (size_t)(i - front) * sizeof(*argv));
            argv[front] = word;
        }
    }
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

/* "  -name VALUE", or "  -n, --name VALUE" and "      --name VALUE". */
static int head_format(const struct flag *f, enum flag_style style, char out[static HEAD_BYTES])
{
    const char *blank = f->value ? " " : "";
    const char *value = f->value ? f->value : "";

    const char *name = flag_name(f);

    if (style == FLAG_STYLE_GO)
        return snprintf(out, HEAD_BYTES, "  -%s%s%s", name, blank, value);
    if (flag_letter(f))
        return snprintf(out, HEAD_BYTES, "  -%c, --%s%s%s", flag_letter(f), name, blank, value);
    return snprintf(out, HEAD_BYTES, "      --%s%s%s", name, blank, value);
}

int flags_help(const struct flag *flags, size_t flag_count, enum flag_style style, struct buf *out,
               struct error *err)
{
    for (size_t i = 0; i < flag_count; i++) {
        const struct flag *f = &flags[i];
        char head[HEAD_BYTES];
        CLEANUP(buf_destroy) struct buf text = BUF_INIT(1024);
        int n = head_format(f, style, head);

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
