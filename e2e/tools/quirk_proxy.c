/*
 * The proxy of lib/testing/quirk_proxy.h as a program, for scripts:
 *
 *   quirk_proxy STORE_PORT        prints "ok PORT", where it listens on 127.0.0.1
 *
 * Each line of standard input is an order, answered by "ok ..." or "error ...":
 *
 *   QUIRK [TIMES [METHOD [PART [PASS [EACH]]]]]
 *                        TIMES requests (0: all) suffer, only each EACH-th (0: all) of those that
 *                        fit, after PASS that do not; METHOD and PART "-": any
 *   none                 no more quirks, no more chance
 *   chance ONE_OF SEED   one request of so many suffers some quirk
 *   strike N QUIRK       request N from now on; counts begin again
 *   count                ok REQUESTS SUFFERED
 *
 * End of input ends it.
 */
#include "lib/testing/quirk_proxy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/testing/test.h"

static bool order_count(struct quirk_proxy *p, const char *line)
{
    uint64_t a = 0;
    uint64_t b = 0;
    char name[QUIRK_TEXT_BYTES] = "";

    if (strcmp(line, "count\n") == 0) {
        (void)printf("ok %" PRIu64 " %" PRIu64 "\n", quirk_proxy_requests(p),
                     quirk_proxy_suffered(p));
        return true;
    }
    if (sscanf(line, "chance %" SCNu64 " %" SCNu64, &a, &b) == 2) {
        quirk_proxy_chance(p, a, b);
    } else if (sscanf(line, "strike %" SCNu64 " %63s", &a, name) == 2 &&
               quirk_of_name(name) != QUIRKS) {
        quirk_proxy_strike(p, a, quirk_of_name(name));
    } else {
        return false;
    }
    (void)printf("ok\n");
    return true;
}

static bool order_rule(struct quirk_proxy *p, const char *line)
{
    struct quirk_rule rule = {.times = 0};
    char name[QUIRK_TEXT_BYTES] = "";

    if (sscanf(line, "%63s %" SCNu64 " %63s %63s %" SCNu64 " %" SCNu64, name, &rule.times,
               rule.method, rule.part, &rule.pass_count, &rule.each) < 1)
        return false;
    rule.quirk = quirk_of_name(name);
    if (rule.quirk == QUIRKS)
        return false;
    if (strcmp(rule.method, "-") == 0)
        rule.method[0] = '\0';
    if (strcmp(rule.part, "-") == 0)
        rule.part[0] = '\0';
    quirk_proxy_set(p, &rule);
    if (rule.quirk == QUIRK_NONE)
        quirk_proxy_chance(p, 0, 0);
    (void)printf("ok\n");
    return true;
}

int main(int argc, char **argv)
{
    static struct quirk_proxy proxy;
    char line[512];
    unsigned long port = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;

    if (port == 0 || port > UINT16_MAX) {
        (void)fprintf(stderr, "usage: quirk_proxy STORE_PORT\n");
        return 2;
    }
    quirk_proxy_start(&proxy, (uint16_t)port);
    (void)printf("ok %u\n", proxy.port);
    (void)fflush(stdout); /* the reader notices a lost line */
    while (fgets(line, sizeof(line), stdin)) {
        if (!order_count(&proxy, line) && !order_rule(&proxy, line))
            (void)printf("error %s", line);
        (void)fflush(stdout); /* as above */
    }
    quirk_proxy_stop(&proxy);
    return 0;
}
