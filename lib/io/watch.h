/*
 * Watching paths by inotify: one instance for a loop, any number of entries, several on the same
 * file if need be. For the kernel a watch belongs to the inode; an entry here is one interest in
 * it, with its own mask and callback.
 *
 * An event only says "look again": events are merged and can be lost (WATCH_OVERFLOW tells all
 * entries so), and network file systems and some sandboxes send none. Every user needs another
 * reason to look, too.
 *
 * The kernel's instance is made with the first entry. A user (on a node of Kubernetes: all pods that
 * run as the same user id) has 128 of them by default, so there may be none left: watch_add() says
 * so, and the next one tries again.
 *
 * Threads: all on the loop thread. Entries keep the loop running.
 * Source: inotify(7).
 */
#ifndef WALFERRY_LIB_IO_WATCH_H
#define WALFERRY_LIB_IO_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/inotify.h>

#include "lib/base/base.h"
#include "lib/io/loop.h"

struct watch;

/* Beside the IN_* bits of the kernel. IN_IGNORED and WATCH_OVERFLOW come whatever the mask. */
#define WATCH_OVERFLOW IN_Q_OVERFLOW /* events were lost: any may have happened */

/*
 * events  IN_* bits that the entry asked for; IN_IGNORED alone: the inode is gone (deleted or
 *         unmounted) and so is the interest: watch_is_active() is false, watch_add() may be called
 * name    of the file inside a watched folder; "" otherwise. Borrowed
 */
typedef void watch_fn(void *arg, uint32_t events, const char *name);

/* One interest, embedded in its owner. Zeroed: not active. */
struct watch_entry {
    struct watch *watch;
    struct watch_entry *next, *prev;
    watch_fn *fn;
    void *arg;
    uint32_t mask;
    int wd; /* the kernel's number of the inode's watch */
};

/* ERR_NO_MEMORY. */
MUST_USE int watch_new(struct loop *loop, struct watch **out, struct error *err);

/* No entry may be active. Not from within a callback. Accepts NULL. */
void watch_free(struct watch *w);

/*
 * Begins to watch path for the events of mask (IN_MODIFY, IN_DELETE_SELF, ...; IN_ONLYDIR and the
 * like are passed on). fn runs later, from the loop. It may remove and add entries, itself too.
 * ERR_NOT_FOUND, ERR_ACCESS, ERR_LIMIT (hint: fs.inotify.max_user_instances or max_user_watches),
 * ERR_NO_MEMORY.
 */
MUST_USE int watch_add(struct watch *w, struct watch_entry *e, const char *path, uint32_t mask,
                       watch_fn *fn, void *arg, struct error *err);

/* Ends it: fn is not called any more. Harmless if not active. */
void watch_remove(struct watch_entry *e);

/* Between watch_add() and watch_remove(). */
bool watch_is_active(const struct watch_entry *e);

/*
 * Whether on a file system of this number (env_fs_magic(); negative: not known) every write, whoever
 * makes it, goes through the inode that this kernel watches, so that an event follows. Not where
 * another machine, the host of a virtual one or a program in user space may write as well, nor on an
 * overlay, whose file may be replaced by a copy beneath the watch. Any thread.
 */
bool watch_tells_of_writes(int64_t fs_magic);

#endif
