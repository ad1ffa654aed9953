/*
 * walferry completion bash: a completion script made from the same tables as parsing and help.
 */
#include <string.h>

#include "sidecar/command/command.h"

static int case_of(const struct command *c, struct buf *out, struct error *err)
{
    if (buf_printf(out, err, "    %s) words=\"", c->name) < 0)
        return -1;
    for (size_t i = 0; i < c->flag_count; i++) {
        if (buf_printf(out, err, "%s-%s", i ? " " : "", c->flags[i].name) < 0)
            return -1;
    }
    return buf_append_str(out, "\" ;;\n", err);
}

static int script(struct buf *out, struct error *err)
{
    if (buf_append_str(out,
                       "_walferry() {\n"
                       "  local cur=${COMP_WORDS[COMP_CWORD]} words=\"\"\n"
                       "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                       "    words=\"help",
                       err) < 0)
        return -1;
    for (size_t i = 0; commands[i]; i++) {
        if (buf_printf(out, err, " %s", commands[i]->name) < 0)
            return -1;
    }
    if (buf_append_str(out,
                       "\"\n"
                       "  else\n"
                       "    case ${COMP_WORDS[1]} in\n",
                       err) < 0)
        return -1;
    for (size_t i = 0; commands[i]; i++) {
        if (case_of(commands[i], out, err) < 0)
            return -1;
    }
    return buf_append_str(out,
                          "    esac\n"
                          "  fi\n"
                          "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                          "}\n"
                          "complete -o default -F _walferry walferry\n",
                          err);
}

static int run(const struct invocation *inv, struct error *err)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(64 * 1024);

    if (strcmp(inv->positional[0], "bash") != 0)
        return error_set(err, ERR_USAGE, 0, "completion is there for bash only");
    return script(&out, err) < 0 ? -1 : command_print(buf_slice(&out), err);
}

const struct command command_completion = {
    .name = "completion",
    .summary = "Print a completion script for a shell",
    .usage = "walferry completion bash",
    .example = "  walferry completion bash > /etc/bash_completion.d/walferry",
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
