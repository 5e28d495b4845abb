# For the root of the ESP, where the firmware ends in an EFI shell: when a kernel could not be started it comes round again,
# and systemd-boot, which has counted that try, goes on.
reset
