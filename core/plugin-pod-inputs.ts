/** The inputs of one plugin's static pod: everything that is wrong with them, and the instance that they mean. Values may be anything. */
import { keyArnProblem, parseAwsKeyArn } from "./aws-key-arn";
import { managedHsmDomains, versionedAzureKeyId } from "./azure-key-id";
import { describeError } from "./errors";
import { type InputViolation, unknownInputViolations } from "./input-rules";
import type { KeyReference } from "./key-reference";
import { pluginInstance } from "./plugin-instance";
import { firstPluginPorts, type PluginPodInstance } from "./plugin-static-pod";
import { kubeadmLayout } from "./self-managed-cluster";
import { pluginViolations } from "./self-managed-inputs";

type Inputs = Readonly<Record<string, unknown>>;

/** Inputs that say which key, and which program uses it. */
export const keyAndPluginInputs = ["azureKeyId", "awsKeyArn", "encryptionContext", "plugin"];
const inputNames = [...keyAndPluginInputs, "podName", "socketPath", "healthPort", "metricsPort"];

/** Paths are those of the inputs. */
export function pluginPodViolations(inputs: Inputs): readonly InputViolation[] {
  return [
    ...unknownInputViolations(inputs, inputNames),
    ...keyAndPluginViolations(inputs),
    ...nameViolations(inputs["podName"]),
    ...socketViolations(inputs["socketPath"]),
    ...["healthPort", "metricsPort"].flatMap((name) => portViolations(inputs[name], name)),
  ];
}

export function keyAndPluginViolations(inputs: Inputs): readonly InputViolation[] {
  return [...keyViolations(inputs), ...pluginViolations(inputs["plugin"], "plugin")];
}

/** What inputs without violations mean. What they leave out is as the engine has it, so that it finds its own. */
export function pluginPodInstance(inputs: Inputs): PluginPodInstance {
  const key = keyOf(inputs);
  const instance = pluginInstance(key);
  const ports = firstPluginPorts(key);
  return {
    name: (inputs["podName"] as string | undefined) ?? instance.name,
    key,
    socketPath:
      (inputs["socketPath"] as string | undefined) ?? `${kubeadmLayout.pluginSocketDirectory}/${instance.socketFile}`,
    ports: {
      health: (inputs["healthPort"] as number | undefined) ?? ports.health,
      metrics: (inputs["metricsPort"] as number | undefined) ?? ports.metrics,
    },
  };
}

/** The key of inputs without violations. */
export function keyOf({ azureKeyId, awsKeyArn, encryptionContext }: Inputs): KeyReference {
  if (azureKeyId !== undefined) {
    const { domain, ...key } = versionedAzureKeyId(azureKeyId as string);
    const isHsm = managedHsmDomains.some((known) => known === domain);
    return { kind: "azure", ...key, ...(isHsm && { managedHsm: true }) };
  }
  const keyArn = awsKeyArn as string;
  const context = encryptionContext as Readonly<Record<string, string>> | undefined;
  return {
    kind: "aws",
    keyArn,
    region: parseAwsKeyArn(keyArn)?.region ?? "",
    ...(context !== undefined && { encryptionContext: context }),
  };
}

function keyViolations(inputs: Inputs): readonly InputViolation[] {
  const { azureKeyId, awsKeyArn, encryptionContext } = inputs;
  if (azureKeyId !== undefined && awsKeyArn !== undefined) {
    return [{ path: "awsKeyArn", reason: "stands beside azureKeyId; keep exactly one of the two" }];
  }
  if (azureKeyId !== undefined) {
    const outOfPlace = { path: "encryptionContext", reason: "is for keys in AWS KMS; leave it out" };
    return [...azureKeyViolations(azureKeyId), ...(encryptionContext === undefined ? [] : [outOfPlace])];
  }
  if (awsKeyArn === undefined) {
    return [{ path: "azureKeyId", reason: "is missing; give exactly one of azureKeyId, awsKeyArn" }];
  }
  const reason = keyArnProblem(awsKeyArn);
  return [...(reason === undefined ? [] : [{ path: "awsKeyArn", reason }]), ...contextViolations(encryptionContext)];
}

function azureKeyViolations(value: unknown): readonly InputViolation[] {
  try {
    versionedAzureKeyId(typeof value === "string" ? value : "");
    return [];
  } catch (thrown) {
    return [{ path: "azureKeyId", reason: describeError(thrown) }];
  }
}

function contextViolations(context: unknown): readonly InputViolation[] {
  if (context === undefined) return [];
  const entries = typeof context === "object" && context !== null ? Object.entries(context) : undefined;
  if (entries?.every(([, value]) => typeof value === "string")) return [];
  return [{ path: "encryptionContext", reason: "is no map of texts" }];
}

/** RFC 1123, as Kubernetes demands it of pods. */
function nameViolations(name: unknown): readonly InputViolation[] {
  if (name === undefined) return [];
  if (typeof name === "string" && /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) return [];
  return [
    { path: "podName", reason: `is ${JSON.stringify(name)}; write small letters, digits and hyphens, 63 at the most` },
  ];
}

function socketViolations(path: unknown): readonly InputViolation[] {
  if (path === undefined) return [];
  if (typeof path === "string" && /^\/[^\s'"\\$`/]+(\/[^\s'"\\$`/]+)+$/.test(path)) return [];
  return [
    { path: "socketPath", reason: `is ${JSON.stringify(path)}; write an absolute path in a directory, without blanks` },
  ];
}

function portViolations(port: unknown, path: string): readonly InputViolation[] {
  if (port === undefined) return [];
  if (typeof port === "number" && Number.isInteger(port) && port >= 1 && port <= 65_535) return [];
  return [{ path, reason: `is ${JSON.stringify(port)}; write a port, 1 to 65535` }];
}
