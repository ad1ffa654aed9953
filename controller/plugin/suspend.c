/*
 * kubectl walferry pause|resume NAME...: spec.suspend. The operator renders it into the
 * configuration of the sidecars, which follow it live: pods are not touched.
 */
#include <string.h>

#include "controller/plugin/facts.h"
#include "controller/plugin/plugin_internal.h"

enum {
    NAMES_MAX = 64,
};

struct args {
    struct session_args session;
    bool is_every;
    bool is_dry_run;
};

struct run {
    struct session session;
    struct buf out;
    struct json_writer json;
    bool suspends;
    bool is_dry_run;
    size_t count;
};

/* "sqlitereplica.walferry.dev/shop paused", as kubectl tells of a change. */
static int change_tell(struct run *r, const char *namespace_name, const char *name, bool was_so,
                       struct error *err)
{
    const char *verb = r->suspends ? "paused" : "resumed";

    r->count++;
    if (r->session.output == SESSION_JSON) {
        json_writer_object(&r->json, NULL);
        json_writer_str(&r->json, "namespace", namespace_name);
        json_writer_str(&r->json, "name", name);
        json_writer_bool(&r->json, "suspended", r->suspends);
        json_writer_bool(&r->json, "changed", !was_so);
        json_writer_end(&r->json);
        return 0;
    }
    return buf_printf(&r->out, err, "sqlitereplica.walferry.dev/%s %s%s%s\n", name,
                      was_so ? "was already " : "", verb, r->is_dry_run ? " (server dry run)" : "");
}

static int suspend(void *arg, struct jsonval replica, struct error *err)
{
    struct run *r = arg;
    const char *namespace_name = fact_text(replica, "metadata.namespace");
    const char *name = fact_text(replica, "metadata.name");
    bool was_so = fact_bool(replica, "spec.suspend") == r->suspends;
    const struct kube_call call = {
        .verb = KUBE_MERGE_PATCH,
        .resource = &kube_sqlite_replicas,
        .namespace_name = namespace_name,
        .name = name,
        .body = slice_of_str(r->suspends ? "{\"spec\":{\"suspend\":true}}"
                                         : "{\"spec\":{\"suspend\":false}}"),
        .field_manager = SESSION_MANAGER,
        .is_dry_run = r->is_dry_run,
    };

    if (!was_so && session_call(&r->session, &call, NULL, NULL, err) < 0)
        return -1;
    return change_tell(r, namespace_name, name, was_so, err);
}

static int suspend_one(struct run *r, const char *name, struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    return session_get(&r->session, &kube_sqlite_replicas, name, &doc, err) < 0
               ? -1
               : suspend(r, jsonval_root(&doc), err);
}

static int suspend_each(struct run *r, const struct invocation *inv, struct error *err)
{
    for (int i = 0; i < inv->positional_count; i++) {
        if (suspend_one(r, inv->positional[i], err) < 0)
            return -1;
    }
    return inv->positional_count > 0
               ? 0
               : session_each(&r->session, &kube_sqlite_replicas, r->session.namespace_name, NULL,
                              suspend, r, err);
}

/* Prints what was done, also when a later one failed. */
static int run_tell(struct run *r, const struct invocation *inv, struct error *err)
{
    if (r->session.output == SESSION_JSON) {
        json_writer_init(&r->json, &r->out, JSON_PRETTY);
        json_writer_object(&r->json, NULL);
        json_writer_array(&r->json, "items");
        if (suspend_each(r, inv, err) < 0)
            return -1;
        json_writer_end(&r->json);
        json_writer_end(&r->json);
        return command_print_json(&r->json, &r->out, err);
    }
    struct error print_err = ERROR_INIT;
    int rc = suspend_each(r, inv, err);
    if (command_print(buf_slice(&r->out), rc < 0 ? &print_err : err) < 0)
        return -1;
    if (rc == 0 && r->count == 0)
        session_say_none(&r->session);
    return rc;
}

static void run_end(struct run *r)
{
    buf_destroy(&r->out);
    session_close(&r->session);
}

static int run(const struct invocation *inv, bool suspends, struct error *err)
{
    const struct args *args = inv->args;
    CLEANUP(run_end)
    struct run r = {.out = BUF_INIT(SESSION_OUTPUT_BYTES_MAX),
                    .suspends = suspends,
                    .is_dry_run = args->is_dry_run};
    bool is_every = args->is_every || args->session.is_all;

    if (is_every == (inv->positional_count > 0)) {
        return error_set(err, ERR_USAGE, 0,
                         is_every ? "--all and names exclude each other"
                                  : "which ones? Name them, or say --all");
    }
    return session_open(&r.session, inv->env, &args->session, err) < 0 ? -1
                                                                       : run_tell(&r, inv, err);
}

static int pause_run(const struct invocation *inv, struct error *err)
{
    return run(inv, true, err);
}

static int resume_run(const struct invocation *inv, struct error *err)
{
    return run(inv, false, err);
}

static const struct flag flags[] = {
    {"all", FLAG_SWITCH, offsetof(struct args, is_every), NULL, "every one of the namespace", NULL},
    {"dry-run", FLAG_SWITCH, offsetof(struct args, is_dry_run), NULL,
     "let the server check it, and keep nothing", NULL},
    {"A/all-namespaces", FLAG_SWITCH, offsetof(struct args, session.is_all), NULL,
     "every one of the cluster", NULL},
    SESSION_FLAGS(struct args),
};

static const struct args defaults = {.session = SESSION_DEFAULTS};

const struct command command_pause = {
    .name = "pause",
    .summary = "Stop shipping, without touching pods",
    .usage = "kubectl walferry pause NAME...|--all [flags]",
    .example = "  kubectl walferry pause shop            # spec.suspend: true\n"
               "  kubectl walferry pause --all -n prod",
    .detail = "Sidecars follow within about a minute, when kubelet has renewed their\n"
              "configuration. The application goes on, its log is kept short, and what changes\n"
              "is remembered: `resume` ships it as one object.\n",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct args),
    .defaults = &defaults,
    .positional_max = NAMES_MAX,
    .run = pause_run,
};

const struct command command_resume = {
    .name = "resume",
    .summary = "Ship again after a pause",
    .usage = "kubectl walferry resume NAME...|--all [flags]",
    .example = "  kubectl walferry resume shop           # spec.suspend: false",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct args),
    .defaults = &defaults,
    .positional_max = NAMES_MAX,
    .run = resume_run,
};
