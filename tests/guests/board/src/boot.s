// Entry of the first CPU and of CPUs started by PSCI. Both arrive with the MMU off, at EL1 or (bare board with EL2) at EL2.

    .equ STACK_SIZE, 0x10000            // guest.ld: .stacks
    .equ RAM_BASE, 0x40000000
    .equ FIRST_NORMAL_BLOCKS, 8         // 2 MiB blocks mapped Normal before the device tree is read: the least RAM of a guest

    // Block descriptors, Arm ARM D8.3: valid block, AF; AttrIndx 0 = Normal with SH = inner, AttrIndx 1 = Device with UXN, PXN.
    .equ NORMAL_BLOCK, 0x701
    .equ DEVICE_BLOCK, 0x0060000000000405

    .section .text.boot, "ax"
    .global _start
_start:
    msr     daifset, #0xf
    mrs     x20, cntpct_el0             // the second instruction: what came before it is not the guest's
    mov     x19, x0
    bl      enter_el1
    bl      build_tables
    bl      enable_mmu
    ldr     x0, =__stacks_start + STACK_SIZE
    mov     sp, x0
    ldr     x0, =__bss_start
    ldr     x1, =__bss_end
1:  cmp     x0, x1
    b.hs    2f
    stp     xzr, xzr, [x0], #16
    b       1b
2:  msr     tpidr_el0, xzr
    mov     x0, x19
    mov     x1, x20
    bl      first_cpu_main
3:  wfi
    b       3b

    .global secondary_start
secondary_start:                        // x0: index of this CPU in the device tree
    msr     daifset, #0xf
    mov     x19, x0
    bl      enter_el1
    bl      enable_mmu
    ldr     x0, =__stacks_start
    add     x1, x19, #1
    mov     x2, #STACK_SIZE
    madd    x0, x1, x2, x0
    mov     sp, x0
    msr     tpidr_el0, x19
    mov     x0, x19
    bl      secondary_cpu_main
4:  wfi
    b       4b

// Leaves EL2 if the CPU is there; returns at EL1 with FP on, vectors set and no fault guard. Changes x0, x1.
enter_el1:
    mrs     x0, CurrentEL
    cmp     x0, #(2 << 2)
    b.ne    1f
    ldr     x0, =0xa0000000             // HCR_EL2: RW, HCD (no hypervisor will answer an HVC)
    msr     hcr_el2, x0
    mov     x0, #3                      // CNTHCTL_EL2: EL1 may use the physical counter and timer
    msr     cnthctl_el2, x0
    msr     cntvoff_el2, xzr
    mov     x0, #0x33ff                 // CPTR_EL2: RES1 bits only, nothing traps
    msr     cptr_el2, x0
    msr     hstr_el2, xzr
    mrs     x0, midr_el1
    msr     vpidr_el2, x0
    mrs     x0, mpidr_el1
    msr     vmpidr_el2, x0
    mrs     x0, id_aa64pfr0_el1
    ubfx    x0, x0, #24, #4             // GIC system registers present?
    cbz     x0, 2f
    mov     x0, #0xf                    // ICC_SRE_EL2: SRE, DFB, DIB, Enable
    msr     S3_4_C12_C9_5, x0
    isb
2:  mov     x0, #0x3c5                  // EL1h, DAIF masked
    msr     spsr_el2, x0
    adr     x0, 1f
    msr     elr_el2, x0
    eret
1:  mov     x0, #(3 << 20)              // CPACR_EL1.FPEN: FP and SIMD at EL1
    msr     cpacr_el1, x0
    ldr     x0, =vector_table
    msr     vbar_el1, x0
    msr     tpidr_el1, xzr
    isb
    ret

// Identity map: 512 blocks of 1 GiB as Device, of which the RAM's GiB is split into 2 MiB blocks. Changes x0-x8.
build_tables:
    ldr     x1, =__level1_table
    ldr     x2, =__level2_table
    ldr     x3, =DEVICE_BLOCK
    ldr     x4, =NORMAL_BLOCK
    mov     x5, #RAM_BASE
    ldr     x7, =__image_start          // its first block is the second of the Normal ones
    sub     x7, x7, x5
    lsr     x7, x7, #21
    sub     x7, x7, #1
    mov     x0, #0
1:  orr     x6, x3, x0, lsl #30
    str     x6, [x1, x0, lsl #3]
    sub     x8, x0, x7                  // wraps below the first one
    cmp     x8, #FIRST_NORMAL_BLOCKS
    csel    x6, x4, x3, lo
    orr     x6, x6, x5
    orr     x6, x6, x0, lsl #21
    str     x6, [x2, x0, lsl #3]
    add     x0, x0, #1
    cmp     x0, #512
    b.ne    1b
    orr     x6, x2, #3                  // table descriptor
    str     x6, [x1, #(RAM_BASE >> 30) * 8]
    dsb     sy
    // The stores went past the caches: drop what an earlier owner of the memory left in them.
    mrs     x0, ctr_el0
    ubfx    x0, x0, #16, #4             // DminLine, log2 of words
    mov     x6, #4
    lsl     x6, x6, x0
    ldr     x2, =__tables_end
2:  dc      ivac, x1
    add     x1, x1, x6
    cmp     x1, x2
    b.lo    2b
    dsb     sy
    ret

// Changes x0.
enable_mmu:
    mov     x0, #0x04ff                 // MAIR: 0 = Normal write-back, 1 = Device-nGnRE
    msr     mair_el1, x0
    ldr     x0, =0x200803519            // TCR: T0SZ = 25, IRGN0/ORGN0 write-back, SH0 inner, 4 KiB, EPD1, IPS = 40 bits
    msr     tcr_el1, x0
    ldr     x0, =__level1_table
    msr     ttbr0_el1, x0
    dsb     sy
    tlbi    vmalle1
    ic      iallu
    dsb     sy
    isb
    ldr     x0, =0x30d01805             // SCTLR: RES1 bits, I, C, M
    msr     sctlr_el1, x0
    isb
    ret
