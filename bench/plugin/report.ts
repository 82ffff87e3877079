/** What the bench says: a row a measurement, and what was wanted of them. */

export const methods = ["Encrypt", "Decrypt", "Status"] as const;
export type Method = (typeof methods)[number];

export interface Row {
  readonly server: string;
  readonly method: Method;
  readonly inFlight: number;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly cpuUs: number;
  /** Calls a second as a share of the bare server's, where that was measured in turns with this one. */
  readonly shareOfBare?: number;
}

export type Ratios = Readonly<Record<string, { readonly throughput: number; readonly cpu: number }>>;
export type Ready = Readonly<Record<string, { readonly ms: number; readonly cpuMs: number }>>;

export interface Summary {
  readonly ratioToBare: Ratios;
  readonly peakResidentMb: number;
  readonly connections: readonly { readonly server: string; readonly opened: number; readonly requests: number }[];
  readonly ready: Ready;
}

/** The local key's throughput as a share of the bare server's, and the bare server's CPU a call as a share of the plugin's. */
export function ratios(rows: readonly Row[]): Ratios {
  return Object.fromEntries(
    rows.flatMap((row) => {
      const bare = rows.find(
        ({ server, method, inFlight }) => server === "bare" && method === row.method && inFlight === row.inFlight,
      );
      if (row.server === "bare" || bare === undefined) return [];
      const share = (value: number) => Number(value.toFixed(2));
      return [
        [
          `${row.method} x${row.inFlight}`,
          { throughput: share(row.shareOfBare ?? Number.NaN), cpu: share(bare.cpuUs / row.cpuUs) },
        ],
      ];
    }),
  );
}

/** What was wanted, and whether it was met. */
export function verdicts(summary: Summary): string {
  const worst = Math.min(...Object.values(summary.ratioToBare).map(({ throughput }) => throughput));
  const worstCpu = Math.min(...Object.values(summary.ratioToBare).map(({ cpu }) => cpu));
  const slowest = Math.max(...Object.values(summary.ready).map(({ ms }) => ms));
  const lines = [
    [worst >= 0.7, `local key at ${worst} of the bare server or better (wanted 0.7); by CPU a call ${worstCpu}`],
    [summary.peakResidentMb <= 150, `${summary.peakResidentMb} MB resident at most (wanted 150)`],
    [
      slowest <= 300,
      `ready after ${Object.entries(summary.ready)
        .map(([name, { ms, cpuMs }]) => `${name} ${ms} (CPU ${cpuMs})`)
        .join(", ")} ms (wanted 300)`,
    ],
    ...summary.connections.map(
      ({ server, opened, requests }) =>
        [opened <= 100, `${server}: ${opened} connections for about ${requests} requests`] as const,
    ),
  ] as const;
  return `${lines.map(([met, text]) => `${met ? "met   " : "MISSED"} ${text}\n`).join("")}\n`;
}

export const heading = `${"server".padEnd(18)}${"method".padEnd(9)}${"in flight".padStart(9)}${"per s".padStart(9)}${"p50 us".padStart(9)}${"p99 us".padStart(9)}${"CPU us".padStart(9)}\n`;

export function line({ server, method, inFlight, perSecond, p50Us, p99Us, cpuUs }: Row): string {
  const numbers = [inFlight, perSecond, p50Us, p99Us, cpuUs].map((value) => String(value).padStart(9)).join("");
  return `${server.padEnd(18)}${method.padEnd(9)}${numbers}\n`;
}
