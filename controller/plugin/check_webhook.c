/*
 * The webhook, from the API server's side:
 *
 *   1. its configuration, found by the chart's labels; each webhook needs an authority (caBundle)
 *   2. how long that authority is valid
 *   3. whether it answers: the dry run of a pod that asks for a SqliteReplica that does not exist
 *      must be denied by the webhook. So the API server has found the Service, trusts its
 *      certificate, and the operator has looked
 *   4. how long the certificate is valid that is served: by the operator's metric
 */
#include <stdlib.h>
#include <string.h>

#include "controller/api/api.h"
#include "controller/plugin/check_internal.h"
#include "controller/plugin/facts.h"
#include "lib/tls/keypair.h"

#define WEBHOOK_SELECTOR "app.kubernetes.io/name=walferry"
#define PROBE_NAME       "kubectl-walferry-check"
#define EXPIRY_METRIC    "walferry_operator_certificate_expiry_timestamp_seconds"

enum {
    METRICS_BYTES_MAX = 4 << 20,
    BUNDLE_BYTES_MAX = 1 << 20,
};

static const uint64_t expiry_warn_ns = 14 * NS_PER_DAY;

static void expiry_tell(struct check *c, const char *what, uint64_t until_ns)
{
    char text[FACT_TEXT_BYTES];
    uint64_t now = env_wall_ns(c->session->env);
    const char *hint = "the operator renews its own at two thirds of its life: its log tells why "
                       "it has not; cert-manager and Secrets are renewed by their owner";

    if (until_ns <= now)
        check_tell(c, CHECK_FAIL, what, hint, "expired %s ago", age_since(now, until_ns, text));
    else {
        check_tell(c, until_ns - now < expiry_warn_ns ? CHECK_WARN : CHECK_OK, what,
                   until_ns - now < expiry_warn_ns ? hint : NULL, "valid for another %s",
                   age_format(until_ns - now, text));
    }
}

/* ---- 1, 2: the configuration ---- */

struct search {
    struct check *check;
    unsigned count;
};

static void authority_tell(struct check *c, const char *base64)
{
    CLEANUP(buf_destroy) struct buf pem = BUF_INIT(BUNDLE_BYTES_MAX);
    struct error cause = ERROR_INIT;
    uint64_t until_ns = 0;

    if (base64_decode(slice_of_str(base64), &pem, &cause) < 0 ||
        tls_bundle_expiry(buf_slice(&pem), &until_ns, &cause) < 0)
        check_tell(c, CHECK_FAIL, "webhook authority", NULL, "%s", cause.text);
    else
        expiry_tell(c, "webhook authority", until_ns);
}

static int configuration_tell(void *arg, struct jsonval o, struct error *err UNUSED)
{
    struct search *s = arg;
    struct jsonval all = jsonval_get(o, "webhooks");
    const char *name = fact_text(o, "metadata.name");
    const char *bundle = "";
    const char *policy = "";

    s->count++;
    for (struct jsonval w = jsonval_first(all); jsonval_exists(w); w = jsonval_next(w)) {
        bundle = fact_text(w, "clientConfig.caBundle");
        policy = fact_text(w, "failurePolicy");
        if (*bundle)
            continue;
        check_tell(s->check, CHECK_FAIL, "webhook",
                   "the operator, or cert-manager, writes it as soon as it is ready",
                   "%s of %s has no caBundle: the API server trusts nobody there",
                   fact_text(w, "name"), name);
        return 0;
    }
    check_tell(s->check, CHECK_OK, "webhook", NULL, "mutatingwebhookconfiguration %s, %s", name,
               policy);
    authority_tell(s->check, bundle);
    return 0;
}

/* ---- 3: an answer ---- */

