/** A rule looks at the situation and either decides or leaves it to the next rule. `decide` runs them in order. */
import type { EncryptionConfiguration } from "../../core/encryption-configuration";
import type { RotationStage } from "../../core/rotation-stage";
import type { ConfigWrite, Decision } from "../decision";
import type { ServerObservation } from "../observation";
import type { Situation } from "../situation";

export type Rule = (situation: Situation) => Decision | undefined;

export function blocked(stage: RotationStage, reason: string, remedy: string): Decision {
  return { kind: "blocked", stage, reason, remedy };
}

export function wait(stage: RotationStage, reason: string): Decision {
  return { kind: "wait", stage, reason };
}

export function names(servers: readonly ServerObservation[]): string {
  return servers.map((server) => server.name).join(", ");
}

/** The file of `server` replaced, as it was observed. */
export function configWrite(server: ServerObservation, config: EncryptionConfiguration): ConfigWrite {
  const loadedHash = server.loaded.hash ?? server.lastReadyHash;
  const write = { server: server.name, expectedHash: server.file?.hash ?? server.fileProblem?.hash, config };
  return loadedHash === undefined ? write : { ...write, loadedHash };
}

/** "1 object", "2 objects". */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
