/* What xen_domid_xc makes of the answers of the hypercall; `confirm_xen.c` answers it. Prints a line for each domid. */
#define XEN_DOMID_XENCTRL
#include "xen_domid.h"

int main(void)
{
    uint32_t domid;
    uint8_t handle[16];

    for (domid = 1; domid <= 6; domid++) {
        int result;

        memset(handle, 0, sizeof(handle));
        result = xen_domid_xc(NULL, domid, handle);
        printf("%u: %d, handle %02x to %02x\n", (unsigned)domid, result, handle[0], handle[15]);
    }
    return 0;
}
