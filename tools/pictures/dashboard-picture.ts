/**
 * The Grafana dashboard of docs/observability, drawn from what a real Prometheus answered to its queries in a test. It is not
 * Grafana's own picture: only the panels' places, queries and units are the dashboard's.
 */
import { element, picture, textAt } from "./svg";

export interface RecordedSeries {
  readonly name: string;
  /** On the run's time grid for a line; one value for a figure. Null: no value at that time. */
  readonly values: readonly (number | null)[];
}

export interface RecordedPanel {
  readonly type: string;
  readonly title: string;
  /** Of Grafana's grid: 24 columns. */
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly unit?: string;
  readonly series: readonly RecordedSeries[];
}

export interface RecordedDashboard {
  readonly seconds: number;
  readonly panels: readonly RecordedPanel[];
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const column = 50;
const row = 30;
const gap = 4;
const lineColours = ["#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#b877d9", "#8ab8ff", "#f2495c", "#37872d"];
const legendHeight = 14;
const mostLegends = 4;

export function dashboardPicture({ seconds, panels }: RecordedDashboard): string {
  const height = Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * row + gap;
  const size = { width: 24 * column + gap, height };
  const font = "system-ui, -apple-system, Segoe UI, sans-serif";
  return picture(size, "the dashboard, drawn from the data of a test's run", [
    element("rect", { ...size, fill: "#111217" }),
    `<g font-family="${font}" font-size="11" fill="#ccccdc">`,
    ...panels.flatMap((panel) => drawPanel(panel, boxOf(panel), seconds)),
    "</g>",
  ]);
}

function boxOf({ gridPos: { x, y, w, h } }: RecordedPanel): Box {
  return { x: x * column + gap, y: y * row + gap, width: w * column - gap, height: h * row - gap };
}

function drawPanel(panel: RecordedPanel, box: Box, seconds: number): readonly string[] {
  if (panel.type === "row")
    return [textAt(box.x + 4, box.y + 18, panel.title, { "font-size": 14, "font-weight": 600 })];
  const frame = element("rect", { ...box, rx: 3, fill: "#181b1f", stroke: "#2c3036" });
  const title = textAt(box.x + 8, box.y + 16, panel.title, { "font-weight": 600 });
  const inside = { x: box.x + 8, y: box.y + 24, width: box.width - 16, height: box.height - 32 };
  const content =
    panel.type === "timeseries"
      ? lines(panel, inside, seconds)
      : panel.type === "table"
        ? table(panel, inside)
        : figures(panel, inside);
  return [frame, title, ...content];
}

function figures({ series, unit }: RecordedPanel, box: Box): readonly string[] {
  const width = box.width / Math.max(1, series.length);
  return series.map(({ values }, index) =>
    textAt(box.x + (index + 0.5) * width, box.y + box.height / 2 + 8, shown(values.at(-1) ?? null, unit), {
      "font-size": Math.min(28, box.height * 0.8),
      "text-anchor": "middle",
      fill: "#73bf69",
    }),
  );
}

function table({ series }: RecordedPanel, box: Box): readonly string[] {
  const most = Math.max(10, Math.floor(box.width / 6));
  return series.map(({ name }, index) => textAt(box.x, box.y + 16 + index * 16, shortened(name, most)));
}

function lines({ series, unit }: RecordedPanel, box: Box, seconds: number): readonly string[] {
  const legends = series.slice(0, mostLegends);
  const plot = {
    x: box.x + 52,
    y: box.y + 4,
    width: box.width - 56,
    height: box.height - 20 - legends.length * legendHeight,
  };
  const all = series.flatMap(({ values }) => values.filter((value) => value !== null));
  const top = Math.max(...all, 0) || 1;
  const level = (value: number) => plot.y + plot.height * (1 - value / top);
  const grid = [0, 0.5, 1].flatMap((part) => [
    element("line", {
      x1: plot.x,
      x2: plot.x + plot.width,
      y1: level(top * part),
      y2: level(top * part),
      stroke: "#2c3036",
    }),
    textAt(plot.x - 6, level(top * part) + 4, shown(top * part, unit), { "text-anchor": "end", fill: "#8e8e9e" }),
  ]);
  const times = [0, 0.5, 1].map((part) =>
    textAt(plot.x + plot.width * part, plot.y + plot.height + 14, `${Math.round(seconds * part)} s`, {
      "text-anchor": part === 0 ? "start" : part === 1 ? "end" : "middle",
      fill: "#8e8e9e",
    }),
  );
  return [
    ...grid,
    ...times,
    ...series.map(({ values }, index) => line(values, plot, level, colourOf(index))),
    ...legends.flatMap(({ name }, index) => {
      const y = plot.y + plot.height + 30 + index * legendHeight;
      const more =
        index === mostLegends - 1 && series.length > mostLegends ? ` (and ${series.length - mostLegends} more)` : "";
      return [
        element("line", {
          x1: box.x,
          x2: box.x + 14,
          y1: y - 4,
          y2: y - 4,
          stroke: colourOf(index),
          "stroke-width": 3,
        }),
        textAt(box.x + 20, y, `${shortened(name, Math.floor(box.width / 7.2) - more.length)}${more}`),
      ];
    }),
  ];
}

/** Gaps in the data are gaps in the line. */
function line(values: readonly (number | null)[], plot: Box, level: (value: number) => number, stroke: string): string {
  const step = plot.width / Math.max(1, values.length - 1);
  const round = (value: number) => Math.round(value * 10) / 10;
  const path = values
    .map((value, index) => {
      if (value === null) return "";
      const before = values[index - 1] ?? null;
      return `${before === null ? "M" : "L"}${round(plot.x + index * step)} ${round(level(value))}`;
    })
    .join("");
  return element("path", { d: path || "M0 0", fill: "none", stroke, "stroke-width": 1.5 });
}

function colourOf(index: number): string {
  return lineColours[index % lineColours.length] ?? "#ccccdc";
}

function shown(value: number | null, unit: string | undefined): string {
  if (value === null) return "no date";
  if (unit === "bytes") return `${Math.round(value / 1_048_576)} MiB`;
  if (unit === "s")
    return value > 0 && value < 1 ? `${Math.round(value * 1_000 * 10) / 10} ms` : `${Math.round(value * 10) / 10} s`;
  const text = String(Number(value.toPrecision(3)));
  return unit === "ops" ? `${text}/s` : text;
}

function shortened(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, Math.max(1, most - 1))}…` : text;
}
