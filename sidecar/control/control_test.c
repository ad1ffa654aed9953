/*
 * Control as curl sees it: a real server on a thread of its own, a made-up engine behind it.
 */
#include "sidecar/control/control.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/json/json.h"
#include "lib/testing/server.h"
#include "lib/testing/test.h"
#include "sidecar/control/status_scene.h"

#define CANARY "AKIACANARYSECRET"

/* ---- a made-up engine ---- */

struct fixture {
    pthread_t thread;
    pthread_barrier_t is_ready;
    struct loop *loop;
    struct control *control;
    struct control_config config;
    struct control_actions actions;
    bool has_no_actions;
    uv_async_t stop;
    int rc;
    struct error err;
    char folder[256], socket[300], log[300];
    unsigned port;
    struct status_scene scene; /* owner: the loop thread once it runs */
    struct status_db *fleet;   /* instead of the scene's databases; NULL: those */
    size_t fleet_count;
    uv_async_t attach; /* toggles the attachment of the last destination */
    bool is_collect_failing;
    struct loop_timer sync_timer;
    control_done_fn *sync_done;
    atomic_uint syncs;     /* begun */
    atomic_uint collects;  /* times that the engine was asked */
    atomic_uint lag_bytes; /* a figure: of the last destination */
    void *sync_arg;
    enum error_code sync_code;
    unsigned drains;
};

static int collect(void *arg, struct status_process *out, struct error *err)
{
    struct fixture *f = arg;

    if (f->is_collect_failing)
        return error_set(err, ERR_NO_MEMORY, 0, "out of memory");
    f->scene.destinations[2].lag_bytes = atomic_load(&f->lag_bytes);
    *out = f->scene.process;
    atomic_fetch_add(&f->collects, 1);
    return 0;
}

static void sync_on_timer(void *arg)
{
    struct fixture *f = arg;
    struct error err = ERROR_INIT;
    control_done_fn *done = f->sync_done;

    f->sync_done = NULL;
    if (f->sync_code != ERR_NONE)
        (void)error_set(&err, f->sync_code, 0, "the bucket is away");
    else
        f->scene.destinations[1].acknowledged_txid = 10; /* the least of all */
    done(f->sync_arg, &err);
}

static int action_sync(void *arg, const char *path UNUSED, uint64_t timeout_ns,
                       control_done_fn *done, void *done_arg, struct error *err)
{
    struct fixture *f = arg;

    if (f->sync_done)
        return error_set(err, ERR_WRONG_STATE, 0, "busy");
    ASSERT(timeout_ns == 30 * NS_PER_SEC || timeout_ns == 5 * NS_PER_SEC);
    f->sync_done = done;
    f->sync_arg = done_arg;
    atomic_fetch_add(&f->syncs, 1);
    loop_timer_start(&f->sync_timer, timeout_ns == 5 * NS_PER_SEC ? NS_PER_HOUR : 20 * NS_PER_MS);
    return 0;
}

static int action_register(void *arg UNUSED, const char *path, const char *url, bool *out_is_new,
                           struct error *err)
{
    if (strncmp(url, "file://", 7) != 0)
        return error_set(err, ERR_USAGE, 0, "%s: no such scheme", url);
    *out_is_new = strcmp(path, "/data/app.db") != 0;
    return 0;
}

static void action_drain(void *arg)
{
    struct fixture *f = arg;

    f->drains++;
    f->scene.process.is_draining = true;
}

/* ---- a control on a thread ---- */

static void on_stop(uv_async_t *stop)
{
    struct fixture *f = stop->data;

    control_free(f->control);
    loop_timer_stop(&f->sync_timer);
    if (f->sync_done)
        sync_on_timer(f); /* after control is gone */
    uv_close((uv_handle_t *)stop, NULL);
    uv_close((uv_handle_t *)&f->attach, NULL);
}

static void on_attach(uv_async_t *attach)
{
    struct fixture *f = attach->data;

    f->scene.destinations[2].is_attached = !f->scene.destinations[2].is_attached;
    control_changed(f->control);
    pthread_barrier_wait(&f->is_ready);
}

