/*
 * Latency of the admission webhook: a server in a process of its own, real TLS, connections that
 * are kept as an API server keeps them, and pods that arrive at a fixed rate whether or not the
 * last one has been answered (so that a slow answer is not hidden by a client that waits).
 *
 * usage: bench/admission [RATE_PER_S [SECONDS [REPLICAS]]]     (200, 10, 5000)
 *
 * Prints one line: rate, count, percentiles of the answer's time in milliseconds as the client sees
 * it, the server's CPU time for each, and how long server and client waited for a processor for each
 * (what is long although neither worked nor waited so long is ours). Every answer must be a patch.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "controller/webhook/webhook.h"
#include "lib/http/client.h"
#include "lib/testing/test.h"
#include "lib/tls/tls.h"

enum {
    REPLICAS_MAX = 100000,
    ANSWERS_MAX = 1 << 20,
};

static const char *const names[] = {"localhost"};

static void must(int rc, const struct error *err)
{
    if (rc >= 0)
        return;
    (void)fprintf(stderr, "%s\n", err->text);
    exit(1);
}

/* ---- the server: a cache of resources, found by name ---- */

struct cache {
    struct api_replica **replicas;
    size_t count;
};

static void cache_look(void *ctx, const char *namespace_name UNUSED, const char *name,
                       struct webhook_subject *out)
{
    const struct cache *c = ctx;
    unsigned idx = 0;

    /* "app-123": the informer has a hash table, this an index. */
    if (sscanf(name, "app-%u", &idx) == 1 && idx < c->count)
        out->replica = c->replicas[idx];
}

static void cache_make(struct cache *c, size_t count)
{
    struct error err = ERROR_INIT;

    c->replicas = calloc(count, sizeof(*c->replicas));
    c->count = count;
    for (size_t i = 0; i < count; i++) {
        CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
        char text[1024];
        (void)snprintf(text, sizeof(text),
                       "{\"metadata\":{\"name\":\"app-%zu\",\"namespace\":\"prod\"},\"spec\":{"
                       "\"databases\":[{\"name\":\"main\",\"path\":\"/data/app.db\"},{\"name\":"
                       "\"jobs\",\"path\":\"/data/jobs.db\"}],\"destination\":{\"s3\":{\"bucket\":"
                       "\"backups\",\"credentialsSecretRef\":{\"name\":\"keys\"}}}}}",
                       i);
        must(jsonval_parse(&doc, "replica", slice_of_str(text), &err), &err);
        must(api_replica_parse(jsonval_root(&doc), &c->replicas[i], &err), &err);
    }
}

/* Serves until it is killed; tells its port on `tell`. */
static void server_run(const struct tls_pem *pem, size_t replica_count, int tell)
{
    struct log log = {.env = env_real(), .fd = 2, .level = LOG_LEVEL_WARN};
    struct cache cache = {NULL, 0};
    struct webhook_config config = {.address = "127.0.0.1",
                                    .inject = {.image = "walferry:1", .version = "1"},
                                    .source = {.ctx = &cache, .look = cache_look},
                                    .log = &log};
    struct tls_keypair *k = NULL;
    struct webhook *webhook = NULL;
    struct loop *loop = NULL;
    struct error err = ERROR_INIT;

    cache_make(&cache, replica_count);
    must(loop_new(env_real(), 1, &loop, &err), &err);
    must(tls_identity_new(&config.identity, &err), &err);
    must(tls_keypair_parse(buf_slice(&pem->cert), buf_slice(&pem->key), &k, &err), &err);
    tls_identity_set(config.identity, k);
    must(webhook_new(loop, &config, &webhook, &err), &err);
    unsigned port = webhook_port(webhook);
    if (write(tell, &port, sizeof(port)) != sizeof(port))
        _exit(1);
    loop_run(loop);
    _exit(1);
}

