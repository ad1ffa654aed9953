/*
 * Fuzzes the record of a lease. Properties: what is accepted is, written and read again, the same.
 *
 * Input: the record.
 */
#include "sidecar/engine/lease_record.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    CLEANUP(buf_destroy) struct buf text = BUF_INIT(LEASE_RECORD_BYTES_MAX);
    struct lease_record record;
    struct lease_record again;
    struct error err = ERROR_INIT;

    if (lease_record_parse(slice_of(data, n), &record, &err) < 0)
        return 0;
    ASSERT(strlen(record.holder) < sizeof(record.holder));
    if (lease_record_write(&record, &text, &err) < 0)
        return 0; /* a name of signs that take six bytes each */
    ASSERT(lease_record_parse(buf_slice(&text), &again, &err) == 0);
    ASSERT(again.owner == record.owner);
    ASSERT(again.expires_ms == record.expires_ms);
    return 0;
}