static void *run(void *arg)
{
    struct fixture *f = arg;
    const struct status_source source = {collect, f};

    ASSERT(loop_new(env_real(), 1, &f->loop, &f->err) == 0);
    loop_timer_init(&f->sync_timer, f->loop, sync_on_timer, f);
    ASSERT(uv_async_init(loop_uv(f->loop), &f->stop, on_stop) == 0);
    ASSERT(uv_async_init(loop_uv(f->loop), &f->attach, on_attach) == 0);
    f->stop.data = f->attach.data = f;
    f->rc = control_new(f->loop, &f->config, &source, f->has_no_actions ? NULL : &f->actions,
                        &f->control, &f->err);
    f->port = f->rc == 0 ? control_port(f->control) : 0;
    pthread_barrier_wait(&f->is_ready);
    loop_run(f->loop);
    loop_free(f->loop);
    return NULL;
}

static void fixture_start(struct fixture *f)
{
    test_folder_make(f->folder);
    (void)snprintf(f->socket, sizeof(f->socket), "%s/control.sock", f->folder);
    (void)snprintf(f->log, sizeof(f->log), "%s/curl.log", f->folder);
    f->config.is_tcp_enabled = true;
    f->config.address = "127.0.0.1";
    f->config.socket_path = f->socket;
    f->actions = (struct control_actions){action_sync, action_register, action_drain, NULL, f};
    status_scene_make(&f->scene);
    for (size_t i = 0; i < f->fleet_count; i++) {
        const char *name = f->fleet[i].name;
        f->fleet[i] = f->scene.dbs[0];
        f->fleet[i].name = f->fleet[i].path = name;
        f->scene.process.dbs = f->fleet;
        f->scene.process.db_count = f->fleet_count;
    }
    pthread_barrier_init(&f->is_ready, NULL, 2);
    assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
    pthread_barrier_wait(&f->is_ready);
    assert_ok(f->rc, &f->err);
}

static void fixture_end(struct fixture *f)
{
    uv_async_send(&f->stop);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    pthread_barrier_destroy(&f->is_ready);
    test_folder_remove(f->folder);
}

/* Answer of curl -i: head and body. data NULL: GET. The caller frees. */
static char *ask(struct fixture *f, bool by_socket, const char *path, const char *data,
                 const char *header)
{
    char url[256];
    const char *argv[16] = {"curl", "-sSi", "-m", "20"};
    size_t n = 4;

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", f->port, path);
    if (by_socket) {
        argv[n++] = "--unix-socket";
        argv[n++] = f->socket;
    }
    if (data) {
        argv[n++] = "--data-binary";
        argv[n++] = data;
    }
    argv[n++] = "-H";
    argv[n++] = header ? header : "X-None: 1";
    argv[n++] = url;
    return test_process_run(argv, NULL, f->log, 30 * NS_PER_SEC, 0);
}

static void assert_answer(const char *answer, int status, const char *part)
{
    char head[32];

    /* A large answer is kept without its beginning; curl has failed if that was not whole. */
    bool has_head = strncmp(answer, "HTTP/1.1 ", 9) == 0;
    (void)snprintf(head, sizeof(head), "HTTP/1.1 %d ", status);
    if ((has_head && strncmp(answer, head, strlen(head)) != 0) || !strstr(answer, part))
        fail_msg("wanted %d and \"%s\", found: %s", status, part, answer);
}

static void assert_ask(struct fixture *f, bool by_socket, const char *path, const char *data,
                       int status, const char *part)
{
    CLEANUP(mem_free) char *answer = ask(f, by_socket, path, data, NULL);

    test_row(path);
    assert_answer(answer, status, part);
}

/* ---- tests ---- */

static void test_tcp_shows_everything(void **state UNUSED)
{
    struct fixture f = {.port = 0};

    fixture_start(&f);
    assert_ask(&f, false, "/", NULL, 200, "Content-Type: text/html; charset=utf-8\r\n");
    assert_ask(&f, false, "/", NULL, 200, "Content-Security-Policy: default-src 'none'; style-src");
    assert_ask(&f, false, "/metrics", NULL, 200, "Content-Type: text/plain; version=0.0.4;");
    assert_ask(&f, false, "/metrics", NULL, 200,
               "walferry_replication_lag_seconds{db=\"app\",destination=\"s3\"} 1.5\n");
    assert_ask(&f, false, "/status", NULL, 200, "Content-Type: application/json\r\n");
    assert_ask(&f, false, "/healthz", NULL, 200, "\r\n\r\nok\n");
    assert_ask(&f, false, "/readyz", NULL, 503, "new: not_wal: journal_mode is delete\n");
    assert_ask(&f, false, "/startupz", NULL, 503, "new: s3: attaching: not attached yet\n");
    assert_ask(&f, false, "/nothing", NULL, 404, "no such path");
    fixture_end(&f);
}

