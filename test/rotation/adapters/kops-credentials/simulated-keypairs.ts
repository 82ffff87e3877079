/**
 * A kOps cluster in memory, of keypairs, machines and clients. After every change it checks what keeps such a cluster alive: what a machine
 * or client presents, everybody who meets it trusts. A machine is made from what the last update told its group, in any moment.
 */
import type { FleetSeen } from "../../../../rotation/adapters/kops-credentials/fleet-decision";
import type { KeypairAction } from "../../../../rotation/adapters/kops-credentials/keypair-decision";
import { type Keypair, type Keyset, kubernetesCa } from "../../../../rotation/adapters/kops-credentials/keypairs";
import type { KopsFleet } from "../../../../rotation/adapters/kops-credentials/kops-fleet";
import type { KopsKeypairs } from "../../../../rotation/adapters/kops-credentials/kops-keypairs";

export class Killed extends Error {}
export class TrustBroken extends Error {}

/** What one keyset is to whoever has read it: the keypair that issues, and those that are trusted. */
type View = Readonly<Record<string, { readonly primary: string; readonly trusted: readonly string[] }>>;

interface Machine {
  readonly name: string;
  readonly group: string;
  readonly version: number;
  readonly view: View;
}

export interface SimulationOptions {
  readonly keysets?: readonly string[];
  readonly random?: () => number;
  /** How likely the cloud replaces some machine before any change. */
  readonly replacements?: number;
}

const groups = [
  { name: "control-plane-a", role: "ControlPlane" },
  { name: "control-plane-b", role: "ControlPlane" },
  { name: "nodes-a", role: "Node" },
];
const day = 86_400_000;

export type SimulatedKeypairs = ReturnType<typeof simulateKeypairs>;

export function simulateKeypairs(options: SimulationOptions = {}) {
  const { random = () => 0.5, replacements = 0 } = options;
  const state = {
    now: Date.UTC(2026, 0, 1),
    keysets: (options.keysets ?? [kubernetesCa, "service-account"]).map((name): Keyset => ({ name, keypairs: [] })),
    machines: [] as Machine[],
    /** What groups were told, with a number that grows with each change. */
    told: { version: 0, view: {} as View },
    mustGo: [] as readonly string[],
    clients: { trusts: [] as readonly string[], uses: "" },
    effects: 0,
  };
  const faults = { killAfter: Number.POSITIVE_INFINITY, invalid: undefined as string | undefined, failRoll: "" };
  const log: string[] = [];
  let machinesMade = 0;

  const viewOfStore = (): View =>
    Object.fromEntries(
      state.keysets.map(({ name, keypairs }) => [
        name,
        {
          primary: keypairs.find(({ isPrimary }) => isPrimary)?.id ?? "",
          trusted: keypairs.filter(({ distrustedAt }) => distrustedAt === undefined).map(({ id }) => id),
        },
      ]),
    );

  function boot(group: string): void {
    machinesMade += 1;
    state.machines.push({ name: `i-${machinesMade}`, group, version: state.told.version, view: state.told.view });
  }

  function replace(machine: Machine): void {
    state.machines = state.machines.filter((other) => other !== machine);
    boot(machine.group);
  }

  /** Before each change a kill or a replacement may come; after each, everything must still be trusted. */
  function effect(what: string, work: () => void): void {
    if (state.effects >= faults.killAfter) throw new Killed(what);
    state.effects += 1;
    state.now += 1_000;
    const victim = state.machines[Math.floor(random() * state.machines.length)];
    if (random() < replacements && victim !== undefined) replace(victim);
    log.push(what);
    work();
    check(what);
  }

  function check(what: string): void {
    for (const one of state.machines) {
      for (const other of state.machines) {
        for (const [keyset, { primary }] of Object.entries(one.view)) {
          const trusts = other.view[keyset]?.trusted.includes(primary) === true;
          if (!trusts) broken(what, `${other.name} does not trust what ${one.name} presents of ${keyset}`);
        }
      }
      const ca = one.view[kubernetesCa];
      if (ca === undefined || !one.group.startsWith("control-plane")) continue;
      if (!state.clients.trusts.includes(ca.primary)) broken(what, `clients don't trust ${one.name}`);
      if (!ca.trusted.includes(state.clients.uses)) broken(what, `${one.name} does not trust clients' credentials`);
    }
  }

  function broken(what: string, why: string): never {
    throw new TrustBroken(`after "${what}": ${why}\n${log.slice(-30).join("\n")}`);
  }

  function change(keyset: string, work: (keypairs: readonly Keypair[]) => readonly Keypair[]): void {
    state.keysets = state.keysets.map((each) =>
      each.name === keyset ? { ...each, keypairs: work(each.keypairs) } : each,
    );
  }

  function make(keypairs: readonly Keypair[], isPrimary: boolean): readonly Keypair[] {
    const id = `${(BigInt(state.now) * 1_000_000n) << 32n}`;
    const times = { madeAt: state.now, expiresAt: state.now + 3_650 * day, distrustedAt: undefined };
    return [...keypairs, { id, isPrimary, hasPrivateKey: true, ...times }];
  }

  const keypairs: KopsKeypairs = {
    look: async () => ({ keysets: state.keysets, hasOwnCertificate: false }),
    async change(action: KeypairAction) {
      if (action.kind === "create") {
        for (const keyset of action.keysets)
          effect(`create ${keyset}`, () => change(keyset, (all) => make(all, false)));
        return;
      }
      for (const { keyset, id } of action.keypairs) {
        effect(`${action.kind} ${keyset} ${id}`, () =>
          change(keyset, (all) =>
            all.map((keypair) => {
              if (action.kind === "promote") return { ...keypair, isPrimary: keypair.id === id };
              if (keypair.id !== id) return keypair;
              return { ...keypair, distrustedAt: action.kind === "distrust" ? state.now : undefined };
            }),
          ),
        );
      }
    },
  };

  const fleet: KopsFleet = {
    async look(isApplied): Promise<FleetSeen> {
      const pending = JSON.stringify(viewOfStore()) !== JSON.stringify(state.told.view);
      if (isApplied && pending) throw new Error("an update was taken for done that was not");
      return {
        groups,
        machines: state.machines.map(({ name, group, version }) => ({
          name,
          group,
          needsUpdate: version !== state.told.version,
        })),
        pending,
        mustGo: state.mustGo,
      };
    },
    async mark(ids) {
      effect("mark", () => {
        state.mustGo = ids;
      });
    },
    async update() {
      effect("update", () => {
        state.told = { version: state.told.version + 1, view: viewOfStore() };
      });
    },
    async roll(group, force) {
      if (faults.failRoll === group) return { notJoined: false, reason: `${group} can't be drained` };
      for (const machine of state.machines.filter((each) => each.group === group)) {
        if (!force && machine.version === state.told.version) continue;
        effect(`roll ${group} ${machine.name}${force ? " --force" : ""}`, () => {
          if (state.machines.includes(machine)) replace(machine);
        });
      }
      return undefined;
    },
    validate: async () => faults.invalid,
  };

  for (const { name } of state.keysets) change(name, (all) => make(all, true));
  state.told = { version: 1, view: viewOfStore() };
  for (const { name } of groups) boot(name);
  boot("nodes-a");
  const first = state.told.view[kubernetesCa]?.primary ?? "";
  state.clients = { trusts: [first], uses: first };
  state.now += day;

  return { state, faults, log, keypairs, fleet, check };
}
