/**
 * The engine's notes in a unit file or drop-in of its own, in a section that systemd passes over, and the seal: the hash of
 * everything else. By it the engine tells a file that it may write anew from one that somebody has edited since.
 */
import { createHash } from "node:crypto";
import { staticPodAnnotations } from "../../../core/static-pod";
import { notesSection, unitAssignments } from "./unit-file";

const mostNamed = 5;

/** `body` behind the notes. No value may hold a line break. */
export function sealedUnit(notes: Readonly<Record<string, string>>, body: string): string {
  const render = (seal: string) => {
    const lines = Object.entries({ ...notes, [staticPodAnnotations.contentHash]: seal });
    return `${heading}[${notesSection}]\n${lines.map(([name, value]) => `${name}=${value}\n`).join("")}\n${body}`;
  };
  return render(hash(render("")));
}

const heading =
  "# Written by kms-etcd, which does not overwrite what somebody has edited here. Put settings of your own into a drop-in.\n";

/** False for one without a seal. */
export function isUnitAsWritten(text: string): boolean {
  const line = new RegExp(`^${staticPodAnnotations.contentHash}=(.*)$`, "m");
  const seal = line.exec(text)?.[1];
  return seal !== undefined && seal === hash(text.replace(line, `${staticPodAnnotations.contentHash}=`));
}

/** Where two files differ, as sections and names; values may be secret. Seals are no content. */
export function unitDifferences(present: string, wanted: string): readonly string[] {
  const [left, right] = [present, wanted].map((text) => {
    const values = new Map<string, string>();
    for (const { section, name, value } of unitAssignments(text)) {
      if (name === staticPodAnnotations.contentHash) continue;
      const place = `[${section}] ${name}`;
      values.set(place, `${values.get(place) ?? ""}\n${value}`);
    }
    return values;
  });
  const places = new Set([...(left?.keys() ?? []), ...(right?.keys() ?? [])]);
  const differing = [...places].filter((place) => left?.get(place) !== right?.get(place));
  const more = differing.length > mostNamed ? [`${differing.length - mostNamed} more`] : [];
  return [...differing.slice(0, mostNamed), ...more];
}

function hash(text: string): string {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}
