/*
 * Runs a command to its end and tells what it cost.
 *
 *   bench_time OUT_PATH COMMAND [ARGUMENT...]
 *
 * Writes to OUT_PATH:  seconds=21.90 cpu_s=21.40 rss_kb=246784 status=0
 * CPU seconds are those of the process (user and system) and of its children that it waited for;
 * rss_kb is the largest resident set. Ends with the command's status, 128 + N for signal N.
 *
 * Source: wait4(2), getrusage(2).
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/base.h"

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* exists on every Linux */
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds_of(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static bool result_write(const char *path, double seconds, const struct rusage *use, int status)
{
    FILE *out = fopen(path, "we");

    if (!out)
        return false;
    (void)fprintf(out, "seconds=%.2f cpu_s=%.3f rss_kb=%ld status=%d\n", seconds,
                  seconds_of(&use->ru_utime) + seconds_of(&use->ru_stime), use->ru_maxrss, status);
    return fclose(out) == 0;
}

int main(int argc, char **argv)
{
    struct rusage use = {.ru_maxrss = 0};
    int raw = 0;

    if (argc < 3) {
        (void)fprintf(stderr,
                      "usage: bench_time OUT_PATH COMMAND [ARGUMENT...]\n"); /* see status */
        return 2;
    }
    double begun_s = now_s();
    pid_t pid = fork();
    if (pid == 0) {
        (void)execvp(argv[2], argv + 2); /* returns only when it failed */
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &raw, 0, &use) != pid)
        return 1;
    int status = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
    return result_write(argv[1], now_s() - begun_s, &use, status) ? status : 1;
}
