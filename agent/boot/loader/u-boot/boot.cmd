# SPDX-License-Identifier: Apache-2.0
#
# Fairlead's boot script for U-Boot: boots the slot that fairlead-boot decided on. docs/internals/boot.md says what is
# stored where, README.md beside this file how to install it.
#
#   mkimage -T script -C none -n fairlead -d boot.cmd boot.scr
#
# Two ways to keep the decision and to count the tries of a trial:
#   by U-Boot    its own environment holds the decision (CONFIG_BOOTCOUNT_LIMIT, CONFIG_BOOTCOUNT_ENV); bootcmd sources
#                this script, altbootcmd does so with fairlead_used_up=1
#   by script    U-Boot keeps no environment, or no count: both lie in a partition of their own, the count in its first
#                sector, which this script writes before each try of a trial and at no other time
#
# Settings, from U-Boot's environment or from the text file fairlead.env beside boot.scr:
#   fairlead_if, fairlead_dev    the disk, as in "mmc" and "0"; default: where this script was found
#   fairlead_slots               all slots: the order in which they are tried when there is no decision
#   fairlead_slot_label          GPT label of slot X is this and X
#   fairlead_kernel_label        GPT label of the partition with the kernel of slot X is this and X; default: the slot itself
#   fairlead_env_label           GPT label of the partition with the count and the decision
#   fairlead_ram                 1 MiB of free memory: its address without the last five digits
#   fairlead_bootargs            kernel parameters of every boot; panic=SECONDS belongs to them
#   fairlead_start               starts what was loaded
#
# Only what stock U-Boot has: no setexpr, so numbers are counted in words and addresses are put together as text.

if load ${devtype} ${devnum}:${distro_bootpart} ${kernel_addr_r} ${prefix}fairlead.env; then
  env import -t ${kernel_addr_r} ${filesize}
fi
test -n "${fairlead_if}" || setenv fairlead_if ${devtype}
test -n "${fairlead_dev}" || setenv fairlead_dev ${devnum}
test -n "${fairlead_slots}" || setenv fairlead_slots a b
test -n "${fairlead_slot_label}" || setenv fairlead_slot_label slot-
test -n "${fairlead_kernel_label}" || setenv fairlead_kernel_label ${fairlead_slot_label}
test -n "${fairlead_env_label}" || setenv fairlead_env_label uboot-env
test -n "${fairlead_ram}" || setenv fairlead_ram 0x030
test -n "${fairlead_bootargs}" || setenv fairlead_bootargs ro rootwait panic=10
if test -z "${fairlead_start}"; then
  if test "${arch}" = x86; then
    setenv fairlead_start 'zboot ${kernel_addr_r} 0 ${fl_initrd} ${fl_initrd_size}'
  elif test "${cpu}" = armv8; then
    setenv fairlead_start 'booti ${kernel_addr_r} ${fl_ramdisk} ${fdtcontroladdr}'
  else
    setenv fairlead_start 'bootz ${kernel_addr_r} ${fl_ramdisk} ${fdtcontroladdr}'
  fi
fi

# --- the decision: of two copies the one with the right sum and the newer flag, as libubootenv chooses ---
# A copy: sum (4 bytes, least significant first), flag (1), variables. crc32 stores a sum most significant byte first.
setenv fl_sum_1 'crc32 ${fairlead_ram}10005 3ffb ${fairlead_ram}40000 && cmp.b ${fairlead_ram}40000 ${fairlead_ram}10003 1 && cmp.b ${fairlead_ram}40001 ${fairlead_ram}10002 1 && cmp.b ${fairlead_ram}40002 ${fairlead_ram}10001 1 && cmp.b ${fairlead_ram}40003 ${fairlead_ram}10000 1'
setenv fl_sum_2 'crc32 ${fairlead_ram}20005 3ffb ${fairlead_ram}40000 && cmp.b ${fairlead_ram}40000 ${fairlead_ram}20003 1 && cmp.b ${fairlead_ram}40001 ${fairlead_ram}20002 1 && cmp.b ${fairlead_ram}40002 ${fairlead_ram}20001 1 && cmp.b ${fairlead_ram}40003 ${fairlead_ram}20000 1'
setenv fl_counter uboot
if test -z "${fairlead_seq}"; then
  setenv fl_counter script
  setenv fl_valid
  if part start ${fairlead_if} ${fairlead_dev} ${fairlead_env_label} fl_start && ${fairlead_if} dev ${fairlead_dev} && ${fairlead_if} read ${fairlead_ram}00000 ${fl_start} 120; then
    if run fl_sum_1; then
      setenv fl_valid 1
    fi
    if run fl_sum_2; then
      if test -z "${fl_valid}"; then
        setenv fl_valid 2
      elif itest.b *${fairlead_ram}20004 == 0 && itest.b *${fairlead_ram}10004 == ff; then
        setenv fl_valid 2
      elif itest.b *${fairlead_ram}20004 == ff && itest.b *${fairlead_ram}10004 == 0; then
        setenv fl_valid 1
      elif itest.b *${fairlead_ram}20004 > *${fairlead_ram}10004; then
        setenv fl_valid 2
      fi
    fi
  fi
  if test -n "${fl_valid}"; then
    env import -b ${fairlead_ram}${fl_valid}0005 3ffb
  else
    echo "fairlead: no valid decision"
  fi
