#!/bin/sh
# Runs once, as root, at the first start of a board: installs the agent, and has it join once there is a network.
# Needs none itself. What it says is in /var/log/starbelt-first-boot.log.
set -eu
root="${STARBELT_ROOT:-}"
here=$(cd "$(dirname "$0")" && pwd)
work="$root/var/lib/starbelt-first-boot"
etc="$root/etc/starbelt"
mkdir -p "$root/var/log"
exec >>"$root/var/log/starbelt-first-boot.log" 2>&1
echo "first start: installing from $here"

echo "@SHA256@  $here/starbelt-agent.deb" | sha256sum -c -
tries=0
until DEBIAN_FRONTEND=noninteractive dpkg --force-confold --install "$here/starbelt-agent.deb" </dev/null; do
	tries=$((tries + 1))
	# Somebody else may have the lock: a board upgrades itself at its first start.
	if [ "$tries" -ge 60 ]; then exit 1; fi
	sleep 2
done

memory_kib=$(awk '/^MemTotal:/{print $2}' /proc/meminfo)
mkdir -p "$etc"
sed -e "s/@MILLI_CPU@/$(($(nproc) * 750))/" -e "s/@MEMORY_MIB@/$((memory_kib / 2048))/" "$here/starbelt-agent.toml" >"$etc/agent.toml.new"
starbelt-agent config check --config "$etc/agent.toml.new"
mv -f "$etc/agent.toml.new" "$etc/agent.toml"

if [ -f "$here/starbelt-token" ]; then
	# The boot partition can be read by everybody: the token leaves it, and its bytes are written over.
	mkdir -p -m 0700 "$work"
	(umask 077 && cat "$here/starbelt-token" >"$work/token")
	cp "$here/starbelt-join.sh" "$work/join.sh"
	mkdir -p "$root/etc/systemd/system"
	cp "$here/starbelt-join.service" "$root/etc/systemd/system/starbelt-join.service"
	sync
	dd if=/dev/zero of="$here/starbelt-token" bs=512 count=1 conv=notrunc,fsync 2>/dev/null
	systemctl daemon-reload || true
	systemctl enable starbelt-join.service
	systemctl start --no-block starbelt-join.service || true
else
	systemctl start --no-block starbelt-agent.service || true
fi
for name in agent.deb agent.toml token join.sh join.service first-boot.sh; do
	rm -f "$here/starbelt-$name"
done
echo "first start: done"
