/*
 * Files in memory that are watched: each has a double of the kernel's.
 *
 * A double is a file below a folder of the kernel's, named by the node's number, and open as long as the
 * node lives. Writes write to it, a name that goes unlinks it, a rename renames it; for a folder, a
 * new name in it is made there for a moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/testing/memory_files_internal.h"
#include "lib/testing/test.h"

static struct {
    const char *folder;
    bool is_there; /* the folder was made */
    unsigned count;
} the_doubles;

void memory_double_touch(const struct node *node)
{
    if (node->double_fd >= 0 && S_ISREG(node->mode))
        assert_int_equal(pwrite(node->double_fd, "", 1, 0), 1);
}

void memory_double_change(const struct node *node)
{
    if (node->double_fd >= 0)
        assert_int_equal(fchmod(node->double_fd, 0600), 0);
}

void memory_double_unlink(struct node *node)
{
    if (node->double_fd < 0 || !node->double_path[0] || S_ISDIR(node->mode))
        return; /* a folder's goes when nobody has it open */
    assert_int_equal(unlink(node->double_path), 0);
    node->double_path[0] = '\0';
}

void memory_double_rename(struct node *node)
{
    char to[PATH_BYTES];

    if (node->double_fd < 0 || !node->double_path[0])
        return;
    (void)snprintf(to, sizeof(to), "%s/%u-moved", the_doubles.folder, the_doubles.count++);
    assert_int_equal(rename(node->double_path, to), 0);
    (void)snprintf(node->double_path, sizeof(node->double_path), "%s", to);
}

/* Something got this name in the folder. */
void memory_double_fill(const struct node *folder, const char *path)
{
    char at[2 * PATH_BYTES];

    if (folder->double_fd < 0)
        return;
    (void)snprintf(at, sizeof(at), "%s%s", folder->double_path, strrchr(path, '/')); /* fits */
    int fd = open(at, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);  /* nothing was written */
    (void)unlink(at); /* it was there */
}

static void double_make(struct node *node)
{
    if (node->double_fd >= 0)
        return;
    if (!the_doubles.is_there)
        assert_true(mkdir(the_doubles.folder, 0700) == 0 || errno == EEXIST);
    the_doubles.is_there = true;
    bool is_folder = S_ISDIR(node->mode);
    (void)snprintf(node->double_path, sizeof(node->double_path), "%s/%u", the_doubles.folder,
                   the_doubles.count++);
    if (is_folder)
        assert_int_equal(mkdir(node->double_path, 0700), 0);
    node->double_fd =
        open(node->double_path,
             is_folder ? O_RDONLY | O_DIRECTORY | O_CLOEXEC : O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(node->double_fd >= 0);
}

int memory_watch(void *ctx UNUSED, int inotify_fd, const char *path, uint32_t mask)
{
    struct node *node = memory_node_of(path);

    if (!node)
        return -ENOENT;
    double_make(node);
    int wd = inotify_add_watch(inotify_fd, node->double_path, mask);
    return wd < 0 ? -errno : wd;
}

void memory_double_end(struct node *node)
{
    if (node->double_fd < 0)
        return;
    (void)close(node->double_fd); /* nothing to lose */
    node->double_fd = -1;
    if (S_ISDIR(node->mode))
        assert_int_equal(rmdir(node->double_path), 0);
}

void memory_doubles_begin(const char *folder)
{
    the_doubles.folder = folder;
    the_doubles.count = 0;
}

void memory_doubles_end(void)
{
    if (the_doubles.is_there)
        assert_int_equal(rmdir(the_doubles.folder), 0);
    the_doubles.is_there = false;
}
