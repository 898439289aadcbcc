/*
 * Finds the domid of a VM by its UUID, for the price of one hypercall: reads the table that `xen-domid serve` keeps, and
 * confirms the domid that it names. The format is described in docs/table.md.
 *
 *   struct xen_domid_table table;
 *   xen_domid_open(&table, XEN_DOMID_PATH);                 once; a failure only makes every answer XEN_DOMID_ASK
 *   if (xen_domid_lookup(&table, uuid, xen_domid_xc, xch, &domid) == XEN_DOMID_FOUND)
 *       ...                                                 domid had this UUID, and was not dying, at one moment of the call
 *   else
 *       ...                                                 no answer, NOT "no such VM": ask the service, or list all domains
 *
 * C99 or C++, Linux. Look-ups allocate nothing, take no lock, and may run in several threads at once; open and close may
 * not run at the same time as them. With libxenctrl: include <xenctrl.h> first, or define XEN_DOMID_XENCTRL, and
 * xen_domid_xc confirms. With libxencall or anything else: write a confirming function.
 */
#ifndef XEN_DOMID_H
#define XEN_DOMID_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef XEN_DOMID_XENCTRL
#include <xenctrl.h>
#endif

#define XEN_DOMID_PATH "/run/xen-domid/domids"

enum {
    /* The UUID names no VM: nil, or a tombstone (deadbeef-dead-beef-dead-beef0000....). */
    XEN_DOMID_INVALID = -1,
    /* The table has no answer: ask the service, or in another way. It does not mean that there is no such VM. */
    XEN_DOMID_ASK = 0,
    XEN_DOMID_FOUND = 1
};

/* Zeroes, as { 0 } or memset writes them, are a table that answers XEN_DOMID_ASK. */
struct xen_domid_table {
    const volatile unsigned char *map;
    size_t size;
    uint32_t header_bytes, buckets, bucket_bytes, slots;
};

/*
 * Makes a hypercall that shows one domain. Returns 1 if the hypervisor shows a domain with exactly this domid, and it is
 * not dying, and then writes its handle; 0 for anything else, errors included.
 */
typedef int (*xen_domid_confirm)(void *context, uint32_t domid, uint8_t handle[16]);

