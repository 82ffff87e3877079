/**
 * The one error class of the product. Every error that a user can see names the input or the server, says why, and says
 * what to do; `remedy` is kept apart so that the Pulumi provider, the CLI and the plugin can each lay it out in their own way.
 */

/** What kind of trouble it is. Persisted in JSON reports: never change or reuse a value. */
export type ErrorCode =
  | "invalid-input"
  | "unsupported"
  | "not-found"
  | "conflict"
  | "unreachable"
  | "timeout"
  | "permission-denied"
  | "throttled"
  | "corrupt"
  | "key-unusable"
  | "cancelled"
  | "blocked"
  | "internal";

/** The same in every copy of this file: bundles and installations side by side each have their own class. */
const brand = Symbol.for("kms-etcd.KmsEtcdError");

/** An error with a code from a closed set and, where there is one, a remedy. Messages are lower case, without a final period. */
export class KmsEtcdError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string | undefined;

  constructor(code: ErrorCode, message: string, options: { readonly remedy?: string; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = "KmsEtcdError";
    this.code = code;
    this.remedy = options.remedy;
    Object.defineProperty(this, brand, { value: true });
  }

  /** On every instance, so that `in` finds it; not enumerable, so that nothing prints it. */
  declare readonly [brand]: true;

  /** `instanceof` is true for an error from another copy of this file too. */
  static override [Symbol.hasInstance](value: unknown): value is KmsEtcdError {
    return typeof value === "object" && value !== null && brand in value;
  }
}

/** The text of anything that was thrown, with the remedy where there is one. */
export function describeError(thrown: unknown): string {
  if (thrown instanceof KmsEtcdError)
    return thrown.remedy === undefined ? thrown.message : `${thrown.message}; ${thrown.remedy}`;
  return thrown instanceof Error ? thrown.message : String(thrown);
}
