/*
 * A certificate that somebody else keeps in files: cert-manager's Secret, or your own, mounted into
 * the pod. The files are looked at each few seconds; what has changed and is a pair is served.
 *
 * Threads: all on the loop thread.
 */
#ifndef WALFERRY_CONTROLLER_WEBHOOK_FILES_H
#define WALFERRY_CONTROLLER_WEBHOOK_FILES_H

#include "lib/io/loop.h"
#include "lib/tls/identity.h"

/* Time between two looks. kubelet takes up to a minute to bring a changed Secret. */
#define FILES_LOOK_NS (10 * NS_PER_SEC)

/* Borrowed until files_free(). */
struct files_config {
    const char *cert_path; /* PEM: the certificate, then those that lead to its authority */
    const char *key_path;
    struct tls_identity *identity;
    const struct log *log;
    uint64_t look_ns; /* 0: FILES_LOOK_NS */
};

struct files;

/*
 * Reads the files now and serves them. Files that are not there (yet), or are no pair, are logged
 * and looked at again. ERR_NO_MEMORY.
 */
MUST_USE int files_start(struct loop *loop, const struct files_config *config, struct files **out,
                         struct error *err);
/* Stops looking. Accepts NULL. */
void files_free(struct files *f);

#endif
