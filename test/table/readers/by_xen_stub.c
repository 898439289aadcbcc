/* by_xen.ml: the handle of a domain that is not dying, or an empty string. */
#define CAML_NAME_SPACE
#include <caml/alloc.h>
#include <caml/mlvalues.h>

#define XEN_DOMID_XENCTRL
#include "xen_domid.h"

value by_xen(value domid)
{
    static xc_interface *xch;
    uint8_t handle[16];

    if (xch == NULL)
        xch = xc_interface_open(NULL, NULL, 0);
    if (xch == NULL || xen_domid_xc(xch, (uint32_t)Long_val(domid), handle) != 1)
        return caml_alloc_string(0);
    return caml_alloc_initialized_string(16, (const char *)handle);
}
