/**
 * A kOps cluster in memory, for model tests: a store, groups with templates, machines that are replaced one by one or by the cloud
 * at any moment, stored objects, and clients that write all the time. It checks after every change that a machine which boots
 * now has what it needs, and that everything stays readable; it shares no rule with the engine.
 */
import { createHash } from "node:crypto";
import { parse } from "yaml";
import {
  type EncryptionConfiguration,
  readEncryptionConfiguration,
  readersOf,
  writerOf,
} from "../../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../../core/errors";
import type { AwsKeyNames } from "../../../../rotation/adapters/aws/aws-key-names";
import type { FileAsset, InstanceGroup, KopsCluster } from "../../../../rotation/adapters/kops/cluster-spec";
import { seeAliases } from "../../../../rotation/adapters/kops/key-aliases";
import type { MachineConfig, OwnChange } from "../../../../rotation/adapters/kops/kops-observation";
import type { Kops } from "../../../../rotation/adapters/kops/kops-ports";
import type { KopsStored } from "../../../../rotation/adapters/kops/run-kops";
import type { Clock } from "../../../../rotation/clock";

export class InvariantBroken extends Error {}
/** Thrown where a test kills the engine. */
export class Killed extends Error {}

export interface SimulatedKopsOptions {
  readonly groups: readonly InstanceGroup[];
  readonly machines: number;
  readonly objects: number;
  readonly random: () => number;
  readonly cluster?: KopsCluster;
  readonly secret?: string;
  /** Servers before 1.34 don't say what they have loaded. */
  readonly namesHash?: boolean;
  /** How often the cloud replaces a machine in a gap. Default: never. */
  readonly replacements?: number;
}

export interface SimulatedMachine {
  name: string;
  group: string;
  template: number;
  /** The text that its API server has loaded; undefined: none. */
  text: string | undefined;
  endpoints: ReadonlySet<string>;
  /** The files that it was made with. */
  assets: readonly string[];
  startedAt: number;
  up: boolean;
}

interface SimulatedRecord {
  readonly spec: string;
  readonly before: readonly FileAsset[];
  readonly secret?: { readonly hash: string; readonly replaced: string };
}

interface Told {
  secretHash: string | undefined;
  assets: readonly string[];
  endpoints: ReadonlySet<string>;
}

export const plainCluster: KopsCluster = {
  apiVersion: "kops.k8s.io/v1alpha2",
  kind: "Cluster",
  metadata: { name: "e2e.k8s.local" },
  spec: { kubernetesVersion: "1.36.0", channel: "none" },
};

function olderCluster(cluster: KopsCluster): KopsCluster {
  return { ...cluster, spec: { ...cluster.spec, kubernetesVersion: "1.33.0" } };
}

const versionOf = ({ spec }: KopsCluster) => `v${spec.kubernetesVersion}`;

export const hashOf = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;

export type SimulatedKops = ReturnType<typeof simulateKops>;

