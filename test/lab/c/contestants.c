/*
 * Resolves UUIDs and handles xenstore's events as toolstacks do without an inventory, and times it. Reads a request a
 * line, answers each with a line. DOMID is the expected domid of a look-up, -1 for none,
 * -2 for any.
 *   lookup HOW UUID DOMID TIMES   lists all domains, looks for the UUID among them
 *   event HOW                     waits for an event of a special watch, then lists all domains
 *   store UUID DOMID TIMES        /local/domain of xenstore, and each domain's vm node until one names the UUID
 *   xl UUID DOMID TIMES           lists all domains, then reads each one's name until one is the UUID
 *   open TABLE SOCKET             the table and the service for `table`; SOCKET "-" for none
 *   table UUID DOMID TIMES        looks up by the table, or by the service if the table has no answer
 *   bare UUID DOMID TIMES         looks at DOMID, as a program does that knows where the UUID is
 *   drop                          forgets all events so far
 *   nothing                       measures the cost of the request itself
 *   write DOMID UUID              the nodes that `store` and `xl` read
 *   erase DOMID                   removes them
 *   gone MS                       lists every MS ms on a thread of its own until `seen`
 *   seen                          ends that; "DOMID NANOSECONDS NANOSECONDS" of each domain that went meanwhile, the
 *                                 moments when it was last there and when it was first missed, then "done"
 *   newcomers MS                  looks every MS ms, on a thread of its own, past the highest domid so far, until `came`
 *   came                          ends that; "DOMID NANOSECONDS" of each new domain, when it was first listed, then "done"
 *   moment                        waits for an event; "NANOSECONDS", when it was read
 *   cpu PID                       "NANOSECONDS" of CPU that the process has taken
 *   move UUID                     on a thread of its own, until `stay`: a new domain with the UUID, at a domid by
 *                                 chance, then the end of the one before, so that there is one at every moment
 *   stay                          ends that, and the last domain; "COUNT" of moves
 * HOW is ROOM and STOP, for example "1024 empty": entries per call, and the end of the list: an empty page, a short page,
 * or "once" for the first call. "2 append" is xenctrl.ml before 4.18: pages of two until a short one, appended from the last.
 * A timed request is answered with "WALL CPU IDLE WRONG CALLS ENTRIES": nanoseconds that it took, of the process's CPU
 * that is, and that the process took between the last answer and this request; wrong answers; hypercalls, or requests
 * to xenstore; entries that hypercalls copied.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/types.h>

#include <xenctrl.h>
#include <xenstore.h>

#include "../../../docs/clients/xen_domid.h"

#define DOMID_END 32752
#define NOBODY (-1)
#define ANYBODY (-2)

enum stop { UNTIL_EMPTY, UNTIL_SHORT, ONCE, APPEND };

struct how {
    unsigned int room;
    enum stop stop;
};

/* An OCaml list. */
struct cell {
    const xc_domaininfo_t *info;
    struct cell *next;
};

static xc_interface *xch;
static struct xs_handle *xs;
static xc_domaininfo_t entries[DOMID_END];
static struct cell cells[2][DOMID_END];
static unsigned long calls, copied;

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static bool parse_uuid(const char *text, uint8_t *handle)
{
    unsigned int byte;

    for (int i = 0; i < 16; i++) {
        if (*text == '-')
            text++;
        if (sscanf(text, "%2x", &byte) != 1)
            return false;
        handle[i] = byte;
        text += 2;
    }
    return true;
}

static bool parse_how(unsigned int room, const char *stop, struct how *how)
{
    static const char *const names[] = { "empty", "short", "once", "append" };

    how->room = room;
    for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!strcmp(stop, names[i])) {
            how->stop = i;
            return room > 0 && room <= DOMID_END + 16;
        }
    return false;
}

/* (list of the rest) @ (list of this page): each append copies all that follows, from the last page to the first. */
static struct cell *append_pages(unsigned int count, unsigned int room)
{
    unsigned int from = 0, page = count ? (count - 1) / room * room : 0;
    struct cell *list = NULL;

