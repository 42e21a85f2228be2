#!/usr/bin/env bash
# Start the whole system and wait until it is ready.
#
# Without REDIS__URL one process has all roles, signal-system too. With it there are three: market-scraper collects,
# signal-system processes, api serves; they meet in Redis and in the store.
# In the foreground Ctrl-C stops all, and when one dies the others are stopped; --background leaves them running.
# Exit code: 0 ready (background) or stopped in order (foreground); 1 refused, or not ready in time; else that of the
# process that died.
set -euo pipefail
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/common.sh"

usage="usage: scripts/start-all.sh [--background]"
background=''
for word in "$@"; do
    case $word in
    --background) background=yes ;;
    -h | --help)
        say "$usage"
        exit 0
        ;;
    *)
        tell "$usage"
        exit 2
        ;;
    esac
done

# Start $1 with roles $2.
start() {
    rm -f "$RUN/$1.out"
    from[$1]=$(size_of "$LOGS/$1.log")
    launch "$1" "$2" &
    pid_of[$1]=$!
    while [[ ! -f $RUN/$1.pid ]] && kill -0 "${pid_of[$1]}" 2>/dev/null; do sleep 0.02; done
}

# Become server $1 with roles $2, in a session of its own: only start-all.sh hears a Ctrl-C, and stops all in order.
launch() {
    local me=$BASHPID own_session=()
    trap - INT TERM HUP
    if [[ -n $background ]]; then exec 2>>"$LOGS/$1.log"; fi
    if command -v setsid >/dev/null; then own_session=(setsid); fi
    printf '%s\n' "$me" "$(born "$me")" "$2" >"$RUN/$1.pid.new"
    mv "$RUN/$1.pid.new" "$RUN/$1.pid"
    exec "${own_session[@]}" "$PYTHON" -m market_scraper server --roles "$2" </dev/null >"$RUN/$1.out" 9>&-
}

size_of() { if [[ -f $1 ]]; then wc -c <"$1"; else echo 0; fi; }

# Stop what we started, in order.
stop_started() {
    local name code=0
    for name in "${NAMES[@]}"; do
        if [[ -n ${pid_of[$name]:-} ]]; then stop "$name" || code=1; fi
    done
    return "$code"
}

# Whether all that we started lives: bash has waited for a child that has ended, and there is no such process any more.
all_live() {
    local name
    for name in "${!pid_of[@]}"; do kill -0 "${pid_of[$name]}" 2>/dev/null || return 1; done
}

# Ctrl-C, or somebody wants us to end: so does what we started.
# shellcheck disable=SC2317,SC2329  # a trap calls it
interrupted() {
    trap '' INT TERM HUP
    stop_started || exit 1
    exit $((${#background} ? 130 : 0))
}

# $1 has ended before it was ready: say why, stop the others and leave with its exit code.
give_up() {
    local code=0 why=''
    wait "${pid_of[$1]}" || code=$?
    rm -f "$RUN/$1.pid" "$RUN/$1.out"
    if [[ -n $background ]]; then # else the terminal has it
        why=$(tail -c "+$((from[$1] + 1))" "$LOGS/$1.log")
        tell "$(grep -a '^error: ' <<<"$why" | tail -n 1 || tail -n 1 <<<"$why")"
    fi
    tell "$1 ended with exit code $code before it was ready${background:+; its log: $LOGS/$1.log}"
    stop_started || true
    exit $((code == 0 ? 1 : code))
}

# Wait until $1 is ready and say so; one that is late goes on, for it may only miss an upstream.
await() {
    local name=$1 pid=${pid_of[$1]} end=$((SECONDS + READY_S))
    while true; do
        born "$pid" >/dev/null || give_up "$name" # it is our child: its PID is nobody else's before we have waited for it
        if ready "$name"; then
            say "$name: ready (pid $pid)${URL:+, $URL}"
            return
        fi
        if ((SECONDS >= end)); then
            tell "$name (pid $pid) runs, and is not ready after $READY_S s (missing: $WHY). It keeps trying; see scripts/status.sh"
            late=1
            return
        fi
        sleep 0.1
    done
}

mkdir -p "$RUN" "$LOGS"
exec 9>"$RUN/lock"
if command -v flock >/dev/null && ! flock -n 9; then fail "another start-all.sh is starting it"; fi
for name in "${NAMES[@]}"; do
    look "$name"
    case $STATE in
    running) fail "$name is running already (pid $PID); scripts/stop-all.sh stops it" ;;
    stale)
        say "$name: removed the stale PID file of pid ${PID:-?}"
        rm -f "$RUN/$name.pid" "$RUN/$name.out"
        ;;
    esac
done
find_python
read_settings
if port_is_taken; then
    fail "port $PORT of $HOST is in use by $USER_OF_PORT, which is left alone; stop it or set API_PORT"
fi

declare -A pid_of=() from=()
late=0
trap interrupted INT TERM HUP

if [[ $BUS != redis ]]; then
    start market-scraper collect,process,api
    await market-scraper
    say "signal-system: runs inside market-scraper (three processes need REDIS__URL with an address)"
elif [[ $STORE == memory ]]; then
    start market-scraper collect,process,api
    await market-scraper
    say "signal-system: runs inside market-scraper (processes cannot share STORAGE__BACKEND=memory)"
else
    start signal-system process # who listens is there before who speaks
    start api api
    await signal-system
    await api
    start market-scraper collect
    await market-scraper
fi

exec 9>&-
if [[ -n $background ]]; then
    say "logs: $LOGS"
    exit "$late"
fi
say "Ctrl-C stops it"
# Builtins alone, and not `wait -n`. A Ctrl-C in the moment before that would be heard only once a child ends, and one
# that finds bash waiting for a sleep, or a subshell, which ends by itself just then, would never be heard.
exec 8<> <(:)
while all_live; do read -r -t 0.5 -u 8 _ || true; done
code=0
for name in "${!pid_of[@]}"; do
    if ! born "${pid_of[$name]}" >/dev/null; then
        code=0
        wait "${pid_of[$name]}" || code=$?
        tell "$name (pid ${pid_of[$name]}) ended with exit code $code"
        rm -f "$RUN/$name.pid" "$RUN/$name.out"
    fi
done
stop_started || exit 1
exit "$code"
