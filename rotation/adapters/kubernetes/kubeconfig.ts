/** The credentials in a kubeconfig. */
import { parseDocument } from "yaml";
import { KmsEtcdError } from "../../../core/errors";
import type { ApiServerAddress } from "./api-client";

export interface KubeconfigCredentials extends Pick<ApiServerAddress, "tls" | "token"> {
  /** The cluster's address. */
  readonly server: string;
  /** Names that the server's certificate may have: what the kubeconfig calls it. */
  readonly serverNames: readonly string[];
}

/**
 * Of the current context, or of the only one, or of the one that is named. `readFile` gives the files that it names; without it
 * there must be none. `tokenOf` gives the token that the program in `exec` would print; without it there must be no program.
 * Throws `invalid-input`, naming `what` and the field, and never a part of the text.
 */
export async function readKubeconfig(
  text: string,
  what: string,
  readFile?: (path: string) => Promise<string>,
  contextName?: string,
  tokenOf?: (exec: Readonly<Record<string, unknown>>) => Promise<string>,
): Promise<KubeconfigCredentials> {
  const document = parseDocument(text, { prettyErrors: false });
  const root = document.errors.length > 0 ? {} : record(document.toJS());
  if (root["kind"] !== "Config") throw invalid(what, "is no kubeconfig");
  const contexts = named(root["contexts"]);
  const current = root["current-context"];
  const [only] = contexts.size === 1 ? contexts.values() : [];
  const context = record(
    contextName === undefined
      ? ((typeof current === "string" ? contexts.get(current) : undefined)?.["context"] ?? only?.["context"])
      : contexts.get(contextName)?.["context"],
  );
  const cluster = record(named(root["clusters"]).get(String(context["cluster"]))?.["cluster"]);
  const user = record(named(root["users"]).get(String(context["user"]))?.["user"]);
  if (typeof cluster["server"] !== "string") {
    if (contextName !== undefined) throw invalid(what, `has no context ${contextName}`, "add it");
    throw invalid(what, "names no cluster in its current context", "set current-context");
  }
  const exec = user["exec"];
  if ((exec !== undefined && tokenOf === undefined) || user["auth-provider"] !== undefined) {
    throw invalid(
      what,
      "gets its credentials from a program, which may not be where the engine runs",
      "make one with a client certificate or a token: kubeadm kubeconfig user --client-name kms-etcd --org system:masters",
    );
  }

  async function pem(from: Readonly<Record<string, unknown>>, name: string): Promise<string | undefined> {
    const data = from[`${name}-data`];
    if (typeof data === "string") return Buffer.from(data, "base64").toString("utf8");
    const path = from[name];
    if (typeof path !== "string") return undefined;
    if (readFile === undefined) {
      throw invalid(what, `names a file in ${name}`, "put it inside: kubectl config view --raw --flatten");
    }
    return readFile(path);
  }

  const ca = await pem(cluster, "certificate-authority");
  if (ca === undefined)
    throw invalid(what, "has no certificate-authority", "add the cluster's authority: nobody else's is trusted");
  const cert = await pem(user, "client-certificate");
  const key = await pem(user, "client-key");
  const token = exec !== undefined && tokenOf !== undefined ? await tokenOf(record(exec)) : user["token"];
  const { server } = cluster;
  const serverNames = [
    ...(typeof cluster["tls-server-name"] === "string" ? [cluster["tls-server-name"]] : []),
    new URL(server).hostname.replace(/^\[|\]$/g, ""),
  ];
  if (cert !== undefined && key !== undefined) return { server, tls: { ca, cert, key }, serverNames };
  if (typeof token === "string" && token !== "") return { server, tls: { ca }, token, serverNames };
  throw invalid(what, "has neither a client certificate with its key nor a token", "give one with credentials");
}

function named(value: unknown): ReadonlyMap<string, Readonly<Record<string, unknown>>> {
  const list: readonly unknown[] = Array.isArray(value) ? value : [];
  return new Map(list.map(record).map((entry) => [String(entry["name"]), entry]));
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function invalid(what: string, problem: string, remedy = "give the text of a kubeconfig"): KmsEtcdError {
  return new KmsEtcdError("invalid-input", `${what} ${problem}`, { remedy });
}
