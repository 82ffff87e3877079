/**
 * moto's KMS as the cryptography behind the KMS fake: a second implementation of AWS KMS, which knows nothing of ours. The
 * fake in front keeps what moto lacks: signatures, key states, policies and faults.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fakeAccount } from "./kms-fake";
import type { EncryptionContext, FakeKey, KmsAction, KmsCryptography } from "./kms-keys";

export interface MotoKms {
  readonly cryptography: KmsCryptography;
  stop(): Promise<void>;
}

/** Starts moto with `keys`; keys that the fake gets later are not known to it. */
export async function startMotoKms(
  python: string,
  keys: readonly Pick<FakeKey, "id" | "material">[],
  region = "us-east-1",
): Promise<MotoKms> {
  const child = spawn(python, [join(__dirname, "moto_kms.py")], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const wanted = keys.map(({ id, material }) => ({ id, material: material.toString("base64") }));
  child.stdin.write(`${JSON.stringify({ account: fakeAccount, region, keys: wanted })}\n`);
  const lines = createInterface({ input: child.stdout });
  const port = await Promise.race([
    once(lines, "line").then(([line]) => (JSON.parse(String(line)) as { readonly port: number }).port),
    exited.then(([code]) => Promise.reject(new Error(`moto ended with ${String(code)} before it served`))),
  ]);

  async function ask(action: KmsAction, body: object): Promise<Readonly<Record<string, string>> | undefined> {
    const answer = await fetch(`http://127.0.0.1:${port}/`, {
      method: "POST",
      headers: {
        "x-amz-target": `TrentService.${action}`,
        "content-type": "application/x-amz-json-1.1",
        authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/${region}/kms/aws4_request, SignedHeaders=host, Signature=0`,
      },
      body: JSON.stringify(body),
    });
    const parsed = (await answer.json()) as Record<string, string>;
    if (answer.ok) return parsed;
    if (parsed["__type"] === "InvalidCiphertextException") return undefined;
    throw new Error(`moto answered ${action} with ${answer.status} ${parsed["__type"]}`);
  }

  const cryptography: KmsCryptography = {
    async encrypt(key: FakeKey, plaintext: Uint8Array, context: EncryptionContext) {
      const Plaintext = Buffer.from(plaintext).toString("base64");
      const answer = await ask("Encrypt", { KeyId: key.arn, Plaintext, EncryptionContext: context });
      return Buffer.from(answer?.["CiphertextBlob"] ?? "", "base64");
    },
    async decrypt(_key: FakeKey, blob: Uint8Array, context: EncryptionContext) {
      const CiphertextBlob = Buffer.from(blob).toString("base64");
      const answer = await ask("Decrypt", { CiphertextBlob, EncryptionContext: context });
      return answer === undefined ? undefined : Buffer.from(answer["Plaintext"] ?? "", "base64");
    },
  };
  return {
    cryptography,
    async stop() {
      child.stdin.end();
      await exited;
    },
  };
}
