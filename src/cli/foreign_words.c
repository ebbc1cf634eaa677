/* QEMU's options that umbra does not have, and what to do instead: who types one of them is told
 * so, and not that it is unknown. */
#include "options.h"

#include "umbra/types.h"

#define NO_DISK	   "there are no disks; -initrd takes files along"
#define NO_NETWORK "there is no network"
#define NO_SCREEN  "nothing is drawn; `monitor screen` prints the text, and -serial is the console"
#define NO_MONITOR "type `monitor help` in gdb instead"
#define ONE_PC	   "there is one kind of PC"

static const struct {
	const char *name;
	const char *hint;
} FOREIGN[] = {
	{"machine", ONE_PC},
	{"M", ONE_PC},
	{"enable-kvm", "KVM is what runs the guest anyway"},
	{"pflash", "use -bios"},
	{"drive", NO_DISK},
	{"blockdev", NO_DISK},
	{"hda", NO_DISK},
	{"hdb", NO_DISK},
	{"cdrom", NO_DISK},
	{"fda", NO_DISK},
	{"boot", NO_DISK},
	{"snapshot", NO_DISK},
	{"netdev", NO_NETWORK},
	{"nic", NO_NETWORK},
	{"net", NO_NETWORK},
	{"vnc", NO_SCREEN},
	{"spice", NO_SCREEN},
	{"full-screen", NO_SCREEN},
	{"qmp", NO_MONITOR},
	{"mon", NO_MONITOR},
	{"chardev", "use -serial"},
	{"parallel", "use -serial"},
	{"object", ONE_PC},
	{"numa", ONE_PC},
	{"usb", ONE_PC},
	{"usbdevice", ONE_PC},
	{"smbios", ONE_PC},
	{"watchdog", ONE_PC},
	{"no-acpi", "acpi=off is a word for the kernel's command line"},
	{"no-hpet", "there is no HPET"},
	{"no-shutdown", "see --on-halt"},
	{"action", "see --on-halt and -no-reboot"},
	{"icount", "see -accel"},
	{"d", "type `monitor info exits` in gdb"},
	{"D", "stderr can be redirected"},
	{"trace", "type `monitor info exits` in gdb"},
	{"loadvm", "there are no snapshots"},
	{"incoming", "there are no snapshots"},
	{"daemonize", "use the shell's &"},
	{"pidfile", "use --addr-file"},
	{"name", "it is not needed"},
	{"uuid", "it is not needed"},
	{"sandbox", "it is not needed"},
	{"dtb", ONE_PC},
};

const char *option_foreign_hint(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(FOREIGN); i++) {
		if (strlen(FOREIGN[i].name) == len && memcmp(FOREIGN[i].name, name, len) == 0)
			return FOREIGN[i].hint;
	}
	return NULL;
}
