/*
 * A PV guest of a few instructions. The first letter of its command line selects its behaviour:
 * a digit: shuts down with that reason (SHUTDOWN_* of xen/include/public/sched.h);
 * s: spins; anything else: blocks for ever.
 */
#define SCHED_OP 29
#define SCHEDOP_BLOCK 1
#define SCHEDOP_SHUTDOWN 2
/* Offsets in struct start_info; its address is in rsi at the start (xen/include/public/xen.h). */
#define START_INFO_CMD_LINE 128

  .section .note.Xen, "a", @note
#define NOTE(type, size, value) \
  .align 4; .long 4, size, type; .asciz "Xen"; value; .align 4
  NOTE(5, 8, .asciz "xen-3.0")
  NOTE(6, 4, .asciz "lab")
  NOTE(7, 4, .asciz "1.0")
  NOTE(8, 8, .asciz "generic")
  NOTE(9, 4, .asciz "yes")
  NOTE(1, 8, .quad start)
  NOTE(2, 8, .quad hypercall_page)
  NOTE(3, 8, .quad 0)

  .text
  .globl start, _start
_start:
start:
  cld
  lea stack_top(%rip), %rsp
  movzbl START_INFO_CMD_LINE(%rsi), %eax
  cmpb $'s', %al
  je spin
  subl $'0', %eax
  cmpl $9, %eax
  ja block
  movl %eax, reason(%rip)
shut_down:
  movl $SCHEDOP_SHUTDOWN, %edi
  lea reason(%rip), %rsi
  call hypercall_page + SCHED_OP * 32
  jmp shut_down
block:
  movl $SCHEDOP_BLOCK, %edi
  xorl %esi, %esi
  call hypercall_page + SCHED_OP * 32
  jmp block
spin:
  pause
  jmp spin

  .data
  .align 4
reason:
  .long 0
  .align 4096
  .globl hypercall_page
hypercall_page:
  .skip 4096
  .skip 4096
stack_top:
