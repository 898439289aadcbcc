# Run in place of the service, confined as its unit says: what a program in there can do. A line an attempt.
try() {
  local name=$1
  shift
  if "$@" >/dev/null 2>&1 </dev/null; then echo "$name: done"; else echo "$name: refused"; fi
}
write() { : >"$1"; }
open() { exec 9<>"$1"; }
tcp() { exec 9<>"/dev/tcp/$1/8000"; }
unit() { mkdir -p /run/systemd/system && : >/run/systemd/system/lab-escape.service; }
own() { : >/run/xen-domid/lab-own && "$@" /run/xen-domid/lab-own; }

try write-own-folder write /run/xen-domid/lab-own
try write-tmp write /tmp/lab
try privcmd open /dev/xen/privcmd
try loopback tcp 127.0.0.1

try write-run write /run/lab-escape
try write-unit unit
try write-etc write /etc/lab-escape
try write-usr write /usr/lab-escape
try write-var write /var/lab-escape
try write-srv write /srv/lab-escape
try write-dev write /dev/lab-escape
try write-shm write /dev/shm/lab-escape
try write-mqueue write /dev/mqueue/lab-escape
try write-home write /home/lab-escape
try list-home ls /home/lab
try list-root ls /root
try systemd-run systemd-run --quiet --wait touch /lab-escape
try systemctl systemctl daemon-reload
try manager-socket socat -u OPEN:/dev/null UNIX-CONNECT:/run/systemd/private
try dbus busctl --timeout=5 call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager Reload
try dbus-socket socat -u OPEN:/dev/null UNIX-CONNECT:/run/dbus/system_bus_socket
try udevadm udevadm control --reload
try evtchn open /dev/xen/evtchn
try gntdev open /dev/xen/gntdev
try disk open /dev/vda
try mem open /dev/mem
try mknod mknod /run/xen-domid/lab-device b 254 0
try chown own chown 1:1
try setuid-bit own chmod u+s
try unshare-user unshare --user true
try unshare-mount unshare --mount true
try mount mount -t tmpfs tmpfs /run/xen-domid
try remount mount -o remount,rw /run
try nsenter nsenter --target 1 --mount true
try netlink ip link
try other-address tcp 192.0.2.1
try environment-of-init cat /proc/1/environ
try setpriv setpriv --reuid 1 true
grep -E '^(CapInh|CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status
echo "processes: $(ls -d /proc/[0-9]* | wc -l)"
rm -f /run/xen-domid/lab-own
