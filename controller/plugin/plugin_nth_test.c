/*
 * Commands in whose life any one allocation fails: each ends, and either does what it should, or
 * says that memory is out (or that something could not be looked at) and ends with another status.
 * It never answers less and calls it all.
 *
 * NTH=1 fails each in turn; by default FAULTS of them are spread evenly, behind an offset that
 * changes from run to run (SEED=n repeats it).
 */
#include "controller/plugin/plugin_scene.h"
#include "lib/testing/fault_alloc.h"

enum {
    FAULTS = 40,
};

#define PODS "/api/v1/namespaces/shop/pods/"

static void scene_fill(struct plugin_scene *s)
{
    scene_make(s);
    scene_replica(s, "shop", "shop");
    kube_server_put(s->server, PODS "shop-0",
                    "{\"metadata\":{\"labels\":{\"walferry.dev/replica\":\"shop\"}},\"spec\":{"
                    "\"initContainers\":[{\"name\":\"walferry\",\"ports\":[{\"containerPort\":9090}"
                    "]}]},\"status\":{\"phase\":\"Running\"}}");
    kube_server_page(s->server, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                     NULL, 201, "{\"status\":{\"allowed\":true}}");
    kube_server_page(s->server, "GET", PODS "shop-0/log", NULL, 200, "one\ntwo\n");
    kube_server_page(s->server, "GET", PODS "shop-0:9090/proxy/status", NULL, 200,
                     "{\"databases\":[{\"name\":\"main\",\"destinations\":[{\"name\":\"primary\"}]"
                     "}]}");
}

/* Runs line with its n-th allocation failing; 0: none. Answers how many there were. */
static uint64_t live(struct plugin_scene *s, const char *line, uint64_t n, int *out_status)
{
    fault_alloc_arm(n);
    *out_status = scene_run(s, line);
    uint64_t calls = fault_alloc_calls();
    (void)fault_alloc_disarm(); /* timing decides how many there are: a late n may not be reached */
    return calls;
}

static void each_fails(const char *line)
{
    bool is_each = getenv("NTH") != NULL;
    const char *seed = getenv("SEED");
    uint64_t offset = seed ? strtoull(seed, NULL, 10) : env_random_below(env_real(), 1 << 20);
    struct plugin_scene s;
    int wanted, status;
    scene_fill(&s);

    (void)live(&s, line, 0, &wanted); /* what is made once, by libraries too, is made now */
    uint64_t calls = live(&s, line, 0, &wanted);
    CLEANUP(mem_free) char *out = strdup(s.out);
    uint64_t step = is_each ? 1 : calls / FAULTS + 1;
    uint64_t first = 1 + offset % step;
    print_message("# %s: %lu allocations, from %lu in steps of %lu\n", line, (unsigned long)calls,
                  (unsigned long)first, (unsigned long)step);
    for (uint64_t n = first; n <= calls; n += step) {
        char name[64];
        (void)snprintf(name, sizeof(name), "%s: allocation %lu", line, (unsigned long)n);
        (void)live(&s, line, n, &status);
        test_row(name);
        bool is_whole = status == wanted && strcmp(s.out, out) == 0;
        if (!is_whole && !s.err[0] && !strstr(s.out, "not looked at"))
            fail_msg("neither done nor told; status %d:\n%s", status, s.out);
    }
    scene_drop(&s);
}

static void test_listing_survives_any_failed_allocation(void **state UNUSED)
{
    each_fails("status -A -o wide");
    each_fails("lag shop");
}

static void test_details_and_json_survive_any_failed_allocation(void **state UNUSED)
{
    each_fails("status shop");
    each_fails("status -o json");
}

static void test_asking_pods_survives_any_failed_allocation(void **state UNUSED)
{
    each_fails("snapshots shop");
    each_fails("logs shop");
}

static void test_writing_survives_any_failed_allocation(void **state UNUSED)
{
    each_fails("pause shop --dry-run");
    each_fails("restore shop --database main --to-claim c --dry-run --name r");
}

static void test_checking_survives_any_failed_allocation(void **state UNUSED)
{
    each_fails("check");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_listing_survives_any_failed_allocation),
        TEST(test_details_and_json_survive_any_failed_allocation),
        TEST(test_asking_pods_survives_any_failed_allocation),
        TEST(test_writing_survives_any_failed_allocation),
        TEST(test_checking_survives_any_failed_allocation),
    };
    return TEST_MAIN(tests);
}