static void test_openmetrics_is_given_to_who_asks_for_it(void **state UNUSED)
{
    struct fixture f = {.config.has_litestream_metrics = true};

    fixture_start(&f);
    CLEANUP(mem_free)
    char *answer = ask(&f, false, "/metrics", NULL,
                       "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert_answer(answer, 200, "Content-Type: application/openmetrics-text; version=1.0.0");
    assert_answer(answer, 200, "\nlitestream_db_size{");
    assert_string_equal(answer + strlen(answer) - 6, "# EOF\n");
    fixture_end(&f);
}

static void test_tcp_changes_nothing(void **state UNUSED)
{
    static const char *const paths[] = {"/sync", "/register", "/drain", "/list", "/info", "/txid"};
    struct fixture f = {.port = 0};

    fixture_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_ask(&f, false, paths[i], NULL, 404, "no such path");
        assert_ask(&f, false, paths[i], "{\"path\":\"/data/app.db\"}", 404, "no such path");
    }
    assert_ask(&f, false, "/status", "{}", 405, "Allow: GET, HEAD\r\n");
    assert_ask(&f, false, "/snapshots", NULL, 200, "\"snapshots\":[");
    fixture_end(&f);
    assert_int_equal(f.drains, 0);
}

static void test_startup_stays_done(void **state UNUSED)
{
    struct fixture f = {.port = 0};

    fixture_start(&f);
    assert_ask(&f, false, "/startupz", NULL, 503, "attaching");
    uv_async_send(&f.attach);
    pthread_barrier_wait(&f.is_ready);
    assert_ask(&f, false, "/startupz", NULL, 200, "ok");
    uv_async_send(&f.attach);
    pthread_barrier_wait(&f.is_ready);
    assert_ask(&f, true, "/startupz", NULL, 200, "ok");
    fixture_end(&f);
}

static void test_an_engine_that_cannot_answer_is_alive_all_the_same(void **state UNUSED)
{
    struct fixture f = {.is_collect_failing = true};

    fixture_start(&f);
    assert_ask(&f, false, "/status", NULL, 500, "status: out of memory");
    assert_ask(&f, false, "/metrics", NULL, 500, "status: out of memory");
    assert_ask(&f, false, "/readyz", NULL, 500, "status: out of memory");
    assert_ask(&f, false, "/startupz", NULL, 500, "status: out of memory");
    assert_ask(&f, true, "/list", NULL, 500, "status: out of memory");
    assert_ask(&f, false, "/healthz", NULL, 200, "ok");
    fixture_end(&f);
}

