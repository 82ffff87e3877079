/**
 * The part of AWS that kOps needs, by moto, with the gaps closed that the real kops runs into (moto_kops.py), and a file server that
 * has a checksum for everything. Nothing leaves this machine: what would goes to a proxy that is not there.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface MotoCloud {
  /** Of a kops process: only this. */
  readonly environment: Readonly<Record<string, string>>;
  readonly stateStore: string;
  /** An object of the state store; undefined where there is none. */
  object(path: string): Promise<string | undefined>;
  stop(): Promise<void>;
}

const bucket = "kops-state";
const startMilliseconds = 60_000;

/** `home` is an empty folder of the test's. */
export async function startMotoCloud(python: string, home: string): Promise<MotoCloud> {
  const port = await freePort();
  const child = spawn(python, [join(__dirname, "moto_kops.py"), "-H", "127.0.0.1", "-p", String(port)], {
    stdio: "ignore",
  });
  const ended = once(child, "exit");
  const sums = createServer((request, response) => {
    response.end(request.url?.endsWith(".sha256") === true ? "0123456789abcdef".repeat(4) : "");
  });
  await listen(sums);
  const url = `http://127.0.0.1:${port}`;
  const headers = {
    authorization: "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
  };
  const stop = async () => {
    child.kill("SIGTERM");
    await Promise.all([ended, new Promise((resolve) => sums.close(resolve))]);
  };
  try {
    const deadline = Date.now() + startMilliseconds;
    for (;;) {
      const made = await fetch(`${url}/${bucket}`, { method: "PUT", headers }).catch(() => undefined);
      if (made?.ok === true) break;
      if (Date.now() > deadline || child.exitCode !== null) throw new Error("moto does not serve");
      await sleep(200);
    }
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  const region = "us-east-1";
  return {
    stateStore: `s3://${bucket}`,
    environment: {
      HOME: home,
      PATH: process.env["PATH"] ?? "",
      AWS_ENDPOINT_URL: url,
      AWS_ACCESS_KEY_ID: "a",
      AWS_SECRET_ACCESS_KEY: "b",
      AWS_REGION: region,
      AWS_EC2_METADATA_DISABLED: "true",
      S3_ENDPOINT: url,
      S3_ACCESS_KEY_ID: "a",
      S3_SECRET_ACCESS_KEY: "b",
      S3_REGION: region,
      KOPS_BASE_URL: `http://127.0.0.1:${(sums.address() as AddressInfo).port}/kops/1.36.2`,
      http_proxy: "http://127.0.0.1:9",
      https_proxy: "http://127.0.0.1:9",
      no_proxy: "127.0.0.1",
    },
    async object(path) {
      const answer = await fetch(`${url}/${bucket}/${path}`, { headers });
      return answer.ok ? answer.text() : undefined;
    },
    stop,
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await listen(server);
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
}
