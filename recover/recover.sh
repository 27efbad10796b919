#!/bin/sh
# recover.sh: restores a Backpack repository with openssl 3, lz4, jq, xxhsum and POSIX tools only.
# Runs in dash, bash and BusyBox ash. The format is described in SPEC.md beside this file.
# Sections: settings, keys, containers, decoding, snapshots, planning, writing, commands.
set -u
LC_ALL=C TZ=UTC0
export LC_ALL TZ
umask 077
# mawk would print numbers above 2^31 as 5.36871e+09
awk() { command awk -v OFMT=%.0f -v CONVFMT=%.0f "$@"; }
IFS='
'
TAB=$(printf '\t') NL='
'
usage() {
  cat <<'EOF'
usage: sh recover.sh --key key.bin [--repo DIR] [--fast] [--jobs N] [COMMAND]
  list                                   the snapshots, oldest first
  restore [SNAPSHOT[:PATH]] --to DIR     SNAPSHOT: latest (default), latest~1, @2026-11-01, or the start of an id
  verify [SNAPSHOT]                      every container, then every file of one snapshot (default: latest)
  (none)                                 list, then restore the latest snapshot into ./recovered
--repo DIR   the repository; default: the folder above this script
--fast       decrypt without checking the authentication tags: only the XXH64 of whole files stands guard
--jobs N     processes at once; default: the number of processors
Keys are visible in the process list while this runs: use a machine that nobody else is logged in to.
Exit: 0 ok, 2 usage, 3 something was left out that this cannot restore, 4 damage, 10 no repository, 11 target in
use, 12 wrong key, 15 made by a newer version.
EOF
}
say() { printf '%s\n' "$*" >&2; }
quit() { c=$1; shift; say "recover.sh: $*"; exit "$c"; }
worse() { [ "$RC" = 4 ] || RC=$1; }
damage() { say "damaged: $*"; RC=4; }

# ---- settings -------------------------------------------------------------------------------------------------
RC=0 KEY='' REPO='' FAST='' JOBS='' TO='' CMD='' WHAT='' PIDS='' S='' T=''
while [ $# -gt 0 ]; do
  case $1 in
    --key | --repo | --jobs | --to)
      [ $# -gt 1 ] || quit 2 "$1 needs a value"
      case $1 in --key) KEY=$2 ;; --repo) REPO=$2 ;; --jobs) JOBS=$2 ;; *) TO=$2 ;; esac
      shift ;;
    --fast) FAST=1 ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; quit 2 "unknown option $1" ;;
    *) if [ -z "$CMD" ]; then CMD=$1; elif [ -z "$WHAT" ]; then WHAT=$1; else quit 2 "too many words: $1"; fi ;;
  esac
  shift
done
case $CMD in
  '' | list | verify) [ -z "$TO" ] || quit 2 "--to belongs to restore" ;;
  restore) [ -n "$TO" ] || quit 2 "restore needs --to DIR" ;;
  *) usage >&2; quit 2 "unknown command $CMD" ;;
esac
[ "$CMD" != list ] || [ -z "$WHAT" ] || quit 2 "list takes no argument"
[ -n "$KEY" ] || { usage >&2; quit 2 "--key is missing"; }
[ -f "$KEY" ] || quit 2 "no such key file: $KEY"
for t in openssl lz4 jq xxhsum awk dd; do command -v "$t" >/dev/null || quit 1 "$t is not installed"; done
case $(openssl version) in
  'OpenSSL 0'* | 'OpenSSL 1'* | LibreSSL*) [ -n "$FAST" ] || quit 1 "openssl 3 is needed (or --fast)" ;;
esac
if [ -z "$REPO" ]; then case $0 in */*) REPO=${0%/*}/.. ;; *) REPO=.. ;; esac; fi
REPO=$(cd -- "$REPO" 2>/dev/null && pwd -P && echo .) || quit 10 "no repository there"
REPO=${REPO%??}
[ -d "$REPO/packs" ] || [ -d "$REPO/snapshots" ] || [ -f "$REPO/backpack.json" ] || quit 10 "no repository in $REPO"
[ -n "$JOBS" ] || JOBS=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
case $JOBS in '' | 0 | *[!0-9]* | ????*) quit 2 "--jobs wants a number" ;; esac

cleanup() {
  trap '' HUP INT TERM
  IFS=' '; [ -z "$PIDS" ] || kill $PIDS 2>/dev/null
  wait
  # a process that was just stopped may still finish its last file
  for tries in 1 2 3 4 5; do
    rm -rf -- ${T:+"$T"} ${S:+"$S"} 2>/dev/null
    if [ ! -e "${T:-/nowhere/}" ] && [ ! -e "${S:-/nowhere/}" ]; then break; fi
    sleep 1
  done
}
trap cleanup EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
T=$(mktemp -d "${TMPDIR:-/tmp}/recover.XXXXXX") || quit 1 "cannot make a temporary directory"
case $T in /*) ;; *) T=$PWD/$T ;; esac
mkdir "$T/pk" "$T/j"

# cut FILE OFFSET LENGTH: that range on stdout; one process where dd can count bytes
if [ "$(printf abcdef | dd iflag=skip_bytes,count_bytes,fullblock bs=131072 skip=2 count=3 2>/dev/null)" = cde ]; then
  cut_() { dd "if=$1" iflag=skip_bytes,count_bytes,fullblock bs=131072 "skip=$2" "count=$3" 2>/dev/null; }
else
  cut_() { tail -c "+$(($2 + 1))" -- "$1" | head -c "$3"; }
fi
# at OFFSET: moves the file offset of stdout
at() { [ "$1" = 0 ] || dd bs=1 "seek=$1" count=0 </dev/null 2>/dev/null; }
{ at 3; printf d; } 1<>"$T/probe"
[ $(($(wc -c <"$T/probe"))) = 4 ] || quit 1 "this dd cannot seek in its output"
if touch -d @1.5 "$T/probe" 2>/dev/null; then TOUCH=frac
elif touch -d @1 "$T/probe" 2>/dev/null; then TOUCH=sec; else TOUCH=posix; fi

# pool FUNCTION N: runs FUNCTION 1 .. FUNCTION N, JOBS at a time; a job is claimed by creating a file
pool() {
  [ "$2" -gt 0 ] || return 0
  rm -rf "$T/claim"; mkdir "$T/claim"; PIDS='' w=0
  while [ "$w" -lt "$JOBS" ] && [ "$w" -lt "$2" ]; do
    ( cd -- "$REPO" || exit; pn=0
      while [ "$pn" -lt "$2" ]; do
        pn=$((pn + 1)); set -C
        if { true >"$T/claim/$pn"; } 2>/dev/null; then set +C; "$1" "$pn"; fi
      done ) &
    PIDS="$PIDS $!" w=$((w + 1))
  done
  wait; PIDS=''
}

# ---- keys -----------------------------------------------------------------------------------------------------
Q64=????????????????????????????????????????????????????????????????
Z16=0000000000000000 ZK=0000000000000000000000000000000000000000000000000000000000000000
# E PRK BYTES: HKDF-Expand-SHA512, 64 bytes in hex; lab PRK LABEL: the first 32 of them
E() { e=$({ printf %s "$2"; printf '\001'; } | openssl dgst -sha512 -mac HMAC -macopt "hexkey:$1" -r) && printf %s "${e%% *}"; }
lab() { e=$(E "$1" "backpack/1 $2") && printf %s "${e%$Q64}"; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
h2b() { printf "$(printf %s "$1" | awk '{for(i=1;i<=length($0);i+=2){a=index("0123456789abcdef",substr($0,i,1))-1
  b=index("0123456789abcdef",substr($0,i+1,1))-1;printf "\\%03o",a*16+b}}')"; }
isid() { case $1 in *[!0-9a-f]*) return 1 ;; esac; [ ${#1} = "$2" ]; }

KEYREPO=''
case $(($(wc -c <"$KEY"))) in
  32) ROOTS=$(hex <"$KEY") ;;
  *)
    text=$(head -c 65536 -- "$KEY" | tr -d '\r\000')
    [ "${text%%"$NL"*}" = 'BACKPACK-KEY 1' ] || quit 12 "E_KEY: $KEY is not a key file"
    ROOTS=$(printf '%s\n' "$text" | sed -n -e 's/^root=//p' -e 's/^old=//p')
    KEYREPO=$(printf '%s\n' "$text" | sed -n 's/^repo=//p' | head -n 1)
    KIT=$(printf '%s\n' "$text" | sed -n 's/^kit=//p') KEYID=$(printf '%s\n' "$text" | sed -n 's/^keyid=//p')
    case $(ls -ln -- "$KEY") in -???------*) ;; *) say "warning: other users may read $KEY (chmod 600)" ;; esac
    sums=$REPO/recover/SHA256SUMS
    if [ -n "$KIT" ] && [ -f "$sums" ]; then
      k=$(openssl dgst -sha256 -r <"$sums") ok=''
      for h in $KIT; do [ "$h" != "${k%% *}" ] || ok=1; done
      [ -n "$ok" ] || say "warning: recover/SHA256SUMS does not fit kit= of the key file; the kit in the repository may have been replaced"
      while read -r line; do
        h=${line%% *} f=${line#*  }
        case ${f#../} in */* | .* | -* | *[!A-Za-z0-9._-]*) continue ;; esac
        k=$(openssl dgst -sha256 -r <"$REPO/recover/$f" 2>/dev/null) || k=missing
        [ "$h" = "${k%% *}" ] || say "warning: recover/$f does not fit recover/SHA256SUMS"
      done <"$sums"
    fi ;;
