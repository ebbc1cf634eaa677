/* The SSE instructions that run thunks: for each its thunks, its description and its row.
 * Instructions with an MMX form too have both here.
 *
 * Lists: X(MNEMONIC, name, ...), bytes = memory operand, flags = enum simd_flag.
 * Source: SDM 2A to 2C, one page an instruction; alignment SDM 2A table 2-20. */
#include "simd.h"

#define LIST_FP(X)                                                                                 \
	X(ADDPS, addps, 16)                                                                        \
	X(ADDPD, addpd, 16)                                                                        \
	X(SUBPS, subps, 16)                                                                        \
	X(SUBPD, subpd, 16)                                                                        \
	X(MULPS, mulps, 16)                                                                        \
	X(MULPD, mulpd, 16)                                                                        \
	X(DIVPS, divps, 16)                                                                        \
	X(DIVPD, divpd, 16)                                                                        \
	X(MINPS, minps, 16)                                                                        \
	X(MINPD, minpd, 16)                                                                        \
	X(MAXPS, maxps, 16)                                                                        \
	X(MAXPD, maxpd, 16)                                                                        \
	X(SQRTPS, sqrtps, 16)                                                                      \
	X(SQRTPD, sqrtpd, 16)                                                                      \
	X(ADDSUBPS, addsubps, 16)                                                                  \
	X(ADDSUBPD, addsubpd, 16)                                                                  \
	X(HADDPS, haddps, 16)                                                                      \
	X(HADDPD, haddpd, 16)                                                                      \
	X(HSUBPS, hsubps, 16)                                                                      \
	X(HSUBPD, hsubpd, 16)                                                                      \
	X(CVTDQ2PS, cvtdq2ps, 16)                                                                  \
	X(CVTPS2DQ, cvtps2dq, 16)                                                                  \
	X(CVTTPS2DQ, cvttps2dq, 16)                                                                \
	X(CVTPD2DQ, cvtpd2dq, 16)                                                                  \
	X(CVTTPD2DQ, cvttpd2dq, 16)                                                                \
	X(CVTPD2PS, cvtpd2ps, 16)                                                                  \
	X(CVTPS2PD, cvtps2pd, 8)                                                                   \
	X(CVTDQ2PD, cvtdq2pd, 8)                                                                   \
	X(ADDSD, addsd, 8)                                                                         \
	X(SUBSD, subsd, 8)                                                                         \
	X(MULSD, mulsd, 8)                                                                         \
	X(DIVSD, divsd, 8)                                                                         \
	X(MINSD, minsd, 8)                                                                         \
	X(MAXSD, maxsd, 8)                                                                         \
	X(SQRTSD, sqrtsd, 8)                                                                       \
	X(CVTSD2SS, cvtsd2ss, 8)                                                                   \
	X(ADDSS, addss, 4)                                                                         \
	X(SUBSS, subss, 4)                                                                         \
	X(MULSS, mulss, 4)                                                                         \
	X(DIVSS, divss, 4)                                                                         \
	X(MINSS, minss, 4)                                                                         \
	X(MAXSS, maxss, 4)                                                                         \
	X(SQRTSS, sqrtss, 4)                                                                       \
	X(CVTSS2SD, cvtss2sd, 4)
