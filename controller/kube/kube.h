/*
 * controller/kube: a client of the Kubernetes API, on the event loop.
 *
 *   config.h       where the API server is and who we are: in a cluster, or by kubeconfig
 *   credentials.h  the proof of who we are, kept fresh: token files, exec plug-ins, certificates
 *   resource.h     kinds of objects, and the URLs they live at
 *   status.h       what a refusal of the API server says, as struct error and in detail
 *   limiter.h      how many requests a second (token bucket)
 *   client.h       one request: get, list, create, update, apply, patch, delete
 *   splitter.h     streams cut into JSON documents: events of a watch, items of a list
 *   watch.h        what a collection holds, followed for ever
 *   workload.h     what makes pods: kinds by name, owners
 *   lease.h        leader election
 *   recorder.h     events for `kubectl describe`
 *
 * What goes to the server is built by json_writer; what comes back is a jsonval tree, read at once
 * into a struct of the reader's. Nothing is ever read into a struct and written back whole: writes
 * are server-side applies or patches that name what they mean, so fields we do not know survive.
 *
 * Sources: kubernetes.io/docs/reference/using-api (concepts, server-side apply), client-go v0.36.
 */
#ifndef WALFERRY_CONTROLLER_KUBE_KUBE_H
#define WALFERRY_CONTROLLER_KUBE_KUBE_H

#include "controller/kube/client.h"
#include "controller/kube/config.h"
#include "controller/kube/credentials.h"
#include "controller/kube/lease.h"
#include "controller/kube/limiter.h"
#include "controller/kube/recorder.h"
#include "controller/kube/resource.h"
#include "controller/kube/splitter.h"
#include "controller/kube/status.h"
#include "controller/kube/watch.h"
#include "controller/kube/workload.h"

#endif
