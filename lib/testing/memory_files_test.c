/*
 * Files in memory answer as the kernel's do: the same operations, drawn at random, on both.
 */
#include "lib/testing/memory_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/testing/history.h"
#include "lib/testing/test.h"

enum {
    OPERATIONS = 20000,
    NAMES = 7,
    OPEN_MAX_HERE = 6,
    BYTES_MAX = 100000,
};

struct both {
    char folder[256]; /* of the kernel's */
    char doubles[300];
    uint64_t luck;
    int fds[OPEN_MAX_HERE][2]; /* the kernel's and ours; 0: not open */
};

static uint64_t draw(struct both *b, uint64_t limit)
{
    b->luck = history_mix(b->luck + 1);
    return b->luck % limit;
}

static const struct env_file *kernel(void)
{
    return &env_real()->file;
}

/* A name in both: some lie in a folder that may be missing. */
static void name_draw(struct both *b, char real[static 400], char ours[static 400])
{
    static const char *const names[NAMES] = {"a", "b", "c", "d", "f", "f/a", "f/b"};
    const char *name = names[draw(b, NAMES)];

    (void)snprintf(real, 400, "%s/%s", b->folder, name);
    (void)snprintf(ours, 400, "%s", name);
}

static void open_one(struct both *b, int *fds)
{
    static const int flags[] = {O_RDONLY,           O_RDWR,
                                O_RDWR | O_CREAT,   O_RDWR | O_CREAT | O_EXCL,
                                O_RDWR | O_TRUNC,   O_RDONLY | O_DIRECTORY,
                                O_WRONLY | O_CREAT, O_RDWR | O_CREAT | O_TRUNC};
    char real[400];
    char ours[400];
    int flag = flags[draw(b, ARRAY_LEN(flags))];

    name_draw(b, real, ours);
    fds[0] = kernel()->open(NULL, real, flag, 0644);
    fds[1] = memory_files()->open(NULL, ours, flag, 0644);
    assert_true(fds[0] < 0 ? fds[0] == fds[1] : fds[1] >= MEMORY_FILES_FD);
    if (fds[0] < 0)
        fds[0] = fds[1] = 0;
}

static void same_bytes(const int *fds, int64_t offset, size_t n)
{
    static uint8_t bytes[2][BYTES_MAX];
    ssize_t got = kernel()->pread(NULL, fds[0], bytes[0], n, offset);

    assert_int_equal(memory_files()->pread(NULL, fds[1], bytes[1], n, offset), got);
    assert_true(got <= 0 || memcmp(bytes[0], bytes[1], (size_t)got) == 0);
}

static void same_facts(const int *fds)
{
    struct stat st[2];

    assert_int_equal(kernel()->fstat(NULL, fds[0], &st[0]), 0);
    assert_int_equal(memory_files()->fstat(NULL, fds[1], &st[1]), 0);
    assert_int_equal(S_ISDIR(st[1].st_mode), S_ISDIR(st[0].st_mode));
    if (S_ISDIR(st[0].st_mode))
        return;
    assert_int_equal(st[1].st_size, st[0].st_size);
    assert_int_equal(st[1].st_nlink, st[0].st_nlink);
}

/* On an open file. */
static void file_operation(struct both *b, int *fds)
{
    static uint8_t bytes[BYTES_MAX];
    int64_t offset = (int64_t)draw(b, 150000);
    size_t n = draw(b, draw(b, 2) ? 600 : 70000);

    switch (draw(b, 6)) {
    case 0: {
        memset(bytes, (int)draw(b, 256), n);
        ssize_t put = kernel()->pwrite(NULL, fds[0], bytes, n, offset);
        if (put >= 0) /* else it is open for reading, of which ours knows nothing */
            assert_int_equal(memory_files()->pwrite(NULL, fds[1], bytes, n, offset), put);
        break;
    }
    case 1:
        if (kernel()->ftruncate(NULL, fds[0], offset) == 0) /* likewise */
            assert_int_equal(memory_files()->ftruncate(NULL, fds[1], offset), 0);
        break;
    case 2:
        assert_int_equal(kernel()->close(NULL, fds[0]), 0);
        assert_int_equal(memory_files()->close(NULL, fds[1]), 0);
        fds[0] = fds[1] = 0;
        return;
    default: {
        struct stat st;
        assert_int_equal(kernel()->fstat(NULL, fds[0], &st), 0);
        if (!S_ISDIR(st.st_mode) && (fcntl(fds[0], F_GETFL) & O_ACCMODE) != O_WRONLY)
            same_bytes(fds, offset, n);
    }
    }
    same_facts(fds);
}

