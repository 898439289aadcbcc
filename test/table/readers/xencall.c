/*
 * A host: domids 2, 3 (dying), and 100 and above. Domid 1 is answered as up to Xen 4.17, which shows the next domain; 4
 * as later: there is none. The bytes of a handle are the domid. The test defines the numbers of the interface.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xencall.h"

static int refuse(int error)
{
    errno = error;
    return -1;
}

int xencall1(xencall_handle *xcall, unsigned int op, uint64_t arg1)
{
    unsigned char *domctl = (unsigned char *)(uintptr_t)arg1;
    unsigned char *info = domctl + AT_INFO;
    uint32_t command, version, flags = 1u << 4;
    uint16_t domid;

    memcpy(&command, domctl + AT_CMD, sizeof(command));
    memcpy(&version, domctl + AT_VERSION, sizeof(version));
    memcpy(&domid, domctl + AT_DOMAIN, sizeof(domid));
    if (op != HYPERCALL_DOMCTL || command != GETDOMAININFO)
        abort();
    if (version != xcall->version)
        return refuse(EACCES);
    if (xcall->error != 0)
        return refuse(xcall->error);
    if (domid == 4)
        return refuse(ESRCH);
    if (domid == 1)
        domid = 2;
    if (domid == 3)
        flags |= DYING;
    memset(info, 0xff, DOMCTL_BYTES - AT_INFO);
    memcpy(info + AT_INFO_DOMAIN, &domid, sizeof(domid));
    memcpy(info + AT_INFO_FLAGS, &flags, sizeof(flags));
    memset(info + AT_INFO_HANDLE, domid, 16);
    if (xcall->meanwhile != NULL)
        xcall->meanwhile();
    return 0;
}

void *xencall_alloc_buffer(xencall_handle *xcall, size_t size)
{
    if (xcall->has_no_memory)
        return NULL;
    xcall->buffers++;
    xcall->allocations++;
    return malloc(size);
}

void xencall_free_buffer(xencall_handle *xcall, void *p)
{
    xcall->buffers--;
    free(p);
}
