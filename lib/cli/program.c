/*
 * The frame of every command: finding it, its help, its flags, its errors.
 */
#include "lib/cli/program.h"

#include <stdio.h>
#include <string.h>

#include "lib/cli/termination.h"
#include "lib/yaml/nearest.h"

enum {
    COMMANDS_MAX = 32,
    HELP_BYTES_MAX = 64 * 1024,
};

static int help_all(const struct program *program, struct buf *out, struct error *err)
{
    if (buf_printf(out, err, "%s\nCommands:\n", program->opening) < 0)
        return -1;
    for (size_t i = 0; program->command[i]; i++) {
        if (buf_printf(out, err, "  %-12s %s\n", program->command[i]->name,
                       program->command[i]->summary) < 0)
            return -1;
    }
    return buf_printf(out, err, "\n\"%s COMMAND -h\" explains a command.\n%s", program->name,
                      program->closing ? program->closing : "");
}

int program_help(const struct program *program, const struct command *command, struct buf *out,
                 struct error *err)
{
    if (!command)
        return help_all(program, out, err);
    if (buf_printf(out, err, "%s\n\nUsage: %s\n\n%s.\n", command->example, command->usage,
                   command->summary) < 0)
        return -1;
    if (command->flag_count > 0 &&
        (buf_append_str(out, "\nFlags:\n", err) < 0 ||
         flags_help(command->flags, command->flag_count, program->style, out, err) < 0))
        return -1;
    return command->detail ? buf_printf(out, err, "\n%s", command->detail) : 0;
}

int command_print(struct slice text, struct error *err)
{
    if ((text.n > 0 && fwrite(text.p, 1, text.n, stdout) != text.n) || fflush(stdout) != 0)
        return error_set(err, ERR_IO, 0, "standard output cannot be written");
    return 0;
}

int command_print_json(struct json_writer *w, struct buf *out, struct error *err)
{
    if (json_writer_finish(w, err) < 0)
        return -1;
    termination_message(env_real(), buf_slice(out));
    return command_print(buf_slice(out), err);
}

static void error_to_termination_message(const struct error *err)
{
    char text[sizeof(err->text) + sizeof(err->hint) + 16];

    (void)snprintf(text, sizeof(text), "Error: %s\n%s%s%s", err->text, /* fits by its size */
                   err->hint[0] ? "Hint: " : "", err->hint, err->hint[0] ? "\n" : "");
    termination_message(env_real(), slice_of_str(text));
}

int command_report(const struct error *err)
{
    (void)fprintf(stderr, "Error: %s\n", err->text); /* nowhere else to go */
    if (err->hint[0])
        (void)fprintf(stderr, "Hint: %s\n", err->hint); /* as above */
    error_to_termination_message(err);
    return error_exit_status(err->code);
}

static int print_man(const struct program *program)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(HELP_BYTES_MAX);
    struct error err = ERROR_INIT;

    if (program->man_page(&text, &err) < 0 || command_print(buf_slice(&text), &err) < 0)
        return command_report(&err);
    return 0;
}

static int print_help(const struct program *program, const struct command *command)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(HELP_BYTES_MAX);
    struct error err = ERROR_INIT;

    if (program_help(program, command, &text, &err) < 0 ||
        command_print(buf_slice(&text), &err) < 0)
        return command_report(&err);
    return 0;
}

static const struct command *command_find(const struct program *program, const char *name)
{
    for (size_t i = 0; program->command[i]; i++) {
        if (strcmp(program->command[i]->name, name) == 0)
            return program->command[i];
    }
    return NULL;
}

/* As command_report(), with the exit statuses of this program. */
static int program_report(const struct program *program, const struct error *err)
{
    int status = command_report(err);

    return program->exit_status ? program->exit_status(err) : status;
}

static int usage_error(const struct program *program, const struct command *c, struct error *err)
{
    (void)error_hint(err, "usage: %s", c->usage);
    return program_report(program, err);
}

static int command_run(const struct program *program, const struct command *c,
                       const struct env *env, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(mem_free) void *args = mem_new(1, c->args_bytes ? c->args_bytes : 1, &err);
    struct invocation inv = {.env = env, .args = args};
    int first = argc;

    if (!args)
        return program_report(program, &err);
    if (c->defaults)
        memcpy(args, c->defaults, c->args_bytes);
    if (program->style == FLAG_STYLE_KUBECTL)
        flags_forward(c->flags, c->flag_count, argc, argv);
    if (flags_parse(c->flags, c->flag_count, argc, argv, args, &first, &err) < 0)
        return err.code == ERR_CANCELED ? print_help(program, c) : usage_error(program, c, &err);
    inv.positional = argv + first;
    inv.positional_count = argc - first;
    if (inv.positional_count < c->positional_min || inv.positional_count > c->positional_max) {
        (void)error_set(&err, ERR_USAGE, 0, "%s %s takes %s", program->name, c->name,
                        c->positional_max == 0 ? "no arguments beside flags"
                        : inv.positional_count < c->positional_min
                            ? "more arguments than were given"
                            : "fewer arguments than were given");
        return usage_error(program, c, &err);
    }
    int rc = c->run(&inv, &err);
    return rc < 0 ? program_report(program, &err) : rc;
}

static int unknown_command(const struct program *program, const char *name)
{
    struct error err = ERROR_INIT;
    const char *names[COMMANDS_MAX];
    size_t count = 0;

    for (; program->command[count]; count++) {
        ASSERT(count < COMMANDS_MAX);
        names[count] = program->command[count]->name;
    }
    const char *guess = nearest_word(name, names, count);
    (void)error_set(&err, ERR_USAGE, 0, "unknown command: %.40s%s%s%s", name,
                    guess ? "; did you mean \"" : "", guess ? guess : "", guess ? "\"?" : "");
    (void)error_hint(&err, "\"%s help\" lists the commands", program->name);
    return command_report(&err);
}

/* PROGRAM help [COMMAND|man] */
static int help_run(const struct program *program, const char *about)
{
    if (!about)
        return print_help(program, NULL);
    if (strcmp(about, "man") == 0 && program->man_page)
        return print_man(program);
    const struct command *c = command_find(program, about);
    return c ? print_help(program, c) : unknown_command(program, about);
}

int program_main(const struct program *program, const struct env *env, int argc, char **argv)
{
    if (argc < 2) {
        (void)print_help(program, NULL); /* the exit status says that nothing was done */
        return 2;
    }
    bool is_help = strcmp(argv[1], "help") == 0 || strcmp(argv[1], "-h") == 0 ||
                   strcmp(argv[1], "-help") == 0 || strcmp(argv[1], "--help") == 0;
    if (is_help)
        return help_run(program, argc > 2 ? argv[2] : NULL);
    const struct command *c = command_find(program, argv[1]);
    return c ? command_run(program, c, env, argc - 1, argv + 1) : unknown_command(program, argv[1]);
}
