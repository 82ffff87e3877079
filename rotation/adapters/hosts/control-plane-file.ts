/** Reads `control-plane.json`, the description of a control plane on this machine. */
import { readFile } from "node:fs/promises";
import { KmsEtcdError } from "../../../core/errors";
import type { LocalControlPlane } from "../../../core/local-control-plane";

const formatVersion: LocalControlPlane["formatVersion"] = 1;

/** Throws `not-found` without the file, `invalid-input` or `unsupported` for a file that is none of ours. */
export async function readControlPlaneFile(file: string): Promise<LocalControlPlane> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? "unknown";
    throw new KmsEtcdError("not-found", `${file} can't be read (${code})`, {
      remedy: "start the control plane, or name its control-plane.json",
      cause: thrown,
    });
  }
  const described = parse(text, file);
  if (described.formatVersion === undefined || !Array.isArray(described.hosts)) {
    throw notOurs(file);
  }
  const found: number = described.formatVersion;
  if (found !== formatVersion) {
    throw new KmsEtcdError("unsupported", `${file} has format version ${found}`, {
      remedy: `use the version of pulumi-kms-etcd that started the control plane; this one knows ${formatVersion}`,
    });
  }
  return described as LocalControlPlane;
}

function parse(text: string, file: string): Partial<LocalControlPlane> {
  try {
    const document: unknown = JSON.parse(text);
    if (typeof document === "object" && document !== null) return document;
  } catch {
    // said below
  }
  throw notOurs(file);
}

function notOurs(file: string): KmsEtcdError {
  return new KmsEtcdError("invalid-input", `${file} does not describe a control plane`, {
    remedy: "name the control-plane.json in the state directory of a control plane",
  });
}
