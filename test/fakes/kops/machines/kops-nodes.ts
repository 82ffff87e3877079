/**
 * The machines of a kOps cluster whose EC2 is moto: a control-plane instance that comes up there boots a real API server here, with what
 * kOps' store says at that moment, and one that is terminated there ends. So `kops validate` and `kops rolling-update` run as they are, and a
 * machine that could not start in a real cluster does not join this one either.
 */
import { mkdirSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer, connect as dial, type Server, type Socket } from "node:net";
import { join as joinPath } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { MotoCloud } from "../moto-cloud";
import { bootMachine, type KopsMachine, type MachineKind } from "./kops-machine";
import { machineCredentials } from "./machine-credentials";
import { bootAuthorities, readNodeup } from "./machine-pods";
import {
  type AskCluster,
  apiServerPodOf,
  type Instance,
  join,
  leave,
  nodeNames,
  report,
  reportNode,
} from "./node-objects";
import { startWorker, type Worker } from "./worker";

export interface KopsNodes {
  /** Port on the loopback of what stands for the API's load balancer: to any API server that is ready. */
  readonly port: number;
  machines(): readonly KopsMachine[];
  ask: AskCluster;
  /** While `held`, no machine that comes up joins. */
  hold(held: boolean): void;
  /** While `spoilt`, no process begins on a machine that boots, nor later. */
  spoil(spoilt: boolean): void;
  /** Returns when every instance has joined, and no node is left of those that are gone. */
  settled(): Promise<void>;
  /** Who did not trust whom among workers and API servers; only where credentials are of kOps' own keysets. */
  readonly refusals: readonly string[];
  /** What happened, for the message of a failed assertion. */
  readonly log: readonly string[];
  stop(): Promise<void>;
}

/** Each look costs moto some CPU, which kops needs more. */
const tick = 1_000;
/** Bears a machine that is much slower than this one. */
const settleWithin = 300_000;

