/*
 * Child processes. posix_spawn() starts them (no fork of a program with threads and SQLite locks),
 * SIGCHLD tells that some have ended, waitpid(-1) asks which:
 *
 *   1. child_start() spawns and puts the child into the reaper's list. Both happen between two
 *      turns of the loop, so no ended child can be met before it is in the list.
 *   2. On SIGCHLD (several may have become one) waitpid(-1, WNOHANG) is called until nobody is
 *      left. A pid in the list is ours: it is taken out, done is called, it is freed. Any other is
 *      an orphan that the kernel gave to us as process 1 or subreaper: it is counted and gone.
 *
 * Until waitpid() has answered a pid the kernel does not use it again, so child_signal() can never
 * hit a stranger: whatever is in the list is running or a zombie.
 */
#include "lib/io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io/descriptors.h"

enum {
    CHILD_FIRST_CLOSED_FD = 3 /* everything from here on is closed in the child */
};

struct child {
    struct reaper *reaper;
    struct child *next;
    pid_t pid;
    child_done_fn *done;
    void *arg;
    bool has_ended;
};

struct reaper {
    struct loop *loop;
    uv_signal_t sigchld;
    struct child *children;
    uint64_t orphan_count;
    bool is_reaping;
};

static bool reaper_exists; /* owner: loop thread */

/* ---- endings ---- */

/* Takes the child with this pid out of the list; NULL if it is not ours. */
static struct child *child_take(struct reaper *r, pid_t pid)
{
    for (struct child **at = &r->children; *at; at = &(*at)->next) {
        struct child *c = *at;
        if (c->pid == pid) {
            *at = c->next;
            return c;
        }
    }
    return NULL;
}

static void process_ended(struct reaper *r, pid_t pid, int wait_status)
{
    struct child *c = child_take(r, pid);
    struct child_exit how = {.status = -1};

    if (!c) {
        r->orphan_count++;
        return;
    }
    if (WIFSIGNALED(wait_status))
        how.signum = WTERMSIG(wait_status);
    else
        how.status = WEXITSTATUS(wait_status);
    c->has_ended = true;
    if (!r->children)
        uv_unref((uv_handle_t *)&r->sigchld);
    c->done(c->arg, &how);
    free(c);
}

/* Step 2. */
static void reaper_on_sigchld(uv_signal_t *handle, int signum UNUSED)
{
    struct reaper *r = handle->data;
    int wait_status;

    r->is_reaping = true;
    for (;;) {
        pid_t pid = waitpid(-1, &wait_status, WNOHANG);
        if (pid > 0)
            process_ended(r, pid, wait_status);
        else if (pid == 0 || errno != EINTR)
            break; /* none has ended, or there is none at all (ECHILD) */
    }
    r->is_reaping = false;
}

int child_exit_status(const struct child_exit *exit)
{
    return exit->signum ? 128 + exit->signum : exit->status;
}

/* ---- starting ---- */

static bool is_replaced(const char *entry, const struct child_config *config)
{
    for (size_t i = 0; i < config->variable_count; i++) {
        size_t n = strlen(config->variables[i].name);
        if (strncmp(entry, config->variables[i].name, n) == 0 && entry[n] == '=')
            return true;
    }
    return false;
}

/* An environment for exec: our own entries are borrowed, those behind own_count are owned. */
struct child_env {
    char **entries;
    size_t borrowed_count;
    size_t count;
};

static void child_env_destroy(struct child_env *e)
{
    for (size_t i = e->borrowed_count; i < e->count; i++)
        free(e->entries[i]);
    free(e->entries);
}

static int child_env_make(struct child_env *e, const struct child_config *config, struct error *err)
{
    size_t inherited = 0;

    while (environ[inherited])
        inherited++;
    e->entries = mem_new(inherited + config->variable_count + 1, sizeof(*e->entries), err);
    if (!e->entries)
        return -1;
    for (size_t i = 0; i < inherited; i++) {
        if (!is_replaced(environ[i], config))
            e->entries[e->borrowed_count++] = environ[i];
    }
    e->count = e->borrowed_count;
    for (size_t i = 0; i < config->variable_count; i++) {
        const struct child_variable *v = &config->variables[i];
        char *entry = str_printf(err, "%s=%s", v->name, v->value);
        if (!entry)
            return -1;
        e->entries[e->count++] = entry;
    }
    return 0;
}