esac
first=1
for r in $ROOTS; do
  isid "$r" 64 || quit 12 "E_KEY: $KEY holds a root key that is not 64 hex digits"
  id=$(lab "$r" keyid); id=${id%????????????????????????????????????????????????}
  [ -z "$first" ] || [ "${KEYID:-$id}" = "$id" ] || quit 12 "E_KEY: keyid= does not fit root= in $KEY: a typing error?"
  first=''
  line="$id $r"
  for k in data meta snap indx move mark drop; do line="$line $(lab "$r" "$k")"; done
  printf '%s\n' "$line" >>"$T/roots"
done
[ -f "$T/roots" ] || quit 12 "E_KEY: no root= in $KEY"

# ---- containers -----------------------------------------------------------------------------------------------
# The dressing as CMS AuthEnvelopedData, in which openssl checks a GCM tag: a key-encryption key of zeros "wraps"
# the container key. cms(nonce in hex, length) gives the bytes before the ciphertext as octal escapes for printf.
AWKLIB='function oct(h, i,o){for(i=1;i<=length(h);i+=2)o=o sprintf("\\%03o",(index(X,substr(h,i,1))-1)*16+index(X,substr(h,i+1,1))-1);return o}
function len4(n){return "84" sprintf("%08x",n)}
function cms(nonce,n, ec,in_,ci){
  ec="06092a864886f70d010701301e060960864801650304012e3011040c" nonce "02011080" len4(n)
  in_="0201003141a23f0201043003040100300b060960864801650304012d0428" WR "30" len4(length(ec)/2+n) ec
  ci="060b2a864886f70d0109100117a0" len4(length(in_)/2+n+24) "30" len4(length(in_)/2+n+18) in_
  return oct("30" len4(length(ci)/2+n+18) ci)}
