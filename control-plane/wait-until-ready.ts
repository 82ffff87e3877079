/** Waits for etcd and all API servers of a control plane. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { KmsEtcdError } from "../core/errors";
import type { LocalControlPlane, TlsClientFiles } from "../core/local-control-plane";
import type { Report } from "../tools/report";
import { logTail } from "./log-tail";
import { readHostStatus } from "./pods/pod-status";
import { askHealth } from "./readiness";
import { apiServerPodName, etcdHostName, etcdPodName, type StateLayout } from "./state-layout";

export interface WaitOptions {
  readonly seconds: number;
  readonly report: Report;
  readonly signal?: AbortSignal;
}

interface Server {
  readonly host: string;
  readonly pod: string;
  readonly url: string;
  readonly path: string;
  readonly client: TlsClientFiles;
}

/** A pod that crashes so often while it is waited for, with etcd ready, will not get ready by waiting. */
const hopelessRestarts = 3;
const pollMilliseconds = 200;

/** Returns when each has answered that it is ready. Throws `timeout`, naming servers and the end of their logs. */
export async function waitUntilReady(
  layout: StateLayout,
  controlPlane: LocalControlPlane,
  options: WaitOptions,
): Promise<void> {
  const begun = Date.now();
  const all = servers(controlPlane);
  const restartsBefore = new Map(all.map((server) => [server.host, restartsOf(layout, server)]));
  let reported = 0;
  for (;;) {
    options.signal?.throwIfAborted();
    const answers = await Promise.all(
      all.map(async (server) => ({
        server,
        answer: await askHealth(server.url, server.path, server.client),
      })),
    );
    const missing = answers.flatMap(({ server, answer }) => (answer.ready ? [] : [{ server, reason: answer.reason }]));
    if (missing.length === 0) return;
    const seconds = Math.floor((Date.now() - begun) / 1000);
    const etcdReady = missing.every(({ server }) => server.pod !== etcdPodName);
    const hopeless = missing.some(({ server }) => {
      const restarts = restartsOf(layout, server) - (restartsBefore.get(server.host) ?? 0);
      return restarts >= hopelessRestarts && (etcdReady || server.pod === etcdPodName);
    });
    if (hopeless || seconds >= options.seconds) {
      const what = missing.map(({ server, reason }) => `${server.pod} on ${server.host} (${reason})`).join(", ");
      const tails = missing.map(({ server }) => {
        const log = join(layout.host(server.host).logDirectory, `${server.pod}.log`);
        return `  ${log}:\n${logTail(log)}`;
      });
      throw new KmsEtcdError("timeout", `not ready after ${seconds} s: ${what}\n${tails.join("\n")}`, {
        remedy: "read the logs named above",
      });
    }
    if (seconds > reported) {
      reported = seconds;
      options.report(
        `waiting for ${missing.map(({ server }) => `${server.host} ${server.pod}`).join(", ")} (${seconds} s)`,
        true,
      );
    }
    await delay(pollMilliseconds, undefined, { ...(options.signal && { signal: options.signal }) });
  }
}

function servers(controlPlane: LocalControlPlane): readonly Server[] {
  return [
    {
      host: etcdHostName,
      pod: etcdPodName,
      url: controlPlane.etcd.endpoints[0] ?? "",
      path: "/health",
      client: controlPlane.etcd.client,
    },
    ...controlPlane.hosts.map(({ name, apiServerUrl, client }) => ({
      host: name,
      pod: apiServerPodName,
      url: apiServerUrl,
      path: "/readyz",
      client,
    })),
  ];
}

function restartsOf(layout: StateLayout, server: Server): number {
  const status = readHostStatus(layout.host(server.host).statusFile);
  return status?.pods.find(({ name }) => name === server.pod)?.restarts ?? 0;
}
