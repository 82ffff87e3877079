/** `kms-etcd status --subscription ID`: every cluster of AKS in a subscription, and how it encrypts its etcd. */
import type { InputViolation } from "../../core/input-rules";
import { type ClusterEncryption, subscriptionClusters } from "../adapters/aks/subscription-clusters";
import { lazyArmAccess } from "../adapters/azure/lazy-arm-access";
import { ExitCode } from "./exit-code";
import { jsonText } from "./json-text";
import { amount, table } from "./table";
import { busy, type Terminal } from "./terminal";
import { UsageError } from "./usage-error";

export interface SubscriptionFlags {
  readonly subscription: string;
  readonly json?: boolean;
}

/** Gives the clusters of a subscription. */
export type SubscriptionReader = (subscriptionId: string, signal: AbortSignal) => Promise<readonly ClusterEncryption[]>;

/** With the credentials of the environment, as azure-native and the Azure SDKs find them. */
const readSubscription: SubscriptionReader = (subscriptionId, signal) =>
  subscriptionClusters(lazyArmAccess(process.env)().arm, subscriptionId, signal);

const guid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Prints what there is, whatever state it is in: it is a list and no judgement. */
export async function subscriptionStatus(
  flags: SubscriptionFlags & Readonly<Record<string, unknown>>,
  context: { readonly terminal: Terminal; readonly signal: AbortSignal },
  read = readSubscription,
): Promise<ExitCode> {
  const violations = violationsOf(flags);
  if (violations.length > 0) throw new UsageError(violations);
  const { terminal, signal } = context;
  const clusters = await busy(terminal, () => "asking Azure", read(flags.subscription, signal));
  terminal.print(flags.json === true ? jsonText({ clusters }) : clustersText(clusters));
  return ExitCode.Ok;
}

function violationsOf(flags: SubscriptionFlags & Readonly<Record<string, unknown>>): readonly InputViolation[] {
  const others = ["config", "controlPlane", "key", "resource", "metrics"].filter((name) => flags[name] !== undefined);
  const spelt = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return [
    ...(guid.test(flags.subscription)
      ? []
      : [
          {
            path: "--subscription",
            reason: "is no id of a subscription; `az account show --query id` prints the one in use",
          },
        ]),
    ...others.map((name) => ({
      path: `--${spelt(name)}`,
      reason: "names one cluster; --subscription lists those of a subscription",
    })),
  ];
}

function clustersText(clusters: readonly ClusterEncryption[]): string {
  if (clusters.length === 0) return "no cluster of AKS in this subscription";
  const rows = clusters.map(({ resourceGroup, name, kubernetesVersion, provisioningState, mode, ...key }) => [
    resourceGroup,
    name,
    kubernetesVersion,
    provisioningState,
    mode,
    key.vaultNetworkAccess ?? "-",
    key.keyId ?? "-",
  ]);
  const off = clusters.filter(({ mode }) => mode === "Off").length;
  return [
    ...table(["GROUP", "CLUSTER", "VERSION", "STATE", "ENCRYPTION", "VAULT", "KEY"], rows),
    "",
    `${amount(clusters.length, "cluster")}, ${off} of them without a key`,
  ].join("\n");
}
