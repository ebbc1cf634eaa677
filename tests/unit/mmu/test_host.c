/* Unit tests of HVA -> HPA. */
#include "umbra/mmu.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE UMBRA_PAGE_SIZE

Test(host, host_page_when_two_mappings_share_a_page_then_one_address)
{
	int fd = memfd_create("page", 0);
	uint8_t *a, *b;
	uint64_t hpa_a = 0, hpa_b = 1;
	int error;

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, PAGE), 0);
	a = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	b = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert(a != MAP_FAILED && b != MAP_FAILED);
	cr_assert_eq(mmu_host_page(a, &hpa_a), -ENODATA);
	*(volatile uint8_t *)a = 1;
	*(volatile uint8_t *)b = 1;
	error = mmu_host_page(a + 5, &hpa_a);
	if (error == -EPERM)
		cr_skip_test("without CAP_SYS_ADMIN the host hides page frame numbers");
	cr_assert_eq(error, 0);
	cr_assert_eq(mmu_host_page(b + 7, &hpa_b), 0);
	cr_assert_eq(hpa_a % PAGE, 5);
	cr_assert_eq(hpa_b, hpa_a + 2);
}
