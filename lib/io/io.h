/*
 * lib/io: what a program hears from and does to the operating system, beside SQLite and HTTP.
 *
 *   loop.h          the event loop: timers, jobs for workers, the uv_loop_t for libraries
 *   blob.h          finished bytes in memory or in an unlinked file, with their SHA-256
 *   durable_file.h  file_commit(): the one door for files that must survive a crash
 *   file_read.h     small files, read whole
 *   watch.h         paths watched by inotify
 *   signals.h       signals as callbacks
 *   child.h         child processes, and the duty of PID 1 to reap orphans
 *   descriptors.h   how many files may be open
 *   shellwords.h    a command line in one string, split into words
 *
 * Files go through the seam of lib/base/env.h. What blocks (blob, durable_file) is for workers;
 * everything else belongs to the loop thread and never blocks.
 */
#ifndef WALFERRY_LIB_IO_IO_H
#define WALFERRY_LIB_IO_IO_H

#include "lib/io/blob.h"
#include "lib/io/child.h"
#include "lib/io/descriptors.h"
#include "lib/io/durable_file.h"
#include "lib/io/file_read.h"
#include "lib/io/loop.h"
#include "lib/io/shellwords.h"
#include "lib/io/signals.h"
#include "lib/io/watch.h"

#endif
