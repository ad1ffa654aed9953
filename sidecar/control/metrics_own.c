/*
 * Families that are more than a field: labels that carry text, states, histograms, what the kernel
 * knows of the process, and sums that Litestream's names need. Each function writes all series of
 * its family, which the export has begun.
 */
#include <dirent.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "sidecar/control/metrics_table.h"

/* ---- versions and states ---- */

void metrics_own_build_info(struct metrics_writer *w, const struct status_process *s)
{
    const char *const labels[] = {s->version, s->commit ? s->commit : "", s->sqlite_version,
                                  s->is_sqlite_affected_by_wal_reset_bug ? "affected" : "fixed"};

    metrics_sample_u64(w, labels, 1);
}

void metrics_own_db_state(struct metrics_writer *w, const struct status_process *s)
{
    for (size_t i = 0; i < s->db_count; i++) {
        const struct status_db *db = &s->dbs[i];
        const char *const labels[] = {db->name, status_db_state_name(db->state)};
        metrics_sample_u64(w, labels, 1);
    }
}

typedef void destination_fn(struct metrics_writer *w, const struct status_db *db,
                            const struct status_destination *d);

static void destinations_each(struct metrics_writer *w, const struct status_process *s,
                              destination_fn *visit)
{
    for (size_t i = 0; i < s->db_count; i++) {
        for (size_t j = 0; j < s->dbs[i].destination_count; j++)
            visit(w, &s->dbs[i], &s->dbs[i].destinations[j]);
    }
}

static void put_state(struct metrics_writer *w, const struct status_db *db,
                      const struct status_destination *d)
{
    const char *const labels[] = {db->name, d->name, status_destination_state_name(d->state)};

    metrics_sample_u64(w, labels, 1);
}

void metrics_own_destination_state(struct metrics_writer *w, const struct status_process *s)
{
    destinations_each(w, s, put_state);
}

static void put_fencing(struct metrics_writer *w, const struct status_db *db,
                        const struct status_destination *d)
{
    const char *const labels[] = {db->name, d->name};

    if (d->is_can_create_known)
        metrics_sample_u64(w, labels, d->can_create);
}

void metrics_own_fencing(struct metrics_writer *w, const struct status_process *s)
{
    destinations_each(w, s, put_fencing);
}

/* ---- histograms ---- */

void metrics_own_checkpoint_seconds(struct metrics_writer *w, const struct status_process *s)
{
    for (size_t i = 0; i < s->db_count; i++) {
        const char *const labels[] = {s->dbs[i].name};
        metrics_sample_histogram(w, labels, s->dbs[i].checkpoint_seconds);
    }
}

static void put_upload(struct metrics_writer *w, const struct status_db *db,
                       const struct status_destination *d)
{
    const char *const labels[] = {db->name, d->name};

    metrics_sample_histogram(w, labels, d->upload_seconds);
}

void metrics_own_upload_seconds(struct metrics_writer *w, const struct status_process *s)
{
    destinations_each(w, s, put_upload);
}

/* ---- the process: no series where the kernel does not answer ---- */

void metrics_own_cpu_seconds(struct metrics_writer *w, const struct status_process *s UNUSED)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) < 0)
        return;
    uint64_t us = (uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec;
    uint64_t seconds = (uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec;
    metrics_sample_ns(w, NULL, seconds * NS_PER_SEC + us * NS_PER_US);
}

void metrics_own_resident_bytes(struct metrics_writer *w, const struct status_process *s UNUSED)
{
    size_t bytes = 0;

    if (uv_resident_set_memory(&bytes) == 0)
        metrics_sample_u64(w, NULL, bytes);
}

void metrics_own_open_fds(struct metrics_writer *w, const struct status_process *s UNUSED)
{
    uint64_t count = 0;
    DIR *folder = opendir("/proc/self/fd");

    if (!folder)
        return;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        count += entry->d_name[0] != '.';
    (void)closedir(folder); /* nothing was written */
    metrics_sample_u64(w, NULL, count - 1 /* the folder itself */);
}

void metrics_own_max_fds(struct metrics_writer *w, const struct status_process *s UNUSED)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metrics_sample_u64(w, NULL, (uint64_t)limit.rlim_cur);
}

/* ---- Litestream's: by database, over its destinations ---- */

typedef uint64_t destination_value_fn(const struct status_destination *d);

static uint64_t sum_of(const struct status_db *db, destination_value_fn *value)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < db->destination_count; i++)
        sum += value(&db->destinations[i]);
    return sum;
}

static uint64_t syncs_of(const struct status_destination *d)
{
    return d->syncs_total;
}

