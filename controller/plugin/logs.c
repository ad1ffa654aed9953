/*
 * kubectl walferry logs NAME: what the sidecars of a SqliteReplica's pods say, or with --jobs the
 * Jobs that verify and restore it. Lines go out as they come; of several pods each has its pod's
 * name before it, as `kubectl logs --prefix` writes it.
 *
 * Followed (-f), pods are watched: each container that has started is shown, also one of a pod that
 * comes later, and one that is started again, until the command is interrupted. --tail and --since
 * are about those that are there at first: of all others every line is new. With --pod it ends with
 * what that pod writes.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/api.h"
#include "controller/inject/job.h"
#include "controller/plugin/facts.h"
#include "controller/plugin/follow.h"
#include "controller/plugin/plugin_internal.h"
#include "lib/io/signals.h"

enum {
    LINE_BYTES_MAX = 1 << 20,
    STREAMS_MAX = 256, /* pods whose logs are shown at a time */
};

struct args {
    struct session_args session;
    const char *container, *pod;
    uint64_t since_ns, tail;
    bool follows, is_previous, is_prefixed, has_timestamps, of_jobs;
};

struct stream {
    struct run *run;
    char *pod, *container, *path;
    char *uid;                    /* of the pod */
    uint64_t instance;            /* how often the container was restarted before */
    bool is_gone;                 /* the pod is */
    bool is_later;                /* it came while others were followed */
    struct kube_request *request; /* NULL: not under way */
    struct line_splitter lines;
    struct error err;
};

struct run {
    struct session session;
    const struct args *args;
    struct stream streams[STREAMS_MAX];
    size_t stream_count;
    size_t open_count;
    size_t with_count;    /* pods that have such a container */
    size_t without_count; /* pods that have none */
    bool is_watching;     /* pods that come later are followed, too */
    bool is_synced;       /* those that were there at first are known */
    bool is_done;         /* of the wait: what was to end has ended */
    bool is_interrupted;
};

/* ---- which ---- */

static bool has_container(struct jsonval pod, const char *container)
{
    static const char *const lists[] = {"spec.initContainers", "spec.containers"};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct jsonval all = jsonval_way(pod, lists[i]);
        for (struct jsonval c = jsonval_first(all); jsonval_exists(c); c = jsonval_next(c)) {
            if (strcmp(fact_text(c, "name"), container) == 0)
                return true;
        }
    }
    return false;
}

static int number_add(struct buf *path, const char *name, uint64_t n, struct error *err)
{
    return n == 0 ? 0 : buf_printf(path, err, "&%s=%" PRIu64, name, n);
}

static int path_make(const struct run *r, struct stream *t, struct error *err)
{
    CLEANUP(buf_destroy) struct buf path = BUF_INIT(2 * KUBE_PATH_BYTES_MAX);
    const struct args *a = r->args;
    uint64_t since_s = t->is_later ? 0 : (a->since_ns + NS_PER_SEC - 1) / NS_PER_SEC;
    uint64_t tail = t->is_later ? 0 : a->tail;

    if (!kube_name_is_valid(t->container))
        return error_set(err, ERR_USAGE, 0, "\"%.60s\" cannot be a container", t->container);
    if (kube_path(&kube_pods, session_namespace(&r->session), t->pod, "log", &path, err) < 0 ||
        buf_printf(&path, err, "?container=%s%s%s%s", t->container,
                   a->follows ? "&follow=true" : "", a->is_previous ? "&previous=true" : "",
                   a->has_timestamps ? "&timestamps=true" : "") < 0 ||
        number_add(&path, "tailLines", tail, err) < 0 ||
        number_add(&path, "sinceSeconds", since_s, err) < 0)
        return -1;
    t->path = str_dup(buf_str(&path), err);
    return t->path ? 0 : -1;
}

/* Which container of a pod is shown. */
static const char *container_of(const struct run *r, struct jsonval pod)
{
    if (r->args->container)
        return r->args->container;
    return r->args->of_jobs ? fact_text(jsonval_first(jsonval_way(pod, "spec.containers")), "name")
                            : API_CONTAINER_SIDECAR;
}

