/* Facts and pure functions about the x86 architecture: register state, CPU modes, paging walks and
 * instruction facts.  No KVM type, no debugger word, no thread.
 * Sources: Intel SDM (edition in README) volume and section as cited; AMD APM where it differs. */
#ifndef UMBRA_X86_H
#define UMBRA_X86_H

#include "umbra/types.h"

/* Control bits. */

#define X86_CR0_PE (1ull << 0)
#define X86_CR0_MP (1ull << 1)
#define X86_CR0_EM (1ull << 2)
#define X86_CR0_TS (1ull << 3)
#define X86_CR0_ET (1ull << 4)
#define X86_CR0_NE (1ull << 5)
#define X86_CR0_WP (1ull << 16)
#define X86_CR0_AM (1ull << 18)
#define X86_CR0_NW (1ull << 29)
#define X86_CR0_CD (1ull << 30)
#define X86_CR0_PG (1ull << 31)

#define X86_CR4_VME	   (1ull << 0)
#define X86_CR4_PVI	   (1ull << 1)
#define X86_CR4_TSD	   (1ull << 2)
#define X86_CR4_DE	   (1ull << 3)
#define X86_CR4_PSE	   (1ull << 4)
#define X86_CR4_PAE	   (1ull << 5)
#define X86_CR4_MCE	   (1ull << 6)
#define X86_CR4_PGE	   (1ull << 7)
#define X86_CR4_PCE	   (1ull << 8)
#define X86_CR4_OSFXSR	   (1ull << 9)
#define X86_CR4_OSXMMEXCPT (1ull << 10)
#define X86_CR4_UMIP	   (1ull << 11)
#define X86_CR4_LA57	   (1ull << 12)
#define X86_CR4_VMXE	   (1ull << 13)
#define X86_CR4_SMXE	   (1ull << 14)
#define X86_CR4_FSGSBASE   (1ull << 16)
#define X86_CR4_PCIDE	   (1ull << 17)
#define X86_CR4_OSXSAVE	   (1ull << 18)
#define X86_CR4_SMEP	   (1ull << 20)
#define X86_CR4_SMAP	   (1ull << 21)
#define X86_CR4_PKE	   (1ull << 22)

/* XCR0: state components that XSAVE may use (SDM 1 13.3). */
#define X86_XCR0_X87  (1ull << 0)
#define X86_XCR0_SSE  (1ull << 1)
#define X86_XCR0_PKRU (1ull << 9)

#define X86_EFER_SCE (1ull << 0)
#define X86_EFER_LME (1ull << 8)
#define X86_EFER_LMA (1ull << 10)
#define X86_EFER_NXE (1ull << 11)

#define X86_RFLAGS_CF	 (1ull << 0)
#define X86_RFLAGS_FIXED (1ull << 1) /* always one */
#define X86_RFLAGS_PF	 (1ull << 2)
#define X86_RFLAGS_AF	 (1ull << 4)
#define X86_RFLAGS_ZF	 (1ull << 6)
#define X86_RFLAGS_SF	 (1ull << 7)
#define X86_RFLAGS_TF	 (1ull << 8)
#define X86_RFLAGS_IF	 (1ull << 9)
#define X86_RFLAGS_DF	 (1ull << 10)
#define X86_RFLAGS_OF	 (1ull << 11)
#define X86_RFLAGS_IOPL	 (3ull << 12)
#define X86_RFLAGS_NT	 (1ull << 14)
#define X86_RFLAGS_RF	 (1ull << 16)
#define X86_RFLAGS_VM	 (1ull << 17)
#define X86_RFLAGS_AC	 (1ull << 18)
#define X86_RFLAGS_VIF	 (1ull << 19)
#define X86_RFLAGS_VIP	 (1ull << 20)
#define X86_RFLAGS_ID	 (1ull << 21)
/* The six flags that arithmetic sets (SDM 1 3.4.3.1). */
#define X86_RFLAGS_STATUS                                                                          \
	(X86_RFLAGS_CF | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF |           \
	 X86_RFLAGS_OF)

