/*
 * From a wish to a SqliteRestore and through its conditions.
 *
 * --at is, in this order: "latest" (or nothing), 16 hexadecimal digits (a TXID), a moment
 * (RFC 3339), or a span before now ("15m", "1d12h").
 */
#include "controller/plugin/restoring.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/plugin/facts.h"
#include "controller/plugin/follow.h"

enum {
    BODY_BYTES_MAX = 64 << 10,
    LISTED_BYTES_MAX = 200,
    TXID_DIGITS = 16,
    SUFFIX_LETTERS = 5,
    SOURCE_BYTES_MAX = 52 - SUFFIX_LETTERS - 9, /* "-restore-"; names have 52 at most */
};

void restoring_destroy(struct restoring *r)
{
    jsonval_doc_destroy(&r->source);
    jsonval_doc_destroy(&r->object);
    free(r->path);
    *r = (struct restoring)RESTORING_INIT;
}

/* ---- the wish ---- */

static bool is_txid(const char *text)
{
    return strlen(text) == TXID_DIGITS && strspn(text, "0123456789abcdefABCDEF") == TXID_DIGITS;
}

/* The moment that text names. */
static int moment_read(const char *text, uint64_t now_ns, uint64_t *out_ns, struct error *err)
{
    struct error ignored = ERROR_INIT; /* then it is no span either, and told below */
    uint64_t span;

    if (duration_parse(text, &span, &ignored) == 0 && span < now_ns) {
        *out_ns = now_ns - span;
        return 0;
    }
    if (time_parse_rfc3339(text, out_ns, &ignored) == 0)
        return 0;
    (void)error_set(err, ERR_USAGE, 0, "--at: \"%.60s\" is no moment", text);
    return error_hint(err, "2026-11-26T09:30:00Z, a span before now (15m), a TXID, or latest");
}

static int at_read(const struct session *s, const char *at, struct restoring *out,
                   struct error *err)
{
    uint64_t ns;

    if (!at || strcmp(at, "latest") == 0)
        return 0;
    if (is_txid(at)) {
        for (size_t i = 0; i < TXID_DIGITS; i++)
            out->target_txid[i] = (char)tolower((unsigned char)at[i]);
        return 0;
    }
    if (moment_read(at, s->now_ns, &ns, err) < 0)
        return -1;
    if (ns > s->now_ns)
        return error_set(err, ERR_USAGE, 0, "--at: %.60s has not come yet", at);
    (void)time_format_rfc3339(ns, out->target_time);
    return 0;
}

/* Texts of an array's objects, with commas: for hints. Each once. */
static void names_list(struct jsonval array, const char *key, char out[static LISTED_BYTES_MAX])
{
    size_t n = 0;

    out[0] = '\0';
    for (struct jsonval v = jsonval_first(array); jsonval_exists(v); v = jsonval_next(v)) {
        const char *text = fact_text(v, key);
        if (!*text || strstr(out, text))
            continue;
        int put = snprintf(out + n, LISTED_BYTES_MAX - n, "%s%s", n ? ", " : "", text);
        if (put < 0 || n + (size_t)put >= LISTED_BYTES_MAX)
            break;
        n += (size_t)put;
    }
}

static int database_find(const struct restore_wish *wish, struct jsonval source,
                         struct restoring *out, struct error *err)
{
    struct jsonval all = jsonval_way(source, "spec.databases");
    char listed[LISTED_BYTES_MAX];

    if (!wish->database && jsonval_count(all) <= 1) {
        out->database = fact_text(jsonval_first(all), "name");
        return 0;
    }
    for (struct jsonval d = jsonval_first(all); wish->database && jsonval_exists(d);
         d = jsonval_next(d)) {
        if (strcmp(fact_text(d, "name"), wish->database) == 0) {
            out->database = wish->database;
            return 0;
        }
    }
    names_list(all, "name", listed);
    if (wish->database) {
        (void)error_set(err, ERR_USAGE, 0, "%s has no database \"%.63s\"", wish->source,
                        wish->database);
    } else
        (void)error_set(err, ERR_USAGE, 0, "%s has several databases: which one?", wish->source);
    return error_hint(err, "--database is one of: %s", listed);
}

static int pod_check(const struct restore_wish *wish, struct jsonval source, struct error *err)
{
    char listed[LISTED_BYTES_MAX];

    if (wish->pod || !strstr(fact_text(source, "spec.prefixTemplate"), "{{podName}}"))
        return 0;
    names_list(jsonval_way(source, "status.databases"), "pod", listed);
    (void)error_set(err, ERR_USAGE, 0, "each pod of %s has a replica of its own: whose?",
                    wish->source);
    return error_hint(err, "--pod is one of: %s", listed[0] ? listed : "(none reports one now)");
}

/* The file of the database in the claim: as wished, or its own name. */
static int path_choose(const struct restore_wish *wish, struct jsonval source,
                       struct restoring *out, struct error *err)
{
    struct jsonval all = jsonval_way(source, "spec.databases");
    const char *path = wish->path;

