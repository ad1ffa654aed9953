/*
 * Watches a folder and all below it, and writes down when each file appeared there: with a store
 * that keeps objects as files, the moment at which an object became visible and durable.
 *
 *   bench_watch FOLDER        until SIGTERM; a line for each file on standard output:
 *                             MOMENT (ns since 1970) PATH
 *
 * A file appears by link(2), rename(2) or creation. Folders that appear are watched as well; what
 * came into them before the watch stood is written down when it is found, a moment late.
 *
 * Source: inotify(7).
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/base.h"

enum {
    FOLDERS_MAX = 65536,
    READ_BYTES = 64 * 1024,
};

static char *folders[FOLDERS_MAX]; /* by watch number */

static uint64_t now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_REALTIME, &t); /* exists on every Linux */
    return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static void file_seen(uint64_t moment_ns, const char *path)
{
    (void)printf("%" PRIu64 " %s\n", moment_ns, path); /* a reader that went away ends us */
}

static bool folder_watch(int fd, const char *path);

static bool entry_visit(int fd, const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct stat st;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return true;
    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path) ||
        lstat(path, &st) < 0)
        return true; /* gone again */
    if (S_ISDIR(st.st_mode))
        return folder_watch(fd, path);
    file_seen(now_ns(), path);
    return true;
}

static bool folder_watch(int fd, const char *path)
{
    int wd = inotify_add_watch(fd, path, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);

    if (wd < 0)
        return errno == ENOENT; /* gone again */
    if (wd >= FOLDERS_MAX)
        return false;
    free(folders[wd]);
    folders[wd] = strdup(path);
    DIR *dir = opendir(path);
    if (!folders[wd] || !dir)
        return !dir && errno == ENOENT;
    bool is_done = true;
    for (struct dirent *e = readdir(dir); e && is_done; e = readdir(dir))
        is_done = entry_visit(fd, path, e->d_name);
    return closedir(dir) == 0 && is_done;
}

static bool events_read(int fd)
{
    _Alignas(struct inotify_event) static char events[READ_BYTES];
    ssize_t n = read(fd, events, sizeof(events));
    uint64_t moment_ns = now_ns();
    char path[PATH_MAX];

    if (n <= 0)
        return false;
    for (ssize_t at = 0; at < n;) {
        struct inotify_event e;
        memcpy(&e, events + at, sizeof(e));
        const char *name = events + at + sizeof(e);
        at += (ssize_t)(sizeof(e) + e.len);
        if (e.mask & IN_Q_OVERFLOW)
            return false;
        if (e.len == 0 || !folders[e.wd] ||
            snprintf(path, sizeof(path), "%s/%s", folders[e.wd], name) >= (int)sizeof(path))
            continue;
        if (!(e.mask & IN_ISDIR))
            file_seen(moment_ns, path);
        else if (!folder_watch(fd, path))
            return false;
    }
    return fflush(stdout) == 0;
}

int main(int argc, char **argv)
{
    int fd = inotify_init1(IN_CLOEXEC);

    if (argc != 2) {
        (void)fprintf(stderr, "usage: bench_watch FOLDER\n"); /* the status tells too */
        return 2;
    }
    bool is_done = fd >= 0 && folder_watch(fd, argv[1]) && fflush(stdout) == 0;
    while (is_done)
        is_done = events_read(fd);
    (void)fprintf(stderr, "bench_watch: %s: %s\n", argv[1], strerrordesc_np(errno)); /* as above */
    return 1;
}
