/*
 * walferry completion bash|zsh|fish: a completion script made from the same tables as parsing, help
 * and manual page, so that it cannot propose what the program refuses.
 *
 * Proposed are: commands in the first place; flags of the command behind a dash, with their
 * explanations where the shell can show them (zsh, fish); the words that a flag or an argument can
 * be, where its value is written as a choice ("none|quick|full") or the command has words; files
 * elsewhere.
 */
#include <string.h>

#include "sidecar/command/command.h"

enum {
    SCRIPT_BYTES_MAX = 256 * 1024,
};

/* ---- what the tables say ---- */

/* Whether a flag's value is a choice of words, in the help written "none|quick|full". */
static bool is_choice(const struct flag *f)
{
    return f->value && strchr(f->value, '|') &&
           strspn(f->value, "abcdefghijklmnopqrstuvwxyz|") == strlen(f->value);
}

/* Whether a flag's value is a file or folder. */
static bool is_path(const struct flag *f)
{
    return f->value && (strcmp(f->value, "PATH") == 0 || strcmp(f->value, "FOLDER") == 0);
}

/* Adds text with a backslash before each character of specials, and within single quotes. */
static int quoted_add(struct buf *out, const char *text, const char *specials, struct error *err)
{
    for (; *text; text++) {
        if (*text == '\'') {
            if (buf_append_str(out, "'\\''", err) < 0)
                return -1;
            continue;
        }
        if ((strchr(specials, *text) && buf_append_byte(out, '\\', err) < 0) ||
            buf_append_byte(out, (uint8_t)*text, err) < 0)
            return -1;
    }
    return 0;
}

/* Adds the words of a choice, or of a command's argument, with blanks between them. */
static int choice_add(struct buf *out, const char *choice, struct error *err)
{
    for (; *choice; choice++) {
        if (buf_append_byte(out, (uint8_t)(*choice == '|' ? ' ' : *choice), err) < 0)
            return -1;
    }
    return 0;
}

/* Names of all commands, blanks between them. */
static int names_add(struct buf *out, struct error *err)
{
    for (size_t i = 0; commands[i]; i++) {
        if (buf_printf(out, err, "%s%s", i ? " " : "", commands[i]->name) < 0)
            return -1;
    }
    return 0;
}

/* ---- bash ---- */

static const char bash_head[] = "_walferry() {\n"
                                "  local cur=${COMP_WORDS[COMP_CWORD]} words=\"\"\n"
                                "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                                "    words=\"help ";

static const char bash_tail[] = "    esac\n"
                                "  fi\n"
                                "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                                "}\n"
                                "complete -o default -F _walferry walferry\n";

/* Values of a flag, told by the word before the one that is being written. */
static int bash_values_add(struct buf *out, const struct command *c, struct error *err)
{
    for (size_t i = 0; i < c->flag_count; i++) {
        const struct flag *f = &c->flags[i];
        if (!is_choice(f))
            continue;
        if (buf_printf(out, err, "      [ \"${COMP_WORDS[COMP_CWORD-1]}\" != -%s ] || words=\"",
                       f->name) < 0 ||
            choice_add(out, f->value, err) < 0 || buf_append_str(out, "\"\n", err) < 0)
            return -1;
    }
    return 0;
}

static int bash_case_add(struct buf *out, const struct command *c, struct error *err)
{
    if (buf_printf(out, err, "    %s)\n      words=\"", c->name) < 0 ||
        (c->words && choice_add(out, c->words, err) < 0))
        return -1;
    for (size_t i = 0; i < c->flag_count; i++) {
        if (buf_printf(out, err, "%s-%s", i || c->words ? " " : "", c->flags[i].name) < 0)
            return -1;
    }
    return buf_append_str(out, "\"\n", err) < 0 || bash_values_add(out, c, err) < 0
               ? -1
               : buf_append_str(out, "      ;;\n", err);
}

static int bash_script(struct buf *out, struct error *err)
{
    if (buf_append_str(out, bash_head, err) < 0 || names_add(out, err) < 0 ||
        buf_append_str(out, "\"\n  else\n    case ${COMP_WORDS[1]} in\n    help) words=\"man ",
                       err) < 0 ||
        names_add(out, err) < 0 || buf_append_str(out, "\" ;;\n", err) < 0)
        return -1;
    for (size_t i = 0; commands[i]; i++) {
        if (bash_case_add(out, commands[i], err) < 0)
            return -1;
    }
    return buf_append_str(out, bash_tail, err);
}

/* ---- zsh ---- */

static const char zsh_head[] = "#compdef walferry\n"
                               "_walferry() {\n"
                               "  local -a walferry_commands=(\n"
                               "    'help:Explain a command'\n";

static const char zsh_middle[] = "  )\n"
                                 "  if (( CURRENT == 2 )); then\n"
                                 "    _describe command walferry_commands\n"
                                 "    return\n"
                                 "  fi\n"
                                 "  local walferry_command=$words[2]\n"
                                 "  shift words\n"
                                 "  (( CURRENT-- ))\n"
                                 "  case $walferry_command in\n"
                                 "    help) _arguments '1:command:(man ";

/* Loaded by `eval` it registers itself; found in fpath its file is the function's body. */
static const char zsh_tail[] = "  esac\n"
                               "}\n"
                               "if [ \"$funcstack[1]\" = _walferry ]; then\n"
                               "  _walferry \"$@\"\n"
                               "else\n"
                               "  compdef _walferry walferry\n"
                               "fi\n";

