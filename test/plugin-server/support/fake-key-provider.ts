/** A key provider whose behaviour a test decides, and that records what it was asked. */
import { setTimeout as delay } from "node:timers/promises";
import type { CallContext, DecryptInput, Encrypted, KeyProvider } from "../../../plugin-server/key-provider";

export interface FakeKeyProvider extends Omit<KeyProvider, "keyId"> {
  keyId: string;
  /** Replace these to change what happens. */
  behaviour: {
    encrypt: (plaintext: Uint8Array, call: CallContext) => Promise<Encrypted>;
    decrypt: (input: DecryptInput, call: CallContext) => Promise<Uint8Array>;
    probe: (signal: AbortSignal) => Promise<void>;
  };
  readonly probes: number;
  readonly closed: boolean;
}

export function fakeKeyProvider(keyId = "fake-key"): FakeKeyProvider {
  let probes = 0;
  let closed = false;
  const mask = (bytes: Uint8Array) => Buffer.from(bytes.map((byte) => byte ^ 0xff));
  const fake: FakeKeyProvider = {
    keyId,
    statusVersion: "v2",
    description: { provider: "fake" },
    behaviour: {
      encrypt: async (plaintext) => ({
        ciphertext: mask(plaintext),
        keyId,
        annotations: { "fake.example.io": Buffer.from("1") },
      }),
      decrypt: async ({ ciphertext }) => mask(ciphertext),
      probe: async () => {},
    },
    get probes() {
      return probes;
    },
    get closed() {
      return closed;
    },
    open: async () => {},
    encrypt: (plaintext, call) => fake.behaviour.encrypt(plaintext, call),
    decrypt: (input, call) => fake.behaviour.decrypt(input, call),
    probe: (signal) => {
      probes++;
      return fake.behaviour.probe(signal);
    },
    close: async () => {
      closed = true;
    },
  };
  return fake;
}

/** Never answers, and keeps to the port: it ends when the signal aborts. */
export function hang(signal: AbortSignal): Promise<never> {
  return delay(3_600_000, undefined, { signal, ref: false }) as Promise<never>;
}
