#!/bin/busybox sh
# The initramfs of a Debian host: loads the modules of its disk and starts systemd from there.
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
while read -r module; do /bin/busybox insmod "/modules/$module"; done </modules/order
until [ -b /dev/vda ]; do /bin/busybox usleep 50000; done
/bin/busybox mount -t ext4 /dev/vda /root || exec /bin/busybox poweroff -f
for folder in dev sys proc; do /bin/busybox mount --move "/$folder" "/root/$folder"; done
exec /bin/busybox switch_root /root /sbin/init
