/* Snapshots by name, a bounded number. */
#include "umbra/mmu_snap.h"

#include <errno.h>

static int find(const struct mmu_snaps *snaps, const char *name)
{
	unsigned i;

	for (i = 0; i < MMU_SNAPS_MAX; i++) {
		if (strcmp(snaps->named[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

int mmu_snaps_put(struct mmu_snaps *snaps, const char *name, struct mmu_snap *snap)
{
	size_t len = strlen(name);
	int at;

	if (len == 0 || len >= MMU_SNAP_NAME_MAX)
		return -EINVAL;
	at = find(snaps, name);
	if (at < 0)
		at = find(snaps, "");
	if (at < 0)
		return -ENOSPC;
	mmu_snap_free(snaps->named[at].snap);
	snaps->named[at].snap = snap;
	memcpy(snaps->named[at].name, name, len + 1);
	return 0;
}

struct mmu_snap *mmu_snaps_get(const struct mmu_snaps *snaps, const char *name)
{
	int at = *name ? find(snaps, name) : -1;

	return at < 0 ? NULL : snaps->named[at].snap;
}

int mmu_snaps_drop(struct mmu_snaps *snaps, const char *name)
{
	int at = *name ? find(snaps, name) : -1;

	if (at < 0)
		return -ENOENT;
	mmu_snap_free(snaps->named[at].snap);
	snaps->named[at].snap = NULL;
	snaps->named[at].name[0] = '\0';
	return 0;
}

void mmu_snaps_clear(struct mmu_snaps *snaps)
{
	unsigned i;

	for (i = 0; i < MMU_SNAPS_MAX; i++)
		mmu_snap_free(snaps->named[i].snap);
	*snaps = (struct mmu_snaps){0};
}
