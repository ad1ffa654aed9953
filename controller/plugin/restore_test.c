/*
 * kubectl walferry restore and verify, with a thread that plays the operator.
 */
#include <pthread.h>

#include "controller/plugin/plugin_scene.h"

#define RESTORES SCENE_REPLICAS "shop/sqliterestores/"
#define CLAIMS   "/api/v1/namespaces/shop/persistentvolumeclaims/"

static const char one_database[] =
    "{\"spec\":{\"databases\":[{\"name\":\"main\",\"path\":\"/data/app.db\"}]},\"status\":{"
    "\"earliestRestoreTime\":\"2026-11-20T00:00:00Z\",\"latestRestoreTime\":"
    "\"2026-11-21T11:59:58Z\"}}";

static const char per_pod[] =
    "{\"spec\":{\"databases\":[{\"name\":\"main\",\"path\":\"/data/app.db\"}],\"prefixTemplate\":"
    "\"{{namespace}}/{{name}}/{{podName}}\"},\"status\":{\"databases\":[{\"pod\":\"w-0\",\"name\":"
    "\"main\"},{\"pod\":\"w-1\",\"name\":\"main\"}]}}";

static void scene_fill(struct plugin_scene *s)
{
    scene_make(s);
    kube_server_put(s->server, SCENE_REPLICAS "shop/sqlitereplicas/app", one_database);
    kube_server_put(s->server, SCENE_REPLICAS "shop/sqlitereplicas/web", per_pod);
    scene_replica(s, "shop", "shop");
    kube_server_put(s->server, CLAIMS "c", "{}");
    kube_server_put(s->server, CLAIMS "inspection", "{}");
}

static void test_restore_says_where_to_and_refuses_what_cannot_be(void **state UNUSED)
{
    static const struct {
        const char *line;
        int status;
        const char *part, *hint;
    } rows[] = {
        {"restore app --at 15m", 2, "where to?", "--to-claim NAME writes a copy"},
        {"restore app --to-claim c --in-place", 2, "exclude each other", ""},
        {"restore app --in-place --at 15m", 2, "say --yes", "--dry-run tells"},
        {"restore app --in-place --yes", 2, "must say what to go back to", "15m"},
        {"restore app --in-place --yes --at 1m --path x", 2, "--path is a file of --to-claim", ""},
        {"restore app --to-claim c --at yesterday", 2, "\"yesterday\" is no moment",
         "2026-11-26T09:30:00Z, a span before now (15m), a TXID, or latest"},
        {"restore app --to-claim c --at 2026-11-21T12:00:01Z", 2, "has not come yet", ""},
        {"restore app --to-claim c --integrity-check deep", 2, "none, quick or full", ""},
        {"restore shop --to-claim c", 2, "several databases: which one?",
         "--database is one of: main, cart"},
        {"restore shop --to-claim c --database x", 2, "has no database \"x\"", "main, cart"},
        {"restore web --to-claim c", 2, "a replica of its own: whose?",
         "--pod is one of: w-0, w-1"},
        {"restore nothing --to-claim c", 4, "404", "lists those that there are"},
        {"restore", 2, "takes more arguments than were given", "usage: "},
    };
    struct plugin_scene s;
    scene_fill(&s);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        scene_refused(&s, rows[i].line, rows[i].status, rows[i].part, rows[i].hint);
        assert_string_equal(s.out, "");
    }
    assert_int_equal(kube_server_count(s.server, SCENE_REPLICAS "shop/sqliterestores"), 0);
    scene_drop(&s);
}

static void test_restore_without_waiting_makes_what_was_asked_for(void **state UNUSED)
{
    static const struct {
        const char *line, *spec;
    } rows[] = {
        {"restore app --name r1 --no-wait --to-claim inspection",
         "{\"sourceRef\":{\"name\":\"app\"},\"mode\":\"ToClaim\",\"database\":\"main\",\"verify\":"
         "\"Quick\",\"target\":{\"claimName\":\"inspection\",\"path\":\"app.db\"},"
         "\"ttlSecondsAfterFinished\":86400}"},
        {"restore app --name r1 --no-wait --to-claim inspection --path old/x.db --at 1h30m "
         "--integrity-check full --destination second",
         "{\"sourceRef\":{\"name\":\"app\"},\"mode\":\"ToClaim\",\"database\":\"main\","
         "\"destination\":\"second\",\"targetTime\":\"2026-11-21T10:30:00Z\",\"verify\":\"Full\","
         "\"target\":{\"claimName\":\"inspection\",\"path\":\"old/x.db\"},"
         "\"ttlSecondsAfterFinished\":86400}"},
        {"restore web --pod w-1 --name r1 --no-wait --in-place --yes --at 00000000000000F0",
         "{\"sourceRef\":{\"name\":\"web\"},\"mode\":\"InPlace\",\"database\":\"main\",\"podName\":"
         "\"w-1\",\"targetTxid\":\"00000000000000f0\",\"verify\":\"Quick\","
         "\"ttlSecondsAfterFinished\":86400}"},
    };
    struct plugin_scene s;
    scene_fill(&s);

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        scene_expect(&s, rows[i].line, 0, "sqliterestore.walferry.dev/r1 created\n", "");
        CLEANUP(mem_free) char *json = kube_server_get(s.server, RESTORES "r1");
        if (!strstr(json, rows[i].spec))
            fail_msg("not %s but %s", rows[i].spec, json);
        kube_server_delete(s.server, RESTORES "r1");
    }
    scene_drop(&s);
}

