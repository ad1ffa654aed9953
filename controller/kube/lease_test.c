/*
 * Leader election: two candidates and an API server.
 */
#include "controller/kube/lease.h"

#include "controller/kube/kube_scene.h"

static const char lease_path[] = "/apis/coordination.k8s.io/v1/namespaces/walferry/leases/leader";

struct candidate {
    struct lease *lease;
    bool leads, has_lost, is_released;
    unsigned faults;
    char why[ERROR_TEXT_BYTES];
    char seen[64];
    unsigned led_count;
};

static void on_leading(void *arg)
{
    struct candidate *c = arg;

    c->leads = true;
    c->led_count++;
}

static void on_lost(void *arg, const struct error *why)
{
    struct candidate *c = arg;

    c->leads = false;
    c->has_lost = true;
    (void)snprintf(c->why, sizeof(c->why), "%s", why->text);
}

static void on_leader(void *arg, const char *identity)
{
    struct candidate *c = arg;

    (void)snprintf(c->seen, sizeof(c->seen), "%s", identity);
}

static void on_fault(void *arg, const struct error *err UNUSED)
{
    struct candidate *c = arg;

    c->faults++;
}

static void on_released(void *arg)
{
    struct candidate *c = arg;

    c->is_released = true;
}

static void candidate_make_patient(struct kube_scene *s, struct candidate *c, const char *identity,
                                   uint64_t retry_ns)
{
    struct error err = ERROR_INIT;

    *c = (struct candidate){.leads = false};
    assert_ok(lease_start(s->client, s->loop,
                          &(struct lease_config){.namespace_name = "walferry",
                                                 .name = "leader",
                                                 .identity = identity,
                                                 .duration_ns = NS_PER_SEC,
                                                 .renew_deadline_ns = 600 * NS_PER_MS,
                                                 .retry_ns = retry_ns,
                                                 .on_leading = on_leading,
                                                 .on_lost = on_lost,
                                                 .on_leader = on_leader,
                                                 .on_fault = on_fault,
                                                 .arg = c},
                          &c->lease, &err),
              &err);
}

static void candidate_make(struct kube_scene *s, struct candidate *c, const char *identity)
{
    candidate_make_patient(s, c, identity, 30 * NS_PER_MS);
}

static bool leads(void *arg)
{
    const struct candidate *c = arg;

    return c->leads;
}

static bool has_lost(void *arg)
{
    const struct candidate *c = arg;

    return c->has_lost;
}

static bool is_released(void *arg)
{
    const struct candidate *c = arg;

    return c->is_released;
}

static void field_read(struct kube_scene *s, const char *way, char out[static 128])
{
    struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    const char *text = NULL;
    uint64_t number = 0;

    char *json = kube_server_get(s->server, lease_path);
    assert_non_null(json);
    assert_ok(jsonval_parse(&doc, "lease", slice_of_str(json), &err), &err);
    struct jsonval v = jsonval_way(jsonval_root(&doc), way);
    if (jsonval_is_str(v)) {
        assert_ok(jsonval_str(v, &text, &err), &err);
        (void)snprintf(out, 128, "%s", text);
    } else {
        assert_ok(jsonval_u64(v, &number, &err), &err);
        (void)snprintf(out, 128, "%lu", (unsigned long)number);
    }
    jsonval_doc_destroy(&doc);
    free(json);
}

static void test_lease_is_written_as_other_tools_read_it(void **state UNUSED)
{
    struct kube_scene s;
    struct candidate a;
    char text[128];
    uint64_t ns;
    struct error err = ERROR_INIT;
    kube_scene_make(&s, false);

    candidate_make(&s, &a, "pod-a");
    assert_true(kube_scene_until(&s, leads, &a));
    assert_true(lease_is_leading(a.lease));
    assert_string_equal(lease_holder(a.lease), "pod-a");
    assert_string_equal(a.seen, "pod-a");
    field_read(&s, "spec.holderIdentity", text);
    assert_string_equal(text, "pod-a");
    field_read(&s, "spec.leaseDurationSeconds", text);
    assert_string_equal(text, "1");
    field_read(&s, "spec.leaseTransitions", text);
    assert_string_equal(text, "0");
    field_read(&s, "spec.renewTime", text);
    assert_int_equal(strlen(text), strlen("2026-11-26T09:00:00.000000Z"));
    assert_ok(time_parse_rfc3339(text, &ns, &err), &err);
    lease_free(a.lease);
    kube_scene_drop(&s);
}

static bool has_renewed(void *arg)
{
    struct kube_scene *s = arg;

    return kube_server_requests(s->server, "PUT ") >= 5;
}

static void test_lease_has_one_leader_who_renews(void **state UNUSED)
{
    struct kube_scene s;
    struct candidate a, b;
    kube_scene_make(&s, false);

    candidate_make(&s, &a, "pod-a");
    candidate_make(&s, &b, "pod-b");
    assert_true(kube_scene_until(&s, has_renewed, &s));
    assert_true(a.leads != b.leads);
    assert_false(a.has_lost || b.has_lost);
    assert_string_equal(a.seen, b.seen);
    lease_free(a.lease);
    lease_free(b.lease);
    kube_scene_drop(&s);
}

static void test_lease_passes_at_once_when_it_is_given_back(void **state UNUSED)
{
    struct kube_scene s;
    struct candidate a, b;
    char text[128];
    kube_scene_make(&s, false);

    candidate_make(&s, &a, "pod-a");
    assert_true(kube_scene_until(&s, leads, &a));
    candidate_make(&s, &b, "pod-b");
    lease_release(a.lease, on_released, &a);
    assert_false(lease_is_leading(a.lease));
    assert_true(kube_scene_until(&s, is_released, &a));
    assert_false(a.has_lost);
    assert_true(kube_scene_until(&s, leads, &b));
    field_read(&s, "spec.leaseTransitions", text);
    assert_string_equal(text, "1");
    lease_free(a.lease);
    lease_free(b.lease);
    kube_scene_drop(&s);
}

