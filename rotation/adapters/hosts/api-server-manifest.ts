/**
 * The API server's static pod manifest: which flags matter to the engine, and how it is asked to restart. A changed manifest
 * is a new pod to the kubelet, so two annotations do it: which configuration the restart is for, and which process it shall
 * end. The second makes asking again harmless while that process still runs, and possible once another one does, without
 * comparing two clocks.
 */
import { parseDocument } from "yaml";
import { parseDuration } from "../../../core/duration";
import { KmsEtcdError } from "../../../core/errors";
import { staticPodAnnotations } from "../../../core/static-pod";
import { booleanFlag, flagValue, type Manifest, parseManifest } from "./manifest";
import { manifestText } from "./manifest-text";

export interface ApiServerFlags {
  /** As the API server's process sees it; undefined: it was started without encryption. */
  readonly encryptionConfigFile: string | undefined;
  readonly automaticReload: boolean;
  /** In milliseconds. */
  readonly requestTimeout: number;
}

/** Kubernetes' default for --request-timeout. */
const defaultRequestTimeout = 60_000;

export function apiServerFlags(manifest: Manifest): ApiServerFlags {
  const timeout = flagValue(manifest, "request-timeout");
  return {
    encryptionConfigFile: flagValue(manifest, "encryption-provider-config"),
    automaticReload: booleanFlag(manifest, "encryption-provider-config-automatic-reload"),
    requestTimeout: timeout === undefined ? defaultRequestTimeout : parseDuration(timeout, "--request-timeout"),
  };
}

export interface RestartRequest {
  readonly hash: string;
  /** Start of the process that shall end, in milliseconds since the epoch; undefined where none was seen. */
  readonly restartOf: number | undefined;
}

/** The last restart that was asked for; undefined if none ever was. */
export function restartRequest(manifest: Manifest): RestartRequest | undefined {
  const hash = manifest.annotations[staticPodAnnotations.encryptionConfigHash];
  const restartOf = Number(manifest.annotations[staticPodAnnotations.restartOf]);
  // Empty, which is 0, where no process was seen.
  return hash === undefined ? undefined : { hash, restartOf: restartOf > 0 ? restartOf : undefined };
}

/**
 * Whether that restart is still to come. `runningSince` is undefined while the process does not answer: then it is being
 * restarted, or tries in vain, with the configuration that it was asked to take.
 */
export function isPending(
  request: RestartRequest,
  fileHash: string | undefined,
  runningSince: number | undefined,
): boolean {
  if (request.hash !== fileHash) return false;
  if (runningSince === undefined) return true;
  return request.restartOf !== undefined && isSameProcess(request.restartOf, runningSince);
}

/**
 * A process start is derived from the boot time, which the kernel gives in whole seconds and corrects: within two seconds it is
 * the same process, because an API server needs longer than that to start and answer.
 */
export function isSameProcess(startedAt: number, otherStartedAt: number): boolean {
  return Math.abs(startedAt - otherStartedAt) <= 2_000;
}

/** The manifest's text with the request in it. Everything else in the document stays, comments too. */
export function withRestartRequest(text: string, request: RestartRequest): string {
  const document = parseDocument(text, { prettyErrors: false });
  if (document.errors.length > 0 || parseManifest(text) === undefined) {
    throw new KmsEtcdError("invalid-input", "the API server's manifest is not a Pod in YAML", { remedy: "mend it" });
  }
  const at = (name: string) => ["metadata", "annotations", name];
  document.setIn(at(staticPodAnnotations.encryptionConfigHash), request.hash);
  document.setIn(at(staticPodAnnotations.restartOf), request.restartOf === undefined ? "" : String(request.restartOf));
  return manifestText(document, text);
}
