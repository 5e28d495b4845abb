/* SPDX-License-Identifier: Apache-2.0 */
/* May this release go to that device, as far as the server can know? Pure. The device decides again, by itself. */
#ifndef FLEET_RELEASES_COMPAT_H
#define FLEET_RELEASES_COMPAT_H

#include "registry/components.h"
#include "registry/registry.h"

/* FL_E_INCOMPATIBLE: product, class or hardware revision. A device that never said hello passes. */
enum fl_rc fl_compat_device(const struct fl_release *release, const struct fl_device *device,
			    struct fl_err *err) FL_CHECKED;

/*
 * FL_E_DOWNGRADE: a component's release_seq below the running one, or the same for another release, and the committed
 * release (NULL: not known here) does not permit the way back.
 */
enum fl_rc fl_compat_component(const struct fl_component *next, const struct fl_digest *release,
			       const struct fl_wire_component *running,
			       const struct fl_release *committed, struct fl_err *err) FL_CHECKED;

#endif
