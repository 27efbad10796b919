#!/bin/sh
# Starts a Ceph RADOS gateway that keeps everything in memory, on loopback. Debian: ceph-mon ceph-osd radosgw ceph-common
# D: an empty folder. MEMORY: bytes it may hold. Its processes write their ids to $D/run.
set -eu
mkdir -p "$D/mon" "$D/osd" "$D/rgw" "$D/run" "$D/log"
F=$(cat /proc/sys/kernel/random/uuid)
cat > "$D/ceph.conf" <<X
[global]
fsid = $F
mon host = [v2:127.0.0.1:3310,v1:127.0.0.1:6790]
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
run dir = $D/run
log file = $D/log/\$name.log
admin socket = $D/run/\$name.asok
pid file = $D/run/\$name.pid
mon data = $D/mon
osd data = $D/osd
rgw data = $D/rgw
osd objectstore = memstore
memstore device bytes = ${MEMORY:-2147483648}
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
rgw frontends = beast endpoint=127.0.0.1:7480
X
c="-c $D/ceph.conf"
monmaptool --create --clobber --fsid "$F" --addv a '[v2:127.0.0.1:3310,v1:127.0.0.1:6790]' "$D/monmap"
ceph-mon $c -i a --mkfs --monmap "$D/monmap"
ceph-mon $c -i a
i=$(ceph $c osd create)
ceph-osd $c -i "$i" --mkfs --osd-uuid "$(cat /proc/sys/kernel/random/uuid)"
ceph $c osd crush add "osd.$i" 1.0 root=default host=localhost
ceph-osd $c -i "$i"
radosgw $c -n client.rgw.a
radosgw-admin $c user create --uid=t --display-name=t --access-key=TESTKEY --secret-key=TESTSECRET > "$D/log/user" 2>&1
n=0
until curl -sf http://127.0.0.1:7480/ >/dev/null; do
  n=$((n + 1))
  [ "$n" -lt 120 ] || exit 1
  sleep 0.5
done
