/** What the pod runner takes from a static pod's manifest: an ordinary `v1` Pod with one container. */
import { createHash } from "node:crypto";
import { parseDocument } from "yaml";
import { KmsEtcdError } from "../../core/errors";

/** A manifest that can be run. */
export interface PodManifest {
  /** `metadata.name`. */
  readonly name: string;
  /** `sha256:<hex>` of the file: a file that changes in any way is another pod, as a kubelet sees it. */
  readonly hash: string;
  /** `command` and `args` of the only container, as one list. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Time between SIGTERM and SIGKILL. */
  readonly gracePeriodSeconds: number;
}

/** A kubelet's own default for terminationGracePeriodSeconds. */
const defaultGracePeriodSeconds = 30;

/** Same file, same hash. */
export function manifestHash(content: string): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}

/** Reads YAML or JSON. Throws `invalid-input`, naming the field, where this runner can't run the pod as it is written. */
export function parsePodManifest(content: string): PodManifest {
  const document = parseDocument(content);
  const syntaxError = document.errors[0];
  if (syntaxError) throw invalid("the file", `is not YAML: ${syntaxError.message.split("\n")[0]}`);
  const root = asRecord(document.toJS(), "the file");
  if (root["apiVersion"] !== "v1" || root["kind"] !== "Pod") {
    throw invalid("apiVersion and kind", "are not v1 and Pod");
  }
  const name = asText(asRecord(root["metadata"], "metadata")["name"], "metadata.name");
  // RFC 1123 subdomain, as the API demands it of pods; it also keeps the name safe as a file name.
  if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(name)) {
    throw invalid("metadata.name", `is ${JSON.stringify(name)}, which is not a name for a pod`);
  }
  const spec = asRecord(root["spec"], "spec");
  const containers = asList(spec["containers"], "spec.containers");
  if (containers.length !== 1)
    throw invalid("spec.containers", `has ${containers.length} entries, this runner takes one`);
  const container = asRecord(containers[0], "spec.containers[0]");
  const command = asTexts(container["command"], "spec.containers[0].command");
  if (command.length === 0) {
    throw invalid(
      "spec.containers[0].command",
      "is missing: processes are started from the machine, not from an image",
    );
  }
  return {
    name,
    hash: manifestHash(content),
    command: [...command, ...asTexts(container["args"], "spec.containers[0].args")],
    environment: readEnvironment(container["env"]),
    gracePeriodSeconds: readGracePeriod(spec["terminationGracePeriodSeconds"]),
  };
}

function readEnvironment(value: unknown): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [index, entry] of (value === undefined ? [] : asList(value, "spec.containers[0].env")).entries()) {
    const path = `spec.containers[0].env[${index}]`;
    const variable = asRecord(entry, path);
    if (variable["valueFrom"] !== undefined) throw invalid(`${path}.valueFrom`, "is not supported by this runner");
    const text = variable["value"] ?? "";
    if (typeof text !== "string") throw invalid(`${path}.value`, "is not a text");
    environment[asText(variable["name"], `${path}.name`)] = text;
  }
  return environment;
}

function readGracePeriod(value: unknown): number {
  if (value === undefined || value === null) return defaultGracePeriodSeconds;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  throw invalid(
    "spec.terminationGracePeriodSeconds",
    `is ${JSON.stringify(value)}, which is not a whole number of seconds`,
  );
}

function invalid(path: string, problem: string): KmsEtcdError {
  return new KmsEtcdError("invalid-input", `pod manifest: ${path} ${problem}`);
}

function asRecord(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw invalid(path, "is not an object");
}

function asList(value: unknown, path: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw invalid(path, "is not a list");
}

function asText(value: unknown, path: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw invalid(path, "is not a text");
}

function asTexts(value: unknown, path: string): readonly string[] {
  if (value === undefined || value === null) return [];
  return asList(value, path).map((entry, index) => {
    if (typeof entry === "string") return entry;
    throw invalid(`${path}[${index}]`, "is not a text");
  });
}
