/** The bench's flags. */
import { parseArgs } from "node:util";

export const methods = ["ours", "kubectl", "in-tree"] as const;
export type Method = (typeof methods)[number];

export interface BenchOptions {
  /** How many Secrets of 1 KiB; one part of the bench each. */
  readonly secrets: readonly number[];
  /** How many ConfigMaps of 100 KiB; 0: that part is left out. */
  readonly configMaps: number;
  /** Round trips in milliseconds. */
  readonly latencies: readonly number[];
  readonly runs: number;
  readonly methods: readonly Method[];
  /** Objects that kubectl gets where all would take too long. */
  readonly sample: number;
  /** The most objects that kubectl and the in-tree controller do all of, without a round trip. */
  readonly whole: number;
  /** How long the in-tree controller is watched where its whole work would take too long. */
  readonly watchSeconds: number;
  readonly servers: number;
}

export function benchOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      secrets: { type: "string", default: "2000" },
      configmaps: { type: "string", default: "0" },
      latency: { type: "string", default: "0,30" },
      runs: { type: "string", default: "3" },
      methods: { type: "string", default: methods.join(",") },
      sample: { type: "string", default: "300" },
      whole: { type: "string", default: "5000" },
      "watch-seconds": { type: "string", default: "15" },
      servers: { type: "string", default: "1" },
    },
  });
  const chosen = values.methods.split(",");
  const unknown = chosen.filter((method) => !(methods as readonly string[]).includes(method));
  if (unknown.length > 0) throw new Error(`--methods has ${unknown.join(", ")}; the methods are ${methods.join(", ")}`);
  return {
    secrets: numbers("--secrets", values.secrets).filter((count) => count > 0),
    configMaps: number("--configmaps", values.configmaps),
    latencies: numbers("--latency", values.latency),
    runs: number("--runs", values.runs),
    methods: chosen as readonly Method[],
    sample: number("--sample", values.sample),
    whole: number("--whole", values.whole),
    watchSeconds: number("--watch-seconds", values["watch-seconds"]),
    servers: number("--servers", values.servers),
  };
}

function numbers(name: string, text: string): readonly number[] {
  return text.split(",").map((part) => number(name, part));
}

function number(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= 0) return value;
  throw new Error(`${name} has ${JSON.stringify(text)}; write whole numbers`);
}
