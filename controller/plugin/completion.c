/*
 * Completion: one answer for all shells. The scripts that `completion SHELL` prints, and kubectl
 * through kubectl_complete-walferry, call `kubectl-walferry __complete WORD...`, which knows the
 * tables of commands and asks the cluster for names.
 *
 *   first word                  commands
 *   behind a dash               flags of the command
 *   value of a flag             the words it can be; namespaces; contexts of the kubeconfig
 *   arguments                   the words of the command, or names of SqliteReplicas
 *
 * Bash splits words at "=", so --output=j arrives in three: a lone "=" is passed over. What goes
 * wrong is not told, since it would stand in the middle of somebody's line: nothing is proposed.
 *
 * Source: kubectl pkg/cmd/plugin_completion.go, cobra's ShellCompDirective (4: no files).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/plugin/facts.h"
#include "controller/plugin/plugin_internal.h"
#include "lib/io/file_read.h"
#include "lib/yaml/yaml.h"

enum {
    ANSWER_BYTES_MAX = 1 << 20,
    WORDS_MAX = 256,
};

static const uint64_t names_deadline_ns = 3 * NS_PER_SEC;

struct answer {
    const struct env *env;
    struct buf out;
    const char *prefix; /* what has been typed of the word */
    const char *lead;   /* stands before each proposal: "--output=" */
    struct session_args session;
};

static int propose(struct answer *a, const char *word, const char *help, struct error *err)
{
    if (strncmp(word, a->prefix, strlen(a->prefix)) != 0)
        return 0;
    return buf_printf(&a->out, err, "%s%s%s%s\n", a->lead, word, help ? "\t" : "",
                      help ? help : "");
}

/* ---- from the cluster ---- */

static int name_propose(void *arg, struct jsonval item, struct error *err)
{
    return propose(arg, fact_text(item, "metadata.name"), NULL, err);
}

static int names_propose(struct answer *a, const struct kube_resource *resource, struct error *err)
{
    CLEANUP(session_close) struct session s = {.env = a->env};

    if (session_open(&s, a->env, &a->session, err) < 0)
        return -1;
    const char *namespace_name = resource->is_cluster_scoped ? NULL : s.namespace_name;
    return session_each(&s, resource, namespace_name, NULL, name_propose, a, err);
}

/* ---- from the kubeconfig ---- */

static int file_contexts_propose(struct answer *a, const char *path, struct error *err)
{
    CLEANUP(buf_destroy_secret) struct buf text = BUF_INIT(KUBE_CONFIG_BYTES_MAX);
    CLEANUP(yamldoc_destroy) struct yamldoc doc = YAMLDOC_INIT;

    if (file_read(a->env, path, &text, err) < 0 ||
        yamldoc_parse(&doc, path, buf_slice(&text), err) < 0)
        return -1;
    const struct yamldoc_node *all = doc.root ? yamldoc_get(doc.root, "contexts") : NULL;
    for (size_t i = 0; all && i < all->child_count; i++) {
        const struct yamldoc_node *name = yamldoc_get(all->children[i], "name");
        const char *word = NULL;
        if (name && (yamldoc_text(name, &word, err) < 0 || propose(a, word, NULL, err) < 0))
            return -1;
    }
    return 0;
}

static int home_contexts_propose(struct answer *a, struct error *err)
{
    const char *home = getenv("HOME");
    CLEANUP(mem_free) char *path = str_printf(err, "%s/.kube/config", home ? home : "");

    return path ? file_contexts_propose(a, path, err) : -1;
}

/* Of the file that is named, else of each in $KUBECONFIG, else of ~/.kube/config. */
static int contexts_propose(struct answer *a, struct error *err)
{
    const char *list = a->session.kubeconfig ? a->session.kubeconfig : getenv("KUBECONFIG");

    if (!list || !*list)
        return home_contexts_propose(a, err);
    for (const char *at = list; *at;) {
        size_t n = a->session.kubeconfig ? strlen(at) : strcspn(at, ":");
        CLEANUP(mem_free) char *path = str_printf(err, "%.*s", (int)n, at);
        if (!path || (n > 0 && file_contexts_propose(a, path, err) < 0))
            return -1;
        at += n + (at[n] ? 1 : 0);
    }
    return 0;
}

/* ---- from the tables ---- */

