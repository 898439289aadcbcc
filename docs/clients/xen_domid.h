/*
 * Finds the domid of a VM by its UUID, for the price of one hypercall: reads the table that `xen-domid serve` keeps, and
 * confirms the domid that it names. Without an answer from the table it asks the service, or goes your own way. The
 * format is described in docs/table.md.
 *
 *   struct xen_domid handle;
 *   xen_domid_open(&handle, XEN_DOMID_PATH, xen_domid_xc, xch, xen_domid_by_socket, NULL);
 *   switch (xen_domid_lookup(&handle, uuid, &domid)) {
 *   case XEN_DOMID_FOUND: ...         domid had this UUID, and was not dying, at one moment of the call
 *   case XEN_DOMID_NOT_FOUND: ...     only from the service or your own way: no one domain had it
 *   case XEN_DOMID_SEVERAL: ...       only from there too: several domains have it
 *   case XEN_DOMID_NO_ANSWER: ...     says nothing about the VM: ask again, or list all domains
 *   case XEN_DOMID_INVALID: ...
 *   }
 *
 * C99 or C++ with POSIX.1-2008 (-std=gnu99, or -D_POSIX_C_SOURCE=200809L), Linux. Look-ups allocate nothing, take no
 * lock, and may run in several threads at once; open and close may not run at the same time as them. With libxenctrl:
 * include <xenctrl.h> first, or define XEN_DOMID_XENCTRL, and xen_domid_xc confirms. With libxencall: include <xencall.h>
 * first, or define XEN_DOMID_XENCALL, and xen_domid_xencall confirms. With anything else: write a confirming function.
 */
#ifndef XEN_DOMID_H
#define XEN_DOMID_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif
#ifdef XEN_DOMID_XENCTRL
#include <xenctrl.h>
#endif
#ifdef XEN_DOMID_XENCALL
#include <xencall.h>
#endif
#ifdef __cplusplus
}
#endif

#define XEN_DOMID_PATH "/run/xen-domid/domids"
#define XEN_DOMID_SOCKET "/run/xen-domid/xen-domid.sock"

enum {
    /* The UUID names no VM: nil, or a tombstone (deadbeef-dead-beef-dead-beef0000....). */
    XEN_DOMID_INVALID = -1,
    /* Nothing is known about the UUID. It does not mean that there is no such VM. */
    XEN_DOMID_NO_ANSWER = 0,
    XEN_DOMID_FOUND = 1,
    /* The table never answers these two. */
    XEN_DOMID_NOT_FOUND = 2,
    XEN_DOMID_SEVERAL = 3
};

/*
 * Makes a hypercall that shows one domain. Returns 1 if the hypervisor shows a domain with exactly this domid, and it is
 * not dying, and then writes its handle; 0 for anything else, errors included.
 */
typedef int (*xen_domid_confirm)(void *context, uint32_t domid, uint8_t handle[16]);

/* Looks up a UUID that the table has no answer for. Returns one of the values above; writes *domid only if it is found. */
typedef int (*xen_domid_otherwise)(void *context, const uint8_t uuid[16], uint32_t *domid);

/* Filled by xen_domid_open. A copy, for example with another context for each thread, shares the mapping: close one of them. */
struct xen_domid {
    const volatile unsigned char *map;
    size_t size;
    uint32_t header_bytes, buckets, bucket_bytes, slots;
    xen_domid_confirm confirm;
    void *confirm_context;
    xen_domid_otherwise otherwise;
    void *otherwise_context;
};

