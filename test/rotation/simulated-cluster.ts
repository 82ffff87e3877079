/* eslint-disable max-lines -- everything in here shares one clock and one set of hosts, and checks them at every change */
/**
 * A cluster in memory and virtual time, for model tests of the engine: hosts with files, API servers that load them once a
 * minute or at start, plugins, stored objects, clients that write all the time, and faults. It checks the invariants of
 * design.md itself, at every change, and throws InvariantBroken; it shares no code with the engine's rules.
 */
import { type EncryptionConfiguration, readersOf, writerOf } from "../../core/encryption-configuration";
import { KmsEtcdError } from "../../core/errors";
import { possibleKeyIds } from "../../core/key-ids";
import type { Clock } from "../../rotation/clock";
import type { ConfigWrite, RewriteTarget } from "../../rotation/decision";
import type { Fleet, FleetObservation } from "../../rotation/fleet";
import type {
  CrosswiseProof,
  EtcdMember,
  ObjectFailure,
  ReadThroughProof,
  ServerState,
  StoredProof,
} from "../../rotation/observation";
import type { RewriteResult, StoredObjects } from "../../rotation/stored-objects";
import { itemsOf, nameFor, providersFor, refusalBy } from "./simulated-api-server";
import {
  configHash,
  fallbackOf,
  joinedHost,
  keepRecord,
  presentHash,
  type SimulatedHost,
  type StoredObject,
  wellHost,
} from "./simulated-host";
import { simulateKms } from "./simulated-kms";
import { answers, simulatePlugins } from "./simulated-plugins";

export class InvariantBroken extends Error {}
/** Thrown by the simulator where a test kills the engine. */
export class Killed extends Error {}

export interface SimulationOptions {
  readonly hosts: number;
  readonly reload: "hot" | "restart";
  readonly objects: number;
  readonly random: () => number;
  readonly start?: EncryptionConfiguration;
  /** Kinds of objects, `objects` of each. Default: secrets alone. */
  readonly resources?: readonly string[];
  /** Clients write between any two steps. Default true. */
  readonly clients?: boolean;
}

export const plaintextStart: EncryptionConfiguration = {
  blocks: [{ resources: ["secrets"], providers: [{ kind: "identity" }] }],
};

export type SimulatedCluster = ReturnType<typeof simulateCluster>;

const requestTimeout = 15_000;

