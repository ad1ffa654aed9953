/*
 * The queue. A key has one item, from when it is first added until nothing is left to remember of
 * it: it is ready (in the list of its priority), or under work, or waits for a moment (its timer), or has
 * failures to its name.
 *
 *   queue_add     under work: dirty. Ready: moved forward if need be. Else: ready
 *   pump          while there are free workers: the first ready one is given out; its timer is
 *                 stopped, since the worker looks at everything anyway
 *   queue_finish  dirty: ready again. The timer is set by the outcome
 *
 * pump runs from the loop only, so work() never runs inside queue_add() or queue_finish().
 */
#include "controller/informer/queue.h"

#include <stdlib.h>
#include <string.h>

#include "controller/kube/limiter.h"

enum {
    QUEUE_WORKERS_DEFAULT = 4,
};

static const uint64_t backoff_ns_min_default = 5 * NS_PER_MS;
static const uint64_t backoff_ns_max_default = 1000 * NS_PER_SEC;
static const double retry_rate_default = 10;
static const double retry_burst_default = 100;
static const uint64_t lost_delay_ns = NS_PER_SEC;

struct queue_item {
    struct queue *queue;
    struct queue_item *next, *prev;
    struct queue_list *list; /* NULL: not ready */
    struct loop_timer later;
    uint64_t added_ns;
    uint64_t started_ns;
    unsigned failures;
    bool is_busy;
    bool is_dirty;
    enum queue_priority dirty_priority;
    enum queue_priority later_priority; /* of the timer */
    char key[];
};

struct queue_list {
    struct queue_item *first, *last;
};

struct queue {
    struct loop *loop;
    struct queue_config config;
    struct str_map items;
    struct queue_list ready[QUEUE_PRIORITIES];
    struct loop_timer pump;
    struct loop_timer lost;
    struct limiter retries;
    unsigned busy_count;
    bool is_running;
    void (*on_idle)(void *arg);
    void *idle_arg;
    struct queue_stats stats;
};

static uint64_t now_ns(const struct queue *q)
{
    return env_monotonic_ns(loop_env(q->loop));
}

/* ---- lists ---- */

static void list_push(struct queue_list *list, struct queue_item *item)
{
    ASSERT(!item->list);
    item->list = list;
    item->next = NULL;
    item->prev = list->last;
    if (list->last)
        list->last->next = item;
    else
        list->first = item;
    list->last = item;
}

static void list_remove(struct queue_item *item)
{
    struct queue_list *list = item->list;

    if (item->prev)
        item->prev->next = item->next;
    else
        list->first = item->next;
    if (item->next)
        item->next->prev = item->prev;
    else
        list->last = item->prev;
    item->list = NULL;
}

/* ---- items ---- */

static void on_later(void *arg);

static void lost(struct queue *q)
{
    if (!loop_timer_is_armed(&q->lost))
        loop_timer_start(&q->lost, lost_delay_ns);
}

/* The item of a key, made if there is none; NULL: it cannot be kept. */
static struct queue_item *item_get(struct queue *q, const char *key)
{
    struct queue_item *item = str_map_get(&q->items, key);
    struct error ignored = ERROR_INIT; /* the one who feeds the queue hears by on_lost */
    size_t n = strlen(key) + 1;

    ASSERT(n <= QUEUE_KEY_BYTES_MAX);
    if (item)
        return item;
    item = q->items.count < QUEUE_KEYS_MAX ? mem_new(1, sizeof(*item) + n, &ignored) : NULL;
    if (!item)
        return NULL;
    memcpy(item->key, key, n);
    item->queue = q;
    loop_timer_init(&item->later, q->loop, on_later, item);
    if (str_map_put(&q->items, item->key, item, &ignored) < 0) {
        free(item);
        return NULL;
    }
    return item;
}

/* Frees the item if nothing is left to remember of it. */
static void item_release(struct queue_item *item)
{
    if (item->list || item->is_busy || item->failures > 0 || loop_timer_is_armed(&item->later))
        return;
    IGNORE(str_map_remove(&item->queue->items, item->key)); /* it is this one */
    free(item);
}

