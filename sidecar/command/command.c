/*
 * The frame of every command: finding it, its help, its flags, its errors.
 */
#include "sidecar/command/command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sidecar/command/man.h"

enum {
    HELP_BYTES_MAX = 64 * 1024,
};

const struct command *const commands[] = {
    &command_replicate, &command_restore, &command_verify,     &command_retention,
    &command_databases, &command_ltx,     &command_status,     &command_reset,
    &command_config,    &command_version, &command_completion, NULL,
};

static int help_all(struct buf *out, struct error *err)
{
    if (buf_append_str(out,
                       "walferry ferries SQLite's write-ahead log to object storage, and back.\n\n"
                       "  walferry replicate /data/app.db s3://bucket/app\n"
                       "  walferry restore -o /data/app.db s3://bucket/app\n\n"
                       "Commands:\n",
                       err) < 0)
        return -1;
    for (size_t i = 0; commands[i]; i++) {
        if (buf_printf(out, err, "  %-12s %s\n", commands[i]->name, commands[i]->summary) < 0)
            return -1;
    }
    return buf_append_str(out,
                          "\n\"walferry COMMAND -h\" explains a command.\n"
                          "Exit status: 0 done, 1 failed, 2 usage or configuration, 3 nothing to\n"
                          "restore, 4 damaged data, 5 fenced by another writer.\n",
                          err);
}

int command_help(const struct command *command, struct buf *out, struct error *err)
{
    if (!command)
        return help_all(out, err);
    if (buf_printf(out, err, "%s\n\nUsage: %s\n\n%s.\n", command->example, command->usage,
                   command->summary) < 0)
        return -1;
    if (command->flag_count > 0 && (buf_append_str(out, "\nFlags:\n", err) < 0 ||
                                    flags_help(command->flags, command->flag_count, out, err) < 0))
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
    return command_print(buf_slice(out), err);
}

int command_report(const struct error *err)
{
    (void)fprintf(stderr, "Error: %s\n", err->text); /* nowhere else to go */
    if (err->hint[0])
        (void)fprintf(stderr, "Hint: %s\n", err->hint); /* as above */
    return error_exit_status(err->code);
}

static int print_man(void)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(HELP_BYTES_MAX);
    struct error err = ERROR_INIT;

    if (man_page(&text, &err) < 0 || command_print(buf_slice(&text), &err) < 0)
        return command_report(&err);
    return 0;
}

static int print_help(const struct command *command)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(HELP_BYTES_MAX);
    struct error err = ERROR_INIT;

    if (command_help(command, &text, &err) < 0 || command_print(buf_slice(&text), &err) < 0)
        return command_report(&err);
    return 0;
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; commands[i]; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static int usage_error(const struct command *c, struct error *err)
{
    (void)error_hint(err, "usage: %s", c->usage);
    return command_report(err);
}

static int command_run(const struct env *env, const struct command *c, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(mem_free) void *args = mem_new(1, c->args_bytes ? c->args_bytes : 1, &err);
    struct invocation inv = {.env = env, .args = args};
    int first = argc;

    if (!args)
        return command_report(&err);
    if (c->defaults)
        memcpy(args, c->defaults, c->args_bytes);
    if (flags_parse(c->flags, c->flag_count, argc, argv, args, &first, &err) < 0)
        return err.code == ERR_CANCELED ? print_help(c) : usage_error(c, &err);
    inv.positional = argv + first;
    inv.positional_count = argc - first;
    if (inv.positional_count < c->positional_min || inv.positional_count > c->positional_max) {
        (void)error_set(&err, ERR_USAGE, 0, "walferry %s takes %s", c->name,
                        c->positional_max == 0 ? "no arguments beside flags"
                        : inv.positional_count < c->positional_min
                            ? "more arguments than were given"
                            : "fewer arguments than were given");
        return usage_error(c, &err);
    }
    int rc = c->run(&inv, &err);
    return rc < 0 ? command_report(&err) : rc;
}

/* Litestream's own environment variables stand in for Amazon's when those are not set. */
static void environment_prepare(void)
{
    static const char *const pairs[][2] = {
        {"LITESTREAM_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"},
        {"LITESTREAM_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"},
    };

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        const char *value = getenv(pairs[i][0]);
        if (value)
            (void)setenv(pairs[i][1], value, 0); /* no memory: the driver will miss the key */
    }
}

static int unknown_command(const char *name)
{
    struct error err = ERROR_INIT;

    (void)error_set(&err, ERR_USAGE, 0, "unknown command: %.40s", name);
    (void)error_hint(&err, "\"walferry help\" lists the commands");
    return command_report(&err);
}

/* walferry help [COMMAND|man] */
static int help_run(const char *about)
{
    if (!about)
        return print_help(NULL);
    if (strcmp(about, "man") == 0)
        return print_man();
    const struct command *c = command_find(about);
    return c ? print_help(c) : unknown_command(about);
}

int command_main(const struct env *env, int argc, char **argv)
{
    environment_prepare();
    if (argc < 2) {
        (void)print_help(NULL); /* the exit status says that nothing was done */
        return 2;
    }
    bool is_help = strcmp(argv[1], "help") == 0 || strcmp(argv[1], "-h") == 0 ||
                   strcmp(argv[1], "-help") == 0 || strcmp(argv[1], "--help") == 0;
    if (is_help)
        return help_run(argc > 2 ? argv[2] : NULL);
    const struct command *c = command_find(argv[1]);
    return c ? command_run(env, c, argc - 1, argv + 1) : unknown_command(argv[1]);
}
