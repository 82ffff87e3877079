/**
 * The spec of a kOps cluster with encryption at rest in it, for a program or a repository that keeps the spec itself: what it writes back
 * has the plugins then, as the engine would put them there.
 */
import * as pulumi from "@pulumi/pulumi";
import { describeError, KmsEtcdError } from "../../core/errors";
import type { InputViolation } from "../../core/input-rules";
import { keyReferenceOf, keyViolations } from "../../core/key-inputs";
import { kopsViolations } from "../../core/kops-inputs";
import { pluginInstance } from "../../core/plugin-instance";
import { apiServerGroups, readCluster, readInstanceGroup } from "../../rotation/adapters/kops/cluster-spec";
import {
  type KmsSettings,
  type PolicyStatement,
  withKmsSettings,
} from "../../rotation/adapters/kops/merge-cluster-spec";
import { pluginImage } from "../../rotation/adapters/kops/plugin-asset";
import { readSecretText } from "../../rotation/adapters/kops/secret-text";
import { specProblems } from "../../rotation/adapters/kops/spec-problems";
import type { KopsPluginArgs } from "./kops-platform";

/** A key in AWS KMS that a cluster's machines run a plugin for. */
export interface KopsSpecKey {
  /** ARN of the key. */
  readonly keyArn: string;
  /** The context that is bound to every ciphertext. */
  readonly encryptionContext?: Record<string, string>;
}

/** What goes into a kOps cluster's spec, and into which one. All of it is known: use it inside `apply` where outputs are needed. */
export interface KopsSpecArgs {
  /** The cluster's document, as `kops get cluster NAME -o json` prints it, or an object of the program. */
  readonly cluster: Record<string, unknown>;
  /** The documents of all its instance groups, as `kops get instancegroups -o json` prints them. */
  readonly instanceGroups: readonly Record<string, unknown>[];
  /** The keys that stored data may need: those of the versions that KopsKmsSettings declares. */
  readonly keys: readonly KopsSpecKey[];
  /** The KMS plugin, as KopsKmsSettings has it. */
  readonly plugin: pulumi.Unwrap<KopsPluginArgs>;
  /**
   * Statements for the machines' role, as an AwsKeyAccess gives them.
   * @default the spec's policies stay as they are
   */
  readonly policyStatements?: string;
  /**
   * Text of the `encryptionconfig` secret that is meant for the cluster, to be checked with the rest. It does not go into the spec.
   * @default not looked at
   */
  readonly encryptionConfig?: string;
}

/**
 * The cluster's document with `encryptionConfig: true` and a file asset for each key's plugin; every other field keeps its value and its place, and a
 * plugin that is there keeps its port. What machines could not use (`roles: [Master]`, padded base64, a configuration of another kind) is
 * refused, all of it in one error.
 * @param args The cluster, its groups, the keys and the plugin.
 * @returns The merged document. The one that was given stays as it is.
 */
export function kopsSpecWithKmsSettings(args: KopsSpecArgs): Record<string, unknown> {
  const violations: InputViolation[] = [];
  const cluster = readAt(violations, "cluster", () => readCluster(args.cluster));
  const groups = args.instanceGroups.flatMap(
    (group, index) => readAt(violations, `instanceGroups[${index}]`, () => readInstanceGroup(group)) ?? [],
  );
  const roles = [...new Set(apiServerGroups(groups).map(({ role }) => role))];
  if (roles.length === 0) {
    violations.push({
      path: "instanceGroups",
      reason: "has no group with API servers; give all groups of the cluster",
    });
  }
  if (args.keys.length === 0) violations.push({ path: "keys", reason: "is empty; give at least one key" });
  const plugins = args.keys.flatMap((aws, index) => {
    const found = keyViolations(`keys[${index}]`, { aws });
    violations.push(...found.map(({ path, reason }) => ({ path: path.replace("].aws", "]"), reason })));
    const key = found.length > 0 ? undefined : keyReferenceOf({ aws }, index + 1);
    return key === undefined ? [] : [pluginInstance(key)];
  });
  violations.push(...platformViolations(args, cluster?.metadata.name));
  const secret = args.encryptionConfig;
  if (secret !== undefined) readAt(violations, "encryptionConfig", () => readSecretText(secret));
  if (
    cluster !== undefined &&
    typeof (args.plugin as Partial<KopsSpecArgs["plugin"]> | undefined)?.image === "string"
  ) {
    const settings = { plugins, roles, image: pluginImage(args.plugin), ...statementsOf(args, violations) };
    const problems = specProblems(cluster, groups, settings);
    violations.push(
      ...problems.map(({ path, reason, remedy }) => ({ path: `cluster: ${path}`, reason: `${reason}; ${remedy}` })),
    );
    if (violations.length === 0) return withKmsSettings(cluster, settings) as unknown as Record<string, unknown>;
  }
  throw new pulumi.InputPropertiesError({
    message: [
      "kopsSpecWithKmsSettings: machines could not use the spec",
      ...violations.map(({ path, reason }) => `  ${path} ${reason}`),
    ].join("\n"),
    errors: violations.map(({ path, reason }) => ({ propertyPath: path, reason })),
  });
}

/** What `read` gives; undefined, with a violation more, for what is no such document. */
function readAt<Document>(violations: InputViolation[], path: string, read: () => Document): Document | undefined {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof KmsEtcdError)) throw thrown;
    violations.push({ path, reason: describeError(thrown) });
    return undefined;
  }
}

/** By the rules of the `kops` block, of which this is a part. */
function platformViolations({ plugin, policyStatements }: KopsSpecArgs, clusterName = "example.com") {
  return kopsViolations(
    { clusterName, plugin, ...(policyStatements !== undefined && { policyStatements }) },
    "kops",
  ).map(({ path, reason }) => ({ path: path.replace(/^kops\./, ""), reason }));
}

/** Nothing where they are refused already. */
function statementsOf(
  { policyStatements }: KopsSpecArgs,
  violations: readonly InputViolation[],
): Pick<KmsSettings, "statements"> {
  if (policyStatements === undefined || violations.some(({ path }) => path === "policyStatements")) return {};
  return { statements: JSON.parse(policyStatements) as readonly PolicyStatement[] };
}
