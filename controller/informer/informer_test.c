/*
 * The cache against an API server that does everything wrong that one can do wrong: whatever
 * happens in between, in the end the cache holds what the server holds, and listeners have heard of
 * every difference.
 */
#include "controller/informer/informer.h"

#include "controller/kube/kube_scene.h"

enum {
    PODS_MAX = 64
};

/* What is remembered of a pod. */
struct pod {
    char *app;   /* label */
    char *phase; /* status.phase */
};

static void pod_free(void *item)
{
    struct pod *p = item;

    free(p->app);
    free(p->phase);
    free(p);
}

static int pod_project(struct jsonval object, void **out_item, struct error *err)
{
    const char *app, *phase;
    struct pod *p;

    if (jsonval_str_or(jsonval_way(object, "metadata.labels.app"), "", &app, err) < 0 ||
        jsonval_str_or(jsonval_way(object, "status.phase"), "", &phase, err) < 0)
        return -1;
    p = mem_new(1, sizeof(*p), err);
    if (!p)
        return -1;
    p->app = str_dup(app, err);
    p->phase = str_dup(phase, err);
    if (!p->app || !p->phase) {
        pod_free(p);
        return -1;
    }
    *out_item = p;
    return 0;
}

static void pod_apps(const void *item, struct informer_values *values)
{
    const struct pod *p = item;

    if (*p->app)
        informer_value(values, p->app);
}

static const struct informer_kind pods = {
    .resource = &kube_pods,
    .project = pod_project,
    .item_free = pod_free,
    .indexes = {{.name = "app", .values = pod_apps}},
};

/* What a listener believes that there is, from what it was told. */
struct heard {
    char keys[PODS_MAX][64];
    size_t count;
    unsigned changes;
    unsigned resyncs;
    const struct informer *informer;
};

static size_t heard_find(const struct heard *h, const char *key)
{
    size_t i = 0;

    while (i < h->count && strcmp(h->keys[i], key) != 0)
        i++;
    return i;
}

static void on_change(void *arg, const struct informer_change *change)
{
    struct heard *h = arg;
    size_t i = heard_find(h, change->key);

    h->changes++;
    h->resyncs += change->is_resync ? 1 : 0;
    assert_true(change->before || change->after);
    assert_ptr_equal(informer_get_key(h->informer, change->key), change->after);
    if (change->after && i == h->count) {
        assert_true(h->count < PODS_MAX);
        (void)snprintf(h->keys[h->count++], 64, "%s", change->key);
    } else if (!change->after) {
        assert_true(i < h->count);
        memmove(h->keys[i], h->keys[--h->count], 64);
    }
}

struct scene {
    struct kube_scene kube;
    struct informer *informer;
    struct heard heard;
};

/* Fast ones, so that a hundred failures take a second. */
static const struct kube_watch_timing quick = {
    .request_ns_min = NS_PER_SEC,
    .request_ns_max = NS_PER_SEC,
    .margin_ns = 100 * NS_PER_MS,
    .backoff_ns_min = NS_PER_MS,
    .backoff_ns_max = 4 * NS_PER_MS,
    .silence_ns = 100 * NS_PER_MS,
    .short_ns = NS_PER_MS,
};

static void informer_make(struct scene *s, const char *const *namespaces, size_t namespace_count)
{
    struct error err = ERROR_INIT;

    s->heard = (struct heard){.count = 0};
    assert_ok(informer_new(s->kube.client, s->kube.loop,
                           &(struct informer_config){.kind = &pods,
                                                     .namespaces = namespaces,
                                                     .namespace_count = namespace_count,
                                                     .timing = quick,
                                                     .log = &s->kube.log},
                           &s->informer, &err),
              &err);
    s->heard.informer = s->informer;
    assert_ok(informer_listen(s->informer, on_change, &s->heard, &err), &err);
    assert_ok(informer_start(s->informer, &err), &err);
}

static void scene_make(struct scene *s)
{
    *s = (struct scene){.informer = NULL};
    kube_scene_make(&s->kube, false);
}

static void scene_drop(struct scene *s)
{
    informer_free(s->informer);
    kube_scene_drop(&s->kube);
}

