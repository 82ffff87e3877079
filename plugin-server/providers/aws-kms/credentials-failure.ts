/** A failed search for credentials, told apart from a failed call: AWS KMS has not been asked, and something else is to be mended. */

export class CredentialsFailure extends Error {
  override readonly name = "CredentialsFailure";
  /** @param cause as the SDK threw it. */
  constructor(cause: unknown) {
    super("the search for AWS credentials failed", { cause });
  }
}

/** `search`, which throws CredentialsFailure instead of what it throws by itself. */
export function withCredentialsFailure<Arguments extends readonly unknown[], Result>(
  search: (...given: Arguments) => Promise<Result>,
): (...given: Arguments) => Promise<Result> {
  return (...given) =>
    search(...given).catch((thrown: unknown) => {
      throw thrown instanceof CredentialsFailure ? thrown : new CredentialsFailure(thrown);
    });
}

const fileErrors: ReadonlySet<unknown> = new Set(["ENOENT", "EACCES", "EPERM", "EISDIR", "ENOTDIR"]);

/** The file that a search could not read, with the reason; undefined where it failed in another way. */
export function unreadableFile({ cause }: CredentialsFailure): string | undefined {
  const { code, path } = asParts(cause);
  return typeof path === "string" && fileErrors.has(code) ? `${path} can't be read: ${String(code)}` : undefined;
}

/** Whether the search went all the way to the instance metadata service, of whose answer the SDK tells nothing. */
export function endedAtInstance({ cause }: CredentialsFailure): boolean {
  const disabled = process.env["AWS_EC2_METADATA_DISABLED"];
  const { message } = asParts(cause);
  return (
    (disabled === undefined || disabled === "" || disabled === "false") &&
    typeof message === "string" &&
    message.includes("from any providers")
  );
}

function asParts(thrown: unknown): { readonly code?: unknown; readonly path?: unknown; readonly message?: unknown } {
  return typeof thrown === "object" && thrown !== null ? thrown : {};
}
