#!/usr/bin/env bash
# Stop what start-all.sh started, in order: SIGTERM by PID, then wait. Nothing else is touched, whatever its name or port.
# Exit code: 0 when nothing of it runs any more, 1 when something does not end.
set -euo pipefail
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"

if (($# > 0)); then
    say "usage: scripts/stop-all.sh"
    [[ $1 == -h || $1 == --help ]] && exit 0
    exit 2
fi

code=0 found=0
for name in "${NAMES[@]}"; do
    look "$name"
    if [[ $STATE != none ]]; then found=1; fi
    stop "$name" || code=1
done
if ((found == 0)); then say "nothing was running"; fi
exit "$code"