BEGIN{X="0123456789abcdef"}'
# decrypt FILE OFFSET LENGTH HEAD OUT: one GCM message; HEAD is the dressing, or with --fast the nonce
decrypt() {
  if [ -n "$FAST" ]; then
    cut_ "$1" "$2" "$3" | openssl enc -d -aes-256-ctr -K "$K" -iv "${4}00000002" >"$5"
  else
    { printf "$4"; cut_ "$1" "$2" "$3"; printf '\004\020'; cut_ "$1" "$(($2 + $3))" 16; } |
      openssl cms -decrypt -binary -inform DER -secretkey $ZK -secretkeyid 00 -out "$5" 2>/dev/null || { rm -f "$5"; return 1; }
  fi
}
# header FILE ID: checks the 512 bytes, sets h_* and CODE; every byte is determined by the fields
header() {
  h=$(head -c 512 -- "$1" 2>/dev/null | tr '\000' '?'; echo .); h=${h%.}
  case $h in
    "BACKPACK-CONTAINER 1$NL"*) ;;
    'BACKPACK-CONTAINER '[0-9]*) CODE=E_MAJOR; return 1 ;;
    *) CODE=E_MAGIC; return 1 ;;
  esac
  IFS=$NL; set -f; set -- "$1" "$2" $h; set +f
  [ $# = 14 ] || { CODE=E_MAGIC; return 1; }
  h_kind=${6#kind=} h_repo=${7#repo=} h_keyid=${8#keyid=} h_writer=${9#writer=}
  CODE=E_SUITE; [ "$5" = 'suite=1 HKDF-SHA512 AES-256-GCM LZ4-frames' ] || return 1
  CODE=E_MAGIC; [ "$3" = 'BACKPACK-CONTAINER 1' ] || return 1
  want=$2; shift 9; h_id=${1#id=} h_kem=${2#kem=} h_flags=${3#flags=} h_commit=${5#commit=}
  CODE=E_KIND; case $h_kind in data | meta | snap | indx | move | mark | drop) ;; *) return 1 ;; esac
  CODE=E_FLAG; isid "$h_flags" 8 || return 1
  case "$h_writer $h_kem $h_flags $h_kind" in
    "$Z16 $ZK 00000000 "*) h_mode=plain ;;
    "$Z16 "* | *" 00000000 "*) return 1 ;;
    *" $ZK 00000001 indx") h_mode=index ;;
    *" $ZK "*) return 1 ;;
    *" 00000001 data" | *" 00000001 meta" | *" 00000001 snap") h_mode=kem ;;
    *) return 1 ;;
  esac
  CODE=E_MAGIC; isid "$h_repo" 32 && isid "$h_keyid" 16 && isid "$h_writer" 16 && isid "$h_id" 40 && isid "$h_kem" 64 &&
    isid "$h_commit" 64 || return 1
  fields="kind=$h_kind${NL}repo=$h_repo${NL}keyid=$h_keyid${NL}writer=$h_writer${NL}id=$h_id${NL}kem=$h_kem${NL}flags=$h_flags$NL"
  head="BACKPACK-CONTAINER 1${NL}Encrypted backup data. How to read it: README.txt in the top folder.${NL}suite=1 HKDF-SHA512 AES-256-GCM LZ4-frames$NL$fields""pad=$DASH79$NL"
  [ "$h" = "${head}commit=$h_commit$NL" ] || return 1
  CODE=E_NAME; [ "$h_id" = "$want" ] || return 1
  CODE=E_REPO; [ "$h_repo" = "${KEYREPO:-$h_repo}" ] || return 1
  CODE=''
}
DASH79=-------------------------------------------------------------------------------
DASH110=$DASH79-------------------------------
# open_ FILE KIND ID: header, commitment, trailer and table of a container. Leaves pk/ID.r (writer, kind, then the
# records: offset, clen, length) and pk/ID.k (key, its wrapped form, file), or the error code in pk/ID.err.
open_() {
  P=$T/pk/$3
  if opened "$1" "$2" "$3"; then return 0; fi
  rm -f "$P.r" "$P.k"; printf '%s %s\n' "$CODE" "$1" >"$P.err"; return 1
}
opened() {
  header "$1" "$3" || return 1
  file=$1 pid=$3
  CODE=E_NAME; [ "$2" = any ] || [ "$2" = "$h_kind" ] || { [ "$2" = pack ] && { [ "$h_kind" = data ] || [ "$h_kind" = meta ]; }; } || return 1
  CODE=E_KEY root=''
  while IFS=' ' read -r kid r k1 k2 k3 k4 k5 k6 k7; do
    [ "$kid" != "$h_keyid" ] || { root=$r; break; }
  done <"$T/roots"
  [ -n "$root" ] || return 1
  case $h_kind in data) K=$k1 ;; meta) K=$k2 ;; snap) K=$k3 ;; indx) K=$k4 ;; move) K=$k5 ;; mark) K=$k6 ;; *) K=$k7 ;; esac
  if [ "$h_mode" != plain ]; then
    CODE=E_KEM B=$(lab "$root" "writer $h_writer")
    if [ "$h_mode" = kem ]; then
      { h2b 302e020100300506032b656e04220420; h2b "$(lab "$root" x25519)"; } >"$P.x"
      { h2b 302a300506032b656e032100; h2b "$h_kem"; } >"$P.e"
      X=$(openssl pkey -inform DER -in "$P.x" -pubout -outform DER 2>/dev/null | tail -c 32 | hex)
      openssl pkeyutl -derive -keyform DER -inkey "$P.x" -peerform DER -peerkey "$P.e" >"$P.s" 2>/dev/null || return 1
      B=$(openssl dgst -sha512 -mac HMAC -macopt "hexkey:$(lab "$B" psk)$h_kem$X" -r <"$P.s") B=${B%% *}
      rm -f "$P.x" "$P.e" "$P.s"
    fi
    K=$(lab "$B" "$h_kind")
  fi
  e=$(E "$K" "$head"); K=${e%$Q64}
  CODE=E_COMMIT; [ "${e#$Q64}" = "$h_commit" ] || return 1
  # the trailer: bounds count, the rest is only compared
  size=$(($(wc -c <"$file")))
  CODE=E_TRUNC; [ "$size" -ge 1040 ] || return 1
  CODE=E_LIMIT; [ "$size" -le 4294967296 ] || return 1
  tr=$(tail -c 512 -- "$file" | tr '\000' '?'; echo .); tr=${tr%.}
  CODE=E_TRUNC; case $tr in *"${NL}END$NL") ;; *) return 1 ;; esac
  CODE=E_TRAILER; line=${tr#*"${NL}table="} line=${line%%"$NL"*}; to=${line% *} tl=${line#* }
  case $to$tl in *[!0-9]*) return 1 ;; esac
  [ ${#to} = 16 ] && [ ${#tl} = 12 ] || return 1
  to=$(dec "$to") tl=$(dec "$tl") rows=${tr#*"${NL}records="} rows=${rows%%"$NL"*} sum=${tr#*"${NL}xxh64="} sum=${sum%%"$NL"*}
  [ "$to" -ge 512 ] || return 1
  CODE=E_TRUNC; [ $((to + tl + 528)) -le "$size" ] || return 1
  CODE=E_EXTRA; [ $((to + tl + 528)) = "$size" ] || return 1
  # the table
  WR='' hd=000000010000000000000000
  if [ -z "$FAST" ]; then
    WR=$(h2b "$K" | openssl enc -id-aes256-wrap -K $ZK -iv A6A6A6A6A6A6A6A6 | hex)
    hd=$(awk -v WR="$WR" -v n="$tl" "$AWKLIB"' BEGIN{print cms("000000010000000000000000",n)}')
  fi
  CODE=E_TAG; decrypt "$file" "$to" "$tl" "$hd" "$P.z" || return 1
  CODE=E_LZ4; lz4 -dc <"$P.z" >"$P.t" 2>/dev/null || return 1
  CODE=$(awk -v end="$to" -v out="$P.r" -v who="$h_writer $h_kind" '
    function bad(c){print c; code=c; exit}
    NR==1{ if(index($0,"{\"backpack\":\"table\",\"v\":1,")!=1) bad(index($0,"{\"backpack\":\"table\",\"v\":")==1?"E_NEED":"E_TABLE")
      if($0~/"need":\[[^]]/) bad("E_NEED")
      if(!match($0,/"records":[0-9]+[,}]/)) bad("E_TABLE"); recs=substr($0,RSTART+10,RLENGTH-11)+0
      if(!match($0,/"end":[0-9]+[,}]/)) bad("E_TABLE"); if(substr($0,RSTART+6,RLENGTH-7)+0!=end+0) bad("E_TABLE")
      print who >out; pos=512; next}
    /^\["R",[0-9]+,[0-9]+,[0-9]+\]$/{ split($0,a,/[],]/)
      if(a[2]+0!=pos||a[3]+0<1) bad("E_TABLE")
      if(a[4]+0<1||a[4]+0>16777216||a[3]+0>a[4]+8*(int(a[4]/65536)+1)+32) bad("E_LIMIT")
      print a[2],a[3],a[4] >out; pos+=a[3]+16; n++; next}
    /^\["[FCO]",/{next}
    /^\["[A-Z]/{bad("E_NEED")}
    /^\["[a-z]/{next}
    {bad("E_TABLE")}
    END{if(!code&&(NR==0||n+0!=recs||pos!=end+0)) print "E_TABLE"}' "$P.t")
  [ -z "$CODE" ] || return 1
  rm -f "$P.z" "$P.t"
  n=$(($(wc -l <"$P.r") - 1))
  [ "$tr" = "${NL}BACKPACK-TRAILER 1$NL${fields}commit=$h_commit${NL}table=$line${NL}records=$(printf %010d "$n")${NL}xxh64=$sum${NL}pad=$DASH110${NL}END$NL" ] ||
    say "warning: E_TRAILER $file: the trailer does not fit the header and the table"
  printf '%s %s %s\n' "$K" "${WR:--}" "$file" >"$P.k"
}
dec() { d=$1; while [ "${d#0}" != "$d" ] && [ ${#d} -gt 1 ]; do d=${d#0}; done; printf %s "$d"; }
# stream ID OUT FIRST COUNT: records of an opened container, one after the other; sets CODE
stream() {
  IFS=' ' read -r K WR file <"$T/pk/$1.k"; file=$REPO/$file
  awk -v WR="$WR" -v f="$3" -v n="$4" -v fast="$FAST" "$AWKLIB"' NR>1&&NR-2>=f&&NR-2<f+n{
    x=sprintf("%024x",NR-2); print $1,$2,$3,fast?x:cms(x,$2)}' "$T/pk/$1.r" >"$2.l"
  : >"$2"; CODE=''
  while IFS=' ' read -r off n plen hd <&3; do
    CODE=E_TAG; decrypt "$file" "$off" "$n" "$hd" "$2.z" || return 1
    CODE=E_LZ4; lz4 -dc <"$2.z" >"$2.p" 2>/dev/null && [ $(($(wc -c <"$2.p"))) = "$plen" ] || return 1
    cat "$2.p" >>"$2"; CODE=''
  done 3<"$2.l"
  rm -f "$2.l" "$2.z" "$2.p"
}
# need N: opens the N-th container of the list need (path kind id); a missing pack is looked for in moved/
need() {
  IFS=' ' read -r path kind id <<EOF
$(sed -n "$1p" "$T/need")
EOF
  if [ -f "$path" ] || [ "$kind" != pack ]; then open_ "$path" "$kind" "$id"; return; fi
  : >"$T/pk/$id.m"; who=''
  for m in moved/"$id"-*.bpk; do
    [ -f "$m" ] || continue
    mid=${m#moved/*-} mid=${mid%.bpk}
    open_ "$m" move "$mid" && stream "$mid" "$T/pk/$mid.s" 0 4294967296 || { say "warning: ${CODE:-E_MOVED} $m"; continue; }
    jq -rn --arg id "$id" '(input|if .backpack=="moved" and .v==1 and .from==$id and (.need//[])==[] then .writer else error("E_NEED") end),
      (inputs|if .[0]=="V" then "\(.[1]) \(.[2]) \(.[3]) \(.[4])" elif .[0]|test("^[a-z]") then empty else error("E_NEED") end)' \
      "$T/pk/$mid.s" >"$T/pk/$mid.v" 2>/dev/null || { say "warning: E_JSON $m"; continue; }
    who=$(head -n 1 "$T/pk/$mid.v"); tail -n +2 "$T/pk/$mid.v" >>"$T/pk/$id.m"
  done
  if [ -n "$who" ]; then { echo "$who moved"; cat "$T/pk/$id.m"; } >"$T/pk/$id.map"; else echo "E_MISSING $path" >"$T/pk/$id.err"; fi
}
# open_all: opens what the list T/ids (ids of packs) names, and what moved objects lead to
open_all() {
  round=0
  while [ "$round" -le 9 ]; do
    awk -v d="$T/pk" '{if(length($1)!=40||$1~/[^0-9a-f]/||s[$1]++) next
      if((getline l <(d "/" $1 ".r"))>0||(getline l <(d "/" $1 ".map"))>0||(getline l <(d "/" $1 ".err"))>0){close(d "/" $1 ".r");close(d "/" $1 ".map");close(d "/" $1 ".err");next}
      print "packs/" substr($1,1,5) "/" $1 ".bpk pack " $1}' "$T/ids" >"$T/need"
    [ -s "$T/need" ] || return 0
    pool need $(($(wc -l <"$T/need")))
    while IFS=' ' read -r p k id; do [ ! -f "$T/pk/$id.map" ] || awk 'NR>1{print $3}' "$T/pk/$id.map"; done <"$T/need" >"$T/ids"
    round=$((round + 1))
  done
}

# ---- decoding -------------------------------------------------------------------------------------------------
# decode WRITER KIND FAILED: carries out the list T/pieces (file pack record count length offset file-offset) into $S;
# length -1 = whole records. A file that fails gets a line "file code pack" in FAILED.
decode() {
  awk '$2~/^[0-9a-f]/{print $2}' "$T/pieces" | sort -u >"$T/ids"
  open_all
  rm -f "$T/j/"*; : >"$3"
  awk -v P="$T/pk" -v W="$1" -v KIND="$2" -v F="$3" '
    function load(id, l,a,n,f){ if(id in typ) return; typ[id]="E_MISSING"
      f=P "/" id ".r"; if((getline l <f)>0){split(l,a," ");wr[id]=a[1];kd[id]=a[2];typ[id]="r";n=0
        while((getline l <f)>0){split(l,a," ");cl[id,n]=a[2];pl[id,n]=a[3];n++} cnt[id]=n; close(f); return}
      f=P "/" id ".map"; if((getline l <f)>0){split(l,a," ");wr[id]=a[1];typ[id]="m";n=0
        while((getline l <f)>0){split(l,a," ");n++;m1[id,n]=a[1]+0;m2[id,n]=a[2]+0;m3[id,n]=a[3];m4[id,n]=a[4]+0} cnt[id]=n; close(f); return}
      f=P "/" id ".err"; if((getline l <f)>0){split(l,a," ");typ[id]=a[1];close(f)} }
    function locate(id,r,depth, i){ load(id); ERR=""
      if(typ[id]=="r"){ if(r>=cnt[id]) ERR="E_EXTENT"; else if(kd[id]!=KIND) ERR="E_KIND"; LI=id; LR=r; return}
      if(typ[id]!="m"){ERR=typ[id];return}
      if(depth>=8){ERR="E_MOVED";return}
      for(i=1;i<=cnt[id];i++) if(r>=m1[id,i]&&r<m1[id,i]+m2[id,i]){locate(m3[id,i],m4[id,i]+r-m1[id,i],depth+1);return}
      ERR="E_MISSING"}
    function flush(){ if(rn) print ri,rr,"W",rn,$1,rf,rl,0; rn=0 }
    $2=="zero"{print "0 0 Z 0",$1,$7,$5,0;next}
    $2=="end"{print "0 0 T 0",$1,$5,0,0;next}
    {id=$2; load(id); err=""
     if((typ[id]=="r"||typ[id]=="m")&&wr[id] ""!=W "") err="E_WRITER"
     if(!err&&$4==1&&$5>=0){ locate(id,$3,0); err=ERR
       if(!err){p=pl[LI,LR]; if($6+$5>p) err="E_EXTENT"; else if($5==p) print LI,LR,"W",1,$1,$7,$5,0; else print LI,LR,"S",1,$1,$7,$5,$6}}
     else if(!err){ rn=0; fo=$7; for(i=0;i<$4&&!err;i++){ locate(id,$3+i,0); err=ERR; if(err) break
         if(rn&&!(LI ""==ri ""&&LR==rr+rn&&rn<8)) flush()
         if(!rn){ri=LI;rr=LR;rf=fo;rl=0} rn++; rl+=pl[LI,LR]; fo+=pl[LI,LR]}
       flush(); if(!err&&$5>=0&&fo-$7!=$5) err="E_EXTENT"}
     if(err) print $1,err,id >>F}' "$T/pieces" | sort -k1,1 -k2,2n -k6,6n |
  awk -v P="$T/pk" -v J="$T/j/" -v fast="$FAST" "$AWKLIB"'
    function start(){ if(job) close(job); job=J (++jobs); bytes=0; split("",seen); if(k!="") print k >job }
    BEGIN{pack="-"}
    $1 ""!=pack||bytes>8388608{ if($1 ""!=pack){pack=$1 ""; k=""; if(pack!="0"){ getline k <(P "/" pack ".k"); close(P "/" pack ".k")
        split(k,a," "); WR=a[2]; f=P "/" pack ".r"; getline l <f; n=0; while((getline l <f)>0) row[n++]=l; close(f)}} start()}
    {if($1!="0") for(i=$2;i<$2+$4;i++) if(!(i in seen)){seen[i]=1; split(row[i],a," "); x=sprintf("%024x",i)
        print "r",i,a[1],a[2],a[3],(fast?x:cms(x,a[2])) >job; bytes+=a[3]}
     split(row[$2],a," "); print $3,$5,$6,$7,$2,$4,$8,a[3] >job}
    END{print jobs+0 >(J "count")}' 
  pool job $(($(cat "$T/j/count")))
  cat "$T/j/"*.bad >>"$3" 2>/dev/null
}
# job N: decrypts each record it needs once (z/RECORD), then fills the files
job() {
  z=$T/z.$1 bad="$T/j/$1.bad" lost=' ' have='' K='' file=''
  mkdir "$z"
  while IFS=' ' read -r op a b c d e f g <&3; do
    case $op in
      r) decrypt "$file" "$b" "$c" "$e" "$z/$a" || lost="$lost$a " ;;
      W)
        i=$d why='' ; set --
        while [ "$i" -lt $((d + e)) ]; do
          case $lost in *" $i "*) why=E_TAG ;; esac
          set -- "$@" "$z/$i"; i=$((i + 1))
        done
        [ -n "$why" ] || { at "$b"; if [ $# = 1 ]; then lz4 -dc <"$1"; else cat "$@" | lz4 -dc; fi; } 1<>"$S/$a" 2>/dev/null || why=E_LZ4
        [ -z "$why" ] || echo "$a $why $file record $d" >>"$bad" ;;
      S)
        case $lost in *" $d "*) echo "$a E_TAG $file record $d" >>"$bad"; continue ;; esac
        if [ "$have" != "$d" ]; then
          have=$d ok=1
          lz4 -dc <"$z/$d" >"$z/rec" 2>/dev/null && [ $(($(wc -c <"$z/rec"))) = "$g" ] || ok=''
        fi
        if [ -n "$ok" ]; then { at "$b"; cut_ "$z/rec" "$f" "$c"; } 1<>"$S/$a"; else echo "$a E_LZ4 $file record $d" >>"$bad"; fi ;;
      Z) { at "$b"; head -c "$c" /dev/zero; } 1<>"$S/$a" ;;
      T) dd "of=$S/$a" bs=1 "seek=$b" count=0 </dev/null 2>/dev/null ;;
      *) K=$op file=$b ;;
    esac
  done 3<"$T/j/$1"
  rm -rf "$z"
}