static void test_restore_dry_run_tells_and_keeps_nothing(void **state UNUSED)
{
    struct plugin_scene s;
    scene_fill(&s);

    scene_expect(&s, "restore app --at 15m --dry-run --name r", 0,
                 "sqliterestore.walferry.dev/r would be created (server dry run)\n"
                 "  from      app, database main\n"
                 "  to        /data/app.db of its pods; their workloads are stopped meanwhile\n"
                 "  at        2026-11-21T11:45:00Z\n"
                 "  window    2026-11-20T00:00:00Z to 2026-11-21T11:59:58Z\n",
                 "");
    scene_expect(&s, "restore app --at 7d --to-claim c --dry-run --name r", 0,
                 "sqliterestore.walferry.dev/r would be created (server dry run)\n"
                 "  from      app, database main\n"
                 "  to        claim c, file app.db\n"
                 "  at        2026-11-14T12:00:00Z\n"
                 "  window    2026-11-20T00:00:00Z to 2026-11-21T11:59:58Z\n",
                 "Warning: 2026-11-14T12:00:00Z is before 2026-11-20T00:00:00Z, the earliest "
                 "moment that is reported\n");
    assert_int_equal(kube_server_count(s.server, SCENE_REPLICAS "shop/sqliterestores"), 0);
    assert_int_equal(kube_server_requests(s.server, "dryRun=All"), 2);
    scene_drop(&s);
}

static void test_restore_to_a_missing_claim_says_that_it_waits(void **state UNUSED)
{
    struct plugin_scene s;
    scene_fill(&s);

    scene_expect(&s, "restore app --name r1 --no-wait --to-claim nowhere", 0,
                 "sqliterestore.walferry.dev/r1 created\n",
                 "Warning: there is no claim \"nowhere\" in namespace shop; the restore waits for "
                 "it\n");
    kube_server_faults(s.server, &(struct kube_faults){.fail_count = 1,
                                                       .fail_part = "GET " CLAIMS "nowhere",
                                                       .fail_status = 403,
                                                       .fail_body = "{}"});
    scene_expect(&s, "restore app --name r2 --no-wait --to-claim nowhere", 0,
                 "sqliterestore.walferry.dev/r2 created\n", "");
    scene_drop(&s);
}

/* ---- followed ---- */

struct restorer {
    struct kube_server *server;
    const char *name;
    const char *steps[3]; /* statuses, one after the other */
};

static void *restorer_run(void *arg)
{
    struct restorer *o = arg;
    char path[128];

    (void)snprintf(path, sizeof(path), RESTORES "%s", o->name);
    for (unsigned i = 0; i < 60000; i++) {
        CLEANUP(mem_free) char *json = kube_server_get(o->server, path);
        if (json)
            break;
        (void)usleep(1000);
    }
    for (size_t i = 0; i < ARRAY_LEN(o->steps) && o->steps[i]; i++) {
        CLEANUP(mem_free) char *json = kube_server_get(o->server, path);
        if (json)
            kube_server_put(o->server, path, o->steps[i]);
    }
    return NULL;
}

#define STEP(conditions, more)                                                                     \
    "{\"spec\":{\"mode\":\"ToClaim\"},\"status\":{\"conditions\":[" conditions "]" more "}}"
#define RESTORED                                                                                   \
    "{\"type\":\"Restored\",\"status\":\"True\",\"reason\":\"Restored\",\"message\":\"All pages."  \
    "\"}"
#define COMPLETE                                                                                   \
    ",{\"type\":\"Complete\",\"status\":\"True\",\"reason\":\"Complete\",\"message\":\"Done.\"}"
#define FIGURES                                                                                    \
    ",\"restoredTxid\":\"00000000000000f0\",\"restoredTime\":\"2026-11-21T11:44:59Z\",\"bytes\":"  \
    "5242880,\"durationSeconds\":3"

static const char step_restored[] = STEP(RESTORED, "");
static const char step_complete[] = STEP(RESTORED COMPLETE, FIGURES);
static const char step_failed[] =
    STEP("{\"type\":\"Failed\",\"status\":\"True\",\"reason\":\"NothingToRestore\",\"message\":"
         "\"There is no backup below shop/app.\"}",
         "");