    for (struct jsonval d = jsonval_first(all); !path && jsonval_exists(d); d = jsonval_next(d)) {
        const char *slash = strrchr(fact_text(d, "path"), '/');
        if (strcmp(fact_text(d, "name"), out->database) == 0 && slash)
            path = slash + 1;
    }
    out->path = str_dup(path ? path : "restored.db", err);
    return out->path ? 0 : -1;
}

static void name_make(const struct session *s, const struct restore_wish *wish,
                      struct restoring *out)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    char suffix[SUFFIX_LETTERS + 1] = "";

    for (size_t i = 0; i < SUFFIX_LETTERS; i++)
        suffix[i] = letters[env_random_below(s->env, sizeof(letters) - 1)];
    if (wish->name)
        (void)snprintf(out->name, sizeof(out->name), "%s", wish->name);
    else {
        (void)snprintf(out->name, sizeof(out->name), "%.*s-%s-%s", (int)SOURCE_BYTES_MAX,
                       wish->source, strcmp(wish->mode, "Verify") == 0 ? "verify" : "restore",
                       suffix);
    }
}

/*
 * A copy waits for as long as its claim is not there, and nothing else would tell so. Whoever may not look
 * hears nothing.
 */
static int claim_look(struct session *s, const char *claim, struct error *err)
{
    CLEANUP(jsonval_doc_destroy) struct jsonval_doc doc = JSONVAL_DOC_INIT;

    if (session_get(s, &kube_claims, claim, &doc, err) == 0)
        return 0;
    if (err->code == ERR_NOT_FOUND) {
        (void)fprintf(
            stderr, "Warning: there is no claim \"%s\" in namespace %s; the restore waits for it\n",
            claim, session_namespace(s));
    } else if (err->code != ERR_ACCESS)
        return -1;
    error_clear(err);
    return 0;
}

int restoring_plan(struct session *s, const struct restore_wish *wish, struct restoring *out,
                   struct error *err)
{
    if (wish->name && strlen(wish->name) >= RESTORE_NAME_BYTES)
        return error_set(err, ERR_USAGE, 0, "--name: at most 52 characters");
    if (at_read(s, wish->at, out, err) < 0 ||
        session_get(s, &kube_sqlite_replicas, wish->source, &out->source, err) < 0)
        return -1;
    struct jsonval source = jsonval_root(&out->source);
    if (database_find(wish, source, out, err) < 0 || pod_check(wish, source, err) < 0 ||
        path_choose(wish, source, out, err) < 0)
        return -1;
    name_make(s, wish, out);
    uint64_t wanted = 0, earliest = fact_time_ns(source, "status.earliestRestoreTime");
    if (out->target_time[0] && time_parse_rfc3339(out->target_time, &wanted, err) < 0)
        return -1;
    if (wanted > 0 && wanted < earliest) {
        (void)fprintf(stderr, "Warning: %s is before %s, the earliest moment that is reported\n",
                      out->target_time, fact_text(source, "status.earliestRestoreTime"));
    }
    return wish->claim ? claim_look(s, wish->claim, err) : 0;
}

/* ---- creating ---- */

static void put_text(struct json_writer *w, const char *key, const char *text)
{
    if (text && *text)
        json_writer_str(w, key, text);
}

static void spec_write(const struct restore_wish *wish, const struct restoring *r,
                       struct json_writer *w)
{
    static const struct {
        const char *typed, *spec;
    } checks[] = {{"none", "None"}, {"quick", "Quick"}, {"full", "Full"}};

    json_writer_object(w, "spec");
    json_writer_object(w, "sourceRef");
    json_writer_str(w, "name", wish->source);
    json_writer_end(w);
    json_writer_str(w, "mode", wish->mode);
    put_text(w, "database", r->database);
    put_text(w, "destination", wish->destination);
    put_text(w, "podName", wish->pod);
    put_text(w, "targetTime", r->target_time);
    put_text(w, "targetTxid", r->target_txid);
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (strcmp(checks[i].typed, wish->integrity) == 0)
            json_writer_str(w, "verify", checks[i].spec);
    }
    if (wish->claim) {
        json_writer_object(w, "target");
        json_writer_str(w, "claimName", wish->claim);
        json_writer_str(w, "path", r->path);
        json_writer_end(w);
    }
    if (wish->ttl_s > 0)
        json_writer_u64(w, "ttlSecondsAfterFinished", wish->ttl_s);
    json_writer_end(w);
}

int restoring_create(struct session *s, const struct restore_wish *wish, struct restoring *r,
                     bool is_dry_run, struct error *err)
{
    CLEANUP(buf_destroy) struct buf body = BUF_INIT(BODY_BYTES_MAX);
    struct json_writer w;

    json_writer_init(&w, &body, JSON_COMPACT);
    json_writer_object(&w, NULL);
    json_writer_str(&w, "apiVersion", "walferry.dev/v1alpha1");
    json_writer_str(&w, "kind", kube_sqlite_restores.kind);
    json_writer_object(&w, "metadata");
    json_writer_str(&w, "name", r->name);
    json_writer_end(&w);
    spec_write(wish, r, &w);
    json_writer_end(&w);
    if (json_writer_finish(&w, err) < 0)
        return -1;
    const struct kube_call call = {.verb = KUBE_CREATE,
                                   .resource = &kube_sqlite_restores,
                                   .namespace_name = session_namespace(s),
                                   .name = r->name,
                                   .body = buf_slice(&body),
                                   .field_manager = SESSION_MANAGER,
                                   .is_dry_run = is_dry_run};
    return session_call(s, &call, &r->object, NULL, err);
}