static void stream_free(struct stream *t)
{
    if (t->request)
        kube_cancel(t->request);
    line_splitter_destroy(&t->lines);
    free(t->pod);
    free(t->uid);
    free(t->container);
    free(t->path);
}

/* A place for one more; that of a pod which is gone is taken again. NULL with ERR_LIMIT. */
static struct stream *stream_place(struct run *r, struct error *err)
{
    for (size_t i = 0; i < r->stream_count; i++) {
        struct stream *t = &r->streams[i];
        if (t->is_gone && !t->request) {
            stream_free(t);
            return t;
        }
    }
    if (r->stream_count < STREAMS_MAX)
        return &r->streams[r->stream_count++];
    (void)error_set(err, ERR_LIMIT, 0, "more than %d pods: name one by --pod", STREAMS_MAX);
    return NULL;
}

static struct stream *stream_add(struct run *r, struct jsonval pod, uint64_t instance,
                                 struct error *err)
{
    struct stream *t = stream_place(r, err);

    if (!t)
        return NULL;
    *t = (struct stream){.run = r,
                         .instance = instance,
                         .is_later = r->is_synced,
                         .lines = LINE_SPLITTER_INIT(LINE_BYTES_MAX)};
    t->pod = str_dup(fact_text(pod, "metadata.name"), err);
    t->uid = str_dup(fact_text(pod, "metadata.uid"), err);
    t->container = str_dup(container_of(r, pod), err);
    return t->pod && t->uid && t->container && path_make(r, t, err) == 0 ? t : NULL;
}

static int pod_add(void *arg, struct jsonval pod, struct error *err)
{
    struct run *r = arg;
    const char *name = fact_text(pod, "metadata.name");
    const char *container = container_of(r, pod);

    if (r->args->pod && strcmp(r->args->pod, name) != 0)
        return 0;
    if (!has_container(pod, container)) {
        (void)fprintf(stderr, "Warning: pod %s has no container %s\n", name, container);
        r->without_count++;
        return 0;
    }
    r->with_count++;
    return r->is_watching || stream_add(r, pod, 0, err) ? 0 : -1;
}

static char *selector_of(const struct run *r, const char *name, struct error *err)
{
    return str_printf(err, "%s=%s%s", r->args->of_jobs ? INJECT_JOB_LABEL_OWNER : API_LABEL_REPLICA,
                      name, r->args->of_jobs ? "," INJECT_JOB_LABEL_MANAGER "=walferry" : "");
}

static int pods_find(struct run *r, const char *name, const char *selector, struct error *err)
{
    if (session_each(&r->session, &kube_pods, session_namespace(&r->session), selector, pod_add, r,
                     err) < 0)
        return -1;
    if (r->with_count > 0)
        return 0;
    (void)error_set(err, ERR_NOT_FOUND, 0, "no pod of %s/%s has a log to show",
                    session_namespace(&r->session), name);
    return error_hint(err, r->without_count > 0
                               ? "a sidecar is injected when a pod is created: roll it out"
                               : "pods ask for a sidecar by the label " API_LABEL_REPLICA);
}

/* ---- lines ---- */

static int line_print(void *arg, struct slice line, struct error *err)
{
    const struct stream *t = arg;
    bool is_prefixed = t->run->args->is_prefixed || t->run->is_watching || t->run->stream_count > 1;

    if (is_prefixed)
        (void)fprintf(stdout, "[pod/%s/%s] ", t->pod, t->container); /* a failure shows below */
    if (fwrite(line.p, 1, line.n, stdout) != line.n || fputc('\n', stdout) == EOF ||
        fflush(stdout) != 0)
        return error_set(err, ERR_IO, 0, "standard output cannot be written");
    return 0;
}

static int on_text(void *arg, struct slice piece, struct error *err)
{
    struct stream *t = arg;

    return line_splitter_feed(&t->lines, piece, line_print, t, err);
}

