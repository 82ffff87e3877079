/** Where the API servers of a cluster of AKS are, and as whom we ask them: from a kubeconfig that is given, or that ARM gives. */
import { AksCredential } from "../../../core/aks-credential";
import type { AksReach } from "../../../core/aks-reach";
import { KmsEtcdError } from "../../../core/errors";
import type { ArmBody, ArmClient } from "../azure/arm-client";
import { armCodeOf } from "../azure/arm-error";
import type { ApiServerAddress } from "../kubernetes/api-client";
import { readKubeconfig } from "../kubernetes/kubeconfig";
import { stableApiVersion } from "./kms-settings";

export interface ApiAccess {
  /** Text of a kubeconfig. */
  readonly kubeconfig?: string;
  readonly credential?: AksCredential;
  readonly reach?: AksReach;
}

/** A token of Entra ID for an application, by its id. */
export type EntraToken = (serverId: string, signal: AbortSignal) => Promise<string>;

/** The application that AKS clusters with Entra ID take tokens for, where a kubeconfig does not name it. */
export const aksServerId = "6dae42f8-4368-4678-94ff-3960e28e3630";

export async function apiAddress(
  client: ArmClient,
  clusterId: string,
  access: ApiAccess,
  entraToken: EntraToken,
  signal: AbortSignal,
): Promise<ApiServerAddress> {
  const given = access.kubeconfig;
  const what = given === undefined ? "the kubeconfig that ARM gives" : "kubernetes.kubeconfig";
  const text = given ?? (await kubeconfigOf(client, clusterId, access.credential, signal));
  const { server, tls, token } = await readKubeconfig(text, what, undefined, undefined, (exec) =>
    entraToken(serverIdIn(exec), signal),
  );
  if (new URL(server).protocol !== "https:") {
    throw new KmsEtcdError("invalid-input", `${what} leads to ${server}, which is not https`, {
      remedy: "give one whose server is an https address: Secrets' metadata and our credentials go there",
    });
  }
  const name = clusterId.split("/").at(-1) ?? clusterId;
  return { name, url: server, tls, ...(token === undefined ? {} : { token }) };
}

async function kubeconfigOf(
  client: ArmClient,
  clusterId: string,
  credential: AksCredential | undefined,
  signal: AbortSignal,
): Promise<string> {
  const ask = (action: string) => client.post(`${clusterId}/${action}`, stableApiVersion, undefined, signal);
  if (credential === AksCredential.User) return textIn(await ask("listClusterUserCredential"), clusterId);
  try {
    return textIn(await ask("listClusterAdminCredential"), clusterId);
  } catch (thrown) {
    // Disabled local accounts are an answer of status 400 with code BadRequest and words that may change.
    if (credential !== undefined || armCodeOf(thrown) !== "BadRequest") throw thrown;
    return textIn(await ask("listClusterUserCredential"), clusterId);
  }
}

function textIn(answer: ArmBody, clusterId: string): string {
  const list = answer["kubeconfigs"];
  const [first] = Array.isArray(list) ? (list as { readonly value?: unknown }[]) : [];
  if (typeof first?.value === "string") return Buffer.from(first.value, "base64").toString("utf8");
  throw new KmsEtcdError("unsupported", `ARM has no kubeconfig of ${clusterId}`, {
    remedy: "give kubernetes.kubeconfig",
  });
}

/** `kubelogin get-token --server-id ID`, as AKS writes it. */
function serverIdIn(exec: Readonly<Record<string, unknown>>): string {
  const args = Array.isArray(exec["args"]) ? (exec["args"] as readonly unknown[]) : [];
  const id = args[args.indexOf("--server-id") + 1];
  return args.includes("--server-id") && typeof id === "string" ? id : aksServerId;
}
