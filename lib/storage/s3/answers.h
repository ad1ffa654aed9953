/*
 * The XML documents that S3 answers, parsed into types. All of it is hostile input: texts that end
 * in messages are cut and made printable, numbers are checked, counts are bounded.
 * Source: Amazon S3 API Reference 2006-03-01 (ListObjectsV2, ListMultipartUploads, DeleteObjects,
 * CreateMultipartUpload, CompleteMultipartUpload, "Error responses").
 */
#ifndef WALFERRY_LIB_STORAGE_S3_ANSWERS_H
#define WALFERRY_LIB_STORAGE_S3_ANSWERS_H

#include "lib/base/base.h"

enum {
    S3_KEY_BYTES_MAX = 1024, /* of a key in a bucket, decoded */
    S3_KEY_ENCODED_BYTES_MAX = 3 * S3_KEY_BYTES_MAX,
    S3_UPLOAD_ID_BYTES_MAX = 1024,
    S3_TOKEN_BYTES_MAX = 4096,
    S3_PAGE_ENTRIES_MAX = 10000, /* we ask for 1000; some servers give more */
    S3_DELETE_KEYS_MAX = 1000,   /* of one batch */
    S3_ANSWER_BYTES_MAX = 16 << 20,
};

/* An <Error> document; empty texts where it says nothing. */
struct s3_error {
    char code[64];
    char message[256];
    char region[64];      /* where the bucket is, from AuthorizationHeaderMalformed */
    char server_time[48]; /* from RequestTimeTooSkewed, RFC 3339 */
};

/*
 * Reads an <Error> document. False if body is none (another root, not XML): then *out is empty.
 * Also true for a document of which only the beginning came, if it got as far as the code.
 */
bool s3_error_parse(struct slice body, struct s3_error *out);

/* Copies text into out, cut, with everything that is not printable ASCII replaced by '?'. */
void s3_text_copy(char *out, size_t out_bytes, struct slice text);

/* One object, or one upload, of a listing. */
struct s3_entry {
    size_t key_at;        /* offset of the terminated key in s3_page.text */
    size_t upload_id_at;  /* of uploads; else SIZE_MAX */
    uint64_t bytes;       /* of objects; else 0 */
    uint64_t modified_ns; /* LastModified, or Initiated of an upload */
};

struct s3_page {
    struct s3_entry *entries; /* in the order of the answer */
    size_t entry_count;
    size_t entry_cap;
    struct buf text; /* terminated texts */
    bool is_truncated;
    char *next_token;     /* objects: NextContinuationToken; uploads: NextKeyMarker; NULL if none */
    char *next_upload_id; /* uploads: NextUploadIdMarker */
};

#define S3_PAGE_INIT {.text = BUF_INIT(S3_ANSWER_BYTES_MAX)}

/* Frees the keys. Accepts a zeroed one. */
void s3_page_destroy(struct s3_page *page);

/* The key of an entry; valid until the page is destroyed. */
const char *s3_page_key(const struct s3_page *page, size_t entry_idx);
const char *s3_page_upload_id(const struct s3_page *page, size_t entry_idx);

/*
 * Reads a <ListBucketResult>. Keys are decoded if the answer says EncodingType url. *out must be
 * S3_PAGE_INIT; the caller destroys it, also after a failure.
 * ERR_CORRUPT: not such a document, or an entry without key, with a bad size, date or escape.
 */
MUST_USE int s3_list_parse(struct slice body, struct s3_page *out, struct error *err);

/* Reads a <ListMultipartUploadsResult>; as s3_list_parse(). */
MUST_USE int s3_uploads_parse(struct slice body, struct s3_page *out, struct error *err);

/* Reads an <InitiateMultipartUploadResult>. ERR_CORRUPT. */
MUST_USE int s3_upload_id_parse(struct slice body, char out[static S3_UPLOAD_ID_BYTES_MAX + 1],
                                struct error *err);

/* True if body is a whole <CompleteMultipartUploadResult>. */
bool s3_complete_parse(struct slice body);

/* What became of one key of a batch. key is decoded only from XML's own escapes. */
typedef int s3_deleted_fn(void *arg, const char *key, const struct s3_error *error,
                          struct error *err);

/*
 * Reads a <DeleteResult> in verbose mode: calls on_key for each key, with error NULL when it is
 * gone. ERR_CORRUPT, and what on_key answers.
 */
MUST_USE int s3_delete_parse(struct slice body, s3_deleted_fn *on_key, void *arg,
                             struct error *err);

/* Appends s with the five characters that XML reserves, and control characters, escaped. */
MUST_USE int s3_xml_escape(struct buf *out, const char *s, struct error *err);

#endif
