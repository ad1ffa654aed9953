/*
 * Applications in processes of their own: SQLite's locks are between processes, so a test of what
 * two programs do to each other needs two programs. The test starts itself again as one that takes
 * orders:
 *
 *     int main(int argc, char **argv)
 *     {
 *         app_process_main(argc, argv);   does not come back in the child
 *         ...
 *     }
 *
 *     struct app_process app;
 *     app_start(&app);
 *     app_ok(&app, "open 0 %s", path);
 *     app_ok(&app, "sql 0 INSERT INTO t VALUES (1)");
 *     app_stop(&app);
 *
 * An order is a line, the answer is a line: "ok VALUE" or "error CODE TEXT". Connections are
 * numbered 0..7. Orders:
 *
 *     open C PATH          opens (creates) without automatic checkpoints
 *     close C
 *     sql C SQL            VALUE: first column of the first row (columns of it joined by '|')
 *     loop C COUNT SQL     runs the SQL so often
 *     spin C SQL           answers "ok" at once, then runs the SQL until the next line comes;
 *                          then VALUE: how often it succeeded, and how often it failed (rolled
 *                          back). See app_spin_end()
 *     image C PATH         writes the database as C sees it, with what is in the log, as one file
 *     fail_sync N          the next N fsync or fdatasync calls of the process fail with EIO
 *     become UID           gives up root
 *     tear PATH            makes the two wal-index header copies of the database differ, as a
 *                          writer does that dies between them
 *
 * Threads: one at a time per process.
 */
#ifndef WALFERRY_LIB_TESTING_APP_PROCESS_H
#define WALFERRY_LIB_TESTING_APP_PROCESS_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "lib/base/base.h"

struct app_process {
    pid_t pid;
    FILE *orders;
    FILE *answers;
    char answer[512];
};

/* First line of main(): serves orders and exits if this process was started by app_start(). */
void app_process_main(int argc, char **argv);

/* Starts a process; fails the test if it cannot. */
void app_start(struct app_process *app);

/* Ends it: gently, by closing its orders; or with SIGKILL. Waits until it is gone. */
void app_stop(struct app_process *app);
void app_kill(struct app_process *app);

/* Sends an order without waiting for the answer / waits for the answer (borrowed until the next).
 */
void app_send(struct app_process *app, const char *fmt, ...) PRINTF_LIKE(2, 3);
const char *app_receive(struct app_process *app);

/* Ends a spin. Answers how often its SQL succeeded; *out_failed (may be NULL) how often not. */
unsigned long app_spin_end(struct app_process *app, unsigned long *out_failed);

/* Order and answer. */
const char *app_ask(struct app_process *app, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Order; fails the test unless it is answered by "ok". Answers the VALUE. */
const char *app_ok(struct app_process *app, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