/* Exception vectors (SDM 3A 6.3.1, table 6-1). */
enum x86_vector {
	X86_EXC_DE = 0,
	X86_EXC_DB = 1,
	X86_EXC_NMI = 2,
	X86_EXC_BP = 3,
	X86_EXC_OF = 4,
	X86_EXC_BR = 5,
	X86_EXC_UD = 6,
	X86_EXC_NM = 7,
	X86_EXC_DF = 8,
	X86_EXC_TS = 10,
	X86_EXC_NP = 11,
	X86_EXC_SS = 12,
	X86_EXC_GP = 13,
	X86_EXC_PF = 14,
	X86_EXC_MF = 16,
	X86_EXC_AC = 17,
	X86_EXC_MC = 18,
	X86_EXC_XM = 19,
};

/* "PF" and the like; "?" for a vector without a name. */
const char *x86_vector_name(unsigned vector);

/* Page-fault error code (SDM 3A 4.7, figure 4-12).  W, U and I also describe an access. */
#define X86_PF_P    (1u << 0)
#define X86_PF_W    (1u << 1)
#define X86_PF_U    (1u << 2)
#define X86_PF_RSVD (1u << 3)
#define X86_PF_I    (1u << 4)
#define X86_PF_PK   (1u << 5)

/* Register state. */

/* General registers in the order of their encoding (SDM 2A 2.2.1.2). */
enum x86_gpr {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI,
	X86_R8,
	X86_R9,
	X86_R10,
	X86_R11,
	X86_R12,
	X86_R13,
	X86_R14,
	X86_R15,
	X86_GPR_COUNT
};

/* Segment registers in the order of their encoding. */
enum x86_seg_reg { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_SEG_COUNT };

/* A segment register with its hidden part (SDM 3A 3.4.3).  @limit is in bytes, granularity
 * already applied. */
struct x86_seg {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint8_t type; /* 4 bits, as in the descriptor */
	uint8_t dpl;
	bool s; /* code or data, not a system descriptor */
	bool present;
	bool avl;
	bool l;	 /* 64-bit code */
	bool db; /* default size 32 bits */
	bool g;
	bool unusable; /* a null selector was loaded */
};

struct x86_table_reg {
	uint64_t base;
	uint16_t limit; /* last valid byte offset */
};

/* x87 and SSE state with the fields of an FXSAVE image (SDM 1 10.5.1). */
struct x86_fpu {
	uint16_t fcw;
	uint16_t fsw;
	uint8_t ftw; /* abridged: bit i set = physical register i in use */
	uint16_t fop;
	uint64_t fip; /* 64-bit form: no selector part */
	uint64_t fdp;
	uint32_t mxcsr;
	uint8_t st[8][10]; /* ST(0)..ST(7), top-relative as FXSAVE stores them */
	uint8_t xmm[16][16];
};

/* What a processor does between instructions (KVM calls it mp_state; SDM 3A 9.4.3). */
enum x86_activity {
	X86_ACTIVE,
	X86_HALTED,	   /* HLT, waiting for an interrupt */
	X86_WAIT_FOR_SIPI, /* after INIT: an application processor not started yet */
};

/* Parts of struct x86_state; a mask of them says what a call reads or writes. */
enum x86_state_part {
	X86_STATE_GPR = 1 << 0,	 /* gpr, rip, rflags */
	X86_STATE_SREG = 1 << 1, /* seg, ldtr, tr, gdtr, idtr, cr*, efer, apic_base; fs/gs base */
	X86_STATE_FPU = 1 << 2,	 /* fpu */
	X86_STATE_MSR = 1 << 3,	 /* msr */
	X86_STATE_DR = 1 << 4,	 /* dr */
	X86_STATE_RUN = 1 << 5,	 /* activity, interrupt shadow */
	X86_STATE_XCR = 1 << 6,	 /* xcr0 */
	X86_STATE_ALL = (1 << 7) - 1
};

struct x86_msrs {
	uint64_t kernel_gs_base;
	uint64_t star, lstar, cstar, sfmask;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t pat;
	uint64_t tsc;
};

