/*
 * walferry-controller run: flags and environment become struct operator_options.
 *
 * A flag wins over its variable; the table in `detail` names both.
 */
#include "controller/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller/operator.h"
#include "controller/replica/replica.h"

enum {
    WORKERS = 2, /* what blocks is little: files of certificates and tokens */
    IDENTITY_BYTES = 256,
};

static const char lease_name_default[] = "walferry-controller";

struct run_args {
    const char *kubeconfig, *context;
    const char *namespaces;
    const char *lease_name, *lease_namespace;
    const char *address;
    const char *sidecar_image;
    const char *log_level, *log_format;
    const char *pull_policy;
    const char *webhook_service, *webhook_secret, *webhook_configuration;
    const char *webhook_cert, *webhook_key;
    uint64_t port;
    uint64_t webhook_port;
    uint64_t qps, burst;
    uint64_t status_interval_ns;
    bool elects;
    bool is_webhook_off;
    bool allow_host_path;
};

static const char webhook_default[] = "walferry";
static const char webhook_secret_default[] = "walferry-webhook";

static const struct run_args defaults = {.port = 8080,
                                         .webhook_port = 9443,
                                         .webhook_service = webhook_default,
                                         .webhook_secret = webhook_secret_default,
                                         .webhook_configuration = webhook_default,
                                         .elects = true};

#define AT(member) offsetof(struct run_args, member)

static const struct flag flags[] = {
    {"kubeconfig", FLAG_TEXT, AT(kubeconfig), "PATH",
     "Kubeconfig; in a pod the pod's own account is used without it", NULL},
    {"context", FLAG_TEXT, AT(context), "NAME", "Context of the kubeconfig", "its current one"},
    {"namespaces", FLAG_TEXT, AT(namespaces), "A,B,...", "Namespaces to work in", "all"},
    {"leader-elect", FLAG_SWITCH, AT(elects), NULL,
     "Work only while holding a lease, so that several replicas may run", "true"},
    {"lease-name", FLAG_TEXT, AT(lease_name), "NAME", "Name of the lease", lease_name_default},
    {"lease-namespace", FLAG_TEXT, AT(lease_namespace), "NAME", "Namespace of the lease",
     "our own"},
    {"metrics-address", FLAG_TEXT, AT(address), "IP", "Where /healthz, /readyz and /metrics listen",
     "every address"},
    {"metrics-port", FLAG_NUMBER, AT(port), "PORT", "Port of the same; 0: any free one", "8080"},
    {"sidecar-image", FLAG_TEXT, AT(sidecar_image), "IMAGE", "Image of sidecars and Jobs", NULL},
    {"sidecar-pull-policy", FLAG_TEXT, AT(pull_policy), "POLICY", "imagePullPolicy of sidecars",
     "Kubernetes decides"},
    {"allow-host-path", FLAG_SWITCH, AT(allow_host_path), NULL,
     "Inject pods whose database lies on a hostPath volume", NULL},
    {"no-webhook", FLAG_SWITCH, AT(is_webhook_off), NULL, "Serve no admission", NULL},
    {"webhook-port", FLAG_NUMBER, AT(webhook_port), "PORT", "Port of the webhook; 0: any free one",
     "9443"},
    {"webhook-service", FLAG_TEXT, AT(webhook_service), "NAME",
     "Service in front of it: its certificate's name", webhook_default},
    {"webhook-secret", FLAG_TEXT, AT(webhook_secret), "NAME", "Secret that holds its certificates",
     webhook_secret_default},
    {"webhook-cert", FLAG_TEXT, AT(webhook_cert), "PATH",
     "PEM file of a certificate that somebody else renews", "one of our own"},
    {"webhook-key", FLAG_TEXT, AT(webhook_key), "PATH", "PEM file of its key", NULL},
    {"webhook-configuration", FLAG_TEXT, AT(webhook_configuration), "NAME",
     "Webhook configurations that are told whom to trust", webhook_default},
    {"kube-api-qps", FLAG_NUMBER, AT(qps), "N", "Requests a second to the Kubernetes API", "50"},
    {"kube-api-burst", FLAG_NUMBER, AT(burst), "N", "Requests at once", "100"},
    {"status-interval", FLAG_DURATION, AT(status_interval_ns), "D",
     "Between two looks at the sidecars of a resource, hence how old its status may be", "15s"},
    {"log-level", FLAG_TEXT, AT(log_level), "LEVEL", "trace, debug, info, warn or error", "info"},
    {"log-format", FLAG_TEXT, AT(log_format), "FORMAT", "text or json", "json"},
};