/* What the child does between fork and exec. Answers an errno value. */
static int attributes_set(const struct child_config *config, posix_spawnattr_t *attributes,
                          posix_spawn_file_actions_t *actions)
{
    sigset_t none;
    sigset_t to_default;

    /* We ignore SIGPIPE; handlers become the default by exec anyway. What our own parent had us
     * ignore (nohup) stays ignored. */
    if (sigemptyset(&none) < 0 || sigemptyset(&to_default) < 0 ||
        sigaddset(&to_default, SIGPIPE) < 0)
        return errno;
    int rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &to_default);
    if (rc == 0 && config->has_empty_stdin)
        rc = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (rc == 0 && config->stdout_fd)
        rc = posix_spawn_file_actions_adddup2(actions, config->stdout_fd, STDOUT_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(actions, CHILD_FIRST_CLOSED_FD);
    return rc;
}

/* posix_spawnp() with all its preparations. Answers an errno value. */
static int spawn(const struct child_config *config, char *const *envp, pid_t *out_pid)
{
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;

    int rc = posix_spawnattr_init(&attributes);
    if (rc != 0)
        return rc;
    rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        (void)posix_spawnattr_destroy(&attributes); /* always 0 */
        return rc;
    }
    rc = attributes_set(config, &attributes, &actions);
    if (rc == 0)
        rc = posix_spawnp(out_pid, config->argv[0], &actions, &attributes, config->argv, envp);
    (void)posix_spawn_file_actions_destroy(&actions); /* always 0 */
    (void)posix_spawnattr_destroy(&attributes);       /* always 0 */
    return rc;
}

int child_start(struct reaper *r, const struct child_config *config, child_done_fn *done, void *arg,
                struct child **out, struct error *err)
{
    CLEANUP(child_env_destroy) struct child_env envp = {.entries = NULL};
    CLEANUP(mem_free) struct child *c = NULL;

    loop_assert_owner(r->loop);
    ASSERT(config->argv[0] && done);
    if (child_env_make(&envp, config, err) < 0)
        return error_wrap(err, "start %s", config->argv[0]);
    c = mem_new(1, sizeof(*c), err);
    if (!c)
        return error_wrap(err, "start %s", config->argv[0]);
    int errnum = spawn(config, envp.entries, &c->pid);
    if (errnum != 0) {
        (void)error_set_errno(err, errnum, "start %s", config->argv[0]);
        if (errnum == ENOENT && !strchr(config->argv[0], '/'))
            (void)error_hint(err, "no folder of PATH has a program of that name");
        return -1;
    }
    descriptors_restore_for(c->pid);
    c->reaper = r;
    c->done = done;
    c->arg = arg;
    if (!r->children)
        uv_ref((uv_handle_t *)&r->sigchld);
    c->next = r->children;
    r->children = c;
    if (out)
        *out = c;
    c = NULL; /* the list owns it */
    return 0;
}

void child_signal(struct child *child, int signum)
{
    loop_assert_owner(child->reaper->loop);
    /* Fails only with EPERM, for a program that has changed its user: it is then its own master. */
    if (!child->has_ended)
        (void)kill(child->pid, signum);
}

pid_t child_pid(const struct child *child)
{
    return child->pid;
}

/* ---- the reaper ---- */

static void reaper_on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

int reaper_new(struct loop *loop, struct reaper **out, struct error *err)
{
    loop_assert_owner(loop);
    ASSERT(!reaper_exists);
    struct reaper *r = mem_new(1, sizeof(*r), err);
    if (!r)
        return -1;
    r->loop = loop;
    int rc = uv_signal_init(loop_uv(loop), &r->sigchld);
    if (rc < 0) {
        free(r);
        return error_set_errno(err, -rc, "listen for SIGCHLD");
    }
    r->sigchld.data = r;
    uv_unref((uv_handle_t *)&r->sigchld);
    rc = uv_signal_start(&r->sigchld, reaper_on_sigchld, SIGCHLD);
    if (rc < 0) {
        uv_close((uv_handle_t *)&r->sigchld, reaper_on_closed);
        return error_set_errno(err, -rc, "listen for SIGCHLD");
    }
    reaper_exists = true;
    *out = r;
    return 0;
}

void reaper_free(struct reaper *r)
{
    if (!r)
        return;
    loop_assert_owner(r->loop);
    ASSERT(!r->children);
    ASSERT(!r->is_reaping);
    reaper_exists = false;
    uv_close((uv_handle_t *)&r->sigchld, reaper_on_closed);
}

uint64_t reaper_orphan_count(const struct reaper *r)
{
    return r->orphan_count;
}
