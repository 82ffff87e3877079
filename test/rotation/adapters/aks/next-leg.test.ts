import assert from "node:assert/strict";
import * as fc from "fast-check";
import {
  areSameSettings,
  type KmsSettings,
  type VaultNetwork,
  vaultOf,
} from "../../../../rotation/adapters/aks/kms-settings";
import {
  type Leg,
  nextLeg,
  type ObservedCluster,
  plaintext,
  writerOf,
} from "../../../../rotation/adapters/aks/next-leg";

const keyId = (vault: string, version: number) =>
  `https://${vault}.vault.azure.net/keys/etcd/${`${version}`.padStart(32, "0")}`;
const legacy = (vault: string, version: number, networkAccess: VaultNetwork = "Public"): KmsSettings => ({
  mode: "legacy",
  keyId: keyId(vault, version),
  networkAccess,
  ...(networkAccess === "Private" ? { vaultId: `/vaults/${vault}` } : {}),
});
const cmk: KmsSettings = { mode: "cmk", keyId: "https://a.vault.azure.net/keys/etcd", networkAccess: "Public" };

/** AKS with its window of two, and a store in which every object remembers what it was written with. Checks at every step. */
function simulatedAks(start: KmsSettings) {
  let kms = start;
  let window: (string | undefined)[] = [writerOf(start)];
  let state = "Succeeded";
  const stored = new Map<string, string | undefined>([["old", writerOf(start)]]);
  const networks = new Map<string, VaultNetwork>([
    ["vault-a", "Public"],
    ["vault-b", "Private"],
  ]);
  let proven: string | undefined = writerOf(start);
  let rewrittenSinceFailure = false;
  let objects = 0;

  function checkReadable(): void {
    if (kms.mode === "cmk" || kms.mode === "pmk") return;
    for (const [name, under] of stored)
      assert.ok(window.includes(under), `${name} under ${under ?? "?"} can't be read`);
  }
  /** Somebody writes a Secret at any time. */
  function write(): void {
    objects += 1;
    stored.set(`object-${objects}`, window[0]);
  }
  return {
    observe: (goal: KmsSettings): ObservedCluster => ({
      provisioningState: state,
      kms,
      storedUnder: proven,
      rewrittenSinceFailure,
      vaultNetwork: goal.mode === "legacy" ? networks.get(vaultOf(goal) ?? "") : undefined,
    }),
    forget() {
      proven = undefined;
    },
    /** `fails`: AKS takes the settings, moves its servers or not, and ends in Failed. */
    act(leg: Leg, fails: "no" | "before" | "after"): void {
      write();
      if (leg.kind === "rewrite") {
        for (const name of stored.keys()) stored.set(name, window[0]);
        // Who proves a key on servers that write with another one has proven nothing.
        if (leg.under !== undefined) assert.equal(leg.under, window[0]);
        if (state === "Failed") rewrittenSinceFailure = true;
        else proven = window[0];
      } else if (leg.kind === "vault") {
        assert.notEqual(
          kms.mode === "legacy" ? vaultOf(kms) : undefined,
          leg.vault,
          "the network of a vault in use changed",
        );
        networks.set(leg.vault, leg.network);
      } else if (leg.kind === "set") {
        const next = leg.settings;
        if (kms.mode === "legacy" && next.mode === "legacy" && vaultOf(kms) === vaultOf(next)) {
          assert.equal(kms.networkAccess, next.networkAccess, "AKS refuses to change the attached vault's mode (K1)");
        }
        if (next.mode === "legacy") {
          assert.equal(networks.get(vaultOf(next) ?? ""), next.networkAccess, "AKS can't reach the vault");
        }
        kms = next;
        const writer = writerOf(next);
        const moves = fails !== "before" && writer !== window[0];
        if (moves) window = [writer, window[0]];
        state = fails === "no" ? "Succeeded" : "Failed";
        rewrittenSinceFailure = false;
        if (moves || state === "Failed") proven = undefined;
      }
      write();
      checkReadable();
    },
  };
}

function drive(
  aks: ReturnType<typeof simulatedAks>,
  goal: KmsSettings,
  failures: readonly ("no" | "before" | "after")[],
): Leg[] {
  const legs: Leg[] = [];
  for (let step = 0; step < 30; step += 1) {
    const leg = nextLeg(aks.observe(goal), goal);
    if (leg.kind === "done" || leg.kind === "blocked") return [...legs, leg];
    legs.push(leg);
    aks.act(leg, leg.kind === "set" ? (failures[step] ?? "no") : "no");
  }
  return assert.fail(`no end: ${legs.map((leg) => leg.kind).join(" ")}`);
}