/* ---- following ---- */

enum {
    STEPS_MAX = 16,
    STEP_BYTES = 48,
};

struct step_log {
    struct session *session;
    struct restoring *restoring;
    char told[STEPS_MAX][STEP_BYTES]; /* "Restored=True" */
    size_t told_count;
    int status; /* exit status, once it is over */
};

static bool is_told(struct step_log *l, const char *type, const char *status)
{
    char text[STEP_BYTES];

    (void)snprintf(text, sizeof(text), "%.30s=%.10s", type, status);
    for (size_t i = 0; i < l->told_count; i++) {
        if (strcmp(l->told[i], text) == 0)
            return true;
    }
    if (l->told_count < STEPS_MAX)
        memcpy(l->told[l->told_count++], text, sizeof(text));
    return false;
}

/* A line for each condition that has become True, in the order of the resource. */
static int steps_print(struct step_log *l, struct jsonval o, struct error *err)
{
    CLEANUP(buf_destroy) struct buf out = BUF_INIT(1 << 20);
    struct jsonval all = jsonval_way(o, "status.conditions");

    for (struct jsonval c = jsonval_first(all); jsonval_exists(c); c = jsonval_next(c)) {
        const char *type = fact_text(c, "type");
        if (strcmp(fact_text(c, "status"), "True") != 0 || is_told(l, type, "True"))
            continue;
        if (buf_printf(&out, err, "  %-12s %s\n", type, fact_text(c, "message")) < 0)
            return -1;
    }
    return l->session->output == SESSION_JSON ? 0 : command_print(buf_slice(&out), err);
}

/* Keeps a copy of the object: for JSON, and for what is said at the end. */
static int object_keep(struct restoring *r, struct jsonval o, struct error *err)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(KUBE_OBJECT_BYTES_MAX);
    struct jsonval_doc fresh = JSONVAL_DOC_INIT;
    struct json_writer w;

    json_writer_init(&w, &text, JSON_COMPACT);
    jsonval_write(o, &w, NULL);
    if (json_writer_finish(&w, err) < 0 ||
        jsonval_parse(&fresh, "restore", buf_slice(&text), err) < 0)
        return -1;
    jsonval_doc_destroy(&r->object);
    r->object = fresh;
    return 0;
}

static int on_object(void *arg, struct jsonval o, bool is_gone, struct error *err)
{
    struct step_log *l = arg;

    if (is_gone) {
        return error_set(err, ERR_CANCELED, 0, "sqliterestore %s was deleted before it was over",
                         l->restoring->name);
    }
    if (steps_print(l, o, err) < 0 || object_keep(l->restoring, o, err) < 0)
        return -1;
    bool is_failed = fact_condition_is_true(o, "Failed");
    l->status = is_failed ? PLUGIN_EXIT_PROBLEM : 0;
    return is_failed || fact_condition_is_true(o, "Complete");
}

int restoring_follow(struct session *s, struct restoring *r, uint64_t timeout_ns, struct error *err)
{
    struct step_log l = {.session = s, .restoring = r};
    const struct follow follow = {.resource = &kube_sqlite_restores,
                                  .namespace_name = session_namespace(s),
                                  .name = r->name,
                                  .timeout_ns = timeout_ns,
                                  .on_object = on_object,
                                  .arg = &l};
    enum follow_end end;

    if (follow_run(s, &follow, &end, err) < 0)
        return -1;
    if (end == FOLLOW_ENOUGH)
        return l.status;
    (void)fprintf(stderr, "%s; it goes on: kubectl get sqliterestore %s -n %s -w\n",
                  end == FOLLOW_TIMEOUT ? "Error: it is not over yet" : "Interrupted", r->name,
                  session_namespace(s));
    return PLUGIN_EXIT_TIMEOUT;
}

void restoring_json(const struct restoring *r, struct json_writer *w)
{
    struct jsonval o = jsonval_root(&r->object);
    struct jsonval status = jsonval_get(o, "status");

    json_writer_object(w, NULL);
    json_writer_str(w, "namespace", fact_text(o, "metadata.namespace"));
    json_writer_str(w, "name", r->name);
    json_writer_str(w, "database", r->database);
    json_writer_bool(w, "complete", fact_condition_is_true(o, "Complete"));
    json_writer_bool(w, "failed", fact_condition_is_true(o, "Failed"));
    jsonval_write(jsonval_get(o, "spec"), w, "spec");
    for (struct jsonval v = jsonval_first(status); jsonval_exists(v); v = jsonval_next(v))
        jsonval_write(v, w, jsonval_key(v));
    json_writer_end(w);
}