struct x86_state {
	uint64_t gpr[X86_GPR_COUNT];
	uint64_t rip;
	uint64_t rflags;
	struct x86_seg seg[X86_SEG_COUNT];
	struct x86_seg ldtr, tr;
	struct x86_table_reg gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, cr8;
	uint64_t efer;
	uint64_t apic_base; /* IA32_APIC_BASE */
	/* PAE paging's four top entries, registers that a load of CR3 fills (SDM 3A 4.4.1), and the
	 * CR3 that they belong to.  They count while has_pdpte is set and CR3 is still that one:
	 * who writes another CR3 here loads them anew.  Part of X86_STATE_SREG. */
	bool has_pdpte;
	uint64_t pdpte[4], pdpte_cr3;
	struct x86_fpu fpu;
	struct x86_msrs msr;
	uint64_t dr[8]; /* 4 and 5 unused */
	uint64_t xcr0;
	enum x86_activity activity;
	bool is_in_int_shadow; /* after STI or MOV SS */
};

/* Fill @st with the state after power-up or RESET (SDM 3A 9.1.1, table 9-1). */
void x86_state_reset(struct x86_state *st);

/* Write segment register values in the forms that boot protocols ask for: a flat code or data
 * segment (base 0, limit 4 GiB; @bits 16, 32 or 64), and a real-mode segment. */
struct x86_seg x86_seg_flat(uint16_t selector, bool is_code, unsigned bits, unsigned dpl);
struct x86_seg x86_seg_real(uint16_t selector);

/* Modes. */

/* Operating modes as far as they change what an instruction or an address means (SDM 1 3.1). */
enum x86_mode {
	X86_MODE_REAL,	   /* CR0.PE=0 */
	X86_MODE_V86,	   /* RFLAGS.VM=1 */
	X86_MODE_PROT16,   /* protected mode, CS.D=0 */
	X86_MODE_PROT32,   /* protected mode, CS.D=1 */
	X86_MODE_COMPAT16, /* EFER.LMA=1, CS.L=0, CS.D=0 */
	X86_MODE_COMPAT32, /* EFER.LMA=1, CS.L=0, CS.D=1 */
	X86_MODE_LONG64,   /* EFER.LMA=1, CS.L=1 */
	X86_MODE_COUNT
};

/* Needs X86_STATE_GPR and X86_STATE_SREG of @st. */
enum x86_mode x86_mode_of(const struct x86_state *st);
const char *x86_mode_name(enum x86_mode mode); /* "real16", "prot32", "long64", ... */
unsigned x86_mode_bits(enum x86_mode mode);    /* 16, 32 or 64: operand size of code */
/* Current privilege level: SS.DPL, 0 in real mode, 3 in virtual-8086 mode. */
unsigned x86_cpl_of(const struct x86_state *st);
/* The linear address of the next instruction: CS.base + RIP, 32 bits outside 64-bit mode. */
gva_t x86_linear_pc(const struct x86_state *st);

/* Paging. */

enum x86_paging_mode {
	X86_PAGING_NONE,   /* CR0.PG=0 */
	X86_PAGING_32BIT,  /* SDM 3A 4.3 */
	X86_PAGING_PAE,	   /* SDM 3A 4.4 */
	X86_PAGING_4LEVEL, /* SDM 3A 4.5 */
	X86_PAGING_5LEVEL
};

#define X86_WALK_MAX_LEVELS 5

/* Bits of a table entry that mean the same in every mode that has them (SDM 3A tables 4-4 to
 * 4-20). */
#define X86_PTE_P  (1ull << 0)
#define X86_PTE_RW (1ull << 1)
#define X86_PTE_US (1ull << 2)
#define X86_PTE_A  (1ull << 5)
#define X86_PTE_D  (1ull << 6) /* of an entry that maps a page */
#define X86_PTE_PS (1ull << 7) /* above a PTE: maps a large page */
#define X86_PTE_G  (1ull << 8) /* of an entry that maps a page */
#define X86_PTE_NX (1ull << 63)

/* One table entry that a walk read. */
struct x86_walk_step {
	unsigned level; /* 5 = PML5 ... 1 = PT; PAE's PDPT is 3 */
	unsigned index; /* entry number in its table */
	gpa_t entry_gpa;
	uint64_t entry;
};

