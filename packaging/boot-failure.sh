#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What is left of the boot before this one: [host] boot_failure. The first line says why it ended: a panic from pstore, else a
# reset by the hardware watchdog, and the last complaints of its journal. The helper tells it when a trial did not come up. The
# lines below are the end of that boot's log, which the agent reports with a job that it rolled back: of the panic's record, else of
# the journal, else of the console's record.
#
#   boot-failure FILE SEEN   run once, at boot, before fairlead-helper; SEEN: this program's memory
#   FAIRLEAD_ROOT            for tests: where sys, proc and var are
set -u
LC_ALL=C
export LC_ALL

root=${FAIRLEAD_ROOT:-}
out=$1 seen=$2
limit=230 # the helper keeps one line, a report about as much
log_limit=3800 # with the line above it no more than the agent and the helper read
card_reset=32 # WDIOF_CARDRESET
# What the service manager says of an orderly end would push out all that came before it.
routine=' systemd\[1\]: \(.*: Deactivated successfully\|\(Start\|Stopp\|Finish\|Reach\|Clos\|Remov\|Creat\|Listen\|Mount\|Unmount\)\(ed\|ing\) \)'

# Records stay until somebody removes them: those that another boot has seen tell nothing of the last one.
known=$(cat "$seen" 2>/dev/null)
records=$(find "$root/sys/fs/pstore" "$root/var/lib/systemd/pstore" -type f \( -name 'dmesg*' -o -name 'console*' \) \
  -exec sha256sum {} + 2>/dev/null)
[ "$records" = "$known" ] || printf '%s\n' "$records" 2>/dev/null >"$seen"

# new_record NAME TEXT: the first of that kind with that text in it
new_record() {
  printf '%s\n' "$records" | while read -r sum record; do
    case $known in *"$sum"*) continue ;; esac
    case ${record##*/} in "$1"*) grep -a -q "$2" "$record" && printf '%s' "$record" && break ;; esac
  done
}

watchdog() {
  for status in "$root"/sys/class/watchdog/*/bootstatus; do
    [ -e "$status" ] || continue
    bits=$(cat "$status")
    [ "$((bits & card_reset))" -eq 0 ] || { printf 'reset by the watchdog'; return; }
  done
}

# The first word on it: that of the kernel, at the start of its log. The rest is not read.
slot() {
  sed -n '/fairlead\.slot=/ { s/.*fairlead\.slot=\([a-z]*\).*/\1/p; q }'
}

# Of a log: whether it is of the other slot. A boot that ended early left none, and the last one is then of a boot before it, of
# the slot that runs now.
of_failed_boot() {
  said=$(slot)
  [ -n "$said" ] && [ "$said" != "$(slot <"$root/proc/cmdline")" ]
}

last_journal() {
  journalctl --boot=-1 --no-pager --quiet "$@" 2>/dev/null
}

printable() {
  tr -c '[:print:]\n' ' ' | cut -c "1-$limit"
}

tell() {
  line=$(printf '%s' "$reason" | tr '\n' ' ' | printable)
  while [ "${#log}" -gt "$log_limit" ]; do # its last lines, as many as may be
    log=${log#*
}
  done
  rm -f "$out"
  [ -z "$line$log" ] || printf '%s\n' "$line${log:+
$log}" >"$out"
}

log=''
panic=$(new_record dmesg 'Kernel panic')
console=$(new_record console 'fairlead\.slot=')
if [ -n "$panic" ]; then
  reason=$(grep -a -h -o -m 1 'Kernel panic.*' "$panic")
  log=$(printable <"$panic" | tail -c 8000)
else
  reason=$(watchdog)
  tell # the journal may take longer than there is time
  if last_journal --dmesg --output=cat | of_failed_boot; then
    complaints=$(last_journal --priority=err --lines=3 --output=cat | tr '\n' ';')
    reason=$reason${reason:+${complaints:+; log: }}$complaints
    log=$(last_journal --lines=500 --output=short-monotonic --no-hostname | grep -a -v "$routine" | printable | tail -c 8000)
  elif [ -n "$console" ] && of_failed_boot <"$console"; then
    log=$(printable <"$console" | tail -c 8000)
  fi
fi
tell