static uint64_t cpu_ns_of(pid_t pid)
{
    struct timespec t;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

/* How long a process has waited for a processor that it could have used. Source: Linux,
 * Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat. */
static uint64_t queued_ns_of(pid_t pid)
{
    char path[64];
    unsigned long long queued_ns = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%*u %llu", &queued_ns) != 1)
        queued_ns = 0;
    if (f)
        (void)fclose(f); /* was only read */
    return queued_ns;
}

/* ---- the client: an API server with pods to admit ---- */

struct load {
    struct loop *loop;
    struct http_client *client;
    struct loop_timer timer;
    char url[128];
    size_t replica_count;
    uint64_t begin_ns, gap_ns;
    size_t sent, answered, wanted, wrong;
    uint64_t *took_ns;
};

struct flight {
    struct load *load;
    uint64_t due_ns; /* when it should have started: waiting counts */
};

static void on_answer(void *arg, const struct http_response *response)
{
    struct flight *f = arg;
    struct load *l = f->load;
    bool is_patch = response->err->code == ERR_NONE && response->status == 200 &&
                    memmem(response->body.p, response->body.n, "\"patch\":", 8) != NULL;

    l->wrong += is_patch ? 0 : 1;
    if (!is_patch && l->wrong == 1) {
        (void)fprintf(stderr, "%d %s %.*s\n", response->status, response->err->text,
                      (int)response->body.n, (const char *)response->body.p);
    }
    l->took_ns[l->answered++] = env_monotonic_ns(env_real()) - f->due_ns;
    free(f);
    if (l->answered == l->wanted)
        loop_stop(l->loop);
}

/* A pod of some size: sixteen variables, probes, a volume. */
static void body_write(const struct load *l, size_t number, struct buf *out)
{
    struct error err = ERROR_INIT;
    int rc = buf_printf(
        out, &err,
        "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":{"
        "\"uid\":\"705ab4f5-%zu\",\"kind\":{\"group\":\"\",\"version\":\"v1\",\"kind\":\"Pod\"},"
        "\"namespace\":\"prod\",\"operation\":\"CREATE\",\"object\":{\"metadata\":{\"name\":"
        "\"app-0\",\"labels\":{\"walferry.dev/replica\":\"app-%zu\"}},\"spec\":{"
        "\"securityContext\":{\"runAsUser\":1000,\"fsGroup\":1000},\"containers\":[{\"name\":"
        "\"app\",\"image\":\"registry.example.com/app:1\",\"env\":[",
        number, number % l->replica_count);

    for (int i = 0; i < 64 && rc == 0; i++) {
        rc = buf_printf(out, &err, "%s{\"name\":\"VARIABLE_%d\",\"value\":\"%064d\"}", i ? "," : "",
                        i, i);
    }
    must(rc, &err);
    must(buf_append_str(out,
                        "],\"volumeMounts\":[{\"name\":\"data\",\"mountPath\":\"/data\"}]}],"
                        "\"volumes\":[{\"name\":\"data\",\"persistentVolumeClaim\":{\"claimName\":"
                        "\"app\"}}]}}}}",
                        &err),
         &err);
}

static void send_one(struct load *l)
{
    const struct http_header type = {"Content-Type", "application/json"};
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(1 << 20);
    struct flight *f = calloc(1, sizeof(*f));
    struct error err = ERROR_INIT;

    body_write(l, l->sent, &body);
    *f = (struct flight){.load = l, .due_ns = l->begin_ns + l->sent * l->gap_ns};
    l->sent++;
    const struct http_request request = {.method = "POST",
                                         .url = l->url,
                                         .headers = &type,
                                         .header_count = 1,
                                         .body_slice = buf_slice(&body),
                                         .has_body = true,
                                         .deadline_ns = 5 * NS_PER_SEC};
    must(http_start(l->client, &request, on_answer, f, NULL, &err), &err);
}

static void on_due(void *arg)
{
    struct load *l = arg;
    uint64_t now_ns = env_monotonic_ns(env_real());

    while (l->sent < l->wanted && l->begin_ns + l->sent * l->gap_ns <= now_ns)
        send_one(l);
    if (l->sent == l->wanted)
        return;
    uint64_t due_ns = l->begin_ns + l->sent * l->gap_ns;
    loop_timer_start(&l->timer, due_ns > now_ns ? due_ns - now_ns : 0);
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double percentile_ms(const struct load *l, double part)
{
    size_t at = (size_t)(part * (double)(l->answered - 1));
    return (double)l->took_ns[at] / 1e6;
}

static void load_run(struct load *l, size_t count)
{
    l->wanted = count;
    l->sent = 0;
    l->answered = 0;
    l->begin_ns = env_monotonic_ns(env_real());
    on_due(l);
    loop_run(l->loop);
}

static void client_run(struct load *l, const char *ca_path, unsigned port, unsigned rate,
                       unsigned seconds, pid_t server)
{
    const struct http_client_config config = {.ca_file = ca_path, .connections_max = 16};
    struct error err = ERROR_INIT;

    must(loop_new(env_real(), 1, &l->loop, &err), &err);
    must(http_client_new(l->loop, &config, &l->client, &err), &err);
    loop_timer_init(&l->timer, l->loop, on_due, l);
    (void)snprintf(l->url, sizeof(l->url), "https://localhost:%u/mutate?timeout=5s", port);
    l->gap_ns = NS_PER_SEC / rate;
    l->took_ns = calloc(ANSWERS_MAX, sizeof(*l->took_ns));
    load_run(l, rate); /* connections are made, caches are warm */
    uint64_t cpu_ns = cpu_ns_of(server);
    uint64_t server_ns = queued_ns_of(server), client_ns = queued_ns_of(getpid());
    load_run(l, (size_t)rate * seconds);
    cpu_ns = cpu_ns_of(server) - cpu_ns;
    server_ns = queued_ns_of(server) - server_ns;
    client_ns = queued_ns_of(getpid()) - client_ns;
    qsort(l->took_ns, l->answered, sizeof(*l->took_ns), compare);
    (void)printf("rate=%u count=%zu wrong=%zu p50_ms=%.2f p90_ms=%.2f p99_ms=%.2f max_ms=%.2f "
                 "server_cpu_us=%.0f server_queued_us=%.0f client_queued_us=%.0f\n",
                 rate, l->answered, l->wrong, percentile_ms(l, 0.5), percentile_ms(l, 0.9),
                 percentile_ms(l, 0.99), percentile_ms(l, 1),
                 (double)cpu_ns / 1e3 / (double)l->answered,
                 (double)server_ns / 1e3 / (double)l->answered,
                 (double)client_ns / 1e3 / (double)l->answered);
}

static unsigned argument(int argc, char **argv, int idx, unsigned fallback, unsigned max)
{
    unsigned long n = argc > idx ? strtoul(argv[idx], NULL, 10) : fallback;

    return n == 0 || n > max ? fallback : (unsigned)n;
}

int main(int argc, char **argv)
{
    unsigned rate = argument(argc, argv, 1, 200, 5000);
    unsigned seconds = argument(argc, argv, 2, 10, 200);
    struct load load = {.replica_count = argument(argc, argv, 3, 5000, REPLICAS_MAX)};
    uint64_t now = env_wall_ns(env_real());
    const struct tls_validity life = {now, now + NS_PER_DAY};
    struct tls_pem ca = TLS_PEM_INIT, pem = TLS_PEM_INIT;
    struct error err = ERROR_INIT;
    char folder[256], ca_path[300];
    unsigned port = 0;
    int tell[2];

    test_folder_make(folder);
    (void)snprintf(ca_path, sizeof(ca_path), "%s/ca.crt", folder);
    must(tls_authority_make(env_real(), "bench", &life, &ca, &err), &err);
    must(tls_authority_sign(env_real(), &ca, names, 1, &life, &pem, &err), &err);
    test_file_write(ca_path, buf_slice(&ca.cert));
    if (pipe(tell) < 0)
        return 1;
    pid_t server = fork();
    if (server == 0)
        server_run(&pem, load.replica_count, tell[1]);
    if (server < 0 || read(tell[0], &port, sizeof(port)) != sizeof(port))
        return 1;
    client_run(&load, ca_path, port, rate, seconds, server);
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    test_folder_remove(folder);
    return load.wrong ? 1 : 0;
}