static int follow(struct plugin_scene *s, const char *line, struct restorer *o)
{
    pthread_t thread;

    o->server = s->server;
    assert_int_equal(pthread_create(&thread, NULL, restorer_run, o), 0);
    int status = scene_run(s, line);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return status;
}

static void test_restore_follows_its_conditions_to_the_end(void **state UNUSED)
{
    struct plugin_scene s;
    struct restorer good = {.name = "r", .steps = {step_restored, step_complete}};
    struct restorer bad = {.name = "r2", .steps = {step_failed}};
    scene_fill(&s);

    assert_int_equal(follow(&s, "restore app --at 15m --to-claim c --name r", &good), 0);
    assert_string_equal(s.err, "");
    assert_string_equal(s.out, "sqliterestore.walferry.dev/r created\n"
                               "  Restored     All pages.\n"
                               "  Complete     Done.\n"
                               "restored TXID 00000000000000f0 of 2026-11-21T11:44:59Z: 5.0MiB "
                               "fetched, 3s\n");
    assert_int_equal(follow(&s, "restore app --to-claim c --name r2", &bad), 1);
    assert_string_equal(s.err, "Error: sqliterestore r2 has failed: NothingToRestore: There is no "
                               "backup below shop/app.\n");
    scene_drop(&s);
}

static void test_restore_as_json_prints_its_last_state_once(void **state UNUSED)
{
    struct plugin_scene s;
    struct restorer good = {.name = "r", .steps = {step_restored, step_complete}};
    scene_fill(&s);

    assert_int_equal(follow(&s, "restore app --to-claim c --name r -o json", &good), 0);
    assert_non_null(strstr(s.out, "\"complete\": true,\n  \"failed\": false,"));
    assert_non_null(strstr(s.out, "\"restoredTxid\": \"00000000000000f0\""));
    assert_int_equal(s.out[0], '{');
    scene_drop(&s);
}

static void test_restore_that_takes_too_long_goes_on_without_us(void **state UNUSED)
{
    struct plugin_scene s;
    scene_fill(&s);

    assert_int_equal(scene_run(&s, "restore app --to-claim c --name r --timeout 50ms"), 5);
    assert_string_equal(s.err, "Error: it is not over yet; it goes on: kubectl get sqliterestore r "
                               "-n shop -w\n");
    assert_int_equal(kube_server_count(s.server, SCENE_REPLICAS "shop/sqliterestores"), 1);
    scene_drop(&s);
}

static void test_verify_goes_through_every_database(void **state UNUSED)
{
    struct plugin_scene s;
    scene_fill(&s);

    /* The server keeps none of them: nothing is ever heard of them again. */
    kube_server_page(s.server, "POST", SCENE_REPLICAS "shop/sqliterestores", NULL, 201,
                     "{\"metadata\":{\"name\":\"x\"}}");
    assert_int_equal(scene_run(&s, "verify shop --timeout 50ms"), 5);
    assert_int_equal(kube_server_requests(s.server, "POST "), 2);
    assert_int_equal(scene_run(&s, "verify shop --database cart --timeout 50ms"), 5);
    assert_int_equal(kube_server_requests(s.server, "POST "), 3);
    scene_refused(&s, "verify shop --database nix", 2, "has no database", "main, cart");
    scene_drop(&s);
}

/* The names that are made up are then always the same. */
static void same_always(void *ctx UNUSED, void *p, size_t n)
{
    memset(p, 0, n);
}

static void test_verify_tells_what_passed_and_what_did_not(void **state UNUSED)
{
    struct plugin_scene s;
    struct restorer good = {.name = "app-verify-bbbbb", .steps = {step_complete}};
    scene_fill(&s);

    s.env.random.fill = same_always;
    assert_int_equal(follow(&s, "verify app", &good), 0);
    assert_string_equal(s.out, "  Restored     All pages.\n"
                               "  Complete     Done.\n"
                               "main: passed: TXID 00000000000000f0 of 2026-11-21T11:44:59Z, "
                               "5.0MiB fetched, 3s\n");
    kube_server_delete(s.server, RESTORES "app-verify-bbbbb");
    struct restorer bad = {.name = "app-verify-bbbbb", .steps = {step_failed}};
    assert_int_equal(follow(&s, "verify app", &bad), 1);
    assert_non_null(strstr(s.out, "main: FAILED: NothingToRestore: There is no backup"));
    scene_drop(&s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_restore_says_where_to_and_refuses_what_cannot_be),
        TEST(test_restore_without_waiting_makes_what_was_asked_for),
        TEST(test_restore_dry_run_tells_and_keeps_nothing),
        TEST(test_restore_to_a_missing_claim_says_that_it_waits),
        TEST(test_restore_follows_its_conditions_to_the_end),
        TEST(test_restore_as_json_prints_its_last_state_once),
        TEST(test_restore_that_takes_too_long_goes_on_without_us),
        TEST(test_verify_tells_what_passed_and_what_did_not),
        TEST(test_verify_goes_through_every_database),
    };
    return TEST_MAIN(tests);
}
