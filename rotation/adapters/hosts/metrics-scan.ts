/**
 * Finds a handful of lines in an API server's /metrics, which are megabytes: the text is searched as it arrives, not parsed.
 */
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
}

const controller = "apiserver_encryption_config_controller_";
const processStart = "process_start_time_seconds";
const needles = [controller, processStart].map((name) => Buffer.from(`\n${name}`));

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
      };
    },
  };
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
