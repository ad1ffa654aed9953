/*
 * The event loop: libuv, plus timers finer than libuv's millisecond and a counted worker pool.
 *
 * Timers. All armed timers are in one binary min-heap ordered by deadline: an array of pointers
 * from index 1, each timer knowing its own place (heap_idx), so that stopping one needs no search.
 * One timerfd stands for the whole heap and is watched by a uv_poll handle:
 *
 *   1. start or stop changes the heap; if the first deadline is earlier than what the timerfd is set
 *      to, it is set anew (relative to now, at least 1 ns: zero would disarm it). If it is later, the
 *      timerfd fires once for nothing: a deadline that is put off with each piece of a body would
 *      be a system call each time. An empty heap takes the reference of the handle, so that
 *      loop_run() can end.
 *   2. When the timerfd fires, timers that are due are taken off the heap one by one, and each is
 *      called after it was taken, so that it may start itself again, stop others or free itself.
 *      At most as many are called as were armed at the beginning: a timer that starts itself with
 *      delay 0 cannot starve the sockets.
 *   3. Then the timerfd is set to what is first now.
 *
 * Jobs. libuv's pool takes its size from the environment at first use. It is therefore set, used
 * once, and put back at once: a child process (an application with a pool of its own) must not
 * inherit our choice.
 *
 * Simulation (the clock has wait_until()). The timerfd is never set; a turn is: wait_until() the
 * first deadline, look at descriptors without waiting (inotify is as deterministic as the writes
 * that cause its events), call what is due. A job's timers are job_start_ns_max and
 * job_work_ns_max apart at most, drawn from the environment's randomness; starts keep the order of
 * submission.
 *
 * Invariants: heap[i].heap_idx == i; heap[i/2].deadline_ns <= heap[i].deadline_ns; unless the heap is
 * empty, the timerfd fires at the first deadline or before (outside of step 2).
 */
#include "lib/io/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    LOOP_WORKERS_MAX = 64,
    LOOP_HEAP_FIRST = 64,   /* places of the first heap; doubled when full */
    LOOP_CLOSE_ROUNDS = 16, /* turns of the loop within which closed handles must be gone */
};

static const uint64_t job_start_ns_max = 50 * NS_PER_US; /* simulated: from submit to work */
static const uint64_t job_work_ns_max = 4 * NS_PER_MS;   /* and from there to done */
static const char pool_size_variable[] = "UV_THREADPOOL_SIZE";

struct loop {
    const struct env *env;
    uv_loop_t uv;
    pthread_t owner;
    uv_poll_t poll; /* on timer_fd */
    int timer_fd;
    uint64_t fires_ns;        /* when the timerfd does, by the real clock; UINT64_MAX: not */
    struct loop_timer **heap; /* [1..heap_count] */
    size_t heap_count;
    size_t heap_places; /* allocated, without place 0 */
    unsigned job_count;
    uint64_t job_start_ns; /* simulated: when the job submitted last begins */
    bool is_simulated;
    bool is_running;
    bool is_stopped;   /* loop_stop() was called in this loop_run() */
    bool is_in_timers; /* step 2 is under way: it sets the timerfd at its end */
};

/* ---- heap ---- */

static void heap_put(struct loop *loop, size_t idx, struct loop_timer *t)
{
    loop->heap[idx] = t;
    t->heap_idx = idx;
}

static void heap_sift_up(struct loop *loop, size_t idx)
{
    struct loop_timer *t = loop->heap[idx];

    while (idx > 1 && loop->heap[idx / 2]->deadline_ns > t->deadline_ns) {
        heap_put(loop, idx, loop->heap[idx / 2]);
        idx /= 2;
    }
    heap_put(loop, idx, t);
}

static void heap_sift_down(struct loop *loop, size_t idx)
{
    struct loop_timer *t = loop->heap[idx];

    while (idx * 2 <= loop->heap_count) {
        size_t child = idx * 2;
        if (child < loop->heap_count &&
            loop->heap[child + 1]->deadline_ns < loop->heap[child]->deadline_ns)
            child++;
        if (loop->heap[child]->deadline_ns >= t->deadline_ns)
            break;
        heap_put(loop, idx, loop->heap[child]);
        idx = child;
    }
    heap_put(loop, idx, t);
}

static void heap_insert(struct loop *loop, struct loop_timer *t)
{
    if (loop->heap_count == loop->heap_places) {
        size_t places = loop->heap_places * 2;
        struct loop_timer **heap = realloc(loop->heap, (places + 1) * sizeof(struct loop_timer *));
        /* A timer that would silently never fire hangs its owner for ever: better to restart. */
        ASSERT(heap);
        loop->heap = heap;
        loop->heap_places = places;
    }
    loop->heap_count++;
    heap_put(loop, loop->heap_count, t);
    heap_sift_up(loop, loop->heap_count);
}