static void test_the_socket_speaks_litestreams_language(void **state UNUSED)
{
    struct fixture f = {.port = 0};
    struct stat st;

    fixture_start(&f);
    assert_int_equal(stat(f.socket, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_ask(&f, true, "/list", NULL, 200,
               "{\"databases\":[{\"path\":\"/data/app.db\",\"status\":\"backoff\","
               "\"last_sync_at\":\"2026-11-21T09:37:04Z\"},"
               "{\"path\":\"/data/new.db\",\"status\":\"not_wal\"}]}");
    assert_ask(&f, true, "/info", NULL, 200,
               "{\"version\":\"1.2.3\",\"pid\":7,\"uptime_seconds\":3600,"
               "\"started_at\":\"2026-11-21T08:37:05Z\",\"database_count\":2}");
    assert_ask(&f, true, "/txid?path=%2Fdata/app.db", NULL, 200, "{\"txid\":13}");
    assert_ask(&f, true, "/txid", NULL, 400, "{\"error\":\"path required\"}");
    assert_ask(&f, true, "/txid?path=%zz", NULL, 400, "{\"error\":\"invalid path\"");
    assert_ask(&f, true, "/txid?path=/no", NULL, 404, "{\"error\":\"database not found\"");
    assert_ask(&f, true, "/status", NULL, 200, "\"schema\":1");
    assert_ask(&f, true, "/", NULL, 404, "");
    fixture_end(&f);
}

static void test_a_sync_that_is_waited_for_tells_what_it_did(void **state UNUSED)
{
    struct fixture f = {.port = 0};

    fixture_start(&f);
    assert_ask(&f, true, "/sync", "{\"path\":\"/data/app.db\",\"wait\":true}", 200,
               "{\"status\":\"synced\",\"path\":\"/data/app.db\",\"txid\":13,"
               "\"replicated_txid\":10}");
    assert_ask(&f, true, "/sync", "{\"path\":\"/data/app.db\",\"wait\":true,\"timeout\":30}", 200,
               "{\"status\":\"no_change\"");
    fixture_end(&f);
}

static void test_a_sync_that_is_not_waited_for_is_begun(void **state UNUSED)
{
    struct fixture f = {.port = 0};

    fixture_start(&f);
    assert_ask(&f, true, "/sync", "{\"path\":\"/data/app.db\"}", 200,
               "{\"status\":\"synced_local\",\"path\":\"/data/app.db\",\"txid\":13,"
               "\"replicated_txid\":9}");
    fixture_end(&f);
}

static void test_a_sync_that_fails_says_why(void **state UNUSED)
{
    static const struct {
        enum error_code code;
        int status;
    } rows[] = {{ERR_TIMEOUT, 504}, {ERR_UNAVAILABLE, 503}, {ERR_FENCED, 409}, {ERR_IO, 500}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f = {.sync_code = rows[i].code};
        fixture_start(&f);
        assert_ask(&f, true, "/sync", "{\"path\":\"/data/app.db\",\"wait\":true}", rows[i].status,
                   "{\"error\":\"sync failed\",\"details\":\"the bucket is away\"}");
        fixture_end(&f);
    }
}

static void test_bad_bodies_are_refused(void **state UNUSED)
{
    static const struct {
        const char *path, *body;
        int status;
        const char *part;
    } rows[] = {
        {"/sync", "", 400, "invalid request body"},
        {"/sync", "{bad", 400, "invalid request body"},
        {"/sync", "[]", 400, "path required"},
        {"/sync", "{}", 400, "path required"},
        {"/sync", "{\"path\":7}", 400, "invalid request body"},
        {"/sync", "{\"path\":\"/data/app.db\",\"wait\":1}", 400, "wait: expected"},
        {"/sync", "{\"path\":\"/data/app.db\",\"timeout\":-1}", 400, "timeout: "},
        {"/sync", "{\"path\":\"/data/app.db\",\"timeout\":86401}", 400, "more than a day"},
        {"/sync", "{\"path\":\"/no\"}", 404, "database not found"},
        {"/register", "{\"path\":\"/x.db\"}", 400, "replica_url required"},
        {"/register", "{\"path\":\"/x.db\",\"replica_url\":\"ftp://x\"}", 400, "no such scheme"},
        {"/register", "{\"path\":\"/x.db\",\"replica_url\":\"file:///b\"}", 200,
         "{\"status\":\"registered\",\"path\":\"/x.db\"}"},
        {"/register", "{\"path\":\"/data/app.db\",\"replica_url\":\"file:///b\"}", 200,
         "{\"status\":\"already_registered\",\"path\":\"/data/app.db\"}"},
    };
    struct fixture f = {.port = 0};

    fixture_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_ask(&f, true, rows[i].path, rows[i].body, rows[i].status, rows[i].part);
    assert_ask(&f, true, "/sync", NULL, 405, "Allow: POST\r\n");
    fixture_end(&f);
}

static void test_drain_reaches_the_engine(void **state UNUSED)
{
    struct fixture f = {.port = 0};

    fixture_start(&f);
    assert_ask(&f, true, "/drain", "", 200, "{\"status\":\"draining\"}");
    assert_ask(&f, false, "/status", NULL, 200, "\"is_draining\":true");
    fixture_end(&f);
    assert_int_equal(f.drains, 1);
}

static void test_what_the_engine_cannot_do_is_501(void **state UNUSED)
{
    struct fixture f = {.has_no_actions = true};

    fixture_start(&f);
    assert_ask(&f, true, "/sync", "{\"path\":\"/data/app.db\"}", 501, "not available");
    assert_ask(&f, true, "/register", "{\"path\":\"/data/app.db\"}", 501, "not available");
    assert_ask(&f, true, "/drain", "", 501, "not available");
    fixture_end(&f);
}

static void test_who_waits_is_told_that_control_ends(void **state UNUSED)
{
    struct fixture f = {.port = 0};
    struct test_process curl = TEST_PROCESS_INIT;

    fixture_start(&f);
    const char *const argv[] = {"curl",
                                "-sSi",
                                "-m",
                                "20",
                                "--unix-socket",
                                f.socket,
                                "--data-binary",
                                "{\"path\":\"/data/app.db\",\"wait\":true,\"timeout\":5}",
                                "http://x/sync",
                                NULL};
    test_process_start(&curl, argv, NULL, f.log);
    while (atomic_load(&f.syncs) == 0)
        assert_false(test_process_wait(&curl, NS_PER_MS));
    uv_async_send(&f.stop);
    assert_int_equal(pthread_join(f.thread, NULL), 0);
    assert_true(test_process_wait(&curl, 20 * NS_PER_SEC)); /* answered or closed, but not left */
    pthread_barrier_destroy(&f.is_ready);
    test_folder_remove(f.folder);
}

/* ---- who waits for a change ---- */

/* The version that /status is given now, in quotes as ETag has it. The caller frees. */
static char *version_now(struct fixture *f)
{
    CLEANUP(mem_free) char *answer = ask(f, false, "/status", NULL, NULL);
    struct error err = ERROR_INIT;
    const char *tag = strstr(answer, "\r\nETag: \"");

    assert_non_null(tag);
    return str_printf(&err, "%.33s", tag + strlen("\r\nETag: \""));
}

static void test_a_change_is_told_to_who_waits_for_it(void **state UNUSED)
{
    struct fixture f = {.port = 0};
    struct test_process curl = TEST_PROCESS_INIT;
    char path[128], url[256], log[300];

    fixture_start(&f);
    CLEANUP(mem_free) char *before = version_now(&f);
    (void)snprintf(path, sizeof(path), "/status/changes?since=%s&seconds=60", before);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", f.port, path);
    (void)snprintf(log, sizeof(log), "%s/waits.log", f.folder);
    const char *const argv[] = {"curl", "-sS", "-m", "50", url, NULL};
    test_process_start(&curl, argv, NULL, log);
    while (atomic_load(&f.collects) < 2) /* /status, and the one that waits now */
        assert_false(test_process_wait(&curl, NS_PER_MS));
    uv_async_send(&f.attach);
    pthread_barrier_wait(&f.is_ready);
    assert_true(test_process_wait(&curl, 40 * NS_PER_SEC));
    CLEANUP(mem_free) char *told = test_process_output(&curl);
    CLEANUP(mem_free) char *after = version_now(&f);
    assert_int_equal(curl.status, 0);
    assert_memory_equal(told, after, 33);
    assert_string_not_equal(before, after);
    assert_ask(&f, false, path, NULL, 200, after); /* late: at once */
    fixture_end(&f);
}

static void test_who_waits_in_vain_is_answered_all_the_same(void **state UNUSED)
{
    struct fixture f = {.port = 0};
    char path[128];

    fixture_start(&f);
    CLEANUP(mem_free) char *version = version_now(&f);
    (void)snprintf(path, sizeof(path), "/status/changes?since=%s&seconds=1", version);
    assert_ask(&f, false, path, NULL, 200, version);
    /* Who does not say since when, or for how long, does not wait. */
    (void)snprintf(path, sizeof(path), "/status/changes?since=%s", version);
    assert_ask(&f, false, path, NULL, 200, version);
    assert_ask(&f, false, "/status/changes?seconds=60", NULL, 200, version);
    assert_ask(&f, false, "/status/changes?since=nonsense&seconds=60", NULL, 200, version);
    assert_ask(&f, false, "/status/changes?since=%zz&seconds=60", NULL, 200, version);
    assert_ask(&f, true, "/status/changes", NULL, 404, "");
    fixture_end(&f);
}

/* A connection that asks, and waits. */
static int wait_open(const struct fixture *f, const char *version, const char *more)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->port)};
    char request[256];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)snprintf(request, sizeof(request),
                   "GET /status/changes?since=%s%s HTTP/1.1\r\nHost: x\r\n\r\n", version, more);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
    return fd;
}

