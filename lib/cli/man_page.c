/*
 * mdoc by table. Text is escaped where mdoc would take it for a request: a backslash anywhere, a
 * period or quote at the beginning of a line.
 */
#include "lib/cli/man_page.h"

#include <ctype.h>

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

static int flag_add(struct buf *out, const struct flag *f, enum flag_style style, struct error *err)
{
    const char *dash = style == FLAG_STYLE_GO ? "" : "\\-"; /* .Fl writes one itself */

    if (buf_append_str(out, ".It ", err) < 0 ||
        (flag_letter(f) && buf_printf(out, err, "Fl %c , ", flag_letter(f)) < 0) ||
        buf_printf(out, err, "Fl %s%s", dash, flag_name(f)) < 0)
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

static int command_add(struct buf *out, const struct command *c, enum flag_style style,
                       struct error *err)
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
        if (flag_add(out, &c->flags[i], style, err) < 0)
            return -1;
    }
    if (c->flag_count > 0 && buf_append_str(out, ".El\n", err) < 0)
        return -1;
    if (!c->detail)
        return 0;
    return buf_append_str(out, ".Pp\n", err) < 0 ? -1 : text_add(out, c->detail, true, err);
}

int cli_man_page(const struct command *const *commands, const char *head, const char *tail,
                 enum flag_style style, struct buf *out, struct error *err)
{
    if (buf_append_str(out, head, err) < 0)
        return -1;
    for (size_t i = 0; commands[i]; i++) {
        if (command_add(out, commands[i], style, err) < 0)
            return -1;
    }
    return buf_append_str(out, tail, err);
}
