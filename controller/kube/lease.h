/*
 * Leader election: of all replicas of a program, one leads. Who does is written into a Lease
 * (coordination.k8s.io/v1), as client-go does it, so `kubectl get lease` and other tools read it.
 *
 *   candidate  looks each 2 s (times 1 to 2.2, random), and when the record that it saw runs out: a
 *              leader that was killed is replaced after 15 to 20 s. The lease is free when nobody holds it or
 *              when its record has not changed for 15 s as *we* saw it (clocks of others are never
 *              compared). Free: PUT with its resource version, so one of two wins
 *   leader     renews each 2 s by PUT. 10 s without a success, or a 409 and another's name in it:
 *              it has lost, and on_lost says so before anybody else can lead
 *   end        lease_release(): the holder's name is emptied, so that the next one need not wait.
 *              Only once nothing of ours writes any more
 *
 * A leader that has lost must stop writing and exit: what it still has under way was decided with
 * an authority it no longer has.
 *
 * Source: client-go tools/leaderelection/leaderelection.go; defaults of controller-runtime.
 */
#ifndef WALFERRY_CONTROLLER_KUBE_LEASE_H
#define WALFERRY_CONTROLLER_KUBE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/kube/client.h"

struct lease;

struct lease_config {
    const char *namespace_name, *name; /* copied */
    const char *identity;              /* ours, unique: "pod-name_8f2c..."; copied */
    uint64_t duration_ns;              /* 0: 15 s */
    uint64_t renew_deadline_ns;        /* 0: 10 s; less than duration_ns (asserted) */
    uint64_t retry_ns;                 /* 0: 2 s */
    void (*on_leading)(void *arg);
    /* Not called after lease_release(). */
    void (*on_lost)(void *arg, const struct error *why);
    /* Somebody (perhaps we) leads now. May be NULL. */
    void (*on_leader)(void *arg, const char *identity);
    /* A request failed and is tried again: for the log. May be NULL. */
    void (*on_fault)(void *arg, const struct error *err);
    void *arg;
};

/* Begins to try. ERR_USAGE (names), ERR_NO_MEMORY. */
MUST_USE int lease_start(struct kube_client *client, struct loop *loop,
                         const struct lease_config *config, struct lease **out, struct error *err);

/* Between on_leading and on_lost (or lease_release()). */
bool lease_is_leading(const struct lease *l);

/* Who leads, as far as is known; "" nobody. Borrowed until the loop turns. */
const char *lease_holder(const struct lease *l);

/* Times that leadership went from one to another, as the lease says. */
uint64_t lease_transitions(const struct lease *l);

/*
 * Stops trying; if we lead, gives the lease back. done runs from the loop, within 5 s whatever the
 * server does. Once only.
 */
void lease_release(struct lease *l, void (*done)(void *arg), void *arg);

/* Stops at once and gives nothing back. NULL ok. */
void lease_free(struct lease *l);

#endif
