/* Stops for the debugger, and the guest's own debug registers (points.c). */
#ifndef SOFT_POINTS_H
#define SOFT_POINTS_H

#include "cpu.h"

/* The loop's side. */

int soft_points_init(struct soft_cpu *c);
void soft_points_end(struct soft_cpu *c);
/* Take the points of @debug, and make them those that count: the latter with the turn. */
int soft_points_set(struct soft_cpu *c, const struct accel_debug *debug);
void soft_points_follow(struct soft_cpu *c);
/* True when the guest's DR7 arms something: every instruction is looked at. */
bool soft_points_guest_armed(const struct soft_cpu *c);
/* The guest's execution breakpoints at @la: DR6 bits. */
uint64_t soft_points_guest_exec(const struct soft_cpu *c, gva_t la);
/* Hits of the debugger's points since the last call, into @out. */
void soft_points_take(struct soft_cpu *c, struct accel_exit *out);
/* The current instruction faults: what it met so far does not count, for it will meet it again. */
void soft_points_drop(struct soft_cpu *c);
/* The debugger's exec point at @la, or else one in whose memory @gpa lies: index, or -1. */
int soft_points_exec_at(const struct soft_cpu *c, gva_t la, gpa_t gpa);

/* The instructions' side. */

/* The guest's DR0 to DR7 or CR4.DE changed (points.c). */
void soft_points_guest_changed(struct soft_cpu *c);
/* Is there a point at an instruction whose first byte is at @la and at @gpa? */
bool soft_points_has_exec(const struct soft_cpu *c, gva_t la, gpa_t gpa);
/* Mask of MMU_CAN_READ and _WRITE for which this page must not hit in line; *out_watched as in
 * struct tlb_bank. */
unsigned soft_points_withhold(const struct soft_cpu *c, gva_t la_page, gpa_t gpa_page,
			      uint64_t *out_watched);
/* Might such an access be to watched bytes?  Only of a page that soft_points_withhold named. */
bool soft_points_touch(const struct soft_cpu *c, gva_t la, gpa_t gpa, size_t len, bool is_write);
/* A data access that the withheld page sent the slow way.  Restarts the instruction in SOFT_STEP
 * mode when it hits; in that mode notes the hit with the old bytes. */
void soft_points_access(struct soft_cpu *c, gva_t la, gpa_t gpa, unsigned len, bool is_write);
/* A port access (guest's DR7 with CR4.DE; monitor catch). */
void soft_points_io(struct soft_cpu *c, uint16_t port, unsigned len);
/* Take the DR6 bits of the guest's data breakpoints that were met and not reported yet: those that
 * wait behind a load of SS. */
uint64_t soft_points_take_guest(struct soft_cpu *c);

#endif
