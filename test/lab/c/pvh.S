/*
 * A PVH guest of a few instructions; it reads its command line like pv.S.
 */
#define SCHED_OP 29
#define SCHEDOP_SHUTDOWN 2
/* Offsets in struct hvm_start_info; its address is in ebx at the start (xen/include/public/arch-x86/hvm/start_info.h). */
#define HVM_START_INFO_CMDLINE 24

  .section .note.Xen, "a", @note
  /* XEN_ELFNOTE_PHYS32_ENTRY */
  .align 4
  .long 4, 4, 18
  .asciz "Xen"
  .long start

  .text
  .code32
  .globl start, _start
_start:
start:
  movl $stack_top, %esp
  movl HVM_START_INFO_CMDLINE(%ebx), %eax
  testl %eax, %eax
  jz block
  movzbl (%eax), %eax
  cmpb $'s', %al
  je spin
  subl $'0', %eax
  cmpl $9, %eax
  ja block
  movl %eax, reason
shut_down:
  movl $SCHED_OP, %eax
  movl $SCHEDOP_SHUTDOWN, %ebx
  movl $reason, %ecx
  /* AMD's instruction: the lab's processor is QEMU's, with SVM. */
  vmmcall
  jmp shut_down
block:
  /* With interrupts off, Xen would treat hlt as a power-off. */
  sti
  hlt
  jmp block
spin:
  pause
  jmp spin

  .data
  .align 4
reason:
  .long 0
  .align 16
  .skip 256
stack_top:
