/*
 * kubectl walferry check: everything between a manifest and a replica, looked at from outside, in
 * the order in which one thing needs the other. Nothing is changed; the webhook is asked by a dry
 * run.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "controller/plugin/check_internal.h"
#include "controller/plugin/plugin_internal.h"

struct args {
    struct session_args session;
};

static const char *const columns[] = {"CHECK", "RESULT", "DETAIL"};
static const char *const levels[] = {
    [CHECK_OK] = "ok", [CHECK_WARN] = "warning", [CHECK_FAIL] = "FAILED"};

void check_tell(struct check *c, enum check_level level, const char *what, const char *hint,
                const char *fmt, ...)
{
    char detail[CHECK_DETAIL_BYTES];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(detail, sizeof(detail), fmt, ap); /* too long: cut */
    va_end(ap);
    c->counts[level]++;
    if (c->json) {
        json_writer_object(c->json, NULL);
        json_writer_str(c->json, "check", what);
        json_writer_str(c->json, "result", level == CHECK_FAIL ? "failed" : levels[level]);
        json_writer_str(c->json, "detail", detail);
        json_writer_str(c->json, "hint", hint);
        json_writer_end(c->json);
        return;
    }
    table_cell(&c->table, "%s", what);
    table_cell(&c->table, "%s", levels[level]);
    table_cell(&c->table, "%s", detail);
    if (hint && c->err.code == ERR_NONE)
        IGNORE(buf_printf(&c->hints, &c->err, "%s: %s\n", what, hint)); /* err sticks */
}

void check_tell_unseen(struct check *c, const char *what, const struct error *cause)
{
    check_tell(c, CHECK_WARN, what, cause->hint[0] ? cause->hint : NULL, "not looked at: %s",
               cause->text);
}

static int all(struct check *c, struct error *err)
{
    return check_cluster(c, err) < 0 || check_operator(c, err) < 0 || check_webhook(c, err) < 0
               ? -1
               : check_replicas(c, err);
}

static int table_tell(struct check *c, struct buf *out, struct error *err)
{
    if (table_print(&c->table, out, err) < 0)
        return -1;
    if (c->err.code != ERR_NONE) {
        *err = c->err;
        return -1;
    }
    if (c->hints.n > 0 && (buf_append_str(out, "\n", err) < 0 ||
                           buf_append_slice(out, buf_slice(&c->hints), err) < 0))
        return -1;
    return buf_printf(out, err, "\n%u ok, %u warnings, %u failed\n", c->counts[CHECK_OK],
                      c->counts[CHECK_WARN], c->counts[CHECK_FAIL]);
}

int check_json(struct session *s, struct json_writer *w, unsigned *out_failed, struct error *err)
{
    struct check c = {
        .session = s, .json = w, .hints = BUF_INIT(CHECK_HINTS_BYTES_MAX), .err = ERROR_INIT};

    json_writer_object(w, NULL);
    json_writer_array(w, "checks");
    if (all(&c, err) < 0)
        return -1;
    json_writer_end(w);
    json_writer_u64(w, "failed", c.counts[CHECK_FAIL]);
    json_writer_u64(w, "warnings", c.counts[CHECK_WARN]);
    json_writer_end(w);
    *out_failed = c.counts[CHECK_FAIL];
    return 0;
}

static void check_end(struct check *c)
{
    table_destroy(&c->table);
    buf_destroy(&c->hints);
}

static int check_table(struct session *s, struct buf *out, unsigned *out_failed, struct error *err)
{
    CLEANUP(check_end)
    struct check c = {.session = s,
                      .table = TABLE_INIT(columns, ARRAY_LEN(columns)),
                      .hints = BUF_INIT(CHECK_HINTS_BYTES_MAX),
                      .err = ERROR_INIT};

    if (all(&c, err) < 0 || table_tell(&c, out, err) < 0)
        return -1;
    *out_failed = c.counts[CHECK_FAIL];
    return 0;
}

static int run(const struct invocation *inv, struct error *err)
{
    const struct args *args = inv->args;
    CLEANUP(session_close) struct session s = {.env = inv->env};
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(SESSION_OUTPUT_BYTES_MAX);
    struct json_writer w;
    unsigned failed = 0;

    if (session_open(&s, inv->env, &args->session, err) < 0)
        return -1;
    if (s.output == SESSION_JSON) {
        json_writer_init(&w, &out, JSON_PRETTY);
        if (check_json(&s, &w, &failed, err) < 0 || command_print_json(&w, &out, err) < 0)
            return -1;
    } else if (check_table(&s, &out, &failed, err) < 0 || command_print(buf_slice(&out), err) < 0) {
        return -1;
    }
    return failed > 0 ? PLUGIN_EXIT_PROBLEM : 0;
}

static const struct flag flags[] = {
    SESSION_FLAG_ALL(struct args),
    SESSION_FLAGS(struct args),
};

static const struct args defaults = {.session = SESSION_DEFAULTS};

const struct command command_check = {
    .name = "check",
    .summary = "Look for what keeps replication from working",
    .usage = "kubectl walferry check [flags]",
    .example = "  kubectl walferry check -n prod\n"
               "  kubectl walferry check -A -o json",
    .detail = "Looked at are: the API server, the resources, your rights, the operator and its\n"
              "leader, the webhook (configuration, authority, certificate, and by the dry run\n"
              "of a pod whether it answers), buckets, and replicas. Nothing is changed. What\n"
              "you may not see is a warning; the exit status is 1 if something failed.\n",
    .flags = flags,
    .flag_count = ARRAY_LEN(flags),
    .args_bytes = sizeof(struct args),
    .defaults = &defaults,
    .run = run,
};
