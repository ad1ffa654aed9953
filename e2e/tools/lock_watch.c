/*
 * Watches from outside that a process never drops its locks on a SQLite database in WAL mode. They
 * vanish in silence when the process closes any descriptor of the file (POSIX); the kernel's list is
 * the only witness: /proc/PID/fdinfo/FD has for each lock
 *
 *     lock:  1: POSIX  ADVISORY  READ  4711 fd:01:1835013 1073741826 1073742335
 *
 *   lock_watch PID DB_PATH
 *
 * A connection holds SHARED on the database (from byte 1073741826) and the dead-man switch of -shm
 * (byte 128); one that reads holds one of the slots 0 to 4, too (bytes 123 to 127). Once all three
 * are seen a line "attached" is printed. From then on they are looked at each millisecond, until
 * the end of standard input:
 *
 *     ok LOOKS              they were there each time (status 0)
 *     lost WHICH LOOK       not there, nor when looked at again (status 1)
 *     gone LOOKS            the process ended (status 1)
 *
 * A handover from slot to slot takes the new one first, so that one is always held. But it may fall
 * between our reading of two descriptors; hence the second look.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/base.h"

enum {
    DB_SHARED_FIRST = 1073741826,
    SHM_SLOT_FIRST = 123,
    SHM_SLOT_LAST = 127,
    SHM_DEAD_MAN_SWITCH = 128,
    PATH_BYTES = 4096,
    PACE_MS = 1,
};

struct held {
    bool shared;
    bool dead_man_switch;
    bool slot;
};

static bool is_file(const struct stat *a, const char *path)
{
    struct stat b;

    return stat(path, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

/* A line of fdinfo; its last two words are the range. */
static void line_look(const char *line, bool is_db, struct held *held)
{
    const char *last = strrchr(line, ' ');
    const char *first = last;

    if (strncmp(line, "lock:", 5) != 0 || !strstr(line, " POSIX ") || !last)
        return;
    while (first > line && first[-1] != ' ')
        first--;
    long from = strtol(first, NULL, 10);
    long to = strtol(last, NULL, 10); /* "EOF" is 0, and none of ours */
    if (is_db) {
        held->shared = held->shared || (from <= DB_SHARED_FIRST && to >= DB_SHARED_FIRST);
        return;
    }
    held->slot = held->slot || (from <= SHM_SLOT_LAST && to >= SHM_SLOT_FIRST);
    held->dead_man_switch =
        held->dead_man_switch || (from <= SHM_DEAD_MAN_SWITCH && to >= SHM_DEAD_MAN_SWITCH);
}

static void descriptor_look(const char *pid, const char *fd, bool is_db, struct held *held)
{
    char path[PATH_BYTES];
    char line[512];

    (void)snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, fd);
    FILE *f = fopen(path, "r");
    if (!f)
        return; /* closed meanwhile */
    while (fgets(line, sizeof(line), f))
        line_look(line, is_db, held);
    (void)fclose(f);
}

/* All locks that the process holds on the database and its -shm. False if it has ended. */
static bool process_look(const char *pid, const char *db_path, struct held *out)
{
    char path[PATH_BYTES];
    char shm_path[PATH_BYTES];
    struct stat st;

    *out = (struct held){.shared = false};
    (void)snprintf(shm_path, sizeof(shm_path), "%s-shm", db_path);
    (void)snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        (void)snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid, e->d_name);
        if (stat(path, &st) < 0)
            continue;
        bool is_db = is_file(&st, db_path);
        if (is_db || is_file(&st, shm_path))
            descriptor_look(pid, e->d_name, is_db, out);
    }
    (void)closedir(dir);
    return true;
}

static const char *missing(const struct held *held)
{
    if (!held->shared)
        return "shared";
    if (!held->dead_man_switch)
        return "dead-man-switch";
    return held->slot ? NULL : "slot";
}

/* Paces the looks, and tells whether whoever started us wants no more of them. */
static bool is_input_over(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char c;

    return poll(&in, 1, PACE_MS) > 0 && read(STDIN_FILENO, &c, 1) <= 0;
}

int main(int argc, char **argv)
{
    struct held held;
    unsigned long looks = 0;

    if (argc != 3) {
        (void)fprintf(stderr, "usage: lock_watch PID DB_PATH\n");
        return 2;
    }
    for (bool is_attached = false; !is_input_over();) {
        if (!process_look(argv[1], argv[2], &held)) {
            (void)printf("gone %lu\n", looks);
            return 1;
        }
        if (!is_attached && !missing(&held)) {
            is_attached = true;
            (void)printf("attached\n");
            (void)fflush(stdout);
        }
        if (!is_attached)
            continue;
        looks++;
        if (missing(&held) && process_look(argv[1], argv[2], &held) && missing(&held)) {
            (void)printf("lost %s %lu\n", missing(&held), looks);
            return 1;
        }
    }
    (void)printf("ok %lu\n", looks);
    return 0;
}
