/*
 * mdoc by table. Text is escaped where mdoc would take it for a request: a backslash anywhere, a
 * period or quote at the beginning of a line.
 */
#include "sidecar/command/man.h"

#include <ctype.h>

static const char head[] =
    ".Dd November 21, 2026\n"
    ".Dt WALFERRY 1\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm walferry\n"
    ".Nd continuous replication of SQLite to object storage\n"
    ".Sh SYNOPSIS\n"
    ".Nm\n"
    ".Ar command\n"
    ".Op Ar flags\n"
    ".Op Ar arguments\n"
    ".Sh DESCRIPTION\n"
    ".Nm\n"
    "follows the write-ahead log of live SQLite databases, ships every commit to\n"
    "S3 or to a folder, and restores to the latest commit, to a TXID or to a moment.\n"
    "Flags come before arguments;\n"
    ".Fl name Ar value\n"
    "and\n"
    ".Fl name Ns = Ns Ar value\n"
    "are the same.\n"
    ".Sh COMMANDS\n";

static const char tail[] =
    ".Sh ENVIRONMENT\n"
    ".Bl -tag -width Ds\n"
    ".It Ev LITESTREAM_CONFIG\n"
    "Path of the configuration file.\n"
    ".It Ev LOG_LEVEL\n"
    "Overrides the configured log level.\n"
    ".It Ev AWS_ACCESS_KEY_ID , AWS_SECRET_ACCESS_KEY , AWS_SESSION_TOKEN\n"
    "Credentials for S3; so are\n"
    ".Ev LITESTREAM_ACCESS_KEY_ID\n"
    "and\n"
    ".Ev LITESTREAM_SECRET_ACCESS_KEY\n"
    "if these are not set.\n"
    ".It Ev AWS_REGION , AWS_PROFILE , AWS_WEB_IDENTITY_TOKEN_FILE , "
    "AWS_EC2_METADATA_DISABLED\n"
    "As in other tools for S3.\n"
    ".El\n"
    ".Sh FILES\n"
    ".Bl -tag -width Ds\n"
    ".It Pa /etc/litestream.yml\n"
    "Configuration.\n"
    ".It Pa .NAME-walferry/\n"
    "Beside each database: the page maps, what its destinations are known to have.\n"
    ".El\n"
    ".Sh EXIT STATUS\n"
    "0: done.\n"
    "1: failed, or something committed did not reach a destination.\n"
    "2: usage or configuration.\n"
    "3: nothing to restore.\n"
    "4: damaged data.\n"
    "5: fenced by another writer.\n"
    "With\n"
    ".Fl exec\n"
    "the status of the application if that is not 0.\n"
    ".Sh SEE ALSO\n"
    ".Xr sqlite3 1 ,\n"
    ".Xr walferry-config 5\n";

/* Adds text, escaped for mdoc; at_line_start says where it lands. */
static int text_add(struct buf *out, const char *text, bool at_line_start, struct error *err)
{
    for (; *text; text++) {
        bool is_sentence_end = text[0] == '.' && text[1] == ' ' && isupper((unsigned char)text[2]);
        bool is_request = at_line_start && (*text == '.' || *text == '\'');
        if ((is_request && buf_append_str(out, "\\&", err) < 0) ||
            (*text == '\\' && buf_append_str(out, "\\", err) < 0) ||
            (*text == '-' && buf_append_str(out, "\\", err) < 0) ||
            buf_append_byte(out, (uint8_t)*text, err) < 0)
            return -1;
        at_line_start = *text == '\n';
        if (is_sentence_end) { /* mdoc wants each sentence to begin a line */
            if (buf_append_str(out, "\n", err) < 0)
                return -1;
            at_line_start = true;
            text++;
        }
    }
    return 0;
}

static int flag_add(struct buf *out, const struct flag *f, struct error *err)
{
    if (buf_printf(out, err, ".It Fl %s", f->name) < 0)
        return -1;
    if (f->value &&
        (buf_append_str(out, " Ar ", err) < 0 || text_add(out, f->value, false, err) < 0))
        return -1;
    if (buf_append_str(out, "\n", err) < 0 || text_add(out, f->help, true, err) < 0)
        return -1;
    if (f->initial &&
        (buf_append_str(out, "\n(default ", err) < 0 || text_add(out, f->initial, false, err) < 0 ||
         buf_append_str(out, ")", err) < 0))
        return -1;
    return buf_append_str(out, ".\n", err);
}

static int command_add(struct buf *out, const struct command *c, struct error *err)
{
    if (buf_printf(out, err, ".Ss %s\n%s.\n.Bd -literal -offset indent\n", c->name, c->summary) <
            0 ||
        text_add(out, c->usage, true, err) < 0 ||
        buf_append_str(out, "\n.Ed\n.Pp\nExample:\n.Bd -literal -offset indent\n", err) < 0 ||
        text_add(out, c->example, true, err) < 0 || buf_append_str(out, "\n.Ed\n", err) < 0)
        return -1;
    if (c->flag_count > 0 && buf_append_str(out, ".Bl -tag -width Ds\n", err) < 0)
        return -1;
    for (size_t i = 0; i < c->flag_count; i++) {
        if (flag_add(out, &c->flags[i], err) < 0)
            return -1;
    }
    if (c->flag_count > 0 && buf_append_str(out, ".El\n", err) < 0)
        return -1;
    if (!c->detail)
        return 0;
    return buf_append_str(out, ".Pp\n", err) < 0 ? -1 : text_add(out, c->detail, true, err);
}

int man_page(struct buf *out, struct error *err)
{
    if (buf_append_str(out, head, err) < 0)
        return -1;
    for (size_t i = 0; commands[i]; i++) {
        if (command_add(out, commands[i], err) < 0)
            return -1;
    }
    return buf_append_str(out, tail, err);
}