#define LIST_INT(X)                                                                                \
	X(RCPPS, rcpps, 16)                                                                        \
	X(RSQRTPS, rsqrtps, 16)                                                                    \
	X(ANDPS, andps, 16)                                                                        \
	X(ANDPD, andpd, 16)                                                                        \
	X(ANDNPS, andnps, 16)                                                                      \
	X(ANDNPD, andnpd, 16)                                                                      \
	X(ORPS, orps, 16)                                                                          \
	X(ORPD, orpd, 16)                                                                          \
	X(XORPS, xorps, 16)                                                                        \
	X(XORPD, xorpd, 16)                                                                        \
	X(UNPCKLPS, unpcklps, 16)                                                                  \
	X(UNPCKLPD, unpcklpd, 16)                                                                  \
	X(UNPCKHPS, unpckhps, 16)                                                                  \
	X(UNPCKHPD, unpckhpd, 16)                                                                  \
	X(MOVSHDUP, movshdup, 16)                                                                  \
	X(MOVSLDUP, movsldup, 16)                                                                  \
	X(PUNPCKLQDQ, punpcklqdq, 16)                                                              \
	X(PUNPCKHQDQ, punpckhqdq, 16)                                                              \
	X(PACKUSDW, packusdw, 16)                                                                  \
	X(PCMPEQQ, pcmpeqq, 16)                                                                    \
	X(PCMPGTQ, pcmpgtq, 16)                                                                    \
	X(PMULDQ, pmuldq, 16)                                                                      \
	X(PMULLD, pmulld, 16)                                                                      \
	X(PMAXSB, pmaxsb, 16)                                                                      \
	X(PMAXSD, pmaxsd, 16)                                                                      \
	X(PMAXUW, pmaxuw, 16)                                                                      \
	X(PMAXUD, pmaxud, 16)                                                                      \
	X(PMINSB, pminsb, 16)                                                                      \
	X(PMINSD, pminsd, 16)                                                                      \
	X(PMINUW, pminuw, 16)                                                                      \
	X(PMINUD, pminud, 16)                                                                      \
	X(PHMINPOSUW, phminposuw, 16)                                                              \
	X(RCPSS, rcpss, 4)                                                                         \
	X(RSQRTSS, rsqrtss, 4)                                                                     \
	X(MOVDDUP, movddup, 8)                                                                     \
	X(PMOVSXBW, pmovsxbw, 8)                                                                   \
	X(PMOVSXBD, pmovsxbd, 4)                                                                   \
	X(PMOVSXBQ, pmovsxbq, 2)                                                                   \
	X(PMOVSXWD, pmovsxwd, 8)                                                                   \
	X(PMOVSXWQ, pmovsxwq, 4)                                                                   \
	X(PMOVSXDQ, pmovsxdq, 8)                                                                   \
	X(PMOVZXBW, pmovzxbw, 8)                                                                   \
	X(PMOVZXBD, pmovzxbd, 4)                                                                   \
	X(PMOVZXBQ, pmovzxbq, 2)                                                                   \
	X(PMOVZXWD, pmovzxwd, 8)                                                                   \
	X(PMOVZXWQ, pmovzxwq, 4)                                                                   \
	X(PMOVZXDQ, pmovzxdq, 8)
