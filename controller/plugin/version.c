/*
 * kubectl walferry version: of the plug-in. What runs in the cluster is `check`'s to tell.
 */
#include "controller/plugin/plugin_internal.h"

static int run(const struct invocation *inv UNUSED, struct error *err)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(256);

    if (buf_printf(&out, err, "kubectl-walferry %s (%s)\n", walferry_version(), walferry_commit()) <
        0)
        return -1;
    return command_print(buf_slice(&out), err);
}

const struct command command_version = {
    .name = "version",
    .summary = "Print the version of the plug-in",
    .usage = "kubectl walferry version",
    .example = "  kubectl walferry version",
    .run = run,
};
