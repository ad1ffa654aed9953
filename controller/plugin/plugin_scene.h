/*
 * What tests of the plug-in share: an API server (lib/testing/kube_server.h), a kubeconfig for it,
 * a clock that stands at 2026-11-21T12:00:00Z, and what a command has printed.
 */
#ifndef WALFERRY_CONTROLLER_PLUGIN_PLUGIN_SCENE_H
#define WALFERRY_CONTROLLER_PLUGIN_PLUGIN_SCENE_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "controller/plugin/plugin.h"
#include "lib/testing/kube_server.h"
#include "lib/testing/test.h"

#define SCENE_REPLICAS "/apis/walferry.dev/v1alpha1/namespaces/"

enum {
    SCENE_WORDS_MAX = 32,
};

struct plugin_scene {
    char folder[256];
    struct kube_server *server;
    struct env env;
    char kubeconfig[300];
    char out_path[300], err_path[300];
    char *out, *err; /* of the last command */
};

static inline uint64_t scene_noon(void *ctx UNUSED)
{
    return UINT64_C(1795262400) * NS_PER_SEC; /* 2026-11-21T12:00:00Z */
}

/* A kubeconfig of the server at url; the namespace of its context is shop. */
static inline void scene_kubeconfig(struct plugin_scene *s, const char *url)
{
    char text[1024];

    (void)snprintf(text, sizeof(text),
                   "apiVersion: v1\nkind: Config\ncurrent-context: test\n"
                   "clusters: [{name: test, cluster: {server: \"%s\"}}]\n"
                   "users: [{name: test, user: {token: secret-token}}]\n"
                   "contexts: [{name: test, context: {cluster: test, user: test, namespace: shop}},"
                   " {name: other, context: {cluster: test, user: test, namespace: prod}}]\n",
                   url);
    test_file_write(s->kubeconfig, slice_of_str(text));
}

static inline void scene_make(struct plugin_scene *s)
{
    *s = (struct plugin_scene){.env = *env_real()};
    s->env.clock.wall_ns = scene_noon;
    test_folder_make(s->folder);
    (void)snprintf(s->kubeconfig, sizeof(s->kubeconfig), "%s/config", s->folder);
    (void)snprintf(s->out_path, sizeof(s->out_path), "%s/stdout", s->folder);
    (void)snprintf(s->err_path, sizeof(s->err_path), "%s/stderr", s->folder);
    assert_int_equal(setenv("KUBECONFIG", s->kubeconfig, 1), 0);
    s->server = kube_server_start(false, NULL);
    scene_kubeconfig(s, kube_server_url(s->server));
}

static inline void scene_drop(struct plugin_scene *s)
{
    free(s->out);
    free(s->err);
    kube_server_stop(s->server);
    test_folder_remove(s->folder);
}

/* Puts a SqliteReplica made of testdata/shop.json. */
static inline void scene_replica(struct plugin_scene *s, const char *namespace_name,
                                 const char *name)
{
    char path[256];
    size_t n;
    uint8_t *json = test_file_read("controller/plugin/testdata/shop.json", &n);
    char *text = strndup((const char *)json, n);

    (void)snprintf(path, sizeof(path), SCENE_REPLICAS "%s/sqlitereplicas/%s", namespace_name, name);
    kube_server_put(s->server, path, text);
    free(text);
    free(json);
}

/* Sends fd to the file at path; returns what it was. */
static inline int scene_redirect(int fd, const char *path)
{
    int saved = dup(fd);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(saved >= 0 && file >= 0);
    assert_true(dup2(file, fd) == fd);
    (void)close(file);
    return saved;
}

static inline void scene_restore(int fd, int saved)
{
    assert_true(dup2(saved, fd) == fd);
    (void)close(saved);
}

static inline char *scene_printed(const char *path)
{
    size_t n;
    uint8_t *bytes = test_file_read(path, &n);
    char *text = strndup((const char *)bytes, n);

    free(bytes);
    return text;
}

/* Runs "kubectl-walferry LINE" (split at blanks, a last one gives an empty word); answers its exit
 * status. */
static inline int scene_run(struct plugin_scene *s, const char *line)
{
    CLEANUP(mem_free) char *words = strdup(line);
    char *argv[SCENE_WORDS_MAX + 1];
    char *save = NULL;
    int argc = 0;

    free(s->out);
    free(s->err);
    argv[argc++] = (char *)"kubectl-walferry";
    for (char *w = strtok_r(words, " ", &save); w && argc + 1 < SCENE_WORDS_MAX;
         w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    if (*line && line[strlen(line) - 1] == ' ')
        argv[argc++] = (char *)"";
    argv[argc] = NULL;
    (void)fflush(stdout);
    int out = scene_redirect(STDOUT_FILENO, s->out_path);
    int err = scene_redirect(STDERR_FILENO, s->err_path);
    int status = plugin_main(&s->env, argc, argv);
    (void)fflush(stdout);
    scene_restore(STDOUT_FILENO, out);
    scene_restore(STDERR_FILENO, err);
    s->out = scene_printed(s->out_path);
    s->err = scene_printed(s->err_path);
    return status;
}

/* The exit status is as wanted, and both streams are what they should be, wholly. */
static inline void scene_expect(struct plugin_scene *s, const char *line, int status,
                                const char *out, const char *err)
{
    int got = scene_run(s, line);

    test_row(line);
    assert_string_equal(s->err, err);
    assert_string_equal(s->out, out);
    assert_int_equal(got, status);
}

/* The exit status is as wanted, and standard error has both parts. */
static inline void scene_refused(struct plugin_scene *s, const char *line, int status,
                                 const char *part, const char *hint)
{
    int got = scene_run(s, line);

    test_row(line);
    assert_int_equal(got, status);
    if (!strstr(s->err, part) || !strstr(s->err, hint))
        fail_msg("neither \"%s\" nor \"%s\" in: %s", part, hint, s->err);
}

#endif
