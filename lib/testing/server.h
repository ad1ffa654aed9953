/*
 * Child processes and real servers for tests: spawned with a log file, waited for with a deadline,
 * ended by their pid. Every child carries PR_SET_PDEATHSIG, so that none outlives a test that
 * crashes (the signal follows the thread that started it: start children on the main thread).
 *
 * Functions that cannot fail in a healthy test fail the test (cmocka) and say why, with the end of
 * the child's log. Servers listen on 127.0.0.1 with ports from the kernel.
 */
#ifndef WALFERRY_LIB_TESTING_SERVER_H
#define WALFERRY_LIB_TESTING_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/base.h"

/* ---- processes ---- */

struct test_process {
    pid_t pid;  /* 0: none */
    int status; /* exit status; 128 + signal; -1 while it runs */
    char log_path[320];
};

#define TEST_PROCESS_INIT {.status = -1}

/*
 * Starts argv[0] (looked up in PATH) with standard output and error in log_path and an empty
 * standard input.
 *
 * env  NULL: this process's; else "NAME=value" entries added to it, NULL at the end. An entry
 *      "NAME" without '=' removes the variable
 */
void test_process_start(struct test_process *p, const char *const *argv, const char *const *env,
                        const char *log_path);

/* True when it ended within the deadline; its status is then in p->status. 0: just look. */
bool test_process_wait(struct test_process *p, uint64_t deadline_ns);

/* Sends a signal. Harmless if it has ended. */
void test_process_signal(struct test_process *p, int signal);

/* SIGTERM, after 5 s SIGKILL, and waits. Harmless if it has ended or never began: for CLEANUP. */
void test_process_stop(struct test_process *p);

/* What it printed so far, terminated; at most the last MiB. The caller frees. */
char *test_process_output(const struct test_process *p);

/*
 * Runs argv to its end and fails the test unless it exits with wanted_status within the deadline.
 * Answers its output; the caller frees.
 */
char *test_process_run(const char *const *argv, const char *const *env, const char *log_path,
                       uint64_t deadline_ns, int wanted_status);

/* A TCP port of 127.0.0.1 that was free a moment ago. */
unsigned test_port_free(void);

/* True once 127.0.0.1:port accepts a connection; false at the deadline or when p (may be NULL) has
 * ended. */
bool test_port_wait(unsigned port, struct test_process *p, uint64_t deadline_ns);

/* Looks at is_true every 2 ms until it answers true (true) or the deadline has passed (false). */
bool test_wait_until(bool (*is_true)(void *arg), void *arg, uint64_t deadline_ns);

/*
 * Path of a test peer ("versitygw", "litestream") in $WALFERRY_PEERS, or walferry/bin below
 * $XDG_CACHE_HOME or ~/.cache. False if it is not there (out then holds where it was looked for):
 * skip with that reason; `make peers` builds them.
 */
bool test_peer_path(const char *name, char out[static 256]);

/* ---- a private certificate authority ---- */

/* Paths of PEM files made by test_tls_make(). */
struct test_tls {
    char ca_path[320];          /* certificate of the authority: what a client trusts */
    char server_cert_path[320]; /* for 127.0.0.1, ::1, localhost and *.s3.localhost, for a day */
    char server_key_path[320];
};

/* Makes an authority and a server certificate (P-256) in folder with the openssl command. */
void test_tls_make(struct test_tls *tls, const char *folder);

/* ---- versitygw: an S3 server on a folder ---- */

/* How a server is reached; any number of them. */
enum test_s3_way {
    TEST_S3_PLAIN = 0,
    TEST_S3_TLS = 1,
    TEST_S3_HTTP2 = 2,        /* over TLS: nghttpx speaks for versitygw, which has no HTTP/2 */
    TEST_S3_VIRTUAL_HOST = 4, /* buckets are names below s3.localhost, which is loopback */
};

struct test_s3 {
    struct test_process process;
    struct test_process front; /* nghttpx, with TEST_S3_HTTP2 */
    unsigned port;
    unsigned ways; /* enum test_s3_way */
    bool is_https;
    char endpoint[64]; /* "http://127.0.0.1:41233", "https://s3.localhost:41233" */
    char access_key[32];
    char secret_key[48];
    char region[16];           /* "us-east-1" */
    char folder[256];          /* everything of the server; objects are files in folder/data */
    char access_log_path[320]; /* one line a request */
    char front_log_path[320];  /* the same by nghttpx: 'GET /bucket/key HTTP/2 200' */
    struct test_tls tls;       /* if is_https */
};

/*
 * Starts a server with its files in folder (which must exist) and waits until it answers.
 *
 * ways  enum test_s3_way; over TLS with a certificate of an authority made for it (tls.ca_path)
 *
 * False if a program is not there: the reason is printed, the caller skips.
 */
bool test_s3_start(struct test_s3 *s3, const char *folder, unsigned ways);

/* Creates a bucket (a folder of the server). */
void test_s3_bucket_make(const struct test_s3 *s3, const char *bucket);

/* Path of the file behind an object, to damage or look at it. */
void test_s3_object_path(const struct test_s3 *s3, const char *bucket, const char *key,
                         char out[static 1024]);

/* Number of lines of the access log that contain part ("" counts all requests). */
unsigned test_s3_request_count(const struct test_s3 *s3, const char *part);

/* The same of the log of nghttpx. */
unsigned test_s3_front_count(const struct test_s3 *s3, const char *part);

/* Starts a server that has ended once more, with its port and its files; waits until it answers. */
void test_s3_restart(struct test_s3 *s3);

/* Ends the server. Accepts one that was never started (zeroed). */
void test_s3_stop(struct test_s3 *s3);

#endif