static inline uint32_t xen_domid_u32_(const volatile unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint32_t xen_domid_stir_(uint32_t hash, const uint8_t *uuid)
{
    hash = (hash ^ xen_domid_u32_(uuid)) * 0x9e3779b1u;
    return hash ^ hash >> 15;
}

static inline uint32_t xen_domid_hash_(const uint8_t uuid[16])
{
    uint32_t hash = 0;
    int at;

    for (at = 0; at < 16; at += 4)
        hash = xen_domid_stir_(hash, uuid + at);
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

static inline int xen_domid_names_no_vm_(const uint8_t uuid[16])
{
    static const uint8_t nil[16] = { 0 };
    static const uint8_t tombstone[14] = { 0xde, 0xad, 0xbe, 0xef, 0xde, 0xad, 0xbe,
                                           0xef, 0xde, 0xad, 0xbe, 0xef, 0x00, 0x00 };

    return memcmp(uuid, nil, sizeof(nil)) == 0 || memcmp(uuid, tombstone, sizeof(tombstone)) == 0;
}

/* Maps the table. Returns 0, or a positive errno; the table then answers XEN_DOMID_ASK. Close it in either case. */
static inline int xen_domid_open(struct xen_domid_table *table, const char *path)
{
    struct stat stat;
    void *map;
    const volatile unsigned char *header;
    int error, fd;

    memset(table, 0, sizeof(*table));
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno;
    if (fstat(fd, &stat) != 0) {
        error = errno;
        close(fd);
        return error;
    }
    /* Another user could shorten the file, and reading it would raise SIGBUS. */
    if (!S_ISREG(stat.st_mode) || (stat.st_uid != 0 && stat.st_uid != geteuid()) || stat.st_size < 4096 ||
        stat.st_size > 256 * 1024 * 1024) {
        close(fd);
        return EINVAL;
    }
    map = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_SHARED, fd, 0);
    error = errno;
    close(fd);
    if (map == MAP_FAILED)
        return error;
    table->size = (size_t)stat.st_size;
    header = (const volatile unsigned char *)map;
    /* Read once: whatever is in the file later, no look-up reads outside of the mapping. */
    table->header_bytes = xen_domid_u32_(header + 12);
    table->buckets = xen_domid_u32_(header + 16);
    table->bucket_bytes = xen_domid_u32_(header + 20);
    table->slots = xen_domid_u32_(header + 24);
    if (memcmp(map, "XENDOMID", 8) != 0 || xen_domid_u32_(header + 8) != 1 || table->header_bytes < 72 ||
        table->header_bytes % 64 != 0 || table->buckets == 0 || table->buckets > 1u << 24 ||
        (table->buckets & (table->buckets - 1)) != 0 || table->bucket_bytes % 64 != 0 ||
        table->bucket_bytes > 4096 || table->slots == 0 || table->slots > 64 ||
        table->slots * 18 + 2 > table->bucket_bytes ||
        table->header_bytes + (uint64_t)table->buckets * table->bucket_bytes > table->size) {
        munmap(map, table->size);
        memset(table, 0, sizeof(*table));
        return EINVAL;
    }
    table->map = header;
    return 0;
}

static inline void xen_domid_close(struct xen_domid_table *table)
{
    if (table->map != NULL)
        munmap((void *)(uintptr_t)table->map, table->size);
    memset(table, 0, sizeof(*table));
}

/* 1 if the service has put another file at the path, which it does only to change the format: close and open again. */
static inline int xen_domid_retired(const struct xen_domid_table *table)
{
    return table->map != NULL && xen_domid_u32_(table->map + 28) == 3;
}

/*
 * Where to look for a UUID, without a confirmation. The entry may be old, or half written: this is no answer. Most
 * programs need xen_domid_lookup.
 */
static inline int xen_domid_hint(const struct xen_domid_table *table, const uint8_t uuid[16], uint32_t *domid)
{
    const volatile unsigned char *bucket;
    const volatile uint32_t *handle;
    const volatile unsigned char *at;
    uint32_t words[4], hint, slot;

    if (xen_domid_names_no_vm_(uuid))
        return XEN_DOMID_INVALID;
    if (table->map == NULL)
        return XEN_DOMID_ASK;
    bucket = table->map + table->header_bytes +
             (size_t)(xen_domid_hash_(uuid) & (table->buckets - 1)) * table->bucket_bytes;
    handle = (const volatile uint32_t *)(const volatile void *)bucket;
    memcpy(words, uuid, sizeof(words));
    for (slot = 0; slot < table->slots; slot++, handle += 4) {
        if (handle[0] != words[0] || handle[1] != words[1] || handle[2] != words[2] || handle[3] != words[3])
            continue;
        at = bucket + table->slots * 16 + slot * 2;
        hint = (uint32_t)at[0] | (uint32_t)at[1] << 8;
        if ((hint & 0x8000) == 0 || (hint & 0x7fff) >= 0x7ff0)
            return XEN_DOMID_ASK;
        *domid = hint & 0x7fff;
        return XEN_DOMID_FOUND;
    }
    return XEN_DOMID_ASK;
}

/*
 * XEN_DOMID_FOUND: at one moment of this call domid had this UUID as its handle and was not dying. XEN_DOMID_ASK: no
 * answer. At most one hypercall.
 */
static inline int xen_domid_lookup(const struct xen_domid_table *table, const uint8_t uuid[16],
                                   xen_domid_confirm confirm, void *context, uint32_t *domid)
{
    uint8_t handle[16];
    uint32_t hint;
    int result = xen_domid_hint(table, uuid, &hint);

    if (result != XEN_DOMID_FOUND)
        return result;
    if (confirm(context, hint, handle) != 1 || memcmp(handle, uuid, sizeof(handle)) != 0)
        return XEN_DOMID_ASK;
    *domid = hint;
    return XEN_DOMID_FOUND;
}

/* Reads a UUID, "6d4f1a5e-0b7c-4c4e-9d2a-3f1e5b7a9c01" in either case. Returns 1, or 0 for any other text. */
static inline int xen_domid_parse(const char *text, uint8_t uuid[16])
{
    int at = 0, byte, digit, value;

    for (byte = 0; byte < 16; byte++) {
        if (byte == 4 || byte == 6 || byte == 8 || byte == 10)
            if (text[at++] != '-')
                return 0;
        uuid[byte] = 0;
        for (digit = 0; digit < 2; digit++) {
            char c = text[at++];

            if (c >= '0' && c <= '9')
                value = c - '0';
            else if (c >= 'a' && c <= 'f')
                value = c - 'a' + 10;
            else if (c >= 'A' && c <= 'F')
                value = c - 'A' + 10;
            else
                return 0;
            uuid[byte] = (uint8_t)(uuid[byte] << 4 | value);
        }
    }
    return text[at] == '\0';
}

#ifdef XENCTRL_H
/*
 * Confirms by libxenctrl; the context is an xc_interface *. A list of one from the domid on, because this call is the
 * same in all releases, and up to 4.17 does not wait for the teardown of other domains, as xc_domain_getinfo does.
 */
static inline int xen_domid_xc(void *xch, uint32_t domid, uint8_t handle[16])
{
    xc_domaininfo_t info;

    if (xc_domain_getinfolist((xc_interface *)xch, domid, 1, &info) != 1)
        return 0;
    /* Where the domid has no domain, the next one is shown. */
    if (info.domain != domid || (info.flags & XEN_DOMINF_dying) != 0)
        return 0;
    memcpy(handle, info.handle, 16);
    return 1;
}
#endif

#endif
