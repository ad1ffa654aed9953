/*
 * The operator: its Deployment, found by the chart's labels, and who leads.
 */
#include <stdio.h>
#include <string.h>

#include "controller/plugin/check_internal.h"
#include "controller/plugin/facts.h"

#define OPERATOR_SELECTOR "app.kubernetes.io/name=walferry,app.kubernetes.io/component=controller"

struct search {
    struct check *check;
    unsigned count;
};

static void put(char *out, size_t bytes, const char *text)
{
    (void)snprintf(out, bytes, "%s", text); /* names of namespaces and Deployments fit */
}

static int deployment_tell(void *arg, struct jsonval o, struct error *err UNUSED)
{
    struct search *s = arg;
    struct check *c = s->check;
    unsigned wanted = (unsigned)fact_u64(o, "spec.replicas");
    unsigned ready = (unsigned)fact_u64(o, "status.readyReplicas");
    struct jsonval labels = jsonval_way(o, "metadata.labels");
    struct error ignored = ERROR_INIT; /* no label, no version */
    const char *version = "";

    IGNORE(jsonval_str_or(jsonval_get(labels, "app.kubernetes.io/version"), "", &version,
                          &ignored)); /* as above */
    put(c->operator_namespace, sizeof(c->operator_namespace), fact_text(o, "metadata.namespace"));
    put(c->operator_name, sizeof(c->operator_name), fact_text(o, "metadata.name"));
    s->count++;
    check_tell(
        c,
        ready == 0       ? CHECK_FAIL
        : ready < wanted ? CHECK_WARN
                         : CHECK_OK,
        "operator",
        ready < wanted ? "kubectl describe pods -l app.kubernetes.io/name=walferry -A" : NULL,
        "deployment %s/%s: %u of %u ready", c->operator_namespace, c->operator_name, ready, wanted);
    if (*version && strcmp(version, walferry_version()) != 0) {
        check_tell(c, CHECK_WARN, "version", "use the plug-in of the operator's version",
                   "the operator is %s, this plug-in %s", version, walferry_version());
    }
    return 0;
}

static int leader_check(struct check *c)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;
    const struct kube_call call = {.verb = KUBE_GET,
                                   .resource = &kube_leases,
                                   .namespace_name = c->operator_namespace,
                                   .name = c->operator_name};
    struct error cause = ERROR_INIT;
    char text[FACT_TEXT_BYTES];

    if (session_call(c->session, &call, &doc, NULL, &cause) < 0) {
        if (cause.code == ERR_NOT_FOUND) {
            check_tell(c, CHECK_FAIL, "leader",
                       "its log tells why: kubectl logs deployment/walferry",
                       "no lease %s/%s: nobody leads", c->operator_namespace, c->operator_name);
        } else
            check_tell_unseen(c, "leader", &cause);
        return 0;
    }
    struct jsonval o = jsonval_root(&doc);
    const char *holder = fact_text(o, "spec.holderIdentity");
    uint64_t now = env_wall_ns(c->session->env);
    uint64_t renewed = fact_time_ns(o, "spec.renewTime");
    uint64_t term = fact_u64(o, "spec.leaseDurationSeconds") * NS_PER_SEC;
    const char *age = age_since(now, renewed, text);
    if (!*holder) {
        check_tell(c, CHECK_FAIL, "leader", "wait until a pod of the operator is ready",
                   "nobody holds lease %s/%s", c->operator_namespace, c->operator_name);
    } else if (now > renewed + 2 * term) {
        check_tell(c, CHECK_FAIL, "leader", "is the operator running, and are the clocks right?",
                   "%s has not renewed its lease for %s", holder, age);
    } else
        check_tell(c, CHECK_OK, "leader", NULL, "%s, renewed %s ago", holder, age);
    return 0;
}

int check_operator(struct check *c, struct error *err)
{
    struct search s = {.check = c};
    struct error cause = ERROR_INIT;

    if (session_each(c->session, &kube_deployments, NULL, OPERATOR_SELECTOR, deployment_tell, &s,
                     &cause) < 0) {
        if (cause.code == ERR_NO_MEMORY) {
            *err = cause;
            return -1;
        }
        check_tell_unseen(c, "operator", &cause);
        return 0;
    }
    if (s.count > 0)
        return leader_check(c);
    check_tell(c, CHECK_FAIL, "operator", "helm install walferry charts/walferry -n walferry",
               "no Deployment has the labels %s", OPERATOR_SELECTOR);
    return 0;
}
