/*
 * The tracer. Each stop of a thread is one of: entry into a system call (counted if it changes
 * something), return from it,
 * a new thread (which begins with a stop of its own), the exec, a signal (passed on), the end.
 */
#include "lib/testing/kill_at.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/testing/test.h"

enum {
    PATH_BYTES = 512,
    SYSCALL_STOP = SIGTRAP | 0x80, /* PTRACE_O_TRACESYSGOOD */
};

struct tracer {
    pid_t pid;
    const char *mark;
    uint64_t n;
    bool has_begun;
    struct kill_at_result *out;
};

static NO_RETURN void tracee_run(const char *const *argv, const char *log_path)
{
    int fd = log_path ? open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    bool has_output = !log_path || (fd >= 0 && dup2(fd, 1) == 1 && dup2(fd, 2) == 2);

    /* A sanitizer cannot look for leaks while ptrace holds the process. */
    IGNORE(setenv("ASAN_OPTIONS", "detect_leaks=0", 1)); /* without memory the exec fails, too */
    if (has_output && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
        ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 && raise(SIGSTOP) == 0)
        (void)execvp(argv[0], (char *const *)(uintptr_t)argv); /* returns only on failure */
    _exit(127);
}

/* ---- what counts ---- */

/* Calls that are changes, whatever their arguments; those that need a look are in is_change(). */
static const uint64_t changing_calls[] = {
    SYS_pwrite64,  SYS_writev,    SYS_pwritev,   SYS_pwritev2, SYS_truncate,        SYS_ftruncate,
    SYS_fallocate, SYS_fsync,     SYS_fdatasync, SYS_mkdirat,  SYS_unlinkat,        SYS_linkat,
    SYS_symlinkat, SYS_renameat,  SYS_renameat2, SYS_fchmod,   SYS_fchmodat,        SYS_fchown,
    SYS_fchownat,  SYS_utimensat, SYS_sendfile,  SYS_splice,   SYS_copy_file_range, SYS_connect,
    SYS_sendto,    SYS_sendmsg,   SYS_sendmmsg,  SYS_shutdown, SYS_exit_group,
#ifdef __x86_64__
    SYS_mkdir,     SYS_rmdir,     SYS_unlink,    SYS_link,     SYS_symlink,         SYS_rename,
    SYS_creat,     SYS_chmod,     SYS_chown,     SYS_lchown,
#endif
};

static bool is_changing_call(uint64_t nr)
{
    for (size_t i = 0; i < ARRAY_LEN(changing_calls); i++) {
        if (changing_calls[i] == nr)
            return true;
    }
    return false;
}

/* By which the threads of the program wake each other. */
static bool is_eventfd(pid_t tid, uint64_t fd)
{
    static const char eventfd[] = "anon_inode:[eventfd]";
    char path[64];
    char target[64] = "";

    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%" PRIu64, (int)tid, fd); /* bounded */
    return readlink(path, target, sizeof(target) - 1) > 0 && strcmp(target, eventfd) == 0;
}

static bool is_change(pid_t tid, const struct __ptrace_syscall_info *info)
{
    const uint64_t *args = (const uint64_t *)info->entry.args;

    switch (info->entry.nr) {
    case SYS_write:
        return !is_eventfd(tid, args[0]);
    case SYS_openat:
        return (args[2] & (O_CREAT | O_TRUNC)) != 0;
#ifdef __x86_64__
    case SYS_open:
        return (args[1] & (O_CREAT | O_TRUNC)) != 0;
#endif
    case SYS_fcntl:
        return args[1] == F_SETLK || args[1] == F_SETLKW || args[1] == F_OFD_SETLK ||
               args[1] == F_OFD_SETLKW;
    default:
        return is_changing_call(info->entry.nr);
    }
}

/* ---- the tracer ---- */

/* Whether the thread is about to open the mark. */
static bool is_mark(pid_t tid, const struct tracer *t, const struct __ptrace_syscall_info *info)
{
    char path[PATH_BYTES] = "";
    struct iovec here = {.iov_base = path, .iov_len = sizeof(path) - 1};
    struct iovec there = {.iov_base = (void *)(uintptr_t)info->entry.args[1],
                          .iov_len = sizeof(path) - 1};

    if (info->entry.nr != SYS_openat)
        return false;
    /* The path may lie near the end of a mapping: then less can be read. */
    while (there.iov_len > 0 && process_vm_readv(tid, &here, 1, &there, 1, 0) < 0)
        there.iov_len /= 2;
    return strstr(path, t->mark);
}

static void on_entry(struct tracer *t, pid_t tid)
{
    struct __ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, (void *)sizeof(info), &info) < 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return; /* killed meanwhile; or a return */
    t->has_begun = t->has_begun || is_mark(tid, t, &info);
    if (!t->has_begun || !is_change(tid, &info))
        return;
    t->out->changes++;
    if (t->out->changes == t->n) {
        t->out->was_killed = true;
        assert_int_equal(kill(t->pid, SIGKILL), 0);
    }
}

/* The signal that a stop is about, to be passed on; 0: the stop is the tracer's own. */
static int on_stop(struct tracer *t, pid_t tid, int status)
{
    int signum = WSTOPSIG(status);

    if (signum == SYSCALL_STOP) {
        on_entry(t, tid);
        return 0;
    }
    /* Events, and the stop with which a new thread begins. */
    if (status >> 16 || signum == SIGSTOP)
        return 0;
    return signum;
}

void kill_at(const char *const *argv, const char *log_path, const char *mark, uint64_t n,
             struct kill_at_result *out)
{
    struct tracer t = {.mark = mark, .n = n, .out = out};
    const uintptr_t options =
        PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    int status = 0;

    *out = (struct kill_at_result){.changes = 0};
    t.pid = fork();
    if (t.pid == 0)
        tracee_run(argv, log_path);
    assert_true(t.pid > 0);
    assert_int_equal(waitpid(t.pid, &status, 0), t.pid);
    assert_true(WIFSTOPPED(status));
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, t.pid, NULL, (void *)options), 0);
    pid_t tid = t.pid;
    int signum = 0;
    for (;;) {
        /* A thread that was killed cannot be told to go on: its end comes next. */
        (void)ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(uintptr_t)signum);
        tid = waitpid(-1, &status, __WALL);
        assert_true(tid > 0);
        if (tid == t.pid && !WIFSTOPPED(status))
            break;
        signum = WIFSTOPPED(status) ? on_stop(&t, tid, status) : 0;
    }
    out->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