# tm(time): "@seconds.fraction CCYYMMDDhhmm.SS" for touch
TIMES='function tm(m, s,f,neg,t,z,e,y,doe,doy,mp,mo,dd,r){split(m,r,".");s=r[1]+0;f=r[2] "";if(m~/^-/)neg=1
  t=s;z=int(t/86400);if(z*86400>t)z--;t-=z*86400;z+=719468;e=int(z/146097);if(e*146097>z)e--;doe=z-e*146097
  y=int((doe-int(doe/1460)+int(doe/36524)-int(doe/146096))/365);doy=doe-(365*y+int(y/4)-int(y/100));mp=int((5*doy+2)/153)
  dd=doy-int((153*mp+2)/5)+1;mo=mp<10?mp+3:mp-9;y+=e*400+(mo<=2)
  if(neg&&f+0>0){s=s+1;f=sprintf("%09d",1000000000-f);s=(s==0?"-0":sprintf("%.0f",s))} else s=sprintf("%.0f",s)
  return "@" s "." f " " sprintf("%04d%02d%02d%02d%02d.%02d",y,mo,dd,int(t/3600),int(t/60)%60,t%60)}'

# ---- snapshots ------------------------------------------------------------------------------------------------
JQLIB='def oct: "\\0" + ([(./64|floor), (./8|floor)%8, .%8] | map(tostring) | add);
def b64: explode | map(if .>=65 and .<=90 then .-65 elif .>=97 and .<=122 then .-71 elif .>=48 and .<=57 then .+4
    elif .==43 then 62 elif .==47 then 63 elif .==61 then empty else error("E_JSON") end) as $v
  | [range(0; $v|length; 4) as $i | ($v[$i]*4 + ($v[$i+1]/16|floor)),
     (if $v[$i+2] then $v[$i+1]%16*16 + ($v[$i+2]/4|floor) else empty end),
     (if $v[$i+3] then $v[$i+2]%4*64 + $v[$i+3] else empty end)];
def esc: if type=="string" and (.=="" or ((explode|min)>31 and (contains("\u007f")|not))) then split("\\")|join("\\0134")
  elif type=="array" and length==1 then .[0]|b64|map(if .>31 and .<127 and .!=92 then [.]|implode else oct end)|join("")
  else error("E_JSON") end;
