/**
 * Secrets written again by a command that AKS runs in the cluster: for clusters whose API servers can't be reached from here. Azure gives back
 * an exit code and some text, so a pass has less to say than one from here; what it means is the same.
 */
import { KmsEtcdError } from "../../../core/errors";
import type { ObjectFailure } from "../../observation";
import type { ArmBody, ArmClient } from "../azure/arm-client";
import { aksServerId, type EntraToken } from "./api-address";
import { stableApiVersion } from "./kms-settings";
import { rewriteScript } from "./rewrite-script";
import type { SecretsRewriter } from "./secrets-rewriter";

/** `cluster` is what ARM shows of it. Throws `blocked` where the cluster runs no commands. */
export function runCommandRewriter(
  arm: Pick<ArmClient, "post">,
  cluster: ArmBody,
  entraToken: EntraToken,
): SecretsRewriter {
  const id = textAt(cluster, "id");
  const properties = recordAt(cluster, "properties");
  const access = recordAt(properties, "apiServerAccessProfile");
  const takesTokens = recordAt(properties, "aadProfile")["managed"] === true;
  if (access["disableRunCommand"] === true) {
    throw new KmsEtcdError("blocked", `${id} runs no commands: apiServerAccessProfile.disableRunCommand is true`, {
      remedy: "set it to false, or run Pulumi where the API servers can be reached and leave kubernetes.reach out",
    });
  }

  async function run(command: string, signal: AbortSignal): Promise<string> {
    // Clusters with Entra ID run it as whom this token names, others as their administrator.
    const body = {
      command,
      context: "",
      ...(takesTokens ? { clusterToken: await entraToken(aksServerId, signal) } : {}),
    };
    const answer = recordAt(await arm.post(`${id}/runCommand`, stableApiVersion, body, signal), "properties");
    const logs = textAt(answer, "logs").trim();
    if (answer["exitCode"] === 0) return logs;
    const why = [textAt(answer, "reason"), logs.split("\n").at(-1) ?? "", "AKS does not say why"].find(
      (text) => text !== "",
    );
    throw new KmsEtcdError("unreachable", `the command in the cluster did not end well: ${why ?? ""}`, {
      remedy: "see whether the cluster's nodes have room for a small pod, and whether its API servers are up",
    });
  }

  return {
    async rewrite(onProgress, signal) {
      onProgress({ done: 0, total: undefined });
      const logs = await run(rewriteScript, signal);
      const found = /^kms-etcd offered=(\d+) rewritten=(\d+) gone=(\d+) failed=(\d+)$/m.exec(logs);
      if (found === null) {
        throw new KmsEtcdError("unreachable", `the command in the cluster said something unexpected: ${logs}`);
      }
      const [offered = 0, rewritten = 0, , failed = 0] = found.slice(1).map(Number);
      onProgress({ done: offered, total: offered });
      const names = [...logs.matchAll(/^kms-etcd rewritten (.+)$/gm)].map(([, name = ""]) => name);
      const named = names.length > 0 && names.length === rewritten ? { rewrittenNames: names } : {};
      return { offered, rewritten, ...named, failures: failuresIn(logs, failed) };
    },
    // A command takes a pod and half a minute: too much for a preview to learn a number.
    count: async () => undefined,
    close: async () => undefined,
  };
}

/** The first ones by name, and what is left of them as one. */
function failuresIn(logs: string, count: number): readonly ObjectFailure[] {
  const named = [...logs.matchAll(/^kms-etcd failed (.*)$/gm)].map(([, reason = ""]) => ({
    resource: "secrets",
    namespace: "",
    name: /secrets? "([^"]+)"/.exec(reason)?.[1] ?? "",
    // Reasons get into Pulumi's state, names of Secrets do not.
    reason: reason.replace(/(secrets?) "[^"]+"/g, "$1"),
  }));
  const left = count - named.length;
  return left > 0
    ? [...named, { resource: "secrets", namespace: "", name: "", reason: `${left} more of them` }]
    : named;
}

function recordAt(body: ArmBody, name: string): ArmBody {
  const value = body[name];
  return typeof value === "object" && value !== null ? (value as ArmBody) : {};
}

function textAt(body: ArmBody, name: string): string {
  const value = body[name];
  return typeof value === "string" ? value : "";
}
