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
import { endWithTests } from "../../support/end-with-tests";

export interface MotoCloud {
  /** Of a kops process: only this. */
  readonly environment: Readonly<Record<string, string>>;
  readonly stateStore: string;
  /** moto itself. */
  readonly url: string;
  /** Instances that run, of all clusters. */
  instances(): Promise<readonly MotoInstance[]>;
  /** What an instance was started with, as its group's template had it then. */
  userData(id: string): Promise<string>;
  /** Ends an instance; its autoscaling group makes another one. */
  terminate(id: string): Promise<void>;
  /** An object of the state store; undefined where there is none. */
  object(path: string): Promise<string | undefined>;
  stop(): Promise<void>;
}

export interface MotoInstance {
  readonly id: string;
  readonly address: string;
  readonly zone: string;
  /** The cluster that it is tagged with, its instance group there, and whether that runs API servers. */
  readonly cluster: string;
  readonly group: string;
  readonly isControlPlane: boolean;
}

/** An image of machines that moto knows; nothing looks at what is in it. */
export const machineImage = "099720109477/ubuntu/images/hvm-ssd/ubuntu-xenial-16.04-amd64-server-20170721";

const bucket = "kops-state";
/** Bears a machine that is busy with other things. */
const startMilliseconds = 240_000;

/** `home` is an empty folder of the test's. */
export async function startMotoCloud(python: string, home: string): Promise<MotoCloud> {
  const port = await freePort();
  const child = spawn(python, [join(__dirname, "moto_kops.py"), "-H", "127.0.0.1", "-p", String(port)], {
    stdio: "ignore",
  });
  const left = endWithTests(child.pid ?? 0);
  const ended = once(child, "exit").then(left);
  const sums = createServer((request, response) => {
    response.end(request.url?.endsWith(".sha256") === true ? "0123456789abcdef".repeat(4) : "");
  });
  await listen(sums);
  const url = `http://127.0.0.1:${port}`;
  const signed = (service: string) => ({
    authorization: `AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/${service}/aws4_request, SignedHeaders=host, Signature=0`,
  });
  const headers = signed("s3");
  async function ec2(query: string): Promise<string> {
    const asked = { ...signed("ec2"), "content-type": "application/x-www-form-urlencoded" };
    const answer = await fetch(url, { method: "POST", headers: asked, body: `${query}&Version=2016-11-15` });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`moto answers ${answer.status} to ${query}: ${text.slice(0, 300)}`);
    return text;
  }
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
    url,
    async instances() {
      const query = "Action=DescribeInstances&Filter.1.Name=instance-state-name&Filter.1.Value.1=running";
      return readInstances(await ec2(query));
    },
    async userData(id) {
      const xml = await ec2(`Action=DescribeInstanceAttribute&Attribute=userData&InstanceId=${id}`);
      return Buffer.from(/<value>([^<]*)/.exec(xml)?.[1] ?? "", "base64").toString("utf8");
    },
    async terminate(id) {
      await ec2(`Action=TerminateInstances&InstanceId.1=${id}`);
    },
    async object(path) {
      const answer = await fetch(`${url}/${bucket}/${path}`, { headers });
      return answer.ok ? answer.text() : undefined;
    },
    stop,
  };
}

/** Of moto's XML. */
function readInstances(xml: string): readonly MotoInstance[] {
  return xml
    .split("<item><architecture>")
    .slice(1)
    .map((item) => {
      const field = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(item)?.[1] ?? "";
      const tags = new Map(
        [...item.matchAll(/<key>([^<]*)<\/key>(?:<value>([^<]*)<\/value>|<value\/>)/g)].map(([, key, value]) => [
          key,
          value,
        ]),
      );
      return {
        id: field("instanceId"),
        address: field("privateIpAddress"),
        zone: field("availabilityZone"),
        cluster: tags.get("KubernetesCluster") ?? "",
        group: tags.get("kops.k8s.io/instancegroup") ?? "",
        isControlPlane: tags.has("k8s.io/role/control-plane"),
      };
    });
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
