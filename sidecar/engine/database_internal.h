/*
 * What the files of a database's life share: database.c (found, opened, lost), database_notice.c
 * (what was committed), database_checkpoint.c (when the log is checkpointed and cut). The door is in
 * engine_internal.h. Threads: the loop thread.
 */
#ifndef WALFERRY_SIDECAR_ENGINE_DATABASE_INTERNAL_H
#define WALFERRY_SIDECAR_ENGINE_DATABASE_INTERNAL_H

#include "sidecar/engine/engine_internal.h"

/* database_notice.c: tasks and timers; watches of a database that was opened; the end of them. */
void database_notice_init(struct database *db);
void database_notice_start(struct database *db);
void database_notice_stop(struct database *db);

/* database_checkpoint.c: tasks and timers; the end of the timers. */
void database_checkpoint_init(struct database *db);
void database_checkpoint_stop(struct database *db);
/* Begins to cut the log if it is much larger than it needs to be. */
void database_consider_shrink(struct database *db);

#endif
