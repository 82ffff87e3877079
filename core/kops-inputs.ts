/**
 * The block `kops`: everything that is wrong with it, by path, and the cluster that it means. A value that Pulumi does not know yet
 * is a symbol in the provider, and is taken to be right.
 */
import { isAbsolute } from "node:path";
import { pinnedReferenceProblem } from "./image-reference";
import { type InputViolation, unknownInputViolations } from "./input-rules";
import {
  below,
  type InputBlock,
  isAbsent,
  isBlock,
  isUnknown,
  optionalBlock,
  optionalTextViolations,
  textsViolations,
  textViolations,
  withoutAbsent,
} from "./input-values";
import { type KopsCluster, KopsMachineAddress, type KopsRolling } from "./kops-cluster";
import { PluginFlavour } from "./plugin-flavour";

const names = {
  block: [
    ...["clusterName", "stateStore", "program", "kubeconfig", "kubeconfigFile", "machineAddress", "jumpHost"],
    ...["plugin", "policyStatements", "backupDirectory", "etcdBackupsWithoutKeyVersions", "rolling"],
  ],
  jumpHost: ["address", "port", "user", "privateKey", "passphrase", "agentSocket", "knownHosts"],
  plugin: ["image", "flavour", "command", "arguments", "awsEndpoint"],
};

/** Whole numbers, with the least that makes sense. */
const rollingInputs: ReadonlyMap<keyof KopsRolling, number> = new Map([
  ["intervalSeconds", 1],
  ["drainTimeoutSeconds", 1],
  ["postDrainSeconds", 0],
  ["validateCount", 1],
  ["validationTimeoutSeconds", 1],
]);

const defaults = { program: "kops", sshPort: 22 };

/** Paths begin with `path`, the name of the block. */
export function kopsViolations(value: unknown, path: string): readonly InputViolation[] {
  if (!isBlock(value)) return [{ path, reason: "is not an object; write { clusterName, plugin: { image } }" }];
  return [
    ...below(path, unknownInputViolations(value, names.block)),
    ...clusterNameViolations(value["clusterName"], `${path}.clusterName`),
    ...stateStoreViolations(value["stateStore"], `${path}.stateStore`),
    ...optionalTextViolations(value, "program", path),
    ...credentialsViolations(value, path),
    ...choiceViolations(value["machineAddress"], `${path}.machineAddress`, Object.values(KopsMachineAddress)),
    ...optionalBlock(value["jumpHost"], `${path}.jumpHost`, jumpHostViolations),
    ...pluginViolations(value["plugin"], `${path}.plugin`),
    ...statementsViolations(value["policyStatements"], `${path}.policyStatements`),
    ...pathViolations(value["backupDirectory"], `${path}.backupDirectory`),
    ...versionsViolations(value["etcdBackupsWithoutKeyVersions"], `${path}.etcdBackupsWithoutKeyVersions`),
    ...optionalBlock(value["rolling"], `${path}.rolling`, rollingViolations),
  ];
}

/** What a block without violations, in which everything is known, means. */
export function kopsCluster(value: unknown): KopsCluster {
  const block = withoutAbsent(value as InputBlock);
  const { jumpHost, plugin, rolling } = block as {
    readonly jumpHost?: InputBlock;
    readonly plugin: InputBlock;
    readonly rolling?: KopsRolling;
  };
  return {
    program: defaults.program,
    machineAddress: KopsMachineAddress.Internal,
    ...block,
    ...(jumpHost && { jumpHost: { port: defaults.sshPort, ...withoutAbsent(jumpHost) } }),
    plugin: { flavour: PluginFlavour.KmsEtcd, ...withoutAbsent(plugin) },
    rolling: withoutAbsent(rolling ?? {}),
  } as unknown as KopsCluster;
}

export function clusterNameViolations(value: unknown, path: string): readonly InputViolation[] {
  if (isUnknown(value)) return [];
  if (typeof value !== "string" || value.trim() === "") {
    return [{ path, reason: "is missing; give the cluster's name as `kops get clusters` prints it" }];
  }
  // kops takes what begins with a dash for a flag.
  if (/^[a-z0-9][a-z0-9.-]*$/.test(value)) return [];
  return [{ path, reason: `is ${JSON.stringify(value)}; write a DNS name in small letters, as kops has it` }];
}

export function stateStoreViolations(value: unknown, path: string): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value)) return [];
  if (typeof value === "string" && /^s3:\/\/[a-z0-9][a-z0-9./-]*$/.test(value)) return [];
  const reason = `is ${JSON.stringify(value)}; write s3://BUCKET, as in KOPS_STATE_STORE: machines boot from no other kind on AWS`;
  return [{ path, reason }];
}

