# Guest programs: freestanding, with flags of their own, built once for all modes of umbra.
# Included by GNUmakefile.  Defines GUESTS (every file under build/guests/) and how each is built.

GUEST_OUT := build/guests
# The host's gcc whatever CC is: a guest's code, and what a debugger sees of it, is one thing.
GUEST_CC  := gcc
GUEST_WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wcast-qual -Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wimplicit-fallthrough
# No FPU and no SSE, which some KVMs cannot run at privilege level 0; no red zone, which an
# interrupt on the same stack would overwrite.
GUEST_CFLAGS := -std=gnu11 $(GUEST_WARNINGS) -m64 -mgeneral-regs-only -mno-red-zone -mcmodel=small \
	-ffreestanding -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -fno-omit-frame-pointer -g -Iguests/lib
GUEST_LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack \
	-Wl,-z,max-page-size=4096

# 64-bit guests: one C file each, over guests/lib.
GUEST_NAMES := hello64 smp2 uart_irq rtc timer acpi fwcfg keys screen faults hazard hazard_fixed \
	spin triple halt speed split_lock
GUEST_LIB   := print report idt idt_entry pic smp smp_entry
GUEST_LIB_OBJECTS := $(GUEST_LIB:%=$(GUEST_OUT)/lib/%.o)
GUEST_LINKED := $(GUEST_OUT)/libguest.a guests/lib/guest.ld

GUESTS += $(GUEST_OUT)/add16.bin $(GUEST_OUT)/add16.elf $(GUEST_OUT)/modes.bin
GUESTS += $(GUEST_NAMES:%=$(GUEST_OUT)/%.elf)
# The same programs behind a multiboot header: ELF64 for umbra, ELF32 for QEMU's -kernel as well.
GUESTS += $(GUEST_NAMES:%=$(GUEST_OUT)/%-mb.elf) $(GUEST_NAMES:%=$(GUEST_OUT)/%-mb32.elf)

# Multiboot 2, a bzImage and firmware.
GUESTS += $(GUEST_OUT)/hello64-mb2.elf $(GUEST_OUT)/bzimage.bin $(GUEST_OUT)/bios16.bin

# 32-bit kernels with their symbols in an ELF32, as multiboot loaders know it.
GUEST_ELF32 := $(GUEST_OUT)/hello32.elf $(GUEST_OUT)/paging.elf
GUESTS += $(GUEST_ELF32)

$(GUEST_ELF32): $(GUEST_OUT)/%.elf: guests/%.c guests/rules.mk
	$(guest_command)
	$(Q)$(GUEST_CC) $(filter-out -m64 -mno-red-zone -mcmodel=small,$(GUEST_CFLAGS)) -m32 -O0 \
		$(GUEST_LDFLAGS) -Wl,-Ttext=0x100000 $< -o $@

