/*
 * Words for the states of status.h: in JSON, in metrics' labels and on the live page. They are an
 * interface: alerts and scripts compare them, so none is ever renamed.
 */
#include "sidecar/control/status.h"

const char *status_destination_state_name(enum status_destination_state state)
{
    static const char *const names[STATUS_DESTINATION_STATES] = {
        [STATUS_DESTINATION_ATTACHING] = "attaching", [STATUS_DESTINATION_FOLLOWING] = "following",
        [STATUS_DESTINATION_BACKOFF] = "backoff",     [STATUS_DESTINATION_FENCED] = "fenced",
        [STATUS_DESTINATION_REFUSED] = "refused",     [STATUS_DESTINATION_STOPPED] = "stopped",
    };

    ASSERT((size_t)state < ARRAY_LEN(names));
    return names[state];
}

const char *status_db_state_name(enum status_db_state state)
{
    static const char *const names[STATUS_DB_STATES] = {
        [STATUS_DB_OPENING] = "opening",
        [STATUS_DB_ABSENT] = "absent",
        [STATUS_DB_NOT_WAL] = "not_wal",
        [STATUS_DB_FOLLOWING] = "following",
        [STATUS_DB_DIFFERENCE] = "difference",
        [STATUS_DB_BACKOFF] = "backoff",
        [STATUS_DB_DISK_FULL] = "disk_full",
        [STATUS_DB_EXCLUSIVE] = "exclusive",
        [STATUS_DB_NETWORK_FILE_SYSTEM] = "network_file_system",
        [STATUS_DB_MOVED] = "moved",
        [STATUS_DB_HEADER_TORN] = "header_torn",
        [STATUS_DB_DAMAGED] = "damaged",
        [STATUS_DB_STOPPED] = "stopped",
    };

    ASSERT((size_t)state < ARRAY_LEN(names));
    return names[state];
}

const char *status_checkpoint_mode_name(enum status_checkpoint_mode mode)
{
    static const char *const names[STATUS_CHECKPOINT_MODES] = {
        [STATUS_CHECKPOINT_PASSIVE] = "passive",
        [STATUS_CHECKPOINT_SEAL] = "seal",
        [STATUS_CHECKPOINT_SHRINK] = "shrink",
    };

    ASSERT((size_t)mode < ARRAY_LEN(names));
    return names[mode];
}
