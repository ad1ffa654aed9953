/*
 * Watches. The kernel knows one watch an inode, numbered by a "wd"; we keep the entries in buckets
 * by wd, several with the same one when they watch the same inode.
 *
 *   add      inotify_add_watch() with IN_MASK_ADD: the kernel's mask is the union of all entries'
 *   remove   the last entry of a wd takes the kernel's watch with it; before that the union stays
 *            as it is, and what no entry wants any more is filtered here
 *   event    every entry of the wd whose mask fits is called; IN_IGNORED (inode gone, or our own
 *            removal) first makes its entries inactive; an overflow calls all entries of all wds
 *
 * A wd is not used again by the kernel until 2^31 others were, so events that were queued before
 * their watch was removed find no entry and are dropped.
 *
 * Callbacks may remove any entry: `cursor` is the one that a running dispatch will visit next, and
 * watch_remove() moves it on. Entries added meanwhile go to the front, behind the cursor's back.
 */
#include "lib/io/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WATCH_BUCKETS = 256,
    WATCH_READ_BYTES = 16 * 1024, /* at least one event with the longest name */
};

static_assert(WATCH_READ_BYTES > sizeof(struct inotify_event) + NAME_MAX + 1, "inotify(7)");

struct watch {
    struct loop *loop;
    uv_poll_t *poll; /* NULL: nobody has watched yet, or there were too many instances */
    int fd;
    size_t entry_count;
    struct watch_entry *buckets[WATCH_BUCKETS];
    struct watch_entry *cursor;
    bool is_dispatching;
};

static struct watch_entry **bucket_of(struct watch *w, int wd)
{
    return &w->buckets[(unsigned)wd % WATCH_BUCKETS];
}

static void entry_link(struct watch *w, struct watch_entry *e)
{
    struct watch_entry **bucket = bucket_of(w, e->wd);

    e->watch = w;
    e->prev = NULL;
    e->next = *bucket;
    if (e->next)
        e->next->prev = e;
    *bucket = e;
    if (w->entry_count++ == 0)
        uv_ref((uv_handle_t *)w->poll);
}

/* The entry is inactive afterwards. */
static void entry_unlink(struct watch_entry *e)
{
    struct watch *w = e->watch;

    if (w->cursor == e)
        w->cursor = e->next;
    if (e->prev)
        e->prev->next = e->next;
    else
        *bucket_of(w, e->wd) = e->next;
    if (e->next)
        e->next->prev = e->prev;
    e->watch = NULL;
    e->next = NULL;
    e->prev = NULL;
    ASSERT(w->entry_count > 0);
    if (--w->entry_count == 0)
        uv_unref((uv_handle_t *)w->poll);
}

static bool wd_is_used(struct watch *w, int wd)
{
    for (const struct watch_entry *e = *bucket_of(w, wd); e; e = e->next) {
        if (e->wd == wd)
            return true;
    }
    return false;
}

/* ---- events ---- */

/* Calls the entries of one bucket that have this wd; all of them if wd is -1. */
static void bucket_dispatch(struct watch *w, struct watch_entry *first, int wd, uint32_t events,
                            const char *name)
{
    w->cursor = first;
    while (w->cursor) {
        struct watch_entry *e = w->cursor;
        w->cursor = e->next;
        if (wd != -1 && e->wd != wd)
            continue;
        uint32_t wanted = events & (e->mask | IN_IGNORED | IN_UNMOUNT | WATCH_OVERFLOW);
        if (!(wanted & (uint32_t)~IN_ISDIR))
            continue;
        if (events & IN_IGNORED)
            entry_unlink(e);
        e->fn(e->arg, wanted, name);
    }
}

static void event_dispatch(struct watch *w, const struct inotify_event *event, const char *name)
{
    if (event->mask & IN_Q_OVERFLOW) {
        for (size_t i = 0; i < WATCH_BUCKETS; i++)
            bucket_dispatch(w, w->buckets[i], -1, WATCH_OVERFLOW, "");
        return;
    }
    bucket_dispatch(w, *bucket_of(w, event->wd), event->wd, event->mask, name);
}

