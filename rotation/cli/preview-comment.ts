/** `kms-etcd plan --markdown`: from the output of `pulumi preview --json` to a pull request's comment, without a cluster. */
import { readFile } from "node:fs/promises";
import { text as readAll } from "node:stream/consumers";
import { KmsEtcdError } from "../../core/errors";
import { ExitCode } from "./exit-code";
import { readPreview } from "./preview-document";
import { previewMarkdown } from "./preview-markdown";
import { policyViolations, unknownAges } from "./preview-policy";
import type { Terminal } from "./terminal";

export interface PreviewCommentFlags {
  /** The file with the preview, `-` for standard input. */
  readonly markdown: string;
  /** In days. */
  readonly maxKeyAge?: number;
}

/** Ok, or Blocked where a rule is violated or the preview itself failed: a pipeline ends with it. */
export async function previewComment(
  { markdown: file, maxKeyAge }: PreviewCommentFlags,
  { print }: Terminal,
  now: number,
): Promise<ExitCode> {
  const preview = readPreview(await readText(file));
  if (preview === undefined) {
    throw new KmsEtcdError("invalid-input", `${named(file)} is no output of pulumi preview --json`, {
      remedy: "run `pulumi preview --json > preview.json`, and keep what Pulumi says on standard error out of it",
    });
  }
  const limits = { now, ...(maxKeyAge !== undefined && { maxKeyAgeDays: maxKeyAge }) };
  const violations = policyViolations(preview, limits);
  print(previewMarkdown(preview, violations, unknownAges(preview, limits)).trimEnd());
  const failed = preview.diagnostics.some(({ severity }) => severity === "error");
  return failed || violations.length > 0 ? ExitCode.Blocked : ExitCode.Ok;
}

async function readText(file: string): Promise<string> {
  try {
    return file === "-" ? await readAll(process.stdin) : await readFile(file, "utf8");
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? "unknown";
    throw new KmsEtcdError("not-found", `${named(file)} can't be read (${code})`, {
      remedy: "name the file that `pulumi preview --json` was written to",
    });
  }
}

function named(file: string): string {
  return file === "-" ? "standard input" : file;
}
