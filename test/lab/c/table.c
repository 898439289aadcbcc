/* The reader of tables of the tests, with libxenctrl to confirm, or with the argument `xencall` libxencall. */
#define TABLE_XEN
#define XEN_DOMID_XENCTRL
#define XEN_DOMID_XENCALL
#include "../../../docs/clients/xen_domid.h"
#include "../../table/readers/reader.c"
