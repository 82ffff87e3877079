/**
 * What works on a worker of a kOps cluster: its kubelet, with a certificate that kops-controller has issued when it booted, and a pod with the
 * token of a service account. Both may be sent to any API server by the load balancer, so each must get on with all of them, all the time.
 */
import { Agent, request } from "undici";
import { type KopsAuthority, kubernetesCa } from "./kops-authority";
import type { KopsMachine } from "./kops-machine";
import type { NodeupConfig } from "./machine-pods";

export interface Worker {
  /** Who does not trust whom between this worker and an API server; undefined: both get on, or the server is away. */
  refusal(server: KopsMachine): Promise<string | undefined>;
}

/** Of a client of API servers: what it trusts, and what it shows. */
export interface ClientTrust {
  readonly ca: string;
  readonly servername: string;
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
}

const within = 5_000;
const accounts = "/api/v1/namespaces/default/serviceaccounts";

interface WorkerBoot {
  readonly id: string;
  readonly nodeup: NodeupConfig;
  /** The CAs in its user data. */
  readonly ca: string;
  /** Of every API server's certificate. */
  readonly servername: string;
}

/** Throws where kops-controller issues nothing, as for a machine that was told of another keypair, or no token is to be had. */
export async function startWorker(
  authority: KopsAuthority,
  { id, nodeup: { KeypairIDs }, ca, servername }: WorkerBoot,
  servers: readonly KopsMachine[],
): Promise<Worker> {
  const wanted = KeypairIDs?.[kubernetesCa];
  // It knows what its machine was made with (kops cmd/kops-controller/pkg/server/server.go, issueCert).
  const issuer = servers.find(({ nodeup }) => nodeup.KeypairIDs?.[kubernetesCa] === wanted);
  if (issuer === undefined) throw new Error(`request's keypair ID ${wanted} for ${kubernetesCa} didn't match server's`);
  const kubelet: ClientTrust = {
    ...{ ca, servername },
    ...(await authority.issue(wanted, { commonName: `system:node:${id}`, organization: "system:nodes" })),
  };
  await issuer.request("POST", accounts, { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "pod" } });
  const asked = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { expirationSeconds: 86_400 } };
  const { status, text } = await issuer.request("POST", `${accounts}/pod/token`, asked);
  if (status !== 201) throw new Error(`no token: ${status} ${text.slice(0, 200)}`);
  const { token } = (JSON.parse(text) as { status: { token: string } }).status;
  const pod: ClientTrust = { ca, servername, token };
  return {
    async refusal(server) {
      for (const [name, client] of [
        ["the kubelet", kubelet],
        ["a pod", pod],
      ] as const) {
        const why = await whyRefused(client, server);
        if (why !== undefined) return `${name} of ${id} and ${server.id}: ${why}`;
      }
      return undefined;
    },
  };
}

/** Why one does not trust the other; undefined where they do, and where nobody answers. On a connection of its own. */
export async function whyRefused(
  { token, ...connect }: ClientTrust,
  { address, port }: Pick<KopsMachine, "address" | "port">,
): Promise<string | undefined> {
  const agent = new Agent({ connect: { ...connect, timeout: within, maxCachedSessions: 0 } });
  try {
    const { statusCode, body } = await request(
      `https://${address}:${port}/apis/authentication.k8s.io/v1/selfsubjectreviews`,
      {
        ...{ dispatcher: agent, method: "POST", headersTimeout: within, bodyTimeout: within },
        headers: {
          "content-type": "application/json",
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
        },
        body: JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" }),
      },
    );
    await body.dump();
    return statusCode === 401 ? "the server does not know who this is (401)" : undefined;
  } catch (thrown) {
    const { code = "", message } = thrown as NodeJS.ErrnoException;
    return /CERT|SIGNATURE|ISSUER|VERIFY/.test(code) ? `the server is not trusted (${message})` : undefined;
  } finally {
    await agent.destroy();
  }
}
