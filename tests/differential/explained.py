"""Differences between the two machines that are not Berth's: each with the program kinds and the field it may show in, and the chapter that explains it."""

# (name, kinds, fields that may differ, a pattern that one of the program's lines of assembler must match, why)
ROWS = [
    ("icebp-tcg", {"debug", "exceptions"}, {"e", "f"}, r"\.byte 0xf1", "QEMU's TCG has no INT1: #UD (SDM vol. 2, \"INT n/INTO/INT3/INT1\")"),
    ("clflush-tcg", {"plain"}, {"a"}, r"clflush", "QEMU's TCG does not translate CLFLUSH's operand, so sets no accessed bit (SDM vol. 2, \"CLFLUSH\": a load for paging)"),
    ("shadow-tcg", {"interrupts"}, {"e"}, r"sti\n\t(mov %dr7|incl %fs:)",
     "QEMU's TCG does not load the VMCB's interrupt shadow: after STI and an instruction that left the guest and is run again, the interrupt comes before it "
     "(APM vol. 2, 15.21.5)"),
    ("two-shadows", {"interrupts"}, {"e"}, r"%ss\n\tsti",
     "of several instructions in a row that hold interrupts off, only the first is sure to (SDM vol. 2, \"STI\" and \"POP\"): TCG ends the shadow of MOV or POP SS "
     "at an STI behind it, Bochs begins another"),
    ("null-rpl", {"segments", "exceptions"}, {"s"}, r"mov \$3, %eax\n\tmov %eax, %[defg]s",
     "IRET to an outer level makes a null selector 0, whatever its RPL was (SDM vol. 2, \"IRET\", RETURN-TO-OUTER-PRIVILEGE-LEVEL); TCG leaves it"),
    ("sysexit", {"exceptions"}, {"e"}, r"sysexit", "in long mode SYSEXIT is #UD on AMD (APM vol. 3, \"SYSEXIT\"), with its checks on Intel (SDM vol. 2, \"SYSEXIT\")"),
    ("branch-canonical", {"exceptions"}, {"e", "end", "r", "f", "s"}, r"0x800000000000, %rbx\n\tjmp",
     "a near jump to an address that is not canonical faults at the jump on Intel (SDM vol. 2, \"JMP\"), at its target on AMD (APM vol. 2, 5.3.1)"),
]
