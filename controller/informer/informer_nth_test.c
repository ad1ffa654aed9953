/*
 * An informer in whose life any one allocation fails: the list, events, a relist after a 410. It
 * goes on by itself, and in the end it holds what the server holds.
 *
 * NTH=1 fails each in turn; by default FAULTS of them are spread evenly, behind an offset that
 * changes from run to run (SEED=n repeats it).
 */
#include "controller/informer/informer.h"
#include "controller/kube/kube_scene.h"
#include "lib/testing/fault_alloc.h"

enum {
    FAULTS = 60,
    PODS = 6,
};

static int phase_project(struct jsonval object, void **out_item, struct error *err)
{
    const char *phase;

    if (jsonval_str(jsonval_way(object, "status.phase"), &phase, err) < 0)
        return -1;
    *out_item = str_dup(phase, err);
    return *out_item ? 0 : -1;
}

static void phases(const void *item, struct informer_values *values)
{
    informer_value(values, item);
}

static const struct informer_kind kind = {
    .resource = &kube_pods,
    .project = phase_project,
    .item_free = free,
    .indexes = {{.name = "phase", .values = phases}},
};

struct life {
    struct kube_scene kube;
    struct informer *informer;
    const char *phase; /* that every pod has in the end */
    size_t count;
    size_t told; /* changes told to the listener; it needs none in particular */
};

static void on_change(void *arg, const struct informer_change *change UNUSED)
{
    struct life *l = arg;

    l->told++;
}

static void pods_put(struct life *l, size_t count, const char *phase)
{
    char path[128], json[128];

    for (size_t i = 0; i < count; i++) {
        (void)snprintf(path, sizeof(path), "/api/v1/namespaces/shop/pods/p-%zu", i);
        (void)snprintf(json, sizeof(json), "{\"status\":{\"phase\":\"%s\"}}", phase);
        kube_server_put(l->kube.server, path, json);
    }
    l->phase = phase;
    l->count = count;
}

static void count_one(void *arg, const char *key UNUSED, const void *item UNUSED)
{
    size_t *n = arg;

    (*n)++;
}

static bool agrees(void *arg)
{
    const struct life *l = arg;
    size_t indexed = 0;

    if (!informer_is_synced(l->informer) || informer_count(l->informer) != l->count)
        return false;
    informer_each_in(l->informer, 0, l->phase, count_one, &indexed);
    return indexed == l->count;
}

/* Makes and starts the informer; what fails may be tried again. */
static void informer_begin(struct life *l)
{
    static const struct kube_watch_timing quick = {.request_ns_min = NS_PER_SEC,
                                                   .request_ns_max = NS_PER_SEC,
                                                   .margin_ns = 100 * NS_PER_MS,
                                                   .backoff_ns_min = NS_PER_MS,
                                                   .backoff_ns_max = 4 * NS_PER_MS};
    struct error err = ERROR_INIT;

    while (informer_new(l->kube.client, l->kube.loop,
                        &(struct informer_config){.kind = &kind, .timing = quick}, &l->informer,
                        &err) < 0)
        assert_int_equal(err.code, ERR_NO_MEMORY);
    assert_ok(informer_listen(l->informer, on_change, l, &err), &err);
    while (informer_start(l->informer, &err) < 0)
        assert_int_equal(err.code, ERR_NO_MEMORY);
}

/* A life with its n-th allocation failing (0: none); answers how many there were. */
static uint64_t live(uint64_t n, bool has_watch_list)
{
    struct life l = {.informer = NULL};
    kube_scene_make(&l.kube, false);
    kube_server_faults(l.kube.server, &(struct kube_faults){.has_no_watch_list = !has_watch_list});

    pods_put(&l, PODS, "Pending");
    fault_alloc_arm(n);
    informer_begin(&l);
    assert_true(kube_scene_until(&l.kube, agrees, &l));
    pods_put(&l, PODS, "Running");
    assert_true(kube_scene_until(&l.kube, agrees, &l));
    kube_server_drop_connections(l.kube.server);
    kube_server_delete(l.kube.server, "/api/v1/namespaces/shop/pods/p-5");
    pods_put(&l, PODS - 1, "Failed");
    kube_server_compact(l.kube.server);
    assert_true(kube_scene_until(&l.kube, agrees, &l));
    uint64_t calls = fault_alloc_calls();
    (void)fault_alloc_disarm(); /* a late n may not be reached: timing decides how many there are */
    assert_true(l.told >= PODS);
    informer_free(l.informer);
    kube_scene_drop(&l.kube);
    return calls;
}

static void each_fails(bool has_watch_list)
{
    const char *seed = getenv("SEED");
    uint64_t calls = live(0, has_watch_list);
    uint64_t step = getenv("NTH") ? 1 : calls / FAULTS + 1;
    uint64_t first =
        1 + (seed ? strtoull(seed, NULL, 10) : env_random_below(env_real(), step)) % step;

    print_message("# %lu allocations, from %lu in steps of %lu\n", (unsigned long)calls,
                  (unsigned long)first, (unsigned long)step);
    for (uint64_t n = first; n <= calls; n += step) {
        char name[32];
        (void)snprintf(name, sizeof(name), "allocation %lu", (unsigned long)n);
        test_row(name);
        (void)live(n, has_watch_list);
    }
}

static void test_informer_survives_any_failed_allocation(void **state UNUSED)
{
    each_fails(true);
}

static void test_informer_that_lists_survives_any_failed_allocation(void **state UNUSED)
{
    each_fails(false);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_informer_survives_any_failed_allocation),
        TEST(test_informer_that_lists_survives_any_failed_allocation),
    };
    return TEST_MAIN(tests);
}
