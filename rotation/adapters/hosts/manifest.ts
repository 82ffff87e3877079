/** What is read from the static pod manifests of a host, ours and others'. */
import { parseDocument } from "yaml";

export interface Manifest {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Command and arguments of every container, one after the other. */
  readonly arguments: readonly string[];
}

/** Undefined for a file that is no Pod: a kubelet would pass over it too. */
export function parseManifest(text: string): Manifest | undefined {
  const document = parseDocument(text, { prettyErrors: false });
  if (document.errors.length > 0) return undefined;
  const pod = record(document.toJS());
  if (pod["kind"] !== "Pod") return undefined;
  const metadata = record(pod["metadata"]);
  const containers = list(record(pod["spec"])["containers"]).map(record);
  return {
    name: typeof metadata["name"] === "string" ? metadata["name"] : "",
    labels: texts(metadata["labels"]),
    annotations: texts(metadata["annotations"]),
    arguments: containers.flatMap((container) =>
      [...list(container["command"]), ...list(container["args"])].map(String),
    ),
  };
}

/** The value of `--name=value` or `--name value`; the last one, as Go's flag package has it. Undefined where it is not given. */
export function flagValue(manifest: Manifest, name: string): string | undefined {
  let value: string | undefined;
  for (const [index, argument] of manifest.arguments.entries()) {
    if (argument.startsWith(`--${name}=`)) value = argument.slice(name.length + 3);
    else if (argument === `--${name}`) value = manifest.arguments[index + 1] ?? "";
  }
  return value;
}

/** A boolean flag, which stands for true without a value. */
export function booleanFlag(manifest: Manifest, name: string): boolean {
  let value = false;
  for (const argument of manifest.arguments) {
    if (argument === `--${name}`) value = true;
    else if (argument.startsWith(`--${name}=`))
      value = ["1", "t", "true"].includes(argument.slice(name.length + 3).toLowerCase());
  }
  return value;
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function texts(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(record(value)).map(([key, text]) => [key, String(text)]));
}