def int: if type=="number" and .>=0 and .<=9007199254740991 and .==floor then . else error("E_JSON") end;
def chars($s; $n): if type=="string" and ($n==0 or length==$n) and (explode-($s|explode))==[] then . else error("E_JSON") end;
def hash: chars("0123456789abcdef"; 16); def id: chars("0123456789abcdef"; 40);'
# snap N: opens the N-th snapshot of T/need and reads its root line
snap() {
  IFS=' ' read -r path kind id <<EOF
$(sed -n "$1p" "$T/need")
EOF
  open_ "$path" "$kind" "$id" || return
  n=1; [ "$kind" = snap ] || n=4294967296
  if stream "$id" "$T/sn/$id" 0 "$n"; then echo "$id 0" >"$T/sn/$id.src"; else echo "$CODE $path" >"$T/pk/$id.err"; fi
}
# copy N: looks for the copy of a snapshot at the end of the N-th pack of T/need
copy() {
  IFS=' ' read -r path kind id <<EOF
$(sed -n "$1p" "$T/need")
EOF
  header "$path" "$id" && [ "$h_kind" = meta ] && open_ "$path" meta "$id" || return
  r=$(($(wc -l <"$T/pk/$id.r") - 2))
  while [ "$r" -ge 0 ]; do
    stream "$id" "$T/sn/$id.c" "$r" 1 || return
    start=$(head -c 24 "$T/sn/$id.c")
    case $start in
      '{"backpack":"snapshot",'*) mv "$T/sn/$id.c" "$T/sn/$id"; echo "$id $r" >"$T/sn/$id.src"; return ;;
      '{"backpack"'*) break ;;
    esac
    r=$((r - 1))
  done
  rm -f "$T/sn/$id.c"
}
# copies: reads the snapshots that T/lost names (id, writer or -, object) from their copies, and takes them off that list.
# Whoever stole a writer's file can write any id: where the writer is not known, all copies must be of one.
copies() {
  packs; pool copy $(($(wc -l <"$T/need")))
  for f in "$T/sn"/*.src; do
    [ -f "$f" ] || continue
    id=${f##*/} id=${id%.src}
    IFS=' ' read -r w k <"$T/pk/$id.r"
    [ "$k" != meta ] || printf '%s %s %s\n' "$(head -n 1 "$T/sn/$id" | jq -r .id 2>/dev/null)" "$w" "$id"
  done >"$T/cp"
  awk -v L="$T/lost" 'BEGIN{while((getline l <L)>0){split(l,a," ");want[a[1]]=a[2]}}
    ($1 in want)&&(want[$1]=="-"||want[$1]""==$2 ""){ if(($1 in w)&&w[$1]""!=$2 "") two[$1]=1; w[$1]=$2; p[$1]=$3}
    END{for(i in p) if(!(i in two)) print i,p[i]}' "$T/cp" >"$T/cp.ok"
  while IFS=' ' read -r s w id; do grep -q " $id\$" "$T/cp.ok" || rm -f "$T/sn/$id" "$T/sn/$id.src"; done <"$T/cp"
  while IFS=' ' read -r s id; do
    say "note: instead of the damaged snapshot $s its copy in pack $id is used"
    sed "/^$s/d" "$T/lost" >"$T/lost.n"; mv "$T/lost.n" "$T/lost"
  done <"$T/cp.ok"
  [ -s "$T/lost" ] || NEWER='' # what looked like a newer version was damage
}
# containers DIR KIND: writes the list T/need of a folder; names that do not fit are reported
containers() {
  : >"$T/need"
  for f in "$REPO/$1"/*.bpk; do
    if [ -f "$f" ]; then printf '%s\n' "${f##*/}"; elif [ -e "$f" ] || [ -h "$f" ]; then printf '%s is no file\n' "${f##*/}"; fi
  done |
    awk -v d="$1" -v k="$2" -v out="$T/need" '
    function hexv(s, i,v){for(i=1;i<=length(s);i++)v=v*16+index("0123456789abcdef",substr(s,i,1))-1;return v}
    function stamp(id, t,z,e,y,doe,doy,mp,m,dd){t=int(hexv(substr(id,1,12))/1000);z=int(t/86400)+719468;e=int(z/146097);doe=z-e*146097
      y=int((doe-int(doe/1460)+int(doe/36524)-int(doe/146096))/365);doy=doe-(365*y+int(y/4)-int(y/100));mp=int((5*doy+2)/153)
      dd=doy-int((153*mp+2)/5)+1;m=mp<10?mp+3:mp-9;y+=e*400+(m<=2);t%=86400
      return sprintf("%04d%02d%02dT%02d%02d%02dZ-",y,m,dd,int(t/3600),int(t/60)%60,t%60)}
    {id=substr($0,length($0)-43,40); p=substr($0,1,length($0)-44)
     if($0~/ is no file$/){gsub(/[^ -~]/,"?");print "damaged: E_TRUNC " d "/" $0;next}
     if(length($0)<44||id~/[^0-9a-f]/||p!=(k=="snap"?stamp(id):"")){gsub(/[^ -~]/,"?");print "damaged: E_NAME " d "/" $0;next}
     print d "/" $0,k,id >out}' >"$T/bad"
  if [ -s "$T/bad" ]; then cat "$T/bad" >&2; RC=4; fi
}
# packs: the same for packs/
packs() {
  ( cd -- "$REPO" && for f in packs/*/*.bpk; do [ ! -f "$f" ] || { i=${f##*/}; echo "$f pack ${i%.bpk}"; }; done ) >"$T/need"
}
# errors: reports the containers of T/need that could not be opened
errors() {
  while IFS=' ' read -r p k id; do
    [ -f "$T/pk/$id.err" ] || continue
    IFS=' ' read -r code where <"$T/pk/$id.err"
    case $code in E_MAJOR | E_SUITE | E_FLAG | E_NEED) NEWER=1 ;; E_KEY | E_REPO) WRONG=1 ;; esac
    damage "$code $where"
  done <"$T/need"
}
NEWER='' WRONG=''
# load_snapshots: T/snaps, one line each, oldest first: id seq time writer partial hidden files bytes host set
load_snapshots() {
  if [ -f "$REPO/backpack.json" ]; then
    j=$(head -c 65536 -- "$REPO/backpack.json" | tr -d '\000'); x=${j##*',"xxh64":"'}
    h=$(printf %s "${j%',"xxh64"'*}" | xxhsum -H1 2>/dev/null)
    if [ "${h%% *}" != "${x%%\"*}" ]; then say "warning: backpack.json is damaged (not needed)"
    else printf %s "$j" | jq -e '.v==1 and (.features.incompat//[])==[]' >/dev/null 2>&1 || quit 15 "E_NEED: backpack.json asks for a newer version"; fi
  fi
  mkdir "$T/sn"
  containers drop drop; pool snap $(($(wc -l <"$T/need"))); errors
  while IFS=' ' read -r p k id; do
    [ ! -f "$T/sn/$id.src" ] || jq -r 'if type=="array" and .[0]=="S" then .[1] else empty end' "$T/sn/$id" 2>/dev/null ||
      say "warning: E_JSON $p" 
    rm -f "$T/sn/$id" "$T/sn/$id.src"
  done <"$T/need" >"$T/dropped"
  containers snapshots snap; pool snap $(($(wc -l <"$T/need"))); errors
  while IFS=' ' read -r p k id; do
    [ -f "$T/sn/$id.src" ] || grep -q "^$id" "$T/dropped" || echo "$id - $p"
  done <"$T/need" >"$T/lost"
  set -- "$T/sn"/*.src
  if [ ! -f "$1" ]; then
    [ -z "$NEWER" ] || quit 15 "the snapshots were made by a newer version"
    [ -z "$WRONG" ] || quit 12 "E_KEY: this key does not open this repository"
  fi
  if [ ! -s "$T/need" ]; then
    packs
    [ ! -s "$T/need" ] || damage "E_MISSING: no snapshot in snapshots/; looking for the copies in packs/ (forgotten ones look alike)"
    pool copy $(($(wc -l <"$T/need")))
  elif [ -s "$T/lost" ]; then copies; fi
  for f in "$T/sn"/*.src; do
    [ -f "$f" ] || continue
    id=${f##*/} id=${id%.src}
    IFS=' ' read -r w k <"$T/pk/$id.r"
    printf '%s\t%s\t%s\t' "$w" "$k" "$id"; head -n 1 "$T/sn/$id"
  done >"$T/rootlines"
  : >"$T/known"
  jq -Rr --arg known "$T/known" "$JQLIB"' split("\t") as $f | ($f[2]) as $src | try (($f[3:]|join("\t")|fromjson) as $r
    | if $r.backpack!="snapshot" then error("E_JSON") elif $r.v!=1 or ($r.need//[])!=[] or ($r.features.incompat//[])!=[] then error("E_NEED")
      elif $f[1]=="snap" and $r.id!=$src then error("E_NAME") else . end
    | [($r.id|id), ($r.seq|int), ($r.time|esc), $f[0], (if $r.partial then 1 else 0 end), $src, ($r.stats.files//0), ($r.stats.bytes//0),
       ($r.host|esc), (if $r.set then $r.set|esc else [$r.roots[]|esc]|join(" ") end), ([$r.replaces[]?|id]|join(" ")),
       ([$r.known[]?, $r.prev|strings|select(.!="")|id]|join(" "))] | map(tostring|if .=="" then "-" else . end) | join("\t"))
    catch "!\t\(.)\t\($src)"' "$T/rootlines" >"$T/roottab" || quit 4 "E_JSON: cannot read the snapshots"
  while IFS=$TAB read -r a b c _; do
    if [ "$a" = ! ]; then damage "$b snapshot $c"; [ "$b" != E_NEED ] || NEWER=1; fi
  done <"$T/roottab"
  # a time is seconds and nine digits; people and @DATE read it as a date
  awk -F "$TAB" -v OFS="$TAB" "$TIMES"'$1=="!"{next} $3~/^-?[0-9]+\.[0-9]+$/{x=tm($3);sub(/^.* /,"",x);split($3,a,".")
    $3=substr(x,1,4) "-" substr(x,5,2) "-" substr(x,7,2) "T" substr(x,9,2) ":" substr(x,11,2) ":" substr(x,14,2) "." substr(a[2],1,3) "Z"}
    {print}' "$T/roottab" | sort -t "$TAB" -k3,3 -k2,2n -k1,1 >"$T/roottab.s"
  awk -F "$TAB" -v OFS="$TAB" -v D="$T/dropped" 'BEGIN{while((getline l <D)>0)gone[l]=1}
    {row[++n]=$0; id[n]=$1; key=$4 FS $9 FS $10; m=split($11,r," "); for(i=1;i<=m;i++) rep[key FS r[i]]=1; here[$1]=1
     m=split($12,r," "); for(i=1;i<=m;i++) kn[r[i]]=1}
    END{for(i=1;i<=n;i++){split(row[i],f,FS); h=(f[1] in gone)||((f[4] FS f[9] FS f[10] FS f[1]) in rep)
        print f[1],f[2],f[3],f[4],f[5],h?1:0,f[6],f[7],f[8],f[9],f[10]}
      for(k in kn) if(k!="-"&&!(k in here)&&!(k in gone)) print "warning: snapshot " k " is known to others but is neither here nor forgotten" >"/dev/stderr"}' \
    "$T/roottab.s" >"$T/snaps"
  if [ ! -s "$T/snaps" ]; then
    [ -z "$NEWER" ] || quit 15 "the snapshots were made by a newer version"
    [ "$RC" = 0 ] || quit 4 "no snapshot can be read"
    say "this repository holds no snapshot"; [ "$CMD" = list ] || exit 1; exit 0
  fi
}
list() {
  n=0 hidden=0
  while IFS=$TAB read -r id seq time w part hid src files bytes host set; do
    [ "$hid" = 0 ] || { hidden=$((hidden + 1)); continue; }
    short=${id#????????????}; short=${short%????????????????????}
    note=''; [ "$part" = 0 ] || note='  (partial)'
    printf '%s  %s  %s files  %s bytes  %s  %s%s\n' "$short" "$time" "$files" "$bytes" "$host" "$set" "$note"
    n=$((n + 1))
  done <"$T/snaps"
  say "$n snapshots$([ "$hidden" = 0 ] || echo ", $hidden forgotten or replaced ones not shown")"
}
# choose SPEC: the line of T/snaps, in $line
choose() {
  spec=$1 back=0 upto=''
  case $spec in
    '' | latest) spec=latest ;;
    latest~*) back=${spec#latest~} spec=latest; case $back in '' | *[!0-9]*) quit 2 "what is $1?" ;; esac ;;
    @*) upto=${spec#@} spec=latest ;;
    *[!0-9a-f]*) quit 2 "no snapshot is called $1" ;;
  esac
  line=$(awk -F "$TAB" -v s="$spec" -v back="$back" -v upto="$upto" '
    s!="latest"{if(index($1,s)==1||index(substr($1,13),s)==1){print;} next}
    $5==0&&$6==0&&(upto==""||substr($3,1,length(upto))<=upto){row[++n]=$0;w[n]=$4;seq[n]=$2+0;id[n]=$1;t[n]=$3}
    END{if(s!="latest")exit
      for(r=0;r<=back;r++){split("",best);win=0
        for(i=1;i<=n;i++) if(!used[i]){b=best[w[i]];if(!b||seq[i]>seq[b]||(seq[i]==seq[b]&&id[i] "">id[b] ""))best[w[i]]=i}
        for(k in best){i=best[k];if(!win||t[i]>t[win]||(t[i]==t[win]&&id[i] "">id[win] ""))win=i} used[win]=1}
      if(win) print row[win]}' "$T/snaps")
  [ -n "$line" ] || quit 1 "E_MISSING: no snapshot fits $1"
  case $line in *"$NL"*) quit 2 "several snapshots fit $1" ;; esac
  IFS=$TAB read -r SID seq STIME SWRITER part hid SSRC files bytes host set <<EOF
