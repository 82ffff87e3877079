/**
 * A key's health, for the KMS versions that it is used with. KMS v1 may use a key in another way than v2 (Azure: RSA1_5, and
 * RSA-OAEP-256), and a service may refuse the one and take the other. Upstream probes both, whether they are used or not: a
 * managed HSM without RSA1_5 would then make a key unhealthy that is only used with v2. Here v1 counts from its first real call
 * on: an API server that uses v1 makes one whenever its own health is asked (apiserver encryptionconfig/config.go, `ping`), so
 * v1 that is used is never unseen for long. And Status, which is v2's alone, never fails for v1: API servers would stop writing.
 */
import type { KmsEtcdError } from "../../core/errors";
import type { KeyProvider } from "../key-provider";
import type { Clock } from "./clock";
import { createKeyHealth, type KeyHealth, type KeyHealthOptions } from "./key-health";

export interface ServedHealth {
  /** What Status asks. */
  readonly v2: Pick<KeyHealth, "check" | "state">;
  /** Begins to probe, at once. */
  start(): void;
  stop(): void;
  /** A client of KMS v1 has used the key. */
  usedByV1(): void;
  /** Rejects with the first trouble of a version that is used; waits for the first probes, and for nothing else. */
  check(signal: AbortSignal): Promise<void>;
  /** The last answer, for all versions that are used; "unknown" before the first probe has ended. */
  state(): "unknown" | "usable" | KmsEtcdError;
  /** A real call has failed in a way that a probe should look at. */
  suspect(kms: "v1" | "v2"): void;
}

/** After so long without a call nobody uses v1 any more: all have moved to v2, or somebody has tried it once. */
const v1ForgottenMs = 3_600_000;

/** @param optionsOf for each version its own, because they are told of probes and changes. */
export function createServedHealth(
  provider: KeyProvider,
  optionsOf: (kms: "v1" | "v2") => KeyHealthOptions,
  clock: Clock,
): ServedHealth {
  const v2 = createKeyHealth(provider, optionsOf("v2"), clock);
  const probeV1 = provider.probeV1?.bind(provider);
  let v1: KeyHealth | undefined;
  let lastV1Call = 0;
  let stopped = false;

  function startV1(probe: NonNullable<typeof probeV1>): KeyHealth {
    const options = optionsOf("v1");
    const health = createKeyHealth(
      { probe },
      {
        ...options,
        onProbe: (outcome) => {
          options.onProbe?.(outcome);
          if (clock.now() - lastV1Call < v1ForgottenMs) return;
          health.stop();
          v1 = undefined;
        },
      },
      clock,
    );
    health.start();
    return health;
  }

  return {
    v2,
    start: () => v2.start(),
    stop: () => {
      stopped = true;
      v2.stop();
      v1?.stop();
    },
    usedByV1: () => {
      if (probeV1 === undefined || stopped) return;
      lastV1Call = clock.now();
      v1 ??= startV1(probeV1);
    },
    check: async (signal) => {
      await Promise.all([v2.check(signal), v1?.check(signal)]);
    },
    state: () => {
      const [ofV2, ofV1] = [v2.state(), v1?.state()];
      return typeof ofV2 === "string" && ofV1 !== undefined && ofV1 !== "unknown" ? ofV1 : ofV2;
    },
    suspect: (kms) => {
      v2.suspect();
      if (kms === "v1") v1?.suspect();
    },
  };
}
