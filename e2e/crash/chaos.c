/*
 * chaos: an application, walferry and the disk die at any instant, and after each death the replica
 * must hold what was acknowledged, restore to a committed state, and go on.
 *
 *     chaos WALFERRY FOLDER ROUNDS [SEED]
 *
 * A round: start walferry and the application (transactions of history.h, as fast as they go, with
 * maintenance and now and then a long reader), let them run for a while, make what is committed
 * acknowledged now and then (POST /sync on the control socket), stop, continue, kill them in an
 * order that the seed says. Then:
 *
 *   1. restore latest: the content is exactly that of transactions 1..n, integrity_check is ok, and
 *      n is at least the newest transaction that was acknowledged
 *   2. restore a TXID of the past: exactly that of 1..m, m <= n
 *   3. sometimes the disk is lost: the restored database takes the place of the old one
 *
 * The seed is printed; the same seed makes the same schedule (not the same interleaving).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/testing/history.h"

enum {
    PATH_BYTES = 512,
};

/* Shared with the application: what it has committed. */
struct board {
    volatile uint64_t committed;
    volatile bool should_end;
};

struct chaos {
    const char *walferry;
    char folder[PATH_BYTES];
    uint64_t seed;
    uint64_t state;
    struct board *board;
    pid_t app;
    pid_t sidecar;
    uint64_t acknowledged;
    unsigned round;
};

static void path_of(const struct chaos *c, const char *name, char out[static PATH_BYTES])
{
    int n = snprintf(out, PATH_BYTES, "%.400s/%s", c->folder, name);
    if (n < 0 || n >= PATH_BYTES)
        abort();
}

static uint64_t pick(struct chaos *c, uint64_t limit)
{
    c->state = history_mix(c->state);
    return c->state % limit;
}

static void wait_ms(uint64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

static void fail(const struct chaos *c, const char *what)
{
    (void)fprintf(stderr, "chaos: round %u: %s (seed %llu, folder %s)\n", c->round, what,
                  (unsigned long long)c->seed, c->folder);
    if (c->app > 0)
        (void)kill(c->app, SIGKILL);
    if (c->sidecar > 0)
        (void)kill(c->sidecar, SIGKILL);
    exit(1);
}

/* ---- the application ---- */

static void app_run(struct chaos *c, uint64_t luck)
{
    char path[PATH_BYTES];
    sqlite3 *db = NULL;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    path_of(c, "app.db", path);
    if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_busy_timeout(db, 5000) != SQLITE_OK)
        _exit(1);
    (void)sqlite3_exec(db, luck % 2 ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", NULL,
                       NULL, NULL);
    if (history_last(db) < 0 && !history_begin(db))
        _exit(1);
    uint64_t n = (uint64_t)history_last(db);
    c->board->committed = n;
    while (!c->board->should_end) {
        if (history_apply(db, n + 1)) {
            n++;
            c->board->committed = n;
        }
        uint64_t h = history_mix(n + luck);
        if (h % 40 == 0)
            history_maintain(db, h / 40);
        if (h % 8 == 0)
            wait_ms(h / 8 % 12);
    }
    (void)sqlite3_close(db); /* the last close checkpoints unless the sidecar is there */
    _exit(0);
}

static void app_start(struct chaos *c)
{
    uint64_t luck = pick(c, 1U << 30);

    c->board->should_end = false;
    c->app = fork();
    if (c->app == 0)
        app_run(c, luck);
    if (c->app < 0)
        fail(c, "fork");
}

/* ---- processes ---- */

static int spawn(const struct chaos *c, char *const argv[], pid_t *out_pid)
{
    char log[PATH_BYTES];

    path_of(c, "walferry.log", log);
    *out_pid = fork();
    if (*out_pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (fd >= 0) {
            (void)dup2(fd, STDOUT_FILENO);
            (void)dup2(fd, STDERR_FILENO);
        }
        (void)execv(c->walferry, argv);
        _exit(127);
    }
    return *out_pid > 0 ? 0 : -1;
}

static int ended(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void sidecar_start(struct chaos *c)
{
    char config[PATH_BYTES];
    char *argv[] = {(char *)"walferry", (char *)"replicate", (char *)"-config", config, NULL};

    path_of(c, "walferry.yml", config);
    if (spawn(c, argv, &c->sidecar) < 0)
        fail(c, "fork");
}

static void end(pid_t *pid, int signum)
{
    if (*pid <= 0)
        return;
    (void)kill(*pid, SIGCONT);
    (void)kill(*pid, signum);
    (void)ended(*pid);
    *pid = 0;
}

/* ---- acknowledgement ---- */

/* POST /sync on the control socket; true if everything committed before is in the store. */
static bool sync_ask(const struct chaos *c)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char body[PATH_BYTES + 64];
    char request[PATH_BYTES + 256];
    char answer[4096] = "";
    struct timeval patience = {.tv_sec = 5};
    size_t got = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%.90s/w.sock", c->folder);
    int n = snprintf(body, sizeof(body), "{\"path\":\"%s/app.db\",\"wait\":true,\"timeout\":4}",
                     c->folder);
    n = snprintf(request, sizeof(request),
                 "POST /sync HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                 "Content-Length: %d\r\nConnection: close\r\n\r\n%s",
                 n, body);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
        send(fd, request, (size_t)n, MSG_NOSIGNAL) == n) {
        ssize_t more;
        while (got < sizeof(answer) - 1 &&
               (more = recv(fd, answer + got, sizeof(answer) - 1 - got, 0)) > 0)
            got += (size_t)more;
    }
    if (fd >= 0)
        (void)close(fd); /* nothing to lose */
    answer[got] = '\0';
    return strncmp(answer, "HTTP/1.1 200", 12) == 0 &&
           (strstr(answer, "\"synced\"") || strstr(answer, "\"no_change\""));
}

