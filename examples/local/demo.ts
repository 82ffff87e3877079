/**
 * `npm start`: the whole product on this machine, on real parts. A control plane of three API servers, 1,000 Secrets in
 * plaintext, `pulumi up` to encrypt them, `pulumi up` to rotate the key while clients read and write, and the evidence.
 * It goes on from any state that an earlier run, ended or killed, has left.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { startTraffic } from "../../control-plane/client-traffic";
import { statusControlPlane } from "../../control-plane/control-plane-status";
import { startControlPlane } from "../../control-plane/start-control-plane";
import { describeError } from "../../core/errors";
import { findTool } from "../../tools/find-tool";
import { isLockAbandoned } from "./abandoned-lock";
import { createSecrets } from "./plaintext-secrets";
import { pulumiEnvironment, session, stackName } from "./session";
import { stageTimes } from "./stage-times";
import { type StoredSecrets, storedSecrets } from "./stored-secrets";

const secretCount = 1_000;
const startedAt = Date.now();

async function main(): Promise<void> {
  title("1  Tools: kube-apiserver, etcd and the Pulumi CLI");
  for (const name of ["etcd", "kube-apiserver"] as const) say(await describeTool(name));
  const pulumiCli = await findTool("pulumi", { report: say });
  say(`pulumi ${pulumiCli.version} (${pulumiCli.origin}) ${pulumiCli.path}`);

  title("2  A control plane of three API servers and one etcd, on this machine");
  const controlPlane = await startControlPlane({
    stateDirectory: session.controlPlane,
    report: say,
    staggerSeconds: 5,
  });
  for (const host of controlPlane.hosts)
    say(`${host.name} ${host.apiServerUrl} Kubernetes ${controlPlane.kubernetesVersion}`);

  title(`3  ${secretCount} Secrets`);
  const created = await createSecrets(controlPlane, secretCount, (done) => say(`${done} of ${secretCount}`));
  say(`${created} created, ${secretCount - created} were there already`);
  showStored(await storedSecrets(controlPlane));

  const pulumi = await pulumiProject(pulumiCli.path);
  const before = await pulumi.keyVersion();
  title(`4  pulumi up: encrypt with key version ${before}`);
  await pulumi.run(["up", "--yes", "--skip-preview"]);
  showStored(await storedSecrets(controlPlane));

  const next = before + 1;
  title(`5  keyVersion: ${before} -> ${next}, as pulumi preview shows it`);
  await pulumi.run(["config", "set", "keyVersion", String(next)]);
  // Set where somebody has rolled back: the newest declared version must not stay behind the one that encrypts.
  const newest = await pulumi.quiet(["config", "get", "newestKeyVersion"]);
  if (newest !== undefined && Number(newest) < next)
    await pulumi.run(["config", "set", "newestKeyVersion", String(next)]);
  await pulumi.run(["preview", "--diff"]);

  title(`6  pulumi up: rotate to key version ${next}, while clients read and write through all three servers`);
  const processesBefore = await apiServerProcesses();
  const traffic = startTraffic(controlPlane);
  const rotationStarted = Date.now();
  try {
    await pulumi.run(["up", "--yes", "--skip-preview"]);
  } finally {
    const { requests, failures, slowest } = await traffic.stop();
    title("7  The evidence");
    say(`rotation took ${seconds(Date.now() - rotationStarted)}; API servers look at their file once a minute`);
    say(`client requests meanwhile: ${requests}, failed: ${failures.length}, slowest: ${slowest} ms`);
    for (const failure of failures.slice(0, 10)) say(`  ${failure}`);
    if (failures.length > 0) process.exitCode = 1;
  }
  const processesAfter = await apiServerProcesses();
  const restarts = [...processesAfter].filter(([host, process]) => processesBefore.get(host) !== process).length;
  say(`restarts of API servers: ${restarts}`);
  if (restarts > 0) process.exitCode = 1;
  const after = await storedSecrets(controlPlane);
  showStored(after);
  const expected = [...after.perPrefix.keys()].every((prefix) => prefix.startsWith("k8s:enc:kms:v2:"));
  if (after.perPrefix.size !== 1 || !expected) process.exitCode = 1;
  const exported = await pulumi.quiet(["stack", "export"]);
  if (exported !== undefined) for (const line of stageTimes(exported)) say(line);
  await pulumi.run(["stack", "output", "--json"]);
  showNextSteps(pulumiCli.path, next);
}

async function describeTool(name: "etcd" | "kube-apiserver"): Promise<string> {
  const tool = await findTool(name, { report: say });
  return `${name} ${tool.version} (${tool.origin}) ${tool.path}`;
}

/** Which process each API server is: a restart, asked for or not, gives another. */
async function apiServerProcesses(): Promise<ReadonlyMap<string, string>> {
  const { hosts } = await statusControlPlane(session.controlPlane);
  return new Map(
    hosts.flatMap(({ host, pods }) =>
      pods.filter((pod) => pod.name === "kube-apiserver").map((pod) => [host, pod.startedAt ?? "not running"] as const),
    ),
  );
}