# Guests that misbehave; one of them in three sizes.
GUEST_BAD := $(patsubst guests/bad/%.c,%,$(sort $(wildcard guests/bad/*.c))) flood64m flood8g
GUESTS += $(GUEST_BAD:%=$(GUEST_OUT)/bad/%.elf)
BAD_CFLAGS := $(GUEST_CFLAGS) -O1

$(GUEST_OUT)/bad/%.o: guests/bad/%.c guests/rules.mk
	$(guest_command)
	$(Q)$(GUEST_CC) $(BAD_CFLAGS) -MMD -MP -c $< -o $@

$(GUEST_OUT)/bad/flood64m.o: guests/bad/flood.c guests/rules.mk
	$(guest_command)
	$(Q)$(GUEST_CC) $(BAD_CFLAGS) -DFLOOD_KIB='(64ull << 10)' -MMD -MP -c $< -o $@

$(GUEST_OUT)/bad/flood8g.o: guests/bad/flood.c guests/rules.mk
	$(guest_command)
	$(Q)$(GUEST_CC) $(BAD_CFLAGS) -DFLOOD_KIB='(8ull << 20)' -MMD -MP -c $< -o $@

# What `make bench` measures with: one ELF32 for umbra and for QEMU's -kernel.
GUESTS += $(GUEST_OUT)/bench.elf

$(GUEST_OUT)/bench.elf: guests/bench.S guests/rules.mk
	@mkdir -p $(@D); echo "  GUEST   $@"
	$(Q)$(GUEST_CC) -m32 -static -nostdlib -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-n \
		-Wl,-Ttext=0x100000 -Wl,-e,_start $< -o $@

# The loops of `speed`, which a host program runs as well: with FPU and SSE, and optimized.
SPEED_CFLAGS := $(filter-out -mgeneral-regs-only,$(GUEST_CFLAGS)) -O2 -fno-tree-vectorize \
	-fno-tree-loop-distribute-patterns
$(GUEST_OUT)/speed_loops.o: guests/speed_loops.c guests/rules.mk
	$(guest_command)
	$(Q)$(GUEST_CC) $(SPEED_CFLAGS) -MMD -MP -c $< -o $@

$(GUEST_OUT)/speed.elf $(GUEST_OUT)/speed-mb.elf: $(GUEST_OUT)/speed_loops.o

# The same guest in a ROM, for emulators without a multiboot loader: its bytes, and the few lines of
# rom.S, linked with the guest's own symbols.
GUESTS += $(GUEST_OUT)/speed.rom

$(GUEST_OUT)/speed-mb.bin: $(GUEST_OUT)/speed-mb.elf
	$(guest_command)
	$(Q)objcopy -O binary $< $@

$(GUEST_OUT)/speed.rom: guests/lib/rom.S $(GUEST_OUT)/speed-mb.bin $(GUEST_OUT)/speed-mb32.elf \
		guests/rules.mk
	$(guest_command)
	$(Q)$(GUEST_CC) -m32 -static -nostdlib -Wl,--build-id=none -Wl,-Ttext=0xf0000 -Wl,-e,0 \
		-Wl,--just-symbols=$(GUEST_OUT)/speed-mb32.elf \
		-DGUEST_BYTES='"$(GUEST_OUT)/speed-mb.bin"' $< -o $(@:.rom=-rom.elf)
	$(Q)objcopy -O binary -j .text $(@:.rom=-rom.elf) $@

guest_command = @mkdir -p $(@D); echo "  GUEST   $@"

# A guest's own code is unoptimized, so that a debugger's steps follow the source.
$(GUEST_OUT)/%.o: guests/%.c guests/rules.mk
	$(guest_command)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -O0 -MMD -MP -c $< -o $@

$(GUEST_OUT)/lib/%.o: guests/lib/%.c guests/rules.mk
	$(guest_command)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -O1 -MMD -MP -c $< -o $@

$(GUEST_OUT)/lib/%.o: guests/lib/%.S guests/rules.mk
	$(guest_command)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -MMD -MP -c $< -o $@

$(GUEST_OUT)/lib/boot-mb.o: guests/lib/boot.S guests/rules.mk
	$(guest_command)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -DGUEST_MULTIBOOT -MMD -MP -c $< -o $@

$(GUEST_OUT)/lib/boot-mb2.o: guests/lib/boot.S guests/rules.mk
	$(guest_command)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -DGUEST_MULTIBOOT=2 -MMD -MP -c $< -o $@

$(GUEST_OUT)/libguest.a: $(GUEST_LIB_OBJECTS)
	$(guest_command)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(GUEST_OUT)/%-mb.elf: $(GUEST_OUT)/%.o $(GUEST_OUT)/lib/boot-mb.o $(GUEST_LINKED)
	$(guest_command)
	$(Q)$(GUEST_CC) $(GUEST_LDFLAGS) -T guests/lib/guest.ld -o $@ $(filter-out %.ld,$^)

$(GUEST_OUT)/%-mb2.elf: $(GUEST_OUT)/%.o $(GUEST_OUT)/lib/boot-mb2.o $(GUEST_LINKED)
	$(guest_command)
	$(Q)$(GUEST_CC) $(GUEST_LDFLAGS) -T guests/lib/guest.ld -o $@ $(filter-out %.ld,$^)

$(GUEST_OUT)/%.elf: $(GUEST_OUT)/%.o $(GUEST_OUT)/lib/boot.o $(GUEST_LINKED)
	$(guest_command)
	$(Q)$(GUEST_CC) $(GUEST_LDFLAGS) -T guests/lib/guest.ld -o $@ $(filter-out %.ld,$^)

$(GUEST_OUT)/%-mb32.elf: $(GUEST_OUT)/%-mb.elf
	$(guest_command)
	$(Q)objcopy --strip-debug -O elf32-i386 $< $@

# The 16-bit seed: the bare bytes to run, and an ELF64 that holds its symbols and source lines.
$(GUEST_OUT)/add16.o $(GUEST_OUT)/modes.o: $(GUEST_OUT)/%.o: guests/%.S guests/rules.mk
	$(guest_command)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -c $< -o $@

$(GUEST_OUT)/add16.elf $(GUEST_OUT)/modes.elf: $(GUEST_OUT)/%.elf: $(GUEST_OUT)/%.o
	$(guest_command)
	$(Q)$(GUEST_CC) $(GUEST_LDFLAGS) -Wl,-Ttext=0x1000 -o $@ $<

$(GUEST_OUT)/add16.bin $(GUEST_OUT)/modes.bin: $(GUEST_OUT)/%.bin: $(GUEST_OUT)/%.elf
	$(guest_command)
	$(Q)objcopy -O binary -j .text $< $@

# Files that are an image as they stand: offsets in the file are their addresses.
$(GUEST_OUT)/bios16.bin $(GUEST_OUT)/bzimage.bin: $(GUEST_OUT)/%.bin: guests/%.S guests/rules.mk
	$(guest_command)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_LDFLAGS) -Wl,-Ttext=0 -o $(@:.bin=.elf) $<
	$(Q)objcopy -O binary -j .text $(@:.bin=.elf) $@

-include $(wildcard $(GUEST_OUT)/*.d $(GUEST_OUT)/lib/*.d $(GUEST_OUT)/bad/*.d)