static void heap_remove(struct loop *loop, struct loop_timer *t)
{
    size_t idx = t->heap_idx;
    struct loop_timer *last = loop->heap[loop->heap_count];

    ASSERT(idx >= 1 && idx <= loop->heap_count);
    ASSERT(loop->heap[idx] == t);
    loop->heap_count--;
    t->heap_idx = 0;
    if (last == t)
        return;
    heap_put(loop, idx, last);
    heap_sift_up(loop, idx);
    heap_sift_down(loop, last->heap_idx);
}

/* ---- the timerfd that stands for the heap ---- */

/* Steps 1 and 3: the timerfd fires at the first deadline, or before. */
static void timer_fd_set(struct loop *loop)
{
    uint64_t fires_ns;

    if (loop->is_simulated)
        return;
    if (loop->heap_count == 0) {
        uv_unref((uv_handle_t *)&loop->poll);
        return;
    }
    uv_ref((uv_handle_t *)&loop->poll);
    uint64_t now_ns = env_monotonic_ns(loop->env);
    uint64_t deadline_ns = loop->heap[1]->deadline_ns;
    uint64_t delay_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 1;
    /* The kernel's own clock, since a test may set ours forward. */
    if (!checked_add_u64(env_monotonic_ns(env_real()), delay_ns, &fires_ns))
        fires_ns = UINT64_MAX - 1;
    if (loop->fires_ns <= fires_ns)
        return;
    const struct itimerspec spec = {.it_value = {.tv_sec = (time_t)(delay_ns / NS_PER_SEC),
                                                 .tv_nsec = (long)(delay_ns % NS_PER_SEC)}};
    int rc = timerfd_settime(loop->timer_fd, 0, &spec, NULL);
    ASSERT(rc == 0);
    loop->fires_ns = fires_ns;
}

/* Step 2: what the heap says. */
static void timers_call_due(struct loop *loop)
{
    uint64_t now_ns = env_monotonic_ns(loop->env);

    loop->is_in_timers = true;
    for (size_t left = loop->heap_count; left > 0 && loop->heap_count > 0; left--) {
        struct loop_timer *t = loop->heap[1];
        if (t->deadline_ns > now_ns)
            break;
        heap_remove(loop, t);
        t->fn(t->arg);
    }
    loop->is_in_timers = false;
    timer_fd_set(loop);
}

/* Step 2. */
static void timers_on_due(uv_poll_t *poll, int status, int events UNUSED)
{
    struct loop *loop = poll->data;
    uint64_t expirations;

    ASSERT(status == 0);
    ssize_t got = read(loop->timer_fd, &expirations, sizeof(expirations));
    /* Nothing to read when a start or stop in this turn set the timerfd anew: no harm, what is due
     * is told by the heap. */
    ASSERT(got > 0 || errno == EAGAIN);
    loop->fires_ns = UINT64_MAX;
    timers_call_due(loop);
}

void loop_timer_init(struct loop_timer *t, struct loop *loop, void (*fn)(void *arg), void *arg)
{
    ASSERT(fn);
    *t = (struct loop_timer){.loop = loop, .fn = fn, .arg = arg};
}

void loop_timer_start(struct loop_timer *t, uint64_t delay_ns)
{
    struct loop *loop = t->loop;
    uint64_t deadline_ns;

    loop_assert_owner(loop);
    if (!checked_add_u64(env_monotonic_ns(loop->env), delay_ns, &deadline_ns))
        deadline_ns = UINT64_MAX;
    struct loop_timer *first = loop->heap_count > 0 ? loop->heap[1] : NULL;
    if (t->heap_idx)
        heap_remove(loop, t);
    t->deadline_ns = deadline_ns;
    heap_insert(loop, t);
    if ((first == t || loop->heap[1] == t) && !loop->is_in_timers)
        timer_fd_set(loop);
}

void loop_timer_stop(struct loop_timer *t)
{
    if (!t->heap_idx)
        return;
    struct loop *loop = t->loop;
    loop_assert_owner(loop);
    bool was_first = t->heap_idx == 1;
    heap_remove(loop, t);
    if (was_first && !loop->is_in_timers)
        timer_fd_set(loop);
}

bool loop_timer_is_armed(const struct loop_timer *t)
{
    return t->heap_idx != 0;
}