async function pulumiProject(path: string) {
  await mkdir(session.pulumiBackend, { recursive: true });
  // The CLI finds its language host beside itself, through PATH.
  const env = { ...process.env, ...pulumiEnvironment(), PATH: `${dirname(path)}:${process.env["PATH"] ?? ""}` };
  const call = (args: readonly string[], output: "inherit" | "pipe") =>
    new Promise<{ code: number; text: string }>((resolve, reject) => {
      const child: ChildProcess = spawn(path, [...args, "--non-interactive", "--cwd", session.project], {
        env,
        stdio: ["ignore", output, output === "pipe" ? "ignore" : "inherit"],
      });
      let text = "";
      child.stdout?.on("data", (chunk: Buffer) => (text += chunk.toString()));
      child.once("error", reject);
      child.once("exit", (code) => resolve({ code: code ?? 1, text }));
    });
  const run = async (args: readonly string[]): Promise<void> => {
    say(`$ pulumi ${args.join(" ")}`);
    const { code } = await call(args, "inherit");
    if (code !== 0) throw new Error(`pulumi ${args.join(" ")} ended with exit code ${code}`);
  };
  const quiet = async (args: readonly string[]): Promise<string | undefined> => {
    const { code, text } = await call(args, "pipe");
    return code === 0 ? text.trim() : undefined;
  };
  if ((await quiet(["stack", "select", stackName])) === undefined) await run(["stack", "init", stackName]);
  if (isLockAbandoned(session.pulumiBackend)) await quiet(["cancel", "--yes", stackName]);
  await run(["config", "set", "controlPlaneFile", session.controlPlaneFile]);
  await run(["config", "set", "keyDirectory", session.keys]);
  return {
    run,
    quiet,
    /** The version that the stack is configured for; 1 at first. */
    async keyVersion(): Promise<number> {
      const configured = await quiet(["config", "get", "keyVersion"]);
      if (configured !== undefined) return Number(configured);
      await run(["config", "set", "keyVersion", "1"]);
      return 1;
    },
  };
}

function showStored({ total, perPrefix, sample }: StoredSecrets): void {
  say(`etcd holds ${total} Secrets:`);
  for (const [prefix, count] of perPrefix) say(`  ${String(count).padStart(6)}  ${prefix}`);
  if (sample !== undefined) say(`  for example ${sample.key}: ${sample.start}`);
}

function showNextSteps(pulumi: string, version: number): void {
  title(`Done in ${seconds(Date.now() - startedAt)}. What to try next`);
  const environment = Object.entries(pulumiEnvironment())
    .map(([name, value]) => `${name}='${value}'`)
    .join(" ");
  say(`The control plane is still up. For your own pulumi calls in this folder:`);
  say(`  export PATH="${dirname(pulumi)}:$PATH" ${environment}`);
  say(`  pulumi config set keyVersion ${version + 1} && pulumi preview --diff      the next rotation's plan`);
  say(`  pulumi up                                                      carry it out; ^C and up again goes on`);
  say(
    `  pulumi config set keyVersion ${version - 1} && pulumi config set newestKeyVersion ${version} && pulumi up    roll back`,
  );
  say(`  npm run control-plane -- status --state ${session.controlPlane}`);
  say(`  npm start                                                      the same again, one version further`);
  say(`  npm run stop                                                   stop and remove all of it`);
}

function title(text: string): void {
  process.stdout.write(`\n=== ${text} (${seconds(Date.now() - startedAt)})\n`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function seconds(milliseconds: number): string {
  return `${Math.round(milliseconds / 1_000)} s`;
}

main().catch((thrown: unknown) => {
  process.stderr.write(
    `error: ${describeError(thrown)}\nnpm start goes on from here; npm run stop removes everything\n`,
  );
  process.exitCode = 1;
});