const kinds = (legs: readonly Leg[]) =>
  legs.map((leg) =>
    leg.kind === "set" ? `set ${leg.settings.mode}` : leg.kind === "vault" ? `vault ${leg.network}` : leg.kind,
  );

describe("the next leg on AKS", () => {
  it("enable => set, rewrite", () => {
    const aks = simulatedAks({ mode: "off" });
    assert.deepEqual(kinds(drive(aks, legacy("vault-a", 1), [])), ["set legacy", "rewrite", "done"]);
  });

  it("rotate => set, rewrite; again => the same, because the first rotation's rewrite is proven", () => {
    const aks = simulatedAks(legacy("vault-a", 1));
    assert.deepEqual(kinds(drive(aks, legacy("vault-a", 2), [])), ["set legacy", "rewrite", "done"]);
    assert.deepEqual(kinds(drive(aks, legacy("vault-a", 3), [])), ["set legacy", "rewrite", "done"]);
  });

  it("rotate while nobody knows what is stored => rewrite first, because AKS keeps two keys", () => {
    const aks = simulatedAks(legacy("vault-a", 1));
    aks.forget();
    assert.deepEqual(kinds(drive(aks, legacy("vault-a", 2), [])), ["rewrite", "set legacy", "rewrite", "done"]);
  });

  it("turn off => set, rewrite to plaintext", () => {
    const legs = drive(simulatedAks(legacy("vault-a", 1)), { mode: "off" }, []);
    assert.deepEqual(kinds(legs), ["set off", "rewrite", "done"]);
    assert.equal(legs[1]?.kind === "rewrite" && legs[1].under, plaintext);
  });

  it("the attached vault becomes private => off, rewrite, vault, on, rewrite, as the seed has it", () => {
    const legs = drive(simulatedAks(legacy("vault-a", 1)), legacy("vault-a", 2, "Private"), []);
    assert.deepEqual(kinds(legs), ["set off", "rewrite", "vault Private", "set legacy", "rewrite", "done"]);
  });

  it("another vault with another network => set at once", () => {
    const legs = drive(simulatedAks(legacy("vault-a", 1)), legacy("vault-b", 1, "Private"), []);
    assert.deepEqual(kinds(legs), ["set legacy", "rewrite", "done"]);
  });

  it("to KMS data encryption => set, and AKS rewrites; back => blocked", () => {
    const aks = simulatedAks(legacy("vault-a", 1));
    assert.deepEqual(kinds(drive(aks, cmk, [])), ["set cmk", "done"]);
    assert.deepEqual(kinds(drive(aks, { mode: "pmk" }, [])), ["set pmk", "done"]);
    assert.deepEqual(kinds(drive(aks, { mode: "off" }, [])), ["blocked"]);
  });

  it("a failed rotation => rewrite, ask again, and go on", () => {
    const legs = drive(simulatedAks(legacy("vault-a", 1)), legacy("vault-a", 2), ["after"]);
    assert.deepEqual(kinds(legs), ["set legacy", "rewrite", "set legacy", "rewrite", "done"]);
  });

  it("while AKS works => wait", () => {
    const observed = simulatedAks({ mode: "off" }).observe({ mode: "off" });
    assert.equal(nextLeg({ ...observed, provisioningState: "Updating" }, { mode: "off" }).kind, "wait");
  });

  it("any goals one after the other, failures and lost knowledge between them => everything stays readable, and each ends at its goal", () => {
    const goal = fc.oneof(
      fc.constant<KmsSettings>({ mode: "off" }),
      fc
        .tuple(
          fc.constantFrom("vault-a", "vault-b"),
          fc.integer({ min: 1, max: 4 }),
          fc.constantFrom("Public", "Private"),
        )
        .map(([vault, version, network]) => legacy(vault, version, network)),
    );
    const failures = fc.array(fc.constantFrom("no", "no", "before", "after"), { maxLength: 8 });
    fc.assert(
      fc.property(fc.array(fc.tuple(goal, failures, fc.boolean()), { minLength: 1, maxLength: 6 }), (goals) => {
        const aks = simulatedAks({ mode: "off" });
        for (const [wanted, failing, forgets] of goals) {
          if (forgets) aks.forget();
          assert.equal(drive(aks, wanted, failing).at(-1)?.kind, "done");
          const { kms, provisioningState, storedUnder } = aks.observe(wanted);
          assert.ok(areSameSettings(kms, wanted) && provisioningState === "Succeeded");
          assert.equal(storedUnder, writerOf(wanted));
        }
      }),
      { numRuns: 300 },
    );
  });
});
