#!/usr/bin/env bash
# Imports the captures of captures/ into a new data folder, ./demo-data, and cuts five minutes of one host out of it.
set -euo pipefail
cd "$(dirname "$0")/.."
data=demo-data/data
cut=demo-data/10.1.2.3.pcapng
bin=${CARGO_TARGET_DIR:-target}/release/taploop
show() {
    printf '\n$ taploop %s\n' "$*"
    "$bin" "$@"
}

echo "Building taploop (the first time takes some minutes) ..."
cargo build --locked --release
rm -rf demo-data
mkdir demo-data

whole=()
for file in captures/*.pcap*; do
    [[ $file == *damaged* ]] || whole+=("$file")
done
show import --data "$data" "${whole[@]}"
# This one is cut off, on purpose: what came before the cut is kept, and the exit status tells it.
status=0
show import --data "$data" captures/damaged.pcap || status=$?
echo "(exit status $status)"

show rings --data "$data"
# Status 4: the packets are there, and coverage says that the captures are shorter than the window.
status=0
show cut --data "$data" --ip 10.1.2.3 --around 2018-06-21T10:42:00Z --window 5m -w "$cut" --coverage demo-data/coverage.json --stats || status=$?
echo "(exit status $status)"
((status == 0 || status == 4))
printf '\nThe coverage of that cut, demo-data/coverage.json, begins:\n'
head -n 40 demo-data/coverage.json
cat <<END

The cut is in $cut; Wireshark, tshark and tcpdump open it. To go on:

  taploop=$bin
  \$taploop flows --data $data --ip 10.1.2.3 --around 2018-06-21T10:42:00Z --window 5m
  \$taploop cut   --data $data --ip 10.20.11.1 -w vxlan.pcapng                         # a host inside a VXLAN tunnel
  \$taploop cut   --data $data --filter 'tcp port 445 and greater 1000' -w big.pcapng  # in pcap-filter syntax
  \$taploop cut   --data $data --community-id ID -w flow.pcapng                        # an ID that flows printed
  \$taploop ring check --data $data

captures/README.md tells what else is in there.
END
