/* The reader of tables of the tests, with libxenctrl to confirm: `open`, `lookup`, `hint` and `retired` of its commands. */
#define TABLE_XENCTRL
#define XEN_DOMID_XENCTRL
#include "../../../docs/clients/xen_domid.h"
#include "../../table/readers/reader.c"