static void item_ready(struct queue_item *item, enum queue_priority priority)
{
    struct queue *q = item->queue;

    item->added_ns = now_ns(q);
    q->stats.depth++;
    list_push(&q->ready[priority], item);
    if (q->is_running)
        loop_timer_start(&q->pump, 0);
}

static void item_add(struct queue_item *item, enum queue_priority priority)
{
    struct queue *q = item->queue;

    if (item->is_busy) {
        if (!item->is_dirty || priority < item->dirty_priority)
            item->dirty_priority = priority;
        q->stats.add_count += item->is_dirty ? 0 : 1;
        item->is_dirty = true;
        return;
    }
    if (item->list &&
        item->list > &q->ready[priority]) { /* lists stand in the order of priorities */
        list_remove(item);
        list_push(&q->ready[priority], item);
    } else if (!item->list) {
        q->stats.add_count++;
        item_ready(item, priority);
    }
}

static void on_later(void *arg)
{
    struct queue_item *item = arg;

    item_add(item, item->later_priority);
}

void queue_add(struct queue *q, const char *key, enum queue_priority priority)
{
    struct queue_item *item;

    loop_assert_owner(q->loop);
    item = item_get(q, key);
    if (item)
        item_add(item, priority);
    else
        lost(q);
}

/* Sets the timer, unless it fires earlier already; the better priority counts. */
static void item_add_after(struct queue_item *item, uint64_t delay_ns, enum queue_priority priority)
{
    uint64_t due = now_ns(item->queue) + delay_ns;
    bool is_armed = loop_timer_is_armed(&item->later);

    if (!is_armed || priority < item->later_priority)
        item->later_priority = priority;
    if (!is_armed || item->later.deadline_ns > due)
        loop_timer_start(&item->later, delay_ns);
}

void queue_add_after(struct queue *q, const char *key, uint64_t delay_ns)
{
    struct queue_item *item;

    loop_assert_owner(q->loop);
    item = item_get(q, key);
    if (item)
        item_add_after(item, delay_ns, QUEUE_CHANGE);
    else
        lost(q);
}

/* ---- workers ---- */

static struct queue_item *first_ready(const struct queue *q)
{
    for (size_t priority = 0; priority < QUEUE_PRIORITIES; priority++) {
        if (q->ready[priority].first)
            return q->ready[priority].first;
    }
    return NULL;
}

static void on_pump(void *arg)
{
    struct queue *q = arg;

    while (q->is_running && q->busy_count < q->config.workers) {
        struct queue_item *item = first_ready(q);
        if (!item)
            break;
        list_remove(item);
        loop_timer_stop(&item->later);
        item->is_busy = true;
        item->started_ns = now_ns(q);
        q->stats.depth--;
        q->busy_count++;
        metrics_histogram_observe(&q->stats.waited, item->started_ns - item->added_ns);
        q->config.work(q->config.arg, item->key);
    }
    if (!q->is_running && q->busy_count == 0 && q->on_idle) {
        void (*on_idle)(void *idle_arg) = TAKE(q->on_idle);
        on_idle(q->idle_arg);
    }
}

static uint64_t backoff(const struct queue *q, unsigned failures)
{
    uint64_t delay = q->config.backoff_ns_min;

    for (unsigned i = 1; i < failures && delay < q->config.backoff_ns_max; i++)
        delay *= 2;
    return delay < q->config.backoff_ns_max ? delay : q->config.backoff_ns_max;
}

static void item_retry(struct queue_item *item)
{
    struct queue *q = item->queue;

    q->stats.retry_count++;
    item->failures++;
    uint64_t delay = backoff(q, item->failures);
    uint64_t turn = limiter_reserve(&q->retries, now_ns(q));
    item_add_after(item, delay > turn ? delay : turn, QUEUE_CHANGE);
}

