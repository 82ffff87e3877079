/** A door to AWS KMS as moto has it, which notes every call: what was asked of which key, with which context. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface KmsCall {
  /** `kms:Encrypt`, as policies call it. */
  readonly action: string;
  /** What the caller has named; Decrypt may go without. */
  readonly keyId: string | undefined;
  readonly context: Readonly<Record<string, string>>;
  readonly status: number;
}

export interface RecordedKms {
  readonly url: string;
  readonly calls: readonly KmsCall[];
  /** A new key's ARN. */
  createKey(): Promise<string>;
  /** `name` as `alias/NAME`. */
  createAlias(name: string, keyArn: string): Promise<void>;
  stop(): Promise<void>;
}

interface KmsRequest {
  readonly KeyId?: string;
  readonly EncryptionContext?: Readonly<Record<string, string>>;
}

const service = "TrentService.";
const authorization =
  "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=0";

export async function startRecordedKms(moto: string): Promise<RecordedKms> {
  const calls: KmsCall[] = [];
  const ask = (action: string, body: string) =>
    fetch(moto, {
      method: "POST",
      headers: { "x-amz-target": `${service}${action}`, "content-type": "application/x-amz-json-1.1", authorization },
      body,
    });
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString("utf8");
      const action = String(request.headers["x-amz-target"]).replace(service, "");
      const { KeyId: keyId, EncryptionContext: context = {} } = JSON.parse(body) as KmsRequest;
      ask(action, body).then(
        async (answer) => {
          calls.push({ action: `kms:${action}`, keyId, context, status: answer.status });
          response.writeHead(answer.status, { "content-type": "application/x-amz-json-1.1" });
          response.end(await answer.text());
        },
        () => response.destroy(),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    async createKey() {
      const answer = await ask("CreateKey", "{}");
      return ((await answer.json()) as { KeyMetadata: { Arn: string } }).KeyMetadata.Arn;
    },
    async createAlias(name, keyArn) {
      const answer = await ask("CreateAlias", JSON.stringify({ AliasName: name, TargetKeyId: keyArn }));
      if (!answer.ok) throw new Error(`CreateAlias: ${await answer.text()}`);
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
