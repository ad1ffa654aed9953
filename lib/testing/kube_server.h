/*
 * A Kubernetes API server for tests, inside the process: objects, lists with pages, watches with
 * resume, bookmarks and WatchList, creation, update with conflicts, apply, merge patch, status,
 * deletion, dry run; over http or https; and faults by script. It knows no schemas and no
 * admission: what needs those is proven against the real one (e2e/cluster).
 *
 * Functions may be called by the test at any time (a lock is taken); failures of the server itself
 * fail the test.
 */
#ifndef WALFERRY_LIB_TESTING_KUBE_SERVER_H
#define WALFERRY_LIB_TESTING_KUBE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

struct kube_server;

/* How a watch stream breaks off. */
enum kube_break {
    KUBE_BREAK_NONE,
    KUBE_BREAK_CLEAN,      /* ends as HTTP wants it */
    KUBE_BREAK_CUT,        /* the connection closes in the middle of the stream */
    KUBE_BREAK_HALF_CLOSE, /* we send nothing more, and go on reading */
    KUBE_BREAK_GARBAGE,    /* a line that is no event */
    KUBE_BREAK_SILENCE,    /* nothing more comes, for ever */
    KUBE_BREAK_EXPIRED,    /* an event of type ERROR with 410 */
    KUBE_BREAK_ERROR,      /* an event of type ERROR with 500 */
    KUBE_BREAK_HALF_EVENT, /* half an event, then a cut */
};

struct kube_faults {
    /* The first fail_count requests whose "METHOD /path?query" contains fail_part, after fail_skip
     * of them. */
    unsigned fail_count;
    unsigned fail_skip;
    const char *fail_part;
    int fail_status;          /* 0: the connection is closed instead; -1: no answer, ever */
    const char *fail_body;    /* JSON; NULL: "" */
    const char *fail_headers; /* "Retry-After: 1\r\n"; NULL: none */

    /* The first break_count watches, after break_after events each (bookmarks count). */
    enum kube_break break_kind;
    unsigned break_count;
    unsigned break_after;

    unsigned first_piece_bytes; /* a stream's first chunk has so many; 0: as it comes */
    unsigned piece_bytes;       /* all chunks have so many; 0: as it comes */
    unsigned piece_delay_us;
    unsigned bookmark_ms;   /* time between bookmarks; 0: none but WatchList's own */
    bool repeats_bookmarks; /* each comes three times, once with an older version */
    bool has_no_watch_list; /* sendInitialEvents is refused (422) */
    bool breaks_watch_list; /* or answered by an ERROR 500 in the stream, as with etcd 3.4.23 */
    bool expires_by_http;   /* a version that is too old is 410 by HTTP, not in the stream */
    bool says_too_large;    /* ... or 504 ResourceVersionTooLarge, the first time */
    bool expires_continue;  /* every continue token has expired */
    bool gzips;             /* answers but watches are compressed, for who accepts it */
    unsigned gzip_damages;  /* the first so many of them end in a wrong checksum */
    const char *token;      /* what Authorization: Bearer must say, else 401; NULL: anything */
};

/* is_https: with a certificate of an authority in folder, and a client certificate asked for and
 * checked if one is shown. folder may be NULL for http. */
struct kube_server *kube_server_start(bool is_https, const char *folder);
void kube_server_stop(struct kube_server *s);

/* "http://127.0.0.1:41233"; valid until the stop. */
const char *kube_server_url(const struct kube_server *s);
/* PEM file of the authority; a client certificate and key that it signed (https only). */
const char *kube_server_ca(const struct kube_server *s);
const char *kube_server_client_cert(const struct kube_server *s);
const char *kube_server_client_key(const struct kube_server *s);

/* From now on. Texts are borrowed. */
void kube_server_faults(struct kube_server *s, const struct kube_faults *faults);

/* Creates or replaces the object at path ("/api/v1/namespaces/a/pods/x") by JSON. */
void kube_server_put(struct kube_server *s, const char *path, const char *json);
/* Deletes; fails the test if it is not there. */
void kube_server_delete(struct kube_server *s, const char *path);
/* The object as JSON; NULL: none. The caller frees. */
char *kube_server_get(struct kube_server *s, const char *path);
/* Number of objects of a collection. */
unsigned kube_server_count(struct kube_server *s, const char *collection);

/*
 * From now on requests of this method and path (without its query) whose body has part (NULL: any)
 * are answered by text: what is no object, as logs, reviews and pages behind a proxy. Later pages
 * win. All texts are copied.
 */
void kube_server_page(struct kube_server *s, const char *method, const char *path, const char *part,
                      int status, const char *text);

/* Forgets all history, as etcd's compaction: whoever comes back with an old version gets 410. */
void kube_server_compact(struct kube_server *s);
/* Closes all connections, as a restart does; objects stay. */
void kube_server_drop_connections(struct kube_server *s);

/* Requests so far whose "METHOD /path?query" contains part. */
unsigned kube_server_requests(struct kube_server *s, const char *part);
/* Connections accepted so far. */
unsigned kube_server_connections(struct kube_server *s);
/* Who asked last, by the subject of the client's certificate ("/CN=..."); "" without one. */
void kube_server_last_peer(struct kube_server *s, char out[static 256]);

/* Answers that were compressed so far. */
unsigned kube_server_gzipped(struct kube_server *s);

/* A header of the last request ("User-Agent"), copied to out; "" if it had none. */
void kube_server_last_header(struct kube_server *s, const char *name, char out[static 512]);

#endif
