/*
 * Times libxenctrl. Reads one request per line and answers with one line, so that a caller can alternate with it:
 *   single DOMID TIMES   looks at one domain, by xc_domain_getinfo (up to 4.17) or xc_domain_getinfo_single
 *       -> "single NANOSECONDS TIMES FOUND"    FOUND: how many looks showed that very domain
 *   list ROOM TIMES      lists all domains with room for ROOM a call
 *       -> "list NANOSECONDS TIMES CALLS ENTRIES stop=STOP"    CALLS and ENTRIES of one list;
 *          STOP: whether a call not filled ("short") or an empty one ("empty") ended the list
 *   raw DOMID TIMES and rawlist TIMES
 *       -> the same by xencall1 alone, on memory allocated once: the least cost of any caller.
 *          "raw NANOSECONDS TIMES FOUND", "rawlist NANOSECONDS TIMES ENTRIES"
 * Memory of the result is taken once for each ROOM and touched before the clock starts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xencall.h>
#include <xenctrl.h>
#include <xen/sysctl.h>

#define DOMID_END 32752

static xc_interface *xch;

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static int shows(uint32_t domid)
{
#ifdef LAB_HAS_GETINFO_SINGLE
    xc_domaininfo_t info;

    return xc_domain_getinfo_single(xch, domid, &info) == 0 && info.domain == domid;
#else
    xc_dominfo_t info;

    return xc_domain_getinfo(xch, domid, 1, &info) == 1 && info.domid == domid;
#endif
}

static void single(uint32_t domid, unsigned long times)
{
    unsigned long found = 0;
    uint64_t start = now();

    for (unsigned long i = 0; i < times; i++)
        found += shows(domid);
    printf("single %" PRIu64 " %lu %lu\n", now() - start, times, found);
}

static void list(unsigned int room, unsigned long times)
{
    static xc_domaininfo_t *entries;
    static unsigned int had;
    unsigned long calls = 0, total = 0;
    const char *stop = "none";
    uint64_t start;

    if (room != had) {
        free(entries);
        entries = malloc(room * sizeof(*entries));
        had = entries ? room : 0;
        if (!entries) {
            puts("error no memory");
            return;
        }
        memset(entries, 0xff, room * sizeof(*entries));
    }
    start = now();
    for (unsigned long i = 0; i < times; i++) {
        uint32_t first = 0;

        calls = total = 0;
        for (;;) {
            int found = first < DOMID_END ? xc_domain_getinfolist(xch, first, room, entries) : 0;

            if (found < 0) {
                puts("error xc_domain_getinfolist");
                return;
            }
            calls += first < DOMID_END;
            total += found;
            if (found < (int)room) {
                stop = found ? "short" : "empty";
                break;
            }
            first = entries[found - 1].domain + 1;
        }
    }
    printf("list %" PRIu64 " %lu %lu %lu stop=%s\n", now() - start, times, calls, total, stop);
}

static xencall_handle *raw_handle;

static void *raw_memory(size_t size)
{
    void *memory;

    if (!raw_handle && !(raw_handle = xencall_open(NULL, 0)))
        return NULL;
    memory = xencall_alloc_buffer_pages(raw_handle, (size + 4095) / 4096);
    return memory;
}

static void raw(uint32_t domid, unsigned long times)
{
    static struct xen_domctl *domctl;
    unsigned long found = 0;
    uint64_t start;

    if (!domctl && !(domctl = raw_memory(sizeof(*domctl)))) {
        puts("error no memory");
        return;
    }
    start = now();
    for (unsigned long i = 0; i < times; i++) {
        domctl->cmd = XEN_DOMCTL_getdomaininfo;
        domctl->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
        domctl->domain = domid;
        found += xencall1(raw_handle, __HYPERVISOR_domctl, (uintptr_t)domctl) == 0 &&
                 domctl->u.getdomaininfo.domain == domid;
    }
    printf("raw %" PRIu64 " %lu %lu\n", now() - start, times, found);
}

static void rawlist(unsigned long times)
{
    static struct xen_sysctl *sysctl;
    static xc_domaininfo_t *entries;
    uint64_t start;

    if (!sysctl && (!(sysctl = raw_memory(sizeof(*sysctl))) ||
                    !(entries = raw_memory(DOMID_END * sizeof(*entries))))) {
        puts("error no memory");
        return;
    }
    start = now();
    for (unsigned long i = 0; i < times; i++) {
        sysctl->cmd = XEN_SYSCTL_getdomaininfolist;
        sysctl->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
        sysctl->u.getdomaininfolist.first_domain = 0;
        sysctl->u.getdomaininfolist.max_domains = DOMID_END;
        set_xen_guest_handle_raw(sysctl->u.getdomaininfolist.buffer, entries);
        if (xencall1(raw_handle, __HYPERVISOR_sysctl, (uintptr_t)sysctl)) {
            puts("error xencall1");
            return;
        }
    }
    printf("rawlist %" PRIu64 " %lu %u\n", now() - start, times,
           sysctl->u.getdomaininfolist.num_domains);
}

int main(void)
{
    char line[128];
    unsigned long first, second;

    xch = xc_interface_open(NULL, NULL, 0);
    if (!xch)
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof(line), stdin)) {
        if (sscanf(line, "single %lu %lu", &first, &second) == 2 && second > 0)
            single(first, second);
        else if (sscanf(line, "list %lu %lu", &first, &second) == 2 && first > 0 && second > 0)
            list(first, second);
        else if (sscanf(line, "raw %lu %lu", &first, &second) == 2 && second > 0)
            raw(first, second);
        else if (sscanf(line, "rawlist %lu", &first) == 1 && first > 0)
            rawlist(first);
        else
            puts("error usage");
    }
    return 0;
}
