/*
 * walferry probe: what a destination can do and whether the credentials suffice, found out by doing
 * it once (lib/storage/probe.h).
 */
#include "lib/storage/probe.h"

#include "sidecar/command/command.h"
#include "sidecar/command/destination.h"

enum {
    WORKERS = 1,
    OUTPUT_BYTES_MAX = 1 << 20,
};

struct probe_args {
    struct config_choice config;
    const char *replica;
    bool create;
    bool json;
};

#define AT(field) offsetof(struct probe_args, field)

static const struct flag flags[] = {
    {"config", FLAG_TEXT, AT(config.path), "PATH", "configuration file",
     "$LITESTREAM_CONFIG or /etc/litestream.yml"},
    {"no-expand-env", FLAG_SWITCH, AT(config.no_expand_env), NULL,
     "do not expand $NAME in the configuration", NULL},
    {"replica", FLAG_TEXT, AT(replica), "NAME", "only this destination", "all of them"},
    {"create", FLAG_SWITCH, AT(create), NULL, "make the bucket if it is missing", NULL},
    {"json", FLAG_SWITCH, AT(json), NULL, "print JSON", NULL},
};

/* Where the answers go. */
struct printer {
    const struct probe_args *args;
    struct buf out;
    struct json_writer w;
    struct error first; /* of the first destination that cannot be used; ERR_NONE */
};

static const char *step_word(const struct storage_probe_report *r, unsigned step)
{
    if (!r->step[step].was_tried)
        return "not tried";
    return r->step[step].is_ok ? "ok" : "failed";
}

static void json_put(struct printer *p, const struct storage *st, const char *name,
                     const struct storage_probe_report *r)
{
    json_writer_object(&p->w, NULL);
    json_writer_str(&p->w, "destination", name);
    json_writer_str(&p->w, "url", storage_url(st));
    json_writer_bool(&p->w, "is_available", r->first.code == ERR_NONE);
    json_writer_str(&p->w, "reason", storage_probe_reason(r));
    json_writer_str(&p->w, "error", r->first.code != ERR_NONE ? r->first.text : NULL);
    json_writer_str(&p->w, "hint", r->first.hint[0] ? r->first.hint : NULL);
    json_writer_bool(&p->w, "has_made_bucket", r->has_made);
    json_writer_bool(&p->w, "can_create", r->can_create);
    json_writer_bool(&p->w, "keeps_timestamps", r->keeps_timestamps);
    json_writer_object(&p->w, "steps");
    for (unsigned i = 0; i < STORAGE_PROBE_STEPS; i++) {
        json_writer_str(&p->w, storage_probe_step_name((enum storage_probe_step)i),
                        step_word(r, i));
    }
    json_writer_end(&p->w);
    json_writer_end(&p->w);
}

static int text_put(struct printer *p, const struct storage *st, const char *name,
                    const struct storage_probe_report *r, struct error *err)
{
    if (buf_printf(&p->out, err, "%s %s: %s\n", name, storage_url(st), storage_probe_reason(r)) < 0)
        return -1;
    if (r->has_made && buf_printf(&p->out, err, "  %-14s %s\n", "bucket", "made") < 0)
        return -1;
    for (unsigned i = 0; i < STORAGE_PROBE_STEPS; i++) {
        if (buf_printf(&p->out, err, "  %-14s %s\n",
                       storage_probe_step_name((enum storage_probe_step)i), step_word(r, i)) < 0)
            return -1;
    }
    return buf_printf(&p->out, err, "  %-14s %s\n", "fencing",
                      r->can_create                       ? "atomic"
                      : r->why_no_create.code != ERR_NONE ? "weak: HEAD before PUT"
                                                          : "unknown");
}

static int destination_probe(void *arg, const struct target *t, size_t idx, struct error *err)
{
    struct printer *p = arg;
    struct storage *st = t->storages[idx];
    struct storage_probe_report report;

    if (storage_probe_wait(st, p->args->create, &report, err) < 0)
        return -1;
    if (p->first.code == ERR_NONE)
        p->first = report.first;
    if (!p->args->json)
        return text_put(p, st, t->names[idx], &report, err);
    json_put(p, st, t->names[idx], &report);
    return 0;
}

static int all_probe(struct loop *loop, struct printer *p, const char *arg, struct error *err)
{
    CLEANUP(target_close) struct target t = {.count = 0};

    if (target_open(loop, &p->args->config, arg, DESTINATION_BRISK, &t, err) < 0)
        return -1;
    if (p->args->json)
        json_writer_array(&p->w, NULL);
    if (target_each(&t, p->args->replica, destination_probe, p, err) < 0)
        return -1;
    if (!p->args->json)
        return command_print(buf_slice(&p->out), err);
    json_writer_end(&p->w);
    return command_print_json(&p->w, &p->out, err);
}

static int run(const struct invocation *inv, struct error *err)
{
    struct printer p = {.args = inv->args, .out = BUF_INIT(OUTPUT_BYTES_MAX), .first = ERROR_INIT};
    struct loop *loop = NULL;

    if (loop_new(inv->env, WORKERS, &loop, err) < 0)
        return -1;
    json_writer_init(&p.w, &p.out, JSON_PRETTY);
    int rc = all_probe(loop, &p, inv->positional[0], err);
    loop_run(loop); /* what the storages still close */
    loop_free(loop);
    buf_destroy(&p.out);
    if (rc == 0 && p.first.code != ERR_NONE) {
        /* With -json the document says it; a second message would replace it in a container. */
        if (p.args->json)
            return error_exit_status(p.first.code == ERR_NOT_FOUND ? ERR_USAGE : p.first.code);
        *err = p.first;
        return -1;
    }
    return rc;
}

const struct command command_probe = {
    .name = "probe",
    .summary = "Find out what a destination can do",
    .usage = "walferry probe [flags] DB_PATH|REPLICA_URL",
    .example = "  walferry probe s3://bucket/app",
    .detail = "Creates, reads, lists and deletes one small object under .walferry-probe/, and\n"
              "tries to create it twice: a store that accepts the second one cannot fence.\n",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct probe_args),
    .positional_min = 1,
    .positional_max = 1,
    .run = run,
};
