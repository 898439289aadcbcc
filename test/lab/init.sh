#!/usr/bin/busybox sh
# First process of dom0: brings up what every payload needs, runs it, hands its result out on a raw disk.
# Lines that begin with "lab:" are read on the host.
export PATH=/usr/lib/xen-domid-lab:/usr/sbin:/usr/bin:/sbin:/bin
busybox=/usr/bin/busybox

$busybox mkdir -p /proc /sys /dev /run /tmp /result/output
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
$busybox mount -t devtmpfs devtmpfs /dev
exec </dev/console >/dev/console 2>&1
echo 'lab: init'
$busybox --install -s /usr/bin
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /dev/pts /dev/shm /var
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
rm -rf /var/run
ln -s /run /var/run
mkdir -p /var/lock /var/lib/xen /var/lib/xenstored /var/log/xen /var/lib/xen/dump /run/lock /run/xen /run/xenstored
ip link set lo up

result_disk=/dev/vda
finish() {
  echo "$1" >/result/status
  tar -cf "$result_disk" -C /result . || echo 'lab: the result could not be written'
  sync
  echo "lab: status $1"
  poweroff -f
  # Power-off is on its way; the first process must not end.
  while :; do sleep 60; done
}
give_up() {
  echo "lab: failed: $*"
  finish 125
}

while read -r module; do
  insmod "$module" || echo "lab: insmod $module failed"
done </usr/lib/modules/order
if [ -e /sys/class/net/eth0 ]; then
  ip link set eth0 up
  ip addr add 10.0.2.15/24 dev eth0
fi
mount -t xenfs xenfs /proc/xen || give_up 'no xenfs: dom0 does not run on Xen'
[ -e /dev/xen/privcmd ] || give_up 'no /dev/xen/privcmd'

# Release and daemon of this cell, as variables.
. /lab/cell
export XEN_BIN="/usr/lib/xen-${XEN_DOMID_LAB_RELEASE%-*}/bin"
export PATH="$XEN_BIN:$PATH"

lab-xenstored || give_up "$XEN_DOMID_LAB_DAEMON does not listen"
echo 'lab: dom0 is up'

cd /project || give_up 'no project in this image'
sh /lab/payload </dev/null
finish $?
