#!/bin/sh
# Runs as root, again until the board has joined or its token is refused; then removes itself and starts the agent.
set -u
root="${STARBELT_ROOT:-}"
work="$root/var/lib/starbelt-first-boot"
install -d -o starbelt -g starbelt -m 0700 "$root/var/lib/starbelt" || exit 1
cd /
runuser -u starbelt -- starbelt-agent join --config "$root/etc/starbelt/agent.toml" --patience 240 <"$work/token"
code=$?
case $code in
0) echo "joined" ;;
5 | 6 | 78) echo "not joined, and not tried again: make another token, then: sudo -u starbelt starbelt-agent join --config /etc/starbelt/agent.toml" >&2 ;;
*) exit 1 ;;
esac
rm -rf "$work"
systemctl disable starbelt-join.service
rm -f "$root/etc/systemd/system/starbelt-join.service"
if [ $code = 0 ]; then systemctl restart --no-block starbelt-agent.service; fi
