/** What `--json` prints where a command has no result: why, in the words that are said on stderr. */
import { describeError, KmsEtcdError } from "../../core/errors";
import { ExitCode } from "./exit-code";
import { UsageError } from "./usage-error";

/** Its names are those of a run's document. `problems` is everything that is wrong with what was given. */
export function errorDocument(thrown: unknown, exitCode: ExitCode) {
  const known = thrown instanceof KmsEtcdError ? thrown : undefined;
  return {
    outcome: exitCode === ExitCode.Interrupted ? "cancelled" : "error",
    exitCode,
    reason: thrown instanceof Error ? thrown.message : String(thrown),
    remedy: known?.remedy,
    cause: known?.cause instanceof KmsEtcdError ? describeError(known.cause) : undefined,
    problems: thrown instanceof UsageError ? thrown.violations : [],
  };
}
