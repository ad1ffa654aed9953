/*
 * Applications in processes of their own, which take orders through pipes.
 *
 * The child is this very program started again (not a mere fork: SQLite's state must not be
 * inherited). Failing fsync: this program's own fsync() and fdatasync() stand before the C
 * library's when the dynamic linker binds SQLite.
 */
#include "lib/testing/app_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/testing/test.h"

enum {
    CONNECTIONS = 8,
    ORDER_BYTES_MAX = 4096,
    SHM_SECOND_CHANGE = 48 + 8, /* the change counter in the second header copy */
};

#define CHILD_PROGRAM "app-process"
#define CHILD_NAME    "--app-process"

static unsigned syncs_to_fail;

int fsync(int fd)
{
    if (syncs_to_fail > 0) {
        syncs_to_fail--;
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    if (syncs_to_fail > 0) {
        syncs_to_fail--;
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

/* ---- the child ---- */

static sqlite3 *dbs[CONNECTIONS];

static void say_error(sqlite3 *db, int rc)
{
    printf("error %d %s\n", rc, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

static int row_keep(void *text, int columns, char **values, char **names UNUSED)
{
    char *out = text;

    if (*out) {
        return 0;
    }
    for (int i = 0; i < columns; i++) {
        size_t n = strlen(out);
        (void)snprintf(out + n, 400 - n, "%s%s", i ? "|" : "", values[i] ? values[i] : "");
    }
    return 0;
}

static void order_open(unsigned c, const char *path)
{
    int rc = sqlite3_open(path, &dbs[c]);
    if (rc == SQLITE_OK) {
        rc = sqlite3_wal_autocheckpoint(dbs[c], 0);
    }
    if (rc != SQLITE_OK) {
        say_error(dbs[c], rc);
    } else {
        printf("ok\n");
    }
}

static void order_close(unsigned c)
{
    int rc = sqlite3_close(dbs[c]);
    dbs[c] = NULL;
    printf("%s %d\n", rc == SQLITE_OK ? "ok" : "error", rc);
}

static void order_sql(unsigned c, const char *sql, long count)
{
    char text[512] = "";
    int rc = SQLITE_OK;

    sqlite3_extended_result_codes(dbs[c], 1);
    for (long i = 0; i < count && rc == SQLITE_OK; i++) {
        rc = sqlite3_exec(dbs[c], sql, row_keep, text, NULL);
    }
    if (rc != SQLITE_OK) {
        say_error(dbs[c], rc);
    } else {
        printf("ok %s\n", text);
    }
}

static void order_spin(unsigned c, const char *sql)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    unsigned long done = 0;
    unsigned long failed = 0;

    printf("ok\n");
    (void)fflush(stdout);
    while (poll(&in, 1, 0) == 0) {
        if (sqlite3_exec(dbs[c], sql, NULL, NULL, NULL) == SQLITE_OK) {
            done++;
            continue;
        }
        failed++;
        if (!sqlite3_get_autocommit(dbs[c])) {
            (void)sqlite3_exec(dbs[c], "ROLLBACK", NULL, NULL, NULL);
        }
    }
    printf("ok %lu %lu\n", done, failed);
}

static void order_image(unsigned c, const char *path)
{
    sqlite3_int64 size = 0;
    unsigned char *p = sqlite3_serialize(dbs[c], "main", &size, 0);
    FILE *f = p ? fopen(path, "wb") : NULL;
    size_t put = f ? fwrite(p, 1, (size_t)size, f) : 0;
    bool is_closed = f && fclose(f) == 0;

    printf("%s %lld\n", is_closed && put == (size_t)size ? "ok" : "error", (long long)size);
    sqlite3_free(p);
}

static void order_tear(const char *path)
{
    char shm[ORDER_BYTES_MAX + 8];
    (void)snprintf(shm, sizeof(shm), "%s-shm", path);
    int fd = open(shm, O_RDWR | O_CLOEXEC);
    void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED) {
        printf("error %d\n", errno);
        return;
    }
    ((volatile uint8_t *)p)[SHM_SECOND_CHANGE] ^= 1;
    (void)munmap(p, 4096);
    (void)close(fd); /* this process holds no lock that could go with it */
    printf("ok\n");
}

static void order_become(const char *uid)
{
    uid_t id = (uid_t)strtoul(uid, NULL, 10);
    bool is_done = setgid((gid_t)id) == 0 && setuid(id) == 0;
    printf("%s\n", is_done ? "ok" : "error");
}

static void order_obey(char *line)
{
    char *rest = line;
    const char *verb = strsep(&rest, " ");

    if (strcmp(verb, "fail_sync") == 0) {
        syncs_to_fail = (unsigned)strtoul(rest, NULL, 10);
        printf("ok\n");
    } else if (strcmp(verb, "tear") == 0) {
        order_tear(rest);
    } else if (strcmp(verb, "become") == 0) {
        order_become(rest);
    } else {
        unsigned c = (unsigned)strtoul(strsep(&rest, " "), NULL, 10) % CONNECTIONS;
        if (strcmp(verb, "open") == 0) {
            order_open(c, rest);
        } else if (strcmp(verb, "close") == 0) {
            order_close(c);
        } else if (strcmp(verb, "sql") == 0) {
            order_sql(c, rest, 1);
        } else if (strcmp(verb, "spin") == 0) {
            order_spin(c, rest);
        } else if (strcmp(verb, "image") == 0) {
            order_image(c, rest);
        } else if (strcmp(verb, "loop") == 0) {
            long count = strtol(strsep(&rest, " "), NULL, 10);
            order_sql(c, rest, count);
        } else {
            printf("error 0 unknown order %s\n", verb);
        }
    }
    (void)fflush(stdout);
}

void app_process_main(int argc, char **argv)
{
    static char line[ORDER_BYTES_MAX];

    if (argc < 2 || strcmp(argv[1], CHILD_NAME) != 0) {
        return;
    }
    (void)setvbuf(stdin, NULL, _IONBF, 0); /* spin polls the pipe itself */
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = 0;
        order_obey(line);
    }
    for (unsigned c = 0; c < CONNECTIONS; c++) {
        (void)sqlite3_close(dbs[c]);
    }
    _exit(0);
}

/* ---- the parent ---- */

void app_start(struct app_process *app)
{
    char *argv[] = {CHILD_PROGRAM, CHILD_NAME, NULL};
    int to[2];
    int from[2];
    posix_spawn_file_actions_t actions;

    /* Here only if its main() ran on: each child would start the next, until the machine has no more. */
    if (strcmp(program_invocation_name, CHILD_PROGRAM) == 0) {
        (void)fprintf(stderr, "main() must begin with app_process_main()\n");
        _exit(1);
    }
    *app = (struct app_process){.pid = 0};
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO), 0);
    assert_int_equal(posix_spawn(&app->pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    app->orders = fdopen(to[1], "w");
    app->answers = fdopen(from[0], "r");
    assert_non_null(app->orders);
    assert_non_null(app->answers);
}

static void app_wait(struct app_process *app)
{
    int status;

    if (app->orders) {
        (void)fclose(app->orders);
    }
    assert_int_equal(waitpid(app->pid, &status, 0), app->pid);
    (void)fclose(app->answers);
    *app = (struct app_process){.pid = 0};
}

void app_stop(struct app_process *app)
{
    if (app->pid) {
        app_wait(app);
    }
}

void app_kill(struct app_process *app)
{
    if (!app->pid) {
        return;
    }
    (void)kill(app->pid, SIGKILL);
    app_wait(app);
}

PRINTF_LIKE(2, 0)
static void order_put(struct app_process *app, const char *fmt, va_list ap)
{
    assert_true(vfprintf(app->orders, fmt, ap) > 0);
    assert_int_not_equal(fputc('\n', app->orders), EOF);
    assert_int_equal(fflush(app->orders), 0);
}

void app_send(struct app_process *app, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    order_put(app, fmt, ap);
    va_end(ap);
}

const char *app_receive(struct app_process *app)
{
    assert_non_null(fgets(app->answer, sizeof(app->answer), app->answers));
    app->answer[strcspn(app->answer, "\n")] = 0;
    return app->answer;
}

const char *app_ask(struct app_process *app, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    order_put(app, fmt, ap);
    va_end(ap);
    return app_receive(app);
}

const char *app_ok(struct app_process *app, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    order_put(app, fmt, ap);
    va_end(ap);
    const char *answer = app_receive(app);
    if (strncmp(answer, "ok", 2) != 0) {
        print_error("# order \"%s\" was answered \"%s\"\n", fmt, answer);
        fail();
    }
    return answer[2] ? answer + 3 : answer + 2;
}

unsigned long app_spin_end(struct app_process *app, unsigned long *out_failed)
{
    char *rest;

    app_send(app, "fail_sync 0");
    unsigned long done = strtoul(app_receive(app) + 3, &rest, 10);
    if (out_failed) {
        *out_failed = strtoul(rest, NULL, 10);
    }
    (void)app_receive(app); /* of the line that ended it */
    return done;
}
