#!/bin/sh
# Makes an unpacked Debian a host of the lab: what its installer would ask, and a shell that the tests drive.
set -eu
root=$1
printf '/dev/vda / ext4 rw 0 0\n' >"$root/etc/fstab"
printf 'lab-host\n' >"$root/etc/hostname"
printf '127.0.0.1 localhost lab-host\n' >"$root/etc/hosts"
# Without one, systemd takes each boot for the first, and enables what is preset.
printf '0123456789abcdef0123456789abcdef\n' >"$root/etc/machine-id"
mkdir -p "$root/var/log/journal" "$root/srv"
rm -f "$root/etc/resolv.conf"
# Under emulation each of them takes seconds.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
  fstrim.timer getty@tty1.service serial-getty@hvc0.service systemd-timesyncd.service systemd-pstore.service man-db.timer; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
cat >"$root/usr/local/sbin/lab-shell" <<'END'
#!/bin/bash
until [ -e /dev/virtio-ports/shell ]; do sleep 0.1; done
exec bash --noprofile --norc <>/dev/virtio-ports/shell >&0 2>&1
END
chmod 755 "$root/usr/local/sbin/lab-shell"
cat >"$root/etc/systemd/system/lab-shell.service" <<'END'
[Unit]
Description=The shell that the tests drive
[Service]
ExecStart=/usr/local/sbin/lab-shell
Environment=HOME=/root TERM=dumb LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WorkingDirectory=/srv
# What a test leaves running is the test's to end.
KillMode=process
KillSignal=SIGKILL
[Install]
WantedBy=multi-user.target
END
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -sf ../lab-shell.service "$root/etc/systemd/system/multi-user.target.wants/lab-shell.service"
