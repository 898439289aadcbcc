#!/usr/bin/busybox sh
# Starts this cell's xenstore daemon and returns once its socket is there; fails after half a minute.
socket=/run/xenstored/socket
rm -f "$socket" /run/xenstored/socket_ro /run/xenstored.pid
"$XEN_BIN/$XEN_DOMID_LAB_DAEMON" --pid-file /run/xenstored.pid || exit 1
tries=300
while [ ! -S "$socket" ] && [ "$tries" -gt 0 ]; do
  tries=$((tries - 1))
  usleep 100000
done
[ -S "$socket" ]
