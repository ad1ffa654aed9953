/*
 * What every command shares: the flags that say which cluster and namespace, the connection, and
 * calls whose errors say what to do next. Commands do one thing after the other, so calls wait.
 */
#ifndef WALFERRY_CONTROLLER_PLUGIN_SESSION_H
#define WALFERRY_CONTROLLER_PLUGIN_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/kube/kube.h"
#include "lib/base/base.h"
#include "lib/cli/cli.h"

#define SESSION_MANAGER "kubectl-walferry" /* field manager of what we write */

enum {
    SESSION_OUTPUT_BYTES_MAX = 64 << 20, /* of what a command prints at a time */
    SESSION_PAGE_ITEMS = 500,
};

/* The first member, named session, of each command's struct of arguments. */
struct session_args {
    const char *namespace_name; /* NULL: that of the kubeconfig's context */
    const char *context;
    const char *kubeconfig;
    const char *output; /* "table", "wide", "json" */
    uint64_t request_timeout_ns;
    bool is_all;
};

#define SESSION_DEFAULTS {.output = "table", .request_timeout_ns = 30 * NS_PER_SEC}

/* Rows for the table of flags: those of all commands, and -A for those that list. */
#define SESSION_FLAGS(type)                                                                          \
    {"n/namespace",                                                                                  \
     FLAG_TEXT,                                                                                      \
     offsetof(type, session.namespace_name),                                                         \
     "NAME",                                                                                         \
     "namespace; without it that of the context",                                                    \
     NULL},                                                                                          \
        {"context", FLAG_TEXT, offsetof(type, session.context), "NAME", "context of the kubeconfig", \
         NULL},                                                                                      \
        {"kubeconfig",                                                                               \
         FLAG_TEXT,                                                                                  \
         offsetof(type, session.kubeconfig),                                                         \
         "PATH",                                                                                     \
         "kubeconfig; without it $KUBECONFIG or ~/.kube/config",                                     \
         NULL},                                                                                      \
        {"request-timeout",                                                                          \
         FLAG_DURATION,                                                                              \
         offsetof(type, session.request_timeout_ns),                                                 \
         "DURATION",                                                                                 \
         "how long one request may take",                                                            \
         "30s"},                                                                                     \
        {"o/output",        FLAG_TEXT,       offsetof(type, session.output),                         \
         "table|wide|json", "what to print", "table"}
#define SESSION_FLAG_ALL(type)                                                                     \
    {"A/all-namespaces",  FLAG_SWITCH, offsetof(type, session.is_all), NULL,                       \
     "in all namespaces", NULL}

enum session_output {
    SESSION_TABLE,
    SESSION_WIDE,
    SESSION_JSON,
};

struct session {
    const struct env *env;
    struct loop *loop;
    struct kube_config config;
    struct kube_client *client;
    const char *namespace_name; /* to list in; NULL: all */
    enum session_output output;
    uint64_t deadline_ns; /* of a request */
    uint64_t now_ns;      /* wall clock at the beginning: ages are told from it */
};

/*
 * Finds the cluster. Nothing is sent yet. ERR_USAGE: the flags or the kubeconfig are wrong, or
 * there is none. The caller closes out, also after a failure.
 */
MUST_USE int session_open(struct session *out, const struct env *env,
                          const struct session_args *args, struct error *err);
/* For CLEANUP on a zeroed or opened session. */
void session_close(struct session *s);

/* The namespace of a command about one object: -n, or that of the context. */
const char *session_namespace(const struct session *s);

/*
 * kube_wait() with the deadline of the flags; an error has a hint. out_doc and out_status may be
 * NULL.
 */
MUST_USE int session_call(struct session *s, const struct kube_call *call,
                          struct jsonval_doc *out_doc, struct kube_status *out_status,
                          struct error *err);

/* One object of session_namespace(). */
MUST_USE int session_get(struct session *s, const struct kube_resource *resource, const char *name,
                         struct jsonval_doc *out_doc, struct error *err);

/* Adds the text of a GET of any path: a log, /version, a proxied page. */
MUST_USE int session_text(struct session *s, const char *path, struct buf *out, struct error *err);

typedef int session_item_fn(void *arg, struct jsonval item, struct error *err);

/*
 * Calls fn for each object of a collection, page by page; namespace_name NULL: all namespaces.
 * label_selector may be NULL. Items are borrowed for the call; -1 of fn ends it.
 */
MUST_USE int session_each(struct session *s, const struct kube_resource *resource,
                          const char *namespace_name, const char *label_selector,
                          session_item_fn *fn, void *arg, struct error *err);

/* "No resources found in shop namespace.", to standard error, as kubectl does. */
void session_say_none(const struct session *s);

enum {
    PLUGIN_EXIT_PROBLEM = 1,
    PLUGIN_EXIT_USAGE = 2,
    PLUGIN_EXIT_NOT_REACHED = 3,
    PLUGIN_EXIT_NOT_FOUND = 4,
    PLUGIN_EXIT_TIMEOUT = 5,
};

/* The exit status that an error means. */
int plugin_exit_status(const struct error *err);

#endif