static void on_done(void *arg, const struct kube_answer *answer)
{
    struct stream *t = arg;

    t->request = NULL;
    t->err = *answer->err;
    if (t->err.code == ERR_NONE && line_splitter_rest(&t->lines) > 0)
        IGNORE(line_splitter_feed(&t->lines, SLICE_LIT("\n"), line_print, t, &t->err)); /* told */
    if (t->run->is_watching && t->err.code != ERR_NONE)
        (void)fprintf(stderr, "Warning: pod %s: %s\n", t->pod, t->err.text);
    if (--t->run->open_count == 0)
        t->run->is_done = true;
}

static void on_signal(void *arg, int signum UNUSED)
{
    struct run *r = arg;

    r->is_interrupted = true;
    r->is_done = true;
}

static int stream_start(struct run *r, struct stream *t, struct error *err)
{
    const struct kube_call call = {
        .verb = KUBE_RAW, .raw_path = t->path, .wants_text = true, .on_text = on_text};

    if (kube_start(r->session.client, &call, on_done, t, &t->request, err) < 0)
        return -1;
    r->open_count++;
    r->is_done = false;
    return 0;
}

static void streams_wait(struct run *r)
{
    bool is_done = loop_run_until(r->session.loop, &r->is_done);

    ASSERT(is_done);
}

/* Followed all at once, else one after the other. */
static int streams_run(struct run *r, struct error *err)
{
    for (size_t i = 0; i < r->stream_count && !r->is_interrupted; i++) {
        if (stream_start(r, &r->streams[i], err) < 0)
            return -1;
        if (!r->args->follows)
            streams_wait(r);
    }
    if (r->args->follows && !r->is_interrupted)
        streams_wait(r);
    return 0;
}

/* ---- pods that come and go ---- */

/* Whether the container runs, or has run; how often it was started anew. */
static bool has_started(struct jsonval pod, const char *container, uint64_t *out_instance)
{
    static const char *const lists[] = {"status.initContainerStatuses", "status.containerStatuses"};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct jsonval all = jsonval_way(pod, lists[i]);
        for (struct jsonval c = jsonval_first(all); jsonval_exists(c); c = jsonval_next(c)) {
            if (strcmp(fact_text(c, "name"), container) != 0)
                continue;
            *out_instance = fact_u64(c, "restartCount");
            return jsonval_is_object(jsonval_way(c, "state.running")) ||
                   jsonval_is_object(jsonval_way(c, "state.terminated"));
        }
    }
    return false;
}

static bool is_known(const struct run *r, const char *uid, uint64_t instance)
{
    for (size_t i = 0; i < r->stream_count; i++) {
        if (strcmp(r->streams[i].uid, uid) == 0 && r->streams[i].instance == instance)
            return true;
    }
    return false;
}

static void gone_note(struct run *r, const char *uid)
{
    for (size_t i = 0; i < r->stream_count; i++)
        r->streams[i].is_gone |= strcmp(r->streams[i].uid, uid) == 0;
}

static int on_pod(void *arg, struct jsonval pod, bool is_gone, struct error *err)
{
    struct run *r = arg;
    const char *uid = fact_text(pod, "metadata.uid");
    uint64_t instance = 0;

    if (is_gone)
        gone_note(r, uid);
    if (is_gone || !has_started(pod, container_of(r, pod), &instance) || is_known(r, uid, instance))
        return 0;
    struct stream *t = stream_add(r, pod, instance, err);
    return t ? stream_start(r, t, err) : -1;
}

static int on_pods_known(void *arg, struct error *err UNUSED)
{
    ((struct run *)arg)->is_synced = true;
    return 0;
}

static int streams_watch(struct run *r, const char *selector, struct error *err)
{
    const struct follow follow = {.resource = &kube_pods,
                                  .namespace_name = session_namespace(&r->session),
                                  .label_selector = selector,
                                  .on_object = on_pod,
                                  .on_synced = on_pods_known,
                                  .arg = r};
    enum follow_end end = FOLLOW_ENOUGH;

    return follow_run(&r->session, &follow, &end, err);
}

