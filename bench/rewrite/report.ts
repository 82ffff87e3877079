/** What the bench says: a line a method, dataset and round trip, the ratios, and whether they are what was wanted. */
import type { Measurement } from "./methods";
import type { Method } from "./options";

/** The runs of one method on one dataset at one round trip. */
export interface Cell {
  readonly dataset: string;
  readonly method: Method;
  /** Milliseconds. */
  readonly latency: number;
  readonly runs: readonly Measurement[];
}

export interface Machine {
  readonly cpus: number;
  readonly loadBefore: readonly number[];
  readonly loadAfter: readonly number[];
  readonly node: string;
}

const headings = [
  "dataset",
  "round trip",
  "method",
  "objects",
  "objects/s",
  "client MB",
  "client ms/object",
  "sent B/object",
  "received B/object",
  "plaintext",
  "API server ms/object",
  "etcd ms/object",
];

export function report(cells: readonly Cell[], machine: Machine): string {
  const rows = cells.map(({ dataset, latency, method, runs }) => [
    dataset,
    `${latency} ms`,
    method,
    String(median(runs, ({ objects }) => objects)),
    String(Math.round(median(runs, ({ perSecond }) => perSecond))),
    median(runs, ({ clientMemoryMb }) => clientMemoryMb).toFixed(0),
    optional(runs, ({ clientCpu }) => clientCpu, 2),
    optional(runs, ({ sentPerObject }) => sentPerObject),
    optional(runs, ({ receivedPerObject }) => receivedPerObject),
    `${Math.round(median(runs, ({ plaintext }) => plaintext) * 100)} %`,
    median(runs, ({ apiServerCpu }) => apiServerCpu).toFixed(2),
    median(runs, ({ etcdCpu }) => etcdCpu).toFixed(2),
  ]);
  const lines = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  const table = lines.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const load = (values: readonly number[]) => values.map((value) => value.toFixed(1)).join(" ");
  return [
    ...table,
    "",
    ...verdicts(cells).map(([met, text]) => `${met ? "met   " : "MISSED"} ${text}`),
    `${machine.cpus} CPUs, Node ${machine.node}, load before ${load(machine.loadBefore)}, after ${load(machine.loadAfter)}`,
    "",
  ].join("\n");
}

/** What issue 5 wants: the ratio to kubectl by round trip, memory, no plaintext, and no slower than the cluster's own. */
const wantedRatio: Readonly<Record<number, number>> = { 0: 2.5, 30: 12 };
const wantedMemoryMb = 150;
/** Runs differ by more than this. */
const tolerance = 0.95;
/** Node's heap breathes by this much from run to run. */
const growth = 1.25;

function verdicts(cells: readonly Cell[]): readonly (readonly [boolean, string])[] {
  const own = cells.filter(({ method }) => method === "ours");
  const found = own.flatMap((cell): (readonly [boolean, string])[] => {
    const where = `${cell.dataset} at ${cell.latency} ms`;
    const against = (method: Method) =>
      cells.find(
        (other) => other.method === method && other.dataset === cell.dataset && other.latency === cell.latency,
      );
    const kubectl = against("kubectl");
    const inTree = against("in-tree");
    const wanted = wantedRatio[cell.latency];
    const memory = Math.max(...cell.runs.map(({ clientMemoryMb }) => clientMemoryMb));
    const plaintext = Math.max(...cell.runs.map((run) => run.plaintext));
    return [
      ...(kubectl === undefined ? [] : [verdict(ratio(cell, kubectl), wanted ?? 1, `${where}: times kubectl`)]),
      ...(inTree === undefined
        ? []
        : [verdict(ratio(cell, inTree), tolerance, `${where}: times the in-tree migration`)]),
      [
        memory < wantedMemoryMb,
        `${where}: at most ${memory.toFixed(0)} MB of client memory (wanted below ${wantedMemoryMb})`,
      ],
      [
        plaintext === 0,
        `${where}: ${plaintext === 0 ? "no" : "some"} plaintext reached the client (of objects without kubectl's last-applied annotation)`,
      ],
    ];
  });
  return [...found, ...memoryGrowth(own)];
}

function memoryGrowth(own: readonly Cell[]): readonly (readonly [boolean, string])[] {
  const bySize = own
    .filter(({ dataset, latency }) => dataset.endsWith("secrets") && latency === own[0]?.latency)
    .map(({ dataset, runs }) => ({ dataset, memory: median(runs, ({ clientMemoryMb }) => clientMemoryMb) }));
  const [first] = bySize;
  const last = bySize.at(-1);
  if (first === undefined || last === undefined || first === last) return [];
  const text = `client memory with ${first.dataset} ${first.memory.toFixed(0)} MB, with ${last.dataset} ${last.memory.toFixed(0)} MB`;
  return [[last.memory <= first.memory * growth, text]];
}

function verdict(value: number, wanted: number, text: string): readonly [boolean, string] {
  return [value >= wanted, `${text}: ${value.toFixed(2)} (wanted ${wanted})`];
}

/** Of each interleaved pair by itself: what disturbs one in a run disturbs the other. */
function ratio(cell: Cell, other: Cell): number {
  const pairs = cell.runs.flatMap((run, index) => {
    const beside = other.runs[index];
    return beside === undefined ? [] : [run.perSecond / beside.perSecond];
  });
  return median(pairs, (value) => value);
}

function median<T>(values: readonly T[], of: (value: T) => number): number {
  const sorted = values.map(of).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

function optional(runs: readonly Measurement[], of: (run: Measurement) => number | undefined, digits = 0): string {
  const known = runs.flatMap((run) => of(run) ?? []);
  return known.length === 0 ? "-" : median(known, (value) => value).toFixed(digits);
}
