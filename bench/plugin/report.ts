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
  /** Calls a second as a share of the server's that was measured in turns with this one. */
  readonly shareOfFirst?: number;
}

export type Ratios = Readonly<Record<string, { readonly throughput: number; readonly cpu: number }>>;
export type Ready = Readonly<Record<string, { readonly ms: number; readonly cpuMs: number }>>;

export interface Summary {
  readonly ratioToBare: Ratios;
  /** Empty without the upstream plugins' binaries. */
  readonly ratioToPeers: Ratios;
  readonly peakResidentMb: number;
  readonly connections: readonly { readonly server: string; readonly opened: number; readonly requests: number }[];
  readonly ready: Ready;
}

/**
 * Throughput as a share of that of the server `base`, or `base` and a cloud's name, which was measured in turns; and its CPU
 * a call as a share of ours. Above 1 ours is better.
 */
export function ratios(rows: readonly Row[], base: string): Ratios {
  const share = (value: number) => Number(value.toFixed(2));
  const entries: [string, { readonly throughput: number; readonly cpu: number }][] = [];
  for (const { server, method, inFlight, shareOfFirst, cpuUs } of rows) {
    const kind = server.split(" ", 1)[0] ?? "";
    const other = rows.find(
      (row) =>
        (row.server === base || row.server === `${base} ${kind}`) && row.method === method && row.inFlight === inFlight,
    );
    if (other === undefined || shareOfFirst === undefined) continue;
    const name = other.server === base ? `${method} x${inFlight}` : `${kind} ${method} x${inFlight}`;
    entries.push([name, { throughput: share(shareOfFirst), cpu: share(other.cpuUs / cpuUs) }]);
  }
  return Object.fromEntries(entries);
}

/** What was wanted, and whether it was met. */
export function verdicts(summary: Summary): string {
  const ratioToBare = Object.values(summary.ratioToBare);
  const worst = Math.min(...ratioToBare.map(({ throughput }) => throughput));
  const worstCpu = Math.min(...ratioToBare.map(({ cpu }) => cpu));
  const ready = Object.entries(summary.ready);
  const slowest = Math.max(...ready.map(([, { ms }]) => ms));
  const lines: readonly (readonly [boolean, string])[] = [
    ...(ratioToBare.length === 0
      ? []
      : ([
          [worst >= 0.7, `local key at ${worst} of the bare server or better (wanted 0.7); by CPU a call ${worstCpu}`],
          [summary.peakResidentMb <= 150, `${summary.peakResidentMb} MB resident at most (wanted 150)`],
        ] as const)),
    ...Object.entries(summary.ratioToPeers)
      // At 64 in flight it is the vault that is measured.
      .filter(([name]) => !name.endsWith("x64"))
      .map(
        ([name, { throughput, cpu }]) =>
          [
            throughput >= 1,
            `${name} at ${throughput} of the upstream plugin (wanted 1); by CPU a call ${cpu}`,
          ] as const,
      ),
    ...(ready.length === 0
      ? []
      : ([
          [
            slowest <= 300,
            `ready after ${ready.map(([name, { ms, cpuMs }]) => `${name} ${ms} (CPU ${cpuMs})`).join(", ")} ms (wanted 300)`,
          ],
        ] as const)),
    ...summary.connections.map(
      ({ server, opened, requests }) =>
        [opened <= 100, `${server}: ${opened} connections for about ${requests} requests`] as const,
    ),
  ];
  return `${lines.map(([met, text]) => `${met ? "met   " : "MISSED"} ${text}\n`).join("")}\n`;
}

export const heading = `${"server".padEnd(18)}${"method".padEnd(9)}${"in flight".padStart(9)}${"per s".padStart(9)}${"p50 us".padStart(9)}${"p99 us".padStart(9)}${"CPU us".padStart(9)}\n`;

export function line({ server, method, inFlight, perSecond, p50Us, p99Us, cpuUs }: Row): string {
  const numbers = [inFlight, perSecond, p50Us, p99Us, cpuUs].map((value) => String(value).padStart(9)).join("");
  return `${server.padEnd(18)}${method.padEnd(9)}${numbers}\n`;
}