/* On names. */
static void name_operation(struct both *b)
{
    char real[2][400];
    char ours[2][400];
    struct stat st[2];

    name_draw(b, real[0], ours[0]);
    name_draw(b, real[1], ours[1]);
    bool is_folder = stat(real[0], &st[0]) == 0 && S_ISDIR(st[0].st_mode);
    bool to_folder = stat(real[1], &st[0]) == 0 && S_ISDIR(st[0].st_mode);
    switch (draw(b, 7)) {
    case 0:
        assert_int_equal(memory_files()->unlink(NULL, ours[0]), kernel()->unlink(NULL, real[0]));
        return;
    case 1:
        if (!is_folder && !to_folder) {
            assert_int_equal(memory_files()->rename(NULL, ours[0], ours[1]),
                             kernel()->rename(NULL, real[0], real[1]));
        }
        return;
    case 2:
        if (!is_folder && !to_folder && strcmp(ours[0], ours[1]) != 0) {
            assert_int_equal(memory_files()->rename_noreplace(NULL, ours[0], ours[1]),
                             kernel()->rename_noreplace(NULL, real[0], real[1]));
        }
        return;
    case 3:
        if (!is_folder) {
            assert_int_equal(memory_files()->link(NULL, ours[0], ours[1]),
                             kernel()->link(NULL, real[0], real[1]));
        }
        return;
    case 4:
        if (strcmp(ours[0], "f") == 0) {
            assert_int_equal(memory_files()->mkdir(NULL, ours[0], 0755),
                             kernel()->mkdir(NULL, real[0], 0755));
        }
        return;
    default:
        assert_int_equal(memory_files()->stat(NULL, ours[0], &st[1]),
                         kernel()->stat(NULL, real[0], &st[0]));
    }
}

static void both_begin(struct both *b, uint64_t luck)
{
    *b = (struct both){.luck = luck};
    test_folder_make(b->folder);
    (void)snprintf(b->doubles, sizeof(b->doubles), "%s-doubles", b->folder);
    memory_files_begin(b->doubles);
}

static void both_end(struct both *b)
{
    for (size_t i = 0; i < OPEN_MAX_HERE; i++) {
        if (!b->fds[i][0])
            continue;
        assert_int_equal(kernel()->close(NULL, b->fds[i][0]), 0);
        assert_int_equal(memory_files()->close(NULL, b->fds[i][1]), 0);
    }
    memory_files_end();
    test_folder_remove(b->folder);
}

static void test_files_in_memory_answer_as_the_kernel_does(void **state UNUSED)
{
    struct both b;

    both_begin(&b, 20261126);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        int *fds = b.fds[draw(&b, OPEN_MAX_HERE)];
        if (draw(&b, 3) == 0)
            name_operation(&b);
        else if (fds[0])
            file_operation(&b, fds);
        else
            open_one(&b, fds);
    }
    both_end(&b);
}

static int file_make(const char *path)
{
    int fd = memory_files()->open(NULL, path, O_RDWR | O_CREAT, 0644);

    assert_true(fd >= MEMORY_FILES_FD);
    return fd;
}

static int lock(int fd, int command, short type, int64_t start, int64_t n)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = n};
    int rc = memory_files()->lock(NULL, fd, command, &l);

    if (command == F_OFD_GETLK || command == F_GETLK)
        return l.l_type;
    return rc;
}

static void test_locks_of_descriptors_exclude_each_other_and_the_process(void **state UNUSED)
{
    struct both b;

    both_begin(&b, 1);
    int one = file_make("x");
    int two = file_make("x");
    assert_int_equal(lock(one, F_OFD_SETLK, F_WRLCK, 0, 10), 0);
    assert_int_equal(lock(two, F_OFD_SETLK, F_RDLCK, 9, 1), -EAGAIN);
    assert_int_equal(lock(two, F_SETLK, F_RDLCK, 9, 1), -EAGAIN);
    assert_int_equal(lock(two, F_OFD_SETLK, F_RDLCK, 10, 1), 0);
    assert_int_equal(lock(one, F_OFD_SETLK, F_UNLCK, 4, 2), 0); /* out of the middle */
    assert_int_equal(lock(two, F_OFD_GETLK, F_WRLCK, 3, 1), F_WRLCK);
    assert_int_equal(lock(two, F_OFD_GETLK, F_WRLCK, 4, 2), F_UNLCK);
    assert_int_equal(lock(two, F_OFD_GETLK, F_WRLCK, 6, 1), F_WRLCK);
    assert_int_equal(memory_files()->close(NULL, one), 0);
    assert_int_equal(lock(two, F_OFD_GETLK, F_WRLCK, 0, 10), F_UNLCK);
    assert_int_equal(memory_files()->close(NULL, two), 0);
    both_end(&b);
}

