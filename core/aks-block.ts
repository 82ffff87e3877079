/**
 * What is wrong with the inputs about a cluster of AKS, in the component's block and in the resource alike. Values may be anything, because
 * programs in JavaScript pass anything; what becomes known only later is taken to be right.
 */
import { AksCredential } from "./aks-credential";
import { AksEncryptionMode } from "./aks-encryption-mode";
import { AksReach } from "./aks-reach";
import { type InputViolation, unknownInputViolations } from "./input-rules";

type Inputs = Readonly<Record<string, unknown>>;
type IsLater = (value: unknown) => boolean;

export const aksBlockInputs = ["clusterId", "mode", "identityId", "vaultId", "kubernetes", "limits"];
const kubernetesInputs = ["kubeconfig", "credential", "reach"];
const kubernetesChoices: Readonly<Record<string, readonly string[]>> = {
  credential: Object.values(AksCredential),
  reach: Object.values(AksReach),
};

/** Waiting times, in seconds, and their defaults. */
export const aksLimitDefaults = { apiSeconds: 900, busySeconds: 3600, grantSeconds: 900, settleSeconds: 60 } as const;

const clusterIdForm =
  /^\/subscriptions\/[0-9a-f-]{36}\/resourceGroups\/[^/]+\/providers\/Microsoft\.ContainerService\/managedClusters\/[^/]+$/i;
const identityIdForm =
  /^\/subscriptions\/[0-9a-f-]{36}\/resourceGroups\/[^/]+\/providers\/Microsoft\.ManagedIdentity\/userAssignedIdentities\/[^/]+$/i;
const vaultIdForm =
  /^\/subscriptions\/[0-9a-f-]{36}\/resourceGroups\/[^/]+\/providers\/Microsoft\.KeyVault\/vaults\/[^/]+$/i;

/** The block of the component, at `path`. */
export function aksBlockViolations(path: string, block: Inputs, isLater: IsLater): readonly InputViolation[] {
  return [
    ...unknownInputViolations(block, aksBlockInputs),
    ...clusterIdViolations(block["clusterId"], isLater),
    ...choiceViolations("mode", block["mode"], Object.values(AksEncryptionMode), isLater),
    ...idViolations("identityId", block["identityId"], identityIdForm, "az identity show", isLater),
    ...idViolations("vaultId", block["vaultId"], vaultIdForm, "az keyvault show", isLater),
    ...accessViolations(block, isLater),
  ].map((violation) => ({ ...violation, path: `${path}.${violation.path}` }));
}

export function clusterIdViolations(value: unknown, isLater: IsLater): readonly InputViolation[] {
  if (value === undefined || value === null) {
    return [{ path: "clusterId", reason: "is missing; give the cluster's resource id: cluster.id, or a text" }];
  }
  return idViolations("clusterId", value, clusterIdForm, "az aks show", isLater);
}

/** The parts `kubernetes` and `limits`. */
export function accessViolations({ kubernetes, limits }: Inputs, isLater: IsLater): readonly InputViolation[] {
  return [
    ...partViolations("kubernetes", kubernetes, kubernetesInputs, isLater, (name, value, path) => {
      const choices = kubernetesChoices[name];
      if (choices !== undefined) return choiceViolations(path, value, choices, isLater);
      if (typeof value === "string" && value !== "") return [];
      return [{ path, reason: "is no text; give the text of a kubeconfig, not its path" }];
    }),
    ...uselessBesideRunCommand(kubernetes),
    ...partViolations("limits", limits, Object.keys(aksLimitDefaults), isLater, (_name, value, path) =>
      typeof value === "number" && value >= 0
        ? []
        : [{ path, reason: `is ${JSON.stringify(value)}; write a number of seconds` }],
    ),
  ];
}

/** What AKS runs in the cluster is given no credentials of ours. */
function uselessBesideRunCommand(kubernetes: unknown): readonly InputViolation[] {
  if (typeof kubernetes !== "object" || kubernetes === null) return [];
  const given = kubernetes as Inputs;
  if (given["reach"] !== AksReach.RunCommand) return [];
  return ["kubeconfig", "credential"]
    .filter((name) => given[name] !== undefined && given[name] !== null)
    .map((name) => ({
      path: `kubernetes.${name}`,
      reason: `has no use with kubernetes.reach ${AksReach.RunCommand}; leave one of the two out`,
    }));
}