static uint64_t errors_of(const struct status_destination *d)
{
    return d->errors_total;
}

static uint64_t sync_ns_of(const struct status_destination *d)
{
    return d->sync_ns_total;
}

void metrics_own_litestream_txid(struct metrics_writer *w, const struct status_process *s)
{
    for (size_t i = 0; i < s->db_count; i++) {
        const struct status_db *db = &s->dbs[i];
        const char *const labels[] = {db->path};
        uint64_t newest = 0;
        for (size_t j = 0; j < db->destination_count; j++) {
            if (db->destinations[j].local_txid > newest)
                newest = db->destinations[j].local_txid;
        }
        metrics_sample_u64(w, labels, newest);
    }
}

void metrics_own_litestream_syncs(struct metrics_writer *w, const struct status_process *s)
{
    for (size_t i = 0; i < s->db_count; i++)
        metrics_sample_u64(w, (const char *const[]){s->dbs[i].path}, sum_of(&s->dbs[i], syncs_of));
}

void metrics_own_litestream_sync_errors(struct metrics_writer *w, const struct status_process *s)
{
    for (size_t i = 0; i < s->db_count; i++)
        metrics_sample_u64(w, (const char *const[]){s->dbs[i].path}, sum_of(&s->dbs[i], errors_of));
}

void metrics_own_litestream_sync_seconds(struct metrics_writer *w, const struct status_process *s)
{
    for (size_t i = 0; i < s->db_count; i++)
        metrics_sample_ns(w, (const char *const[]){s->dbs[i].path}, sum_of(&s->dbs[i], sync_ns_of));
}

void metrics_own_litestream_disk_full(struct metrics_writer *w, const struct status_process *s)
{
    for (size_t i = 0; i < s->db_count; i++) {
        metrics_sample_u64(w, (const char *const[]){s->dbs[i].path},
                           s->dbs[i].state == STATUS_DB_DISK_FULL);
    }
}

/* ---- Litestream's: by type of destination, over all databases ---- */

enum {
    TYPES_MAX = 16 /* kinds of stores; there are fewer drivers */
};

struct type_sum {
    const char *type;
    struct storage_counters counters;
};

static struct type_sum *type_sum_find(struct type_sum sums[static TYPES_MAX], size_t *count,
                                      const char *type)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(sums[i].type, type) == 0)
            return &sums[i];
    }
    if (*count == TYPES_MAX)
        return NULL;
    sums[*count] = (struct type_sum){.type = type};
    return &sums[(*count)++];
}

static size_t type_sums(const struct status_process *s, struct type_sum sums[static TYPES_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < s->db_count; i++) {
        for (size_t j = 0; j < s->dbs[i].destination_count; j++) {
            const struct status_destination *d = &s->dbs[i].destinations[j];
            struct type_sum *sum = type_sum_find(sums, &count, d->type ? d->type : "");
            for (size_t kind = 0; sum && kind < STORAGE_OP_KINDS; kind++) {
                sum->counters.op[kind].requests += d->requests.op[kind].requests;
                sum->counters.op[kind].bytes += d->requests.op[kind].bytes;
                sum->counters.op[kind].errors += d->requests.op[kind].errors;
            }
        }
    }
    return count;
}

enum counter_field {
    COUNTER_REQUESTS,
    COUNTER_BYTES,
    COUNTER_ERRORS,
};

static void put_operations(struct metrics_writer *w, const struct status_process *s,
                           enum counter_field field)
{
    struct type_sum sums[TYPES_MAX];
    size_t count = type_sums(s, sums);

    for (size_t i = 0; i < count; i++) {
        for (unsigned kind = 0; kind < STORAGE_OP_KINDS; kind++) {
            const char *const labels[] = {sums[i].type,
                                          storage_op_name((enum storage_op_kind)kind)};
            uint64_t value = sums[i].counters.op[kind].requests;
            if (field == COUNTER_BYTES)
                value = sums[i].counters.op[kind].bytes;
            else if (field == COUNTER_ERRORS)
                value = sums[i].counters.op[kind].errors;
            metrics_sample_u64(w, labels, value);
        }
    }
}

void metrics_own_litestream_operations(struct metrics_writer *w, const struct status_process *s)
{
    put_operations(w, s, COUNTER_REQUESTS);
}

void metrics_own_litestream_operation_bytes(struct metrics_writer *w,
                                            const struct status_process *s)
{
    put_operations(w, s, COUNTER_BYTES);
}

void metrics_own_litestream_operation_errors(struct metrics_writer *w,
                                             const struct status_process *s)
{
    put_operations(w, s, COUNTER_ERRORS);
}
