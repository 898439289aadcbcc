/*
 * Look-ups of one handle in several threads: TABLE SOCKET UUID...; any domid that the table names is confirmed. Prints
 * those found, those that the service found not, and the allocations that the look-ups made.
 */
#include <pthread.h>

#include "xen_domid.h"

#define THREADS 4
#define ROUNDS 200

static struct xen_domid handle;
static uint8_t uuids[16][16];
static int count;
static unsigned allocations, found, not_found;

#ifndef __SANITIZE_THREAD__
/* In place of glibc's, whose own callers come here too. */
extern void *__libc_malloc(size_t size);

void *malloc(size_t size)
{
    __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    return __libc_malloc(size);
}
#endif

/* The test gives each UUID the domid of its first byte. */
static int confirm(void *context, uint32_t domid, uint8_t shown[16])
{
    int at;

    (void)context;
    for (at = 0; at < count; at++)
        if (uuids[at][0] == domid) {
            memcpy(shown, uuids[at], 16);
            return 1;
        }
    return 0;
}

static void *look_up(void *unused)
{
    int round, at;
    uint32_t domid;

    for (round = 0; round < ROUNDS; round++)
        for (at = 0; at < count; at++)
            switch (xen_domid_lookup(&handle, uuids[at], &domid)) {
            case XEN_DOMID_FOUND:
                __atomic_add_fetch(&found, domid == uuids[at][0], __ATOMIC_RELAXED);
                break;
            case XEN_DOMID_NOT_FOUND:
                __atomic_add_fetch(&not_found, 1, __ATOMIC_RELAXED);
                break;
            }
    return unused;
}

int main(int argc, char **argv)
{
    struct xen_domid_service service = { NULL, 0 };
    pthread_t threads[THREADS];
    unsigned before;
    int at;

    if (argc < 4)
        return 1;
    service.path = argv[2];
    for (at = 3; at < argc && count < 16; at++)
        count += xen_domid_parse(argv[at], uuids[count]);
    if (xen_domid_open(&handle, argv[1], confirm, NULL, xen_domid_by_socket, &service) != 0)
        return 1;
    before = allocations;
    look_up(NULL);
    before = allocations - before;
    for (at = 0; at < THREADS; at++)
        if (pthread_create(&threads[at], NULL, look_up, NULL) != 0)
            return 1;
    for (at = 0; at < THREADS; at++)
        pthread_join(threads[at], NULL);
    xen_domid_close(&handle);
    printf("%u found, %u not found, %u allocations\n", found, not_found, before);
    return 0;
}
