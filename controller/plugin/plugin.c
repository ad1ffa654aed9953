/*
 * The commands of kubectl-walferry, and what their help says together.
 */
#include "controller/plugin/plugin.h"

#include <string.h>

#include "controller/plugin/plugin_internal.h"
#include "lib/cli/man_page.h"

struct shared_args {
    struct session_args session;
};

static const struct command *const commands[] = {
    &command_status,
    &command_lag,
    &command_snapshots,
    &command_restore,
    &command_verify,
    &command_pause,
    &command_resume,
    &command_logs,
    &command_check,
    &command_report_bundle,
    &command_completion,
    &command_version,
    NULL,
};

static const char man_head[] =
    ".Dd November 26, 2026\n"
    ".Dt KUBECTL-WALFERRY 1\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm kubectl-walferry\n"
    ".Nd look after SqliteReplica resources\n"
    ".Sh SYNOPSIS\n"
    ".Nm kubectl walferry\n"
    ".Ar command\n"
    ".Op Ar arguments\n"
    ".Op Ar flags\n"
    ".Sh DESCRIPTION\n"
    "A plug-in of\n"
    ".Xr kubectl 1 ,\n"
    "which finds it by its name.\n"
    "It uses the kubeconfig, its contexts and credentials as\n"
    "kubectl does, never reads a Secret, and does nothing that the caller may not do.\n"
    "Flags may stand anywhere;\n"
    ".Fl n Ar value ,\n"
    ".Fl \\-namespace Ar value\n"
    "and\n"
    ".Fl \\-namespace Ns = Ns Ar value\n"
    "are the same.\n"
    ".Sh COMMANDS\n";

static const char man_tail[] = ".Sh ENVIRONMENT\n"
                               ".Bl -tag -width Ds\n"
                               ".It Ev KUBECONFIG\n"
                               "Files to look for contexts in, with colons between them.\n"
                               ".El\n"
                               ".Sh FILES\n"
                               ".Bl -tag -width Ds\n"
                               ".It Pa ~/.kube/config\n"
                               "The kubeconfig.\n"
                               ".It Pa kubectl_complete-walferry\n"
                               "A link to the plug-in beside it: completion in kubectl.\n"
                               ".El\n"
                               ".Sh EXIT STATUS\n"
                               "0: done, and all is well.\n"
                               "1: a problem was found, or the server refused.\n"
                               "2: usage, or no kubeconfig.\n"
                               "3: the API server was not reached, or refuses the credentials.\n"
                               "4: the resource is not there.\n"
                               "5: not done within the time that was given.\n"
                               ".Sh SEE ALSO\n"
                               ".Xr walferry 1\n";

static int man_page(struct buf *out, struct error *err)
{
    return cli_man_page(commands, man_head, man_tail, FLAG_STYLE_KUBECTL, out, err);
}

const struct program kubectl_walferry = {
    .name = "kubectl walferry",
    .opening = "kubectl walferry shows and steers SqliteReplica resources.\n"
               "\n"
               "  kubectl walferry status -A             # how it is going\n"
               "  kubectl walferry restore shop --at 15m --to-claim inspection\n"
               "  kubectl walferry logs shop -f\n",
    .closing = "\nExit status: 0 all is well, 1 a problem was found, 2 usage, 3 the API server\n"
               "was not reached, 4 no such resource, 5 not done in time.\n",
    .command = commands,
    .man_page = man_page,
    .style = FLAG_STYLE_KUBECTL,
    .exit_status = plugin_exit_status,
};

/* Whether kubectl calls us for completion: by the name of the file, see completion.c. */
static bool is_for_completion(const char *path)
{
    const char *slash = strrchr(path, '/');

    return strcmp(slash ? slash + 1 : path, "kubectl_complete-walferry") == 0;
}

/*
 * `kubectl walferry -n prod status`: flags that all commands share may stand before the command, as
 * kubectl takes them. Brings the command to the front.
 */
static void command_forward(int argc, char **argv)
{
    static const struct flag shared[] = {SESSION_FLAG_ALL(struct shared_args),
                                         SESSION_FLAGS(struct shared_args)};

    int i = flags_first(shared, ARRAY_LEN(shared), argc, argv);
    if (i >= argc)
        return;
    char *command = argv[i];
    memmove(&argv[2], &argv[1], (size_t)(i - 1) * sizeof(*argv));
    argv[1] = command;
}

static bool is_help(const char *word)
{
    return strcmp(word, "-h") == 0 || strcmp(word, "-help") == 0 || strcmp(word, "--help") == 0;
}

int plugin_main(const struct env *env, int argc, char **argv)
{
    if (argc > 0 && is_for_completion(argv[0]))
        return completion_answer(env, argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "__complete") == 0)
        return completion_answer(env, argc - 2, argv + 2);
    if (argc > 1 && argv[1][0] == '-' && !is_help(argv[1]))
        command_forward(argc, argv);
    return program_main(&kubectl_walferry, env, argc, argv);
}
