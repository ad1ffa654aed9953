/*
 * Locks of files in memory.
 *
 * They are ranges of a node with an owner, the process (F_SETLK: 0) or a descriptor (F_OFD_SETLK).
 * To close any descriptor of a node drops all of the process's, as POSIX wants it.
 */
#include <errno.h>
#include <unistd.h>

#include "lib/testing/memory_files_internal.h"
#include "lib/testing/test.h"

/* The owner's locks of a range go; what lies outside stays. */
void memory_locks_drop(struct node *node, int owner, int64_t first, int64_t last)
{
    for (size_t i = node->lock_count; i > 0; i--) {
        struct range r = node->locks[i - 1];
        if (r.owner != owner || r.first > last || r.last < first)
            continue;
        node->locks[i - 1] = node->locks[--node->lock_count];
        assert_true(node->lock_count + 2 <= LOCKS_MAX);
        if (r.first < first) {
            node->locks[node->lock_count] = r;
            node->locks[node->lock_count++].last = first - 1;
        }
        if (r.last > last) {
            node->locks[node->lock_count] = r;
            node->locks[node->lock_count++].first = last + 1;
        }
    }
}

static bool is_conflict(const struct range *a, int owner, short type, int64_t first, int64_t last)
{
    return a->owner != owner && a->first <= last && a->last >= first &&
           (a->type == F_WRLCK || type == F_WRLCK);
}

int memory_lock(void *ctx UNUSED, int fd, int command, struct flock *lock)
{
    struct node *node = memory_node_open(fd);
    int owner = command == F_OFD_SETLK || command == F_OFD_GETLK ? fd : 0;
    int64_t first = lock->l_start;
    int64_t last = lock->l_len > 0 ? first + lock->l_len - 1 : INT64_MAX;
    const struct range *conflict = NULL;

    if (!node)
        return -EBADF;
    for (size_t i = 0; i < node->lock_count && lock->l_type != F_UNLCK; i++) {
        if (is_conflict(&node->locks[i], owner, lock->l_type, first, last))
            conflict = &node->locks[i];
    }
    if (command == F_GETLK || command == F_OFD_GETLK) {
        lock->l_type = F_UNLCK;
        if (conflict)
            lock->l_type = conflict->type;
        lock->l_pid = conflict && conflict->owner == 0 ? getpid() : -1;
        return 0;
    }
    if (conflict)
        return -EAGAIN;
    memory_locks_drop(node, owner, first, last);
    if (lock->l_type == F_UNLCK)
        return 0;
    assert_true(node->lock_count < LOCKS_MAX);
    node->locks[node->lock_count++] =
        (struct range){.owner = owner, .type = lock->l_type, .first = first, .last = last};
    return 0;
}
