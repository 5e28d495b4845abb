/* SPDX-License-Identifier: Apache-2.0 */
#include "releases/compat.h"

#include <string.h>

static bool listed(const struct fl_compat *compat, const char *class_id)
{
	for (size_t i = 0; i < compat->class_ids.n; i++) {
		if (strcmp(compat->class_ids.items[i], class_id) == 0)
			return true;
	}
	return false;
}

enum fl_rc fl_compat_device(const struct fl_release *release, const struct fl_device *device,
			    struct fl_err *err)
{
	const struct fl_compat *compat = release->compat;
	if (device->product == NULL || device->class_id == NULL)
		return FL_OK;
	if (strcmp(release->product, device->product) != 0)
		return fl_fail(err, FL_E_INCOMPATIBLE, 0, "made for product '%s', the device is a '%s'",
			       release->product, device->product);
	if (!listed(compat, device->class_id))
		return fl_fail(err, FL_E_INCOMPATIBLE, 0, "not made for class '%s'", device->class_id);
	if (device->hw_rev < compat->hw_rev_min || device->hw_rev > compat->hw_rev_max)
		return fl_fail(err, FL_E_INCOMPATIBLE, 0,
			       "made for hardware revisions %llu to %llu, the device has %llu",
			       (unsigned long long)compat->hw_rev_min,
			       (unsigned long long)compat->hw_rev_max,
			       (unsigned long long)device->hw_rev);
	return FL_OK;
}

static bool permitted(const struct fl_release *committed, const struct fl_digest *release)
{
	for (size_t i = 0; committed != NULL && i < committed->permits_rollback_to.n; i++) {
		if (fl_digest_equal(&committed->permits_rollback_to.items[i], release))
			return true;
	}
	return false;
}

enum fl_rc fl_compat_component(const struct fl_component *next, const struct fl_digest *release,
			       const struct fl_wire_component *running,
			       const struct fl_release *committed, struct fl_err *err)
{
	bool known = !fl_digest_is_zero(&running->release);
	if (next->release_seq > running->release_seq || permitted(committed, release))
		return FL_OK;
	if (next->release_seq == running->release_seq &&
	    (!known || fl_digest_equal(&running->release, release)))
		return FL_OK;
	return fl_fail(err, FL_E_DOWNGRADE, 0, "'%s' has release_seq %llu, the device runs %llu",
		       next->name, (unsigned long long)next->release_seq,
		       (unsigned long long)running->release_seq);
}