function credentialsViolations(block: InputBlock, path: string): readonly InputViolation[] {
  const both = !isAbsent(block["kubeconfig"]) && !isAbsent(block["kubeconfigFile"]);
  return [
    ...optionalTextViolations(block, "kubeconfig", path),
    ...pathViolations(block["kubeconfigFile"], `${path}.kubeconfigFile`),
    ...(both ? [{ path: `${path}.kubeconfigFile`, reason: "is given beside kubeconfig; keep one of them" }] : []),
  ];
}

function jumpHostViolations(jump: InputBlock, path: string): readonly InputViolation[] {
  const noKey = isAbsent(jump["privateKey"]) && isAbsent(jump["agentSocket"]);
  return [
    ...below(path, unknownInputViolations(jump, names.jumpHost)),
    ...textViolations(jump, "address", path, "the bastion's name or IP address"),
    ...textViolations(jump, "user", path, "the user that logs in there"),
    ...textViolations(jump, "knownHosts", path, "its lines of known_hosts: nobody's key is trusted at first sight"),
    ...(noKey
      ? [{ path: `${path}.privateKey`, reason: "is missing; give a private key, or an agent's socket in agentSocket" }]
      : []),
    ...["privateKey", "passphrase", "agentSocket"].flatMap((name) => optionalTextViolations(jump, name, path)),
    ...wholeNumber(jump["port"], `${path}.port`, 1, 65_535),
  ];
}

function pluginViolations(plugin: unknown, path: string): readonly InputViolation[] {
  if (isUnknown(plugin)) return [];
  if (!isBlock(plugin)) return [{ path, reason: "is missing; say which image the KMS plugin is: { image }" }];
  const { image, awsEndpoint } = plugin;
  const missing = textViolations(plugin, "image", path, "the plugin's image by digest, for example of a PluginImage");
  const pinned = typeof image === "string" && missing.length === 0 ? pinnedReferenceProblem(image) : undefined;
  const flavours = [PluginFlavour.KmsEtcd, PluginFlavour.AwsEncryptionProvider];
  return [
    ...below(path, unknownInputViolations(plugin, names.plugin)),
    ...missing,
    ...(pinned === undefined ? [] : [{ path: `${path}.image`, reason: pinned }]),
    ...choiceViolations(plugin["flavour"], `${path}.flavour`, flavours),
    ...["command", "arguments"].flatMap((name) => textsViolations(plugin[name], `${path}.${name}`)),
    ...(typeof awsEndpoint === "string" && !/^https?:\/\/[^/]/.test(awsEndpoint)
      ? [{ path: `${path}.awsEndpoint`, reason: `is "${awsEndpoint}"; write an http or https URL` }]
      : []),
  ];
}

function statementsViolations(value: unknown, path: string): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value)) return [];
  const wrong = [
    { path, reason: "is no JSON list of policy statements; take the output statements of an AwsKeyAccess" },
  ];
  if (typeof value !== "string") return wrong;
  try {
    const list: unknown = JSON.parse(value);
    if (!Array.isArray(list) || !list.every(isBlock)) return wrong;
    const foreign = list.find(({ Sid }: InputBlock) => typeof Sid !== "string" || !Sid.startsWith("KmsEtcd"));
    if (foreign === undefined) return [];
    const reason =
      'has a statement whose Sid does not begin with "KmsEtcd"; only those can be told from your own later';
    return [{ path, reason }];
  } catch {
    return wrong;
  }
}

export function rollingViolations(rolling: InputBlock, path: string): readonly InputViolation[] {
  return [
    ...below(path, unknownInputViolations(rolling, [...rollingInputs.keys()])),
    ...[...rollingInputs].flatMap(([name, least]) => wholeNumber(rolling[name], `${path}.${name}`, least, 86_400)),
  ];
}

function choiceViolations(value: unknown, path: string, choices: readonly string[]): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value) || choices.some((choice) => choice === value)) return [];
  return [{ path, reason: `is ${JSON.stringify(value)}; write one of ${choices.join(", ")}` }];
}

export function pathViolations(value: unknown, path: string): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value) || (typeof value === "string" && isAbsolute(value))) return [];
  return [{ path, reason: "is not an absolute path" }];
}

function versionsViolations(value: unknown, path: string): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value)) return [];
  if (!Array.isArray(value)) return [{ path, reason: "is not a list; write [1] for version 1" }];
  return value.flatMap((version: unknown, index) =>
    wholeNumber(version, `${path}[${index}]`, 1, Number.MAX_SAFE_INTEGER),
  );
}

function wholeNumber(value: unknown, path: string, least: number, most: number): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value)) return [];
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return [];
  return [{ path, reason: `is ${JSON.stringify(value)}; write a whole number, ${least} to ${most}` }];
}
