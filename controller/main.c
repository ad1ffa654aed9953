/*
 * walferry-controller: watches SqliteReplica, SqliteBucket and SqliteRestore resources, injects
 * sidecars, and reports lag. The real environment is made here and handed down.
 */
#include <signal.h>

#include "controller/controller.h"
#include "lib/base/base.h"

int main(int argc, char **argv)
{
    /* A reader that went away is an error of the write, not the end of the process. */
    (void)signal(SIGPIPE, SIG_IGN);
    return controller_main(env_real(), argc, argv);
}
