/*
 * A host of two domains: 2, and 3, which is dying. Domid 1 is answered as up to Xen 4.17, which shows the next domain;
 * 4 as later: there is none. 5 is not permitted; 6 is refused for the version of the interface. What an error leaves in
 * the request means nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xenctrl.h"

int xc_domctl(xc_interface *xch, struct xen_domctl *domctl)
{
    static const int errors[] = { ESRCH, EPERM, EACCES };
    struct xen_domctl asked;
    uint16_t domid = domctl->domain;

    /* Xen refuses a request with anything else in it. */
    memset(&asked, 0, sizeof(asked));
    asked.cmd = XEN_DOMCTL_getdomaininfo;
    asked.domain = domid;
    if (xch != NULL || memcmp(&asked, domctl, sizeof(asked)) != 0)
        abort();
    domctl->u.getdomaininfo.domain = domid == 1 ? 2 : domid;
    domctl->u.getdomaininfo.flags = domid == 3 ? XEN_DOMINF_dying | 1u << 4 : 1u << 4;
    memset(domctl->u.getdomaininfo.handle, 0xa0 + domid, 16);
    if (domid < 4)
        return 0;
    errno = errors[domid - 4];
    return -1;
}