export function choiceViolations(
  path: string,
  value: unknown,
  choices: readonly string[],
  isLater: IsLater,
): readonly InputViolation[] {
  if (value === undefined || value === null || isLater(value) || choices.some((choice) => choice === value)) return [];
  return [{ path, reason: `is ${JSON.stringify(value)}; write one of ${choices.join(", ")}` }];
}

function idViolations(
  path: string,
  value: unknown,
  form: RegExp,
  command: string,
  isLater: IsLater,
): readonly InputViolation[] {
  if (value === undefined || value === null || isLater(value)) return [];
  if (typeof value === "string" && form.test(value)) return [];
  return [{ path, reason: `is ${JSON.stringify(value)}; write what \`${command} --query id --output tsv\` prints` }];
}

function partViolations(
  path: string,
  part: unknown,
  names: readonly string[],
  isLater: IsLater,
  check: (name: string, value: unknown, path: string) => readonly InputViolation[],
): readonly InputViolation[] {
  if (part === undefined || part === null || isLater(part)) return [];
  if (typeof part !== "object" || Array.isArray(part)) return [{ path, reason: "is not an object" }];
  return [
    ...unknownInputViolations(part as Inputs, names).map((found) => ({ ...found, path: `${path}.${found.path}` })),
    ...names.flatMap((name) => {
      const value = (part as Inputs)[name];
      return value === undefined || value === null || isLater(value) ? [] : check(name, value, `${path}.${name}`);
    }),
  ];
}

/** Inputs of KmsEtcdEncryption that AKS decides itself, and what to do instead. */
const decidedByAks: Readonly<Record<string, string>> = {
  resources: "AKS encrypts Secrets, and nothing else",
  allowPlaintextReads: "AKS reads plaintext as long as it needs to",
  rewriteBy: "Secrets are written again through the API",
  advanceTo: "AKS brings its API servers to the key by itself, all at once",
  limits: "write aks.limits",
  etcdSnapshot: "there is no way to the etcd of AKS",
  compactAfterPrune: "there is no way to the etcd of AKS",
  withoutLease: "ARM lets one change a cluster at a time",
  retireKeyVersions: "use AzureKeyVaultKey or AzureKeyAttributes, once the cluster has been rotated twice since",
  policy: "keys of AKS have no policy here yet",
};

/** What does not go together with the block `aks` among the component's other inputs. */
export function besideAksViolations(inputs: Inputs, mode: AksEncryptionMode): readonly InputViolation[] {
  const given = (name: string) => inputs[name] !== undefined && inputs[name] !== null;
  const decided = Object.entries(decidedByAks)
    .filter(([name]) => given(name) && !(name === "resources" && isSecretsOnly(inputs[name])))
    .map(([path, why]) => ({ path, reason: `can't be given with aks: ${why}` }));
  const elsewhere = ["awsKms", "localKey"]
    .filter(given)
    .map((path) => ({ path, reason: "names keys that AKS can't use; use azureKeyVault" }));
  if (mode === AksEncryptionMode.KmsPlugin) return [...decided, ...elsewhere];
  const versions = ["keyVersion", "oldestKeyVersion", "newestKeyVersion"].filter(given).map((path) => ({
    path,
    reason: `can't be given with aks.mode ${mode}: the platform rotates the key by itself; leave it out`,
  }));
  const vault =
    mode === AksEncryptionMode.PlatformManagedKey && given("azureKeyVault")
      ? [
          {
            path: "azureKeyVault",
            reason: `can't be given with aks.mode ${mode}: the key is the platform's; leave it out`,
          },
        ]
      : [];
  const off =
    inputs["enabled"] === false
      ? [{ path: "enabled", reason: `is false, but aks.mode ${mode} can't be turned off (rule J4); leave it out` }]
      : [];
  return [...decided, ...elsewhere, ...versions, ...vault, ...off];
}

function isSecretsOnly(resources: unknown): boolean {
  return Array.isArray(resources) && resources.length === 1 && resources[0] === "secrets";
}
