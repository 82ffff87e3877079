/** The engine's Lease in kube-system, through whichever API server answers. Its times are the API servers', not ours. */
import { KmsEtcdError } from "../../../core/errors";
import { type EngineLease, type LeaseRecord, leaseDuration } from "../../engine-lease";
import { type ApiClient, type ApiRequest, type ApiResponse, type ApiServerAddress, apiClient } from "./api-client";
import { describeStatus } from "./api-error";

/** Where it is, for people who look for it. */
export const engineLeaseName = { namespace: "kube-system", name: "kms-etcd-rotation" } as const;

const collection = `/apis/coordination.k8s.io/v1/namespaces/${engineLeaseName.namespace}/leases`;
const object = `${collection}/${engineLeaseName.name}`;
/** Of one request to one server. All of them together stay well below the time that a Lease holds. */
const requestTimeout = 3_000;

interface LeaseObject {
  readonly metadata: { readonly resourceVersion: string; readonly uid: string };
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

/** A record with what the next write carries over. */
interface KnownRecord extends LeaseRecord {
  readonly transitions: number;
}

/** Connects when first used. */
export function createEngineLease(servers: readonly ApiServerAddress[]): EngineLease {
  const clients = servers.map(apiClient);
  let lastGood = 0;
  /** The servers' clock minus ours. */
  let offset = 0;

  /** The first server that answers; one that is starting, overloaded or away leaves it to the next. */
  async function ask(request: ApiRequest, signal: AbortSignal): Promise<ApiResponse> {
    let failure: unknown = new KmsEtcdError("invalid-input", "no API server was given");
    for (let index = 0; index < clients.length; index++) {
      const at = (lastGood + index) % clients.length;
      const client = clients[at] as ApiClient;
      try {
        const response = await client.send({ ...request, timeout: requestTimeout }, signal);
        if (response.status === 429 || response.status >= 500) throw refused(client, request, response);
        lastGood = at;
        if (response.date > 0) offset = response.date - Date.now();
        return response;
      } catch (thrown) {
        if (signal.aborted) throw thrown;
        failure = thrown;
      }
    }
    throw failure;
  }

  function record(response: ApiResponse): KnownRecord {
    const { metadata, spec = {} } = JSON.parse(response.body) as LeaseObject;
    return {
      holder: spec.holderIdentity ?? "",
      acquiredAt: Date.parse(spec.acquireTime ?? "") || 0,
      renewedAt: Date.parse(spec.renewTime ?? "") || 0,
      duration: (spec.leaseDurationSeconds ?? leaseDuration / 1_000) * 1_000,
      now: response.date > 0 ? response.date : Date.now(),
      version: metadata.resourceVersion,
      transitions: spec.leaseTransitions ?? 0,
    };
  }

  function document(expected: LeaseRecord | undefined, holder: string): string {
    const now = Date.now() + offset;
    const isSame = expected?.holder === holder;
    const transitions = expected === undefined ? 0 : (expected as KnownRecord).transitions + (isSame ? 0 : 1);
    return JSON.stringify({
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { ...engineLeaseName, ...(expected && { resourceVersion: expected.version }) },
      spec: {
        holderIdentity: holder,
        leaseDurationSeconds: leaseDuration / 1_000,
        acquireTime: microTime(isSame ? expected.acquiredAt : now),
        renewTime: microTime(now),
        leaseTransitions: transitions,
      },
    });
  }

  return {
    async read(signal) {
      const request: ApiRequest = { method: "GET", path: object };
      const response = await ask(request, signal);
      if (response.status === 404) return undefined;
      if (response.status !== 200) throw refused(clients[lastGood], request, response);
      return record(response);
    },
    async write(expected, holder, signal) {
      const request: ApiRequest = {
        method: expected === undefined ? "POST" : "PUT",
        path: expected === undefined ? collection : object,
        body: document(expected, holder),
        contentType: "application/json",
      };
      const response = await ask(request, signal);
      if (response.status === 200 || response.status === 201) return record(response);
      // Another engine was faster, or someone deleted it. (404 on POST: the namespace is not there.)
      if (response.status === 409 || (response.status === 404 && expected !== undefined)) return undefined;
      throw refused(clients[lastGood], request, response);
    },
    async remove(expected, signal) {
      const request: ApiRequest = {
        method: "DELETE",
        path: object,
        body: JSON.stringify({ preconditions: { resourceVersion: expected.version } }),
        contentType: "application/json",
      };
      const response = await ask(request, signal);
      if (![200, 404, 409].includes(response.status)) throw refused(clients[lastGood], request, response);
    },
    close: async () => {
      await Promise.all(clients.map((client) => client.close()));
    },
  };
}

function refused(client: ApiClient | undefined, request: ApiRequest, { status, body }: ApiResponse): KmsEtcdError {
  const message = `${client?.name ?? ""}: ${request.method} ${request.path}: ${describeStatus(status, body)}`;
  if (status === 401 || status === 403) {
    const { namespace, name } = engineLeaseName;
    return new KmsEtcdError("permission-denied", message, {
      remedy: `allow get, create, update and delete of the Lease ${namespace}/${name}`,
    });
  }
  return new KmsEtcdError(status >= 500 ? "unreachable" : status === 429 ? "throttled" : "unsupported", message);
}

/** Kubernetes' MicroTime has six digits, always (apimachinery meta/v1/micro_time.go). */
function microTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace("Z", "000Z");
}