export function simulateCluster(options: SimulationOptions) {
  const { random } = options;
  let now = 1_000_000;
  let version = 1;
  const { start = plaintextStart, resources = ["secrets"] } = options;
  const objects = new Map<string, StoredObject>();
  const inFlight: { through: string; at: number; name: string; provider: string; keyId: string | undefined }[] = [];
  const unlisted: string[] = [];
  /** What was read through which server, in the state it had then. */
  const readThrough = new Map<string, string>();
  const faults = {
    measureFails: false,
    killAfter: Number.POSITIVE_INFINITY,
    rejectedObject: undefined as string | undefined,
    wrongKeyOn: undefined as string | undefined,
    etcdMembers: undefined as readonly EtcdMember[] | undefined,
    /** How many of the engine's next effects lose their connection: half of them before they are done, half of them after. */
    cuts: 0,
    /** The image that is wanted for plugins; see simulated-plugins.ts. */
    image: "first",
    /** Something that happens to the cluster once the engine has had so many effects: right after one, or after a look. */
    strike: undefined as { readonly after: number; readonly work: () => void; readonly onLook?: boolean } | undefined,
  };
  /** Objects that a restored backup brought: nobody could read them, and the engine is asked to change that. */
  const restored = new Set<string>();
  const log: string[] = [];
  let effects = 0;
  let restarts = 0;
  let raftIndex = 1;
  /** Whether the engine has looked since etcd was restored: from then on it can know. */
  let looked = true;

  const hosts = Array.from({ length: options.hosts }, (_, index) =>
    wellHost(`cp${index + 1}`, options.reload, start, now, now + Math.floor(random() * 60_000)),
  );
  for (const resource of resources) {
    for (let index = 0; index < options.objects; index += 1) {
      const provider = writerOf(listFor(start, resource));
      objects.set(nameOf(resource, index), { resource, provider, keyId: undefined, version: (version += 1) });
    }
  }

  function nameOf(resource: string, index: number): string {
    return resource === "secrets" ? `s${index}` : `${resource}/${index}`;
  }
  function listFor(config: EncryptionConfiguration, resource = "secrets") {
    return providersFor(config, resource);
  }
  /** What a configuration reads, each provider with the resource that it reads. */
  function readersIn(config: EncryptionConfiguration): ReadonlySet<string> {
    return new Set(
      resources.flatMap((resource) => [...readersOf(listFor(config, resource))].map((id) => `${resource} ${id}`)),
    );
  }
  const up = (host: SimulatedHost) => now >= host.downUntil;
  const writer = (host: SimulatedHost, resource: string) => writerOf(listFor(host.loaded, resource));
  const pluginOf = (host: SimulatedHost, provider: string) => {
    const item = itemsOf(host.loaded).find(
      (candidate) => candidate.kind === "kms" && `kms/${candidate.apiVersion}/${candidate.name}` === provider,
    );
    if (item?.kind !== "kms") return undefined;
    const name = /([^/]+)\.socket$/.exec(item.endpoint)?.[1] ?? "";
    return host.plugins.get(name);
  };

  const kms = simulateKms({ hosts, now: () => now, pluginOf, answers });

  const plugins = simulatePlugins({ hosts, now: () => now, wantedImage: () => faults.image, log, broken });

  function broken(rule: string): never {
    throw new InvariantBroken(`${rule}\n${log.slice(-25).join("\n")}`);
  }
  function host(name: string): SimulatedHost {
    const found = hosts.find((candidate) => candidate.name === name);
    if (found === undefined) throw new Error(`no host ${name}`);
    return found;
  }

  /** Invariants 1 and 2: what any server writes, and what is stored, every server can read, in what each has loaded. */
  function checkReadable(why: string): void {
    for (const reading of hosts) {
      const readers = readersIn(reading.loaded);
      for (const writing of hosts) {
        for (const resource of resources) {
          const id = writer(writing, resource);
          if (!readers.has(`${resource} ${id}`))
            broken(
              `invariant 1: ${writing.name} writes ${resource} with ${id}, ${reading.name} cannot read it (${why})`,
            );
        }
      }
      for (const [name, object] of objects) {
        if (restored.has(name)) continue;
        if (!readers.has(`${object.resource} ${object.provider}`))
          broken(`invariant 2: ${reading.name} cannot read ${name}, stored with ${object.provider} (${why})`);
      }
    }
  }

  function store(name: string, provider: string, keyId: string | undefined, why: string): void {
    const resource = resourceOf(name);
    objects.set(name, { resource, provider, keyId, version: (version += 1) });
    raftIndex += 1;
    for (const reading of hosts) {
      if (!readersOf(listFor(reading.loaded, resource)).has(provider))
        broken(`nothing is lost: ${name} was written with ${provider}, ${reading.name} cannot read it (${why})`);
      const plugin = pluginOf(reading, provider);
      const expected = keyId;
      const decrypts = [plugin?.material, ...(plugin?.former ?? [])];
      if (plugin !== undefined && expected !== undefined && !decrypts.includes(expected)) {
        broken(
          `invariant 1: ${name} was encrypted with ${expected}, the plugin of ${reading.name} holds ${plugin.material}`,
        );
      }
    }
  }

  const readable = (reading: SimulatedHost, object: StoredObject) =>
    readersOf(listFor(reading.loaded, object.resource)).has(object.provider);

  function resourceOf(name: string): string {
    return name.includes("/") ? name.slice(0, name.indexOf("/")) : "secrets";
  }

  /** An old etcd backup comes back with objects of a provider that the configurations have let go. */
  function restore(name: string, provider: string, keyId: string | undefined): void {
    objects.set(name, { resource: resourceOf(name), provider, keyId, version: (version += 1) });
    restored.add(name);
    raftIndex = 1;
    looked = false;
  }

  /** A snapshot of everything stored, and its restore, after which etcd's log begins anew while its revision goes on. */
  function snapshot(): () => void {
    const kept = [...objects].map(([name, object]) => [name, { ...object }] as const);
    return () => {
      log.push(`${now} an old snapshot is restored`);
      inFlight.splice(0);
      objects.clear();
      for (const [name, object] of kept) restore(name, object.provider, object.keyId);
    };
  }

  /** A server that joins as a platform makes one: with the files and plugins of another one. */
  function join(): void {
    const [like] = hosts;
    if (like === undefined) return;
    hosts.push(joinedHost(like, `cp${hosts.length + 1}`, now));
  }

  /** Why /readyz says no: a plugin is away, or informers cannot list what nobody can decrypt. */
  function notReady(target: SimulatedHost): string | undefined {
    const away = itemsOf(target.loaded).some(
      (item) => item.kind === "kms" && !answers(pluginOf(target, writerOf([item]))),
    );
    if (away) return "kms-providers";
    return [...objects.values()].every((object) => readable(target, object)) ? undefined : "informer-sync";
  }

  /** Invariant 10: one server lets go first; the others follow when everything was read through one that has. */
  function checkPrune(target: SimulatedHost, next: EncryptionConfiguration): void {
    const wanted = readersIn(next);
    const present = readersIn(target.config);
    for (const [name, { resource, provider }] of objects) {
      const id = `${resource} ${provider}`;
      if (looked && target.garbage === undefined && present.has(id) && !wanted.has(id))
        broken(`invariant 2: ${target.name} lets go of ${provider}, which ${name} needs since a restore`);
    }
    if ([...present].every((id) => wanted.has(id))) return;
    const letsGo = (config: EncryptionConfiguration) => [...readersIn(config)].every((id) => wanted.has(id));
    const others = hosts.filter((other) => other !== target);
    const done = others.filter((other) => letsGo(other.config));
    // By what is loaded: a file that somebody has changed since does not undo what was read.
    const read = others.some(({ name, loaded }) => letsGo(loaded) && readThrough.get(name) === configHash(loaded));
    if (done.length > 0 && !read)
      broken(`invariant 10: ${target.name} lets go before anything was read through ${done[0]?.name ?? ""}`);
  }

  function load(target: SimulatedHost, why: string): void {
    target.loaded = target.config;
    target.loadedSince = now;
    kms.askPlugins(target);
    log.push(
      `${now} ${target.name} loads [${listFor(target.loaded)
        .map((item) => writerOf([item]))
        .join(", ")}] (${why})`,
    );
    checkReadable(`${target.name} loaded`);
  }

  /** Lets time pass: polls, restarts, clients. */
  function advance(milliseconds: number): void {
    const end = now + milliseconds;
    while (now < end) {
      now = Math.min(end, now + 1_000);
      for (const target of hosts) {
        plugins.restart(target);
        if (target.downUntil !== Number.POSITIVE_INFINITY && target.downUntil !== 0 && now >= target.downUntil) {
          target.downUntil = 0;
          target.processStartedAt = now;
          endRequests(target);
          target.restartRequestedAt = undefined;
          if (target.garbage !== undefined) target.downUntil = now + 5_000;
          else if (!refuses(target) || configHash(target.config) === configHash(target.loaded))
            load(target, "process start");
          else target.downUntil = now + 5_000;
        }
        if (up(target) && now >= target.nextStatus) kms.askPlugins(target);
        if (up(target) && target.reload === "hot" && now >= target.nextPoll) {
          target.nextPoll = now + 60_000;
          if (target.garbage !== undefined) target.failures += 1;
          else if (configHash(target.config) !== configHash(target.loaded)) {
            const pluginsAnswer = itemsOf(target.config).every((item) => {
              if (item.kind !== "kms") return true;
              return answers(target.plugins.get(/([^/]+)\.socket$/.exec(item.endpoint)?.[1] ?? ""));
            });
            if (refuses(target) || !pluginsAnswer) target.failures += 1;
            else load(target, "poll");
          }
        }
      }
      clientWrites();
    }
  }

  function refuses(target: SimulatedHost): boolean {
    return target.refusesToLoad || refusalBy(target.config, target.reload) !== undefined;
  }

  /** A process that ends takes its requests with it. */
  function endRequests({ name }: SimulatedHost): void {
    inFlight.splice(0, inFlight.length, ...inFlight.filter((write) => write.through !== name));
  }

  function clientWrites(): void {
    for (let index = inFlight.length - 1; index >= 0; index -= 1) {
      const write = inFlight[index];
      if (write === undefined || write.at > now) continue;
      inFlight.splice(index, 1);
      if (objects.has(write.name)) store(write.name, write.provider, write.keyId, "a request from before");
    }
    if (options.clients === false || random() < 0.5) return;
    const through = hosts[Math.floor(random() * hosts.length)];
    if (through === undefined || !up(through)) return;
    const index = Math.floor(random() * options.objects * resources.length);
    const resource = resources[Math.floor(index / options.objects)] ?? "secrets";
    const name = nameOf(resource, index % options.objects);
    const present = objects.get(name);
    const provider = writer(through, resource);
    if (present !== undefined && !readable(through, present)) return; // an update reads first
    if (through.reload === "hot" && random() < 0.3) {
      // A request that has encrypted its object and stores it later, but within the request timeout.
      inFlight.push({
        through: through.name,
        at: now + Math.floor(random() * (requestTimeout - 1_000)),
        name,
        provider,
        keyId: kms.keyIdFor(through, provider),
      });
    } else store(name, provider, kms.keyIdFor(through, provider), `client through ${through.name}`);
  }

  /** Right after an effect, or right after a look. */
  function strikeIfDue(): void {
    const { strike } = faults;
    if (strike === undefined || effects < strike.after) return;
    faults.strike = undefined;
    strike.work();
  }

  /** One effect of the engine; a kill happens right before or right after it. */
  async function effect<T>(what: string, work: () => T): Promise<T> {
    effects += 1;
    if (effects > faults.killAfter && random() < 0.5) throw new Killed(`killed before ${what}`);
    log.push(`${now} engine: ${what}`);
    advance(1_000);
    const isCut = faults.cuts > 0;
    if (isCut) faults.cuts -= 1;
    const cut = new KmsEtcdError("unreachable", "the connection was cut");
    if (isCut && random() < 0.5) throw cut;
    const result = work();
    if (isCut) throw cut;
    if (faults.strike?.onLook !== true) strikeIfDue();
    if (effects > faults.killAfter) throw new Killed(`killed after ${what}`);
    return result;
  }

  const fleet: Fleet = {
    async observe(): Promise<FleetObservation> {
      advance(1_000);
      looked = true;
      return {
        unlistedServers: [...unlisted],
        discovery: "simulated",
        discoveryProblem: undefined,
        servers: hosts.map((target): FleetObservation["servers"][number] => ({
          name: target.name,
          unreachable: up(target) ? undefined : "connection refused",
          notReady: up(target) ? notReady(target) : undefined,
          version: up(target) ? target.version : "",
          reload: target.reload,
          processStartedAt: target.processStartedAt,
          restartRequestedAt: target.restartRequestedAt,
          requestTimeout,
          file:
            target.garbage !== undefined || (target.unseen && !up(target))
              ? undefined
              : { hash: configHash(target.config), config: target.config, writtenAt: target.writtenAt },
          ...(target.garbage !== undefined &&
            !(target.unseen && !up(target)) && { fileProblem: { reason: "not YAML", hash: target.garbage } }),
          ...(target.unseen && !up(target) ? {} : fallbackOf(target)),
          loaded: up(target)
            ? {
                hash: configHash(target.loaded),
                config: target.loaded,
                since: target.loadedSince,
                basis: "simulated",
                failures: target.failures,
              }
            : { hash: undefined, config: undefined, since: 0, basis: "none", failures: 0 },
          plugins: target.unseen && !up(target) ? [] : plugins.seen(target),
          ...(up(target) && { heardKeyIds: kms.heardBy(target) }),
        })),
      };
    },
    endpoint: (plugin) => `unix:///run/${plugin.socketFile}`,
    probeCrosswise: async (plugin, servers): Promise<CrosswiseProof> => {
      advance(1_000);
      const materials = servers.map((name) => host(name).plugins.get(plugin.name)?.material);
      const keyId = materials[0];
      const same = keyId !== undefined && materials.every((material) => material === keyId);
      return {
        plugin: plugin.name,
        servers,
        keyId: keyId ?? "",
        failure: same ? undefined : "cp1 cannot decrypt what another encrypted",
      };
    },
    startPlugin: (server, plugin) =>
      effect(`start ${plugin.name} on ${server}`, () => {
        const [keyId = ""] = possibleKeyIds(plugin.key);
        const material = faults.wrongKeyOn === server ? `${keyId}-other` : kms.presentKeyId(keyId);
        plugins.write(host(server), plugin.name, { material, former: kms.formerKeyIds(keyId) });
      }),
    stopPlugin: (server, name) =>
      effect(`stop ${name} on ${server}`, () => {
        const target = host(server);
        for (const config of [target.config, target.loaded]) {
          const named = config.blocks.some((block) =>
            block.providers.some((item) => item.kind === "kms" && item.endpoint.endsWith(`/${name}.socket`)),
          );
          if (named) broken(`invariant 4: ${name} was stopped on ${server} while a configuration names it`);
        }
        target.plugins.delete(name);
      }),
    writeConfig: (write: ConfigWrite) =>
      effect(
        `write ${write.server} [${listFor(write.config)
          .map((item) => writerOf([item]))
          .join(", ")}]`,
        () => {
          const target = host(write.server);
          if (presentHash(target) !== write.expectedHash)
            throw new KmsEtcdError("conflict", `${write.server}: changed by someone else`);
          const refusal = refusalBy(write.config, target.reload);
          if (refusal !== undefined) broken(`${write.server} was given what no API server loads: ${refusal}`);
          for (const item of itemsOf(write.config)) {
            if (item.kind !== "kms") continue;
            const name = /([^/]+)\.socket$/.exec(item.endpoint)?.[1] ?? "";
            if (!target.plugins.has(name))
              broken(`invariant 4: ${write.server}'s configuration names ${name} before its plugin is there`);
          }
          checkPrune(target, write.config);
          if (target.garbage === undefined) target.backups.set(configHash(target.config), target.config);
          target.backups.set(configHash(write.config), write.config);
          keepRecord(target, configHash(write.config), write.loadedHash);
          target.config = write.config;
          target.garbage = undefined;
          target.writtenAt = now;
          target.restartRequestedAt = undefined;
        },
      ),
    confirmLoaded: async (server, hash) => {
      const target = host(server);
      if (presentHash(target) !== hash) return;
      target.backups.set(hash, target.config);
      target.record = { written: hash, replaced: hash, loaded: hash };
    },
    restoreConfig: (server, expectedHash, loadedHash) =>
      effect(`restore ${server}`, () => {
        const target = host(server);
        if (presentHash(target) !== expectedHash)
          throw new KmsEtcdError("conflict", `${server}: changed by someone else`);
        const backup = target.backups.get(loadedHash);
        if (backup === undefined) throw new KmsEtcdError("not-found", `${server} has no backup ${loadedHash}`);
        keepRecord(target, loadedHash, loadedHash);
        if (target.garbage === undefined) target.backups.set(configHash(target.config), target.config);
        target.garbage = undefined;
        target.config = backup;
        target.writtenAt = now;
        target.restartRequestedAt = undefined;
      }),
    restart: (server) =>
      effect(`restart ${server}`, () => {
        const target = host(server);
        const othersAway = hosts.filter((other) => other !== target && !up(other));
        // A server that is of no use to anybody may restart: that is how a cluster of which none is ready is repaired.
        if (up(target) && notReady(target) === undefined && othersAway.length > 0)
          broken(`invariant 3: ${server} restarts while ${othersAway.map((other) => other.name).join(", ")} is away`);
        restarts += 1;
        target.restartRequestedAt = now;
        target.downUntil = now + 3_000;
      }),
    close: async () => undefined,
  };

  function failuresOf(server: string): ObjectFailure[] {
    const reading = host(server);
    return [...objects].flatMap(([name, object]) =>
      readable(reading, object)
        ? []
        : [{ resource: object.resource, namespace: "default", name, reason: "no matching prefix found" }],
    );
  }

  function keysOf(own: readonly StoredObject[]) {
    const keys = new Map<string, { key: { provider: string; keyId?: string }; objects: number; newest: number }>();
    for (const { provider, keyId, version: changed } of own) {
      const id = `${provider} ${keyId ?? ""}`;
      const key = { provider, ...(keyId !== undefined && { keyId }) };
      const known = keys.get(id);
      const newest = Math.max(known?.newest ?? 0, changed);
      keys.set(id, { key, objects: (known?.objects ?? 0) + 1, newest });
    }
    return [...keys.values()];
  }

  const stored: StoredObjects = {
    count: (targets, servers, onProgress, signal) => stored.measure(targets, servers, onProgress, signal),
    position: async () => ({ clusterId: "1", revision: version, raftIndex }),
    members: async () => faults.etcdMembers,
    measure: async (targets: readonly RewriteTarget[], servers: readonly ServerState[]): Promise<StoredProof> => {
      if (faults.measureFails) throw new KmsEtcdError("unreachable", "etcd does not answer");
      const etcd = { clusterId: "1", revision: version, raftIndex };
      const startedAt = now;
      const names = targets.map((target) => target.resource);
      const counted = targets.map(({ resource }) => {
        const own = [...objects.values()].filter((object) => nameFor(names, object.resource) === resource);
        return { resource, objects: own.length, bytes: own.length * 1_000, keys: keysOf(own), unknown: 0 };
      });
      advance(1_000);
      strikeIfDue();
      return {
        method: "etcd",
        startedAt,
        finishedAt: now,
        etcd,
        servers,
        resources: counted,
      };
    },
    rewrite: (targets, servers, _onProgress, _signal, _by, scope): Promise<RewriteResult> =>
      effect("rewrite", () => {
        const names = targets.map((target) => target.resource);
        const failures: ObjectFailure[] = [];
        let rewritten = 0;
        for (const [index, name] of [...objects.keys()].entries()) {
          if (effects > faults.killAfter && index > objects.size / 2)
            throw new Killed("killed in the middle of a rewrite");
          const through = host(servers[index % servers.length] ?? "cp1");
          if (!up(through)) throw new KmsEtcdError("unreachable", `${through.name} does not answer`);
          const present = objects.get(name);
          const target = nameFor(names, resourceOf(name));
          if (target === undefined) continue;
          if ((present?.version ?? 0) > (scope?.staleUpTo.get(target) ?? Number.POSITIVE_INFINITY)) continue;
          if (present !== undefined && !readable(through, present)) {
            const reason = "no matching prefix found";
            failures.push({ resource: present.resource, namespace: "default", name, reason });
            continue;
          }
          restored.delete(name);
          if (name === faults.rejectedObject) {
            failures.push({ resource: "secrets", namespace: "default", name, reason: "denied by a webhook" });
            continue;
          }
          const object = objects.get(name);
          const provider = writer(through, resourceOf(name));
          const keyId = kms.keyIdFor(through, provider);
          if (object?.provider === provider && object.keyId === keyId) continue;
          store(name, provider, keyId, `rewrite through ${through.name}`);
          rewritten += 1;
        }
        return { offered: objects.size, rewritten, failures };
      }),
    outlook: async () => ({ admission: [], reads: { objects: 0, milliseconds: 0, all: false, failures: [] } }),
    readThrough: async (state): Promise<ReadThroughProof> => {
      advance(1_000);
      readThrough.set(state.server, state.loadedHash);
      return { state, objects: objects.size, failures: failuresOf(state.server) };
    },
    close: async () => undefined,
  };

  const clock: Clock = {
    now: () => now,
    sleep: async (milliseconds) => advance(milliseconds),
  };

  return {
    fleet,
    stored,
    clock,
    hosts,
    objects,
    faults,
    unlisted,
    log,
    advance,
    listFor,
    restore,
    changeKeyInPlace: kms.changeKeyInPlace,
    presentKeyId: kms.presentKeyId,
    snapshot,
    join,
    restarts: () => restarts,
    effects: () => effects,
    checkReadable,
  };
}
