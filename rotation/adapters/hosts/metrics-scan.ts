/**
 * Finds a handful of lines in an API server's /metrics, which are megabytes: the text is searched as it arrives, not parsed.
 */
import type { HeardKeyId } from "../../observation";

export interface ServerMetrics {
  /** Milliseconds since the epoch. */
  readonly processStartedAt: number | undefined;
  /** Hash of the name that the server's identity Lease has. */
  readonly apiServerIdHash: string | undefined;
  /** Of the configuration that the server uses; from 1.34. */
  readonly loadedHash: string | undefined;
  /** Time of the last reload that succeeded or failed, in milliseconds since the epoch. */
  readonly lastSuccess: number | undefined;
  readonly lastFailure: number | undefined;
  /** Failed reloads since the process started. */
  readonly failures: number;
  /** What it has last heard from each KMS v2 plugin; from 1.27. */
  readonly heardKeyIds: readonly HeardKeyId[];
  /** When it last encrypted something for storage with each KMS v2 provider, by the provider's name; from 1.27. */
  readonly lastWrites: ReadonlyMap<string, number>;
}

const controller = "apiserver_encryption_config_controller_";
const processStart = "process_start_time_seconds";
const keyIdHeard = "apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds";
const keyIdUsed = "apiserver_envelope_encryption_key_id_hash_last_timestamp_seconds";
const needles = [controller, processStart, keyIdHeard, keyIdUsed].map((name) => Buffer.from(`\n${name}`));

export interface MetricsScan {
  push(chunk: Buffer): void;
  result(): ServerMetrics;
}

export function metricsScan(): MetricsScan {
  let rest: Buffer = Buffer.from("\n");
  const samples: Sample[] = [];
  return {
    push: (chunk) => {
      const text = Buffer.concat([rest, chunk]);
      const end = text.lastIndexOf(0x0a);
      for (const needle of needles) {
        for (let at = text.indexOf(needle); at >= 0 && at < end; at = text.indexOf(needle, at + 1)) {
          const sample = parseSample(text.toString("utf8", at + 1, text.indexOf(0x0a, at + 1)));
          if (sample !== undefined) samples.push(sample);
        }
      }
      rest = end < 0 ? text : text.subarray(end);
    },
    result: () => {
      const value = (name: string, status?: string) =>
        samples.find((sample) => sample.name === name && (status === undefined || sample.labels["status"] === status))
          ?.value;
      const info = samples.find((sample) => sample.name === `${controller}last_config_info` && sample.value === 1);
      const time = (seconds: number | undefined) => (seconds === undefined ? undefined : seconds * 1_000);
      return {
        processStartedAt: time(value(processStart)),
        apiServerIdHash: samples.find((sample) => sample.labels["apiserver_id_hash"])?.labels["apiserver_id_hash"],
        loadedHash: info?.labels["hash"],
        lastSuccess: time(value(`${controller}automatic_reload_last_timestamp_seconds`, "success")),
        lastFailure: time(value(`${controller}automatic_reload_last_timestamp_seconds`, "failure")),
        // The first since 1.30, the second before.
        failures:
          value(`${controller}automatic_reloads_total`, "failure") ??
          value(`${controller}automatic_reload_failures_total`) ??
          0,
        heardKeyIds: heardKeyIds(samples),
        lastWrites: lastWrites(samples),
      };
    },
  };
}

/** A server asks its plugins once a minute, so it has heard of the newest key_id that long after the last answer with another. */
const betweenTwoAnswers = 70_000;

function heardKeyIds(samples: readonly Sample[]): readonly HeardKeyId[] {
  const heard = samples.filter(({ name }) => name === keyIdHeard);
  const providers = [...new Set(heard.map(({ labels }) => labels["provider_name"] ?? ""))];
  return providers.flatMap((provider) => {
    const [last, before] = heard
      .filter(({ labels }) => labels["provider_name"] === provider)
      .sort((a, b) => b.value - a.value);
    const hash = last?.labels["key_id_hash"];
    if (last === undefined || hash === undefined) return [];
    const since = before === undefined ? 0 : Math.min(last.value * 1_000, before.value * 1_000 + betweenTwoAnswers);
    return [{ provider, keyIdHash: hash, since }];
  });
}

function lastWrites(samples: readonly Sample[]): ReadonlyMap<string, number> {
  const writes = new Map<string, number>();
  for (const { name, labels, value } of samples) {
    if (name !== keyIdUsed || labels["transformation_type"] !== "to_storage") continue;
    const provider = labels["provider_name"] ?? "";
    writes.set(provider, Math.max(writes.get(provider) ?? 0, value * 1_000));
  }
  return writes;
}

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

function parseSample(line: string): Sample | undefined {
  const [, name, labels = "", value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
  if (name === undefined || value === undefined) return undefined;
  const pairs = [...labels.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, key = "", text = ""]): [string, string] => [
    key,
    text,
  ]);
  return { name, labels: Object.fromEntries(pairs), value: Number(value) };
}
