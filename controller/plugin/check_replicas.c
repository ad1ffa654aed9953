/*
 * What the operator says of buckets and replicas: a finding for each that is not well, and one for
 * all that are.
 */
#include <string.h>

#include "controller/plugin/check_internal.h"
#include "controller/plugin/facts.h"

struct tally {
    struct check *check;
    unsigned seen, good;
};

static int bucket_tell(void *arg, struct jsonval o, struct error *err UNUSED)
{
    struct tally *t = arg;
    struct fact_condition c = fact_condition(o, "Available");

    t->seen++;
    if (strcmp(c.status, "True") == 0) {
        t->good++;
        return 0;
    }
    check_tell(t->check, strcmp(c.status, "False") == 0 ? CHECK_FAIL : CHECK_WARN, "bucket",
               *c.status ? NULL : "the operator has not probed it: is one running?",
               "%s/%s: %s: %s", fact_text(o, "metadata.namespace"), fact_text(o, "metadata.name"),
               *c.reason ? c.reason : "NotProbed", c.message);
    return 0;
}

/* Conditions of a replica that are a failure when False, and those that are a warning. */
static const struct {
    const char *type;
    enum check_level level;
} conditions[] = {
    {"DestinationAvailable", CHECK_FAIL},
    {"SingleWriter", CHECK_FAIL},
    {"Replicating", CHECK_FAIL},
    {"RestoreVerified", CHECK_WARN},
    {"Injected", CHECK_WARN},
    {"RetentionEnforced", CHECK_WARN},
    {"WithinLagObjective", CHECK_WARN},
};

/* A pause, a workload scaled to zero, and a beginning are nobody's fault. */
static bool is_harmless(const char *reason)
{
    return strcmp(reason, "Suspended") == 0 || strcmp(reason, "NotStarted") == 0 ||
           strcmp(reason, "NoMatchingPods") == 0 || strcmp(reason, "NeverRun") == 0;
}

static int replica_tell(void *arg, struct jsonval o, struct error *err UNUSED)
{
    struct tally *t = arg;
    const char *namespace_name = fact_text(o, "metadata.namespace");
    const char *name = fact_text(o, "metadata.name");
    bool is_good = true;

    t->seen++;
    for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
        struct fact_condition c = fact_condition(o, conditions[i].type);
        if (strcmp(c.status, "False") != 0)
            continue;
        is_good = false;
        check_tell(t->check, is_harmless(c.reason) ? CHECK_WARN : conditions[i].level, "replica",
                   NULL, "%s/%s: %s: %s: %s", namespace_name, name, conditions[i].type, c.reason,
                   c.message);
    }
    if (is_good && !*fact_condition(o, "Ready").status) {
        is_good = false;
        check_tell(t->check, CHECK_WARN, "replica", "is the operator running?",
                   "%s/%s: the operator has not looked at it", namespace_name, name);
    }
    t->good += is_good;
    return 0;
}

static void each(struct check *c, const struct kube_resource *resource, const char *what,
                 session_item_fn *fn)
{
    struct tally t = {.check = c};
    struct error cause = ERROR_INIT;

    if (session_each(c->session, resource, c->session->namespace_name, NULL, fn, &t, &cause) < 0)
        check_tell_unseen(c, what, &cause);
    else if (t.good > 0 || t.seen == 0) {
        check_tell(c, CHECK_OK, what, NULL, "%u of %u are well%s%s", t.good, t.seen,
                   c->session->namespace_name ? " in namespace " : "",
                   c->session->namespace_name ? c->session->namespace_name : "");
    }
}

int check_replicas(struct check *c, struct error *err UNUSED)
{
    each(c, &kube_sqlite_buckets, "buckets", bucket_tell);
    each(c, &kube_sqlite_replicas, "replicas", replica_tell);
    return 0;
}
