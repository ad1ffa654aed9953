/*
 * Splitting a command line. One pass over the characters; what a character means depends on the
 * quotes around it:
 *
 *   outside   blank or tab ends a word; ' and " open quotes; \ takes the next character as it is
 *             (a line end after it vanishes); ; & | < > ( ) and a line end are refused
 *   '...'     everything is literal up to the next '
 *   "..."     everything is literal up to the next ", but \ before $ ` " \ takes that character,
 *             and before a line end vanishes with it; another \ stays
 *
 * Quotes make a word even when they are empty ('' is a word of no characters).
 */
#include "lib/io/shellwords.h"

#include <stdlib.h>
#include <string.h>

struct splitter {
    const char *line;
    const char *at;
    struct buf word;
    bool has_word; /* word was begun, may be empty */
    struct shellwords words;
};

void shellwords_destroy(struct shellwords *w)
{
    for (size_t i = 0; i < w->argc; i++)
        free(w->argv[i]);
    free(w->argv);
    *w = (struct shellwords)SHELLWORDS_INIT;
}

static int word_end(struct splitter *s, struct error *err)
{
    struct shellwords *w = &s->words;

    if (!s->has_word)
        return 0;
    if (w->argc == SHELLWORDS_MAX)
        return error_set(err, ERR_LIMIT, 0, "command has more than %d words", SHELLWORDS_MAX);
    char **argv = realloc(w->argv, (w->argc + 2) * sizeof(*argv));
    if (!argv)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory for a command");
    w->argv = argv;
    argv[w->argc] = str_dup(buf_str(&s->word), err);
    if (!argv[w->argc])
        return -1;
    argv[++w->argc] = NULL;
    buf_clear(&s->word);
    s->has_word = false;
    return 0;
}

static int quote_open_error(const struct splitter *s, const char *from, char quote,
                            struct error *err)
{
    return error_set(err, ERR_USAGE, 0, "command: no closing %c for the one at character %zu",
                     quote, (size_t)(from - s->line) + 1);
}

static int single_quoted(struct splitter *s, struct error *err)
{
    const char *from = s->at;
    const char *end = strchr(from + 1, '\'');

    if (!end)
        return quote_open_error(s, from, '\'', err);
    s->at = end + 1;
    return buf_append(&s->word, from + 1, (size_t)(end - from - 1), err);
}

static int double_quoted(struct splitter *s, struct error *err)
{
    const char *from = s->at;
    const char *p = from + 1;

    for (; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1] == '\n') {
            p++;
            continue;
        }
        if (*p == '\\' && p[1] && strchr("$`\"\\", p[1]))
            p++;
        if (buf_append_byte(&s->word, (uint8_t)*p, err) < 0)
            return -1;
    }
    if (!*p)
        return quote_open_error(s, from, '"', err);
    s->at = p + 1;
    return 0;
}

static int escaped(struct splitter *s, struct error *err)
{
    char next = s->at[1];

    if (next == '\0')
        return error_set(err, ERR_USAGE, 0, "command: nothing follows the last backslash");
    s->at += 2;
    if (next == '\n')
        return 0;
    s->has_word = true;
    return buf_append_byte(&s->word, (uint8_t)next, err);
}

static int operator_error(const struct splitter *s, struct error *err)
{
    size_t at = (size_t)(s->at - s->line) + 1;

    (void)(*s->at == '\n'
               ? error_set(err, ERR_USAGE, 0, "command: line end at character %zu", at)
               : error_set(err, ERR_USAGE, 0, "command: unquoted %c at character %zu", *s->at, at));
    return error_hint(err, "one program is started, without a shell: quote it, or write "
                           "sh -c '...' for what a shell shall do");
}

/* Consumes at least one character. */
static int character(struct splitter *s, struct error *err)
{
    switch (*s->at) {
    case ' ':
    case '\t':
        s->at++;
        return word_end(s, err);
    case '\'':
        s->has_word = true;
        return single_quoted(s, err);
    case '"':
        s->has_word = true;
        return double_quoted(s, err);
    case '\\':
        return escaped(s, err);
    case ';':
    case '&':
    case '|':
    case '<':
    case '>':
    case '(':
    case ')':
    case '\n':
        return operator_error(s, err);
    default:
        s->has_word = true;
        return buf_append_byte(&s->word, (uint8_t)*s->at++, err);
    }
}

static int line_split(struct splitter *s, struct error *err)
{
    while (*s->at) {
        if (character(s, err) < 0)
            return -1;
    }
    if (word_end(s, err) < 0)
        return -1;
    return s->words.argc > 0 ? 0 : error_set(err, ERR_USAGE, 0, "command is empty");
}

int shellwords_split(const char *line, struct shellwords *out, struct error *err)
{
    struct splitter s = {
        .line = line, .at = line, .word = BUF_INIT(SHELLWORDS_BYTES_MAX), .words = SHELLWORDS_INIT};

    if (strlen(line) > SHELLWORDS_BYTES_MAX) {
        return error_set(err, ERR_LIMIT, 0, "command is longer than %d bytes",
                         SHELLWORDS_BYTES_MAX);
    }
    int rc = line_split(&s, err);
    if (rc == 0)
        *out = s.words;
    else
        shellwords_destroy(&s.words);
    buf_destroy(&s.word);
    return rc;
}

int shellwords_quote(const char *word, struct buf *out, struct error *err)
{
    if (buf_append_byte(out, '\'', err) < 0)
        return -1;
    for (const char *p = word; *p; p++) {
        /* A single quote cannot stand inside: end the quotes, escape it, begin them again. */
        int rc =
            *p == '\'' ? buf_append_str(out, "'\\''", err) : buf_append_byte(out, (uint8_t)*p, err);
        if (rc < 0)
            return -1;
    }
    return buf_append_byte(out, '\'', err);
}
