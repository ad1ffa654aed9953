/*
 * Runs a program and kills it (SIGKILL) right before its n-th system call, counted over all of its
 * threads: the death that leaves nothing to chance but the interleaving of threads.
 *
 *     for (uint64_t n = 1;; n += step) {
 *         struct kill_at_result r;
 *         kill_at(argv, "walferry.yml", n, &r);
 *         ... whatever is left must be sound ...
 *         if (!r.was_killed)
 *             break;                             it needs fewer than n calls
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
    uint64_t calls; /* system calls since the mark, the fatal one included */
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
