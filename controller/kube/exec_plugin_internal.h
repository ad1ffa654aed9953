/*
 * A run of an exec plug-in: the program is started with the question in its environment, its
 * answer is what it prints. For credentials.c; loop thread only.
 */
#ifndef WALFERRY_CONTROLLER_KUBE_EXEC_PLUGIN_INTERNAL_H
#define WALFERRY_CONTROLLER_KUBE_EXEC_PLUGIN_INTERNAL_H

#include "controller/kube/credentials.h"
#include "lib/io/child.h"

enum {
    EXEC_OUTPUT_BYTES_MAX = 1 << 20
};

struct exec_run;

/* Called once; on success *credential is moved out by the callee. */
typedef void exec_done_fn(void *arg, struct exec_credential *credential, const struct error *err);

/* Starts the plug-in; ca_pem may be NULL. NULL: ERR_NOT_FOUND (with the install hint), ERR_ACCESS,
 * ... */
MUST_USE struct exec_run *exec_run_start(struct loop *loop, struct reaper *reaper,
                                         const struct kube_config *config, const char *ca_pem,
                                         exec_done_fn *done, void *arg, struct error *err);

/* done is not called any more; the process is killed, and the loop runs until it is gone. */
void exec_run_abandon(struct exec_run *run);

#endif
