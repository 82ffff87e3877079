/** Load by h2load, a native HTTP/2 client: a client in Node would be measured, not the server. */
import { execFile } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Load {
  readonly socket: string;
  readonly path: string;
  /** File with the request: gRPC's five bytes and the message. */
  readonly body: string;
  readonly inFlight: number;
  /** A number and not a time, because h2load cancels what is under way when the time is up. */
  readonly requests: number;
}

export interface LoadResult {
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Throws when an answer is not HTTP 200; a gRPC error is one all the same, so look at the server's log. */
export async function load({ socket, path, body, inFlight, requests }: Load): Promise<LoadResult> {
  const log = `${body}.log`;
  await rm(log, { force: true });
  const connection = ["-B", `unix:${socket}`, "-c", "1", "-m", String(inFlight), "-n", String(requests)];
  const headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"];
  await run("h2load", [...connection, ...headers, "-d", body, `--log-file=${log}`, `http://localhost${path}`]);
  // Columns: start in microseconds, HTTP status, microseconds until the end of the answer.
  const rows = (await readFile(log, "utf8"))
    .trim()
    .split("\n")
    .map((line) => line.split("\t").map(Number));
  const times = rows.flatMap(([, status, duration]) => (status === 200 ? [Number(duration)] : []));
  if (times.length !== requests) throw new Error(`${times.length} of ${requests} requests for ${path} were answered`);
  const first = Math.min(...rows.map(([start]) => Number(start)));
  const last = Math.max(...rows.map(([start, , duration]) => Number(start) + Number(duration)));
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN;
  return { perSecond: (requests / (last - first)) * 1e6, p50Us: at(0.5), p99Us: at(0.99) };
}