/* "a|b|c": each that fits. */
static int choice_propose(struct answer *a, const char *choice, struct error *err)
{
    while (*choice) {
        char word[64];
        size_t n = strcspn(choice, "|");
        (void)snprintf(word, sizeof(word), "%.*s", (int)n, choice);
        if (propose(a, word, NULL, err) < 0)
            return -1;
        choice += n + (choice[n] ? 1 : 0);
    }
    return 0;
}

static int commands_propose(struct answer *a, struct error *err)
{
    for (size_t i = 0; kubectl_walferry.command[i]; i++) {
        const struct command *c = kubectl_walferry.command[i];
        if (propose(a, c->name, c->summary, err) < 0)
            return -1;
    }
    return propose(a, "help", "Explain a command", err);
}

static int flags_propose(struct answer *a, const struct command *c, struct error *err)
{
    for (size_t i = 0; c->flags && i < c->flag_count; i++) {
        char name[80];
        (void)snprintf(name, sizeof(name), "--%s", flag_name(&c->flags[i]));
        if (propose(a, name, c->flags[i].help, err) < 0)
            return -1;
    }
    return 0;
}

static int value_propose(struct answer *a, const struct flag *f, struct error *err)
{
    static const struct {
        const char *flag;
        const struct kube_resource *resource;
    } rows[] = {{"namespace", &kube_namespaces}, {"to-claim", &kube_claims}, {"pod", &kube_pods}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(flag_name(f), rows[i].flag) == 0)
            return names_propose(a, rows[i].resource, err);
    }
    if (strcmp(flag_name(f), "context") == 0)
        return contexts_propose(a, err);
    return f->value && strchr(f->value, '|') ? choice_propose(a, f->value, err) : 0;
}

/* ---- the words ---- */

/* The flag that a word names, with or without a value; NULL: none. */
static const struct flag *flag_of(const struct command *c, const char *word)
{
    const char *name = word + strspn(word, "-");
    size_t n = strcspn(name, "=");

    for (size_t i = 0; i < c->flag_count; i++) {
        const struct flag *f = &c->flags[i];
        bool is_letter = n == 1 && flag_letter(f) == name[0];
        if (is_letter || (strlen(flag_name(f)) == n && strncmp(flag_name(f), name, n) == 0))
            return f;
    }
    return NULL;
}

static bool is_dashed(const char *word)
{
    return word[0] == '-';
}

/* Takes what earlier words say about the cluster. */
static void session_read(struct answer *a, const char *name, const char *value)
{
    if (strcmp(name, "namespace") == 0)
        a->session.namespace_name = value;
    else if (strcmp(name, "context") == 0)
        a->session.context = value;
    else if (strcmp(name, "kubeconfig") == 0)
        a->session.kubeconfig = value;
}

/* Reads the words between the command and the last one. *out_open: the flag whose value the last
 * word is. Returns the number of arguments. */
static int words_read(struct answer *a, const struct command *c, int argc, char **argv,
                      const struct flag **out_open)
{
    int argument_count = 0;

    *out_open = NULL;
    for (int i = 0; i < argc; i++) {
        const struct flag *f = is_dashed(argv[i]) ? flag_of(c, argv[i]) : NULL;
        const char *equals = strchr(argv[i], '=');
        if (*out_open) {
            session_read(a, flag_name(*out_open), argv[i]);
            *out_open = NULL;
        } else if (!is_dashed(argv[i])) {
            argument_count++;
        } else if (f && f->kind != FLAG_SWITCH && !equals) {
            *out_open = f;
        } else if (f && equals) {
            session_read(a, flag_name(f), equals + 1);
        }
    }
    return argument_count;
}

static const struct command *command_of(const char *name)
{
    for (size_t i = 0; kubectl_walferry.command[i]; i++) {
        if (strcmp(kubectl_walferry.command[i]->name, name) == 0)
            return kubectl_walferry.command[i];
    }
    return NULL;
}

static int word_answer(struct answer *a, const struct command *c, int argc, char **argv,
                       struct error *err)
{
    const struct flag *open;
    char *last = argv[argc - 1];
    int argument_count = words_read(a, c, argc - 1, argv, &open);
    char *equals = is_dashed(last) ? strchr(last, '=') : NULL;

