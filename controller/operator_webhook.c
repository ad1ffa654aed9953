/*
 * Admission in the operator's process: what the webhook serves, what it asks, and its certificates.
 * Every replica serves; which one leads does not matter.
 */
#include <stdio.h>
#include <stdlib.h>

#include "controller/operator_internal.h"
#include "controller/webhook/authority.h"
#include "controller/webhook/files.h"
#include "controller/webhook_source.h"

enum {
    DNS_NAMES = 2,
    DNS_NAME_BYTES = 320,
    TARGETS = 2,
};

struct operator_webhook {
    struct operator_process *process;
    struct tls_identity *identity;
    struct webhook_source_state *source;
    struct webhook *webhook;
    struct authority *authority; /* certificates of our own, or ... */
    struct files *files;         /* ... somebody else's */
    char dns_space[DNS_NAMES][DNS_NAME_BYTES];
    const char *dns_names[DNS_NAMES];
    struct authority_target targets[TARGETS];
};

static void on_rotated(void *arg, const char *step)
{
    const struct operator_webhook *w = arg;
    const struct operator_options *opt = w->process->opt;
    const struct recorder_object object = {.resource = &kube_secrets,
                                           .namespace_name = opt->namespace_name,
                                           .name = opt->webhook.secret};

    LOG_INFO(opt->log, "certificate rotated", LOG_STR("step", step));
    recorder_event(w->process->recorder, &object, false, "CertificateRotated", "Rotate",
                   "The webhook serves a new certificate (%s).", step);
}

static int authority_begin(struct operator_webhook *w, struct error *err)
{
    static const char *const suffixes[DNS_NAMES] = {"svc", "svc.cluster.local"};
    const struct operator_options *opt = w->process->opt;

    for (size_t i = 0; i < DNS_NAMES; i++) {
        (void)snprintf(w->dns_space[i], sizeof(w->dns_space[i]), "%.63s.%.63s.%s",
                       opt->webhook.service, opt->namespace_name, suffixes[i]); /* fits */
        w->dns_names[i] = w->dns_space[i];
    }
    w->targets[0] = (struct authority_target){&kube_mutating_webhooks, opt->webhook.configuration};
    w->targets[1] =
        (struct authority_target){&kube_validating_webhooks, opt->webhook.configuration};
    const struct authority_config config = {.client = w->process->client,
                                            .identity = w->identity,
                                            .namespace_name = opt->namespace_name,
                                            .secret_name = opt->webhook.secret,
                                            .dns_names = w->dns_names,
                                            .name_count = DNS_NAMES,
                                            .targets = w->targets,
                                            .target_count = TARGETS,
                                            .log = opt->log,
                                            .on_rotated = on_rotated,
                                            .arg = w};

    return authority_start(opt->loop, &config, &w->authority, err);
}

static int files_begin(struct operator_webhook *w, struct error *err)
{
    const struct operator_options *opt = w->process->opt;
    const struct files_config config = {.cert_path = opt->webhook.cert_path,
                                        .key_path = opt->webhook.key_path,
                                        .identity = w->identity,
                                        .log = opt->log};

    return files_start(opt->loop, &config, &w->files, err);
}

static int webhook_begin(struct operator_webhook *w, struct error *err)
{
    const struct operator_options *opt = w->process->opt;

    const struct webhook_source_config source = {.client = w->process->client,
                                                 .loop = opt->loop,
                                                 .informers = w->process->informers,
                                                 .recorder = w->process->recorder,
                                                 .log = opt->log};
    if (tls_identity_new(&w->identity, err) < 0 || webhook_source_new(&source, &w->source, err) < 0)
        return -1;
    const struct webhook_config config = {
        .address = opt->address,
        .port = opt->webhook.port,
        .identity = w->identity,
        .inject = {.image = opt->sidecar_image,
                   .pull_policy = opt->webhook.pull_policy,
                   .version = walferry_version(),
                   .allow_host_path = opt->webhook.allow_host_path},
        .source = webhook_source_of(w->source),
        .log = opt->log,
    };
    if (webhook_new(opt->loop, &config, &w->webhook, err) < 0)
        return -1;
    LOG_INFO(opt->log, "webhook listening", LOG_U64("port", webhook_port(w->webhook)));
    return opt->webhook.cert_path ? files_begin(w, err) : authority_begin(w, err);
}

int operator_webhook_start(struct operator_process *p, struct error *err)
{
    if (!p->opt->webhook.is_enabled)
        return 0;
    if (!p->opt->sidecar_image)
        return error_set(err, ERR_USAGE, 0, "-sidecar-image is needed: what is to be injected?");
    p->webhook = mem_new(1, sizeof(*p->webhook), err);
    if (!p->webhook)
        return -1;
    p->webhook->process = p;
    return webhook_begin(p->webhook, err) < 0 ? error_wrap(err, "webhook") : 0;
}

void operator_webhook_stop(struct operator_process *p)
{
    struct operator_webhook *w = TAKE(p->webhook);

    if (!w)
        return;
    authority_free(w->authority);
    files_free(w->files);
    webhook_free(w->webhook);
    webhook_source_free(w->source);
    tls_identity_free(w->identity);
    free(w);
}

bool operator_webhook_is_ready(const struct operator_process *p)
{
    const struct operator_webhook *w = p->webhook;

    if (!w)
        return true;
    return w->authority ? authority_is_ready(w->authority) : tls_identity_get(w->identity) != NULL;
}

unsigned operator_webhook_pending(const struct operator_process *p)
{
    return p->webhook ? webhook_pending_count(p->webhook->webhook) : 0;
}

void operator_webhook_metrics(const struct operator_process *p, struct metrics_writer *w)
{
    if (p->webhook)
        webhook_metrics_write(p->webhook->webhook, w);
}