static const char probe_pod[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"" PROBE_NAME
    "\",\"labels\":{\"" API_LABEL_REPLICA "\":\"" PROBE_NAME
    "\"}},\"spec\":{\"automountServiceAccountToken\":false,\"securityContext\":{\"runAsNonRoot\":"
    "true,\"runAsUser\":65532,\"seccompProfile\":{\"type\":\"RuntimeDefault\"}},\"containers\":[{"
    "\"name\":\"probe\",\"image\":\"probe\",\"securityContext\":{\"allowPrivilegeEscalation\":"
    "false,\"capabilities\":{\"drop\":[\"ALL\"]}}}]}}";

static void answer_check(struct check *c)
{
    const char *namespace_name = session_namespace(c->session);
    const struct kube_call call = {.verb = KUBE_CREATE,
                                   .resource = &kube_pods,
                                   .namespace_name = namespace_name,
                                   .name = PROBE_NAME,
                                   .body = SLICE_LIT(probe_pod),
                                   .field_manager = SESSION_MANAGER,
                                   .is_dry_run = true};
    struct error cause = ERROR_INIT;

    if (session_call(c->session, &call, NULL, NULL, &cause) == 0) {
        check_tell(c, CHECK_FAIL, "webhook answer",
                   "look at the namespaceSelector of the webhook configuration",
                   "a pod with the label is admitted in namespace %s without being looked at",
                   namespace_name);
    } else if (strstr(cause.text, "no SqliteReplica")) {
        check_tell(c, CHECK_OK, "webhook answer", NULL,
                   "pods with the label are looked at in namespace %s", namespace_name);
    } else if (strstr(cause.text, "failed calling webhook")) {
        check_tell(c, CHECK_FAIL, "webhook answer",
                   "can the API server reach the operator's Service, and is it ready? A firewall "
                   "or NetworkPolicy between them is the usual cause",
                   "%s", cause.text);
    } else
        check_tell_unseen(c, "webhook answer", &cause);
}

/* ---- 4: the certificate ---- */

/* The value of the metric in the text of a scrape; 0: it is not there. */
static double metric_read(const char *text)
{
    const char *at = text;

    while ((at = strstr(at, EXPIRY_METRIC))) {
        bool is_line = at == text || at[-1] == '\n';
        at += strlen(EXPIRY_METRIC);
        if (is_line && *at == ' ')
            return strtod(at, NULL);
    }
    return 0;
}

static int certificate_check(struct check *c, struct error *err)
{
    CLEANUP(buf_destroy) struct buf path = BUF_INIT(KUBE_PATH_BYTES_MAX);
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(METRICS_BYTES_MAX);
    struct error cause = ERROR_INIT;

    if (!*c->operator_name)
        return 0;
    if (buf_printf(&path, err, "/api/v1/namespaces/%s/services/%s:metrics/proxy/metrics",
                   c->operator_namespace, c->operator_name) < 0)
        return -1;
    if (session_text(c->session, buf_str(&path), &text, &cause) < 0) {
        check_tell_unseen(c, "webhook certificate", &cause);
        return 0;
    }
    double seconds = metric_read(buf_str(&text));
    if (seconds > 0)
        expiry_tell(c, "webhook certificate", (uint64_t)seconds * NS_PER_SEC);
    else {
        check_tell(c, CHECK_WARN, "webhook certificate", NULL,
                   "not told by the operator's metrics");
    }
    return 0;
}

int check_webhook(struct check *c, struct error *err)
{
    struct search s = {.check = c};
    struct error cause = ERROR_INIT;

    if (session_each(c->session, &kube_mutating_webhooks, NULL, WEBHOOK_SELECTOR,
                     configuration_tell, &s, &cause) < 0)
        check_tell_unseen(c, "webhook", &cause);
    else if (s.count == 0) {
        check_tell(c, CHECK_FAIL, "webhook", "helm install walferry charts/walferry -n walferry",
                   "no MutatingWebhookConfiguration has the label %s", WEBHOOK_SELECTOR);
    }
    answer_check(c);
    return certificate_check(c, err);
}
