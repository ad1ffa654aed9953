/*
 * The commands of walferry, and what is said around them.
 */
#include "sidecar/command/command.h"

#include <stdlib.h>

#include "sidecar/command/man.h"

const struct command *const commands[] = {
    &command_replicate, &command_restore,   &command_rewind,  &command_verify,     &command_probe,
    &command_retention, &command_databases, &command_ltx,     &command_status,     &command_drain,
    &command_reset,     &command_config,    &command_version, &command_completion, NULL,
};

static const struct program walferry = {
    .name = "walferry",
    .opening = "walferry ferries SQLite's write-ahead log to object storage, and back.\n\n"
               "  walferry replicate /data/app.db s3://bucket/app\n"
               "  walferry restore -o /data/app.db s3://bucket/app\n",
    .closing = "Exit status: 0 done, 1 failed, 2 usage or configuration, 3 nothing to\n"
               "restore, 4 damaged data, 5 fenced by another writer.\n",
    .command = commands,
    .man_page = man_page,
};

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

int command_main(const struct env *env, int argc, char **argv)
{
    environment_prepare();
    return program_main(&walferry, env, argc, argv);
}
