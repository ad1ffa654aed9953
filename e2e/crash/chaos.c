/*
 * chaos: an application, its readers, walferry, the store and the disk die at any instant, and
 * after each death the replica must hold what was acknowledged, restore to a committed state, and
 * go on.
 *
 *     chaos WALFERRY FOLDER ROUNDS [SEED]
 *
 * A life is LIFE_ROUNDS rounds with one database and one replica: in a folder, or (half of the lives,
 * if the peer is built) in a real versitygw, which then dies, too; in half of those the quirk proxy
 * stands between and spoils one request of QUIRK_ONE_OF. A round: start walferry
 * and the application (history_app.h: transactions as fast as they go, VACUUM, checkpoints of every
 * mode, readers), let them run for a while, make what is committed acknowledged now and then (POST
 * /sync on the control socket), and kill, stop, continue or end them in an order that the seed says.
 * Then:
 *
 *   1. nobody has seen what an application must never see, and walferry has not ended by itself
 *   2. restore latest: the content is exactly that of transactions 1..n, integrity_check is ok, and
 *      n is at least the newest transaction that was acknowledged
 *   3. restore a TXID of the past: exactly that of 1..m, m <= n
 *   4. restore a moment: byte for byte the last boundary at or before it; and what was acknowledged
 *      before a moment is in the restore to it
 *   5. sometimes the disk is lost: the restored database takes the place of the old one
 *
 * At the end of a life the faults stop: everything must be shipped, and the restored database be
 * byte for byte the application's.
 *
 * The seed is printed; the same seed makes the same schedule (not the same interleaving).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/testing/history.h"
#include "lib/testing/history_app.h"
#include "lib/testing/history_judge.h"
#include "lib/testing/quirk_proxy.h"
#include "lib/testing/server.h"
#include "lib/testing/test.h"

enum {
    PATH_BYTES = 512,
    LIFE_ROUNDS = 6,
    QUIRK_ONE_OF = 12,
    MOMENTS_MAX = 16,
    OBJECTS_MAX = 4096,
    SETTLE_SECONDS = 120, /* only a hang reaches them */
};

/* The sync that was answered at wall_ns holds transactions 1..n. */
struct moment {
    uint64_t wall_ns;
    uint64_t n;
};

struct object {
    unsigned level;
    uint64_t min_txid;
    uint64_t max_txid;
    uint64_t timestamp_ns;
};

