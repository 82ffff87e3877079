/** The inputs of KopsKeypairRotation and KopsSecretRotation: what is wrong with them, by path, and what they mean. */
import { parseDuration } from "./duration";
import { type InputViolation, unknownInputViolations } from "./input-rules";
import { type InputBlock, isAbsent, isBlock, isUnknown, optionalTextViolations } from "./input-values";
import { KeypairStage } from "./keypair-stage";
import type { KopsProgram, KopsRolling } from "./kops-cluster";
import { clusterNameViolations, pathViolations, rollingViolations, stateStoreViolations } from "./kops-inputs";
import { ReplaceableSecret } from "./replaceable-secret";

/** The cluster whose credentials are rotated, from the block `kops`. */
export interface CredentialCluster extends KopsProgram {
  readonly kubeconfigFile?: string;
  /** For what a killed run has still to do, and for secrets that were replaced. */
  readonly recordDirectory?: string;
  readonly rolling: KopsRolling;
}

export interface KeypairRotationInputs {
  readonly kops: CredentialCluster;
  readonly keysets: readonly string[] | "all";
  /** Milliseconds since the epoch. */
  readonly madeBefore: number;
  readonly advanceTo: KeypairStage;
  readonly clientsTrustKeypair: string | undefined;
  readonly clientsUseKeypair: string | undefined;
  readonly adminCredentialLifetime: string | undefined;
}

export interface SecretRotationInputs {
  readonly kops: CredentialCluster;
  readonly secret: ReplaceableSecret;
  readonly content: string;
}

const names = {
  kops: ["clusterName", "stateStore", "program", "kubeconfigFile", "recordDirectory", "rolling"],
  keypairs: [
    ...["kops", "keysets", "replaceMadeBefore", "advanceTo", "clientsTrustKeypair", "clientsUseKeypair"],
    "adminCredentialLifetime",
  ],
  secret: ["kops", "secret", "content"],
};

const everyKeyset = "all";

export function keypairRotationViolations(inputs: InputBlock): readonly InputViolation[] {
  return [
    ...unknownInputViolations(inputs, names.keypairs),
    ...clusterViolations(inputs["kops"]),
    ...keysetViolations(inputs["keysets"]),
    ...momentViolations(inputs["replaceMadeBefore"], Date.now()),
    ...choiceViolations("advanceTo", inputs["advanceTo"], Object.values(KeypairStage), true),
    ...["clientsTrustKeypair", "clientsUseKeypair"].flatMap((name) => keypairViolations(name, inputs[name])),
    ...lifetimeViolations(inputs["adminCredentialLifetime"]),
  ];
}

/** What inputs without violations, in which everything is known, mean. */
export function keypairRotationInputs(inputs: InputBlock): KeypairRotationInputs {
  const { keysets, advanceTo } = inputs as { readonly keysets?: readonly string[]; readonly advanceTo?: KeypairStage };
  return {
    kops: credentialCluster(inputs["kops"] as InputBlock),
    keysets: keysets === undefined || isAbsent(keysets) || keysets.includes(everyKeyset) ? everyKeyset : keysets,
    madeBefore: Date.parse(inputs["replaceMadeBefore"] as string),
    advanceTo: advanceTo ?? KeypairStage.Distrust,
    clientsTrustKeypair: textOf(inputs["clientsTrustKeypair"]),
    clientsUseKeypair: textOf(inputs["clientsUseKeypair"]),
    adminCredentialLifetime: textOf(inputs["adminCredentialLifetime"]),
  };
}

export function secretRotationViolations(inputs: InputBlock): readonly InputViolation[] {
  const { secret, content } = inputs;
  return [
    ...unknownInputViolations(inputs, names.secret),
    ...clusterViolations(inputs["kops"]),
    ...choiceViolations("secret", secret, Object.values(ReplaceableSecret), false),
    ...contentViolations(secret, content),
  ];
}

export function secretRotationInputs(inputs: InputBlock): SecretRotationInputs {
  const { secret, content } = inputs as { readonly secret: ReplaceableSecret; readonly content: string };
  return { kops: credentialCluster(inputs["kops"] as InputBlock), secret, content };
}

