/*
 * One GET each. An object that is not there is an answer: it asks for nothing.
 */
#include "controller/webhook_lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/inject/inject.h"

struct webhook_lookup {
    struct webhook_lookup *next;
    struct webhook_lookups *of;
    struct kube_request *request;
    const char *kind;                 /* of a workload, one of the table's */
    webhook_workload_fn *on_workload; /* one of these two, */
    webhook_namespace_fn *on_namespace;
    void *arg; /* for it */
};

static void workload_tell(const struct webhook_lookup *l, struct jsonval object,
                          const struct error *err)
{
    bool is_there = err->code == ERR_NONE && l->kind;

    l->on_workload(l->arg, is_there ? inject_replica_name(object, l->kind) : NULL, err);
}

static const char *annotation_of(struct jsonval object, const char *key)
{
    struct error ignored = ERROR_INIT; /* no text is no wish */
    const char *text = "";
    struct jsonval annotations = jsonval_way(object, "metadata.annotations");

    return jsonval_str_or(jsonval_get(annotations, key), "", &text, &ignored) == 0 ? text : "";
}

static void namespace_tell(const struct webhook_lookup *l, struct jsonval object,
                           const struct error *err)
{
    struct webhook_namespace wish = {.only_warns = false};

    if (err->code == ERR_NONE) {
        wish.only_warns = strcmp(annotation_of(object, API_ANNOTATION_ENFORCEMENT), "Warn") == 0;
        (void)snprintf(wish.default_replica, sizeof(wish.default_replica), "%s",
                       annotation_of(object, API_ANNOTATION_DEFAULT)); /* longer is no name */
    }
    l->on_namespace(l->arg, &wish, err);
}

static void tell(const struct webhook_lookup *l, struct jsonval object, const struct error *err)
{
    if (l->on_workload)
        workload_tell(l, object, err);
    else
        namespace_tell(l, object, err);
}

static void on_answer(void *arg, const struct kube_answer *answer)
{
    struct webhook_lookup *l = arg;
    struct webhook_lookup **at = &l->of->first;
    struct error err = *answer->err;

    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    if (err.code == ERR_NOT_FOUND)
        error_clear(&err);
    tell(l, answer->object, &err);
    free(l);
}

static int begin(const struct webhook_lookup *what, const struct kube_resource *resource,
                 const char *namespace_name, const char *name, struct error *err)
{
    struct webhook_lookup *l = mem_new(1, sizeof(*l), err);
    const struct kube_call call = {.verb = KUBE_GET,
                                   .resource = resource,
                                   .namespace_name = namespace_name,
                                   .name = name,
                                   .is_urgent = true,
                                   .deadline_ns = 3 * NS_PER_SEC};

    if (!l)
        return -1;
    *l = *what;
    if (kube_start(l->of->client, &call, on_answer, l, &l->request, err) < 0) {
        free(l);
        return -1;
    }
    l->next = l->of->first;
    l->of->first = l;
    return 0;
}

void webhook_lookup_workload(struct webhook_lookups *l, const char *namespace_name,
                             const char *kind, const char *name, webhook_workload_fn *done,
                             void *arg)
{
    const struct kube_resource *resource = workload_resource(kind);
    const struct webhook_lookup what = {
        .of = l, .kind = resource ? resource->kind : NULL, .on_workload = done, .arg = arg};
    struct error err = ERROR_INIT;

    if (!resource || begin(&what, resource, namespace_name, name, &err) < 0)
        done(arg, NULL, &err);
}

void webhook_lookup_namespace(struct webhook_lookups *l, const char *namespace_name,
                              webhook_namespace_fn *done, void *arg)
{
    const struct webhook_lookup what = {.of = l, .on_namespace = done, .arg = arg};
    const struct webhook_namespace nothing = {.only_warns = false};
    struct error err = ERROR_INIT;

    if (begin(&what, &kube_namespaces, NULL, namespace_name, &err) < 0)
        done(arg, &nothing, &err);
}

void webhook_lookups_cancel(struct webhook_lookups *l)
{
    struct error canceled = ERROR_INIT;
    const struct jsonval nothing = {0};

    (void)error_set(&canceled, ERR_CANCELED, 0, "the webhook ends");
    while (l->first) {
        struct webhook_lookup *first = l->first;
        l->first = first->next;
        kube_cancel(first->request);
        tell(first, nothing, &canceled);
        free(first);
    }
}
