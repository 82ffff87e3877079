/**
 * A manifest of the engine's carries the hash of its own content. So it can be told, without keeping a copy, whether the file
 * that is there is what the engine wrote, which it may write anew, or was edited since, which it must not overwrite.
 */
import { isDeepStrictEqual } from "node:util";
import { parseDocument } from "yaml";
import { podContentHash } from "../../../core/pod-seal";
import { staticPodAnnotations } from "../../../core/static-pod";

const annotationsPath = ["metadata", "annotations"];
const sealPath = ["metadata", "annotations", staticPodAnnotations.contentHash];
/** A message names so many places that differ. */
const mostNamed = 5;

/** `text` is a Pod in YAML. */
export function sealManifest(text: string): string {
  const document = parseDocument(text, { prettyErrors: false });
  // Where it had no annotations it has none again without the seal.
  if (!document.hasIn(annotationsPath)) document.setIn(annotationsPath, document.createNode({}));
  document.setIn(sealPath, "");
  document.setIn(sealPath, podContentHash(document.toJS()));
  return document.toString({ lineWidth: 0 });
}

/** Whether nobody has edited the content since the engine wrote it. False for one without a seal. */
export function isAsWritten(text: string): boolean {
  const document = parseDocument(text, { prettyErrors: false });
  if (document.errors.length > 0) return false;
  const seal: unknown = document.getIn(sealPath);
  if (typeof seal !== "string") return false;
  document.setIn(sealPath, "");
  return seal === podContentHash(document.toJS());
}

/** Where the contents of two manifests differ, as paths; their values may be secret. Seals are no content. */
export function manifestDifferences(present: string, wanted: string): readonly string[] {
  const [left, right] = [present, wanted].map((text) => {
    const document = parseDocument(text, { prettyErrors: false });
    if (document.errors.length > 0) return undefined;
    if (document.hasIn(sealPath)) document.deleteIn(sealPath);
    return document.toJS() as unknown;
  });
  if (left === undefined) return ["the whole file, which is not YAML"];
  const paths = differences(left, right, "");
  const more = paths.length > mostNamed ? [`${paths.length - mostNamed} more`] : [];
  return [...paths.slice(0, mostNamed), ...more];
}

function differences(left: unknown, right: unknown, path: string): readonly string[] {
  if (isDeepStrictEqual(left, right)) return [];
  if (!isContainer(left) || !isContainer(right) || Array.isArray(left) !== Array.isArray(right)) return [path || "/"];
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...keys].flatMap((key) =>
    differences(left[key], right[key], Array.isArray(left) ? `${path}[${key}]` : `${path}${path && "."}${key}`),
  );
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
