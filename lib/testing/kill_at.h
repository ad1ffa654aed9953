/*
 * Runs a program and kills it (SIGKILL) right before its n-th change, counted over all of its
 * threads: the death that leaves nothing to chance but the interleaving of threads.
 *
 * A change is a system call after which others may see something else than before:
 *
 *     files     written, cut, reserved, created, named, unnamed, made durable, given away
 *     sockets   connected, written, shut down
 *     locks     taken and released by fcntl(2): shared memory is written between them
 *     exit      so that a death after the last change is one, too
 *
 * A death between two of them leaves what the death before the second leaves, so every death of the
 * program is among them: whatever it reads, waits for or remembers dies with it. (What it writes to
 * memory that others share is bounded by the locks and syncs around it.) write(2) to an eventfd,
 * by which threads wake each other, does not count.
 *
 *     for (uint64_t n = 1;; n += step) {
 *         struct kill_at_result r;
 *         kill_at(argv, "walferry.yml", n, &r);
 *         ... whatever is left must be sound ...
 *         if (!r.was_killed)
 *             break;                             it makes fewer than n changes
 *     }
 *
 * Counting begins when the program opens a path that contains `mark`, so that the dynamic linker's
 * calls do not count. Its child processes are not traced. By ptrace(2). x86-64 and arm64.
 *
 * Threads: the main thread. Functions fail the test when the program cannot be traced.
 */
#ifndef WALFERRY_LIB_TESTING_KILL_AT_H
#define WALFERRY_LIB_TESTING_KILL_AT_H

#include <stdbool.h>
#include <stdint.h>

struct kill_at_result {
    uint64_t changes; /* since the mark, the fatal one included */
    bool was_killed;
    int status; /* exit status; 128 + signal */
};

/*
 * Runs argv (argv[0] is looked up in PATH) to its end; n = 0: is not killed.
 *
 * log_path  receives what it prints; NULL: this process's output
 */
void kill_at(const char *const *argv, const char *log_path, const char *mark, uint64_t n,
             struct kill_at_result *out);

#endif
