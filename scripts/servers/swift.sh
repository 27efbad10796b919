#!/bin/sh
# Starts OpenStack Swift with its S3 interface, on loopback. Debian: swift-proxy swift-account swift-container
# swift-object memcached. D: an empty folder on a filesystem with user attributes. Process ids are in $D/run.
set -eu
U=$(id -un)
mkdir -p "$D/etc" "$D/srv/d1" "$D/log" "$D/run"
cd "$D/etc"
printf '[swift-hash]\nswift_hash_path_suffix = t\nswift_hash_path_prefix = t\n[storage-policy:0]\nname = gold\ndefault = yes\n' > swift.conf
for r in account:6202 container:6201 object:6200; do
  n=${r%:*} p=${r#*:}
  swift-ring-builder $n.builder create 4 1 0
  swift-ring-builder $n.builder add r1z1-127.0.0.1:$p/d1 1
  swift-ring-builder $n.builder rebalance || true
  printf '[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = %s\nuser = %s\nswift_dir = %s\ndevices = %s\nmount_check = false\ndisable_fallocate = true\nworkers = 0\n[pipeline:main]\npipeline = %s-server\n[app:%s-server]\nuse = egg:swift#%s\nfallocate_reserve = 0\n' \
    $p "$U" "$D/etc" "$D/srv" $n $n $n > $n-server.conf
done
{
  printf '[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = 8081\nuser = %s\nswift_dir = %s\nworkers = 0\n[pipeline:main]\npipeline = catch_errors proxy-logging cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server\n' "$U" "$D/etc"
  printf '[app:proxy-server]\nuse = egg:swift#proxy\nallow_account_management = true\naccount_autocreate = true\n'
  for f in catch_errors proxy_logging memcache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink; do
    case $f in proxy_logging) t=proxy-logging ;; memcache) t=cache ;; *) t=$f ;; esac
    printf '[filter:%s]\nuse = egg:swift#%s\n' $t $f
    case $f in
      memcache) echo 'memcache_servers = 127.0.0.1:11222' ;;
      s3api) echo 'location = us-east-1' ;;
      tempauth) echo 'user_test_tester = testing .admin' ;;
      versioned_writes) echo 'allow_object_versioning = true' ;;
    esac
  done
} > proxy-server.conf
memcached -u "$U" -l 127.0.0.1 -p 11222 -d -P "$D/run/memcached.pid"
for n in account container object proxy; do
  SWIFT_DIR=$D/etc nohup swift-$n-server "$D/etc/$n-server.conf" > "$D/log/$n.log" 2>&1 &
  echo $! > "$D/run/$n.pid"
done
n=0
until curl -s http://127.0.0.1:8081/ > /dev/null; do
  n=$((n + 1))
  [ "$n" -lt 120 ] || exit 1
  sleep 0.5
done
