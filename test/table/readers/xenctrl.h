/* As much of libxenctrl's header as the reader uses. Like the real one, it names no language: C++ must take it as C. */
#ifndef XENCTRL_H
#define XENCTRL_H

#include <stdint.h>

typedef uint16_t domid_t;
typedef struct xc_interface xc_interface;

#define XEN_DOMCTL_getdomaininfo 5
#define XEN_DOMINF_dying 1u

struct xen_domctl {
    uint32_t cmd;
    uint32_t interface_version;
    domid_t domain;
    uint16_t pad[3];
    union {
        struct {
            domid_t domain;
            uint16_t pad1;
            uint32_t flags;
            uint8_t handle[16];
        } getdomaininfo;
        uint8_t pad[128];
    } u;
};

int xc_domctl(xc_interface *xch, struct xen_domctl *domctl);

#endif