    while (count) {
        struct cell *into = cells[from ^= 1], *at = into;
        struct cell **end = &list;
        struct cell *rest = list;

        for (; rest; rest = rest->next) {
            at->info = rest->info;
            *end = at++;
            end = &(*end)->next;
        }
        /* The stub gives a page in reverse. */
        for (unsigned int i = count; i > page; i--) {
            at->info = &entries[i - 1];
            *end = at++;
            end = &(*end)->next;
        }
        *end = NULL;
        count = page;
        page = page >= room ? page - room : 0;
    }
    return list;
}

static unsigned int list(struct how how)
{
    static xc_domaininfo_t *page;
    static unsigned int had;
    unsigned int count = 0;
    uint32_t first = 0;

    if (how.room > had) {
        free(page);
        page = malloc(how.room * sizeof(*page));
        if (!page)
            fail("malloc");
        memset(page, 0xff, how.room * sizeof(*page));
        had = how.room;
    }
    while (first < DOMID_END) {
        int found = xc_domain_getinfolist(xch, first, how.room, page);

        if (found < 0)
            fail("xc_domain_getinfolist");
        calls++;
        copied += found;
        if (found > DOMID_END - (int)count)
            found = DOMID_END - count;
        memcpy(entries + count, page, found * sizeof(*page));
        count += found;
        if (!found || how.stop == ONCE || (how.stop != UNTIL_EMPTY && found < (int)how.room))
            break;
        first = page[found - 1].domain + 1;
    }
    return count;
}

static bool is_it(const xc_domaininfo_t *info, const uint8_t *handle)
{
    return !memcmp(info->handle, handle, 16) && !(info->flags & XEN_DOMINF_dying);
}

static int find_in_list(struct how how, const uint8_t *handle)
{
    unsigned int count = list(how);

    if (how.stop == APPEND) {
        for (struct cell *cell = append_pages(count, how.room); cell; cell = cell->next)
            if (is_it(cell->info, handle))
                return cell->info->domain;
        return NOBODY;
    }
    for (unsigned int i = 0; i < count; i++)
        if (is_it(&entries[i], handle))
            return entries[i].domain;
    return NOBODY;
}

static int find_in_store(const char *uuid)
{
    unsigned int count = 0;
    char **names = xs_directory(xs, XBT_NULL, "/local/domain", &count);
    int found = NOBODY;

    calls++;
    for (unsigned int i = 0; names && i < count && found == NOBODY; i++) {
        char path[64];
        unsigned int length;
        char *vm;

        snprintf(path, sizeof(path), "/local/domain/%s/vm", names[i]);
        vm = xs_read(xs, XBT_NULL, path, &length);
        calls++;
        if (vm && !strncmp(vm, "/vm/", 4) && !strcmp(vm + 4, uuid))
            found = atoi(names[i]);
        free(vm);
    }
    free(names);
    return found;
}

static int find_as_xl(const char *name)
{
    unsigned int count = list((struct how){ 1024, UNTIL_EMPTY });

    for (unsigned int i = 0; i < count; i++) {
        char path[64];
        unsigned int length;
        char *text;
        bool same;

        snprintf(path, sizeof(path), "/local/domain/%u/name", entries[i].domain);
        text = xs_read(xs, XBT_NULL, path, &length);
        calls++;
        same = text && !strcmp(text, name);
        free(text);
        if (same)
            return entries[i].domain;
    }
    return NOBODY;
}

static struct xen_domid table;
static char socket_path[108];
static struct xen_domid_service service = { socket_path, 60000 };

static int confirm_counted(void *context, uint32_t domid, uint8_t handle[16])
{
    calls++;
    copied++;
    return xen_domid_xc(context, domid, handle);
}

static int ask_counted(void *context, const uint8_t uuid[16], uint32_t *domid)
{
    calls++;
    return xen_domid_by_socket(context, uuid, domid);
}

