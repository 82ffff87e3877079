/** Which configuration an API server's process uses, by the best evidence that its version offers. Pure. */

import { parseDuration } from "../../../core/duration";
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import type { LoadedConfig } from "../../observation";
import type { ServerMetrics } from "./metrics-scan";

export interface LoadedInput {
  readonly metrics: ServerMetrics;
  /** Whether this version says itself what it has loaded. */
  readonly namesItsHash: boolean;
  readonly processStartedAt: number;
  readonly reload: "hot" | "restart";
  /** How long a request may run that began before the configuration was loaded. */
  readonly requestTimeout: number;
  readonly now: number;
  readonly file:
    | {
        readonly hash: string;
        readonly config: EncryptionConfiguration;
        readonly writtenAt: number;
        /** The time is what the file says of itself, which a copy may have kept: the evidence says so. */
        readonly byItself?: boolean;
      }
    | undefined;
}

/** An API server looks at its file once a minute (apiserver encryptionconfig/controller/controller.go, 1.29 and later). */
const pollInterval = 60_000;
/** What the measuring of a host's clock, and the rounding of boot time, may be off by. */
const clockTolerance = 5_000;
/** Before 1.28 a server says nothing at all about its reloads. */
const firstMinorWithReloadTime = 28;
const firstMinorWithHash = 34;

/**
 * 1. From 1.34 the server names the hash itself.
 * 2. Before that: a process that started after the file was written has read it, or it would not run.
 * 3. Or a reload that must have read this file: it succeeded so long after the write that it can't have begun before it, or
 *    it succeeded after the write and a whole poll later there was still nothing newer to load.
 */
export function loadedEvidence(input: LoadedInput): Omit<LoadedConfig, "config"> {
  const seen = evidenceByTime(input);
  const stray =
    seen.hash === undefined || input.metrics.loadedHash !== undefined ? undefined : strayWriter(input, seen.since);
  if (stray === undefined) return seen;
  return { ...seen, hash: undefined, basis: `${seen.basis}, but it has encrypted with ${stray} since` };
}

/**
 * 4. Whatever the times say, a server that still encrypts with a provider that does not write in the file has not loaded it. From
 * 1.27 every write to etcd counts under its provider, the rewriter's own among them: REWRITE goes through every server.
 */
function strayWriter({ file, metrics, requestTimeout }: LoadedInput, since: number): string | undefined {
  const writers = (file?.config.blocks ?? []).flatMap(({ providers: [first] }) =>
    first?.kind === "kms" ? [first.name] : [],
  );
  const writes = [...metrics.lastWrites].find(([name, at]) => !writers.includes(name) && at > since + requestTimeout);
  return writes?.[0];
}

function evidenceByTime(input: LoadedInput): Omit<LoadedConfig, "config"> {
  const { metrics, processStartedAt, file, reload, now } = input;
  const { failures, loadedHash, lastSuccess, lastFailure } = metrics;
  // 1.
  if (loadedHash !== undefined) {
    const since = Math.max(lastSuccess ?? 0, processStartedAt);
    return { hash: loadedHash, since, basis: "apiserver_encryption_config_controller_last_config_info", failures };
  }
  if (input.namesItsHash) return { hash: undefined, since: 0, basis: "the server names no loaded file", failures };
  if (file === undefined) return { hash: undefined, since: 0, basis: "there is no configuration file", failures };
  // A clock that was set back leaves times in its future: they come after any write, and say nothing of it. (A process start follows
  // the clock: client_golang computes it from the boot time whenever it is asked.)
  const times = {
    "the process start": processStartedAt,
    "the last reload": lastSuccess ?? 0,
    "the file's time": file.writtenAt,
  };
  const ahead = Object.entries(times).find(([, at]) => at > now + clockTolerance)?.[0];
  if (ahead !== undefined) {
    return { hash: undefined, since: 0, basis: `${ahead} lies in the future of the host's clock`, failures };
  }
  const weaker = file.byItself === true ? ", by the file's modification time alone" : "";
  // 2.
  if (processStartedAt > file.writtenAt) {
    return { hash: file.hash, since: processStartedAt, basis: `process start after the write${weaker}`, failures };
  }
  // 3.
  if (reload === "hot" && lastSuccess !== undefined && lastSuccess > file.writtenAt) {
    const longest = longestReload(file.config);
    const began = lastSuccess - longest > file.writtenAt;
    const settled = now - lastSuccess > pollInterval + longest && (lastFailure ?? 0) < lastSuccess;
    if (began || settled) {
      const metric = "apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds";
      const basis = `${metric} after the write${weaker}`;
      return { hash: file.hash, since: lastSuccess, basis, failures };
    }
  }
  return { hash: undefined, since: 0, basis: "no reload and no process start after the write yet", failures };
}

/** Whether this version has apiserver_encryption_config_controller_last_config_info: then its silence says that nothing is loaded. */
export function namesLoadedHash(version: string): boolean {
  return minorOf(version) >= firstMinorWithHash;
}

/** Whether this version can be told to reload and be seen to have done it. */
export function reloadsVisibly(version: string, automaticReload: boolean): boolean {
  return automaticReload && minorOf(version) >= firstMinorWithReloadTime;
}

function minorOf(version: string): number {
  return Number(/^v?1\.(\d+)/.exec(version)?.[1] ?? Number.NaN);
}

/** From reading the file to success: the plugins' health is waited for, for 10 s or twice their timeouts (v1 counts double). */
function longestReload(config: EncryptionConfiguration): number {
  let timeouts = 0;
  for (const item of config.blocks.flatMap((block) => block.providers)) {
    if (item.kind === "kms") timeouts += parseDuration(item.timeout ?? "3s") * (item.apiVersion === "v1" ? 2 : 1);
  }
  return Math.max(10_000, 2 * timeouts) + 5_000;
}
