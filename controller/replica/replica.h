/*
 * controller/replica: what the leader does for each resource. Level-triggered: a key says only
 * which resource to look at; what to do follows from the caches and from what the sidecars answer.
 * Doing it twice changes nothing.
 *
 *   kinds.h         what is remembered of resources, pods and Jobs
 *   scrape.h        asking sidecars; observed.h: what they answer
 *   listen.h        hearing of their news, so that nobody has to ask all the time
 *   judge.h         from what was seen to conditions and figures: pure, a file per concern
 *   condition.h     condition types, transition times
 *   status_write.h  the document around a status, and its apply
 *   status_body.c   the status of a SqliteReplica; status_sum.h: whether it is there already
 *   announce.c      which change of a condition is an event
 *   reconcile.c     SqliteReplica: listeners, queue, memory of what was written
 *   pass.c          one pass over one resource: ConfigMap, scrape, judge, status
 *   make_bucket.c   buckets that are missing; finding.h: what a probe found
 *   verify.c        the CronJob that restores for real; rollout.c: pods made anew
 *   reconcile_metrics.c  conditions and lag for Prometheus
 *   bucket.c        SqliteBucket: when a probe is due; probe_job.c, probe_result.c
 *   restore.c       SqliteRestore: what is to be done; restore_job.c, restore_result.c; in place:
 *                   restore_in_place.c (steps), restore_lock.c, restore_fence.c;
 *                   restore_metrics.c
 *   config_map.h    how a configuration reaches pods; cron_job.h: whether a CronJob is as written
 *   job_result.h    what a Job of ours found
 *   view.c          what a pass has seen, put together for judge()
 *
 * One pass over a SqliteReplica:
 *
 *     ConfigMap (if its text changed) -> buckets to make -> CronJob -> rollout (if asked for)
 *         -> /status of every pod, in parallel -> judge -> status -> listen
 *
 * The status is written at most every 15 seconds, unless a condition changes its status, and not at
 * all while nothing changes: an idle resource costs the API server nothing. Of all resources
 * together, 20 statuses a second may say nothing but newer figures: in a fleet of thousands that
 * commit all the time figures are minutes old, conditions never.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_REPLICA_H
#define WALFERRY_CONTROLLER_REPLICA_REPLICA_H

#include "controller/informer/reconciler.h"

/* SqliteReplica: configuration, injection, lag, status. */
extern const struct reconciler reconciler_replica;

/* SqliteBucket: probed by a Job. */
extern const struct reconciler reconciler_bucket;

/* SqliteRestore: one restore, by a Job; in place with the workloads stopped around it. */
extern const struct reconciler reconciler_restore;

#endif