/* The registers that decide what a linear address means. */
struct x86_paging {
	uint64_t cr0, cr3, cr4, efer;
	uint64_t pdpte[4]; /* PAE: what MOV CR3 loaded (SDM 3A 4.4.1) */
	bool has_pdpte;	   /* false: walks read the four entries from memory */
	uint32_t pkru;
	uint8_t phys_bits; /* MAXPHYADDR: bits above it are reserved; 0 = 52 */
};

/* Why a walk gave no page. */
enum x86_walk_fault {
	X86_WALK_OK,
	X86_WALK_NONCANONICAL,
	X86_WALK_NOT_PRESENT,
	X86_WALK_RESERVED, /* a reserved bit is set: x86_walk.reserved_bits */
	X86_WALK_BUS	   /* a table lies outside RAM */
};

/* What a walk of the guest's tables found.  Rights are the intersection over the levels; they do
 * not take CR0.WP, SMEP, SMAP or the CPL into account. */
struct x86_walk {
	enum x86_paging_mode mode;
	unsigned step_count;
	struct x86_walk_step step[X86_WALK_MAX_LEVELS];
	gpa_t gpa;	    /* valid when the walk returned 0 */
	uint64_t page_size; /* bytes: 4 KiB, 2 MiB, 4 MiB or 1 GiB; 0 without paging */
	bool is_writable, is_user, is_executable;
	bool is_global;	  /* the leaf's G, where CR4.PGE gives it a meaning */
	bool is_dirty;	  /* the leaf's D; true without paging */
	bool is_accessed; /* A of every entry that was used */
	uint8_t pkey;	  /* protection key of the leaf, 4- and 5-level paging */
	enum x86_walk_fault fault;
	unsigned fault_level;	/* the level whose entry ended the walk; 0 = none did */
	uint64_t reserved_bits; /* X86_WALK_RESERVED: those that are set */
};

/* Reads @len bytes of guest physical memory for a walk.  Returns false when they are not RAM. */
typedef bool (*x86_phys_read_fn)(void *ctx, gpa_t gpa, void *buf, size_t len);

/* The tables of one level as a processor with given registers reads them. */
struct x86_table_form {
	unsigned level;		    /* as x86_walk_step.level */
	unsigned shift;		    /* an entry spans 1 << shift bytes of linear address */
	unsigned entries;	    /* of a table; PAE's PDPT has 4 */
	unsigned entry_bytes;	    /* 4 or 8 */
	bool has_pages, has_tables; /* an entry may map a page; may name a table */
	bool is_pdpte; /* PAE's: without rights, A and D; x86_paging.pdpte has it, if has_pdpte */
	bool is_pse36; /* a page's address is scattered: x86_entry_page */
	bool has_pkey;
	uint64_t table_reserved, page_reserved; /* bits that must be 0 in a present entry */
	uint64_t page_mask;			/* address bits of an entry that maps a page */
};

/* Levels of @regs' mode into @out_form, root first.  Returns their number, 0 without paging.
 * *@out_root: the root's address, unless PDPTE registers are. */
unsigned x86_table_forms(const struct x86_paging *regs,
			 struct x86_table_form out_form[X86_WALK_MAX_LEVELS], gpa_t *out_root);
/* Whether the present @entry maps a page, and the address of that page. */
static inline bool x86_entry_is_page(const struct x86_table_form *form, uint64_t entry)
{
	return form->has_pages && (!form->has_tables || (entry & X86_PTE_PS));
}
gpa_t x86_entry_page(const struct x86_table_form *form, uint64_t entry);
/* The table that a present entry names. */
#define X86_PTE_TABLE 0x000ffffffffff000ull
/* Linear addresses of @mode: how many bits, and whether wider ones must be sign-extended. */
unsigned x86_linear_bits(enum x86_paging_mode mode, bool *out_is_canonical);

enum x86_paging_mode x86_paging_mode_of(const struct x86_state *st);
/* True when @st has the PDPTE registers of PAE paging: see x86_state.has_pdpte. */
bool x86_has_pdptes(const struct x86_state *st);
enum x86_paging_mode x86_paging_mode(const struct x86_paging *regs);

