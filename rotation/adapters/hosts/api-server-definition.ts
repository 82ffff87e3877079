/**
 * What makes a host run its API server, and how the engine changes it: a kubelet's static pod, or a unit of systemd. The engine
 * writes one file: the manifest itself, or a drop-in of its own.
 */
import type { RestartRequest } from "./api-server-manifest";
import type { ApiServerSetUp, SetUpPaths } from "./api-server-setup";
import type { Manifest } from "./manifest";

export interface ApiServerDefinition {
  /** What the API server is told by it. */
  readonly manifest: Manifest;
  /** As messages call it. */
  readonly label: string;
  /** The file that the engine writes. */
  readonly path: string;
  /** Undefined where it is not there yet. */
  readonly bytes: Buffer | undefined;
  /** When that file was last changed, by the host's clock; 0 without it. */
  readonly writtenAt: number;
  /** When anything in it was last changed. */
  readonly modifiedAt: number;
  /**
   * Whether a restart is under way. Undefined: nobody knows, but it will come, because the kubelet makes it of a changed
   * manifest. False: it has to be asked for.
   */
  readonly restarting: boolean | undefined;
  /** What its keeper says of a process that does not run; undefined where it says nothing. */
  readonly trouble: string | undefined;
  /** Why the engine's file must not be written, with what a person has to do first. */
  readonly refusal: Refusal | undefined;
  setUp(paths: SetUpPaths, reloads: boolean): ApiServerSetUp;
  /** The text of the engine's file with a request to restart, and with all that is missing where `setUp` is given. */
  edited(request: RestartRequest, setUp?: { readonly paths: SetUpPaths; readonly reloads: boolean }): string;
}

export interface Refusal {
  readonly reason: string;
  readonly refused: string;
}
