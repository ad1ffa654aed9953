/*
 * walferry: replicate SQLite databases to object storage, and restore them. The real environment is
 * made here and handed down; everything else is in command/.
 */
#include <signal.h>

#include "lib/base/base.h"
#include "sidecar/command/command.h"

int main(int argc, char **argv)
{
    /* A reader that went away is an error of the write, not the end of the process. */
    (void)signal(SIGPIPE, SIG_IGN);
    return command_main(env_real(), argc, argv);
}
