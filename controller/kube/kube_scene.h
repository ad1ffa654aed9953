/*
 * What tests of the Kubernetes client share: an API server (lib/testing/kube_server.h), a loop, and
 * a client that is configured for it.
 */
#ifndef WALFERRY_CONTROLLER_KUBE_KUBE_SCENE_H
#define WALFERRY_CONTROLLER_KUBE_KUBE_SCENE_H

#include <stdio.h>
#include <string.h>

#include "controller/kube/kube.h"
#include "lib/testing/kube_server.h"
#include "lib/testing/test.h"

struct kube_scene {
    char folder[256];
    struct kube_server *server;
    struct loop *loop;
    struct kube_config config;
    struct kube_client *client;
    struct log log;
};

/* A client of s->config; the scene's client is replaced. */
static inline void kube_scene_client(struct kube_scene *s)
{
    struct error err = ERROR_INIT;

    kube_client_free(s->client);
    s->client = NULL;
    assert_ok(kube_client_new(s->loop,
                              &(struct kube_client_config){
                                  .config = &s->config, .rate_per_s = -1, .log = &s->log},
                              &s->client, &err),
              &err);
}

static inline void kube_scene_make(struct kube_scene *s, bool is_https)
{
    struct error err = ERROR_INIT;

    *s = (struct kube_scene){.log = {.env = env_real(), .fd = 2, .level = LOG_LEVEL_ERROR}};
    test_folder_make(s->folder);
    s->server = kube_server_start(is_https, s->folder);
    assert_ok(loop_new(env_real(), 1, &s->loop, &err), &err);
    s->config.server = str_dup(kube_server_url(s->server), &err);
    s->config.source = str_dup("test", &err);
    s->config.namespace_name = str_dup("shop", &err);
    if (is_https)
        s->config.ca_file = str_dup(kube_server_ca(s->server), &err);
    kube_scene_client(s);
}

static inline void kube_scene_drop(struct kube_scene *s)
{
    kube_client_free(s->client);
    loop_free(s->loop);
    kube_config_destroy(&s->config);
    kube_server_stop(s->server);
    test_folder_remove(s->folder);
}

struct kube_scene_wait {
    struct loop_timer poll, deadline;
    bool (*is_true)(void *arg);
    void *arg;
    bool is_done, is_late;
};

static inline void kube_scene_on_poll(void *arg)
{
    struct kube_scene_wait *w = arg;

    w->is_done = w->is_true(w->arg);
    if (!w->is_done)
        loop_timer_start(&w->poll, NS_PER_MS);
}

static inline void kube_scene_on_deadline(void *arg)
{
    struct kube_scene_wait *w = arg;

    w->is_late = true;
    w->is_done = true;
}

/* Runs the loop until is_true(arg), looked at each millisecond; false after 30 s. */
static inline bool kube_scene_until(struct kube_scene *s, bool (*is_true)(void *arg), void *arg)
{
    struct kube_scene_wait w = {.is_true = is_true, .arg = arg};

    loop_timer_init(&w.poll, s->loop, kube_scene_on_poll, &w);
    loop_timer_init(&w.deadline, s->loop, kube_scene_on_deadline, &w);
    loop_timer_start(&w.poll, 0);
    loop_timer_start(&w.deadline, 30 * NS_PER_SEC);
    (void)loop_run_until(s->loop, &w.is_done); /* the timers keep it running until then */
    loop_timer_stop(&w.poll);
    loop_timer_stop(&w.deadline);
    return !w.is_late;
}

#endif
