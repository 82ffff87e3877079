/** The legs of a change to a cluster of AKS, as lines for `pulumi preview --diff` and as rows below the resource. */
import type { KmsSettings } from "../../rotation/adapters/aks/kms-settings";
import type { Leg } from "../../rotation/adapters/aks/next-leg";
import { plaintext } from "../../rotation/adapters/aks/next-leg";
import type { Properties, PropertyValue } from "../property-values";
import type { Views } from "../resource";

/** What AKS takes, by experience of its users: it is not in our hands. */
const operation = "AKS takes minutes for it";

export function planLines(
  legs: readonly Leg[],
  secrets: number | undefined,
  nameOf: (keyId: string) => string,
): readonly string[] {
  const count = secrets === undefined ? "every Secret" : `${secrets} Secrets`;
  return legs.map((leg, index) => `${index + 1}. ${lineOf(leg, count, nameOf)}`);
}

function lineOf(leg: Leg, count: string, nameOf: (keyId: string) => string): string {
  const under = (keyId: string | undefined) =>
    keyId === undefined ? "" : keyId === plaintext ? " in plaintext" : ` under ${nameOf(keyId)}`;
  switch (leg.kind) {
    case "rewrite":
      return `Rewrite: ${count} written again${under(leg.under)}, and seen to be; ${leg.reason}`;
    case "set":
      return `Set: ${settingsText(leg.settings, nameOf)}; ${leg.reason}; ${operation}`;
    case "vault":
      return `Vault: ${leg.vault} becomes ${leg.network}; ${leg.reason}`;
    case "wait":
      return `Wait: ${leg.reason}`;
    case "blocked":
      return `Stop: ${leg.reason}; ${leg.remedy}`;
    case "done":
      return "nothing";
  }
}

export function settingsText(settings: KmsSettings, nameOf: (keyId: string) => string): string {
  switch (settings.mode) {
    case "off":
      return "encryption off, new Secrets are plaintext";
    case "pmk":
      return "KMS data encryption with a key of the platform's";
    case "cmk":
      return `KMS data encryption with ${nameOf(settings.keyId)}, vault ${settings.networkAccess}`;
    case "legacy":
      return `the KMS plugin with ${nameOf(settings.keyId)}, vault ${settings.networkAccess}`;
  }
}

const words = {
  rewrite: "rewrite",
  set: "set",
  vault: "vault",
  wait: "wait",
  blocked: "stop",
  done: "done",
} satisfies Record<Leg["kind"], string>;

export interface LegViews {
  publish(number: number, leg: Leg, outputs: Properties, failure?: string): void;
  /** Resolves when all rows are published, and those of an earlier change are gone. */
  settle(): Promise<void>;
}

/** One row a leg, in their order: the engine keeps a row for each step that is published, so each leg has one. */
export function createLegViews(views: Views, inputs: Properties): LegViews {
  const published = new Set<string>();
  let queue: Promise<void> = Promise.resolve();
  return {
    publish(number, leg, outputs, failure) {
      const name = `${number}-${words[leg.kind]}`;
      if (published.has(name)) return;
      published.add(name);
      const view = { name, inputs, outputs, ...(failure === undefined ? {} : { failure }) };
      queue = queue.then(() => views.publish(view));
    },
    async settle() {
      await queue;
      if (published.size === 0) return;
      for (const { name } of views.before) if (!published.has(name)) await views.remove(name);
    },
  };
}

/** What people call a key: its version in the program, or its name in the vault. */
export function keyNames(
  keyId: PropertyValue | undefined,
  keyVersion: PropertyValue | undefined,
): (keyId: string) => string {
  return (asked) => {
    const isWanted = keyId === asked || !asked.startsWith("https://");
    if (isWanted && typeof keyVersion === "number") return `key version ${keyVersion}`;
    return asked.replace(/^https:\/\/([^.]+)\.[^/]+\/keys\//, "$1/");
  };
}
