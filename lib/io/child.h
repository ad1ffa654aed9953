/*
 * Child processes: starting one, passing signals on to it, hearing how it ended; and the duty of
 * process number 1 (or of a "subreaper") to take leave of orphans that are not its own.
 *
 * There is one `struct reaper` in a program. It owns SIGCHLD and all calls of waitpid(): nothing
 * else (uv_spawn, system, popen) may be used beside it, or exit statuses go astray.
 *
 * A child gets our standard input, output and error (unless told otherwise), no other descriptor, no blocked signal, the
 * default action for SIGPIPE, our environment plus what is added. It stays in our process group,
 * so that a terminal's Ctrl-C reaches it too; whoever forwards SIGINT to it as well must expect it
 * to hear twice. If we are killed the child lives on.
 *
 * Threads: all on the loop thread.
 */
#ifndef WALFERRY_LIB_IO_CHILD_H
#define WALFERRY_LIB_IO_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "lib/base/base.h"
#include "lib/io/loop.h"

struct reaper;
struct child; /* gone once done was called */

/* ERR_NO_MEMORY, ERR_LIMIT. One at a time in a process (asserted). */
MUST_USE int reaper_new(struct loop *loop, struct reaper **out, struct error *err);

/* No child may be under way. SIGCHLD has its default effect again. Accepts NULL. */
void reaper_free(struct reaper *r);

/* Orphans taken leave of so far: processes that were not started here. */
uint64_t reaper_orphan_count(const struct reaper *r);

/* A variable to add to the environment, or to replace in it. */
struct child_variable {
    const char *name;
    const char *value;
};

struct child_config {
    char *const *argv; /* ends with NULL; argv[0] is looked for on PATH unless it has a '/' */
    const struct child_variable *variables;
    size_t variable_count;
    bool has_empty_stdin; /* /dev/null instead of our standard input */
    int stdout_fd;        /* becomes its standard output; 0: ours */
};

/* How a child ended: exactly one of the two. */
struct child_exit {
    int status; /* exit status, or -1 */
    int signum; /* the signal that ended it, or 0 */
};

typedef void child_done_fn(void *arg, const struct child_exit *exit);

/*
 * Starts a process. done is called once, from the loop, when it has ended. A child under way keeps
 * the loop running. config is read, not kept. *out (may be NULL) is for child_signal().
 * ERR_NOT_FOUND (no such program), ERR_ACCESS (not executable), ERR_NO_MEMORY, ERR_BUSY (process
 * limit), ERR_IO.
 */
MUST_USE int child_start(struct reaper *r, const struct child_config *config, child_done_fn *done,
                         void *arg, struct child **out, struct error *err);

/* Sends a signal. Harmless when the process has ended and done is still to come. */
void child_signal(struct child *child, int signum);

/* Its process id; another process may have it once done was called. */
pid_t child_pid(const struct child *child);

/* The exit status that a shell would give: the child's, or 128 + signal. */
int child_exit_status(const struct child_exit *exit);

#endif