#define LIST_BOTH(X)                                                                               \
	X(PADDB, paddb, 0)                                                                         \
	X(PADDW, paddw, 0)                                                                         \
	X(PADDD, paddd, 0)                                                                         \
	X(PADDQ, paddq, 0)                                                                         \
	X(PADDSB, paddsb, 0)                                                                       \
	X(PADDSW, paddsw, 0)                                                                       \
	X(PADDUSB, paddusb, 0)                                                                     \
	X(PADDUSW, paddusw, 0)                                                                     \
	X(PSUBB, psubb, 0)                                                                         \
	X(PSUBW, psubw, 0)                                                                         \
	X(PSUBD, psubd, 0)                                                                         \
	X(PSUBQ, psubq, 0)                                                                         \
	X(PSUBSB, psubsb, 0)                                                                       \
	X(PSUBSW, psubsw, 0)                                                                       \
	X(PSUBUSB, psubusb, 0)                                                                     \
	X(PSUBUSW, psubusw, 0)                                                                     \
	X(PAND, pand, 0)                                                                           \
	X(PANDN, pandn, 0)                                                                         \
	X(POR, por, 0)                                                                             \
	X(PXOR, pxor, 0)                                                                           \
	X(PCMPEQB, pcmpeqb, 0)                                                                     \
	X(PCMPEQW, pcmpeqw, 0)                                                                     \
	X(PCMPEQD, pcmpeqd, 0)                                                                     \
	X(PCMPGTB, pcmpgtb, 0)                                                                     \
	X(PCMPGTW, pcmpgtw, 0)                                                                     \
	X(PCMPGTD, pcmpgtd, 0)                                                                     \
	X(PMADDWD, pmaddwd, 0)                                                                     \
	X(PMULHW, pmulhw, 0)                                                                       \
	X(PMULHUW, pmulhuw, 0)                                                                     \
	X(PMULLW, pmullw, 0)                                                                       \
	X(PMULUDQ, pmuludq, 0)                                                                     \
	X(PAVGB, pavgb, 0)                                                                         \
	X(PAVGW, pavgw, 0)                                                                         \
	X(PMAXSW, pmaxsw, 0)                                                                       \
	X(PMAXUB, pmaxub, 0)                                                                       \
	X(PMINSW, pminsw, 0)                                                                       \
	X(PMINUB, pminub, 0)                                                                       \
	X(PSADBW, psadbw, 0)                                                                       \
	X(PACKSSWB, packsswb, 0)                                                                   \
	X(PACKSSDW, packssdw, 0)                                                                   \
	X(PACKUSWB, packuswb, 0)                                                                   \
	X(PUNPCKHBW, punpckhbw, 0)                                                                 \
	X(PUNPCKHWD, punpckhwd, 0)                                                                 \
	X(PUNPCKHDQ, punpckhdq, 0)                                                                 \
	X(PABSB, pabsb, 0)                                                                         \
	X(PABSW, pabsw, 0)                                                                         \
	X(PABSD, pabsd, 0)                                                                         \
	X(PHADDW, phaddw, 0)                                                                       \
	X(PHADDD, phaddd, 0)                                                                       \
	X(PHADDSW, phaddsw, 0)                                                                     \
	X(PHSUBW, phsubw, 0)                                                                       \
	X(PHSUBD, phsubd, 0)                                                                       \
	X(PHSUBSW, phsubsw, 0)                                                                     \
	X(PMADDUBSW, pmaddubsw, 0)                                                                 \
	X(PMULHRSW, pmulhrsw, 0)                                                                   \
	X(PSHUFB, pshufb, 0)                                                                       \
	X(PSIGNB, psignb, 0)                                                                       \
	X(PSIGNW, psignw, 0)                                                                       \
	X(PSIGND, psignd, 0)                                                                       \
	X(PUNPCKLBW, punpcklbw, SIMD_MM_HALF)                                                      \
	X(PUNPCKLWD, punpcklwd, SIMD_MM_HALF)                                                      \
	X(PUNPCKLDQ, punpckldq, SIMD_MM_HALF)
#define LIST_SHIFT(X)                                                                              \
	X(PSLLW, psllw)                                                                            \
	X(PSLLD, pslld)                                                                            \
	X(PSLLQ, psllq)                                                                            \
	X(PSRLW, psrlw)                                                                            \
	X(PSRLD, psrld)                                                                            \
	X(PSRLQ, psrlq)                                                                            \
	X(PSRAW, psraw)                                                                            \
	X(PSRAD, psrad)

/* With an immediate. */
#define LIST_FP_IMM(X)                                                                             \
	X(CMPPS, cmpps, 16)                                                                        \
	X(CMPPD, cmppd, 16)                                                                        \
	X(CMPSS, cmpss, 4)                                                                         \
	X(ROUNDPS, roundps, 16)                                                                    \
	X(ROUNDPD, roundpd, 16)                                                                    \
	X(ROUNDSS, roundss, 4)                                                                     \
	X(ROUNDSD, roundsd, 8)                                                                     \
	X(DPPS, dpps, 16)                                                                          \
	X(DPPD, dppd, 16)

#define LIST_INT_IMM(X)                                                                            \
	X(SHUFPS, shufps, 16, 0)                                                                   \
	X(SHUFPD, shufpd, 16, 0)                                                                   \
	X(PSHUFD, pshufd, 16, 0)                                                                   \
	X(PSHUFLW, pshuflw, 16, 0)                                                                 \
	X(PSHUFHW, pshufhw, 16, 0)                                                                 \
	X(BLENDPS, blendps, 16, 0)                                                                 \
	X(BLENDPD, blendpd, 16, 0)                                                                 \
	X(PBLENDW, pblendw, 16, 0)                                                                 \
	X(MPSADBW, mpsadbw, 16, 0)                                                                 \
	X(INSERTPS, insertps, 4, SIMD_LOW_IMM)

