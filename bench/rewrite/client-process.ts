/**
 * One rewrite by our rewriter in a process of its own, so that its memory is its own. Every byte that its sockets decrypt is
 * searched for the mark that each object's content has: "no plaintext" is counted, not claimed. argv: a file with what to do.
 */
import { readFileSync } from "node:fs";
import tls from "node:tls";
import type { ApiServerAddress } from "../../rotation/adapters/kubernetes/api-client";
import { createStoredObjects } from "../../rotation/adapters/kubernetes/stored-objects";
import { peakResidentMb } from "../process-cost";

export interface ClientWork {
  readonly addresses: readonly ApiServerAddress[];
  readonly resource: string;
  /** What every object's content holds. */
  readonly mark: string;
}

export interface ClientResult {
  readonly offered: number;
  readonly rewritten: number | undefined;
  readonly failures: number;
  readonly seconds: number;
  /** The most that was resident at any moment, in MB. */
  readonly memoryMb: number;
  /** Before the first request. */
  readonly emptyMemoryMb: number;
  readonly cpuMs: number;
  readonly sent: number;
  readonly received: number;
  /** How often the mark was received. */
  readonly plaintext: number;
}

async function main(): Promise<void> {
  const work = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as ClientWork;
  const mark = Buffer.from(work.mark);
  const sockets = new Set<tls.TLSSocket>();
  let plaintext = 0;
  const connect = tls.connect.bind(tls);
  Object.assign(tls, {
    connect: (...args: Parameters<typeof tls.connect>) => {
      const socket = connect(...args);
      sockets.add(socket);
      const read = socket.read.bind(socket);
      socket.read = (size?: number) => {
        const chunk = read(size) as Buffer | null;
        for (let at = chunk?.indexOf(mark) ?? -1; chunk !== null && at >= 0; at = chunk.indexOf(mark, at + 1))
          plaintext += 1;
        return chunk;
      };
      return socket;
    },
  });
  const stored = createStoredObjects({ servers: work.addresses });
  const emptyMemoryMb = process.memoryUsage().rss / 1e6;
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const result = await stored.rewrite(
    [{ resource: work.resource, key: { provider: "" } }],
    work.addresses.map(({ name }) => name),
    () => undefined,
    new AbortController().signal,
  );
  const seconds = (performance.now() - begun) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const bytes = [...sockets].map(({ bytesWritten, bytesRead }) => ({ bytesWritten, bytesRead }));
  await stored.close();
  const said: ClientResult = {
    offered: result.offered,
    rewritten: result.rewritten,
    failures: result.failures.length,
    seconds,
    // Not `resourceUsage().maxRSS`: a new process begins with what the one that has started it holds (Linux, exec_mmap).
    memoryMb: peakResidentMb(process.pid),
    emptyMemoryMb,
    cpuMs: (user + system) / 1_000,
    sent: bytes.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
    received: bytes.reduce((sum, { bytesRead }) => sum + bytesRead, 0),
    plaintext,
  };
  process.stdout.write(JSON.stringify(said));
}

main().catch((thrown: unknown) => {
  process.stderr.write(`${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
  process.exitCode = 1;
});