static inline uint32_t xen_domid_u32_(const volatile unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint32_t xen_domid_stir_(uint32_t hash, const uint8_t *uuid)
{
    uint32_t word = (uint32_t)uuid[0] | (uint32_t)uuid[1] << 8 | (uint32_t)uuid[2] << 16 | (uint32_t)uuid[3] << 24;

    hash = (hash ^ word) * 0x9e3779b1u;
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

/* Maps the table. Returns 0, or a positive errno. */
static inline int xen_domid_map_(struct xen_domid *handle, const char *path)
{
    struct stat file;
    void *map;
    const volatile unsigned char *header;
    int error, fd;

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno;
    if (fstat(fd, &file) != 0) {
        error = errno;
        close(fd);
        return error;
    }
    /* Another user could shorten the file, and reading it would raise SIGBUS. */
    if (!S_ISREG(file.st_mode) || (file.st_uid != 0 && file.st_uid != geteuid()) || file.st_size < 4096 ||
        file.st_size > 256 * 1024 * 1024) {
        close(fd);
        return EINVAL;
    }
    map = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_SHARED, fd, 0);
    error = errno;
    close(fd);
    if (map == MAP_FAILED)
        return error;
    handle->size = (size_t)file.st_size;
    header = (const volatile unsigned char *)map;
    /* Read once: whatever is in the file later, no look-up reads outside of the mapping. */
    handle->header_bytes = xen_domid_u32_(header + 12);
    handle->buckets = xen_domid_u32_(header + 16);
    handle->bucket_bytes = xen_domid_u32_(header + 20);
    handle->slots = xen_domid_u32_(header + 24);
    if (memcmp(map, "XENDOMID", 8) != 0 || xen_domid_u32_(header + 8) != 1 || handle->header_bytes < 72 ||
        handle->header_bytes % 64 != 0 || handle->buckets == 0 || handle->buckets > 1u << 24 ||
        (handle->buckets & (handle->buckets - 1)) != 0 || handle->bucket_bytes % 64 != 0 ||
        handle->bucket_bytes > 4096 || handle->slots == 0 || handle->slots > 64 ||
        handle->slots * 18 + 2 > handle->bucket_bytes ||
        handle->header_bytes + (uint64_t)handle->buckets * handle->bucket_bytes > handle->size) {
        munmap(map, handle->size);
        return EINVAL;
    }
    handle->map = header;
    return 0;
}

/*
 * Opens the table at `path`. `confirm` makes the hypercall: xen_domid_xc with its xc_interface as context, xen_domid_xencall
 * with its struct xen_domid_calls, or your own.
 * `otherwise` looks up the rest: xen_domid_by_socket, your own, or NULL. Returns 0, or a positive errno; then all look-ups
 * go the other way, and opening again, once a minute, may succeed. Close it first, in either case.
 */
static inline int xen_domid_open(struct xen_domid *handle, const char *path, xen_domid_confirm confirm,
                                 void *confirm_context, xen_domid_otherwise otherwise, void *otherwise_context)
{
    memset(handle, 0, sizeof(*handle));
    handle->confirm = confirm;
    handle->confirm_context = confirm_context;
    handle->otherwise = otherwise;
    handle->otherwise_context = otherwise_context;
    return xen_domid_map_(handle, path);
}

static inline void xen_domid_close(struct xen_domid *handle)
{
    if (handle->map != NULL)
        munmap((void *)(uintptr_t)handle->map, handle->size);
    handle->map = NULL;
}

/* 1 if the service has put another file at the path, which it does only to change the format: close and open again. */
static inline int xen_domid_retired(const struct xen_domid *handle)
{
    return handle->map != NULL && xen_domid_u32_(handle->map + 28) == 3;
}

/*
 * Where to look for a UUID, without a confirmation. The entry may be old, or half written: this is no answer. Most
 * programs need xen_domid_lookup.
 */
static inline int xen_domid_hint(const struct xen_domid *handle, const uint8_t uuid[16], uint32_t *domid)
{
    const volatile unsigned char *bucket;
    const volatile uint32_t *slots;
    const volatile unsigned char *at;
    uint32_t words[4], hint, slot;

    if (xen_domid_names_no_vm_(uuid))
        return XEN_DOMID_INVALID;
    if (handle->map == NULL)
        return XEN_DOMID_NO_ANSWER;
    bucket = handle->map + handle->header_bytes +
             (size_t)(xen_domid_hash_(uuid) & (handle->buckets - 1)) * handle->bucket_bytes;
    slots = (const volatile uint32_t *)(const volatile void *)bucket;
    memcpy(words, uuid, sizeof(words));
    for (slot = 0; slot < handle->slots; slot++, slots += 4) {
        if (slots[0] != words[0] || slots[1] != words[1] || slots[2] != words[2] || slots[3] != words[3])
            continue;
        at = bucket + handle->slots * 16 + slot * 2;
        hint = (uint32_t)at[0] | (uint32_t)at[1] << 8;
        if ((hint & 0x8000) == 0 || (hint & 0x7fff) >= 0x7ff0)
            return XEN_DOMID_NO_ANSWER;
        *domid = hint & 0x7fff;
        return XEN_DOMID_FOUND;
    }
    return XEN_DOMID_NO_ANSWER;
}

/*
 * XEN_DOMID_FOUND: at one moment of this call *domid had this UUID as its handle and was not dying. At most one hypercall,
 * then the other way.
 */
static inline int xen_domid_lookup(const struct xen_domid *handle, const uint8_t uuid[16], uint32_t *domid)
{
    uint8_t shown[16];
    uint32_t hint;
    int result = xen_domid_hint(handle, uuid, &hint);

    if (result == XEN_DOMID_INVALID)
        return result;
    if (result == XEN_DOMID_FOUND && handle->confirm(handle->confirm_context, hint, shown) == 1 &&
        memcmp(shown, uuid, sizeof(shown)) == 0) {
        *domid = hint;
        return XEN_DOMID_FOUND;
    }
    return handle->otherwise == NULL ? XEN_DOMID_NO_ANSWER
                                     : handle->otherwise(handle->otherwise_context, uuid, domid);
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

/* The context of xen_domid_by_socket; NULL stands for both defaults. */
struct xen_domid_service {
    /* NULL: XEN_DOMID_SOCKET. */
    const char *path;
    /* 0: 6000, a second more than the service's own limit. */
    int timeout_ms;
};

static inline int64_t xen_domid_now_ms_(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The descriptor of a connection, or -1. */
static inline int xen_domid_connect_(const char *path, int timeout_ms)
{
    struct sockaddr_un address;
    struct timeval timeout;
    int fd, result;

    memset(&address, 0, sizeof(address));
    address.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(address.sun_path))
        return -1;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* A busy service lets connections wait. */
    timeout.tv_sec = timeout_ms / 1000;
    timeout.tv_usec = timeout_ms % 1000 * 1000;
    result = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    while (result == 0 && (result = connect(fd, (const struct sockaddr *)&address, sizeof(address))) != 0 &&
           errno == EINTR)
        result = 0;
    if (result == 0)
        return fd;
    close(fd);
    return -1;
}

/* Reads until the end of a line, or until `size` is full. Returns the length; 0 if the time is up or the service ended. */
static inline size_t xen_domid_line_(int fd, char *line, size_t size, int64_t deadline_ms)
{
    struct pollfd ready;
    size_t length = 0;

    ready.fd = fd;
    ready.events = POLLIN;
    while (length < size && (length == 0 || line[length - 1] != '\n')) {
        int64_t left_ms = deadline_ms - xen_domid_now_ms_();
        ssize_t count;

        if (left_ms <= 0)
            return 0;
        if (poll(&ready, 1, (int)left_ms) < 0 && errno != EINTR)
            return 0;
        count = recv(fd, line + length, size - length, MSG_DONTWAIT);
        if (count > 0)
            length += (size_t)count;
        else if (count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
            return 0;
    }
    return length;
}

/* The value after a key of JSON. A quoted key cannot be part of a text, which has its quotes escaped. */
static inline const char *xen_domid_value_(const char *line, const char *key)
{
    const char *at = strstr(line, key);

    if (at == NULL)
        return "";
    at += strlen(key);
    return at + strspn(at, " :");
}

static inline int xen_domid_begins_(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* The meaning of the first bytes of an answer. Only the list of several domains is longer than the buffer. */
static inline int xen_domid_answer_(const char *line, int is_whole, uint32_t *domid)
{
    const char *status = xen_domid_value_(xen_domid_value_(line, "\"result\""), "\"status\"");
    const char *number;
    char *end;
    unsigned long value;

    if (xen_domid_begins_(status, "\"ambiguous\""))
        return XEN_DOMID_SEVERAL;
    if (!is_whole)
        return XEN_DOMID_NO_ANSWER;
    if (xen_domid_begins_(status, "\"notFound\""))
        return XEN_DOMID_NOT_FOUND;
    if (!xen_domid_begins_(status, "\"found\""))
        return XEN_DOMID_NO_ANSWER;
    number = xen_domid_value_(status, "\"domid\"");
    value = strtoul(number, &end, 10);
    if (*number < '0' || *number > '9' || (*end != '}' && *end != ',' && *end != ' ') || value >= 0x7ff0)
        return XEN_DOMID_NO_ANSWER;
    *domid = (uint32_t)value;
    return XEN_DOMID_FOUND;
}

/* Sends a request on a connection of its own, and reads `size` - 1 bytes of the answer at most. Returns their number. */
static inline size_t xen_domid_ask_(void *context, const char *request, char *line, size_t size)
{
    const struct xen_domid_service *service = (const struct xen_domid_service *)context;
    const char *path = service == NULL || service->path == NULL ? XEN_DOMID_SOCKET : service->path;
    int timeout_ms = service == NULL || service->timeout_ms <= 0 ? 6000 : service->timeout_ms;
    int64_t deadline_ms = xen_domid_now_ms_() + timeout_ms;
    size_t length = 0;
    int fd = xen_domid_connect_(path, timeout_ms);

    if (fd >= 0) {
        if (send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request))
            length = xen_domid_line_(fd, line, size - 1, deadline_ms);
        close(fd);
    }
    line[length] = '\0';
    return length;
}

/*
 * Asks the service: an `otherwise` for xen_domid_open. The context is a const struct xen_domid_service *, or NULL.
 * XEN_DOMID_NO_ANSWER: it is away, or could not answer in time.
 */
static inline int xen_domid_by_socket(void *context, const uint8_t uuid[16], uint32_t *domid)
{
    char request[160], line[1024];
    size_t length;

    snprintf(request, sizeof(request),
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"domid\",\"params\":{\"uuid\":\""
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\"}}\n",
             uuid[0], uuid[1], uuid[2], uuid[3], uuid[4], uuid[5], uuid[6], uuid[7], uuid[8], uuid[9], uuid[10],
             uuid[11], uuid[12], uuid[13], uuid[14], uuid[15]);
    length = xen_domid_ask_(context, request, line, sizeof(line));
    return xen_domid_answer_(line, length > 0 && line[length - 1] == '\n', domid);
}

/*
 * Confirms by the service, for tests on a machine without Xen: `xen-domid serve --simulate 20 --socket PATH --table PATH`.
 * The context is the same. Anywhere else the table saves nothing if the service confirms.
 */
static inline int xen_domid_confirm_by_socket(void *context, uint32_t domid, uint8_t handle[16])
{
    char request[96], line[1024], uuid[37];
    const char *domain, *text;

    snprintf(request, sizeof(request), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"get\",\"params\":{\"domid\":%u}}\n",
             (unsigned)domid);
    xen_domid_ask_(context, request, line, sizeof(line));
    domain = xen_domid_value_(xen_domid_value_(line, "\"result\""), "\"domain\"");
    text = xen_domid_value_(domain, "\"uuid\"");
    if (strtoul(xen_domid_value_(domain, "\"domid\""), NULL, 10) != domid || strlen(text) < 38 ||
        !xen_domid_begins_(xen_domid_value_(domain, "\"dying\""), "false"))
        return 0;
    memcpy(uuid, text + 1, 36);
    uuid[36] = '\0';
    return xen_domid_parse(uuid, handle);
}

#ifdef XENCTRL_H
/*
 * Confirms by libxenctrl; the context is an xc_interface *. Makes the hypercall of xc_domain_getinfo_single, and of
 * xc_domain_getinfo up to 4.17, through xc_domctl, which is the same in all releases. In some releases of Xen the call
 * waits for the teardown of other domains: see "The hypercall" in docs/table.md.
 */
static inline int xen_domid_xc(void *xch, uint32_t domid, uint8_t handle[16])
{
    struct xen_domctl look;

    memset(&look, 0, sizeof(look));
    look.cmd = XEN_DOMCTL_getdomaininfo;
    look.domain = (domid_t)domid;
    if (xc_domctl((xc_interface *)xch, &look) != 0)
        return 0;
    /* Where the domid has no domain, Xen shows the next one up to 4.17. */
    if (look.u.getdomaininfo.domain != domid || (look.u.getdomaininfo.flags & XEN_DOMINF_dying) != 0)
        return 0;
    memcpy(handle, look.u.getdomaininfo.handle, 16);
    return 1;
}
#endif

#ifdef XENCALL_H
/*
 * Confirms by libxencall, which has the same soname in all releases, unlike libxenctrl. The hypercall is the same:
 *
 *   struct xen_domid_calls calls;
 *   xen_domid_calls_open(&calls, xencall_open(NULL, 0));
 *   xen_domid_open(&handle, XEN_DOMID_PATH, xen_domid_xencall, &calls, xen_domid_by_socket, NULL);
 */

/* Numbers of Xen's interface (xen/include/public/xen.h, domctl.h), the same on x86 and arm64. */
enum {
    XEN_DOMID_HYPERCALL_DOMCTL_ = 36,
    XEN_DOMID_GETDOMAININFO_ = 5,
    XEN_DOMID_DYING_ = 1,
    /* struct xen_domctl: its size, and offsets in it, bytes. */
    XEN_DOMID_DOMCTL_BYTES_ = 144,
    XEN_DOMID_AT_CMD_ = 0,
    XEN_DOMID_AT_VERSION_ = 4,
    XEN_DOMID_AT_DOMAIN_ = 8,
    XEN_DOMID_AT_INFO_ = 16,
    /* Offsets in struct xen_domctl_getdomaininfo, the same for all of these interface versions: Xen 4.13 to 4.22. */
    XEN_DOMID_AT_INFO_DOMAIN_ = 0,
    XEN_DOMID_AT_INFO_FLAGS_ = 4,
    XEN_DOMID_AT_INFO_HANDLE_ = 76,
    XEN_DOMID_NEWEST_VERSION_ = 0x18,
    XEN_DOMID_OLDEST_VERSION_ = 0x12
};

/* Look-ups that can be in their hypercalls at the same time: with its own header, the buffer fills one page. */
#define XEN_DOMID_CALLS 28

/* The context of xen_domid_xencall, for any number of threads. Do not copy it. */
struct xen_domid_calls {
    xencall_handle *xencall;
    /* One struct xen_domctl for each look-up that runs. */
    unsigned char *buffer;
    uint32_t version;
    unsigned char is_taken[XEN_DOMID_CALLS];
};

/* Returns 0, or a positive errno. */
static inline int xen_domid_look_(const struct xen_domid_calls *calls, unsigned char *domctl, uint32_t domid)
{
    const uint32_t command = XEN_DOMID_GETDOMAININFO_;
    const uint16_t domain = (uint16_t)domid;

    memcpy(domctl + XEN_DOMID_AT_CMD_, &command, sizeof(command));
    memcpy(domctl + XEN_DOMID_AT_VERSION_, &calls->version, sizeof(calls->version));
    memcpy(domctl + XEN_DOMID_AT_DOMAIN_, &domain, sizeof(domain));
    return xencall1(calls->xencall, XEN_DOMID_HYPERCALL_DOMCTL_, (uint64_t)(uintptr_t)domctl) < 0 ? errno : 0;
}

static inline void xen_domid_calls_close(struct xen_domid_calls *calls)
{
    if (calls->buffer != NULL)
        xencall_free_buffer(calls->xencall, calls->buffer);
    calls->buffer = NULL;
}

/*
 * Allocates a hypercall buffer, and finds the interface version of this Xen by looks at domain 0. Close it before the
 * xencall_handle; after fork, the child opens both anew. Returns 0, or a positive errno, after which xen_domid_xencall
 * confirms nothing: EPERM outside of a control domain; EACCES if this Xen is newer than the versions here, or its
 * security module denies the look; EINVAL without a xencall_handle.
 */
static inline int xen_domid_calls_open(struct xen_domid_calls *calls, xencall_handle *xencall)
{
    int error;

    memset(calls, 0, sizeof(*calls));
    if (xencall == NULL)
        return EINVAL;
    calls->xencall = xencall;
    calls->buffer = (unsigned char *)xencall_alloc_buffer(xencall, XEN_DOMID_CALLS * XEN_DOMID_DOMCTL_BYTES_);
    if (calls->buffer == NULL)
        return ENOMEM;
    memset(calls->buffer, 0, XEN_DOMID_CALLS * XEN_DOMID_DOMCTL_BYTES_);
    calls->version = XEN_DOMID_NEWEST_VERSION_;
    /* Xen answers EACCES to a version that is not its own. */
    while ((error = xen_domid_look_(calls, calls->buffer, 0)) == EACCES && calls->version > XEN_DOMID_OLDEST_VERSION_)
        calls->version--;
    /* The version is right, and there is no domain 0: a host that was started without. */
    if (error == ESRCH)
        error = 0;
    if (error != 0)
        xen_domid_calls_close(calls);
    return error;
}

/* Confirms by libxencall; the context is a struct xen_domid_calls *. While XEN_DOMID_CALLS others run it confirms nothing. */
static inline int xen_domid_xencall(void *context, uint32_t domid, uint8_t handle[16])
{
    struct xen_domid_calls *calls = (struct xen_domid_calls *)context;
    unsigned char *domctl;
    const unsigned char *info;
    uint32_t flags;
    uint16_t shown;
    int call = 0, is_confirmed = 0;

    if (calls->buffer == NULL)
        return 0;
    while (__atomic_exchange_n(&calls->is_taken[call], 1, __ATOMIC_ACQUIRE) != 0)
        if (++call == XEN_DOMID_CALLS)
            return 0;
    domctl = calls->buffer + (size_t)call * XEN_DOMID_DOMCTL_BYTES_;
    if (xen_domid_look_(calls, domctl, domid) == 0) {
        info = domctl + XEN_DOMID_AT_INFO_;
        memcpy(&shown, info + XEN_DOMID_AT_INFO_DOMAIN_, sizeof(shown));
        memcpy(&flags, info + XEN_DOMID_AT_INFO_FLAGS_, sizeof(flags));
        /* Where the domid has no domain, Xen shows the next one up to 4.17. */
        is_confirmed = shown == domid && (flags & XEN_DOMID_DYING_) == 0;
        if (is_confirmed)
            memcpy(handle, info + XEN_DOMID_AT_INFO_HANDLE_, 16);
    }
    __atomic_store_n(&calls->is_taken[call], 0, __ATOMIC_RELEASE);
    return is_confirmed;
}
#endif

#endif
