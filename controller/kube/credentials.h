/*
 * The proof of who we are, kept fresh. What is taken from the configuration:
 *
 *   token file        read again when its file changes (looked at once a second at most), when it
 *                     was read more than 60 s ago, and after a 401: projected tokens rotate
 *   token, password   as they are
 *   certificate, key  of the client, from files or inline: files are read again as above
 *   exec plug-in      run when there is nothing yet, when what it gave has expired (or a 401 came).
 *                     It gets KUBERNETES_EXEC_INFO, no input (interactive mode is not for us), 60 s,
 *                     and prints an ExecCredential: a token, a client certificate, or both
 *   CA file           read again as above
 *
 * Secrets appear in no log line and no error.
 * Sources: kubernetes.io/docs/reference/access-authn-authz/authentication (client-go credential
 * plugins), client-go plugin/pkg/client/auth/exec, transport/token_source.go.
 */
#ifndef WALFERRY_CONTROLLER_KUBE_CREDENTIALS_H
#define WALFERRY_CONTROLLER_KUBE_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/kube/config.h"
#include "lib/base/base.h"
#include "lib/io/loop.h"

struct credentials;

/* What a request needs; borrowed until the loop turns. NULL: none. */
struct credentials_view {
    const char *authorization; /* value of the header */
    const char *ca_pem, *cert_pem, *key_pem;
    uint64_t tls_generation; /* changes when one of the three above does */
};

/* Reads what is there to read. config is borrowed. ERR_USAGE, ERR_NOT_FOUND, ERR_ACCESS. */
MUST_USE int credentials_new(struct loop *loop, const struct kube_config *config,
                             struct credentials **out, struct error *err);
void credentials_free(struct credentials *c);

/* err ERR_NONE: out is filled. Called exactly once. */
typedef void credentials_done_fn(void *arg, const struct credentials_view *view,
                                 const struct error *err);

/*
 * Asks for what is valid now. When nothing has to be waited for, *out_view is filled and 1 is
 * returned (done is not called); 0: done is called from the loop; -1: err. A file that cannot be
 * read any more is no error as long as an earlier content is there.
 */
MUST_USE int credentials_get(struct credentials *c, struct credentials_view *out_view,
                             credentials_done_fn *done, void *arg, struct error *err);

/* What is known now, without a plug-in's answer that is not there. */
void credentials_peek(const struct credentials *c, struct credentials_view *out_view);

/* Whoever waits with this arg is not called any more. */
void credentials_forget(struct credentials *c, void *arg);

/* The server answered 401: files are read again, the plug-in is run again. False: nothing can be
 * different the next time. */
bool credentials_refused(struct credentials *c);

/*
 * Reads what an exec plug-in printed. out_token, out_cert_pem and out_key_pem are the caller's to
 * free (NULL: not given); *out_expires_ns is 0 when it does not say.
 * ERR_CORRUPT: not an ExecCredential of api_version.
 */
struct exec_credential {
    char *token, *cert_pem, *key_pem;
    uint64_t expires_ns; /* wall clock */
};
MUST_USE int exec_credential_parse(struct slice text, const char *api_version,
                                   struct exec_credential *out, struct error *err);
void exec_credential_destroy(struct exec_credential *c);

#endif
