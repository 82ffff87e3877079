/**
 * Port: one resource type. The server around it translates the wire, so a resource sees plain values, and can be tested
 * without a socket. Methods throw KmsEtcdError; `InitFailed` says that something exists but is not where it should be.
 */
import type { PropertyChanges } from "./property-diff";
import type { Properties } from "./property-values";

/** What the engine tells about the operation, and the ways to report back while it runs. */
export interface Operation {
  readonly urn: string;
  readonly name: string;
  /** Aborted by ^C, and when the engine goes away: stop at the next safe point. */
  readonly signal: AbortSignal;
  /** Shows in the row's Info column and is gone with the next one. */
  progress(message: string): void;
  /** Stays in the Diagnostics section. */
  warn(message: string): Promise<void>;
  readonly views: Views;
}

/** A view: a row below the resource that stands for a part of its work. */
export interface View {
  readonly name: string;
  readonly inputs: Properties;
  readonly outputs: Properties;
  /** Why this part failed, or undefined. */
  readonly failure?: string;
}

export interface Views {
  /** The views in the state before this operation. */
  readonly before: readonly View[];
  /** Shows a part of the work and keeps it in the state. Each name at most once in an operation. */
  publish(view: View): Promise<void>;
  /** Takes a view out of the state. */
  remove(name: string): Promise<void>;
}

/** An input that can't be used. An empty path stands for the resource as a whole. */
export interface CheckProblem {
  readonly path: string;
  readonly reason: string;
}

export interface Checked {
  readonly inputs: Properties;
  /** Paths of inputs that the state must hold as secrets, whoever gave them as plain values. */
  readonly secrets?: readonly string[];
  readonly problems: readonly CheckProblem[];
}

export interface State {
  readonly id: string;
  readonly inputs: Properties;
  readonly outputs: Properties;
}

/** What exists, and why it is not what the inputs want. The next `up` calls Update whatever Diff says. */
export class InitFailed extends Error {
  readonly id: string;
  readonly outputs: Properties;
  readonly reasons: readonly string[];
  /** Names of outputs that are secret. */
  readonly secrets: ReadonlySet<string>;

  constructor(
    id: string,
    outputs: Properties,
    reasons: readonly string[],
    secrets: ReadonlySet<string> = new Set<string>(),
  ) {
    super(reasons.join("; "));
    this.name = "InitFailed";
    this.id = id;
    this.outputs = outputs;
    this.reasons = reasons;
    this.secrets = secrets;
  }
}

/** What an update would change. Nothing at all means that no update is needed. */
export interface ResourceDiff {
  readonly inputs: PropertyChanges;
  /** Outputs that show, without any changed input, that the system is not where it should be. */
  readonly outputs: readonly string[];
}

export interface Resource {
  /** Names of outputs that are secret, whatever the inputs were. */
  readonly secretOutputs?: readonly string[];
  /** Inputs as they go into the state. `olds` are the inputs in it, undefined for a new resource. */
  check(olds: Properties | undefined, news: Properties, operation: Operation): Promise<Checked>;
  /**
   * Called after `check` with its inputs, and by a refresh with the state's own inputs. Must not fail in the second case,
   * or nothing could be destroyed any more.
   */
  diff(state: State, news: Properties, operation: Operation): Promise<ResourceDiff>;
  create(inputs: Properties, preview: boolean, operation: Operation): Promise<{ id: string; outputs: Properties }>;
  /** The state as it is in the system. It reports what it can't see by a warning: a failure would block `destroy` too. */
  read(state: State, operation: Operation): Promise<State>;
  update(state: State, inputs: Properties, preview: boolean, operation: Operation): Promise<Properties>;
  delete(state: State, operation: Operation): Promise<void>;
}