static const char detail[] =
    "Environment, where a flag is not given:\n"
    "  KUBECONFIG               -kubeconfig (a list of files)\n"
    "  WATCH_NAMESPACES         -namespaces\n"
    "  WALFERRY_SIDECAR_IMAGE   -sidecar-image\n"
    "  LOG_LEVEL, LOG_FORMAT    -log-level, -log-format\n"
    "  POD_NAME, POD_NAMESPACE  who we are: holder of the lease, source of events\n"
    "\n"
    "SIGTERM: /readyz says no, what is under way is finished, the lease is given\n"
    "back, and the process ends within ten seconds. A leader that loses its lease\n"
    "ends with status 1.\n";

/* The flag's value, or the variable's; NULL if neither says something. */
static const char *flag_or(const char *flag, const char *variable)
{
    const char *value = flag ? flag : getenv(variable);

    return value && *value ? value : NULL;
}

static int log_prepare(const struct run_args *a, struct log *log, struct error *err)
{
    const char *level = flag_or(a->log_level, "LOG_LEVEL");
    const char *format = flag_or(a->log_format, "LOG_FORMAT");

    log->fd = STDERR_FILENO;
    log->level = LOG_LEVEL_INFO;
    log->format = LOG_FORMAT_JSON;
    if ((level && log_level_parse(level, &log->level, err) < 0) ||
        (format && log_format_parse(format, &log->format, err) < 0))
        return -1;
    return 0;
}

/* ---- namespaces ---- */

struct namespaces {
    char *text; /* "a\0b\0" */
    const char *names[INFORMER_NAMESPACES_MAX];
    size_t count;
};

static void namespaces_destroy(struct namespaces *n)
{
    free(n->text);
}

static int namespaces_parse(const char *list, struct namespaces *out, struct error *err)
{
    char *rest;

    if (!list)
        return 0;
    out->text = str_dup(list, err);
    if (!out->text)
        return -1;
    rest = out->text;
    for (char *name = strsep(&rest, ","); name; name = strsep(&rest, ",")) {
        if (!*name)
            continue;
        if (!kube_name_is_valid(name) || strlen(name) > 63)
            return error_set(err, ERR_USAGE, 0, "\"%.80s\" cannot be a namespace", name);
        if (out->count == INFORMER_NAMESPACES_MAX) {
            (void)error_set(err, ERR_LIMIT, 0, "more than %d namespaces", INFORMER_NAMESPACES_MAX);
            return error_hint(err, "leave -namespaces out to work in all");
        }
        out->names[out->count++] = name;
    }
    return 0;
}

/* ---- who we are ---- */

/* "pod_8f2c01ab": unique also when a host starts two of us, or one again. */
static int identity_make(const struct env *env, char out[static IDENTITY_BYTES], struct error *err)
{
    char host[128] = "";
    const char *name = flag_or(NULL, "POD_NAME");

    if (!name && gethostname(host, sizeof(host) - 1) < 0)
        return error_set(err, ERR_USAGE, 0, "the host has no name; set POD_NAME");
    (void)snprintf(out, IDENTITY_BYTES, "%.200s_%08" PRIx64, name ? name : host,
                   env_random_below(env, UINT64_C(1) << 32));
    return 0;
}