struct chaos {
    const char *walferry;
    char folder[PATH_BYTES];
    uint64_t seed;
    uint64_t state;
    unsigned round;
    unsigned life;
    bool has_s3;
    struct test_s3 s3;
    struct quirk_proxy proxy; /* between it and walferry, if has_s3 */
    /* of this life */
    bool is_on_s3;
    bool has_quirks;
    bool is_store_down;
    struct history_app app;
    struct history_judge judge;
    pid_t sidecar;
    uint64_t acknowledged;
    struct moment moments[MOMENTS_MAX];
    size_t moment_count;
    /* of all lives */
    uint64_t acknowledged_total;
    uint64_t reads_total;
    unsigned judged_moments;
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

static const char *store_name(const struct chaos *c)
{
    if (!c->is_on_s3)
        return "file";
    return c->has_quirks ? "s3 with quirks" : "s3";
}

static NO_RETURN void give_up(struct chaos *c, const char *what)
{
    (void)fprintf(stderr, "chaos: round %u: %s (seed %" PRIu64 ", %s, folder %s)\n", c->round, what,
                  c->seed, store_name(c), c->folder);
    history_app_kill(&c->app);
    history_app_kill_readers(&c->app);
    if (c->sidecar > 0)
        (void)kill(c->sidecar, SIGKILL);
    test_s3_stop(&c->s3);
    exit(1);
}

/* ---- walferry ---- */

static int spawn(const struct chaos *c, const char *const *argv, const char *output, pid_t *out_pid)
{
    char log[PATH_BYTES];

    path_of(c, "walferry.log", log);
    *out_pid = fork();
    if (*out_pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        int out = output ? open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : fd;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (fd >= 0 && out >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0)
            (void)execv(c->walferry, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    return *out_pid > 0 ? 0 : -1;
}

static int status_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int ended(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status_of(status);
}

/* Runs walferry to its end; its exit status. */
static int run(struct chaos *c, const char *const *argv, const char *output)
{
    pid_t pid = 0;

    if (spawn(c, argv, output, &pid) < 0)
        give_up(c, "fork");
    return ended(pid);
}

static void sidecar_start(struct chaos *c)
{
    char config[PATH_BYTES];
    const char *const argv[] = {"walferry", "replicate", "-config", config, NULL};

    path_of(c, "walferry.yml", config);
    if (spawn(c, argv, NULL, &c->sidecar) < 0)
        give_up(c, "fork");
}

/* It must still be there to be killed; its end is 0, or 1 where it could not ship the rest. */
static void sidecar_end(struct chaos *c, int signum)
{
    int status = 0;
    char text[64];

    if (c->sidecar <= 0)
        return;
    if (waitpid(c->sidecar, &status, WNOHANG) == c->sidecar) {
        c->sidecar = 0;
        (void)snprintf(text, sizeof(text), "walferry ended by itself with %d", status_of(status));
        give_up(c, text);
    }
    (void)kill(c->sidecar, SIGCONT);
    (void)kill(c->sidecar, signum);
    status = ended(c->sidecar);
    c->sidecar = 0;
    if (signum == SIGTERM && status > 1 && status != 128 + SIGTERM) {
        (void)snprintf(text, sizeof(text), "walferry's end answers %d", status);
        give_up(c, text);
    }
}

/* ---- the store ---- */

static void store_end(struct chaos *c, int signum)
{
    if (!c->is_on_s3 || c->is_store_down)
        return;
    test_process_signal(&c->s3.process, SIGCONT);
    test_process_signal(&c->s3.process, signum);
    if (!test_process_wait(&c->s3.process, 10 * NS_PER_SEC))
        give_up(c, "the store does not end");
    c->is_store_down = true;
}

static void store_return(struct chaos *c)
{
    if (c->is_store_down)
        test_s3_restart(&c->s3);
    c->is_store_down = false;
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
    int n =
        snprintf(body, sizeof(body), "{\"path\":\"%s\",\"wait\":true,\"timeout\":4}", c->app.path);
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

static bool acknowledge(struct chaos *c)
{
    uint64_t committed = c->app.board->committed;

    if (!sync_ask(c))
        return false;
    if (committed > c->acknowledged)
        c->acknowledged = committed;
    c->moments[c->moment_count % MOMENTS_MAX] =
        (struct moment){.wall_ns = env_wall_ns(env_real()), .n = committed};
    c->moment_count++;
    return true;
}

/* ---- judging ---- */

/* The number of transactions in a restored database, after everything about it was found right. */
static uint64_t judge(struct chaos *c, const char *path)
{
    uint64_t n = 0;
    const char *wrong = history_judge(&c->judge, path, &n);

    if (wrong)
        give_up(c, wrong);
    return n;
}

/* Restores, if flag is not NULL to a point of the past; 0, or the exit status of walferry. */
static int restore(struct chaos *c, const char *output, const char *flag, const char *value)
{
    char config[PATH_BYTES];
    const char *argv[12] = {"walferry", "restore", "-config", config, "-force", "-o", output};
    size_t n = 7;

    path_of(c, "walferry.yml", config);
    if (flag) {
        argv[n++] = flag;
        argv[n++] = value;
    }
    argv[n] = c->app.path;
    return run(c, argv, NULL);
}

static bool object_parse(const char *line, struct object *out)
{
    struct error err = ERROR_INIT;
    char timestamp[64];

    return sscanf(line, "%u %" SCNx64 " %" SCNx64 " %*u %63s", &out->level, &out->min_txid,
                  &out->max_txid, timestamp) == 4 &&
           time_parse_rfc3339(timestamp, &out->timestamp_ns, &err) == 0;
}

/* The objects of the replica from the oldest full copy on; none is fine. */
static size_t objects_list(struct chaos *c, struct object out[static OBJECTS_MAX])
{
    char config[PATH_BYTES];
    char output[PATH_BYTES];
    char line[256];
    uint64_t floor = UINT64_MAX;
    size_t count = 0;
    size_t kept = 0;
    const char *const argv[] = {"walferry", "ltx", "-config",   config,
                                "-level",   "all", c->app.path, NULL};

    path_of(c, "walferry.yml", config);
    path_of(c, "objects", output);
    if (run(c, argv, output) != 0)
        give_up(c, "the replica cannot be listed");
    FILE *list = fopen(output, "re");
    if (!list)
        give_up(c, "the listing cannot be read");
    while (fgets(line, sizeof(line), list) && count < OBJECTS_MAX)
        count += object_parse(line, &out[count]);
    (void)fclose(list); /* only read */
    for (size_t i = 0; i < count; i++) {
        if (out[i].min_txid == 1 && out[i].max_txid < floor)
            floor = out[i].max_txid;
    }
    for (size_t i = 0; i < count; i++) {
        if (out[i].max_txid >= floor)
            out[kept++] = out[i];
    }
    return kept;
}

static uint64_t restore_txid(struct chaos *c, uint64_t txid, const char *output)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%016" PRIx64, txid);
    if (restore(c, output, "-txid", text) != 0)
        give_up(c, "a TXID of the listing cannot be restored");
    return judge(c, output);
}

static void restore_moment(struct chaos *c, uint64_t wall_ns, const char *output)
{
    char text[TIME_TEXT_BYTES];

    time_format_rfc3339(wall_ns, text);
    if (restore(c, output, "-timestamp", text) != 0)
        give_up(c, "a moment cannot be restored");
}

static void files_compare(struct chaos *c, const char *a, const char *b, const char *what)
{
    size_t a_n = 0;
    size_t b_n = 0;
    CLEANUP(mem_free) uint8_t *a_p = test_file_read(a, &a_n);
    CLEANUP(mem_free) uint8_t *b_p = test_file_read(b, &b_n);

    if (a_n != b_n || memcmp(a_p, b_p, a_n) != 0)
        give_up(c, what);
}

/* Steps 3 and 4. The luck is drawn whatever there is, so that the schedule stays the same. */
static void judge_past(struct chaos *c, uint64_t newest)
{
    static struct object objects[OBJECTS_MAX];
    char by_txid[PATH_BYTES];
    char by_time[PATH_BYTES];
    uint64_t luck = pick(c, 1U << 30);
    size_t count = objects_list(c, objects);
    uint64_t boundary = 0;

    if (count == 0)
        return;
    path_of(c, "past.db", by_txid);
    path_of(c, "moment.db", by_time);
    const struct object *chosen = &objects[luck % count];
    /* At its timestamp, or a little later: other objects may lie in between. */
    uint64_t wall_ns = chosen->timestamp_ns + luck / 7 % 200 * NS_PER_MS;
    for (size_t i = 0; i < count; i++) {
        if (objects[i].timestamp_ns <= wall_ns && objects[i].max_txid > boundary)
            boundary = objects[i].max_txid;
    }
    if (restore_txid(c, boundary, by_txid) > newest)
        give_up(c, "the past is newer than the present");
    restore_moment(c, wall_ns, by_time);
    files_compare(c, by_txid, by_time, "a moment is not the last boundary before it");
    if (c->moment_count == 0)
        return;
    size_t moments = c->moment_count < MOMENTS_MAX ? c->moment_count : MOMENTS_MAX;
    struct moment m = c->moments[luck / 11 % moments];
    m.wall_ns += NS_PER_MS; /* timestamps are whole milliseconds */
    uint64_t oldest_ns = UINT64_MAX;
    for (size_t i = 0; i < count; i++)
        oldest_ns = objects[i].timestamp_ns < oldest_ns ? objects[i].timestamp_ns : oldest_ns;
    if (m.wall_ns < oldest_ns)
        return; /* retention was there */
    restore_moment(c, m.wall_ns, by_time);
    if (judge(c, by_time) < m.n)
        give_up(c, "a moment misses what was acknowledged before it");
    c->judged_moments++;
}

static void judge_replica(struct chaos *c)
{
    char output[PATH_BYTES];

    if (c->app.board->wrong[0])
        give_up(c, c->app.board->wrong);
    path_of(c, "restored.db", output);
    int status = restore(c, output, NULL, NULL);
    uint64_t n = 0;
    if (status == 0)
        n = judge(c, output);
    else if (status != 3 || c->acknowledged > 0)
        give_up(c, "the replica cannot be restored");
    if (n < c->acknowledged)
        give_up(c, "an acknowledged transaction is missing");
    judge_past(c, n);
}

/* ---- lives ---- */

static void shell(struct chaos *c, const char *command)
{
    char text[3 * PATH_BYTES];

    (void)snprintf(text, sizeof(text), "cd '%s' && %s", c->folder, command);
    if (system(text) != 0) /* the folder is ours */
        give_up(c, command);
}

/* The node is gone, with its disk: the restored database takes the place of the old one. */
static void disk_lose(struct chaos *c)
{
    char config[PATH_BYTES];
    const char *const argv[] = {"walferry",           "restore",   "-config", config,
                                "-if-replica-exists", c->app.path, NULL};

    shell(c, "rm -rf app.db app.db-wal app.db-shm .app.db-walferry");
    path_of(c, "walferry.yml", config);
    if (run(c, argv, NULL) != 0)
        give_up(c, "restore after the loss of the disk");
    c->app.board->committed = 0; /* what was not acknowledged is gone, rightly */
}

static void config_write(struct chaos *c)
{
    char path[PATH_BYTES];
    uint64_t luck = pick(c, 1U << 30);

    path_of(c, "walferry.yml", path);
    FILE *f = fopen(path, "we");
    bool is_ok = f && fprintf(f,
                              "socket:\n  enabled: true\n  path: %s/w.sock\n"
                              "levels:\n  - interval: 300ms\n  - interval: 1s\n"
                              "snapshot:\n  interval: 2s\n  retention: %s\n"
                              "shutdown-sync-timeout: 2s\n"
                              "dbs:\n  - path: %s\n    min-checkpoint-page-count: %u\n"
                              "    replica:\n      sync-interval: %s\n",
                              c->folder, luck % 2 ? "1h" : "3s", c->app.path,
                              luck / 2 % 3 ? 100U : 10U, luck / 6 % 2 ? "50ms" : "5ms") > 0;
    if (is_ok && c->is_on_s3) {
        is_ok = fprintf(f,
                        "      type: s3\n      bucket: chaos\n      path: life-%u\n"
                        "      endpoint: http://127.0.0.1:%u\n      region: %s\n"
                        "      access-key-id: %s\n      secret-access-key: %s\n",
                        c->life, c->has_quirks ? c->proxy.port : c->s3.port, c->s3.region,
                        c->s3.access_key, c->s3.secret_key) > 0;
    } else if (is_ok)
        is_ok = fprintf(f, "      path: %s/replica\n", c->folder) > 0;
    if (!is_ok || fclose(f) != 0)
        give_up(c, "configuration cannot be written");
}

static void life_begin(struct chaos *c)
{
    static const uint32_t page_sizes[] = {4096, 512, 1024, 8192, 65536};
    char path[PATH_BYTES];

    c->is_on_s3 = pick(c, 2) == 1 && c->has_s3;
    c->has_quirks = pick(c, 2) == 1 && c->is_on_s3;
    uint64_t luck = pick(c, 1U << 30);
    if (c->has_quirks)
        quirk_proxy_chance(&c->proxy, QUIRK_ONE_OF, luck);
    c->acknowledged = 0;
    c->moment_count = 0;
    history_judge_destroy(&c->judge);
    shell(c, "rm -rf app.db app.db-wal app.db-shm .app.db-walferry replica walferry.log "
             "s3/data/chaos/life-*");
    path_of(c, "app.db", path);
    history_app_database(&c->app, path, page_sizes[pick(c, ARRAY_LEN(page_sizes))]);
    config_write(c);
}

static void app_start(struct chaos *c)
{
    if (!history_app_start(&c->app, pick(c, 1U << 30)))
        give_up(c, "fork");
}

static void reader_start(struct chaos *c)
{
    unsigned idx = (unsigned)pick(c, HISTORY_READERS_MAX);

    if (!history_app_read(&c->app, idx, pick(c, 1U << 30)))
        give_up(c, "fork");
}

/* The log goes into the database file, as the last close of an application would do it. */
static void database_close(struct chaos *c)
{
    sqlite3 *db = NULL;

    if (sqlite3_open(c->app.path, &db) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_close(db) != SQLITE_OK)
        give_up(c, "the database cannot be checkpointed");
}

/* The faults stop: all of it arrives, and is byte for byte the application's. */
static void life_end(struct chaos *c)
{
    char output[PATH_BYTES];
    uint64_t deadline_ns = env_monotonic_ns(env_real()) + SETTLE_SECONDS * NS_PER_SEC;

    sidecar_start(c);
    app_start(c);
    wait_ms(50);
    history_app_end(&c->app);
    if (c->has_quirks)
        quirk_proxy_chance(&c->proxy, 0, 0);
    while (!acknowledge(c)) {
        if (env_monotonic_ns(env_real()) > deadline_ns)
            give_up(c, "no progress although the faults have stopped");
        wait_ms(100);
    }
    sidecar_end(c, SIGTERM);
    judge_replica(c);
    database_close(c);
    path_of(c, "restored.db", output);
    files_compare(c, c->app.path, output, "the restored database is not the application's");
    c->acknowledged_total += c->acknowledged;
    c->reads_total += c->app.board->reads;
    c->app.board->reads = 0;
}

/* ---- rounds ---- */

static void stop_for_a_while(struct chaos *c, pid_t pid)
{
    uint64_t ms = pick(c, 200);

    if (pid <= 0)
        return;
    (void)kill(pid, SIGSTOP);
    wait_ms(ms);
    (void)kill(pid, SIGCONT);
}

static void store_disturb(struct chaos *c)
{
    uint64_t how = pick(c, 3);

    if (!c->is_on_s3)
        return;
    if (how == 0) {
        stop_for_a_while(c, c->s3.process.pid);
        return;
    }
    store_end(c, how == 1 ? SIGKILL : SIGTERM);
    wait_ms(pick(c, 400));
    store_return(c);
}

static void disturb(struct chaos *c)
{
    uint64_t what = pick(c, 12);

    switch (what) {
    case 0:
    case 1:
        sidecar_end(c, what == 0 ? SIGKILL : SIGTERM);
        wait_ms(pick(c, 150));
        sidecar_start(c);
        break;
    case 2:
        stop_for_a_while(c, c->sidecar);
        break;
    case 3:
        history_app_kill(&c->app);
        app_start(c);
        break;
    case 4:
        history_app_end(&c->app);
        app_start(c);
        break;
    case 5:
        stop_for_a_while(c, c->app.writer);
        break;
    case 6:
        reader_start(c);
        break;
    case 7:
    case 8:
        store_disturb(c);
        break;
    default:
        (void)acknowledge(c); /* it may be too early, or the store away: then nothing is promised */
        break;
    }
}

static void application_die(struct chaos *c)
{
    history_app_kill_readers(&c->app);
    history_app_kill(&c->app);
}

static void round_run(struct chaos *c)
{
    sidecar_start(c);
    app_start(c);
    reader_start(c);
    for (uint64_t i = 2 + pick(c, 6); i > 0; i--) {
        wait_ms(20 + pick(c, 120));
        disturb(c);
    }
    uint64_t order = pick(c, 3);
    int signum = pick(c, 2) ? SIGKILL : SIGTERM;
    if (order == 1)
        application_die(c);
    if (order == 2)
        store_end(c, SIGKILL);
    sidecar_end(c, signum);
    application_die(c);
    store_return(c);
    judge_replica(c);
    if (pick(c, 3) == 0)
        disk_lose(c);
}

static void run_rounds(struct chaos *c, unsigned rounds)
{
    for (c->round = 1; c->round <= rounds; c->round++) {
        if (c->round % LIFE_ROUNDS == 1) {
            c->life++;
            life_begin(c);
        }
        round_run(c);
        if (c->round % LIFE_ROUNDS == 0 || c->round == rounds)
            life_end(c);
        if (c->round % 100 == 0) {
            (void)printf("chaos: %u rounds\n", c->round);
            (void)fflush(stdout); /* only progress */
        }
    }
}

int main(int argc, char **argv)
{
    static struct chaos c;
    char folder[PATH_BYTES];

    if (argc < 4) {
        (void)fprintf(stderr, "usage: chaos WALFERRY FOLDER ROUNDS [SEED]\n");
        return 2;
    }
    c.walferry = argv[1];
    (void)snprintf(c.folder, sizeof(c.folder), "%.90s", argv[2]);
    unsigned rounds = (unsigned)strtoul(argv[3], NULL, 10);
    c.seed = argc > 4 ? (uint64_t)strtoull(argv[4], NULL, 10)
                      : (uint64_t)time(NULL) ^ (uint64_t)(unsigned)getpid();
    c.state = c.seed;
    if (!history_app_init(&c.app) || setenv("AWS_EC2_METADATA_DISABLED", "true", 1) != 0)
        return 1;
    path_of(&c, "s3", folder);
    if (mkdir(folder, 0700) != 0)
        return 1;
    c.has_s3 = test_s3_start(&c.s3, folder, TEST_S3_PLAIN);
    if (c.has_s3) {
        test_s3_bucket_make(&c.s3, "chaos");
        quirk_proxy_start(&c.proxy, (uint16_t)c.s3.port);
    }
    (void)printf("chaos: %u rounds, seed %" PRIu64 ", stores: file%s\n", rounds, c.seed,
                 c.has_s3 ? " and s3" : "");
    (void)fflush(stdout); /* children must not print it again */
    run_rounds(&c, rounds);
    quirk_proxy_stop(&c.proxy);
    test_s3_stop(&c.s3);
    (void)printf("chaos: %u rounds survived, %" PRIu64 " transactions acknowledged, %" PRIu64
                 " snapshots of readers and %u moments judged\n",
                 rounds, c.acknowledged_total, c.reads_total, c.judged_moments);
    /* A test that acknowledged nothing has shown nothing. */
    return c.acknowledged_total > 0 && c.judged_moments > 0 ? 0 : 1;
}