static void pod_put(struct scene *s, const char *ns, int number, const char *phase)
{
    char path[128], json[256];

    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods/p-%d", ns, number);
    (void)snprintf(json, sizeof(json),
                   "{\"metadata\":{\"labels\":{\"app\":\"app-%d\"}},\"status\":{\"phase\":\"%s\"}}",
                   number % 3, phase);
    kube_server_put(s->kube.server, path, json);
}

static void pod_delete(struct scene *s, const char *ns, int number)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods/p-%d", ns, number);
    kube_server_delete(s->kube.server, path);
}

/* ---- agreement ---- */

static const char *phase_at_server(struct scene *s, const char *key, char out[static 64])
{
    char path[160], ns[64];
    const char *name;
    struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    const char *phase;

    (void)informer_key_split(key, ns, &name);
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods/%s", ns, name);
    char *json = kube_server_get(s->kube.server, path);
    if (!json)
        return NULL;
    assert_ok(jsonval_parse(&doc, "pod", slice_of_str(json), &err), &err);
    assert_ok(jsonval_str(jsonval_way(jsonval_root(&doc), "status.phase"), &phase, &err), &err);
    (void)snprintf(out, 64, "%s", phase);
    jsonval_doc_destroy(&doc);
    free(json);
    return out;
}

struct comparison {
    struct scene *s;
    bool differs;
    size_t indexed;
};

static void compare_one(void *arg, const char *key, const void *item)
{
    struct comparison *c = arg;
    const struct pod *p = item;
    char phase[64];
    const char *wanted = phase_at_server(c->s, key, phase);

    if (!wanted || strcmp(wanted, p->phase) != 0 ||
        heard_find(&c->s->heard, key) == c->s->heard.count)
        c->differs = true;
}

static void count_one(void *arg, const char *key UNUSED, const void *item UNUSED)
{
    struct comparison *c = arg;

    c->indexed++;
}

/* Whether cache, index and listener agree with the server. */
static bool agrees(void *arg)
{
    struct scene *s = arg;
    struct comparison c = {.s = s};
    char app[16];

    if (!informer_is_synced(s->informer) ||
        informer_count(s->informer) != kube_server_count(s->kube.server, "/api/v1/pods") ||
        s->heard.count != informer_count(s->informer))
        return false;
    informer_each(s->informer, compare_one, &c);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(app, sizeof(app), "app-%d", i);
        informer_each_in(s->informer, 0, app, count_one, &c);
    }
    return !c.differs && c.indexed == informer_count(s->informer);
}

static void assert_agrees(struct scene *s)
{
    assert_true(kube_scene_until(&s->kube, agrees, s));
}

/* Adds, changes and deletes a few pods. */
static void life_go_on(struct scene *s, int round)
{
    char phase[32];

    (void)snprintf(phase, sizeof(phase), "Round%d", round);
    pod_put(s, "shop", 1, phase);
    pod_put(s, "shop", 10 + round % 8, phase);
    pod_put(s, "shop", 20, phase);
    pod_delete(s, "shop", 20);
    pod_put(s, "other", round % 4, phase);
}

/* ---- tests ---- */

static void test_informer_follows_additions_changes_and_deletions(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);

    pod_put(&s, "shop", 1, "Pending");
    pod_put(&s, "other", 2, "Running");
    informer_make(&s, NULL, 0);
    assert_agrees(&s);
    assert_int_equal(s.heard.changes, 2);
    pod_put(&s, "shop", 1, "Running");
    assert_agrees(&s);
    pod_put(&s, "shop", 3, "Running");
    pod_delete(&s, "other", 2);
    assert_agrees(&s);
    const struct pod *p = informer_get(s.informer, "shop", "p-1");
    assert_non_null(p);
    assert_string_equal(p->phase, "Running");
    assert_null(informer_get(s.informer, "other", "p-2"));
    assert_int_equal(s.heard.changes, 5);
    /* By one WatchList and nothing else. */
    assert_int_equal(kube_server_requests(s.kube.server, "GET"), 1);
    assert_int_equal(kube_server_requests(s.kube.server, "sendInitialEvents=true"), 1);
    scene_drop(&s);
}