static void watch_on_readable(uv_poll_t *poll, int status, int poll_events UNUSED)
{
    struct watch *w = poll->data;
    char bytes[WATCH_READ_BYTES];

    ASSERT(status == 0);
    ssize_t got = read(w->fd, bytes, sizeof(bytes));
    if (got < 0) {
        ASSERT(errno == EAGAIN || errno == EINTR); /* we are called again */
        return;
    }
    w->is_dispatching = true;
    for (size_t at = 0; at < (size_t)got;) {
        struct inotify_event event;
        memcpy(&event, bytes + at, sizeof(event)); /* the kernel's word: whole events, name ends */
        const char *name = event.len > 0 ? bytes + at + sizeof(event) : "";
        event_dispatch(w, &event, name);
        at += sizeof(event) + event.len;
    }
    w->is_dispatching = false;
}

/* ---- the instance ---- */

static void poll_on_closed(uv_handle_t *handle)
{
    free(handle);
}

/* Made with the first entry, and tried again with each as long as the kernel refuses. */
static int instance_make(struct watch *w, struct error *err)
{
    uv_poll_t *poll = mem_new(1, sizeof(*poll), err);

    if (!poll)
        return -1;
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    int rc = fd < 0 ? -errno : uv_poll_init(loop_uv(w->loop), poll, fd);
    if (rc < 0) {
        if (fd >= 0)
            (void)close(fd); /* an inotify instance holds nothing that could be lost */
        free(poll);
        (void)error_set_errno(err, -rc, "inotify");
        if (err->code == ERR_LIMIT) {
            (void)error_hint(err, "raise fs.inotify.max_user_instances (sysctl) or the limit of "
                                  "open files");
        }
        return -1;
    }
    poll->data = w;
    rc = uv_poll_start(poll, UV_READABLE, watch_on_readable);
    ASSERT(rc == 0);
    uv_unref((uv_handle_t *)poll);
    w->poll = poll;
    w->fd = fd;
    return 0;
}

int watch_new(struct loop *loop, struct watch **out, struct error *err)
{
    loop_assert_owner(loop);
    struct watch *w = mem_new(1, sizeof(*w), err);
    if (!w)
        return -1;
    w->loop = loop;
    *out = w;
    return 0;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    loop_assert_owner(w->loop);
    ASSERT(w->entry_count == 0);
    ASSERT(!w->is_dispatching);
    if (w->poll) {
        uv_close((uv_handle_t *)w->poll, poll_on_closed);
        (void)close(w->fd); /* an inotify instance holds nothing that could be lost */
    }
    free(w);
}

/* ---- entries ---- */

int watch_add(struct watch *w, struct watch_entry *e, const char *path, uint32_t mask, watch_fn *fn,
              void *arg, struct error *err)
{
    loop_assert_owner(w->loop);
    ASSERT(!watch_is_active(e));
    ASSERT(!(mask & IN_ONESHOT)); /* the other entries of the inode would lose their watch */
    if (!w->poll && instance_make(w, err) < 0)
        return -1;
    int wd = env_watch(loop_env(w->loop), w->fd, path, mask | IN_MASK_ADD);
    if (wd < 0) {
        (void)error_set_errno(err, -wd, "watch %s", path);
        if (wd == -ENOSPC) {
            err->code = ERR_LIMIT;
            (void)error_hint(err, "raise fs.inotify.max_user_watches (sysctl)");
        }
        return -1;
    }
    *e = (struct watch_entry){.fn = fn, .arg = arg, .mask = mask, .wd = wd};
    entry_link(w, e);
    return 0;
}

void watch_remove(struct watch_entry *e)
{
    if (!watch_is_active(e))
        return;
    struct watch *w = e->watch;
    loop_assert_owner(w->loop);
    entry_unlink(e);
    /* EINVAL if the inode is gone and its IN_IGNORED is still to be read: nothing left to do. */
    if (!wd_is_used(w, e->wd))
        (void)inotify_rm_watch(w->fd, e->wd);
}

bool watch_is_active(const struct watch_entry *e)
{
    return e->watch != NULL;
}

/* ---- file systems ---- */

/* Only what is known: a file system that is missing here costs a few more looks. */
static const int64_t local_fs[] = {
    0xEF53,     /* ext2, ext3, ext4 */
    0x58465342, /* XFS */
    0x9123683E, /* btrfs */
    0x01021994, /* tmpfs */
    0x858458F6, /* ramfs */
    0xF2F52010, /* F2FS */
    0x2FC12FC1, /* ZFS */
    0xCA451A4E, /* bcachefs */
};

bool watch_tells_of_writes(int64_t fs_magic)
{
    for (size_t i = 0; i < ARRAY_LEN(local_fs); i++) {
        if (local_fs[i] == fs_magic)
            return true;
    }
    return false;
}
