/*
 * Names of LTX objects, made and recognised. A listing is hostile input: a name is ours only if
 * formatting what was parsed gives exactly the same bytes again.
 *
 *   part        bytes  content                       source
 *   folder          5  "000" level "/"               HEX: litestream, s3/replica_client.go
 *                   6  "ltx/" level "/"              LTX: litestream.go (LTXFilePath)
 *                  25  "fenced/" epoch "-" owner "/" ours; 8 hex digits each
 *   min TXID       16  lower-case hex                ltx, ltx.go (FormatFilename)
 *   "-"             1
 *   max TXID       16  lower-case hex
 *   ".ltx"          4
 *
 * Levels are 0..9, so both forms of a level are one decimal digit.
 */
#include "lib/storage/object_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/hex.h"

#define FENCED_FOLDER "fenced/"

static const char *layout_folder(enum storage_layout layout)
{
    return layout == STORAGE_LAYOUT_HEX ? "000" : "ltx/";
}

const char *object_name_format(enum storage_layout layout, const struct object_name *name,
                               char out[static STORAGE_KEY_BYTES_MAX])
{
    ASSERT(name->level < LTX_LEVELS);
    ASSERT(name->min_txid >= 1 && name->max_txid >= name->min_txid);
    (void)snprintf(out, STORAGE_KEY_BYTES_MAX, "%s%u/%016" PRIx64 "-%016" PRIx64 ".ltx",
                   layout_folder(layout), name->level, name->min_txid, name->max_txid);
    return out;
}

const char *object_name_level_prefix(enum storage_layout layout, unsigned level,
                                     char out[static STORAGE_KEY_BYTES_MAX])
{
    ASSERT(level < LTX_LEVELS);
    (void)snprintf(out, STORAGE_KEY_BYTES_MAX, "%s%u/", layout_folder(layout), level);
    return out;
}

const char *object_name_format_fenced(uint32_t epoch, uint32_t owner, uint64_t min_txid,
                                      uint64_t max_txid, char out[static STORAGE_KEY_BYTES_MAX])
{
    ASSERT(min_txid >= 1 && max_txid >= min_txid);
    (void)snprintf(out, STORAGE_KEY_BYTES_MAX,
                   FENCED_FOLDER "%08" PRIx32 "-%08" PRIx32 "/%016" PRIx64 "-%016" PRIx64 ".ltx",
                   epoch, owner, min_txid, max_txid);
    return out;
}

/* Takes text from *p. */
static bool text_read(const char **p, const char *text)
{
    size_t n = strlen(text);

    if (strncmp(*p, text, n) != 0)
        return false;
    *p += n;
    return true;
}

/* Takes exactly digits lower-case hex digits from *p. */
static bool hex_read(const char **p, unsigned digits, uint64_t *out)
{
    if (!hex_number(*p, digits, out))
        return false;
    *p += digits;
    return true;
}

/* The file name: both TXIDs in a sensible order, and nothing behind it. */
static bool range_read(const char *p, uint64_t *out_min, uint64_t *out_max)
{
    uint64_t min_txid;
    uint64_t max_txid;

    if (!hex_read(&p, 16, &min_txid) || !text_read(&p, "-") || !hex_read(&p, 16, &max_txid) ||
        !text_read(&p, ".ltx") || *p || min_txid < 1 || max_txid < min_txid)
        return false;
    *out_min = min_txid;
    *out_max = max_txid;
    return true;
}

bool object_name_parse(enum storage_layout layout, const char *key, struct object_name *out)
{
    struct object_name name;

    if (!text_read(&key, layout_folder(layout)) || *key < '0' || *key > '9')
        return false;
    name.level = (unsigned)(*key - '0');
    key++;
    if (!text_read(&key, "/") || !range_read(key, &name.min_txid, &name.max_txid))
        return false;
    *out = name;
    return true;
}

bool object_name_parse_fenced(const char *key, uint32_t *out_epoch, uint32_t *out_owner,
                              struct object_name *out)
{
    struct object_name name = {.level = LTX_LEVEL_RAW};
    uint64_t epoch;
    uint64_t owner;

    if (!text_read(&key, FENCED_FOLDER) || !hex_read(&key, 8, &epoch) || !text_read(&key, "-") ||
        !hex_read(&key, 8, &owner) || !text_read(&key, "/") ||
        !range_read(key, &name.min_txid, &name.max_txid))
        return false;
    *out_epoch = (uint32_t)epoch;
    *out_owner = (uint32_t)owner;
    *out = name;
    return true;
}
