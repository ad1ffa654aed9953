/*
 * Any bytes as a kubeconfig, and as the answer of an exec plug-in: an error with a text, or a
 * configuration that keeps its promises.
 */
#include <string.h>
#include <strings.h>

#include "controller/kube/config.h"
#include "controller/kube/credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void config_try(struct slice text, const char *context)
{
    const struct kube_config_request request = {.context = context};
    struct kube_config c;
    struct error err = ERROR_INIT;

    if (kubeconfig_parse(text, "/k/config", &request, &c, &err) < 0) {
        ASSERT(err.code != ERR_NONE && err.text[0]);
        return;
    }
    ASSERT(c.server && c.namespace_name && c.source);
    ASSERT(strncasecmp(c.server, "http", 4) == 0);
    ASSERT(c.server[strlen(c.server) - 1] != '/');
    ASSERT(!(c.cert_pem || c.cert_file) == !(c.key_pem || c.key_file));
    ASSERT(!c.exec.argv || (c.exec.argv[0] && !c.exec.argv[c.exec.argc]));
    kube_config_destroy(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice text = slice_of(data, n);
    struct exec_credential credential;
    struct error err = ERROR_INIT;

    config_try(text, NULL);
    config_try(text, "a");
    if (exec_credential_parse(text, "client.authentication.k8s.io/v1", &credential, &err) == 0) {
        ASSERT(credential.token || credential.cert_pem);
        exec_credential_destroy(&credential);
    }
    return 0;
}
