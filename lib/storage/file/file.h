/*
 * Storage driver for a local folder (or of a mounted file system): `file:///backups/app`.
 *
 *   key        path below the root, as it is: "ltx/0/<min>-<max>.ltx" (STORAGE_LAYOUT_LTX)
 *   timestamp  the file's mtime, to the nanosecond, as Litestream keeps it
 *   temporary  ".NAME.<16 hex digits>.tmp" beside the object until it is whole; NAME is cut to
 *              200 bytes. Never listed; refused as a key
 *
 * A put writes a temporary file in the object's folder, sets its mtime, makes it durable (fsync)
 * and gives it its name: by link(2) to create (a taken name is ERR_EXISTS), by rename(2) to
 * overwrite. File systems without hard links get renameat2(RENAME_NOREPLACE); where that is missing
 * too, creating answers ERR_UNSUPPORTED until storage_set_can_create(st, false) allows the weaker
 * look before rename. Then the folder is fsynced: what was acknowledged survives a power cut.
 * Folders appear at the first put into them and are made durable too; a delete that empties one
 * removes it. Temporary files of dead processes, a day old, are removed at the first put into their
 * folder.
 *
 * What differs from an object store:
 *   - a missing root is an empty prefix, not ERR_NOT_FOUND: a fresh file:// replica must work
 *     (Litestream treats it so). A root below a path that is not a folder is an error.
 *   - a root that was there and vanishes is ERR_WRONG_STATE for a put, until a list has seen that it
 *     is missing: the middle of a history must not begin a new one
 *   - a name cannot be an object and a folder: putting "a" where "a/b" lies is ERR_WRONG_STATE
 *   - a part of a key between slashes has at most 255 bytes (ERR_USAGE)
 *   - symbolic links below the root are never followed: ERR_WRONG_STATE names them, also from list,
 *     since a backup that is overlooked would look like none. The root itself may be one.
 *   - "lost+found" in the root is passed over: the root may be a mounted file system
 *   - nothing is retried: a local disk that failed once will fail again, the caller sets the pace.
 *     Deadlines are looked at between chunks; a file system that hangs holds its worker.
 *
 * New files get mode 0640, new folders 0750, less the umask: a backup is the whole database, so
 * others may not read it; the group may (fsGroup, backup agents). Mode and owner of what is there
 * stay as they are.
 */
#ifndef WALFERRY_LIB_STORAGE_FILE_FILE_H
#define WALFERRY_LIB_STORAGE_FILE_FILE_H

#include "lib/base/base.h"
#include "lib/io/loop.h"
#include "lib/storage/storage.h"

enum {
    FILE_CHUNK_BYTES = 256 * 1024,     /* handed to on_data at most, and memory of a get or put */
    FILE_FOLDER_ENTRIES_MAX = 1000000, /* names in one folder that list can sort */
    FILE_ROOT_BYTES_MAX = 3072         /* of the root's path: leaves room for the longest key */
};

/*
 * Binds a storage to a folder.
 *
 * root_path  absolute; copied. It need not exist; it is created by the first put
 *
 * ERR_USAGE if the path is relative, too long, or names something that is not a folder;
 * ERR_NO_MEMORY. The caller frees by storage_free(), which waits for the chunk that a worker has
 * under way; the jobs end on the loop afterwards, so run it before loop_free() if any operation was
 * still going on (loop_job_count()).
 */
MUST_USE int storage_file_new(struct loop *loop, const struct env *env, const char *root_path,
                              struct storage **out, struct error *err);

#endif
