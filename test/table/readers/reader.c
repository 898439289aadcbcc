/*
 * Reads tables for the tests. A command a line, answered with a line:
 *   open PATH          "open", or "refused"; the table before it is closed
 *   lookup UUID        "found DOMID", "ask" or "invalid", confirmed; by another way also "notFound" and "several"
 *   hint UUID          the same without a confirmation, and without another way
 *   service MS PATH    from now on, the service on this socket is the other way; "service"
 *   own DOMID          from now on, the other way always finds this domid; "own"
 *   retired            "yes" or "no"
 *   storm MS SEED FILE looks up the UUIDs of FILE at random for MS milliseconds; writes 16 bytes for each that was found:
 *                      index in FILE, domid, first and last step of the host; then one with index -1: look-ups made
 * Argument: socket:PATH of a service that confirms, or truth:PATH of the file that a test keeps; see truth.ts.
 * With TABLE_XEN, none: libxenctrl confirms; or xencall: libxencall does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifndef XEN_DOMID_H
#include "xen_domid.h"
#endif

struct truth {
    const volatile uint32_t *words;
};

static int by_truth(void *context, uint32_t domid, uint8_t handle[16])
{
    const struct truth *truth = (const struct truth *)context;
    const volatile uint32_t *record = truth->words + 16 + domid * 8;
    uint32_t before, alive, words[4];
    int at;

    do {
        before = record[0];
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        alive = record[1];
        for (at = 0; at < 4; at++)
            words[at] = record[2 + at];
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    } while ((before & 1) != 0 || record[0] != before);
    memcpy(handle, words, 16);
    return alive == 1;
}

static uint64_t now_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000u + (uint64_t)time.tv_nsec / 1000000u;
}

static void storm(const struct xen_domid *table, struct truth *truth, unsigned ms, uint32_t random,
                  const char *path)
{
    static uint8_t uuids[32768][16];
    char line[64];
    uint32_t count = 0, domid, record[4], lookups = 0;
    uint64_t end = now_ms() + ms;
    FILE *file = fopen(path, "r");

    while (file != NULL && count < 32768 && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        count += (uint32_t)xen_domid_parse(line, uuids[count]);
    }
    if (file != NULL)
        fclose(file);
    while (count > 0 && ((lookups & 255) != 0 || now_ms() < end)) {
        random = random * 1664525u + 1013904223u;
        record[0] = (random >> 8) % count;
        record[2] = truth->words[1];
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        lookups++;
        if (xen_domid_lookup(table, uuids[record[0]], &domid) != XEN_DOMID_FOUND)
            continue;
        record[1] = domid;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        record[3] = truth->words[0];
        fwrite(record, sizeof(record), 1, stdout);
    }
    record[0] = UINT32_MAX;
    record[1] = lookups;
    fwrite(record, sizeof(record), 1, stdout);
}

static int own_way(void *context, const uint8_t uuid[16], uint32_t *domid)
{
    (void)uuid;
    *domid = *(const uint32_t *)context;
    return XEN_DOMID_FOUND;
}

static const char *said(int result, uint32_t domid)
{
    static char text[32];

    switch (result) {
    case XEN_DOMID_FOUND:
        snprintf(text, sizeof(text), "found %u", domid);
        return text;
    case XEN_DOMID_NOT_FOUND:
        return "notFound";
    case XEN_DOMID_SEVERAL:
        return "several";
    case XEN_DOMID_NO_ANSWER:
        return "ask";
    default:
        return "invalid";
    }
}

int main(int argc, char **argv)
{
    static char socket_path[4096];
    struct xen_domid table;
    struct truth truth = { NULL };
    struct xen_domid_service confirming = { NULL, 0 };
    struct xen_domid_service service = { socket_path, 0 };
    uint32_t own = 0;
    xen_domid_confirm confirm = xen_domid_confirm_by_socket;
    xen_domid_otherwise otherwise = NULL;
    void *context = &confirming, *other = NULL;
    char line[4352], word[16], rest[4096], file[4096];
    unsigned ms, seed;
    int result;
    uint8_t uuid[16];
    uint32_t domid = 0;

#ifdef TABLE_XEN
    static struct xen_domid_calls calls;

    if (argc > 1 && strcmp(argv[1], "xencall") == 0) {
        confirm = xen_domid_xencall;
        context = &calls;
        if (xen_domid_calls_open(&calls, xencall_open(NULL, 0)) != 0)
            return 1;
    } else {
        confirm = xen_domid_xc;
        context = xc_interface_open(NULL, NULL, 0);
        if (context == NULL)
            return 1;
    }
#endif
    if (argc > 1 && strncmp(argv[1], "truth:", 6) == 0) {
        int fd = open(argv[1] + 6, O_RDONLY);
        void *map = mmap(NULL, 64 + 32752 * 32, PROT_READ, MAP_SHARED, fd, 0);

        if (map == MAP_FAILED)
            return 1;
        truth.words = (const volatile uint32_t *)map;
        confirm = by_truth;
        context = &truth;
    } else if (argc > 1 && strncmp(argv[1], "socket:", 7) == 0) {
        confirming.path = argv[1] + 7;
    }
    xen_domid_open(&table, "", confirm, context, NULL, NULL);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        word[0] = rest[0] = '\0';
        sscanf(line, "%15s %4095[^\n]", word, rest);
        if (strcmp(word, "open") == 0) {
            xen_domid_close(&table);
            result = xen_domid_open(&table, rest, confirm, context, otherwise, other);
            puts(result == 0 ? "open" : "refused");
        } else if (strcmp(word, "service") == 0 && sscanf(rest, "%d %4095[^\n]", &service.timeout_ms, socket_path) == 2) {
            table.otherwise = otherwise = xen_domid_by_socket;
            table.otherwise_context = other = &service;
            puts("service");
        } else if (strcmp(word, "own") == 0 && sscanf(rest, "%u", &own) == 1) {
            table.otherwise = otherwise = own_way;
            table.otherwise_context = other = &own;
            puts("own");
        } else if (strcmp(word, "lookup") == 0) {
            result = XEN_DOMID_INVALID;
            if (xen_domid_parse(rest, uuid))
                result = xen_domid_lookup(&table, uuid, &domid);
            puts(said(result, domid));
        } else if (strcmp(word, "hint") == 0) {
            result = XEN_DOMID_INVALID;
            if (xen_domid_parse(rest, uuid))
                result = xen_domid_hint(&table, uuid, &domid);
            puts(said(result, domid));
        } else if (strcmp(word, "retired") == 0) {
            puts(xen_domid_retired(&table) ? "yes" : "no");
        } else if (strcmp(word, "storm") == 0 && sscanf(rest, "%u %u %4095[^\n]", &ms, &seed, file) == 3) {
            storm(&table, &truth, ms, seed, file);
        }
        fflush(stdout);
    }
    xen_domid_close(&table);
    return 0;
}
