/*
 * What the files of memory_files.h share: nodes, their locks and their doubles.
 */
#ifndef WALFERRY_LIB_TESTING_MEMORY_FILES_INTERNAL_H
#define WALFERRY_LIB_TESTING_MEMORY_FILES_INTERNAL_H

#include <sys/types.h>

#include "lib/testing/memory_files.h"

enum {
    LOCKS_MAX = 32, /* of a node */
    PATH_BYTES = 600,
};

struct range {
    int owner; /* 0: the process; else the descriptor */
    short type;
    int64_t first, last;
};

struct node {
    ino_t ino;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    unsigned names;
    unsigned descriptors;
    uint64_t mtime_ns;
    int64_t size;
    uint8_t **pieces;
    size_t piece_count;
    struct range locks[LOCKS_MAX];
    size_t lock_count;
    int double_fd; /* -1: it has none */
    char double_path[PATH_BYTES];
};

/* The node that a path names, or that a descriptor has open; NULL: none. */
struct node *memory_node_of(const char *path);
struct node *memory_node_open(int fd);

/* ---- locks (memory_files_lock.c) ---- */

/* The owner's locks of a range go; what lies outside stays. */
void memory_locks_drop(struct node *node, int owner, int64_t first, int64_t last);
/* For the seam. */
int memory_lock(void *ctx, int fd, int command, struct flock *lock);

/* ---- doubles (memory_files_watch.c) ---- */

/* Each does nothing if the node has no double. */
void memory_double_touch(const struct node *node);  /* it was written */
void memory_double_change(const struct node *node); /* something else about it changed */
void memory_double_unlink(struct node *node);       /* its last name went */
void memory_double_rename(struct node *node);       /* a name of it changed */
void memory_double_fill(const struct node *folder, const char *path); /* the folder got this name */
void memory_double_end(struct node *node);                            /* the node's end */
/* For the seam. */
int memory_watch(void *ctx, int inotify_fd, const char *path, uint32_t mask);

void memory_doubles_begin(const char *folder);
void memory_doubles_end(void);

#endif