/* Flags are the result. */
#define LIST_COMPARE(X)                                                                            \
	X(COMISS, comiss, 4, SIMD_FP)                                                              \
	X(UCOMISS, ucomiss, 4, SIMD_FP)                                                            \
	X(COMISD, comisd, 8, SIMD_FP)                                                              \
	X(UCOMISD, ucomisd, 8, SIMD_FP)                                                            \
	X(PTEST, ptest, 16, 0)

/* To general registers of 32 and 64 bits. */
#define LIST_TO_INT(X)                                                                             \
	X(CVTSS2SI, cvtss2si, 4)                                                                   \
	X(CVTTSS2SI, cvttss2si, 4)                                                                 \
	X(CVTSD2SI, cvtsd2si, 8)                                                                   \
	X(CVTTSD2SI, cvttsd2si, 8)

/* PCMPxSTRx: thunks with REX.W; whether the result is a mask, not an index. */
#define LIST_TEXT(X)                                                                               \
	X(PCMPESTRI, pcmpestri, pcmpestri_wide_code, false)                                        \
	X(PCMPESTRM, pcmpestrm, pcmpestrm_wide_code, true)                                         \
	X(PCMPISTRI, pcmpistri, pcmpistri_code, false)                                             \
	X(PCMPISTRM, pcmpistrm, pcmpistrm_code, true)

#define LIST_BLENDV(X)                                                                             \
	X(BLENDVPS, blendvps)                                                                      \
	X(BLENDVPD, blendvpd)                                                                      \
	X(PBLENDVB, pblendvb)

/* The thunks.  name##_code is a C name for the label soft_thunk_<label>. */

#define CODE(code, label)                                                                          \
	extern const uint8_t code[] __asm__("soft_thunk_" label)                                   \
		__attribute__((visibility("hidden")));

#define THUNK(code, label, text)                                                                   \
	__asm__(".pushsection .text\n.balign 8\nsoft_thunk_" label ":\n" text                      \
		"\nret\n.popsection\n");                                                           \
	CODE(code, label)

/* One for each immediate, which is soft_imm in @text. */
#define THUNKS_BY(code, label, text)                                                               \
	__asm__(".pushsection .text\n.balign 8\nsoft_thunk_" label ":\n"                           \
		".set soft_imm, 0\n.rept 256\n"                                                    \
		".org soft_thunk_" label " + 8 * soft_imm, 0x90\n" text                            \
		"\nret\n.set soft_imm, soft_imm + 1\n.endr\n.popsection\n");                       \
	CODE(code, label)
#define THUNKS(code, label, name, operands) THUNKS_BY(code, label, name " $soft_imm" operands)
_Static_assert(THUNK_STRIDE == 8, "the assembler text says so too");

/* @op's emit function. */
#define EMIT(name, ...)                                                                            \
	static bool emit_##name(struct tr *t)                                                      \
	{                                                                                          \
		static const struct simd_op OP = {__VA_ARGS__};                                    \
		return simd_emit(t, &OP);                                                          \
	}