$line
EOF
  # an older one never takes the place of one that cannot be read
  [ "$spec" != latest ] || l=$(awk -v id="$SID" -v upto="$upto" '{t=$3; sub(/^.*\//,"",t)
    t=substr(t,1,4) "-" substr(t,5,2) "-" substr(t,7,5) ":" substr(t,12,2) ":" substr(t,14,2)}
    $1 ""> id ""&&(upto==""||substr(t,1,length(upto))<=upto){print $1; exit}' "$T/lost")
  [ "$spec" != latest ] || [ -z "$l" ] || quit 4 "snapshot $l, which may be ${1:-latest}, cannot be read, and no copy of it was found; an older one can: $SID; if no backup made that object, delete it"
  [ "$hid" = 0 ] || say "note: snapshot $SID was forgotten or replaced"
  [ "$part" = 0 ] || say "note: snapshot $SID is a partial one"
}

# ---- planning -------------------------------------------------------------------------------------------------
PLAN='def bad: test("^/|//|/$|^$") or (split("/")|any(.=="." or .=="..")) or contains("\\0000");
def attr: "\(.o|chars("01234567";4))\t\(.u//"-"|tostring|chars("-0123456789";0))\t\(.g//"-"|tostring|chars("-0123456789";0))\t\(.m|chars("-.0123456789";0))";
def ext($k): .e[]? | if type!="array" or length<4 then error("E_EXTENT") else . end | map(int? // .) as $x
  | if $x[0]==-1 then "e\thole\t0\t0\($x[3]|int|"\t\(.)")\t0" elif $x[0]==-2 then "e\tzero\t0\t0\($x[3]|int|"\t\(.)")\t0"
    else "e\t\($k[$x[0]|int]//error("E_EXTENT")|id)\t\($x[1]|int)\t\($x[2]|int)\t\($x[3]|int)\t\($x[4]//0|int)" end;
def wanted($n; $p): $p=="" or $n==$p or ($n|startswith($p+"/"));
def line($k; $p): if (.need//[])!=[] then "!\tE_NEED\t-" else
  (try (.p|esc) catch null) as $n | if $n==null then "!\tE_JSON\t-" elif wanted($n; $p)|not then empty else (if (.xa//[])!=[] or (.fl//"")!="" then "x\t-" else empty end), if $n|bad then "!\tE_PATH\t\($n|if .=="" then "-" else . end)" else
  try (if .t=="f" then [("f\t\($n)\t\(attr)\t\(.s|int)\t\(if .s>0 then .x|hash else "-" end)\t\(.hl//"-"|esc)"), ext($k)]
    elif .t=="+" then ["+\t\($n)", ext($k)] elif .t=="d" then ["d\t\($n)\t\(attr)\t\(.an//0|int)"]
    elif .t=="l" then ["l\t\($n)\t\(attr)\t=\(.l|esc)\t\(.hl//"-"|esc)"] elif .t=="p" or .t=="s" then ["\(.t)\t\($n)\t\(attr)"]
    elif .t=="b" or .t=="c" then ["\(.t)\t\($n)\t\(attr)\t\(.rd[0]|int)\t\(.rd[1]|int)"] else ["?\t\(.t|esc)\t\($n)"] end | .[])
  catch "!\t\(.|tostring|if startswith("E_") then . else "E_JSON" end)\t\($n)" end end end;
(input | if .backpack!="page" then error("E_JSON") elif .v!=1 or (.need//[])!=[] then error("E_NEED") else .packs end) as $k
| inputs | if type=="object" then line($k; $p) elif (type=="array") and ((.[0]|type)!="string" or (.[0]|explode[0])<97) then error("E_NEED") else empty end'
# page N: turns the N-th page into plan lines
page() {
  [ -f "$S/$1" ] || return 0
  n=$(($(wc -c <"$S/$1")))
  if [ "$n" -gt 2097152 ] || { [ "$n" -gt 1048576 ] && [ -n "$(awk 'length($0)>1048575{print 1; exit}' "$S/$1")" ]; }; then
    echo "$1 E_LIMIT" >"$T/pl/$1.bad"; rm -f "$S/$1"; return
  fi
  jq -nr --arg p "$WANT" "$JQLIB$PLAN" "$S/$1" >"$T/pl/$1" 2>"$T/pl/$1.e" || {
    CODE=E_JSON; if grep -q E_NEED "$T/pl/$1.e"; then CODE=E_NEED; fi
    echo "$1 $CODE" >"$T/pl/$1.bad"; }
  # the page must be as its G line says: number of lines, first and last path
  if [ ! -f "$T/pl/$1.bad" ]; then
    got=$(jq -nr "$JQLIB"'input | reduce (inputs|objects) as $x ([0,"",""]; [.[0]+1, (if .[0]==0 then $x.p else .[1] end), $x.p])
      | "\(.[0])\t\(.[1]|esc)\t\(.[2]|esc)"' "$S/$1" 2>/dev/null)
    [ "$got" = "$(grep "^$1$TAB" "$T/shapes" | cut -f 2-)" ] || echo "$1 E_ORDER" >"$T/pl/$1.bad"
  fi
  rm -f "$S/$1" "$T/pl/$1.e"
}
# own_packs: all packs that a write-only writer's snapshot names are its own; whoever needs a damaged one says so
own_packs() {
  [ "$SWRITER" != $Z16 ] || return 0
  jq -r 'select(type=="array" and .[0]=="K")|.[1]' "$T/snap" >"$T/kids"
  while read -r id; do
    p=packs/${id%???????????????????????????????????}/$id.bpk
    [ -f "$REPO/$p" ] && header "$REPO/$p" "$id" || continue
    [ "$h_writer" = "$SWRITER" ] || quit 4 "E_WRITER: $p belongs to another writer than the snapshot"
  done <"$T/kids"
}
# make_plan: reads the pages of the chosen snapshot; T/plan
make_plan() {
  IFS=' ' read -r id r <"$T/sn/$SSRC.src"
  stream "$id" "$T/snap" "$r" 4294967296 || {
    [ "$SSRC" = "$SID" ] || quit 4 "$CODE snapshot $SID"
    damage "$CODE snapshot $SID"
    echo "$SID $SWRITER -" >"$T/lost"; copies
    IFS=' ' read -r _ SSRC <"$T/cp.ok" && IFS=' ' read -r id r <"$T/sn/$SSRC.src" && stream "$id" "$T/snap" "$r" 4294967296 ||
      quit 4 "the snapshot $SID cannot be read, and no copy of it was found"
  }
  WANT=''
  if [ -n "$1" ]; then
    printf %s "$1" >"$T/want"
    case $1 in *[[:cntrl:]]*) ok='' ;; *) ok=1; jq -Rj . <"$T/want" 2>/dev/null | cmp -s - "$T/want" || ok='' ;; esac
    if [ -n "$ok" ]; then WANT=$(jq -Rr "$JQLIB esc" <"$T/want")
    else WANT=$(openssl base64 -A <"$T/want" | jq -Rr "$JQLIB [.]|esc"); fi
  fi
  jq -rs --arg p "$WANT" --arg id "$SID" "$JQLIB"' def key: split("/")|join("\u0001");
    [.[]|select(type=="array" and .[0]=="K")|.[1]|id] as $k | .[0] as $r
    | if any(.[]; type=="array" and (.[0]|explode[0])<97 and (.[0]|IN("K","G","E")|not)) then error("E_NEED") else . end
    | [.[]|select(type=="array" and .[0]=="G")] | to_entries[] | .key as $i | .value
    | select($p=="" or (.[4]|type)!="string" or (.[5]|type)!="string" or ($p|contains("\\")) or ((.[5]|key)>=($p|key) and ((.[4]|key)<=($p|key) or (.[4]|startswith($p+"/")))))
    | "\($i+1) \($k[.[1]|int]) \(.[2]|int) 1 -1 0 0 \(.[4]|esc) ... \(.[5]|esc)\t\(.[3]|int)\t\(.[4]|esc)\t\(.[5]|esc)"' \
    "$T/snap" >"$T/pages.t" 2>"$T/err" || quit 4 "E_JSON: snapshot $SID cannot be read"
  cut -f 1 "$T/pages.t" >"$T/pages"; awk -F "$TAB" -v OFS="$TAB" '{sub(/ .*/,"",$1);print}' "$T/pages.t" >"$T/shapes"
  own_packs
  n=$(grep -c '^\["E"' "$T/snap") && say "note: $n files could not be read when this snapshot was made"
  awk '{print $1,$2,$3,$4,$5,$6,$7}' "$T/pages" >"$T/pieces"
  keep=$S S=$T/pg; rm -rf "$S" "$T/pl"; mkdir "$S" "$T/pl"
  decode "$SWRITER" meta "$T/failed"
  awk '{print $1}' "$T/pages" >"$T/nums"
  pool page_ $(($(wc -l <"$T/nums")))
  cat "$T/pl/"*.bad >>"$T/failed" 2>/dev/null
  while IFS=' ' read -r n code where; do
    names=$(awk -v n="$n" '$1==n{sub(/^([^ ]* ){7}/,"");for(i=1;i<=7;i++)$i="";print}' "$T/pages")
    damage "$code page $n of the snapshot: the names from$names are not restored ($where)"
    rm -f "$T/pl/$n"
  done <"$T/failed"
  while read -r n; do [ ! -f "$T/pl/$n" ] || cat "$T/pl/$n"; rm -f "$T/pl/$n"; done <"$T/nums" >"$T/plan"
  S=$keep
}
page_() { page "$(sed -n "$1p" "$T/nums")"; }
# split_plan: batches of at most 4,096 files or 1 GiB in T/b: N.f (number name mode uid gid mtime size hash), N.e (pieces);
# folders, links, other files and further names of hard links in lists of their own
split_plan() {
  rm -rf "$T/b"; mkdir "$T/b"
  for f in dirs links special hard bad; do : >"$T/b/$f"; done
  lost=0; [ ! -s "$T/failed" ] || lost=1
  printf '%s' "$WANT" >"$T/want"
  awk -F "$TAB" -v OFS="$TAB" -v B="$T/b/" -v lost="$lost" -v WF="$T/want" '
    # paths ascend as bytes with / below all others, and the folder of each came before it
    function raw(s, o,i){ while((i=index(s,"\\"))>0){o=o substr(s,1,i-1) sprintf("%c",substr(s,i+2,1)*64+substr(s,i+3,1)*8+substr(s,i+4,1));s=substr(s,i+5)} return o s}
    function unordered(s, k,p,i){ k=index(s,"\\")?raw(s):s; gsub("/","\001",k); if(k "" <= last ""&&last!="") return 1; last=k
      if(lost||s ""==want "") {p=s; sub(/[^\/]*$/,"",p); dir[++top]=p} else { while(top&&index(s,dir[top])!=1) top--
        p=s; sub(/[^\/]*$/,"",p); if(p!=(top?dir[top]:"")) return 1}
      if($1=="d") dir[++top]=s "/"; return 0}
    function done(){ if(cur=="") return
      if(!err&&sum!=size) err="E_EXTENT"
      if(err) print err,cur >(B "bad")
      else { n++; print n,cur,at >fl; for(i=1;i<=m;i++) print n " " ex[i] >el; if(size==0||hole) print n " end 0 0 " size " 0 0" >el; bytes+=size
        if(n>=4096||bytes>=1073741824){close(fl);close(el);next_()} }
      cur="" }
    function next_(){b++;n=0;bytes=0;fl=B b ".f";el=B b ".e";printf "" >fl;printf "" >el}
    BEGIN{getline want <WF; next_()}
    $1=="x"{next}
    $1!="e"&&$1!="+"&&$1!="!"&&unordered($1=="?"?$3:$2){done(); print "E_ORDER",$1=="?"?$3:$2 >(B "bad"); next}
    $1=="e"{ if(cur=="") next; hole=0
      if($2=="hole") hole=1; else ex[++m]=$2 " " $3 " " $4 " " $5 " " $6 " " sum
      sum+=$5; if($5<1||($2~/^[0-9a-f]/&&length($2)==40&&$4<1)||($4>1&&$6>0)) err="E_EXTENT"; next}
    $1=="+"{ if(cur ""!=$2 ""){done(); print "E_ORDER",$2 >(B "bad")} next}
    {done()}
    $1=="!"{print $2,$3 >(B "bad");next}
    $1=="?"{print "E_TYPE",$3 >(B "bad");next}
    $1=="d"{print >(B "dirs");next}
    ($1=="l"||$1=="f")&&$NF!="-"{ if($NF in seen){print $2,seen[$NF] >(B "hard");next} seen[$NF]=$2 }
    $1=="l"{print >(B "links");next}
    $1=="f"{cur=$2;at=$3 OFS $4 OFS $5 OFS $6 OFS $7 OFS $8;size=$7+0;sum=0;m=0;err="";hole=0;next}
    {print >(B "special")}
    END{done(); print b >(B "count")}' "$T/plan"
}

# ---- writing --------------------------------------------------------------------------------------------------
# unesc NAME: the bytes of an escaped name, in $N
unesc() { case $1 in *\\*) N=$(printf '%b.' "$1"); N=${N%.} ;; *) N=$1 ;; esac; }
# folder NAME: makes the folder below the current one; refuses when a link or a file is in the way
SAFE=''
folder() {
  # what was found or made before needs no second look: folders may be nested thousands deep
  case $1/ in "$SAFE"/) return 0 ;; "${SAFE:-/}"/*) rest=${1#"$SAFE"/}/ up=./$SAFE ;; *) rest=$1/ up=. ;; esac
  while [ -n "$rest" ]; do
    up=$up/${rest%%/*} rest=${rest#*/}
    [ ! -h "$up" ] || return 1
    [ -d "$up" ] || mkdir -- "$up" 2>/dev/null || { [ -d "$up" ] && [ ! -h "$up" ]; } || return 1
    SAFE=${up#./}
  done
}
# free NAME: makes room for a file: its folder exists, nothing but a file or link of that name is there
free() {
  case $1 in */*) folder "${1%/*}" || return 1 ;; esac
  if [ -h "./$1" ]; then rm -f -- "./$1"; elif [ -d "./$1" ]; then return 1; fi
}
touch_() { # TIME FILE...: TIME is @seconds, a point, nine digits, and after a space the POSIX form
  tm=$1; shift
  case $TOUCH in
    frac) touch $NOLINK -d "${tm% *}" -- "$@" ;;
    sec) x=${tm% *}; touch $NOLINK -d "${x%.*}" -- "$@" ;;
    *) touch $NOLINK -t "${tm#* }" -- "$@" ;;
  esac 2>/dev/null || say "warning: cannot set the time ${tm% *}"
}
NOLINK=''
# place N: attributes and names of one chunk of checked files
place() {
  cd -- "$S" || return
  while IFS=$TAB read -r op a b <&3; do
    case $op in
      o) IFS=' '; chown "$a" $b 2>/dev/null || say "warning: cannot set the owner $a" ;;
      m) IFS=' '; chmod "$a" $b ;;
      t) IFS=' '; touch_ "$a" $b ;;
      v)
        cd -- "$TO" || return
        unesc "$b"
        if free "$N" && mv -f -- "$S/$a" "./$N"; then :; else printf 'E_PATH\t%s\n' "$b" >>"$T/c/$1.bad"; fi ;;
    esac
  done 3<"$T/c/$1"
}
# batch N: decodes, checks and places the files of one batch
batch() {
  cp "$T/b/$1.e" "$T/pieces"
  decode "$SWRITER" data "$T/failed"
  ( cd -- "$S" && awk -F "$TAB" '$7>0{print $1}' "$T/b/$1.f" | xargs xxhsum -H1 2>/dev/null ) </dev/null >"$T/sums"
  rm -rf "$T/c"; mkdir "$T/c"
  awk -F "$TAB" -v OFS="$TAB" -v C="$T/c/" -v F="$T/failed" -v H="$T/sums" -v root="$ROOT" -v BAD="$T/b/bad" -v dry="$DRY" "$TIMES"'
    BEGIN{while((getline l <F)>0){i=index(l," ");k=substr(l,1,i-1);if(!(k in code))code[k]=substr(l,i+1)}
      while((getline l <H)>0){split(l,a," ");sub(/^.*\//,"",a[2]);h[a[2]]=a[1]} c=1}
    function flush( k){ f=C c; for(k in o) print "o",k,o[k] >f; for(k in mo) print "m",k,mo[k] >f; for(k in t) print "t",k,t[k] >f
      if(n) print substr(v,1,length(v)-1) >f; close(f); split("",o);split("",mo);split("",t); v=""; if(n){c++;n=0} }
    $1 in code{print code[$1],$2 >>BAD;next}
    $7>0&&h[$1] ""!=$8 ""{print "E_HASH",$2 >>BAD;next}
    {good++; bytes+=$7; if(dry) next; if(root&&$4!="-"&&$5!="-") o[$4 ":" $5]=o[$4 ":" $5] $1 " "; mo[$3]=mo[$3] $1 " "; x=tm($6); t[x]=t[x] $1 " "
     v=v "v" OFS $1 OFS $2 "\n"; if(++n>=128) flush()}
    END{if(n) flush(); print c-1 " " good+0 " " bytes+0 >(C "count")}' "$T/b/$1.f"
  IFS=' ' read -r n good bytes <"$T/c/count"
  [ -n "$DRY" ] || pool place "$n"
  cat "$T/c/"*.bad >>"$T/b/bad" 2>/dev/null
  GOOD=$((GOOD + good))
  rm -rf "$S"; mkdir "$S"; rm -f "$T/b/$1.f" "$T/b/$1.e"
}
# attrs MODE UID GID TIME NAME: of a folder (last of all) or special file
attrs() {
  [ -z "$ROOT" ] || [ "$2" = - ] || [ "$3" = - ] || chown $NOLINK "$2:$3" "./$5" 2>/dev/null
  [ -n "$NOLINK" ] || chmod "$1" "./$5" 2>/dev/null || say "warning: cannot set the mode of a folder"
  touch_ "$4" "./$5"
}
timed() { awk -F "$TAB" -v OFS="$TAB" "$TIMES"'{$6=tm($6);print}' "$1"; }
# files PATH: the chosen snapshot, or with DRY only the check of its files
files() {
  GOOD=0 ROOT=''; [ "$(id -u)" != 0 ] || ROOT=1
  make_plan "$1"
  split_plan
  [ -s "$T/plan" ] || [ "$RC" = 4 ] || { [ -z "$1" ] || quit 1 "nothing in the snapshot is called $1"; }
  n=$(grep -c "^x$TAB" "$T/plan") && [ -z "$DRY" ] && { say "left out: extended attributes (ACLs are some) and flags of $n entries"; worse 3; }
  [ -n "$FAST" ] && say "note: --fast: tags are not checked; only the XXH64 of each file is"
  : >"$T/dirs"
  if [ -z "$DRY" ]; then
    while IFS=$TAB read -r t name mode u g m an; do
      unesc "$name"
      if [ "$an" = 1 ] && [ -d "./$N" ] && [ ! -h "./$N" ]; then continue; fi
      if folder "$N"; then printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$t" "$name" "$mode" "$u" "$g" "$m"; else printf 'E_PATH\t%s\n' "$name" >>"$T/b/bad"; fi
    done <"$T/b/dirs" >"$T/dirs"
  fi
  count=$(cat "$T/b/count") i=0
  while [ "$i" -lt "$count" ]; do
    i=$((i + 1)); batch "$i"
    [ "$count" = 1 ] || say "$GOOD files done (part $i of $count)"
  done
  if [ -z "$DRY" ]; then
    timed "$T/b/special" >"$T/special"
    while IFS=$TAB read -r t name mode u g m a b; do
      unesc "$name"
      if [ "$t" = s ]; then say "left out (socket): $name"; worse 3; continue; fi
      if free "$N" && rm -f -- "./$N" && case $t in p) mkfifo "./$N" ;; *) [ -n "$ROOT" ] && mknod "./$N" "$t" "$a" "$b" ;; esac 2>/dev/null; then
        attrs "$mode" "$u" "$g" "$m" "$N"
      else say "left out (device or pipe): $name"; worse 3; fi
    done <"$T/special"
    timed "$T/b/links" >"$T/links"
    NOLINK=-h
    while IFS=$TAB read -r t name mode u g m target hl; do
      unesc "${target#=}"; target=$N
      unesc "$name"
      if free "$N" && rm -f -- "./$N" && ln -s -- "$target" "./$N"; then attrs - "$u" "$g" "$m" "$N"
      else printf 'E_PATH\t%s\n' "$name" >>"$T/b/bad"; fi
    done <"$T/links"
    NOLINK=''
    awk -F "$TAB" -v OFS="$TAB" -v BAD="$T/b/bad" 'BEGIN{while((getline l <BAD)>0){split(l,a,FS);bad[a[2]]=a[1]} close(BAD)}
      $2 in bad{print bad[$2],$1 >>BAD;next}{print}' "$T/b/hard" >"$T/hard"
    while IFS=$TAB read -r name firstname; do
      unesc "$firstname"; old=$N
      unesc "$name"
      if free "$N" && rm -f -- "./$N" && { ln -P -- "./$old" "./$N" 2>/dev/null || ln -- "./$old" "./$N" 2>/dev/null || cp -pP -- "./$old" "./$N"; }; then GOOD=$((GOOD + 1))
      else printf 'E_PATH\t%s\n' "$name" >>"$T/b/bad"; fi
    done <"$T/hard"
    timed "$T/dirs" | awk '{l[NR]=$0}END{for(i=NR;i;i--)print l[i]}' >"$T/dirs.r"
    while IFS=$TAB read -r t name mode u g m; do unesc "$name"; attrs "$mode" "$u" "$g" "$m" "$N"; done <"$T/dirs.r"
  fi
  while IFS=$TAB read -r code name; do
    if [ "$code" = E_TYPE ]; then say "left out (unknown type): $name"; worse 3; continue; fi
    damage "$code: $name is not restored"
    [ "$code" != E_NEED ] || NEWER=1
  done <"$T/b/bad"
}

# ---- commands -------------------------------------------------------------------------------------------------
restore() {
  case $WHAT in *:*) path=${WHAT#*:} ;; *) path='' ;; esac
  while :; do case $path in /*) path=${path#/} ;; ./*) path=${path#./} ;; */) path=${path%/} ;; *) break ;; esac; done
  choose "${WHAT%%:*}"
  mkdir -p -- "$TO" && TO=$(cd -- "$TO" && pwd -P && echo .) || quit 1 "cannot make the target"
  TO=${TO%??}
  case $TO/ in "$REPO"/*) [ "$CMD" = '' ] || quit 2 "the target lies in the repository" ;; esac
  cd -- "$TO" || exit 1
  S=$(mktemp -d "$TO/.backpack-partial.XXXXXX") || quit 1 "cannot write to $TO"
  DRY=''; files "$path"
  say "snapshot $SID of $STIME: $GOOD files restored to $TO"
}
# check N: the N-th container of T/need, every record
check() {
  IFS=' ' read -r path kind id <<EOF
$(sed -n "$1p" "$T/need")
EOF
  size=$(($(wc -c <"$path")))
  sum=$(head -c $((size > 512 ? size - 512 : 0)) -- "$path" | xxhsum -H1 2>/dev/null) said=$(tail -c 512 -- "$path" | tr -d '\000' | sed -n 's/^xxh64=//p')
  open_ "$path" "$kind" "$id" || return
  [ "${sum%% *}" = "$said" ] || echo "E_TRAILER $path (its XXH64 does not fit)" >"$T/pk/$id.err"
  n=$(($(wc -l <"$T/pk/$id.r") - 1)) r=0 total=$n
  while [ "$r" -lt "$total" ]; do
    stream "$id" "$T/pk/$id.s" "$r" 16 || { echo "$CODE $path, among records $r to $((r + 15))" >"$T/pk/$id.err"; break; }
    rm -f "$T/pk/$id.s"; r=$((r + 16))
  done
}
verify() {
  choose "$WHAT"
  for d in packs:pack snapshots:snap index:indx moved:move gc:mark drop:drop; do
    if [ "$d" = packs:pack ]; then
      packs
    elif [ "$d" = moved:move ]; then
      ( cd -- "$REPO" && for f in moved/*.bpk; do [ ! -f "$f" ] || { i=${f#moved/*-}; echo "$f move ${i%.bpk}"; }; done ) >"$T/need"
    else containers "${d%:*}" "${d#*:}"; fi
    n=$(($(wc -l <"$T/need")))
    pool check "$n"; errors
    [ "$n" = 0 ] || say "${d%:*}: $n containers read"
  done
  S=$T/files; mkdir "$S"
  DRY=1; files ''
  jq -r 'select(type=="array" and .[0]=="K")|"\(.[1]) \(.[2])"' "$T/snap" | while IFS=' ' read -r id size; do
    p=$REPO/packs/${id%???????????????????????????????????}/$id.bpk
    [ -f "$p" ] || { [ -f "$T/pk/$id.map" ] || echo "E_MISSING: pack $id of snapshot $SID"; continue; }
    [ "$size" = $(($(wc -c <"$p"))) ] || { [ "$size" = 0 ] && [ "$SSRC" = "$id" ]; } || echo "E_TRUNC: pack $id has not the size the snapshot names"
    [ -f "$T/pk/$id.r" ] || continue
    IFS=' ' read -r w k <"$T/pk/$id.r" && [ "$w" = "$SWRITER" ] || echo "E_WRITER: pack $id of snapshot $SID is of another writer"
  done >"$T/kbad" 2>/dev/null
  if [ -s "$T/kbad" ]; then sed 's/^/damaged: /' "$T/kbad" >&2; RC=4; fi
  say "snapshot $SID of $STIME: $GOOD files are whole"
}
if [ -z "$CMD" ]; then
  TO=recovered
  if [ -e "$TO" ] || [ -h "$TO" ]; then
    [ -d "$TO" ] && [ -z "$(ls -A "$TO")" ] || quit 11 "./recovered exists and is not empty; use restore --to DIR"
  fi
fi
load_snapshots
case $CMD in
  list) list ;;
  verify) verify ;;
  '') list; restore ;;
  *) restore ;;
esac
[ "$RC" = 0 ] || [ -z "$NEWER" ] || RC=15
exit "$RC"