/* '-name[help]:VALUE:action' */
static int zsh_flag_add(struct buf *out, const struct flag *f, struct error *err)
{
    if (buf_printf(out, err, " \\\n      '-%s[", f->name) < 0 ||
        quoted_add(out, f->help, "[]\\", err) < 0 || buf_append_str(out, "]", err) < 0)
        return -1;
    if (f->value &&
        (buf_append_str(out, ":", err) < 0 || quoted_add(out, f->value, ":\\", err) < 0 ||
         buf_append_str(out,
                        is_choice(f) ? ":("
                        : is_path(f) ? ":_files"
                                     : ": ",
                        err) < 0 ||
         (is_choice(f) &&
          (choice_add(out, f->value, err) < 0 || buf_append_str(out, ")", err) < 0))))
        return -1;
    return buf_append_str(out, "'", err);
}

static int zsh_case_add(struct buf *out, const struct command *c, struct error *err)
{
    if (buf_printf(out, err, "    %s) _arguments", c->name) < 0)
        return -1;
    for (size_t i = 0; i < c->flag_count; i++) {
        if (zsh_flag_add(out, &c->flags[i], err) < 0)
            return -1;
    }
    if (c->words && (buf_append_str(out, " \\\n      '1:word:(", err) < 0 ||
                     choice_add(out, c->words, err) < 0 || buf_append_str(out, ")'", err) < 0))
        return -1;
    if (!c->words && c->positional_max > 0 &&
        buf_append_str(out, " \\\n      '*:database or replica:_files'", err) < 0)
        return -1;
    return buf_append_str(out, " ;;\n", err);
}

static int zsh_script(struct buf *out, struct error *err)
{
    if (buf_append_str(out, zsh_head, err) < 0)
        return -1;
    for (size_t i = 0; commands[i]; i++) {
        if (buf_printf(out, err, "    '%s:", commands[i]->name) < 0 ||
            quoted_add(out, commands[i]->summary, ":\\", err) < 0 ||
            buf_append_str(out, "'\n", err) < 0)
            return -1;
    }
    if (buf_append_str(out, zsh_middle, err) < 0 || names_add(out, err) < 0 ||
        buf_append_str(out, ")' ;;\n", err) < 0)
        return -1;
    for (size_t i = 0; commands[i]; i++) {
        if (zsh_case_add(out, commands[i], err) < 0)
            return -1;
    }
    return buf_append_str(out, zsh_tail, err);
}

/* ---- fish ---- */

/* -o: with one dash; -r: takes a value; -x: takes one, and files are not proposed. */
static int fish_flag_add(struct buf *out, const struct command *c, const struct flag *f,
                         struct error *err)
{
    if (buf_printf(out, err,
                   "complete -c walferry -n '__fish_seen_subcommand_from %s' -o %s%s -d '", c->name,
                   f->name,
                   !f->value    ? ""
                   : is_path(f) ? " -r -F"
                                : " -x") < 0 ||
        quoted_add(out, f->help, "\\", err) < 0 || buf_append_str(out, "'", err) < 0)
        return -1;
    if (is_choice(f) && (buf_append_str(out, " -a '", err) < 0 ||
                         choice_add(out, f->value, err) < 0 || buf_append_str(out, "'", err) < 0))
        return -1;
    return buf_append_str(out, "\n", err);
}

/* The words that can stand behind a command. */
static int fish_words_add(struct buf *out, const char *name, const char *words, struct error *err)
{
    return buf_printf(out, err, "complete -c walferry -f -n '__fish_seen_subcommand_from %s' -a '",
                      name) < 0 ||
                   choice_add(out, words, err) < 0
               ? -1
               : buf_append_str(out, "'\n", err);
}

static int fish_command_add(struct buf *out, const struct command *c, struct error *err)
{
    if (buf_printf(out, err, "complete -c walferry -f -n __fish_use_subcommand -a %s -d '",
                   c->name) < 0 ||
        quoted_add(out, c->summary, "\\", err) < 0 || buf_append_str(out, "'\n", err) < 0)
        return -1;
    for (size_t i = 0; i < c->flag_count; i++) {
        if (fish_flag_add(out, c, &c->flags[i], err) < 0)
            return -1;
    }
    return c->words ? fish_words_add(out, c->name, c->words, err) : 0;
}

static int fish_script(struct buf *out, struct error *err)
{
    CLEANUP(buf_destroy) struct buf names = BUF_INIT(SCRIPT_BYTES_MAX);

    if (buf_append_str(&names, "man ", err) < 0 || names_add(&names, err) < 0 ||
        buf_append_str(out,
                       "complete -c walferry -f -n __fish_use_subcommand -a help "
                       "-d 'Explain a command'\n",
                       err) < 0 ||
        fish_words_add(out, "help", buf_str(&names), err) < 0)
        return -1;
    for (size_t i = 0; commands[i]; i++) {
        if (fish_command_add(out, commands[i], err) < 0)
            return -1;
    }
    return 0;
}

/* ---- the command ---- */

static const struct shell {
    const char *name;
    int (*script)(struct buf *out, struct error *err);
} shells[] = {
    {"bash", bash_script},
    {"zsh", zsh_script},
    {"fish", fish_script},
};

static int run(const struct invocation *inv, struct error *err)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(SCRIPT_BYTES_MAX);

    for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
        if (strcmp(inv->positional[0], shells[i].name) == 0)
            return shells[i].script(&out, err) < 0 ? -1 : command_print(buf_slice(&out), err);
    }
    return error_set(err, ERR_USAGE, 0, "completion is there for bash, zsh and fish, not for %.40s",
                     inv->positional[0]);
}

const struct command command_completion = {
    .name = "completion",
    .summary = "Print a completion script for bash, zsh or fish",
    .usage = "walferry completion bash|zsh|fish",
    .example = "  eval \"$(walferry completion bash)\"        # in ~/.bashrc; zsh likewise\n"
               "  walferry completion fish | source          # in ~/.config/fish/config.fish",
    .words = "bash|zsh|fish",
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