static bool open_table(const char *path)
{
    bool has_service = strcmp(socket_path, "-") != 0;

    xen_domid_close(&table);
    return xen_domid_open(&table, path, confirm_counted, xch, has_service ? ask_counted : NULL, &service) == 0;
}

static int find_in_table(const uint8_t *handle)
{
    uint32_t domid;

    return xen_domid_lookup(&table, handle, &domid) == XEN_DOMID_FOUND ? (int)domid : NOBODY;
}

static int find_at(uint32_t domid, const uint8_t *handle)
{
    calls++;
    copied++;
#ifdef LAB_HAS_GETINFO_SINGLE
    xc_domaininfo_t info;

    return xc_domain_getinfo_single(xch, domid, &info) == 0 && is_it(&info, handle) ? (int)info.domain : NOBODY;
#else
    xc_dominfo_t info;

    return xc_domain_getinfo(xch, domid, 1, &info) == 1 && info.domid == domid && !info.dying &&
                   !memcmp(info.handle, handle, 16)
               ? (int)domid
               : NOBODY;
#endif
}

static void read_event(void)
{
    unsigned int count;
    char **event = xs_read_watch(xs, &count);

    if (!event)
        fail("xs_read_watch");
    free(event);
}

static void drop_events(void)
{
    char **event;

    while ((event = xs_check_watch(xs)))
        free(event);
}

static void write_nodes(unsigned int domid, const char *uuid)
{
    char path[64], vm[64];

    snprintf(path, sizeof(path), "/local/domain/%u/vm", domid);
    snprintf(vm, sizeof(vm), "/vm/%s", uuid);
    if (!xs_write(xs, XBT_NULL, path, vm, strlen(vm)))
        fail("xs_write");
    snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
    if (!xs_write(xs, XBT_NULL, path, uuid, strlen(uuid)))
        fail("xs_write");
}

static void erase_nodes(unsigned int domid)
{
    char path[64];

    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    if (!xs_rm(xs, XBT_NULL, path))
        fail("xs_rm");
}

static struct {
    pthread_t thread;
    unsigned long every_ms;
    volatile bool over;
    xc_domaininfo_t info[DOMID_END];
    /* Moments; 0 for a domain that was not there yet, or not missed yet. */
    uint64_t there[DOMID_END], missed[DOMID_END];
} gone;

static void *watch_gone(void *unused)
{
    xc_interface *own = xc_interface_open(NULL, NULL, 0);
    const struct timespec pause = { gone.every_ms / 1000, gone.every_ms % 1000 * 1000000 };

    (void)unused;
    if (!own)
        fail("xc_interface_open");
    while (!gone.over) {
        uint64_t before = clock_ns(CLOCK_MONOTONIC), after;
        int count = xc_domain_getinfolist(own, 0, 2048, gone.info);
        int at = 0;

        if (count < 0)
            fail("xc_domain_getinfolist");
        after = clock_ns(CLOCK_MONOTONIC);
        for (int domid = 0; domid < DOMID_END; domid++) {
            if (at < count && gone.info[at].domain == domid) {
                gone.there[domid] = before;
                gone.missed[domid] = 0;
                at++;
            } else if (gone.there[domid] && !gone.missed[domid])
                gone.missed[domid] = after;
        }
        nanosleep(&pause, NULL);
    }
    xc_interface_close(own);
    return NULL;
}

static void begin_gone(unsigned long every_ms)
{
    memset(gone.there, 0, sizeof(gone.there));
    memset(gone.missed, 0, sizeof(gone.missed));
    gone.every_ms = every_ms;
    gone.over = false;
    if (pthread_create(&gone.thread, NULL, watch_gone, NULL))
        fail("pthread_create");
    puts("done");
}

static void end_gone(void)
{
    gone.over = true;
    pthread_join(gone.thread, NULL);
    for (int domid = 0; domid < DOMID_END; domid++)
        if (gone.missed[domid])
            printf("%d %" PRIu64 " %" PRIu64 "\n", domid, gone.there[domid], gone.missed[domid]);
    puts("done");
}