/* ---- jobs ---- */

static void job_on_work(uv_work_t *uv)
{
    struct job *job = CONTAINER_OF(uv, struct job, uv);
    job->work(job);
}

static void job_end(struct job *job)
{
    ASSERT(job->loop->job_count > 0);
    job->loop->job_count--;
    job->done(job);
}

static void job_on_done(uv_work_t *uv, int status)
{
    ASSERT(status == 0); /* nobody calls uv_cancel(): work always runs, if only to see the flag */
    job_end(CONTAINER_OF(uv, struct job, uv));
}

static void job_simulated_done(void *arg)
{
    job_end(arg);
}

static void job_simulated_work(void *arg)
{
    struct job *job = arg;

    job->work(job);
    job->timer.fn = job_simulated_done;
    loop_timer_start(&job->timer, env_random_below(job->loop->env, job_work_ns_max));
}

static void job_simulate(struct loop *loop, struct job *job)
{
    uint64_t now_ns = env_monotonic_ns(loop->env);
    uint64_t start_ns = now_ns + env_random_below(loop->env, job_start_ns_max);

    if (start_ns <= loop->job_start_ns)
        start_ns = loop->job_start_ns + 1;
    loop->job_start_ns = start_ns;
    loop_timer_init(&job->timer, loop, job_simulated_work, job);
    loop_timer_start(&job->timer, start_ns - now_ns);
}

void job_submit(struct loop *loop, struct job *job, void (*work)(struct job *job),
                void (*done)(struct job *job))
{
    loop_assert_owner(loop);
    ASSERT(work && done);
    job->loop = loop;
    job->work = work;
    job->done = done;
    atomic_init(&job->is_canceled, false);
    loop->job_count++;
    if (loop->is_simulated) {
        job_simulate(loop, job);
        return;
    }
    int rc = uv_queue_work(&loop->uv, &job->uv, job_on_work, job_on_done);
    ASSERT(rc == 0);
}

void job_cancel(struct job *job)
{
    atomic_store_explicit(&job->is_canceled, true, memory_order_relaxed);
}

bool job_is_canceled(struct job *job)
{
    return atomic_load_explicit(&job->is_canceled, memory_order_relaxed);
}

unsigned loop_job_count(const struct loop *loop)
{
    return loop->job_count;
}

static void pool_on_first_work(uv_work_t *uv UNUSED)
{
    /* Its only purpose is to make libuv create the pool now. */
}

/*
 * Creates the pool of the process with the first loop's number of workers. The environment is
 * touched only here, before any thread of ours exists.
 */
static int pool_create(uv_loop_t *uv, unsigned workers, struct error *err)
{
    static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
    static bool is_created; /* guarded by mu */
    char size[16];
    uv_work_t first;
    int rc = 0;

    /* NOLINTBEGIN(concurrency-mt-unsafe): no thread of ours runs yet, and mu keeps loops apart */
    (void)pthread_mutex_lock(&mu); /* cannot fail: a normal mutex that we do not hold */
    if (!is_created) {
        const char *inherited = getenv(pool_size_variable);
        CLEANUP(mem_free) char *kept = inherited ? str_dup(inherited, err) : NULL;
        (void)snprintf(size, sizeof(size), "%u", workers); /* two digits at most */
        if ((inherited && !kept) || setenv(pool_size_variable, size, 1) != 0) {
            rc = error_set(err, ERR_NO_MEMORY, 0, "out of memory for the worker pool");
        } else {
            int queued = uv_queue_work(uv, &first, pool_on_first_work, NULL);
            ASSERT(queued == 0);
            /* Shrinking the environment or writing back what was there cannot fail. */
            (void)(kept ? setenv(pool_size_variable, kept, 1) : unsetenv(pool_size_variable));
            (void)uv_run(uv, UV_RUN_DEFAULT); /* ends with the work: the loop has no handle yet */
            is_created = true;
        }
    }
    (void)pthread_mutex_unlock(&mu); /* cannot fail: we hold it */
    /* NOLINTEND(concurrency-mt-unsafe) */
    return rc;
}

/* ---- the loop itself ---- */

