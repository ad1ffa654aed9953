/*
 * kubectl-walferry: `kubectl walferry`, for people who look after SqliteReplica resources.
 */
#include <signal.h>

#include "controller/plugin/plugin.h"
#include "lib/base/base.h"

int main(int argc, char **argv)
{
    /* A reader that went away is an error of the write, not the end of the process. */
    (void)signal(SIGPIPE, SIG_IGN);
    return plugin_main(env_real(), argc, argv);
}
