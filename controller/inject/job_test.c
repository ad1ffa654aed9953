/*
 * Jobs of ours are restricted, carry what the destination needs, and belong to their resource. That
 * the API server takes them is shown on a real one (e2e/control-plane).
 */
#include "controller/inject/job.h"

#include <string.h>

#include "lib/testing/test.h"

static char text_ns[] = "shop", text_name[] = "app", text_bucket[] = "backups",
            text_secret[] = "s3-keys", text_primary[] = "primary", text_memory[] = "192Mi",
            text_template[] = API_PREFIX_TEMPLATE;

struct scene {
    struct api_destination destination;
    struct api_replica replica;
    struct inject_options options;
    struct inject_job job;
};

static void scene_make(struct scene *s)
{
    *s = (struct scene){0};
    s->destination.name = text_primary;
    s->destination.prefix_template = text_template;
    s->destination.store.kind = API_STORE_S3;
    s->destination.store.bucket = text_bucket;
    s->destination.store.credentials_secret = text_secret;
    s->replica.meta.namespace_name = text_ns;
    s->replica.meta.name = text_name;
    s->replica.destinations = &s->destination;
    s->replica.destination_count = 1;
    s->replica.sidecar.restore_resources.memory_limit = text_memory;
    s->options.image = "walferry:1";
    s->job = (struct inject_job){.name = "walferry-verify-app",
                                 .purpose = "verify",
                                 .owner_kind = "SqliteReplica",
                                 .owner_name = "app",
                                 .owner_uid = "u-1",
                                 .replica = &s->replica,
                                 .options = &s->options,
                                 .config_map = "walferry-app",
                                 .args = {"verify", "-drill"},
                                 .arg_count = 2,
                                 .deadline_seconds = 3600,
                                 .ttl_seconds = 60};
}

static void written(const struct scene *s, struct jsonval_doc *doc)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(INJECT_JOB_BYTES_MAX);
    struct error err = ERROR_INIT;

    assert_ok(inject_job(&s->job, &body, &err), &err);
    assert_ok(jsonval_parse(doc, "job", buf_slice(&body), &err), &err);
}

static void text_is(struct jsonval v, const char *wanted)
{
    struct error err = ERROR_INIT;
    const char *found = NULL;

    assert_ok(jsonval_str(v, &found, &err), &err);
    assert_string_equal(found, wanted);
}

static struct jsonval container_of(const struct jsonval_doc *doc)
{
    return jsonval_first(jsonval_way(jsonval_root(doc), "spec.template.spec.containers"));
}

static void test_a_job_runs_restricted_and_without_a_token(void **state UNUSED)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct error err = ERROR_INIT;
    struct scene s;
    bool flag = true;

    scene_make(&s);
    written(&s, &doc);
    struct jsonval pod = jsonval_way(jsonval_root(&doc), "spec.template.spec");
    struct jsonval security = jsonval_get(container_of(&doc), "securityContext");
    assert_ok(jsonval_bool(jsonval_get(pod, "automountServiceAccountToken"), &flag, &err), &err);
    assert_false(flag);
    assert_ok(jsonval_bool(jsonval_get(security, "allowPrivilegeEscalation"), &flag, &err), &err);
    assert_false(flag);
    assert_ok(jsonval_bool(jsonval_way(pod, "securityContext.runAsNonRoot"), &flag, &err), &err);
    assert_true(flag);
    text_is(jsonval_way(pod, "securityContext.seccompProfile.type"), "RuntimeDefault");
    text_is(jsonval_first(jsonval_way(security, "capabilities.drop")), "ALL");
}

static void test_a_job_mounts_the_credentials_of_its_destination(void **state UNUSED)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    struct scene s;

    scene_make(&s);
    written(&s, &doc);
    struct jsonval volumes = jsonval_way(jsonval_root(&doc), "spec.template.spec.volumes");
    struct jsonval mounts = jsonval_get(container_of(&doc), "volumeMounts");
    struct jsonval volume = jsonval_next(jsonval_next(jsonval_first(volumes)));
    struct jsonval mount = jsonval_next(jsonval_next(jsonval_first(mounts)));
    text_is(jsonval_way(volume, "secret.secretName"), "s3-keys");
    text_is(jsonval_get(mount, "mountPath"), API_CREDENTIAL_FOLDER "/primary");
    text_is(jsonval_get(mount, "name"), "walferry-credentials-0");
    text_is(jsonval_get(volume, "name"), "walferry-credentials-0");
}

static void test_a_job_works_in_its_claim_or_else_in_an_empty_folder(void **state UNUSED)
{
    struct scene s;

    scene_make(&s);
    for (int has_claim = 0; has_claim <= 1; has_claim++) {
        CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
        s.job.claim = has_claim ? "restored" : NULL;
        written(&s, &doc);
        struct jsonval work = jsonval_next(
            jsonval_first(jsonval_way(jsonval_root(&doc), "spec.template.spec.volumes")));
        assert_int_equal(jsonval_exists(jsonval_get(work, "emptyDir")), !has_claim);
        if (has_claim)
            text_is(jsonval_way(work, "persistentVolumeClaim.claimName"), "restored");
    }
}

static void test_a_cron_job_hands_schedule_and_zone_to_kubernetes(void **state UNUSED)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(INJECT_JOB_BYTES_MAX);
    struct error err = ERROR_INIT;
    struct scene s;

    scene_make(&s);
    assert_ok(inject_cron_job(&s.job, "0 3 * * *", "Europe/Berlin", false, &body, &err), &err);
    assert_ok(jsonval_parse(&doc, "cron job", buf_slice(&body), &err), &err);
    struct jsonval spec = jsonval_get(jsonval_root(&doc), "spec");
    text_is(jsonval_get(spec, "schedule"), "0 3 * * *");
    text_is(jsonval_get(spec, "timeZone"), "Europe/Berlin");
    text_is(jsonval_get(spec, "concurrencyPolicy"), "Forbid");
    assert_true(jsonval_exists(jsonval_way(spec, "jobTemplate.spec.template.spec.containers")));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_a_job_runs_restricted_and_without_a_token),
        TEST(test_a_job_mounts_the_credentials_of_its_destination),
        TEST(test_a_job_works_in_its_claim_or_else_in_an_empty_folder),
        TEST(test_a_cron_job_hands_schedule_and_zone_to_kubernetes),
    };
    return TEST_MAIN(tests);
}