/* Reads the next answer on a connection: its first bytes. */
static void assert_next(int fd, const char *expected)
{
    char text[64];
    size_t n = strlen(expected);

    assert_int_equal(recv(fd, text, n, MSG_WAITALL), n);
    assert_memory_equal(text, expected, n);
}

#define SIGN "HTTP/1.1 102 Processing\r\n\r\n"

static void test_signs_of_life_are_sent_while_nothing_is_new(void **state UNUSED)
{
    struct fixture f = {.port = 0};

    fixture_start(&f);
    CLEANUP(mem_free) char *version = version_now(&f);
    int fd = wait_open(&f, version, "&seconds=1&signs=2");
    assert_next(fd, SIGN);
    assert_next(fd, SIGN);
    assert_next(fd, "HTTP/1.1 200 OK\r\n"); /* no more of them */
    (void)close(fd);
    fd = wait_open(&f, version, "&seconds=1&signs=0");
    assert_next(fd, "HTTP/1.1 200 OK\r\n");
    (void)close(fd);
    fixture_end(&f);
}

static void test_other_figures_are_told_instead_of_a_sign_of_life(void **state UNUSED)
{
    struct fixture f = {.port = 0};

    fixture_start(&f);
    CLEANUP(mem_free) char *version = version_now(&f);
    int fd = wait_open(&f, version, "&seconds=1&signs=60");
    assert_next(fd, SIGN);
    atomic_store(&f.lag_bytes, 4096);
    /* At the next look; one more if that was just over. */
    char text[sizeof(SIGN)];
    assert_int_equal(recv(fd, text, strlen(SIGN), MSG_WAITALL), strlen(SIGN));
    if (memcmp(text, SIGN, strlen(SIGN)) == 0)
        assert_next(fd, "HTTP/1.1 200 OK\r\n");
    else
        assert_memory_equal(text, "HTTP/1.1 200 OK\r\n", 17);
    (void)close(fd);
    fixture_end(&f);
}

