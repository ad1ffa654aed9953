/*
 * The limit as we were born with it is kept, and written back to children by prlimit(2), since
 * posix_spawn() cannot set limits. The moment in between does no harm: a program's own start opens
 * few files.
 */
#include "lib/io/descriptors.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/resource.h>

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static struct rlimit born_with; /* guarded by mu */
static bool has_raised;         /* guarded by mu */

uint64_t descriptors_raise(void)
{
    struct rlimit now = {.rlim_cur = 0};

    (void)pthread_mutex_lock(&mu); /* cannot fail: a plain mutex that we do not hold */
    if (getrlimit(RLIMIT_NOFILE, &now) == 0 && !has_raised && now.rlim_cur < now.rlim_max) {
        const struct rlimit wanted = {.rlim_cur = now.rlim_max, .rlim_max = now.rlim_max};
        born_with = now;
        has_raised = setrlimit(RLIMIT_NOFILE, &wanted) == 0;
        if (has_raised)
            now = wanted;
    }
    (void)pthread_mutex_unlock(&mu); /* cannot fail: we hold it */
    return now.rlim_cur;
}

void descriptors_restore_for(pid_t child)
{
    (void)pthread_mutex_lock(&mu); /* as above */
    if (has_raised)
        (void)prlimit(child, RLIMIT_NOFILE, &born_with, NULL); /* it has ended already: no matter */
    (void)pthread_mutex_unlock(&mu);                           /* as above */
}