static void test_any_closed_descriptor_drops_the_locks_of_the_process(void **state UNUSED)
{
    struct both b;

    both_begin(&b, 1);
    int one = file_make("x");
    int two = file_make("x");
    assert_int_equal(lock(one, F_SETLK, F_WRLCK, 0, 0), 0);
    assert_int_equal(lock(two, F_SETLK, F_WRLCK, 5, 1), 0); /* it is the same process */
    assert_int_equal(lock(two, F_OFD_GETLK, F_WRLCK, 7, 1), F_WRLCK);
    assert_int_equal(memory_files()->close(NULL, two), 0);
    two = file_make("x");
    assert_int_equal(lock(two, F_OFD_GETLK, F_WRLCK, 7, 1), F_UNLCK);
    assert_int_equal(memory_files()->close(NULL, one), 0);
    assert_int_equal(memory_files()->close(NULL, two), 0);
    both_end(&b);
}

/* The events that wait, as one set of bits. */
static uint32_t events_take(int inotify_fd)
{
    char bytes[4096];
    uint32_t all = 0;
    ssize_t got = read(inotify_fd, bytes, sizeof(bytes));

    for (ssize_t at = 0; at < got;) {
        struct inotify_event event;
        memcpy(&event, bytes + at, sizeof(event));
        all |= event.mask;
        at += (ssize_t)(sizeof(event) + event.len);
    }
    return all;
}

static void test_what_is_watched_tells_what_happens_to_it(void **state UNUSED)
{
    const uint32_t mask = IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF | IN_CREATE;
    struct both b;

    both_begin(&b, 1);
    int inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    int fd = file_make("x");
    assert_true(memory_files()->watch(NULL, inotify_fd, "x", mask) > 0);
    assert_int_equal(memory_files()->watch(NULL, inotify_fd, "none", mask), -ENOENT);
    assert_int_equal(events_take(inotify_fd), 0);
    assert_int_equal(memory_files()->pwrite(NULL, fd, "a", 1, 0), 1);
    assert_int_equal(events_take(inotify_fd), IN_MODIFY);
    assert_int_equal(memory_files()->rename(NULL, "x", "y"), 0);
    assert_int_equal(events_take(inotify_fd), IN_MOVE_SELF);
    assert_int_equal(memory_files()->unlink(NULL, "y"), 0);
    assert_int_equal(events_take(inotify_fd), IN_ATTRIB); /* it is open */
    assert_int_equal(memory_files()->close(NULL, fd), 0);
    assert_int_equal(events_take(inotify_fd), IN_DELETE_SELF | IN_IGNORED);
    assert_true(memory_files()->watch(NULL, inotify_fd, MEMORY_FILES_HOME, mask) > 0);
    fd = file_make("z");
    assert_int_equal(events_take(inotify_fd), IN_CREATE);
    assert_int_equal(memory_files()->close(NULL, fd), 0);
    (void)close(inotify_fd);
    both_end(&b);
}

static void test_a_copied_folder_is_the_same_and_another(void **state UNUSED)
{
    struct both b;
    size_t n = 0;

    both_begin(&b, 1);
    assert_int_equal(memory_files()->mkdir(NULL, "from", 0755), 0);
    assert_int_equal(memory_files()->mkdir(NULL, "from/deep", 0755), 0);
    int fd = file_make("from/deep/x");
    assert_int_equal(memory_files()->pwrite(NULL, fd, "abc", 3, 40000), 3);
    memory_files_copy("from", "to");
    assert_int_equal(memory_files()->pwrite(NULL, fd, "xyz", 3, 40000), 3);
    assert_int_equal(memory_files()->close(NULL, fd), 0);
    uint8_t *bytes = memory_files_read("to/deep/x", &n);
    assert_int_equal(n, 40003);
    assert_memory_equal(bytes + 40000, "abc", 3);
    free(bytes);
    memory_files_remove("to");
    assert_false(memory_files_exist("to/deep/x"));
    assert_true(memory_files_exist("from/deep/x"));
    both_end(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_files_in_memory_answer_as_the_kernel_does),
        TEST(test_locks_of_descriptors_exclude_each_other_and_the_process),
        TEST(test_any_closed_descriptor_drops_the_locks_of_the_process),
        TEST(test_what_is_watched_tells_what_happens_to_it),
        TEST(test_a_copied_folder_is_the_same_and_another),
    };
    return TEST_MAIN(tests);
}
