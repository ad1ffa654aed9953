/*
 * walferry config check: the effective configuration, every value with where it comes from; exit
 * status 2 with file, line, key and suggestion when it cannot be used.
 */
#include <string.h>

#include "lib/config/config_check.h"
#include "sidecar/command/command.h"
#include "sidecar/command/destination.h"

struct config_args {
    struct config_choice config;
    bool full;
    bool json;
};

static const struct flag flags[] = {
    {"config", FLAG_TEXT, offsetof(struct config_args, config.path), "PATH", "configuration file",
     "$LITESTREAM_CONFIG or /etc/litestream.yml"},
    {"no-expand-env", FLAG_SWITCH, offsetof(struct config_args, config.no_expand_env), NULL,
     "do not expand $NAME in the configuration", NULL},
    {"full", FLAG_SWITCH, offsetof(struct config_args, full), NULL,
     "also settings that have their default", NULL},
    {"json", FLAG_SWITCH, offsetof(struct config_args, json), NULL, "print JSON", NULL},
};

static int run(const struct invocation *inv, struct error *err)
{
    const struct config_args *args = inv->args;
    struct config_choice choice = args->config;
    CLEANUP(config_cleanup) struct config *config = NULL;
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(64 << 20);
    struct json_writer w;

    if (strcmp(inv->positional[0], "check") != 0)
        return error_set(err, ERR_USAGE, 0, "walferry config knows only \"check\"");
    choice.is_quiet = true; /* they are among the results */
    if (config_choose(inv->env, &choice, &config, err) < 0)
        return -1;
    if (!args->json) {
        return config_check_text(config, args->full, &out, err) < 0
                   ? -1
                   : command_print(buf_slice(&out), err);
    }
    json_writer_init(&w, &out, JSON_PRETTY);
    config_check_json(config, &w, NULL);
    return command_print_json(&w, &out, err);
}

const struct command command_config = {
    .name = "config",
    .summary = "Check a configuration and show what is in effect",
    .usage = "walferry config [flags] check",
    .example = "  walferry config -config litestream.yml check",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct config_args),
    .words = "check",
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
