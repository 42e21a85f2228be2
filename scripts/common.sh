# shellcheck shell=bash disable=SC2034  # what is set here is for whoever sources it
# What start-all.sh, status.sh and stop-all.sh share; it is sourced, never run.
#
# A PID file has three lines: the PID, when that process was born, and its roles. A PID alone may be somebody else's by
# now; with its birth it names one process for good, so nothing but what was started here is ever signalled.

ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
cd "$ROOT" || exit 1 # the program reads .env, config/ and data/ of its working directory
RUN=${MARKET_SCRAPER_RUN_DIR:-$ROOT/data/run}
LOGS=${MARKET_SCRAPER_LOG_DIR:-$ROOT/data/logs}
READY_S=${MARKET_SCRAPER_READY_S:-60} # how long start-all.sh waits until what it started is ready
STOP_S=20                             # the program promises to end within 10
NAMES=(market-scraper signal-system api) # in the order of stopping: who speaks ends before who listens

say() { printf '%s\n' "$*"; }
tell() { printf '%s\n' "$*" >&2; }
fail() {
    tell "error: $*"
    exit 1
}

# Print when process $1 was born, in words that no later process with its PID can have; fail when it is gone.
# (A subshell, for bash 5.2 forgets to give back standard error where a redirection fails inside a trap.)
born() (
    if [[ -r /proc/self/stat ]]; then
        read -r line <"/proc/$1/stat" || exit 1
        read -ra fields <<<"${line##*) }" # what stands before may hold blanks
        [[ ${fields[0]} != [ZX] ]] || exit 1
        printf '%s %s\n' "$(</proc/sys/kernel/random/boot_id)" "${fields[19]}"
    else
        ps -o lstart= -p "$1" | grep .
    fi
) 2>/dev/null

# Look for the process of PID file $1: sets STATE to running, stale (the file is there, its process is not) or none.
look() {
    local file=$RUN/$1.pid birth=''
    STATE=none PID='' ROLES=''
    [[ -f $file ]] || return 0
    STATE=stale
    { read -r PID && read -r birth && read -r ROLES; } <"$file" || return 0
    if [[ $PID =~ ^[1-9][0-9]*$ && $(born "$PID") == "$birth" ]]; then STATE=running; fi
}

# GET $2 from server $1 (http://HOST:PORT): print the status code and the answer, or fail.
ask() (
    address=${1#http://}
    host=${address%:*} port=${address##*:}
    host=${host#[} host=${host%]}
    exec 3<>"/dev/tcp/$host/$port" || exit 1
    printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$2" "$address" >&3
    read -r -t 5 _ code _ <&3 || exit 1
    IFS= read -r -d '' -t 5 rest <&3 || true # up to the end
    printf '%s %s\n' "$code" "$rest"
) 2>/dev/null

# Whether $1, which runs, is ready. Sets URL where it serves, and what is missing (WHY).
ready() {
    local word='' what='' answer
    URL='' WHY='its word that it has started'
    if [[ -f $RUN/$1.out ]]; then read -r word what _ <"$RUN/$1.out" || true; fi
    [[ $word == ready: ]] || return 1
    [[ $what == http://* ]] || return 0 # it serves nobody: its own word counts
    URL=$what
    if ! answer=$(ask "$URL" /health/ready); then
        WHY="an answer of $URL"
        return 1
    fi
    [[ $answer != 200\ * ]] || return 0
    WHY="$URL answers ${answer%% *}"
    if [[ $answer =~ \"detail\":\"([^\"]*)\" ]]; then WHY=${BASH_REMATCH[1]#not ready: }; fi
    return 1
}

# End $1 by SIGTERM to its PID, wait for it and say so; fail when it goes on. One that does not run is said, too.
stop() {
    local name=$1 left=$((STOP_S * 10))
    look "$name"
    case $STATE in
    none) return 0 ;;
    stale) say "$name: not running; removed the stale PID file of pid ${PID:-?}" ;;
    running)
        kill -TERM "$PID" 2>/dev/null || true
        while born "$PID" >/dev/null && ((left-- > 0)); do sleep 0.1; done
        look "$name"
        if [[ $STATE == running ]]; then
            tell "error: $name (pid $PID) has not ended in $STOP_S s; it goes on, and its PID file stays"
            return 1
        fi
        say "$name: stopped (pid $PID)"
        ;;
    esac
    rm -f "$RUN/$name.pid" "$RUN/$name.out"
}

# Find the interpreter that has the program: sets PYTHON.
find_python() {
    if [[ -n ${MARKET_SCRAPER_PYTHON:-} ]]; then
        PYTHON=$MARKET_SCRAPER_PYTHON
    elif command -v uv >/dev/null; then
        PYTHON=$(uv run --quiet python -c 'import sys; print(sys.executable)')
    elif [[ -x .venv/bin/python ]]; then
        PYTHON=$ROOT/.venv/bin/python
    else
        fail "neither uv nor .venv is here: pip install uv"
    fi
}

# Ask the program for its settings, as flags, environment, .env and YAML make them: sets HOST, PORT, BUS and STORE.
read_settings() {
    local said
    said=$("$PYTHON" -m market_scraper config --json) || exit 2 # it has said why
    said=$("$PYTHON" -c '
import json, sys
value = {it["key"]: it["value"] for it in json.load(sys.stdin)}
bus = value["redis.url"]
print(value["api_host"], value["api_port"], bus if bus in (None, "auto") else "redis", value["storage.backend"])
' <<<"$said")
    read -r HOST PORT BUS STORE <<<"$said"
    case $HOST in
    0.0.0.0) HOST=127.0.0.1 ;;
    ::) HOST=::1 ;;
    esac
}

# Whether somebody listens where we would. Sets USER_OF_PORT as far as it can be found out.
port_is_taken() {
    ((PORT != 0)) && (exec 3<>"/dev/tcp/$HOST/$PORT") 2>/dev/null || return 1
    USER_OF_PORT='another program'
    if [[ $(ss -Hltnp "sport = :$PORT" 2>/dev/null) =~ \(\(\"([^\"]+)\",pid=([0-9]+) ]]; then
        USER_OF_PORT="${BASH_REMATCH[1]} (pid ${BASH_REMATCH[2]})"
    fi
}
