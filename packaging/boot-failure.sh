#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What is left of the boot before this one, in one line: [host] boot_failure of the helper, which tells it only when a trial
# did not come up. A panic from pstore, else a reset by the hardware watchdog, and the last complaints of that boot's journal.
#
#   boot-failure FILE      run once, at boot, before fairlead-helper; FAIRLEAD_SYS: another /sys, for tests
set -u
LC_ALL=C
export LC_ALL

sys=${FAIRLEAD_SYS:-/sys}
out=$1
limit=230 # the helper keeps one line, a report about as much
card_reset=32 # WDIOF_CARDRESET

panic() {
  for record in "$sys"/fs/pstore/dmesg-* /var/lib/systemd/pstore/*/dmesg.txt; do
    [ -e "$record" ] || continue
    line=$(grep -a -h -o -m 1 'Kernel panic.*' "$record") && printf '%s' "$line" && return
  done
  return 1
}

watchdog() {
  for status in "$sys"/class/watchdog/*/bootstatus; do
    [ -e "$status" ] || continue
    bits=$(cat "$status")
    [ "$((bits & card_reset))" -eq 0 ] || { printf 'reset by the watchdog'; return; }
  done
  return 1
}

complaints() {
  journalctl --boot=-1 --priority=err --lines=3 --output=cat --no-pager --quiet 2>/dev/null | tr '\n' ';'
}

reason=$(panic || watchdog)
log=$(complaints)
line=$(printf '%s' "$reason${reason:+${log:+; log: }}$log" | tr -c '[:print:]' ' ' | cut -c "1-$limit")
rm -f "$out"
[ -z "$line" ] || printf '%s\n' "$line" >"$out"
