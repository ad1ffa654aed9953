/*
 * What config.c (where to look, in-cluster) and kubeconfig.c (the file) share.
 */
#ifndef WALFERRY_CONTROLLER_KUBE_CONFIG_INTERNAL_H
#define WALFERRY_CONTROLLER_KUBE_CONFIG_INTERNAL_H

#include "controller/kube/config.h"
#include "lib/yaml/yaml.h"

/* Files of $KUBECONFIG, parsed; what an earlier one says wins. */
struct kubeconfig_set {
    struct yamldoc docs[KUBE_CONFIG_FILES_MAX];
    size_t count;
};

/* Adds a parsed file. path is kept as its name: relative paths start at its folder. ERR_LIMIT. */
MUST_USE int kubeconfig_set_add(struct kubeconfig_set *set, const char *path, struct slice text,
                                struct error *err);
/* For CLEANUP on a set from mem_new(): frees it with all in it. NULL ok. */
void kubeconfig_set_free(struct kubeconfig_set **set);

/* Reads the context that is asked for (or current) into out, which is empty. */
MUST_USE int kubeconfig_set_read(const struct kubeconfig_set *set,
                                 const struct kube_config_request *request, struct kube_config *out,
                                 struct error *err);

/* Copies text into *out, replacing what is there; NULL or "" leaves it alone. ERR_NO_MEMORY. */
MUST_USE int config_text_set(char **out, const char *text, struct error *err);

#endif
