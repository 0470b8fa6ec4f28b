#!/usr/bin/env bash
# Far ends of the operators' tests that no wheel brings: a browser, RabbitMQ, PgBouncer, Prometheus' and Compose's
# checkers. On Debian and Ubuntu, as root; without them the tests concerned are skipped and say what is missing.
set -euo pipefail
declare -A packages=(
    [chromium]=chromium [rabbitmq-server]=rabbitmq-server [pgbouncer]=pgbouncer [promtool]=prometheus
    [docker-compose]=docker-compose
)
missing=()
for program in "${!packages[@]}"; do
    PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null || missing+=("${packages[$program]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed, the tests that need them are skipped: ${missing[*]}" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# Programs that tests start themselves; as services they would take the ports.
echo 'exit 101' > /usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
trap 'rm -f /usr/sbin/policy-rc.d' EXIT
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