export function simulateKops(options: SimulatedKopsOptions) {
  const { random, groups, namesHash = true } = options;
  const serverGroups = groups.filter((group) => ["ControlPlane", "APIServer"].includes(group.role));
  const state = {
    cluster: namesHash ? (options.cluster ?? plainCluster) : olderCluster(options.cluster ?? plainCluster),
    secret: options.secret,
    told: new Map<string, Told>(),
    /** What the latest update has told besides, by the task that changes it. */
    toldBesides: new Map<string, string>(),
    templates: new Map<string, { version: number; told: Told }>(),
    machines: [] as SimulatedMachine[],
    objects: new Map<string, { provider: string; version: number }>(),
    kept: new Map<string, string>(),
    /** The engine's own change to spec or secret, as it keeps it beside the secrets. */
    record: undefined as SimulatedRecord | undefined,
  };
  const faults = {
    killAfter: Number.POSITIVE_INFINITY,
    /** Machines don't come up with a secret that names this endpoint. */
    brokenEndpoint: undefined as string | undefined,
    /** Nor with this very secret. */
    brokenSecret: undefined as string | undefined,
    /** Machines don't come up with a file asset that has this text. */
    brokenText: undefined as string | undefined,
    /** What KMS says is behind an alias; it refuses any other. */
    aliases: new Map<string, string>(),
    failNext: [] as KmsEtcdError[],
    rejectedObject: undefined as string | undefined,
    unreadable: undefined as string | undefined,
    /** What kops says that an update would do besides; an update does it. */
    pending: [] as string[],
    /** Versions of API servers that are not the spec's, by machine. */
    versions: new Map<string, string>(),
    invalid: undefined as string | undefined,
  };
  const log: string[] = [];
  let now = 1_000_000;
  let version = 1;
  let born = 0;
  let effects = 0;
  let rolls = 0;
  let gaps = 0;

  const parsed = new Map<string, EncryptionConfiguration>();
  const configOf = (text: string | undefined): EncryptionConfiguration | undefined => {
    if (text === undefined) return undefined;
    const config = parsed.get(text) ?? readEncryptionConfiguration(parse(text));
    parsed.set(text, config);
    return config;
  };
  const listIn = (text: string | undefined) =>
    configOf(text)?.blocks.find((block) => block.resources.includes("secrets"))?.providers ?? [
      { kind: "identity" as const },
    ];
  const endpointsIn = (text: string | undefined) =>
    listIn(text).flatMap((item) => (item.kind === "kms" ? [item.endpoint] : []));

  function broken(rule: string): never {
    throw new InvariantBroken(`${rule}\n${log.slice(-30).join("\n")}`);
  }

  /** What any machine that boots in this moment would get: the secret as it is, with or without an update. */
  function check(why: string): void {
    const up = state.machines.filter((machine) => machine.up);
    for (const group of serverGroups) {
      const told = state.told.get(group.name);
      if (told?.secretHash === undefined) continue;
      for (const endpoint of endpointsIn(state.secret)) {
        if (!told.endpoints.has(endpoint))
          broken(`a machine of ${group.name} that boots now lacks ${endpoint} (${why})`);
      }
    }
    const bootable = [...state.told.values()].some((told) => told.secretHash !== undefined)
      ? [{ name: "a booting machine", text: state.secret }]
      : [];
    const all = [...up, ...bootable];
    for (const reading of all) {
      const readers = readersOf(listIn(reading.text));
      for (const writing of all) {
        if (!readers.has(writerOf(listIn(writing.text)))) {
          broken(
            `invariant 1: ${writing.name} writes ${writerOf(listIn(writing.text))}, ${reading.name} can't read it (${why})`,
          );
        }
      }
      for (const [name, object] of state.objects) {
        if (!readers.has(object.provider))
          broken(`invariant 2: ${reading.name} can't read ${name}, stored with ${object.provider} (${why})`);
      }
    }
    for (const machine of up) {
      for (const endpoint of endpointsIn(machine.text)) {
        if (!machine.endpoints.has(endpoint))
          broken(`${machine.name} runs a configuration with ${endpoint} and lacks its plugin (${why})`);
      }
    }
  }

  function boot(groupName: string): SimulatedMachine {
    const template = state.templates.get(groupName);
    const told = state.told.get(groupName);
    born += 1;
    // nodeup compares its configuration's hash with the one in the template: an update that was cut off keeps machines out.
    const joins = template !== undefined && told === template.told;
    const text = told?.secretHash === undefined ? undefined : state.secret;
    const isBroken = told?.assets.some((asset) => asset.includes(faults.brokenText ?? "nowhere"));
    const isFailing = endpointsIn(text).includes(faults.brokenEndpoint ?? "") || (text ?? "") === faults.brokenSecret;
    const well = !isFailing && isBroken !== true;
    const machine: SimulatedMachine = {
      name: `i-${born}`,
      group: groupName,
      template: template?.version ?? 0,
      text,
      endpoints: told?.endpoints ?? new Set(),
      assets: told?.assets ?? [],
      startedAt: (now += 1),
      up: joins && well,
    };
    state.machines.push(machine);
    log.push(
      `boot ${machine.name} of ${groupName} ${machine.up ? "up" : "not up"} with [${listIn(text)
        .map((item) => writerOf([item]))
        .join(", ")}]`,
    );
    return machine;
  }

  function terminate(machine: SimulatedMachine): void {
    state.machines.splice(state.machines.indexOf(machine), 1);
  }

  /** What happens by itself between any two things that the engine does. */
  function gap(why: string): void {
    now += 1_000;
    gaps += 1;
    if (gaps > 20_000) broken("the engine does not come to an end");
    const up = state.machines.filter((machine) => machine.up);
    const writing = up[Math.floor(random() * up.length)];
    const names = [...state.objects.keys()];
    const name = names[Math.floor(random() * names.length)];
    if (writing !== undefined && name !== undefined && name !== faults.rejectedObject) {
      state.objects.set(name, { provider: writerOf(listIn(writing.text)), version: (version += 1) });
    }
    if (random() < (options.replacements ?? 0) && up.length > 1) {
      const victim = up[Math.floor(random() * up.length)];
      if (victim !== undefined && state.templates.get(victim.group)?.told === state.told.get(victim.group)) {
        log.push(`the cloud replaces ${victim.name}`);
        terminate(victim);
        boot(victim.group);
      }
    }
    check(why);
  }

  /** A change by the engine. A kill falls before or after it. */
  function effect(what: string, change: () => void): void {
    const failure = faults.failNext.shift();
    if (failure !== undefined) throw failure;
    if (effects >= faults.killAfter && random() < 0.5) throw new Killed(what);
    log.push(what);
    change();
    effects += 1;
    gap(what);
    if (effects > faults.killAfter) throw new Killed(what);
  }

  const endpointsOfAssets = (assets: readonly FileAsset[]) =>
    new Set(
      assets.flatMap((asset) => [...asset.content.matchAll(/--listen=(\S+)/g)].map(([, socket]) => `unix://${socket}`)),
    );

  function tell(group: InstanceGroup): Told {
    const assets = (state.cluster.spec.fileAssets ?? []).filter(
      (asset) => asset.roles === undefined || asset.roles.includes(group.role),
    );
    return {
      secretHash:
        state.cluster.spec.encryptionConfig === true && state.secret !== undefined ? hashOf(state.secret) : undefined,
      assets: assets.map((asset) =>
        JSON.stringify([
          asset.path ?? `/srv/kubernetes/assets/${asset.name}`,
          asset.content,
          asset.isBase64 === true,
          asset.mode ?? "",
        ]),
      ),
      endpoints: endpointsOfAssets(assets),
    };
  }

  const same = (a: Told | undefined, b: Told) =>
    a !== undefined && JSON.stringify([a.secretHash, a.assets]) === JSON.stringify([b.secretHash, b.assets]);
  const needsUpdate = (machine: SimulatedMachine) => machine.template !== state.templates.get(machine.group)?.version;

  /** Hooks and file assets of groups without API servers, as kOps filters them by role, and the role's policy. */
  function besides(): ReadonlyMap<string, string> {
    const { hooks = [], fileAssets = [], additionalPolicies = {} } = state.cluster.spec;
    const gets = (role: string, roles: unknown) => !Array.isArray(roles) || roles.length === 0 || roles.includes(role);
    const others = groups.filter((group) => !serverGroups.includes(group));
    return new Map([
      ...others.map(({ name, role }) => {
        const all = [...hooks, ...fileAssets].filter(({ roles }) => gets(role, roles));
        return [`ManagedFile/nodeupconfig-${name}`, JSON.stringify(all)] as const;
      }),
      ["IAMRolePolicy/additional.masters.e2e.k8s.local", JSON.stringify(additionalPolicies["master"] ?? "")] as const,
    ]);
  }

  const pendingGroups = () =>
    serverGroups
      .filter((group) => {
        const told = state.told.get(group.name);
        return !same(told, tell(group)) || state.templates.get(group.name)?.told !== told;
      })
      .map((group) => group.name);

  /** What kops says that an update would do: undefined where it refuses to say. */
  function tasks(): readonly string[] | undefined {
    if (state.cluster.spec.encryptionConfig === true && state.secret === undefined) return undefined;
    const own = pendingGroups().map((group) => `ManagedFile/nodeupconfig-${group}`);
    const others = [...besides()].flatMap(([task, text]) => (state.toldBesides.get(task) === text ? [] : [task]));
    const files = [...own, ...others];
    const templates = files.flatMap((task) => {
      const group = /^ManagedFile\/nodeupconfig-(.+)$/.exec(task)?.[1];
      return group === undefined ? [] : [`LaunchTemplate/${group}.masters.e2e.k8s.local`];
    });
    return [...faults.pending, ...files, ...templates];
  }

  function loadedBy(machine: SimulatedMachine): MachineConfig {
    if (!namesHash) return { kind: "unknown" };
    if (machine.text === undefined) return { kind: "none" };
    const hash = hashOf(machine.text);
    const known = [state.secret, ...state.kept.values()].find((text) => text !== undefined && hashOf(text) === hash);
    const config = configOf(known);
    return {
      kind: "hash",
      hash,
      known: known === undefined || config === undefined ? undefined : { text: known, config },
    };
  }

  function ownChange({ before, secret }: SimulatedRecord): OwnChange {
    const isPresent = secret !== undefined && state.secret !== undefined && secret.hash === hashOf(state.secret);
    const text = isPresent ? state.kept.get(secret.replaced) : undefined;
    return { before, ...(isPresent && text !== undefined && { replaced: { hash: secret.replaced, text } }) };
  }

  const keyNames: AwsKeyNames = {
    async arnOf(name) {
      const arn = faults.aliases.get(name);
      if (arn !== undefined) return arn;
      throw new KmsEtcdError("not-found", `there is no ${name}`, { remedy: "see aws kms list-aliases" });
    },
  };

  const kops: Kops = {
    async observe() {
      gap("look");
      const config = configOf(state.secret);
      const pending = tasks();
      // As kOps has it: a group without a task has what the store says.
      const told = serverGroups.filter(({ name }) => pending?.includes(`ManagedFile/nodeupconfig-${name}`) === false);
      return {
        cluster: structuredClone(state.cluster),
        groups: [...groups],
        secret: state.secret === undefined ? undefined : { hash: hashOf(state.secret), text: state.secret, config },
        applied: told.map((group) => ({ group: group.name, ...tell(group) })),
        machines: state.machines.map((machine) => ({
          name: machine.name,
          group: machine.group,
          needsUpdate: needsUpdate(machine),
          unreachable: machine.up ? undefined : "connection refused",
          version: faults.versions.get(machine.name) ?? versionOf(state.cluster),
          processStartedAt: machine.startedAt,
          loaded: machine.up ? loadedBy(machine) : { kind: "unknown" as const },
        })),
        strangers: [],
        aliases: await seeAliases(state.cluster, groups, config, () => keyNames, new AbortController().signal),
        ...(state.record?.spec === JSON.stringify(state.cluster) && { ownChange: ownChange(state.record) }),
        ...(pending !== undefined && { pending }),
      };
    },
    async putCluster({ cluster, expected, before }) {
      if (JSON.stringify(expected) !== JSON.stringify(state.cluster))
        throw new KmsEtcdError("conflict", "the spec was changed");
      state.record = { ...state.record, spec: JSON.stringify(cluster), before };
      effect("replace the spec", () => (state.cluster = structuredClone(cluster)));
    },
    async settle() {
      const [late] = state.machines.filter(needsUpdate);
      if (late !== undefined) broken(`${late.name} has yet to get the change that is settled`);
      state.record = undefined;
    },
    async putSecret({ text, expectedHash, mayGoBack }) {
      const present = state.secret === undefined ? undefined : hashOf(state.secret);
      if (present !== expectedHash) throw new KmsEtcdError("conflict", "the secret was changed");
      configOf(text);
      if (state.secret !== undefined) state.kept.set(hashOf(state.secret), state.secret);
      const spec = JSON.stringify(state.cluster);
      state.record = {
        ...state.record,
        ...{ spec, before: state.record?.spec === spec ? state.record.before : [] },
        ...(mayGoBack && present !== undefined && { secret: { hash: hashOf(text), replaced: present } }),
      };
      effect(
        `secret [${listIn(text)
          .map((item) => writerOf([item]))
          .join(", ")}]`,
        () => (state.secret = text),
      );
    },
    async update() {
      if (state.cluster.spec.encryptionConfig === true && state.secret === undefined) {
        throw new KmsEtcdError("invalid-input", "could not find encryptionconfig secret");
      }
      for (const group of serverGroups) {
        const told = tell(group);
        if (!same(state.told.get(group.name), told))
          effect(`tell ${group.name}`, () => state.told.set(group.name, told));
        const next = state.told.get(group.name) ?? told;
        const template = state.templates.get(group.name);
        if (template?.told === next) continue;
        effect(`template of ${group.name}`, () => {
          state.templates.set(group.name, { version: (template?.version ?? 0) + 1, told: next });
          // Machines that booted in between stay outside; somebody, or the group's health check, replaces them.
          for (const machine of state.machines.filter((other) => other.group === group.name && !other.up)) {
            terminate(machine);
            boot(group.name);
          }
        });
      }
      state.toldBesides = new Map(besides());
      for (const task of faults.pending) {
        const template = state.templates.get(task.replace("ManagedFile/nodeupconfig-", ""));
        if (template !== undefined) template.version += 1;
      }
      faults.pending = [];
    },
    async previewUpdate() {
      return "Must specify --yes to apply changes";
    },
    async roll(groupName, force) {
      rolls += 1;
      const machines = state.machines.filter(
        (machine) => machine.group === groupName && (force || needsUpdate(machine)),
      );
      for (const machine of machines) {
        if (state.machines.some((other) => !other.up))
          return { notJoined: false, reason: "the cluster did not validate" };
        let replacement: SimulatedMachine | undefined;
        if (!state.machines.includes(machine)) continue;
        effect(`roll ${machine.name}`, () => {
          terminate(machine);
          replacement = boot(groupName);
        });
        if (replacement?.up === false) return { notJoined: true, reason: `${replacement.name} did not join` };
      }
      return undefined;
    },
    async validate() {
      const down = state.machines.find((machine) => !machine.up);
      if (faults.invalid !== undefined) return faults.invalid;
      return down === undefined ? undefined : `machine ${down.name} has not joined`;
    },
  };

  const stored: KopsStored = {
    async measure(targets, servers) {
      const startedAt = now;
      gap("measure");
      const counts = new Map<string, number>();
      for (const { provider } of state.objects.values()) counts.set(provider, (counts.get(provider) ?? 0) + 1);
      const keys = [...counts].map(([provider, objects]) => {
        const target = targets.find((candidate) => candidate.key.provider === provider);
        return { key: { provider, ...(target?.key.keyId === undefined ? {} : { keyId: target.key.keyId }) }, objects };
      });
      const resource = { resource: "secrets", objects: state.objects.size, bytes: 0, keys, unknown: 0 };
      return { method: "etcd", startedAt, finishedAt: now, servers, resources: [resource] };
    },
    async rewrite() {
      const failures: { resource: string; namespace: string; name: string; reason: string }[] = [];
      for (const name of state.objects.keys()) {
        if (name === faults.rejectedObject) {
          failures.push({ resource: "secrets", namespace: "default", name, reason: "denied by a webhook" });
          continue;
        }
        effect(`rewrite ${name}`, () => {
          const up = state.machines.filter((machine) => machine.up);
          const through = up[Math.floor(random() * up.length)];
          if (through !== undefined)
            state.objects.set(name, { provider: writerOf(listIn(through.text)), version: (version += 1) });
        });
      }
      return { offered: state.objects.size, rewritten: state.objects.size - failures.length, failures };
    },
    async readThrough(server) {
      const failures =
        faults.unreadable === undefined
          ? []
          : [{ resource: "secrets", namespace: "default", name: faults.unreadable, reason: "cannot decrypt" }];
      return { state: server, objects: state.objects.size, failures };
    },
  };

  const clock: Clock = {
    now: () => now,
    async sleep(milliseconds) {
      now += milliseconds;
    },
  };

  for (let index = 0; index < options.objects; index += 1) {
    state.objects.set(`s${index}`, { provider: writerOf(listIn(options.secret)), version: 0 });
  }
  for (const group of serverGroups) {
    const told = tell(group);
    state.told.set(group.name, told);
    state.templates.set(group.name, { version: 1, told });
    for (let index = 0; index < options.machines; index += 1) boot(group.name);
  }
  state.toldBesides = new Map(besides());
  check("the start");

  return {
    kops,
    stored,
    clock,
    state,
    faults,
    log,
    groups,
    listIn,
    presentHash: () => (state.secret === undefined ? undefined : hashOf(state.secret)),
    /** Groups that an update would tell something, or give another template. */
    pending: pendingGroups,
    tasks,
    needsUpdate,
    effects: () => effects,
    rolls: () => rolls,
    terminate,
    boot,
  };
}
