/*
 * Processes and servers of tests.
 *
 * A child is started by fork and exec with everything prepared before the fork (the test may have
 * threads), carries PR_SET_PDEATHSIG and is watched by a pidfd, so that waiting for its end needs
 * no signal handler and no sleeping. Waiting for a port is the exception: nobody tells when a
 * server listens, so it is asked every few milliseconds until a deadline.
 */
#include "lib/testing/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/testing/test.h"

enum {
    ENV_ENTRIES_MAX = 512,
    OUTPUT_BYTES_MAX = 1 << 20,
    LOOK_EACH_MS = 2,
    S3_START_TRIES = 3, /* somebody else may take the free port first */
    S3_ARGUMENTS_MAX = 24,
};

static const char front_program[] = "/usr/sbin/nghttpx";

static const uint64_t stop_ns = 5 * NS_PER_SEC;
static const uint64_t start_ns = 20 * NS_PER_SEC;

static uint64_t now_ns(void)
{
    return env_monotonic_ns(env_real());
}

static uint64_t deadline_after(uint64_t delay_ns)
{
    return now_ns() + delay_ns;
}

/* What is left until a deadline, for poll(): rounded up, at most a minute at a time. */
static int rest_ms(uint64_t deadline_ns)
{
    uint64_t now = now_ns();

    if (deadline_ns <= now)
        return 0;
    uint64_t ms = (deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
    return ms < 60000 ? (int)ms : 60000;
}

/* ---- processes ---- */

/* Whether an entry of the environment has the name of "NAME=value" or "NAME". */
static bool env_has_name(const char *entry, const char *change)
{
    size_t n = strcspn(change, "=");

    return strncmp(entry, change, n) == 0 && entry[n] == '=';
}

/* This process's environment with the changes; the array is the caller's, its texts are not. */
static void env_merge(const char *const *changes, char *out[static ENV_ENTRIES_MAX])
{
    size_t count = 0;

    for (char **entry = environ; *entry; entry++) {
        bool is_changed = false;
        for (size_t i = 0; changes && changes[i]; i++)
            is_changed = is_changed || env_has_name(*entry, changes[i]);
        assert_true(count < ENV_ENTRIES_MAX - 1);
        if (!is_changed)
            out[count++] = *entry;
    }
    for (size_t i = 0; changes && changes[i]; i++) {
        assert_true(count < ENV_ENTRIES_MAX - 1);
        if (strchr(changes[i], '='))
            out[count++] = (char *)(uintptr_t)changes[i]; /* execvpe() only reads it */
    }
    out[count] = NULL;
}

static NO_RETURN void child_run(const char *const *argv, char **envp, int log_fd, int null_fd,
                                pid_t parent)
{
    static const char text[] = "cannot be started\n";

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && dup2(null_fd, 0) == 0 &&
        dup2(log_fd, 1) == 1 && dup2(log_fd, 2) == 2) {
        (void)execvpe(argv[0], (char *const *)(uintptr_t)argv, envp); /* returns only on failure */
        ssize_t written = write(2, text, sizeof(text) - 1);
        (void)written; /* the exit status tells it too */
    }
    _exit(127);
}

void test_process_start(struct test_process *p, const char *const *argv, const char *const *env,
                        const char *log_path)
{
    char *envp[ENV_ENTRIES_MAX];
    pid_t parent = getpid();

    *p = (struct test_process)TEST_PROCESS_INIT;
    env_merge(env, envp);
    assert_true(snprintf(p->log_path, sizeof(p->log_path), "%s", log_path) <
                (int)sizeof(p->log_path));
    int log_fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(log_fd >= 0 && null_fd >= 0);
    p->pid = fork();
    if (p->pid == 0)
        child_run(argv, envp, log_fd, null_fd, parent);
    assert_true(p->pid > 0);
    assert_int_equal(close(log_fd), 0);
    assert_int_equal(close(null_fd), 0);
}

