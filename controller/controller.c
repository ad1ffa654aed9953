/*
 * The commands of walferry-controller.
 */
#include "controller/controller.h"

#include "controller/run.h"
#include "lib/cli/cli.h"

static int version_run(const struct invocation *inv UNUSED, struct error *err)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(256);

    if (buf_printf(&out, err, "walferry-controller %s\n", walferry_version()) < 0)
        return -1;
    return command_print(buf_slice(&out), err);
}

static const struct command command_version = {
    .name = "version",
    .summary = "Print the version",
    .usage = "walferry-controller version",
    .example = "  walferry-controller version",
    .run = version_run,
};

static const struct command *const commands[] = {&command_run, &command_version, NULL};

static const struct program walferry_controller = {
    .name = "walferry-controller",
    .opening = "walferry-controller runs SqliteReplica resources in a Kubernetes cluster.\n",
    .command = commands,
};

int controller_main(const struct env *env, int argc, char **argv)
{
    return program_main(&walferry_controller, env, argc, argv);
}
