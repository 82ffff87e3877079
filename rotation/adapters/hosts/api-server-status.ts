/** What an API server says of itself: whether it is ready, its version, and the metrics that tell what it has loaded. */
import { describeError } from "../../../core/errors";
import type { ApiClient } from "../kubernetes/api-client";
import { describeStatus } from "../kubernetes/api-error";
import { metricsScan, type ServerMetrics } from "./metrics-scan";

export type ApiServerStatus =
  | { readonly unreachable: string }
  | {
      readonly unreachable: undefined;
      /** Why /readyz says no. */
      readonly notReady: string | undefined;
      /** As the server has it, for example v1.36.3. */
      readonly version: string;
      readonly metrics: ServerMetrics;
      readonly processStartedAt: number;
    };

/** Does not throw for a server that does not answer. */
export async function askApiServer(client: ApiClient, signal: AbortSignal): Promise<ApiServerStatus> {
  try {
    const [readyz, version, metrics] = await Promise.all([
      client.send({ method: "GET", path: "/readyz?verbose" }, signal),
      client.send({ method: "GET", path: "/version" }, signal),
      scanMetrics(client, signal),
    ]);
    if (version.status !== 200) return { unreachable: `/version: ${describeStatus(version.status, version.body)}` };
    if (readyz.status === 401 || readyz.status === 403) {
      return { unreachable: `/readyz: ${describeStatus(readyz.status, readyz.body)}` };
    }
    const { gitVersion } = JSON.parse(version.body) as { gitVersion: string };
    if (metrics.processStartedAt === undefined) return { unreachable: "/metrics has no process_start_time_seconds" };
    return {
      unreachable: undefined,
      notReady: readyz.status === 200 ? undefined : failedChecks(readyz.status, readyz.body),
      version: gitVersion,
      metrics,
      processStartedAt: metrics.processStartedAt,
    };
  } catch (thrown) {
    return { unreachable: signal.aborted ? "no answer in time" : describeError(thrown) };
  }
}

async function scanMetrics(client: ApiClient, signal: AbortSignal): Promise<ServerMetrics> {
  const scan = metricsScan();
  await client.stream("/metrics", scan.push, signal);
  return scan.result();
}

/** The checks of /readyz?verbose that fail; a server that starts fails a dozen of them, and the first few say enough. */
function failedChecks(status: number, body: string): string {
  const failed = body.split("\n").flatMap((line) => /^\[-\](\S+)/.exec(line)?.[1] ?? []);
  if (failed.length === 0) return describeStatus(status, body);
  const more = failed.length > namedChecks ? ` and ${failed.length - namedChecks} more` : "";
  return `${failed.slice(0, namedChecks).join(", ")}${more}`;
}

const namedChecks = 3;
