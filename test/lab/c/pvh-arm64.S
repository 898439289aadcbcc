/*
 * The guest of pvh.S for arm64: an image as Linux's, which reads the first letter of its command line. The address of the
 * device tree is in x0 at the start; memory is flat, for nothing switches the MMU on.
 */
#define SCHED_OP 29
#define SCHEDOP_SHUTDOWN 2
#define SCHEDOP_POLL 3
/* Device tree: offsets in its header, all numbers big-endian, and the tokens of its structure. */
#define FDT_OFF_STRUCT 8
#define FDT_OFF_STRINGS 12
#define FDT_BEGIN_NODE 1
#define FDT_PROP 3
#define FDT_END 9

  .text
  .globl _start
_start:
  b start
  .word 0
  .quad 0
  .quad image_end - _start
  .quad 0
  .quad 0, 0, 0
  .ascii "ARM\x64"
  .word 0

start:
  ldr w1, [x0, #FDT_OFF_STRUCT]
  rev w1, w1
  add x1, x0, x1
  ldr w2, [x0, #FDT_OFF_STRINGS]
  rev w2, w2
  add x2, x0, x2
next:
  ldr w3, [x1], #4
  rev w3, w3
  cmp w3, #FDT_END
  b.eq block
  cmp w3, #FDT_BEGIN_NODE
  b.eq skip_name
  cmp w3, #FDT_PROP
  b.ne next
  /* Its length, and where its name is. */
  ldr w4, [x1], #4
  rev w4, w4
  ldr w5, [x1], #4
  rev w5, w5
  add x5, x2, x5
  adr x6, bootargs
compare:
  ldrb w7, [x5], #1
  ldrb w8, [x6], #1
  cmp w7, w8
  b.ne skip_value
  cbnz w7, compare
  ldrb w0, [x1]
  b behave
skip_value:
  add x1, x1, x4
  b align
skip_name:
  ldrb w4, [x1], #1
  cbnz w4, skip_name
align:
  add x1, x1, #3
  and x1, x1, #~3
  b next

behave:
  cmp w0, #'s'
  b.eq spin
  subs w0, w0, #'0'
  b.lo block
  cmp w0, #9
  b.hi block
  adr x1, reasons
  add x1, x1, w0, uxtw #2
shut_down:
  mov x16, #SCHED_OP
  mov x0, #SCHEDOP_SHUTDOWN
  hvc #0xea1
  b shut_down
block:
  mov x16, #SCHED_OP
  mov x0, #SCHEDOP_POLL
  adr x1, no_ports
  hvc #0xea1
  b block
spin:
  yield
  b spin

  .align 3
reasons:
  .word 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
  .align 3
no_ports:
  .quad 0, 0, 0
bootargs:
  .asciz "bootargs"
  .align 12
image_end:
