/** What Prometheus answers to each query of the dashboard, over the whole run: the data of the dashboard's picture. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";

interface Panel {
  readonly type: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat?: string }[];
}

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly values?: readonly (readonly [number, string])[];
}

/** Points of a line: more than a panel is wide help nobody. */
const points = 120;

export async function record(run: {
  readonly dashboard: string;
  readonly address: string;
  readonly begun: number;
  readonly recordFile: string;
}): Promise<void> {
  const { panels } = JSON.parse(readFileSync(run.dashboard, "utf8")) as { panels: readonly Panel[] };
  const end = Date.now() / 1_000;
  const start = run.begun / 1_000;
  const recorded = [];
  for (const { type, targets = [], ...panel } of panels) {
    const series = [];
    for (const { expr, legendFormat = "" } of targets) {
      const query = expr
        .replaceAll("$apiservers", "kube-apiserver")
        .replaceAll("$plugins", "kms-etcd-plugin")
        .replaceAll("[5m]", "[1m]");
      const step = (end - start) / points;
      const isLine = type === "timeseries";
      const search = new URLSearchParams({
        query,
        ...(isLine ? { start: String(start), end: String(end), step: String(step) } : { time: String(end) }),
      });
      const answer = await fetch(`${run.address}/api/v1/${isLine ? "query_range" : "query"}?${search.toString()}`);
      const { data } = (await answer.json()) as { data: { result: readonly Series[] } };
      assert.ok(data.result.length > 0, query);
      series.push(
        ...data.result.map(({ metric, value, values }) => ({
          name: ["", "__auto"].includes(legendFormat)
            ? Object.values(metric).join("  ")
            : legendFormat.replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => metric[label] ?? ""),
          values: values === undefined ? [numberOf(value?.[1])] : onGrid(values, start, step),
        })),
      );
    }
    recorded.push({ type, ...pick(panel), series });
  }
  writeFileSync(run.recordFile, `${JSON.stringify({ seconds: Math.round(end - start), panels: recorded })}\n`);
}

/** One value a step from the start on; null where there is none. */
function onGrid(values: NonNullable<Series["values"]>, start: number, step: number): readonly (number | null)[] {
  const byStep = new Map(values.map(([at, text]) => [Math.round((at - start) / step), numberOf(text)]));
  return Array.from({ length: points + 1 }, (_, index) => byStep.get(index) ?? null);
}

/** JSON has no infinity and no NaN. */
function numberOf(text: string | undefined): number | null {
  const value = Number(text);
  return Number.isFinite(value) ? Number(value.toPrecision(4)) : null;
}

/** What a picture needs of a panel. */
function pick(panel: object): object {
  const { title, gridPos, fieldConfig } = panel as Readonly<Record<string, unknown>>;
  const { unit } = (fieldConfig as { defaults?: { unit?: string } } | undefined)?.defaults ?? {};
  return { title, gridPos, ...(unit === undefined ? {} : { unit }) };
}