static void acknowledge(struct chaos *c)
{
    uint64_t committed = c->board->committed;

    if (sync_ask(c) && committed > c->acknowledged)
        c->acknowledged = committed;
}

/* ---- judging ---- */

/* The right content of transactions 1..n, computed from nothing. */
static uint64_t digest_of(const struct chaos *c, uint64_t n)
{
    sqlite3 *db = NULL;
    uint64_t digest = 0;

    if (sqlite3_open(":memory:", &db) != SQLITE_OK || !history_begin(db))
        fail(c, "model");
    for (uint64_t i = 1; i <= n; i++) {
        if (!history_apply(db, i))
            fail(c, "model");
    }
    if (!history_digest(db, &digest))
        fail(c, "model");
    (void)sqlite3_close(db); /* in memory */
    return digest;
}

static bool integrity_is_ok(sqlite3 *db)
{
    sqlite3_stmt *s = NULL;
    bool is_ok = sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &s, NULL) == SQLITE_OK &&
                 sqlite3_step(s) == SQLITE_ROW &&
                 strcmp((const char *)sqlite3_column_text(s, 0), "ok") == 0;
    (void)sqlite3_finalize(s); /* repeats the result of the step */
    return is_ok;
}

/* The number of transactions in a restored database, after everything about it was found right. */
static uint64_t judge(const struct chaos *c, const char *path)
{
    sqlite3 *db = NULL;
    uint64_t digest = 0;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        fail(c, "restored database cannot be opened");
    if (!integrity_is_ok(db))
        fail(c, "restored database fails integrity_check");
    int64_t n = history_last(db);
    if (n < 0) { /* before the tables were made: legal only if nothing was acknowledged */
        (void)sqlite3_close(db);
        return 0;
    }
    if (!history_digest(db, &digest) || digest != digest_of(c, (uint64_t)n))
        fail(c, "restored content is not that of a committed state");
    (void)sqlite3_close(db); /* only read */
    return (uint64_t)n;
}

/* Restores; 0, or the exit status of walferry. */
static int restore(const struct chaos *c, const char *output, const char *txid)
{
    char url[PATH_BYTES + 8];
    char replica[PATH_BYTES];
    pid_t pid = 0;
    char *latest[] = {(char *)"walferry",
                      (char *)"restore",
                      (char *)"-force",
                      (char *)"-o",
                      (char *)output,
                      url,
                      NULL};
    char *past[] = {(char *)"walferry",
                    (char *)"restore",
                    (char *)"-force",
                    (char *)"-txid",
                    (char *)txid,
                    (char *)"-o",
                    (char *)output,
                    url,
                    NULL};

    path_of(c, "replica", replica);
    (void)snprintf(url, sizeof(url), "file://%s", replica);
    if (spawn(c, txid ? past : latest, &pid) < 0)
        fail(c, "fork");
    return ended(pid);
}

static void restore_past(struct chaos *c, uint64_t newest)
{
    char output[PATH_BYTES];
    char command[3 * PATH_BYTES];
    char line[64] = "";
    char txid[17] = "";

    path_of(c, "past.db", output);
    (void)snprintf(command, sizeof(command),
                   "%s ltx -level all file://%s/replica 2>/dev/null | awk 'NR>1{print $3}' | "
                   "shuf -n 1 --random-source=%s/walferry.yml",
                   c->walferry, c->folder, c->folder);
    FILE *list = popen(command, "r"); /* paths are ours: no quoting needed */
    if (list && fgets(line, sizeof(line), list))
        (void)snprintf(txid, sizeof(txid), "%.16s", line);
    if (list)
        (void)pclose(list);
    if (strlen(txid) != 16)
        return;
    int status = restore(c, output, txid);
    if (status != 0)
        fail(c, "a TXID of the listing cannot be restored");
    if (judge(c, output) > newest)
        fail(c, "the past is newer than the present");
}