    if (open)
        return value_propose(a, open, err);
    if (equals && flag_of(c, last)) {
        CLEANUP(mem_free) char *lead = str_printf(err, "%.*s", (int)(equals + 1 - last), last);
        if (!lead)
            return -1;
        a->prefix = equals + 1;
        a->lead = lead;
        int rc = value_propose(a, flag_of(c, last), err);
        a->lead = "";
        return rc;
    }
    if (is_dashed(last))
        return flags_propose(a, c, err);
    if (argument_count >= c->positional_max)
        return 0;
    return c->words ? choice_propose(a, c->words, err)
                    : names_propose(a, &kube_sqlite_replicas, err);
}

static int words_answer(struct answer *a, int argc, char **argv, struct error *err)
{
    char *words[WORDS_MAX];
    int count = 0;

    for (int i = 0; i < argc && count < WORDS_MAX; i++) {
        bool is_equals = strcmp(argv[i], "=") == 0 && count > 0 && is_dashed(words[count - 1]);
        if (!is_equals)
            words[count++] = argv[i];
        else if (i + 1 == argc)
            words[count++] = (char *)"";
    }
    if (count == 0)
        return 0;
    a->prefix = words[count - 1];
    if (count == 1 || (count == 2 && strcmp(words[0], "help") == 0))
        return commands_propose(a, err);
    const struct command *c = command_of(words[0]);
    return c ? word_answer(a, c, count - 1, words + 1, err) : 0;
}

int completion_answer(const struct env *env, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    struct answer a = {
        .env = env, .out = BUF_INIT(ANSWER_BYTES_MAX), .lead = "", .session = SESSION_DEFAULTS};

    a.session.request_timeout_ns = names_deadline_ns;
    if (words_answer(&a, argc, argv, &err) < 0)
        buf_clear(&a.out);
    error_clear(&err);
    int rc = buf_append_str(&a.out, ":4\n", &err) < 0 ? -1 : command_print(buf_slice(&a.out), &err);
    buf_destroy(&a.out);
    return rc < 0 ? PLUGIN_EXIT_PROBLEM : 0;
}

/* ---- completion SHELL ---- */

static const char bash_script[] =
    "_kubectl_walferry() {\n"
    "  local line\n"
    "  COMPREPLY=()\n"
    "  while IFS= read -r line; do\n"
    "    [[ $line == :* ]] || COMPREPLY+=(\"${line%%$'\\t'*}\")\n"
    "  done < <(kubectl-walferry __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
    "}\n"
    "complete -o default -F _kubectl_walferry kubectl-walferry\n";

/* Loaded by `eval` it registers itself; found in fpath its file is the function's body. */
static const char zsh_script[] =
    "#compdef kubectl-walferry\n"
    "_kubectl_walferry() {\n"
    "  local -a proposals\n"
    "  local line\n"
    "  while IFS= read -r line; do\n"
    "    [[ $line == :* ]] || proposals+=(\"${line/$'\\t'/:}\")\n"
    "  done < <(kubectl-walferry __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
    "  _describe 'kubectl walferry' proposals\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _kubectl_walferry ]; then\n"
    "  _kubectl_walferry \"$@\"\n"
    "else\n"
    "  compdef _kubectl_walferry kubectl-walferry\n"
    "fi\n";

static const char fish_script[] =
    "function __kubectl_walferry\n"
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    kubectl-walferry __complete $words[2..-1] 2>/dev/null | string match -v ':*'\n"
    "end\n"
    "complete -c kubectl-walferry -f -a '(__kubectl_walferry)'\n";

static int run(const struct invocation *inv, struct error *err)
{
    static const struct {
        const char *name, *script;
    } shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

    for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
        if (strcmp(inv->positional[0], shells[i].name) == 0)
            return command_print(slice_of_str(shells[i].script), err);
    }
    return error_set(err, ERR_USAGE, 0, "completion is there for bash, zsh and fish, not for %.40s",
                     inv->positional[0]);
}

const struct command command_completion = {
    .name = "completion",
    .summary = "Print a completion script for bash, zsh or fish",
    .usage = "kubectl walferry completion bash|zsh|fish",
    .example = "  source <(kubectl walferry completion bash)\n"
               "  ln -s kubectl-walferry /usr/local/bin/kubectl_complete-walferry",
    .detail = "The script completes `kubectl-walferry`. For `kubectl walferry` kubectl's own\n"
              "completion asks a program kubectl_complete-walferry, which a link to the\n"
              "plug-in is (`make install` makes it).\n",
    .words = "bash|zsh|fish",
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
