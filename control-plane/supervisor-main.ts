/**
 * The supervisor: one process a control plane, started by `startControlPlane`, that runs the static pods of all its hosts.
 * SIGTERM or SIGINT stops the pods, the API servers before etcd, and ends it. A second signal kills them.
 */
import { rmSync } from "node:fs";
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describeError } from "../core/errors";
import { type HostRunner, startHostRunner } from "./pods/host-runner";
import { processIdentity } from "./pods/process-identity";
import { runningPods } from "./running-pods";
import { readSettings } from "./settings";
import { apiServerHostNames, etcdHostName, stateLayout } from "./state-layout";
import { runningSupervisor, writeSupervisorRecord } from "./supervisor-record";

function log(event: string, fields: Readonly<Record<string, unknown>> = {}): void {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), event, ...fields })}\n`);
}

async function main(stateDirectory: string): Promise<void> {
  const layout = stateLayout(stateDirectory);
  const settings = await readSettings(layout);
  if (settings === undefined) throw new Error(`${layout.settingsFile} is missing`);
  const other = await runningSupervisor(layout);
  if (other !== undefined) throw new Error(`${stateDirectory} has a supervisor already: process ${other.pid}`);

  const stopping = new AbortController();
  const runners: { readonly host: string; readonly runner: HostRunner }[] = [];
  const onSignal = (signal: NodeJS.Signals): void => {
    log("signal", { signal });
    if (stopping.signal.aborted) for (const { runner } of runners) runner.kill();
    stopping.abort();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);

  const run = (host: string, ownHostName: boolean): void => {
    const { directory, manifestDirectory, statusFile, logDirectory } = layout.host(host);
    const runner = startHostRunner({
      host,
      directory,
      manifestDirectory,
      statusFile,
      logDirectory,
      ...(ownHostName && { utsHostName: host }),
      log: (event, fields) => log(event, { host, ...fields }),
    });
    runners.push({ host, runner });
  };

  run(etcdHostName, false);
  await writeSupervisorRecord(layout, {
    pid: process.pid,
    processIdentity: processIdentity(process.pid) ?? "",
    startedAt: new Date().toISOString(),
  });
  log("supervisor runs", { pid: process.pid });
  for (const [index, host] of apiServerHostNames(settings.hosts).entries()) {
    // A host whose pods run already, because a supervisor before this one was killed, is taken over at once.
    if (index > 0 && runningPods(layout, host).length === 0) await pause(settings.staggerSeconds, stopping.signal);
    if (stopping.signal.aborted) break;
    run(host, settings.utsNamespaces);
  }
  await aborted(stopping.signal);

  for (const isEtcd of [false, true]) {
    await Promise.all(
      runners.filter(({ host }) => (host === etcdHostName) === isEtcd).map(({ runner }) => runner.stop()),
    );
  }
  rmSync(layout.supervisorFile, { force: true });
  log("supervisor ends");
}

async function pause(seconds: number, signal: AbortSignal): Promise<void> {
  if (seconds > 0) await delay(seconds * 1000, undefined, { signal }).catch(() => undefined);
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) done();
    else signal.addEventListener("abort", () => done(), { once: true });
  });
}

main(resolve(process.argv[2] ?? ".")).then(
  () => process.exit(0),
  (thrown: unknown) => {
    log("supervisor fails", { error: describeError(thrown) });
    process.stderr.write(`${describeError(thrown)}\n`);
    process.exit(1);
  },
);
