/** Captured output of a terminal as a picture: the text as it was, long lines cut, with the colours that the CLI would give it. */
import { element, picture, textAt } from "./svg";

const columns = 148;
const lineHeight = 17;
const characterWidth = 7.2;
const margin = 14;
const colours = {
  plain: "#d5d9e0",
  faint: "#8b94a3",
  added: "#7bd88f",
  changed: "#e5c07b",
  gone: "#f07178",
  strong: "#82aaff",
};

export function terminalPicture(title: string, text: string): string {
  const lines = text.trimEnd().split("\n");
  const size = {
    width: Math.round(columns * characterWidth + 2 * margin),
    height: lines.length * lineHeight + 2 * margin,
  };
  return picture(size, title, [
    element("rect", { ...size, rx: 8, fill: "#1e2430" }),
    ...lines.flatMap((line, index) => {
      if (line.trim() === "") return [];
      return textAt(margin, margin + (index + 0.75) * lineHeight, cut(line), {
        fill: colourOf(line),
        "font-family": "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace",
        "font-size": 12,
        // Fonts differ in width: the columns must not.
        textLength: cut(line).length * characterWidth,
        lengthAdjust: "spacingAndGlyphs",
        "xml:space": "preserve",
      });
    }),
  ]);
}

function cut(line: string): string {
  const text = line.trimEnd();
  return text.length > columns ? `${text.slice(0, columns - 4)} ...` : text;
}

function colourOf(line: string): string {
  if (line.startsWith("$ ")) return colours.strong;
  if (/\] \w+ done in /.test(line)) return colours.added;
  switch (/^\s*([+~-])\s/.exec(line)?.[1]) {
    case "+":
      return colours.added;
    case "~":
      return colours.changed;
    case "-":
      return colours.gone;
    default:
      return /^\s*\[urn=|^\s*\[id=/.test(line) ? colours.faint : colours.plain;
  }
}
