/** Durations as Go and Kubernetes write them ("3s", "1m30s"): plugin flags and EncryptionConfiguration's `timeout` use this form. */
import { KmsEtcdError } from "./errors";

const millisecondsPerUnit: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of a Go duration. Throws `invalid-input`, naming `input`, for anything that Go's ParseDuration refuses too. */
export function parseDuration(text: string, input = "duration"): number {
  if (text === "0") return 0;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?|\.\d+)(ns|us|µs|ms|s|m|h)/gy)];
  const consumed = parts.reduce((length, part) => length + part[0].length, 0);
  if (parts.length === 0 || consumed !== text.length) {
    throw new KmsEtcdError("invalid-input", `${input} is "${text}", which is not a duration`, {
      remedy: 'write it as Go does, for example "3s", "500ms" or "1m30s"',
    });
  }
  return parts.reduce((sum, part) => sum + Number(part[1]) * (millisecondsPerUnit[part[2] ?? ""] ?? 0), 0);
}

/** A Go duration for whole milliseconds, in the shortest form that parses back to the same value. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds % 1_000 !== 0) return `${milliseconds}ms`;
  const seconds = milliseconds / 1_000;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 0) return `${seconds}s`;
  return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`;
}
