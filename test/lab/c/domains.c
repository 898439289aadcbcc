/*
 * Makes, changes and removes domains without a toolstack.
 *   bare [N] [--uuid UUID] [--domid DOMID]   domains unknown to xenstore; prints "DOMID UUID" of each
 *   introduced [N] [--uuid UUID] [--domid DOMID]   the same, with two pages and introduced to xenstore
 *   is-introduced DOMID   prints what xenstored says: true or false
 *   sethandle DOMID UUID
 *   grow DOMID MIB   gives a bare domain this much memory
 *   pause DOMID...   unpause DOMID...   resume DOMID...   destroy DOMID...   destroy-all
 *   shutdown DOMID CODE
 *   hold DOMID   gives the domain one page more, maps it, prints "held", keeps it until stdin ends:
 *                when the domain is destroyed meanwhile, it stays listed as dying
 *   -   takes commands from stdin, one a line, and prints "done" after each: for many commands
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xenctrl.h>
#include <xenforeignmemory.h>
#include <xenguest.h>
#include <xenstore.h>

#define ROOM 32752
#define NO_DOMID 0
/* Unused by a guest's own memory. */
#define HELD_PFN 0xf0000
#define CONSOLE 0
#define XENSTORE 1

/* Exported by every release's libxenguest, but in 4.14's headers as packaged it is not. */
int xc_dom_gnttab_seed(xc_interface *handle, uint32_t guest, bool is_hvm, xen_pfn_t console_gfn,
                       xen_pfn_t xenstore_gfn, uint32_t console_domid, uint32_t xenstore_domid);

static xc_interface *xch;