/* ---- the end ---- */

/* What went wrong with single ones; the others were shown. */
static int failures_tell(const struct run *r)
{
    int status = 0;

    for (size_t i = 0; i < r->stream_count; i++) {
        const struct error *e = &r->streams[i].err;
        if (e->code == ERR_NONE)
            continue;
        (void)fprintf(stderr, "Error: pod %s: %s\n", r->streams[i].pod, e->text);
        status = plugin_exit_status(e);
    }
    return status;
}

/* ---- the command ---- */

static void run_free(struct run **at)
{
    struct run *r = *at;

    if (!r)
        return;
    for (size_t i = 0; i < r->stream_count; i++)
        stream_free(&r->streams[i]);
    session_close(&r->session);
    free(r);
}

static int streams_show(struct run *r, struct error *err)
{
    static const int signums[] = {SIGINT, SIGTERM};
    struct signals *signals = NULL;

    if (signals_new(r->session.loop, signums, ARRAY_LEN(signums), on_signal, r, &signals, err) < 0)
        return -1;
    int rc = streams_run(r, err);
    signals_free(signals);
    return rc < 0 ? -1 : failures_tell(r);
}

static int run(const struct invocation *inv, struct error *err)
{
    const struct args *args = inv->args;
    const char *name = inv->positional[0];
    CLEANUP(run_free) struct run *r = mem_new(1, sizeof(*r), err);
    CLEANUP(mem_free) char *selector = NULL;

    if (!r)
        return -1;
    r->args = args;
    r->is_watching = args->follows && !args->pod;
    selector = selector_of(r, name, err);
    if (!selector || session_open(&r->session, inv->env, &args->session, err) < 0 ||
        pods_find(r, name, selector, err) < 0)
        return -1;
    return r->is_watching ? streams_watch(r, selector, err) : streams_show(r, err);
}

static const struct flag flags[] = {
    {"f/follow", FLAG_SWITCH, offsetof(struct args, follows), NULL,
     "go on as they write, also with pods that come later", NULL},
    {"c/container", FLAG_TEXT, offsetof(struct args, container), "NAME",
     "another one: walferry-restore, the application's", "walferry"},
    {"pod", FLAG_TEXT, offsetof(struct args, pod), "NAME", "of this one only", NULL},
    {"jobs", FLAG_SWITCH, offsetof(struct args, of_jobs), NULL,
     "of the Jobs that verify, probe and restore", NULL},
    {"since", FLAG_DURATION, offsetof(struct args, since_ns), "DURATION", "only newer lines", NULL},
    {"tail", FLAG_NUMBER, offsetof(struct args, tail), "N", "only the last N lines of each", NULL},
    {"p/previous", FLAG_SWITCH, offsetof(struct args, is_previous), NULL,
     "of the container before the last restart", NULL},
    {"timestamps", FLAG_SWITCH, offsetof(struct args, has_timestamps), NULL,
     "with the time before each line", NULL},
    {"prefix", FLAG_SWITCH, offsetof(struct args, is_prefixed), NULL,
     "name the pod before each line, also if there is one only", NULL},
    SESSION_FLAGS(struct args),
};

static const struct args defaults = {.session = SESSION_DEFAULTS};

const struct command command_logs = {
    .name = "logs",
    .summary = "Show what the sidecars of a replica say",
    .usage = "kubectl walferry logs NAME [flags]",
    .example = "  kubectl walferry logs shop -f\n"
               "  kubectl walferry logs shop -c walferry-restore    # how it was restored\n"
               "  kubectl walferry logs shop --jobs                 # verification, probes",
    .detail = "Lines are JSON unless spec.sidecar.logFormat says otherwise. With -f it goes\n"
              "on until it is interrupted; with --pod until that pod writes no more.\n",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct args),
    .defaults = &defaults,
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
