#!/usr/bin/env bash
# Say what of start-all.sh's runs, and whether it is ready.
# Exit code: 0 all runs and is ready, 1 something does not, 3 nothing runs.
set -euo pipefail
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"

if (($# > 0)); then
    say "usage: scripts/status.sh"
    [[ $1 == -h || $1 == --help ]] && exit 0
    exit 2
fi

line() { printf '%-15s %s\n' "$1" "$2"; }

running=0 unwell=0 inside=''
for name in "${NAMES[@]}"; do
    look "$name"
    case $STATE in
    running)
        running=$((running + 1))
        if [[ $ROLES == *,* ]]; then inside="running inside $name (pid $PID)"; fi
        if ready "$name"; then
            line "$name" "running (pid $PID), ready${URL:+: $URL}"
        else
            unwell=1
            line "$name" "running (pid $PID), not ready (missing: $WHY)"
        fi
        ;;
    stale)
        unwell=1
        line "$name" "not running; its PID file is stale (pid ${PID:-?}), the next start replaces it"
        ;;
    none)
        if [[ -n $inside ]]; then
            if [[ $name == signal-system ]]; then line "$name" "$inside"; fi
        elif [[ $name != api ]] || ((running > 0)); then
            unwell=1
            line "$name" "not running"
        fi
        ;;
    esac
done

if ((running == 0)); then
    find_python
    read_settings
    if port_is_taken; then
        say "port $PORT of $HOST is in use by $USER_OF_PORT, which start-all.sh did not start"
    fi
    exit 3
fi
say "logs: $LOGS"
exit "$unwell"
