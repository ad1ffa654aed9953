/*
 * What a simulated store keeps of uploads that are not complete (lib/storage/upload.h): parts by
 * number, until they are joined to an object or aborted. Threads: one.
 */
#ifndef WALFERRY_LIB_TESTING_SIM_UPLOAD_H
#define WALFERRY_LIB_TESTING_SIM_UPLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/base.h"

struct sim_upload;

/* Of a store. */
struct sim_uploads {
    struct sim_upload *first;
    uint64_t id_last;
};

/* Begins one; its id is never 0. */
uint64_t sim_upload_begin(struct sim_uploads *all);

/* Keeps a part (copied), instead of the one that came before under its number. False: there is no
 * such upload. */
bool sim_upload_part(struct sim_uploads *all, uint64_t id, unsigned number, struct slice bytes);

/* The bytes of all parts in their order; the caller frees *out_bytes. A hole between them fails the
 * test. False: there is no such upload. */
bool sim_upload_join(const struct sim_uploads *all, uint64_t id, uint8_t **out_bytes,
                     size_t *out_n);

/* It was joined, or is aborted. Harmless if it is not there. */
void sim_upload_end(struct sim_uploads *all, uint64_t id);

/* Ends all. */
void sim_uploads_destroy(struct sim_uploads *all);

#endif
