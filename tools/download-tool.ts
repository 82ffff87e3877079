/** Downloads a tool from where its project publishes it, and checks it against the published SHA-256. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { chmod, mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { x as extract } from "tar";
import { EnvHttpProxyAgent, fetch } from "undici";
import { describeError, KmsEtcdError } from "../core/errors";
import type { Report } from "./report";
import type { Tool, ToolDownload } from "./tool";

export interface DownloadOptions {
  readonly report: Report;
  readonly signal?: AbortSignal;
}

/** Where there is no way out to the Internet, the build must begin soon. */
const connectMilliseconds = 4_000;
/** A transfer that stands still for so long has failed. */
const stalledMilliseconds = 20_000;
const progressMilliseconds = 1_000;

/** Fills `bin`. False when it can't be had this way, after saying why in one line: there is another way. */
export async function downloadTool(tool: Tool, bin: string, options: DownloadOptions): Promise<boolean> {
  const { download } = tool;
  if (download === undefined) {
    options.report("nothing is published for this platform, so it is built");
    return false;
  }
  const file = join(bin, `.${basename(new URL(download.url).pathname)}`);
  const agent = new EnvHttpProxyAgent({
    connect: { timeout: connectMilliseconds },
    headersTimeout: stalledMilliseconds,
    bodyTimeout: stalledMilliseconds,
  });
  try {
    options.report(`downloading from ${new URL(download.url).host}`);
    const checksum = readChecksum(download, await readText(download.checksumUrl, agent, options.signal));
    await saveTo(file, download.url, agent, options);
    await verify(file, checksum, download.url);
    if (download.kind === "archive") await unpack(file, download, bin);
    else await rename(file, join(bin, tool.program));
    await chmod(join(bin, tool.program), 0o755);
    return true;
  } catch (thrown) {
    options.signal?.throwIfAborted();
    options.report(`download failed (${reasonOf(thrown)}), so it is built`);
    return false;
  } finally {
    await rm(file, { force: true });
    await agent.close();
  }
}

/** SHA-256 in hex, from a file with nothing else or with a line a file. Throws `corrupt` when it is not there. */
export function readChecksum(download: ToolDownload, text: string): string {
  const name = basename(new URL(download.url).pathname);
  const lines = text.split("\n").map((line) => line.trim().split(/\s+/));
  // In sha256sum's lists a * before the name stands for binary mode.
  const line =
    download.kind === "program" ? lines[0] : lines.find(([, file]) => file?.replace(/^(\*|\.\/)/, "") === name);
  const checksum = line?.[0]?.toLowerCase();
  if (checksum !== undefined && /^[0-9a-f]{64}$/.test(checksum)) return checksum;
  throw new KmsEtcdError("corrupt", `${download.checksumUrl} has no checksum for ${name}`);
}

async function readText(url: string, agent: EnvHttpProxyAgent, signal: AbortSignal | undefined): Promise<string> {
  const response = await fetch(url, { dispatcher: agent, ...(signal && { signal }) });
  if (!response.ok) throw new KmsEtcdError("not-found", `${url} answers ${response.status}`);
  return response.text();
}

async function saveTo(file: string, url: string, agent: EnvHttpProxyAgent, options: DownloadOptions): Promise<void> {
  const response = await fetch(url, { dispatcher: agent, ...(options.signal && { signal: options.signal }) });
  if (!response.ok || response.body === null) throw new KmsEtcdError("not-found", `${url} answers ${response.status}`);
  const total = Number(response.headers.get("content-length") ?? 0);
  let received = 0;
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      received += chunk.length;
      done(null, chunk);
    },
  });
  const timer = setInterval(() => {
    const of = total > 0 ? ` of ${megabytes(total)} MB (${Math.floor((100 * received) / total)} %)` : " MB";
    options.report(`${megabytes(received)}${of}`, true);
  }, progressMilliseconds);
  try {
    await pipeline(Readable.fromWeb(response.body), count, createWriteStream(file));
  } finally {
    clearInterval(timer);
  }
}

async function verify(file: string, checksum: string, url: string): Promise<void> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  const found = hash.digest("hex");
  if (found !== checksum) throw new KmsEtcdError("corrupt", `${url} has SHA-256 ${found}, published is ${checksum}`);
}

async function unpack(file: string, download: ToolDownload & { readonly kind: "archive" }, bin: string): Promise<void> {
  const unpacked = join(bin, ".unpacked");
  await mkdir(unpacked);
  const wanted = download.files.map((name) => `${download.folder}/${name}`);
  await extract({ file, cwd: unpacked }, wanted);
  for (const name of await readdir(join(unpacked, download.folder))) {
    await rename(join(unpacked, download.folder, name), join(bin, name));
  }
  await rm(unpacked, { recursive: true });
}

function megabytes(bytes: number): string {
  return (bytes / 1_000_000).toFixed(1);
}

/** `fetch failed` says nothing: what is wrong stands in the cause. */
function reasonOf(thrown: unknown): string {
  const cause = thrown instanceof Error ? (thrown.cause as { code?: string; message?: string } | undefined) : undefined;
  return cause?.code ?? cause?.message ?? describeError(thrown);
}