static void fail(const char *what)
{
    fprintf(stderr, "domains: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void usage(void)
{
    fputs("domains: see the head of domains.c for its commands\n", stderr);
    exit(2);
}

static void parse_uuid(const char *text, uint8_t *handle)
{
    unsigned int byte;

    for (int i = 0; i < 16; i++) {
        if (*text == '-')
            text++;
        if (sscanf(text, "%2x", &byte) != 1)
            usage();
        handle[i] = byte;
        text += 2;
    }
    if (*text)
        usage();
}

static void random_uuid(uint8_t *handle)
{
    static FILE *source;

    if (!source)
        source = fopen("/dev/urandom", "r");
    if (!source || fread(handle, 16, 1, source) != 1)
        fail("/dev/urandom");
    handle[6] = (handle[6] & 0x0f) | 0x40;
    handle[8] = (handle[8] & 0x3f) | 0x80;
}

static uint32_t parse_domid(const char *text)
{
    char *end;
    unsigned long domid = strtoul(text, &end, 10);

    if (*end || end == text || domid >= ROOM)
        usage();
    return domid;
}

/* What a guest's page tables may take on arm, where memory for them is set aside before any other is given. */
#define PAGE_TABLES (16 * 4096)

static uint32_t create(uint32_t domid, const uint8_t *handle)
{
    struct xen_domctl_createdomain config = {
        .max_vcpus = 1,
        .max_evtchn_port = 1023,
        .max_grant_frames = 4,
#ifdef __aarch64__
        .flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
        .arch.gic_version = XEN_DOMCTL_CONFIG_GIC_NATIVE,
#endif
#ifdef XEN_DOMCTL_GRANT_version
        .grant_opts = XEN_DOMCTL_GRANT_version(1),
#endif
    };

    memcpy(config.handle, handle, 16);
    if (xc_domain_create(xch, &domid, &config))
        fail("xc_domain_create");
#ifdef __aarch64__
    if (xc_set_paging_mempool_size(xch, domid, PAGE_TABLES))
        fail("xc_set_paging_mempool_size");
#endif
    return domid;
}

/*
 * Xen does not clear the page. xenstored would answer a request in the old content with an event, and Xen 4.17 crashes
 * on an event to a domain without vCPUs.
 */
static void clear(uint32_t domid, xen_pfn_t page)
{
    static xenforeignmemory_handle *memory;
    void *mapped;

    if (!memory && !(memory = xenforeignmemory_open(NULL, 0)))
        fail("xenforeignmemory_open");
    mapped = xenforeignmemory_map(memory, domid, PROT_READ | PROT_WRITE, 1, &page, NULL);
    if (!mapped)
        fail("xenforeignmemory_map");
    memset(mapped, 0, 4096);
    xenforeignmemory_unmap(memory, mapped, 1);
}

static void introduce(struct xs_handle *xs, uint32_t domid)
{
    xen_pfn_t pages[2] = { CONSOLE, XENSTORE };
    int port;

    /* Xen crashes on an event for a domain without a vCPU: evtchn_2l_set_pending() follows a null pointer. */
    if (xc_domain_max_vcpus(xch, domid, 1))
        fail("xc_domain_max_vcpus");
    if (xc_domain_setmaxmem(xch, domid, 64))
        fail("xc_domain_setmaxmem");
    /* For a PV guest, machine page numbers are returned in place of the guest's. */
    if (xc_domain_populate_physmap_exact(xch, domid, 2, 0, 0, pages))
        fail("xc_domain_populate_physmap_exact");
    clear(domid, pages[XENSTORE]);
    if (xc_dom_gnttab_seed(xch, domid, false, pages[CONSOLE], pages[XENSTORE], 0, 0))
        fail("xc_dom_gnttab_seed");
    port = xc_evtchn_alloc_unbound(xch, domid, 0);
    if (port < 0)
        fail("xc_evtchn_alloc_unbound");
    if (!xs_introduce_domain(xs, domid, pages[XENSTORE], port))
        fail("xs_introduce_domain");
}

static void make(int argc, char **argv, bool introduced)
{
    struct xs_handle *xs = NULL;
    const char *uuid = NULL;
    uint32_t wanted = NO_DOMID;
    long count = 1;

    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--uuid") && i + 1 < argc)
            uuid = argv[++i];
        else if (!strcmp(argv[i], "--domid") && i + 1 < argc)
            wanted = parse_domid(argv[++i]);
        else if ((count = strtol(argv[i], NULL, 10)) < 1)
            usage();
    }
    if (introduced && !(xs = xs_open(0)))
        fail("xs_open");
    while (count-- > 0) {
        uint8_t handle[16];
        uint32_t domid;

        if (uuid)
            parse_uuid(uuid, handle);
        else
            random_uuid(handle);
        domid = create(wanted, handle);
        if (xs)
            introduce(xs, domid);
        printf("%u ", domid);
        for (int i = 0; i < 16; i++)
            printf("%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", handle[i]);
        putchar('\n');
        if (wanted)
            wanted++;
    }
    if (xs)
        xs_close(xs);
}

static void introduce_each(int argc, char **argv)
{
    struct xs_handle *xs = xs_open(0);

    if (argc < 1)
        usage();
    if (!xs)
        fail("xs_open");
    for (int i = 0; i < argc; i++)
        introduce(xs, parse_domid(argv[i]));
    xs_close(xs);
}

static void grow(uint32_t domid, unsigned long mib)
{
    const unsigned int order = 9;

    if (xc_domain_setmaxmem(xch, domid, (mib + 1) * 1024))
        fail("xc_domain_setmaxmem");
    for (xen_pfn_t page = 0; page < mib << 8; page += 1 << order) {
        xen_pfn_t extent = page;

        if (xc_domain_populate_physmap_exact(xch, domid, 1, order, 0, &extent))
            fail("xc_domain_populate_physmap_exact");
    }
}

static void is_introduced(uint32_t domid)
{
    struct xs_handle *xs = xs_open(0);

    if (!xs)
        fail("xs_open");
    puts(xs_is_domain_introduced(xs, domid) ? "true" : "false");
    xs_close(xs);
}

static int resume(xc_interface *handle, uint32_t domid)
{
    /* xc_domain_resume would write into the guest's memory, but a bare domain has none. */
    struct xen_domctl domctl = { .cmd = XEN_DOMCTL_resumedomain, .domain = domid };

    return xc_domctl(handle, &domctl);
}

static int destroy(xc_interface *handle, uint32_t domid)
{
    return xc_domain_destroy(handle, domid);
}

static void each(int argc, char **argv, const char *what, int (*change)(xc_interface *, uint32_t))
{
    if (argc < 1)
        usage();
    for (int i = 0; i < argc; i++)
        if (change(xch, parse_domid(argv[i])))
            fail(what);
}

static void destroy_all(void)
{
    xc_domaininfo_t *list = calloc(ROOM, sizeof(*list));
    int found = list ? xc_domain_getinfolist(xch, 1, ROOM, list) : -1;

    if (found < 0)
        fail("xc_domain_getinfolist");
    for (int i = 0; i < found; i++)
        if (!(list[i].flags & XEN_DOMINF_dying) && xc_domain_destroy(xch, list[i].domain))
            fail("xc_domain_destroy");
    free(list);
}

static void hold(uint32_t domid)
{
    xenforeignmemory_handle *memory = xenforeignmemory_open(NULL, 0);
    xc_domaininfo_t info;
    xen_pfn_t page = HELD_PFN;
    void *mapped;
    char byte;

    if (!memory)
        fail("xenforeignmemory_open");
    if (xc_domain_getinfolist(xch, domid, 1, &info) != 1 || info.domain != domid) {
        errno = ESRCH;
        fail("xc_domain_getinfolist");
    }
    if (xc_domain_setmaxmem(xch, domid, (info.tot_pages + info.outstanding_pages + 1) * 4 + 1024))
        fail("xc_domain_setmaxmem");
    if (xc_domain_populate_physmap_exact(xch, domid, 1, 0, 0, &page))
        fail("xc_domain_populate_physmap_exact");
    mapped = xenforeignmemory_map(memory, domid, PROT_READ, 1, &page, NULL);
    if (!mapped)
        fail("xenforeignmemory_map");
    puts("held");
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    xenforeignmemory_unmap(memory, mapped, 1);
    xenforeignmemory_close(memory);
}

static void run(int argc, char **argv)
{
    const char *command = argc > 0 ? argv[0] : "";
    int left = argc - 1;
    char **rest = argv + 1;

    if (!strcmp(command, "bare"))
        make(left, rest, false);
    else if (!strcmp(command, "introduced"))
        make(left, rest, true);
    else if (!strcmp(command, "introduce"))
        introduce_each(left, rest);
    else if (!strcmp(command, "is-introduced") && left == 1)
        is_introduced(parse_domid(rest[0]));
    else if (!strcmp(command, "grow") && left == 2)
        grow(parse_domid(rest[0]), strtoul(rest[1], NULL, 10));
    else if (!strcmp(command, "sethandle") && left == 2) {
        xen_domain_handle_t handle;

        parse_uuid(rest[1], handle);
        if (xc_domain_sethandle(xch, parse_domid(rest[0]), handle))
            fail("xc_domain_sethandle");
    } else if (!strcmp(command, "pause"))
        each(left, rest, "xc_domain_pause", xc_domain_pause);
    else if (!strcmp(command, "unpause"))
        each(left, rest, "xc_domain_unpause", xc_domain_unpause);
    else if (!strcmp(command, "resume"))
        each(left, rest, "XEN_DOMCTL_resumedomain", resume);
    else if (!strcmp(command, "destroy"))
        each(left, rest, "xc_domain_destroy", destroy);
    else if (!strcmp(command, "destroy-all"))
        destroy_all();
    else if (!strcmp(command, "shutdown") && left == 2) {
        if (xc_domain_shutdown(xch, parse_domid(rest[0]), atoi(rest[1])))
            fail("xc_domain_shutdown");
    } else if (!strcmp(command, "hold") && left == 1)
        hold(parse_domid(rest[0]));
    else
        usage();
}

static void run_from_stdin(void)
{
    static char line[65536];
    static char *words[8192];

    while (fgets(line, sizeof(line), stdin)) {
        int count = 0;

        for (char *word = strtok(line, " \n"); word && count < 8192; word = strtok(NULL, " \n"))
            words[count++] = word;
        run(count, words);
        puts("done");
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    xch = xc_interface_open(NULL, NULL, 0);
    if (!xch)
        return 1;
    if (argc == 2 && !strcmp(argv[1], "-"))
        run_from_stdin();
    else
        run(argc - 1, argv + 1);
    xc_interface_close(xch);
    return 0;
}