static void judge_replica(struct chaos *c)
{
    char output[PATH_BYTES];
    struct stat st;

    path_of(c, "replica/ltx", output);
    if (stat(output, &st) < 0) {
        if (c->acknowledged > 0)
            fail(c, "the replica is empty although commits were acknowledged");
        return;
    }
    path_of(c, "restored.db", output);
    if (restore(c, output, NULL) != 0)
        fail(c, "the replica cannot be restored");
    uint64_t n = judge(c, output);
    if (n < c->acknowledged)
        fail(c, "an acknowledged transaction is missing");
    restore_past(c, n);
}

/* The node is gone, with its disk: the restored database takes the place of the old one. */
static void disk_lose(struct chaos *c)
{
    static const char *const suffixes[] = {"app.db", "app.db-wal", "app.db-shm"};
    char path[PATH_BYTES];
    char command[PATH_BYTES + 64];
    pid_t pid = 0;
    char config[PATH_BYTES];
    char *argv[] = {(char *)"walferry",
                    (char *)"restore",
                    (char *)"-config",
                    config,
                    (char *)"-if-replica-exists",
                    path,
                    NULL};

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        path_of(c, suffixes[i], path);
        (void)unlink(path); /* may not be there */
    }
    (void)snprintf(command, sizeof(command), "rm -rf %s/.app.db-walferry", c->folder);
    if (system(command) != 0) /* the path is ours: no quoting needed */
        fail(c, "rm");
    path_of(c, "walferry.yml", config);
    path_of(c, "app.db", path);
    if (spawn(c, argv, &pid) < 0 || ended(pid) != 0)
        fail(c, "restore after the loss of the disk");
}

/* ---- rounds ---- */

static void disturb(struct chaos *c)
{
    switch (pick(c, 8)) {
    case 0:
        end(&c->sidecar, SIGKILL);
        wait_ms(pick(c, 150));
        sidecar_start(c);
        break;
    case 1:
        end(&c->sidecar, SIGTERM);
        wait_ms(pick(c, 150));
        sidecar_start(c);
        break;
    case 2:
        (void)kill(c->sidecar, SIGSTOP);
        wait_ms(pick(c, 200));
        (void)kill(c->sidecar, SIGCONT);
        break;
    case 3:
        end(&c->app, SIGKILL);
        app_start(c);
        break;
    case 4:
        c->board->should_end = true;
        (void)ended(c->app);
        app_start(c);
        break;
    default:
        acknowledge(c);
        break;
    }
}

static void round_run(struct chaos *c)
{
    sidecar_start(c);
    app_start(c);
    for (uint64_t i = 2 + pick(c, 6); i > 0; i--) {
        wait_ms(20 + pick(c, 120));
        disturb(c);
    }
    if (pick(c, 2) == 0) {
        end(&c->sidecar, pick(c, 2) ? SIGKILL : SIGTERM);
        end(&c->app, SIGKILL);
    } else {
        end(&c->app, SIGKILL);
        end(&c->sidecar, pick(c, 2) ? SIGKILL : SIGTERM);
    }
    judge_replica(c);
    if (pick(c, 3) == 0)
        disk_lose(c);
}

static void config_write(const struct chaos *c)
{
    char path[PATH_BYTES];

    path_of(c, "walferry.yml", path);
    FILE *f = fopen(path, "w");
    if (!f ||
        fprintf(f,
                "socket:\n  enabled: true\n  path: %s/w.sock\n"
                "levels:\n  - interval: 300ms\n  - interval: 1s\n"
                "snapshot:\n  interval: 2s\n  retention: 1h\n"
                "dbs:\n  - path: %s/app.db\n    min-checkpoint-page-count: 100\n"
                "    replica:\n      path: %s/replica\n      sync-interval: 50ms\n",
                c->folder, c->folder, c->folder) < 0 ||
        fclose(f) != 0)
        fail(c, "configuration cannot be written");
}

int main(int argc, char **argv)
{
    struct chaos c = {.walferry = argc > 1 ? argv[1] : ""};

    if (argc < 4) {
        (void)fprintf(stderr, "usage: chaos WALFERRY FOLDER ROUNDS [SEED]\n");
        return 2;
    }
    (void)snprintf(c.folder, sizeof(c.folder), "%.90s", argv[2]);
    unsigned rounds = (unsigned)strtoul(argv[3], NULL, 10);
    c.seed = argc > 4 ? (uint64_t)strtoull(argv[4], NULL, 10)
                      : (uint64_t)time(NULL) ^ (uint64_t)(unsigned)getpid();
    c.state = c.seed;
    c.board =
        mmap(NULL, sizeof(*c.board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c.board == MAP_FAILED || setenv("AWS_EC2_METADATA_DISABLED", "true", 1) != 0)
        return 1;
    config_write(&c);
    (void)printf("chaos: %u rounds, seed %llu\n", rounds, (unsigned long long)c.seed);
    for (c.round = 1; c.round <= rounds; c.round++)
        round_run(&c);
    (void)printf("chaos: %u rounds survived, %llu transactions acknowledged\n", rounds,
                 (unsigned long long)c.acknowledged);
    return c.acknowledged > 0 ? 0 : 1; /* a test that acknowledged nothing has shown nothing */
}
