/*
 * Any bytes as a shared file, as the JSON of a metadata service, as the XML of STS: no crash, and
 * what comes out is fit for a header.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/storage/s3/credentials_internal.h"

static void credentials_check(const struct s3_credentials *c)
{
    const char *const texts[] = {c->access_key_id, c->secret, c->session_token};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        for (const char *p = texts[i]; p && *p; p++)
            ASSERT(*p > ' ' && *p <= '~');
    }
}

static void profile_read_back(const struct s3_profile *p)
{
    struct s3_profile again = {.is_found = false};
    struct buf text = BUF_INIT(S3_CREDENTIAL_FILE_BYTES_MAX);
    struct error err = ERROR_INIT;

    if (p->access_key_id &&
        buf_printf(&text, &err, "[default]\naws_access_key_id = %s\n", p->access_key_id) == 0 &&
        s3_profile_parse(buf_slice(&text), "default", false, &again, &err) == 0) {
        ASSERT(again.is_found);
        ASSERT(again.access_key_id && strcmp(again.access_key_id, p->access_key_id) == 0);
    }
    s3_profile_destroy(&again);
    buf_destroy(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice text = slice_of(data, n);
    struct s3_profile profile = {.is_found = false};
    struct s3_credentials c = {.access_key_id = NULL};
    struct error err = ERROR_INIT;

    if (s3_profile_parse(text, "default", n % 2, &profile, &err) == 0)
        profile_read_back(&profile);
    s3_profile_destroy(&profile);
    if (credentials_json_parse(text, "fuzz", &c, &err) == 0)
        credentials_check(&c);
    if (credentials_sts_parse(text, &c, &err) == 0)
        credentials_check(&c);
    s3_credentials_destroy(&c);
    return 0;
}
