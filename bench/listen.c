/*
 * What listening to sidecars costs while nothing happens: the operator's listeners alone, against
 * bench/operator/farm, which answers on every address of the host.
 *
 *     build/release/bench/operator/farm 19392 &
 *     curl -sI http://127.0.0.1:19392/status       (its ETag is the version)
 *     build/release/bench/listen 19392 VERSION
 *
 * usage: bench/listen PORT VERSION [COUNT [SECONDS]]     (5000, 45)
 *
 * Prints one line: processor time of this process in percent of a core, signs of life and answers a
 * second, memory that the listeners took. Each must say that nothing is new.
 */
#include "controller/replica/listen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    WAIT_S = 15,
    SETTLE_S = 35, /* all have been asked twice, and have sent their first sign of life */
    AT_ONCE = 50,  /* connections begun before the loop turns: more than a backlog has are late */
};

struct bench {
    struct loop *loop;
    struct listeners *listeners;
    struct loop_timer timer;
    bool is_over;
    unsigned news;
    char version[LISTEN_VERSION_BYTES]; /* of all sidecars */
};

static void must(int rc, const struct error *err)
{
    if (rc >= 0)
        return;
    (void)fprintf(stderr, "%s\n", err->text);
    exit(1);
}

static void on_news(void *arg, const char *resource UNUSED, uint64_t delay_ns UNUSED)
{
    ((struct bench *)arg)->news++;
}

static void on_over(void *arg)
{
    ((struct bench *)arg)->is_over = true;
}

static void run_for(struct bench *b, uint64_t ns)
{
    b->is_over = false;
    loop_timer_start(&b->timer, ns);
    if (!loop_run_until(b->loop, &b->is_over))
        exit(1);
}

static uint64_t cpu_ns(void)
{
    struct timespec t = {.tv_sec = 0};

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* exists on Linux */
    return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static unsigned long memory_kb(void)
{
    char line[256];
    unsigned long kb = 0;
    FILE *f = fopen("/proc/self/status", "re");

    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, "VmRSS:", 6) == 0)
            kb = strtoul(line + 6, NULL, 10);
    }
    if (f)
        (void)fclose(f); /* was only read */
    return kb;
}

static void listen_all(struct bench *b, unsigned long count, unsigned long port)
{
    for (unsigned long i = 0; i < count; i++) {
        char key[64], ip[32];
        (void)snprintf(key, sizeof(key), "crowd-%lu/app-%lu", i % 10, i);
        (void)snprintf(ip, sizeof(ip), "127.%lu.%lu.1", 1 + i / 250, i % 250);
        const struct listen_pod pod = {
            .key = key, .resource = key, .ip = ip, .port = port, .version = b->version};
        if (!listen_to(b->listeners, &pod)) {
            (void)fprintf(stderr, "%s is not listened to: descriptors?\n", key);
            exit(1);
        }
        if (i % AT_ONCE == 0)
            run_for(b, 20 * NS_PER_MS);
    }
}

int main(int argc, char **argv)
{
    unsigned long port = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
    unsigned long count = argc > 3 ? strtoul(argv[3], NULL, 10) : 5000;
    unsigned long seconds = argc > 4 ? strtoul(argv[4], NULL, 10) : 45;
    struct bench b = {.news = 0};
    struct error err = ERROR_INIT;

    if (port == 0 || port > 65535 || seconds == 0) {
        (void)fprintf(stderr, "usage: bench/listen PORT VERSION [COUNT [SECONDS]]\n");
        return 2;
    }
    (void)snprintf(b.version, sizeof(b.version), "%s",
                   argv[2]); /* too long: no answer is the same */
    must(loop_new(env_real(), 1, &b.loop, &err), &err);
    loop_timer_init(&b.timer, b.loop, on_over, &b);
    unsigned long kb = memory_kb();
    must(listeners_new(b.loop, WAIT_S * NS_PER_SEC, on_news, &b, &b.listeners, &err), &err);
    listen_all(&b, count, port);
    run_for(&b, SETTLE_S * NS_PER_SEC);
    const struct listen_stats *stats = listen_stats(b.listeners);
    uint64_t same = stats->same_count, cpu = cpu_ns();
    run_for(&b, seconds * NS_PER_SEC);
    (void)printf("listeners=%zu cpu_percent=%.2f heard_per_s=%.0f memory_kb=%lu news=%u lost=%lu\n",
                 stats->count, (double)(cpu_ns() - cpu) / (double)seconds / 1e7,
                 (double)(stats->same_count - same) / (double)seconds, memory_kb() - kb, b.news,
                 (unsigned long)stats->lost_count);
    return b.news > 0 || stats->lost_count > 0;
}