static void test_other_words_are_told_at_once_also_behind_signs_of_life(void **state UNUSED)
{
    struct fixture f = {.port = 0};

    fixture_start(&f);
    CLEANUP(mem_free) char *version = version_now(&f);
    int fd = wait_open(&f, version, "&seconds=1&signs=60");
    assert_next(fd, SIGN);
    int slow = wait_open(&f, version, "&seconds=60&signs=60");
    while (atomic_load(&f.collects) < 4) { /* /status, two that wait, and one sign */
        struct timespec pause = {.tv_nsec = NS_PER_MS};
        (void)nanosleep(&pause, NULL);
    }
    uv_async_send(&f.attach);
    pthread_barrier_wait(&f.is_ready);
    assert_next(slow, "HTTP/1.1 200 OK\r\n");
    (void)close(slow);
    (void)close(fd); /* maybe behind another sign: it is the same wait */
    fixture_end(&f);
}

static void test_the_first_of_many_who_wait_makes_room(void **state UNUSED)
{
    struct fixture f = {.port = 0};
    int fds[33];
    char answer[16];

    fixture_start(&f);
    CLEANUP(mem_free) char *version = version_now(&f);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        unsigned before = atomic_load(&f.collects);
        fds[i] = wait_open(&f, version, "&seconds=60");
        while (atomic_load(&f.collects) == before) {
            struct timespec pause = {.tv_nsec = NS_PER_MS};
            (void)nanosleep(&pause, NULL);
        }
    }
    assert_int_equal(recv(fds[0], answer, sizeof(answer), MSG_WAITALL), sizeof(answer));
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r", sizeof(answer));
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        (void)close(fds[i]); /* while they wait: nobody is told, nothing is lost */
    uv_async_send(&f.attach);
    pthread_barrier_wait(&f.is_ready);
    assert_ask(&f, false, "/healthz", NULL, 200, "ok");
    fixture_end(&f);
}

