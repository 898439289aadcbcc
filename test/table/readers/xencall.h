/*
 * As much of libxencall's header as the reader uses, over the host of `xencall.c`. Like the real one, it names no
 * language: C++ must take it as C.
 */
#ifndef XENCALL_H
#define XENCALL_H

#include <stddef.h>
#include <stdint.h>

typedef struct xencall_handle {
    /* The interface version that the host speaks. */
    uint32_t version;
    /* Not 0: the errno of every hypercall of the right version. */
    int error;
    int has_no_memory;
    /* Buffers that are allocated now, and ever. */
    unsigned buffers, allocations;
    /* Called before a hypercall returns, if there is one. */
    void (*meanwhile)(void);
} xencall_handle;

int xencall1(xencall_handle *xcall, unsigned int op, uint64_t arg1);
void *xencall_alloc_buffer(xencall_handle *xcall, size_t size);
void xencall_free_buffer(xencall_handle *xcall, void *p);

#endif
