/*
 * The commands of kubectl-walferry.
 */
#include "controller/plugin/plugin.h"

#include "lib/cli/cli.h"

static int version_run(const struct invocation *inv UNUSED, struct error *err)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(256);

    if (buf_printf(&out, err, "kubectl-walferry %s\n", walferry_version()) < 0)
        return -1;
    return command_print(buf_slice(&out), err);
}

static const struct command command_version = {
    .name = "version",
    .summary = "Print the version",
    .usage = "kubectl walferry version",
    .example = "  kubectl walferry version",
    .run = version_run,
};

static const struct command *const commands[] = {&command_version, NULL};

static const struct program kubectl_walferry = {
    .name = "kubectl walferry",
    .opening = "kubectl walferry shows and steers SqliteReplica resources.\n",
    .command = commands,
};

int plugin_main(const struct env *env, int argc, char **argv)
{
    return program_main(&kubectl_walferry, env, argc, argv);
}