#define NEWCOMERS 16

static struct {
    pthread_t thread;
    unsigned long every_ms;
    volatile bool over;
    uint64_t listed[DOMID_END];
} newcomers;

static void *watch_newcomers(void *unused)
{
    xc_interface *own = xc_interface_open(NULL, NULL, 0);
    const struct timespec pause = { newcomers.every_ms / 1000,
                                    newcomers.every_ms % 1000 * 1000000 };
    static xc_domaininfo_t info[NEWCOMERS];
    uint32_t next = 1;

    (void)unused;
    if (!own)
        fail("xc_interface_open");
    while (!newcomers.over) {
        int count = xc_domain_getinfolist(own, next, NEWCOMERS, info);

        if (count < 0)
            fail("xc_domain_getinfolist");
        for (int i = 0; i < count; i++) {
            newcomers.listed[info[i].domain] = clock_ns(CLOCK_MONOTONIC);
            next = info[i].domain + 1;
        }
        nanosleep(&pause, NULL);
    }
    xc_interface_close(own);
    return NULL;
}

static void begin_newcomers(unsigned long every_ms)
{
    memset(newcomers.listed, 0, sizeof(newcomers.listed));
    newcomers.every_ms = every_ms;
    newcomers.over = false;
    if (pthread_create(&newcomers.thread, NULL, watch_newcomers, NULL))
        fail("pthread_create");
    puts("done");
}

static void end_newcomers(void)
{
    newcomers.over = true;
    pthread_join(newcomers.thread, NULL);
    for (int domid = 0; domid < DOMID_END; domid++)
        if (newcomers.listed[domid])
            printf("%d %" PRIu64 "\n", domid, newcomers.listed[domid]);
    puts("done");
}

static struct {
    pthread_t thread;
    volatile bool over;
    unsigned long moves;
    struct xen_domctl_createdomain config;
} moving = {
    .config = {
        .max_vcpus = 1,
        .max_evtchn_port = 1023,
        .max_grant_frames = 4,
#ifdef XEN_DOMCTL_GRANT_version
        .grant_opts = XEN_DOMCTL_GRANT_version(1),
#endif
    },
};

static void *keep_moving(void *unused)
{
    const struct timespec pause = { 0, 1000000 };
    xc_interface *own = xc_interface_open(NULL, NULL, 0);
    uint32_t here = 0, next;

    (void)unused;
    if (!own)
        fail("xc_interface_open");
    do {
        struct xen_domctl_createdomain config = moving.config;

        next = 1 + rand() % (DOMID_END - 1);
        if (xc_domain_create(own, &next, &config))
            continue;
        if (here && xc_domain_destroy(own, here))
            fail("xc_domain_destroy");
        here = next;
        moving.moves++;
        nanosleep(&pause, NULL);
    } while (!moving.over);
    if (xc_domain_destroy(own, here))
        fail("xc_domain_destroy");
    xc_interface_close(own);
    return NULL;
}

static bool begin_moving(const char *uuid)
{
    moving.over = false;
    moving.moves = 0;
    if (!parse_uuid(uuid, moving.config.handle) ||
        pthread_create(&moving.thread, NULL, keep_moving, NULL))
        return false;
    while (*(volatile unsigned long *)&moving.moves == 0)
        ;
    return true;
}

static unsigned long end_moving(void)
{
    moving.over = true;
    pthread_join(moving.thread, NULL);
    return moving.moves;
}

/* The whole process's clock, as clock_getcpuclockid() computes it. */
static uint64_t cpu_of(pid_t pid)
{
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock))
        fail("clock_getcpuclockid");
    return clock_ns(clock);
}

static bool is_wrong(int found, int domid)
{
    return domid == ANYBODY ? found == NOBODY : found != domid;
}