export async function startKopsNodes(
  cloud: Pick<MotoCloud, "instances" | "object" | "userData">,
  cluster: string,
  kind: MachineKind,
  directory: string,
): Promise<KopsNodes> {
  const machines = new Map<string, KopsMachine>();
  const ready = new Set<string>();
  const joined = new Set<string>();
  const reported = new Map<string, boolean>();
  const workers = new Map<string, Worker>();
  const refusals: string[] = [];
  /** A server that has just begun may refuse anybody for a moment: what is seen twice running counts. */
  const doubts = new Map<string, string>();
  const log: string[] = [];
  const stopping = new AbortController();
  let isHeld = false;
  let isSpoilt = false;
  const dark = new Set<string>();
  /** Looks that have begun, and the last one if it found everything settled; 0 if it did not. */
  let looks = 0;
  let settledAt = 0;
  let turn = 0;

  const say = (text: string) => {
    if (log.at(-1)?.endsWith(text) !== true) log.push(`${new Date().toISOString().slice(11, 23)} ${text}`);
  };
  const readyMachines = () => [...machines.values()].filter(({ id }) => ready.has(id));

  const ask: AskCluster = async (method, path, body, contentType) => {
    const [first, ...others] = readyMachines();
    if (first === undefined) throw new Error("no API server is ready");
    try {
      return await first.request(method, path, body, contentType);
    } catch (thrown) {
      const next = others[0];
      if (next === undefined) throw thrown;
      return next.request(method, path, body, contentType);
    }
  };

  async function boot(instance: Instance): Promise<void> {
    const path = `${cluster}/igconfig/control-plane/${instance.group}/nodeupconfig.yaml`;
    const nodeup = await cloud.object(path);
    if (nodeup === undefined) return; // not written yet
    const stored = await cloud.object(`${cluster}/secrets/encryptionconfig`);
    const secret =
      stored === undefined
        ? undefined
        : Buffer.from((JSON.parse(stored) as { Data: string }).Data, "base64").toString("utf8");
    const own = joinPath(directory, instance.id);
    mkdirSync(own, { recursive: true });
    const place = { ...instance, directory: own };
    const config = readNodeup(nodeup);
    const credentials = kind.authority && (await machineCredentials(kind.authority, config, place, kind));
    machines.set(instance.id, bootMachine({ ...kind, ...credentials }, place, config, secret));
    say(`${instance.id} boots at ${instance.address}`);
  }

  async function look(): Promise<void> {
    const own = (looks += 1);
    const instances = (await cloud.instances()).filter((instance) => instance.cluster === cluster);
    for (const [id, machine] of machines) {
      if (instances.some((instance) => instance.id === id)) continue;
      ready.delete(id);
      machines.delete(id);
      await machine.terminate();
      say(`${id} is terminated`);
    }
    for (const instance of instances) {
      if (!instance.isControlPlane || machines.has(instance.id) || dark.has(instance.id)) continue;
      if (isSpoilt) {
        dark.add(instance.id);
        say(`${instance.id} boots, and stays dark`);
      } else await boot(instance);
    }
    await Promise.all(
      [...machines.values()].map(async (machine) => {
        if (await machine.isReady()) ready.add(machine.id);
        else ready.delete(machine.id);
      }),
    );
    if (ready.size === 0) {
      settledAt = 0;
      return;
    }
    const nodes = await nodeNames(ask);
    for (const node of nodes) {
      if (instances.some(({ id }) => id === node)) continue;
      await leave(ask, node);
      joined.delete(node);
    }
    let missing = nodes.some((node) => !instances.some(({ id }) => id === node));
    for (const id of workers.keys()) if (!instances.some((instance) => instance.id === id)) workers.delete(id);
    for (const instance of instances) {
      const machine = machines.get(instance.id);
      if (!nodes.includes(instance.id)) {
        missing = true;
        if (isHeld || !(await (instance.isControlPlane ? isWhole(machine) : isAtWork(instance)))) continue;
        await join(ask, instance, machine);
        joined.add(instance.id);
        say(`${instance.id} has joined`);
      } else if (machine !== undefined) await probe(instance, machine);
      else await meet(instance);
    }
    settledAt = !missing && ready.size === machines.size ? own : 0;
  }

  async function isWhole(machine: KopsMachine | undefined): Promise<boolean> {
    if (machine === undefined || !ready.has(machine.id)) return false;
    return (await Promise.all(machine.pods.map((pod) => machine.isPodReady(pod)))).every(Boolean);
  }

  /** Whether a worker has got its credentials, where they are of kOps. */
  async function isAtWork({ id, group }: Instance): Promise<boolean> {
    const { authority, tls } = kind;
    if (authority === undefined || workers.has(id)) return true;
    const nodeup = await cloud.object(`${cluster}/igconfig/node/${group}/nodeupconfig.yaml`);
    if (nodeup === undefined) return false;
    try {
      const ca = bootAuthorities(await cloud.userData(id));
      const boot = { id, nodeup: readNodeup(nodeup), ca, servername: tls.servername };
      workers.set(id, await startWorker(authority, boot, readyMachines()));
      return true;
    } catch (thrown) {
      say(`${id} gets no credentials: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      return false;
    }
  }

  /** The load balancer may send it to any API server. */
  async function meet({ id }: Instance): Promise<void> {
    const worker = workers.get(id);
    if (worker === undefined) return;
    const found = await Promise.all(readyMachines().map((server) => worker.refusal(server)));
    const why = found.find((refusal) => refusal !== undefined);
    const before = doubts.get(id);
    if (why === undefined) doubts.delete(id);
    else doubts.set(id, why);
    if (why !== before) return;
    if (why !== undefined && !refusals.includes(why)) refusals.push(why);
    const key = `the node ${id}`;
    if ((reported.get(key) ?? true) === (why === undefined)) return;
    await reportNode(ask, id, why);
    reported.set(key, why === undefined);
    say(why ?? `${key} is well again`);
  }

  /** Readiness of what runs on the machine, as its kubelet would tell when it changes. */
  async function probe(instance: Instance, machine: KopsMachine): Promise<void> {
    const found = await Promise.all(machine.pods.map(async (pod) => ({ pod, isReady: await machine.isPodReady(pod) })));
    for (const { pod, isReady } of [{ pod: apiServerPodOf(), isReady: ready.has(machine.id) }, ...found]) {
      const key = `${pod.name} of ${machine.id}`;
      if ((reported.get(key) ?? true) === isReady) continue;
      await report(ask, instance, pod, isReady);
      reported.set(key, isReady);
      say(`${key} is ${isReady ? "ready" : "not ready"}`);
    }
  }

  async function watch(): Promise<void> {
    while (!stopping.signal.aborted) {
      // The API servers or moto may be away for a moment: look again.
      await look().catch((thrown: unknown) => {
        settledAt = 0;
        say(thrown instanceof Error ? thrown.message : String(thrown));
      });
      await sleep(tick, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  const open = new Set<Socket>();
  const door = createServer((socket) => {
    const candidates = readyMachines();
    const machine = candidates[(turn += 1) % Math.max(1, candidates.length)];
    if (machine === undefined) {
      socket.destroy();
      return;
    }
    const other = dial(machine.port, machine.address);
    for (const [one, two] of [
      [socket, other],
      [other, socket],
    ] as const) {
      open.add(one);
      one
        .on("error", () => two.destroy())
        .on("close", () => {
          open.delete(one);
          two.destroy();
        });
    }
    socket.pipe(other).pipe(socket);
  });
  await new Promise<void>((resolve) => door.listen(0, "127.0.0.1", resolve));
  const watching = watch();

  return {
    port: portOf(door),
    machines: () => [...machines.values()],
    ask,
    hold: (held) => (isHeld = held),
    spoil: (spoilt) => (isSpoilt = spoilt),
    refusals,
    async settled() {
      // The look that is under way may have begun before what is waited for.
      const before = looks;
      const until = Date.now() + settleWithin;
      while (settledAt <= before) {
        if (Date.now() > until) throw new Error(`the machines did not settle:\n${log.slice(-40).join("\n")}`);
        await sleep(tick);
      }
    },
    log,
    async stop() {
      stopping.abort();
      await watching;
      for (const socket of open) socket.destroy();
      await Promise.all([
        new Promise((resolve) => door.close(resolve)),
        ...[...machines.values()].map((machine) => machine.terminate()),
      ]);
    },
  };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