static void test_informer_lists_where_there_is_no_watch_list(void **state UNUSED)
{
    static const struct {
        const char *name;
        struct kube_faults faults;
    } rows[] = {
        {"refused", {.has_no_watch_list = true}},
        {"broken off by an error", {.breaks_watch_list = true}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scene s;
        test_row(rows[i].name);
        scene_make(&s);
        kube_server_faults(s.kube.server, &rows[i].faults);
        for (int n = 0; n < 5; n++)
            pod_put(&s, "shop", n, "Running");
        informer_make(&s, NULL, 0);
        assert_agrees(&s);
        assert_int_equal(
            kube_server_requests(s.kube.server, "GET /api/v1/pods?limit=500&resourceVersion=0"), 1);
        pod_put(&s, "shop", 1, "Failed");
        pod_delete(&s, "shop", 2);
        assert_agrees(&s);
        /* After an expiry it lists again, and does not try what was refused. */
        kube_server_compact(s.kube.server);
        kube_server_drop_connections(s.kube.server);
        pod_put(&s, "shop", 9, "Running");
        kube_server_compact(s.kube.server);
        assert_agrees(&s);
        assert_int_equal(kube_server_requests(s.kube.server, "sendInitialEvents=true"), 1);
        scene_drop(&s);
    }
}

static void test_informer_reads_compressed_lists_and_takes_damaged_ones_anew(void **state UNUSED)
{
    static const struct kube_faults faults = {
        .has_no_watch_list = true, .gzips = true, .gzip_damages = 2};
    struct scene s;
    scene_make(&s);
    kube_server_faults(s.kube.server, &faults);
    for (int n = 0; n < 40; n++)
        pod_put(&s, "shop", n, "Running");
    informer_make(&s, NULL, 0);
    assert_agrees(&s);
    assert_in_range(kube_server_gzipped(s.kube.server), 3, 10);
    pod_delete(&s, "shop", 2); /* by a watch: not compressed */
    assert_agrees(&s);
    scene_drop(&s);
}

static void test_informer_is_right_wherever_the_stream_is_cut_into_chunks(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);

    pod_put(&s, "shop", 1, "Running");
    pod_put(&s, "shop", 2, "Running");
    /* Each position of a first cut, through the first events and a bit beyond. */
    for (unsigned at = 1; at < 460; at++) {
        kube_server_faults(s.kube.server, &(struct kube_faults){.first_piece_bytes = at});
        informer_make(&s, NULL, 0);
        assert_agrees(&s);
        informer_free(s.informer);
        s.informer = NULL;
    }
    /* And every byte a chunk of its own. */
    kube_server_faults(s.kube.server, &(struct kube_faults){.piece_bytes = 1});
    informer_make(&s, NULL, 0);
    assert_agrees(&s);
    life_go_on(&s, 1);
    assert_agrees(&s);
    scene_drop(&s);
}

static void break_try(enum kube_break kind, unsigned after, bool has_watch_list)
{
    struct scene s;
    scene_make(&s);

    pod_put(&s, "shop", 1, "Running");
    pod_put(&s, "other", 2, "Running");
    kube_server_faults(s.kube.server,
                       &(struct kube_faults){.break_kind = kind,
                                             .break_count = kind == KUBE_BREAK_SILENCE ? 1 : 3,
                                             .break_after = after,
                                             .bookmark_ms = 20,
                                             .has_no_watch_list = !has_watch_list});
    informer_make(&s, NULL, 0);
    for (int round = 0; round < 3; round++) {
        life_go_on(&s, round);
        assert_agrees(&s);
    }
    scene_drop(&s);
}

/* Every way of breaking off, after 0, 1, 2, ... events, with and without WatchList. */
static void test_informer_survives_every_break_at_every_point(void **state UNUSED)
{
    static const struct {
        const char *name;
        enum kube_break kind;
    } rows[] = {
        {"clean end", KUBE_BREAK_CLEAN},       {"cut", KUBE_BREAK_CUT},
        {"half close", KUBE_BREAK_HALF_CLOSE}, {"garbage", KUBE_BREAK_GARBAGE},
        {"silence", KUBE_BREAK_SILENCE},       {"410", KUBE_BREAK_EXPIRED},
        {"error", KUBE_BREAK_ERROR},           {"half an event", KUBE_BREAK_HALF_EVENT},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (unsigned after = 0; after < 8; after++) {
            char name[64];
            (void)snprintf(name, sizeof(name), "%s after %u", rows[i].name, after);
            test_row(name);
            break_try(rows[i].kind, after, true);
            break_try(rows[i].kind, after, false);
        }
    }
}