/** The number by which Cilium tells one IPsec key from the next; undefined for a text that it would not read. */
export function ciliumKeyNumber(content: string): number | undefined {
  const number = /^\s*keys:\s*["']?(\d+)\+?\s+\S/m.exec(content)?.[1];
  return number === undefined ? undefined : Number(number);
}

/** Cilium has four bits for the number, and zero is no key. */
const greatestCiliumKey = 15;

/** Texts of secrets are never shown. */
function contentViolations(secret: unknown, content: unknown): readonly InputViolation[] {
  if (isUnknown(content) || isUnknown(secret)) return [];
  const problem = (reason: string) => [{ path: "content", reason }];
  if (typeof content !== "string" || content.trim() === "") return problem("is missing; give the secret's whole text");
  if (secret === ReplaceableSecret.DockerConfig && !isDockerConfig(content)) {
    return problem('is no Docker configuration; write JSON with "auths", "credHelpers" or "credsStore"');
  }
  if (secret === ReplaceableSecret.CiliumPassword) {
    const number = ciliumKeyNumber(content) ?? 0;
    if (number < 1 || number > greatestCiliumKey) {
      return problem(
        `is no IPsec key of Cilium; write keys: NUMBER ALGORITHM KEY [SIZE], with a NUMBER from 1 to ${greatestCiliumKey}`,
      );
    }
  }
  return [];
}

function isDockerConfig(content: string): boolean {
  try {
    const parsed: unknown = JSON.parse(content);
    return (
      typeof parsed === "object" &&
      parsed !== null &&
      ["auths", "credHelpers", "credsStore"].some((name) => name in parsed)
    );
  } catch {
    return false;
  }
}

function clusterViolations(value: unknown): readonly InputViolation[] {
  if (isUnknown(value)) return [];
  if (!isBlock(value)) return [{ path: "kops", reason: "is missing; say which cluster it is: { clusterName }" }];
  const { rolling } = value;
  return [
    ...unknownInputViolations(value, names.kops).map((each) => ({ ...each, path: `kops.${each.path}` })),
    ...clusterNameViolations(value["clusterName"], "kops.clusterName"),
    ...stateStoreViolations(value["stateStore"], "kops.stateStore"),
    ...optionalTextViolations(value, "program", "kops"),
    ...["kubeconfigFile", "recordDirectory"].flatMap((name) => pathViolations(value[name], `kops.${name}`)),
    ...(isBlock(rolling) ? rollingViolations(rolling, "kops.rolling") : []),
  ];
}

function credentialCluster(block: InputBlock): CredentialCluster {
  const given = Object.fromEntries(Object.entries(block).filter(([, value]) => !isAbsent(value)));
  return { program: "kops", rolling: {}, ...given } as unknown as CredentialCluster;
}

function keysetViolations(value: unknown): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value)) return [];
  const path = "keysets";
  if (!Array.isArray(value) || value.length === 0) {
    return [{ path, reason: `is empty; name keysets, as kops get keypairs prints them, or "${everyKeyset}"` }];
  }
  const all: readonly unknown[] = value;
  if (all.includes(everyKeyset) && all.length > 1) {
    return [{ path, reason: `names "${everyKeyset}" beside others; keep "${everyKeyset}" alone` }];
  }
  // kops takes what begins with a dash for a flag.
  const wrong = all.findIndex(
    (name) => !isUnknown(name) && (typeof name !== "string" || !/^[a-z0-9][\w.-]*$/.test(name)),
  );
  return wrong < 0
    ? []
    : [{ path: `${path}[${wrong}]`, reason: `is ${JSON.stringify(all[wrong])}; write a keyset's name` }];
}

function momentViolations(value: unknown, now: number): readonly InputViolation[] {
  if (isUnknown(value)) return [];
  const path = "replaceMadeBefore";
  const form = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/;
  const moment = typeof value === "string" && form.test(value) ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(moment)) {
    const shown = value === undefined || value === null ? "missing" : JSON.stringify(value);
    return [{ path, reason: `is ${shown}; write a date, or a time with its zone: 2026-11-21T12:00:00Z` }];
  }
  if (moment <= now) return [];
  return [
    { path, reason: `is ${JSON.stringify(value)}, which has not come; new keypairs would be made again and again` },
  ];
}

function keypairViolations(path: string, value: unknown): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value) || (typeof value === "string" && /^\d+$/.test(value))) return [];
  return [{ path, reason: `is ${JSON.stringify(value)}; write a keypair's number as a text, as waitingFor names it` }];
}

function lifetimeViolations(value: unknown): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value)) return [];
  const path = "adminCredentialLifetime";
  const wrong = [{ path, reason: `is ${JSON.stringify(value)}; write a duration as Go does, for example "18h"` }];
  if (typeof value !== "string") return wrong;
  try {
    return parseDuration(value) > 0 ? [] : wrong;
  } catch {
    return wrong;
  }
}

function choiceViolations(path: string, value: unknown, choices: readonly string[], optional: boolean) {
  if (isUnknown(value) || (optional && isAbsent(value)) || choices.some((choice) => choice === value)) return [];
  const shown = isAbsent(value) ? "missing" : JSON.stringify(value);
  return [{ path, reason: `is ${shown}; write one of ${choices.join(", ")}` }];
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
