/*
 * A status for the tests of this room: two databases, one with two destinations, with something in
 * every field. Included by tests only.
 */
#ifndef WALFERRY_SIDECAR_CONTROL_STATUS_SCENE_H
#define WALFERRY_SIDECAR_CONTROL_STATUS_SCENE_H

#include "sidecar/control/status.h"

#define SCENE_NOW_NS (UINT64_C(1795253825) * NS_PER_SEC) /* 2026-11-21T09:37:05Z */

struct status_scene {
    struct status_process process;
    struct status_db dbs[2];
    struct status_destination destinations[3];
    struct status_object objects[2];
    struct inventory_object snapshots[2];
    struct metrics_histogram uploads, checkpoints;
};

static inline void status_scene_make_objects(struct status_scene *scene)
{
    metrics_histogram_observe(&scene->uploads, 30 * NS_PER_MS);
    metrics_histogram_observe(&scene->uploads, 90 * NS_PER_SEC);
    metrics_histogram_observe(&scene->checkpoints, 300 * NS_PER_US);
    scene->objects[0] =
        (struct status_object){0, 12, 12, 4096, SCENE_NOW_NS - NS_PER_SEC, 30 * NS_PER_MS};
    scene->objects[1] =
        (struct status_object){1, 8, 11, 8192, SCENE_NOW_NS - NS_PER_MIN, 90 * NS_PER_SEC};
}

static inline void status_scene_make_snapshots(struct status_scene *scene)
{
    scene->snapshots[0] = (struct inventory_object){
        .min_txid = 1, .max_txid = 1, .bytes = 8192, .timestamp_ns = SCENE_NOW_NS - NS_PER_DAY};
    scene->snapshots[1] = (struct inventory_object){
        .min_txid = 1, .max_txid = 9, .bytes = 12288, .timestamp_ns = SCENE_NOW_NS - NS_PER_HOUR};
    scene->destinations[0].snapshots = scene->snapshots;
    scene->destinations[0].snapshot_count = 2;
}

static inline void status_scene_make_destinations(struct status_scene *scene)
{
    scene->destinations[0] = (struct status_destination){
        .name = "s3",
        .url = "s3://bucket/app",
        .type = "s3",
        .state = STATUS_DESTINATION_FOLLOWING,
        .state_since_ns = NS_PER_HOUR,
        .is_attached = true,
        .can_create = true,
        .is_can_create_known = true,
        .acknowledged_txid = 12,
        .local_txid = 13,
        .lag_ns = 1500 * NS_PER_MS,
        .lag_bytes = 8192,
        .lag_commits = 3,
        .dirty_page_count = 2,
        .oldest_unshipped_at_ns = SCENE_NOW_NS - 1500 * NS_PER_MS,
        .last_success_at_ns = SCENE_NOW_NS - NS_PER_SEC,
        .last_commit_at_ns = SCENE_NOW_NS - 2 * NS_PER_SEC,
        .syncs_total = 12,
        .sync_ns_total = 12500 * NS_PER_MS,
        .sync_pages_total = 40,
        .epoch = 1,
        .owner = 0x0a1b2c3d,
        .restore_oldest_at_ns = SCENE_NOW_NS - NS_PER_DAY,
        .restore_newest_at_ns = SCENE_NOW_NS - NS_PER_SEC,
        .snapshot_txid = 1,
        .snapshot_at_ns = SCENE_NOW_NS - NS_PER_HOUR,
        .retention_window_ns = NS_PER_DAY,
        .retention_at_ns = SCENE_NOW_NS - NS_PER_MIN,
        .levels = {[0] = {5, 20480, 12, 12, 49152, 7}, [9] = {1, 65536, 1, 1, 65536, 0}},
        .objects = scene->objects,
        .object_count = 2,
        .requests = {.op = {[STORAGE_OP_PUT] = {13, 114688, 1}, [STORAGE_OP_LIST] = {2, 512, 0}}},
        .upload_seconds = &scene->uploads,
    };
    scene->destinations[1] = (struct status_destination){
        .name = "file",
        .url = "file:///backup/app",
        .type = "file",
        .state = STATUS_DESTINATION_BACKOFF,
        .state_detail = "the disk is full",
        .is_attached = true,
        .acknowledged_txid = 9,
        .local_txid = 10,
        .lag_ns = 2 * NS_PER_HOUR,
        .last_error = "PUT ltx/0/x: no space left on device",
        .last_error_hint = "make room below /backup",
        .last_error_at_ns = SCENE_NOW_NS - NS_PER_SEC,
        .error_streak = 7,
        .errors_total = 8,
        .restore_oldest_at_ns = SCENE_NOW_NS - NS_PER_DAY,
        .restore_newest_at_ns = SCENE_NOW_NS - 2 * NS_PER_HOUR,
        .requests = {.op = {[STORAGE_OP_PUT] = {9, 900, 8}}},
    };
    scene->destinations[2] = (struct status_destination){
        .name = "s3",
        .url = "s3://bucket/new",
        .type = "s3",
        .state = STATUS_DESTINATION_ATTACHING,
        .requests = {.op = {[STORAGE_OP_LIST] = {1, 0, 0}}},
    };
}

static inline void status_scene_make(struct status_scene *scene)
{
    *scene = (struct status_scene){
        .uploads = METRICS_HISTOGRAM_INIT(&metrics_buckets_request),
        .checkpoints = METRICS_HISTOGRAM_INIT(&metrics_buckets_local),
    };
    status_scene_make_objects(scene);
    status_scene_make_destinations(scene);
    scene->dbs[0] = (struct status_db){
        .path = "/data/app.db",
        .name = "app",
        .state = STATUS_DB_FOLLOWING,
        .page_size = 4096,
        .page_count = 20,
        .db_bytes = 81920,
        .wal_bytes = 32992,
        .wal_frames = 8,
        .wal_backfilled_frames = 4,
        .disk_free_bytes = UINT64_C(1) << 40,
        .commits_total = 15,
        .frames_total = 60,
        .wal_bytes_total = 247200,
        .last_commit_at_ns = SCENE_NOW_NS - 100 * NS_PER_MS,
        .checkpoints = {[STATUS_CHECKPOINT_PASSIVE] = {4, 1, 40 * NS_PER_MS, 20 * NS_PER_MS},
                        [STATUS_CHECKPOINT_SEAL] = {1, 0, 300 * NS_PER_US, 300 * NS_PER_US}},
        .checkpoint_seconds = &scene->checkpoints,
        .destinations = scene->destinations,
        .destination_count = 2,
    };
    scene->dbs[1] = (struct status_db){
        .path = "/data/new.db",
        .name = "new",
        .state = STATUS_DB_NOT_WAL,
        .state_detail = "journal_mode is delete",
        .destinations = scene->destinations + 2,
        .destination_count = 1,
    };
    scene->process = (struct status_process){
        .version = "1.2.3",
        .commit = "0123456789ab",
        .pid = 7,
        .started_at_ns = SCENE_NOW_NS - NS_PER_HOUR,
        .now_ns = SCENE_NOW_NS,
        .sqlite_version = "3.40.1",
        .is_sqlite_affected_by_wal_reset_bug = true,
        .dbs = scene->dbs,
        .db_count = 2,
    };
}

#endif
