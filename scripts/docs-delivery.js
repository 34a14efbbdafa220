/**
 * `npm run docs:delivery`: runs every block of docs/running-delivery.md as it stands, in order, as root on a Debian that has no
 * Conclave yet; takes what it made away again. Where systemd doesn't run, a stand-in carries out what the units say.
 */

import { spawn } from "node:child_process";
import { access, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PAGE = join(ROOT, "docs/running-delivery.md");
const NAME = "delivery.example.org";

/** What the page makes: a machine that has any of it is somebody's. */
const MADE = [
  "/opt/conclave",
  "/etc/conclave",
  "/var/lib/conclave",
  "/usr/local/bin/conclave-delivery",
  "/etc/systemd/system/conclave-delivery@.service",
  "/etc/nginx/conf.d/conclave-delivery.conf",
  "/etc/nginx/delivery-cert.pem",
  "/etc/nginx/delivery-key.pem",
  "/var/lib/postgresql/archive",
  "/var/lib/postgresql/base",
  "/var/lib/conclave-backup",
  "/usr/local/bin/conclave-delivery-backup",
  "/etc/systemd/system/conclave-delivery.service",
  "/etc/systemd/system/conclave-delivery-backup.service",
  "/etc/systemd/system/conclave-delivery-backup.timer",
  "/usr/local/bin/conclave-delivery-dump",
  "/etc/systemd/system/conclave-delivery-dump.service",
  "/etc/systemd/system/conclave-delivery-dump.timer",
];

/** start, stop, restart, enable --now and disable --now, by what the unit files say; of a timer only whether it is there. */
const STAND_IN = `#!/bin/bash
set -euo pipefail
state=$UNITS_FOLDER
verb=$1; shift
say() { sed -n "s/^$2=//p" "$1"; }
file_of() {
  local name=\${1%.service}
  local template=\${name/@*/@}
  for folder in /etc/systemd/system /lib/systemd/system; do
    [ -f "$folder/$template.service" ] && { echo "$folder/$template.service"; return; }
  done
  echo "no unit $1" >&2; exit 1
}
start() {
  local name=\${1%.service}
  [[ "$name" == *.timer ]] && { [ -f "/etc/systemd/system/$name" ]; return; }
  [ "$name" = postgresql ] && { pg_ctlcluster 15 main start; return; }
  local file; file=$(file_of "$name")
  local copy="$state/$name.unit"
  local instance=""; [[ "$name" == *@* ]] && instance=\${name#*@}
  sed "s/%i/$instance/g" "$file" > "$copy"
  local user; user=$(say "$copy" User)
  local run=()
  [ -n "$user" ] && run+=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --init-groups --no-new-privs)
  [ -n "$(say "$copy" AmbientCapabilities)" ] && run+=(--inh-caps +net_bind_service --ambient-caps +net_bind_service)
  local home=/root; [ -n "$user" ] && home=$(getent passwd "$user" | cut -d: -f6)
  local folder
  for folder in $(say "$copy" StateDirectory); do install -d -m 0755 -o "$user" "/var/lib/$folder"; done
  local environment=(); mapfile -t environment < <(say "$copy" Environment)
  local command; command=$(say "$copy" ExecStart)
  if [ "$(say "$copy" Type)" = forking ]; then eval "$command"; return; fi
  if [ "$(say "$copy" Type)" = oneshot ]; then
    eval "env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=$home \${environment[*]@Q} \${run[*]} $command" 9>&-
    return
  fi
  eval "exec env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=$home \${environment[*]@Q} \${run[*]} $command" > "$state/$name.log" 2>&1 9>&- &
  echo $! > "$state/$name.pid"
}
stop() {
  local name=\${1%.service}
  [[ "$name" == *.timer ]] && return
  [ "$name" = postgresql ] && { pg_ctlcluster 15 main stop --mode fast || true; return; }
  local file; file=$(file_of "$name")
  local command; command=$(say "$file" ExecStop)
  [ -n "$command" ] && { eval "\${command#-}" || true; }
  local pid; pid=$(cat "$state/$name.pid" 2>/dev/null || true)
  [ -z "$pid" ] && return
  kill -TERM "$pid" 2>/dev/null || true
  for _ in $(seq 300); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -KILL "$pid" 2>/dev/null && echo "$name had to be killed" >&2
  rm -f "$state/$name.pid"
}
[ "$verb" = daemon-reload ] && exit 0
[ "$1" = --now ] && shift
for name in "$@"; do
  case $verb in
    start|enable) start "$name" ;;
    stop|disable) stop "$name" ;;
    restart) stop "$name"; start "$name" ;;
    *) echo "this stand-in can't $verb" >&2; exit 1 ;;
  esac
done
`;

const exists = (path) =>
  access(path).then(
    () => true,
    () => false,
  );

/** Fulfils with the exit code. */
function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit"], ...options });
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

async function must(command, args, options) {
  const code = await run(command, args, options);
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
}

async function main() {
  const isDebian = await exists("/etc/debian_version");
  if (!isDebian || process.getuid?.() !== 0) {
    throw new Error(
      "the page is for root on a Debian, and changes that system: run it in a container of its own",
    );
  }
  for (const path of MADE) {
    if (await exists(path)) throw new Error(`${path} is there already: this machine is somebody's`);
  }
  const blocks = [...(await readFile(PAGE, "utf8")).matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(
    ([, block = ""]) => block,
  );
  const folder = await mkdtemp(join(tmpdir(), "docs-delivery-"));
  const hasSystemd = await exists("/run/systemd/system");
  const hosts = await readFile("/etc/hosts", "utf8");
  const caddyfile = await readFile("/etc/caddy/Caddyfile", "utf8").catch(() => undefined);
  const env = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: "/root",
    UNITS_FOLDER: folder,
    DEBIAN_FRONTEND: "noninteractive",
  };
  try {
    await must("git", ["clone", "--quiet", ROOT, "/opt/conclave"]);
    await writeFile("/etc/hosts", `${hosts}127.0.0.1 ${NAME}\n`);
    if (!hasSystemd) {
      await writeFile(join(folder, "systemctl"), STAND_IN, { mode: 0o755 });
      env.PATH = `${folder}:${env.PATH}`;
    }
    // One shell for all of them, as a person has; each command is shown before it runs.
    const script = blocks.map((block, i) => `echo "# block ${i + 1}" >&2\n${block}`).join("\n");
    await writeFile(join(folder, "page.sh"), `set -euo pipefail\nset -v\n${script}`);
    const { UNITS_FOLDER, ...rest } = env;
    const wrapped = hasSystemd ? rest : { ...rest, UNITS_FOLDER };
    await must("bash", [join(folder, "page.sh")], { env: wrapped, cwd: folder });
    console.log(`\nAll ${blocks.length} blocks of the page ran as they stand.`);
  } catch (error) {
    for (const unit of [
      "conclave-delivery",
      "conclave-delivery@8441",
      "conclave-delivery@8442",
      "caddy",
    ]) {
      const log = await readFile(join(folder, `${unit}.log`), "utf8").catch(() => "");
      console.error(`${unit}:\n${log.split("\n").slice(-12).join("\n")}`);
    }
    throw error;
  } finally {
    console.log("Taking it away …");
    const units = [
      "conclave-delivery-backup.timer",
      "conclave-delivery-dump.timer",
      "conclave-delivery",
      "conclave-delivery@8441",
      "conclave-delivery@8442",
      "caddy",
      "nginx",
    ];
    for (const unit of units) await run("systemctl", ["stop", unit], { env, stdio: "ignore" });
    const psql = 'psql --quiet --command "ALTER SYSTEM RESET ALL"';
    // Restarted, so that what was configured is undone and nobody is connected.
    await run("systemctl", ["start", "postgresql"], { env, stdio: "ignore" });
    for (const command of [
      psql,
      "dropdb --if-exists --force conclave",
      "dropdb --if-exists --force conclave_before",
      "dropuser --if-exists conclave",
    ]) {
      await run("su", ["postgres", "-c", command], { env, stdio: "ignore", cwd: "/" });
    }
    await run("systemctl", ["stop", "postgresql"], { env, stdio: "ignore" });
    await run("deluser", ["--system", "conclave"], { stdio: "ignore" });
    for (const path of MADE) await rm(path, { recursive: true, force: true });
    await writeFile("/etc/hosts", hosts);
    if (caddyfile !== undefined) await writeFile("/etc/caddy/Caddyfile", caddyfile);
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  console.error(`docs:delivery: ${error.message}`);
  process.exitCode = 1;
}
