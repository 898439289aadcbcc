/* Times the search for entries of a table: FILE, then UUIDs on standard input. Prints nanoseconds of the processor a search, and those found. */
#include <stdio.h>
#include <time.h>

#include "../docs/clients/xen_domid.h"

#define SEARCHES 4000000u

static uint8_t uuids[32752][16];

static double now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int main(int argc, char **argv)
{
    struct xen_domid table;
    uint32_t count = 0, domid, found = 0, random = 1, search;
    char line[64];
    double began;

    if (argc < 2 || xen_domid_open(&table, argv[1], NULL, NULL, NULL, NULL) != 0)
        return 1;
    while (count < 32752 && fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        count += (uint32_t)xen_domid_parse(line, uuids[count]);
    }
    if (count == 0)
        return 1;
    began = now_ns();
    for (search = 0; search < SEARCHES; search++) {
        random = random * 1664525u + 1013904223u;
        found += xen_domid_hint(&table, uuids[(random >> 8) % count], &domid) == XEN_DOMID_FOUND;
    }
    printf("%.1f %.5f\n", (now_ns() - began) / SEARCHES, (double)found / SEARCHES);
    xen_domid_close(&table);
    return 0;
}