static int check(const struct run_args *a, struct error *err)
{
    if (a->port > 65535)
        return error_set(err, ERR_USAGE, 0, "-metrics-port %" PRIu64 " is no port", a->port);
    if (a->webhook_port > 65535) {
        return error_set(err, ERR_USAGE, 0, "-webhook-port %" PRIu64 " is no port",
                         a->webhook_port);
    }
    if (!a->webhook_cert != !a->webhook_key)
        return error_set(err, ERR_USAGE, 0, "-webhook-cert and -webhook-key go together");
    if (a->qps > 100000 || a->burst > 100000)
        return error_set(err, ERR_USAGE, 0, "-kube-api-qps and -kube-api-burst: up to 100000");
    if (a->status_interval_ns != 0 &&
        (a->status_interval_ns < NS_PER_SEC || a->status_interval_ns > NS_PER_HOUR))
        return error_set(err, ERR_USAGE, 0, "-status-interval: from 1s to 1h");
    return 0;
}

static const struct reconciler *const reconcilers[] = {&reconciler_replica, &reconciler_bucket,
                                                       &reconciler_restore, NULL};

static int run_with(const struct invocation *inv, const struct log *log, struct loop *loop,
                    const struct kube_config *kube, struct error *err)
{
    const struct run_args *a = inv->args;
    CLEANUP(namespaces_destroy) struct namespaces namespaces = {.text = NULL};
    char identity[IDENTITY_BYTES];
    const char *own = flag_or(NULL, "POD_NAMESPACE");
    int status = 0;

    if (namespaces_parse(flag_or(a->namespaces, "WATCH_NAMESPACES"), &namespaces, err) < 0 ||
        identity_make(inv->env, identity, err) < 0)
        return -1;
    own = own ? own : kube->namespace_name;
    const struct operator_options options = {
        .loop = loop,
        .log = log,
        .kube = kube,
        .rate_per_s = (double)a->qps,
        .burst = (double)a->burst,
        .interval_ns = a->status_interval_ns,
        .namespaces = namespaces.names,
        .namespace_count = namespaces.count,
        .namespace_name = own,
        .identity = identity,
        .elects = a->elects,
        .lease_name = a->lease_name ? a->lease_name : lease_name_default,
        .lease_namespace = a->lease_namespace ? a->lease_namespace : own,
        .address = a->address,
        .port = (unsigned)a->port,
        .sidecar_image = flag_or(a->sidecar_image, "WALFERRY_SIDECAR_IMAGE"),
        .webhook = {.is_enabled = !a->is_webhook_off,
                    .port = (unsigned)a->webhook_port,
                    .service = a->webhook_service,
                    .secret = a->webhook_secret,
                    .cert_path = a->webhook_cert,
                    .key_path = a->webhook_key,
                    .configuration = a->webhook_configuration,
                    .pull_policy = a->pull_policy,
                    .allow_host_path = a->allow_host_path},
        .reconcilers = reconcilers,
    };
    LOG_INFO(log, "walferry-controller", LOG_STR("version", walferry_version()),
             LOG_STR("commit", walferry_commit()), LOG_STR("api_server", kube->server),
             LOG_STR("configuration", kube->source), LOG_STR("identity", identity));
    return operator_run(&options, &status, err) < 0 ? -1 : status;
}

static int run(const struct invocation *inv, struct error *err)
{
    const struct run_args *a = inv->args;
    CLEANUP(kube_config_destroy) struct kube_config kube = KUBE_CONFIG_INIT;
    struct log log = {.env = inv->env};
    struct loop *loop;

    if (check(a, err) < 0 || log_prepare(a, &log, err) < 0 ||
        kube_config_load(
            inv->env,
            &(struct kube_config_request){.kubeconfig = a->kubeconfig, .context = a->context},
            &kube, err) < 0 ||
        loop_new(inv->env, WORKERS, &loop, err) < 0)
        return -1;
    int rc = run_with(inv, &log, loop, &kube, err);
    loop_free(loop);
    return rc;
}

const struct command command_run = {
    .name = "run",
    .summary = "Run the operator",
    .usage = "walferry-controller run [flags]",
    .example = "  walferry-controller run -kubeconfig ~/.kube/config -log-format text\n"
               "  walferry-controller run -namespaces shop,blog",
    .detail = detail,
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct run_args),
    .defaults = &defaults,
    .run = run,
};