/* Translate a linear address without side effects (no A/D update, no fault).
 * @st X86_STATE_SREG is read; @va any value; @out_walk filled on 0, and up to the failing level
 * otherwise.
 * Errors: -EFAULT not mapped (an entry is not present, reserved bits are set, or @va is not
 * canonical); -EIO a table lies outside RAM.
 * Source: SDM 3A 4.3 (32-bit), 4.4 (PAE), 4.5 (4- and 5-level). */
int x86_walk(const struct x86_state *st, gva_t va, x86_phys_read_fn read, void *ctx,
	     struct x86_walk *out_walk);

/* The same over the bare registers.  Errors as x86_walk. */
int x86_walk_paging(const struct x86_paging *regs, gva_t va, x86_phys_read_fn read, void *ctx,
		    struct x86_walk *out_walk);

/* Whether @access, a mask of X86_PF_W, X86_PF_U (CPL 3) and X86_PF_I (instruction fetch; else
 * data), may use the page that a successful @walk found, under CR0.WP, SMEP, SMAP, NX and PKRU.
 * @smap_off: an explicit supervisor access with RFLAGS.AC=1.
 * Returns true, or false with the error code of the page fault in *@out_error.
 * Source: SDM 3A 4.6, 4.7. */
bool x86_walk_allows(const struct x86_paging *regs, const struct x86_walk *walk, unsigned access,
		     bool smap_off, uint32_t *out_error);
/* The page-fault error code of a walk that failed with X86_WALK_NOT_PRESENT or _RESERVED. */
uint32_t x86_walk_error(const struct x86_paging *regs, const struct x86_walk *walk,
			unsigned access);

/* Instructions. */

#define X86_INSN_MAX	  15 /* bytes (SDM 2A 2.3.11) */
#define X86_INSN_TEXT_MAX 96 /* bytes of x86_insn_format's text */

/* What a debugger's step must know of an instruction before it runs. */
enum x86_insn_kind {
	X86_INSN_OTHER,
	X86_INSN_PUSHF,
	X86_INSN_POPF,
	X86_INSN_IRET,
	X86_INSN_HLT,
	X86_INSN_INT,	  /* INT n, INT3, INTO, INT1 */
	X86_INSN_SYSCALL, /* SYSCALL, SYSRET, SYSENTER, SYSEXIT */
	X86_INSN_LOAD_SS, /* MOV SS, POP SS */
	X86_INSN_STI,
	X86_INSN_IO,	 /* IN, OUT, INS, OUTS */
	X86_INSN_STRING, /* MOVS, CMPS, STOS, LODS, SCAS */
};

struct x86_insn {
	unsigned length; /* bytes, 1..15 */
	enum x86_insn_kind kind;
	bool has_rep;
	unsigned operand_bits; /* effective operand size */
};

/* Decode the instruction at the start of @bytes.
 * Errors: -EINVAL no valid instruction; -ENODATA it goes on past @len bytes. */
int x86_insn_decode(enum x86_mode mode, const uint8_t *bytes, size_t len,
		    struct x86_insn *out_insn);

/* The memory that an instruction writes, by the registers as they are behind it, RIP aside. */
#define X86_INSN_STORES_MAX 2
struct x86_insn_stores {
	unsigned count;
	struct {
		gva_t addr; /* linear */
		unsigned bytes;
	} store[X86_INSN_STORES_MAX];
};

/* Where the instruction at the start of @bytes has stored to, if it has just been executed and left
 * @st (X86_STATE_GPR, X86_STATE_SREG).  A register that it changed may make an address wrong:
 * compare with what is known.  @next: RIP behind it.  Returns its length.
 * Errors: as x86_insn_decode. */
int x86_insn_stores(const struct x86_state *st, const uint8_t *bytes, size_t len, gva_t next,
		    struct x86_insn_stores *out);

/* Disassemble in AT&T syntax as gdb does by default, branch targets absolute for an instruction
 * at @pc.  Returns its length, or a negative errno as x86_insn_decode (then @out_text is "(bad)").
 */
int x86_insn_format(enum x86_mode mode, gva_t pc, const uint8_t *bytes, size_t len,
		    char out_text[X86_INSN_TEXT_MAX]);

#endif
