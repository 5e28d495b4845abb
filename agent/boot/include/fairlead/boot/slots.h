/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots as the root-owned configuration names them, and which of them runs. fairlead-boot and fairlead-helper both ask
 * here, so that they can't differ.
 *
 *   [component.NAME]
 *   slot.a = partlabel:rootfs-a          GPT name
 *   slot.b = partuuid:6661cafe-02        of a GPT or an MBR partition
 *   slot.c = /dev/mmcblk0p4, images/c    a path; a relative one starts from [paths] root
 *
 * A slot's letter stands for the whole system: what several components call slot.a (kernel and rootfs, rootfs and app)
 * boots together and switches together.
 *
 * The running slot stands in the file [host] running_slot where that is set (back end sim); otherwise it is the one
 * whose device the mounted root stands on, also through dm-verity and under a read-only overlay.
 */
#ifndef FAIRLEAD_BOOT_SLOTS_H
#define FAIRLEAD_BOOT_SLOTS_H

#include <fairlead/base/conf.h>
#include <fairlead/boot/boot.h>

#include <limits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where the machine tells of itself; tests have trees of their own. */
struct fl_boot_roots {
	const char *dev, *sys, *proc;
};

#define FL_BOOT_ROOTS ((struct fl_boot_roots){"/dev", "/sys", "/proc"})

/*
 * The device or file that a setting slot.X means, as an absolute path without symbolic links where it is a partition by
 * name, otherwise as fl_conf_path tells. FL_E_SLOT_MISSING: no such partition; FL_E_CONFIG: malformed, or two partitions
 * have that name.
 */
enum fl_rc fl_boot_slot_resolve(struct fl_conf *conf, const struct fl_boot_roots *roots,
				const char *value, char ret[PATH_MAX],
				struct fl_err *err) FL_CHECKED;

/* Slot `slot` ("a") of [component.NAME]; FL_E_SLOT_MISSING also when it is not configured. */
enum fl_rc fl_boot_component_slot(struct fl_conf *conf, const struct fl_boot_roots *roots,
				  const char *component, const char *slot, char ret[PATH_MAX],
				  struct fl_err *err) FL_CHECKED;

/*
 * The running slot's letter, "" when it can't be told. *ret_proving: the loader said fairlead.slot=prove; with the file
 * [host] running_slot the letter then is "".
 */
enum fl_rc fl_boot_running(struct fl_conf *conf, const struct fl_boot_roots *roots,
			   char ret[FL_NAME_MAX + 1], bool *ret_proving,
			   struct fl_err *err) FL_CHECKED;

/* All that the back ends need; *ret points into the arena and into conf. */
enum fl_rc fl_boot_host_load(struct fl_conf *conf, const struct fl_boot_roots *roots,
			     struct fl_arena *arena, struct fl_boot_host *ret,
			     struct fl_err *err) FL_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