#define DEFINE_FP(mnemonic, name, size)                                                            \
	THUNK(name##_code, #name, #name " %xmm1, %xmm0")                                           \
	EMIT(name, .kind = SIMD_XX, .bytes = (size), .flags = SIMD_FP, .xmm = name##_code)
LIST_FP(DEFINE_FP)

#define DEFINE_INT(mnemonic, name, size)                                                           \
	THUNK(name##_code, #name, #name " %xmm1, %xmm0")                                           \
	EMIT(name, .kind = SIMD_XX, .bytes = (size), .xmm = name##_code)
LIST_INT(DEFINE_INT)

#define DEFINE_BOTH(mnemonic, name, flag)                                                          \
	THUNK(name##_code, #name, #name " %xmm1, %xmm0")                                           \
	THUNK(name##_mm_code, #name "_mm", #name " %mm1, %mm0")                                    \
	EMIT(name, .kind = SIMD_XX, .bytes = 16, .flags = (flag), .xmm = name##_code,              \
	     .mm = name##_mm_code)
LIST_BOTH(DEFINE_BOTH)

#define DEFINE_SHIFT(mnemonic, name)                                                               \
	THUNK(name##_code, #name, #name " %xmm1, %xmm0")                                           \
	THUNK(name##_mm_code, #name "_mm", #name " %mm1, %mm0")                                    \
	THUNKS(name##_imm_code, #name "_imm", #name, ", %xmm0")                                    \
	THUNKS(name##_mm_imm_code, #name "_mm_imm", #name, ", %mm0")                               \
	EMIT(name, .kind = SIMD_XX, .bytes = 16, .xmm = name##_code, .mm = name##_mm_code,         \
	     .shift = name##_imm_code, .mm_shift = name##_mm_imm_code)
LIST_SHIFT(DEFINE_SHIFT)

#define DEFINE_FP_IMM(mnemonic, name, size)                                                        \
	THUNKS(name##_code, #name, #name, ", %xmm1, %xmm0")                                        \
	EMIT(name, .kind = SIMD_XX, .bytes = (size), .flags = SIMD_FP | SIMD_IMM,                  \
	     .xmm = name##_code)
LIST_FP_IMM(DEFINE_FP_IMM)
DEFINE_FP_IMM(CMPSD, cmpsd, 8)

#define DEFINE_INT_IMM(mnemonic, name, size, flag)                                                 \
	THUNKS(name##_code, #name, #name, ", %xmm1, %xmm0")                                        \
	EMIT(name, .kind = SIMD_XX, .bytes = (size), .flags = SIMD_IMM | (flag), .xmm = name##_code)
LIST_INT_IMM(DEFINE_INT_IMM)

#define DEFINE_COMPARE(mnemonic, name, size, flag)                                                 \
	THUNK(name##_code, #name, #name " %xmm1, %xmm0")                                           \
	EMIT(name, .kind = SIMD_FX, .bytes = (size), .flags = (flag), .xmm = name##_code)
LIST_COMPARE(DEFINE_COMPARE)

#define DEFINE_TO_INT(mnemonic, name, size)                                                        \
	THUNK(name##_code, #name, #name " %xmm1, %eax")                                            \
	THUNK(name##_wide_code, #name "_wide", #name " %xmm1, %rax")                               \
	EMIT(name, .kind = SIMD_RX, .bytes = (size), .flags = SIMD_FP | SIMD_SCALE,                \
	     .xmm = name##_code, .wide = name##_wide_code)
LIST_TO_INT(DEFINE_TO_INT)

/* PCMPESTRx reads EAX and EDX, with REX.W RAX and RDX: written in bytes, as the assemblers do not
 * agree on a name. */
THUNKS_BY(pcmpestrm_wide_code, "pcmpestrm_wide", ".byte 0x66,0x48,0x0f,0x3a,0x60,0xc1,soft_imm")
THUNKS_BY(pcmpestri_wide_code, "pcmpestri_wide", ".byte 0x66,0x48,0x0f,0x3a,0x61,0xc1,soft_imm")

#define DEFINE_TEXT(mnemonic, name, wide_code, is_mask)                                            \
	THUNKS(name##_code, #name, #name, ", %xmm1, %xmm0")                                        \
	static bool emit_##name(struct tr *t)                                                      \
	{                                                                                          \
		static const struct simd_op OP = {.xmm = name##_code, .wide = (wide_code)};        \
		return simd_emit_text(t, &OP, (is_mask));                                          \
	}
LIST_TEXT(DEFINE_TEXT)

#define DEFINE_BLENDV(mnemonic, name)                                                              \
	THUNK(name##_code, #name, #name " %xmm0, %xmm1, %xmm2")                                    \
	static bool emit_##name(struct tr *t)                                                      \
	{                                                                                          \
		static const struct simd_op OP = {.xmm = name##_code};                             \
		return simd_emit_blendv(t, &OP);                                                   \
	}
LIST_BLENDV(DEFINE_BLENDV)

/* Those with a shape of their own. */

THUNK(cvtsi2ss_code, "cvtsi2ss", "cvtsi2ssl %eax, %xmm0")
THUNK(cvtsi2ss_wide_code, "cvtsi2ss_wide", "cvtsi2ssq %rax, %xmm0")
EMIT(cvtsi2ss, .kind = SIMD_XR, .bytes = 4, .flags = SIMD_FP | SIMD_SCALE, .xmm = cvtsi2ss_code,
     .wide = cvtsi2ss_wide_code)
THUNK(cvtsi2sd_code, "cvtsi2sd", "cvtsi2sdl %eax, %xmm0")
THUNK(cvtsi2sd_wide_code, "cvtsi2sd_wide", "cvtsi2sdq %rax, %xmm0")
EMIT(cvtsi2sd, .kind = SIMD_XR, .bytes = 4, .flags = SIMD_FP | SIMD_SCALE, .xmm = cvtsi2sd_code,
     .wide = cvtsi2sd_wide_code)

THUNK(movmskps_code, "movmskps", "movmskps %xmm1, %eax")
EMIT(movmskps, .kind = SIMD_RX, .xmm = movmskps_code)
THUNK(movmskpd_code, "movmskpd", "movmskpd %xmm1, %eax")
EMIT(movmskpd, .kind = SIMD_RX, .xmm = movmskpd_code)
THUNK(pmovmskb_code, "pmovmskb", "pmovmskb %xmm1, %eax")
THUNK(pmovmskb_mm_code, "pmovmskb_mm", "pmovmskb %mm1, %eax")
EMIT(pmovmskb, .kind = SIMD_RX, .xmm = pmovmskb_code, .mm = pmovmskb_mm_code)

THUNKS(palignr_code, "palignr", "palignr", ", %xmm1, %xmm0")
THUNKS(palignr_mm_code, "palignr_mm", "palignr", ", %mm1, %mm0")
EMIT(palignr, .kind = SIMD_XX, .bytes = 16, .flags = SIMD_IMM, .xmm = palignr_code,
     .mm = palignr_mm_code)
THUNKS(pshufw_code, "pshufw", "pshufw", ", %mm1, %mm0")
EMIT(pshufw, .kind = SIMD_XX, .flags = SIMD_IMM, .mm = pshufw_code)
THUNKS(pslldq_code, "pslldq", "pslldq", ", %xmm0")
EMIT(pslldq, .kind = SIMD_XX, .shift = pslldq_code)
THUNKS(psrldq_code, "psrldq", "psrldq", ", %xmm0")
EMIT(psrldq, .kind = SIMD_XX, .shift = psrldq_code)

THUNKS(pinsrb_code, "pinsrb", "pinsrb", ", %eax, %xmm0")
EMIT(pinsrb, .kind = SIMD_XR, .bytes = 1, .flags = SIMD_IMM, .xmm = pinsrb_code)
THUNKS(pinsrw_code, "pinsrw", "pinsrw", ", %eax, %xmm0")
THUNKS(pinsrw_mm_code, "pinsrw_mm", "pinsrw", ", %eax, %mm0")
EMIT(pinsrw, .kind = SIMD_XR, .bytes = 2, .flags = SIMD_IMM, .xmm = pinsrw_code,
     .mm = pinsrw_mm_code)
THUNKS(pinsrd_code, "pinsrd", "pinsrd", ", %eax, %xmm0")
EMIT(pinsrd, .kind = SIMD_XR, .bytes = 4, .flags = SIMD_IMM, .xmm = pinsrd_code)
THUNKS(pinsrq_code, "pinsrq", "pinsrq", ", %rax, %xmm0")
EMIT(pinsrq, .kind = SIMD_XR, .bytes = 8, .flags = SIMD_IMM, .xmm = pinsrq_code)

THUNKS(pextrb_code, "pextrb", "pextrb", ", %xmm1, %eax")
EMIT(pextrb, .kind = SIMD_RX, .bytes = 1, .flags = SIMD_IMM, .xmm = pextrb_code)
THUNKS(pextrw_code, "pextrw", "pextrw", ", %xmm1, %eax")
THUNKS(pextrw_mm_code, "pextrw_mm", "pextrw", ", %mm1, %eax")
EMIT(pextrw, .kind = SIMD_RX, .bytes = 2, .flags = SIMD_IMM, .xmm = pextrw_code,
     .mm = pextrw_mm_code)
THUNKS(pextrd_code, "pextrd", "pextrd", ", %xmm1, %eax")
EMIT(pextrd, .kind = SIMD_RX, .bytes = 4, .flags = SIMD_IMM, .xmm = pextrd_code)
THUNKS(pextrq_code, "pextrq", "pextrq", ", %xmm1, %rax")
EMIT(pextrq, .kind = SIMD_RX, .bytes = 8, .flags = SIMD_IMM, .xmm = pextrq_code)
THUNKS(extractps_code, "extractps", "extractps", ", %xmm1, %eax")
EMIT(extractps, .kind = SIMD_RX, .bytes = 4, .flags = SIMD_IMM, .xmm = extractps_code)

/* MOVSD and CMPSD name a string instruction as well; exec_string.c has the rows. */
bool tr_sse_movsd(struct tr *t)
{
	return simd_emit_movsd(t);
}

bool tr_sse_cmpsd(struct tr *t)
{
	return emit_cmpsd(t);
}

/* Rows.  Emit functions look at CR0 and CR4 themselves: which rule holds depends on the operands.
 */
#define ROW(mnemonic, emit)                                                                        \
	{                                                                                          \
		ZYDIS_MNEMONIC_##mnemonic, 0, emit                                                 \
	}
#define LISTED(mnemonic, name, ...) ROW(mnemonic, emit_##name),

static const struct soft_row ROWS[] = {
	LIST_FP(LISTED) LIST_INT(LISTED) LIST_BOTH(LISTED) LIST_SHIFT(LISTED) LIST_FP_IMM(LISTED)
		LIST_INT_IMM(LISTED) LIST_COMPARE(LISTED) LIST_TO_INT(LISTED) LIST_TEXT(LISTED)
			LIST_BLENDV(LISTED) ROW(CVTSI2SS, emit_cvtsi2ss),
	ROW(CVTSI2SD, emit_cvtsi2sd),
	ROW(MOVMSKPS, emit_movmskps),
	ROW(MOVMSKPD, emit_movmskpd),
	ROW(PMOVMSKB, emit_pmovmskb),
	ROW(PALIGNR, emit_palignr),
	ROW(PSHUFW, emit_pshufw),
	ROW(PSLLDQ, emit_pslldq),
	ROW(PSRLDQ, emit_psrldq),
	ROW(PINSRB, emit_pinsrb),
	ROW(PINSRW, emit_pinsrw),
	ROW(PINSRD, emit_pinsrd),
	ROW(PINSRQ, emit_pinsrq),
	ROW(PEXTRB, emit_pextrb),
	ROW(PEXTRW, emit_pextrw),
	ROW(PEXTRD, emit_pextrd),
	ROW(PEXTRQ, emit_pextrq),
	ROW(EXTRACTPS, emit_extractps),
	ROW(MOVAPS, simd_emit_movaps),
	ROW(MOVAPD, simd_emit_movaps),
	ROW(MOVDQA, simd_emit_movaps),
	ROW(MOVNTPS, simd_emit_movaps),
	ROW(MOVNTPD, simd_emit_movaps),
	ROW(MOVNTDQ, simd_emit_movaps),
	ROW(MOVNTDQA, simd_emit_movaps),
	ROW(MOVUPS, simd_emit_movups),
	ROW(MOVUPD, simd_emit_movups),
	ROW(MOVDQU, simd_emit_movups),
	ROW(LDDQU, simd_emit_movups),
	ROW(MOVSS, simd_emit_movss),
	ROW(MOVLPS, simd_emit_movlps),
	ROW(MOVLPD, simd_emit_movlps),
	ROW(MOVHLPS, simd_emit_movlps),
	ROW(MOVHPS, simd_emit_movhps),
	ROW(MOVHPD, simd_emit_movhps),
	ROW(MOVLHPS, simd_emit_movhps),
	ROW(MOVD, simd_emit_movd),
	ROW(MOVQ, simd_emit_movq),
	ROW(MOVNTI, simd_emit_movnti),
	ROW(MASKMOVDQU, simd_emit_maskmov),
};

const struct soft_rows soft_rows_sse = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