static void test_informer_begins_anew_after_each_shape_of_410(void **state UNUSED)
{
    static const struct {
        const char *name;
        struct kube_faults faults;
    } rows[] = {
        {"in the stream", {.bookmark_ms = 0}},
        {"by HTTP", {.expires_by_http = true}},
        {"version too large", {.says_too_large = true}},
        {"in the stream, listing", {.has_no_watch_list = true}},
        {"by HTTP, listing", {.has_no_watch_list = true, .expires_by_http = true}},
        {"version too large, listing", {.has_no_watch_list = true, .says_too_large = true}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scene s;
        struct informer_stats stats;
        test_row(rows[i].name);
        scene_make(&s);
        kube_server_faults(s.kube.server, &rows[i].faults);
        for (int n = 0; n < 6; n++)
            pod_put(&s, "shop", n, "Running");
        informer_make(&s, NULL, 0);
        assert_agrees(&s);
        /* While it is away one is deleted, one changed, one added, and history is forgotten. */
        kube_server_drop_connections(s.kube.server);
        pod_delete(&s, "shop", 3);
        pod_put(&s, "shop", 4, "Failed");
        pod_put(&s, "shop", 7, "Pending");
        kube_server_compact(s.kube.server);
        assert_agrees(&s);
        assert_null(informer_get(s.informer, "shop", "p-3"));
        informer_stats(s.informer, &stats);
        assert_true(stats.relist_count >= 1);
        assert_true(stats.end_counts[KUBE_END_EXPIRED] >= 1);
        /* A newest list, not whatever a cache of the server's holds. */
        if (rows[i].faults.has_no_watch_list) {
            assert_int_equal(kube_server_requests(s.kube.server, "resourceVersion=0"), 1);
        }
        scene_drop(&s);
    }
}

static void test_informer_resumes_from_bookmarks_however_often_they_come(void **state UNUSED)
{
    struct scene s;
    struct informer_stats stats;
    scene_make(&s);

    kube_server_faults(s.kube.server,
                       &(struct kube_faults){.bookmark_ms = 10, .repeats_bookmarks = true});
    pod_put(&s, "shop", 1, "Running");
    informer_make(&s, NULL, 0);
    assert_agrees(&s);
    for (int round = 0; round < 5; round++) {
        kube_server_drop_connections(s.kube.server);
        life_go_on(&s, round);
        assert_agrees(&s);
    }
    informer_stats(s.informer, &stats);
    assert_int_equal(stats.relist_count, 0);
    scene_drop(&s);
}

static void test_informer_backs_off_while_the_server_refuses(void **state UNUSED)
{
    struct scene s;
    scene_make(&s);

    pod_put(&s, "shop", 1, "Running");
    kube_server_faults(s.kube.server, &(struct kube_faults){.fail_count = 12,
                                                            .fail_part = "GET /api/v1/pods",
                                                            .fail_status = 503});
    uint64_t before = env_monotonic_ns(env_real());
    informer_make(&s, NULL, 0);
    assert_agrees(&s);
    /* 1, 2, 4, 4, ... ms, each at least half of it. */
    assert_true(env_monotonic_ns(env_real()) - before >= 20 * NS_PER_MS);
    scene_drop(&s);
}

static void test_informer_lists_in_pages_and_survives_an_expired_page(void **state UNUSED)
{
    struct scene s;
    char path[128];
    scene_make(&s);

    for (int i = 0; i < 1203; i++) {
        (void)snprintf(path, sizeof(path), "/api/v1/namespaces/bulk/pods/b-%d", i);
        kube_server_put(s.kube.server, path, "{}");
    }
    s.heard = (struct heard){.count = 0};
    struct error err = ERROR_INIT;
    kube_server_faults(s.kube.server, &(struct kube_faults){.has_no_watch_list = true});
    assert_ok(informer_new(s.kube.client, s.kube.loop,
                           &(struct informer_config){.kind = &pods, .timing = quick}, &s.informer,
                           &err),
              &err);
    assert_ok(informer_start(s.informer, &err), &err);
    while (!informer_is_synced(s.informer))
        (void)uv_run(loop_uv(s.kube.loop), UV_RUN_ONCE);
    assert_int_equal(informer_count(s.informer), 1203);
    assert_int_equal(kube_server_requests(s.kube.server, "limit=500"), 3);
    informer_free(s.informer);

    kube_server_faults(s.kube.server,
                       &(struct kube_faults){.has_no_watch_list = true, .expires_continue = true});
    assert_ok(informer_new(s.kube.client, s.kube.loop,
                           &(struct informer_config){.kind = &pods, .timing = quick}, &s.informer,
                           &err),
              &err);
    assert_ok(informer_start(s.informer, &err), &err);
    while (!informer_is_synced(s.informer))
        (void)uv_run(loop_uv(s.kube.loop), UV_RUN_ONCE);
    assert_int_equal(informer_count(s.informer), 1203);
    scene_drop(&s);
}

static void test_informer_watches_namespaces_apart(void **state UNUSED)
{
    static const char *const namespaces[] = {"shop", "other"};
    struct scene s;
    scene_make(&s);

    pod_put(&s, "shop", 1, "Running");
    pod_put(&s, "other", 2, "Running");
    informer_make(&s, namespaces, 2);
    assert_agrees(&s);
    kube_server_drop_connections(s.kube.server);
    pod_delete(&s, "shop", 1);
    kube_server_compact(s.kube.server);
    assert_agrees(&s);
    assert_int_equal(kube_server_requests(s.kube.server, "GET /api/v1/pods"), 0);
    assert_non_null(informer_get(s.informer, "other", "p-2"));
    scene_drop(&s);
}

static void test_informer_counts_what_it_cannot_use_as_absent(void **state UNUSED)
{
    struct scene s;
    struct informer_stats stats;
    scene_make(&s);
    s.kube.log.level = LOG_LEVEL_ERROR;

    pod_put(&s, "shop", 1, "Running");
    kube_server_put(s.kube.server, "/api/v1/namespaces/shop/pods/odd",
                    "{\"status\":{\"phase\":[1]}}");
    informer_make(&s, NULL, 0);
    while (!informer_is_synced(s.informer))
        (void)uv_run(loop_uv(s.kube.loop), UV_RUN_ONCE);
    assert_int_equal(informer_count(s.informer), 1);
    informer_stats(s.informer, &stats);
    assert_int_equal(stats.rejected_count, 1);
    /* Repaired, it appears. */
    kube_server_put(
        s.kube.server, "/api/v1/namespaces/shop/pods/odd",
        "{\"metadata\":{\"labels\":{\"app\":\"app-1\"}},\"status\":{\"phase\":\"Ok\"}}");
    assert_agrees(&s);
    scene_drop(&s);
}

static bool has_resynced(void *arg)
{
    const struct scene *s = arg;

    return s->heard.resyncs >= 2;
}

static void test_informer_tells_late_listeners_and_resyncs(void **state UNUSED)
{
    struct scene s;
    struct error err = ERROR_INIT;
    scene_make(&s);

    pod_put(&s, "shop", 1, "Running");
    pod_put(&s, "shop", 2, "Running");
    informer_make(&s, NULL, 0);
    assert_agrees(&s);
    informer_unlisten(s.informer, on_change, &s.heard);
    s.heard.count = 0;
    assert_ok(informer_listen(s.informer, on_change, &s.heard, &err), &err);
    assert_agrees(&s);
    informer_resync(s.informer);
    assert_true(kube_scene_until(&s.kube, has_resynced, &s));
    assert_int_equal(s.heard.resyncs, 2);
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_informer_follows_additions_changes_and_deletions),
        TEST(test_informer_lists_where_there_is_no_watch_list),
        TEST(test_informer_reads_compressed_lists_and_takes_damaged_ones_anew),
        TEST(test_informer_is_right_wherever_the_stream_is_cut_into_chunks),
        TEST(test_informer_survives_every_break_at_every_point),
        TEST(test_informer_begins_anew_after_each_shape_of_410),
        TEST(test_informer_resumes_from_bookmarks_however_often_they_come),
        TEST(test_informer_backs_off_while_the_server_refuses),
        TEST(test_informer_lists_in_pages_and_survives_an_expired_page),
        TEST(test_informer_watches_namespaces_apart),
        TEST(test_informer_counts_what_it_cannot_use_as_absent),
        TEST(test_informer_tells_late_listeners_and_resyncs),
    };
    return TEST_MAIN(tests);
}
