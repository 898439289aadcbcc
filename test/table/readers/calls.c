/* What xen_domid_xencall makes of the host of `xencall.c`, alone, within its own hypercalls, and in several threads. */
#define XEN_DOMID_XENCALL
#include "xen_domid.h"

#include <pthread.h>
#include <sched.h>

#define THREADS 8
#define ROUNDS 500

static struct xencall_handle xencall;
static struct xen_domid_calls calls;
static unsigned confirmed, others;

static void try_version(uint32_t version)
{
    int error;

    memset(&xencall, 0, sizeof(xencall));
    xencall.version = version;
    error = xen_domid_calls_open(&calls, &xencall);
    printf("version %u: %s\n", (unsigned)version, error == 0 ? "open" : strerror(error));
    xen_domid_calls_close(&calls);
    xen_domid_calls_close(&calls);
}

static void try_failure(const char *what, xencall_handle *handle)
{
    uint8_t shown[16];
    int error = xen_domid_calls_open(&calls, handle);

    printf("%s: %s, %d\n", what, error == 0 ? "open" : strerror(error), xen_domid_xencall(&calls, 2, shown));
    xen_domid_calls_close(&calls);
}

static void look(uint32_t domid)
{
    uint8_t shown[16];
    unsigned *count = &others;

    memset(shown, 0, sizeof(shown));
    if (xen_domid_xencall(&calls, domid, shown) == 1 && shown[0] == domid && shown[15] == domid)
        count = &confirmed;
    __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
}

static void look_deeper(void)
{
    static uint32_t depth;

    if (depth++ < XEN_DOMID_CALLS)
        look(100 + depth);
}

static void yield(void)
{
    sched_yield();
}

static void *look_up(void *number)
{
    int round;

    for (round = 0; round < ROUNDS; round++)
        look(100 + (uint32_t)(uintptr_t)number);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    uintptr_t number;
    uint32_t domid;
    uint8_t shown[16];

    for (domid = 0; domid < 0x20; domid++)
        try_version(domid);
    xencall.version = 0x15;
    xencall.error = ESRCH;
    try_failure("no domain 0", &xencall);
    xencall.error = EPERM;
    try_failure("no control domain", &xencall);
    xencall.error = EACCES;
    try_failure("denied", &xencall);
    try_failure("no libxencall", NULL);
    xencall.error = 0;
    xencall.has_no_memory = 1;
    try_failure("no memory", &xencall);
    xencall.has_no_memory = 0;
    printf("%u buffers are left\n", xencall.buffers);

    if (xen_domid_calls_open(&calls, &xencall) != 0)
        return 1;
    xencall.allocations = 0;
    for (domid = 1; domid <= 4; domid++) {
        int result;

        memset(shown, 0, sizeof(shown));
        result = xen_domid_xencall(&calls, domid, shown);
        printf("%u: %d, handle %02x to %02x\n", (unsigned)domid, result, shown[0], shown[15]);
    }
    xencall.meanwhile = look_deeper;
    look(100);
    printf("within each other: %u confirmed, %u not\n", confirmed, others);
    confirmed = others = 0;
    xencall.meanwhile = yield;
    for (number = 0; number < THREADS; number++)
        if (pthread_create(&threads[number], NULL, look_up, (void *)number) != 0)
            return 1;
    for (number = 0; number < THREADS; number++)
        pthread_join(threads[number], NULL);
    printf("in threads: %u confirmed, %u not\n", confirmed, others);
    printf("%u allocations\n", xencall.allocations);
    xen_domid_calls_close(&calls);
    return 0;
}
