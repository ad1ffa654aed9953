/*
 * lib/testing/kill_at.h as a program, for scripts:
 *
 *   kill_at N MARK PROGRAM [ARGUMENT...]
 *
 * Kills PROGRAM before its N-th change (0: never), a system call that others can tell from none,
 * counted from when it opens a path that contains MARK. The last line on standard error is "changes COUNT"; exit status as the program's,
 * 137 if it was killed.
 */
#include "lib/testing/kill_at.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct kill_at_result result;

    if (argc < 4) {
        (void)fprintf(stderr, "usage: kill_at N MARK PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    kill_at((const char *const *)(uintptr_t)(argv + 3), NULL, argv[2], strtoull(argv[1], NULL, 10),
            &result);
    (void)fprintf(stderr, "changes %" PRIu64 "\n", result.changes);
    return result.status;
}