static void test_lease_of_a_dead_leader_is_taken_over_after_its_duration(void **state UNUSED)
{
    struct kube_scene s;
    struct candidate b;
    kube_scene_make(&s, false);

    /* Its clock was wrong by years: what counts is how long nothing changed as we saw it. */
    kube_server_put(s.server, lease_path,
                    "{\"spec\":{\"holderIdentity\":\"dead\",\"leaseDurationSeconds\":1,"
                    "\"renewTime\":\"2093-01-01T00:00:00.000000Z\",\"leaseTransitions\":4}}");
    uint64_t before = env_monotonic_ns(env_real());
    candidate_make(&s, &b, "pod-b");
    assert_true(kube_scene_until(&s, leads, &b));
    assert_true(env_monotonic_ns(env_real()) - before >= NS_PER_SEC);
    assert_int_equal(lease_transitions(b.lease), 5);
    lease_free(b.lease);
    kube_scene_drop(&s);
}

static void test_lease_is_looked_at_when_it_runs_out(void **state UNUSED)
{
    struct kube_scene s;
    struct candidate first;
    struct candidate second;

    kube_scene_make(&s, false);
    candidate_make(&s, &first, "one");
    assert_true(kube_scene_until(&s, leads, &first));
    lease_free(first.lease);
    /* One look now; the next by its pace would be after a minute or two. */
    candidate_make_patient(&s, &second, "two", NS_PER_MIN);
    assert_true(kube_scene_until(&s, leads, &second));
    lease_free(second.lease);
    kube_scene_drop(&s);
}

static void test_lease_is_lost_when_another_has_written_it(void **state UNUSED)
{
    struct kube_scene s;
    struct candidate a;
    kube_scene_make(&s, false);

    candidate_make(&s, &a, "pod-a");
    assert_true(kube_scene_until(&s, leads, &a));
    kube_server_put(s.server, lease_path,
                    "{\"spec\":{\"holderIdentity\":\"thief\",\"leaseDurationSeconds\":1}}");
    assert_true(kube_scene_until(&s, has_lost, &a));
    assert_string_equal(a.why, "lease walferry/leader: thief leads now");
    assert_false(lease_is_leading(a.lease));
    lease_free(a.lease);
    kube_scene_drop(&s);
}

static void test_lease_survives_a_write_whose_answer_was_lost(void **state UNUSED)
{
    struct kube_scene s;
    struct candidate a;
    char ours[512];
    kube_scene_make(&s, false);

    candidate_make(&s, &a, "pod-a");
    assert_true(kube_scene_until(&s, leads, &a));
    /* The version moves on, the name stays ours: a renewal was committed and its answer lost. */
    (void)snprintf(ours, sizeof(ours),
                   "{\"spec\":{\"holderIdentity\":\"pod-a\",\"leaseDurationSeconds\":1}}");
    kube_server_put(s.server, lease_path, ours);
    assert_true(kube_scene_until(&s, has_renewed, &s));
    assert_true(a.leads);
    assert_int_equal(a.led_count, 1);
    lease_free(a.lease);
    kube_scene_drop(&s);
}

static void test_lease_is_lost_when_the_server_is_away_too_long(void **state UNUSED)
{
    struct kube_scene s;
    struct candidate a;
    kube_scene_make(&s, false);

    candidate_make(&s, &a, "pod-a");
    assert_true(kube_scene_until(&s, leads, &a));
    uint64_t before = env_monotonic_ns(env_real());
    kube_server_faults(s.server, &(struct kube_faults){.fail_count = 1000,
                                                       .fail_part = "/leases/leader",
                                                       .fail_status = 503});
    assert_true(kube_scene_until(&s, has_lost, &a));
    assert_true(a.faults > 1);
    assert_true(env_monotonic_ns(env_real()) - before >= 400 * NS_PER_MS);
    assert_non_null(strstr(a.why, "not renewed for 600ms"));
    lease_free(a.lease);
    kube_scene_drop(&s);
}

static void test_lease_release_ends_though_the_server_is_silent(void **state UNUSED)
{
    struct kube_scene s;
    struct candidate a;
    kube_scene_make(&s, false);

    candidate_make(&s, &a, "pod-a");
    assert_true(kube_scene_until(&s, leads, &a));
    kube_server_faults(s.server, &(struct kube_faults){.fail_count = 1000,
                                                       .fail_part = "/leases/leader",
                                                       .fail_status = -1});
    lease_release(a.lease, on_released, &a);
    assert_true(kube_scene_until(&s, is_released, &a));
    lease_free(a.lease);
    kube_scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_lease_is_written_as_other_tools_read_it),
        TEST(test_lease_has_one_leader_who_renews),
        TEST(test_lease_passes_at_once_when_it_is_given_back),
        TEST(test_lease_of_a_dead_leader_is_taken_over_after_its_duration),
        TEST(test_lease_is_looked_at_when_it_runs_out),
        TEST(test_lease_is_lost_when_another_has_written_it),
        TEST(test_lease_survives_a_write_whose_answer_was_lost),
        TEST(test_lease_is_lost_when_the_server_is_away_too_long),
        TEST(test_lease_release_ends_though_the_server_is_silent),
    };
    return TEST_MAIN(tests);
}
