/** The Lease of a cluster in memory, as API servers keep it: one record, replaced only as expected. */
import { KmsEtcdError } from "../../core/errors";
import type { Clock } from "../../rotation/clock";
import { type EngineIdentity, type EngineLease, type LeaseRecord, leaseDuration } from "../../rotation/engine-lease";

export interface MemoryLease extends EngineLease {
  record: Omit<LeaseRecord, "now"> | undefined;
  /** Why no API server answers. */
  problem: string | undefined;
  /** Why API servers answer with a refusal. */
  refusal: string | undefined;
  /** As another engine, or a person, would write it. */
  put(holder: string, renewedAt: number): void;
}

export function memoryLease(clock: Pick<Clock, "now">): MemoryLease {
  let version = 0;
  const answer = () => {
    if (self.problem !== undefined) throw new KmsEtcdError("unreachable", self.problem);
    if (self.refusal !== undefined) throw new KmsEtcdError("permission-denied", self.refusal, { remedy: "allow it" });
  };
  const read = (): LeaseRecord | undefined => self.record && { ...self.record, now: clock.now() };
  const self: MemoryLease = {
    record: undefined,
    problem: undefined,
    refusal: undefined,
    put(holder, renewedAt) {
      version += 1;
      const record = { holder, acquiredAt: renewedAt, renewedAt, duration: leaseDuration, version: String(version) };
      self.record = record;
    },
    async read() {
      answer();
      return read();
    },
    async write(expected, holder) {
      answer();
      if (expected?.version !== self.record?.version) return undefined;
      const acquiredAt = expected?.holder === holder ? expected.acquiredAt : clock.now();
      self.put(holder, clock.now());
      if (self.record !== undefined) self.record = { ...self.record, acquiredAt };
      return read();
    },
    async remove(expected) {
      answer();
      if (expected.version === self.record?.version) self.record = undefined;
    },
    close: async () => undefined,
  };
  return self;
}

/** Engines that are named in `dead` are known to have ended, in `alive` to live; of others only time can tell. */
export function identity(
  holder: string,
  known: { readonly dead?: readonly string[]; readonly alive?: readonly string[] } = {},
): EngineIdentity {
  return {
    holder,
    isAlive: (other) => (known.dead?.includes(other) ? false : known.alive?.includes(other) ? true : undefined),
  };
}
