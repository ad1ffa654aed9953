/*
 * A status as a number, to find out whether what would be written is what the API server has. It
 * answers with the same values in another order, so order does not count: of members, of elements,
 * and of fields that are not ours (status.restore, which restores write) nothing counts at all.
 */
#ifndef WALFERRY_CONTROLLER_REPLICA_STATUS_SUM_H
#define WALFERRY_CONTROLLER_REPLICA_STATUS_SUM_H

#include <stdint.h>

#include "lib/json/json.h"

/* Equal for equal statuses of a SqliteReplica, else different as good as always. 0: there is none,
 * or nothing of ours in it. Cost: some 10 us. */
uint64_t status_sum(struct jsonval status);

#endif