static void test_a_fleet_is_told_in_full(void **state UNUSED)
{
    enum {
        FLEET = 2000
    };
    struct fixture f = {.port = 0};
    struct error err = ERROR_INIT;
    CLEANUP(mem_free) struct status_db *dbs = mem_new(FLEET, sizeof(*dbs), &err);
    CLEANUP(mem_free) char *names = mem_new(FLEET, 32, &err);

    assert_true(dbs && names);
    for (size_t i = 0; i < FLEET; i++) {
        (void)snprintf(names + i * 32, 32, "/data/%zu.db", i);
        dbs[i].name = names + i * 32;
    }
    f.fleet = dbs;
    f.fleet_count = FLEET;
    fixture_start(&f);
    char url[64], path[300];
    size_t n = 0;
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/status", f.port);
    (void)snprintf(path, sizeof(path), "%s/status", f.folder);
    const char *const argv[] = {"curl", "-sSf", "-m", "20", "-o", path, url, NULL};
    CLEANUP(mem_free) char *said = test_process_run(argv, NULL, f.log, 30 * NS_PER_SEC, 0);
    CLEANUP(mem_free) uint8_t *text = test_file_read(path, &n);
    assert_ok(jsonval_parse(&doc, "status", slice_of(text, n), &err), &err);
    assert_int_equal(jsonval_count(jsonval_get(jsonval_root(&doc), "databases")), FLEET);
    assert_ask(&f, false, "/metrics", NULL, 200, "process_start_time_seconds 1795250225\n");
    fixture_end(&f);
}

static void test_secrets_do_not_show(void **state UNUSED)
{
    static const char *const paths[] = {"/", "/status", "/metrics", "/readyz", "/startupz"};
    struct fixture f = {.port = 0};

    assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", CANARY, 1), 0);
    fixture_start(&f);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        CLEANUP(mem_free) char *answer = ask(&f, false, paths[i], NULL, NULL);
        test_row(paths[i]);
        assert_null(strstr(answer, CANARY));
    }
    fixture_end(&f);
    assert_int_equal(unsetenv("AWS_SECRET_ACCESS_KEY"), 0);
}

static void test_addresses_are_read(void **state UNUSED)
{
    static const struct {
        const char *text, *host;
        unsigned port;
    } good[] = {
        {":9090", "", 9090},   {"127.0.0.1:9090", "127.0.0.1", 9090},
        {"[::1]:1", "::1", 1}, {"localhost:80", "127.0.0.1", 80},
        {"9090", "", 9090},    {"[::]:0", "::", 0},
    };
    static const char *const bad[] = {"",
                                      ":",
                                      "a",
                                      ":65536",
                                      ":-1",
                                      ":1x",
                                      "example.com:80",
                                      "1.2.3:4",
                                      "[::1:80",
                                      ":99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct error err = ERROR_INIT;
        char host[CONTROL_HOST_BYTES];
        unsigned port = 0;
        test_row(good[i].text);
        assert_ok(control_address_parse(good[i].text, host, &port, &err), &err);
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = ERROR_INIT;
        char host[CONTROL_HOST_BYTES];
        unsigned port = 0;
        test_row(bad[i]);
        assert_error(control_address_parse(bad[i], host, &port, &err), &err, ERR_USAGE, "address");
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_tcp_shows_everything),
        TEST(test_openmetrics_is_given_to_who_asks_for_it),
        TEST(test_tcp_changes_nothing),
        TEST(test_startup_stays_done),
        TEST(test_an_engine_that_cannot_answer_is_alive_all_the_same),
        TEST(test_the_socket_speaks_litestreams_language),
        TEST(test_a_sync_that_is_waited_for_tells_what_it_did),
        TEST(test_a_sync_that_is_not_waited_for_is_begun),
        TEST(test_a_sync_that_fails_says_why),
        TEST(test_bad_bodies_are_refused),
        TEST(test_drain_reaches_the_engine),
        TEST(test_what_the_engine_cannot_do_is_501),
        TEST(test_who_waits_is_told_that_control_ends),
        TEST(test_a_change_is_told_to_who_waits_for_it),
        TEST(test_who_waits_in_vain_is_answered_all_the_same),
        TEST(test_signs_of_life_are_sent_while_nothing_is_new),
        TEST(test_other_figures_are_told_instead_of_a_sign_of_life),
        TEST(test_other_words_are_told_at_once_also_behind_signs_of_life),
        TEST(test_the_first_of_many_who_wait_makes_room),
        TEST(test_a_fleet_is_told_in_full),
        TEST(test_secrets_do_not_show),
        TEST(test_addresses_are_read),
    };
    return TEST_MAIN(tests);
}