/* The timerfd and its handle. On failure the descriptor is closed again. */
static int timers_open(struct loop *loop, struct error *err)
{
    loop->heap = mem_new(LOOP_HEAP_FIRST + 1, sizeof(struct loop_timer *), err);
    if (!loop->heap)
        return -1;
    loop->heap_places = LOOP_HEAP_FIRST;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, "timerfd_create");
    int rc = uv_poll_init(&loop->uv, &loop->poll, fd);
    if (rc < 0) {
        (void)close(fd); /* a timerfd holds nothing that could be lost */
        return error_set_errno(err, -rc, "watch the timerfd");
    }
    loop->timer_fd = fd;
    loop->fires_ns = UINT64_MAX;
    loop->poll.data = loop;
    rc = uv_poll_start(&loop->poll, UV_READABLE, timers_on_due);
    ASSERT(rc == 0);
    uv_unref((uv_handle_t *)&loop->poll);
    return 0;
}

/* Frees a loop in which everything may be missing but the uv_loop_t. */
static void loop_close(struct loop *loop)
{
    if (loop->timer_fd >= 0)
        uv_close((uv_handle_t *)&loop->poll, NULL);
    int rc = uv_loop_close(&loop->uv);
    /* Handles that their owners have closed are gone after a turn or two. */
    for (int round = 0; rc == UV_EBUSY && round < LOOP_CLOSE_ROUNDS; round++) {
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
        rc = uv_loop_close(&loop->uv);
    }
    ASSERT(rc == 0); /* somebody left a handle open */
    if (loop->timer_fd >= 0)
        (void)close(loop->timer_fd); /* a timerfd holds nothing that could be lost */
    free(loop->heap);
    free(loop);
}

int loop_new(const struct env *env, unsigned workers, struct loop **out_loop, struct error *err)
{
    ASSERT(workers >= 1 && workers <= LOOP_WORKERS_MAX);
    struct loop *loop = mem_new(1, sizeof(*loop), err);

    if (!loop)
        return error_wrap(err, "event loop");
    loop->env = env;
    loop->is_simulated = env->clock.wait_until != NULL;
    loop->owner = pthread_self();
    loop->timer_fd = -1;
    int rc = uv_loop_init(&loop->uv);
    if (rc < 0) {
        free(loop);
        (void)error_set_errno(err, -rc, "event loop");
        return -1;
    }
    if ((!loop->is_simulated && pool_create(&loop->uv, workers, err) < 0) ||
        timers_open(loop, err) < 0) {
        loop_close(loop);
        return error_wrap(err, "event loop");
    }
    *out_loop = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    loop_assert_owner(loop);
    ASSERT(!loop->is_running);
    ASSERT(loop->heap_count == 0);
    ASSERT(loop->job_count == 0);
    loop_close(loop);
}

/* One turn without a kernel that waits. */
static bool turn_simulate(struct loop *loop)
{
    const struct env_clock *clock = &loop->env->clock;

    if (loop->heap_count == 0)
        return false;
    clock->wait_until(clock->ctx, loop->heap[1]->deadline_ns);
    (void)uv_run(&loop->uv, UV_RUN_NOWAIT); /* handles may be left: they are the heap's business */
    timers_call_due(loop);
    return true;
}

static bool turn_make(struct loop *loop)
{
    return loop->is_simulated ? turn_simulate(loop) : uv_run(&loop->uv, UV_RUN_ONCE) != 0;
}

void loop_run(struct loop *loop)
{
    loop_assert_owner(loop);
    ASSERT(!loop->is_running);
    loop->is_running = true;
    loop->is_stopped = false;
    if (loop->is_simulated) {
        while (!loop->is_stopped && turn_simulate(loop)) {
        }
    } else {
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* non-zero only tells that it was stopped */
    }
    loop->is_running = false;
}

void loop_stop(struct loop *loop)
{
    loop_assert_owner(loop);
    loop->is_stopped = true;
    uv_stop(&loop->uv);
}

bool loop_run_until(struct loop *loop, const bool *is_done)
{
    loop_assert_owner(loop);
    ASSERT(!loop->is_running);
    loop->is_running = true;
    /* *is_done is asked first also after the last turn: that turn may have set it. */
    while (!*is_done && turn_make(loop)) {
    }
    loop->is_running = false;
    return *is_done;
}

bool loop_turn(struct loop *loop)
{
    loop_assert_owner(loop);
    ASSERT(!loop->is_running);
    loop->is_running = true;
    bool is_left = turn_make(loop);
    loop->is_running = false;
    return is_left;
}

uint64_t loop_next_ns(const struct loop *loop)
{
    return loop->heap_count > 0 ? loop->heap[1]->deadline_ns : UINT64_MAX;
}

void loop_assert_owner(const struct loop *loop)
{
    ASSERT(pthread_equal(loop->owner, pthread_self()));
}

const struct env *loop_env(const struct loop *loop)
{
    return loop->env;
}

uv_loop_t *loop_uv(struct loop *loop)
{
    return &loop->uv;
}