/* Returns false for a request that is not timed. */
static bool timed(const char *line, unsigned long *wrong)
{
    char uuid[40], stop[16];
    unsigned int room;
    int domid;
    unsigned long times;
    struct how how;
    uint8_t handle[16];

    *wrong = 0;
    if (sscanf(line, "lookup %u %15s %39s %d %lu", &room, stop, uuid, &domid, &times) == 5 &&
        parse_how(room, stop, &how) && parse_uuid(uuid, handle))
        for (; times; times--)
            *wrong += is_wrong(find_in_list(how, handle), domid);
    else if (sscanf(line, "event %u %15s", &room, stop) == 2 && parse_how(room, stop, &how)) {
        read_event();
        *wrong = list(how) == 0;
    } else if (sscanf(line, "store %39s %d %lu", uuid, &domid, &times) == 3)
        for (; times; times--)
            *wrong += is_wrong(find_in_store(uuid), domid);
    else if (sscanf(line, "xl %39s %d %lu", uuid, &domid, &times) == 3)
        for (; times; times--)
            *wrong += is_wrong(find_as_xl(uuid), domid);
    else if (sscanf(line, "table %39s %d %lu", uuid, &domid, &times) == 3 && parse_uuid(uuid, handle))
        for (; times; times--)
            *wrong += is_wrong(find_in_table(handle), domid);
    else if (sscanf(line, "bare %39s %d %lu", uuid, &domid, &times) == 3 && parse_uuid(uuid, handle))
        for (; times; times--)
            *wrong += is_wrong(find_at(domid, handle), domid);
    else
        return !strcmp(line, "nothing\n");
    return true;
}

int main(void)
{
    static char line[256];
    uint64_t idle_from = 0;

    xch = xc_interface_open(NULL, NULL, 0);
    xs = xs_open(0);
    if (!xch || !xs || !xs_watch(xs, "@introduceDomain", "introduce") ||
        !xs_watch(xs, "@releaseDomain", "release"))
        fail("contestants");
    /* Their first events say only that they are set. */
    read_event();
    read_event();
    memset(entries, 0xff, sizeof(entries));
    memset(cells, 0xff, sizeof(cells));
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    while (fgets(line, sizeof(line), stdin)) {
        uint64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), wall = clock_ns(CLOCK_MONOTONIC);
        unsigned long wrong, every_ms;
        unsigned int domid;
        char uuid[40], path[108];

        calls = copied = 0;
        if (timed(line, &wrong)) {
            uint64_t wall_took = clock_ns(CLOCK_MONOTONIC) - wall;
            uint64_t cpu_took = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;

            printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %lu %lu %lu\n", wall_took, cpu_took,
                   cpu - idle_from, wrong, calls, copied);
        } else if (!strcmp(line, "drop\n")) {
            drop_events();
            puts("done");
        } else if (sscanf(line, "open %107s %107s", path, socket_path) == 2) {
            puts(open_table(path) ? "done" : "error open");
        } else if (sscanf(line, "write %u %39s", &domid, uuid) == 2) {
            write_nodes(domid, uuid);
            puts("done");
        } else if (sscanf(line, "erase %u", &domid) == 1) {
            erase_nodes(domid);
            puts("done");
        } else if (sscanf(line, "gone %lu", &every_ms) == 1)
            begin_gone(every_ms);
        else if (!strcmp(line, "seen\n"))
            end_gone();
        else if (sscanf(line, "newcomers %lu", &every_ms) == 1)
            begin_newcomers(every_ms);
        else if (!strcmp(line, "came\n"))
            end_newcomers();
        else if (!strcmp(line, "moment\n")) {
            read_event();
            printf("%" PRIu64 "\n", clock_ns(CLOCK_MONOTONIC));
        } else if (sscanf(line, "cpu %u", &domid) == 1)
            printf("%" PRIu64 "\n", cpu_of(domid));
        else if (sscanf(line, "move %39s", uuid) == 1)
            puts(begin_moving(uuid) ? "done" : "error move");
        else if (!strcmp(line, "stay\n"))
            printf("%lu\n", end_moving());
        else
            puts("error usage");
        idle_from = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        fflush(stdout);
    }
    return 0;
}