void queue_finish(struct queue *q, const char *key, enum queue_outcome outcome, uint64_t delay_ns)
{
    loop_assert_owner(q->loop);
    struct queue_item *item = str_map_get(&q->items, key);
    ASSERT(item && item->is_busy);
    item->is_busy = false;
    q->busy_count--;
    q->stats.done_counts[outcome]++;
    metrics_histogram_observe(&q->stats.worked, now_ns(q) - item->started_ns);
    if (outcome != QUEUE_RETRY)
        item->failures = 0;
    if (outcome == QUEUE_RETRY)
        item_retry(item);
    else if (outcome == QUEUE_AFTER)
        item_add_after(item, delay_ns, QUEUE_RESYNC);
    if (item->is_dirty) {
        item->is_dirty = false;
        item_ready(item, item->dirty_priority);
    }
    item_release(item);
    loop_timer_start(&q->pump, 0);
}

unsigned queue_failures(const struct queue *q, const char *key)
{
    const struct queue_item *item = str_map_get(&q->items, key);

    return item ? item->failures : 0;
}

void queue_forget(struct queue *q, const char *key)
{
    struct queue_item *item = str_map_get(&q->items, key);

    if (!item)
        return;
    item->failures = 0;
    item_release(item);
}

/* ---- life ---- */

static void on_lost(void *arg)
{
    struct queue *q = arg;

    q->config.on_lost(q->config.arg);
}

int queue_new(struct loop *loop, const struct queue_config *config, struct queue **out,
              struct error *err)
{
    struct queue *q = mem_new(1, sizeof(*q), err);

    ASSERT(config->work && config->on_lost);
    if (!q)
        return -1;
    q->loop = loop;
    q->config = *config;
    if (q->config.workers == 0)
        q->config.workers = QUEUE_WORKERS_DEFAULT;
    if (q->config.backoff_ns_min == 0)
        q->config.backoff_ns_min = backoff_ns_min_default;
    if (q->config.backoff_ns_max == 0)
        q->config.backoff_ns_max = backoff_ns_max_default;
    limiter_init(&q->retries,
                 config->retry_rate_per_s != 0 ? config->retry_rate_per_s : retry_rate_default,
                 config->retry_burst != 0 ? config->retry_burst : retry_burst_default, now_ns(q));
    loop_timer_init(&q->pump, loop, on_pump, q);
    loop_timer_init(&q->lost, loop, on_lost, q);
    q->stats.name = config->name;
    q->stats.waited = (struct metrics_histogram)METRICS_HISTOGRAM_INIT(&metrics_buckets_local);
    q->stats.worked = (struct metrics_histogram)METRICS_HISTOGRAM_INIT(&metrics_buckets_local);
    *out = q;
    return 0;
}

void queue_free(struct queue *q)
{
    size_t cursor = 0;

    if (!q)
        return;
    ASSERT(q->busy_count == 0);
    loop_timer_stop(&q->pump);
    loop_timer_stop(&q->lost);
    for (struct queue_item *item = str_map_next(&q->items, &cursor); item;
         item = str_map_next(&q->items, &cursor)) {
        loop_timer_stop(&item->later);
        free(item);
    }
    str_map_destroy(&q->items);
    free(q);
}

void queue_resume(struct queue *q)
{
    q->is_running = true;
    q->on_idle = NULL;
    loop_timer_start(&q->pump, 0);
}

void queue_pause(struct queue *q, void (*on_idle)(void *arg), void *arg)
{
    q->is_running = false;
    q->on_idle = on_idle;
    q->idle_arg = arg;
    loop_timer_start(&q->pump, 0);
}

unsigned queue_busy_count(const struct queue *q)
{
    return q->busy_count;
}

void queue_stats(const struct queue *q, struct queue_stats *out)
{
    uint64_t now = now_ns(q);
    size_t cursor = 0;

    *out = q->stats;
    for (const struct queue_item *item = str_map_next(&q->items, &cursor); item;
         item = str_map_next(&q->items, &cursor)) {
        if (loop_timer_is_armed(&item->later))
            out->delayed_count++;
        if (!item->is_busy)
            continue;
        uint64_t running = now - item->started_ns;
        out->unfinished_ns += running;
        if (running > out->longest_running_ns)
            out->longest_running_ns = running;
    }
}
