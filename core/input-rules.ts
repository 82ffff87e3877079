/**
 * What the inputs of a component or of an EncryptionRollout must satisfy before anything is made. The component turns a
 * violation into an InputPropertyError, the provider into a CheckFailure, so every language is told the same.
 */

/** One input that can't be used: where it stands, and what is wrong with it together with what to write instead. */
export interface InputViolation {
  /** Pulumi property path, for example `keyVersion` or `keys[1].local`. */
  readonly path: string;
  readonly reason: string;
}

/** The blocks that say where a key lives. The order is the order in messages. */
export const keyBlocks = ["azureKeyVault", "awsKms", "localKey"] as const;
/** The blocks that say whose etcd it is. */
export const platformBlocks = ["aks", "kops", "selfManaged", "local"] as const;
/** The blocks of the lists above that this version can carry out. */
export const availableBlocks: ReadonlySet<string> = new Set([
  "azureKeyVault",
  "awsKms",
  "localKey",
  "aks",
  "kops",
  "selfManaged",
  "local",
]);

/** The inputs that say which keys exist and which of them encrypts. Values are unknown: JavaScript programs pass anything. */
export interface KeyVersionInputs {
  readonly keyVersion: unknown;
  readonly oldestKeyVersion?: unknown;
  readonly newestKeyVersion?: unknown;
}

/** The declared keys are `oldest` to `newest`, one key a version; `active` is the one that encrypts. */
export interface KeyVersionRange {
  readonly active: number;
  readonly oldest: number;
  readonly newest: number;
}

/** The range that the inputs mean, with the defaults: oldest 1, newest the active version. Call it on inputs without violations. */
export function keyVersionRange(inputs: KeyVersionInputs): KeyVersionRange {
  const active = inputs.keyVersion as number;
  return {
    active,
    oldest: (inputs.oldestKeyVersion as number | undefined) ?? 1,
    newest: (inputs.newestKeyVersion as number | undefined) ?? active,
  };
}

/** A rollout looks at every declared key in every preview, and a cluster in use has two or three. */
const mostDeclaredKeys = 100;

/** Every version of a range, oldest first. */
export function declaredVersions(range: KeyVersionRange): readonly number[] {
  return Array.from({ length: range.newest - range.oldest + 1 }, (_, index) => range.oldest + index);
}

/** Versions are whole numbers from 1, and `keyVersion` lies in oldestKeyVersion..newestKeyVersion. */
export function keyVersionViolations(inputs: KeyVersionInputs): readonly InputViolation[] {
  const violations = [
    ...wholeNumberViolations("keyVersion", inputs.keyVersion, false),
    ...wholeNumberViolations("oldestKeyVersion", inputs.oldestKeyVersion, true),
    ...wholeNumberViolations("newestKeyVersion", inputs.newestKeyVersion, true),
  ];
  if (violations.length > 0) return violations;
  const { active, oldest, newest } = keyVersionRange(inputs);
  if (active < oldest) {
    return [
      {
        path: "keyVersion",
        reason: `is ${active}, but the oldest declared key is version ${oldest}; lower oldestKeyVersion to ${active} or raise keyVersion`,
      },
    ];
  }
  if (newest - oldest >= mostDeclaredKeys) {
    return [
      {
        path: "oldestKeyVersion",
        reason: `is ${oldest}, so ${newest - oldest + 1} keys would be declared; declare at most ${mostDeclaredKeys}`,
      },
    ];
  }
  if (active > newest) {
    return [
      {
        path: "keyVersion",
        reason: `is ${active}, but the newest declared key is version ${newest}; raise newestKeyVersion to ${active} or leave it out`,
      },
    ];
  }
  return [];
}

/** A version number on its own, as the keys of a rollout have one. */
export function wholeNumberViolations(path: string, value: unknown, optional: boolean): readonly InputViolation[] {
  if (value === undefined && optional) return [];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 1) return [];
  return [{ path, reason: `is ${shown(value)}; write a whole number, 1 or greater` }];
}

/** Exactly one of `names` is given, and this version can carry it out. `what` names the choice: "key" or "cluster". */
export function oneBlockViolations(
  inputs: Readonly<Record<string, unknown>>,
  names: readonly string[],
  what: string,
): readonly InputViolation[] {
  const usable = names.filter((name) => availableBlocks.has(name));
  const given = names.filter((name) => inputs[name] !== undefined && inputs[name] !== null);
  if (given.length === 0) {
    const path = usable[0] ?? "";
    return [{ path, reason: `is missing: no ${what} is named; give exactly one of ${usable.join(", ")}` }];
  }
  if (given.length > 1) {
    return given.map((path) => ({
      path,
      reason: `is one of ${given.length} blocks that name a ${what} (${given.join(", ")}); keep exactly one`,
    }));
  }
  return given
    .filter((name) => !availableBlocks.has(name))
    .map((path) => ({ path, reason: `is not available in this version; use ${usable.join(" or ")}` }));
}

/** Inputs that nobody knows: a misspelt name would otherwise be ignored without a word. */
export function unknownInputViolations(
  inputs: Readonly<Record<string, unknown>>,
  known: readonly string[],
): readonly InputViolation[] {
  return Object.keys(inputs)
    .filter((name) => !known.includes(name) && inputs[name] !== undefined)
    .map((path) => ({ path, reason: `is not an input; the inputs are ${known.join(", ")}` }));
}

/** A plural name with its group, or a wildcard: `*.*`, `*.` (the core group), `*.apps`. */
const resourceName = /^(\*\.(\*|[a-z0-9.-]*)|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)$/;

/** Names of resources as EncryptionConfiguration has them. */
export function resourceNameViolations(path: string, resources: readonly unknown[]): readonly InputViolation[] {
  if (resources.length === 0) return [{ path, reason: 'is empty; name at least one resource, for example "secrets"' }];
  return resources.flatMap((name, index): InputViolation[] => {
    const at = `${path}[${index}]`;
    if (typeof name !== "string" || !resourceName.test(name)) {
      return [
        { path: at, reason: `is ${shown(name)}; write a resource's plural name, "secrets" or "pandas.example.com"` },
      ];
    }
    if (resources.indexOf(name) < index) return [{ path: at, reason: `repeats "${name}"; name each resource once` }];
    return [];
  });
}

function shown(value: unknown): string {
  if (value === undefined) return "missing";
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
    return Number.isNaN(value) ? "NaN" : JSON.stringify(value);
  return `of type ${Array.isArray(value) ? "list" : typeof value}`;
}