static void process_reap(struct test_process *p)
{
    int status;

    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    p->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool test_process_wait(struct test_process *p, uint64_t deadline_ns)
{
    uint64_t until_ns = deadline_after(deadline_ns);

    if (p->pid == 0 || p->status >= 0)
        return true;
    struct pollfd watched = {.fd = pidfd_open(p->pid, 0), .events = POLLIN};
    assert_true(watched.fd >= 0);
    int rc;
    do {
        rc = poll(&watched, 1, rest_ms(until_ns));
    } while (rc <= 0 && now_ns() < until_ns);
    assert_int_equal(close(watched.fd), 0);
    if (rc <= 0)
        return false;
    process_reap(p);
    return true;
}

void test_process_signal(struct test_process *p, int signal)
{
    if (p->pid > 0 && p->status < 0)
        (void)kill(p->pid, signal); /* it may have ended this instant; not reaped, so it is it */
}

void test_process_stop(struct test_process *p)
{
    if (p->pid == 0 || p->status >= 0)
        return;
    test_process_signal(p, SIGTERM);
    if (test_process_wait(p, stop_ns))
        return;
    test_process_signal(p, SIGKILL);
    assert_true(test_process_wait(p, stop_ns));
}

char *test_process_output(const struct test_process *p)
{
    int fd = open(p->log_path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    off_t size = lseek(fd, 0, SEEK_END);
    assert_true(size >= 0);
    off_t from = size > OUTPUT_BYTES_MAX ? size - OUTPUT_BYTES_MAX : 0;
    char *text = malloc((size_t)(size - from) + 1);
    assert_non_null(text);
    ssize_t n = pread(fd, text, (size_t)(size - from), from);
    assert_true(n >= 0);
    text[n] = '\0';
    assert_int_equal(close(fd), 0);
    return text;
}

char *test_process_run(const char *const *argv, const char *const *env, const char *log_path,
                       uint64_t deadline_ns, int wanted_status)
{
    struct test_process p;

    test_process_start(&p, argv, env, log_path);
    bool has_ended = test_process_wait(&p, deadline_ns);
    if (!has_ended)
        test_process_stop(&p);
    char *output = test_process_output(&p);
    if (!has_ended || p.status != wanted_status) {
        print_error("# %s: %s with status %d, wanted %d:\n%s\n", argv[0],
                    has_ended ? "ended" : "was still running", p.status, wanted_status, output);
        free(output);
        fail();
    }
    return output;
}

/* ---- ports ---- */

static struct sockaddr_in loopback(unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

unsigned test_port_free(void)
{
    struct sockaddr_in at = loopback(0);
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    assert_int_equal(close(fd), 0);
    return ntohs(at.sin_port);
}

struct port_look {
    unsigned port;
    struct test_process *p;
    bool is_open;
};

static bool port_look(void *arg)
{
    struct port_look *look = arg;
    struct sockaddr_in at = loopback(look->port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    look->is_open = connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
    assert_int_equal(close(fd), 0);
    return look->is_open || (look->p && test_process_wait(look->p, 0));
}

bool test_port_wait(unsigned port, struct test_process *p, uint64_t deadline_ns)
{
    struct port_look look = {.port = port, .p = p};

    (void)test_wait_until(port_look, &look, deadline_ns); /* is_open tells */
    return look.is_open;
}

bool test_wait_until(bool (*is_true)(void *arg), void *arg, uint64_t deadline_ns)
{
    uint64_t until_ns = deadline_after(deadline_ns);

    while (!is_true(arg)) {
        if (now_ns() >= until_ns)
            return false;
        (void)poll(NULL, 0, LOOK_EACH_MS); /* woken early: looks early */
    }
    return true;
}

/* ---- peers and certificates ---- */

bool test_peer_path(const char *name, char out[static 256])
{
    const char *peers = getenv("WALFERRY_PEERS");
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int n;

    if (peers && *peers)
        n = snprintf(out, 256, "%s/%s", peers, name);
    else if (cache && *cache)
        n = snprintf(out, 256, "%s/walferry/bin/%s", cache, name);
    else
        n = snprintf(out, 256, "%s/.cache/walferry/bin/%s", home ? home : "", name);
    assert_in_range(n, 1, 255);
    return access(out, X_OK) == 0;
}

static void path_in(char *out, size_t bytes, const char *folder, const char *name)
{
    int n = snprintf(out, bytes, "%s/%s", folder, name);

    assert_true(n > 0 && (size_t)n < bytes);
}

static void openssl_run(const char *const *argv, const char *folder)
{
    char log_path[320];

    path_in(log_path, sizeof(log_path), folder, "openssl.log");
    free(test_process_run(argv, NULL, log_path, start_ns, 0));
}

void test_tls_make(struct test_tls *tls, const char *folder)
{
    static const char names[] = "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost,"
                                "DNS:s3.localhost,DNS:*.s3.localhost\n"
                                "basicConstraints=critical,CA:FALSE\n"
                                "extendedKeyUsage=serverAuth,clientAuth\n";
    char ca_key[320];
    char request[320];
    char extensions[320];

    path_in(tls->ca_path, sizeof(tls->ca_path), folder, "ca.pem");
    path_in(tls->server_cert_path, sizeof(tls->server_cert_path), folder, "server.pem");
    path_in(tls->server_key_path, sizeof(tls->server_key_path), folder, "server-key.pem");
    path_in(ca_key, sizeof(ca_key), folder, "ca-key.pem");
    path_in(request, sizeof(request), folder, "server.csr");
    path_in(extensions, sizeof(extensions), folder, "server.ext");
    test_file_write(extensions, SLICE_LIT(names));
    openssl_run((const char *const[]){"openssl",
                                      "req",
                                      "-x509",
                                      "-newkey",
                                      "ec",
                                      "-pkeyopt",
                                      "ec_paramgen_curve:P-256",
                                      "-nodes",
                                      "-days",
                                      "1",
                                      "-subj",
                                      "/CN=walferry test authority",
                                      "-addext",
                                      "basicConstraints=critical,CA:TRUE",
                                      "-addext",
                                      "keyUsage=critical,keyCertSign",
                                      "-keyout",
                                      ca_key,
                                      "-out",
                                      tls->ca_path,
                                      NULL},
                folder);
    openssl_run((const char *const[]){"openssl", "req", "-newkey", "ec", "-pkeyopt",
                                      "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost",
                                      "-keyout", tls->server_key_path, "-out", request, NULL},
                folder);
    openssl_run((const char *const[]){"openssl", "x509", "-req", "-in", request, "-CA",
                                      tls->ca_path, "-CAkey", ca_key, "-CAcreateserial", "-days",
                                      "1", "-extfile", extensions, "-out", tls->server_cert_path,
                                      NULL},
                folder);
}

/* ---- versitygw ---- */

/* Adds arguments to a list that ends with NULL. */
static void argv_add(const char **argv, const char *const *more)
{
    size_t n = 0;

    while (argv[n])
        n++;
    for (; *more; more++) {
        ASSERT(n + 1 < S3_ARGUMENTS_MAX);
        argv[n++] = *more;
    }
    argv[n] = NULL;
}

/* versitygw on a port. False if it ended before it answered. */
static bool s3_gateway_start(struct test_s3 *s3, const char *program, unsigned port)
{
    char address[32];
    char domain[32];
    char data[320];
    char log_path[320];
    char access[64];
    char secret[80];
    const char *argv[S3_ARGUMENTS_MAX] = {program};

    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    (void)snprintf(domain, sizeof(domain), "s3.localhost:%u", s3->port); /* as in the header Host */
    (void)snprintf(access, sizeof(access), "ROOT_ACCESS_KEY=%s", s3->access_key);
    (void)snprintf(secret, sizeof(secret), "ROOT_SECRET_KEY=%s", s3->secret_key);
    path_in(data, sizeof(data), s3->folder, "data");
    path_in(log_path, sizeof(log_path), s3->folder, "server.log");
    argv_add(argv, (const char *const[]){"--port", address, "--access-log", s3->access_log_path,
                                         "--quiet", NULL});
    if (s3->ways & TEST_S3_VIRTUAL_HOST)
        argv_add(argv, (const char *const[]){"--virtual-domain", domain, NULL});
    if (s3->is_https && !(s3->ways & TEST_S3_HTTP2)) {
        argv_add(argv, (const char *const[]){"--cert", s3->tls.server_cert_path, "--key",
                                             s3->tls.server_key_path, NULL});
    }
    argv_add(argv, (const char *const[]){"posix", data, NULL});
    const char *const env[] = {access, secret, "AWS_CA_BUNDLE", NULL};
    test_process_start(&s3->process, argv, env, log_path);
    return test_port_wait(port, &s3->process, start_ns);
}

/* nghttpx on the server's port, before the gateway on another. */
static bool s3_front_start(struct test_s3 *s3, unsigned gateway_port)
{
    char frontend[48];
    char backend[48];
    char log[384];
    char log_path[320];

    (void)snprintf(frontend, sizeof(frontend), "--frontend=127.0.0.1,%u", s3->port);
    (void)snprintf(backend, sizeof(backend), "--backend=127.0.0.1,%u", gateway_port);
    (void)snprintf(log, sizeof(log), "--accesslog-file=%s", s3->front_log_path);
    path_in(log_path, sizeof(log_path), s3->folder, "front.log");
    const char *const argv[] = {front_program,
                                "--conf=/dev/null",
                                "--single-process",
                                "--workers=1",
                                "--no-ocsp",
                                "--no-via",
                                frontend,
                                backend,
                                log,
                                "--accesslog-format=$request $status",
                                s3->tls.server_key_path,
                                s3->tls.server_cert_path,
                                NULL};
    test_process_start(&s3->front, argv, NULL, log_path);
    return test_port_wait(s3->port, &s3->front, start_ns);
}

/* One try on its port. False if a program ended before it answered. */
static bool s3_try(struct test_s3 *s3, const char *program)
{
    (void)snprintf(s3->endpoint, sizeof(s3->endpoint), "%s://%s:%u",
                   s3->is_https ? "https" : "http",
                   s3->ways & TEST_S3_VIRTUAL_HOST ? "s3.localhost" : "127.0.0.1", s3->port);
    if (!(s3->ways & TEST_S3_HTTP2))
        return s3_gateway_start(s3, program, s3->port);
    unsigned gateway_port = test_port_free();
    return s3_gateway_start(s3, program, gateway_port) && s3_front_start(s3, gateway_port);
}

static bool s3_programs_are_there(unsigned ways, char out_gateway[static 256])
{
    if (!test_peer_path("versitygw", out_gateway)) {
        print_message("# no versitygw at %s: run 'make peers'\n", out_gateway);
        return false;
    }
    if ((ways & TEST_S3_HTTP2) && access(front_program, X_OK) != 0) {
        print_message("# no %s: run 'make deps'\n", front_program);
        return false;
    }
    return true;
}

static void s3_give_up(const struct test_s3 *s3)
{
    char *output = test_process_output(&s3->process);

    print_error("# versitygw does not answer:\n%s\n", output);
    free(output);
    fail();
}

bool test_s3_start(struct test_s3 *s3, const char *folder, unsigned ways)
{
    char program[256];
    char data[320];

    *s3 = (struct test_s3){.process = TEST_PROCESS_INIT,
                           .front = TEST_PROCESS_INIT,
                           .ways = ways,
                           .is_https = (ways & (TEST_S3_TLS | TEST_S3_HTTP2)) != 0,
                           .access_key = "walferry-test",
                           .secret_key = "walferry-test-secret-key",
                           .region = "us-east-1"};
    if (!s3_programs_are_there(ways, program))
        return false;
    (void)snprintf(s3->folder, sizeof(s3->folder), "%s", folder);
    path_in(data, sizeof(data), folder, "data");
    path_in(s3->access_log_path, sizeof(s3->access_log_path), folder, "access.log");
    path_in(s3->front_log_path, sizeof(s3->front_log_path), folder, "front-access.log");
    assert_int_equal(mkdir(data, 0700), 0);
    if (s3->is_https)
        test_tls_make(&s3->tls, folder);
    for (int tries = 0; tries < S3_START_TRIES; tries++) {
        s3->port = test_port_free();
        if (s3_try(s3, program))
            return true;
        test_s3_stop(s3);
    }
    s3_give_up(s3);
    return false;
}

void test_s3_restart(struct test_s3 *s3)
{
    char program[256];

    assert_true(s3_programs_are_there(s3->ways, program));
    if (!s3_try(s3, program))
        s3_give_up(s3);
}

void test_s3_bucket_make(const struct test_s3 *s3, const char *bucket)
{
    char path[640];
    int n = snprintf(path, sizeof(path), "%s/data/%s", s3->folder, bucket);

    assert_true(n > 0 && (size_t)n < sizeof(path));
    assert_int_equal(mkdir(path, 0700), 0);
}

void test_s3_object_path(const struct test_s3 *s3, const char *bucket, const char *key,
                         char out[static 1024])
{
    int n = snprintf(out, 1024, "%s/data/%s/%s", s3->folder, bucket, key);

    assert_in_range(n, 1, 1023);
}

static unsigned log_lines_count(const char *path, const char *part)
{
    char *line = NULL;
    size_t bytes = 0;
    unsigned count = 0;
    FILE *log = fopen(path, "re");

    if (!log)
        return 0; /* it is made at the first request */
    while (getline(&line, &bytes, log) > 0)
        count += strstr(line, part) ? 1 : 0;
    free(line);
    assert_int_equal(fclose(log), 0);
    return count;
}

unsigned test_s3_request_count(const struct test_s3 *s3, const char *part)
{
    return log_lines_count(s3->access_log_path, part);
}

unsigned test_s3_front_count(const struct test_s3 *s3, const char *part)
{
    return log_lines_count(s3->front_log_path, part);
}

void test_s3_stop(struct test_s3 *s3)
{
    if (s3->front.pid > 0)
        test_process_stop(&s3->front);
    if (s3->process.pid > 0)
        test_process_stop(&s3->process);
}
