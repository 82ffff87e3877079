/** One key as a server's handlers see it. */

import type { StatusCode } from "../../core/grpc-status-code";
import type { ServedHealth } from "../health/served-health";
import type { KeyProvider } from "../key-provider";
import type { Log } from "../log";
import type { CallsUnderWay } from "./calls-under-way";

export type KmsMethod = "encrypt" | "decrypt" | "status" | "version";

/** Told of every call when it has ended. */
export interface CallObserver {
  ended(kms: "v1" | "v2", method: KmsMethod, code: StatusCode, seconds: number, thrown: unknown): void;
}

export interface ServedKey {
  readonly provider: KeyProvider;
  readonly health: ServedHealth;
  readonly calls: CallsUnderWay;
  readonly observer: CallObserver;
  readonly log: Log;
  /** What v1's Version says: the upstream plugin's name, and our version. */
  readonly runtimeName: string;
  readonly runtimeVersion: string;
}