fi

# --- the count: anything but a number below the limit, made for this very decision, means "used up" ---
setenv fl_try
if test "${upgrade_available}" = 1 && test -n "${fairlead_trial}"; then
  if test ${fl_counter} = uboot; then
    test -n "${fairlead_used_up}" || setenv fl_try 1
  elif env import -c ${fairlead_ram}00000 200 fairlead_count fairlead_count_seq; then
    setenv fl_last 0
    setenv fl_next
    for n in 1 2 3 4 5 6 7 8 9; do
      if test "${fairlead_count}" = ${fl_last} && test ${n} -le ${bootlimit}; then
        setenv fl_next ${n}
      fi
      setenv fl_last ${n}
    done
    if test -n "${fl_next}" && test "${fairlead_count_seq}" = "${fairlead_seq}"; then
      setenv fairlead_count ${fl_next}
      env export -c -s 200 ${fairlead_ram}40000 fairlead_count fairlead_count_seq
      if ${fairlead_if} write ${fairlead_ram}40000 ${fl_start} 1 && ${fairlead_if} read ${fairlead_ram}50000 ${fl_start} 1 && cmp.b ${fairlead_ram}40000 ${fairlead_ram}50000 200; then
        setenv fl_try 1
      fi
    fi
  fi
  test -n "${fl_try}" || echo "fairlead: the trial of ${fairlead_trial} is used up"
fi

# --- boot: the trial, the good slot, then any that is not withdrawn; the next one when one does not load ---
setenv fl_order ${fairlead_slots}
test -z "${fairlead_good}" || setenv fl_order ${fairlead_good} ${fairlead_slots}
test -z "${fl_try}" || setenv fl_order trial ${fl_order}
for s in ${fl_order}; do
  setenv fl_name ${s}
  setenv fl_slot ${s}
  if test ${s} = trial; then
    setenv fl_name ${fairlead_trial}
    setenv fl_slot ${fairlead_trial}
    test ${fl_name} != prove || setenv fl_slot ${fairlead_good}
  fi
  setenv fl_look 'setenv fl_withdrawn ${fairlead_withdrawn_'${fl_slot}'}; setenv fl_hash ${fairlead_hash_'${fl_slot}'}'
  run fl_look
  if test -n "${fl_withdrawn}"; then
    echo "fairlead: slot ${fl_slot} is withdrawn"
  elif part number ${fairlead_if} ${fairlead_dev} ${fairlead_slot_label}${fl_slot} fl_part && part uuid ${fairlead_if} ${fairlead_dev}:${fl_part} fl_uuid && part number ${fairlead_if} ${fairlead_dev} ${fairlead_kernel_label}${fl_slot} fl_part; then
    if load ${fairlead_if} ${fairlead_dev}:${fl_part} ${kernel_addr_r} /boot/vmlinuz || load ${fairlead_if} ${fairlead_dev}:${fl_part} ${kernel_addr_r} /vmlinuz; then
      setenv fl_initrd 0
      setenv fl_initrd_size 0
      setenv fl_ramdisk -
      if load ${fairlead_if} ${fairlead_dev}:${fl_part} ${ramdisk_addr_r} /boot/initrd.img || load ${fairlead_if} ${fairlead_dev}:${fl_part} ${ramdisk_addr_r} /initrd.img; then
        setenv fl_initrd ${ramdisk_addr_r}
        setenv fl_initrd_size ${filesize}
        setenv fl_ramdisk ${ramdisk_addr_r}:${filesize}
      fi
      setenv bootargs ${fairlead_bootargs} root=PARTUUID=${fl_uuid} fairlead.slot=${fl_name}
      test ${s} != trial || test ${fl_name} = prove || setenv bootargs ${bootargs} fairlead.trial=1
      test -z "${fl_hash}" || setenv bootargs ${bootargs} roothash=${fl_hash}
      echo "fairlead: slot ${fl_slot} as ${fl_name}"
      run fairlead_start
    fi
  fi
  echo "fairlead: slot ${fl_slot} does not boot"
done
sleep 10
reset
